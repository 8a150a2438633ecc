"""Sealing: an hour of a device's readings becomes a window whose root the ledger keeps.

A window closes when its hour is over and its marks are quiet for two minutes, or at once on an excursion or a
hand-over. It never reopens: later data makes an amending window over the whole set as it now stands.
Contract: sealing the same set twice writes nothing the second time; the salts come from the organisation's key outside
the database.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import psycopg

from ingest import marks, readings
from ingest.sequences import receipt
from ledger.entry import stream_pseudonym
from ledger.errors import LedgerError
from ledger.strict_json import strict
from ledger.window import Rows, WindowTree, body_hash, observations, window_secret
from ledger.window import readings as window_readings
from ledger.window_body import Closed, Missing, WindowBody

logger = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
QUIET = timedelta(minutes=2)
MOST = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OrganisationKey = Callable[[str], bytes]
"""organisation -> its 32-byte key, from outside the database."""


@dataclass(frozen=True, slots=True)
class Due:
    device: int
    organisation: str
    start: datetime
    urgent: Closed | None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A version that stands. `keys`: 24 bytes a leaf, as in the table."""

    id: int
    version: int
    root: bytes
    keys: frozenset[bytes]


def step(conn: psycopg.Connection, now: datetime, key: OrganisationKey) -> bool:
    """Note what was touched, then seal what is due."""
    taken = marks.take(conn, "sealing")
    _note(conn, taken)
    due = _due(conn, now)
    for window in due:
        try:
            with conn.transaction():
                seal(conn, window, now, key)
        except LedgerError:
            # A device-hour that cannot be sealed must not keep the others from it; it is looked at again when touched.
            logger.exception(
                "a window cannot be sealed", extra={"device": window.device, "start": str(window.start)}
            )
        conn.execute(
            "DELETE FROM open_window WHERE device_id = %s AND start_time = %s", [window.device, window.start]
        )
    return bool(taken or due)


_NOTE = """
INSERT INTO open_window AS open (device_id, start_time, touched_at, urgent)
SELECT DISTINCT ON (series.device_id, hour) series.device_id, hour, %s::timestamptz, %s::text
FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[]) AS sent (series_id, first, last)
JOIN series ON series.id = sent.series_id,
generate_series(date_trunc('hour', first, 'UTC'), last, INTERVAL '1 hour') AS hour
-- A mark spans from the first to the last reading of its batch: hours in between that hold nothing need no window.
WHERE EXISTS (SELECT FROM reading_store WHERE series_id = series.id AND time >= hour AND time < hour + INTERVAL '1 hour')
   OR EXISTS (SELECT FROM observation WHERE series_id = series.id AND time >= hour AND time < hour + INTERVAL '1 hour')
ON CONFLICT (device_id, start_time) DO UPDATE
SET touched_at = greatest(open.touched_at, EXCLUDED.touched_at), urgent = coalesce(open.urgent, EXCLUDED.urgent)
"""


def _note(conn: psycopg.Connection, taken: Iterable[marks.Mark]) -> None:
    for mark in taken:
        urgent = mark.reason if mark.reason in ("excursion", "hand_over") else None
        series = sorted(mark.touched)
        first, last = [mark.touched[item][0] for item in series], [mark.touched[item][1] for item in series]
        conn.execute(_NOTE, [mark.created_at, urgent, series, first, last])


_DUE = """
SELECT open.device_id, device.organisation, open.start_time, open.urgent
FROM open_window AS open JOIN device ON device.id = open.device_id
WHERE open.urgent IS NOT NULL OR (open.start_time + INTERVAL '1 hour' <= %(now)s AND open.touched_at <= %(now)s - %(quiet)s::interval)
ORDER BY open.start_time, open.device_id LIMIT %(most)s
"""


def _due(conn: psycopg.Connection, now: datetime) -> list[Due]:
    rows = conn.execute(_DUE, {"now": now, "quiet": QUIET, "most": MOST})
    return [Due(*row) for row in rows]


