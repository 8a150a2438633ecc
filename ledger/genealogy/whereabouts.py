"""Where the goods of each lot were, each kilogram once: in what, at which place, at which stage, with whom.

In the line: stock.py's parcels -> here -> `whereabouts` rows -> what a breach touched, how much of it, and who had it.
Contract: rows of a lot that overlap in time are different goods, so their weights may be added; `presence` says the same
goods once for each thing around them. What lasted no time is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ledger.genealogy.parcels import NOTHING, Parcel, Step
from ledger.genealogy.stock import Stock


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """`inside`: containers and vehicles from the innermost out. `holder`: a party. `kilograms` None: not known. UTC
    milliseconds, half open; `end_ms` None while they are there."""

    lot: str
    stage: str | None
    inside: tuple[str, ...]
    place: str | None
    in_vehicle: bool
    holder: str | None
    kilograms: float | None
    start_ms: int
    end_ms: int | None


_Key = tuple[str, str | None, tuple[str, ...], str | None, bool, str | None]
_Spell = tuple[int, int | None, float | None]


def whereabouts_of(stock: Stock) -> list[Whereabouts]:
    """By lot and start."""
    pieces: defaultdict[str, list[Parcel]] = defaultdict(list)
    for parcels in stock.parcels.values():
        for parcel in parcels:
            if parcel.origin is not None:
                pieces[parcel.origin.name].append(parcel)
    spells: defaultdict[_Key, list[_Spell]] = defaultdict(list)
    for lot, parcels in stock.parcels.items():
        for parcel in parcels:
            amounts = _amounts(parcel, pieces)
            for step, start, end in _own_steps(parcel):
                key = (lot, step.stage, step.chain, step.place, step.in_vehicle, step.holder)
                for first, last, amount in _within(amounts, start, end):
                    if amount is None or amount > NOTHING:
                        weight = None if amount is None else stock.books.kilograms(lot, amount, parcel.uom)
                        spells[key].append((first, last, weight))
    rows = [Whereabouts(*key, weight, start, end)
            for key, own in spells.items() for start, end, weight in _stacked(own)]  # fmt: skip
    return sorted(rows, key=lambda row: (row.lot, row.start_ms, row.inside, row.place or "", row.stage or ""))


def _own_steps(parcel: Parcel) -> Iterator[tuple[Step, int, int | None]]:
    """Not those before the split: the parcel it was split from tells them."""
    ends = [step.ms for step in parcel.steps[1:]]
    for step, end in zip(parcel.steps, [*ends, parcel.ended_ms], strict=True):
        if end is None or end > step.ms:
            yield step, step.ms, end


def _amounts(parcel: Parcel, pieces: Mapping[str, list[Parcel]]) -> list[tuple[int, float | None]]:
    """(from when, how much there was of it), falling with time: until a piece was taken it was in here."""
    left = parcel.quantity
    found: list[tuple[int, float | None]] = []
    for piece in sorted(pieces.get(parcel.name, ()), key=lambda each: -each.born_ms):
        found.append((piece.born_ms, left))
        taken = _whole(piece, pieces)
        left = None if left is None or taken is None else left + taken
    return [(-(1 << 62), left), *reversed(found)]


def _whole(parcel: Parcel, pieces: Mapping[str, list[Parcel]]) -> float | None:
    """With everything that was taken from it later. Not by recursion: a stall takes piece from piece for days."""
    total, waiting = 0.0, [parcel]
    while waiting:
        each = waiting.pop()
        if each.quantity is None:
            return None
        total += each.quantity
        waiting.extend(pieces.get(each.name, ()))
    return total


def _within(
    amounts: Iterable[tuple[int, float | None]], start: int, end: int | None
) -> Iterator[tuple[int, int | None, float | None]]:
    ordered = list(amounts)
    untils: list[int | None] = [since for since, _ in ordered[1:]]
    for (since, amount), until in zip(ordered, [*untils, None], strict=True):
        first = max(since, start)
        last = end if until is None else until if end is None else min(until, end)
        if last is None or last > first:
            yield first, last, amount


def _stacked(spells: Iterable[_Spell]) -> Iterator[_Spell]:
    """What lay side by side as one: weights added, and neighbours of the same weight joined."""
    changes: defaultdict[int, list[tuple[int, float | None]]] = defaultdict(list)
    for start, end, weight in spells:
        changes[start].append((1, weight))
        if end is not None:
            changes[end].append((-1, weight))
    times = sorted(changes)
    count, unknown, total = 0, 0, 0.0
    open_since: int | None = None
    open_weight: float | None = None
    for now in times:
        for sign, weight in changes[now]:
            count += sign
            unknown += sign if weight is None else 0
            total += sign * (weight or 0.0)
        weight_now = None if unknown else round(total, 6)
        if open_since is not None and count and weight_now == open_weight:
            continue
        if open_since is not None:
            yield open_since, now, open_weight
        open_since, open_weight = (now, weight_now) if count else (None, None)
    if open_since is not None:
        yield open_since, None, open_weight
