"""What does not add up, down the whole line: found with the events that show it, taken back by a correction, the same when the
projections are made anew; and an honest county has none of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.acceptance.instance import Instance
from tests.integration.lines import NOW, NOW_S, message, pack
from tests.integration.radar_world import (
    BOX,
    COUNTY,
    GATE,
    PLOT,
    certified,
    found,
    picked,
    run,
    scanned,
    seen,
    settled,
    sold,
)
from tests.integration.said import (
    FRUIT,
    LOT,
    ROOM_SENSOR,
    STORE,
    TRUCK,
    by_carrier,
    by_terminal,
    declared_wrong,
    loaded,
    on_truck,
    packed,
    placed,
)
from tests.servers.databases import Database

LATER = NOW + timedelta(minutes=10)


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(COUNTY)
    return instance


def looked(instance: Instance, now: Any = LATER) -> None:
    while instance.consume("radar", now):
        continue


def events_of(instance: Instance, kind: str) -> set[str]:
    rows = instance.rows(
        "SELECT event.event_id FROM finding JOIN event ON event.id = ANY (finding.events) WHERE finding.kind = %s AND finding.state = 'open'",
        kind,
    )
    return {name for (name,) in rows}


def body_of(instance: Instance, kind: str) -> dict[str, Any]:
    return dict(instance.one("SELECT body FROM finding WHERE kind = %s AND state = 'open'", kind))


HONEST = [
    picked(),
    run(boxes=41, cull=2.5),
    packed(8, 40),
    loaded(7),
    seen(3, "receiving", GATE),
    sold(2, 41),
]


def test_an_honest_county_adds_up(instance: Instance) -> None:
    settled(instance, HONEST)
    certified(instance, "A1", 80)
    certified(instance, "B1", 80, kind="buyer", organisation="market")
    scanned(instance, BOX, visitors=20, networks=5)
    scanned(instance, LOT, visitors=150, networks=40)
    looked(instance)
    assert found(instance) == []
    looks = dict(instance.rows("SELECT what, (judged, unjudged)::text FROM radar_look"))
    assert (
        looks["harvest_over_ceiling"] == "(1,0)"
        and looks["certificates_over_lot"] == "(2,0)"
        and looks["scanned_too_often"] == "(2,0)"
    )


def test_each_fraud_is_found_and_nothing_else(instance: Instance) -> None:
    more = [picked(29 - n / 10, 700, f"{FRUIT}-{n}") for n in range(2)]
    wrong_run, two = run(boxes=60, cull=0), [seen(3, "storing", STORE), seen(2.9, "receiving", GATE)]
    sales = [sold(1, 50), sold(0.5, 30)]
    settled(instance, [picked(), *more, packed(20), wrong_run, *two, *sales])
    certified(instance, "A1", 100)
    certified(instance, "A2", 100)
    scanned(instance, BOX, visitors=400, networks=30)
    one, other = copied(instance)
    looked(instance)
    assert found(instance) == ["certificates_over_lot", "copied_values", "harvest_over_ceiling", "more_than_made", "moved_before_made",
                               "outputs_over_inputs", "scanned_too_often", "two_places"]  # fmt: skip
    assert events_of(instance, "outputs_over_inputs") == {wrong_run["eventID"]}
    assert events_of(instance, "moved_before_made") == {packed(20)["eventID"], wrong_run["eventID"]}
    assert events_of(instance, "two_places") == {each["eventID"] for each in two}
    assert events_of(instance, "more_than_made") == {each["eventID"] for each in (wrong_run, *sales)}
    assert events_of(instance, "harvest_over_ceiling") == {each["eventID"] for each in (picked(), *more)}
    harvest = body_of(instance, "harvest_over_ceiling")
    assert (harvest["said"], harvest["known"], harvest["figures"]["mu"]) == (1486.5, 1200, 2)
    assert {(each["figure"], each["verified"]) for each in harvest["sources"]} == {
        ("area_m2", True),
        ("yield_kg_per_mu", True),
    }
    papers = body_of(instance, "certificates_over_lot")
    assert (papers["said"], papers["known"]) == (200, 120) and [
        each["number"] for each in papers["certificates"]
    ] == ["A1", "A2"]
    assert events_of(instance, "certificates_over_lot") == {wrong_run["eventID"]}
    scans = body_of(instance, "scanned_too_often")
    assert scans["said"] == 400 and scans["figures"]["boxes"] == 1
    copy = body_of(instance, "copied_values")
    assert {each["device"] for each in copy["devices"]} == {one, other} and copy["figures"][
        "minutes_apart"
    ] == 417


def copied(instance: Instance) -> tuple[str, str]:
    """What the room's sensor measured comes again from the truck's, almost seven hours later."""
    values = walk(400)
    instance.take([*by_terminal(placed(40)), *by_carrier(on_truck(40))], NOW)
    instance.take([message(pack(values, seq=1, start_s=NOW_S - 20 * 3600)), message(
        pack(values[60:300], seq=1, start_s=NOW_S - 20 * 3600 + 477 * 60, channel="return_air"), "truck-1", "carrier")], NOW)  # fmt: skip
    instance.settle(NOW + timedelta(minutes=5))  # quiet for long enough to be sealed
    return "room-1", "truck-1"


def walk(count: int, seed: int = 7, resolution: float = 0.1) -> list[float]:
    steps = np.random.default_rng(seed).choice([-2, -1, 0, 0, 1, 2], count)
    return [round(float(each), 3) for each in 4 + np.cumsum(steps) * resolution]


def test_a_correction_closes_it_and_the_old_version_stays(instance: Instance) -> None:
    wrong = run(boxes=60)
    settled(instance, [picked(), wrong])
    assert found(instance) == ["outputs_over_inputs"]
    settled(instance, [declared_wrong(wrong), run(9.9, 41)])
    assert found(instance) == [] and found(instance, "closed") == ["outputs_over_inputs"]
    assert instance.rows("SELECT version, state FROM finding_version ORDER BY version") == [
        (1, "open"),
        (2, "closed"),
    ]
    with instance.as_role("jobs") as conn:
        conn.execute("DELETE FROM lot_making")
        conn.execute("DELETE FROM lot_unjudged")
        conn.execute("UPDATE projection SET position = 0")
    versions = instance.rows("SELECT * FROM finding_version ORDER BY 1, 2")
    settled(instance, [], NOW + timedelta(hours=1))
    assert instance.rows("SELECT * FROM finding_version ORDER BY 1, 2") == versions, (
        "looking again is no new version"
    )
    assert instance.one("SELECT count(*) FROM lot_making") == 3


def test_figures_that_come_later_are_asked_again(instance: Instance) -> None:
    settled(instance, [picked(), run(boxes=44, cull=2)])  # 90 kg of 86.5: within five per cent
    assert found(instance) == []
    stricter = COUNTY["products"][0] | {"figures": {"mass_tolerance": {"value": 0.01}}}
    instance.register(COUNTY | {"products": [stricter]})
    settled(instance, [])
    assert found(instance) == ["outputs_over_inputs"]


def test_what_nobody_said_is_told_as_such(instance: Instance) -> None:
    plot = COUNTY["places"][1] | {"id": PLOT[:-2] + "02"}
    del plot["area_mu"]
    instance.register(COUNTY | {"places": [*COUNTY["places"], plot]})
    there = {"readPoint": {"id": plot["id"]}, "bizLocation": {"id": plot["id"]}}
    settled(instance, [picked(29, 9000, f"{FRUIT}-9") | there])
    certified(instance, "A1", 100, lot="urn:nobody:made")
    scanned(instance, "https://id.gs1.org/01/09521234000204/10/NOBODY", 900, 90)
    looked(instance)
    assert found(instance) == []
    assert dict(instance.rows("SELECT what, (judged, unjudged)::text FROM radar_look")) == {
        "harvest_over_ceiling": "(0,1)", "certificates_over_lot": "(0,1)", "scanned_too_often": "(0,1)",
    }  # fmt: skip


def test_readings_that_only_look_copied(instance: Instance) -> None:
    """One probe read by two devices of one truck, sensors that rest, and two walks of the same weather."""
    values = walk(300)
    resting = [4.0] * 200 + [4.5] * 100
    instance.take(
        [*by_carrier(on_truck(40)), *by_carrier(placed(39, ROOM_SENSOR, TRUCK, "pulp", "ambient"))], NOW
    )
    instance.take([
        message(pack(values, seq=1, start_s=NOW_S - 20 * 3600)),
        message(pack(values, seq=1, start_s=NOW_S - 20 * 3600, channel="return_air"), "truck-1", "carrier"),
        message(pack(resting, seq=2, start_s=NOW_S - 12 * 3600)),
        message(pack(resting, seq=2, start_s=NOW_S - 9 * 3600, channel="return_air"), "truck-1", "carrier"),
        message(pack(walk(200, 1), seq=3, start_s=NOW_S - 6 * 3600)),
        message(pack(walk(200, 2), seq=3, start_s=NOW_S - 6 * 3600, channel="return_air"), "truck-1", "carrier"),
    ], NOW)  # fmt: skip
    instance.settle(NOW + timedelta(minutes=5))
    looked(instance)
    assert instance.one("SELECT count(DISTINCT series_id) FROM reading_print") == 2
    assert found(instance) == []


def test_late_copies_are_found_and_a_longer_one_is_a_new_version(instance: Instance) -> None:
    values = walk(500)
    instance.take(
        [
            *by_terminal(placed(40)),
            *by_carrier(on_truck(40)),
            message(pack(values, seq=1, start_s=NOW_S - 30 * 3600)),
        ],
        NOW,
    )
    instance.settle(NOW + timedelta(minutes=5))
    looked(instance)
    for seq, (first, last) in enumerate([(100, 220), (220, 400)], 1):
        start = NOW_S - 20 * 3600 + first * 60
        instance.take(
            [
                message(
                    pack(values[first:last], seq=seq, start_s=start, channel="return_air"),
                    "truck-1",
                    "carrier",
                )
            ],
            NOW,
        )
        now = NOW + timedelta(minutes=10 * seq)
        instance.settle(now)
        looked(instance, now)
    assert found(instance) == ["copied_values"]
    versions = instance.rows(
        "SELECT version, (body -> 'body' ->> 'said')::integer FROM finding_version ORDER BY version"
    )
    assert versions == [(1, 120), (2, 300)]
