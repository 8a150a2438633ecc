"""What is scanned, typed or pasted becomes a name, from whatever carries it; and what names nothing says why."""

from __future__ import annotations

import string
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.epcis.codes import read_code
from ledger.epcis.identifiers import (
    IdentifierError,
    box_uri,
    canonical,
    check_digit,
    lot_uri,
    parse,
    sgtin_uri,
    sscc_uri,
)

GTIN = "09520000000004"
LOT = f"https://id.gs1.org/01/{GTIN}/10/A1"
SSCC = "095212340000000105"
UNIT = f"https://id.gs1.org/00/{SSCC}"
GLN = "9521234002048"
AI82 = string.digits + string.ascii_letters + "!\"%&'()*+,-./:;<=>?_"

digits13 = st.text(string.digits, min_size=13, max_size=13)
values = st.text(AI82, min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("text", "scheme", "uri"),
    [
        (f"01/{GTIN}/10/A1", "lgtin", LOT),
        (f"/01/{GTIN}/10/A1", "lgtin", LOT),
        (f"gtin/{GTIN}/lot/A1", "lgtin", LOT),
        (f"shop.example/01/{GTIN}/10/A1?17=261231", "lgtin", LOT),
        (f"https://shop.example/x/01/{GTIN}/10/A1?17=261231#top", "lgtin", LOT),
        (f"https://id.gs1.org/01/{GTIN}/21/7/10/A1", "sgtin", f"{LOT}/21/7"),
        (f"10/A1/01/{GTIN}", "lgtin", LOT),
        (f"(01){GTIN}(10)A1", "lgtin", LOT),
        (f"(10)A1(01){GTIN}", "lgtin", LOT),
        (f"(01){GTIN}(10)A(B)1", "lgtin", f"https://id.gs1.org/01/{GTIN}/10/A%28B%291"),
        (f"(414){GLN}(254)DOOR1", "gln", f"https://id.gs1.org/414/{GLN}/254/DOOR1"),
        ("(8003)09520000000004CRATE7", "grai", "https://id.gs1.org/8003/09520000000004CRATE7"),
        ("(401)95200000ABC", "ginc", "https://id.gs1.org/401/95200000ABC"),
        ("(402)95200000000000011", "gsin", "https://id.gs1.org/402/95200000000000011"),
        ("(253)9521234008002HGZ1", "gdti", "https://id.gs1.org/253/9521234008002HGZ1"),
        ("(417)9521234002000", "pgln", "https://id.gs1.org/417/9521234002000"),
        ("(8004)95212340TRAILER07", "giai", "https://id.gs1.org/8004/95212340TRAILER07"),
        (f"01{GTIN}1726123110A1", "lgtin", LOT),
        (f"]C101{GTIN}10A1\x1d17261231", "lgtin", LOT),
        (f"]Q301{GTIN}10A1<GS>217", "sgtin", f"{LOT}/21/7"),
        (f"00{SSCC}", "sscc", UNIT),
        (SSCC, "sscc", UNIT),
        ("0 9521234 000000010 5", "sscc", UNIT),
        (GTIN, "gtin", f"https://id.gs1.org/01/{GTIN}"),
        (GTIN[1:], "gtin", f"https://id.gs1.org/01/{GTIN}"),
        (f"01{GTIN}", "gtin", f"https://id.gs1.org/01/{GTIN}"),
        ("urn:epc:id:sscc:9521234.0000000010", "sscc", UNIT),
        ("URN:epc:id:sscc:9521234.0000000010", "sscc", UNIT),
        ("urn:epc:id:sgln:9521234.00204.DOOR1", "gln", f"https://id.gs1.org/414/{GLN}/254/DOOR1"),
        ("geo:29.3012,120.0721", "geo", "geo:29.3012,120.0721"),
        ("urn:gdst:example.org:product:lot:class:a.1", "uri", "urn:gdst:example.org:product:lot:class:a.1"),
        (
            "urn:uuid:00000000-0000-4000-8000-000000000001",
            "uri",
            "urn:uuid:00000000-0000-4000-8000-000000000001",
        ),
        ("https://suyuan.example/xj/class/a.b", "uri", "https://suyuan.example/xj/class/a.b"),
        ("https://suyuan.example/xj/obj/7f3a", "uri", "https://suyuan.example/xj/obj/7f3a"),
        ("https://suyuan.example/xj/loc/plot-1", "uri", "https://suyuan.example/xj/loc/plot-1"),
        ("https://suyuan.example/xj/bt/po-1", "uri", "https://suyuan.example/xj/bt/po-1"),
    ],
)
def test_a_code_is_read_from_whatever_carries_it(text: str, scheme: str, uri: str) -> None:
    found = read_code(text)
    assert (found.scheme, found.uri) == (scheme, uri)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("09520000000005", "want 4"),
        (f"(01){GTIN[:-1]}5(10)A1", "want 4"),
        ("095212340000000104", "want 5"),
        (f"(01){GTIN[:-3]}(10)A1", "12, 13 or 14"),
        (f"(01){GTIN}(10)杨梅", "no Chinese"),
        ("(10)A1", "a key that names a thing"),
        ("1234567890", "got 10 digits"),
        (f"01/{GTIN[:-1]}5/10/A1", "want 4"),
        ("99/123", "a GS1 primary key"),
        ("浙A12345", "a Digital Link"),
        ("DK260618A", "a Digital Link"),
        ("", "1 to"),
        ("x" * 5000, "1 to"),
    ],
)
def test_what_names_nothing_says_why(text: str, message: str) -> None:
    with pytest.raises(IdentifierError, match="got") as caught:
        read_code(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600


@given(digits13, values, values)
def test_every_way_to_write_a_box_is_one_name(thirteen: str, lot: str, serial: str) -> None:
    gtin = thirteen + check_digit(thirteen)
    box = box_uri(gtin, lot, serial)
    escaped = quote(lot, safe=""), quote(serial, safe="")
    assert read_code(box) == parse(box)
    assert read_code(f"01/{gtin}/10/{escaped[0]}/21/{escaped[1]}").uri == box
    assert read_code(f"https://a.example/01/{gtin}/21/{escaped[1]}/10/{escaped[0]}").uri == box
    assert read_code(f"01{gtin}10{lot}\x1d21{serial}").uri == box
    if "(" not in lot + serial:
        assert read_code(f"(01){gtin}(10){lot}(21){serial}").uri == box
    assert read_code(gtin).parts["01"] == gtin


@given(st.text(string.digits, min_size=17, max_size=17))
def test_every_way_to_write_a_load_unit_is_one_name(seventeen: str) -> None:
    sscc = seventeen + check_digit(seventeen)
    urn = f"urn:epc:id:sscc:{sscc[1:8]}.{sscc[0]}{sscc[8:17]}"
    ways = (sscc, f"00{sscc}", f"(00){sscc}", f"00/{sscc}", sscc_uri(sscc), urn)
    assert {read_code(way).uri for way in ways} == {sscc_uri(sscc)}


@given(digits13, st.integers(6, 12), values)
def test_urns_and_links_format_and_parse_inversely(thirteen: str, prefix: int, serial: str) -> None:
    gtin = thirteen + check_digit(thirteen)
    escaped = "".join(c if c.isalnum() else f"%{ord(c):02x}" for c in serial)
    inner = f"{thirteen[1 : prefix + 1]}.{thirteen[0]}{thirteen[prefix + 1 :]}.{escaped}"
    assert read_code(f"urn:epc:id:sgtin:{inner}").uri == sgtin_uri(gtin, serial)
    assert read_code(f"urn:epc:class:lgtin:{inner}").uri == lot_uri(gtin, serial)


@example("01/" + "1/" * 1000)
@example("https://a.b/" + "10/1/" * 400)
@given(
    st.text()
    | st.text("/()0123456789:.urnepcidgslthax%\x1d", max_size=80)
    | st.text("/0123456789", max_size=60).map(lambda tail: "https://a.b/01/09520000000004" + tail)
)
def test_any_text_is_one_name_or_an_identifier_error(text: str) -> None:
    with suppress(IdentifierError):
        found = read_code(text)
        assert canonical(found.uri) == found.uri
        assert read_code(found.uri).uri == found.uri
