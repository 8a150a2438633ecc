"""Who runs over the ground: ours in two lengths, the references, and whoever of the peers could be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import psycopg

from ingest.wire.topics import subscriptions
from simulators.load.plan import Plan
from tests.benchmarks import bare, copying, inserting
from tests.benchmarks.ground import TOPICS, Ground, NotCounted, peak_mb, series_of, started, wait_for
from tests.conftest import build_service_environment
from tests.documents import REPOSITORY
from tests.servers.databases import Database
from tests.servers.waiting import wait_until

GROUP, WORKER = (
    "ingest",
    "ingest-0",
)  # of the shared subscription, as the settings have it, and the first slot


@dataclass(frozen=True)
class Ran:
    """`rate`: readings a second. `peak_mb`: of the process that did it, None where that is no process of its own."""

    rate: float
    peak_mb: float | None = None
    commits: int | None = None


class Runner(Protocol):
    """`settings`: what is worth knowing of how it was set."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> str: ...

    def run(self, ground: Ground, plan: Plan) -> Ran:
        """One run over the plan's messages. Raises NotCounted."""


class Drain(Protocol):
    """A program that takes what waits in its kept session and puts it into the table."""

    name: str
    client: str
    topics: tuple[str, ...]

    def prepare(self, ground: Ground, database: Database, plan: Plan) -> int:
        """What is done before the messages wait. Returns the series of the plan's last message."""

    def running(self, ground: Ground, database: Database) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """The program, until the block ends."""


def drain(program: Drain, ground: Ground, plan: Plan) -> Ran:
    """The messages wait, the program is started, and its commits are timed."""
    with ground.database(plan) as database:
        series = program.prepare(ground, database, plan)
        with ground.session(program.client, program.topics):
            ground.publish(plan)
            with program.running(ground, database) as process:
                stored = wait_for(database, plan, series, process)
                return Ran(stored.rate, peak_mb(process), stored.commits)


@dataclass
class InsertLine:
    """Decode, admit, store, commit, acknowledge."""

    name: str = "our insert line"
    settings: str = "one process, MQTT 3.1.1, shared subscription"
    client: str = inserting.CLIENT
    topics: tuple[str, ...] = tuple(subscriptions(GROUP))

    def run(self, ground: Ground, plan: Plan) -> Ran:
        return drain(self, ground, plan)

    def prepare(self, ground: Ground, database: Database, plan: Plan) -> int:
        return series_of(database, plan)

    @contextmanager
    def running(self, ground: Ground, database: Database) -> Iterator[subprocess.Popen[bytes]]:
        environment = build_service_environment(database, ground.broker, ground.folder / "data", "ingest")
        command = [sys.executable, "-m", "tests.benchmarks.inserting"]
        with started(command, environment, ground.folder / "inserting.log") as process:
            yield process


@dataclass
class WholeLine:
    """`suyuan ingest`, with `suyuan jobs` beside it; every device is in a cold store under a limit."""

    name: str = "our whole line"
    settings: str = "suyuan ingest, with suyuan jobs beside it: registry, account, numbers, receipts, marks, detection, roll-ups"
    client: str = WORKER
    topics: tuple[str, ...] = tuple(subscriptions(GROUP))

    def run(self, ground: Ground, plan: Plan) -> Ran:
        return drain(self, ground, plan)

    def prepare(self, ground: Ground, database: Database, plan: Plan) -> int:
        place(ground, database, plan)
        return series_of(database, plan)

    @contextmanager
    def running(self, ground: Ground, database: Database) -> Iterator[subprocess.Popen[bytes]]:
        with ground.service(database, "jobs", "ingest") as (_jobs, worker):
            yield worker


_PLACED = """
SELECT (SELECT count(*) FROM placement), (SELECT count(*) FROM presence), (SELECT count(*) FROM reading_store),
       (SELECT count(*) FROM mark)
"""


def place(ground: Ground, database: Database, plan: Plan) -> None:
    """All of the plan's devices into the cold store, by events through the line, and until they are projected."""
    one = Plan(plan.devices, 1, plan.boot - 1, plan.start_ms - plan.span_s * 1000, interval_s=plan.interval_s)
    with (
        ground.session(WORKER, subscriptions(GROUP)),
        psycopg.connect(database.owner, autocommit=True) as conn,
    ):
        ground.publish(one, "--placed", str(plan.devices))
        with ground.service(database, "ingest", "jobs", "sequencer"):

            def found() -> tuple[int, ...]:
                row = conn.execute(_PLACED).fetchone()
                assert row is not None
                return tuple(row)

            if not wait_until(lambda: found() == (plan.devices, 1, 1, 0), 60, every_s=0.1):
                raise RuntimeError(f"placements, presences, readings, marks: {found()}")
        conn.execute("TRUNCATE reading_store")


@dataclass
class Bare:
    """The reference."""

    name: str = "bare paho loop"
    settings: str = f"paho, MQTT 3.1.1, acknowledgements in groups of {bare.GROUP}, stores nothing"

    def run(self, ground: Ground, plan: Plan) -> Ran:
        with ground.session(bare.CLIENT, [TOPICS]):
            ground.publish(plan)
            found = bare_loop(ground, plan.messages)
            return Ran(found["rate"] * plan.pack, found["peak_mb"])


def bare_loop(ground: Ground, messages: int, *further: str) -> dict[str, float]:
    command = [
        sys.executable, "-m", "tests.benchmarks.bare", str(ground.broker.port), str(messages), *further
    ]  # fmt: skip
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=300, env=os.environ)
    if done.returncode:
        raise NotCounted(done.stderr.decode()[-300:])
    return dict(json.loads(done.stdout))


@dataclass
class Copy:
    """The bound that the table sets."""

    rows_at_once: int = 2_000
    name: str = "raw binary COPY"
    settings: str = field(init=False)

    def __post_init__(self) -> None:
        self.settings = (
            f"one connection, bytes ready and in order, a commit for each {self.rows_at_once:,} rows"
        )

    def run(self, ground: Ground, plan: Plan) -> Ran:
        with ground.database(plan) as database:
            return Ran(copying.copy(database, plan, self.rows_at_once))
