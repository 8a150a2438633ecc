"""What was touched, for those who follow after the commit: detection, sealing, roll-ups.

One row per batch and consumer carries the touched stretches of series as arrays: a row per series would
cost more than the readings. Marks are inserted and taken, never updated, so no two writers wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

CONSUMERS = ("detection", "sealing", "rollup")

Touched = dict[int, tuple[datetime, datetime]]
"""series id -> first and last touched time, both inclusive."""
Stretch = tuple[int, datetime, datetime]
"""The same of a series that may have been touched in several places."""


@dataclass(frozen=True, slots=True)
class Mark:
    id: int
    created_at: datetime
    reason: str
    touched: tuple[Stretch, ...]


def leave(
    conn: psycopg.Connection,
    touched: Mapping[int, tuple[datetime, datetime]],
    now: datetime,
    *,
    reason: str = "readings",
    consumers: Iterable[str] = CONSUMERS,
) -> None:
    stretches = [(series, *touched[series]) for series in sorted(touched)]
    leave_stretches(conn, stretches, now, reason=reason, consumers=consumers)


def leave_stretches(
    conn: psycopg.Connection,
    stretches: Sequence[Stretch],
    now: datetime,
    *,
    reason: str,
    consumers: Iterable[str],
) -> None:
    if not stretches:
        return
    arrays = [list(column) for column in zip(*stretches, strict=True)]
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO mark (consumer, created_at, reason, series_ids, from_times, to_times) VALUES (%s, %s, %s, %s, %s, %s)",
            [[consumer, now, reason, *arrays] for consumer in consumers],
        )


_TAKE = """
DELETE FROM mark WHERE id = ANY (ARRAY(SELECT id FROM mark WHERE consumer = %s ORDER BY id LIMIT %s))
RETURNING id, created_at, reason, series_ids, from_times, to_times
"""


def take(conn: psycopg.Connection, consumer: str, at_most: int = 500) -> list[Mark]:
    """Take the oldest marks in the caller's transaction: they are gone when it commits and back when it does not.

    A consumer is one process at a time (its lease, jobs.py), so no mark is skipped or taken twice.
    """
    rows = conn.execute(_TAKE, [consumer, at_most]).fetchall()
    marks = [Mark(row[0], row[1], row[2], tuple(zip(*row[3:], strict=True))) for row in rows]
    return sorted(marks, key=lambda mark: mark.id)
