"""What a scanner, a camera or a thumb gives: read as a code, or answered with a sentence. Never a crash."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.epcis.identifiers import canonical, check_digit, parse
from trace_api.check.reading import LONGEST, Code, Trouble, kind_of, read, short
from trace_api.words import LANGUAGES, Words

GTIN = "09521234000204"
SSCC = "095212340000000105"
LOT = f"https://id.gs1.org/01/{GTIN}/10/DK260618A"
BOX = f"{LOT}/21/2606180017"
UNIT = f"https://id.gs1.org/00/{SSCC}"

CODES = [
    # Digital Links: of any host, as a phone shows them, in capitals as a QR code saves room with
    (LOT, "lot", LOT),
    (f"{BOX}?lang=zh", "box", BOX),
    (f"http://127.0.0.1:8000/01/{GTIN}/10/DK260618A/21/2606180017", "box", BOX),
    (f"HTTPS://SUYUAN.EXAMPLE/01/{GTIN}/10/DK260618A", "lot", LOT),
    (f"suyuan.example/01/{GTIN}/10/DK260618A", "lot", LOT),
    (f"01/{GTIN}/10/DK260618A", "lot", LOT),
    (f"/01/{GTIN}/10/DK260618A/21/2606180017", "box", BOX),
    (f"  {UNIT}\r\n", "unit", UNIT),
    # under the bars
    (f"(01){GTIN}(10)DK260618A(21)2606180017", "box", BOX),
    (f"( 01 ) {GTIN} ( 10 ) DK260618A", "lot", LOT),
    (f"(00){SSCC}", "unit", UNIT),
    ("(00)0 9521234 000000010 5", "unit", UNIT),
    (f"（０１）{GTIN}（１０）DK260618A", "lot", LOT),
    # as a hand scanner sends them: symbology identifier, group separators, weight and dates between
    (f"]C101{GTIN}10DK260618A\x1d212606180017", "box", BOX),
    (f"]d201{GTIN}310300200010DK260618A", "lot", LOT),
    (f"01{GTIN}11260618" + "10DK260618A", "lot", LOT),
    (f"01{GTIN}10DK260618A{{GS}}212606180017", "box", BOX),
    (f"00{SSCC}", "unit", UNIT),
    (f"]C100{SSCC}\x1d02{GTIN}37120", "unit", UNIT),
    # digits
    (SSCC, "unit", UNIT),
    ("0 9521234 000000010 5", "unit", UNIT),
    (SSCC.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}), "unit", UNIT),  # full width
    # URNs
    ("urn:epc:id:sscc:9521234.0000000010", "unit", UNIT),
    ("urn:epc:class:lgtin:9521234.000020.DK260618A", "lot", LOT),
    # our own addresses where there is no GS1 prefix
    ("https://suyuan.example/xj-coop/obj/7f3a", "unit", "https://suyuan.example/xj-coop/obj/7f3a"),
    ("https://suyuan.example/xj-coop/class/yangmei.260618-P01", "lot", "https://suyuan.example/xj-coop/class/yangmei.260618-P01"),
    ("https://suyuan.example/xj-coop/bt/HGZ-1", "document", "https://suyuan.example/xj-coop/bt/HGZ-1"),
    # what carries goods, and papers
    ("https://id.gs1.org/8004/95212340REEFER07", "vehicle", "https://id.gs1.org/8004/95212340REEFER07"),
    ("(8004)95212340REEFER07", "vehicle", "https://id.gs1.org/8004/95212340REEFER07"),
    ("https://id.gs1.org/253/9521234008002HGZ260618A", "document", "https://id.gs1.org/253/9521234008002HGZ260618A"),
    ("9521234008002HGZ260618A", "document", "https://id.gs1.org/253/9521234008002HGZ260618A"),
    ("9521234008003HGZ260618A", "foreign", None),  # no GDTI: its check digit is another
    # somebody else's: known only if bound
    ("https://znm.example.cn/c?id=330100123", "uri", "https://znm.example.cn/c?id=330100123"),
    ("https://blog.example/2026/01/12/bayberry", "uri", "https://blog.example/2026/01/12/bayberry"),
    ("浙农码330100123", "foreign", None),
    ("DK260618A", "foreign", None),
    ("浙A12345", "plate", None),
    ("浙A·12345", "plate", None),
    ("浙ａ 1 2 3 4 5", "plate", None),
    ("浙AD12345", "plate", None),
    ("浙J1234挂", "plate", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "uri"), CODES)
def test_a_code_is_read_from_whatever_carries_it(text: str, kind: str, uri: str | None) -> None:
    found = read(text)
    assert isinstance(found, Code), found
    assert (found.kind, found.uri) == (kind, uri)


@pytest.mark.parametrize("text", ["浙A12345", "浙A·12345", "浙a-12345", "浙Ａ１２３４５", " 浙A 12345 "])
def test_a_plate_has_one_form(text: str) -> None:
    found = read(text)
    assert isinstance(found, Code) and found.value == "浙A12345"


TROUBLES = [
    ("", "empty", {}),
    ("  \u200b\r\n", "empty", {}),
    ("x" * (LONGEST + 1), "too_long", {"most": LONGEST}),
    # a wrong last digit: which it would have to be
    ("095212340000000106", "check_digit", {"got": "6", "expected": "5"}),
    ("(01)09521234000205(10)DK1", "check_digit", {"got": "5", "expected": "4"}),
    ("https://id.gs1.org/00/095212340000000106", "check_digit", {"got": "6", "expected": "5"}),
    ("https://suyuan.example/01/09521234000205/10/DK1", "check_digit", {"got": "5", "expected": "4"}),
    ("09521234000205", "check_digit", {"got": "5", "expected": "4"}),
    # torn: how many digits there are, how many it takes
    ("09521234000000010", "torn", {"have": 17, "want": 18}),
    ("(00)0952123400", "torn", {"have": 10, "want": 18}),
    ("(01)0952123400020(10)DK1", "torn", {"have": 13, "want": 14}),
    ("01/09521234000205/10/DK1", "check_digit", {"got": "5", "expected": "4"}),
    ("https://suyuan.example/01/0952123400/10/DK1", "torn", {"have": 10, "want": 14}),
    ("https://suyuan.example/00/0952123400000001", "torn", {"have": 16, "want": 18}),
    ("0952", "torn", {"have": 4, "want": 18}),
    ("(01)09521234000204(10", "not_well_made", {}),
    ("https://id.gs1.org/01/", "not_well_made", {}),
    ("urn:epc:id:sscc:95", "not_well_made", {}),
    ("浙A123", "plate_torn", {"have": 3}),
    # too many
    ("0952123400000001051", "digits", {"have": 19, "want": 18}),
    # a product is on every box; a lot number alone is on many products
    (GTIN, "product_only", {}),
    ("9521234000204", "product_only", {}),
    (f"(01){GTIN}", "product_only", {}),
    (f"https://id.gs1.org/01/{GTIN}", "product_only", {}),
    ("(10)DK260618A", "lot_only", {}),
    ("(21)2606180017", "lot_only", {}),
]


@pytest.mark.parametrize(("text", "code", "facts"), TROUBLES)
def test_what_is_no_code_is_told_apart(text: str, code: str, facts: dict[str, object]) -> None:
    found = read(text)
    assert isinstance(found, Trouble), found
    assert found.code == code
    assert {name: found.facts[name] for name in facts} == facts
    for language in LANGUAGES:
        words = Words(language)
        assert words(f"check_read_{code}", **found.facts) and words(f"check_read_{code}_next", **found.facts)


any_text = st.one_of(
    st.text(),
    st.text(string.printable),
    st.text("0123456789()[]]C1dQ/-. 浙A挂（）０１\x1d\x00"),
    st.text("0123456789", min_size=1, max_size=40),
    st.builds(lambda host, path: f"https://{host}/{path}", st.text(), st.text()),
    st.builds(lambda ai, rest: f"https://id.gs1.org/{ai}/{rest}", st.sampled_from(["00", "01", "414", "8004", "253"]), st.text()),
    st.builds(lambda pairs: "".join(f"({ai}){held}" for ai, held in pairs),
              st.lists(st.tuples(st.text("0123456789", max_size=4), st.text(max_size=20)), max_size=5)),
)  # fmt: skip


@given(any_text)
@example("urn:epc:id:sgtin:" + "1" * 400)
@example("(01)" + "9" * 300)
@example("]C1")
@example("\ud800")
def test_any_text_gives_a_code_or_a_sentence(text: str) -> None:
    found = read(text)
    if isinstance(found, Code):
        assert found.value and len(found.value) <= LONGEST
        assert found.uri is None or canonical(found.uri) == found.uri
    else:
        words = Words("zh")
        assert words(f"check_read_{found.code}", **found.facts)


@given(
    st.text("0123456789", min_size=17, max_size=17),
    st.integers(0, 16),
    st.sampled_from(["{}", "(00){}", "00{}", "https://a.example/00/{}"]),
)
@example("01000000011111111", 0, "{}")
def test_a_digit_read_wrongly_is_noticed(seventeen: str, place: int, form: str) -> None:
    """Modulo 10 with weights 3 and 1 notices every single wrong digit."""
    whole = seventeen + check_digit(seventeen)
    assert isinstance(read(form.format(whole)), Code)
    wrong = whole[:place] + str((int(whole[place]) + 1) % 10) + whole[place + 1 :]
    found = read(form.format(wrong))
    assert isinstance(found, Trouble) and found.code == "check_digit"


@given(st.text(string.ascii_uppercase + string.digits, min_size=1, max_size=20))
def test_what_a_code_is_read_as_is_read_as_itself(lot: str) -> None:
    first = read(f"(01){GTIN}(10){lot}")
    assert isinstance(first, Code) and first.uri is not None
    again = read(first.uri)
    assert isinstance(again, Code)
    assert (again.kind, again.uri) == (first.kind, first.uri)
    assert kind_of(first.uri) == "lot" and parse(first.uri).parts["10"] == lot == short(first.uri)
