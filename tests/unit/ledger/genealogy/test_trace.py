from __future__ import annotations

from itertools import pairwise, permutations

import pytest

from ledger.genealogy import Edge, RecordedEvent, Trace, trace
from tests.unit.ledger.genealogy.said import (
    COOP,
    GROWER,
    LOGGER,
    MARKET,
    PACKHOUSE,
    STORE,
    TRUCK,
    box,
    event,
    fruit,
    gone,
    handed_over,
    installed,
    lot,
    made,
    mixed,
    put_in,
    seen,
    some,
    take_out,
    unit,
)

A, B, C = lot("A"), lot("B"), lot("C")


def numbers(found: Trace, events: list[RecordedEvent]) -> list[int]:
    return [events.index(each) for each in found.events]


def test_back_to_the_fields_and_forward_to_the_shelf() -> None:
    events = [
        made(0, fruit("P01"), 50, "KGM"),
        made(1, fruit("P02"), 50, "KGM"),
        mixed(2, [some(fruit("P01"), 50, "KGM"), some(fruit("P02"), 50, "KGM")], [some(A, 40), some(B, 10)]),
        gone(3, "retail_selling", some(A, 1), readPoint=MARKET),
        gone(4, "retail_selling", some(B, 1), readPoint=MARKET),
    ]
    assert numbers(trace(A, "back", events), events) == [0, 1, 2, 3]
    assert numbers(trace(fruit("P01"), "forward", events), events) == [0, 2, 3, 4]
    assert numbers(trace(B, "both", events), events) == [0, 1, 2, 4]
    assert trace(A, "back", events).edges == (
        Edge(fruit("P01"), A, "transformed", events[2].event.event_id or ""),
        Edge(fruit("P02"), A, "transformed", events[2].event.event_id or ""),
    )


def pallet_used_twice() -> list[RecordedEvent]:
    return [
        made(0, A, 20),
        seen(1, "collecting", unit(1), where=STORE),
        put_in(2, unit(1), some(A, 20), where=PACKHOUSE),
        seen(3, "storing", unit(1), where=STORE),
        take_out(4, unit(1), some(A, 20), where=MARKET),
        seen(5, "storing", unit(1), where=STORE),
        made(6, B, 20),
        put_in(7, unit(1), some(B, 20), where=PACKHOUSE),
        seen(8, "storing", unit(1), where=STORE),
        seen(9, "holding", some(A, 20), where=MARKET),
    ]


def test_a_containers_events_only_while_the_goods_were_inside() -> None:
    events = pallet_used_twice()
    for direction in ("back", "forward", "both"):
        assert numbers(trace(A, direction, events), events) == [0, 2, 3, 4, 9]
        assert numbers(trace(B, direction, events), events) == [6, 7, 8]


def test_part_of_a_lot_left_inside_keeps_the_container_in_its_history() -> None:
    events = [
        made(0, A, 20),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        take_out(2, unit(1), some(A, 5), where=PACKHOUSE),
        seen(3, "storing", unit(1), where=STORE),
        take_out(4, unit(1), some(A, 15), where=STORE),
        seen(5, "storing", unit(1), where=MARKET),
    ]
    assert numbers(trace(A, "both", events), events) == [0, 1, 2, 3, 4]


def test_a_trucks_events_through_the_pallet_and_only_then() -> None:
    events = [
        made(0, A, 20),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        seen(2, "arriving", TRUCK, where=PACKHOUSE),
        put_in(3, TRUCK, unit(1), step="loading"),
        seen(4, "departing", TRUCK, readPoint=PACKHOUSE),
        take_out(5, TRUCK, unit(1), step="unloading", where=MARKET),
        seen(6, "departing", TRUCK, readPoint=MARKET),
    ]
    found = trace(A, "both", events)
    assert numbers(found, events) == [0, 1, 3, 4, 5]
    assert [(edge.kind, edge.source, edge.target) for edge in found.edges] == [
        ("packed", A, unit(1)),
        ("loaded", unit(1), TRUCK),
        ("unloaded", TRUCK, unit(1)),
    ]


def test_a_sister_pallet_of_the_same_lot_is_not_this_pallets_history() -> None:
    events = [
        made(0, A, 40),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        put_in(2, unit(2), some(A, 20), where=PACKHOUSE),
        seen(3, "storing", unit(2), where=STORE),
        seen(4, "storing", unit(1), where=MARKET),
    ]
    assert numbers(trace(unit(1), "back", events), events) == [0, 1, 4]
    assert numbers(trace(A, "back", events), events) == [0, 1, 2, 3, 4]


