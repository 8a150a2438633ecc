"""Which of a device's numbered messages we hold: the receipt is made from this, and the gaps.

Identity of a message is (device, boot, seq). Sets of numbers are PostgreSQL multiranges, so that a device that
sent a million messages in order is one range, and merging a batch is one statement for all its devices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import psycopg
from psycopg.types.multirange import Int8Multirange
from psycopg.types.range import Int8Range

Key = tuple[int, int]
"""(device id, boot)"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """`through`: the highest number held with none missing below it; `gaps`: missing ranges below the highest held, inclusive."""

    device: int
    boot: int
    through: int
    gaps: tuple[tuple[int, int], ...]


# Devices in ascending order: two workers with the same devices then lock rows in one order and cannot deadlock.
_MERGE = """
INSERT INTO device_sequence AS held (device_id, boot, stored, refused)
SELECT * FROM unnest(%s::integer[], %s::bigint[], %s::text[]::int8multirange[], %s::text[]::int8multirange[])
  AS sent (device_id, boot, stored, refused)
ORDER BY device_id, boot
ON CONFLICT (device_id, boot) DO UPDATE SET stored = held.stored + EXCLUDED.stored, refused = held.refused + EXCLUDED.refused
RETURNING device_id, boot, stored + refused
"""


def merge(
    conn: psycopg.Connection, stored: Mapping[Key, Iterable[int]], refused: Mapping[Key, Iterable[int]]
) -> list[Receipt]:
    """Add the batch's numbers; returns what is held now, per device and boot, for the receipts."""
    keys = sorted({*stored, *refused})
    if not keys:
        return []
    rows = conn.execute(
        _MERGE,
        [
            [device for device, _ in keys],
            [boot for _, boot in keys],
            [_text(stored.get(key, ())) for key in keys],
            [_text(refused.get(key, ())) for key in keys],
        ],
    )
    return [receipt(device, boot, held) for device, boot, held in rows]


def receipt(device: int, boot: int, held: Int8Multirange) -> Receipt:
    """Numbers start at 1 with every boot; what lies before the first held one is a gap like any other."""
    ranges = [(_lower(part), _upper(part)) for part in held]
    edges = [(0, 1), *ranges]  # 0 is a number no device sends: it anchors the count
    edges = [(0, ranges[0][1]), *ranges[1:]] if ranges and ranges[0][0] <= 1 else edges
    gaps = tuple((left[1], right[0] - 1) for left, right in pairwise(edges))
    return Receipt(device, boot, edges[0][1] - 1, gaps)


def _text(numbers: Iterable[int]) -> str:
    """As a multirange literal; PostgreSQL joins neighbours itself."""
    return "{" + ",".join(f"[{number},{number}]" for number in sorted(set(numbers))) + "}"


def _lower(part: Int8Range | object) -> int:
    lower = getattr(part, "lower", None)
    assert isinstance(lower, int)
    return lower


def _upper(part: Int8Range | object) -> int:
    upper = getattr(part, "upper", None)
    assert isinstance(upper, int)
    return upper
