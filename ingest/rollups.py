"""Hourly roll-ups kept from the marks: they outlive the raw readings, and are recomputed whole for a touched hour.

Contract: any order, repetition or lateness of readings gives the same row, to the last bit of the sum; an hour whose readings
were taken away has none. Hours before the horizon (`retention.py`) stay as they are, since what is left of their readings
may be a part. On TimescaleDB's community edition the database itself keeps `reading_1h` (a continuous aggregate,
deploy/schema/0013_community.sql), with the same answers: there the marks are taken and nothing is done for them.
"""

from __future__ import annotations

from datetime import datetime

import psycopg

from ingest import marks, touched_hours

AT_ONCE = 100
"""Series a statement: with 72,000 readings an hour of each it ends before its time is up."""

_ROLL_UP = """
WITH touched AS (
  SELECT series_id, greatest(first, whole_since) AS first, last + INTERVAL '1 hour' AS until
  FROM unnest(%(series)b::integer[], %(firsts)b::timestamptz[], %(lasts)b::timestamptz[]) AS sent (series_id, first, last), reading_horizon
), rolled AS (
  SELECT touched.series_id, hours.*
  FROM touched, LATERAL (
    SELECT date_trunc('hour', time, 'UTC') AS hour, count(*) AS n, sum(value ORDER BY time) AS total, min(value) AS minimum,
           max(value) AS maximum, min(time) AS first_at, max(time) AS last_at
    FROM reading_store AS store
    WHERE store.series_id = touched.series_id AND time >= touched.first AND time < touched.until
      AND time >= %(first)s::timestamptz AND time < %(last)s::timestamptz + INTERVAL '1 hour'  -- lets the planner leave out chunks
    GROUP BY date_trunc('hour', time, 'UTC')) AS hours
), emptied AS (
  DELETE FROM reading_1h AS kept USING touched
  WHERE kept.series_id = touched.series_id AND kept.hour >= touched.first AND kept.hour < touched.until
    AND NOT EXISTS (SELECT FROM rolled WHERE rolled.series_id = kept.series_id AND rolled.hour = kept.hour)
)
INSERT INTO reading_1h (series_id, hour, n, total, minimum, maximum, first_at, last_at)
SELECT * FROM rolled ORDER BY series_id, hour
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
    taken = marks.take(conn, "rollup")
    if not taken:
        return False
    if is_ours(conn):
        for touched in touched_hours.spans(taken, AT_ONCE):
            conn.execute(_ROLL_UP, touched.values(), prepare=False)
    return True
