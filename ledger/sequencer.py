"""The one writer of every log: takes pending rows, makes them leaves, publishes what it committed.

Recording and sealing leave `pending` rows behind in their own transactions. This process sequences them
(`ledger.sequencing`, one transaction a log) and then publishes (`ledger.publication`, a function of what is
committed), and last brings their checkpoints into the root log (`ledger.root_log`). Contract: one sequencer at a
time, by an advisory lock; one that slept through a take-over commits and signs nothing, because a take-over raises
the epoch that every sequencing transaction and every move of a head checks. A log that must not be signed for is
left alone, with its reason in the log of the process; the others go on.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import psycopg

from ledger.cosigning import renew_clock
from ledger.errors import LedgerError
from ledger.freezing import LogFrozen, frozen_by, note_frozen
from ledger.head_store import Head, HeadMoved, HeadStore
from ledger.keys import KeyStore
from ledger.log import Log
from ledger.log_files import LogFiles
from ledger.publication import check_head, check_published, ends_with_freeze, publish
from ledger.root_log import ROOT, Anchoring
from ledger.sequencing import Deposed, sequence
from ledger.signing import Signers, Signing, says_of_keys

logger = logging.getLogger(__name__)

ADVISORY_LOCK = 0x5359_0002  # "SY", sequencer
_ANCHOR_PASS = timedelta(seconds=0.5)
"""While there is other work, the root log is looked at no more often: nobody waits for it less than that."""

Clock = Callable[[], datetime]


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
    signing: Signing | None = None,
) -> None:
    """Sequences and publishes until `stop` is set; a lost database, disk or lock is waited for.

    `log_origin`: a new log is named `{log_origin}/{organisation}`, and keeps that name.
    """
    while not stop.is_set():
        try:
            with connect() as conn:
                conn.autocommit = True
                if take_lock(conn, stop, retry_s):
                    _reign(Sequencer(conn, keys, data_dir, log_origin, now, signing), stop, poll_s)
        except (psycopg.OperationalError, OSError, Deposed, HeadMoved) as error:
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


def _reign(sequencer: "Sequencer", stop: Event, poll_s: float) -> None:
    sequencer.take_over()
    while not stop.is_set():
        if not sequencer.step():
            stop.wait(poll_s)


@dataclass(slots=True)
class _Held:
    """A log of ours. `epoch`: under which we hold it; `size`: published."""

    log: Log
    signers: Signers
    epoch: int
    size: int


class Sequencer:
    """One reign, from taking the lock to losing it. `conn`: in autocommit mode; it holds the lock.

    `refused`: organisation -> the fault for which its log is left alone.
    """

    def __init__(
        self,
        conn: psycopg.Connection,
        keys: KeyStore,
        data_dir: Path,
        log_origin: str,
        now: Clock,
        signing: Signing | None = None,
    ) -> None:
        self.refused: dict[str, LedgerError] = {}
        self._conn = conn
        self._keys = keys
        self._log_dir = data_dir / "log"
        self._heads = HeadStore(data_dir / "heads")
        self._log_origin = log_origin
        self._now = now
        self._signing = signing or Signing()
        self._anchoring = Anchoring(conn)
        self._anchored_at: datetime | None = None
        self._held: dict[str, _Held] = {}

    def take_over(self) -> None:
        """Makes every log ours, so that whoever held them before us can move none of them any more."""
        known = {organisation for (organisation,) in self._conn.execute("SELECT organisation FROM log")}
        for organisation in sorted(known | set(self._heads.organisations())):
            self._guarded(organisation, self._hold)

    def step(self) -> bool:
        """Sequences and publishes once for each log with something pending, then the root over them; False if nothing
        came of it.
        """
        rows = self._conn.execute(_WAITING).fetchall()
        waiting = [organisation for (organisation,) in rows if organisation not in self.refused]
        moved = [self._guarded(organisation, self._advance) for organisation in waiting]
        worked, now = any(moved), self._now()
        if worked and self._anchored_at is not None and timedelta() <= now - self._anchored_at < _ANCHOR_PASS:
            return True
        self._anchored_at = now
        return (ROOT not in self.refused and self._guarded(ROOT, self._anchor)) or worked

    def _guarded(self, organisation: str, work: Callable[[str], bool]) -> bool:
        """A fault that no retry mends stops its own log only."""
        try:
            return work(organisation)
        except (Deposed, HeadMoved):
            raise
        except LedgerError as error:
            self.refused[organisation] = error
            facts = {"organisation": organisation, "error": type(error).__name__, "reason": str(error)}
            logger.error("log refused", extra=facts)
            return False

    def _advance(self, organisation: str) -> bool:
        if organisation not in self._held:
            self._hold(organisation)
        held = self._held[organisation]
        head = self._heads.read(organisation)
        if head is not None and head.frozen is not None:
            note_frozen(self._conn, organisation, head.frozen, self._now())
            raise LogFrozen(f"{head.origin}: {head.frozen}")
        org_key = self._keys.organisation_key(organisation)
        sequenced = sequence(self._conn, organisation, org_key, held.epoch, self._now())
        if sequenced:
            if says_of_keys(sequenced.entries):
                held.signers = self._signers(organisation, held.log.origin)
            held.log = held.signers.equip(held.log, self._signing, self._now())
            held.size = publish(self._conn, held.log, held.epoch, self._now(), sequenced)
            if (reason := frozen_by(sequenced.entries[-1])) is not None:
                logger.warning("log frozen", extra={"organisation": organisation, "reason": reason})
        if organisation == ROOT:
            self._anchoring.follow()
        return len(sequenced) > 0

    def _anchor(self, root: str) -> bool:
        """Brings into the root log what is due, and keeps its clock."""
        head = self._heads.read(root)
        if head is not None and head.frozen is not None:
            return False
        published = {name: (held.log, held.size) for name, held in self._held.items() if name != root}
        if self._anchoring.request(published, self._now()):
            return self._advance(root)
        if root in self._held:
            renew_clock(self._held[root].log, self._held[root].epoch, self._now())
        return False

    def _hold(self, organisation: str) -> bool:
        """Begins the log if it is new; raises its epoch, checks it, and finishes what a crash left
        unpublished.
        """
        log, head = self._begin(organisation)
        row = self._conn.execute(_RAISE_EPOCH, [head.epoch, organisation]).fetchone()
        if row is None:
            raise Deposed(f"{organisation}: its log was removed under us")
        epoch, tree_size, frozen = row
        check_head(self._conn, log, head, tree_size)
        if (
            frozen is not None
            and head.frozen is None
            and not ends_with_freeze(self._conn, organisation, tree_size)
        ):
            # An older head was put back, which does not know that the log froze itself.
            self._heads.swap(organisation, head, replace(head, frozen=frozen))
            head = replace(head, frozen=frozen)
        head, before = replace(head, epoch=epoch), head
        self._heads.swap(organisation, before, head)
        if head.frozen is not None:
            note_frozen(self._conn, organisation, head.frozen, self._now())
        signers = self._signers(organisation, log.origin)
        check_published(log, head, [key.verifier for key in signers.private.values()])
        log = signers.equip(log, self._signing, self._now())
        while (size := publish(self._conn, log, epoch, self._now())) < tree_size:
            continue
        self._held[organisation] = _Held(log, signers, epoch, size)
        if organisation == ROOT:
            self._anchoring.follow()
        return True

    def _signers(self, organisation: str, origin: str) -> Signers:
        return Signers.read(self._conn, self._keys, organisation, origin, self._signing.further)

    def _begin(self, organisation: str) -> tuple[Log, Head]:
        """Keys, then head, then row: whichever of them a crash cut off, the next start makes the rest."""
        row = self._conn.execute("SELECT origin FROM log WHERE organisation = %s", [organisation]).fetchone()
        head = self._heads.read(organisation)
        if row is not None and head is None:
            raise HeadMissing(f"the head store has no head of {row[0]}; restore DATA_DIR/heads")
        origin = f"{self._log_origin}/{organisation}" if head is None else head.origin
        self._keys.organisation_key(organisation)
        self._keys.log_key(organisation, origin, inception=head is None)
        is_root = organisation == ROOT
        clock = self._keys.clock_key(organisation, origin, inception=head is None) if is_root else None
        if head is None:
            head = Head.inception(origin)
            self._heads.swap(organisation, None, head)
        if row is None:
            self._conn.execute(_BEGIN_LOG, [organisation, origin])
        files = LogFiles(self._log_dir / organisation)
        return Log(organisation, origin, files, self._heads, (), clock=clock), head


# From one organisation to the next by the index: a look at every row that waits would take longer the more there are. What
# waits for a frozen log waits for ever.
_WAITING = """
WITH RECURSIVE waiting AS (
  (SELECT organisation FROM pending ORDER BY organisation LIMIT 1)
  UNION ALL
  SELECT (SELECT organisation FROM pending WHERE pending.organisation > waiting.organisation ORDER BY organisation LIMIT 1)
  FROM waiting WHERE waiting.organisation IS NOT NULL
)
SELECT waiting.organisation FROM waiting LEFT JOIN log ON log.organisation = waiting.organisation
WHERE waiting.organisation IS NOT NULL AND log.frozen_at IS NULL ORDER BY waiting.organisation
"""
_BEGIN_LOG = "INSERT INTO log (organisation, origin) VALUES (%s, %s) ON CONFLICT (organisation) DO NOTHING"

# Above the head's too: a restored database may know a lower epoch than one that has signed since.
_RAISE_EPOCH = """
UPDATE log SET epoch = greatest(epoch, %s) + 1 WHERE organisation = %s RETURNING epoch, tree_size, frozen_reason
"""
