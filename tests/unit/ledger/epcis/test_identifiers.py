"""Names of things: the published table of spellings, and the promises that hold for every spelling."""

from __future__ import annotations

import json
import string
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.identifiers import (
    LONGEST,
    IdentifierError,
    box_uri,
    canonical,
    check_digit,
    constrained,
    from_elements,
    lot_uri,
    parse,
    sgtin_uri,
    sscc_uri,
)
from tests.vectors import count_vectors, vector_path

GTIN = "09521234000204"
SSCC = "095212340000000105"
AI82 = string.digits + string.ascii_letters + "!\"%&'()*+,-./:;<=>?_"

digits13 = st.text(string.digits, min_size=13, max_size=13)
lots = st.text(AI82, min_size=1, max_size=20)


def spellings() -> list[dict[str, Any]]:
    table = json.loads(vector_path("epcis/oracles/dl_normaliser_vectors.json").read_text())
    return list(table["vectors"])


def gtin_of(thirteen: str) -> str:
    return thirteen + check_digit(thirteen)


def test_the_published_spellings_become_one() -> None:
    """The table drops the lot beside a serial, as the event hash wants; our index keeps it, and that is the
    only difference."""
    for case in spellings():
        text, expected = str(case["input"]), case["expected"]
        assert constrained(text) == expected, text
        if constrained(text) == canonical(text) or expected is None:
            assert canonical(text) == (expected or text)
        else:
            assert {"10", "21"} <= set(canonical(text).split("/")), text
        count_vectors()
    assert len(spellings()) == 71


