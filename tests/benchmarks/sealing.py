"""Sealing at once, and the audit of what was sealed: from the commit that completes a breach to the leaf of the hour it lies in, and
how many readings a second are held against their windows, beside reading and hashing the same rows without asking anything.

The feed is `following`'s; consumers and sequencer run in processes of their own. The audit is of what they left, all of it sealed.
"""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random

import numpy as np
import psycopg

from deploy.readings_audit import Wanted, audit
from ingest import marks, sealing
from ingest.window_rows import read_windows
from ledger.keys import KeyStore
from ledger.sequencer import serve
from ledger.window import WindowTree
from tests.benchmarks import following
from tests.benchmarks.following import EVERY_S, MINUTES, SERIES, Feed
from tests.servers.databases import Database, Template

SECONDS = 10.0
WARM_SERIES = 60
HISTORY = timedelta(hours=5)

# The first leaf of an hour that an excursion closed, by series.
_LEAVES = """
SELECT DISTINCT series.id FROM sealed_window AS sealed JOIN leaf ON leaf.sealed_window = sealed.id
JOIN series ON series.device_id = sealed.device_id WHERE sealed.closed = 'excursion'
"""
_SIZE = """
SELECT sum(readings), sum(pg_column_size(leaf_keys)), sum(coalesce(pg_column_size(leaf_prefixes), 0)),
       (SELECT sum(length(entry)) FROM leaf WHERE sealed_window IS NOT NULL), count(*)
FROM sealed_window
"""


def run(template: Template, folder: Path) -> None:
    batches = round(SECONDS / EVERY_S)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=12)
    chance = Random(1)
    some = np.full(SERIES, 10**9)
    some[chance.sample(range(SERIES), WARM_SERIES)] = [
        chance.randrange(10, batches * MINUTES - 60) for _ in range(WARM_SERIES)
    ]
    feed = Feed(start, some, some + 60)
    with template.clone() as database:
        following._prepare(database, start)
        with following._consumers(database, folder), _sequencer(database, folder), _watched(database, feed):
            following._feed(database, feed, batches)
            deadline = time.monotonic() + 30
            while len(feed.seen) < len(feed.committed) and time.monotonic() < deadline:
                time.sleep(0.01)
        took = sorted(feed.seen[series] - at for series, at in feed.committed.items() if series in feed.seen)
        missing = len(feed.committed) - len(took)
        print(
            f"from a commit that completes a breach to the leaf of its hour, {SERIES} series: median {statistics.median(took):.2f} s,"
            f" longest {took[-1]:.2f} s of {len(took)}{f', {missing} not within 30 s' if missing else ''}",
            flush=True,
        )
        _seal_all(database, folder, start)
        _audited(database, folder)


def _audited(database: Database, folder: Path) -> None:
    with psycopg.connect(database.service("jobs"), autocommit=True) as conn:
        begun = time.perf_counter()
        report = audit(conn, folder / "log", folder / "keys", Wanted(), lambda _said: None)
        took = time.perf_counter() - begun
        readings, bare = report.counts["readings"], _bare(conn)
    with psycopg.connect(database.owner) as conn:
        count, keys, prefixes, entries, windows = conn.execute(_SIZE).fetchone() or (1, 0, 0, 0, 0)
    print(
        f"suyuan audit readings: {report.counts['versions']:,} versions, {readings:,} readings in {took:.1f} s, {readings / took:,.0f} a second,"
        f" {bare / took:.2f} of reading and hashing the rows alone; status {report.status}\n"
        f"kept of each sealed reading: {keys / count:.1f} bytes of key, {prefixes / count:.1f} of leaf prefix, {entries / count:.1f} of entry"
        f" ({windows:,} versions)",
        flush=True,
    )


def _bare(conn: psycopg.Connection) -> float:
    """Seconds for the trees over the same rows."""
    places = conn.execute("SELECT DISTINCT device_id, start_time FROM sealed_window ORDER BY 2, 1").fetchall()
    begun = time.perf_counter()
    for first in range(0, len(places), 40):
        for rows in read_windows(conn, places[first : first + 40]).values():
            WindowTree.of(bytes(32), rows).root_hash  # noqa: B018
    return time.perf_counter() - begun


def _seal_all(database: Database, folder: Path, start: datetime) -> None:
    """With some hours of what was there before, which no mark told of."""
    later, keys = datetime.now(UTC) + timedelta(hours=2), KeyStore(folder / "keys")
    with psycopg.connect(database.owner) as conn:
        conn.execute("DELETE FROM reading_store WHERE time < %s", [start - HISTORY])
    with psycopg.connect(database.service("jobs")) as conn:
        touched = dict.fromkeys(range(1, SERIES + 1), (start - HISTORY, start))
        marks.leave(conn, touched, start, consumers=("sealing",))
        while sealing.step(conn, later, keys.organisation_key):
            conn.commit()
    with _sequencer(database, folder), psycopg.connect(database.owner, autocommit=True) as conn:
        while conn.execute("SELECT FROM pending LIMIT 1").fetchone():
            time.sleep(0.05)


@contextmanager
def _sequencer(database: Database, folder: Path) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_sequence, args=(database.service("sequencer"), folder, stop))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def _sequence(conninfo: str, folder: Path, stop: Event) -> None:
    ended = threading.Event()

    def follow() -> None:
        stop.wait()
        ended.set()

    threading.Thread(target=follow, daemon=True).start()
    serve(
        partial(psycopg.connect, conninfo),
        KeyStore(folder / "keys"),
        folder,
        "bench",
        partial(datetime.now, UTC),
        ended,
    )


@contextmanager
def _watched(database: Database, feed: Feed) -> Iterator[None]:
    ended = threading.Event()

    def watch() -> None:
        with psycopg.connect(database.owner, autocommit=True) as conn:
            while not ended.wait(0.02):
                found, now = conn.execute(_LEAVES).fetchall(), time.perf_counter()
                for (series,) in found:
                    feed.seen.setdefault(series, now)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
