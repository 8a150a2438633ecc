"""The end of a batch's transaction, in one statement: the batch, its account, its numbers, its marks.

In the line: `pipeline` -> here -> commit. Contract: the statement returns what is now held of every device's numbers, from
the rows as they stand under their locks. One round trip, and arrays in place of rows: a batch of single readings comes from
as many devices as it has messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg.types.multirange import Int8Multirange

from ingest.marks import CONSUMERS
from ingest.readings import Touched
from ingest.sequences import Arrived, Receipt, receipt

DRAWN = 200
GAPS = 1_000  # of one receipt: a device that leaves out every second number would be told of all of them with each batch


@dataclass(slots=True)
class BatchNumbers:
    """Numbers for batches, drawn ahead. One worker's; a number that is never used is no gap in anything.

    A database that crashed may never have heard of numbers that were drawn in a transaction which did not commit, and gives
    them to somebody else: after an error `forget` what is left."""

    _drawn: list[int] = field(default_factory=list)

    def next(self, conn: psycopg.Connection) -> int:
        if not self._drawn:
            rows = conn.execute("SELECT nextval('batch_id_seq') FROM generate_series(1, %s)", [DRAWN])
            self._drawn = [row[0] for row in rows][::-1]
        return self._drawn.pop()

    def forget(self) -> None:
        self._drawn.clear()


@dataclass(frozen=True, slots=True)
class BatchRow:
    """`messages`: counted where they entered; of these `redelivered` were sent again by the broker. `marked_at`: our clock now,
    also where `received_at` is of then."""

    id: int
    worker: str
    received_at: datetime
    messages: int
    redelivered: int
    marked_at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """In records, per device in ascending order."""

    device: list[int]
    received: list[int]
    stored: list[int]
    duplicate: list[int]
    conflict: list[int]
    quarantined: list[int]

    def sums(self) -> tuple[int, int, int, int, int]:
        """received, stored, duplicate, conflict, quarantined of all devices."""
        return (
            sum(self.received),
            sum(self.stored),
            sum(self.duplicate),
            sum(self.conflict),
            sum(self.quarantined),
        )


# Numbers are merged under the row's lock, so two workers with one device each add to what the other left.
_CLOSE = """
WITH opened AS (
  INSERT INTO batch (id, worker, received_at, messages, redelivered) OVERRIDING SYSTEM VALUE
  VALUES (%(id)s, %(worker)s, %(received_at)s, %(messages)s, %(redelivered)s)
), counted AS (
  INSERT INTO batch_account (batch_id, device_ids, received, stored, duplicate, conflict, quarantined)
  VALUES (%(id)s, %(device)s, %(received)s, %(stored)s, %(duplicate)s, %(conflict)s, %(quarantined)s)
), unfolded AS (
  INSERT INTO account_unfolded (batch_id) VALUES (%(id)s)
), touched AS (
  SELECT array_agg(series ORDER BY series) AS series,
         array_agg('epoch'::timestamptz + first * INTERVAL '1 millisecond' ORDER BY series) AS first,
         array_agg('epoch'::timestamptz + last * INTERVAL '1 millisecond' ORDER BY series) AS last
  FROM unnest(%(series)s::integer[], %(first)s::bigint[], %(last)s::bigint[]) AS touched (series, first, last)
), marked AS (
  INSERT INTO mark (consumer, created_at, reason, series_ids, from_times, to_times)
  SELECT consumer, %(marked_at)s, 'readings', series, first, last
  FROM touched, unnest(%(consumers)s::text[]) AS consumer WHERE series IS NOT NULL
), merged AS (
  INSERT INTO device_sequence AS held (device_id, boot, stored, refused)
  SELECT * FROM unnest(%(of)s::integer[], %(boot)s::bigint[], %(kept)s::text[]::int8multirange[], %(refused)s::text[]::int8multirange[])
    AS sent (device_id, boot, stored, refused)
  ORDER BY device_id, boot
  ON CONFLICT (device_id, boot) DO UPDATE SET stored = held.stored + EXCLUDED.stored, refused = held.refused + EXCLUDED.refused,
    was_broken = NOT (held.stored + held.refused) @> int8range(1, upper(held.stored + held.refused))
  RETURNING device_id, boot, stored + refused AS numbers, was_broken
), now_held AS (
  SELECT device_id, boot, numbers, was_broken, NOT numbers @> int8range(1, upper(numbers)) AS broken FROM merged
), broken AS (
  INSERT INTO sequence_mark (created_at, device_ids)
  SELECT %(marked_at)s, array_agg(DISTINCT device_id) FROM now_held WHERE broken OR was_broken HAVING count(*) > 0
)
SELECT device_id, boot, upper(numbers) - 1,
  CASE WHEN broken THEN (SELECT range_agg(part) FROM (SELECT unnest(numbers) AS part LIMIT %(gaps)s) AS lowest) END
FROM now_held
"""


def close(
    conn: psycopg.Connection,
    batch: BatchRow,
    account: Account,
    arrived: Arrived,
    touched: Touched,
    consumers: Iterable[str] = CONSUMERS,
) -> list[Receipt]:
    """Returns what is held now of the numbers that arrived, per device and boot."""
    rows = conn.execute(
        _CLOSE,
        {
            "id": batch.id, "worker": batch.worker, "received_at": batch.received_at,
            "messages": batch.messages, "redelivered": batch.redelivered, "marked_at": batch.marked_at,
            "device": _array(account.device), "received": _array(account.received), "stored": _array(account.stored),
            "duplicate": _array(account.duplicate), "conflict": _array(account.conflict),
            "quarantined": _array(account.quarantined),
            "series": _array(touched.series.tolist()), "first": _array(touched.first_ms.tolist()),
            "last": _array(touched.last_ms.tolist()), "consumers": list(consumers),
            "of": _array(arrived.device), "boot": _array(arrived.boot), "kept": _texts(arrived.stored), "refused": _texts(arrived.refused),
            "gaps": GAPS,
        },
    )  # fmt: skip
    return [_receipt(*row) for row in rows]


def _receipt(device: int, boot: int, highest: int, broken: Int8Multirange | None) -> Receipt:
    return Receipt(device, boot, highest, ()) if broken is None else receipt(device, boot, broken)


def _array(numbers: list[int]) -> str:
    """As a literal: psycopg would otherwise look at every number to choose a type."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _texts(literals: list[str]) -> str:
    """The same, of literals that hold neither quotes nor backslashes."""
    return "{" + ",".join(f'"{literal}"' for literal in literals) + "}"
