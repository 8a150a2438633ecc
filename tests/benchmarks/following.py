"""What follows the commit at half the line's rate: 500 series under a limit in force, batches of 2,000 single readings
at 10,000 a second, and the time from the commit that completes a breach to the excursion that others can see.

The consumers run in a process of their own with all their threads, as `suyuan jobs` does. Each batch brings four
minutes of each series, so that a run of half a minute is ten hours of the devices' time.
"""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random

import numpy as np
import psycopg

from ingest import jobs, marks
from ingest.registry import load_limit_versions
from ledger.keys import KeyStore
from tests.servers.databases import Database, Template

SERIES = 500
A_BATCH = 2_000
EVERY_S = A_BATCH / 10_000
MINUTES = A_BATCH // SERIES
HISTORY_MINUTES = 1440
HOLD_MINUTES = 30  # of the shipped limit: above 5 °C
STARTED = 4  # projection, detection, sealing, roll-ups
COLD, WARM = 2.5, 8.0
MINUTE = timedelta(minutes=1)

_WORLD = """
INSERT INTO organisation (id, name_zh, name_en, party, kind) VALUES ('bench', 'bench', 'bench', 'urn:bench', 'carrier');
INSERT INTO device (organisation, external_id, giai, model, interval_s)
  SELECT 'bench', 'truck-' || n, 'urn:bench:' || n, 'T1', 60 FROM generate_series(1, {series}) AS n ORDER BY n;
INSERT INTO series (organisation, device_id, channel, quantity, unit)
  SELECT 'bench', id, 'return_air', 'temperature', 'Cel' FROM device ORDER BY id;
INSERT INTO placement (series_id, organisation, parent, probe_position, valid, conflict)
  SELECT series.id, 'bench', 'urn:truck:' || series.id, 'return_air', tstzrange('{since}', NULL), false FROM series;
INSERT INTO presence (holder, lot, rule_product, stage, valid)
  SELECT 'urn:truck:' || series.id, 'urn:lot:' || series.id, 'yangmei', 'loaded', tstzrange('{since}', NULL) FROM series;
INSERT INTO batch (worker, received_at, messages, redelivered) VALUES ('bench', now(), 0, 0);
INSERT INTO reading_store (series_id, time, value, flags, batch_id)
  SELECT series.id, '{start}'::timestamptz - n * INTERVAL '1 minute', {cold}, 0, 1
  FROM series, generate_series(1, {history}) AS n ORDER BY 1, 2;
ANALYZE;
"""


@dataclass
class Feed:
    """`start`: the devices' first minute. `warm_from`, `warm_to`: minute[n] of each series. `committed`: when the batch that
    completed a breach stood, by series; `seen`: when its excursion was."""

    start: datetime
    warm_from: np.ndarray[tuple[int], np.dtype[np.int64]]
    warm_to: np.ndarray[tuple[int], np.dtype[np.int64]]
    committed: dict[int, float] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)

    def rows(self, batch: int) -> list[tuple[int, datetime, float]]:
        first = batch * MINUTES
        return [
            (
                series + 1,
                self.start + (first + step) * MINUTE,
                WARM if self.warm_from[series] <= first + step < self.warm_to[series] else COLD,
            )
            for series in range(SERIES)
            for step in range(MINUTES)
        ]

    def completed(self, batch: int) -> Iterator[int]:
        completes = (self.warm_from + HOLD_MINUTES) // MINUTES
        return (int(series) + 1 for series in np.flatnonzero(completes == batch))


