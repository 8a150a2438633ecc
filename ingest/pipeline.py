"""The line: receive -> decode -> admit -> store -> mark -> commit -> acknowledge and send the receipt.

Contract: one transaction holds a batch's readings, events, refusals, account, sequences and marks. A crash before
the commit leaves nothing and the broker sends again; after it, sending again finds duplicates. What can never be
taken goes to quarantine in the same transaction; what could not be taken now raises `Away` and is tried again,
unacknowledged, by the caller. An error that is neither, the database's or our own code's, is bisected down to the one
message that causes it.
`intake` decodes and admits, here is the rest: what has to do with the database.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby

import numpy as np
import psycopg
from psycopg.pq import TransactionStatus

from ingest import closing, quarantine, readings, sequences
from ingest.accounting import Tallies
from ingest.admission import Refusal, SaidEvent, window_of
from ingest.again import Again
from ingest.budget import Budget
from ingest.clock import Clocks, Samples
from ingest.clock.samples import SILENCE, Heard
from ingest.closing import BatchNumbers, BatchRow
from ingest.faults import NO_MESSAGES_FAULT, Faults
from ingest.intake import NONE, UNKNOWN_DEVICE, Intake, Routes, intake
from ingest.message import Message
from ingest.quarantine import MonthlyKeys, Refused
from ingest.readings import Judged, KeyStands, Stored, Touched
from ingest.registry import Device, Registry
from ingest.registry.known import SCHEME
from ingest.sequences import Arrived, Receipt
from ingest.wire import profiles
from ingest.wire.errors import WireError
from ingest.wire.profiles import Profiles
from ledger.persons import Vault
from ledger.recording import EventConflict, Recorded, RecordingError, Said, record, record_all

__all__ = ["Away", "Line", "Message", "Outcome", "commit", "is_transient", "refused_by", "run", "transact"]

logger = logging.getLogger(__name__)


class Away(RuntimeError):
    """The database cannot take anything now. Nothing was lost: the batch is unacknowledged and is tried again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one commit did. `receipts`: to be sent now that it stands. `records`: received, stored, duplicate, conflict,
    quarantined. `heard`: of clocks."""

    batch_ids: tuple[int, ...]
    receipts: tuple[tuple[Device, Receipt], ...]
    records: tuple[int, int, int, int, int]
    heard: Heard = SILENCE


@dataclass(frozen=True, slots=True)
class Line:
    """What the line needs besides a connection and messages. `retention`: how old a reading from the field may be.
    `vault`: where what events say of persons goes.
    `profiles`: how payloads are read that are no SenML; those shipped, unless an installation has more. `samples`: of devices'
    clocks; None where messages do not come from the field as they are sent."""

    worker: str
    registry: Registry
    keys: MonthlyKeys
    retention: timedelta
    vault: Vault
    profiles: Profiles = field(default_factory=profiles.load)
    numbers: BatchNumbers = field(default_factory=BatchNumbers)
    budget: Budget = field(default_factory=Budget)
    clocks: Clocks = field(default_factory=Clocks)
    faults: Faults = field(default_factory=Faults)
    samples: Samples | None = None


def run(conn: psycopg.Connection, line: Line, messages: Sequence[Message], now: datetime) -> Outcome:
    """Take a batch to its commit. Raises Away; then nothing of the batch is written."""
    try:
        refresh = partial(line.registry.refresh, conn)
        if line.registry.is_due():
            refresh()
            line.clocks.refresh(conn, now)
        batch = intake(
            messages, line.registry, line.profiles, line.retention, now, refresh, line.clocks.ahead_ms
        )
        conn.commit()
    except psycopg.Error as error:
        if not is_transient(error):
            raise
        raise Away(f"the database is away: {error}") from error
    return commit(conn, line, batch)


def is_transient(error: psycopg.Error) -> bool:
    """Will the same batch pass later? Lost connections, shutdown, full disk, deadlocks: yes. Bad data: no."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    # 25006: the server became a read-only replica; 25P03: it ended our session.
    return state[:2] in ("08", "40", "53", "57", "58") or state in ("25006", "25P03", "55006", "55P03")


def is_installations(error: psycopg.Error) -> bool:
    """A right, a table or a prepared statement is missing: no message's fault, and each of them would be refused for it."""
    return error.sqlstate is not None and error.sqlstate[:2] in ("26", "42")


