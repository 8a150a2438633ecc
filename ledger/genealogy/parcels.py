"""The pieces that the walk moves about: parcels of a lot, and the things that hold them.

In the line: used by stock.py alone while it walks; portions.py and presence.py read the trails it leaves.
Contract: a parcel's quantity only shrinks, or grows where it was made; a parcel that is split keeps its name
and its trail, and the piece remembers from which parcel and after how many steps it was taken, so that
history is shared and never copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ledger.genealogy.labels import LabelRange

PlaceKind = Literal["biz_location", "read_point"]
# Quantities are sums and differences of what people typed: below a milligram there is nothing.
NOTHING = 1e-6


def tag_of(event: str, lot: str) -> str:
    """How a parcel is named by the event that began it; of several of one lot, all but the first bear a number behind it."""
    return f"{event}#{hashlib.sha256(lot.encode()).hexdigest()[:8]}"


def untagged(name: str) -> str:
    """A parcel's name without that number."""
    event, sign, rest = name.rpartition("#")
    return f"{event}{sign}{rest.partition('.')[0]}"


@dataclass(frozen=True, slots=True)
class Step:
    """How a parcel stood after one event. `chain`: containers from the innermost out."""

    ordinal: int
    ms: int
    chain: tuple[str, ...]
    in_vehicle: bool
    place: str | None
    place_kind: PlaceKind | None
    stage: str | None
    holder: str | None
    giver: str | None


@dataclass(slots=True, eq=False)
class Parcel:
    """So much of a lot that stays together. `quantity` None: nobody said how much. `touched`: ordinal of the
    last event about it. `made_by`: the organisation whose event began it. `made_later`: of goods that were named before they were
    made, how much of them which event made."""

    name: str
    lot: str
    quantity: float | None
    uom: str | None
    born_ms: int
    touched: int
    made_by: str = ""
    run: str | None = None
    found: bool = False
    made_later: dict[int, float] = field(default_factory=dict)
    origin: Parcel | None = None
    origin_steps: int = 0
    alternatives: tuple[str, ...] = ()
    container: str | None = None
    place: str | None = None
    place_kind: PlaceKind | None = None
    stage: str | None = None
    holder: str | None = None
    documents: frozenset[str] = frozenset()
    labels: tuple[LabelRange, ...] = ()
    boxes: set[str] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    ending: str | None = None
    ended_ms: int | None = None
    ended_by: str | None = None

    def piece(self, name: str, quantity: float, boxes: set[str], ms: int, ordinal: int) -> Parcel:
        """Take `quantity` out under a new name; what is left keeps the old one."""
        if self.quantity is not None:
            self.quantity -= quantity
        self.boxes -= boxes
        return Parcel(
            name=name,
            lot=self.lot,
            quantity=quantity,
            uom=self.uom,
            born_ms=ms,
            touched=ordinal,
            made_by=self.made_by,
            run=self.run,
            found=self.found,
            made_later=self.made_later,
            origin=self,
            origin_steps=len(self.steps),
            container=self.container,
            place=self.place,
            place_kind=self.place_kind,
            stage=self.stage,
            holder=self.holder,
            documents=self.documents,
            labels=self.labels,
            boxes=set(boxes),
        )

    def history(self) -> list[Step]:
        """All steps, those before the split first."""
        parts, parcel, count = [], self, len(self.steps)
        while True:
            parts.append(parcel.steps[:count])
            if parcel.origin is None:
                break
            count, parcel = parcel.origin_steps, parcel.origin
        return [step for part in reversed(parts) for step in part]

    def line(self) -> Iterator[Parcel]:
        """This parcel, the one it was taken from, and so on."""
        parcel: Parcel | None = self
        while parcel is not None:
            yield parcel
            parcel = parcel.origin


@dataclass(slots=True, eq=False)
class Node:
    """A thing that may hold others: a load unit, a crate, a vehicle or one of its compartments."""

    name: str
    vehicle: bool
    inside: str | None = None
    place: str | None = None
    place_kind: PlaceKind | None = None
    nodes: dict[str, None] = field(default_factory=dict)
    parcels: dict[str, Parcel] = field(default_factory=dict)


def base_vehicle(name: str) -> str | None:
    """The trailer of a compartment, which is named by a suffix (`.../8004/952...TRAILER07.REAR`)."""
    head, _, tail = name.rpartition("/")
    stem, dot, _ = tail.rpartition(".")
    return f"{head}/{stem}" if dot and stem and head.endswith("/8004") else None
