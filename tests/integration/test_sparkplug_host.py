"""A host of a Sparkplug group on a real Mosquitto: what it says of itself, and what it asks of edge nodes.

The standard's list of what a host must do is `docs/sparkplug-host.md`; the tests that it names are here and in
`tests/unit/ingest/sparkplug`.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest.message import OVERHEAD_BYTES
from ingest.sparkplug import owner
from ingest.sparkplug.host import HostSession
from ingest.sparkplug.owner import hold
from tests.integration.lines import line
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until
from tests.unit.ingest.wire.sparkplug_writing import metric, payload

STATE = "spBv1.0/STATE/sparkplug-plant"


def now() -> datetime:
    return datetime.now(UTC)


def now_ms() -> int:
    return round(now().timestamp() * 1000)


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    qos: int
    retained: bool

    @property
    def state(self) -> tuple[bool, int]:
        said = json.loads(self.payload)
        assert sorted(said) == ["online", "timestamp"] and isinstance(said["timestamp"], int)
        return said["online"], said["timestamp"]


class Neighbour:
    """Another client of the broker, which hears what it subscribed to."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe([(topic, 1) for topic in topics])
        assert ready.wait(10)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.heard.put(Heard(message.topic, bytes(message.payload), message.qos, message.retain))

    def next(self) -> Heard:
        return self.heard.get(timeout=10)

    def publish(self, topic: str, body: bytes, **how: Any) -> None:
        self._client.publish(topic, body, **how).wait_for_publish(10)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def neighbour(mqtt_broker: Broker) -> Iterator[Neighbour]:
    found = Neighbour(mqtt_broker.port, STATE, "spBv1.0/plant/NCMD/#")
    yield found
    found.stop()


def host(broker: Broker) -> HostSession:
    session = HostSession(broker.url, "plant", now)
    session.start()
    assert session.subscribed.wait(10)
    return session


def cut_off(session: HostSession) -> None:
    """Its process dies: no word, and its connection is closed."""
    client = session._client
    connection = client.socket()
    client.loop_stop()
    assert connection is not None
    connection.close()


def test_a_host_says_that_it_listens_and_that_it_leaves(mqtt_broker: Broker, neighbour: Neighbour) -> None:
    before = now_ms()
    session = host(mqtt_broker)
    said = neighbour.next()
    online, born_ms = said.state
    assert online and before <= born_ms <= now_ms() and said.qos == 1
    late = Neighbour(mqtt_broker.port, STATE)
    assert (kept := late.next()).retained and kept.state == (True, born_ms)
    late.stop()
    session.stop()
    online, left_ms = neighbour.next().state
    assert not online and left_ms >= born_ms
    late = Neighbour(mqtt_broker.port, STATE)
    assert late.next().state == (False, left_ms), "retained"
    late.stop()


def test_a_host_that_dies_has_left_a_will(mqtt_broker: Broker, neighbour: Neighbour) -> None:
    """With the time of its birth, retained, QoS 1."""
    cut_off(host(mqtt_broker))
    _, born_ms = neighbour.next().state
    will = neighbour.next()
    assert will.state == (False, born_ms) and will.qos == 1
    late = Neighbour(mqtt_broker.port, STATE)
    assert late.next().state == (False, born_ms)
    late.stop()


def test_a_host_contradicts_who_says_that_it_is_away(mqtt_broker: Broker, neighbour: Neighbour) -> None:
    session = host(mqtt_broker)
    born = neighbour.next().state
    for body in (b"{", b'{"online": true, "timestamp": 5}', b'{"online": false, "timestamp": 5}'):
        neighbour.publish(STATE, body, qos=1)
    heard = [neighbour.next() for _ in range(4)]
    assert heard[-1].state == born, "in the same words as before"
    session.stop()


def test_a_host_that_takes_over_is_the_one_that_stands(mqtt_broker: Broker, neighbour: Neighbour) -> None:
    """A broker may publish the will of the session before, also after the new one's birth."""
    first = host(mqtt_broker)
    _, first_ms = neighbour.next().state
    first._client.loop_stop()  # it hangs: it holds its connection and hears nothing
    second = host(mqtt_broker)
    assert wait_until(lambda: (said := neighbour.next().state)[0] and said[1] > first_ms, 10)
    late = Neighbour(mqtt_broker.port, STATE)
    online, second_ms = late.next().state
    assert online and second_ms > first_ms
    late.stop()
    second.stop()


def test_a_host_is_born_anew_with_every_connection(mqtt_broker: Broker, neighbour: Neighbour) -> None:
    session = host(mqtt_broker)
    _, first_ms = neighbour.next().state
    mqtt_broker.restart()
    assert wait_until(session.subscribed.is_set, 20)
    late = Neighbour(mqtt_broker.port, STATE)
    assert wait_until(lambda: (said := late.next().state)[0] and said[1] > first_ms, 10)
    late.stop()
    cut_off(session)


def test_a_rebirth_request_is_published_as_the_standard_wants_it(
    mqtt_broker: Broker, neighbour: Neighbour
) -> None:
    session = host(mqtt_broker)
    assert neighbour.next().topic == STATE
    before = now_ms()
    session.ask_for_births(["gw1"])
    said = neighbour.next()
    assert (said.topic, said.qos, said.retained) == ("spBv1.0/plant/NCMD/gw1", 0, False)
    assert any(
        said.payload == payload(metric("Node Control/Rebirth", timestamp=at, datatype=11, boolean=1), timestamp=at)
        for at in range(before, now_ms() + 1)
    )  # fmt: skip
    session.stop()


