"""Who listens to a Sparkplug group: one process at a time, by an advisory lock for each group on a connection of its own.

Place in the line: around `host`, as slots are around `subscriber`. Contract: a group's messages are taken in their order by
one thread of one process; where that process ends, another takes the group over within a few seconds, with its session at
the broker and its births in Postgres. Whoever loses the connection that holds the locks listens no longer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

import psycopg

from ingest.message import Message
from ingest.pipeline import Away, Line
from ingest.sparkplug import taking
from ingest.sparkplug.host import HostSession
from ingest.sparkplug.stored import KnownBirths

logger = logging.getLogger(__name__)

GROUP_LOCK = 0x5359_0300  # "SY", Sparkplug groups; the second key is the hash of the group's name
TRY_EVERY_S = 1.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
LOOK_S = 0.2

Serve = Callable[[str, threading.Event], None]
"""Listens to a group until the event is set."""


def lease_group(conn: psycopg.Connection, group: str) -> bool:
    """Whether the group is this connection's from now on, as long as `conn` lives (autocommit). Two names of one hash go to
    the same process, which does no harm."""
    row = conn.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [GROUP_LOCK, group]).fetchone()
    return bool(row and row[0])


def hold(
    groups: Sequence[str], connect: Callable[[], psycopg.Connection], serve: Serve, stop: threading.Event
) -> None:
    """Serve each group that nobody else serves, until `stop`. `connect`: for the locks, autocommit."""
    while not stop.is_set():
        try:
            with connect() as conn:
                _hold(groups, conn, serve, stop)
        except psycopg.OperationalError as error:
            logger.warning("no lease on a Sparkplug group without the database", extra={"error": str(error)})
            stop.wait(TRY_EVERY_S)


class _Served:
    """One group's thread and the event that ends it."""

    def __init__(self, group: str, serve: Serve) -> None:
        self.group = group
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(serve,), name=f"sparkplug-{group}")
        self._thread.start()

    def _run(self, serve: Serve) -> None:
        try:
            serve(self.group, self.stop)
        except Exception:
            # Nothing is lost by it: what was not committed is not acknowledged, and the group is begun again.
            logger.exception("a Sparkplug group broke off", extra={"group": self.group})

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> None:
        self._thread.join()


def _hold(groups: Sequence[str], conn: psycopg.Connection, serve: Serve, stop: threading.Event) -> None:
    served: dict[str, _Served] = {}
    try:
        while not stop.is_set():
            conn.execute("SELECT 1")  # a lock lives as long as its connection
            for group in groups:
                if group in served and served[group].ended():
                    del served[group]
                elif group not in served and lease_group(conn, group):
                    served[group] = _Served(group, serve)
            stop.wait(TRY_EVERY_S)
    finally:
        for each in served.values():
            each.stop.set()
        for each in served.values():
            each.join()


def listen(
    heard: HostSession,
    connect: Callable[[], psycopg.Connection],
    line: Line,
    now: Callable[[], datetime],
    stop: threading.Event,
) -> None:
    """Take a group's messages until `stop`. What was taken from the session is committed or still unacknowledged."""
    known = KnownBirths()
    conn: psycopg.Connection | None = None
    messages: list[Message] = []
    patience = _Patience(heard, stop)
    heard.start()
    try:
        while not stop.is_set():
            messages = messages or heard.next_batch(LOOK_S)
            if not messages:
                continue
            try:
                conn = conn if conn is not None and not conn.closed else connect()
                asked = taking.take(conn, line, messages, now(), known)
            except (Away, psycopg.OperationalError) as error:
                if conn is not None:
                    conn.close()
                patience.wait(error, len(messages))
                continue
            patience.end()
            heard.acknowledge(messages)
            heard.ask_for_births(key.node for key in asked)
            messages = []
    finally:
        heard.stop()
        if conn is not None:
            conn.close()


class _Patience:
    """Waits for a database that is away, longer each time. Once that is long, the host says that it is away too: edge nodes
    that wait for their host then keep what they measure, and it need not fit into our memory."""

    def __init__(self, heard: HostSession, stop: threading.Event) -> None:
        self._heard, self._stop = heard, stop
        self._pause_s = FIRST_PAUSE_S
        self._left = False

    def wait(self, error: Exception, messages: int) -> None:
        logger.warning(
            "the database is away, the batch is kept", extra={"error": str(error), "messages": messages}
        )
        if self._pause_s >= LONGEST_PAUSE_S and not self._left:
            self._heard.stop()
            self._left = True
        self._stop.wait(self._pause_s)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def end(self) -> None:
        self._pause_s = FIRST_PAUSE_S
        if self._left:
            self._heard.start()
            self._left = False