def test_a_unit_goes_forward_into_what_its_goods_became() -> None:
    events = [
        made(0, A, 40),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        put_in(2, unit(2), some(A, 20), where=PACKHOUSE),
        take_out(3, unit(1), some(A, 20), where=PACKHOUSE),
        mixed(4, [some(A, 20)], [some(C, 10)]),
        gone(5, "retail_selling", some(C, 10), readPoint=MARKET),
    ]
    assert numbers(trace(unit(1), "forward", events), events) == [0, 1, 3, 4, 5]
    assert numbers(trace(unit(2), "forward", events), events) == [0, 2]
    assert unit(1) in trace(C, "back", events).identifiers


def test_a_box_by_its_label_leaves_out_the_other_pallets() -> None:
    events = [
        made(0, fruit("P01"), 80, "KGM"),
        mixed(1, [some(fruit("P01"), 80, "KGM")], [some(A, 40)]),
        put_in(2, unit(1), some(A, 20), where=PACKHOUSE, labels=("0001", "0020")),
        put_in(3, unit(2), some(A, 20), where=PACKHOUSE, labels=("0021", "0040")),
        seen(4, "storing", unit(2), where=STORE),
        seen(5, "storing", unit(1), where=MARKET),
    ]
    assert numbers(trace(box("A", "0007"), "back", events), events) == [0, 1, 2, 5]
    assert numbers(trace(box("A", "0033"), "both", events), events) == [0, 1, 3, 4]


def test_instances_without_quantities_or_keys_are_traced_by_name_alone() -> None:
    one, other, crate = "urn:example:fish:1", "urn:example:fillet:1", "urn:example:crate"
    events = [
        seen(0, "commissioning", one, action="ADD", where=PACKHOUSE),
        mixed(1, [one], [other]),
        put_in(2, crate, other, where=PACKHOUSE),
        seen(3, "storing", crate, where=STORE),
        take_out(4, crate, other, where=STORE),
        seen(5, "storing", crate, where=MARKET),
    ]
    assert numbers(trace(one, "forward", events), events) == [0, 1, 2, 3, 4]
    assert numbers(trace(other, "back", events), events) == [0, 1, 2, 3, 4]
    assert numbers(trace(crate, "back", events), events) == [0, 1, 2, 3, 4, 5]


def test_classes_without_quantities() -> None:
    events = [
        mixed(0, [some(fruit("P01"))], [some(A)]),
        put_in(1, unit(1), some(A), where=PACKHOUSE),
        seen(2, "storing", unit(1), where=STORE),
    ]
    assert numbers(trace(fruit("P01"), "forward", events), events) == [0, 1, 2]
    assert numbers(trace(unit(1), "back", events), events) == [0, 1, 2]


def test_an_open_run_is_followed_over_its_events() -> None:
    run = "https://suyuan.example/xj-coop/bt/run/1"
    events = [
        mixed(0, [some(fruit("P01"), 60, "KGM")], [], transformationID=run),
        mixed(1, [], [some(A, 20)], transformationID=run),
        seen(2, "storing", some(A, 20), where=STORE),
    ]
    assert numbers(trace(A, "back", events), events) == [0, 1, 2]
    assert numbers(trace(fruit("P01"), "forward", events), events) == [0, 1, 2]
    assert [edge.kind for edge in trace(A, "back", events).edges] == ["transformed"]


def test_what_an_input_became_before_it_went_in_here_is_no_descendant() -> None:
    events = [
        made(0, B, 10),
        mixed(1, [some(B, 10)], [some(C, 10)]),
        mixed(5, [some(A, 10)], [some(B, 10)]),
    ]
    assert C not in trace(A, "forward", events).identifiers
    assert A not in trace(C, "back", events).identifiers


def test_what_was_used_before_anything_made_it_was_made_by_a_clock_that_is_late() -> None:
    events = [
        mixed(1, [some(B, 10)], [some(C, 10)]),
        mixed(5, [some(A, 10)], [some(B, 10)]),
    ]
    assert C in trace(A, "forward", events).identifiers
    assert A in trace(C, "back", events).identifiers


