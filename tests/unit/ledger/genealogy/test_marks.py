"""Whose word sets and lifts a recall or a hold. `Registered` and the chain are those of test_custody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.genealogy import RecordedEvent, Word, judged, replay
from tests.unit.ledger.genealogy import test_custody as chain
from tests.unit.ledger.genealogy.said import (
    MARKET,
    PACKHOUSE,
    SHOP,
    STORE,
    declared_wrong,
    made,
    put_in,
    seen,
    some,
    unit,
)
from tests.unit.ledger.genealogy.test_custody import SHOP_PARTY, STALL_PARTY, A, by, to

# The stall's room is its own and lies on the market's grounds.
REGISTERED = replace(chain.REGISTERED, markets=frozenset({"market"}))
PACKED = (chain.GROWN, chain.WEIGHED, chain.RUN, chain.PACKED)
ON_ROAD = (*PACKED, chain.BOARDED, chain.ROAD)
AT_STALL = chain.CHAIN
SHIPPED = by("stall", seen(120, "shipping", unit(1), **to(SHOP_PARTY)))
AT_SHOP = (*AT_STALL, SHIPPED, by("shop", seen(130, "receiving", unit(1), where=SHOP)))


def marked(
    organisation: str, minute: int, *, set: str | None = None, unset: str | None = None, **said: Any
) -> list[RecordedEvent]:
    marks = {key: [mark] for key, mark in (("set", set), ("unset", unset)) if mark}
    what = said.pop("what", unit(1))
    return by(organisation, seen(minute, "holding", what, persistentDisposition=marks, **said))


def marks(*events: list[RecordedEvent], of: str = unit(1)) -> set[str]:
    """Of the goods in the unit, as what counts of these events leaves them."""
    told = [event for some_events in events for event in some_events]
    counted = {(each.portion, each.event): each.word for each in judged(replay(told), REGISTERED)}
    stock = replay(told, belief=lambda lot, portion, item: counted.get((portion, item), Word()))
    return {mark for portion in stock.portions(A) if portion.unit == of for mark in portion.marks}


def test_a_stranger_neither_recalls_nor_holds_nor_lifts() -> None:
    assert (
        marks(*AT_STALL, marked("shop", 105, set="recalled"), marked("shop", 106, set="unavailable")) == set()
    )
    held = marked("stall", 105, set="unavailable")
    recalled = marked("coop", 106, set="recalled")
    lifted = [marked("shop", 107, unset=mark) for mark in ("unavailable", "recalled")]
    assert marks(*AT_STALL, held, recalled, *lifted) == {"unavailable", "recalled"}


def test_an_unbelieved_word_is_no_obstacle_to_a_later_one_and_stays_in_the_journey() -> None:
    told = [*AT_STALL, marked("shop", 105, set="recalled"), marked("coop", 106, set="recalled")]
    found = replay(event for some_events in told for event in some_events).portions(A)
    assert marks(*told) == {"recalled"}
    assert any(item.organisation == "shop" for portion in found for item in portion.journey)


@pytest.mark.parametrize("who", ["coop", "carrier", "market", "stall"])
def test_the_maker_and_whoever_had_the_goods_recall_them(who: str) -> None:
    assert marks(*AT_STALL, marked(who, 105, set="recalled")) == {"recalled"}


@pytest.mark.parametrize(
    ("who", "counts"), [("coop", False), ("carrier", False), ("market", True), ("stall", True)]
)
def test_a_hold_is_of_who_has_them_or_keeps_the_place(who: str, counts: bool) -> None:
    assert marks(*AT_STALL, marked(who, 105, set="unavailable")) == ({"unavailable"} if counts else set())


def test_the_market_keeps_the_place_until_the_goods_leave() -> None:
    assert marks(*AT_SHOP, marked("market", 140, set="unavailable")) == set()
    assert marks(*AT_STALL, SHIPPED, marked("market", 125, set="unavailable")) == set()


def test_who_was_named_as_the_owner_holds_what_another_has() -> None:
    sold = by("coop", seen(35, "shipping", unit(1), **to(STALL_PARTY)))
    held = marked("stall", 36, set="unavailable")
    assert marks(*PACKED, sold, held) == {"unavailable"}
    assert marks(*PACKED, held) == set()


def test_a_market_is_believed_of_what_stands_in_its_yard_without_a_record_of_how_it_came() -> None:
    held = marked("market", 50, set="unavailable", where=MARKET)
    assert marks(*PACKED, held) == {"unavailable"}
    assert marks(*PACKED, marked("shop", 50, set="unavailable", where=SHOP)) == set(), "no market"


def test_who_set_a_mark_lifts_it() -> None:
    for mark in ("recalled", "unavailable", "non_sellable_other"):
        assert marks(*AT_STALL, marked("stall", 105, set=mark), marked("stall", 106, unset=mark)) == set()
    gone = marked("coop", 35, set="unavailable"), marked("coop", 110, unset="unavailable")
    assert marks(*AT_STALL, *gone) == set(), "also when somebody else has them by then"


def test_what_two_set_stands_until_both_take_it_back_or_one_may_lift_the_other_s() -> None:
    both = marked("stall", 105, set="recalled"), marked("coop", 106, set="recalled")
    assert marks(*AT_STALL, *both, marked("stall", 107, unset="recalled")) == {"recalled"}
    assert marks(*AT_STALL, *both, marked("coop", 107, unset="recalled")) == set(), (
        "the maker ends it for all"
    )
    held = marked("market", 105, set="unavailable"), marked("stall", 106, set="unavailable")
    out = marked("market", 107, unset="unavailable")
    assert marks(*AT_STALL, *held, marked("stall", 107, unset="unavailable")) == {"unavailable"}
    assert marks(*AT_STALL, *held, out) == set()


def test_a_later_keeper_lifts_a_hold_and_no_recall() -> None:
    held, recalled = marked("stall", 105, set="unavailable"), marked("coop", 106, set="recalled")
    lifted = marked("shop", 140, unset="unavailable"), marked("shop", 141, unset="recalled")
    assert marks(*AT_SHOP, held, recalled, *lifted) == {"recalled"}
    assert marks(*AT_SHOP, held, recalled, marked("coop", 142, unset="recalled")) == {"unavailable"}


def test_who_had_them_when_they_were_held_does_not_lift_it() -> None:
    held = marked("market", 97, set="unavailable", where=MARKET)
    assert marks(*AT_STALL, held, marked("carrier", 98, unset="unavailable")) == {"unavailable"}


def test_what_a_market_detained_no_buyer_releases() -> None:
    held = marked("market", 105, set="unavailable")
    assert marks(*AT_SHOP, held, marked("shop", 140, unset="unavailable")) == {"unavailable"}
    assert marks(*AT_STALL, held, marked("market", 110, unset="unavailable")) == set()


def test_what_a_market_refused_its_sender_does_not_pass_off_as_good() -> None:
    refused = marked("market", 97, set="non_sellable_other", where=MARKET)
    sent = (*ON_ROAD, chain.OPENED, refused)
    for who in ("coop", "carrier"):
        assert marks(*sent, marked(who, 99, unset="non_sellable_other")) == {"non_sellable_other"}
    sold = (
        by("coop", seen(120, "shipping", unit(1), **to(SHOP_PARTY))),
        by("shop", seen(130, "receiving", unit(1), where=SHOP)),
    )
    assert marks(*sent, *sold, marked("shop", 140, unset="non_sellable_other")) == set(), (
        "a later keeper sorts"
    )


def test_the_market_where_they_stand_lifts_what_others_set() -> None:
    assert (
        marks(*AT_STALL, marked("coop", 105, set="recalled"), marked("market", 106, unset="recalled"))
        == set()
    )
    assert marks(*AT_SHOP, marked("coop", 140, set="recalled"), marked("market", 141, unset="recalled")) == {
        "recalled"
    }


def test_a_market_lifts_what_others_set_only_where_those_set_the_goods_down_who_had_them() -> None:
    claimed = marked("market", 141, unset="recalled", where=MARKET)
    assert marks(*AT_SHOP, marked("coop", 140, set="recalled"), claimed) == {"recalled"}
    assert marks(*PACKED, marked("coop", 140, set="unavailable"), claimed) == {"unavailable"}


def test_a_recall_of_a_lot_is_of_all_of_it_there_packed_or_loose() -> None:
    for more in ((), by("shop", made(25, A, 5))):
        recalled = marked("coop", 33, set="recalled", what=some(A), where=PACKHOUSE)
        told = [*chain.GROWN, *chain.WEIGHED, *chain.RUN, *by("coop", put_in(30, unit(1), some(A, 24)))]
        assert marks([*told, *more], recalled) == {"recalled"}


def test_a_part_carries_the_mark_on_and_the_rest_is_judged_apart() -> None:
    held = marked("coop", 34, set="unavailable", what=unit(2), where=STORE)
    part = by("coop", put_in(36, unit(3), some(A, 6), where=STORE))
    told = (*PACKED, held, by("coop", seen(33, "storing", unit(2), where=STORE)), part)
    assert marks(*told, of=unit(2)) == {"unavailable"} and marks(*told) == set()


def test_a_mark_written_out_is_the_same_mark() -> None:
    whole = "https://ref.gs1.org/cbv/Disp-recalled"
    assert marks(*AT_STALL, marked("coop", 105, set=whole)) == {"recalled"}


def test_a_plain_disposition_stops_goods_if_its_sayer_may_and_until_the_next() -> None:
    def stopped(*events: list[RecordedEvent]) -> bool:
        told = [event for some_events in (*AT_STALL, *events) for event in some_events]
        counted = {(each.portion, each.event): each.word for each in judged(replay(told), REGISTERED)}
        stock = replay(told, belief=lambda lot, portion, item: counted.get((portion, item), Word()))
        return any(portion.stopped_by for portion in stock.portions(A) if portion.unit == unit(1))

    def says(who: str, minute: int, disposition: str) -> list[RecordedEvent]:
        return by(who, seen(minute, "inspecting", unit(1), disposition=disposition))

    assert not stopped(says("shop", 105, "recalled"))
    assert stopped(says("stall", 105, "unavailable"), says("shop", 106, "conformant"))
    assert not stopped(says("stall", 105, "unavailable"), says("market", 106, "conformant"))


def test_a_mark_goes_with_the_event_that_set_it() -> None:
    held = marked("stall", 105, set="unavailable")
    assert marks(*AT_STALL, held, [declared_wrong(held[0], 110)]) == set()