def seal(conn: psycopg.Connection, window: Due, now: datetime, key: OrganisationKey) -> int | None:
    """Seal one device-hour as it stands; returns the version's id, or None where nothing changed."""
    start_ms = round(window.start.timestamp() * 1000)
    stream = stream_pseudonym(key(window.organisation), "device", str(window.device))
    tree = WindowTree.of(
        window_secret(key(window.organisation), stream, start_ms),
        read_rows(conn, window.device, window.start),
    )
    before = _last_sealed(conn, window.device, window.start)
    if tree.size == 0 or (before is not None and before.root == tree.root_hash):
        return None
    keys = leaf_keys(tree)
    closed: Closed = window.urgent or "hour"
    added = None if before is None else [place for place, item in enumerate(keys) if item not in before.keys]
    end_ms = start_ms + 3_600_000
    body = WindowBody.of(tree, start_ms, end_ms, closed, _missing(conn, window.device), added=added)
    return _write(conn, window, closed, tree, keys, body, before, now)


def read_rows(conn: psycopg.Connection, device: int, start: datetime) -> Rows:
    """All readings and observations of a device's hour, as a window commits to them."""
    parts: list[Rows] = []
    for series, uuid in conn.execute(
        "SELECT id, uuid FROM series WHERE device_id = %s ORDER BY uuid", [device]
    ).fetchall():
        name = uuid.bytes if isinstance(uuid, UUID) else UUID(str(uuid)).bytes
        times, values, flags = readings.read_series(conn, series, start, start + HOUR)
        parts.append(window_readings(name, times, values, flags))
        seen = conn.execute(
            "SELECT (extract(epoch FROM time) * 1000)::bigint, body, flags FROM observation"
            " WHERE series_id = %s AND time >= %s AND time < %s ORDER BY time",
            [series, start, start + HOUR],
        ).fetchall()
        parts.append(
            observations(
                name, [row[0] for row in seen], [body_hash(row[1]) for row in seen], [row[2] for row in seen]
            )
        )
    return np.concatenate(parts) if parts else observations(bytes(16), [], [], [])


def leaf_keys(tree: WindowTree) -> list[bytes]:
    return [
        bytes(series) + struct.pack(">q", time)
        for series, time in zip(tree.rows["series"].tolist(), tree.rows["time"].tolist(), strict=True)
    ]


def _last_sealed(conn: psycopg.Connection, device: int, start: datetime) -> Sealed | None:
    row = conn.execute(
        "SELECT id, version, root, leaf_keys FROM sealed_window WHERE device_id = %s AND start_time = %s ORDER BY version DESC LIMIT 1",
        [device, start],
    ).fetchone()
    if row is None:
        return None
    keys = bytes(row[3])
    return Sealed(
        row[0], row[1], bytes(row[2]), frozenset(keys[at : at + 24] for at in range(0, len(keys), 24))
    )


def _missing(conn: psycopg.Connection, device: int) -> list[Missing]:
    """Messages that a device numbered and we do not hold, as known now."""
    rows = conn.execute(
        "SELECT boot, stored + refused FROM device_sequence WHERE device_id = %s ORDER BY boot", [device]
    )
    return [Missing(boot, *gap) for boot, held in rows for gap in receipt(device, boot, held).gaps]


def _write(
    conn: psycopg.Connection,
    window: Due,
    closed: Closed,
    tree: WindowTree,
    keys: list[bytes],
    body: WindowBody,
    before: Sealed | None,
    now: datetime,
) -> int:
    through = min(now, window.start + HOUR)
    row = conn.execute(
        "INSERT INTO sealed_window (organisation, device_id, start_time, version, closed, through, readings, root, leaf_keys, sealed_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [window.organisation, window.device, window.start, 1 if before is None else before.version + 1, closed, through,
         tree.size, tree.root_hash, b"".join(keys), now],
    ).fetchone()  # fmt: skip
    assert row is not None
    conn.execute(
        "INSERT INTO pending (organisation, type, stream_kind, stream_id, body, sealed_window, amends, created_at)"
        " VALUES (%s, 'window', 'device', %s, %s, %s, %s, %s)",
        [
            window.organisation,
            str(window.device),
            strict(body.value()),
            row[0],
            None if before is None else before.id,
            now,
        ],
    )
    return int(row[0])