def test_every_event_that_names_an_input_also_after_it_was_used() -> None:
    """As it is with feed whose delivery was typed in weeks later; what became of the rest is recorded of it too."""
    events = [
        made(0, A, 20),
        mixed(1, [some(A, 10)], [some(B, 10)]),
        gone(2, "retail_selling", some(A, 10), readPoint=MARKET),
        seen(3, "receiving", some(A, 20), where=STORE),
    ]
    assert numbers(trace(B, "back", events), events) == [0, 1, 2, 3]


def test_all_at_one_instant_is_in_no_order() -> None:
    events = [mixed(0, [some(B, 1)], [some(C, 1)]), mixed(0, [some(A, 1)], [some(B, 1)])]
    assert A in trace(C, "back", events).identifiers
    assert C in trace(A, "forward", events).identifiers


def test_what_comes_out_went_in_though_nobody_said_so() -> None:
    events = [
        seen(0, "shipping", unit(1), readPoint=PACKHOUSE),
        take_out(1, unit(1), where=STORE),
        made(2, A, 20),
        seen(3, "shipping", unit(1), readPoint=STORE),
        take_out(4, unit(1), some(A, 20), where=MARKET),
        seen(5, "storing", unit(1), where=STORE),
    ]
    assert numbers(trace(A, "back", events), events) == [2, 3, 4]
    assert numbers(trace(A, "forward", events), events) == [2, 3, 4]


def test_what_comes_out_together_went_in_though_only_one_packing_was_told() -> None:
    events = [
        put_in(0, unit(1), some(A, 20), where=PACKHOUSE),
        made(1, B, 20),
        seen(2, "shipping", unit(1), readPoint=PACKHOUSE),
        take_out(3, unit(1), some(A, 20), some(B, 20), where=MARKET),
    ]
    assert numbers(trace(B, "back", events), events) == [1, 2, 3]
    assert [(each.child, each.parent) for each in trace(B, "back", events).held] == [(B, unit(1))]


def test_a_kind_of_goods_without_a_lot_joins_nothing() -> None:
    kind = "https://id.gs1.org/01/09521234000303"
    events = [
        mixed(0, [some(A, 1)], [some(kind, 1)]),
        mixed(1, [some(kind, 1)], [some(B, 1)]),
        mixed(2, [some(kind, 1)], [some(C, 1)]),
    ]
    found = trace(B, "back", events)
    assert numbers(found, events) == [1]
    assert [(edge.source, edge.target) for edge in found.edges] == [(kind, B)]
    assert numbers(trace(kind, "back", events), events) == [0, 1, 2]


@pytest.mark.parametrize(
    "name",
    [
        MARKET,
        COOP,
        "https://suyuan.example/xj-coop/bt/invoice-7",
        "https://suyuan.example/xj-coop/obj/thermometer",
    ],
)
def test_a_place_a_party_a_document_or_a_device_has_the_events_that_name_it(name: str) -> None:
    reports = [{"type": "Temperature", "value": 4, "uom": "CEL"}]
    document = "https://suyuan.example/xj-coop/bt/invoice-7"
    device = "https://suyuan.example/xj-coop/obj/thermometer"
    events = [
        made(0, A, 20),
        seen(
            1,
            "receiving",
            some(A, 20),
            where=MARKET,
            **handed_over(GROWER, COOP),
            bizTransactionList=[{"type": "inv", "bizTransaction": document}],
            sensorElementList=[{"sensorMetadata": {"deviceID": device}, "sensorReport": reports}],
        ),
    ]
    for direction in ("back", "forward", "both"):
        assert numbers(trace(name, direction, events), events) == [1]


