"""What can be chosen in a form: places, products, vehicles, parties, and the goods that are there.

Contract: read as the asker; each list is read when a form asks for it. A choice is a value and what is shown for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

import psycopg

from ledger.genealogy.names import site
from trace_api.access import Person
from trace_api.acts.codes import label
from trace_api.acts.registered import VEHICLES, Product
from trace_api.scan.sheets import Source
from trace_api.scan.standing import Holding, Part, Standing, digits, outermost, summed
from trace_api.story import Name
from trace_api.words import Words

Choice = tuple[str, str]
_ROOMS = (
    "cold_store", "precooling", "packhouse", "collection", "stall", "shelf", "shop", "store", "dock", "transfer", "yard"
)  # fmt: skip
_ARRIVING = (
    "dock",
    "stall",
    "shelf",
    "shop",
    "store",
    "cold_store",
    "packhouse",
    "collection",
    "transfer",
    "yard",
)
_LOADING = ("cold_store", "packhouse", "collection", "dock", "transfer", "stall")
SHRINK_REASONS = (
    "cull_to_compost",
    "spoiled",
    "past_best_before",
    "weighing_difference",
    "refused",
    "recalled",
    "other",
)

# One's own first: a place that is registered twice is told once.
_PLACES = """
SELECT id, organisation, kind, name_zh, name_en, organisation = %(us)s AS own FROM place
UNION
SELECT id, organisation, kind, name_zh, name_en, organisation = %(us)s AS own FROM published_place
ORDER BY own DESC, id
"""


class Choices:
    """For one person, one language and one page."""

    def __init__(self, conn: psycopg.Connection, person: Person, words: Words, standing: Standing) -> None:
        self._conn, self._person, self._words, self._standing = conn, person, words, standing

    def of(self, source: Source) -> list[Choice]:
        lists: Mapping[Source, Callable[[], Iterable[Choice]]] = {
            "products": lambda: self._named_products(self.products),
            "own_products": lambda: self._named_products(self._own_products),
            "plots": lambda: self._own("plot", "field"),
            "at_collection": lambda: self._own("collection", *_ROOMS),
            "at_precooling": lambda: self._own("precooling", *_ROOMS),
            "at_packhouse": lambda: self._own("packhouse", *_ROOMS),
            "at_cold_store": lambda: self._own("cold_store", *_ROOMS),
            "destinations": lambda: self._anywhere(*_ARRIVING),
            "docks": self._docks,
            "gates": lambda: self._anywhere("gate"),
            "yards": lambda: self._anywhere("yard", "dock"),
            "vehicles": lambda: self._anywhere(*sorted(VEHICLES)),
            "carriers": lambda: self._parties("carrier"),
            "growers": lambda: self._parties("grower"),
            "organisations": lambda: self._parties(
                "market", "stall", "retailer", "packer", "warehouse", "carrier", "grower"
            ),
            "buyers": self._buyers,
            "weighed": lambda: self._lots(lambda part: part.stage == "field"),
            "kilograms": lambda: self._lots(lambda part: part.uom == "KGM" and not part.cull),
            "boxed": lambda: self._lots(lambda part: part.uom is None),
            "loose": lambda: self._lots(lambda part: True),
            "everything": self._every_lot,
            "units": self._units,
            "where_it_lies": self._where_it_lies,
            "loaded": self._loaded,
            "shrink_reasons": lambda: [
                (reason, self._words(f"scan_shrink_{reason}")) for reason in SHRINK_REASONS
            ],
        }
        return list(lists[source]())

    def named(self, code: str) -> str:
        """What a lot, a unit or a place is called, also where it is not (or no more) among ours."""
        for holding in self._standing.about(code):
            if holding.unit == code:
                return self._unit(holding)
        for part in self._loose():
            if part.lot == code:
                return self._part(part)
        place = self._standing.stock.registered.place(code)
        return self._words.name(place.name) if place else digits(code)

    @property
    def products(self) -> list[Product]:
        """Our own; a grower picks for the co-operative, and takes those that are published."""
        every = self._standing.stock.registered.products
        return self._own_products or list({each.id: each for each in every}.values())

    @property
    def _own_products(self) -> list[Product]:
        every = self._standing.stock.registered.products
        return [each for each in every if each.organisation == self._person.organisation]

    def _named_products(self, products: Iterable[Product]) -> Iterable[Choice]:
        return ((each.id, self._words.name(each.name)) for each in products)

    @cached_property
    def _places(self) -> list[tuple[str, str, str, Name]]:
        rows = self._conn.execute(_PLACES, {"us": self._person.organisation})
        return [(place, organisation, kind, Name(zh, en)) for place, organisation, kind, zh, en, _own in rows]

    def _own(self, *kinds: str) -> Iterable[Choice]:
        """One's own places of these kinds, in the order of the kinds; a grower's plots are the co-operative's."""
        ours = [each for each in self._places if each[1] == self._person.organisation and each[2] in kinds]
        found = ours or ([each for each in self._places if each[2] in kinds] if "plot" in kinds else [])
        found.sort(key=lambda each: (kinds.index(each[2]), each[0]))  # the first kind named is the likeliest
        return ((place, self._words.name(name)) for place, _organisation, _kind, name in found)

    def _anywhere(self, *kinds: str) -> Iterable[Choice]:
        return (
            (place, self._words.name(name))
            for place, _organisation, kind, name in self._places
            if kind in kinds
        )

    def _docks(self) -> Iterable[Choice]:
        """One's own rooms; a carrier has none, and loads where others' goods stand."""
        return list(self._own("cold_store", *_ROOMS)) or self._anywhere(*_LOADING)

    def _parties(self, *kinds: str) -> Iterable[Choice]:
        us = self._person.organisation
        known = self._standing.stock.registered.organisations.values()
        found = [each for each in known if each.kind in kinds and (each.id != us or kinds == ("carrier",))]
        found.sort(key=lambda each: (kinds.index(each.kind), each.id))
        return ((each.id, self._words.name(each.name)) for each in found)

    def _buyers(self) -> Iterable[Choice]:
        yield from self._parties("stall", "retailer", "market", "packer", "warehouse")
        yield "unknown", self._words("scan_unknown_buyer")

    def _lots(self, fits: Callable[[Part], bool]) -> Iterable[Choice]:
        """Each lot once, with all of it that lies loose and fits, wherever that is."""
        return ((part.lot, self._part(part)) for part in self._loose(fits))

    def _loose(self, fits: Callable[[Part], bool] = lambda part: True) -> Iterable[Part]:
        parts = [
            part for holding in self._standing.loose if holding.vehicle is None for part in holding.parts
        ]
        return summed(filter(fits, parts))

    def _every_lot(self) -> Iterable[Choice]:
        """Each lot once, wherever it lies: loose, packed, on a truck."""
        parts = {part.lot: part for holding in self._standing.holdings for part in holding.parts}
        return (
            (lot, f"{part.called} · {part.number}" if part.called else part.number)
            for lot, part in parts.items()
        )

    def _where_it_lies(self) -> Iterable[Choice]:
        """Each place where something of ours is, a hall once and not for each of its doors."""
        rows = (row for row in self._standing.stock.rows if row.ours and row.vehicle is None)
        names = {site(row.place): row.place_name for row in rows if row.quantity != 0}
        return sorted((place, self._words.name(name)) for place, name in names.items() if place and name)

    def _units(self) -> Iterable[Choice]:
        return ((each.unit, self._unit(each)) for each in self._standing.units if each.unit)

    def _loaded(self) -> Iterable[Choice]:
        """Vehicles with something on them that is ours, or that we put there for a carrier."""
        units: dict[str, set[str]] = {}
        for row in self._standing.stock.rows:
            if row.vehicle and (row.ours or row.custody.handled):
                units.setdefault(row.vehicle, set()).add(outermost(row) or row.lot)
        for vehicle, found in units.items():
            place = self._standing.stock.registered.place(vehicle)
            name = self._words.name(place.name) if place else label(vehicle)
            yield vehicle, self._words("scan_vehicle_with", vehicle=name, count=len(found))

    def _part(self, part: Part) -> str:
        called = part.called or (self._words("scan_cull") if part.cull else "")
        name = f"{called} · {part.number}" if called else part.number
        if part.quantity is None:
            return name
        return self._words(
            "scan_lot_left", lot=name, left=self._words.quantity(round(part.quantity, 2), part.uom)
        )

    def _unit(self, holding: Holding) -> str:
        inside = self._words("work_comma").join(
            f"{part.number} {self._words.quantity(part.quantity, part.uom)}"
            if part.quantity is not None
            else part.number
            for part in holding.parts
        )
        return self._words("scan_unit_with", unit=holding.number, inside=inside)
