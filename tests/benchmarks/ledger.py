"""Sequencing: rows that wait become leaves of a signed, published log, against a bare binary COPY of the very same rows.

An entry counts once its checkpoint is signed and published. What is timed is the sequencer's step alone: taking the rows,
making the leaves, the commit, tiles, bundles, signature. The events and their waiting rows are written beforehand, as
recording writes them; how long that took is told beside it. The reference is one COPY and one commit for each batch, into a
table with the same columns and indexes and no foreign keys, of bytes that the server itself gave out of `leaf`.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg

from ledger.keys import KeyStore
from ledger.reader import LogReader, open_log
from ledger.sequencer import Sequencer
from tests.benchmarks.measuring import seconds, short
from tests.servers.databases import Database, Template
from tests.servers.folders import in_memory, session_folder
from tests.servers.plain import PlainServer

STEPS = {1: 200, 100: 60, 1_000: 20, 5_000: 8}
"""How many steps are timed for each size of batch."""
AIMS = {1: 400, 100: 20_000, 1_000: 60_000, 5_000: 80_000}
LEAST_RATIO = 0.3
ORGANISATION = "coop"


@dataclass
class Times:
    """Seconds, one for each batch."""

    written: list[float] = field(default_factory=list)
    sequenced: list[float] = field(default_factory=list)
    copied: list[float] = field(default_factory=list)


def run(template: Template, folder: Path) -> None:
    with template.clone() as database, session_folder(in_memory()) as data:
        register(database)
        rates(database, data, "database and log in memory, nothing synced")
    on_disk(folder)


def on_disk(logs: Path) -> None:
    """The same with everything synced: a server of its own with fsync on, and the log's files beside it."""
    with session_folder() as home, session_folder() as data:
        server = PlainServer(home, logs / "synced.log", {"fsync": "on", "full_page_writes": "on"})
        try:
            template = Template(server.start())
            with template.clone() as database:
                register(database)
                rates(database, data, f"everything in {data.parent} and synced, plain PostgreSQL")
        finally:
            server.stop()


def rates(database: Database, data: Path, where: str) -> None:
    with (
        psycopg.connect(database.service("sequencer"), autocommit=True) as conn,
        psycopg.connect(database.owner, autocommit=True) as owner,
    ):
        sequencer = Sequencer(conn, KeyStore(data / "keys"), data, "bench.example", lambda: datetime.now(UTC))
        sequencer.take_over()
        owner.execute("CREATE TABLE bare (LIKE leaf INCLUDING INDEXES INCLUDING CONSTRAINTS)")
        first = 0
        for batch, steps in STEPS.items():
            times = Times()
            for _ in range(steps + 1):
                times.written.append(seconds(partial(pend, owner, batch)))
                times.sequenced.append(seconds(sequencer.step))
                published = _published(data)
                if published.tree_size != first + batch:
                    raise RuntimeError(f"published {published.tree_size} entries, want {first + batch}")
                times.copied.append(seconds(partial(_copy, owner, _rows(owner, first))))
                first += batch
            _tell(batch, times, where)


def _tell(batch: int, times: Times, where: str) -> None:
    written, ours, bare = (
        batch / statistics.median(taken[1:]) for taken in (times.written, times.sequenced, times.copied)
    )
    aim = f"aim {AIMS[batch]:,}: {_met(ours >= AIMS[batch])}"
    ratio = f" (aim {LEAST_RATIO}: {_met(ours / bare >= LEAST_RATIO)})" if batch == max(AIMS) else ""
    print(
        f"sequenced and published, {batch:,} at a time ({where}): {short(ours)} entries/s ({aim}); bare binary"
        f" COPY: {short(bare)} rows/s; ratio {ours / bare:.2g}{ratio}; medians of {len(times.copied) - 1}; written beforehand at"
        f" {short(written)}/s",
        flush=True,
    )


def _met(is_met: bool) -> str:
    return "met" if is_met else "not met"


def _published(data: Path) -> LogReader:
    log = open_log(data / "log", ORGANISATION)
    assert log is not None
    return log


_COLUMNS = (
    "organisation, leaf_index, entry, leaf_hash, record_time, position, event, sealed_window, sealed_verdict"
)


def _rows(owner: psycopg.Connection, first: int) -> bytes:
    query = f"COPY (SELECT {_COLUMNS} FROM leaf WHERE leaf_index >= {first:d}) TO STDOUT (FORMAT binary)"
    with owner.cursor() as cursor, cursor.copy(query.encode()) as out:
        return b"".join(out)


def _copy(owner: psycopg.Connection, rows: bytes) -> None:
    with (
        owner.cursor() as cursor,
        cursor.copy(f"COPY bare ({_COLUMNS}) FROM STDIN (FORMAT binary)".encode()) as out,
    ):
        out.write(rows)


def register(database: Database) -> None:
    with psycopg.connect(database.owner) as conn:
        conn.execute(
            "INSERT INTO organisation (id, name_zh, name_en, party, kind) VALUES (%s, '社', 'Coop', 'urn:party', 'packer')",
            [ORGANISATION],
        )


def pend(owner: psycopg.Connection, count: int) -> None:
    """Events as far as the log sees them, each with the row that waits for its place."""
    owner.execute(_PEND, [ORGANISATION, count])


_PEND = """
WITH said AS (
  INSERT INTO event (organisation, event_id, is_error, type, event_time, received_at)
  SELECT %s, 'urn:uuid:' || gen_random_uuid(), false, 'ObjectEvent', now(), now() FROM generate_series(1, %s) RETURNING id, organisation
)
INSERT INTO pending (organisation, type, stream_kind, stream_id, body, event, created_at)
SELECT organisation, 'event', 'party', organisation,
       convert_to('{"fields":12,"root":"' || encode(sha256(id::text::bytea), 'base64') || '"}', 'UTF8'), id, now()
FROM said
"""
