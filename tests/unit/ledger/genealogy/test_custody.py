"""Who took what in, as those say who had it. `by(...)` puts an event into an organisation's mouth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ledger.genealogy import RecordedEvent, Registered, Taking, replay, takings
from tests.unit.ledger.genealogy.said import (
    CARRIER,
    COOP,
    GROWER,
    MARKET,
    PACKHOUSE,
    PLOT,
    SHOP,
    STALL,
    STORE,
    TRUCK,
    YARD,
    at,
    declared_wrong,
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

A, PICKED = lot("A"), fruit("P01")
SHOP_PARTY, STALL_PARTY = "https://id.gs1.org/417/9521234004004", "https://id.gs1.org/417/9521234003108"
REGISTERED = Registered(
    parties={COOP: "coop", CARRIER: "carrier", GROWER: "grower", STALL_PARTY: "stall", SHOP_PARTY: "shop"},
    places={PACKHOUSE: "coop", STORE: "coop", YARD: "market", MARKET: "market", SHOP: "shop", STALL: "stall"},
)


def by(organisation: str, *events: RecordedEvent) -> list[RecordedEvent]:
    return [replace(event, organisation=organisation) for event in events]


def to(party: str, kind: str = "owning_party") -> dict[str, Any]:
    return {"destinationList": [{"type": kind, "destination": party}]}


def taken(*events: list[RecordedEvent]) -> list[Taking]:
    return takings(replay([event for some in events for event in some]), REGISTERED)


def who(*events: list[RecordedEvent]) -> set[tuple[str, int | None]]:
    return {(taking.organisation, taking.depth) for taking in taken(*events)}


def steps(taking: Taking) -> list[str]:
    return [f"{event.organisation} {event.event.biz_step}" for event in taking.behind]


GROWN = by("grower", made(0, PICKED, 96, "KGM", PLOT, **to(COOP)))
WEIGHED = by("coop", seen(10, "receiving", some(PICKED, 96, "KGM"), where=STORE))
RUN = by("coop", mixed(20, [some(PICKED, 96, "KGM")], [some(A, 48)]))
PACKED = by("coop", put_in(30, unit(1), some(A, 24)), put_in(31, unit(2), some(A, 24)))
BOARDED = by(
    "coop", put_in(40, TRUCK, unit(1), step="loading", readPoint=STORE, **handed_over(COOP, CARRIER))
)
ROAD = by(
    "carrier",
    seen(41, "departing", TRUCK, disposition="in_transit"),
    seen(90, "arriving", TRUCK, readPoint=YARD, bizLocation=YARD),
)
OPENED = by("market", take_out(95, TRUCK, unit(1), step="unloading", where=MARKET))
ACCEPTED = by("stall", seen(99, "accepting", unit(1), where=STALL))
CHAIN = (GROWN, WEIGHED, RUN, PACKED, BOARDED, ROAD, OPENED, ACCEPTED)


def test_the_line_goes_from_hand_to_hand() -> None:
    assert who(*CHAIN) == {("coop", None), ("carrier", 0), ("market", None), ("stall", None)}
    stall = next(taking for taking in taken(*CHAIN) if taking.organisation == "stall")
    assert steps(stall) == [
        "grower commissioning", "coop receiving", "coop commissioning", "coop packing", "coop loading",
        "carrier departing", "carrier arriving", "market unloading", "stall accepting",
    ]  # fmt: skip
    assert {(stay.holder, stay.start_ms, stay.end_ms) for stay in stall.stays} >= {
        (TRUCK, at(40), at(41)),
        (TRUCK, at(41), at(90)),
        (unit(1), at(30), at(40)),
    }


def test_a_carriers_look_back_ends_where_the_lot_was_made() -> None:
    (carrier,) = [taking for taking in taken(*CHAIN) if taking.organisation == "carrier"]
    assert steps(carrier) == ["coop commissioning", "coop packing", "coop loading"]


def test_the_other_pallet_and_what_came_later_are_not_behind() -> None:
    later = by("coop", seen(200, "storing", unit(2), where=STORE), seen(201, "storing", unit(1), where=STORE))
    assert [steps(taking) for taking in taken(*CHAIN, later)] == [steps(taking) for taking in taken(*CHAIN)]


def test_a_claim_moves_nothing() -> None:
    stranger = by(
        "shop", seen(35, "receiving", unit(2), where=SHOP), seen(36, "accepting", unit(1), **to(SHOP_PARTY))
    )
    assert who(*CHAIN, stranger) == who(*CHAIN)
    sold_on = by("shop", seen(37, "shipping", unit(2), **to(STALL_PARTY)))
    assert who(*CHAIN, stranger, sold_on, by("stall", seen(38, "receiving", unit(2)))) == who(*CHAIN)


def test_who_names_goods_before_they_are_made_is_not_their_keeper() -> None:
    """Another's word from before the run takes from the true receivers neither the goods nor what lies behind them."""
    for early in (
        by("shop", seen(15, "storing", some(A, 48), where=SHOP)),
        by("shop", seen(15, "storing", some(A, 30), where=SHOP), made(16, A, 1, where=SHOP)),
        by("shop", put_in(15, unit(1), some(A, 24), where=SHOP)),
    ):
        assert who(*CHAIN, early) >= who(*CHAIN)
        stall = [
            taking for taking in taken(*CHAIN, early) if (taking.organisation, taking.lot) == ("stall", A)
        ]
        assert any(
            steps(each)[:3] == ["grower commissioning", "coop receiving", "coop commissioning"]
            for each in stall
        )
        sold = by(
            "shop",
            seen(17, "shipping", some(A, 48), **to(SHOP_PARTY)),
            seen(18, "shipping", unit(1), **to(STALL_PARTY)),
        )
        assert ("shop", None) not in who(*CHAIN, early, sold)


