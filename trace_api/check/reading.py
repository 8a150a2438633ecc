"""What was scanned or typed at the gate: a code we can look up, or what is wrong with it.

First of the line: a hand scanner, a camera or tired fingers -> here -> finding.py. Contract: pure; any text gives a
`Code` or a `Trouble`, never an exception. A code is read from whatever carries it: a Digital Link of any host, element
strings with brackets or as a scanner sends them, bare digits, a URN, a plate. What is none of these may be somebody
else's code, which `identifier_alias` knows; that is for finding.py to ask, also of what is `Trouble` here: a label that
was misprinted can have been bound.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import quote, unquote

from ledger.epcis.identifiers import RESOLVER, Identifier, IdentifierError, check_digit, parse

Kind = Literal["lot", "box", "unit", "vehicle", "place", "document", "uri", "plate", "foreign"]
TroubleCode = Literal[
    "empty",
    "too_long",
    "check_digit",
    "torn",
    "digits",
    "product_only",
    "lot_only",
    "plate_torn",
    "not_well_made",
]

LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Code:
    """`value`: the text without what scanners and thumbs add, by which a foreign code is known. `uri`: the canonical
    identifier; None for a plate or a foreign code, which name nothing by themselves."""

    kind: Kind
    value: str
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """No code. `value`: the whole text, as for a `Code`; `facts` fill the sentence of `code`."""

    code: TroubleCode
    value: str
    facts: Mapping[str, object] = field(default_factory=dict)


def read(text: str) -> Code | Trouble:
    value = clean(text)
    if not value:
        return Trouble("empty", "")
    if len(value) > LONGEST:
        return Trouble("too_long", value[:LONGEST], {"most": LONGEST})
    for reader in (_address, _urn, _bracketed, _digits, _scanned, _plate, _paper):
        found = reader(value)
        if found is not None:
            return replace(found, value=_shown(value)) if isinstance(found, Trouble) else found
    return Code("foreign", _shown(value))


# --- cleaning ------------------------------------------------------------------------------------------------------

GROUP: Final = "\x1d"  # FNC1 as a scanner passes it on
_SYMBOLOGY = re.compile(r"^\](?:C1|e0|d2|Q3|J1|C0|E0|d1|Q1)")
_NAMED_GROUP = re.compile(r"\{GS\}|<GS>|\\x1d|\\u001d|\^\]", re.IGNORECASE)


def clean(text: str) -> str:
    """Full-width forms become plain ones (（０１） is what a Chinese keyboard types), invisible characters go."""
    plain = unicodedata.normalize("NFKC", text[: 4 * LONGEST])
    plain = _SYMBOLOGY.sub("", _NAMED_GROUP.sub(GROUP, plain.strip()))
    kept = (
        char
        for char in plain
        if char == GROUP or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return "".join(kept).strip().strip(GROUP)


def _shown(value: str) -> str:
    return re.sub(r"\s+", " ", value.replace(GROUP, " ")).strip()


# --- addresses and URNs ---------------------------------------------------------------------------------------------

_ADDRESS = re.compile(
    r"(?P<scheme>https?://)?(?P<host>[A-Za-z0-9.\-]+(?::[0-9]+)?)(?P<path>/\S*)", re.IGNORECASE
)
_KEY_IN_PATH = re.compile(
    r"/(?P<ai>00|01|253|414|417|8003)/(?P<value>[0-9]+)(?P<rest>[^0-9?#][^?#]*)?(?=$|[?#])"
)
_KEY_ALONE = re.compile(r"/(?P<ai>00|01)/(?P<value>[0-9]{6,})/?(?:$|[?#])")


def _address(value: str) -> Code | Trouble | None:
    """A web address. One of ours or of GS1 names goods; anybody else's is a code of theirs, unless a Digital Link."""
    found = _ADDRESS.fullmatch(value)
    if found is None or not (found["scheme"] or re.match(r"/(00|01|253|414|417|8003|8004)/", found["path"])):
        return None
    address = quote(
        f"{found['scheme'] or 'https://'}{found['host']}{found['path']}", safe=":/?#[]@!$&'()*+,;=%~"
    )
    torn = _torn_path(found["path"])
    try:
        named = parse(address)
    except IdentifierError:
        return torn or Trouble("not_well_made", _shown(value))
    if named.scheme == "uri":
        return torn or Code(_kind_of_uri(named.uri), _shown(value), named.uri)
    return _named(named, _shown(value))


def _torn_path(path: str) -> Trouble | None:
    """A path that claims a GS1 key and has not all of it, or a wrong last digit."""
    found = _KEY_IN_PATH.search(path) or _KEY_ALONE.search(path)
    if found is None or (len(found["value"]) < 6 and "/10/" not in path):
        return None  # a date in somebody's address
    return _key_trouble(found["ai"], found["value"])


