"""Names of things: GS1 keys as EPC URN or Digital Link, `geo:` positions and any other URI.

First stop of every event: what a device, a label or a partner wrote becomes the one form that the store
indexes by. Two promises are kept apart, because the field is untidy:

- `canonical` and `constrained` never fail. They answer "which name is this?", and a wrong check digit is
still a
  name: a label that left the packhouse misprinted must be found again by what it says.
- `parse` and the builders (`lot_uri`, ...) are strict. They answer "is this name well made?" and raise
  `IdentifierError`, which says what was read and what was wanted.

Sources: GS1 General Specifications (keys, check digit, AI 82 character set), EPC Tag Data Standard 2.0
(URNs), GS1 Digital Link URI Syntax 1.3, CBV 2.0 section 8 (the constrained form inside the event hash).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import quote, unquote

from ledger.epcis import EpcisError

RESOLVER = "https://id.gs1.org"
LONGEST = 2048
"""Longest identifier taken, in characters: what every web server and QR reader still passes on."""


class IdentifierError(EpcisError):
    """The identifier is not well made. The message says what was read (got) and what was wanted (want)."""


@dataclass(frozen=True)
class Identifier:
    """A name taken apart.

    `scheme`: gtin, lgtin, sgtin, upui, itip, cpi, sscc, gln, pgln, grai, giai, gdti, gcn, ginc, gsin, gsrn,
    gsrnp, geo or uri. `uri`: the canonical form. `parts`: for GS1 keys, application identifier -> decoded
    value, in the order of the path ("01" always 14 digits); for `geo`, "lat" and "lon"; otherwise empty.
    """

    scheme: str
    uri: str
    parts: Mapping[str, str] = field(hash=False, default_factory=lambda: MappingProxyType({}))

    @property
    def lot(self) -> str | None:
        """The lot's own URI, if the name carries a GTIN and a lot number."""
        if "01" in self.parts and "10" in self.parts:
            return _link({"01": self.parts["01"], "10": self.parts["10"]})
        return None


@dataclass(frozen=True)
class _Key:
    """One GS1 primary key: `value` is its whole syntax, `checked` how many leading digits end in the check
    digit."""

    scheme: str
    value: re.Pattern[str]
    checked: int
    wanted: str
    qualifiers: tuple[str, ...] = ()


_AI82 = r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]"
_AI39 = r"[#\-/0-9A-Z]"


def _key(scheme: str, value: str, checked: int, wanted: str, *qualifiers: str) -> _Key:
    return _Key(scheme, re.compile(value), checked, wanted, qualifiers)


_KEYS: dict[str, _Key] = {
    "00": _key("sscc", r"[0-9]{18}", 18, "18 digits"),
    "01": _key("gtin", r"[0-9]{8}|[0-9]{12,14}", 14, "8, 12, 13 or 14 digits", "22", "10", "21", "235"),
    "253": _key(
        "gdti", rf"[0-9]{{13}}{_AI82}{{0,17}}", 13, "13 digits and a serial of at most 17 characters"
    ),
    "255": _key("gcn", r"[0-9]{13,25}", 13, "13 digits and a serial of at most 12 digits"),
    "401": _key("ginc", rf"{_AI82}{{1,30}}", 0, "at most 30 characters"),
    "402": _key("gsin", r"[0-9]{17}", 17, "17 digits"),
    "414": _key("gln", r"[0-9]{13}", 13, "13 digits", "254"),
    "417": _key("pgln", r"[0-9]{13}", 13, "13 digits"),
    "8003": _key(
        "grai", rf"0[0-9]{{13}}{_AI82}{{0,16}}", 14, "0, 13 digits and a serial of at most 16 characters"
    ),
    "8004": _key("giai", rf"{_AI82}{{1,30}}", 0, "at most 30 characters"),
    "8006": _key("itip", r"[0-9]{18}", 14, "18 digits: GTIN-14, piece, total", "22", "10", "21"),
    "8010": _key("cpi", rf"{_AI39}{{1,30}}", 0, "at most 30 of 0-9 A-Z # - /", "8011"),
    "8017": _key("gsrnp", r"[0-9]{18}", 18, "18 digits"),
    "8018": _key("gsrn", r"[0-9]{18}", 18, "18 digits"),
}

