"""Our side of witnessing: shows the logs' newest checkpoints to the witnesses, and publishes what they say.

Beside the sequencer, in threads of their own: one that has a database connection and looks what is due, and one for
each witness that asks it (`ledger.witness_client`), so that a slow one holds up nobody. The lines go under the published
checkpoint and into table `cosignature`; how it goes with each log and witness stands in table `attestation`. Contract:
nothing here moves a head or delays the sequencer by more than the writing of one file; a log that a witness proves to be
behind or forked is frozen, with both notes kept first; a witness that is away is said once, and asked again.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from ledger.attestation import Attested, forget_others, note_attested, note_failing, read_attested
from ledger.cosigning import add_cosignatures, keep_cosignature
from ledger.entry_bodies import MAX_TEXT
from ledger.errors import LedgerError
from ledger.freezing import freeze_log, note_frozen
from ledger.head_store import HeadStore
from ledger.http_exchange import Transport
from ledger.log import Log
from ledger.log_files import CHECKPOINT, POLICY, read_if_there, replace_whole
from ledger.published_log import PublishedLog, published_logs, read_keys, read_published
from ledger.root_log import ROOT
from ledger.translog.note import VerifierKey
from ledger.translog.verify import VerifyError
from ledger.witness_client import Contradicted, Cosigned, NotNow, Outcome, ask
from ledger.witness_list import ListedWitness, WitnessList

logger = logging.getLogger(__name__)

ADVISORY_LOCK = 0x5359_0003  # "SY", witnessing
RENEW_S = 25.0
"""How old a witness's word of the root log gets before it is asked again, grown or not."""
ROOT_EVERY_S, LOG_EVERY_S = 2.0, 10.0
"""How long after a cosignature a log that has grown waits for the next."""
UNKNOWN_S = 300.0
POLICY_S = 5.0
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0


@dataclass(slots=True)
class _Standing:
    """One log with one witness. `size`: what the witness is known to have seen; `cosigned`: the newest size it
    cosigned, asked at `at`; seconds since 1970. `failures`: in a row, the last one since the witness was `away`; `due`: not to
    be asked before.
    """

    size: int = 0
    cosigned: int = -1
    at: float = 0.0
    due: float = 0.0
    failures: int = 0
    away: bool = False
    asking: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    witness: ListedWitness
    log: PublishedLog
    outcome: Outcome
    size: int
    asked_at: float


@dataclass(slots=True)
class _Correspondent:
    """One witness. `away_until`: no log is shown to it before, but one to see whether it is back."""

    witness: ListedWitness
    questions: "queue.SimpleQueue[tuple[PublishedLog, int] | None]" = field(default_factory=queue.SimpleQueue)
    logs: dict[str, _Standing] = field(default_factory=dict)
    waiting: int = 0
    away_until: float = 0.0
    failures: int = 0
    away_said: bool = False


