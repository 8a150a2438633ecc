"""Who was in whom and until when, and what a trace makes of it: by ways that test_trace.py does not go."""

from __future__ import annotations

import pytest

from ledger.genealogy import RecordedEvent, Trace, replay, trace
from ledger.genealogy.links import Links
from tests.unit.ledger.genealogy.said import (
    MARKET,
    OTHER_TRUCK,
    PACKHOUSE,
    STORE,
    TRUCK,
    box,
    event,
    fruit,
    gone,
    lot,
    made,
    mixed,
    put_in,
    seen,
    some,
    take_out,
    unit,
)

A, B, X = lot("A"), lot("B"), lot("X")
ONE, TWO = box("A", "0001"), box("A", "0002")


def numbers(found: Trace, events: list[RecordedEvent]) -> list[int]:
    return [events.index(each) for each in found.events]


def times(child: str, events: list[RecordedEvent]) -> list[tuple[str, int, int | None]]:
    """What held it, and the minutes (the number of the event) at which it went in and out."""
    whole = replay(events)
    minute = {fact.ordinal: (fact.ms - whole.facts[0].ms) // 60_000 for fact in whole.facts}
    return [
        (each.parent, minute[each.first], minute.get(each.last))
        for each in Links(whole.facts).inside.get(child, ())
    ]


def boxes(minute: int, *serials: str) -> RecordedEvent:
    return event(minute, "ObjectEvent", action="ADD", bizStep="commissioning", epcList=list(serials))


@pytest.mark.parametrize(
    ("said", "out"),
    [
        ({"where": MARKET}, True),
        ({"readPoint": MARKET}, False),
        ({"where": MARKET, "disposition": "in_transit"}, False),
    ],
)
def test_what_is_stored_somewhere_is_in_no_truck_though_nobody_unloaded_it(
    said: dict[str, str], out: bool
) -> None:
    events = [
        made(0, A, 20),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        put_in(2, TRUCK, unit(1), step="loading"),
        seen(3, "receiving", unit(1), **said),
        seen(4, "departing", TRUCK, readPoint=MARKET),
    ]
    assert numbers(trace(unit(1), "both", events), events) == [0, 1, 2, 3, *([] if out else [4])]
    assert times(unit(1), events) == [(TRUCK, 2, 3 if out else None)]


def test_a_step_that_says_nothing_of_a_place_unloads_nothing() -> None:
    events = [
        put_in(0, TRUCK, unit(1), step="loading"),
        seen(1, "inspecting", unit(1), where=MARKET),
        seen(2, "departing", TRUCK, readPoint=MARKET),
    ]
    assert times(unit(1), events) == [(TRUCK, 0, None)]


def test_a_thing_is_in_one_unit_and_packed_again_into_the_same_is_there_all_along() -> None:
    events = [
        put_in(0, unit(1), unit(9)),
        put_in(1, unit(1), unit(9)),
        put_in(2, unit(2), unit(9)),
        seen(3, "storing", unit(1), where=STORE),
    ]
    assert times(unit(9), events) == [(unit(1), 0, 2), (unit(2), 2, None)]
    found = trace(unit(9), "both", events)
    assert numbers(found, events) == [0, 1, 2]
    assert [(edge.kind, edge.target) for edge in found.edges] == [("packed", unit(1)), ("packed", unit(2))]


def test_a_lot_that_is_packed_twice_leaves_with_the_last_of_both() -> None:
    events = [
        made(0, A, 20),
        put_in(1, unit(1), some(A, 10)),
        put_in(2, unit(1), some(A, 10)),
        take_out(3, unit(1), some(A, 10)),
        take_out(4, unit(1), some(A, 10)),
        seen(5, "storing", unit(1), where=STORE),
    ]
    assert times(A, events) == [(unit(1), 1, 4)]


def test_a_unit_that_is_only_seen_with_its_content_has_no_more_of_it() -> None:
    events = [
        put_in(0, unit(1), some(A, 10)),
        put_in(1, unit(1), some(A, 10), action="OBSERVE"),
        take_out(2, unit(1), some(A, 10)),
    ]
    assert times(A, events) == [(unit(1), 0, 2)]


def test_kilograms_out_of_boxes_leave_nobody_knows_how_much() -> None:
    events = [
        put_in(0, unit(1), some(A, 10)),
        take_out(1, unit(1), some(A, 10, "KGM")),
        seen(2, "storing", unit(1), where=STORE),
    ]
    assert times(A, events) == [(unit(1), 0, None)]


def test_boxes_that_are_sold_are_on_their_pallet_no_more_and_with_the_last_of_them_their_lot() -> None:
    events = [
        boxes(0, ONE, TWO),
        put_in(1, unit(1), ONE, TWO),
        seen(2, "holding", ONE),
        gone(3, "retail_selling", ONE, readPoint=MARKET),
        seen(4, "storing", unit(1), where=STORE),
        gone(5, "retail_selling", TWO, readPoint=MARKET),
        seen(6, "storing", unit(1), where=STORE),
    ]
    assert times(ONE, events) == [(unit(1), 1, 3)]
    assert times(TWO, events) == [(unit(1), 1, 5)]
    assert times(A, events) == [(unit(1), 1, 5)]


def test_a_unit_that_a_run_used_is_in_nothing_any_more_unless_it_comes_out_of_it() -> None:
    pallet, room = unit(1), unit(2)
    used = [put_in(0, room, pallet), mixed(1, [pallet], [some(X, 9)]), seen(2, "storing", room)]
    assert times(pallet, used) == [(room, 0, 1)]
    again = [put_in(0, room, pallet), mixed(1, [pallet], [pallet]), seen(2, "storing", room)]
    assert times(pallet, again) == [(room, 0, None)]


def test_what_was_used_inside_a_pallet_before_it_was_made_again_is_no_descendant() -> None:
    events = [
        made(0, A, 20),
        put_in(1, unit(1), some(A, 20)),
        mixed(2, [unit(1)], [some(X, 9)]),
        made(3, B, 20),
        mixed(4, [some(B, 20)], [some(A, 20)]),
    ]
    assert numbers(trace(B, "forward", events), events) == [0, 1, 3, 4]
    assert X in trace(lot("A"), "forward", events).identifiers


def test_what_goes_in_and_out_of_a_unit_that_was_emptied_by_name_or_as_a_whole() -> None:
    """What comes out untold went in after the unit was last empty, not before."""
    for emptied in (take_out(1, unit(1)), take_out(1, unit(1), unit(9))):
        events = [
            put_in(0, unit(1), unit(9)),
            emptied,
            seen(2, "storing", unit(1), where=STORE),
            take_out(3, unit(1), unit(8)),
        ]
        assert times(unit(9), events) == [(unit(1), 0, 1)]
        assert times(unit(8), events) == [(unit(1), 2, 3)]


def test_what_a_unit_loses_it_does_not_lose_to_another() -> None:
    """Taken out of where it is not: it stays where it is known to be."""
    events = [put_in(0, unit(1), unit(9)), take_out(1, unit(2), unit(9))]
    assert times(unit(9), events) == [(unit(1), 0, None)]


@pytest.mark.parametrize("first", ["input", "output"])
def test_an_open_run_draws_its_edge_once_both_ends_are_known(first: str) -> None:
    run = "https://suyuan.example/xj-coop/run/1"
    told = {
        "input": mixed(1, [some(A, 5)], [], transformationID=run),
        "output": mixed(1, [], [some(X, 5)], transformationID=run),
    }
    second = mixed(
        2,
        [some(A, 5)] if first == "output" else [],
        [some(X, 5)] if first == "input" else [],
        transformationID=run,
    )
    third = mixed(3, [some(A, 5)], [some(X, 5)], transformationID=run)
    events = [made(0, A, 20), told[first], second, third]
    found = trace(X, "back", events)
    assert [(edge.source, edge.target, edge.event) for edge in found.edges] == [(A, X, second.event.event_id)]


def test_only_what_is_added_is_made() -> None:
    """An ObjectEvent that only sees goods made none: a run that used them before it is not after their making."""
    events = [
        seen(3, "storing", some(A, 5), where=STORE),
        mixed(1, [some(A, 5)], [some(X, 5)]),
        made(5, B, 1),
    ]
    facts = replay(events).facts
    assert set(Links(facts).first_made) == {X, B}
    named = [boxes(0, ONE), mixed(1, [ONE], [box("X", "0001")])]
    assert set(Links(replay(named).facts).first_made) == {ONE, A, box("X", "0001"), X}


def test_what_is_stored_stays_in_what_is_no_vehicle() -> None:
    events = [put_in(0, unit(2), unit(1)), seen(1, "storing", unit(1), where=STORE)]
    assert times(unit(1), events) == [(unit(2), 0, None)]


def test_some_of_a_lot_taken_out_of_where_none_is_known_to_be_stays_where_it_is_known_to_be() -> None:
    events = [put_in(0, unit(1), some(A, 10)), take_out(1, unit(2), some(A, 5))]
    assert times(A, events) == [(unit(1), 0, None)]


def test_units_that_hold_each_other_end() -> None:
    events = [
        put_in(0, unit(1), unit(2)),
        put_in(1, unit(2), unit(1)),
        seen(2, "storing", unit(1), where=STORE),
    ]
    for direction in ("back", "forward", "both"):
        assert numbers(trace(unit(2), direction, events), events) == [0, 1, 2]


def test_a_run_that_goes_on_made_what_was_used_after_its_first_output() -> None:
    run = "https://suyuan.example/xj-coop/run/1"
    events = [
        mixed(0, [some(B, 9)], [some(A, 5)], transformationID=run),
        mixed(5, [some(A, 5)], [some(X, 5)]),
        mixed(9, [], [some(A, 4)], transformationID=run),
    ]
    assert B in trace(X, "back", events).identifiers


def test_the_depth_says_where_it_ended_in_both_directions() -> None:
    events = [mixed(n, [some(lot(f"L{n}"), 1)], [some(lot(f"L{n + 1}"), 1)]) for n in range(6)]
    assert trace(lot("L6"), "back", events, max_depth=3).ends == (lot("L2"),)
    found = trace(lot("L0"), "forward", events, max_depth=3)
    assert (numbers(found, events), found.cut, found.ends) == ([0, 1, 2, 3], {"depth"}, (lot("L4"),))


def test_a_box_is_one_under_its_label_and_its_epc_ahead_as_behind() -> None:
    label, epc = box("A", "0001"), "https://id.gs1.org/01/09521234000204/21/0001"
    events = [seen(0, "packing", label), seen(1, "retail_selling", epc, readPoint=MARKET)]
    for direction in ("back", "forward"):
        for name in (label, epc):
            assert numbers(trace(name, direction, events), events) == [0, 1]


def test_a_box_that_no_label_covers_is_answered_for_by_its_lot() -> None:
    events = [
        mixed(0, [some(fruit("P01"), 80, "KGM")], [some(A, 40)]),
        put_in(1, unit(1), some(A, 40), labels=("0001", "0040")),
    ]
    assert numbers(trace(box("A", "0041"), "back", events), events) == [0, 1]
    assert numbers(trace(box("A", "0041"), "forward", events), events) == [0, 1]


def test_a_box_goes_with_its_pallet_and_its_truck_and_with_no_other() -> None:
    events = [
        made(0, A, 40),
        put_in(1, unit(1), some(A, 20), labels=("0001", "0020")),
        put_in(2, unit(2), some(A, 20), labels=("0021", "0040")),
        put_in(3, f"{TRUCK}.REAR", unit(1), step="loading"),
        put_in(4, OTHER_TRUCK, unit(2), step="loading"),
        seen(5, "departing", TRUCK, readPoint=PACKHOUSE),
        seen(6, "departing", OTHER_TRUCK, readPoint=PACKHOUSE),
    ]
    for direction in ("back", "forward"):
        assert numbers(trace(box("A", "0007"), direction, events), events) == [0, 1, 3, 5]
        assert numbers(trace(box("A", "0030"), direction, events), events) == [0, 2, 4, 6]


def test_goods_nobody_knows_the_making_of_are_of_the_runs_that_made_their_lot() -> None:
    """All that was made of A was sold; what is packed then is of A all the same."""
    events = [
        mixed(0, [some(B, 20)], [some(A, 20)]),
        gone(1, "retail_selling", some(A, 20), readPoint=MARKET),
        put_in(2, unit(1), some(A, 10)),
    ]
    assert B in trace(unit(1), "back", events).identifiers
