"""The line: single-reading messages waiting at the broker, drained by a worker, against a paho loop that only acknowledges."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from ingest.subscriber import Subscriber
from ingest.worker import serve
from tests.integration.lines import line, registered
from tests.servers.databases import Template
from tests.servers.mosquitto import Broker

MESSAGES = 10_000
ROUNDS = 3
BARE = "bare/readings"
LINE = "suyuan/v1/coop/room-1/readings"


def run(template: Template, broker: Broker, folder: Path) -> None:
    """What fills the queues is not timed: each side finds its messages waiting at the broker."""
    numbers = count(1)
    url = f"mqtt://127.0.0.1:{broker.port}"
    with template.clone() as database:
        registered(database.service("ingest"))
        worker = partial(Subscriber, url, "bench-worker", "bench")
        _keep_session(worker())
        _acknowledge(broker.port, 0)
        ours, bare = [], []
        for done in range(1, ROUNDS + 1):
            _publish(broker.port, LINE, numbers)
            ours.append(
                _rate(lambda done=done: _drain(worker(), database.service("ingest"), folder, done * MESSAGES))
            )
            _publish(broker.port, BARE, numbers)
            bare.append(_rate(lambda: _acknowledge(broker.port, MESSAGES)))
    own, other = statistics.median(ours), statistics.median(bare)
    print(
        f"the whole line, one worker: {own:,.0f} messages/s; bare paho loop: {other:,.0f} messages/s; ratio {own / other:.2f} (medians of {ROUNDS})"
    )


def _rate(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return MESSAGES / (time.perf_counter() - begun)


def _drain(subscriber: Subscriber, conninfo: str, folder: Path, goal: int) -> None:
    stop = threading.Event()
    subscriber.start()
    now = partial(datetime.now, UTC)
    thread = threading.Thread(
        target=serve, args=(subscriber, partial(psycopg.connect, conninfo), line(folder), now, stop)
    )
    thread.start()
    with psycopg.connect(conninfo, autocommit=True) as conn:
        while _stored(conn) < goal:
            time.sleep(0.01)
    stop.set()
    thread.join()
    subscriber.stop()


def _stored(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT coalesce(sum(stored), 0) FROM account").fetchone()
    assert row is not None
    return int(row[0])


def _keep_session(subscriber: Subscriber) -> None:
    subscriber.start()
    time.sleep(1)
    subscriber.stop()


def _publish(port: int, topic: str, numbers: count[int]) -> None:
    done = threading.Semaphore(0)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.max_inflight_messages_set(1000)
    client.on_publish = lambda *_: done.release()
    client.connect("127.0.0.1", port)
    client.loop_start()
    for _ in range(MESSAGES):
        seq = next(numbers)
        records = [{"n": "boot", "v": 1}, {"n": "seq", "v": seq}, {"n": "sent", "v": time.time()},
                   {"n": "ambient", "u": "Cel", "t": 1_750_000_000 + seq, "v": 2.5}]  # fmt: skip
        client.publish(topic, json.dumps(records), qos=1)
    for _ in range(MESSAGES):
        done.acquire()
    client.disconnect()
    client.loop_stop()


def _acknowledge(port: int, wanted: int) -> None:
    """A kept session of its own that takes and acknowledges `wanted` messages and stores nothing."""
    seen = threading.Semaphore(0)
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        "bench-bare",
        clean_session=False,
        protocol=mqtt.MQTTv311,
        manual_ack=True,
    )

    def on_message(own: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        own.ack(message.mid, message.qos)
        seen.release()

    client.on_message = on_message
    client.on_connect = lambda own, *_: own.subscribe(BARE, 1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for _ in range(wanted):
        seen.acquire()
    time.sleep(0 if wanted else 1)
    client.disconnect()
    client.loop_stop()