def test_who_makes_more_of_a_lot_where_it_is_made_takes_over_nothing_of_it() -> None:
    stall = steps(next(each for each in taken(*CHAIN) if each.organisation == "stall"))
    for fake in (
        made(-1, PICKED, 0.01, "KGM", PLOT),
        made(1, PICKED, 5, "KGM", PLOT),
        made(19, A, 24),
        made(25, A, 24),
    ):
        told = [*CHAIN, by("shop", fake)]
        assert who(*told) >= who(*CHAIN) and ("shop", None) not in who(*told)
        assert stall in [steps(each) for each in taken(*told) if each.organisation == "stall"]


def test_a_packhouse_whose_clock_is_behind_keeps_what_it_packed() -> None:
    packed = by("coop", put_in(18, unit(1), some(A, 24)))
    (stall,) = [
        each
        for each in taken(GROWN, WEIGHED, RUN, packed, BOARDED, ROAD, OPENED, ACCEPTED)
        if each.organisation == "stall"
    ]
    assert steps(stall)[:2] == ["grower commissioning", "coop receiving"] and "coop commissioning" in steps(
        stall
    )


def test_a_weighing_that_no_grower_announced_is_a_claim() -> None:
    unannounced = by("grower", made(0, PICKED, 96, "KGM", PLOT))
    assert who(unannounced, WEIGHED) == set()
    assert who(by("grower", made(0, PICKED, 96, "KGM", STORE)), WEIGHED) == {("coop", None)}, (
        "grown at its place"
    )


def test_a_run_on_goods_that_its_maker_never_had_leads_nowhere() -> None:
    """The cooperative uses up what it never took in: whoever takes its lot in sees the run and nothing behind."""
    unannounced = by("grower", made(0, PICKED, 96, "KGM", PLOT))
    stall = next(
        taking
        for taking in taken(unannounced, RUN, PACKED, BOARDED, ROAD, OPENED, ACCEPTED)
        if taking.organisation == "stall"
    )
    assert steps(stall)[0] == "coop commissioning"


def test_only_who_is_named_takes_in() -> None:
    sent = by("coop", seen(42, "shipping", unit(2), **to(SHOP_PARTY)))
    stall, shop = by("stall", seen(50, "receiving", unit(2))), by("shop", seen(60, "receiving", unit(2)))
    assert who(RUN, PACKED, sent, stall) == set()
    assert who(RUN, PACKED, sent, stall, shop) == {("shop", None)}


def test_where_nobody_is_named_the_first_is_believed_and_naming_closes_the_door() -> None:
    sent = seen(42, "shipping", unit(2))
    stall, shop = by("stall", seen(50, "receiving", unit(2))), by("shop", seen(60, "receiving", unit(2)))
    assert who(RUN, PACKED, by("coop", sent), stall, shop) == {("stall", None)}
    corrected = by("coop", declared_wrong(sent, 70), seen(42, "shipping", unit(2), **to(SHOP_PARTY)))
    assert who(RUN, PACKED, by("coop", sent), stall, shop, corrected) == {("shop", None)}


def test_goods_that_were_sold_to_somebody_outside_are_nobodys_to_take_in() -> None:
    sold = by("coop", seen(42, "shipping", unit(2), **to("https://suyuan.example/voc/unknownBuyer")))
    assert who(RUN, PACKED, sold, by("stall", seen(50, "receiving", unit(2)))) == set()


def test_what_comes_back_is_taken_in_again() -> None:
    back = (
        by("stall", seen(120, "shipping", unit(1), **to(COOP))),
        by("coop", seen(130, "receiving", unit(1), where=STORE)),
    )
    returned = [
        taking for taking in taken(*CHAIN, *back) if taking.organisation == "coop" and taking.lot == A
    ]
    assert [steps(taking)[-2:] for taking in returned] == [["stall shipping", "coop receiving"]]


def test_a_part_goes_on_from_where_it_was_split_off() -> None:
    split = by(
        "stall",
        take_out(110, unit(1), some(A, 6), where=STALL),
        put_in(111, unit(3), some(A, 6), where=STALL),
        seen(112, "shipping", unit(3), **to(SHOP_PARTY)),
    )
    shop = by("shop", seen(120, "receiving", unit(3), where=SHOP))
    sold = by("stall", gone(125, "retail_selling", some(A, 10), where=STALL))
    (taking,) = [each for each in taken(*CHAIN, split, shop, sold) if each.organisation == "shop"]
    assert steps(taking)[:1] == ["grower commissioning"] and "stall retail_selling" not in steps(taking)
    assert steps(taking)[-4:] == ["stall unpacking", "stall packing", "stall shipping", "shop receiving"]


def test_the_order_of_arrival_changes_nothing() -> None:
    events = [event for some in CHAIN for event in some]
    backwards = takings(replay(events[::-1]), REGISTERED)
    assert [(steps(each), each.stays) for each in backwards] == [
        (steps(each), each.stays) for each in taken(*CHAIN)
    ]