def commit(conn: psycopg.Connection, line: Line, batch: Intake) -> Outcome:
    """Raises Away; then nothing of the batch is written."""
    try:
        return _commit(conn, line, batch)
    except psycopg.Error as error:
        line.numbers.forget()
        if not is_transient(error):
            raise
        raise Away(f"the database is away: {error}") from error


def _commit(conn: psycopg.Connection, line: Line, batch: Intake) -> Outcome:
    """What passes, then what our own code failed on, as quarantine. Where nothing passes and much fails (`Faults`), the fault
    is everybody's: it is raised, and what it failed on stays unacknowledged."""
    failed: list[tuple[Intake, Exception]] = []
    outcome = _bisected(conn, line, batch, failed)
    if outcome.records[1] or outcome.records[2]:
        line.faults.passed()
    if failed and line.faults.is_everything([alone.device[0] for alone, _ in failed]):
        raise failed[0][1]
    for alone, error in failed:
        logger.error(
            "writing a message failed", extra={"topic": repr(alone.messages[0].topic)}, exc_info=error
        )
        fault = WireError("decoder_fault", f"our own code failed on it as it was written: {error!r}")
        outcome = _both(outcome, transact(conn, line, _refused_whole(alone, fault)))
    return outcome


def _bisected(
    conn: psycopg.Connection, line: Line, batch: Intake, failed: list[tuple[Intake, Exception]]
) -> Outcome:
    """`failed`: gets the messages that our own code fails on, each alone."""
    try:
        return transact(conn, line, batch)
    except psycopg.Error as error:
        # A batch that takes too long is halved like one that is refused; a single message that does is tried again.
        too_long = isinstance(error, psycopg.errors.QueryCanceled) and len(batch.messages) > 1
        if (is_transient(error) and not too_long) or is_installations(error):
            raise
        if len(batch.messages) == 1:
            fault = WireError("database_refused", refused_by(error))
            return transact(conn, line, _refused_whole(batch, fault))
    except NO_MESSAGES_FAULT:
        raise
    except Exception as error:
        if len(batch.messages) == 1:
            failed.append((batch, error))
            return Outcome((), (), (0, 0, 0, 0, 0))
    middle = len(batch.messages) // 2
    left, right = (
        _bisected(conn, line, _part(line, batch, each), failed)
        for each in (slice(middle), slice(middle, None))
    )
    return _both(left, right)


def _both(left: Outcome, right: Outcome) -> Outcome:
    one, two = left.records, right.records
    records = (one[0] + two[0], one[1] + two[1], one[2] + two[2], one[3] + two[3], one[4] + two[4])
    return Outcome(left.batch_ids + right.batch_ids, left.receipts + right.receipts, records)


def _part(line: Line, batch: Intake, chosen: slice) -> Intake:
    """Some of the messages, each taken by the clock at its receipt: a batch may have gathered for long while the database was
    away, and relative times rest on that clock."""
    part, routes = Intake(batch.received_at, batch.retention), Routes(line.registry, line.profiles)
    entered = zip(batch.messages[chosen], batch.received_ms[chosen], strict=True)
    for received_ms, group in groupby(entered, lambda pair: pair[1]):
        window = window_of(received_ms, batch.retention, line.clocks.ahead_ms)
        for message, _ in group:
            part.take(message, line.registry, routes, window, refresh=lambda: None)
    return part


FEW_READINGS = 200
"""Readings that go in with the statement which closes their batch; COPY takes less for a row, and four round trips."""


def transact(conn: psycopg.Connection, line: Line, batch: Intake) -> Outcome:
    """The whole batch or nothing: in a transaction of its own, or within the caller's."""
    judged = readings.judge(batch.readings())
    try:
        # What is written by one statement is a transaction as it stands, where there is no other one.
        with nullcontext() if _stands_alone(conn, batch, judged) else conn.transaction():
            outcome = _write(conn, line, batch, judged, around=False)
    except KeyStands:
        with conn.transaction():
            outcome = _write(conn, line, batch, readings.judge(judged.came), around=True)
    if line.samples is not None:
        line.samples.written(outcome.heard, batch.received_ms[-1])
    return outcome


