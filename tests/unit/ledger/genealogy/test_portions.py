from __future__ import annotations

import pytest

from ledger.genealogy import Portion, RecordedEvent, portions, replay
from tests.unit.ledger.genealogy.said import (
    CARRIER,
    COOP,
    DOCK,
    GROWER,
    LINE,
    MARKET,
    PACKHOUSE,
    PLOT,
    SHOP,
    STALL,
    STATION,
    STORE,
    TRUCK,
    YARD,
    at,
    box,
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


def amounts(found: list[Portion]) -> list[tuple[float | None, str | None, str | None]]:
    return [(each.quantity, each.unit, each.place) for each in found if each.ending is None]


def test_a_lot_is_legitimately_on_two_trucks() -> None:
    other = "https://id.gs1.org/8004/95212340TRAILER07"
    events = [
        made(0, A, 96),
        put_in(1, unit(1), some(A, 48), where=PACKHOUSE),
        put_in(2, unit(2), some(A, 48), where=PACKHOUSE),
        put_in(3, TRUCK, unit(1), step="loading", readPoint=PACKHOUSE),
        put_in(4, other, unit(2), step="loading", readPoint=PACKHOUSE),
    ]
    inside = {
        each.unit: [span.value for span in each.containers if span.end_ms is None]
        for each in portions(A, events)
    }
    assert inside == {unit(1): [unit(1), TRUCK], unit(2): [unit(2), other]}


def test_what_is_not_packed_stays_loose() -> None:
    found = portions(A, [made(0, A, 100), put_in(1, unit(1), some(A, 48), where=LINE)])
    assert amounts(found) == [(52, None, PACKHOUSE), (48, unit(1), LINE)]


def test_later_picks_join_the_lot_while_it_lies_where_it_was_picked() -> None:
    name = fruit("P01")
    events = [made(0, name, 86.5, "KGM", PLOT), made(9, name, 41, "KGM", PLOT)]
    assert [(each.quantity, each.uom) for each in portions(name, events)] == [(127.5, "KGM")]


def test_a_containers_own_movement_moves_everything_inside() -> None:
    events = [
        made(0, A, 48),
        put_in(1, unit(1), some(A, 48), where=PACKHOUSE),
        put_in(2, unit(2), unit(1), where=PACKHOUSE),
        seen(3, "storing", unit(2), where=STORE),
    ]
    assert amounts(portions(A, events)) == [(48, unit(1), STORE)]


def test_goods_move_along_when_others_are_packed_onto_their_pallet_elsewhere() -> None:
    events = [
        made(0, A, 48),
        put_in(1, unit(1), some(A, 48), where=PACKHOUSE),
        made(2, lot("B"), 10, where=STORE),
        put_in(3, unit(1), some(lot("B"), 10), where=STORE),
    ]
    (found,) = portions(A, events)
    assert [(each.value, each.start_ms) for each in found.places] == [(PACKHOUSE, at(0)), (STORE, at(3))]


def test_a_lot_named_twice_in_one_list_is_so_much_of_it_together() -> None:
    events = [made(0, A, 48), seen(1, "storing", some(A, 20), some(A, 5), where=STORE)]
    assert amounts(portions(A, events)) == [(23, None, PACKHOUSE), (25, None, STORE)]


def test_a_unit_and_a_quantity_in_one_event_are_different_goods() -> None:
    events = [
        made(0, A, 48),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        seen(2, "storing", unit(1), some(A, 28), where=STORE),
    ]
    assert amounts(portions(A, events)) == [(28, None, STORE), (20, unit(1), STORE)]


def test_what_is_made_from_goods_of_one_holder_is_his() -> None:
    name = fruit("P01")
    events = [
        made(0, name, 50, "KGM", PLOT),
        seen(1, "receiving", some(name, 50, "KGM"), where=STATION, **handed_over(GROWER, COOP)),
        mixed(2, [some(name, 50, "KGM")], [some(A, 25)]),
    ]
    assert [each.holder for each in portions(A, events)] == [COOP]


def test_a_compartment_moves_with_its_trailer() -> None:
    events = [
        made(0, A, 48),
        put_in(1, unit(1), some(A, 48), where=PACKHOUSE),
        put_in(2, f"{TRUCK}.REAR", unit(1), step="loading", readPoint=PACKHOUSE),
        seen(3, "arriving", TRUCK, where=YARD),
    ]
    (found,) = portions(A, events)
    assert (found.place, found.stage) == (YARD, "arrived")
    assert [each.value for each in found.containers] == [unit(1), f"{TRUCK}.REAR"]


def test_a_truck_that_comes_back_does_not_bring_the_yard_along() -> None:
    events = [
        seen(0, "arriving", TRUCK, where=YARD),
        made(1, A, 48),
        put_in(2, unit(1), some(A, 48), where=PACKHOUSE),
        put_in(3, TRUCK, unit(1), step="loading", readPoint=PACKHOUSE),
    ]
    assert amounts(portions(A, events)) == [(48, unit(1), None)]


def test_between_two_trucks_goods_are_on_the_dock_where_they_were_seen() -> None:
    events = [
        made(0, A, 48),
        put_in(1, unit(1), some(A, 48), where=PACKHOUSE),
        put_in(2, TRUCK, unit(1), step="loading", readPoint=PACKHOUSE),
        take_out(3, TRUCK, unit(1), step="unloading", readPoint=DOCK),
        put_in(5, f"{TRUCK}.2", unit(1), step="loading", readPoint=DOCK),
    ]
    (found,) = portions(A, events)
    assert [(each.kind, each.start_ms, each.end_ms) for each in found.stays if each.place == DOCK] == [
        ("read_point", at(3), at(5))
    ]


def test_a_receipt_by_the_shop_is_out_of_the_truck_even_if_no_unloading_was_told() -> None:
    events = [
        made(0, A, 48),
        put_in(1, unit(1), some(A, 48), where=PACKHOUSE),
        put_in(2, TRUCK, unit(1), step="loading", readPoint=PACKHOUSE),
        seen(3, "receiving", unit(1), where=SHOP, disposition="sellable_accessible"),
    ]
    (found,) = portions(A, events)
    assert [span.value for span in found.containers if span.end_ms is None] == [unit(1)]
    assert (found.place, found.stage) == (SHOP, "shelf")


def test_boxes_from_a_split_unit_keep_its_history_and_none_of_its_future() -> None:
    events = [
        made(0, A, 48),
        put_in(1, unit(1), some(A, 48), where=PACKHOUSE),
        seen(2, "storing", unit(1), where=STORE),
        take_out(3, unit(1), some(A, 12), where=STORE),
        put_in(4, unit(2), some(A, 12), where=STORE),
        seen(5, "storing", unit(1), where=MARKET),
    ]
    rest, split = portions(A, events)
    assert (split.quantity, split.came_from, split.split_ms) == (12, rest.name, at(3))
    assert [(each.value, each.start_ms, each.end_ms) for each in split.containers] == [
        (unit(1), at(1), at(3)),
        (unit(2), at(4), None),
    ]
    assert [each.value for each in split.places] == [PACKHOUSE, STORE]
    assert [each.value for each in rest.places] == [PACKHOUSE, STORE, MARKET]


def test_kilograms_and_boxes_are_bridged_by_the_net_content() -> None:
    run = mixed(0, [some(fruit("P01"), 100, "KGM")], [some(A, 40)], ilmd={"suyuan:netWeightPerUnitKg": "2.5"})
    found = portions(A, [run, gone(1, "sampling", some(A, 0.5, "KGM"), readPoint=PACKHOUSE)])
    assert [(each.quantity, each.ending) for each in found] == [(39.8, None), (0.2, "sampling")]


def test_the_net_content_of_the_product_serves_where_the_event_gives_none() -> None:
    events = [made(0, A, 40), gone(1, "sampling", some(A, 500, "GRM"), readPoint=PACKHOUSE)]
    found = portions(A, events, {"https://id.gs1.org/01/09521234000204": 2.0})
    assert [each.quantity for each in found] == [39.75, 0.25]


def test_without_a_net_content_nothing_is_guessed() -> None:
    found = replay([made(0, A, 40), gone(1, "sampling", some(A, 0.5, "KGM"), readPoint=PACKHOUSE)])
    assert [each.quantity for each in found.portions(A)] == [40]
    assert [each.kind for each in found.discrepancies] == ["unit_without_net_content"]


def test_more_than_was_made_is_flagged_and_never_appears() -> None:
    found = replay([made(0, A, 40), put_in(1, unit(1), some(A, 48), where=PACKHOUSE)])
    assert [each.quantity for each in found.portions(A)] == [40]
    assert [(each.kind, each.said, each.known) for each in found.discrepancies] == [
        ("more_than_known", 48, 40)
    ]


def test_a_lot_that_nobody_made_exists_as_far_as_it_was_seen_and_says_so() -> None:
    (found,) = portions(A, [seen(0, "receiving", some(A, 30), where=MARKET)])
    assert (found.quantity, found.place, found.found) == (30, MARKET, True)


def test_a_packing_before_the_making_by_a_slow_clock_keeps_the_pallet() -> None:
    events = [put_in(0, unit(1), some(A, 48), where=PACKHOUSE), made(3, A, 100)]
    found = portions(A, events)
    assert sorted((each.quantity or 0, each.unit) for each in found) == [(48, unit(1)), (52, None)]


def test_an_open_run_is_one_mixing_over_all_its_events() -> None:
    run = "https://suyuan.example/xj-coop/bt/run/1"
    events = [
        mixed(0, [some(fruit("P01"), 60, "KGM")], [], transformationID=run),
        mixed(5, [], [some(A, 20)], transformationID=run, bizStep="creating_class_instance"),
        mixed(
            9,
            [some(fruit("P02"), 40, "KGM")],
            [some(A, 30)],
            transformationID=run,
            bizStep="creating_class_instance",
        ),
    ]
    (found,) = portions(A, events)
    assert found.quantity == 50
    assert [(each.lot, each.quantity, each.share) for each in found.inputs] == [
        (fruit("P01"), 60, 0.6),
        (fruit("P02"), 40, 0.4),
    ]


def test_a_unit_that_is_transformed_brings_what_is_inside() -> None:
    events = [
        made(0, A, 48),
        put_in(1, unit(1), some(A, 48), where=PACKHOUSE),
        mixed(2, [unit(1)], [some(lot("B"), 48)], bizStep="repackaging"),
    ]
    assert [each.ending for each in portions(A, events)] == ["transformed"]
    (found,) = portions(lot("B"), events)
    assert [(each.lot, each.quantity) for each in found.inputs] == [(A, 48)]


def test_repacking_at_the_stall_leaves_goods_at_the_stall() -> None:
    events = [
        made(0, A, 48),
        seen(1, "accepting", some(A, 48), where=STALL),
        mixed(2, [some(A, 48)], [some(lot("B"), 96)], bizStep="repackaging", where=STALL),
    ]
    assert [each.stage for each in portions(lot("B"), events)] == ["stall"]


def test_stages_from_the_field_to_the_shelf() -> None:
    name = fruit("P01")
    events = [
        made(0, name, 50, "KGM", PLOT),
        seen(1, "receiving", some(name, 50, "KGM"), where=STATION, **handed_over(GROWER, COOP)),
        seen(2, "storing", some(name, 50, "KGM"), where=STORE, **{"suyuan:activity": "precooling_start"}),
        seen(3, "storing", some(name, 50, "KGM"), where=STORE, **{"suyuan:activity": "precooling_end"}),
        put_in(4, unit(1), some(name, 50, "KGM"), where=STORE),
        put_in(5, TRUCK, unit(1), step="loading", readPoint=STORE, **handed_over(COOP, CARRIER)),
        seen(6, "accepting", TRUCK, readPoint=DOCK, disposition="in_transit"),
        seen(7, "arriving", TRUCK, where=YARD),
        take_out(8, TRUCK, unit(1), step="unloading", where=MARKET),
        seen(9, "accepting", unit(1), where=STALL, disposition="sellable_not_accessible"),
        seen(10, "receiving", unit(1), where=SHOP, disposition="sellable_accessible"),
    ]
    (found,) = portions(name, events)
    assert [(each.value, each.start_ms) for each in found.stages] == [
        ("field", at(0)),
        ("collected", at(1)),
        ("precooling", at(2)),
        ("cold", at(3)),
        ("loaded", at(5)),
        ("arrived", at(7)),
        ("stall", at(9)),
        ("shelf", at(10)),
    ]
    assert [(each.value, each.start_ms, each.end_ms) for each in found.holders] == [
        (GROWER, at(0), at(1)),
        (COOP, at(1), at(5)),
        (CARRIER, at(5), None),
    ]


def test_fruit_that_was_never_cooled_is_under_the_limit_of_the_truck_once_it_is_sent_out() -> None:
    name = fruit("P01")
    events = [
        made(0, name, 50, "KGM", PLOT),
        seen(1, "receiving", some(name, 50, "KGM"), where=STATION),
        put_in(2, TRUCK, some(name, 50, "KGM"), step="loading", readPoint=STATION),
    ]
    assert [each.stage for each in portions(name, events)] == ["loaded"]


def test_warm_fruit_on_the_way_to_the_station_is_under_no_cold_limit() -> None:
    name = fruit("P01")
    events = [
        made(0, name, 50, "KGM", PLOT),
        put_in(1, unit(1), some(name, 50, "KGM"), where=PLOT),
        put_in(2, TRUCK, unit(1), step="loading", readPoint=PLOT),
        seen(3, "arriving", unit(1), where=STATION),
    ]
    assert [each.stage for each in portions(name, events)] == ["field"]


def test_sold_out_of_the_unit_at_that_place() -> None:
    events = [
        made(0, A, 48),
        put_in(1, unit(1), some(A, 6), where=PACKHOUSE),
        seen(2, "receiving", unit(1), where=SHOP, disposition="sellable_accessible"),
        gone(3, "retail_selling", some(A, 5), readPoint=f"{SHOP}/254/POS1"),
    ]
    found = portions(A, events)
    assert [(each.quantity, each.place, each.ending) for each in found] == [
        (42, PACKHOUSE, None),
        (1, SHOP, None),
        (5, SHOP, "retail_selling"),
    ]


def test_destroyed_under_the_recall_are_the_goods_that_the_recall_named() -> None:
    recall = {"bizTransactionList": [{"type": "rma", "bizTransaction": "https://suyuan.example/recall/1"}]}
    events = [
        made(0, A, 60),
        put_in(1, unit(1), some(A, 30), where=PACKHOUSE),
        seen(2, "storing", unit(1), where=STALL),
        seen(3, "holding", some(A, 30), where=STALL, persistentDisposition={"set": ["recalled"]}, **recall),
        gone(4, "destroying", some(A, 29), readPoint=MARKET, **recall),
    ]
    found = portions(A, events)
    assert [(each.quantity, each.ending) for each in found] == [(30, None), (1, None), (29, "destroying")]
    assert found[2].marks == {"recalled"}


def test_a_wrong_count_fetches_nothing_from_elsewhere() -> None:
    events = [
        made(0, A, 60),
        put_in(1, unit(1), some(A, 30), where=PACKHOUSE),
        seen(2, "storing", unit(1), where=STALL),
    ]
    found = replay([*events, seen(3, "holding", some(A, 31), where=STALL)])
    assert amounts(found.portions(A)) == [(30, None, PACKHOUSE), (30, unit(1), STALL)]
    assert [(each.said, each.known) for each in found.discrepancies] == [(31, 30)]


def test_a_choice_that_the_events_leave_open_is_admitted() -> None:
    events = [
        made(0, A, 60),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        put_in(2, unit(2), some(A, 20), where=PACKHOUSE),
        seen(3, "storing", unit(1), where=STORE),
        seen(3, "storing", unit(2), where=STORE),
        gone(5, "sampling", some(A, 1), readPoint=STORE),
    ]
    taken = next(each for each in portions(A, events) if each.ending)
    assert len(taken.alternatives) == 1
    assert taken.alternatives[0] != taken.came_from


@pytest.mark.parametrize(("step", "ending"), [("destroying", "destroying"), ("decommissioning", None)])
def test_a_destroyed_unit_ends_its_goods_and_a_retired_label_does_not(step: str, ending: str | None) -> None:
    events = [
        made(0, A, 20),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        gone(2, step, unit(1), where=PACKHOUSE),
    ]
    assert [each.ending for each in portions(A, events)] == [ending]


def test_no_children_at_all_empties_the_unit() -> None:
    events = [
        made(0, A, 20),
        put_in(1, unit(1), some(A, 20), where=PACKHOUSE),
        put_in(2, TRUCK, unit(1), step="loading"),
        take_out(3, TRUCK, step="unloading", where=MARKET),
        take_out(4, unit(1), where=MARKET),
    ]
    assert amounts(portions(A, events)) == [(20, None, MARKET)]


def test_a_thing_cannot_contain_itself() -> None:
    events = [
        put_in(1, unit(1), unit(2)),
        put_in(2, unit(2), unit(1)),
        seen(3, "storing", unit(2), where=STORE),
    ]
    assert [each.kind for each in replay(events).discrepancies] == ["contains_itself"]


def test_an_observed_aggregation_adds_nothing_that_is_inside_already() -> None:
    events = [
        made(0, A, 60),
        put_in(1, unit(1), some(A, 48), where=PACKHOUSE),
        put_in(2, unit(1), some(A, 48), action="OBSERVE", step="inspecting", where=PACKHOUSE),
    ]
    assert [each.quantity for each in portions(A, events)] == [12, 48]


# --- boxes


def labelled(minute: int, number: int, first: int, last: int) -> RecordedEvent:
    labels = (f"{first:04}", f"{last:04}")
    return put_in(minute, unit(number), some(A, last - first + 1), where=PACKHOUSE, labels=labels)


def test_a_box_answers_with_the_portion_of_its_label() -> None:
    found = replay([made(0, A, 96), labelled(1, 1, 1, 48), labelled(2, 2, 49, 96)])
    assert [each.unit for each in found.portions_answering(box("A", "0050"))] == [unit(2)]
    assert [each.quantity for each in found.portions_answering(unit(1))] == [48]
    assert found.portions_answering(box("A", "0999")) == []


def test_after_a_split_a_box_answers_with_every_portion_it_may_be_in() -> None:
    events = [
        made(0, A, 96),
        labelled(1, 1, 1, 48),
        labelled(2, 2, 49, 96),
        take_out(3, unit(1), some(A, 12), where=STORE),
    ]
    found = replay(events).portions_answering(box("A", "0007"))
    assert sorted(each.quantity or 0 for each in found) == [12, 36]


def test_boxes_named_one_by_one_take_themselves_along() -> None:
    events = [
        made(0, A, 96),
        labelled(1, 1, 1, 48),
        take_out(2, unit(1), box("A", "0003"), box("A", "0004"), where=STORE),
        put_in(3, unit(9), box("A", "0004"), where=STORE),
    ]
    found = replay(events)
    assert [(each.quantity, each.unit) for each in found.portions_answering(box("A", "0004"))] == [
        (1, unit(9))
    ]
    assert [(each.quantity, each.unit) for each in found.portions_answering(box("A", "0003"))] == [(1, None)]
    assert sum(each.quantity or 0 for each in found.portions(A)) == 96


def test_serial_labels_of_a_counted_lot_add_no_boxes() -> None:
    labels = seen(1, "commissioning", box("A", "0001"), box("A", "0002"), action="ADD", where=PACKHOUSE)
    assert [each.quantity for each in portions(A, [made(0, A, 2), labels])] == [2]


def test_a_lot_made_box_by_box() -> None:
    events = [
        seen(0, "commissioning", box("A", "0001"), box("A", "0002"), action="ADD", where=PACKHOUSE),
        gone(1, "retail_selling", box("A", "0002"), readPoint=SHOP),
    ]
    found = portions(A, events)
    assert [(each.quantity, each.ending, sorted(each.boxes)) for each in found] == [
        (1, None, [box("A", "0001")]),
        (1, "retail_selling", [box("A", "0002")]),
    ]
