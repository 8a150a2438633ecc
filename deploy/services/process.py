"""What every service process has in common: a clock, a stop signal, the right schema, a log."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from types import FrameType

import click
import psycopg

from deploy.database_url import connect
from deploy.migrate import SchemaMismatch, check_schema

LAST_RESORT_S = 15.0


def now() -> datetime:
    return datetime.now(UTC)


def stop_event(follow_parent: bool) -> threading.Event:
    """Set by SIGTERM or SIGINT, and when our standard input closes if a parent holds its other end: whatever way the
    parent ends, nothing of ours stays behind."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    if follow_parent:
        threading.Thread(target=_follow_parent, args=(stop,), daemon=True).start()
    return stop


def _follow_parent(stop: threading.Event) -> None:
    # Read past Python's buffer: its lock would be held while the interpreter ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()
    time.sleep(LAST_RESORT_S)  # a service that hangs in a call must not outlive its parent for long
    os._exit(1)


def collect_seldom() -> None:
    """For a process that reads large documents into hundreds of thousands of objects, none of them in a circle: to look through
    all of them each time that a few hundred more are made takes half of its time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


class CannotStart(click.ClickException):
    """A process cannot do its work as it is set up. The message says what to change."""


def require_schema(url: str, name: str) -> None:
    """Raises SchemaMismatch; psycopg.OperationalError where there is no database."""
    with connect(url, name) as conn:
        check_schema(conn)


_MAY = "SELECT current_user, pg_has_role(current_user, %(role)s, 'MEMBER')"


def require_service(url: str, name: str) -> None:
    """The schema, and a user who is or may act as `suyuan_{name}`: another one would fail at its first message, or at none.

    Raises as `require_schema` does, and CannotStart."""
    with connect(url, name) as conn:
        check_schema(conn)
        row = conn.execute(_MAY, {"role": f"suyuan_{name}"}).fetchone()
    if row is not None and not row[1]:
        raise CannotStart(
            f"SUYUAN_DATABASE_URL connects as {row[0]}; `suyuan {name}` needs suyuan_{name}, or a role that is granted it"
        )


def opened(url: str, name: str) -> psycopg.Connection:
    """A connection to a database that has this release's schema. Raises psycopg.OperationalError, and CannotStart."""
    try:
        require_schema(url, name)
    except SchemaMismatch as error:
        raise CannotStart(str(error)) from error
    return connect(url, name)


def log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithFacts("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _WithFacts(logging.Formatter):
    """A constant message, then the facts that came with it in `extra`."""

    _OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        facts = {name: value for name, value in vars(record).items() if name not in self._OWN}
        if not facts:
            return text
        first, *rest = text.split("\n", 1)
        return "\n".join(
            [f"{first} ({', '.join(f'{name}={value}' for name, value in facts.items())})", *rest]
        )
