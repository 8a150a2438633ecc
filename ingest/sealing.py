"""Sealing: an hour of a device's readings becomes a window whose root the ledger keeps.

A window closes when its hour is over and its marks are quiet for two minutes, or at once on an excursion or a
hand-over. It never reopens: later data makes an amending window over the whole set as it now stands.
Contract: sealing the same set twice writes nothing the second time; the salts come from the organisation's key outside
the database.
"""

from __future__ import annotations

import logging
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import psycopg

from ingest import marks, retention, series_reading, touched_hours
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
NOTED = 500
AT_ONCE = 20
"""Windows whose readings are in memory together: a device that measures twenty times a second has 72,000 in an hour."""
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

    def same(self, tree: WindowTree) -> bool:
        return self.root == tree.root_hash and bool(self.keys)

    def added(self, tree: WindowTree, keys: Sequence[bytes]) -> list[int]:
        """Positions that this version had not. Of one whose readings a restore lost (no keys) it is known only if they are
        all there again; else every position counts as added."""
        if self.root == tree.root_hash:
            return []
        return [place for place, item in enumerate(keys) if item not in self.keys]


def step(conn: psycopg.Connection, now: datetime, key: OrganisationKey) -> bool:
    """Note what was touched, then seal what is due."""
    taken = marks.take(conn, "sealing")
    _note(conn, taken)
    due = _due(conn, now)
    for first in range(0, len(due), AT_ONCE):
        some = due[first : first + AT_ONCE]
        rows = read_windows(conn, [(window.device, window.start) for window in some])
        for window in some:
            _try(conn, window, rows[window.device, window.start], now, key)
    _close(conn, due)
    return bool(taken or due)


def _try(conn: psycopg.Connection, window: Due, rows: Rows, now: datetime, key: OrganisationKey) -> None:
    try:
        with conn.transaction():
            seal(conn, window, rows, now, key)
    except LedgerError:
        # A device-hour that cannot be sealed must not keep the others from it; it is looked at again when touched.
        logger.exception(
            "a window cannot be sealed", extra={"device": window.device, "start": str(window.start)}
        )


_NOTE = """
INSERT INTO open_window AS open (device_id, start_time, touched_at, urgent)
SELECT DISTINCT series.device_id, hour, %(touched_at)s::timestamptz, %(urgent)s::text
FROM unnest(%(series)b::integer[], %(firsts)b::timestamptz[], %(lasts)b::timestamptz[]) AS sent (series_id, first, last)
JOIN series ON series.id = sent.series_id,
generate_series(first, last, INTERVAL '1 hour') AS hour
-- A mark spans from the first to the last reading of its batch: hours in between that hold nothing need no window.
WHERE EXISTS (SELECT FROM reading_store WHERE series_id = series.id AND time >= hour AND time < hour + INTERVAL '1 hour'
                AND time >= %(first)s::timestamptz AND time < %(last)s::timestamptz + INTERVAL '1 hour')  -- lets the planner leave out chunks
   OR EXISTS (SELECT FROM observation WHERE series_id = series.id AND time >= hour AND time < hour + INTERVAL '1 hour')
ORDER BY series.device_id, hour
ON CONFLICT (device_id, start_time) DO UPDATE
SET touched_at = greatest(open.touched_at, EXCLUDED.touched_at), urgent = coalesce(open.urgent, EXCLUDED.urgent)
"""


def _note(conn: psycopg.Connection, taken: Iterable[marks.Mark]) -> None:
    """All marks of a reason together, as touched when the last of them was."""
    by_reason: dict[str | None, list[marks.Mark]] = defaultdict(list)
    for mark in taken:
        by_reason[mark.reason if mark.reason in ("excursion", "hand_over") else None].append(mark)
    for urgent, some in by_reason.items():
        when = {"urgent": urgent, "touched_at": max(mark.created_at for mark in some)}
        for touched in touched_hours.spans(some, NOTED):
            conn.execute(_NOTE, touched.values() | when, prepare=False)


def _close(conn: psycopg.Connection, due: Sequence[Due]) -> None:
    conn.execute(
        "DELETE FROM open_window USING unnest(%b::integer[], %b::timestamptz[]) AS done (device_id, start_time)"
        " WHERE open_window.device_id = done.device_id AND open_window.start_time = done.start_time",
        [[window.device for window in due], [window.start for window in due]],
    )


