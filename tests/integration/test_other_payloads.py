"""Uplinks of ChirpStack, a tracker's packets and bare bytes, from a real Mosquitto to stored readings.

The messages are the examples of `docs/wire.md`, and the registry is its own.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest.message import Message
from ingest.pipeline import run
from ingest.registry import load, parse_registry
from ingest.replay import Choice, chosen, replay
from ingest.subscriber import Subscriber
from ingest.worker import serve
from tests.documents import DOCS, fences
from tests.integration.lines import NOW, account, adds_up, line
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until

pytestmark = pytest.mark.editions("plain")

WIRE = fences(DOCS / "wire.md")
EXAMPLES = [fence for fence in WIRE if fence.words[:1] in (("uplink",), ("raw",), ("teltonika",))]
GOOD = [fence for fence in EXAMPLES if "ok" in fence.flags]


@pytest.fixture
def worker(database: Database, mqtt_broker: Broker, tmp_path: Path) -> Iterator[Subscriber]:
    (registry,) = (fence for fence in WIRE if fence.words[:1] == ("registry",))
    with psycopg.connect(database.service("ingest")) as conn:
        load(conn, parse_registry(registry.text))
    subscriber = Subscriber(f"mqtt://127.0.0.1:{mqtt_broker.port}", "ingest-0", "ingest")
    subscriber.start()
    assert wait_until(lambda: subscriber.subscribed, 10, every_s=0.02)
    stop = threading.Event()
    connect, now = partial(psycopg.connect, database.service("ingest")), partial(datetime.now, UTC)
    thread = threading.Thread(target=serve, args=(subscriber, connect, line(tmp_path), now, stop))
    thread.start()
    yield subscriber
    stop.set()
    thread.join()
    subscriber.stop()


@pytest.fixture
def gateway(mqtt_broker: Broker, worker: Subscriber) -> Iterator[mqtt.Client]:
    """Hears every receipt there is; they wait in `user_data`."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    subscribed = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gateway", userdata=heard)
    client.on_message = lambda _client, _data, message: heard.put(message.topic)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", mqtt_broker.port)
    client.loop_start()
    client.subscribe("suyuan/v1/+/+/receipt", qos=1)
    assert subscribed.wait(10)
    yield client
    client.disconnect()
    client.loop_stop()


def send(gateway: mqtt.Client, topic: str, payload: bytes) -> None:
    gateway.publish(topic, payload, qos=1).wait_for_publish(10)


STORED = """
SELECT device.external_id, series.channel, store.value, store.time
FROM reading_store AS store JOIN series ON series.id = store.series_id JOIN device ON device.id = series.device_id
"""
AT = datetime(2026, 6, 19, 1, 59, tzinfo=UTC)


def test_each_ends_as_stored_readings_and_is_the_same_when_it_comes_again(
    database: Database, worker: Subscriber, gateway: mqtt.Client
) -> None:
    for _ in range(2):
        for fence in GOOD:
            send(gateway, fence.after("topic=") or "", fence.payload)
    # The bare bytes and the tracker carry their own time, so all of it is known when it comes again.
    wanted = {"received": 14, "stored": 7, "duplicate": 7, "conflict": 0, "quarantined": 0}
    assert wait_until(lambda: account(database.owner)["received"] == 14, 20, every_s=0.05)
    assert account(database.owner) == wanted
    with psycopg.connect(database.owner) as conn:
        found = {(device, channel): (value, time) for device, channel, value, time in conn.execute(STORED)}
        assert found == {
            ("a84041000181c061", "temperature"): (28.29, AT.replace(microsecond=123_000)),
            ("a84041000181c061", "humidity"): (88.6, AT.replace(microsecond=123_000)),
            ("a84041000181c061", "probe"): (27.81, AT.replace(microsecond=123_000)),
            ("24e124136b000001", "temperature"): (20.0, AT),
            ("bin-1", "temperature_3"): (27.2, AT),
            ("352093086403655", "temperature_1"): (-18.4, AT),
        }
        assert conn.execute("SELECT body FROM observation").fetchall() == [
            ({"latitude": 28.85, "longitude": 120.7},)
        ]
        sequences = "SELECT boot, stored::text FROM device_sequence ORDER BY boot"
        assert conn.execute(sequences).fetchall() == [(0x01A2B3C4, "{[42,43)}"), (0x01A2B3C5, "{[8,9)}")]
    assert gateway.user_data_get().empty(), "none of them knows what a receipt is"


