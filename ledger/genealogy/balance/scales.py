"""What is weighed against what, and how a finding looks: shared by the rules of this room.

In the line: a Genealogy -> `Scales` -> runs.py, lots.py, packed.py, places.py. Contract: pure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from ledger.genealogy.facts import Amount, Fact, RecordedEvent
from ledger.genealogy.lineage import Genealogy
from ledger.genealogy.names import product_of

Kind = Literal["outputs_over_inputs", "no_cull", "moved_before_made", "more_than_made", "two_places"]
Severity = Literal["low", "medium", "high"]
KINDS: Final[tuple[Kind, ...]] = (
    "outputs_over_inputs",
    "no_cull",
    "moved_before_made",
    "more_than_made",
    "two_places",
)
HOUR_MS: Final = 3_600_000
Spot = tuple[float, float]
"""Latitude and longitude in degrees, WGS-84."""
MOST_EVENTS: Final = 40
"""A finding names so many events; a lot sold in a thousand tills shows by the first of them."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a product allows, as shares of the inputs or of what was made. `moisture_gain`: what washing or icing adds.
    `yield_most`, `cull_least`: None where nobody said, and then the rule that needs them cannot tell."""

    mass_tolerance: float
    moisture_gain: float = 0.0
    yield_most: float | None = None
    cull_least: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """`birth_slack_ms`: how much later than its first move a lot may be told to have been made; `road_slack_ms`: how far the clocks
    at two places may lie apart. Faster than `fastest_kmh` over more than `near_km` is nobody."""

    birth_slack_ms: int = HOUR_MS
    road_slack_ms: int = HOUR_MS // 3
    fastest_kmh: float = 150.0
    near_km: float = 30.0
    medium_share: float = 0.1
    high_share: float = 0.3
    high_hours: float = 24.0


@dataclass(frozen=True, slots=True)
class Imbalance:
    """`said` against `known`, in `uom` (None: boxes). `subject`: the run, lot or unit, under which it is one finding however its
    numbers change. `figures`: what else it was judged by. `events`: those that show it, in the order of happening."""

    kind: Kind
    subject: str
    lots: tuple[str, ...]
    events: tuple[RecordedEvent, ...]
    places: tuple[str, ...]
    at_ms: int
    said: float
    known: float
    uom: str | None
    severity: Severity
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Making:
    """So much of a lot was made, or harvested (`run` None), by one event."""

    lot: str
    event: RecordedEvent
    ms: int
    place: str | None
    run: str | None
    quantity: float | None
    uom: str | None
    kg: float | None


@dataclass(frozen=True, slots=True)
class Balance:
    """`cannot`: by lot the kinds that could not be judged of it for want of a quantity, a figure or a place's position."""

    imbalances: tuple[Imbalance, ...]
    makings: tuple[Making, ...]
    cannot: Mapping[str, frozenset[Kind]]


class Scales:
    def __init__(
        self,
        genealogy: Genealogy,
        allowance: Callable[[str], Allowance],
        rules: Rules,
        spots: Mapping[str, Spot],
    ) -> None:
        self.facts = genealogy.facts
        self.genealogy = genealogy
        self.books = genealogy.stock.books
        self.allowance, self.rules, self.spots = allowance, rules, spots
        self.makings = list(self._makings())
        self.made_by: defaultdict[str, list[Making]] = defaultdict(list)
        for making in self.makings:
            self.made_by[making.lot].append(making)
        self.cannot: defaultdict[str, set[Kind]] = defaultdict(set)

    @cached_property
    def held(self) -> frozenset[str]:
        """Whatever was ever around goods."""
        parcels = (parcel for each in self.genealogy.stock.parcels.values() for parcel in each)
        return frozenset(name for parcel in parcels for step in parcel.steps for name in step.chain)

    def _makings(self) -> Iterator[Making]:
        for fact in self.facts:
            run = fact.run if fact.kind == "TransformationEvent" else None
            made = fact.out_goods if run else fact.goods if is_birth(fact) else ()
            for amount in made:
                if amount.boxes and amount.lot in self.books.made_by_class:
                    continue  # labels for boxes that are counted already
                kg = self.kg(amount)
                place = fact.biz_location or fact.read_point
                yield Making(amount.lot, fact.recorded, fact.ms, place, run, amount.quantity, amount.uom, kg)

    def kg(self, amount: Amount) -> float | None:
        if amount.quantity is None:
            return None
        return self.books.kilograms(amount.lot, amount.quantity, amount.uom)

    def is_label(self, amount: Amount) -> bool:
        return bool(amount.boxes) and amount.lot in self.books.made_by_class

    def imbalance(
        self,
        kind: Kind,
        subject: str,
        lots: tuple[str, ...],
        facts: list[Fact],
        said: float,
        known: float,
        uom: str | None,
        figures: Mapping[str, float],
        *,
        severity: Severity | None = None,
        also: Iterable[RecordedEvent] = (),
        places: tuple[str, ...] | None = None,
    ) -> Imbalance:
        facts = sorted({fact.ordinal: fact for fact in facts}.values(), key=lambda fact: fact.ordinal)
        shown = [*also][: MOST_EVENTS // 2]
        events = dict.fromkeys(id(each) for each in shown)
        named = [*shown, *(fact.recorded for fact in facts if id(fact.recorded) not in events)][:MOST_EVENTS]
        named.sort(key=lambda each: (each.event.event_time, each.event.event_id or ""))
        where = places or tuple(dict.fromkeys(
            place for fact in facts for place in (fact.biz_location or fact.read_point,) if place
        ))  # fmt: skip
        return Imbalance(
            kind, subject, lots, tuple(named), where[:20], facts[-1].ms, round(said, 3), round(known, 3), uom,
            severity or self.severity(said, known), {name: round(value, 4) for name, value in figures.items()},
        )  # fmt: skip

    def severity(self, said: float, known: float) -> Severity:
        over = math.inf if known <= 0 else said / known - 1
        return (
            "high"
            if over >= self.rules.high_share
            else "medium"
            if over >= self.rules.medium_share
            else "low"
        )


def is_cull(lot: str) -> bool:
    """By the name that our own packhouse sheet gives it."""
    return product_of(lot).rpartition("/")[2].endswith("-cull")


def is_birth(fact: Fact) -> bool:
    return fact.kind == "ObjectEvent" and fact.action == "ADD"