def _stands_alone(conn: psycopg.Connection, batch: Intake, judged: Judged) -> bool:
    """Few readings and nothing besides, on a connection that is in no transaction."""
    few = len(judged.rows) <= FEW_READINGS and not judged.repeats
    others = batch.observations or batch.events or batch.refusals
    return few and not others and conn.autocommit and conn.info.transaction_status == TransactionStatus.IDLE


def write_again(conn: psycopg.Connection, line: Line, batch: Intake, again: Again) -> None:
    """The same for rows of quarantine, in the caller's transaction. What was not refused of a message stands already."""
    _write(conn, line, batch, readings.judge(batch.readings()), around=True, again=again)


def _refused_whole(batch: Intake, fault: WireError) -> Intake:
    """The same message with nothing taken of it."""
    (message,), (device,), (boot,), (seq,), (records,) = (
        batch.messages, batch.device, batch.boot, batch.seq, batch.records,
    )  # fmt: skip
    known = batch.devices.get(device)
    refusal = Refusal(0, known, _number(boot), _number(seq), records, fault.reason, fault.detail)
    refused = Intake(batch.received_at, batch.retention, [message], refusals=[refusal], devices=batch.devices)
    refused.device, refused.boot, refused.seq, refused.records = [device], [boot], [seq], [records]
    refused.sent_ms, refused.received_ms = [NONE], batch.received_ms
    return refused


def refused_by(error: psycopg.Error) -> str:
    return f"the database refused it ({error.sqlstate or 'no SQLSTATE'}): {str(error).splitlines()[0]}"


def _write(
    conn: psycopg.Connection,
    line: Line,
    batch: Intake,
    judged: Judged,
    *,
    around: bool,
    again: Again | None = None,
) -> Outcome:
    """One batch in the caller's transaction, verb by verb. `again`: the rows of quarantine that the messages were, which this
    batch's account takes back."""
    number = line.numbers.next(conn)
    writing = _Writing(batch)
    result = _store_readings(conn, number, writing, judged, around=around)
    watched = _store_observations(conn, number, writing)
    writing.refuse(batch.refusals)
    _record_events(conn, line.vault, writing)
    if again is not None:
        again.take_back(writing.tallies)
    entered, redelivered = (len(batch.sent), batch.redelivered) if again is None else (0, 0)
    account = writing.tallies.account()
    heard = SILENCE if line.samples is None else line.samples.heard(batch, writing.repeated)
    receipts = closing.close(
        conn,
        BatchRow(
            number,
            line.worker,
            batch.received_at,
            entered,
            redelivered,
            again.at if again else batch.received_at,
        ),
        account,
        writing.arrived(),
        readings.together(result.touched, watched),
        result.left,
        heard.due,
    )
    if again is None:
        kept = quarantine.within(
            conn,
            line.budget,
            batch.received_at,
            batch.sent,
            writing.refused,
            line.registry.knows_organisation,
        )
    else:
        kept = again.refused_anew(writing.refused, batch.records)
    moments = batch.received_ms if again is None else ()
    quarantine.write(conn, line.keys, number, batch.received_at, batch.sent, kept, moments)
    if again is not None:
        again.close(conn, number)
    told = ((batch.devices[receipt.device], receipt) for receipt in receipts)
    # Others speak to a network server or a gateway, which would not know what a receipt is.
    sent = tuple(pair for pair in told if pair[0].scheme == SCHEME)
    return Outcome((number,), sent, account.sums(), heard)


class _Writing:
    """What accumulates while a batch is written."""

    def __init__(self, batch: Intake) -> None:
        self.batch = batch
        self.tallies = Tallies(batch.device, batch.records)
        self.refused: list[Refused] = []
        self.taken: set[int] = set()  # messages of which something was taken besides readings
        self.repeated: set[int] = set()  # messages of which a reading was stored before

    def refuse(self, refusals: Iterable[Refusal]) -> None:
        for row in quarantine.grouped(refusals):
            self.refused.append(row)
            device = row.device.id if row.device else UNKNOWN_DEVICE
            outcome = self.tallies.conflict if row.reason == "conflict" else self.tallies.quarantined
            outcome[device] += row.records

    def arrived(self) -> Arrived:
        batch = self.batch
        device, boot, seq = (np.array(column, np.int64) for column in (batch.device, batch.boot, batch.seq))
        numbered = (seq >= 0) & (device != UNKNOWN_DEVICE)
        stored, refused = np.array(batch.row_counts(), np.intp) > 0, np.zeros(len(seq), bool)
        stored[list(self.taken)] = True
        refused[[row.message for row in self.refused]] = True
        return Arrived.of(
            *(
                sequences.ranges(device[chosen], boot[chosen], seq[chosen])
                for chosen in (numbered & stored, numbered & refused)
            )
        )


