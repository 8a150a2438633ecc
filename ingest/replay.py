"""Quarantine down the line again, after a decoder, a registration or a limit of ours was mended.

In the line: quarantine -> here -> `pipeline`, with our clock as it stood when the message came: relative times, the clock model
and what is an impossible time mean what they meant then. Contract: one transaction for the messages of one batch of then, so a
crash leaves whole ones done and the rest as it was; replaying again finds nothing left to do. Rows are never deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product

import psycopg

from ingest import pipeline
from ingest.again import Again, Former, Row
from ingest.intake import Intake, intake
from ingest.message import Message
from ingest.pipeline import Line
from ingest.quarantine import KeyGone
from ingest.sparkplug import taking
from ingest.wire.sparkplug_topics import is_sparkplug

WORKER = "replay"
FILES = "file"
"""Workers of files are called so, and what came by file may be older than what the field may send."""

LOCK = 0x5253_7175  # "quSR": one replay at a time
EVER = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows; all that are named at once must hold. `until` is left out itself."""

    ids: Sequence[int] | None = None
    reason: str | None = None
    device: str | None = None
    organisation: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(slots=True)
class Replayed:
    """What became of the rows of some messages. `reasons`: records that are refused now, by reason; `said`: why a row could not
    be tried."""

    rows: list[int] = field(default_factory=list)
    taken: int = 0
    partly: int = 0
    refused: int = 0
    unchanged: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def add(self, other: Replayed) -> None:
        self.rows += other.rows
        self.taken += other.taken
        self.partly += other.partly
        self.refused += other.refused
        self.unchanged += other.unchanged
        self.said += other.said
        for reason, records in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + records


CHOSEN = """
FROM quarantine LEFT JOIN device ON device.id = quarantine.device_id
WHERE (%(ids)s::bigint[] IS NULL OR quarantine.id = ANY (%(ids)s::bigint[]))
  AND (%(reason)s::text IS NULL OR quarantine.reason = %(reason)s)
  AND (%(device)s::text IS NULL OR coalesce(device.external_id, split_part(convert_from(
         CASE WHEN quarantine.reason = 'topic_not_utf8' THEN ''::bytea ELSE quarantine.topic END, 'UTF8'), '/', 4)) = %(device)s)
  AND (%(organisation)s::text IS NULL OR coalesce(device.organisation, quarantine.organisation) = %(organisation)s)
  AND (%(since)s::timestamptz IS NULL OR quarantine.received_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR quarantine.received_at < %(until)s)
"""
"""Which rows a choice means, open or not; ends in its conditions."""

_OPEN = f"""
SELECT quarantine.batch_id, array_agg(quarantine.id ORDER BY quarantine.id)
{CHOSEN}  AND EXISTS (SELECT FROM quarantine_open WHERE quarantine_open.id = quarantine.id)
GROUP BY quarantine.batch_id ORDER BY quarantine.batch_id
"""  # noqa: S608 - a text of our own


def parameters(choice: Choice) -> dict[str, object]:
    return {
        "ids": None if choice.ids is None else list(choice.ids),
        "reason": choice.reason,
        "device": choice.device,
        "organisation": choice.organisation,
        "since": choice.since,
        "until": choice.until,
    }


def chosen(conn: psycopg.Connection, choice: Choice) -> list[list[int]]:
    """Ids of open rows, those of one batch of then together, in the order in which they came."""
    with conn.transaction():
        return [ids for _, ids in conn.execute(_OPEN.encode(), parameters(choice))]


def replay(
    conn: psycopg.Connection, line: Line, batches: Sequence[Sequence[int]], now: datetime
) -> Iterator[Replayed]:
    """One after the other, each in a transaction of its own. `batches`: of `chosen`. Raises psycopg.OperationalError and what
    else is transient; what was replayed before stays so."""
    with conn.transaction():
        line.registry.read(conn)
    for ids in batches:
        yield _batch(conn, line, ids, now)


_ROWS = """
SELECT kept.id, kept.received_at, kept.topic, kept.device_id, kept.boot, kept.seq, kept.records, kept.reason, kept.key_month,
       kept.payload, batch.worker
FROM quarantine_open AS kept JOIN batch ON batch.id = kept.batch_id
WHERE kept.batch_id = (SELECT batch_id FROM quarantine WHERE id = %(one)s)
  AND kept.topic IN (SELECT topic FROM quarantine WHERE id = ANY (%(ids)s))
ORDER BY kept.id
"""


