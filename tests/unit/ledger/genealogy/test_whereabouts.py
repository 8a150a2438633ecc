from __future__ import annotations

from collections import defaultdict

from ledger.genealogy import RecordedEvent, Whereabouts, replay
from tests.unit.ledger.genealogy.said import (
    CARRIER,
    COOP,
    GTIN,
    MARKET,
    PACKHOUSE,
    PLOT,
    STALL,
    STORE,
    TRUCK,
    YARD,
    at,
    fruit,
    gone,
    handed_over,
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
NET = {f"https://id.gs1.org/01/{GTIN}": 2.0}


def rows(events: list[RecordedEvent], of: str = A) -> list[Whereabouts]:
    return [each for each in replay(events, NET).whereabouts() if each.lot == of]


def weights(found: list[Whereabouts]) -> dict[int, float]:
    """Kilograms of all rows together, at each time anything changed."""
    totals: dict[int, float] = defaultdict(float)
    for moment in sorted({row.start_ms for row in found}):
        totals[moment] = sum(
            row.kilograms or 0.0
            for row in found
            if row.start_ms <= moment and (row.end_ms is None or row.end_ms > moment)
        )
    return totals


def journey() -> list[RecordedEvent]:
    return [
        mixed(0, [some(fruit("P01"), 96, "KGM")], [some(A, 48)]),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        put_in(2, unit(2), some(A, 20), where=PACKHOUSE),
        seen(3, "storing", unit(1), unit(2), where=STORE),
        put_in(4, TRUCK, unit(1), step="loading", readPoint=STORE, **handed_over(COOP, CARRIER)),
        seen(5, "arriving", unit(1), where=YARD),
        take_out(6, TRUCK, unit(1), step="unloading", where=MARKET),
    ]


def test_each_kilogram_is_told_once_at_every_time() -> None:
    assert set(weights(rows(journey())).values()) == {96.0}, "48 boxes of 2 kg, wherever they are"


def test_a_row_says_what_is_around_the_goods_and_who_has_them() -> None:
    on_road = next(row for row in rows(journey()) if row.inside == (unit(1), TRUCK))
    assert on_road == Whereabouts(A, "loaded", (unit(1), TRUCK), None, True, CARRIER, 40.0, at(4), at(5))
    waiting = next(row for row in rows(journey()) if row.stage == "arrived" and row.in_vehicle)
    assert (waiting.place, waiting.kilograms) == (YARD, 40.0)
    assert [
        (row.place, row.start_ms)
        for row in rows(journey())
        if row.end_ms is None and row.inside == (unit(1),)
    ] == [(MARKET, at(6))]


def test_what_is_taken_out_was_inside_until_then() -> None:
    events = [*journey(), gone(9, "retail_selling", some(A, 5), readPoint=PACKHOUSE, bizLocation=PACKHOUSE)]
    loose = [(row.start_ms, row.end_ms, row.kilograms) for row in rows(events) if row.inside == ()]
    assert loose == [(at(0), at(1), 96.0), (at(1), at(2), 56.0), (at(2), at(9), 16.0), (at(9), None, 6.0)]


def test_pieces_side_by_side_are_one_row_with_their_sum() -> None:
    events = [
        mixed(0, [some(fruit("P01"), 96, "KGM")], [some(A, 48)]),
        put_in(1, unit(1), some(A, 10), where=PACKHOUSE),
        take_out(2, unit(1), some(A, 4), where=PACKHOUSE),
        take_out(3, unit(1), some(A, 6), where=PACKHOUSE),
    ]
    loose = [
        (row.start_ms, row.kilograms) for row in rows(events) if row.inside == () and row.start_ms >= at(1)
    ]
    assert loose == [(at(1), 76.0), (at(2), 84.0), (at(3), 96.0)]


def test_a_weight_that_nobody_knows_is_not_known() -> None:
    events = [seen(0, "receiving", some(A), where=STALL), seen(5, "storing", some(A), where=STALL)]
    found = rows(events)
    assert found and {row.kilograms for row in found} == {None}


def test_harvested_fruit_has_its_own_weight_from_the_plot_on() -> None:
    picked = fruit("P01")
    events = [
        made(0, picked, 86.5, "KGM", where=PLOT),
        seen(9, "receiving", some(picked, 86.5, "KGM"), where=PACKHOUSE),
    ]
    assert [(row.place, row.stage, row.kilograms) for row in rows(events, picked)] == [
        (PLOT, "field", 86.5),
        (PACKHOUSE, "collected", 86.5),
    ]


def test_the_order_in_which_events_came_changes_nothing() -> None:
    assert rows(list(reversed(journey()))) == rows(journey())