@pytest.mark.parametrize(
    ("text", "scheme", "parts"),
    [
        (f"https://id.gs1.org/01/{GTIN}", "gtin", {"01": GTIN}),
        ("https://id.gs1.org/01/9521234000204", "gtin", {"01": GTIN}),
        (f"https://suyuan.example/shop/01/{GTIN}/10/DK1?17=260623", "lgtin", {"01": GTIN, "10": "DK1"}),
        (f"https://id.gs1.org/01/{GTIN}/10/DK1/21/0007", "sgtin", {"01": GTIN, "10": "DK1", "21": "0007"}),
        ("urn:epc:id:sgtin:9521234.000020.a.b", "sgtin", {"01": GTIN, "21": "a.b"}),
        (f"https://id.gs1.org/00/{SSCC}", "sscc", {"00": SSCC}),
        ("https://id.gs1.org/414/9521234002048/254/DOOR1", "gln", {"414": "9521234002048", "254": "DOOR1"}),
        ("https://id.gs1.org/417/9521234002000", "pgln", {"417": "9521234002000"}),
        ("https://id.gs1.org/8004/95212340TRAILER07.REAR", "giai", {"8004": "95212340TRAILER07.REAR"}),
        ("https://id.gs1.org/253/9521234008002HGZ260618A", "gdti", {"253": "9521234008002HGZ260618A"}),
        ("geo:29.3012,120.0721", "geo", {"lat": "29.3012", "lon": "120.0721"}),
        ("https://suyuan.example/xj-coop/party/G-0137", "uri", {}),
        ("urn:uuid:00000000-0000-4000-8000-000000000001", "uri", {}),
        ("urn:epcglobal:cbv:bt:0614141073467:1152", "uri", {}),
    ],
)
def test_a_name_is_taken_apart(text: str, scheme: str, parts: dict[str, str]) -> None:
    read = parse(text)
    assert (read.scheme, dict(read.parts), read.uri) == (scheme, parts, canonical(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://id.gs1.org/01/09521234000205", "got 5, want 4"),
        ("https://suyuan.example/01/09521234000205", "got 5, want 4"),
        ("https://id.gs1.org/00/095212340000000104", "got 4, want 5"),
        ("https://id.gs1.org/414/9521234002047", "got 7, want 8"),
        ("https://id.gs1.org/01/0952123400020", "got 0"),
        ("https://id.gs1.org/01/095212340002", "got 2"),
        ("https://id.gs1.org/00/123", "18 digits"),
        ("https://id.gs1.org/99/123", "a GS1 primary key"),
        (f"https://id.gs1.org/01/{GTIN}/21/1/10/A", "after the key"),
        (f"https://id.gs1.org/01/{GTIN}/10/%E6%9D%A8%E6%A2%85", "no Chinese"),
        (f"https://id.gs1.org/01/{GTIN}/10/ABCDEFGHIJKLMNOPQRSTU", "1 to 20 characters"),
        ("urn:epc:id:sgtin:9521234.00002.1", "13 digits"),
        ("urn:epc:id:sscc:9521234", "2 fields"),
        ("geo:95.0,120.0", "geo:latitude,longitude"),
        ("杨梅", "a URI"),
        ("https://example.com/a b", "a URI"),
        ("https://example.com/" + "a" * LONGEST, "a URI"),
        ("", "a URI"),
    ],
)
def test_a_name_that_is_not_well_made_says_why(text: str, message: str) -> None:
    with pytest.raises(IdentifierError, match="got") as caught:
        parse(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


def test_the_lot_of_a_name() -> None:
    lot = lot_uri(GTIN, "DK260618A")
    assert parse(box_uri(GTIN, "DK260618A", "0007")).lot == lot
    assert parse(lot).lot == lot
    assert parse(sgtin_uri(GTIN, "0007")).lot is None
    assert parse("https://suyuan.example/xj-coop/class/a.b").lot is None


@pytest.mark.parametrize(
    ("build", "arguments"),
    [
        (lot_uri, (GTIN, "")),
        (lot_uri, (GTIN, "杨梅")),
        (lot_uri, (GTIN, "A" * 21)),
        (lot_uri, (GTIN[1:], "A")),
        (lot_uri, ("09521234000203", "A")),
        (sgtin_uri, (GTIN, "a b")),
        (sscc_uri, ("095212340000000104",)),
        (sscc_uri, ("0952123400000001\u0661\u0662",)),
        (check_digit, ("12x",)),
        (check_digit, ("",)),
    ],
)
def test_nothing_ill_made_is_built(build: Any, arguments: tuple[str, ...]) -> None:
    with pytest.raises(IdentifierError):
        build(*arguments)


@given(digits13, lots, lots)
def test_what_is_built_reads_back(thirteen: str, lot: str, serial: str) -> None:
    gtin = gtin_of(thirteen)
    read = parse(box_uri(gtin, lot, serial))
    assert dict(read.parts) == {"01": gtin, "10": lot, "21": serial}
    assert read.lot == lot_uri(gtin, lot)
    assert constrained(read.uri) == constrained(sgtin_uri(gtin, serial))


@given(digits13, st.integers(0, 13), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(thirteen: str, place: int, by: int) -> None:
    gtin = gtin_of(thirteen)
    wrong = gtin[:place] + str((int(gtin[place]) + by) % 10) + gtin[place + 1 :]
    with pytest.raises(IdentifierError, match="wrong check digit"):
        parse(f"https://id.gs1.org/01/{wrong}")


@given(digits13, st.integers(6, 12), lots)
def test_urn_and_digital_link_are_one_name(thirteen: str, prefix: int, serial: str) -> None:
    """Wherever the company prefix ends; GTIN's first digit stands at the head of the item reference."""
    escaped = "".join(c if c.isalnum() else f"%{ord(c):02x}" for c in serial)
    urn = f"urn:epc:id:sgtin:{thirteen[1 : prefix + 1]}.{thirteen[0]}{thirteen[prefix + 1 :]}.{escaped}"
    assert canonical(urn) == sgtin_uri(gtin_of(thirteen), serial)


def checked(digits: int) -> st.SearchStrategy[str]:
    """`digits` digits, the last of which is the check digit."""
    return st.text(string.digits, min_size=digits - 1, max_size=digits - 1).map(
        lambda front: front + check_digit(front)
    )


def text(most: int, alphabet: str = AI82, least: int = 1) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most)


NUMERIC, FILE = string.digits, "#-/" + string.digits + string.ascii_uppercase
KEYS = {
    "sscc": st.tuples(st.just("00"), checked(18)),
    "gdti": st.tuples(st.just("253"), st.builds(str.__add__, checked(13), text(17, least=0))),
    "gcn": st.tuples(st.just("255"), st.builds(str.__add__, checked(13), text(12, NUMERIC, 0))),
    "ginc": st.tuples(st.just("401"), text(30)),
    "gsin": st.tuples(st.just("402"), checked(17)),
    "gln": st.tuples(st.just("414"), checked(13)),
    "pgln": st.tuples(st.just("417"), checked(13)),
    "grai": st.tuples(st.just("8003"), st.builds("0{}{}".format, checked(13), text(16, least=0))),
    "giai": st.tuples(st.just("8004"), text(30)),
    "itip": st.tuples(st.just("8006"), st.builds(str.__add__, checked(14), text(4, NUMERIC, 4))),
    "cpi": st.tuples(st.just("8010"), text(30, FILE)),
    "gsrnp": st.tuples(st.just("8017"), checked(18)),
    "gsrn": st.tuples(st.just("8018"), checked(18)),
}


@given(st.sampled_from(sorted(KEYS)).flatmap(lambda scheme: st.tuples(st.just(scheme), KEYS[scheme])))
def test_every_key_parses_and_formats_inversely(key: tuple[str, tuple[str, str]]) -> None:
    scheme, (ai, value) = key
    read = from_elements({ai: value})
    assert (read.scheme, dict(read.parts)) == (scheme, {ai: value})
    assert parse(read.uri) == read
    assert canonical(read.uri) == read.uri
    assert unquote(read.uri) == f"https://id.gs1.org/{ai}/{value}"


@given(checked(13), text(20))
def test_a_place_in_a_place_parses_and_formats_inversely(gln: str, extension: str) -> None:
    read = from_elements({"254": extension, "414": gln})
    assert dict(read.parts) == {"414": gln, "254": extension}
    assert parse(read.uri) == read


# What a URN calls it, its fields without the check digit, and the key.
@given(checked(13), st.integers(6, 12), text(16, string.digits + string.ascii_letters))
def test_urns_of_keys_and_their_links_are_one_name(thirteen: str, cut: int, serial: str) -> None:
    body = f"{thirteen[:cut]}.{thirteen[cut:12]}"
    for urn, link in (
        (f"urn:epc:id:sgln:{body}.{serial}", f"414/{thirteen}" + (f"/254/{serial}" if serial != "0" else "")),
        (f"urn:epc:id:sgln:{body}.0", f"414/{thirteen}"),
        (f"urn:epc:id:pgln:{body}", f"417/{thirteen}"),
        (f"urn:epc:id:grai:{body}.{serial}", f"8003/0{thirteen}{serial}"),
        (f"urn:epc:id:gdti:{body}.{serial}", f"253/{thirteen}{serial}"),
        (f"urn:epc:id:giai:{thirteen[:cut]}.{serial}", f"8004/{thirteen[:cut]}{serial}"),
        (f"urn:epc:id:ginc:{thirteen[:cut]}.{serial}", f"401/{thirteen[:cut]}{serial}"),
    ):
        assert canonical(urn) == f"https://id.gs1.org/{link}"
        assert parse(urn) == parse(f"https://other.example/path/{link}?17=261231")


@given(
    st.text() | st.text("/0123456789:.urnepcidgslthax%", max_size=80).map(lambda tail: "https://a.b/" + tail)
)
def test_any_text_has_a_canonical_form_and_only_one(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once
    with suppress(IdentifierError):
        assert parse(text).uri == once
