"""Pending rows become leaves: index, stream number, `prev`, record time and, for events, `position`.

The one writer of every log. Recording and sealing leave `pending` rows in their own transactions; this process takes
them, makes version 1 entries in one transaction a log, and publishes after the commit (`ledger.publication`).
Contract: one sequencer at a time (an advisory lock), and one that slept through a take-over commits nothing, because
each take-over raises every log's epoch and each sequencing transaction checks it. `position` is one order for the
instance without holes, and `record_time` never decreases along it.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, Never

import psycopg

from ledger.entry import Entry, EntryType, StreamKind, entry_hash, log_pseudonym, stream_pseudonym
from ledger.errors import EntryError, LedgerError
from ledger.head_store import Head, HeadMoved, HeadStore
from ledger.keys import KeyStore
from ledger.log_files import LogFiles
from ledger.publication import Log, check_head, publish
from ledger.window_body import Amends, WindowBody

logger = logging.getLogger(__name__)

ADVISORY_LOCK = 0x5359_0002  # "SY", sequencer
MOST_PENDING = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

Clock = Callable[[], datetime]


class Deposed(LedgerError):
    """Another sequencer has taken over. Nothing was committed; wait for the lock and begin again."""


class HeadMissing(LedgerError):
    """The database knows a log that the head store does not. Restore DATA_DIR/heads from its backup."""


def serve(
    connect: Callable[[], psycopg.Connection],
    keys: KeyStore,
    data_dir: Path,
    log_origin: str,
    now: Clock,
    stop: Event,
    *,
    poll_s: float = 0.2,
    retry_s: float = 2.0,
) -> None:
    """Sequences and publishes until `stop` is set. `log_origin`: a new log is named `{log_origin}/{organisation}`.

    A lost database or lock is waited for; a log that must not be signed for is left alone, and the others go on.
    """
    while not stop.is_set():
        try:
            with connect() as conn:
                conn.autocommit = True
                if take_lock(conn, stop, retry_s):
                    Sequencer(conn, keys, data_dir, log_origin, now).run(stop, poll_s)
        except (psycopg.OperationalError, Deposed, HeadMoved) as error:
            logger.warning("sequencer interrupted", extra={"reason": str(error)})
            stop.wait(retry_s)


def take_lock(conn: psycopg.Connection, stop: Event, retry_s: float) -> bool:
    """Waits to be the instance's one sequencer; the lock falls with the connection. False if told to stop."""
    while not stop.is_set():
        row = conn.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK]).fetchone()
        if row is not None and row[0]:
            return True
        stop.wait(retry_s)
    return False


@dataclass(frozen=True, slots=True)
class _Pending:
    """A row that waits for its place. `amends_leaf`: the entry of the window version it amends, once that is a leaf."""

    id: int
    type: EntryType
    stream_kind: StreamKind
    stream_id: str
    body: Mapping[str, Any]
    event: int | None
    sealed_window: int | None
    amends: int | None


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A row of the `leaf` table in the making."""

    pending: int
    index: int
    entry: bytes
    hash: bytes
    position: int | None
    event: int | None
    sealed_window: int | None


@dataclass
class _Streams:
    """Where each stream and each window stands while one transaction's entries are made."""

    heads: dict[bytes, tuple[int, bytes]]
    windows: dict[int, Amends]
    changed: set[bytes] = field(default_factory=set)


