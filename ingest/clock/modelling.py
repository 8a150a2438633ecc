"""Samples into `device_clock`: the consumer `clock`.

In the line: `clock_sample` -> here (`fitting`) -> `device_clock`. Contract: what stands is what all samples of a device give,
whatever the order in which they were taken; it can be dropped and made again from them. Only the last two pieces are made
anew, since those before rest on nothing that comes later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.types.range import TimestamptzRange

from ingest.clock.fitting import Piece, fit

AT_ONCE = 5_000
KEPT = timedelta(days=400)
"""How long samples are kept; the pieces that they gave stay."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TAKE = """
UPDATE clock_sample SET fitted = true
WHERE ctid = ANY (ARRAY(SELECT ctid FROM clock_sample WHERE NOT fitted ORDER BY device_id LIMIT %s))
RETURNING device_id
"""

# From the last piece but one: where it began, and the last sample of the one before it.
_SINCE = """
SELECT asked.device_id, device.organisation, piece.first_at,
       (SELECT max(last_at) FROM device_clock AS earlier WHERE earlier.device_id = asked.device_id AND earlier.first_at < piece.first_at)
FROM unnest(%s::integer[]) AS asked (device_id) JOIN device ON device.id = asked.device_id
LEFT JOIN LATERAL (SELECT first_at FROM device_clock WHERE device_clock.device_id = asked.device_id
                   ORDER BY first_at DESC OFFSET 1 LIMIT 1) AS piece ON true
"""

_SAMPLES = """
SELECT asked.device_id, (extract(epoch FROM sample.received_at) * 1000)::bigint, (extract(epoch FROM sample.sent_at) * 1000)::bigint
FROM unnest(%s::integer[], %s::timestamptz[]) AS asked (device_id, since)
JOIN clock_sample AS sample ON sample.device_id = asked.device_id AND sample.received_at >= coalesce(asked.since, '-infinity')
"""

_FORGET = """
DELETE FROM device_clock USING unnest(%s::integer[], %s::timestamptz[]) AS asked (device_id, since)
WHERE device_clock.device_id = asked.device_id AND device_clock.first_at >= coalesce(asked.since, '-infinity')
"""

_WRITE = """
INSERT INTO device_clock (device_id, organisation, valid, anchor, offset_ms, drift_ppm, seen, first_at, last_at, samples, fitted_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def step(conn: psycopg.Connection, now: datetime) -> bool:
    devices = sorted({device for (device,) in conn.execute(_TAKE, [AT_ONCE])})
    if not devices:
        return False
    since = conn.execute(_SINCE, [devices]).fetchall()
    asked = [[row[0] for row in since], [row[2] for row in since]]
    samples: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for device, received_ms, sent_ms in conn.execute(_SAMPLES, asked):
        samples[device].append((received_ms, sent_ms))
    conn.execute(_FORGET, asked)
    rows = [
        _row(device, organisation, piece, now)
        for device, organisation, _, before in since
        for piece in _fitted(samples[device], before)
    ]
    with conn.cursor() as cursor:
        cursor.executemany(_WRITE, rows)
    conn.execute(
        "DELETE FROM clock_sample WHERE device_id = ANY (%s) AND received_at < %s", [devices, now - KEPT]
    )
    return True


def _fitted(samples: Sequence[tuple[int, int]], before: datetime | None) -> list[Piece]:
    received_ms, sent_ms = [each[0] for each in samples], [each[1] for each in samples]
    return fit(received_ms, sent_ms, None if before is None else round(before.timestamp() * 1000))


def _row(device: int, organisation: str, piece: Piece, now: datetime) -> list[object]:
    return [
        device, organisation,
        TimestamptzRange(_datetime(piece.from_ms), _datetime(piece.to_ms)),
        _datetime(piece.anchor_ms), piece.offset_ms, piece.drift_ppm,
        TimestamptzRange(_datetime(piece.seen_from_ms), _datetime(piece.seen_to_ms)),
        _datetime(piece.first_ms), _datetime(piece.last_ms), piece.samples, now,
    ]  # fmt: skip


def _datetime(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else EPOCH + timedelta(milliseconds=time_ms)
