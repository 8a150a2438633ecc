"""A worker: one thread gathers the next batch while another commits the last one.

In the line: `subscriber` -> here -> `pipeline` -> acknowledge and receipt. Contract: everything taken from the queue is
committed or still unacknowledged at the broker. The next batch is what arrived while the last one committed, at most
`MESSAGES`, about `READINGS` and about `BATCH_BYTES`; there is no timer, so a message that comes alone waits for nothing.
Decoding is Python's work and committing the database's, so the two go on side by side.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import psycopg

from ingest import pipeline
from ingest.admission import Window, window_at
from ingest.intake import Intake, Once, Routes
from ingest.message import Message
from ingest.metering import WorkerMeters
from ingest.pipeline import Away, Line, Outcome
from ingest.receipts import Receipts
from ingest.subscriber import Arrived

logger = logging.getLogger(__name__)

MESSAGES = 2_000
# A backlog of large packs is decoded piece by piece: as objects it takes ten times as much.
BATCH_BYTES = 16 * 2**20
READINGS = 50_000
LONGEST_PAUSE_S = 10.0
LOOK_S = 0.2
PROFILES_S = 2.0
"""Between two looks at the folder of profiles."""
BETWEEN_S = 0.002
"""How often what arrived is decoded while a commit goes on: with each block that comes, the two would keep each other waiting
for the interpreter."""

Connect = Callable[[], psycopg.Connection]
Clock = Callable[[], datetime]


class Fallible(Protocol):
    """Something with a thread."""

    @property
    def fault(self) -> BaseException | None:
        """By what it has ended."""


class Source(Fallible, Protocol):
    """Where messages come from and what is said goes to: one session, or several."""

    arrived: Arrived

    def acknowledge(self, messages: Iterable[Message]) -> None: ...
    def publish(self, topic: str, payload: str) -> None: ...
    def wake(self) -> None: ...


def serve(
    subscriber: Source,
    connect: Connect,
    line: Line,
    now: Clock,
    stop: threading.Event,
    meters: WorkerMeters | None = None,
) -> None:
    """Run until `stop`. Raises what one of the threads ended by: a worker without it would stand there and do nothing."""
    receipts = Receipts(subscriber.publish)
    meters = WorkerMeters() if meters is None else meters
    meters.watch(subscriber.arrived.qsize)

    def told(batch: Intake, outcome: Outcome, seconds: float) -> None:
        subscriber.acknowledge(batch.messages)
        receipts.add(outcome.receipts)
        meters.committed(
            len(batch.messages), sum(each.redelivered for each in batch.messages), outcome.records, seconds
        )

    committer = Committer(connect, line, told, meters.away, subscriber.wake, stop)
    gatherer = Gatherer(subscriber.arrived, connect, line, now, stop, (receipts, subscriber))
    receipts.start()
    committer.start()
    try:
        gatherer.run(committer)
    finally:
        committer.finish()
        receipts.stop()


@dataclass(slots=True)
class Patience:
    """How long to wait for a database that is away: longer each time, until it is back."""

    stop: threading.Event
    pause_s: float = 0.1

    def wait(self, error: Exception, messages: int) -> None:
        logger.warning(
            "the database is away, the batch is kept", extra={"error": str(error), "messages": messages}
        )
        self.stop.wait(self.pause_s)
        self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)


class Committer:
    """Commits one batch at a time, in a thread of its own, and says when it is free again.

    `told`: what follows a commit, and after how many seconds it came. `away`: the database was."""

    def __init__(
        self,
        connect: Connect,
        line: Line,
        told: Callable[[Intake, Outcome, float], None],
        away: Callable[[], None],
        wake: Callable[[], None],
        stop: threading.Event,
    ) -> None:
        self._connection = Connection(connect, autocommit=True)
        self._line, self._stop = line, stop
        self._told, self._away, self._wake = told, away, wake
        self._batches: queue.SimpleQueue[Intake | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
        self.idle = threading.Event()
        self.idle.set()
        self.fault: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def hand_over(self, batch: Intake) -> None:
        self.idle.clear()
        self._batches.put(batch)

    def finish(self) -> None:
        """After the batch that is being committed, if there is one and the database takes it."""
        self._batches.put(None)
        self._thread.join()
        self._connection.drop()

    def _run(self) -> None:
        try:
            while (batch := self._batches.get()) is not None:
                self._commit(batch)
        except BaseException as error:
            self.fault = error
            self.idle.set()
            self._wake()

    def _commit(self, batch: Intake) -> None:
        patience, begun = Patience(self._stop), time.perf_counter()
        while True:
            try:
                outcome = pipeline.commit(self._connection.get(), self._line, batch)
                self.idle.set()  # the next one is made ready while this one is told of
                self._told(batch, outcome, time.perf_counter() - begun)
                return
            except (Away, psycopg.OperationalError) as error:
                self._away()
                self._connection.drop()
                if self._stop.is_set():
                    return self.idle.set()
                patience.wait(error, len(batch.messages))


@dataclass(slots=True)
class Connection:
    """Made when it is wanted, and again after it was dropped. `autocommit`: who uses it opens his transactions himself."""

    _connect: Connect
    autocommit: bool = False
    _held: psycopg.Connection | None = field(default=None)

    def get(self) -> psycopg.Connection:
        if self._held is None or self._held.closed:
            self._held = self._connect()
            self._held.autocommit = self.autocommit
        return self._held

    def drop(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()


class Next(Fallible, Protocol):
    """Who takes a whole batch."""

    idle: threading.Event

    def hand_over(self, batch: Intake) -> None: ...


class Gatherer:
    """Takes what arrives into the open batch, and hands it over as soon as the committer is free."""

    def __init__(
        self,
        arrived: Arrived,
        connect: Connect,
        line: Line,
        now: Clock,
        stop: threading.Event,
        others: Sequence[Fallible] = (),
    ) -> None:
        self._arrived, self._line, self._now, self._stop = arrived, line, now, stop
        self._others = others
        self._registry = Connection(connect)
        self._routes = Routes(line.registry, line.profiles)
        self._patience = Patience(stop)
        self._waiting: deque[Message] = deque()
        self._profiles_at = time.monotonic()

    def run(self, committer: Next) -> None:
        batch: Intake | None = None
        try:
            while not self._stop.is_set():
                for other in (committer, *self._others):
                    if other.fault is not None:
                        raise other.fault
                self._follow_profiles()
                if batch is None:
                    batch = self._gather(None, LOOK_S)
                elif committer.idle.is_set():
                    committer.hand_over(batch)
                    batch = None
                elif _is_full(batch):
                    committer.idle.wait(LOOK_S)
                else:
                    committer.idle.wait(BETWEEN_S)
                    batch = self._gather(batch)
        finally:
            self._registry.drop()

    def _gather(self, batch: Intake | None, patience_s: float = 0.0) -> Intake | None:
        """What has arrived by now; waits for the first of it, or to be woken, for as long as that."""
        if not self._waiting:
            try:
                self._waiting.extend(self._arrived.get(timeout=patience_s))
            except queue.Empty:
                return batch
            for _ in range(self._arrived.qsize()):  # nobody else takes from the queue
                self._waiting.extend(self._arrived.get())
        if self._line.registry.is_due():
            self._patiently(self._refresh, batch)
        asked = Once(self._refresh)
        now = self._now()
        window = window_at(now, self._line.retention, self._line.clocks.ahead_ms)
        while self._waiting:
            batch = Intake(now, self._line.retention) if batch is None else batch
            self._take(batch, self._waiting.popleft(), window, asked)
            if _is_full(batch):
                break
        return batch

    def _follow_profiles(self) -> None:
        """Also while nothing arrives: the first message after a change is read by it."""
        if time.monotonic() - self._profiles_at >= PROFILES_S:
            self._line.profiles.refresh()
            self._profiles_at = time.monotonic()

    def _take(self, batch: Intake, message: Message, window: Window, refresh: Once) -> None:
        registry, routes = self._line.registry, self._routes
        self._patiently(lambda: batch.take(message, registry, routes, window, refresh), batch)

    def _patiently(self, work: Callable[[], None], batch: Intake | None) -> None:
        """Until it is done or we stop. The registry could not be asked: nobody is unknown while that is so."""
        while True:
            try:
                return work()
            except psycopg.Error as error:
                self._registry.drop()
                if self._stop.is_set():
                    return None
                self._patience.wait(error, len(batch.messages) if batch else 0)

    def _refresh(self) -> None:
        conn = self._registry.get()
        self._line.registry.refresh(conn)
        self._line.clocks.refresh(conn, self._now())
        conn.commit()
        self._patience.pause_s = 0.1


def _is_full(batch: Intake) -> bool:
    return (
        len(batch.messages) >= MESSAGES or batch.reading_count >= READINGS or batch.size_bytes >= BATCH_BYTES
    )