def test_a_transaction_about_a_pallet_is_in_its_history_and_that_of_what_it_holds() -> None:
    events = [
        made(0, A, 20),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        event(
            2,
            "TransactionEvent",
            bizStep="accepting",
            parentID=unit(1),
            quantityList=[some(B, 1)],
            bizTransactionList=[{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:5012345678900:1"}],
        ),
    ]
    assert numbers(trace(unit(1), "back", events), events) == [0, 1, 2]
    assert numbers(trace(A, "back", events), events) == [0, 1, 2]


def test_of_two_lots_on_a_pallet_only_the_one_that_is_asked_for() -> None:
    events = [
        made(0, A, 20),
        made(1, B, 20),
        put_in(2, unit(1), some(A, 20), some(B, 20), where=PACKHOUSE),
        seen(3, "storing", unit(1), where=STORE),
        take_out(4, unit(1), some(B, 20), where=MARKET),
        gone(5, "retail_selling", some(B, 20), readPoint=MARKET),
        seen(6, "storing", unit(1), where=STORE),
    ]
    assert numbers(trace(A, "back", events), events) == [0, 2, 3, 4, 6]
    assert numbers(trace(B, "both", events), events) == [1, 2, 3, 4, 5]
    assert numbers(trace(unit(1), "back", events), events) == [0, 1, 2, 3, 4, 5, 6]


def test_units_in_units_and_an_aggregation_that_was_only_seen() -> None:
    crate, pallet = "https://suyuan.example/xj-coop/obj/crate-1", unit(1)
    events = [
        made(0, A, 20),
        put_in(1, crate, some(A, 20), where=PACKHOUSE),
        put_in(2, pallet, crate, action="OBSERVE", where=STORE),
        seen(3, "departing", pallet, readPoint=STORE),
        take_out(4, pallet, where=MARKET),
        seen(5, "storing", pallet, where=STORE),
        seen(6, "storing", crate, where=MARKET),
    ]
    assert numbers(trace(A, "forward", events), events) == [0, 1, 2, 3, 4, 6]
    assert numbers(trace(pallet, "back", events), events) == [0, 1, 2, 3, 4, 5, 6]


def test_goods_that_come_back() -> None:
    events = [
        made(0, A, 20),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        seen(2, "shipping", unit(1), readPoint=PACKHOUSE),
        seen(3, "shipping", unit(1), readPoint=MARKET, disposition="returned"),
        take_out(4, unit(1), some(A, 20), where=PACKHOUSE),
        mixed(5, [some(A, 20)], [some(B, 20)], bizStep="repackaging"),
        put_in(6, unit(1), some(C, 5), where=PACKHOUSE),
        put_in(7, unit(2), some(B, 20), where=PACKHOUSE),
    ]
    assert numbers(trace(unit(2), "back", events), events) == [0, 1, 2, 3, 4, 5, 7]
    assert numbers(trace(A, "forward", events), events) == [0, 1, 2, 3, 4, 5, 7]


def test_cycles_end() -> None:
    events = [mixed(0, [some(A, 10)], [some(B, 10)]), mixed(1, [some(B, 10)], [some(A, 10)])]
    for direction in ("back", "forward", "both"):
        assert numbers(trace(A, direction, events), events) == [0, 1]


def test_a_device_is_named_but_not_followed() -> None:
    events = [
        made(0, A, 20),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        installed(2, unit(1)),
        installed(9, unit(2)),
    ]
    found = trace(A, "both", events)
    assert numbers(found, events) == [0, 1, 2]
    assert (LOGGER, unit(1), "installed") in {(edge.source, edge.target, edge.kind) for edge in found.edges}


def chain(length: int) -> list[RecordedEvent]:
    return [mixed(n, [some(lot(f"L{n}"), 1)], [some(lot(f"L{n + 1}"), 1)]) for n in range(length)]


def test_the_limits_say_that_there_is_more() -> None:
    events = chain(12)
    assert not trace(lot("L12"), "back", events).truncated
    shallow = trace(lot("L12"), "back", events, max_depth=3)
    assert (numbers(shallow, events), shallow.cut, shallow.ends) == ([8, 9, 10, 11], {"depth"}, (lot("L8"),))


def test_a_trace_that_is_cut_is_what_is_nearest_and_says_where_it_goes_on() -> None:
    events = chain(12)
    short = trace(lot("L6"), "both", events, max_events=5)
    assert numbers(short, events) == [3, 4, 5, 6, 7], (
        "the events that name it, then one run further, then what was first"
    )
    assert set(short.identifiers) == {lot(f"L{n}") for n in (3, 4, 5, 6, 7, 8)}
    assert (short.cut, short.ends) == ({"events"}, (lot("L3"), lot("L8")))
    further = trace(lot("L3"), "back", events)
    assert numbers(further, events) == [0, 1, 2, 3]


def test_nothing_is_lost_by_asking_deeper() -> None:
    """Unit 9 is one run behind A, through units in units, and three runs behind, which is fewer steps: what it is made of is two
    runs behind A whichever way is walked first."""
    events = [
        mixed(0, [some(lot("D"), 1)], [unit(9)]),
        put_in(1, unit(3), unit(9)),
        put_in(2, unit(2), unit(3)),
        put_in(3, unit(1), unit(2)),
        take_out(4, unit(3), unit(9)),
        mixed(5, [unit(9)], [some(C, 9)]),
        mixed(6, [some(C, 9)], [some(B, 9)]),
        mixed(7, [some(B, 9), unit(1)], [some(A, 9)]),
        made(-1, lot("D"), 1),
    ]
    found = [set(numbers(trace(A, "back", events, max_depth=depth), events)) for depth in range(5)]
    assert 8 in found[2] and all(less <= more for less, more in pairwise(found)), found


def test_an_unknown_identifier_has_no_events() -> None:
    assert trace(lot("nowhere"), "both", chain(2)).events == ()


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_any_order_of_arrival(order: tuple[int, ...]) -> None:
    events = [
        made(0, fruit("P01"), 80, "KGM"),
        mixed(1, [some(fruit("P01"), 80, "KGM")], [some(A, 40)]),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        seen(1, "storing", unit(1), where=STORE),
    ]
    assert trace(A, "both", [events[number] for number in order]) == trace(A, "both", events)


def test_what_is_on_a_pallet_goes_into_the_run_that_uses_the_pallet() -> None:
    a, b, x, pallet, outer = lot("A"), lot("B"), lot("X"), unit(1), unit(2)
    used = [
        made(1, a, 100),
        put_in(2, pallet, some(a, 100)),
        put_in(3, outer, pallet),
        mixed(4, [outer], [some(x, 90)]),
        seen(5, "storing", some(x, 90)),
    ]
    again = [made(6, b, 9), put_in(7, pallet, some(b, 9)), seen(8, "storing", pallet)]
    found = trace(a, "forward", [*used, *again])
    assert [item.event for item in found.events] == [item.event for item in used]
    assert [item.event for item in trace(x, "back", used).events] == [item.event for item in used]


def test_a_box_that_was_used_is_on_its_pallet_no_more() -> None:
    one, pallet = box("A", "0001"), unit(1)
    said = [
        event(1, "ObjectEvent", action="ADD", bizStep="commissioning", epcList=[one]),
        put_in(2, pallet, one),
        mixed(3, [one], [some(lot("X"), 9)]),
        seen(4, "storing", pallet),
    ]
    assert [item.event for item in trace(one, "forward", said).events] == [item.event for item in said[:3]]


def test_the_order_of_inputs_decides_nothing_where_a_clock_is_late() -> None:
    """D was used for one input before anything made it, so that all that made it count, and for the other after."""
    late = mixed(1, [some(lot("D"), 7)], [some(lot("F"), 7)])
    first = made(6, lot("D"), 53)
    then = mixed(10, [some(lot("D"), 1)], [some(lot("C"), 1)])
    later = mixed(36, [some(lot("A"), 2)], [some(lot("D"), 2)])
    for inputs in ([some(lot("F"), 3), some(lot("C"), 3)], [some(lot("C"), 3), some(lot("F"), 3)]):
        said = [late, first, then, mixed(20, inputs, [some(lot("X"), 6)]), later, made(0, lot("A"), 2)]
        assert lot("A") in trace(lot("X"), "back", said).identifiers


@pytest.mark.parametrize("loose", [0, 10])
def test_a_quantity_that_was_used_is_taken_off_no_pallet_and_what_it_became_is_not_there(loose: int) -> None:
    events = [
        made(0, A, 10 + loose),
        put_in(1, unit(1), some(A, 10), where=PACKHOUSE),
        mixed(2, [some(A, 10)], [some(B, 5)]),
        seen(3, "shipping", unit(1), where=STORE),
        seen(4, "receiving", unit(1), where=MARKET),
    ]
    assert numbers(trace(A, "back", events), events) == [0, 1, 2, 3, 4]
    assert numbers(trace(B, "back", events), events) == [0, 1, 2]
    assert numbers(trace(B, "forward", events), events) == [2]


def test_a_crate_that_a_run_used_has_all_its_events() -> None:
    events = [
        put_in(0, unit(1), some(C, 3)),
        take_out(1, unit(1), some(C, 3)),
        put_in(2, unit(1), some(A, 10)),
        mixed(3, [unit(1)], [some(B, 5)]),
        seen(4, "storing", unit(1), where=STORE),
    ]
    assert numbers(trace(B, "back", events), events) == [0, 1, 2, 3, 4]
