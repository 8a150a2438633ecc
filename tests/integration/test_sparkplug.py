"""A Sparkplug group down the line: what its edge nodes say is stored with where their order stands, and an owner that dies is
replaced without a loss."""

from __future__ import annotations

import itertools
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from deploy.doctor import sparkplug
from deploy.doctor.examination import Patient
from deploy.settings import Settings
from ingest import pipeline, readings
from ingest.admission import FLAG_HISTORICAL, FLAG_SERVER_TIME
from ingest.message import Message
from ingest.registry import load, parse_registry
from ingest.sparkplug import entering, taking
from ingest.sparkplug.owner import GROUP_LOCK, lease_group
from ingest.sparkplug.stored import KnownBirths, NodeKey
from tests.integration.lines import NOW, account, adds_up, line, registered
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until
from tests.unit.ingest.wire.sparkplug_writing import metric, payload

NOW_MS = round(NOW.timestamp() * 1000)
GW1 = NodeKey("plant", "gw1")
CHANNELS = [
    {"channel": "Temperature/Pulp", "quantity": "temperature", "unit": "Cel"},
    {"channel": "Door", "quantity": "boolean", "unit": "/"},
    {"channel": "Note", "quantity": "text", "unit": "/"},
]
REGISTRY = {
    "devices": [
        {"scheme": "sparkplug", "id": "plant/gw1", "organisation": "coop", "giai": "https://id.gs1.org/8004/95212340GW1",
         "model": "edge", "interval_s": 60, "channels": CHANNELS},
        {"scheme": "sparkplug", "id": "plant/gw1/probe 7", "organisation": "carrier", "giai": "https://id.gs1.org/8004/95212340P7",
         "model": "probe", "interval_s": 60, "channels": CHANNELS[:1]},
    ],
}  # fmt: skip


@pytest.fixture
def ingest(database: Database) -> str:
    conninfo = database.service("ingest")
    registered(conninfo)
    with psycopg.connect(conninfo) as conn:
        load(conn, parse_registry(json.dumps(REGISTRY)))
    return conninfo


