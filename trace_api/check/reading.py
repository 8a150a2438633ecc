"""What was scanned or typed at the gate: a code we can look up, or what is wrong with it.

First of the line: a hand scanner, a camera or tired fingers -> here -> finding.py. Contract: pure; any text gives a
`Code` or a `Trouble`, never an exception. A code is read from whatever carries it: a Digital Link of any host, element
strings with brackets or as a scanner sends them, bare digits, a URN, a plate. What is none of these may be somebody
else's code, which `identifier_alias` knows; that is for finding.py to ask, also of what is `Trouble` here: a label that
was misprinted can have been bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import quote, unquote

from ledger.epcis.codes import GROUP, Elements, clean, printed_elements, scanned_elements
from ledger.epcis.identifiers import (
    KEYS_IN_ORDER,
    RESOLVER,
    Identifier,
    IdentifierError,
    check_digit,
    from_elements,
    parse,
)

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


def _shown(value: str) -> str:
    return re.sub(r"\s+", " ", value.replace(GROUP, " ")).strip()


# --- addresses and URNs ---------------------------------------------------------------------------------------------

_ADDRESS = re.compile(
    r"(?P<scheme>https?://)?(?P<host>[A-Za-z0-9.\-]+(?::[0-9]+)?)(?P<path>/\S*)", re.IGNORECASE
)
_PATH_ALONE = re.compile(r"/?(?:00|01|253|414|417|8003|8004)/[0-9A-Za-z]{6}\S*")
_KEY_IN_PATH = re.compile(
    r"/(?P<ai>00|01|253|414|417|8003)/(?P<value>[0-9]+)(?P<rest>[^0-9?#][^?#]*)?(?=$|[?#])"
)
_KEY_ALONE = re.compile(r"/(?P<ai>00|01)/(?P<value>[0-9]{6,})/?(?:$|[?#])")


def _address(value: str) -> Code | Trouble | None:
    """A web address. One of ours or of GS1 names goods; anybody else's is a code of theirs, unless a Digital Link. The path of one
    is one."""
    whole = f"{RESOLVER}/{value.removeprefix('/')}" if _PATH_ALONE.fullmatch(value) else value
    found = _ADDRESS.fullmatch(whole)
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

_LENGTHS: Final[Mapping[str, int]] = {"00": 18, "01": 14, "253": 13, "414": 13, "417": 13, "8003": 14}


# With something after the second identifier: 18 digits alone are a load unit's, which may begin with 01 as well.
_PRODUCT_AND_MORE: Final = r"01[0-9]{14}(?:10|11|13|15|17|21|31)[0-9A-Za-z]"


def _bracketed(value: str) -> Code | Trouble | None:
    """`(01)09521234000204(10)DK260618A`, as it is printed under a bar code."""
    elements = printed_elements(value)
    if elements is None:
        return None
    if any(held.count("(") != held.count(")") for held in elements.values()):
        return Trouble("not_well_made", _shown(value))
    return _from_elements(elements, _shown(value))


def _scanned(value: str) -> Code | Trouble | None:
    """`0109521234000204` + `10DK260618A`, as a scanner sends what a GS1 bar code holds."""
    if not re.match(r"(00|01|02|10|21|253|414|8003|8004)[0-9A-Za-z]", value):
        return None
    if GROUP not in value and not re.match(_PRODUCT_AND_MORE, value):
        return None
    elements = scanned_elements(value)
    if elements is None:
        return None if GROUP not in value else Trouble("not_well_made", _shown(value))
    return _from_elements(elements, _shown(value))


def _from_elements(elements: Elements, shown: str) -> Code | Trouble:
    named = next((ai for ai in KEYS_IN_ORDER if ai in elements), None)
    if named is None:
        return Trouble("lot_only" if {"10", "21"} & elements.keys() else "not_well_made", shown)
    trouble = _key_trouble(named, elements[named])
    if trouble is not None:
        return trouble
    try:
        return _named(from_elements({ai: held for ai, held in elements.items() if held}), shown)
    except IdentifierError:
        return Trouble("not_well_made", shown)


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
    elif GROUP in value or re.match(_PRODUCT_AND_MORE, digits):
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
