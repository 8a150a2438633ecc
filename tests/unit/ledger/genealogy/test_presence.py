from __future__ import annotations

from ledger.genealogy import Presence, RecordedEvent, presence, product_of
from tests.unit.ledger.genealogy.said import (
    MARKET,
    PACKHOUSE,
    STORE,
    TRUCK,
    YARD,
    at,
    fruit,
    lot,
    made,
    mixed,
    put_in,
    seen,
    some,
    take_out,
    unit,
)

A = lot("A")


def rows(events: list[RecordedEvent], holder: str) -> list[tuple[str | None, int, int | None]]:
    return [(each.stage, each.start_ms, each.end_ms) for each in presence(events) if each.holder == holder]


def journey() -> list[RecordedEvent]:
    return [
        mixed(0, [some(fruit("P01"), 96, "KGM")], [some(A, 48)]),
        put_in(1, unit(1), some(A, 48), where=PACKHOUSE),
        seen(2, "storing", unit(1), where=STORE),
        put_in(3, TRUCK, unit(1), step="loading", readPoint=STORE, bizLocation=STORE),
        seen(4, "arriving", unit(1), where=YARD),
        take_out(5, TRUCK, unit(1), step="unloading", where=MARKET),
    ]


def test_in_the_store_until_it_is_loaded_even_if_the_dock_is_the_stores() -> None:
    assert rows(journey(), STORE) == [("cold", at(2), at(3))]


def test_in_the_vehicle_by_stage() -> None:
    assert rows(journey(), TRUCK) == [("loaded", at(3), at(4)), ("arrived", at(4), at(5))]


def test_no_yard_while_in_a_vehicle() -> None:
    assert rows(journey(), YARD) == []


def test_the_unit_is_a_surrounding_all_along() -> None:
    assert rows(journey(), unit(1)) == [
        ("cold", at(1), at(3)),
        ("loaded", at(3), at(4)),
        ("arrived", at(4), None),
    ]


def test_what_a_row_says() -> None:
    row = next(each for each in presence(journey()) if each.holder == TRUCK)
    assert row == Presence(TRUCK, "vehicle", A, product_of(A), "loaded", at(3), at(4))
    assert {each.kind for each in presence(journey())} == {"place", "container", "vehicle"}


def test_portions_of_one_lot_in_one_place_are_one_row() -> None:
    events = [
        mixed(0, [some(fruit("P01"), 96, "KGM")], [some(A, 48)]),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        put_in(2, unit(2), some(A, 20), where=PACKHOUSE),
        seen(7, "storing", unit(1), where=STORE),
        seen(9, "storing", unit(2), where=STORE),
    ]
    assert rows(events, PACKHOUSE) == [("cold", at(0), None)]
    assert rows(events, STORE) == [("cold", at(7), None)]


def test_a_hole_between_two_stays_is_a_hole() -> None:
    events = [
        mixed(0, [some(fruit("P01"), 96, "KGM")], [some(A, 48)], where=STORE),
        seen(2, "storing", some(A, 48), where=PACKHOUSE),
        seen(5, "storing", some(A, 48), where=STORE),
    ]
    assert rows(events, STORE) == [("cold", at(0), at(2)), ("cold", at(5), None)]


def test_boxes_on_the_floor_of_a_truck() -> None:
    events = [
        mixed(0, [some(fruit("P01"), 96, "KGM")], [some(A, 48)]),
        put_in(1, TRUCK, some(A, 48), step="loading", readPoint=PACKHOUSE),
        take_out(5, TRUCK, some(A, 40), step="unloading", where=MARKET),
    ]
    assert rows(events, TRUCK) == [("loaded", at(1), None)]
    assert rows(events, MARKET) == [("loaded", at(5), None)]


def test_fruit_in_the_field_is_present_as_such() -> None:
    assert rows([made(0, fruit("P01"), 10, "KGM", PACKHOUSE)], PACKHOUSE) == [("field", at(0), None)]
