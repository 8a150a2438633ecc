"""Sealing: an hour of a device's readings becomes a window whose root the ledger keeps.

A window closes when its hour is over and its marks are quiet for two minutes, or at once on an excursion or a
hand-over. It never reopens: later data makes an amending window over the whole set as it now stands.
Contract: sealing the same set twice writes nothing the second time; the salts come from the organisation's key outside
the database. An hour of which something sealed was altered or taken away is not amended, or the next window would say that all is
well: it gets a fault (`window_check`), is told of, and is looked at again every hour.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from ingest import auditing, marks, retention, touched_hours
from ingest.admission import AHEAD_MS
from ingest.auditing import Checked, Version, in_words
from ingest.clock.known import TOLERANCE_MS
from ingest.window_rows import KEY_BYTES, cut, leaf_keys, leaf_prefixes, read_windows
from ledger.entry import stream_pseudonym
from ledger.errors import LedgerError
from ledger.strict_json import strict
from ledger.window import Rows, WindowTree, window_secret
from ledger.window_body import Closed, Missing, WindowBody

logger = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
QUIET = timedelta(minutes=2)
MOST = 100
NOTED = 500
AT_ONCE = 20
"""Windows whose readings are in memory together: a device that measures twenty times a second has 72,000 in an hour."""
AGAIN = timedelta(hours=1)
"""When a device-hour with a fault is looked at again: people may have put right what was wrong."""
OrganisationKey = Callable[[str], bytes]
"""organisation -> its 32-byte key, from outside the database."""


@dataclass(frozen=True, slots=True)
class Due:
    device: int
    organisation: str
    start: datetime
    urgent: Closed | None
    faulty: bool = False


def step(conn: psycopg.Connection, now: datetime, key: OrganisationKey) -> bool:
    """Note what was touched, then seal what is due."""
    taken = marks.take(conn, "sealing")
    _note(conn, taken)
    conn.execute(_LOOK_AGAIN, [now - AGAIN])
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
    except LedgerError as error:
        # A device-hour that cannot be sealed must not keep the others from it.
        _refuse(conn, window, 0, f"it cannot be sealed: {error}", now)


def _refuse(conn: psycopg.Connection, window: Due, version: int, fault: str, now: datetime) -> None:
    logger.error(
        "a window is not sealed",
        extra={"device": window.device, "start": str(window.start), "fault": fault},
    )
    auditing.keep(conn, [Checked(window.device, window.start, version, fault)], now)


_LOOK_AGAIN = """
INSERT INTO open_window (device_id, start_time, touched_at)
SELECT device_id, start_time, start_time FROM window_check WHERE fault IS NOT NULL AND checked_at <= %s
ON CONFLICT DO NOTHING
"""

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
SELECT open.device_id, device.organisation, open.start_time, open.urgent, known.fault IS NOT NULL
FROM open_window AS open JOIN device ON device.id = open.device_id LEFT JOIN window_check AS known USING (device_id, start_time)
WHERE open.urgent IS NOT NULL OR (open.start_time + INTERVAL '1 hour' <= %(now)s AND open.touched_at <= %(now)s - %(quiet)s::interval)
ORDER BY open.urgent IS NULL, open.start_time, open.device_id LIMIT %(most)s
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
    if before is not None and (faults := auditing.against_entry(auditing.Hour.of_tree(tree), before)):
        gone = all(fault.kind == "removed" for fault in faults) and start_ms < retention.whole_since_ms(conn)
        if window.faulty or not gone:  # else dropped by age: what came since is not all that there was
            _refuse(conn, window, before.version, in_words(faults), now)
        return None
    if tree.size == 0 or (before is not None and before.root == tree.root_hash and not before.is_lost):
        _holds(conn, window, before, now)
        return None
    closed: Closed = window.urgent or "hour"
    keys = leaf_keys(tree)
    added = None if before is None else _added(before, tree, keys)
    missing = _missing(conn, window.device, window.start)
    body = WindowBody.of(tree, start_ms, start_ms + 3_600_000, closed, missing, added=added)
    if window.faulty or start_ms < retention.whole_since_ms(conn):
        # Behind the horizon its readings go with the next batch: they were just held against it.
        auditing.keep(
            conn,
            [Checked(window.device, window.start, 1 if before is None else before.version + 1, None)],
            now,
        )
    return _write(conn, window, closed, tree, keys, body, before, now)


def _added(before: Version, tree: WindowTree, keys: Sequence[bytes]) -> list[int]:
    """Positions that the version before had not. Of one whose readings a restore lost it is known only if they are all there
    again; else every position counts as added."""
    if before.root == tree.root_hash:
        return []
    known = frozenset(cut(before.keys, KEY_BYTES))
    return [place for place, item in enumerate(keys) if item not in known]


def _holds(conn: psycopg.Connection, window: Due, before: Version | None, now: datetime) -> None:
    if window.faulty:
        version = 0 if before is None else before.version
        auditing.keep(conn, [Checked(window.device, window.start, version, None)], now)


def read_rows(conn: psycopg.Connection, device: int, start: datetime) -> Rows:
    """All readings and observations of a device's hour, as a window commits to them."""
    return read_windows(conn, [(device, start)])[device, start]


