"""The end of a batch's transaction, in one statement: the batch, its account, its numbers, its marks, samples of clocks, and
readings where they are few.

In the line: `pipeline` -> here -> commit. Contract: the statement returns what is now held of every device's numbers, from
the rows as they stand under their locks. One round trip, and arrays in place of rows: a batch of single readings comes from
as many devices as it has messages.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.types.multirange import Int8Multirange

from ingest.clock.samples import Sample
from ingest.marks import CONSUMERS
from ingest.readings import ROW, KeyStands, RowsLost, Touched
from ingest.sequences import Arrived, Receipt, receipt

logger = logging.getLogger(__name__)

DRAWN = 200
GAPS = 200  # of one receipt: a device that leaves out every second number would be told of all of them with each batch
RANGES = 2_000
"""Kept of one boot, each of what is stored, refused and let go: the row is written with every batch that holds its device, and
whoever is in that batch waits for it. Beyond it the highest `RANGES_LEFT` stay (docs/decisions/0028-a-receipt-has-an-end.md)."""
RANGES_LEFT = 1_000
RANGE_BYTES = 21
"""Of a multirange in memory: two bounds, flags, offset. Its size is known without reading it."""
NOTHING = np.empty(0, ROW)
ROWS_LOST = "SYROW"  # by all_inserted()


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
# Readings come before numbers, as they do by COPY: two workers with the same messages then wait for each other in one order.
_CLOSE = """
WITH inserted AS (
  INSERT INTO reading_store (series_id, time, value, flags, batch_id)
  SELECT series, 'epoch'::timestamptz + time_ms * INTERVAL '1 millisecond', value, flags, %(id)s
  FROM unnest(%(row_series)s::integer[], %(row_time)s::bigint[], %(row_value)s::float8[], %(row_flags)s::smallint[])
    AS sent (series, time_ms, value, flags)
  RETURNING 1
), whole AS MATERIALIZED (
  SELECT all_inserted(count(*), %(rows)s) AS so FROM inserted
), opened AS (
  INSERT INTO batch (id, worker, received_at, messages, redelivered) OVERRIDING SYSTEM VALUE
  SELECT %(id)s, %(worker)s, %(received_at)s, %(messages)s, %(redelivered)s FROM whole WHERE so
), counted AS (
  INSERT INTO batch_account (batch_id, device_ids, received, stored, duplicate, conflict, quarantined)
  VALUES (%(id)s, %(device)s, %(received)s, %(stored)s, %(duplicate)s, %(conflict)s, %(quarantined)s)
), unfolded AS (
  INSERT INTO account_unfolded (batch_id) VALUES (%(id)s)
), touched AS (
  SELECT array_agg(series ORDER BY series, first) AS series,
         array_agg('epoch'::timestamptz + first * INTERVAL '1 millisecond' ORDER BY series, first) AS first,
         array_agg('epoch'::timestamptz + last * INTERVAL '1 millisecond' ORDER BY series, first) AS last
  FROM unnest(%(series)s::integer[], %(first)s::bigint[], %(last)s::bigint[]) AS touched (series, first, last)
), marked AS (
  INSERT INTO mark (consumer, created_at, reason, series_ids, from_times, to_times)
  SELECT consumer, %(marked_at)s, 'readings', series, first, last
  FROM touched, unnest(%(consumers)s::text[]) AS consumer WHERE series IS NOT NULL
), timed AS (
  INSERT INTO clock_sample (device_id, received_at, sent_at)
  SELECT device, 'epoch'::timestamptz + received * INTERVAL '1 millisecond', 'epoch'::timestamptz + sent * INTERVAL '1 millisecond'
  FROM unnest(%(clock)s::integer[], %(clock_received)s::bigint[], %(clock_sent)s::bigint[]) AS sample (device, received, sent)
  ON CONFLICT DO NOTHING
), merged AS (
  INSERT INTO device_sequence AS held (device_id, boot, stored, refused)
  SELECT * FROM unnest(%(of)s::integer[], %(boot)s::bigint[], %(kept)s::text[]::int8multirange[], %(refused)s::text[]::int8multirange[])
    AS sent (device_id, boot, stored, refused)
  WHERE (SELECT so FROM whole)
  ORDER BY device_id, boot
  ON CONFLICT (device_id, boot) DO UPDATE SET
    stored = held.stored + CASE held.known_from WHEN 0 THEN EXCLUDED.stored
                           ELSE EXCLUDED.stored * int8multirange(int8range(held.known_from, NULL)) END,
    refused = held.refused + CASE held.known_from WHEN 0 THEN EXCLUDED.refused
                             ELSE EXCLUDED.refused * int8multirange(int8range(held.known_from, NULL)) END,
    was_broken = NOT (held.stored + held.refused) @> int8range(1, upper(held.stored + held.refused))
  RETURNING device_id, boot, stored + refused AS numbers, was_broken,
    greatest(pg_column_size(stored), pg_column_size(refused), pg_column_size(let_go)) > %(full)s AS is_full
), now_held AS (
  SELECT device_id, boot, numbers, was_broken, is_full, NOT numbers @> int8range(1, upper(numbers)) AS broken FROM merged
), broken AS (
  INSERT INTO sequence_mark (created_at, device_ids)
  SELECT %(marked_at)s, array_agg(DISTINCT device_id) FROM now_held WHERE broken OR was_broken HAVING count(*) > 0
)
SELECT device_id, boot, upper(numbers) - 1,
  CASE WHEN broken THEN (SELECT range_agg(part) FROM (SELECT unnest(numbers) AS part LIMIT %(gaps)s) AS lowest) END, is_full
