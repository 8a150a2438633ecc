"""The same events by MQTT and by HTTP at the same moment: each stands once, and each door says what became of its own.

A real broker and `suyuan ingest` as a process of its own on the one side, the served API with its capture worker on the other. In
each round the table of events is held until both doors stand before it, so that they overlap however fast the machine is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.acceptance.instance import Instance, token
from tests.acceptance.serving import served
from tests.conftest import build_service_environment
from tests.documents import REPOSITORY, invariants
from tests.integration.lines import account, adds_up
from tests.integration.said import REGISTRY
from tests.integration.test_capture import capture, document, nameless, outcomes, recorded, seen
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until

pytestmark = pytest.mark.editions("plain")

EVENTS = 40
"""Of a document; each names one of seven persons, whom both doors meet for the first time."""


@dataclass
class Doors:
    instance: Instance
    http: httpx.Client
    mqtt: mqtt.Client
    sent: int = field(default=0)

    def publish(self, *payloads: Any, events: int) -> None:
        """By MQTT, `events` in all."""
        for payload in payloads:
            self.mqtt.publish("suyuan/v1/coop/room-1/events", json.dumps(payload), qos=1).wait_for_publish(20)
        self.sent += events

    def taken_in(self) -> dict[str, int]:
        """The account of what came by MQTT, when all of it is in."""
        owner = self.instance.database.owner
        assert wait_until(lambda: account(owner)["received"] == self.sent, 30)
        found = account(owner)
        assert adds_up(found)
        return found

    def post(self, event: dict[str, Any]) -> httpx.Response:
        return self.http.post("/epcis/events", json=event)

    @contextmanager
    def both_before_it(self) -> Iterator[None]:
        """Nobody writes an event before both doors wait to do so; who is sent what is said inside."""
        waiting = "SELECT count(DISTINCT usename) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        with psycopg.connect(self.instance.database.owner) as held:
            held.execute("LOCK TABLE event IN SHARE ROW EXCLUSIVE MODE")
            yield
            assert wait_until(lambda: self.instance.one(waiting) == 2, 30)


@pytest.fixture
def doors(database: Database, mqtt_broker: Broker, tmp_path: Path) -> Iterator[Doors]:
    """Ends with what holds whatever came in: the record is whole, and nobody waited in a circle."""
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    with ExitStack() as stack:
        stack.enter_context(ingesting(instance, mqtt_broker))
        client = stack.enter_context(served(instance, datetime.now(UTC)))
        client.headers["Authorization"] = f"Bearer {token('coop')}"
        device = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="room-1", protocol=mqtt.MQTTv5)
        device.connect("127.0.0.1", mqtt_broker.port)
        device.loop_start()
        stack.callback(device.loop_stop)
        stack.callback(device.disconnect)
        yield Doors(instance, client, device)
    # Who ended has told the server's statistics all that it did.
    assert instance.one("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    instance.settle(datetime.now(UTC))
    assert instance.one("SELECT count(*) FROM leaf WHERE event IS NOT NULL") == instance.one(
        "SELECT count(*) FROM event"
    )
    assert {name: rows for name, sql in invariants().items() if (rows := instance.rows(sql))} == {}


@contextmanager
def ingesting(instance: Instance, broker: Broker) -> Iterator[None]:
    log = instance.folder / "ingest.log"
    environment = build_service_environment(instance.database, broker, instance.folder, "ingest")
    command = [sys.executable, "-m", "deploy", "ingest", "--follow-parent"]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out
        )
        try:
            assert wait_until(lambda: b"subscribed" in log.read_bytes(), 60)
            yield
        finally:
            process.terminate()
            process.wait(30)


def events_of(number: int) -> list[dict[str, Any]]:
    first = 100 * number
    return [seen(first + place, **{"suyuan:remark": f"老王 {number} {place % 7}"}) for place in range(EVENTS)]


def became(doors: Doors, job: dict[str, Any], before: dict[str, int]) -> dict[str, int]:
    """What both doors said of one round: how many were new, repeated, or another event under a known name."""
    after = doors.taken_in()
    counts = job["counts"]
    assert counts["invalid"] == after["quarantined"] == 0
    return {
        "recorded": counts["recorded"] + after["stored"] - before["stored"],
        "duplicate": counts["duplicate"] + after["duplicate"] - before["duplicate"],
        "conflict": counts["conflict"] + after["conflict"] - before["conflict"],
    }


def test_a_document_by_both_doors_stands_once(doors: Doors) -> None:
    orders: Sequence[Any] = (
        ("proceed", lambda events: events),
        ("rollback", lambda events: events[::-1]),
        ("proceed", lambda events: [nameless(event) for event in events]),
        ("rollback", lambda events: events[20:] + [nameless(event) for event in events[:20]]),
    )
    with ThreadPoolExecutor(1) as pool:
        for number, (behaviour, reordered) in enumerate(orders):
            events, before = events_of(number), doors.taken_in()
            with doors.both_before_it():
                job = pool.submit(capture, doors.http, document(*events), behaviour)
                doors.publish(document(*reordered(events)), events=EVENTS)
            assert job.result()["success"]
            assert became(doors, job.result(), before) == {
                "recorded": EVENTS,
                "duplicate": EVENTS,
                "conflict": 0,
            }
            assert recorded(doors.instance) == EVENTS * (number + 1)
    assert doors.instance.one("SELECT count(*) FROM quarantine") == 0
    assert doors.instance.one("SELECT count(*) FROM vault") == 7 * len(orders)


def test_single_events_beside_a_document_of_them_stand_once(doors: Doors) -> None:
    """Eight ask at once for one event each, while the other door has all of them, and a job too."""
    with ThreadPoolExecutor(9) as pool:
        for number in range(3):
            events, before = events_of(number), doors.taken_in()
            with doors.both_before_it():
                answers = [pool.submit(doors.post, event) for event in events]
                job = pool.submit(capture, doors.http, document(*events[::-1]), "proceed")
                doors.publish(*events[::2], document(*events), events=EVENTS // 2 + EVENTS)
            statuses = [answer.result().status_code for answer in answers]
            assert set(statuses) <= {200, 201}
            found = became(doors, job.result(), before)
            assert found["recorded"] + statuses.count(201) == EVENTS
            assert found["duplicate"] + statuses.count(200) == 2 * EVENTS + EVENTS // 2
            assert recorded(doors.instance) == EVENTS * (number + 1)
    assert doors.instance.one("SELECT count(*) FROM quarantine") == 0


def test_another_event_of_one_name_is_refused_at_one_door_and_named(doors: Doors) -> None:
    with ThreadPoolExecutor(2) as pool:
        for number in range(3):
            events, before = events_of(number), doors.taken_in()
            place = 7 * number
            name = events[place]["eventID"]
            others = [*events[:place], events[place] | {"bizStep": "shipping"}, *events[place + 1 :]]
            with doors.both_before_it():
                job = pool.submit(capture, doors.http, document(*others), "proceed")
                doors.publish(document(*events[::-1]), events=EVENTS)
            told = job.result()
            assert became(doors, told, before) == {
                "recorded": EVENTS,
                "duplicate": EVENTS - 1,
                "conflict": 1,
            }
            (refused,) = [
                *((each["instance"], each["detail"]) for each in told["errors"]),
                *doors.instance.rows(
                    "SELECT reason, detail FROM quarantine ORDER BY id LIMIT 1 OFFSET %s",
                    doors.taken_in()["conflict"] - 1 if not told["errors"] else 1_000,
                ),
            ]
            assert refused[0] in (f"/epcisBody/eventList/{place}", "conflict") and name in refused[1]
            assert (outcomes(told)[place] == "conflict") == bool(told["errors"])


def test_one_event_of_each_door_under_one_name(doors: Doors) -> None:
    with ThreadPoolExecutor(1) as pool:
        for number in range(4):
            (event, *_), before = events_of(number), doors.taken_in()
            with doors.both_before_it():
                answer = pool.submit(doors.post, event | {"bizStep": "shipping"})
                doors.publish(event, events=1)
            status = answer.result().status_code
            refused = doors.taken_in()["conflict"] - before["conflict"]
            assert (status, refused) in ((409, 0), (201, 1))
            if status == 409:
                assert event["eventID"] in answer.result().json()["detail"]
            else:
                (detail,) = doors.instance.rows("SELECT detail FROM quarantine ORDER BY id DESC LIMIT 1")[0]
                assert event["eventID"] in detail
    assert recorded(doors.instance) == 4
