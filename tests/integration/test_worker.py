"""A worker on a real Mosquitto: receipts reach the device after the commit, bad input stops nobody, accounting adds up."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest import decoding
from ingest.mqtt_client import Published
from ingest.replay import Choice, chosen, replay
from ingest.subscriber import Subscriber
from ingest.wire import profiles
from ingest.worker import serve
from tests.integration.lines import account, adds_up, fail_on, line, pack, registered
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until

pytestmark = pytest.mark.editions("plain")


class Device:
    """A field device with an MQTT 5 connection of its own; `receipts` is what it was told."""

    def __init__(self, port: int, organisation: str, name: str) -> None:
        self._topic = f"suyuan/v1/{organisation}/{name}"
        self.receipts: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        self._client.on_message = lambda _client, _data, message: self.receipts.put(
            json.loads(message.payload)
        )
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(f"{self._topic}/receipt", qos=1)
        assert self._subscribed.wait(10)

    def send(self, payload: bytes, kind: str = "readings") -> None:
        self._client.publish(f"{self._topic}/{kind}", payload, qos=1).wait_for_publish(10)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def worker(database: Database, mqtt_broker: Broker, tmp_path: Path) -> Iterator[Subscriber]:
    registered(database.service("ingest"))
    folder = tmp_path / "profiles"
    folder.mkdir()
    subscriber = Subscriber(f"mqtt://127.0.0.1:{mqtt_broker.port}", "ingest-0", "ingest")
    subscriber.start()
    assert wait_until(lambda: subscriber.subscribed, 10, every_s=0.02)
    stop = threading.Event()
    arguments = (
        subscriber,
        partial(psycopg.connect, database.service("ingest")),
        replace(line(tmp_path), profiles=profiles.load(folder)),
        partial(datetime.now, UTC),
        stop,
    )
    thread = threading.Thread(target=serve, args=arguments)
    thread.start()
    yield subscriber
    stop.set()
    thread.join()
    subscriber.stop()


@pytest.fixture
def device(mqtt_broker: Broker, worker: Subscriber) -> Iterator[Device]:
    found = Device(mqtt_broker.port, "coop", "room-1")
    yield found
    found.stop()


def now_s() -> float:
    return datetime.now(UTC).timestamp()


def fresh(values: list[float], seq: int) -> bytes:
    return pack(values, seq=seq, start_s=now_s() - 600 + seq, sent_s=now_s())


def test_a_receipt_comes_after_the_commit_and_names_the_gaps(database: Database, device: Device) -> None:
    device.send(fresh([1.0], 1))
    assert device.receipts.get(timeout=10) == {"boot": 1, "through": 1, "gaps": []}
    with psycopg.connect(database.owner) as conn:
        assert conn.execute("SELECT count(*) FROM reading_store").fetchone() == (1,), "a receipt means stored"
    device.send(fresh([1.0], 4))
    assert device.receipts.get(timeout=10) == {"boot": 1, "through": 1, "gaps": [[2, 3]]}
    device.send(fresh([1.0], 4))
    assert device.receipts.get(timeout=10)["gaps"] == [[2, 3]], "a duplicate is told again"


def test_bad_messages_stop_nobody_and_none_is_lost(database: Database, device: Device) -> None:
    for bad in (b"{", b"\x00" * 100, b" " * 2_000_000, b'[{"n":"ambient","v":NaN}]', fresh([1.0], 1)[:-5]):
        device.send(bad)
    device.send(b'{"type": "ObjectEvent"}', kind="events")
    device.send(fresh([1.5], 1))
    assert device.receipts.get(timeout=20)["through"] == 1
    found = account(database.owner)
    assert found == {"received": 7, "stored": 1, "duplicate": 0, "conflict": 0, "quarantined": 6}


def test_a_message_that_our_own_code_fails_on_ends_no_worker(
    database: Database, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_on(monkeypatch, 7.25)
    for seq, value in enumerate((1.0, 7.25, 2.0, 3.0), 1):
        device.send(fresh([value], seq))
    assert wait_until(lambda: device.receipts.get(timeout=10)["through"] == 4, 20, every_s=0)
    with psycopg.connect(database.owner) as conn:
        assert conn.execute("SELECT reason, seq FROM quarantine").fetchall() == [("decoder_fault", 2)]
    assert account(database.owner)["stored"] == 3


def test_a_topic_that_is_no_utf8_is_handed_to_the_callback_and_quarantined(
    database: Database, worker: Subscriber, device: Device
) -> None:
    """Mosquitto cuts such a publisher off, other brokers pass it on: the callback gets what they would hand it."""
    topic = b"suyuan/v1/coop/\xff\xfe/readings"
    worker._client.on_published([Published(topic, fresh([1.0], 1), 0, 0, False)])
    device.send(fresh([1.0], 1))
    device.receipts.get(timeout=10)
    with psycopg.connect(database.owner) as conn:
        assert conn.execute("SELECT reason, topic FROM quarantine").fetchall() == [
            ("topic_not_utf8", b"suyuan/v1/coop/\xff\xfe/readings")
        ]
    assert adds_up(account(database.owner))


def test_a_device_registered_while_ingest_runs_is_known(
    database: Database, mqtt_broker: Broker, worker: Subscriber
) -> None:
    late = Device(mqtt_broker.port, "coop", "room-2")
    try:
        late.send(fresh([1.0], 1))
        with psycopg.connect(database.owner) as conn:
            conn.execute(
                "WITH made AS (INSERT INTO device (organisation, external_id, giai, model, interval_s)"
                " VALUES ('coop', 'room-2', 'https://id.gs1.org/8004/95212340ROOM2', 'T1', 60) RETURNING id)"
                " INSERT INTO series (organisation, device_id, channel, quantity, unit) SELECT 'coop', id, 'ambient', 'temperature', 'Cel' FROM made"
            )

        def known() -> bool:
            late.send(fresh([2.0], 2))
            return not late.receipts.empty()

        assert wait_until(known, 20, every_s=0.5)
    finally:
        late.stop()


def test_a_profile_that_is_mended_while_ingest_runs_is_followed(
    database: Database,
    mqtt_broker: Broker,
    worker: Subscriber,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first message after it, however long nothing came."""
    caplog.set_level("INFO")
    with psycopg.connect(database.owner) as conn:
        conn.execute(
            "WITH made AS (INSERT INTO device (organisation, external_id, giai, model, interval_s, profile)"
            " VALUES ('coop', 'room-3', 'https://id.gs1.org/8004/95212340ROOM3', 'T1', 60, 'ours-1') RETURNING id)"
            " INSERT INTO series (organisation, device_id, channel, quantity, unit) SELECT 'coop', id, 'pulp', 'temperature', 'Cel' FROM made"
        )
    field = {"channel": "pulp", "quantity": "temperature", "unit": "Cel", "byte": 0, "scale": 0.1}
    (tmp_path / "profiles/ours-1.json").write_text(
        json.dumps({"profile": "ours-1", "messages": [{"length": 1, "fields": [field]}]})
    )
    assert wait_until(lambda: "was read again" in caplog.text, 20, every_s=0.05)
    sensor = Device(mqtt_broker.port, "coop", "room-3")
    try:
        sensor.send(b"\x19", kind="raw")
        with psycopg.connect(database.owner, autocommit=True) as conn:
            assert wait_until(
                lambda: conn.execute("SELECT value FROM reading_store").fetchall() == [(2.5,)], 20
            )
            assert conn.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
    finally:
        sensor.stop()