_DUE = """
SELECT open.device_id, device.organisation, open.start_time, open.urgent
FROM open_window AS open JOIN device ON device.id = open.device_id
WHERE open.urgent IS NOT NULL OR (open.start_time + INTERVAL '1 hour' <= %(now)s AND open.touched_at <= %(now)s - %(quiet)s::interval)
ORDER BY open.start_time, open.device_id LIMIT %(most)s
"""


def _due(conn: psycopg.Connection, now: datetime) -> list[Due]:
    rows = conn.execute(_DUE, {"now": now, "quiet": QUIET, "most": MOST})
    return [Due(*row) for row in rows]


def seal(
    conn: psycopg.Connection, window: Due, rows: Rows, now: datetime, key: OrganisationKey
) -> int | None:
    """Seal one device-hour as it stands, in `rows`; returns the version's id, or None where nothing changed."""
    start_ms = round(window.start.timestamp() * 1000)
    stream = stream_pseudonym(key(window.organisation), "device", str(window.device))
    tree = WindowTree.of(window_secret(key(window.organisation), stream, start_ms), rows)
    before = _last_sealed(conn, window.device, window.start)
    if tree.size == 0 or (before is not None and before.same(tree)):
        return None
    keys = leaf_keys(tree)
    if before is not None and not before.keys.issubset(keys) and start_ms < retention.whole_since_ms(conn):
        return None  # its readings were dropped by age: what came since is not all that there was
    closed: Closed = window.urgent or "hour"
    added = None if before is None else before.added(tree, keys)
    end_ms = start_ms + 3_600_000
    body = WindowBody.of(tree, start_ms, end_ms, closed, _missing(conn, window.device), added=added)
    return _write(conn, window, closed, tree, keys, body, before, now)


def read_rows(conn: psycopg.Connection, device: int, start: datetime) -> Rows:
    """All readings and observations of a device's hour, as a window commits to them."""
    return read_windows(conn, [(device, start)])[device, start]


_SERIES = "SELECT device_id, id, uuid FROM series WHERE device_id = ANY (%s) ORDER BY device_id, uuid"
_OBSERVED = """
SELECT place, (extract(epoch FROM time) * 1000)::bigint, body, flags
FROM unnest(%b::integer[], %b::timestamptz[]) WITH ORDINALITY AS wanted (series_id, start, place)
JOIN observation ON observation.series_id = wanted.series_id AND time >= start AND time < start + INTERVAL '1 hour'
ORDER BY place, time
"""


def read_windows(
    conn: psycopg.Connection, wanted: Sequence[tuple[int, datetime]]
) -> dict[tuple[int, datetime], Rows]:
    """The same of many (device, start), each question once for all of them."""
    of_device: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for device, series, uuid in conn.execute(_SERIES, [[device for device, _ in wanted]]):
        of_device[device].append((series, uuid.bytes if isinstance(uuid, UUID) else UUID(str(uuid)).bytes))
    places = [(window, series, name) for window in wanted for series, name in of_device[window[0]]]
    starts = [round(start.timestamp() * 1000) for (_, start), _, _ in places]
    found = series_reading.read_many(
        conn,
        [(series, first, first + 3_599_999) for (_, series, _), first in zip(places, starts, strict=True)],
    )
    seen: dict[int, list[tuple[int, Any, int]]] = defaultdict(list)
    if places:
        columns = [[series for _, series, _ in places], [window[1] for window, _, _ in places]]
        for place, time_ms, body, flags in conn.execute(_OBSERVED, columns):
            seen[place - 1].append((time_ms, body, flags))
    parts: dict[tuple[int, datetime], list[Rows]] = defaultdict(list)
    for place, (window, _, name) in enumerate(places):
        part = found[place]
        parts[window].append(window_readings(name, part.time_ms, part.value, part.flags))
        if place in seen:
            times, bodies, flags = zip(*seen[place], strict=True)
            parts[window].append(observations(name, times, [body_hash(body) for body in bodies], flags))
    nothing = observations(bytes(16), [], [], [])
    return {window: np.concatenate([nothing, *parts[window]]) for window in wanted}


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


_MISSING = """
SELECT boot, lower(part), upper(part) - 1
FROM (SELECT boot, known_from, stored + refused AS numbers FROM device_sequence WHERE device_id = %s) AS held,
unnest((int8multirange(int8range(1, coalesce(upper(numbers), 1))) - numbers) * int8multirange(int8range(known_from, NULL))) AS part
ORDER BY boot, part
"""


def _missing(conn: psycopg.Connection, device: int) -> list[Missing]:
    """Messages that a device numbered and we do not hold, as known now; what was given up of them is in the seals of before."""
    return [Missing(*row) for row in conn.execute(_MISSING, [device])]


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
