"""One event, lot or device stops no other, and what is registered late counts as if it had been there before.

On the small chain of `said`: a lot in a cold store, a sensor beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest import marks
from ingest.projection import following
from ingest.registry import RegistryError, load, load_limit_versions, parse_registry
from ledger import recorded
from ledger.epcis.identifiers import check_digit, lot_uri, sscc_uri
from ledger.genealogy import RecordedEvent
from tests.acceptance.instance import Instance
from tests.integration.lines import NOW, message
from tests.integration.said import (
    FRUIT,
    GTIN,
    LOT,
    REGISTRY,
    ROOM_SENSOR,
    STORE,
    at,
    by_terminal,
    made,
    placed,
    room,
    said,
)
from tests.servers.databases import Database
from tests.unit.ingest.coldchain.cases import shipped

OTHER_LOT = lot_uri(GTIN, "DK2")
PRESENCE = "SELECT holder, lot, rule_product, stage, valid FROM presence ORDER BY 2, 1, 5"
PLACEMENT = "SELECT series_id, parent, probe_position, valid, conflict FROM placement ORDER BY 1, 4"
SET_ASIDE = "SELECT position, part, reason FROM set_aside ORDER BY position, part"
TRAILER = "https://suyuan.example/carrier/trailer/7"


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    return Instance(database, tmp_path)


def project(instance: Instance, *events: dict[str, Any]) -> None:
    """First what was registered before them."""
    instance.settle(NOW, consumers=("projection",))
    instance.take(by_terminal(*events), NOW)
    instance.settle(NOW, consumers=("projection",))


def seen(lot: str, hours_ago: float) -> dict[str, Any]:
    """A lot made in the store, of fruit of its own: nothing joins it to another."""
    return made(hours_ago) | {
        "inputQuantityList": [
            {"epcClass": f"{FRUIT}-{lot.rpartition('/')[2]}", "quantity": 20, "uom": "KGM"}
        ],
        "outputQuantityList": [{"epcClass": lot, "quantity": 10}],
    }


def pallet(number: int) -> str:
    body = f"095212340000001{number:02d}"
    return sscc_uri(body + check_digit(body))


def loading(lot: str, number: int, hours_ago: float) -> tuple[dict[str, Any], ...]:
    """A lot packed on a pallet of its own, and the pallet loaded on the trailer."""
    packing = said(
        "AggregationEvent", hours_ago + 0.5, action="ADD", bizStep="packing", parentID=pallet(number),
        childQuantityList=[{"epcClass": lot, "quantity": 10}], **at(STORE),
    )  # fmt: skip
    onto = said(
        "AggregationEvent", hours_ago, action="ADD", bizStep="urn:epcglobal:cbv:bizstep:loading",
        parentID=TRAILER, childEPCs=[pallet(number)], readPoint={"id": STORE},
    )  # fmt: skip
    return packing, onto


def dropped_and_rebuilt(instance: Instance) -> None:
    with instance.as_role("jobs") as conn:
        conn.execute("DELETE FROM presence")
        conn.execute("DELETE FROM placement")
        conn.execute("UPDATE projection SET position = 0")
    instance.settle(NOW, consumers=("projection",))


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, lot: str) -> Iterator[None]:
    """Walks that meet this lot fail, as too many events would make them."""
    whole = recorded._naming

    def naming(conn: psycopg.Connection, names: Sequence[str], *further: Any) -> dict[int, RecordedEvent]:
        if lot in names:
            raise recorded.TooMuch(f"more than we read name {lot}")
        return whole(conn, names, *further)

    with monkeypatch.context() as patch:
        patch.setattr(recorded, "_naming", naming)
        yield


# --- one stops no other -------------------------------------------------------------------------------------------


def test_a_lot_that_is_too_much_is_set_aside_and_its_neighbours_go_on(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.register(REGISTRY)
    with refusing(monkeypatch, OTHER_LOT):
        project(instance, made(10), seen(OTHER_LOT, 9), placed(8), seen(lot_uri(GTIN, "DK3"), 7))
        assert {row[1] for row in instance.rows(PRESENCE)} >= {LOT, lot_uri(GTIN, "DK3")}
        assert OTHER_LOT not in {row[1] for row in instance.rows(PRESENCE)}
        assert len(instance.rows(PLACEMENT)) == 1, "the sensor sits where it was said to"
        set_aside = instance.rows(SET_ASIDE)
        assert [row[1] for row in set_aside if OTHER_LOT in row[2]] == [row[1] for row in set_aside]
        position = instance.one(
            "SELECT leaf.position FROM leaf JOIN event ON event.id = leaf.event WHERE event_time = %s",
            NOW - timedelta(hours=9),
        )
        assert (position, "presence") in {row[:2] for row in set_aside}
        assert instance.one("SELECT position FROM projection") == instance.one(
            "SELECT max(position) FROM leaf"
        )
        dropped_and_rebuilt(instance)
        assert instance.rows(SET_ASIDE) == set_aside, "set aside once"
    dropped_and_rebuilt(instance)  # what was wrong is mended
    assert OTHER_LOT in {row[1] for row in instance.rows(PRESENCE)}


def test_more_events_than_one_walk_may_read_hold_up_that_lot_alone(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.register(REGISTRY)
    many = [seen(OTHER_LOT, 9 - number / 10) for number in range(12)]
    monkeypatch.setattr(recorded, "MOST_EVENTS", 11)
    monkeypatch.setattr(following, "RETRIED", 5)  # a batch that failed takes several transactions
    apart = [seen(lot_uri(GTIN, f"A{number}"), 4 - number / 10) for number in range(8)]
    project(instance, *many, *apart)
    lots = {row[1] for row in instance.rows(PRESENCE)}
    assert lots == {lot_uri(GTIN, f"A{number}") for number in range(8)}
    reasons = instance.rows(SET_ASIDE)
    assert len(reasons) == 12 and all("TooMuch" in row[2] for row in reasons)


def test_an_event_that_cannot_be_read_is_set_aside(instance: Instance) -> None:
    instance.register(REGISTRY)
    instance.settle(NOW, consumers=("projection",))
    instance.take(by_terminal(seen(OTHER_LOT, 9), made(8)), NOW)
    instance.sequence(NOW)
    instance.alter(
        'UPDATE event_bytes SET bytes = \'{"type": "NoEvent"}\' WHERE event = (SELECT min(event) FROM event_mention WHERE identifier = %s)',
        OTHER_LOT,
    )
    instance.settle(NOW, consumers=("projection",))
    assert LOT in {row[1] for row in instance.rows(PRESENCE)}
    ((_, part, reason),) = instance.rows(SET_ASIDE)
    assert part == "event" and "EventError" in reason


def test_the_databases_own_trouble_sets_nothing_aside(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.register(REGISTRY)
    instance.take(by_terminal(made(10)), NOW)
    instance.sequence(NOW)

    def away(*_: Any) -> None:
        raise psycopg.OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(recorded, "_naming", away)
        with pytest.raises(psycopg.OperationalError):
            instance.consume("projection", NOW)
    assert instance.rows(SET_ASIDE) == []
    instance.settle(NOW, consumers=("projection",))
    assert instance.rows(PRESENCE)


@pytest.mark.parametrize("registered", [True, False])
def test_a_trailer_under_any_name_does_not_join_its_loads(instance: Instance, registered: bool) -> None:
    """As a registered vehicle, or because pallets were loaded on it."""
    vehicle = REGISTRY["vehicles"][0] | {"id": TRAILER}
    instance.register(REGISTRY | {"vehicles": [vehicle] if registered else []})
    project(instance, made(10), *loading(LOT, 1, 8), seen(OTHER_LOT, 7), *loading(OTHER_LOT, 2, 5))
    with instance.as_role("jobs") as conn:
        found = recorded.connected(conn, {LOT})
    assert LOT in found.lots and OTHER_LOT not in found.lots and TRAILER not in found.lots
    assert {row[1] for row in instance.rows(PRESENCE) if row[0] == TRAILER} == {LOT, OTHER_LOT}
    with instance.as_role("public") as conn:
        published = recorded.connected(conn, {LOT}, recorded.PUBLISHED)
    assert published.lots == found.lots and len(published.events) == len(found.events)


# --- registered after its events ------------------------------------------------------------------------------------


ROOM, CARRIERS = REGISTRY["devices"]
TERMINAL = ROOM | {"id": "gate-1", "giai": "https://id.gs1.org/8004/95212340GATE1"}
WHOLE = REGISTRY | {"devices": [ROOM, CARRIERS, TERMINAL]}


def without(**removed: Any) -> dict[str, Any]:
    return deepcopy(WHOLE) | removed


@pytest.mark.parametrize(
    "early",
    [
        without(devices=[CARRIERS, TERMINAL]),
        without(devices=[ROOM | {"channels": [{"channel": "door", "quantity": "boolean", "unit": "/"}]}, CARRIERS, TERMINAL]),
        without(products=[]),
        without(products=[REGISTRY["products"][0] | {"rule_product": "tomato"}]),
        without(devices=[CARRIERS, TERMINAL], products=[]),
    ],
    ids=["device", "channel", "product", "rule", "both"],
)  # fmt: skip
def test_what_is_registered_late_counts_as_if_it_had_been_there(
    instance: Instance, early: dict[str, Any]
) -> None:
    instance.register(early)
    events = [json.dumps(event).encode() for event in (made(10), placed(9))]
    instance.take([message(event, TERMINAL["id"], kind="events") for event in events], NOW)
    instance.settle(NOW, consumers=("projection", "detection"))
    instance.register(WHOLE)
    instance.settle(NOW, consumers=("projection", "detection"))
    late = instance.rows(PRESENCE), instance.rows(PLACEMENT)
    assert {row[2] for row in late[0] if row[1] == LOT} == {"yangmei"}
    assert [row[1] for row in late[1]] == [STORE]
    dropped_and_rebuilt(instance)
    assert (instance.rows(PRESENCE), instance.rows(PLACEMENT)) == late
    assert instance.rows("SELECT * FROM registry_change") == []
    assert instance.rows(SET_ASIDE) == []


def by_lot() -> tuple[dict[str, Any], ...]:
    return made(10), placed(9)


def test_a_late_product_brings_its_excursion(instance: Instance) -> None:
    instance.register(without(products=[]))
    project(instance, *by_lot())
    instance.take([room([8.0] * 41 + [2.0], 4, 1)], NOW)
    instance.settle(NOW, consumers=("projection", "detection"))
    assert instance.rows("SELECT state FROM excursion") == []
    instance.register(REGISTRY)
    instance.settle(NOW, consumers=("projection", "detection"))
    assert instance.rows("SELECT DISTINCT state FROM excursion") == [("closed",)]


def test_the_same_registry_again_changes_nothing(instance: Instance) -> None:
    instance.register(REGISTRY)
    project(instance, *by_lot())
    instance.register(REGISTRY)
    assert instance.rows("SELECT kind, identifier FROM registry_change") == []


def test_one_lot_that_cannot_follow_its_product_stops_no_other(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.register(without(products=[]))
    project(instance, made(10), seen(OTHER_LOT, 9))
    instance.register(REGISTRY)
    with refusing(monkeypatch, OTHER_LOT):
        instance.settle(NOW, consumers=("projection",))
    rules = {row[1]: row[2] for row in instance.rows(PRESENCE)}
    assert rules[LOT] == "yangmei" and rules[OTHER_LOT] is None
    assert {row[:2] for row in instance.rows(SET_ASIDE)} == {(0, OTHER_LOT), (0, f"{FRUIT}-DK2")}


# --- limits and intervals -------------------------------------------------------------------------------------------


def test_a_new_limit_is_looked_for_where_series_were_placed(instance: Instance) -> None:
    instance.register(REGISTRY)
    project(instance, *by_lot())
    instance.take([room([4.0] * 90 + [1.0], 4, 1)], NOW)
    instance.settle(NOW)
    before = instance.rows("SELECT id FROM excursion")
    strict = replace(shipped("yangmei-upper-5c"), id="strict", version=1, limit_c=2.0, mode="consecutive")
    summed = replace(strict, id="summed", mode="cumulative", minutes=30.0)
    with instance.as_role("ingest") as conn:
        load_limit_versions(conn, [strict, summed])
        load_limit_versions(conn, [strict, summed])
    assert instance.consume("projection", NOW)
    with instance.as_role("jobs") as conn:
        (mark,) = marks.take(conn, "detection")
        assert mark.reason == "limit" and mark.touched
        conn.rollback()
    instance.settle(NOW)
    found = instance.rows("SELECT limit_id FROM excursion WHERE id <> ALL (%s)", [row[0] for row in before])
    assert found == [("strict",)], "a cumulative limit is a portion's, not a stretch's"


def test_the_interval_stays_once_there_are_readings(instance: Instance) -> None:
    instance.register(REGISTRY)
    other = deepcopy(REGISTRY)
    other["devices"][0]["interval_s"] = 120
    instance.register(other)  # nothing was judged by it yet
    instance.register(REGISTRY)
    instance.take([room([2.0] * 3, 4, 1)], NOW + timedelta(minutes=1))
    with (
        instance.as_role("ingest") as conn,
        pytest.raises(RegistryError, match=r"room-1: interval_s is 60 .* got 120"),
    ):
        load(conn, parse_registry(json.dumps(other)))
    instance.register(REGISTRY)
    assert instance.one("SELECT interval_s FROM device WHERE giai = %s", ROOM_SENSOR) == 60