class Witnessing:
    """One connection's time of it. `conn`: in autocommit mode; `transport`: asked by several threads at once."""

    def __init__(
        self,
        conn: psycopg.Connection,
        data_dir: Path,
        witnesses: WitnessList,
        log_url: str,
        transport: Transport,
        now: Callable[[], datetime],
    ) -> None:
        self._conn = conn
        self._log_dir = data_dir / "log"
        self._heads = HeadStore(data_dir / "heads")
        self._witnesses = witnesses
        self._log_url = log_url
        self._transport = transport
        self._now = now
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        self._correspondents = [_Correspondent(witness) for witness in witnesses.witnesses]
        self._said: set[str] = set()
        # With the stamp of the file it was read from.
        self._read: dict[str, tuple[object, PublishedLog | None]] = {}
        self._policy_at: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """The witnesses' threads. One that hangs in a request is left behind; it does nothing but ask."""
        forget_others(self._conn, "witness", [each.witness.name for each in self._correspondents])
        for each in self._correspondents:
            for attested in read_attested(self._conn, "witness", each.witness.name):
                if attested.tree_size is not None and attested.attested_at is not None:
                    size, at = attested.tree_size, attested.attested_at.timestamp()
                    each.logs[attested.organisation] = _Standing(size, size, at)
            threading.Thread(target=self._correspond, args=(each,), daemon=True).start()
        try:
            yield
        finally:
            for each in self._correspondents:
                each.questions.put(None)

    def _correspond(self, own: _Correspondent) -> None:
        while (question := own.questions.get()) is not None:
            log, old_size = question
            now = self._now().timestamp()
            outcome, size = ask(self._transport, own.witness, log, old_size, now)
            self._answers.put(_Answer(own.witness, log, outcome, size, now))

    def step(self, wait_s: float) -> None:
        """Acts on the answers that came within `wait_s`, then asks what is due."""
        try:
            self._take(self._answers.get(timeout=wait_s))
            while True:
                self._take(self._answers.get_nowait())
        except queue.Empty:
            pass
        names = published_logs(self._log_dir)
        now = self._now().timestamp()
        if self._policy_at is None or not 0 <= now - self._policy_at < POLICY_S:
            self._policy_at = now
            self.publish_policy(names)
        if self._correspondents:
            for organisation in sorted(names, key=lambda name: name != ROOT):
                self._ask_about(organisation)

    # --- asking -----------------------------------------------------------------------------------

    def _ask_about(self, organisation: str) -> None:
        now = self._now().timestamp()
        due = [each for each in self._correspondents if self._may_be_due(each, organisation, now)]
        if not due:
            return
        try:
            log = self._published(organisation)
        except VerifyError as error:
            self._say_once(organisation, error)
            return
        if log is None:
            return
        for each in due:
            standing = each.logs.setdefault(organisation, _Standing())
            if self._is_due(standing, log, now):
                standing.asking = True
                each.waiting += 1
                each.questions.put((log, standing.size))

    def _published(self, organisation: str) -> PublishedLog | None:
        """Read and verified once for each time it was written: a thousand logs that rest cost a look at each file."""
        try:
            state = (self._log_dir / organisation / CHECKPOINT).stat()
        except FileNotFoundError:
            return None
        stamp = (state.st_mtime_ns, state.st_ino, state.st_size)
        known = self._read.get(organisation)
        if known is None or known[0] != stamp:
            known = self._read[organisation] = stamp, read_published(self._log_dir, organisation)
        return known[1]

    def _may_be_due(self, own: _Correspondent, organisation: str, now: float) -> bool:
        """Before the files are read."""
        if own.witness.logs == "root" and organisation != ROOT:
            return False
        if now < own.away_until or (own.failures and own.waiting):
            return False
        standing = own.logs.get(organisation)
        return standing is None or (not standing.asking and now >= standing.due)

    @staticmethod
    def _is_due(standing: _Standing, log: PublishedLog, now: float) -> bool:
        if log.size > standing.cosigned:
            every = ROOT_EVERY_S if log.organisation == ROOT else LOG_EVERY_S
            return not 0 <= now - standing.at < every
        return log.organisation == ROOT and not 0 <= now - standing.at < RENEW_S

    def _say_once(self, organisation: str, error: LedgerError) -> None:
        if organisation not in self._said:
            self._said.add(organisation)
            logger.error(
                "checkpoint cannot be shown", extra={"organisation": organisation, "reason": str(error)}
            )

    # --- acting on an answer ----------------------------------------------------------------------

    def _take(self, answer: _Answer) -> None:
        own = next(each for each in self._correspondents if each.witness is answer.witness)
        standing = own.logs[answer.log.organisation]
        own.waiting -= 1
        standing.asking = False
        standing.size = answer.size
        match answer.outcome:
            case Cosigned():
                self._cosigned(own, standing, answer, answer.outcome)
            case NotNow():
                self._failed(own, standing, answer.log, answer.outcome)
            case Contradicted():
                self._contradicted(own, standing, answer.log, answer.outcome)

    def _cosigned(self, own: _Correspondent, standing: _Standing, answer: _Answer, outcome: Cosigned) -> None:
        now, log = self._now(), answer.log
        lines = [one.line for one in outcome.found]
        if log.size > standing.cosigned:  # said again, it says nothing new that history needs
            for line in lines:
                keep_cosignature(self._conn, log.organisation, log.size, line)
        add_cosignatures(Log(log.organisation, log.origin, log.files, self._heads, ()), log.size, lines)
        was_away = standing.away
        own.logs[log.organisation] = _Standing(log.size, log.size, answer.asked_at)
        own.failures, own.away_until = 0, 0.0
        at = datetime.fromtimestamp(max(one.time for one in outcome.found), UTC)
        attested = Attested("witness", own.witness.name, log.organisation, log.size, at)
        recovered = note_attested(self._conn, attested, now)
        if own.away_said or (recovered and not was_away):
            logger.info("witness cosigns again", extra=_facts(own.witness, log))
        own.away_said = False

    def _failed(self, own: _Correspondent, standing: _Standing, log: PublishedLog, outcome: NotNow) -> None:
        now = self._now()
        if outcome.away:
            own.failures += 1
            own.away_until = now.timestamp() + _backoff(own.failures)
        standing.failures, standing.away = standing.failures + 1, outcome.away
        standing.due = now.timestamp() + (UNKNOWN_S if outcome.unknown else _backoff(standing.failures))
        first = note_failing(self._conn, "witness", own.witness.name, log.organisation, outcome.reason, now)
        # Away, it is away for every log: said once.
        if not own.away_said if outcome.away else first:
            own.away_said = own.away_said or outcome.away
            logger.warning(
                "witness does not cosign", extra=_facts(own.witness, log) | {"reason": outcome.reason}
            )

    def _contradicted(
        self, own: _Correspondent, standing: _Standing, log: PublishedLog, outcome: Contradicted
    ) -> None:
        """The witness holds what this log signed and does not hold: it was restored, or it forked."""
        now = self._now()
        head = self._heads.read(log.organisation)
        if head is None or log.size < outcome.size <= head.size:
            # We read the files before the sequencer published what the witness was shown meanwhile.
            standing.due = now.timestamp() + FIRST_RETRY_S
            return
        facts = [log.organisation, own.witness.name, now, outcome.reason, log.note.decode(), outcome.theirs]
        new = self._conn.execute(_CONTRADICTION, facts).rowcount > 0
        freeze_log(self._heads, log.organisation, outcome.reason[:MAX_TEXT])
        note_frozen(self._conn, log.organisation, outcome.reason[:MAX_TEXT], now)
        note_failing(self._conn, "witness", own.witness.name, log.organisation, outcome.reason, now)
        standing.due = now.timestamp() + UNKNOWN_S
        if new:
            logger.critical("log frozen", extra=_facts(own.witness, log) | {"reason": outcome.reason})

    # --- the policy -------------------------------------------------------------------------------

    def publish_policy(self, names: Sequence[str]) -> None:
        """`/log/policy`: the root first, then the organisations' logs, the witnesses, and how many it takes."""
        keys = list[VerifierKey]()
        for name in sorted(names, key=lambda name: (name != ROOT, name)):
            try:
                keys += read_keys(self._log_dir, name)[:1]
            except VerifyError as error:
                self._say_once(name, error)
        text = str(self._witnesses.policy(keys, self._log_url)).encode()
        if read_if_there(self._log_dir / POLICY) != text:
            replace_whole(self._log_dir / POLICY, text)


