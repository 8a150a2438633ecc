"""What a person scans, types or pastes becomes a name: `read_code`.

Before `identifiers` in the line, which takes URIs alone: a code is read from whatever carries it, a Digital Link
of any host or without one, element strings in brackets or as a scanner sends them, bare digits, a URN, any other
URI. Contract: pure; any text gives an `Identifier` or raises `IdentifierError`, which says what to do. What is
somebody's own code (a plate, a number on an old label) is none of these and for `identifier_alias` to know.

Sources: GS1 General Specifications section 7.8 (element strings, FNC1, lengths), GS1 Digital Link URI Syntax 1.3.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from ledger.epcis.identifiers import (
    LONGEST,
    RESOLVER,
    Identifier,
    IdentifierError,
    check_digit,
    from_elements,
    out_of_order,
    parse,
)

Elements = dict[str, str]
"""Application identifier -> value, in the order read."""


def read_code(text: str) -> Identifier:
    """The thing that a code names. Raises IdentifierError on a wrong check digit, on what is torn, and on a text
    that names nothing by itself."""
    value = clean(text)
    if not value or len(value) > LONGEST:
        raise IdentifierError(f"got {len(value)} characters, want a code of 1 to {LONGEST}")
    for reader in (_link, _uri, _printed, _digits, _scanned):
        found = reader(value)
        if found is not None:
            return found
    raise IdentifierError(f"got {value[:80]!r}, want {_WANTED}")


_WANTED: Final = "a Digital Link, a URI, GS1 element strings such as (01)09520000000004(10)A1, or the digits of a GTIN or an SSCC"


# --- cleaning -----------------------------------------------------------------------------------------------

GROUP: Final = "\x1d"  # FNC1 as a scanner passes it on
_SYMBOLOGY = re.compile(r"^\](?:C1|e0|d2|Q3|J1|C0|E0|d1|Q1)")
_NAMED_GROUP = re.compile(r"\{GS\}|<GS>|\\x1d|\\u001d|\^\]", re.IGNORECASE)


def clean(text: str) -> str:
    """Full-width forms become plain ones (（０１） is what a Chinese keyboard types), invisible characters go."""
    plain = unicodedata.normalize("NFKC", text[: 2 * LONGEST])
    plain = _SYMBOLOGY.sub("", _NAMED_GROUP.sub(GROUP, plain.strip()))
    kept = (
        char
        for char in plain
        if char == GROUP or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return "".join(kept).strip().strip(GROUP)


# --- addresses and URIs -------------------------------------------------------------------------------------

_LINK = re.compile(r"(?i:https?)://[^/?#]+(?P<path>/[^?#]*)?(?:[?#].*)?")
_HOSTLESS = re.compile(r"(?:(?P<host>[A-Za-z0-9.\-]+\.[A-Za-z0-9\-]+(?::[0-9]+)?))?/?(?P<path>[a-z0-9]+/\S+)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


def _link(value: str) -> Identifier | None:
    """A web address, or the path of a Digital Link without its resolver or without its `https://`."""
    link = _LINK.fullmatch(value)
    if link is None:
        return _path(value)
    address = quote(value, safe=":/?#[]@!$&'()*+,;=%~")
    try:
        named = parse(address)
    except IdentifierError:
        return _ordered(link["path"]) or parse(address)  # which raises once more
    return (_ordered(link["path"]) or named) if named.scheme == "uri" else named


def _path(value: str) -> Identifier | None:
    found = _HOSTLESS.fullmatch(value)
    if found is None or _SCHEME.match(value.partition("/")[0]):
        return None
    path = found["path"].partition("?")[0].partition("#")[0]
    if not re.match(r"[0-9]{2,4}/", path) and out_of_order(path.split("/")) is None:
        return None
    return _ordered(f"/{path}") or parse(RESOLVER + "/" + quote(path, safe="/%!$&'()*+,;=:@~"))


def _ordered(path: str | None) -> Identifier | None:
    """A Digital Link whose qualifiers stand in another order than the syntax has them."""
    elements = out_of_order((path or "").strip("/").split("/"))
    return None if elements is None else from_elements(elements)


def _uri(value: str) -> Identifier | None:
    if not _SCHEME.match(value):
        return None
    head, colon, rest = value.partition(":")
    lower = head.lower() if head.lower() in ("urn", "geo") else head
    return parse(quote(lower + colon + rest, safe=":/?#[]@!$&'()*+,;=%~"))


# --- element strings ----------------------------------------------------------------------------------------

# How many characters follow an application identifier; of the others as many as come, up to a group separator.
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
_BRACKET = re.compile(r"\(\s*([0-9]{2,4})\s*\)")
# Keys with a check digit open a scanned string by themselves; of the others only a separator tells.
_OPENS = re.compile(r"(?:00[0-9]{18}|01[0-9]{14}|253[0-9]{13}|255[0-9]{13}|402[0-9]{17}|41[47][0-9]{13}|80030[0-9]{13}"
                    r"|8006[0-9]{18}|801[78][0-9]{18}).*", re.DOTALL)  # fmt: skip


def printed_elements(value: str) -> Elements | None:
    """`(01)09521234000204(10)DK260618A`, as it is printed under a bar code; None where it is none. Brackets that
    hold no two to four digits belong to a value, whose characters they are."""
    before, *pieces = _BRACKET.split(value)
    if before or not pieces:
        return None
    return dict(zip(pieces[::2], map(_squeezed, pieces[1::2]), strict=True))


def _squeezed(held: str) -> str:
    return re.sub(r"[\s\x1d]+", "", held)


def scanned_elements(value: str) -> Elements | None:
    """`010952123400020410DK260618A`, as a scanner sends what a GS1 bar code holds; None where it is none."""
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


def _printed(value: str) -> Identifier | None:
    elements = printed_elements(value)
    return None if elements is None else from_elements(elements)


def _scanned(value: str) -> Identifier | None:
    if GROUP not in value and not _OPENS.fullmatch(value.replace(" ", "")):
        return None
    elements = scanned_elements(value)
    return None if elements is None else from_elements(elements)


# --- digits -------------------------------------------------------------------------------------------------

_TORN: Final = "8, 12, 13 or 14 digits of a GTIN, or 18 of an SSCC; read the printed number again"


def _digits(value: str) -> Identifier | None:
    """The digits under a bar code: 18 are an SSCC, 8 to 14 a GTIN. Sixteen and twenty may be either with its
    application identifier, and longer ones element strings."""
    digits = re.sub(r"[\s\-]", "", value)
    if not re.fullmatch(r"[0-9]+", digits):
        return None
    if len(digits) == 18:
        return from_elements({"00": digits})
    if len(digits) in (8, 12, 13, 14):
        return from_elements({"01": digits})
    if len(digits) == 16 and digits.startswith("01") and check_digit(digits[2:-1]) == digits[-1]:
        return from_elements({"01": digits[2:]})
    if _OPENS.fullmatch(digits):
        return None
    raise IdentifierError(f"got {len(digits)} digits, want {_TORN}")
