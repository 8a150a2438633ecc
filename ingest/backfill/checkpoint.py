"""How far a file has been taken in: one row for each file, by its SHA-256, and way of reading it.

Contract: the row is written in the transaction that stores what it tells of. So a run that was killed goes on behind the last
commit, and doubles nothing; and every reading of the file is in its row as stored, as a duplicate or as refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from ingest.backfill.frames import Form


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`through`: rows that are done. `refused`: conflicts too."""

    through: int
    readings: int
    stored: int
    duplicate: int
    refused: int
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Key:
    sha256: bytes
    reading: str


def key_of(path: Path, form: Form, kind: str) -> Key:
    """Skipped and named columns count too: they make other readings of the same bytes."""
    said = {
        "kind": kind,
        "device": form.device,
        "organisation": form.organisation,
        "time_zone": form.time_zone,
        "encoding": form.encoding,
        "channels": dict(form.channels),
        "skipped": sorted(form.skipped),
    }
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return Key(digest, json.dumps({name: value for name, value in said.items() if value}, sort_keys=True))


_COLUMNS = "through, readings, stored, duplicate, refused, started_at, finished_at"

_BEGIN = f"""
INSERT INTO backfill (sha256, reading, name, started_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (sha256, reading) DO UPDATE SET name = EXCLUDED.name
RETURNING {_COLUMNS}
"""  # noqa: S608 - a text of our own


def begin(conn: psycopg.Connection, key: Key, name: str, now: datetime) -> Checkpoint:
    """Where to go on."""
    row = conn.execute(_BEGIN.encode(), [key.sha256, key.reading, name, now]).fetchone()
    assert row is not None
    return Checkpoint(*row)


def begin_anew(conn: psycopg.Connection, key: Key, now: datetime) -> None:
    conn.execute(
        "UPDATE backfill SET through = 0, readings = 0, stored = 0, duplicate = 0, refused = 0, started_at = %s, finished_at = NULL"
        " WHERE sha256 = %s AND reading = %s",
        [now, key.sha256, key.reading],
    )


# What was stored is what the batches' account says, and not what was meant to be. `before`: another run of the same file that
# came first has moved it, and nothing of this one may count.
_ADVANCE = f"""
UPDATE backfill SET through = %(through)s, readings = backfill.readings + %(readings)s,
  stored = backfill.stored + came.stored, duplicate = backfill.duplicate + came.duplicate,
  refused = backfill.refused + came.refused + %(faults)s
FROM (SELECT coalesce(sum(account.stored), 0) AS stored, coalesce(sum(account.duplicate), 0) AS duplicate,
             coalesce(sum(account.conflict + account.quarantined), 0) AS refused
      FROM account WHERE batch_id = ANY (%(batches)s)) AS came
WHERE sha256 = %(sha256)s AND reading = %(reading)s AND through = %(before)s
RETURNING {", ".join("backfill." + name for name in _COLUMNS.split(", "))}
"""  # noqa: S608


def advance(
    conn: psycopg.Connection,
    key: Key,
    before: int,
    through: int,
    readings: int,
    faults: int,
    batches: Sequence[int],
) -> Checkpoint | None:
    """In the transaction of the batches. None: somebody else is taking this file in."""
    row = conn.execute(
        _ADVANCE.encode(),
        {
            "sha256": key.sha256, "reading": key.reading, "before": before, "through": through, "readings": readings,
            "faults": faults, "batches": list(batches),
        },
    ).fetchone()  # fmt: skip
    return None if row is None else Checkpoint(*row)


def finish(conn: psycopg.Connection, key: Key, now: datetime) -> None:
    conn.execute(
        "UPDATE backfill SET finished_at = coalesce(finished_at, %s) WHERE sha256 = %s AND reading = %s",
        [now, key.sha256, key.reading],
    )
