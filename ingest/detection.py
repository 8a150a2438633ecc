"""Detection: touched series -> the limits in force on them -> excursions, reconciled with what is stored.

Contract: the result depends on the stored readings, placements and presences alone, so any batching, order,
repetition or restart gives the same excursions. It recomputes the whole stretches in force that a mark touches and
nothing else. An excursion is never deleted: it is extended, merged or voided as a new version under its id.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from ingest import inforce, marks, readings
from ingest.coldchain.excursions import EVER, Changes, Run, StoredExcursion, find_excursions, reconcile
from ingest.coldchain.limits import Limit

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """A series as detection needs it."""

    id: int
    organisation: str
    interval_ms: int


def step(conn: psycopg.Connection, now: datetime) -> bool:
    touched = marks.union(marks.take(conn, "detection"))
    if not touched:
        return False
    limits = {key: limit for key, limit in inforce.read_limits(conn).items() if _is_judged_here(limit)}
    measured = _read_series(conn, sorted(touched))
    force = inforce.read(conn, sorted(measured), limits.values())
    sealed: marks.Touched = {}
    for series in measured.values():
        first, last = (round(moment.timestamp() * 1000) for moment in touched[series.id])
        for key, limit in limits.items():
            stretches = [
                part for part in force.get((series.id, key), []) if part[0] <= last and first < part[1]
            ]
            changes = _recompute(conn, series, limit, stretches, (first, last))
            _write(conn, series, limit, changes, now)
            _note_excited(sealed, series.id, changes)
    marks.leave(conn, sealed, now, reason="excursion", consumers=("sealing",))
    return True


def _is_judged_here(limit: Limit) -> bool:
    """A cumulative limit is a portion's: its minutes add up over all the places the portion was in, so the sum of one
    series in one place says nothing of it. The portion's verdict judges it."""
    return limit.mode != "cumulative"


def _read_series(conn: psycopg.Connection, ids: Sequence[int]) -> dict[int, Measured]:
    rows = conn.execute(
        "SELECT series.id, series.organisation, device.interval_s * 1000 FROM series JOIN device ON device.id = series.device_id"
        " WHERE series.id = ANY (%s) AND series.quantity = 'temperature'",
        [list(ids)],
    )
    return {row[0]: Measured(*row) for row in rows}


def _recompute(
    conn: psycopg.Connection, series: Measured, limit: Limit, stretches: list[Stretch], touched: Stretch
) -> Changes:
    """Excursions of the stretches in force, against the stored ones that lie in them or in the touched interval."""
    start, end = (
        min([touched[0], *(part[0] for part in stretches)]),
        max([touched[1] + 1, *(part[1] for part in stretches)]),
    )
    existing = _read_existing(conn, series, limit, stretches, touched)
    if not stretches and not existing:
        return Changes()
    times, values, _ = readings.read_series(conn, series.id, _datetime(start), _datetime(end))
    return reconcile(existing, find_excursions(times, values, limit, stretches, series.interval_ms))


_EXISTING = """
SELECT id, version, state, merged_into, (extract(epoch FROM start_time) * 1000)::bigint, (extract(epoch FROM trigger_time) * 1000)::bigint,
       (extract(epoch FROM end_time) * 1000)::bigint, minutes_at_least, minutes_at_most, extreme, degree_minutes, closed_by
FROM excursion WHERE series_id = %s AND limit_id = %s AND limit_version = %s ORDER BY id
"""


def _read_existing(
    conn: psycopg.Connection, series: Measured, limit: Limit, stretches: list[Stretch], touched: Stretch
) -> list[StoredExcursion]:
    rows = conn.execute(_EXISTING, [series.id, *limit.key])
    stored = [StoredExcursion(*row) for row in rows]
    windows = [*stretches, (touched[0], touched[1] + 1)]
    return [
        item
        for item in stored
        if any(
            item.start_ms < end and start <= (EVER if item.end_ms is None else item.end_ms)
            for start, end in windows
        )
    ]


def _write(conn: psycopg.Connection, series: Measured, limit: Limit, changes: Changes, now: datetime) -> None:
    for run in changes.opened:
        _open(conn, series, limit, run, now)
    for extension in changes.extended:
        _update(conn, extension.excursion, extension.run.state, extension.run, None, now)
    for merge in changes.merged:
        _update(conn, merge.excursion, "merged", None, merge.into, now)
    for voided in changes.voided:
        _update(conn, voided, "void", None, None, now)


_OPEN = """
INSERT INTO excursion (organisation, series_id, limit_id, limit_version, version, state, start_time, trigger_time, end_time, closed_by,
                       extreme, minutes_at_least, minutes_at_most, degree_minutes, opened_at, computed_at)
VALUES (%s, %s, %s, %s, 1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id
"""


def _open(conn: psycopg.Connection, series: Measured, limit: Limit, run: Run, now: datetime) -> None:
    row = conn.execute(
        _OPEN, [series.organisation, series.id, *limit.key, run.state, *_columns(run), now, now]
    ).fetchone()
    assert row is not None
    _keep_version(conn, row[0], 1, run.state, run, now)


_UPDATE = """
UPDATE excursion SET version = version + 1, state = %s, start_time = %s, trigger_time = %s, end_time = %s, closed_by = %s,
  extreme = %s, minutes_at_least = %s, minutes_at_most = %s, degree_minutes = %s, computed_at = %s
WHERE id = %s
"""


def _update(
    conn: psycopg.Connection,
    stored: StoredExcursion,
    state: str,
    run: Run | None,
    into: int | None,
    now: datetime,
) -> None:
    if run is not None:
        conn.execute(_UPDATE, [state, *_columns(run), now, stored.id])
    else:
        conn.execute(
            "UPDATE excursion SET version = version + 1, state = %s, merged_into = %s, computed_at = %s WHERE id = %s",
            [state, into, now, stored.id],
        )
    _keep_version(conn, stored.id, stored.version + 1, state, run, now)


def _keep_version(
    conn: psycopg.Connection, excursion: int, version: int, state: str, run: Run | None, now: datetime
) -> None:
    body = (
        {"state": state}
        if run is None
        else {"state": state} | {name: getattr(run, name) for name in Run.__slots__}
    )
    conn.execute(
        "INSERT INTO excursion_version (excursion, version, body, computed_at) VALUES (%s, %s, %s, %s)",
        [excursion, version, json.dumps(body), now],
    )


def _columns(run: Run) -> list[object]:
    end = None if run.end_ms is None else _datetime(run.end_ms)
    return [_datetime(run.start_ms), _datetime(run.trigger_ms), end, run.closed_by, run.extreme_c,
            run.minutes_at_least, run.minutes_at_most, run.area_c_min]  # fmt: skip


def _note_excited(sealed: marks.Touched, series: int, changes: Changes) -> None:
    """What opened, or gave reason to be told again, is sealed at once: evidence should not wait for its hour."""
    runs = [
        *changes.opened,
        *(extension.run for extension in changes.extended if extension.grew and extension.run.closed_by),
    ]
    if runs:
        first = min(run.start_ms for run in runs)
        last = max(run.last_ms for run in runs)
        sealed[series] = (_datetime(first), _datetime(last))


def _datetime(time_ms: int) -> datetime:
    """Bounds beyond what a timestamp can hold stand for an open end."""
    bounded = min(max(time_ms, 0), 253_402_300_799_000)
    return EPOCH + timedelta(milliseconds=bounded)