def _urn(value: str) -> Code | Trouble | None:
    if value[:4].lower() != "urn:":
        return None
    try:
        return _named(parse(value), value)
    except IdentifierError:
        return Trouble("not_well_made", _shown(value))


# --- element strings --------------------------------------------------------------------------------------------------

# How many characters follow an application identifier; None: as many as come, up to a group separator.
_FIXED: Final[Mapping[str, int]] = {
    "00": 18, "01": 14, "02": 14, "11": 6, "12": 6, "13": 6, "15": 6, "16": 6, "17": 6, "20": 2,
    "402": 17, "410": 13, "411": 13, "412": 13, "413": 13, "414": 13, "415": 13, "416": 13, "417": 13, "7003": 10,
    "8005": 6, "8006": 18, "8017": 18, "8018": 18,
}  # fmt: skip
_VARIABLE: Final = frozenset(
    {"10", "21", "22", "30", "37", "240", "241", "250", "251", "253", "254", "255", "400", "401", "403", "420", "421",
     "422", "423", "235", "710", "8003", "8004", "8008", "8010", "8011", "8020", "90", "91", "92", "93", "94", "95", "96",
     "97", "98", "99"}
)  # fmt: skip
# A key, and what may qualify it in a Digital Link; the first that is there names the thing.
_NAMES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("00", ()),
    ("01", ("10", "21")),
    ("8004", ()),
    ("8003", ()),
    ("253", ()),
    ("414", ("254",)),
    ("417", ()),
)
_LENGTHS: Final[Mapping[str, int]] = {"00": 18, "01": 14, "253": 13, "414": 13, "417": 13, "8003": 14}
_BRACKETS = re.compile(r"\(\s*([0-9]{2,4})\s*\)\s*([^()]*)")

Elements = dict[str, str]


def _bracketed(value: str) -> Code | Trouble | None:
    """`(01)09521234000204(10)DK260618A`, as it is printed under a bar code."""
    if not re.match(r"\(\s*[0-9]{2,4}\s*\)", value):
        return None
    elements = {ai: _squeezed(held) for ai, held in _BRACKETS.findall(value)}
    if "(" in _BRACKETS.sub("", value):
        return Trouble("not_well_made", _shown(value))
    return _from_elements(elements, _shown(value))


def _squeezed(held: str) -> str:
    return re.sub(r"[\s\x1d]+", "", held)


def _scanned(value: str) -> Code | Trouble | None:
    """`0109521234000204` + `10DK260618A`, as a scanner sends what a GS1 bar code holds."""
    if not re.match(r"(00|01|02|10|21|253|414|8003|8004)[0-9A-Za-z]", value):
        return None
    if GROUP not in value and not re.match(r"01[0-9]{14}(?:10|11|13|15|17|21|31)", value):
        return None
    elements = _elements(value)
    if elements is None:
        return None if GROUP not in value else Trouble("not_well_made", _shown(value))
    return _from_elements(elements, _shown(value))


def _elements(value: str) -> Elements | None:
    found: Elements = {}
    rest = value.replace(" ", "")
    while rest:
        rest = rest.lstrip(GROUP)
        ai, length = _identifier_at(rest)
        if ai is None:
            return None
        rest = rest[len(ai) :]
        if length is None:
            held, _, rest = rest.partition(GROUP)
        else:
            held, rest = rest[:length], rest[length:]
        found[ai] = held
    return found


def _identifier_at(text: str) -> tuple[str | None, int | None]:
    """The application identifier that opens `text`, and how much follows it."""
    if re.match(r"3[1-6][0-9]{2}", text):
        return text[:4], 6
    for size in (4, 3, 2):
        ai = text[:size]
        if ai in _FIXED:
            return ai, _FIXED[ai]
        if ai in _VARIABLE:
            return ai, None
    return None, None


def _from_elements(elements: Elements, shown: str) -> Code | Trouble:
    for ai, qualifiers in _NAMES:
        if ai not in elements:
            continue
        trouble = _key_trouble(ai, elements[ai])
        if trouble is not None:
            return trouble
        parts = [(ai, elements[ai])] + [(each, elements[each]) for each in qualifiers if elements.get(each)]
        try:
            return _named(
                parse(RESOLVER + "".join(f"/{name}/{quote(held, safe='')}" for name, held in parts)), shown
            )
        except IdentifierError:
            return Trouble("not_well_made", shown)
    return Trouble("lot_only" if {"10", "21"} & elements.keys() else "not_well_made", shown)