_QUALIFIERS: dict[str, tuple[re.Pattern[str], str]] = {
    "10": (re.compile(rf"{_AI82}{{1,20}}"), "1 to 20 characters of GS1's AI 82 set (no Chinese, no blank)"),
    "21": (re.compile(rf"{_AI82}{{1,20}}"), "1 to 20 characters of GS1's AI 82 set"),
    "22": (re.compile(rf"{_AI82}{{1,20}}"), "1 to 20 characters of GS1's AI 82 set"),
    "235": (re.compile(rf"{_AI82}{{1,28}}"), "1 to 28 characters of GS1's AI 82 set"),
    "254": (re.compile(rf"{_AI82}{{1,20}}"), "1 to 20 characters of GS1's AI 82 set"),
    "8011": (re.compile(r"[1-9][0-9]{0,11}|0"), "1 to 12 digits without leading zero"),
}

# Digital Link 1.0 and 1.1 allowed words for the application identifiers; printed labels outlive the revision.
_WORDS: dict[str, str] = {
    "sscc": "00", "gtin": "01", "cpv": "22", "lot": "10", "ser": "21", "gdti": "253", "gcn": "255",
    "ginc": "401", "gsin": "402", "gln": "414", "glnx": "254", "party": "417", "grai": "8003", "giai": "8004",
    "itip": "8006", "cpid": "8010", "cpsn": "8011", "gsrnp": "8017", "gsrn": "8018",
}  # fmt: skip