def _store_readings(
    conn: psycopg.Connection, number: int, writing: _Writing, judged: Judged, *, around: bool
) -> Stored:
    rows = judged.came
    result = readings.store(conn, number, judged, around=around, few=FEW_READINGS)
    writing.tallies.add(rows.message, result.outcome)
    writing.repeated |= {*rows.message[result.outcome == readings.DUPLICATE].tolist()}
    writing.refuse(
        _conflict(writing.batch, int(rows.message[at]), int(rows.series[at]), int(rows.time_ms[at]),
                  repr(result.standing[at].item()), repr(rows.value[at].item()))
        for at in np.flatnonzero(result.outcome == readings.CONFLICT).tolist()
    )  # fmt: skip
    return result


def _store_observations(conn: psycopg.Connection, number: int, writing: _Writing) -> Touched:
    rows = writing.batch.observations
    outcome = readings.store_observations(conn, number, rows)
    message = np.array([item.message for item in rows], np.intp)
    writing.tallies.add(message, outcome)
    writing.taken |= {*message.tolist()}
    conflicts = [item for item, code in zip(rows, outcome.tolist(), strict=True) if code == readings.CONFLICT]
    writing.refuse(
        _conflict(writing.batch, item.message, item.series, item.time_ms, "another body", repr(item.body))
        for item in conflicts
    )
    return readings.touched_by(
        [item for item, code in zip(rows, outcome.tolist(), strict=True) if code == readings.STORED]
    )


def _conflict(batch: Intake, message: int, series: int, time_ms: int, stands: str, came: str) -> Refusal:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    detail = f"series {series} at {when.isoformat()}: {stands} is stored, {came} came; the stored one stands"
    boot, seq = _number(batch.boot[message]), _number(batch.seq[message])
    return Refusal(message, batch.devices[batch.device[message]], boot, seq, 1, "conflict", detail)


def _number(column: int) -> int | None:
    return None if column == NONE else column


def _record_events(conn: psycopg.Connection, vault: Vault, writing: _Writing) -> None:
    """Of one organisation after the other, in the order of their names: who records waits for others who do."""
    theirs: dict[str, list[SaidEvent]] = defaultdict(list)
    for said in writing.batch.events:
        theirs[said.device.organisation].append(said)
    for organisation in sorted(theirs):
        events = theirs[organisation]
        found: Sequence[Recorded | Exception]
        try:
            with conn.transaction():
                found = record_all(
                    conn,
                    organisation,
                    [Said(said.event, said.context) for said in events],
                    writing.batch.received_at,
                    vault,
                )
        except (psycopg.Error, *NO_MESSAGES_FAULT):
            raise
        except Exception:
            # One of them is more than our code can take: its neighbours stay.
            found = [_recorded_alone(conn, vault, said, writing.batch.received_at) for said in events]
        for said, outcome in zip(events, found, strict=True):
            _account_for(writing, said, outcome)


def _recorded_alone(
    conn: psycopg.Connection, vault: Vault, said: SaidEvent, now: datetime
) -> Recorded | Exception:
    try:
        # A savepoint: a fault in the middle of one event leaves nothing of it.
        with conn.transaction():
            return record(conn, said.device.organisation, said.event, now, vault, context=said.context)
    except RecordingError as error:
        return error
    except (psycopg.Error, *NO_MESSAGES_FAULT):
        raise
    except Exception as error:
        logger.exception("recording failed", extra={"event": said.event.event_id})
        return error


def _account_for(writing: _Writing, said: SaidEvent, outcome: Recorded | Exception) -> None:
    if isinstance(outcome, Recorded):
        tally = writing.tallies.duplicate if outcome.duplicate else writing.tallies.stored
        tally[said.device.id] += 1
        return
    if isinstance(outcome, RecordingError):
        reason = "conflict" if isinstance(outcome, EventConflict) else "invalid_event"
        detail = str(outcome)
    else:
        reason, detail = "decoder_fault", f"our recording failed on it: {outcome!r}"
    writing.refuse([Refusal(said.message, said.device, None, None, 1, reason, detail)])
