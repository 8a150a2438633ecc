"""Which of a device's numbered messages we hold: the receipt is made from this, and the gaps.

Identity of a message is (device, boot, seq). Sets of numbers are PostgreSQL multiranges, so that a device that
sent a million messages in order is one range, and merging a batch is one statement for all its devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
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


def ranges(
    device: npt.NDArray[np.int64], boot: npt.NDArray[np.int64], seq: npt.NDArray[np.int64]
) -> dict[Key, str]:
    """Numbers that came, int64[n] each, as multirange literals per device and boot, both ascending."""
    if not len(seq):
        return {}
    order = np.lexsort((seq, boot, device))
    device, boot, seq = device[order], boot[order], seq[order]
    starts = np.ones(len(seq), dtype=bool)
    starts[1:] = (device[1:] != device[:-1]) | (boot[1:] != boot[:-1]) | (seq[1:] > seq[:-1] + 1)
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(seq)) - 1
    found: dict[Key, str] = {}
    for key_device, key_boot, low, high in zip(
        device[first].tolist(), boot[first].tolist(), seq[first].tolist(), seq[last].tolist(), strict=True
    ):
        key = key_device, key_boot
        found[key] = f"{found[key]},[{low},{high}]" if key in found else f"[{low},{high}]"
    return {key: f"{{{parts}}}" for key, parts in found.items()}


@dataclass(frozen=True, slots=True)
class Arrived:
    """Per device and boot, both ascending, the numbers of messages with something taken, and with something refused; one
    may be in both, and the two together are what was published. Multirange literals."""

    device: list[int]
    boot: list[int]
    stored: list[str]
    refused: list[str]

    @classmethod
    def of(cls, stored: Mapping[Key, str], refused: Mapping[Key, str]) -> Arrived:
        # Devices in ascending order: two workers with the same devices then lock rows in one order and cannot deadlock.
        keys = sorted({*stored, *refused})
        return cls(
            [device for device, _ in keys],
            [boot for _, boot in keys],
            [stored.get(key, "{}") for key in keys],
            [refused.get(key, "{}") for key in keys],
        )


def receipt(device: int, boot: int, held: Int8Multirange) -> Receipt:
    """Numbers start at 1 with every boot; what lies before the first held one is a gap like any other."""
    parts = [(_lower(part), _upper(part)) for part in held]
    edges = [(0, 1), *parts]  # 0 is a number no device sends: it anchors the count
    edges = [(0, parts[0][1]), *parts[1:]] if parts and parts[0][0] <= 1 else edges
    gaps = tuple((left[1], right[0] - 1) for left, right in pairwise(edges))
    return Receipt(device, boot, edges[0][1] - 1, gaps)


def _lower(part: Int8Range | object) -> int:
    lower = getattr(part, "lower", None)
    assert isinstance(lower, int)
    return lower


def _upper(part: Int8Range | object) -> int:
    upper = getattr(part, "upper", None)
    assert isinstance(upper, int)
    return upper