def rows(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as conn:
        return conn.execute(query.encode()).fetchall()


STORED = (
    "SELECT device.external_id, channel, (extract(epoch FROM time) * 1000)::bigint, value, flags FROM reading_store"
    " JOIN series ON series.id = series_id JOIN device ON device.id = device_id ORDER BY time, channel"
)
REFUSED = "SELECT reason, records FROM quarantine ORDER BY id"


class Owner:
    """A group's owner, whoever that is, with a memory of its own."""

    def __init__(self, conninfo: str, folder: Path) -> None:
        self._conninfo, self._line, self._known = conninfo, line(folder), KnownBirths()

    def take(self, *messages: Message, now: datetime = NOW) -> list[NodeKey]:
        with psycopg.connect(self._conninfo) as conn:
            return taking.take(conn, self._line, messages, now, self._known)

    def reread(self, *messages: Message) -> None:
        with psycopg.connect(self._conninfo) as conn:
            batch = taking.reread(conn, self._line.registry, messages, self._line.retention, NOW)
            pipeline.transact(conn, self._line, batch)


@pytest.fixture
def owner(ingest: str, tmp_path: Path) -> Owner:
    return Owner(ingest, tmp_path)


def message(kind: str, encoded: bytes, device: str = "", again: bool = False, node: str = "gw1") -> Message:
    topic = "/".join(filter(None, ("spBv1.0", "plant", kind, node, device)))
    return Message(topic.encode(), encoded, redelivered=again)


def again(*messages: Message) -> list[Message]:
    return [Message(each.topic, each.payload, redelivered=True) for each in messages]


CONTROLS = (metric("bdSeq", 3, "Int64"), metric("Node Control/Rebirth", False, "Boolean"))
PULP = metric("Temperature/Pulp", 2.5, "Double", alias=7, timestamp=NOW_MS - 60_000)


def born(*metrics: bytes, seq: int = 0, at_ms: int = NOW_MS) -> Message:
    return message("NBIRTH", payload(*CONTROLS, *(metrics or (PULP,)), timestamp=at_ms, seq=seq))


def data(seq: int, value: float = 4.0, at_ms: int | None = None, alias: int = 7, **fields: Any) -> Message:
    when = NOW_MS - 50_000 + seq if at_ms is None else at_ms
    return message("NDATA", payload(metric(None, value, "Double", alias=alias, **fields), timestamp=when, seq=seq))  # fmt: skip


def test_what_a_node_says_is_stored_under_its_devices(owner: Owner, ingest: str) -> None:
    device = payload(metric("Temperature/Pulp", 3.5, "Double", alias=1), timestamp=NOW_MS - 40_000, seq=1)
    late = payload(
        metric(None, 5.5, "Double", alias=7, is_historical=1, timestamp=NOW_MS - 7_200_000),
        metric(None, 6.5, "Double", alias=7, timestamp=NOW_MS - 30_000),
        metric("Note", "冷", "String"),
        timestamp=NOW_MS - 30_000,
        seq=2,
    )
    assert owner.take(born(), message("DBIRTH", device, "probe 7"), message("NDATA", late)) == []
    assert rows(ingest, STORED) == [
        ("plant/gw1", "Temperature/Pulp", NOW_MS - 7_200_000, 5.5, FLAG_HISTORICAL),
        ("plant/gw1", "Temperature/Pulp", NOW_MS - 60_000, 2.5, 0),
        ("plant/gw1/probe 7", "Temperature/Pulp", NOW_MS - 40_000, 3.5, 0),
        ("plant/gw1", "Temperature/Pulp", NOW_MS - 30_000, 6.5, 0),
    ]
    assert rows(ingest, "SELECT body FROM observation") == [({"text": "冷"},)]
    assert account(ingest) == {"received": 5, "stored": 5, "duplicate": 0, "conflict": 0, "quarantined": 0}
    assert rows(ingest, "SELECT DISTINCT worker FROM batch") == [("ingest-test",)]


def test_without_any_time_of_its_own_a_reading_rests_on_our_clock(owner: Owner, ingest: str) -> None:
    owner.take(message("NBIRTH", payload(*CONTROLS, metric("Temperature/Pulp", 1.5, "Double"), seq=0)))
    assert rows(ingest, STORED) == [("plant/gw1", "Temperature/Pulp", NOW_MS, 1.5, FLAG_SERVER_TIME)]


CLOCK = """
INSERT INTO device_clock (device_id, organisation, valid, anchor, offset_ms, drift_ppm, seen, first_at, last_at, samples, fitted_at)
SELECT id, organisation, tstzrange(begun, NULL), begun, -180000, 0, tstzrange(begun, NULL), begun, begun, 9, begun
FROM device, (SELECT %(now)s::timestamptz - INTERVAL '1 day') AS day (begun) WHERE external_id = 'plant/gw1'
"""


@pytest.mark.editions("plain")  # it is decided before the table
def test_what_is_known_of_a_nodes_clock_bounds_its_times(
    database: Database, owner: Owner, ingest: str, tmp_path: Path
) -> None:
    """An hour ahead may be a clock that nobody set; of one that is known to be three minutes ahead it is a fault."""
    hour = 3_600_000
    owner.take(born(), data(1, 4.0, at_ms=NOW_MS + hour))
    assert rows(ingest, REFUSED) == []
    with psycopg.connect(database.owner) as conn:
        conn.execute(CLOCK.encode(), {"now": NOW})
    knowing = Owner(ingest, tmp_path)
    knowing.take(data(2, 5.0, at_ms=NOW_MS + hour), data(3, 6.0, at_ms=NOW_MS + 420_000))
    assert rows(ingest, REFUSED) == [("impossible_time", 1)]
    assert [row[3] for row in rows(ingest, STORED)] == [2.5, 6.0, 4.0]


def test_an_owner_that_takes_over_reads_on_by_the_births_in_the_database(
    owner: Owner, ingest: str, tmp_path: Path
) -> None:
    owner.take(born(), data(1))
    successor = Owner(ingest, tmp_path)
    assert successor.take(data(2, 4.5)) == []
    assert [row[3] for row in rows(ingest, STORED)] == [2.5, 4.0, 4.5]
    assert rows(ingest, "SELECT online, seq, awaits_birth, bd_seq FROM sparkplug_node") == [
        (True, 2, False, 3)
    ]


def test_what_the_broker_sends_again_after_a_crash_is_found_stored(
    owner: Owner, ingest: str, tmp_path: Path
) -> None:
    """Committed, and not acknowledged: the same messages come again, and then what came after them."""
    batch = [born(), data(1), data(2, 4.5)]
    owner.take(*batch)
    assert Owner(ingest, tmp_path).take(*again(*batch), data(3, 5.0)) == []
    assert [row[3] for row in rows(ingest, STORED)] == [2.5, 4.0, 4.5, 5.0]
    assert account(ingest) == {"received": 7, "stored": 4, "duplicate": 3, "conflict": 0, "quarantined": 0}


def test_what_is_out_of_order_waits_and_is_read_when_the_birth_has_come(owner: Owner, ingest: str) -> None:
    waiting = [data(5, 5.0), data(6, 6.0)]
    assert owner.take(born(), data(1), *waiting) == [GW1]
    assert rows(ingest, REFUSED) == [("sequence_gap", 1), ("before_birth", 1)]
    owner.reread(waiting[0])
    assert rows(ingest, REFUSED)[2:] == [("before_birth", 1)], "not before its birth"
    assert owner.take(born(at_ms=NOW_MS + 1), data(1, 7.0, at_ms=NOW_MS + 2)) == []
    owner.reread(*waiting)
    assert [row[3] for row in rows(ingest, STORED)] == [2.5, 4.0, 5.0, 6.0, 7.0]
    assert adds_up(account(ingest))
    assert rows(ingest, "SELECT seq, awaits_birth FROM sparkplug_node") == [(1, False)], (
        "a replay changes nothing"
    )


def test_the_raw_message_lies_in_quarantine(owner: Owner, ingest: str, tmp_path: Path) -> None:
    owner.take(data(1))
    ((topic, month, stored),) = rows(ingest, "SELECT topic, key_month, payload FROM quarantine")
    kept = line(tmp_path).keys.decrypt(month, stored)
    assert (topic, kept) == (b"spBv1.0/plant/NDATA/gw1", data(1).payload)


def test_a_birth_is_asked_for_now_and_then_whoever_owns_the_group(
    owner: Owner, ingest: str, tmp_path: Path
) -> None:
    assert owner.take(data(1)) == [GW1]
    assert Owner(ingest, tmp_path).take(data(2), now=NOW + timedelta(seconds=5)) == []
    assert Owner(ingest, tmp_path).take(data(3), now=NOW + timedelta(seconds=31)) == [GW1]


BAD = {
    "unknown_alias": (data(1, alias=99), 1),
    "before_birth": (message("DDATA", payload(metric(None, 1.0, "Double", alias=7), seq=1), "other"), 1),
    "sequence_gap": (data(9), 1),
    "sequence_back": (data(0), 1),
    "bad_quality": (data(1, properties=bytes.fromhex("0a075175616c697479120408031800")), 1),
    "malformed_protobuf": (message("NDATA", b"\x12\xff"), 1),
    "malformed_sparkplug": (message("NDATA", payload(metric(None, "x", "String", alias=7, datatype=10), seq=1)), 1),
    "unsupported_value": (message("NDATA", payload(metric(None, b"", "DataSet", alias=7), seq=1)), 1),
    "too_large": (message("NDATA", bytes(2_000_000)), 1),
    "unknown_channel": (message("NDATA", payload(metric("Humidity", 1.0, "Double"), timestamp=NOW_MS, seq=1)), 1),
    "unknown_device": (message("NBIRTH", payload(PULP, metric("a", 1.0, "Double"), timestamp=NOW_MS), node="gw2"), 2),
    "impossible_time": (data(1, at_ms=5), 1),
    "not_a_number": (data(1, float("nan")), 1),
    "wrong_kind": (message("NDATA", payload(metric("Note", 1.0, "Double"), timestamp=NOW_MS, seq=1)), 1),
    "beyond_retention": (data(1, timestamp=1_590_000_000_000), 1),
    "unknown_topic": (Message(b"spBv1.0/plant/NDATA", b"", redelivered=False), 1),
    "topic_not_utf8": (Message(b"spBv1.0/plant/NDATA/\xff", b"", redelivered=False), 1),
}  # fmt: skip


@pytest.mark.editions("plain")
def test_bad_input_is_quarantined_with_its_reason_and_takes_nobody_with_it(owner: Owner, ingest: str) -> None:
    """Each between two births, as one batch."""
    for number, (reason, (bad, records)) in enumerate(BAD.items()):
        before = len(rows(ingest, REFUSED))
        value, at_ms = float(number), NOW_MS - 1000 * number
        after = metric("Temperature/Pulp", value, "Double", timestamp=at_ms)
        owner.take(born(), bad, born(after, at_ms=NOW_MS + number))
        assert rows(ingest, REFUSED)[before:] == [(reason, records)]
        assert (at_ms, value) in {row[2:4] for row in rows(ingest, STORED)}
    assert all(len(detail) > 15 for (detail,) in rows(ingest, "SELECT detail FROM quarantine"))
    assert adds_up(account(ingest))


def test_a_group_costs_its_births_once_and_forgets_none(owner: Owner, ingest: str, tmp_path: Path) -> None:
    """A birth that says the same keeps its number, so that nobody reads it again; one that says something else gets one."""
    numbers = "SELECT number, online, same_from_ms FROM sparkplug_birth"
    owner.take(born())
    (first,) = rows(ingest, numbers)
    assert first[1:] == (True, None)
    owner.take(message("NDEATH", payload(metric("bdSeq", 3, "Int64"))))
    assert rows(ingest, numbers) == [(first[0], False, None)]
    owner.take(born(at_ms=NOW_MS + 5))
    assert rows(ingest, numbers) == [first]
    other = born(PULP, metric("Door", True, "Boolean", alias=8), at_ms=NOW_MS + 9)
    owner.take(other)
    ((number, online, same_from_ms),) = rows(ingest, numbers)
    assert number > first[0] and online and same_from_ms == NOW_MS + 9
    owner.take(
        message("NDATA", payload(metric(None, False, "Boolean", alias=8), timestamp=NOW_MS - 5, seq=1))
    )
    successor = Owner(ingest, tmp_path)
    successor.take(
        message("NDATA", payload(metric(None, True, "Boolean", alias=8), timestamp=NOW_MS - 4, seq=2))
    )
    assert [row[3] for row in rows(ingest, STORED) if row[1] == "Door"] == [0.0, 1.0, 1.0]


def test_the_doctor_tells_whether_a_group_is_heard_and_read(database: Database, owner: Owner) -> None:
    settings = Settings(sparkplug_groups="plant, 冷链")
    patient = Patient(settings, database.service("jobs"), True, {}, lambda: NOW)

    def told() -> list[tuple[str, str]]:
        return [(found.mark, found.text) for found in sparkplug.sparkplug(patient)]

    owner.take(born(), message("NDEATH", payload(metric("bdSeq", 3, "Int64"))), data(1))
    with psycopg.connect(database.service("ingest"), autocommit=True) as conn:
        assert lease_group(conn, "plant")
        (unheard, unread) = told()
        assert unheard[0] == "fail" and "nobody listens to 冷链" in unheard[1]
        assert unread[0] == "warn" and "plant/gw1 was asked" in unread[1]
        assert lease_group(conn, "冷链")
        owner.take(born())
        assert told() == [("ok", "plant, 冷链: 1 edge nodes known, 1 online")]


POISON = """
CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.body ->> 'text' = 'poison' THEN RAISE EXCEPTION 'index row too large' USING ERRCODE = '54000'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER poison BEFORE INSERT ON observation FOR EACH ROW EXECUTE FUNCTION poison();
"""


@pytest.mark.parametrize("place", range(1, 5))
def test_what_the_database_refuses_is_one_message_and_breaks_no_sequence(
    database: Database, owner: Owner, ingest: str, place: int
) -> None:
    with psycopg.connect(database.owner) as conn:
        conn.execute(POISON.encode())
    batch = [born(), *(data(seq, float(seq)) for seq in range(1, 5))]
    batch[place] = message("NDATA", payload(metric("Note", "poison", "String"), timestamp=NOW_MS, seq=place))
    assert owner.take(*batch, data(5, 5.0)) == []
    assert [row[3] for row in rows(ingest, STORED)] == [
        2.5,
        *(float(seq) for seq in range(1, 6) if seq != place),
    ]
    ((reason, detail),) = rows(ingest, "SELECT reason, detail FROM quarantine")
    assert reason == "database_refused" and "54000" in detail
    assert adds_up(account(ingest))


@pytest.mark.parametrize("place", range(1, 5))
def test_what_our_own_code_fails_on_is_one_message_and_breaks_no_sequence(
    owner: Owner, ingest: str, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    whole = readings.store

    def fails(conn: psycopg.Connection, batch_id: int, sent: readings.Judged, **how: Any) -> Any:
        if float(place) in sent.rows["value"]:
            raise ValueError("a fault of ours")
        return whole(conn, batch_id, sent, **how)

    monkeypatch.setattr(readings, "store", fails)
    assert owner.take(born(), *(data(seq, float(seq)) for seq in range(1, 6))) == []
    wanted = [2.5, *(float(seq) for seq in range(1, 6) if seq != place)]
    assert [row[3] for row in rows(ingest, STORED)] == wanted
    assert rows(ingest, REFUSED) == [("decoder_fault", 1)] and adds_up(account(ingest))


@pytest.mark.editions("plain")
def test_a_right_that_is_missing_is_no_messages_fault(database: Database, owner: Owner, ingest: str) -> None:
    owner.take(born())
    with psycopg.connect(database.owner) as conn:
        conn.execute("REVOKE INSERT ON reading_store FROM suyuan_ingest")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.take(data(1), data(2))
    assert rows(ingest, REFUSED) == []


NO_BIRTH = """
CREATE FUNCTION no_birth() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.said -> 'names' ? 'poison' THEN RAISE EXCEPTION 'index row too large' USING ERRCODE = '54000'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER no_birth BEFORE INSERT ON sparkplug_birth FOR EACH ROW EXECUTE FUNCTION no_birth();
"""


def test_a_birth_that_the_database_refuses_is_kept_and_its_node_is_not_read_by_another(
    database: Database, owner: Owner, ingest: str
) -> None:
    with psycopg.connect(database.owner) as conn:
        conn.execute(NO_BIRTH.encode())
    poison = born(PULP, metric("poison", 1.0, "Double", alias=8), at_ms=NOW_MS + 1)
    assert owner.take(born(), poison, data(1), data(2)) == [GW1]
    assert [row[3] for row in rows(ingest, STORED)] == [2.5]
    assert rows(ingest, REFUSED) == [("database_refused", 2), ("before_birth", 1), ("before_birth", 1)]
    assert adds_up(account(ingest))
    assert owner.take(born(at_ms=NOW_MS + 9), data(1, 5.0, at_ms=NOW_MS - 1)) == []


def test_losing_one_message_inside_the_line_breaks_the_equation(
    owner: Owner, ingest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = entering.admit

    def forgets(index: int, said: Sequence[Any], *rest: Any) -> Any:
        return whole(index, said[1:], *rest)

    monkeypatch.setattr(entering, "admit", forgets)
    owner.take(born())
    assert not adds_up(account(ingest))


# --- with a broker, and owners that die -------------------------------------------------------------------------------


class EdgeNode:
    """An edge node as the standard has it, with paho: its will, its birth, its sequence, a birth when it is asked for one."""

    def __init__(self, broker: Broker, qos: int) -> None:
        self.births = 0
        self.rebirths: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.sent: list[float] = []
        self._qos, self._seq, self._guard = qos, 0, threading.RLock()
        self._times = itertools.count(round(datetime.now(NOW.tzinfo).timestamp() * 1000) - 3_600_000)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "gw1", protocol=mqtt.MQTTv311)
        self._client.will_set("spBv1.0/plant/NDEATH/gw1", payload(metric("bdSeq", 3, "Int64")), qos=1)
        self._client.on_message = self._on_command
        ready = threading.Event()
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        self._client.subscribe("spBv1.0/plant/NCMD/gw1", qos=1)
        assert ready.wait(10)

    def bear(self) -> None:
        with self._guard:
            self.births += 1
            self._seq = 0
            value = self._next_value()
            pulp = metric("Temperature/Pulp", value, "Double", alias=7, timestamp=next(self._times))
            self._publish("NBIRTH", payload(*CONTROLS, pulp, timestamp=next(self._times), seq=0))

    def send(self, *, lost: bool = False) -> None:
        """The next value. `lost`: it has its number, and nobody gets it."""
        with self._guard:
            self._seq = (self._seq + 1) % 256
            if lost:
                return
            body = metric(None, self._next_value(), "Double", alias=7, timestamp=next(self._times))
            self._publish("NDATA", payload(body, timestamp=next(self._times), seq=self._seq))

    def _next_value(self) -> float:
        self.sent.append(float(len(self.sent)) / 16)
        return self.sent[-1]

    def _publish(self, kind: str, encoded: bytes) -> None:
        self._client.publish(f"spBv1.0/plant/{kind}/gw1", encoded, qos=self._qos)

    def _on_command(self, _client: Any, _data: Any, command: mqtt.MQTTMessage) -> None:
        self.rebirths.put(bytes(command.payload))
        self.bear()

    def die(self) -> None:
        connection = self._client.socket()
        self._client.loop_stop()
        assert connection is not None
        connection.close()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def process(environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        started = subprocess.Popen(
            [sys.executable, "-m", "deploy", "ingest", "--follow-parent"],
            env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGCONT)
            started.terminate()
        started.wait(20)
        assert started.stdin is not None
        started.stdin.close()


def owners(conninfo: str) -> set[int]:
    """Backends that hold a group."""
    held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s::bigint::oid"
    with psycopg.connect(conninfo) as conn:
        return {pid for (pid,) in conn.execute(held, [GROUP_LOCK])}


def values(conninfo: str) -> list[float]:
    return [row[3] for row in rows(conninfo, STORED)]


@pytest.mark.editions("plain")
def test_a_group_goes_on_when_its_owner_is_killed(
    database: Database,
    ingest: str,
    mqtt_broker: Broker,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
) -> None:
    """Birth, data by alias, the owner killed at its work, a gap, the request, the birth, the will."""
    environment = service_environment(
        database, mqtt_broker, tmp_path, "ingest", sparkplug_groups="plant", mqtt_client_prefix="w"
    )
    node = EdgeNode(mqtt_broker, qos=1)
    with process(environment, tmp_path / "first.log") as first:
        assert wait_until(lambda: len(owners(database.owner)) == 1, 20)
        with process(environment, tmp_path / "second.log"):
            assert wait_until(lambda: "listening" in (tmp_path / "first.log").read_text(), 20)
            node.bear()
            for _ in range(300):
                node.send()
            assert wait_until(lambda: len(values(ingest)) > 20, 20)
            before = owners(database.owner)
            first.kill()
            for _ in range(300):
                node.send()
            assert wait_until(lambda: owners(database.owner) not in (set(), before), 20), (
                "another took it over"
            )
            assert wait_until(lambda: len(values(ingest)) == len(node.sent), 20), "nothing was lost"
            assert values(ingest) == node.sent and node.births == 1, "and no sequence was broken"

            node.send(lost=True)
            node.send()
            node.rebirths.get(timeout=20)
            assert wait_until(lambda: node.sent[-1] in values(ingest), 20)
            node.send()
            assert wait_until(lambda: node.sent[-1] in values(ingest), 20)
            refused = rows(ingest, REFUSED)
            assert refused[0] == ("sequence_gap", 1) and node.births == 2
            assert len(values(ingest)) + len(refused) == len(node.sent)
            assert adds_up(account(ingest))

            node.die()
            offline = "SELECT online FROM sparkplug_node UNION SELECT online FROM sparkplug_birth"
            assert wait_until(lambda: rows(ingest, offline) == [(False,)], 20)


@pytest.mark.editions("plain")
def test_what_is_sent_with_qos_0_while_nobody_listens_shows_as_a_gap(
    database: Database,
    ingest: str,
    mqtt_broker: Broker,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
) -> None:
    environment = service_environment(database, mqtt_broker, tmp_path, "ingest", sparkplug_groups="plant")
    node = EdgeNode(mqtt_broker, qos=0)
    with process(environment, tmp_path / "first.log"):
        assert wait_until(lambda: "listening" in (tmp_path / "first.log").read_text(), 20)
        node.bear()
        node.send()
        assert wait_until(lambda: values(ingest) == node.sent, 20)
    node.send()
    node.send()
    with process(environment, tmp_path / "second.log"):
        assert wait_until(lambda: "listening" in (tmp_path / "second.log").read_text(), 20)
        node.send()
        node.rebirths.get(timeout=20)
        assert wait_until(lambda: node.sent[-1] in values(ingest), 20)
    assert [reason for reason, _ in rows(ingest, REFUSED)] == ["sequence_gap"]
    node.stop()
