"""Clocks: this machine's against the database's, against the record's, and what the kernel knows of a time server."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, ok, unknown, warn

A_LITTLE = timedelta(seconds=2)
TOO_MUCH = timedelta(seconds=60)
SET_IT = "let both machines follow a time server (chrony, systemd-timesyncd)"


def database_clock(patient: Patient) -> Iterator[Finding]:
    """The machine's clock stamps arrivals, the database's stamps changes; a record's time never runs back."""
    with patient.database() as conn:
        before = patient.now()
        row = conn.execute("SELECT clock_timestamp(), to_regclass('leaf') IS NOT NULL").fetchone()
        after = patient.now()
        assert row is not None
        yield compare(before + (after - before) / 2, row[0])
        if row[1]:
            yield from _record(conn, after)


def compare(ours: datetime, databases: datetime) -> Finding:
    offset = databases - ours
    if abs(offset) <= A_LITTLE:
        return ok("clock", f"this machine and the database agree within {A_LITTLE.seconds} s")
    text = f"this machine and the database are {_seconds(offset)} apart"
    return fail("clock", text, SET_IT) if abs(offset) > TOO_MUCH else warn("clock", text, SET_IT)


# A log's record time never runs back, so its last leaf has its newest: one look into the index for each log.
NEWEST = """
SELECT max(newest.record_time) FROM log CROSS JOIN LATERAL (
  SELECT record_time FROM leaf WHERE leaf.organisation = log.organisation ORDER BY leaf_index DESC LIMIT 1) AS newest
"""


def _record(conn: psycopg.Connection, now: datetime) -> Iterator[Finding]:
    newest = conn.execute(NEWEST).fetchone()
    ahead = newest[0] - now if newest and newest[0] else timedelta()
    if ahead > A_LITTLE:
        yield fail(
            "clock",
            f"the record is {_seconds(ahead)} ahead of this machine's clock",
            "the clock was set back, or was ahead when that was recorded; until it catches up, new entries get the"
            " record's last time",
        )


def _seconds(offset: timedelta) -> str:
    return f"{abs(offset).total_seconds():.0f} s"


def time_server(_patient: Patient) -> Iterator[Finding]:
    state = _kernel_is_synchronised()
    if state is None:
        yield unknown("clock", "whether this machine follows a time server cannot be told on this system")
    elif state:
        yield ok("clock", "the kernel says that this machine's clock follows a time server")
    else:
        yield warn(
            "clock",
            "the kernel does not know of a time server that this machine's clock follows",
            "start chrony or systemd-timesyncd (in a container: on its host); chrony needs `rtcsync` to tell the kernel",
        )


_TIMEX_BYTES = 256  # struct timex is 208 on 64-bit Linux; with modes = 0 it is read only
_TIME_ERROR = 5


def _kernel_is_synchronised() -> bool | None:
    """adjtimex(2) asks the kernel without changing anything, without root, and without any program."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
