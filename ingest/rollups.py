"""Hourly roll-ups kept from the marks: they outlive the raw readings, and are recomputed whole for a touched hour.

Contract: any order, repetition or lateness of readings gives the same row, to the last bit of the sum. On TimescaleDB's
community edition the database itself keeps `reading_1h` (a continuous aggregate, deploy/schema/0013_community.sql):
there the marks are taken and nothing is done for them.
"""

from __future__ import annotations

from datetime import datetime

import psycopg

from ingest import marks

_ROLL_UP = """
WITH touched AS (
  SELECT DISTINCT sent.series_id, hour
  FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[]) AS sent (series_id, first, last),
       generate_series(date_trunc('hour', first, 'UTC'), last, INTERVAL '1 hour') AS hour
)
INSERT INTO reading_1h (series_id, hour, n, total, minimum, maximum, first_at, last_at)
SELECT touched.series_id, touched.hour, count(*), sum(store.value ORDER BY store.time), min(store.value), max(store.value),
       min(store.time), max(store.time)
FROM touched JOIN reading_store AS store
  ON store.series_id = touched.series_id AND store.time >= touched.hour AND store.time < touched.hour + INTERVAL '1 hour'
GROUP BY touched.series_id, touched.hour
ON CONFLICT (series_id, hour) DO UPDATE SET n = EXCLUDED.n, total = EXCLUDED.total, minimum = EXCLUDED.minimum,
  maximum = EXCLUDED.maximum, first_at = EXCLUDED.first_at, last_at = EXCLUDED.last_at
"""


# Asked of the database that is there, at each step with work: one that was dumped on an edition and restored on another
# keeps what it had.
_IS_OURS = "SELECT relkind = 'r' FROM pg_class WHERE oid = 'reading_1h'::regclass"


def is_ours(conn: psycopg.Connection) -> bool:
    """Whether `reading_1h` is a table for us to keep; otherwise it is the database's continuous aggregate."""
    row = conn.execute(_IS_OURS).fetchone()
    return row is not None and bool(row[0])


def step(conn: psycopg.Connection, _now: datetime) -> bool:
    touched = marks.union(marks.take(conn, "rollup"))
    if not touched:
        return False
    if not is_ours(conn):
        return True
    series = sorted(touched)
    conn.execute(
        _ROLL_UP, [series, [touched[item][0] for item in series], [touched[item][1] for item in series]]
    )
    return True
