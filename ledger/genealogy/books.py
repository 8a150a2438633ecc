"""How much of each lot there can be, and in which unit it is counted.

In the line: made from all facts before the walk begins; the walk asks here before it lets goods exist.
Contract: mass never appears. A lot that was made (harvested, or the output of a transformation) never has
more than was made of it, whatever later events claim; a lot that nobody made exists as far as it was seen,
and says so.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ledger.genealogy.facts import KILOGRAM, Amount, Fact, net_kg_per_unit
from ledger.genealogy.names import product_of

DiscrepancyKind = Literal["more_than_known", "unit_without_net_content", "contains_itself"]


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A claim that does not add up: `said` of `lot` against `known` there, in `uom`. Nothing was invented for
    it."""

    kind: DiscrepancyKind
    event: str
    ms: int
    lot: str
    said: float | None
    known: float | None
    uom: str | None


class Books:
    def __init__(self, facts: Iterable[Fact], net_kg: Mapping[str, float]) -> None:
        self._net_by_class = dict(net_kg)
        self._net: dict[str, float] = {}
        self._unit: dict[str, str | None] = {}
        self._made: dict[str, float] = {}
        self._opened: defaultdict[str, float] = defaultdict(float)
        self._ahead: defaultdict[str, float] = defaultdict(float)
        self.made_by_class: set[str] = set()
        self._read(list(facts))

    def unit(self, lot: str, uom: str | None) -> str | None:
        """The unit that the lot is counted in: that of its making, else the first one it was seen in."""
        return self._unit.setdefault(lot, uom)

    def bridge(self, lot: str, quantity: float, uom: str | None) -> float | None:
        """`quantity` in the lot's unit; None where kilograms and pieces meet and nobody knows the net
        content."""
        unit = self.unit(lot, uom)
        if unit == uom:
            return quantity
        net = self.net_kg(lot)
        if net is None:
            return None
        if uom == KILOGRAM and unit is None:
            return quantity / net
        return quantity * net if unit == KILOGRAM and uom is None else None

    def kilograms(self, lot: str, quantity: float, uom: str | None) -> float | None:
        """None where the net content of a piece is not known."""
        if uom == KILOGRAM:
            return quantity
        net = self.net_kg(lot)
        return quantity * net if uom is None and net is not None else None

    def net_kg(self, lot: str) -> float | None:
        return self._net.get(lot, self._net_by_class.get(product_of(lot)))

    def make(self, lot: str, quantity: float) -> float:
        """Goods are made. Returns what is new of them: what was already used ahead of its making is not."""
        settled = min(quantity, self._ahead[lot])
        self._ahead[lot] -= settled
        self._opened[lot] += quantity - settled
        return quantity - settled

    def find(self, lot: str, quantity: float) -> float:
        """Goods are named that are nowhere yet. Returns how much of them may exist.

        Of a lot that is made later by its maker's clock, what will be made: clocks of a packhouse differ by
        minutes, and losing the pallet over it would be worse.
        """
        left = max(0.0, self._made.get(lot, math.inf) - self._opened[lot])
        granted = min(quantity, left)
        self._opened[lot] += granted
        if lot in self._made:
            self._ahead[lot] += granted
        return granted

    def made(self, lot: str) -> float | None:
        """How much of it was made, in the lot's unit; None where nobody made it, or nobody said how much."""
        made = self._made.get(lot, math.inf)
        return None if math.isinf(made) else made

    def is_made(self, lot: str) -> bool:
        return lot in self._made

    def _read(self, facts: list[Fact]) -> None:
        for fact, amount in _makings(facts):
            net = net_kg_per_unit(fact.event)
            if net is not None and amount.uom is None:
                self._net[amount.lot] = net
            if not amount.boxes:
                self.made_by_class.add(amount.lot)
            self._unit.setdefault(amount.lot, amount.uom)
        for _, amount in _makings(facts):
            if not (amount.boxes and amount.lot in self.made_by_class):
                self._count(amount)

    def _count(self, amount: Amount) -> None:
        quantity = None if amount.quantity is None else self.bridge(amount.lot, amount.quantity, amount.uom)
        made = math.inf if quantity is None else quantity
        self._made[amount.lot] = self._made.get(amount.lot, 0.0) + made


def _makings(facts: Iterable[Fact]) -> Iterator[tuple[Fact, Amount]]:
    for fact in facts:
        if fact.kind == "TransformationEvent":
            yield from ((fact, amount) for amount in fact.out_goods)
        elif fact.kind == "ObjectEvent" and fact.action == "ADD":
            yield from ((fact, amount) for amount in fact.goods)
