"""Which lots were inside which place, vehicle or container, at which stage, from when to when.

In the line: stock.py's parcels -> here -> `presence` rows -> the limits in force on a series placed there.
Contract: rows of one holder, lot and stage never overlap. Goods in a vehicle are not in the air of the yard
or the cold store that the vehicle stands at, so a place counts only while they are in no vehicle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ledger.genealogy.names import product_of
from ledger.genealogy.parcels import Parcel, Step
from ledger.genealogy.stock import Stock

HolderKind = Literal["place", "container", "vehicle"]
_Key = tuple[str, HolderKind, str, str | None]
_Times = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Presence:
    """`lot` of class `product` was inside `holder`. `stage` None: not known. UTC milliseconds, half open;
    `end_ms` None while it is there."""

    holder: str
    kind: HolderKind
    lot: str
    product: str
    stage: str | None
    start_ms: int
    end_ms: int | None


def presence_of(stock: Stock) -> list[Presence]:
    """By holder, lot and start."""
    found: defaultdict[_Key, list[_Times]] = defaultdict(list)
    for parcels in stock.parcels.values():
        for parcel in parcels:
            for key, times in _own(stock, parcel):
                found[key].append(times)
    rows = [
        Presence(holder, kind, lot, product_of(lot), stage, start, end)
        for (holder, kind, lot, stage), times in found.items()
        for start, end in _merged(times)
    ]
    return sorted(rows, key=lambda row: (row.holder, row.lot, row.start_ms, row.stage or ""))


def _own(stock: Stock, parcel: Parcel) -> Iterator[tuple[_Key, _Times]]:
    """Only the parcel's own steps: what came before the split is told by the parcel it was split from."""
    ends = [step.ms for step in parcel.steps[1:]]
    for step, end in zip(parcel.steps, [*ends, parcel.ended_ms], strict=True):
        if end is None or end > step.ms:
            for holder, kind in _holders(stock, step):
                yield (holder, kind, parcel.lot, step.stage), (step.ms, end)


def _holders(stock: Stock, step: Step) -> Iterator[tuple[str, HolderKind]]:
    for name in step.chain:
        yield name, "vehicle" if stock.nodes[name].vehicle else "container"
    if step.place is not None and not step.in_vehicle:
        yield step.place, "place"


def _merged(times: list[_Times]) -> Iterator[_Times]:
    """Overlapping and touching spells as one."""
    ordered = sorted(times, key=lambda spell: spell[0])
    start, end = ordered[0]
    for later_start, later_end in ordered[1:]:
        if end is not None and later_start > end:
            yield start, end
            start, end = later_start, later_end
        elif end is not None:
            end = None if later_end is None else max(end, later_end)
    yield start, end