class Sequencer:
    """One reign: from taking the lock to losing it. `conn` is in autocommit mode and holds the lock."""

    def __init__(
        self, conn: psycopg.Connection, keys: KeyStore, data_dir: Path, log_origin: str, now: Clock
    ) -> None:
        self._conn = conn
        self._keys = keys
        self._log_dir = data_dir / "log"
        self._heads = HeadStore(data_dir / "heads")
        self._log_origin = log_origin
        self._now = now
        self._logs: dict[str, Log] = {}
        self._epochs: dict[str, int] = {}
        self._refused: set[str] = set()
        self._unusable: set[int] = set()

    def run(self, stop: Event, poll_s: float) -> None:
        self.take_over()
        while not stop.is_set():
            if not self.step():
                stop.wait(poll_s)

    def take_over(self) -> None:
        """Raises every log's epoch, checks the database against the heads, and finishes what a crash left."""
        known = {organisation for (organisation,) in self._conn.execute("SELECT organisation FROM log")}
        for organisation in sorted(known | set(self._heads.organisations())):
            self._guarded(organisation, self._open)

    def step(self) -> bool:
        """Sequences and publishes once for each log with something pending; False if there was nothing."""
        rows = self._conn.execute("SELECT DISTINCT organisation FROM pending ORDER BY organisation").fetchall()
        waiting = [organisation for (organisation,) in rows if organisation not in self._refused]
        return any([self._guarded(organisation, self._advance) for organisation in waiting])

    def _guarded(self, organisation: str, work: Callable[[str], bool]) -> bool:
        """A fault of one log, which no retry mends, stops that log and leaves the others running."""
        try:
            return work(organisation)
        except (Deposed, HeadMoved):
            raise
        except LedgerError as error:
            self._refused.add(organisation)
            logger.error(  # noqa: TRY400
                "log refused", extra={"organisation": organisation, "error": type(error).__name__, "reason": str(error)}
            )
            return False

    def _advance(self, organisation: str) -> bool:
        if organisation not in self._logs:
            self._open(organisation)
        log, epoch = self._logs[organisation], self._epochs[organisation]
        sequenced = self._sequence(log, epoch)
        if sequenced:
            publish(self._conn, log, epoch, self._now())
        return sequenced > 0

    def _open(self, organisation: str) -> bool:
        """Makes the log ours: begins it if it is new, raises its epoch, checks it, completes its publication."""
        log = self._begin(organisation)
        with self._conn.transaction():
            row = self._conn.execute(_RAISE_EPOCH, [organisation]).fetchone()
            if row is None:
                raise Deposed(f"{organisation}: the log's row is gone")
            epoch, tree_size = row
        head = self._heads.read(organisation)
        if head is None:
            raise HeadMissing(f"{organisation}: the head store has no head of this log")
        check_head(self._conn, log, head, tree_size)
        # From here on a sequencer before us can no longer move the head.
        epoch = max(epoch, head.epoch + 1)
        self._conn.execute("UPDATE log SET epoch = %s WHERE organisation = %s", [epoch, organisation])
        self._heads.swap(organisation, head, Head(head.origin, head.size, head.root_hash, epoch))
        while publish(self._conn, log, epoch, self._now()) < tree_size:
            pass
        self._logs[organisation], self._epochs[organisation] = log, epoch
        return True

    def _begin(self, organisation: str) -> Log:
        """Keys, then head, then row: whichever of them a crash cut off, the next start makes the rest."""
        row = self._conn.execute("SELECT origin, tree_size FROM log WHERE organisation = %s", [organisation]).fetchone()
        head = self._heads.read(organisation)
        origin = head.origin if head else row[0] if row else f"{self._log_origin}/{organisation}"
        if row is not None and head is None:
            raise HeadMissing(f"{organisation}: the head store has no head of {origin}")
        self._keys.organisation_key(organisation)
        key = self._keys.log_key(organisation, origin, inception=head is None)
        if head is None:
            self._heads.swap(organisation, None, Head.inception(origin))
        if row is None:
            self._conn.execute(_BEGIN_LOG, [organisation, origin])
        return Log(organisation, origin, LogFiles(self._log_dir / organisation), self._heads, key)

    def _sequence(self, log: Log, epoch: int) -> int:
        """One transaction: takes pending rows and makes them leaves. Returns how many."""
        with self._conn.transaction():
            row = self._conn.execute(_LOCK_LOG, [log.organisation]).fetchone()
            if row is None or row[1] != epoch:
                raise Deposed(f"{log.organisation}: epoch: got {row and row[1]}, want {epoch}")
            pending = self._take(log.organisation)
            leaves = self._make(log, pending, row[0])
            if leaves:
                self._write(log.organisation, leaves, epoch)
            return len(leaves)

    def _take(self, organisation: str) -> list[_Pending]:
        rows = self._conn.execute(_TAKE, [organisation, sorted(self._unusable), MOST_PENDING])
        return [_Pending(*row[:4], json.loads(row[4]), *row[5:]) for row in rows]