# Asked again, it shows the same again.
_CONTRADICTION = """
INSERT INTO contradiction (organisation, witness, found_at, reason, ours, theirs)
SELECT said.organisation, said.witness, said.found_at, said.reason, said.ours, said.theirs
FROM (VALUES (%s, %s, %s::timestamptz, %s, %s, %s)) AS said (organisation, witness, found_at, reason, ours, theirs)
WHERE NOT EXISTS (SELECT FROM contradiction AS known WHERE known.organisation = said.organisation
                  AND known.witness = said.witness AND known.theirs = said.theirs)
"""


def serve(
    connect: Callable[[], psycopg.Connection],
    data_dir: Path,
    witnesses: WitnessList,
    log_url: str,
    transport: Transport,
    now: Callable[[], datetime],
    stop: threading.Event,
    *,
    poll_s: float = 0.5,
    retry_s: float = 2.0,
) -> None:
    """Asks and publishes until `stop` is set; a lost database or disk is waited for. Of several processes one does it.

    `log_url`: where the logs are served, without a slash at its end.
    """
    while not stop.is_set():
        try:
            with connect() as conn:
                conn.autocommit = True
                if not _take_lock(conn):
                    stop.wait(retry_s)
                    continue
                witnessing = Witnessing(conn, data_dir, witnesses, log_url, transport, now)
                with witnessing.running():
                    while not stop.is_set():
                        witnessing.step(poll_s)
        except (psycopg.Error, OSError, LedgerError) as error:
            logger.warning("witnessing interrupted", extra={"reason": str(error)})
            stop.wait(retry_s)


def _take_lock(conn: psycopg.Connection) -> bool:
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK]).fetchone()
    return row is not None and bool(row[0])


def _backoff(failures: int) -> float:
    return min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(failures - 1, 10))


def _facts(witness: ListedWitness, log: PublishedLog) -> dict[str, str]:
    return {"witness": witness.name, "organisation": log.organisation}
