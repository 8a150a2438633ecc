"""The ground that everybody runs on: one broker, one database server, one load, and what came of it.

In the line: beside it. Contract: whoever is measured finds the same messages waiting in a kept session of its own, in a
database of its own with the same table and its unique index; how long it took is read from the times of the commits that
the database itself kept, from the first to the last, and what was stored is counted. Starting up is nobody's time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from ingest.registry import load as load_registry
from ingest.registry import load_shipped, parse_registry
from simulators.load.log import Came, read_log
from simulators.load.plan import Plan, registry
from tests.conftest import build_service_environment
from tests.documents import REPOSITORY
from tests.servers.databases import Database, Template
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until

TOPICS = "suyuan/v1/+/+/readings"
LATEST_S = 240.0
FEWEST_COMMITS = 4


class NotCounted(RuntimeError):
    """It lost messages, or did not end: then how fast it was is no matter."""


@dataclass(frozen=True)
class Ground:
    template: Template
    broker: Broker
    folder: Path
    devices: int

    @contextmanager
    def database(self, plan: Plan) -> Iterator[Database]:
        """A fresh one, with the plan's devices registered."""
        with self.template.clone() as database:
            with psycopg.connect(database.service("ingest")) as conn:
                load_registry(conn, parse_registry(json.dumps(registry(plan))))
                load_shipped(conn)
            yield database

    def publish(self, plan: Plan, *further: str, log: str = "load.json") -> Came:
        """By `suyuan simulate load` as a process of its own; returns when it ended."""
        process = self.publishing(plan, *further, log=log)
        said = process.communicate()[1]
        if process.returncode:
            raise RuntimeError(f"the load ended with {process.returncode}: {said.decode()[-500:]}")
        return read_log(self.folder / log)[1]

    def publishing(self, plan: Plan, *further: str, log: str = "load.json") -> subprocess.Popen[bytes]:
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(plan.start_ms / 1000))
        shape = {
            "--devices": plan.devices, "--messages": plan.messages, "--pack": plan.pack, "--boot": plan.boot,
            "--interval": plan.interval_s, "--start": start, "--log": self.folder / log,
        }  # fmt: skip
        words = [word for name, value in shape.items() for word in (name, str(value))]
        breaches = [word for each in plan.breaches for word in ("--breach", f"{each.device + 1}:{each.seq}")]
        return subprocess.Popen(
            [sys.executable, "-m", "deploy", "simulate", "load", *words, *breaches, *further],
            cwd=REPOSITORY, env={**os.environ, "SUYUAN_MQTT_URL": self.broker.url},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    @contextmanager
    def service(self, database: Database, *names: str) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Our services as processes, one for each name."""
        with ExitStack() as stack:
            running = []
            for name in names:
                # The sequencer refuses a database that is younger than its log: each has a folder of its own.
                data = self.folder / urlsplit(database.owner).path.strip("/")
                environment = build_service_environment(database, self.broker, data, name)
                command = [sys.executable, "-m", "deploy", name, "--follow-parent"]
                running.append(
                    stack.enter_context(started(command, environment, self.folder / f"{name}.log"))
                )
            yield running

    @contextmanager
    def session(self, client: str, topics: Sequence[str]) -> Iterator[None]:
        """A kept session that these topics are kept for, until the block ends."""
        self._connect_once(client, topics, clean=False)
        try:
            yield
        finally:
            self._connect_once(client, topics, clean=True)

    def _connect_once(self, client: str, topics: Sequence[str], *, clean: bool) -> None:
        granted = threading.Event()
        own = mqtt.Client(CallbackAPIVersion.VERSION2, client, clean_session=clean, protocol=mqtt.MQTTv311)
        own.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics])
        own.on_subscribe = lambda *_: granted.set()
        own.connect("127.0.0.1", self.broker.port)
        own.loop_start()
        if not granted.wait(30):
            raise RuntimeError(f"the broker granted {client} no subscription")
        own.disconnect()
        own.loop_stop()


@contextmanager
def started(
    command: Sequence[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process until the block ends. What it says goes to `log`."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def peak_mb(process: subprocess.Popen[bytes]) -> float:
    """The most memory that it held at a time, VmHWM, in MB of 1,000,000 bytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {process.pid} has ended")


# --- what came of it ----------------------------------------------------------------------------------------------------

_COUNT = "SELECT count(*) FROM reading_store"
_LAST = "SELECT EXISTS (SELECT FROM reading_store WHERE time = 'epoch'::timestamptz + %s * INTERVAL '1 millisecond' AND series_id = %s)"
_COMMITS = """
SELECT count(*), min(at), max(at), coalesce(sum(rows) FILTER (WHERE at = first), 0) FROM (
  SELECT at, rows, min(at) OVER () AS first FROM (
    SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at, count(*) AS rows FROM reading_store GROUP BY xmin
  ) AS counted
) AS commits
"""


@dataclass(frozen=True)
class Stored:
    rows: int
    commits: int
    first_at: float
    last_at: float
    in_first: int

    @property
    def rate(self) -> float:
        """Rows a second, from the first commit to the last; the rows of the first were on their way before."""
        return (self.rows - self.in_first) / max(self.last_at - self.first_at, 1e-6)


def wait_for(database: Database, plan: Plan, series: int, alive: subprocess.Popen[bytes]) -> Stored:
    """Until all of the plan's readings are in the table. `series`: of the plan's last message. Raises NotCounted."""
    want = plan.messages * plan.pack
    last_ms = plan.measured_ms(plan.last_seq((plan.messages - 1) % plan.devices, plan.messages))
    last_ms += (plan.pack - 1) * plan.interval_s * 1000
    with psycopg.connect(database.owner, autocommit=True) as conn:

        def all_there() -> bool:
            # The last of them is looked up; counting them all would take the time of those who are measured.
            if not _one(conn, _LAST, last_ms, series):
                return False
            return int(_one(conn, _COUNT)) >= want

        wait_until(lambda: all_there() or alive.poll() is not None, LATEST_S, every_s=0.1)
        rows = int(_one(conn, _COUNT))
        if rows != want:
            raise NotCounted(f"{rows:,} of {want:,} readings are in the table")
        found = conn.execute(_COMMITS).fetchone()
    assert found is not None
    if found[0] < FEWEST_COMMITS:
        raise NotCounted(
            f"it did all of it in {found[0]} commits, which is too little to time; give more messages"
        )
    return Stored(rows, int(found[0]), float(found[1]), float(found[2]), int(found[3]))


def series_of(database: Database, plan: Plan) -> int:
    """Of the first channel of the device that the plan's last message is from."""
    device = plan.device((plan.messages - 1) % plan.devices)
    with psycopg.connect(database.owner) as conn:
        query = "SELECT series.id FROM series JOIN device ON device.id = device_id WHERE external_id = %s"
        return int(_one(conn, query, device))


def _one(conn: psycopg.Connection, query: str, *values: object) -> Any:
    row = conn.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return row[0]
