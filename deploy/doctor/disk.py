"""The disks: what is free where our files and the database's lie, and how long that lasts at yesterday's pace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from deploy.doctor.examination import Patient, count
from deploy.doctor.findings import Finding, fail, ok, unknown, warn
from deploy.migrate import edition

GIB = 1 << 30
LEAST_FREE, LITTLE_FREE = 1 * GIB, 5 * GIB
LEAST_DAYS, FEW_DAYS = 3, 30
MAKE_ROOM = "make room: a full disk stops the record, and nothing is acknowledged to devices until there is room again"


def of_files(patient: Patient) -> Iterator[Finding]:
    folder = patient.settings.data_dir
    if folder.is_dir():
        yield _free("DATA_DIR", shutil.disk_usage(folder).free)


def _free(where: str, free: int) -> Finding:
    text = f"{free / GIB:.1f} GiB are free where {where} lies"
    if free < LEAST_FREE:
        return fail("disk", text, MAKE_ROOM)
    return warn("disk", text, MAKE_ROOM) if free < LITTLE_FREE else ok("disk", text)


def of_database(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        folder = _data_directory(conn, patient.database_url)
        free = shutil.disk_usage(folder).free if folder else None
        if free is None:
            yield unknown(
                "disk",
                "what is free where the database lies cannot be told from here",
                "look on its machine, or ask its provider",
            )
        else:
            yield _free("the database", free)
        yield from _growth(conn, free)


def _data_directory(conn: psycopg.Connection, url: str) -> Path | None:
    """Where it lies, if that is on this machine and we are told."""
    host = str(conninfo_to_dict(url).get("host") or "")
    if host and not host.startswith("/") and host not in ("localhost", "127.0.0.1", "::1"):
        return None
    try:
        row = conn.execute("SHOW data_directory").fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    folder = Path(str(row[0])) if row else None
    try:
        return folder if folder is not None and folder.is_dir() else None
    except OSError:
        return None


NEWEST_BATCHES = 5_000
# The newest batches alone, however long the record is: at most a day of them.
PACE = f"""
SELECT count(*), coalesce(sum(stored), 0), coalesce(extract(epoch FROM now() - min(received_at)), 0)
FROM (SELECT id, received_at FROM batch ORDER BY id DESC LIMIT {NEWEST_BATCHES}) AS newest
CROSS JOIN LATERAL (SELECT coalesce(sum(account.stored), 0) AS stored FROM account WHERE batch_id = newest.id) AS taken
WHERE received_at > now() - INTERVAL '1 day'
"""  # noqa: S608 - a number of ours
_STORED = {
    # What the last ANALYZE counted: nothing is read for it.
    "plain": "SELECT reltuples::bigint FROM pg_class WHERE oid = 'reading_store'::regclass",
    "timescale": "SELECT approximate_row_count('reading_store')",
}


def _growth(conn: psycopg.Connection, free: int | None) -> Iterator[Finding]:
    """What a record costs here, with its indexes, seals and leaves, times what the last day brought. A rough number."""
    size = count(conn, "SELECT pg_database_size(current_database())")
    stored = count(conn, _STORED[edition(conn).partition("-")[0]])
    row = conn.execute(PACE.encode()).fetchone()
    assert row is not None
    batches, today, seconds = int(row[0]), int(row[1]), float(row[2])
    if batches == NEWEST_BATCHES and seconds:
        today = round(today * 86_400 / seconds)
    if stored < 10_000 or not today:
        yield ok(
            "disk",
            f"the database has {size / GIB:.2f} GiB; too little came in so far to say how fast it grows",
        )
        return
    a_day = size / stored * today
    text = f"the database has {size / GIB:.2f} GiB and grows by about {a_day / GIB:.2f} GiB a day ({today:,} records)"
    if free is None:
        yield ok("disk", text)
        return
    days = free / a_day
    text += f": room for about {days:,.0f} days"
    if days < LEAST_DAYS:
        yield fail("disk", text, MAKE_ROOM)
    elif days < FEW_DAYS:
        yield warn("disk", text, "plan for more room")
    else:
        yield ok("disk", text)