_LINK = re.compile(r"(?i:https?)://(?P<host>[^/?#]+)(?P<path>/[^?#]*)(?:\?[^#]*)?(?:#.*)?", re.DOTALL)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[!#$&-;=?-Z\[\]_a-z~%]+")
_GEO = re.compile(r"geo:(?P<lat>-?[0-9]{1,2}(?:\.[0-9]+)?),(?P<lon>-?[0-9]{1,3}(?:\.[0-9]+)?)(?:[,;].*)?")

_Parts = dict[str, str]


# --- check digit --------------------------------------------------------------------------------------------


def check_digit(digits: str) -> str:
    """The GS1 modulo-10 check digit for `digits`, which come without it. Raises IdentifierError if not
    digits."""
    if not digits.isascii() or not digits.isdigit():
        raise IdentifierError(f"check digit: got {_short(digits)}, want digits 0-9 only")
    return _check_digit(digits)


def _check_digit(digits: str) -> str:
    found = digits.encode()
    threefold, once = found[-1::-2], found[-2::-2]
    weighted = 3 * (sum(threefold) - 48 * len(threefold)) + sum(once) - 48 * len(once)
    return _DIGITS[-weighted % 10]


_DIGITS = "0123456789"


# --- reading ------------------------------------------------------------------------------------------------


def canonical(uri: str) -> str:
    """The one form we index by: a Digital Link at id.gs1.org for a GS1 key, anything else unchanged.

    Lot and serial are both kept (`/01/../10/../21/..` is the name on a box); consumer product variant and
    query string go. Never raises; the check digit is not looked at.
    """
    parts = _read(uri)
    return _link(parts) if parts else uri


def constrained(uri: str) -> str | None:
    """The form of CBV 2.0's event hash: as `canonical`, but the lot is dropped where a serial is named. None
    if the text is no GS1 key in URN or Digital Link form."""
    parts = _read(uri)
    if not parts:
        return None
    if "10" in parts and ("21" in parts or "235" in parts):
        del parts["10"]
    # GS1's list of characters to encode in a Digital Link has neither of the two, and the reference leaves them.
    return _link(parts, "';=")


@lru_cache(maxsize=16384)
def parse(text: str) -> Identifier:
    """Take a name apart and check it. Raises IdentifierError on a wrong check digit, length or character.

    A web address that is no Digital Link, and every other kind of URI, is taken as it stands (scheme "uri").
    """
    if not _URI.fullmatch(text) or len(text) > LONGEST:
        raise IdentifierError(
            f"got {_short(text)}, want a URI of RFC 3986 characters (others percent-encoded)"
        )
    if text.startswith("geo:"):
        return _position(text)
    parts = _read(text)
    if parts is None:
        _refuse_half_made(text)
        return Identifier("uri", text)
    _check(parts, text)
    return Identifier(_scheme(parts), _link(parts), MappingProxyType(parts))


def _read(text: str) -> _Parts | None:
    """Application identifier -> decoded value, key first; None if the text is no GS1 key. Total on any
    string, and quick: a path is tried from each of its segments, so that a long one is not tried at all."""
    if len(text) > LONGEST:
        return None
    if text.startswith("urn:epc:"):
        return _read_urn(text)
    link = _LINK.fullmatch(text)
    return _read_path(link["path"].split("/")[1:]) if link else None


def _read_path(segments: list[str]) -> _Parts | None:
    """The first segment that opens a whole Digital Link to the end of the path wins; before it is the
    resolver's own prefix (`/gtin-8/01/97803111`)."""
    for start in range(len(segments) - 1):
        ai = _WORDS.get(segments[start], segments[start])
        if ai in _KEYS and (len(segments) - start) % 2 == 0:
            parts = _read_pairs(ai, segments[start:])
            if parts:
                return parts
    return None


def _read_pairs(ai: str, segments: list[str]) -> _Parts | None:
    key = _KEYS[ai]
    value = unquote(segments[1])
    if not key.value.fullmatch(value):
        return None
    parts = {ai: value.zfill(14) if ai == "01" else value}
    allowed = iter(key.qualifiers)
    for word, raw in zip(segments[2::2], segments[3::2], strict=True):
        qualifier, held = _WORDS.get(word, word), unquote(raw)
        # `in` on the iterator also consumes what it passes over, which is how the order of qualifiers is
        # kept.
        if qualifier not in allowed or not _QUALIFIERS[qualifier][0].fullmatch(held):
            return None
        parts[qualifier] = held
    parts.pop("22", None)
    return parts


def _link(parts: Mapping[str, str], safe: str = "'") -> str:
    """The apostrophe stays: the reference vectors of the event hash have it so."""
    written = RESOLVER
    for ai, value in parts.items():
        # What needs no quoting is told quicker here.
        written += f"/{ai}/{value if value.isalnum() and value.isascii() else quote(value, safe)}"
    return written


# --- EPC URNs -----------------------------------------------------------------------------------------------

_URN = re.compile(r"urn:epc:(?P<kind>id|class|idpat):(?P<scheme>[a-z]+):(?P<body>[^?#\s]+)")


@dataclass(frozen=True)
class _Urn:
    """How an EPC URN becomes a key. `dots`: how many separate its fields; a serial may contain more.
    `digits`: of prefix and reference together, without check digit; 0 where there is none. `first`: the key's
    first digit stands at the head of the reference (`4012345.011111` is 0 4012345 11111). `serial`: the
    application identifier of the last field; "" where it is part of the key itself."""

    ai: str
    dots: int
    digits: int = 0
    first: bool = False
    serial: str = ""


_URNS: dict[str, _Urn] = {
    "sgtin": _Urn("01", 2, digits=13, first=True, serial="21"),
    "lgtin": _Urn("01", 2, digits=13, first=True, serial="10"),
    "upui": _Urn("01", 2, digits=13, first=True, serial="235"),
    "itip": _Urn("8006", 4, digits=13, first=True, serial="21"),
    "sscc": _Urn("00", 1, digits=17, first=True),
    "sgln": _Urn("414", 2, digits=12, serial="254"),
    "pgln": _Urn("417", 1, digits=12),
    "grai": _Urn("8003", 2, digits=12),
    "gdti": _Urn("253", 2, digits=12),
    "sgcn": _Urn("255", 2, digits=12),
    "gsin": _Urn("402", 1, digits=16),
    "gsrn": _Urn("8018", 1, digits=17),
    "gsrnp": _Urn("8017", 1, digits=17),
    "giai": _Urn("8004", 1),
    "ginc": _Urn("401", 1),
    "cpi": _Urn("8010", 2, serial="8011"),
}


def _read_urn(text: str) -> _Parts | None:
    """An EPC URN, a class URN, or a pattern whose last field is `*`."""
    urn = _URN.fullmatch(text)
    if urn is None:
        return None
    kind, scheme, body = urn.groups()
    form = _URNS.get(scheme)
    if form is None or (scheme == "lgtin") != (kind == "class"):
        return None
    fields = body.split(".", form.dots)
    if "%" in body:
        fields = [unquote(part) for part in fields]
    if kind == "idpat":
        if fields[-1] != "*" or form.dots < 2:
            return None
        fields[-1] = ""
    prefix = fields[0]
    if len(fields) != form.dots + 1 or not (6 <= len(prefix) <= 12 and prefix.isascii() and prefix.isdigit()):
        return None
    parts = _from_fields(form, fields)
    for ai, value in parts.items() if parts else ():
        if not _SYNTAX[ai](value):
            return None
    return parts


def _from_fields(form: _Urn, fields: list[str]) -> _Parts | None:
    """`fields`: prefix, reference and what follows them."""
    prefix, reference = fields[0], fields[1]
    key = prefix + reference
    if form.digits:
        # A URN carries no check digit: it is computed here.
        digits = reference[:1] + prefix + reference[1:] if form.first else key
        if len(digits) != form.digits or not (digits.isascii() and digits.isdigit()):
            return None
        key = digits + _check_digit(digits)
    serial = fields[-1] if form.serial else ""
    inside = fields[2:-1] if form.serial else fields[2:]
    parts = {form.ai: ("0" if form.ai == "8003" else "") + key + "".join(inside)}
    # An SGLN extension of 0 means the place itself, and a pattern leaves its serial empty.
    if serial and not (form.ai == "414" and serial == "0"):
        parts[form.serial] = serial
    return parts


_SYNTAX = {ai: key.value.fullmatch for ai, key in _KEYS.items()} | {
    ai: pattern.fullmatch for ai, (pattern, _) in _QUALIFIERS.items()
}
"""Of the value of each application identifier."""


# --- strictness ---------------------------------------------------------------------------------------------


def _scheme(parts: Mapping[str, str]) -> str:
    ai = next(iter(parts))
    if ai != "01":
        return _KEYS[ai].scheme
    return "sgtin" if "21" in parts else "upui" if "235" in parts else "lgtin" if "10" in parts else "gtin"


def _check(parts: Mapping[str, str], text: str) -> None:
    ai, value = next(iter(parts.items()))
    key = _KEYS[ai]
    if not key.checked:
        return
    digits, got = value[: key.checked - 1], value[key.checked - 1]
    want = check_digit(digits)
    if got != want:
        raise IdentifierError(
            f"wrong check digit of {key.scheme.upper()} in {_short(text)}: got {got}, want {want} "
            f"({digits}{want}); read the printed number again"
        )


def _refuse_half_made(text: str) -> None:
    """A text that claims to be a GS1 key and is none. Elsewhere than at GS1's own resolver and in EPC URNs a
    path that merely resembles one is somebody's ordinary web address."""
    urn = _URN.fullmatch(text)
    if urn and urn["scheme"] in _URNS:
        form = _URNS[urn["scheme"]]
        digits = f", {form.digits} digits before the serial" if form.digits else ""
        wanted = f"a company prefix of 6 to 12 digits, {form.dots + 1} fields{digits}"
        raise IdentifierError(f"got {_short(text)}, want {wanted} (EPC Tag Data Standard 2.0, section 6)")
    link = _LINK.fullmatch(text)
    if link and link["host"].lower() == "id.gs1.org" and link["path"] != "/":
        raise IdentifierError(f"got {_short(text)}, want {_wanted(link['path'].split('/')[1:])}")


def _wanted(segments: list[str]) -> str:
    ai = _WORDS.get(segments[0], segments[0])
    if ai not in _KEYS:
        return f"a GS1 primary key after the host, one of {', '.join(sorted(_KEYS))}"
    if len(segments) < 2 or not _KEYS[ai].value.fullmatch(unquote(segments[1])):
        return f"/{ai}/ followed by {_KEYS[ai].wanted}"
    allowed = [f"/{q}/ with {_QUALIFIERS[q][1]}" for q in _KEYS[ai].qualifiers]
    return f"after the key: {', then '.join(allowed) or 'nothing'}"


def _position(text: str) -> Identifier:
    found = _GEO.fullmatch(text)
    if not found or abs(float(found["lat"])) > 90 or abs(float(found["lon"])) > 180:
        raise IdentifierError(
            f"got {_short(text)}, want geo:latitude,longitude in degrees (WGS-84, RFC 5870)"
        )
    return Identifier("geo", text, MappingProxyType({"lat": found["lat"], "lon": found["lon"]}))


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:117] + "...")


