"""Retention: raw readings older than they are to be kept are dropped, at times when nobody notices.

In the line: what was made of the readings (roll-ups, excursions, sealed windows) -> here -> they go. Contract: what is made
of them outlives them, and each window was held against its readings before they go, or are compressed; one that they no longer
give keeps them, and a fault tells of it (`window_check`). The horizon is raised in one transaction, a day at a time, and the
readings before it dropped in later ones, so that
whoever computes something anew knows what may no longer be whole. Nothing is dropped that somebody still has to look at,
nor what lies under a legal hold (`legal_hold`), nor what may still come late from the field: the horizon stays two days
behind the age at which readings are refused, and behind the refresh of TimescaleDB's roll-up (deploy/migrate.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg

from ingest import auditing
from ingest.auditing import Checked, OrganisationKey, Place, in_words
from ingest.window_rows import read_windows

logger = logging.getLogger(__name__)

MARGIN = timedelta(days=2)
MOST = 50_000
"""Rows a step, where they are dropped as rows."""
CHECKED = 100
"""Windows a step."""
FRESH = timedelta(days=1)
"""How old a check may be when readings are dropped on its word."""
COMPRESSED_AFTER = timedelta(days=7)
"""What comes late mostly comes sooner, and a late row in a compressed chunk costs a look into its columns."""

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


def step(conn: psycopg.Connection, now: datetime, keep: timedelta, key: OrganisationKey) -> bool:
    """Check some windows, or raise the horizon by a day, or drop a batch, or compress one. `keep`: how old raw readings may
    become. True if there was anything to do."""
    # A horizon ahead of that is of a time when less was kept, and something went. What a file brought back behind it may be
    # kept for longer now, and so nothing is dropped until the two meet.
    wanted = _midnight(now - keep - MARGIN)
    if wanted.timestamp() * 1000 >= whole_since_ms(conn) and (
        _advance(conn, wanted, now, key) or _drop(conn)
    ):
        return True
    return _compress(conn, now, key)


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


_EARLIEST = """
SELECT whole_since, (SELECT start_time FROM sealed_window WHERE start_time >= whole_since AND start_time < %s ORDER BY start_time LIMIT 1)
FROM reading_horizon
"""


def _advance(conn: psycopg.Connection, wanted: datetime, now: datetime, key: OrganisationKey) -> bool:
    """The next day with windows: they are checked; what none of them holds is sealed, and checked as well; then the horizon is
    raised over it."""
    row = conn.execute(_EARLIEST, [wanted]).fetchone()
    assert row is not None
    since, earliest = row
    if since >= wanted or _waits(conn, wanted):
        return False
    until = wanted if earliest is None else min(wanted, _midnight(earliest) + timedelta(days=1))
    if _check(conn, since, until, now - FRESH, now, key) or _seal_first(conn, since, until):
        return True
    return _raise(conn, until)


def _waits(conn: psycopg.Connection, wanted: datetime) -> bool:
    waiting = conn.execute(_WAITING, {"wanted": wanted}).fetchone()
    if waiting is None or not waiting[0]:
        return False
    logger.info(
        "retention waits for what is still to be computed",
        extra={"horizon": str(wanted), "waiting": waiting[0]},
    )
    return True


# Readings of which no mark told, or whose window could not be sealed then. By each series' index: the store has none by time alone.
_NOT_SEALED = """
INSERT INTO open_window (device_id, start_time, touched_at)
SELECT there.device_id, there.start_time, there.start_time
FROM (SELECT series.device_id, date_trunc('hour', kept.time, 'UTC') AS start_time, count(*) AS readings
      FROM series, LATERAL (
        SELECT time FROM reading_store WHERE series_id = series.id AND time >= %(since)s AND time < %(until)s
        UNION ALL SELECT time FROM observation WHERE series_id = series.id AND time >= %(since)s AND time < %(until)s) AS kept
      GROUP BY 1, 2) AS there
LEFT JOIN window_check AS known USING (device_id, start_time)
WHERE known.fault IS NULL
  AND there.readings > coalesce((SELECT readings FROM sealed_window AS sealed
    WHERE (sealed.device_id, sealed.start_time) = (there.device_id, there.start_time) ORDER BY version DESC LIMIT 1), 0)
ON CONFLICT DO NOTHING
"""


def _seal_first(conn: psycopg.Connection, since: datetime, until: datetime) -> bool:
    conn.execute("SET LOCAL statement_timeout = '30min'")
    return conn.execute(_NOT_SEALED, {"since": since, "until": until}, prepare=False).rowcount > 0


# Of each hour the newest version, unless it was looked at since `fresh`; one with a fault is sealing's to look at again.
_UNCHECKED = """
SELECT sealed.device_id, sealed.start_time
FROM sealed_window AS sealed LEFT JOIN window_check AS known USING (device_id, start_time)
WHERE sealed.start_time >= %(since)s AND sealed.start_time < %(until)s
  AND (known.version IS NULL OR (known.fault IS NULL AND (known.version < sealed.version OR known.checked_at < %(fresh)s)))
  AND NOT EXISTS (SELECT FROM sealed_window AS later WHERE later.device_id = sealed.device_id AND later.start_time = sealed.start_time
                  AND later.version > sealed.version)
ORDER BY sealed.start_time, sealed.device_id LIMIT %(most)s
"""


def _check(
    conn: psycopg.Connection, since: datetime, until: datetime, fresh: datetime, now: datetime, key: OrganisationKey
) -> bool:  # fmt: skip
    asked = {"since": since, "until": until, "fresh": fresh, "most": CHECKED}
    places: list[Place] = [(device, start) for device, start in conn.execute(_UNCHECKED, asked)]
    if not places:
        return False
    auditing.keep(conn, list(_held(conn, places, key)), now)
    return True


def _held(conn: psycopg.Connection, places: list[Place], key: OrganisationKey) -> Iterator[Checked]:
    """Every version against the rows of its hour."""
    versions, rows = auditing.read_versions(conn, places), read_windows(conn, places)
    for device, start in places:
        own = versions[device, start]
        hour = auditing.hour_of(key(own[-1].organisation), device, start, rows[device, start])
        faults = [fault for version in own for fault in auditing.against_entry(hour, version)]
        fault = in_words(faults) if faults else None
        if fault is not None:
            logger.error(
                "a window does not hold, its readings stay",
                extra={"device": device, "start": str(start), "fault": fault},
            )
        yield Checked(device, start, own[-1].version, fault)


def _raise(conn: psycopg.Connection, wanted: datetime) -> bool:
    before_ms = whole_since_ms(conn)
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


def _compress(conn: psycopg.Connection, now: datetime, key: OrganisationKey) -> bool:
    """On TimescaleDB's community edition: a week's-old chunk into columns, once its windows hold."""
    older = now - COMPRESSED_AFTER
    chunk = conn.execute("SELECT begins, ends FROM readings_in_rows(%s)", [older]).fetchone()
    if chunk is None:
        return False
    begins, ends = chunk
    if _waits(conn, ends):
        return False
    ever = datetime.fromtimestamp(0, UTC)
    if _check(conn, begins, ends, ever, now, key) or _seal_first(conn, begins, ends):
        return True
    conn.execute("SET LOCAL statement_timeout = '30min'")
    row = conn.execute("SELECT compress_readings(%s, %s)", [begins, older]).fetchone()
    return row is not None and bool(row[0])