def _key_trouble(ai: str, held: str) -> Trouble | None:
    """A key that has not its digits, or whose last digit is not the one that the others give."""
    want = _LENGTHS.get(ai)
    if want is None:
        return None
    digits = held[:want]
    if not re.fullmatch(r"[0-9]+", digits) or len(digits) < want:
        if (
            ai == "01"
            and len(digits) in (8, 12, 13)
            and digits.isdigit()
            and check_digit(digits[:-1]) == digits[-1]
        ):
            return None
        have = len(re.match(r"[0-9]*", digits)[0])  # type: ignore[index]
        return Trouble("torn", held, {"have": have, "want": want})
    if len(held) > want and ai not in ("253", "8003"):
        return Trouble("digits", held, {"have": len(held), "want": want})
    expected = check_digit(digits[:-1])
    if expected != digits[-1]:
        return Trouble("check_digit", held, {"got": digits[-1], "expected": expected, "digits": digits})
    return None


# --- digits ------------------------------------------------------------------------------------------------------------


def _digits(value: str) -> Code | Trouble | None:
    """The digits under a bar code, typed: 18 are a load unit's (20 with their 00), 8 to 14 a product's."""
    digits = re.sub(r"[\s\-]", "", value)
    if not re.fullmatch(r"[0-9]+", digits):
        return None
    sent_with_identifier = len(digits) == 20 and digits.startswith("00")
    if len(digits) == 16 and digits.startswith("01"):
        sent_with_identifier = check_digit(digits[2:-1]) == digits[-1]
    if sent_with_identifier:
        digits = digits[2:]
    elif GROUP in value or re.match(r"01[0-9]{14}(?:10|11|13|15|17|21|31)", digits):
        return None
    if len(digits) == 18:
        return _key_trouble("00", digits) or _named(parse(f"{RESOLVER}/00/{digits}"), value)
    if len(digits) in (8, 12, 13, 14):
        whole = digits.zfill(14)
        expected = check_digit(whole[:-1])
        if expected != whole[-1]:
            return Trouble("check_digit", digits, {"got": whole[-1], "expected": expected, "digits": digits})
        return Trouble("product_only", digits)
    return Trouble("torn" if len(digits) < 18 else "digits", digits, {"have": len(digits), "want": 18})


# --- plates --------------------------------------------------------------------------------------------------------------

_PROVINCES: Final = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_PLATE = re.compile(rf"[{_PROVINCES}][A-Z](?:[A-HJ-NP-Z0-9]{{5,6}}|[A-HJ-NP-Z0-9]{{4}}[挂学警港澳])")
_PLATE_BEGUN = re.compile(rf"[{_PROVINCES}][A-Z](?P<rest>[A-Z0-9]{{1,3}}[挂]?|[A-Z0-9]{{4}})")


def _plate(value: str) -> Code | Trouble | None:
    """浙A12345, 浙AD12345, 浙J1234挂: five characters after the letter, six for a new-energy vehicle."""
    plate = re.sub(r"[\s·・•‧.\-_]", "", value).upper()
    if _PLATE.fullmatch(plate):
        return Code("plate", plate)
    begun = _PLATE_BEGUN.fullmatch(plate)
    return Trouble("plate_torn", plate, {"have": len(begun["rest"])}) if begun else None


# --- papers ------------------------------------------------------------------------------------------------------------


def _paper(value: str) -> Code | None:
    """The number printed on a document: a GDTI without its (253). Others' numbers are for finding.py to look up."""
    number = re.sub(r"\s", "", value)
    if (
        not re.fullmatch(r"[0-9]{13}[A-Za-z][A-Za-z0-9\-/.]{0,16}", number)
        or check_digit(number[:12]) != number[12]
    ):
        return None
    return Code("document", value, f"{RESOLVER}/253/{quote(number, safe='')}")


# --- kinds ------------------------------------------------------------------------------------------------------------------

_KINDS: Final[Mapping[str, Kind]] = {
    "lgtin": "lot", "sgtin": "box", "upui": "box", "sscc": "unit", "grai": "unit", "giai": "vehicle", "gln": "place",
    "gdti": "document",
}  # fmt: skip
_WORDS_IN_PATH: Final[tuple[tuple[str, Kind], ...]] = (
    ("/obj/", "unit"),
    ("/class/", "lot"),
    ("/loc/", "place"),
    ("/bt/", "document"),
    ("/doc/", "document"),
)


def _named(named: Identifier, shown: str) -> Code | Trouble:
    if named.scheme == "gtin":
        return Trouble("product_only", named.parts["01"])
    kind = _KINDS.get(named.scheme) or _kind_of_uri(named.uri)
    return Code(kind, shown, named.uri)


def kind_of(uri: str) -> Kind:
    """What a canonical identifier names, as far as the identifier tells."""
    try:
        named = parse(uri)
    except IdentifierError:
        return "uri"
    return _KINDS.get(named.scheme) or _kind_of_uri(named.uri)


def _kind_of_uri(uri: str) -> Kind:
    return next((kind for word, kind in _WORDS_IN_PATH if word in uri), "uri")


def short(uri: str) -> str:
    """What stands on the label: the lot number, the serial, the last of a path."""
    return unquote(uri.rstrip("/").rpartition("/")[2]) or uri
