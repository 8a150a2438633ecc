"""Retention: raw readings older than they are to be kept are dropped, at times when nobody notices.

In the line: what was made of the readings (roll-ups, excursions, sealed windows) -> here -> they go. Contract: what is made
of them outlives them. The horizon is raised in one transaction and the readings before it dropped in later ones, so that
whoever computes something anew knows what may no longer be whole. Nothing is dropped that somebody still has to look at,
nor what lies under a legal hold (`legal_hold`), nor what may still come late from the field: the horizon stays two days
behind the age at which readings are refused, and behind the refresh of TimescaleDB's roll-up (deploy/migrate.py).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import psycopg

logger = logging.getLogger(__name__)

MARGIN = timedelta(days=2)
MOST = 50_000
"""Rows a step, where they are dropped as rows."""

_WAITING = """
SELECT (SELECT count(*) FROM open_window WHERE start_time < %(wanted)s)
     + (SELECT count(*) FROM mark WHERE EXISTS (SELECT FROM unnest(from_times) AS first WHERE first < %(wanted)s))
"""


def whole_since_ms(conn: psycopg.Connection) -> int:
    """From when on (UTC milliseconds) raw readings are all there, but for those that are still to come."""
    row = conn.execute(
        "SELECT (extract(epoch FROM whole_since) * 1000)::bigint FROM reading_horizon"
    ).fetchone()
    assert row is not None
    return int(row[0])


def step(conn: psycopg.Connection, now: datetime, keep: timedelta) -> bool:
    """Raise the horizon if a day has gone by, else drop a batch. `keep`: how old raw readings may become. True if there was
    anything to do."""
    # A horizon ahead of that is of a time when less was kept, and something went. What a file brought back behind it may be
    # kept for longer now, and so nothing is dropped until the two meet.
    wanted = (now - keep - MARGIN).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if wanted.timestamp() * 1000 < whole_since_ms(conn):
        return False
    return _raise(conn, wanted) or _drop(conn)


def _raise(conn: psycopg.Connection, wanted: datetime) -> bool:
    before_ms = whole_since_ms(conn)
    if wanted.timestamp() * 1000 <= before_ms:
        return False
    waiting = conn.execute(_WAITING, {"wanted": wanted}).fetchone()
    if waiting is not None and waiting[0]:
        logger.info(
            "retention waits for what is still to be computed",
            extra={"horizon": str(wanted), "waiting": waiting[0]},
        )
        return False
    conn.execute("SELECT raise_reading_horizon(%s)", [wanted])
    return whole_since_ms(conn) > before_ms


def _drop(conn: psycopg.Connection) -> bool:
    conn.execute("SET LOCAL statement_timeout = '30min'")  # a chunk is counted before it goes, and goes whole
    row = conn.execute("SELECT readings, observations FROM drop_old_readings(%s)", [MOST]).fetchone()
    assert row is not None
    if not any(row):
        return False
    logger.info("old readings were dropped", extra={"readings": row[0], "observations": row[1]})
    return True
