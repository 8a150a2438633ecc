"""Record duties found, and none found wrongly: a small chain whose devices fall silent, measure seldom or are not calibrated.

A lot lies in a cold store with a sensor, half of it goes on a truck. What an official of the county sees of it follows from
the readings that came, and from what is registered of the devices.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from ingest.coldchain.duties import load_duties
from ingest.pipeline import Message
from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, open_session, session_of
from tests.integration import lines, said
from tests.integration.lines import NOW
from tests.integration.said import (
    STORE,
    TRUCK,
    by_carrier,
    by_terminal,
    loaded,
    made,
    on_truck,
    packed,
    placed,
    room,
    truck,
)
from tests.servers.databases import Database

CALIBRATED = [
    {"certificate": "JZ-1", "laboratory": "lab", "calibrated_on": "2026-01-05", "due_on": "2027-01-04"}
]
GRACE = timedelta(
    minutes=next(duty.upload_grace_minutes or 0 for duty in load_duties() if duty.kind == "missing_record")
)


LOGGER = said.REGISTRY["devices"][0] | {
    "id": "logger-1",
    "giai": "https://id.gs1.org/8004/95212340LOGGER1",
    "calibrations": CALIBRATED,
}


def registry(**devices: dict[str, Any]) -> dict[str, Any]:
    """The small registry, its devices calibrated unless a keyword (`room_1={...}`) says otherwise."""
    changed = [
        entry | {"calibrations": CALIBRATED} | devices.get(entry["id"].replace("-", "_"), {})
        for entry in said.REGISTRY["devices"]
    ]
    seats = [
        entry | {"region": "331024" if entry["id"] == "coop" else "331082"}
        for entry in said.REGISTRY["organisations"]
    ]
    return said.REGISTRY | {"devices": changed, "organisations": seats}


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    return Instance(database, tmp_path)


def duties(
    instance: Instance, at: datetime = NOW, region: str = "33", **filters: Any
) -> list[dict[str, Any]]:
    account = instance.rows("SELECT id FROM user_account WHERE login = %s", f"auditor-{region}")
    if account:
        ((who,),) = account
    else:
        who = add_person(instance, f"auditor-{region}", "auditor", regions=(region,))
        open_session(instance, who)
    with psycopg.connect(instance.database.service("api"), row_factory=dict_row) as conn:
        conn.execute("SELECT set_config('suyuan.session', %s, true)", [session_of(who)])
        return conn.execute("SELECT * FROM official_duties(%s, %s)", [json.dumps(filters), at]).fetchall()


def kinds(found: Sequence[dict[str, Any]]) -> set[tuple[str, str, str | None]]:
    return {(row["kind"], row["site"], row["device"]) for row in found}


def minutes(count: float) -> list[float]:
    return [2.0] * int(count)


def test_a_record_without_a_gap_is_no_finding(instance: Instance) -> None:
    """Ten hours in the store and six on the truck, every minute of it measured."""
    instance.register(registry())
    instance.take([*by_carrier(on_truck(9)), *by_terminal(made(10), placed(11), packed(8), loaded(6)),
                   room(minutes(11 * 60 + 1), 11, 1), truck(minutes(9 * 60 + 1), 9, 1)], NOW)  # fmt: skip
    instance.settle(NOW)
    assert duties(instance) == []


def test_a_silence_longer_than_twice_the_interval_is_a_gap_and_a_shorter_one_is_none(
    instance: Instance,
) -> None:
    instance.register(registry())
    instance.take([*by_terminal(made(10), placed(11)), room(minutes(3 * 60 + 1), 11, 1), room(minutes(2 * 60), 7 + 58 / 60, 2),
                   room(minutes(5 * 60 + 1), 5, 3)], NOW)  # fmt: skip
    instance.settle(NOW)
    (found,) = duties(instance)
    assert (found["kind"], found["site"], found["holder"], found["bare"]) == (
        "missing_record",
        STORE,
        "coop",
        False,
    )
    assert found["minutes"] == found["longest"] == pytest.approx(59.0), (
        "two minutes between readings are within the rule"
    )
    (gap,) = found["gaps"]
    assert datetime.fromisoformat(gap["to"]) == NOW - timedelta(hours=5)
    assert found["until"] == NOW - timedelta(hours=5) and found["since"] == datetime.fromisoformat(
        gap["from"]
    )
    assert [each["device"] for each in found["placements"]] == ["room-1"]
    assert found["tonne_hours"] == pytest.approx(0.080 * 59 / 60, rel=1e-3), "40 boxes of 2 kg"


def test_a_silence_is_measured_by_the_interval_as_configured(instance: Instance) -> None:
    """A reading every twenty minutes is no gap of a device that measures every ten, and a long interval is its own finding."""
    instance.register(registry(room_1={"interval_s": 600}))
    instance.take([*by_terminal(made(10), placed(11)), room([2.0] * 34, 11, 1, step_s=1200)], NOW)
    instance.settle(NOW)
    assert duties(instance) == [], "ten minutes are within the half hour asked of a store"


def test_a_recorder_that_measures_too_seldom_is_found_and_one_beside_it_that_does_not_is_enough(
    instance: Instance,
) -> None:
    slow_truck = registry(truck_1={"interval_s": 900})
    instance.register(slow_truck | {"devices": [*slow_truck["devices"], LOGGER]})
    instance.take(
        [
            *by_carrier(on_truck(9)),
            *by_terminal(made(10), placed(11), packed(8), loaded(6)),
            room(minutes(11 * 60 + 1), 11, 1),
        ],
        NOW,
    )
    packs = [2.0] * 37
    instance.take([truck(packs, 9, 1)], NOW)
    instance.settle(NOW)
    slow = [row for row in duties(instance) if row["kind"] == "interval_too_long"]
    assert kinds(slow) == {("interval_too_long", TRUCK, "truck-1")}
    (found,) = slow
    assert (
        found["interval_s"] == 900
        and found["rule"]["max_interval_s"] == 600
        and found["rule"]["force"] == "mandatory"
    )
    assert not found["rule"]["verified"] and found["rule"]["basis"] == "second_hand"
    whole = found["minutes"]
    instance.take([*by_terminal(placed(6.5, LOGGER["giai"], said.PALLET, "in_box")), logger(21, 3, 1)], NOW)
    instance.settle(NOW)
    (found,) = [row for row in duties(instance) if row["kind"] == "interval_too_long"]
    assert found["minutes"] == pytest.approx(whole - 30) and found["until"] is None, (
        "a logger on the pallet that measured for twenty minutes excuses those, and the ten that the rule allows after them"
    )
    instance.take([logger(400, 6.5, 2)], NOW)
    instance.settle(NOW)
    assert [row for row in duties(instance) if row["kind"] == "interval_too_long"] == [], (
        "it measured every minute all along"
    )


def logger(count: int, hours_ago: float, seq: int) -> Message:
    payload = lines.pack(minutes(count), seq=seq, start_s=lines.NOW_S - hours_ago * 3600)
    return lines.message(payload, "logger-1")


def test_goods_where_nothing_measures_are_found_once_they_stay(instance: Instance) -> None:
    instance.register(registry())
    instance.take(
        [*by_terminal(made(10), placed(11), packed(8), loaded(6)), room(minutes(11 * 60 + 1), 11, 1)], NOW
    )
    instance.settle(NOW)
    (found,) = duties(instance)
    assert (found["site"], found["holder"], found["bare"]) == (TRUCK, "carrier", True), (
        "nobody said who took them: whose truck it is"
    )
    assert found["until"] is None and found["since"] == NOW - timedelta(hours=6)
    assert duties(instance, at=NOW - timedelta(hours=6) + timedelta(minutes=9)) == [], (
        "shorter than one interval of its rule"
    )


def test_what_a_device_may_still_upload_is_no_gap_yet(instance: Instance) -> None:
    instance.register(registry())
    instance.take([*by_terminal(made(10), placed(11)), room(minutes(11 * 60 + 1), 11, 1)], NOW)
    instance.settle(NOW)
    assert duties(instance, at=NOW + GRACE - timedelta(minutes=1)) == []
    (found,) = duties(instance, at=NOW + GRACE + timedelta(minutes=1))
    assert found["until"] is None and found["minutes"] == pytest.approx(GRACE.total_seconds() / 60 + 1, abs=1)


def test_an_overlap_of_placements_measures_nothing(instance: Instance) -> None:
    """A sensor that is said to be in two places is in neither as far as anybody can tell."""
    instance.register(registry())
    elsewhere = placed(4, parent="https://id.gs1.org/414/9521234002031")
    instance.take([*by_terminal(made(10), placed(11), elsewhere), room(minutes(11 * 60 + 1), 11, 1)], NOW)
    instance.settle(NOW)
    found = [row for row in duties(instance) if row["site"] == STORE]
    assert [row["kind"] for row in found] == ["missing_record"]
    assert found[0]["since"] == NOW - timedelta(hours=4) and found[0]["minutes"] == pytest.approx(240)


@pytest.mark.parametrize(
    ("calibrations", "finding"),
    [
        (CALIBRATED, False),
        ([], True),
        ([CALIBRATED[0] | {"due_on": "2026-06-19"}], True),
        ([CALIBRATED[0] | {"due_on": "2026-06-20"}], False),
        ([CALIBRATED[0] | {"due_on": None}], False),
        ([CALIBRATED[0] | {"calibrated_on": "2025-06-01", "due_on": None}], True),
        ([CALIBRATED[0] | {"calibrated_on": "2026-06-21", "due_on": "2027-06-20"}], True),
        ([CALIBRATED[0] | {"due_on": "2026-06-19"}, {**CALIBRATED[0], "certificate": "JZ-2", "calibrated_on": "2026-06-20"}], False),
    ],
    ids=["valid", "none", "ran-out-before", "last-day", "by-the-rule", "by-the-rule-over", "only-later", "renewed-in-time"],
)  # fmt: skip
def test_calibration_counts_on_the_days_of_use(
    instance: Instance, calibrations: list[dict[str, Any]], finding: bool
) -> None:
    """Used on 20 June by the clock of the place (`NOW` is that day's evening there)."""
    instance.register(registry(room_1={"calibrations": calibrations}))
    instance.take([*by_terminal(made(10), placed(11)), room(minutes(11 * 60 + 1), 11, 1)], NOW)
    instance.settle(NOW)
    found = duties(instance)
    assert kinds(found) == ({("calibration", STORE, "room-1")} if finding else set())


def test_a_duty_concerns_the_place_the_seat_and_the_origin_and_nobody_else(instance: Instance) -> None:
    instance.register(registry())
    instance.take(
        [*by_terminal(made(10), placed(11), packed(8), loaded(6)), room(minutes(11 * 60 + 1), 11, 1)], NOW
    )
    instance.settle(NOW)
    assert {each["basis"] for row in duties(instance, region="331082") for each in row["concerns"]} == {
        "seat"
    }
    assert duties(instance, region="331024")
    assert duties(instance, region="3304") == []


def test_filters_of_duties(instance: Instance) -> None:
    instance.register(registry(room_1={"calibrations": []}))
    instance.take(
        [*by_terminal(made(10), placed(11), packed(8), loaded(6)), room(minutes(11 * 60 + 1), 11, 1)], NOW
    )
    instance.settle(NOW)
    assert {row["kind"] for row in duties(instance)} == {"missing_record", "calibration"}
    assert {row["kind"] for row in duties(instance, kind="calibration")} == {"calibration"}
    assert {row["site"] for row in duties(instance, place=TRUCK)} == {TRUCK}
    assert (
        duties(instance, holder="somebody-else")
        == duties(instance, product="cherry")
        == duties(instance, text="nothing such")
        == []
    )
    assert len(duties(instance, text="room-1")) == 1 == len(duties(instance, limit=1))
    assert duties(instance, limit=1)[0]["total"] == 2
    early = (NOW - timedelta(hours=7)).isoformat()
    assert {row["site"] for row in duties(instance, to=early)} == {STORE}, "the truck came later"
