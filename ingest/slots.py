"""A worker's slot: which kept session at the broker is its own, as long as it holds an advisory lock.

In the line: before `subscriber`. Contract: a slot has one holder, whose connection dies with it; then another worker takes the
slot and drains its session. A holder that lost its connection (a database that was restarted) takes the lock again, and if
somebody else has it by then it says so and ends: two clients of one name would throw each other out at the broker for ever.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import psycopg

logger = logging.getLogger(__name__)

SLOT_LOCK = 0x5359_0100  # "SY", ingest slots; the slot's number is the second key
SLOTS = 64
LOOK_S = 1.0

Connect = Callable[[], psycopg.Connection]


class NoSlot(RuntimeError):
    """All ingest slots are taken. Stop a worker, or raise the number of slots."""


class Slot:
    """The lowest free slot. `lost` is called once, from a thread, if another process has it. Raises NoSlot; psycopg.Error."""

    def __init__(self, connect: Connect, lost: Callable[[], None]) -> None:
        self._connect, self._lost = connect, lost
        self._conn = self._connected()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._hold, name="slot", daemon=True)
        found = next((number for number in range(SLOTS) if self._lock(number)), None)
        if found is None:
            self._conn.close()
            raise NoSlot(f"all {SLOTS} ingest slots are taken")
        self.number = found
        self._thread.start()

    def release(self) -> None:
        self._stop.set()
        self._thread.join()
        self._conn.close()

    def _connected(self) -> psycopg.Connection:
        conn = self._connect()
        conn.autocommit = True
        return conn

    def _lock(self, number: int) -> bool:
        row = self._conn.execute("SELECT pg_try_advisory_lock(%s, %s)", [SLOT_LOCK, number]).fetchone()
        return row is not None and bool(row[0])

    def _hold(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self._conn.execute("SELECT")
                continue
            except psycopg.Error as error:
                logger.warning(
                    "the slot's connection is lost", extra={"slot": self.number, "error": str(error)}
                )
                self._conn.close()
            if not self._take_again():
                return

    def _take_again(self) -> bool:
        """Until the database is there. False if the slot is somebody else's, or we stop."""
        while not self._stop.is_set():
            try:
                self._conn = self._connected()
                held = self._lock(self.number)
            except psycopg.Error:
                self._stop.wait(LOOK_S)
                continue
            if not held:
                logger.error("another worker has taken this slot", extra={"slot": self.number})
                self._lost()
            return held
        return False
