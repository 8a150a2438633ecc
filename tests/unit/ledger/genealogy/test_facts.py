from __future__ import annotations

from dataclasses import replace
from itertools import permutations

from ledger.epcis.events import event_to_json, parse_event
from ledger.genealogy import RecordedEvent, effective, product_of
from tests.unit.ledger.genealogy.said import (
    MARKET,
    PACKHOUSE,
    TRUCK,
    declared_wrong,
    fruit,
    lot,
    made,
    put_in,
    seen,
    some,
    take_out,
    unit,
)


def ids(events: list[RecordedEvent]) -> list[str | None]:
    return [each.event.event_id for each in events]


def test_event_time_decides_and_not_arrival() -> None:
    first, second = made(1, lot("A"), 10), seen(2, "storing", some(lot("A"), 10), where=PACKHOUSE)
    late = [replace(second, position=1), replace(first, position=2)]
    assert ids(effective(late)) == ids([first, second])


def test_a_declared_error_and_its_declaration_both_go() -> None:
    wrong, right = made(1, lot("A"), 100), made(2, lot("A"), 10)
    for order in permutations([wrong, declared_wrong(wrong, 5), right]):
        assert ids(effective(order)) == ids([right])


def test_an_error_is_declared_only_for_the_organisation_that_declares_it() -> None:
    said = made(1, lot("A"), 100)
    of_another = replace(declared_wrong(said, 5), organisation="market")
    assert ids(effective([said, of_another])) == ids([said])


def test_without_event_id_the_declaration_finds_its_event_by_content() -> None:
    wrong = _nameless(1)
    assert effective([declared_wrong(wrong, 5), wrong]) == []


def _nameless(minute: int) -> RecordedEvent:
    fields = event_to_json(seen(minute, "storing", some(lot("A"), 1), where=PACKHOUSE).event)
    del fields["eventID"]
    return RecordedEvent(None, "xj-coop", parse_event(fields))


def test_giver_and_taker_record_one_event_and_it_counts_once() -> None:
    said = made(1, lot("A"), 10)
    assert len(effective([said, replace(said, organisation="market")])) == 1


def test_one_name_for_two_events_keeps_both() -> None:
    one = made(1, lot("A"), 10, eventID="urn:suyuan:test:twice")
    other = made(2, lot("A"), 20, eventID="urn:suyuan:test:twice")
    assert len(effective([one, other])) == 2


def test_at_one_instant_goods_are_made_then_packed_then_loaded_then_unloaded() -> None:
    pallet = unit(1)
    ordered = [
        made(1, lot("A"), 10),
        put_in(1, pallet, some(lot("A"), 10), where=PACKHOUSE),
        put_in(1, TRUCK, pallet, step="loading", readPoint=PACKHOUSE),
        seen(1, "arriving", TRUCK, where=MARKET),
        take_out(1, TRUCK, pallet, step="unloading", where=MARKET),
    ]
    for order in permutations(ordered):
        arrived = [replace(each, position=number) for number, each in enumerate(order)]
        assert ids(effective(arrived)) == ids(ordered)


def test_the_product_of_a_lot() -> None:
    assert product_of(lot("DK260618A")) == "https://id.gs1.org/01/09521234000204"
    assert product_of(fruit("260618-P01")) == "https://suyuan.example/xj-coop/class/yangmei-dongkui"
    assert product_of("urn:example:anything") == "urn:example:anything"
