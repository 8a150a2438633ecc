"""How much of a mixed lot comes of what is recalled.

In the line: the runs that a recall goes through -> here -> the share of each lot. Contract: pure; by weight over
all inputs of all these runs that made it; None where a weight is not known; ends on runs that use what they make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Went:
    """`kilograms` of `lot` went into `run`, `reached` of them are recalled; `outputs`: what came out. None: not known."""

    run: str
    lot: str
    kilograms: float | None
    reached: float | None
    outputs: tuple[str, ...]


def shares(went: Iterable[Went], seeds: Iterable[str]) -> Mapping[str, float | None]:
    """By lot, 0 to 1. Of a seed: all that is recalled of it is so by itself."""
    runs: dict[str, list[Went]] = {}
    for each in went:
        runs.setdefault(each.run, []).append(each)
    found: dict[str, float | None] = dict.fromkeys(seeds, 1.0)
    inputs: dict[str, list[Went]] = {}
    for run in runs.values():
        for lot in run[0].outputs:
            inputs.setdefault(lot, []).extend(run)
    for lot in _inputs_first(inputs):
        if lot not in found:
            found[lot] = _share(inputs[lot], found)
    return found


def _share(inputs: Sequence[Went], known: Mapping[str, float | None]) -> float | None:
    total = affected = 0.0
    for each in inputs:
        if each.kilograms is None:
            return None
        total += each.kilograms
        if each.reached is None:
            continue
        share = known.get(each.lot)
        if share is None:
            return None
        affected += min(each.reached, each.kilograms) * share
    return round(affected / total, 6) if total > 0 else None


def _inputs_first(inputs: Mapping[str, Sequence[Went]]) -> list[str]:
    """The lots that were made, each after those that it was made of."""
    ordered: dict[str, None] = {}
    entered: set[str] = set()
    for lot in inputs:
        waiting = [lot]
        while waiting:
            each = waiting[-1]
            if each in ordered:
                waiting.pop()
                continue
            before = [went.lot for went in inputs[each] if went.lot in inputs and went.lot not in ordered]
            if each in entered or not before:
                ordered[each] = None
                waiting.pop()
            else:
                waiting.extend(before)
            entered.add(each)
    return list(ordered)