FROM now_held
"""

# What is held from 1 on without a gap stays held: the receipt says no less than it did. The rows are locked first: where the
# batch was a transaction by itself, another worker may give up too, and by what it saw before would put `known_from` back.
_GIVE_UP = """
WITH crowded AS (
  SELECT device_id, boot, stored + refused AS numbers, (
      SELECT max(upper(part)) FROM (VALUES (stored), (refused), (let_go)) AS kind (ranges),
      LATERAL (SELECT part FROM unnest(kind.ranges) WITH ORDINALITY AS each (part, place) ORDER BY place DESC OFFSET %(left)s LIMIT 1) AS lost
    ) AS known_from
  FROM device_sequence JOIN unnest(%(device)s::integer[], %(boot)s::bigint[]) AS asked (device_id, boot) USING (device_id, boot)
  ORDER BY device_id, boot FOR UPDATE OF device_sequence
), ends AS (
  SELECT device_id, boot, known_from, int8multirange(int8range(known_from, NULL)) AS known,
    coalesce((SELECT int8multirange(part) FROM unnest(numbers) AS part WHERE part @> 1::bigint), '{}')
      * int8multirange(int8range(NULL, known_from)) AS begun
  FROM crowded WHERE known_from IS NOT NULL
)
UPDATE device_sequence AS held SET known_from = ends.known_from, stored = held.stored * known + begun,
  refused = held.refused * known, let_go = held.let_go * known
FROM ends WHERE held.device_id = ends.device_id AND held.boot = ends.boot AND held.known_from < ends.known_from
RETURNING held.device_id, held.boot, held.known_from
"""


def close(
    conn: psycopg.Connection,
    batch: BatchRow,
    account: Account,
    arrived: Arrived,
    touched: Touched,
    left: npt.NDArray[np.void] = NOTHING,
    clocks: Sequence[Sample] = (),
    consumers: Iterable[str] = CONSUMERS,
) -> list[Receipt]:
    """Returns what is held now of the numbers that arrived, per device and boot. `left`: ROW[k], readings to insert with it.
    `clocks`: samples of them to keep. Raises KeyStands, RowsLost."""
    try:
        rows = conn.execute(
            _CLOSE, _parameters(batch, account, arrived, touched, left, clocks, consumers)
        ).fetchall()
    except psycopg.errors.UniqueViolation as error:
        if len(left):
            raise KeyStands from error
        raise
    except psycopg.Error as error:
        if error.sqlstate == ROWS_LOST:
            raise RowsLost(str(error).splitlines()[0]) from error
        raise
    full = [(device, boot) for device, boot, *_, is_full in rows if is_full]
    if full:
        _give_up(conn, full)
    return [_receipt(*row) for *row, _ in rows]


def _give_up(conn: psycopg.Connection, full: Sequence[tuple[int, int]]) -> None:
    """Of these devices and boots, forget the lowest ranges."""
    devices, boots = zip(*full, strict=True)
    asked = {"device": list(devices), "boot": list(boots), "left": RANGES_LEFT}
    for device, boot, known_from in conn.execute(_GIVE_UP, asked):
        logger.warning(
            "a device's numbers are full of gaps, the lowest are given up",
            extra={"device": device, "boot": boot, "below": known_from},
        )


def _parameters(
    batch: BatchRow,
    account: Account,
    arrived: Arrived,
    touched: Touched,
    left: npt.NDArray[np.void],
    clocks: Sequence[Sample],
    consumers: Iterable[str],
) -> dict[str, object]:
    return {
        "id": batch.id, "worker": batch.worker, "received_at": batch.received_at,
        "messages": batch.messages, "redelivered": batch.redelivered, "marked_at": batch.marked_at,
        "rows": len(left),
        "row_series": _array(left["series"].tolist()), "row_time": _array(left["time_ms"].tolist()),
        "row_value": _array(left["value"].tolist()), "row_flags": _array(left["flags"].tolist()),
        "device": _array(account.device), "received": _array(account.received), "stored": _array(account.stored),
        "duplicate": _array(account.duplicate), "conflict": _array(account.conflict),
        "quarantined": _array(account.quarantined),
        "series": _array(touched.series.tolist()), "first": _array(touched.first_ms.tolist()),
        "last": _array(touched.last_ms.tolist()), "consumers": _texts(consumers),
        "of": _array(arrived.device), "boot": _array(arrived.boot), "kept": _texts(arrived.stored), "refused": _texts(arrived.refused),
        "clock": _array([sample.device for sample in clocks]),
        "clock_received": _array([sample.received_ms for sample in clocks]),
        "clock_sent": _array([sample.sent_ms for sample in clocks]),
        "gaps": GAPS, "full": RANGES * RANGE_BYTES,
    }  # fmt: skip


def _receipt(device: int, boot: int, highest: int, broken: Int8Multirange | None) -> Receipt:
    return Receipt(device, boot, highest, ()) if broken is None else receipt(device, boot, broken)


def _array(numbers: Sequence[float]) -> str:
    """As a literal: psycopg would otherwise look at every number to choose a type."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _texts(literals: Iterable[str]) -> str:
    """The same, of literals that hold neither quotes nor backslashes."""
    return "{" + ",".join(f'"{literal}"' for literal in literals) + "}"