@dataclass(slots=True)
class _Kept:
    """The messages of one batch and moment that are to be replayed, each with all of its rows."""

    received_at: datetime
    worker: str
    messages: dict[tuple[bytes, bytes], list[Row]]


def _batch(conn: psycopg.Connection, line: Line, ids: Sequence[int], now: datetime) -> Replayed:
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        try:
            moments = _open(conn, line, ids)
        except KeyGone as error:
            return Replayed(list(ids), unchanged=len(ids), said=[str(error)])
        result = Replayed()
        for kept, of_sparkplug in product(moments, (False, True)):
            some = [each for each in kept.messages.items() if is_sparkplug(each[0][0]) == of_sparkplug]
            if some:
                result.add(_some(conn, line, kept, some, now))
        return result


def _open(conn: psycopg.Connection, line: Line, ids: Sequence[int]) -> list[_Kept]:
    """Rows of one message lie apart, one for each reason, and go down the line together: it is sent once."""
    wanted = set(ids)
    found: dict[datetime, _Kept] = {}
    for row in conn.execute(_ROWS, {"one": ids[0], "ids": list(ids)}):
        identity, received_at, topic, device, boot, seq, records, reason, month, payload, worker = row
        kept = found.setdefault(received_at, _Kept(received_at, worker, defaultdict(list)))
        key = topic, line.keys.decrypt(month, payload)
        kept.messages[key].append(Row(identity, device, boot, seq, records, reason))
    for kept in found.values():
        kept.messages = {
            key: rows for key, rows in kept.messages.items() if any(row.id in wanted for row in rows)
        }
    return [found[moment] for moment in sorted(found)]


Messages = list[tuple[tuple[bytes, bytes], list[Row]]]


def _some(conn: psycopg.Connection, line: Line, kept: _Kept, messages: Messages, now: datetime) -> Replayed:
    """Some of the messages, all of Sparkplug or none; halved where the database refuses them, down to the one that it refuses."""
    batch, again = _prepared(conn, line, kept, messages, now)
    try:
        with conn.transaction():
            pipeline.write_again(conn, replace(line, worker=_worker(kept)), batch, again)
            if all(former.result == "unchanged" for former in again.formers):
                raise psycopg.Rollback
    except psycopg.Error as error:
        if pipeline.is_transient(error):
            raise
        if len(messages) == 1:
            rows = [row.id for row in messages[0][1]]
            return Replayed(
                rows, unchanged=len(rows), said=[f"rows {rows}: the database refuses it: {error}"]
            )
        middle = len(messages) // 2
        result = _some(conn, line, kept, messages[:middle], now)
        result.add(_some(conn, line, kept, messages[middle:], now))
        return result
    return _told(again)


def _prepared(
    conn: psycopg.Connection, line: Line, kept: _Kept, messages: Messages, now: datetime
) -> tuple[Intake, Again]:
    sent: list[Message] = []
    formers: list[Former] = []
    for (topic, payload), rows in messages:
        reasons = [row.reason for row in rows]
        copies = max(
            map(reasons.count, reasons)
        )  # equal messages of one batch: a row of each reason for each of them
        formers.append(Former(rows, range(len(sent), len(sent) + copies)))
        sent += [Message(topic, payload, redelivered=False)] * copies
    retention = EVER if kept.worker.startswith(FILES) else line.retention
    # Without `line.clocks`: they know the devices' clocks of now, and these messages are of then.
    if is_sparkplug(sent[0].topic):
        batch = taking.reread(conn, line.registry, sent, retention, kept.received_at)
    else:
        batch = intake(sent, line.registry, line.profiles, retention, kept.received_at)
    return batch, Again(formers, now)


def _worker(kept: _Kept) -> str:
    return f"{FILES} {WORKER}" if kept.worker.startswith(FILES) else WORKER


def _told(again: Again) -> Replayed:
    told = Replayed()
    for former in again.formers:
        told.rows += [row.id for row in former.rows]
        setattr(told, former.result, getattr(told, former.result) + len(former.rows))
        for reason, records in former.reasons.items():
            told.reasons[reason] = told.reasons.get(reason, 0) + records
    return told
