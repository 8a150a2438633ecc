"""The line: receive -> decode -> admit -> store -> mark -> commit -> acknowledge and send the receipt.

Contract: one transaction holds a batch's readings, events, refusals, account, sequences and marks. A crash before
the commit leaves nothing and the broker sends again; after it, sending again finds duplicates. What can never be
taken goes to quarantine in the same transaction; what could not be taken now raises `Away` and is tried again,
unacknowledged, by the caller. A database error that is neither is bisected down to the one message that causes it.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg

from ingest import marks, quarantine, readings, sequences
from ingest.admission import (
    Admitted,
    Clock,
    Observation,
    Reading,
    Refusal,
    SaidEvent,
    admit_events,
    admit_pack,
    find_device,
)
from ingest.quarantine import MonthlyKeys, Quarantined
from ingest.registry import Device, Registry
from ingest.sequences import Receipt
from ingest.wire import epcis, senml
from ingest.wire.epcis import Said
from ingest.wire.errors import WireError
from ingest.wire.senml import Pack
from ingest.wire.topics import Address, parse_topic
from ledger.recording import EventConflict, RecordingError, record

logger = logging.getLogger(__name__)

UNKNOWN_DEVICE = 0


class Away(RuntimeError):
    """The database cannot take anything now. Nothing was lost: the batch is unacknowledged and is tried again."""


@dataclass(frozen=True, slots=True)
class Message:
    """As the broker handed it over. `topic`: bytes, it may be no UTF-8. `token`: what acknowledging it needs."""

    topic: bytes
    payload: bytes
    redelivered: bool
    token: object = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """`records`: what the account must find again, counted here and nowhere else; an unreadable message is one."""

    index: int
    records: int
    address: Address | None = None
    pack: Pack | None = None
    said: Said | None = None
    identity: tuple[int, int] | None = None
    error: WireError | None = None


@dataclass(slots=True)
class Tally:
    received: int = 0
    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one commit did. `receipts`: to be sent now that it stands."""

    batch_ids: tuple[int, ...]
    receipts: tuple[tuple[Device, Receipt], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """What the line needs besides a connection and messages. `retention`: how old a reading from the field may be."""

    worker: str
    registry: Registry
    keys: MonthlyKeys
    retention: timedelta


def run(conn: psycopg.Connection, line: Line, messages: Sequence[Message], now: datetime) -> Outcome:
    """Take a batch to its commit. Raises Away; then nothing of the batch is written."""
    decoded = [decode(index, message, now) for index, message in enumerate(messages)]
    try:
        line.registry.refresh_for(conn, _channels(decoded))
        admitted = [admit(item, line, now) for item in decoded]
        conn.commit()
        return _commit(conn, line, list(messages), decoded, admitted, now)
    except psycopg.Error as error:
        if not is_transient(error):
            raise
        raise Away(f"the database is away: {error}") from error


def _channels(decoded: Iterable[Decoded]) -> Iterator[tuple[str, str | None]]:
    """(device, channel) of everything that names one; (device, None) of the rest."""
    for item in decoded:
        if item.address is not None:
            yield item.address.device, None
            for channel in {record.channel for record in item.pack.records} if item.pack else ():
                yield item.address.device, channel


def is_transient(error: psycopg.Error) -> bool:
    """Will the same batch pass later? Lost connections, shutdown, full disk, deadlocks: yes. Bad data: no."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    # 25006: the server became a read-only replica; 25P03: it ended our session.
    return state[:2] in ("08", "40", "53", "57", "58") or state in ("25006", "25P03", "55006", "55P03")


def decode(index: int, message: Message, now: datetime) -> Decoded:
    address = None
    try:
        address = parse_topic(message.topic)
        if address.kind == "events":
            said = epcis.decode(message.payload)
            return Decoded(index, len(said.events), address, said=said)
        pack = senml.decode(message.payload, address.device, _ms(now))
        identity = None if pack.boot is None or pack.seq is None else (pack.boot, pack.seq)
        return Decoded(index, len(pack.records), address, pack=pack, identity=identity)
    except WireError as error:
        return Decoded(index, 1, address, identity=_numbered(address, message), error=error)
    except Exception as error:
        # A fault of ours in reading one message must not stop the others, nor lose this one: it can be replayed.
        logger.exception("a decoder failed", extra={"topic": repr(message.topic)})
        fault = WireError("decoder_fault", f"our decoder failed on it: {error!r}")
        return Decoded(index, 1, address, identity=_numbered(address, message), error=fault)


def _numbered(address: Address | None, message: Message) -> tuple[int, int] | None:
    """The number of a pack that could not be read; without it its device would send it for ever."""
    if address is None or address.kind != "readings":
        return None
    return senml.identity_of_unreadable(message.payload)


def admit(item: Decoded, line: Line, now: datetime) -> Admitted:
    device = None
    boot, seq = item.identity or (None, None)
    try:
        if item.address is None or item.error is not None:
            if item.address is not None:
                device = _owner(line.registry, item.address)
            raise item.error or WireError("unknown_topic", "the topic names no device")
        device = find_device(line.registry, item.address)
    except WireError as error:
        refusal = Refusal(item.index, device, boot, seq, item.records, error.reason, error.detail)
        return Admitted(refusals=(refusal,))
    clock = Clock(_ms(now), _ms(now - line.retention))
    if item.pack is not None:
        return admit_pack(item.index, item.pack, device, clock)
    assert item.said is not None
    return admit_events(item.index, item.said, device, clock)


def _owner(registry: Registry, address: Address) -> Device | None:
    """The device of an unreadable message, so that its account shows it; never another organisation's."""
    device = registry.device(address.device)
    return device if device is not None and device.organisation == address.organisation else None


def _commit(
    conn: psycopg.Connection,
    line: Line,
    messages: list[Message],
    decoded: list[Decoded],
    admitted: list[Admitted],
    now: datetime,
) -> Outcome:
    try:
        with conn.transaction():
            return _write(conn, line, messages, decoded, admitted, now)
    except psycopg.Error as error:
        # A batch that takes too long is halved like one that is refused; a single message that does is tried again.
        too_long = isinstance(error, psycopg.errors.QueryCanceled) and len(messages) > 1
        if is_transient(error) and not too_long:
            raise
        if len(messages) == 1:
            refused = [_refuse_whole(decoded[0], admitted[0], error)]
            with conn.transaction():
                return _write(conn, line, messages, decoded, refused, now)
    middle = len(messages) // 2
    left = _commit(conn, line, messages[:middle], decoded[:middle], admitted[:middle], now)
    right = _commit(conn, line, messages[middle:], decoded[middle:], admitted[middle:], now)
    return Outcome(left.batch_ids + right.batch_ids, left.receipts + right.receipts)


def _refuse_whole(item: Decoded, admitted: Admitted, error: psycopg.Error) -> Admitted:
    device = _device_of(admitted)
    boot, seq = item.identity or (None, None)
    detail = f"the database refused it ({error.sqlstate or 'no SQLSTATE'}): {str(error).splitlines()[0]}"
    return Admitted(
        refusals=(Refusal(item.index, device, boot, seq, item.records, "database_refused", detail),)
    )


def _write(
    conn: psycopg.Connection,
    line: Line,
    messages: list[Message],
    decoded: list[Decoded],
    admitted: list[Admitted],
    now: datetime,
) -> Outcome:
    """One batch in the caller's transaction, verb by verb."""
    batch = _Batch(decoded, {item.index: messages[place] for place, item in enumerate(decoded)})
    batch_id = _open_batch(conn, line.worker, now, messages)
    batch.refuse(refusal for part in admitted for refusal in part.refusals)
    _store_readings(conn, batch_id, batch, [item for part in admitted for item in part.readings])
    _store_observations(conn, batch_id, batch, [item for part in admitted for item in part.observations])
    _record_events(conn, batch, admitted, now)
    quarantine.write(conn, line.keys, batch_id, now, batch.quarantined)
    _write_account(conn, batch_id, batch, decoded, admitted)
    receipts = sequences.merge(conn, *batch.sequences(admitted))
    marks.leave(conn, batch.touched, now)
    return Outcome((batch_id,), tuple((batch.devices[receipt.device], receipt) for receipt in receipts))


DETAILS = 5  # said in a row; what more there is, is counted


def _details(group: list[Refusal]) -> str:
    different = list(dict.fromkeys(refusal.detail for refusal in group))
    more = len(different) - DETAILS
    return "; ".join([*different[:DETAILS], *([f"and {more} more"] if more > 0 else [])])


@dataclass(slots=True)
class _Batch:
    """What accumulates while a batch is written."""

    decoded: list[Decoded]
    messages: dict[int, Message]
    tallies: dict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    quarantined: list[Quarantined] = field(default_factory=list)
    refused_messages: set[int] = field(default_factory=set)
    touched: marks.Touched = field(default_factory=dict)
    devices: dict[int, Device] = field(default_factory=dict)

    def refuse(self, refusals: Iterable[Refusal]) -> None:
        """Refusals of one message and reason share one row: a pack of 500 bad records is one thing to read, and its bytes
        are kept once, however many different things are wrong with it."""
        grouped: dict[tuple[int, str], list[Refusal]] = defaultdict(list)
        for refusal in refusals:
            grouped[refusal.message, refusal.reason].append(refusal)
        for group in grouped.values():
            first, records = group[0], sum(refusal.records for refusal in group)
            self.quarantined.append(self._row(first, records, _details(group)))
            self.refused_messages.add(first.message)
            tally = self.tallies[first.device.id if first.device else UNKNOWN_DEVICE]
            if first.reason == "conflict":
                tally.conflict += records
            else:
                tally.quarantined += records

    def _row(self, refusal: Refusal, records: int, detail: str) -> Quarantined:
        message = self.messages[refusal.message]
        address = next(item.address for item in self.decoded if item.index == refusal.message)
        return Quarantined(
            organisation=address.organisation if address else None,
            topic=message.topic,
            device=refusal.device.id if refusal.device else None,
            boot=refusal.boot,
            seq=refusal.seq,
            records=records,
            reason=refusal.reason,
            detail=detail,
            payload=message.payload,
        )

    def touch(self, item: Reading | Observation) -> None:
        time = _datetime(item.time_ms)
        first, last = self.touched.get(item.series, (time, time))
        self.touched[item.series] = (min(first, time), max(last, time))

    def sequences(
        self, admitted: list[Admitted]
    ) -> tuple[dict[sequences.Key, set[int]], dict[sequences.Key, set[int]]]:
        """Numbers of messages with something taken, and of messages with something refused; one may be in both, and the
        two together are what was published."""
        stored: dict[sequences.Key, set[int]] = defaultdict(set)
        refused: dict[sequences.Key, set[int]] = defaultdict(set)
        for item, part in zip(self.decoded, admitted, strict=True):
            device = _device_of(part)
            if item.identity is None or device is None:
                continue
            self.devices[device.id] = device
            boot, seq = item.identity
            if part.readings or part.observations:
                stored[device.id, boot].add(seq)
            if item.index in self.refused_messages:
                refused[device.id, boot].add(seq)
        return stored, refused


def _device_of(part: Admitted) -> Device | None:
    items: tuple[Reading | Observation | SaidEvent | Refusal, ...] = (
        *part.readings,
        *part.observations,
        *part.events,
        *part.refusals,
    )
    return next((item.device for item in items if item.device), None)


def _open_batch(conn: psycopg.Connection, worker: str, now: datetime, messages: list[Message]) -> int:
    row = conn.execute(
        "INSERT INTO batch (worker, received_at, messages, redelivered) VALUES (%s, %s, %s, %s) RETURNING id",
        [worker, now, len(messages), sum(message.redelivered for message in messages)],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _store_readings(conn: psycopg.Connection, batch_id: int, batch: _Batch, rows: list[Reading]) -> None:
    result = readings.store(conn, batch_id, rows)
    _settle(batch, rows, result.outcome, result.standing)


def _store_observations(
    conn: psycopg.Connection, batch_id: int, batch: _Batch, rows: list[Observation]
) -> None:
    outcome = readings.store_observations(conn, batch_id, rows)
    _settle(batch, rows, outcome, np.full(len(rows), np.nan))


def _settle(
    batch: _Batch,
    rows: Sequence[Reading | Observation],
    outcome: np.ndarray[tuple[int], np.dtype[np.uint8]],
    standing: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    conflicts = []
    packs = {item.index: item.pack for item in batch.decoded}
    for item, code, stands in zip(rows, outcome.tolist(), standing.tolist(), strict=True):
        tally = batch.tallies[item.device.id]
        if code == readings.STORED:
            tally.stored += 1
            batch.touch(item)
        elif code == readings.DUPLICATE:
            tally.duplicate += 1
        else:
            conflicts.append(_conflict(item, packs[item.message], stands))
    batch.refuse(conflicts)


def _conflict(item: Reading | Observation, pack: Pack | None, stands: float) -> Refusal:
    came = item.value if isinstance(item, Reading) else item.body
    stood = "another body" if isinstance(item, Observation) else repr(stands)
    detail = f"series {item.series} at {_datetime(item.time_ms).isoformat()}: {stood} is stored, {came!r} came; the stored one stands"
    boot, seq = (pack.boot, pack.seq) if pack else (None, None)
    return Refusal(item.message, item.device, boot, seq, 1, "conflict", detail)


def _record_events(conn: psycopg.Connection, batch: _Batch, admitted: list[Admitted], now: datetime) -> None:
    for said in (said for part in admitted for said in part.events):
        tally = batch.tallies[said.device.id]
        try:
            # A savepoint: a fault in the middle of one event leaves nothing of it, and its neighbours stay.
            with conn.transaction():
                found = record(conn, said.device.organisation, said.event, now, context=said.context)
            if found.duplicate:
                tally.duplicate += 1
            else:
                tally.stored += 1
        except EventConflict as error:
            batch.refuse([Refusal(said.message, said.device, None, None, 1, "conflict", str(error))])
        except RecordingError as error:
            batch.refuse([Refusal(said.message, said.device, None, None, 1, "invalid_event", str(error))])
        except psycopg.Error:
            raise
        except Exception as error:
            logger.exception("recording failed", extra={"event": said.event.event_id})
            detail = f"our recording failed on it: {error!r}"
            batch.refuse([Refusal(said.message, said.device, None, None, 1, "decoder_fault", detail)])


def _write_account(
    conn: psycopg.Connection, batch_id: int, batch: _Batch, decoded: list[Decoded], admitted: list[Admitted]
) -> None:
    """received comes from decoding and never from the other four: that is what makes the equation worth checking."""
    received: Counter[int] = Counter()
    for item, part in zip(decoded, admitted, strict=True):
        device = _device_of(part)
        received[device.id if device else UNKNOWN_DEVICE] += item.records
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO account (batch_id, device_id, received, stored, duplicate, conflict, quarantined)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                [
                    batch_id,
                    device,
                    received[device],
                    tally.stored,
                    tally.duplicate,
                    tally.conflict,
                    tally.quarantined,
                ]
                for device, tally in sorted((key, batch.tallies[key]) for key in {*received, *batch.tallies})
            ],
        )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _datetime(time_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
