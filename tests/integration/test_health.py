"""What is wrong with devices is found within a look, named with its evidence, and over when it is over."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from deploy.command import main
from ingest.pipeline import Message
from tests.acceptance.instance import Instance
from tests.integration.lines import NOW, NOW_S, message, pack
from tests.integration.said import REGISTRY, STORE, by_terminal, placed
from tests.servers.databases import Database

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ROOM = REGISTRY["devices"][0]
BATTERY = {"channel": "battery", "quantity": "battery_level", "unit": "%EL"}
SECOND = ROOM | {"id": "room-2", "giai": "https://id.gs1.org/8004/95212340ROOM2", "channels": ROOM["channels"][:1]}  # fmt: skip
THIRD = SECOND | {"id": "room-3", "giai": "https://id.gs1.org/8004/95212340ROOM3"}
DEVICES = [
    ROOM | {"channels": [*ROOM["channels"], BATTERY]},
    SECOND,
    THIRD,
    *REGISTRY["devices"][1:],
]


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    made = Instance(database, tmp_path)
    made.register(REGISTRY | {"devices": DEVICES})
    return made


def look(instance: Instance, at: datetime) -> None:
    instance.settle(at, consumers=("health",))


FOUND = (
    "SELECT device.external_id, series.channel, kind, until IS NULL, evidence FROM device_finding"
    " JOIN device ON device.id = device_finding.device_id LEFT JOIN series ON series.id = series_id ORDER BY device_finding.id"
)


def found(instance: Instance) -> list[tuple[Any, ...]]:
    """(device, channel, kind, whether it is so now)."""
    return [row[:4] for row in instance.rows(FOUND)]


def air(
    values: list[float], seq: int, until: datetime = NOW, device: str = "room-1", step_s: float = 60, **more: Any
) -> Message:  # fmt: skip
    start = until.timestamp() - step_s * (len(values) - 1)
    sent_s = until.timestamp()
    return message(pack(values, seq=seq, start_s=start, step_s=step_s, sent_s=sent_s, **more), device)


def noisy(count: int, seed: int = 1, level: float = 3.0) -> list[float]:
    return np.round(level + np.random.default_rng(seed).normal(0, 0.2, count), 2).tolist()


def test_a_device_that_falls_silent_is_found_once_and_until_it_speaks(instance: Instance) -> None:
    instance.take([air(noisy(60), 1)], NOW)
    look(instance, NOW)
    assert found(instance) == [], "those never heard are not silent, nor is who is heard"
    for minutes in (10, 16, 20, 60):
        look(instance, NOW + minutes * MINUTE)
    assert found(instance) == [("room-1", None, "silent", True)]
    ((evidence, since),) = instance.rows("SELECT evidence, since FROM device_finding")
    assert since == NOW and evidence["allowed_s"] == 900
    later = NOW + 70 * MINUTE
    instance.take([air(noisy(3), 2, later)], later)
    look(instance, later + 2 * MINUTE)
    assert found(instance) == [("room-1", None, "silent", False)]


def test_a_clock_that_is_set_right_makes_no_silence(instance: Instance) -> None:
    """It was three hours ahead: what it sends now lies below what it has sent, and is heard all the same."""
    ahead = NOW + 3 * HOUR
    instance.take([air(noisy(5), 1, ahead)], NOW)
    look(instance, NOW)
    for minutes in (20, 40, 60):
        later = NOW + minutes * MINUTE
        instance.take([air(noisy(5), 1 + minutes, later)], later)
        look(instance, later + MINUTE)
    assert [row for row in found(instance) if row[2] == "silent"] == []
    look(instance, NOW + 2 * HOUR)
    assert [row for row in found(instance) if row[2] == "silent"] == [("room-1", None, "silent", True)]


def test_stuck_jumping_and_low_on_battery_are_of_their_channel(instance: Instance) -> None:
    loose = noisy(60)
    for place in (20, 35, 50):
        loose[place] = -127.0
    batteries = [{"n": "battery", "u": "%EL", "t": NOW_S - 60 * place, "v": 11} for place in range(3)]
    instance.take(
        [
            air([4.0] * 800, 1, device="room-2"),
            air([*noisy(700), *[4.0] * 100], 1, device="room-3"),
            air(loose, 1),
            message(json.dumps(batteries).encode()),
        ],
        NOW,
    )
    look(instance, NOW)
    assert sorted(found(instance)) == [
        ("room-1", "ambient", "jumping", True),
        ("room-1", "battery", "low_battery", True),
        ("room-2", "ambient", "stuck", True),
    ]
    evidence = {row[2]: row[4] for row in instance.rows(FOUND)}
    assert evidence["stuck"]["value"] == 4.0 and evidence["stuck"]["hours"] == pytest.approx(13.3, abs=0.1)
    assert [value for _, value in evidence["jumping"]["readings"]] == [-127.0] * 3
    assert evidence["low_battery"]["level"] == 11.0

    later = NOW + 65 * MINUTE
    charged = {"n": "battery", "u": "%EL", "v": 90}
    instance.take(
        [
            air([*[4.0] * 64, 4.3], 2, later, device="room-2"),
            air(noisy(65), 2, later),
            message(
                json.dumps([charged | {"t": later.timestamp() - 60 * place} for place in range(3)]).encode()
            ),
        ],
        later,
    )
    look(instance, later)
    assert {row for row in found(instance) if row[2] != "silent"} == {
        ("room-1", "ambient", "jumping", False),
        ("room-1", "battery", "low_battery", False),
        ("room-2", "ambient", "stuck", False),
    }


def test_a_sensor_that_moves_away_from_those_beside_it_drifts(instance: Instance) -> None:
    began = NOW - timedelta(days=8)
    sensors = ("room-1", "room-2", "room-3")
    for number in (1, 2, 3):
        event = placed(8 * 24, f"https://id.gs1.org/8004/95212340ROOM{number}", STORE)
        instance.take(by_terminal(event | {"eventID": f"urn:placed:{number}"}), began)
    instance.settle(began, consumers=("projection",))
    hours = 7 * 24 - 1
    for number, device in enumerate(sensors, 1):
        values = np.array(noisy(2 * hours, number)) + (np.linspace(0, 3, 2 * hours) if number == 2 else 0)
        instance.take([air(values.tolist(), 1, NOW, device, step_s=1800)], NOW)
    instance.settle(NOW, consumers=("rollup",))
    look(instance, NOW)
    assert found(instance) == [("room-2", "ambient", "drifting", True)]
    ((evidence,),) = instance.rows("SELECT evidence FROM device_finding")
    assert evidence["moved"] > 1.2 == evidence["allowed"] and not evidence["alone"]
    instance.alter("DELETE FROM device_finding; DELETE FROM device_look")
    instance.alter(
        "UPDATE series SET organisation = 'carrier' WHERE device_id = (SELECT id FROM device WHERE external_id = 'room-2')"
    )
    look(instance, NOW)
    assert found(instance) == [], "what another measures is not told by a difference"


def test_what_stands_is_found_again_and_each_is_looked_at_every_two_minutes(instance: Instance) -> None:
    instance.take([air([4.0] * 800, 1, device="room-2"), air(noisy(60), 1)], NOW)
    look(instance, NOW)
    look(instance, NOW + HOUR)
    kept = "SELECT device_id, series_id, kind, since, evidence FROM device_finding WHERE until IS NULL ORDER BY 1, 3"
    before = instance.rows(kept)
    assert [row[2] for row in before] == ["silent", "silent", "stuck"]
    with instance.as_role("jobs") as conn:
        conn.execute("DELETE FROM device_finding")
        conn.execute("DELETE FROM device_look")
    look(instance, NOW + HOUR)
    assert instance.rows(kept) == before
    assert not instance.consume("health", NOW + HOUR + MINUTE)
    assert instance.one("SELECT count(*) FROM device_look") == 4


def test_the_command_tells_it_in_either_language(instance: Instance) -> None:
    instance.take([air([4.0] * 800, 1, device="room-2"), air(noisy(60), 1)], NOW)
    look(instance, NOW + HOUR)
    url = ["--database-url", instance.database.owner]
    told = CliRunner().invoke(main, ["devices", "health", *url], env={"COLUMNS": "40"})
    assert told.exit_code == 0, told.output
    assert "without a change; 12.0 h are allowed\n" in told.output, "whole, however narrow the terminal"
    assert "room-2" in told.output and "ambient" in told.output and "4.0" in told.output
    chinese = CliRunner().invoke(
        main, ["devices", "health", "--language", "zh", *url], env={"COLUMNS": "200"}
    )
    assert "没有收到" in chinese.output
    as_json = json.loads(CliRunner().invoke(main, ["devices", "health", "--json", *url]).output)
    assert [(row["device"], row["kind"]) for row in as_json["findings"]] == [
        ("room-1", "silent"), ("room-2", "silent"), ("room-2", "stuck")
    ]  # fmt: skip
    assert as_json["never_heard"] == ["room-3", "truck-1"]
    (stuck,) = (row for row in as_json["findings"] if row["kind"] == "stuck")
    assert stuck["evidence"]["value"] == 4.0 and stuck["words"] and stuck["todo"]
    nobody = CliRunner().invoke(main, ["devices", "health", "--organisation", "carrier", *url])
    assert "nothing" in nobody.output.lower()