# --- building -----------------------------------------------------------------------------------------------


def lot_uri(gtin14: str, lot: str) -> str:
    """The lot `lot` (AI 10) of a trade item. Raises IdentifierError."""
    return _build({"01": gtin14, "10": lot})


def box_uri(gtin14: str, lot: str, serial: str) -> str:
    """One box as its label names it, with lot and serial. Raises IdentifierError."""
    return _build({"01": gtin14, "10": lot, "21": serial})


def sgtin_uri(gtin14: str, serial: str) -> str:
    """One box as EPCIS names it. Raises IdentifierError."""
    return _build({"01": gtin14, "21": serial})


def sscc_uri(sscc18: str) -> str:
    """A load unit. Raises IdentifierError."""
    return _build({"00": sscc18})


def from_elements(elements: Mapping[str, str]) -> Identifier:
    """The thing that a set of GS1 elements names, application identifier -> value, in any order; what is neither
    key nor qualifier (dates, weights) is left aside. Raises IdentifierError."""
    ai = next((each for each in KEYS_IN_ORDER if each in elements), None)
    if ai is None:
        wanted = f"one of {', '.join(f'({each})' for each in KEYS_IN_ORDER)}"
        raise IdentifierError(
            f"got ({') ('.join(elements) or 'nothing'}), want a key that names a thing: {wanted}"
        )
    key, value = _KEYS[ai], elements[ai]
    if not key.value.fullmatch(value):
        raise IdentifierError(f"({ai}): got {_short(value)}, want {key.wanted}")
    parts = {ai: value.zfill(14) if ai == "01" else value}
    for qualifier in key.qualifiers:
        if qualifier in elements:
            pattern, wanted = _QUALIFIERS[qualifier]
            if not pattern.fullmatch(elements[qualifier]):
                raise IdentifierError(f"({qualifier}): got {_short(elements[qualifier])}, want {wanted}")
            if qualifier != "22":
                parts[qualifier] = elements[qualifier]
    uri = _link(parts)
    _check(parts, uri)
    return Identifier(_scheme(parts), uri, MappingProxyType(parts))


