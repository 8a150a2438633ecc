"""What was touched, for those who follow after the commit: detection, sealing, roll-ups.

One row per batch and consumer carries the touched series and their intervals as arrays: a row per series would
cost more than the readings. Marks are inserted and taken, never updated, so no two writers wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg

CONSUMERS = ("detection", "sealing", "rollup")

Touched = dict[int, tuple[datetime, datetime]]
"""series id -> first and last touched time, both inclusive."""


@dataclass(frozen=True, slots=True)
class Mark:
    id: int
    created_at: datetime
    reason: str
    touched: Touched


def leave(
    conn: psycopg.Connection,
    touched: Mapping[int, tuple[datetime, datetime]],
    now: datetime,
    *,
    reason: str = "readings",
    consumers: Iterable[str] = CONSUMERS,
) -> None:
    if not touched:
        return
    series = sorted(touched)
    arrays = [series, [touched[item][0] for item in series], [touched[item][1] for item in series]]
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
    marks = [
        Mark(row[0], row[1], row[2], dict(zip(row[3], zip(row[4], row[5], strict=True), strict=True)))
        for row in rows
    ]
    return sorted(marks, key=lambda mark: mark.id)
