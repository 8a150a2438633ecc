"""Runs the checks one after the other, each in a thread of its own with a time limit, and hands on what they find.

A check is a generator of findings over a `Patient`. Whatever it raises becomes a finding: `Away` (the database does not
answer, which one check says and the others need not repeat) and a missing right mean that it could not be asked;
everything else is a failure with its message.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg

from deploy.database_url import said_of
from deploy.doctor.findings import Finding, fail, unknown
from deploy.settings import Settings

CONNECT_S = 5
STATEMENT_S = 10
LIMIT_S = 30.0
"""Between two findings of an ordinary check: a name server that hangs has no limit of its own."""


class Away(Exception):
    """The database does not take this connection."""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at. `database_url`: as whom the database is asked, best its owner; `chosen`: it was named on the
    command line and does not stand in the environment. `environment`: the process's, for names nobody reads."""

    settings: Settings
    database_url: str
    chosen: bool
    environment: Mapping[str, str]
    now: Callable[[], datetime]

    @property
    def production(self) -> bool:
        return self.settings.production

    @contextmanager
    def database(
        self, url: str | None = None, statement_s: int = STATEMENT_S
    ) -> Iterator[psycopg.Connection]:
        """An autocommit connection of the check's own. Raises Away."""
        with connect(url or self.database_url, statement_s) as conn:
            yield conn


def connect(url: str, statement_s: int = STATEMENT_S) -> psycopg.Connection:
    try:
        conn = psycopg.connect(
            url, connect_timeout=CONNECT_S, application_name="suyuan doctor", autocommit=True
        )
    except psycopg.Error as error:
        raise Away(said_of(error, url)) from None
    conn.execute(f"SET statement_timeout = '{statement_s}s'".encode())
    return conn


Check = Callable[[Patient], Iterator[Finding]]


def examine(patient: Patient, checks: Mapping[str, Check], limit_s: float = LIMIT_S) -> Iterator[Finding]:
    """Every finding, as it is found. `checks`: by the name that stands for one that says nothing itself."""
    for name, check in checks.items():
        yield from _watched(name, check, patient, limit_s)


def _watched(name: str, check: Check, patient: Patient, limit_s: float) -> Iterator[Finding]:
    found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
    # A daemon: one that hangs in a call is left behind, and ends with us.
    threading.Thread(target=_run, args=(name, check, patient, found), daemon=True).start()
    while True:
        try:
            finding = found.get(timeout=limit_s)
        except queue.Empty:
            yield fail(
                name,
                f"no answer within {limit_s:.0f} s",
                "something it asks hangs: a name server, a network file system, a firewall that answers nothing",
            )
            return
        if finding is None:
            return
        yield finding


def _run(name: str, check: Check, patient: Patient, found: queue.SimpleQueue[Finding | None]) -> None:
    try:
        for finding in check(patient):
            found.put(finding)
    except BaseException as error:  # an exit too: in this thread it would end nothing but be lost
        found.put(_as_finding(name, error))
    finally:
        found.put(None)


def _as_finding(name: str, error: BaseException) -> Finding:
    match error:
        case Away():
            return unknown(name, "not looked at: the database does not answer")
        case psycopg.errors.InsufficientPrivilege():
            return unknown(
                name,
                f"cannot be asked with these rights ({_first_line(error)})",
                "give the owner's URL with --database-url",
            )
        case (
            psycopg.errors.UndefinedTable()
            | psycopg.errors.UndefinedColumn()
            | psycopg.errors.UndefinedFunction()
        ):
            return unknown(name, f"cannot be asked of this schema ({_first_line(error)})")
    return fail(
        name, f"the check itself failed: {type(error).__name__}: {_first_line(error)}", "see its message"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


def blinded(conn: psycopg.Connection) -> str | None:
    """The user's name, unless the tables are theirs (or they are a superuser): then no policy hides a row."""
    row = conn.execute(
        "SELECT current_user, pg_has_role(current_user, relowner, 'USAGE') OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
        " FROM pg_class WHERE oid = to_regclass('event')"
    ).fetchone()
    return None if row is None or row[1] else str(row[0])


def count(conn: psycopg.Connection, query: str, values: Sequence[object] | None = None) -> int:
    row = conn.execute(query.encode(), values).fetchone()
    assert row is not None
    return int(row[0] or 0)