def run(template: Template, folder: Path, seconds: float = 20) -> None:
    batches = round(seconds / EVERY_S)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=12)
    minutes, chance = batches * MINUTES, Random(1)
    some = np.full(SERIES, 10**9)
    some[chance.sample(range(SERIES), SERIES // 5)] = [
        chance.randrange(40, minutes - 100) for _ in range(SERIES // 5)
    ]
    _measure(
        template,
        folder,
        "a fifth of the series go warm one after the other",
        Feed(start, some, some + 60),
        batches,
    )
    every = np.full(SERIES, minutes // 10)
    _measure(
        template, folder, "all series go warm at once and stay so", Feed(start, every, every + 10**6), batches
    )


def _measure(template: Template, folder: Path, what: str, feed: Feed, batches: int) -> None:
    with template.clone() as database:
        _prepare(database, feed.start)
        with _consumers(database, folder), _watched(database, feed):
            late = _feed(database, feed, batches)
            deadline = time.monotonic() + 60
            while len(feed.seen) < len(feed.committed) and time.monotonic() < deadline:
                time.sleep(0.01)
            waiting = _waiting(database)
    took = sorted(
        feed.seen[series] - committed for series, committed in feed.committed.items() if series in feed.seen
    )
    missing = len(feed.committed) - len(took)
    middle, p99 = statistics.median(took), took[int(len(took) * 0.99)]
    print(
        f"from a commit to its excursion, {SERIES} series, {A_BATCH / EVERY_S:,.0f} readings/s ({what}): median {middle:.2f} s, p99 {p99:.2f} s,"
        f" longest {took[-1]:.2f} s of {len(took)}{f', {missing} not within a minute' if missing else ''};"
        f" batches at most {late:.2f} s late; marks left when all were seen: {waiting}",
        flush=True,
    )


def _prepare(database: Database, start: datetime) -> None:
    with psycopg.connect(database.service("ingest")) as conn:
        load_limit_versions(conn)
    since = start - timedelta(minutes=HISTORY_MINUTES)
    world = _WORLD.format(series=SERIES, since=since, start=start, cold=COLD, history=HISTORY_MINUTES)
    with psycopg.connect(database.owner, autocommit=True) as conn:
        conn.execute(world.encode())


@contextmanager
def _consumers(database: Database, folder: Path) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_consume, args=(database.service("jobs"), folder, stop))
    process.start()
    try:
        _wait_for_leases(database)
        yield
    finally:
        stop.set()
        process.join()


def _wait_for_leases(database: Database) -> None:
    """How long a process takes to start is not how long a commit takes to be followed."""
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted"
    with psycopg.connect(database.owner, autocommit=True) as conn:
        while True:
            row = conn.execute(held, [jobs.LEASE_LOCK]).fetchone()
            if row is not None and row[0] >= STARTED:
                return
            time.sleep(0.05)


def _consume(conninfo: str, folder: Path, stop: Event) -> None:
    ended = threading.Event()

    def follow() -> None:
        stop.wait()
        ended.set()

    threading.Thread(target=follow, daemon=True).start()
    steps = jobs.steps(KeyStore(folder / "keys").organisation_key, lambda _messages: True)
    jobs.serve(steps, partial(psycopg.connect, conninfo), partial(datetime.now, UTC), ended)


def _feed(database: Database, feed: Feed, batches: int) -> float:
    late = 0.0
    with psycopg.connect(database.service("ingest")) as conn:
        begun = time.perf_counter()
        for batch in range(batches):
            rows = feed.rows(batch)
            first, last = rows[0][1], rows[MINUTES - 1][1]
            due = begun + batch * EVERY_S
            time.sleep(max(0.0, due - time.perf_counter()))
            with (
                conn.cursor() as cursor,
                cursor.copy(
                    "COPY reading_store (series_id, time, value, flags, batch_id) FROM STDIN"
                ) as copy,
            ):
                for series, moment, value in rows:
                    copy.write_row((series, moment, value, 0, 1))
            marks.leave(conn, dict.fromkeys(range(1, SERIES + 1), (first, last)), datetime.now(UTC))
            conn.commit()
            stood = time.perf_counter()
            feed.committed.update(dict.fromkeys(feed.completed(batch), stood))
            late = max(late, stood - due)
    return late


@contextmanager
def _watched(database: Database, feed: Feed) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(database.owner, feed, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(conninfo: str, feed: Feed, stop: threading.Event) -> None:
    newest = 0
    with psycopg.connect(conninfo, autocommit=True) as conn:
        while not stop.wait(0.01):
            for number, series in conn.execute(
                "SELECT id, series_id FROM excursion WHERE id > %s ORDER BY id", [newest]
            ):
                feed.seen.setdefault(series, time.perf_counter())
                newest = number


def _waiting(database: Database) -> str:
    with psycopg.connect(database.owner) as conn:
        rows = conn.execute(
            "SELECT consumer, count(*) FROM mark GROUP BY consumer ORDER BY consumer"
        ).fetchall()
    return ", ".join(f"{consumer} {number}" for consumer, number in rows) or "none"
