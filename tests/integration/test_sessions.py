"""Sessions: each worker has its own, a lost lease is asked for again, and what a dead worker left is drained."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest import sessions
from ingest.message import Message
from ingest.mqtt_client import remove_session
from ingest.sessions import Address, Sessions
from ingest.subscriber import Subscriber
from tests.conftest import build_service_environment
from tests.integration.running import suyuan
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until

pytestmark = pytest.mark.editions("plain")

TOPIC = "suyuan/v1/coop/room-1/readings"
HOLDERS = """
SELECT objid::integer, pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LOOK_S", 0.1)
    monkeypatch.setattr(sessions, "RESTING_LOOKS", 10)


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner, autocommit=True) as conn:
        yield conn


@contextmanager
def working(database: Database, broker: Broker) -> Iterator[tuple[Sessions, str]]:
    made = Sessions(
        Address(broker.url, "ingest", "ingest"),
        partial(psycopg.connect, database.service("ingest"), autocommit=True),
    )
    try:
        yield made, made.start()
    finally:
        made.stop()


def holders(owner: psycopg.Connection) -> dict[int, int]:
    """Who holds each slot, by the number of its backend."""
    return dict(owner.execute(HOLDERS, [sessions.SLOT_LOCK]).fetchall())


def taken_by(worker: Sessions, wanted: int) -> list[Message]:
    """So many messages, each acknowledged."""
    found: list[Message] = []
    while len(found) < wanted:
        came = worker.arrived.get(timeout=20)
        worker.acknowledge(came)
        found += came
    return found


def left_behind(broker: Broker, client_id: str, payloads: list[bytes]) -> None:
    """The session of a worker that died before it took any of these."""
    dead = Subscriber(broker.url, client_id, "ingest")
    dead.start()
    assert wait_until(lambda: dead.subscribed, 10)
    dead.stop()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for payload in payloads:
        client.publish(TOPIC, payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_each_worker_has_its_own_and_one_that_goes_leaves_it_to_the_next(
    database: Database, mqtt_broker: Broker
) -> None:
    with working(database, mqtt_broker) as (_, first), working(database, mqtt_broker) as (_, second):
        assert (first, second) == ("ingest-0", "ingest-1")
    with working(database, mqtt_broker) as (_, third):
        assert third == "ingest-0"


def test_a_lease_that_was_lost_is_taken_again(
    database: Database, mqtt_broker: Broker, owner: psycopg.Connection
) -> None:
    with working(database, mqtt_broker):
        before = holders(owner)[0]
        owner.execute("SELECT pg_terminate_backend(%s)", [before])
        assert wait_until(lambda: holders(owner).get(0, before) != before, 10)


def test_a_slot_that_somebody_else_took_meanwhile_is_let_go_and_another_one_taken(
    database: Database, mqtt_broker: Broker, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LOOK_S", 1.0)
    with (
        working(database, mqtt_broker),
        psycopg.connect(database.service("ingest"), autocommit=True) as other,
    ):
        owner.execute("SELECT pg_terminate_backend(%s)", [holders(owner)[0]])
        assert wait_until(lambda: 0 not in holders(owner), 10)
        taken = other.execute("SELECT pg_try_advisory_lock(%s, 0)", [sessions.SLOT_LOCK]).fetchone()
        assert taken == (True,)
        assert wait_until(lambda: 1 in holders(owner), 10)


def test_what_a_dead_worker_left_is_drained_and_its_session_let_go(
    database: Database, mqtt_broker: Broker, owner: psycopg.Connection
) -> None:
    payloads = [str(number).encode() for number in range(200)]
    left_behind(mqtt_broker, "ingest-1", payloads)
    with working(database, mqtt_broker) as (worker, own):
        assert own == "ingest-0"
        assert [message.payload for message in taken_by(worker, len(payloads))] == payloads
        assert wait_until(lambda: set(holders(owner)) == {0}, 20), "the drained one is nobody's"


def test_sessions_that_never_were_are_not_left_at_the_broker(
    database: Database, mqtt_broker: Broker, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def removed(url: str, client_id: str) -> None:
        held.append(1 in holders(owner))
        remove_session(url, client_id)

    monkeypatch.setattr("ingest.sessions.remove_session", removed)
    with working(database, mqtt_broker):
        assert wait_until(lambda: 1 in holders(owner), 10), "it looks whether there was a second worker"
        assert wait_until(lambda: 1 not in holders(owner), 10)
    assert held == [True], "a worker that took the slot meanwhile would lose its session"
    probe = Subscriber(mqtt_broker.url, "ingest-1", "ingest")
    probe.start()
    assert wait_until(lambda: probe.was_kept is not None, 10)
    probe.stop()
    assert probe.was_kept is False


def test_a_worker_that_cannot_start_leaves_no_session_that_gets_a_share(
    database: Database, mqtt_broker: Broker, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        environment = build_service_environment(
            database, mqtt_broker, tmp_path, "ingest", metrics_listen=address
        )
        done = suyuan(environment, "ingest")
    assert done.returncode == 1 and address in done.stderr and "Traceback" not in done.stderr
    probe = Subscriber(mqtt_broker.url, "ingest-0", "ingest")
    probe.start()
    assert wait_until(lambda: probe.was_kept is not None, 10)
    probe.stop()
    remove_session(mqtt_broker.url, "ingest-0")
    assert probe.was_kept is False


def test_a_worker_that_lived_shorter_than_a_look_is_drained_all_the_same(
    database: Database, mqtt_broker: Broker, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session was drained before, and it was there and gone between two looks: what the broker gave it is fetched."""
    monkeypatch.setattr(sessions, "AGAIN_S", 1.0)
    left_behind(mqtt_broker, "ingest-1", [b"1"])
    with working(database, mqtt_broker) as (worker, _):
        assert [message.payload for message in taken_by(worker, 1)] == [b"1"]
        assert wait_until(lambda: set(holders(owner)) == {0}, 20)
        payloads = {
            str(number).encode() for number in range(20)
        }  # the broker gives each of the two its share
        left_behind(mqtt_broker, "ingest-1", sorted(payloads))
        assert {message.payload for message in taken_by(worker, 20)} == payloads