KEYS_IN_ORDER = (
    *("00", "01", "8006", "8003", "8004", "253", "255", "414", "417", "401", "402", "8010", "8017", "8018"),
)
"""The first that is there names the thing where a label has several."""


def out_of_order(segments: list[str]) -> dict[str, str] | None:
    """The elements of a path that would be a Digital Link with its pairs in another order; None where it is
    none at all."""
    for start in range(max(0, len(segments) - 2 * _MOST_PAIRS), len(segments) - 1):
        names = [_WORDS.get(word, word) for word in segments[start::2]]
        known = set(names) <= _KEYS.keys() | _QUALIFIERS.keys() and set(names) & _KEYS.keys()
        if known and (len(segments) - start) % 2 == 0 and len(set(names)) == len(names):
            return dict(zip(names, map(unquote, segments[start + 1 :: 2]), strict=True))
    return None


_MOST_PAIRS = 5  # a key with all that may qualify it


def _build(parts: _Parts) -> str:
    (ai, value), *rest = parts.items()
    digits = _KEYS[ai].checked
    if not re.fullmatch(rf"[0-9]{{{digits}}}", value):
        raise IdentifierError(f"{_KEYS[ai].scheme.upper()}: got {_short(value)}, want {digits} digits")
    for qualifier, held in rest:
        pattern, wanted = _QUALIFIERS[qualifier]
        if not pattern.fullmatch(held):
            raise IdentifierError(f"AI {qualifier}: got {_short(held)}, want {wanted}")
    uri = _link(parts)
    _check(parts, uri)
    return uri