_LAST = """
SELECT sealed.id, organisation, device_id, start_time, version, readings, root, leaf_keys, leaf_prefixes,
       (SELECT leaf_index FROM leaf WHERE sealed_window = sealed.id), (SELECT entry FROM leaf WHERE sealed_window = sealed.id)
FROM sealed_window AS sealed WHERE device_id = %s AND start_time = %s ORDER BY version DESC LIMIT 1
"""


def _last_sealed(conn: psycopg.Connection, device: int, start: datetime) -> Version | None:
    with conn.cursor(binary=True) as cursor:
        row = cursor.execute(_LAST, [device, start]).fetchone()
    return None if row is None else Version(*row)


# A number that a later one was held after, before the hour began, was given before it began: what its message carried was
# measured earlier still. By how much the device's clock may be ahead of ours, that hour is earlier for us.
_MISSING = """
SELECT boot, lower(part), upper(part) - 1
FROM (SELECT boot, known_from, stored + refused AS numbers FROM device_sequence WHERE device_id = %(device)s) AS held,
unnest((int8multirange(int8range(1, coalesce(upper(numbers), 1))) - numbers) * int8multirange(int8range(known_from, NULL))) AS part
WHERE NOT EXISTS (
  SELECT FROM sequence_gap AS gap
  WHERE gap.device_id = %(device)s AND gap.boot = held.boot AND filled_at IS NULL AND given_up_at IS NULL
    AND int8range(first_seq, last_seq, '[]') @> part
    AND first_seen < %(start)s::timestamptz - INTERVAL '1 millisecond' * coalesce((
      SELECT %(tolerance)s + max(greatest(0, -offset_ms - drift_ppm * 1e-3 * greatest(0, extract(epoch FROM %(start)s::timestamptz - anchor))))
      FROM device_clock WHERE device_clock.device_id = %(device)s), %(ahead)s))
ORDER BY boot, part
"""


def _missing(conn: psycopg.Connection, device: int, start: datetime) -> list[Missing]:
    """Messages that a device numbered and we do not hold, as known now, but for those that cannot be of this hour or later; what
    was given up of them is in the seals of before."""
    asked = {"device": device, "start": start, "tolerance": TOLERANCE_MS, "ahead": AHEAD_MS}
    return [Missing(*row) for row in conn.execute(_MISSING, asked)]


def _write(
    conn: psycopg.Connection,
    window: Due,
    closed: Closed,
    tree: WindowTree,
    keys: list[bytes],
    body: WindowBody,
    before: Version | None,
    now: datetime,
) -> int:
    through = min(now, window.start + HOUR)
    row = conn.execute(
        "INSERT INTO sealed_window (organisation, device_id, start_time, version, closed, through, readings, root, leaf_keys,"
        " leaf_prefixes, sealed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [window.organisation, window.device, window.start, 1 if before is None else before.version + 1, closed, through,
         tree.size, tree.root_hash, b"".join(keys), leaf_prefixes(tree), now],
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
