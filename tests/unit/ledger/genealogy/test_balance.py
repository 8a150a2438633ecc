"""What does not add up: each fraud is found by its kind with the events that show it, and its honest neighbours are not.

A false alarm about a grower costs more than a fraud that is found a day later.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.events import parse_document, parse_event
from ledger.genealogy import RecordedEvent, replay
from ledger.genealogy.balance import KINDS, Allowance, Balance, Imbalance, Rules, balance, is_cull, kilometres
from simulators.world import World
from tests.unit.ledger.genealogy.said import (
    GTIN,
    LINE,
    MARKET,
    OTHER_TRUCK,
    PLOT,
    SHOP,
    STALL,
    START,
    STATION,
    STORE,
    TRUCK,
    box,
    declared_wrong,
    event,
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
from tests.vectors import vector_path

NET = {f"https://id.gs1.org/01/{GTIN}": 2.0}
CULL = "https://suyuan.example/xj-coop/class/yangmei-cull.1"
A, B = lot("A"), lot("B")
# Xianju, Hangzhou (about 180 km), and a stall in the same market hall.
SPOTS = {
    STORE: (28.85, 120.73),
    LINE: (28.85, 120.73),
    MARKET: (30.35, 120.15),
    STALL: (30.35, 120.15),
    SHOP: (30.27, 120.16),
}
STRICT = Allowance(0.05, 0.0, None, 0.01)


def weighed(
    *events: RecordedEvent, allowance: Allowance = STRICT, net: dict[str, float] | None = None
) -> Balance:
    return balance(replay(events, NET if net is None else net), lambda _lot: allowance, Rules(), SPOTS)


def one(found: Balance) -> Imbalance:
    (imbalance,) = found.imbalances
    return imbalance


def names(*events: RecordedEvent) -> set[str | None]:
    return {each.event.event_id for each in events}


def shown(found: Imbalance) -> set[str | None]:
    return names(*found.events)


def run(inputs: float, boxes: float, cull: float | None, minute: int = 60, **said: Any) -> RecordedEvent:
    outputs = [some(A, boxes)] + ([some(CULL, cull, "KGM")] if cull is not None else [])
    return mixed(minute, [some(fruit("P01"), inputs, "KGM")], outputs, **said)


HARVEST = made(0, fruit("P01"), 100, "KGM", where=PLOT)


# --- outputs over inputs


def test_boxes_that_weigh_more_than_what_went_in() -> None:
    packing = run(100, 70, 4)
    found = one(weighed(HARVEST, packing))
    assert (found.kind, found.said, found.known, found.uom) == ("outputs_over_inputs", 144, 100, "KGM")
    assert found.severity == "high" and shown(found) == names(packing) and set(found.lots) == {A, CULL}
    assert found.figures["tolerance"] == 0.05


def test_a_correction_takes_it_back() -> None:
    wrong = run(100, 70, 4)
    assert weighed(HARVEST, wrong, declared_wrong(wrong, 90), run(100, 47, 4, 61)).imbalances == ()


def test_tolerance_and_moisture_are_the_products() -> None:
    packing = run(100, 52, 0)  # 104 kg: washed, or a scale's error
    assert weighed(HARVEST, packing, allowance=Allowance(0.05)).imbalances == ()
    assert one(weighed(HARVEST, packing, allowance=Allowance(0.02))).kind == "outputs_over_inputs"
    assert weighed(HARVEST, packing, allowance=Allowance(0.02, 0.03)).imbalances == ()


def test_more_than_the_products_yield() -> None:
    packing = run(100, 47, 4)
    found = one(weighed(HARVEST, packing, allowance=Allowance(0.02, yield_most=0.8)))
    assert (found.kind, found.said, found.known) == ("outputs_over_inputs", 94, 80)
    assert weighed(HARVEST, packing, allowance=Allowance(0.02, yield_most=0.95)).imbalances == ()


def test_an_open_run_is_judged_as_a_whole() -> None:
    """Each event alone has too many boxes or too much fruit."""
    name = {"transformationID": "https://suyuan.example/xj-coop/bt/run/1"}
    first = mixed(60, [some(fruit("P01"), 30, "KGM")], [some(A, 30)], **name)
    second = mixed(90, [some(fruit("P01"), 70, "KGM")], [some(A, 17), some(CULL, 4, "KGM")], **name)
    assert weighed(HARVEST, first, second).imbalances == ()
    third = mixed(95, [], [some(A, 40)], **name)
    found = one(weighed(HARVEST, first, second, third))
    assert found.kind == "outputs_over_inputs" and shown(found) == names(first, second, third)
    assert found.subject == name["transformationID"]


def test_what_is_not_known_is_no_flag() -> None:
    for odd in (
        run(100, 70, 4),  # and nobody knows what a box weighs
        mixed(60, [some(fruit("P01"))], [some(A, 70)]),
        mixed(60, [], [some(A, 70)], transformationID="urn:run:1"),
        mixed(60, [unit(9)], [some(A, 70)]),  # a pallet of which nobody said what is on it
    ):
        found = weighed(
            HARVEST, odd, net={} if odd.event.event_id == run(100, 70, 4).event.event_id else None
        )
        kinds = [each.kind for each in found.imbalances]
        assert "outputs_over_inputs" not in kinds and "outputs_over_inputs" in found.cannot[A], odd


def test_boxes_named_one_by_one_are_not_counted_twice() -> None:
    labelled = mixed(
        60,
        [some(fruit("P01"), 100, "KGM")],
        [some(A, 47), some(CULL, 4, "KGM"), *(box("A", f"{n:04d}") for n in range(47))],
    )
    assert weighed(HARVEST, labelled).imbalances == ()


# --- a run without cull


def test_a_run_in_which_nothing_was_sorted_out() -> None:
    packing = run(100, 50, None)
    found = one(weighed(HARVEST, packing))
    assert (found.kind, found.severity, shown(found)) == ("no_cull", "low", names(packing))
    assert found.figures["cull_least"] == 0.01


def test_no_cull_is_no_flag_where_it_is_weighed_lost_repacked_or_not_known_of_the_product() -> None:
    assert weighed(HARVEST, run(100, 49, 1.5)).imbalances == ()
    assert weighed(HARVEST, run(100, 50, 1)).imbalances == (), "a scale that errs by a kilogram"
    assert weighed(HARVEST, run(100, 49, None)).imbalances == (), (
        "what nobody wrote down is missing, not hidden"
    )
    assert weighed(HARVEST, run(100, 50, None, bizStep="repackaging")).imbalances == ()
    packed = run(100, 48, 4)
    split = mixed(90, [some(A, 48)], [some(B, 24), some(lot("C"), 24)])
    assert weighed(HARVEST, packed, split).imbalances == (), "a packed lot that is split was sorted before"
    unknown = weighed(HARVEST, run(100, 50, None), allowance=Allowance(0.05))
    assert unknown.imbalances == () and "no_cull" in unknown.cannot[A]


# --- moved before it was made


def test_a_lot_shipped_before_it_existed() -> None:
    early = put_in(0, unit(1), some(A, 20), where=STORE)
    birth = made(300, A, 40)
    found = one(weighed(early, birth))
    assert (found.kind, found.uom, found.said) == ("moved_before_made", "HUR", 5)
    assert shown(found) == names(early, birth) and found.lots == (A,)


def test_clocks_differ_by_minutes_and_news_come_late() -> None:
    late = made(30, A, 40)  # the packhouse's clock is half an hour behind the truck's
    assert weighed(put_in(0, unit(1), some(A, 20), where=STORE), late).imbalances == ()
    events = [
        made(0, A, 40),
        put_in(10, unit(1), some(A, 20)),
        seen(900, "receiving", some(A, 20), where=MARKET),
    ]
    assert weighed(*reversed(events)).imbalances == (), "told last, happened first"
    picked_again = event(
        400,
        "ObjectEvent",
        action="ADD",
        bizStep="creating_class_instance",
        quantityList=[some(fruit("P01"), 20, "KGM")],
        where=PLOT,
    )
    weigh_in = seen(30, "receiving", some(fruit("P01"), 100, "KGM"), where=STATION)
    assert weighed(HARVEST, weigh_in, picked_again).imbalances == ()


def test_a_lot_that_nobody_made_is_not_told_of() -> None:
    found = weighed(
        seen(0, "receiving", some(B, 20), where=MARKET), gone(60, "retail_selling", some(B, 20), where=STALL)
    )
    assert found.imbalances == () and {"moved_before_made", "more_than_made"} <= found.cannot[B]


# --- more than was made


def test_more_sold_than_made() -> None:
    birth = made(0, A, 40)
    sold = [gone(600 + n, "retail_selling", some(A, 15), where=STALL) for n in range(4)]
    found = one(weighed(birth, *sold))
    assert (found.kind, found.said, found.known, found.uom) == ("more_than_made", 60, 40, None)
    assert shown(found) == names(birth, *sold) and found.severity == "high"


def test_what_is_destroyed_and_used_counts_as_well() -> None:
    packing = run(90, 43, 2)
    destroyed = gone(200, "destroying", some(fruit("P01"), 60, "KGM"), where=STATION)
    found = one(weighed(HARVEST, packing, destroyed))
    assert (found.kind, found.said, found.known) == ("more_than_made", 150, 100)
    assert shown(found) == names(HARVEST, packing, destroyed)


def test_a_sample_a_return_and_a_retired_label_are_honest() -> None:
    birth = made(0, A, 40)
    sold = gone(600, "retail_selling", some(A, 40), where=STALL)
    sample = gone(300, "sampling", some(A, 0.5, "KGM"), where=MARKET)
    assert weighed(birth, sample, sold).imbalances == (), "a box that was sampled is sold all the same"
    back = seen(700, "receiving", some(A, 10), where=STALL, disposition="returned")
    again = gone(800, "retail_selling", some(A, 10), where=STALL)
    assert weighed(birth, sold, back, again).imbalances == ()
    retired = gone(900, "decommissioning", some(A, 40), where=STALL)
    assert weighed(birth, sold, retired).imbalances == ()


def test_a_box_scanned_twice_at_the_till_is_one_box() -> None:
    birth = made(0, A, 2)
    sold = [
        gone(600 + n, "retail_selling", box("A", f"{k:04d}"), where=STALL) for n, k in enumerate((1, 2, 1, 2))
    ]
    assert weighed(birth, *sold).imbalances == ()


def test_more_packed_than_made_into_units_that_all_travel() -> None:
    birth = made(0, A, 40)
    packings = [put_in(10 + n, unit(n), some(A, 20), where=LINE) for n in (1, 2, 3)]
    trips = [seen(100 + n, "departing", unit(n), readPoint=STORE) for n in (1, 2, 3)]
    found = one(weighed(birth, *packings, *trips))
    assert (found.kind, found.said, found.known) == ("more_than_made", 60, 40)
    assert shown(found) == names(birth, *packings, *trips)
    one_by_one = [seen(50 * n, "departing", unit(n), readPoint=STORE) for n in (1, 2, 3)]
    packings = [put_in(50 * n - 5, unit(n), some(A, 20), where=LINE) for n in (1, 2, 3)]
    taken_in = [seen(500 + n, "receiving", unit(n), where=MARKET) for n in (1, 2, 3)]
    assert weighed(birth, *packings, *one_by_one).imbalances == (), (
        "what came back may have been packed again"
    )
    assert shown(one(weighed(birth, *packings, *one_by_one, *taken_in))) == names(birth, *packings, *taken_in)


def test_more_named_boxes_packed_than_made() -> None:
    birth = made(0, A, 4)
    boxes = [box("A", f"{n:04d}") for n in range(8)]
    trips = [seen(100 + n, "departing", unit(n), readPoint=STORE) for n in (1, 2)]
    packings = put_in(10, unit(1), *boxes[:4], where=LINE), put_in(20, unit(2), *boxes[4:], where=LINE)
    assert one(weighed(birth, *packings, *trips)).said == 8
    again = put_in(10, unit(1), *boxes[:4], where=LINE), put_in(20, unit(2), *boxes[:4], where=LINE)
    assert weighed(birth, *again, *trips).imbalances == (), "a box is in one unit"


def test_repacked_and_split_goods_are_not_packed_twice() -> None:
    birth, packed = made(0, A, 40), [put_in(10 + n, unit(n), some(A, 20), where=LINE) for n in (1, 2)]
    out = [take_out(50 + n, unit(n), where=LINE) for n in (1, 2)]
    again = [put_in(60 + n, unit(n), some(A, 20), where=LINE) for n in (3, 4)]
    trips = [seen(100 + n, "departing", unit(n), readPoint=STORE) for n in (3, 4)]
    assert weighed(birth, *packed, *out, *again, *trips).imbalances == ()
    assert weighed(birth, *packed, *again, *trips).imbalances == (), "the unpacking was forgotten"
    stall = put_in(900, unit(5), some(A, 20), where=STALL, organisation="stall")
    back = seen(1000, "holding", unit(3), where=MARKET)
    assert weighed(birth, *packed, *out, *again, *trips, stall, back).imbalances == (), "who buys may repack"


def test_an_old_label_that_is_seen_again_has_nothing_in_it() -> None:
    """Two pallets were packed anew under other numbers, and nobody said that they were opened."""
    birth = made(0, A, 40)
    packed = [put_in(10 + n, unit(n), some(A, 20), where=LINE) for n in (1, 2)]
    again = [put_in(60 + n, unit(n), some(A, 20), where=LINE) for n in (3, 4)]
    trips = [seen(100 + n, "departing", unit(n), readPoint=STORE) for n in (3, 4)]
    moved = [birth, *packed, *again, *trips]
    assert weighed(*moved, seen(200, "storing", unit(1), where=STORE)).imbalances == ()
    assert weighed(*moved, *(take_out(200 + n, unit(n), where=LINE) for n in (1, 2))).imbalances == (), (
        "told late"
    )
    gate = [seen(300 + n, "receiving", unit(n), where=MARKET) for n in (1, 4)]
    assert weighed(*moved, *gate).imbalances == (), "the gate read the old label of the first"
    of_another = [made(0, B, 20), put_in(200, unit(1), some(B, 20), where=LINE), seen(250, "departing", unit(1), readPoint=STORE)]  # fmt: skip
    assert weighed(*moved, *of_another).imbalances == (), "the number was used again"
    both = [seen(300 + n, "receiving", unit(n), where=MARKET) for n in (1, 2, 3, 4)]
    assert one(weighed(*moved, *both)).said == 80, "but four pallets were taken in"


def test_a_unit_that_is_packed_anew_holds_what_was_put_in_last() -> None:
    birth = made(0, A, 40)
    packed = [put_in(10 + n, unit(n), some(A, 20), where=LINE) for n in (1, 2)]
    trips = [seen(100 + n, "shipping", unit(n), readPoint=STORE) for n in (1, 2)]
    same = [put_in(60 + n, unit(n), some(A, 20), where=LINE) for n in (1, 2)]
    assert weighed(birth, *packed, *same, *trips).imbalances == ()
    back = seen(300, "receiving", unit(1), where=STORE, disposition="returned")
    resold = [put_in(400, unit(1), some(A, 20), where=LINE)]
    resold += [seen(500 + n, "shipping", unit(n), readPoint=STORE) for n in (1, 2)]
    assert weighed(birth, *packed, *trips, back, *resold).imbalances == ()
    layers = [put_in(10 + n, unit(1 + n // 3), some(A, 10), where=LINE) for n in range(6)]
    assert one(weighed(birth, *layers, *trips)).said == 60, (
        "but one that is filled in layers holds all of them"
    )


def test_a_unit_that_was_sold_and_came_back_is_sold_again() -> None:
    birth = made(0, A, 40)
    packed = [put_in(10 + n, unit(n), some(A, 20), where=LINE) for n in (1, 2)]
    sold = [gone(500 + n, "retail_selling", unit(n), where=STALL) for n in (1, 2)]
    steps = "shipping", "receiving", "storing"
    ways = [seen(600 + n, step, unit(1), where=STALL, disposition="returned") for n, step in enumerate(steps)]
    again = gone(700, "retail_selling", some(A, 20), where=STALL)
    assert one(weighed(birth, *packed, *sold, again)).said == 60
    for told in ([ways[0]], [ways[1]], ways):
        assert weighed(birth, *packed, *sold, *told, again).imbalances == ()
    assert (
        weighed(birth, *packed, *sold, ways[1], gone(700, "retail_selling", unit(1), where=STALL)).imbalances
        == ()
    )
    more = gone(700, "retail_selling", some(A, 40), where=STALL)
    found = one(weighed(birth, *packed, *sold, *ways, more))
    assert (found.said, found.known) == (80, 60), "one return that is told three times is one"
    boxes = [box("A", f"{n:04d}") for n in range(40)]
    each = [gone(500, "retail_selling", *boxes, where=STALL), seen(600, "receiving", *boxes[:9], where=STALL, disposition="returned")]  # fmt: skip
    assert weighed(birth, *each, gone(700, "retail_selling", *boxes[:9], where=STALL)).imbalances == ()


def test_a_lot_on_three_trucks_is_one_lot() -> None:
    birth = made(0, A, 60)
    events = [birth]
    for n, truck in enumerate((TRUCK, OTHER_TRUCK, TRUCK + ".REAR"), 1):
        events += [
            put_in(10 + n, unit(n), some(A, 20), where=LINE),
            put_in(60 + n, truck, unit(n), step="loading", readPoint=STORE),
            seen(500 + n, "accepting", unit(n), where=MARKET if n < 3 else SHOP),
            gone(900 + n, "retail_selling", some(A, 20), where=SHOP),
        ]
    assert weighed(*events).imbalances == ()


# --- in two places


def test_one_pallet_in_two_towns() -> None:
    events = [made(0, A, 40), put_in(10, unit(1), some(A, 20), where=LINE)]
    here, there = seen(600, "storing", unit(1), where=STORE), seen(615, "receiving", unit(1), where=MARKET)
    found = one(weighed(*events, here, there))
    assert (found.kind, found.subject, found.lots) == ("two_places", unit(1), (A,))
    assert (
        shown(found) == names(here, there)
        and found.figures["minutes"] == 15
        and 160 < found.figures["km"] < 190
    )
    assert found.places == (STORE, MARKET)


def test_one_lot_whole_in_two_towns() -> None:
    birth = made(0, A, 40)
    here, there = (
        seen(600, "receiving", some(A, 40), where=STORE),
        seen(610, "receiving", some(A, 40), where=MARKET),
    )
    assert one(weighed(birth, here, there)).kind == "two_places"
    parts = (
        seen(600, "receiving", some(A, 20), where=STORE),
        seen(610, "receiving", some(A, 20), where=MARKET),
    )
    assert weighed(birth, *parts).imbalances == ()


def test_a_drive_that_is_possible_and_a_place_that_nobody_knows() -> None:
    events = [made(0, A, 40), put_in(10, unit(1), some(A, 20), where=LINE)]
    drive = seen(600, "departing", unit(1), readPoint=STORE), seen(720, "arriving", unit(1), where=MARKET)
    assert weighed(*events, *drive).imbalances == ()
    clocks = seen(600, "departing", unit(1), readPoint=STORE), seen(690, "arriving", unit(1), where=MARKET)
    assert weighed(*events, *clocks).imbalances == (), "ninety minutes on two clocks"
    assert (
        weighed(
            *events, seen(600, "storing", unit(1), where=STORE), seen(601, "storing", unit(1), where=STATION)
        ).imbalances
        == ()
    )
    unknown = weighed(
        made(0, A, 40),
        seen(600, "receiving", some(A, 40), where=STATION),
        seen(601, "receiving", some(A, 40), where=STORE),
    )
    assert unknown.imbalances == () and "two_places" in unknown.cannot[A]


# --- all together


def test_the_whole_bayberry_lot_adds_up_also_wrongly_ordered() -> None:
    document = json.loads(vector_path("own/yangmei-lot.jsonld").read_text(encoding="utf-8"))
    events = [RecordedEvent(at, "xj-coop", each) for at, each in enumerate(parse_document(document).events)]
    for seed in range(3):
        Random(seed).shuffle(events)
        assert weighed(*events).imbalances == ()


FRAUDS = (
    HARVEST,
    run(100, 70, 4),
    put_in(-600, unit(1), some(A, 20), where=LINE),
    *(gone(600 + n, "retail_selling", some(A, 40), where=STALL) for n in range(2)),
    seen(700, "storing", unit(1), where=STORE),
    seen(705, "receiving", unit(1), where=MARKET, **handed_over("urn:a", "urn:b")),
)


@given(st.permutations(FRAUDS))
def test_any_order_of_arrival_gives_the_same(events: list[RecordedEvent]) -> None:
    found = weighed(*events)
    assert [each.kind for each in found.imbalances] == [
        "more_than_made",
        "moved_before_made",
        "outputs_over_inputs",
        "two_places",
    ]
    assert found == weighed(*FRAUDS)


@given(
    harvest=st.floats(1, 500),
    taken=st.floats(0, 1),
    boxes=st.integers(1, 250),
    sales=st.lists(st.integers(1, 60), max_size=8),
)
def test_mass_never_appears(harvest: float, taken: float, boxes: int, sales: list[int]) -> None:
    """Whoever takes out more than went in, anywhere, is found; whoever does not is not."""
    picked = made(0, fruit("P01"), harvest, "KGM", where=PLOT)
    packed = mixed(60, [some(fruit("P01"), harvest * taken, "KGM")], [some(A, boxes)])
    sold = [
        gone(600 + n, "retail_selling", some(A, quantity), where=STALL) for n, quantity in enumerate(sales)
    ]
    found = {each.kind for each in weighed(picked, packed, *sold, allowance=Allowance(0.05)).imbalances}
    expected = set()
    if boxes * 2 > harvest * taken * 1.05 + 1e-6:
        expected.add("outputs_over_inputs")
    if sum(sales) > boxes * 1.05 + 1e-6:
        expected.add("more_than_made")
    assert found == expected


def test_cull_is_known_by_its_class_and_distances_are_kilometres() -> None:
    assert is_cull(CULL) and not is_cull(A) and not is_cull(fruit("P01"))
    assert 155 < kilometres((30.27, 120.16), (31.23, 121.47)) < 175  # Hangzhou to Shanghai


SEED = 20260618


def simulated(seed: int = SEED) -> list[dict[str, Any]]:
    """The events of a simulated world, from harvest to shop."""
    world = World(seed, START)
    sent = [
        json.loads(each.payload)
        for each in world.messages(START + timedelta(hours=30))
        if each.kind == "events"
    ]
    return [
        event
        for said in sent
        for event in (said["epcisBody"]["eventList"] if said["type"] == "EPCISDocument" else [said])
    ]


def judged_world(events: list[dict[str, Any]]) -> Balance:
    document = World(20260618, START).registry()
    spots = {
        each["id"]: (each["lat"], each["lon"]) for each in document["places"] if each.get("lat") is not None
    }
    recorded = [RecordedEvent(at, "xj-coop", parse_event(each)) for at, each in enumerate(events)]
    return balance(replay(recorded, NET), lambda _lot: STRICT, Rules(), spots)


def test_a_simulated_world_with_one_fraud_of_each_kind_has_just_those() -> None:
    events = simulated()
    assert judged_world(events).imbalances == ()

    (run_of,) = (each for each in events if each["type"] == "TransformationEvent")
    harvest = next(each for each in events if each.get("action") == "ADD" and each["type"] == "ObjectEvent")
    packing = next(
        each for each in events if each["type"] == "AggregationEvent" and each["bizStep"] == "packing"
    )
    accepted = next(
        each
        for each in events
        if each.get("bizStep") == "accepting" and packing["parentID"] in each.get("epcList", ())
    )
    lots = [each["epcClass"] for each in run_of["outputQuantityList"] if "uom" not in each]
    own = {"type": "ObjectEvent", "eventTimeZoneOffset": "+08:00"}
    store = {"readPoint": packing["readPoint"], "bizLocation": packing["bizLocation"]}

    def planted(name: str, when: str, **said: Any) -> dict[str, Any]:
        return own | {"eventID": f"urn:fraud:{name}", "eventTime": when, **said}

    fat = dict(
        run_of,
        outputQuantityList=[
            each | {"quantity": round(each["quantity"] * 1.2)} for each in run_of["outputQuantityList"]
        ],
    )
    early = (datetime.fromisoformat(harvest["eventTime"]) - timedelta(hours=9)).isoformat()
    frauds = [
        planted("early", early, action="OBSERVE", bizStep="receiving", quantityList=harvest["quantityList"], **store),
        planted("sold", accepted["eventTime"], action="DELETE", bizStep="retail_selling", quantityList=[{"epcClass": lots[1], "quantity": 9999}]),
        planted("clone", accepted["eventTime"], action="OBSERVE", bizStep="storing", epcList=[packing["parentID"]], **store),
        planted("picked", harvest["eventTime"], action="ADD", bizStep="commissioning", quantityList=[some(fruit("X"), 100, "KGM")]),
        planted("uncut", run_of["eventTime"], bizStep="commissioning", inputQuantityList=[some(fruit("X"), 100, "KGM")],
                outputQuantityList=[some(lot("X"), 50)]) | {"type": "TransformationEvent"},
    ]  # fmt: skip
    found = judged_world([fat if each is run_of else each for each in events] + frauds)
    assert {each.kind: each for each in found.imbalances}.keys() == set(KINDS) and len(
        found.imbalances
    ) == len(KINDS)
    for kind, name in (
        ("moved_before_made", "early"),
        ("more_than_made", "sold"),
        ("two_places", "clone"),
        ("no_cull", "uncut"),
    ):
        (one_of,) = (each for each in found.imbalances if each.kind == kind)
        assert f"urn:fraud:{name}" in shown(one_of), kind


def test_a_simulated_packhouse_that_labels_pallets_anew_adds_up_until_both_are_taken_in() -> None:
    """Three pallets get new numbers, their opening is not told, and their old labels are seen in the store."""
    events = simulated(7)
    packings = [
        each for each in events if each["type"] == "AggregationEvent" and each["bizStep"] == "packing"
    ][:3]
    numbers = {old["parentID"] for old in packings}
    accepted = [each for each in events if each.get("bizStep") == "accepting"]
    taken_in = [each for each in accepted if each["epcList"][0] in numbers]
    anew, old_labels, clones = [], [], []
    for number, old in enumerate(packings):
        own = {
            "eventID": f"urn:anew:{number}",
            "parentID": unit(8000 + number),
            "eventTime": minutes_after(old, 1),
        }
        anew.append({name: said for name, said in old.items() if name != "suyuan:labelRange"} | own)
        place = {name: old[name] for name in ("readPoint", "bizLocation")}
        old_labels.append(anew[-1] | place | {"type": "ObjectEvent", "action": "OBSERVE", "bizStep": "storing", "epcList": [old["parentID"]],
                                              "eventID": f"urn:old:{number}", "eventTime": minutes_after(old, 200)})  # fmt: skip
        for name in ("parentID", "childQuantityList"):
            old_labels[-1].pop(name)
    for number, real in enumerate(taken_in):
        clones.append(real | {"eventID": f"urn:clone:{number}", "epcList": [unit(8000 + number)]})
    assert len(taken_in) == 3 and judged_world(events + anew + old_labels).imbalances == ()
    found = one(judged_world(events + anew + old_labels + clones))
    assert found.kind == "more_than_made" and shown(found) >= {each["eventID"] for each in (*anew, *clones)}


def minutes_after(said: dict[str, Any], minutes: int) -> str:
    return (datetime.fromisoformat(said["eventTime"]) + timedelta(minutes=minutes)).isoformat()
