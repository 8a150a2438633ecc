"""kill -9 between the first row of a batch and its PUBACK: nothing is lost, nothing is doubled.

Two real workers on Mosquitto. A deferred trigger, which the owner adds to this test's database, makes every commit take
a while; the test watches the worker's own backend hold its lock on `batch` and kills the worker then. That kills fell
where they should is shown twice: by what was watched, and by the redeliveries that the batches themselves record.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.integration.lines import account, adds_up, registered
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker

KILLS = 20
DEVICES = ("room-1", "truck-1")

SLOW_COMMIT = """
CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.08); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON batch DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow_commit();
"""


class Worker:
    """One `suyuan ingest`, started again after every kill."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment, self._log = environment, log
        self._process = self._start()
        self.kills = 0

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as out:
            command = [sys.executable, "-m", "deploy", "ingest", "--follow-parent"]
            return subprocess.Popen(
                command, env=self._environment, stdin=subprocess.PIPE, stdout=out, stderr=out
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill_and_restart(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.kills += 1
        self._process = self._start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@contextmanager
def publishing(url_port: int, stop: threading.Event) -> Iterator[dict[str, int]]:
    """Devices that number their packs and publish on: what they got a PUBACK for is counted."""
    published = dict.fromkeys(DEVICES, 0)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="field", protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", url_port)
    client.loop_start()

    def publish() -> None:
        while not stop.is_set():
            for device, channel, organisation in (
                ("room-1", "ambient", "coop"),
                ("truck-1", "return_air", "carrier"),
            ):
                seq = published[device] + 1
                sent = time.time()
                records = [{"n": "boot", "v": 1}, {"n": "seq", "v": seq}, {"n": "sent", "v": sent}]
                records += [
                    {"n": channel, "u": "Cel", "t": 1_750_000_000 + seq * 60 + step, "v": seq + step / 10}
                    for step in (0, 20, 40)
                ]
                client.publish(
                    f"suyuan/v1/{organisation}/{device}/readings", json.dumps(records), qos=1
                ).wait_for_publish(30)
                published[device] = seq
            time.sleep(0.004)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield published
    finally:
        stop.set()
        thread.join()
        client.disconnect()
        client.loop_stop()


def wait_for(done: Callable[[], bool], within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"waited {within_s} s for {what}"
        time.sleep(0.02)


@pytest.mark.editions("plain")
def test_kills_between_the_first_row_and_the_acknowledgement_lose_and_double_nothing(
    database: Database,
    mqtt_broker: Broker,
    service_environment: Callable[..., dict[str, str]],
    tmp_path: Path,
) -> None:
    registered(database.service("ingest"))
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute(SLOW_COMMIT)
        environment = service_environment(database, mqtt_broker, tmp_path / "data", "ingest")
        workers = [Worker(environment, tmp_path / f"worker-{number}.log") for number in range(2)]
        stop = threading.Event()
        try:
            wait_for(lambda: _subscribed(owner) == 2, 60, "both workers to hold a slot")
            time.sleep(1.0)  # both have subscribed: a slot's session exists from then on
            with publishing(mqtt_broker.port, stop) as published:
                for number in range(KILLS):
                    _kill_in_the_middle(owner, workers[number % 2])
            expected = sum(published.values())
            wait_for(lambda: _held(owner) >= expected, 120, "everything published to be held")
        finally:
            for worker in workers:
                worker.stop()
        stored = owner.execute(
            "SELECT count(*), count(DISTINCT (series_id, time)) FROM reading_store"
        ).fetchone()
        redelivered = owner.execute("SELECT sum(redelivered) FROM batch").fetchone()
    assert stored == (3 * expected, 3 * expected), "three readings a pack, each once"
    assert redelivered is not None and redelivered[0] > 0
    assert sum(worker.kills for worker in workers) == KILLS
    found = account(database.owner)
    assert adds_up(found) and found["conflict"] == found["quarantined"] == 0
    print(
        f"{KILLS} kills, {expected} messages, {redelivered[0]} redelivered, {found['duplicate']} records found stored already"
    )


def _subscribed(owner: psycopg.Connection) -> int:
    row = owner.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted",
        [0x5359_0100],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _held(owner: psycopg.Connection) -> int:
    row = owner.execute(
        "SELECT coalesce(sum(upper(part) - lower(part)), 0) FROM device_sequence, unnest(stored) AS part"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _kill_in_the_middle(owner: psycopg.Connection, worker: Worker) -> None:
    """Kills the worker while its own backend is between a batch's first row and the end of its commit."""

    def in_the_middle() -> bool:
        return (
            owner.execute(
                "SELECT FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)"
                " WHERE pg_locks.relation = 'batch'::regclass AND pg_locks.mode = 'RowExclusiveLock' AND activity.client_port = ANY (%s)",
                [_ports_of(worker.pid)],
            ).fetchone()
            is not None
        )

    wait_for(in_the_middle, 60, "a worker in the middle of a batch")
    worker.kill_and_restart()


def _ports_of(pid: int) -> list[int]:
    """The local ports of a process's TCP connections: how the database names its clients."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(handle)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[9] in inodes]