def test_what_is_registered_otherwise_while_ingest_runs_is_in_force(
    database: Database, worker: Subscriber, device: Device
) -> None:
    """A range, a unit, an owner: the worker holds all of them in memory, and asks for changes every two seconds."""

    def reasons() -> list[str]:
        with psycopg.connect(database.owner) as conn:
            return [reason for (reason,) in conn.execute("SELECT DISTINCT reason FROM quarantine ORDER BY 1")]

    def registered_so(change: str) -> None:
        with psycopg.connect(database.owner) as conn:
            conn.execute(change.encode())

    seq = 1
    device.send(fresh([41.0], seq))
    device.receipts.get(timeout=10)
    for change, wanted in (
        ("UPDATE series SET maximum = 40 WHERE channel = 'ambient'", ["value_out_of_range"]),
        ("UPDATE series SET original_unit = 'degF', scale = 5 / 9.0::float8, \"offset\" = -160 / 9.0::float8 WHERE channel = 'ambient'",
         ["value_out_of_range"]),
        ("UPDATE device SET organisation = 'carrier' WHERE external_id = 'room-1'", ["foreign_topic", "value_out_of_range"]),
    ):  # fmt: skip
        registered_so(change)
        until = time.monotonic() + 20
        while True:
            seq += 1
            device.send(b'[{"n": "ambient", "v": %d, "t": %f}]' % (41, now_s() - 10))
            with psycopg.connect(database.owner) as conn:
                (converted,) = conn.execute(
                    "SELECT count(*) FROM reading_store WHERE value = 5"
                ).fetchone() or (0,)
            if reasons() == wanted and (converted or "degF" not in change):
                break
            assert time.monotonic() < until, (change, reasons())
    assert adds_up(account(database.owner))


def test_what_entered_is_what_the_batches_count(
    database: Database, worker: Subscriber, device: Device
) -> None:
    for seq in range(1, 51):
        device.send(fresh([float(seq)], seq))
    assert wait_until(lambda: account(database.owner)["stored"] == 50, 20, every_s=0.05)
    with psycopg.connect(database.owner) as conn:
        assert conn.execute("SELECT sum(messages) FROM batch").fetchone() == (worker.entered,)


def test_a_pack_that_a_decoder_failed_on_comes_in_by_a_replay(
    database: Database, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main use of quarantine: a fault of ours, a release that mends it, and everything as if it had never been."""
    decode = decoding.senml.decode
    # Nothing that is usual in a pack, so that it goes the plain way.
    odd = [
        fresh([1.0, 2.0], seq).replace(b'"n": "ambient"', b'"n": "ambient", "ut": 60') for seq in (1, 2, 3)
    ]

    def fails(payload: bytes, *rest: Any) -> Any:
        if payload in odd[:2]:
            raise ZeroDivisionError("our fault")
        return decode(payload, *rest)

    with monkeypatch.context() as broken:
        broken.setattr(decoding.senml, "decode", fails)
        for payload in odd:
            device.send(payload)
        assert wait_until(lambda: account(database.owner)["received"] == 4, 10, every_s=0.05)
    assert account(database.owner) == {
        "received": 4,
        "stored": 2,
        "duplicate": 0,
        "conflict": 0,
        "quarantined": 2,
    }
    with psycopg.connect(database.service("ingest"), autocommit=True) as conn:
        for _ in replay(
            conn, line(tmp_path), chosen(conn, Choice(reason="decoder_fault")), datetime.now(UTC)
        ):
            pass
    assert account(database.owner) == {
        "received": 6,
        "stored": 6,
        "duplicate": 0,
        "conflict": 0,
        "quarantined": 0,
    }
    with psycopg.connect(database.owner) as conn:
        assert conn.execute("SELECT stored::text, refused::text FROM device_sequence").fetchall() == [
            ("{[1,4)}", "{}")
        ]
    device.send(odd[0])
    assert wait_until(lambda: account(database.owner)["duplicate"] == 2, 10, every_s=0.05)
