"""What an organisation holds, as it is looked at on a phone: load units with what is in them, and lots that lie loose.

Contract: read only, one's own view, events that have no place in the order yet among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

import psycopg

from trace_api.access import Person
from trace_api.acts.codes import label
from trace_api.acts.registered import Registered
from trace_api.acts.stock import Row, Stock, read_own_stock
from trace_api.papers.labels import spaced
from trace_api.story import Name


@dataclass(frozen=True, slots=True)
class Part:
    """So much of one lot. `called`: what people call it, "" if nothing else than its number. `stage`: of its way, as limits
    have it."""

    lot: str
    number: str
    called: str
    product: Name | None
    quantity: float | None
    uom: str | None
    stage: str | None

    @property
    def cull(self) -> bool:
        """What a run sorted out: it lies there until it is composted, and is never sorted again."""
        return "-cull." in self.lot


@dataclass(frozen=True, slots=True)
class Holding:
    """Goods that lie together: a load unit (`unit` is its name), or one lot loose at a place. `carried`: on a vehicle."""

    unit: str | None
    parts: tuple[Part, ...]
    place: Name | None
    vehicle: str | None
    vehicle_name: Name | None
    marks: frozenset[str]
    since: datetime

    @property
    def code(self) -> str:
        return self.unit or self.parts[0].lot

    @property
    def number(self) -> str:
        """As it stands on the label, in groups that are easily compared."""
        return digits(self.unit) if self.unit else self.parts[0].number


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is ours. `held` in hand; `away` on a vehicle."""

    stock: Stock
    called: Mapping[str, str]
    holdings: tuple[Holding, ...]

    @property
    def units(self) -> tuple[Holding, ...]:
        return tuple(each for each in self.holdings if each.unit)

    @property
    def loose(self) -> tuple[Holding, ...]:
        return tuple(each for each in self.holdings if each.unit is None)

    def about(self, code: str) -> tuple[Holding, ...]:
        """Where a lot or a unit lies, or what is on a vehicle."""
        return tuple(
            each
            for each in self.holdings
            if code in (each.unit, each.vehicle) or code in {part.lot for part in each.parts}
        )


def digits(code: str) -> str:
    """`1 9521234 00000 00010` of an SSCC, as on its label; the label's text of anything else."""
    return spaced(label(code)).removeprefix("(00) ")


def read_standing(conn: psycopg.Connection, person: Person, now: datetime) -> Standing:
    assert person.organisation is not None
    stock = read_own_stock(conn, person.organisation, now)
    called = read_called(conn)
    return Standing(stock, called, tuple(_holdings(stock, called)))


_CALLED = """
SELECT lot, facts -> 'asked' ->> 'called' FROM act, jsonb_array_elements_text(facts -> 'done' -> 'lots') AS lot
WHERE kind IN ('register_batch', 'receive') AND undone_at IS NULL AND facts -> 'asked' ->> 'called' <> '' ORDER BY at
"""


def read_called(conn: psycopg.Connection) -> dict[str, str]:
    """What people call a lot: said when it was registered, and kept apart from its number."""
    return {str(lot): str(called) for lot, called in conn.execute(_CALLED)}


def _holdings(stock: Stock, called: Mapping[str, str]) -> Iterable[Holding]:
    rows = [row for row in stock.rows if row.ours and row.quantity != 0]
    rows.sort(key=_together)
    found = [_holding(list(group), called, stock.registered) for _key, group in groupby(rows, key=_together)]
    found.sort(key=lambda each: each.since, reverse=True)
    return sorted(found, key=lambda each: each.parts[0].cull)


def _together(row: Row) -> tuple[str, str, str]:
    unit = row.containers[-1] if row.containers else ""
    unit = outermost(row) or unit
    return (unit, "", "") if unit else ("", row.lot, row.place or "")


def outermost(row: Row) -> str | None:
    """The load unit as it stands on the floor or on the truck: the last container that is no vehicle."""
    units = [name for name in row.containers if name != row.vehicle]
    return row.unit if len(units) < 2 else units[-1]


def _holding(rows: list[Row], called: Mapping[str, str], registered: Registered) -> Holding:
    first = rows[0]
    vehicle = registered.place(first.vehicle) if first.vehicle else None
    parts = [
        Part(row.lot, label(row.lot), called.get(row.lot, ""), row.product, row.quantity, row.uom, row.stage)
        for row in rows
    ]
    return Holding(
        unit=outermost(first),
        parts=tuple(summed(parts)),
        place=first.place_name,
        vehicle=first.vehicle,
        vehicle_name=vehicle.name if vehicle else None,
        marks=frozenset().union(*(row.marks for row in rows)),
        since=max(row.since for row in rows),
    )


def summed(parts: Iterable[Part]) -> Iterable[Part]:
    """A lot that lies in several portions of one place is told once."""
    by_lot: dict[str, list[Part]] = {}
    for part in parts:
        by_lot.setdefault(part.lot, []).append(part)
    for same in by_lot.values():
        known = [part.quantity for part in same if part.quantity is not None]
        yield replace(same[0], quantity=sum(known) if known else None)
