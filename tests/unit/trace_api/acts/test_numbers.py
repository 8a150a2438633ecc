"""Numbers of lots, boxes, units and papers: well made, short enough, never the same twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.identifiers import parse
from trace_api.acts.numbers import Numbers, SerialRange, letters, lot_of, product_code, short_name

GTIN_CLASS = "https://id.gs1.org/01/09521234000204"
OWN_CLASS = "https://suyuan.example/xj-coop/class/yangmei-dongkui"
ROOT = "https://trace.example/xj-coop"


class Ranges:
    """The two questions that numbers ask of the database, answered from memory: the SQL is tried in tests/integration."""

    def __init__(self, *said: str) -> None:
        self.next: dict[tuple[str, str], int] = {}
        self.said = set(said)

    def execute(self, query: str, values: Any) -> Ranges:
        if isinstance(values, dict):
            key = (values["kind"], values["prefix"])
            self.next[key] = self.next.get(key, 1) + values["count"]
            self.row: tuple[Any, ...] = (self.next[key],)
        else:
            self.row = (values[0] in self.said,)
        return self

    def fetchone(self) -> tuple[Any, ...]:
        return self.row


def numbers(prefix: str | None = "9521234", *said: str) -> Numbers:
    return Numbers(Ranges(*said), "xj-coop", prefix, ROOT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("yangmei-dongkui", "DK"), ("yangmei", "YM"), ("biqizhong", "BQZ"), ("xishan", "XS"), ("nuer-er", "ER"),
        ("bayberry", "BA"), ("杨梅", "LO"), ("", "LO"), ("A1", "A"), ("tian'an", "AN"),
    ],
)  # fmt: skip
def test_a_lot_begins_with_the_initials_of_its_variety(name: str, code: str) -> None:
    assert product_code(name) == code


def test_lots_of_a_day_are_lettered() -> None:
    given_out = numbers()
    lots = [given_out.packed_lot(GTIN_CLASS, "DK", "260618") for _ in range(28)]
    assert lots[0] == f"{GTIN_CLASS}/10/DK260618A"
    assert lots[1].endswith("DK260618B") and lots[26].endswith("DK260618AA")
    assert len(set(lots)) == 28
    assert all(len(parse(lot).parts["10"]) <= 20 for lot in lots)


def test_a_number_that_the_record_knows_is_passed_over() -> None:
    given_out = numbers("9521234", f"{GTIN_CLASS}/10/DK260618A", f"{OWN_CLASS}.260618-P01")
    assert given_out.packed_lot(GTIN_CLASS, "DK", "260618").endswith("DK260618B")
    assert given_out.picked_lot(OWN_CLASS, "260618", "P01") == f"{OWN_CLASS}.260618-P01-B"


def test_two_who_pack_one_product_never_give_the_same_number() -> None:
    """Its owner counts under the same class, and each in a range of its own."""
    owner, others = (
        numbers(),
        [Numbers(Ranges(), name, None, ROOT) for name in ("coop-2", "stall-b12", "g-0137", "g-0138")],  # type: ignore[arg-type]
    )
    others.append(Numbers(Ranges(), "hz-shop-1", "6901234", ROOT))  # type: ignore[arg-type]
    plots = ("P01", "101-P0001"[-8:])
    lots = [owner.packed_lot(GTIN_CLASS, "DKBY", "260618")]
    lots += [owner.picked_lot(GTIN_CLASS, "260618", plot) for plot in plots]
    for each in others:
        lots.append(each.packed_lot(GTIN_CLASS, "DKBY", "260618", foreign=True))
        lots += [each.picked_lot(GTIN_CLASS, "260618", plot, foreign=True) for plot in plots]
    assert len(set(lots)) == len(lots) == 18, lots
    assert f"{GTIN_CLASS}/10/260618-P01-g-0137" in lots
    crowd = [others[1].picked_lot(GTIN_CLASS, "260618", plots[1], foreign=True) for _ in range(60)]
    assert all(len(parse(lot).parts["10"]) <= 20 for lot in [*lots, *crowd])
    boxes = [owner.serials(lots[0], 40), *(each.serials(lots[0], 40, foreign=True) for each in others)]
    assert len({each.first for each in boxes}) == len(boxes)
    assert all(each.count == 40 and len(each.first) == len(each.last) <= 20 for each in boxes)
    elsewhere = numbers("9521234", lots[0]).packed_lot(GTIN_CLASS, "DKBY", "260618")
    assert elsewhere.endswith("DKBY260618B"), "what others said already is not given once more"


@given(st.integers(4, 12).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n)), st.integers(1, 9))
def test_units_and_certificates_are_well_made_under_any_prefix(prefix: str, count: int) -> None:
    given_out = numbers(prefix)
    for _ in range(count):
        unit = parse(given_out.unit())
        assert unit.scheme == "sscc" and unit.parts["00"][1:].startswith(prefix)
        identity, number = given_out.certificate("260618")
        document = parse(identity)
        assert document.scheme == "gdti" and document.parts["253"].startswith(prefix)
        assert document.parts["253"].endswith(number) and number.startswith("HGZ260618")


def test_without_a_prefix_things_have_addresses_of_ours() -> None:
    given_out = numbers(None)
    assert given_out.unit() == f"{ROOT}/obj/U000001"
    assert given_out.certificate("260618") == (f"{ROOT}/doc/HGZ260618A", "HGZ260618A")


def test_serials_are_unique_over_all_lots_of_a_product() -> None:
    given_out = numbers()
    first = given_out.serials(f"{GTIN_CLASS}/10/DK260618A", 40)
    second = given_out.serials(f"{GTIN_CLASS}/10/DK260619A", 12)
    assert (first.first, first.last, first.count) == ("00000001", "00000040", 40)
    assert (second.first, second.last) == ("00000041", "00000052")
    assert given_out.serials(f"{OWN_CLASS}.DK260618A", 1) == SerialRange(
        f"{OWN_CLASS}.DK260618A", "00000001", "00000001"
    )
    assert [(each.first, each.last) for each in given_out.given] == [(1, 40), (41, 52), (1, 1)]


def test_a_paper_has_the_number_that_stands_on_it() -> None:
    given_out = numbers()
    assert (
        given_out.paper("weigh", "260618", "过磅 0031/2") == f"{ROOT}/bt/weigh/%E8%BF%87%E7%A3%85%200031%2F2"
    )
    assert given_out.paper("weigh", "260618") == f"{ROOT}/bt/weigh/260618-1"
    parse(given_out.paper("weigh", "260618", "过磅 0031/2"))


@given(st.integers(1, 100_000))
def test_letters_count(n: int) -> None:
    value = 0
    for letter in letters(n):
        value = value * 26 + ord(letter) - ord("A") + 1
    assert value == n


def test_a_lot_lies_under_its_gtin_or_after_a_dot() -> None:
    assert lot_of(GTIN_CLASS, "DK1") == f"{GTIN_CLASS}/10/DK1"
    assert lot_of(OWN_CLASS, "DK1") == f"{OWN_CLASS}.DK1"
    assert short_name("https://id.gs1.org/414/9521234001010/254/P01") == "P01"
    assert short_name("https://x.example/loc/3号棚") == "3" and short_name("https://x.example/loc/棚") == "P"
