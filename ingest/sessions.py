"""Which broker sessions a worker serves: one of its own, and those whose holder died.

In the line: `subscriber`, once for each session -> here -> `worker`. Contract: a session `{prefix}-{k}` is served by whoever
holds the advisory lock of slot k, on a connection that does nothing else; a worker that lost that connection asks for its
slots again, and lets go of one that is somebody else's by now. The broker keeps a dead worker's session and goes on to
give it its share, so a living worker takes it over: as a second connection, which cancels the subscription, drains what
is left, and lets go. Nothing is ever discarded: a session that is let go is kept, and empty.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count

import psycopg

from ingest.message import Message
from ingest.mqtt_client import remove_session
from ingest.subscriber import Arrived, Subscriber

logger = logging.getLogger(__name__)

SLOT_LOCK = 0x5359_0100  # "SY", ingest slots; the slot's number is the second key
SLOTS = 64
LOOK_S = 2.0
RESTING_LOOKS = 3  # nothing came and nothing is open for so long: the session is drained
AGAIN_S = 60.0  # then it is looked into again: a worker that lived shorter than a look subscribed anew, and left its share

# A worker whose machine lost its power holds its slot until the server notices: in its own two hours, or in half a minute.
_NOTICE = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)"
_NOTICED = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
_HELD = """
SELECT objid::integer, pid = pg_backend_pid() FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = %s
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def let_go_if_lost(conn: psycopg.Connection) -> None:
    """Of a connection that holds locks: has the server notice soon that nobody is at its other end."""
    conn.execute(_NOTICE, [list(_NOTICED), list(_NOTICED.values())])


class NoSlot(RuntimeError):
    """All ingest slots are taken. Stop a worker, or raise the number of slots."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where sessions are and how they are named. `group`: of the shared subscription, None for a plain one."""

    url: str
    prefix: str
    group: str | None
    keepalive_s: int = 30

    def client_id(self, slot: int) -> str:
        return f"{self.prefix}-{slot}"


