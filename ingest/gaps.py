"""Gaps in devices' numbers as rows, and the request to send them again.

In the line: a batch that finds a device's numbers broken, or mended, leaves a mark; here is its consumer. Contract: after a
step, the open rows of a device are exactly the gaps in what is held of it from `known_from` on, and every range that was ever
open is in some row: filled, or given up below that.
A gap is one that lasted `GRACE`: two workers that share a device's messages make gaps and fill them all the time.
A device that numbers its messages is asked for a gap when it is found, and again ever later, `ASKS` times in all.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import psycopg

from ingest import outbox
from ingest.registry import SCHEME
from ingest.wire.topics import command_topic

GRACE = timedelta(seconds=5)
TAKEN = 500
ASKS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))
"""How long after each request the next one is made; after the last there is none."""
ASKED_AT_ONCE = 1_000  # rows
RANGES = 50  # of one request: a device has little memory, and is asked again for what is still missing

_TAKE = """
DELETE FROM sequence_mark WHERE id = ANY (ARRAY(SELECT id FROM sequence_mark WHERE created_at <= %s ORDER BY id LIMIT %s))
RETURNING device_ids, created_at
"""

# Ranges are compared as sets: `missing` is what is not held now, `open` what the rows call so. Nothing is missing of a boot
# of which nothing is held any more: a message that was read again may turn out to be of another. It is kept out of the rows: a
# device that sends every second number has thousands of gaps, and each row would carry them all.
_FOLLOW = """
WITH held AS MATERIALIZED (
  SELECT device_id, boot, int8multirange(int8range(0, known_from)) - (stored + refused) AS given_up,
    (int8multirange(int8range(1, coalesce(upper(stored + refused), 1))) - (stored + refused))
      * int8multirange(int8range(known_from, NULL)) AS missing
  FROM device_sequence WHERE device_id = ANY (%(devices)s)
), open AS MATERIALIZED (
  SELECT id, device_id, boot, first_seen, asks, ask_next, int8range(first_seq, last_seq, '[]') AS numbers
  FROM sequence_gap WHERE filled_at IS NULL AND given_up_at IS NULL AND device_id = ANY (%(devices)s)
), changed AS (
  SELECT open.*, given_up, int8multirange(numbers) * missing AS rest
  FROM open JOIN held USING (device_id, boot) WHERE NOT missing @> numbers
), gone AS (
  DELETE FROM sequence_gap WHERE id IN (SELECT id FROM changed)
), pieces AS (
  SELECT device_id, boot, first_seen, %(now)s::timestamptz AS filled_at, NULL::timestamptz AS given_up_at, asks,
         NULL::timestamptz AS ask_next, int8multirange(numbers) - rest - given_up AS numbers
  FROM changed
  UNION ALL
  SELECT device_id, boot, first_seen, NULL, %(now)s, asks, NULL, int8multirange(numbers) * given_up FROM changed
  UNION ALL
  SELECT device_id, boot, first_seen, NULL, NULL, asks, ask_next, rest FROM changed
  UNION ALL
  SELECT device_id, boot, %(now)s, NULL, NULL, 0::smallint, CASE WHEN scheme = %(scheme)s THEN %(now)s::timestamptz END,
         missing - coalesce((SELECT range_agg(numbers) FROM open WHERE (open.device_id, open.boot) = (held.device_id, held.boot)), '{}')
  FROM held JOIN device ON device.id = held.device_id
)
INSERT INTO sequence_gap (device_id, boot, first_seq, last_seq, first_seen, filled_at, given_up_at, asks, ask_next)
SELECT device_id, boot, lower(part), upper(part) - 1, first_seen, filled_at, given_up_at, asks, ask_next FROM pieces, unnest(numbers) AS part
"""

_DUE = """
SELECT gap.id, gap.asks, gap.device_id, gap.boot, gap.first_seq, gap.last_seq, device.organisation, device.external_id
FROM sequence_gap AS gap JOIN device ON device.id = gap.device_id
WHERE gap.filled_at IS NULL AND gap.ask_next <= %s ORDER BY gap.asks, gap.ask_next, gap.id LIMIT %s
"""

_ASKED = """
UPDATE sequence_gap SET asks = asks + 1, ask_next = next
FROM unnest(%s::bigint[], %s::timestamptz[]) AS asked (gap, next) WHERE id = gap
"""

# A request's worth each time, each row put off once: thousands in one go would be more than a device can take.
_PUT_OFF = """
UPDATE sequence_gap AS gap SET ask_next = %(now)s::timestamptz + (1 + waiting.place / %(ranges)s) * %(pause)s::interval
FROM (SELECT id, row_number() OVER (PARTITION BY device_id, boot ORDER BY asks, ask_next, id) - 1 AS place
      FROM sequence_gap JOIN unnest(%(device)s::integer[], %(boot)s::bigint[]) AS full_of (device_id, boot) USING (device_id, boot)
      WHERE filled_at IS NULL AND given_up_at IS NULL AND ask_next <= %(now)s) AS waiting
WHERE gap.id = waiting.id
"""


def step(conn: psycopg.Connection, now: datetime) -> bool:
    """Returns whether there was any work."""
    taken = conn.execute(_TAKE, [now - GRACE, TAKEN]).fetchall()
    if taken:
        devices = sorted({device for devices, _ in taken for device in devices})
        seen = max(created_at for _, created_at in taken)
        conn.execute(_FOLLOW, {"devices": devices, "now": seen, "scheme": SCHEME})
    return _ask(conn, now) or bool(taken)


def _ask(conn: psycopg.Connection, now: datetime) -> bool:
    """One request to a device and boot, for the ranges that are due; those that do not go into it are due with later ones."""
    due = conn.execute(_DUE, [now, ASKED_AT_ONCE]).fetchall()
    wanted: dict[tuple[str, str, int], list[tuple[int, int]]] = defaultdict(list)
    asked: list[tuple[int, datetime | None]] = []
    over: set[tuple[int, int]] = set()
    for gap, asks, of, boot, first, last, organisation, device in due:
        ranges = wanted[organisation, device, boot]
        if len(ranges) < RANGES:
            ranges.append((first, last))
            asked.append((gap, now + ASKS[asks] if asks < len(ASKS) else None))
        else:
            over.add((of, boot))
    for (organisation, device, boot), ranges in wanted.items():
        outbox.put(conn, command_topic(organisation, device), json.dumps(request(boot, ranges)), now)
    if asked:
        conn.execute(_ASKED, [[gap for gap, _ in asked], [moment for _, moment in asked]])
    if over:
        devices, boots = (list(column) for column in zip(*sorted(over), strict=True))
        conn.execute(
            _PUT_OFF, {"now": now, "ranges": RANGES, "pause": ASKS[0], "device": devices, "boot": boots}
        )
    return bool(due)


def request(boot: int, ranges: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """The command of docs/wire.md, but for its id. `ranges`: both ends inclusive."""
    return {"resend": {"boot": boot, "ranges": [list(each) for each in sorted(ranges)]}}
