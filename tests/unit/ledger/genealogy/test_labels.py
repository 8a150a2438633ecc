from __future__ import annotations

import pytest

from ledger.genealogy import LabelRange, RecordedEvent, label_ranges, unit_of
from tests.unit.ledger.genealogy.said import at, box, lot, put_in, some, unit


def labelled(minute: int, number: int, first: str, last: str) -> LabelRange:
    return LabelRange(lot("A"), first, last, unit(number), at(minute))


def packed(minute: int, number: int, first: str, last: str) -> RecordedEvent:
    return put_in(minute, unit(number), some(lot("A"), 48), labels=(first, last))


def test_ranges_in_the_order_of_packing() -> None:
    events = [packed(2, 2, "0049", "0096"), packed(1, 1, "0001", "0048")]
    assert label_ranges(events) == [labelled(1, 1, "0001", "0048"), labelled(2, 2, "0049", "0096")]


@pytest.mark.parametrize(("serial", "number"), [("0001", 1), ("0048", 1), ("0049", 2), ("0096", 2)])
def test_a_box_is_in_the_unit_of_its_range(serial: str, number: int) -> None:
    found = unit_of(box("A", serial), [labelled(1, 1, "0001", "0048"), labelled(2, 2, "0049", "0096")])
    assert found is not None
    assert found.container == unit(number)


@pytest.mark.parametrize("serial", ["0097", "0000", "12", "00012"])
def test_a_serial_outside_all_ranges_has_no_unit(serial: str) -> None:
    assert unit_of(box("A", serial), [labelled(1, 1, "0001", "0048"), labelled(2, 2, "0049", "0096")]) is None


def test_a_box_of_another_lot_has_no_unit() -> None:
    assert unit_of(box("B", "0001"), [labelled(1, 1, "0001", "0048")]) is None


def test_relabelled_boxes_are_where_they_were_packed_last() -> None:
    found = unit_of(box("A", "0007"), [labelled(1, 1, "0001", "0048"), labelled(2, 2, "0001", "0012")])
    assert found is not None
    assert found.container == unit(2)


@pytest.mark.parametrize(("first", "last"), [("0048", "0001"), ("1", "0048"), ("", "")])
def test_a_broken_range_is_passed_over(first: str, last: str) -> None:
    assert label_ranges([packed(1, 1, first, last)]) == []