def test_messages_are_held_up_to_a_bound_and_leaving_does_not_wait_for_them(mqtt_broker: Broker) -> None:
    session = host(mqtt_broker)
    sender = Neighbour(mqtt_broker.port, STATE)
    for _ in range(24):
        sender.publish("spBv1.0/plant/NDATA/gw1", bytes(2**20), qos=1)
    assert wait_until(lambda: session._held >= 16 * 2**20, 10)
    first = session.next_batch(1.0)
    assert 16 <= len(first) <= 18 and all(len(message.payload) == 2**20 for message in first)
    assert wait_until(lambda: session._held >= 2**20, 10), "the rest follows"
    session.stop()
    sender.stop()


def test_messages_without_a_byte_are_held_up_to_a_bound_too(
    mqtt_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.sparkplug.host.HELD_BYTES", 100 * OVERHEAD_BYTES)
    session = host(mqtt_broker)
    sender = Neighbour(mqtt_broker.port, STATE)
    for _ in range(200):
        sender.publish("spBv1.0/plant/NDATA/gw1", b"")
    assert wait_until(lambda: len(session._arrived) >= 100, 10)
    sender.publish("spBv1.0/plant/NDATA/gw1", b"last", qos=1)
    taken: list[bytes] = []
    while b"last" not in taken:
        some = session.next_batch(5.0)
        assert 0 < len(some) <= 100
        taken += [message.payload for message in some]
    assert len(taken) == 201
    session.stop()
    sender.stop()


@pytest.mark.editions("plain")
def test_a_host_without_its_database_says_that_it_is_away_and_comes_back(
    database: Database,
    mqtt_broker: Broker,
    neighbour: Neighbour,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that edge nodes keep what they measure; what had come in before is not lost by it."""
    monkeypatch.setattr(owner, "LONGEST_PAUSE_S", 0.4)
    session, stop = HostSession(mqtt_broker.url, "plant", now), threading.Event()
    connect = partial(psycopg.connect, database.service("ingest"))
    arguments = (session, connect, line(tmp_path), now, stop)
    thread = threading.Thread(target=owner.listen, args=arguments, daemon=True)
    thread.start()
    with psycopg.connect(database.owner, autocommit=True) as conn:
        assert neighbour.next().state[0] and session.subscribed.wait(10)
        conn.execute("ALTER ROLE suyuan_ingest NOLOGIN")
        try:
            neighbour.publish("spBv1.0/plant/NDATA/gw1", payload(metric("t", 1.0, "Double"), seq=1))
            assert not neighbour.next().state[0]
        finally:
            conn.execute("ALTER ROLE suyuan_ingest LOGIN")
        assert neighbour.next().state[0]
        assert neighbour.next().topic == "spBv1.0/plant/NCMD/gw1"
        assert conn.execute("SELECT reason FROM quarantine").fetchall() == [("before_birth",)]
    stop.set()
    thread.join()


# --- the lease ---------------------------------------------------------------------------------------------------------


class Process:
    """One process's part: its lock connection, and which groups it serves at the moment."""

    def __init__(self, database: Database, *groups: str) -> None:
        self._conninfo = database.service("ingest")
        self.serving: set[str] = set()
        self.pid = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=hold, args=(groups, self._connect, self._serve, self._stop))
        self._thread.start()

    def _connect(self) -> psycopg.Connection:
        conn = psycopg.connect(self._conninfo, autocommit=True)
        self.pid = conn.info.backend_pid
        return conn

    def _serve(self, group: str, stop: threading.Event) -> None:
        self.serving.add(group)
        stop.wait()
        self.serving.remove(group)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.editions("plain")
def test_a_group_has_one_owner_and_another_when_that_one_ends(database: Database) -> None:
    first = Process(database, "plant", "冷链")
    assert wait_until(lambda: first.serving == {"plant", "冷链"}, 10)
    second = Process(database, "plant", "冷链")
    assert wait_until(lambda: second.pid != 0, 10)
    with psycopg.connect(database.owner, autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(%s)", [first.pid])
    assert wait_until(lambda: len(first.serving | second.serving) == 2, 10)
    assert not first.serving & second.serving, "whoever lost the lock listens no longer"
    first.stop()
    assert wait_until(lambda: second.serving == {"plant", "冷链"}, 10)
    second.stop()
    assert not second.serving


@pytest.mark.editions("plain")
def test_a_group_that_breaks_off_is_begun_again(database: Database) -> None:
    begun: queue.SimpleQueue[str] = queue.SimpleQueue()

    def serve(group: str, _stop: threading.Event) -> None:
        begun.put(group)
        raise RuntimeError("a fault of ours")

    stop = threading.Event()
    arguments = (["plant"], lambda: psycopg.connect(database.service("ingest"), autocommit=True), serve, stop)
    thread = threading.Thread(target=hold, args=arguments)
    thread.start()
    assert [begun.get(timeout=10), begun.get(timeout=10)] == ["plant", "plant"]
    stop.set()
    thread.join()