def test_what_is_refused_is_kept_under_its_device_and_its_number_is_held(
    database: Database, worker: Subscriber, gateway: mqtt.Client
) -> None:
    for fence in EXAMPLES:
        send(gateway, fence.after("topic=") or "", fence.payload)
    stranger = GOOD[0].payload.replace(b"a84041000181c061", b"a84041000181c062")
    send(gateway, (GOOD[0].after("topic=") or "").replace("c061", "c062"), stranger)
    assert wait_until(lambda: worker.entered == len(EXAMPLES) + 1, 20, every_s=0.05)

    def refused() -> Counter[str]:
        with psycopg.connect(database.owner) as conn:
            return Counter(
                dict(conn.execute("SELECT reason, count(*) FROM quarantine GROUP BY 1").fetchall())
            )

    promised = Counter(
        reason
        for fence in EXAMPLES
        for reason in (fence.after("refused:") or fence.after("partly:") or "").split(",")
        if reason
    )
    assert wait_until(lambda: refused() == promised + Counter(["unknown_device"]), 20, every_s=0.05), (
        refused()
    )
    assert adds_up(account(database.owner))
    with psycopg.connect(database.owner) as conn:
        nobodys = conn.execute("SELECT reason FROM quarantine WHERE organisation IS NULL").fetchall()
        assert nobodys == [("unknown_device",)]
        held = conn.execute("SELECT (stored + refused)::text FROM device_sequence ORDER BY boot").fetchall()
        assert held == [("{[42,46)}",), ("{[8,11)}",)], "a refused uplink is no gap"


def test_a_sensor_registered_while_ingest_runs_is_read_at_its_next_uplink(
    database: Database, worker: Subscriber, gateway: mqtt.Client
) -> None:
    """Its profile is found with it."""
    topic = (GOOD[0].after("topic=") or "").replace("c061", "c062")
    with psycopg.connect(database.owner) as conn:
        conn.execute(
            "WITH made AS (INSERT INTO device (organisation, scheme, external_id, giai, model, interval_s, profile)"
            " VALUES ('xj-coop', 'lorawan', 'a84041000181c062', 'https://id.gs1.org/8004/95212340LHT65B', 'LHT65', 600, 'dragino-lht65')"
            " RETURNING id) INSERT INTO series (organisation, device_id, channel, quantity, unit)"
            " SELECT 'xj-coop', id, channel, quantity, unit FROM made, (VALUES ('temperature', 'temperature', 'Cel'),"
            " ('humidity', 'humidity', '%RH'), ('probe', 'temperature', 'Cel')) AS channel (channel, quantity, unit)"
        )
    send(gateway, topic, GOOD[0].payload.replace(b"a84041000181c061", b"a84041000181c062"))
    assert wait_until(lambda: account(database.owner)["stored"] == 3, 20, every_s=0.05)


def test_what_nobody_could_read_is_read_when_the_sensor_has_its_profile(
    database: Database, tmp_path: Path
) -> None:
    """Refused, then registered as it should have been, then replayed: nothing that was measured is lost."""
    (registry,) = (fence for fence in WIRE if fence.words[:1] == ("registry",))
    (uplink,) = (fence for fence in EXAMPLES if "refused:unknown_profile" in fence.words)
    topic = (uplink.after("topic=") or "").encode()
    with psycopg.connect(database.service("ingest")) as conn:
        load(conn, parse_registry(registry.text))
        conn.commit()
        run(conn, line(tmp_path), [Message(topic, uplink.payload, redelivered=False)], NOW)
        assert account(database.owner)["quarantined"] == 1
        conn.execute(
            "UPDATE device SET profile = 'milesight-em300-th' WHERE external_id = '24e124136b000001'"
        )
        conn.execute(
            "INSERT INTO series (organisation, device_id, channel, quantity, unit)"
            " SELECT organisation, id, 'humidity', 'humidity', '%RH' FROM device WHERE external_id = '24e124136b000001'"
        )
        conn.commit()
    with psycopg.connect(database.service("ingest"), autocommit=True) as conn:
        (result,) = replay(conn, line(tmp_path), chosen(conn, Choice()), NOW)
    assert (result.taken, result.refused) == (1, 0)
    with psycopg.connect(database.owner) as conn:
        found = {channel: value for _, channel, value, _ in conn.execute(STORED)}
        assert found == {"temperature": 20.0, "humidity": 30.0}
