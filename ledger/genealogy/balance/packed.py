"""Load units: more packed into them by a lot's maker than there was of it.

In the line: facts -> here. Contract: what is in a unit is what was packed into it since it was begun, and counts only once the
unit was told to move afterwards, as a unit does that has something in it. A number that is merely seen again is an old label: that a
unit was opened is the step that is forgotten most. Units are added up that made the same step, since a pallet that bears two labels is
known by the one at one gate and by the other at the next. Linear in the packings but for sorting.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ledger.genealogy.balance.scales import Imbalance, Scales
from ledger.genealogy.facts import Amount, Fact
from ledger.genealogy.names import identify
from ledger.genealogy.parcels import NOTHING
from ledger.genealogy.taking import ENTERING, LEAVING

_GOING: Final = LEAVING | ENTERING | {"unloading"}
_RETIRED: Final = ("", "decommissioning")

Filling = tuple[str, int]
"""A unit, and how often it had been begun anew."""


class _Packing(NamedTuple):
    """`quantity`: what was put in; below 0, taken out; -inf: all of it."""

    fact: Fact
    into: Filling
    quantity: float


def packed_twice(scales: Scales) -> Iterator[Imbalance]:
    """More packed by its maker, into units that then all went the same way, than there was."""
    line = _Line(scales)
    for lot, packings in line.packings.items():
        made = scales.books.made(lot)
        if made is None:
            continue
        tolerance = scales.allowance(lot).mass_tolerance
        most = made * (1 + tolerance) + NOTHING
        if sum(each.quantity for each in packings if each.quantity > 0) <= most:
            continue  # most lots: nothing was packed twice
        weighed = [(*_heaviest(packings, went), went) for went in line.went.values()]
        said, at, went = max(weighed, key=lambda each: each[0], default=(0.0, 0, {}))
        if said <= most:
            continue
        shown = [each for each in packings if each.fact.ordinal <= at and _goes(went, each.into, at)]
        facts = [*(each.fact for each in shown), *(went[each.into] for each in shown)]
        yield scales.imbalance(
            "more_than_made", lot, (lot,), facts, said, made, scales.books.unit(lot, None),
            {"tolerance": tolerance, "made": made, "packed": said}, also=[each.event for each in scales.made_by[lot]],
        )  # fmt: skip


def _goes(went: Mapping[Filling, Fact], unit: Filling, after: int) -> bool:
    return unit in went and went[unit].ordinal > after


def _heaviest(packings: Sequence[_Packing], went: Mapping[Filling, Fact]) -> tuple[float, int]:
    """The most that was at one time in units that were still to go, and the ordinal of the event that made it so much. `went`: when
    each of them did for the last time."""
    inside: defaultdict[Filling, float] = defaultdict(float)
    going = sorted({each.into for each in packings} & went.keys(), key=lambda unit: -went[unit].ordinal)
    total, most, when = 0.0, 0.0, 0
    for fact, unit, quantity in packings:
        while going and went[going[-1]].ordinal <= fact.ordinal:
            total -= inside[going.pop()]
        before, inside[unit] = inside[unit], max(0.0, inside[unit] + quantity)
        if _goes(went, unit, fact.ordinal):
            total += inside[unit] - before
        if total > most and quantity > 0:
            most, when = total, fact.ordinal
    return most, when


class _Line:
    """What was put into load units and taken out, walked through once: `packings` by lot, and for each step in `went`, by filling the
    last event that says it went so with its goods."""

    def __init__(self, scales: Scales) -> None:
        self._scales = scales
        self._makers = {
            lot: {each.event.organisation for each in made} for lot, made in scales.made_by.items()
        }
        self._begun: defaultdict[str, int] = defaultdict(int)
        self._held: defaultdict[str, dict[str, int]] = defaultdict(dict)
        """By unit and lot the ordinal of the last packing."""
        self._latest: dict[str, int] = {}
        self._away: set[str] = set()
        self._boxes: dict[str, Filling] = {}
        self.packings: defaultdict[str, list[_Packing]] = defaultdict(list)
        self.went: defaultdict[str, dict[Filling, Fact]] = defaultdict(dict)
        for fact in scales.facts:
            if fact.kind == "AggregationEvent" and fact.parent and identify(fact.parent).scheme == "sscc":
                if fact.action == "DELETE":
                    self._take_out(fact, fact.parent)
                elif fact.action == "ADD" and fact.goods:
                    self._put_in(fact, fact.parent)
            self._move(fact)

    def _now(self, unit: str) -> Filling:
        return unit, self._begun[unit]

    def _put_in(self, fact: Fact, unit: str) -> None:
        if unit in self._away or any(self._latest[lot] > packed for lot, packed in self._held[unit].items()):
            self._begun[unit] += (
                1  # it has been away, or others were filled since: it was emptied, and nobody said so
            )
            self._held[unit].clear()
        self._away.discard(unit)
        for amount in fact.goods:
            if fact.recorded.organisation not in self._makers.get(amount.lot, ()):
                continue
            quantity = self._moved_boxes(fact, amount, unit) if amount.boxes else self._known(amount)
            if quantity is not None:
                self.packings[amount.lot].append(_Packing(fact, self._now(unit), quantity))
                self._held[unit][amount.lot] = self._latest[amount.lot] = fact.ordinal

    def _moved_boxes(self, fact: Fact, amount: Amount, unit: str) -> float:
        """A box that has a name is in one unit. Returns how many came in."""
        came = 0
        for box in sorted(amount.boxes):
            before, self._boxes[box] = self._boxes.get(box), self._now(unit)
            came += before != self._now(unit)
            if before is not None and before != self._now(unit):
                self.packings[amount.lot].append(_Packing(fact, before, -1.0))
        return came

    def _take_out(self, fact: Fact, unit: str) -> None:
        for amount in fact.goods:
            quantity = self._known(amount)
            for box in amount.boxes:
                self._boxes.pop(box, None)
            if quantity is not None:
                self.packings[amount.lot].append(_Packing(fact, self._now(unit), -quantity))
        if not fact.goods and not fact.nodes:
            for lot in self._held[unit]:
                self.packings[lot].append(_Packing(fact, self._now(unit), -math.inf))

    def _move(self, fact: Fact) -> None:
        if fact.step in _GOING:
            self._away.update(fact.nodes)
        step = _going(fact)
        for unit in (*fact.nodes, *([fact.parent] if fact.parent else ())) if step else ():
            self.went[step][self._now(unit)] = fact
        for unit in fact.nodes if fact.step == "void_shipping" else ():
            for leaving in LEAVING:
                self.went[leaving].pop(self._now(unit), None)

    def _known(self, amount: Amount) -> float | None:
        if amount.quantity is None:
            return None
        return self._scales.books.bridge(amount.lot, amount.quantity, amount.uom)


def _going(fact: Fact) -> str:
    """The step by which goods went on; empty for what is only a sighting, and for what comes back."""
    if fact.disposition == "returned":
        return ""
    if fact.kind == "ObjectEvent" and fact.action == "DELETE":
        return "" if fact.step in _RETIRED else "ended"
    return fact.step if fact.step in _GOING else ""