class Sessions:
    """What `worker.serve` takes messages from. `connect`: an autocommit connection for the locks."""

    def __init__(self, address: Address, connect: Callable[[], psycopg.Connection]) -> None:
        self.arrived = Arrived()
        self._numbers = count(1)
        self._address, self._connect = address, connect
        self._conn: psycopg.Connection | None = None
        self._own = -1
        self._served: dict[int, Subscriber] = {}  # replaced, never changed: other threads read it
        self._resting: dict[
            int, tuple[int, int]
        ] = {}  # slot -> messages that had come, looks for which it was so
        self._known: set[int] = set()  # slots that somebody had: their sessions may be kept
        self._let_go_at: dict[int, float] = {}  # monotonic seconds
        self._emptied: set[int] = set()  # let go before, and nobody's since: looked into again without a word
        self._free: set[int] = set()  # of these, without a holder at the last look
        self._beyond: int | None = None  # a slot that may be left from workers that were before us
        self._fault: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sessions", daemon=True)

    def start(self) -> str:
        """Take the lowest free slot; returns its client id. Raises NoSlot."""
        self._take_own(self._locks())
        self._beyond = self._own + 1
        self._known = {*range(self._own)}
        self._thread.start()
        return self._address.client_id(self._own)

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for subscriber in self._served.values():
            subscriber.stop()
        self._drop()

    @property
    def fault(self) -> BaseException | None:
        """By what a thread has ended: of a session, or the one that looks after the slots."""
        ended = (subscriber.fault for subscriber in self._served.values())
        return self._fault or next((fault for fault in ended if fault is not None), None)

    def acknowledge(self, messages: Iterable[Message]) -> None:
        for subscriber in self._served.values():
            subscriber.acknowledge(messages)

    def publish(self, topic: str, payload: str) -> None:
        own = self._served.get(self._own)
        if own is not None:
            own.publish(topic, payload)

    def wake(self) -> None:
        self.arrived.put([])

    def _run(self) -> None:
        try:
            self._look_after_slots()
        except BaseException as error:
            self._fault = error
            self.wake()

    def _look_after_slots(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self._look()
            except (psycopg.Error, NoSlot) as error:
                logger.warning("the slots cannot be looked after now", extra={"error": str(error)})
                self._drop()

    def _look(self) -> None:
        conn = self._locks()
        self._let_go(conn)
        held: dict[int, bool] = dict(conn.execute(_HELD, [SLOT_LOCK]).fetchall())
        for slot in [slot for slot in self._served if not held.get(slot)]:
            if not self._lock(conn, slot):
                logger.warning("another worker has our slot", extra={"slot": slot})
                self._end(slot)
        if self._own not in self._served:
            self._take_own(conn)
        self._inherit(conn, {*held, *self._served})

    def _take_own(self, conn: psycopg.Connection) -> None:
        self._own = next((slot for slot in range(SLOTS) if self._lock(conn, slot)), -1)
        if self._own < 0:
            raise NoSlot(f"all {SLOTS} ingest slots are taken")
        self._begin(self._own, inherited=False)

    def _inherit(self, conn: psycopg.Connection, taken: set[int]) -> None:
        """Sessions without a holder at two looks: who is only being started again has it back by then."""
        self._known |= taken
        self._emptied -= taken - {*self._served}
        self._let_go_at = {slot: at for slot, at in self._let_go_at.items() if slot not in taken}
        lately = {slot for slot, at in self._let_go_at.items() if time.monotonic() - at < AGAIN_S}
        beyond = {self._beyond} if self._beyond is not None and self._beyond < SLOTS else set()
        free = (self._known | beyond) - taken - lately
        for slot in sorted(free & self._free):
            if self._lock(conn, slot):
                logger.log(self._told_at(slot), "a session without a worker is drained", extra={"slot": slot})
                self._begin(slot, inherited=True)
        self._free = free

    def _let_go(self, conn: psycopg.Connection) -> None:
        """Of sessions that are drained, and of those that turn out never to have been."""
        for slot, subscriber in [*self._served.items()]:
            if slot == self._own:
                continue
            if subscriber.was_kept is False:
                self._end(slot)
                # While the slot is still ours: whoever takes it next begins a session under that name.
                remove_session(self._address.url, self._address.client_id(slot))
                self._free_slot(conn, slot)
                self._known.discard(slot)
                self._beyond = None if slot == self._beyond else self._beyond
            elif self._rests(slot, subscriber):
                self._end(slot)
                self._free_slot(conn, slot)
                self._beyond = slot + 1 if slot == self._beyond else self._beyond

    def _rests(self, slot: int, subscriber: Subscriber) -> bool:
        came = subscriber.at_rest
        before, looks = self._resting.get(slot, (-1, 0))
        self._resting[slot] = (-1, 0) if came is None else (came, looks + 1 if came == before else 0)
        return self._resting[slot][1] >= RESTING_LOOKS

    def _free_slot(self, conn: psycopg.Connection, slot: int) -> None:
        conn.execute("SELECT pg_advisory_unlock(%s, %s)", [SLOT_LOCK, slot])
        self._let_go_at[slot] = time.monotonic()
        logger.log(self._told_at(slot), "let go of a session", extra={"slot": slot})
        self._emptied.add(slot)

    def _told_at(self, slot: int) -> int:
        return logging.DEBUG if slot in self._emptied else logging.INFO

    def _begin(self, slot: int, *, inherited: bool) -> None:
        address = self._address
        subscriber = Subscriber(
            address.url,
            address.client_id(slot),
            address.group,
            arrived=self.arrived,
            numbers=self._numbers,
            inherited=inherited,
            keepalive_s=address.keepalive_s,
        )
        self._served = {**self._served, slot: subscriber}
        subscriber.start()

    def _end(self, slot: int) -> None:
        subscriber = self._served[slot]
        self._served = {other: kept for other, kept in self._served.items() if other != slot}
        self._resting.pop(slot, None)
        subscriber.stop()

    def _lock(self, conn: psycopg.Connection, slot: int) -> bool:
        row = conn.execute("SELECT pg_try_advisory_lock(%s, %s)", [SLOT_LOCK, slot]).fetchone()
        return row is not None and bool(row[0])

    def _locks(self) -> psycopg.Connection:
        if self._conn is None or self._conn.closed:
            self._conn = self._connect()
            let_go_if_lost(self._conn)
        return self._conn

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()
