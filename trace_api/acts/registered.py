"""Who and what is registered, as an act needs it: organisations, places, vehicles, products.

Contract: read as the asker; one's own rows, and of others what the asker may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import psycopg

from ledger.epcis.identifiers import canonical
from ledger.genealogy import product_of
from trace_api.story import Name


@dataclass(frozen=True, slots=True)
class Organisation:
    id: str
    name: Name
    party: str
    kind: str
    gs1_prefix: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Also a vehicle or a compartment. `id` may be a door or a dock of the place that is registered."""

    id: str
    organisation: str
    kind: str
    name: Name
    region: str | None
    zone: str


@dataclass(frozen=True, slots=True)
class Product:
    """`classes`: class URIs, those under a GTIN among them."""

    id: str
    organisation: str
    name: Name
    net_content_kg: float | None
    classes: tuple[str, ...]

    @property
    def packed_class(self) -> str:
        """The class of its boxes: the trade item where it has a GTIN."""
        return next((each for each in self.classes if each.startswith(_TRADE_ITEM)), self.classes[0])

    @property
    def picked_class(self) -> str:
        """The class of what is counted in kilograms: it needs no consumer's GTIN."""
        return next((each for each in self.classes if not each.startswith(_TRADE_ITEM)), self.classes[0])


_TRADE_ITEM: Final = "https://id.gs1.org/01/"
PLOTS: Final = frozenset({"plot", "field"})
VEHICLES: Final = frozenset({"trailer", "vehicle", "truck", "compartment", "van"})

_PLACES = "SELECT id, organisation, kind, name_zh, name_en, region, time_zone FROM asker_place WHERE id = ANY (%(ids)s)"
_PRODUCTS = (
    "SELECT id, organisation, name_zh, name_en, net_content_kg, classes FROM asker_product ORDER BY id"
)


class Registered:
    """What is registered, read when first asked for, in the caller's transaction."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        self._places: dict[str, Place | None] = {}
        rows = conn.execute("SELECT id, name_zh, name_en, party, kind, gs1_prefix FROM organisation")
        self.organisations: Mapping[str, Organisation] = {
            row[0]: Organisation(row[0], Name(row[1], row[2]), row[3], row[4], row[5]) for row in rows
        }
        self._by_party = {each.party: each for each in self.organisations.values()}
        self.products: tuple[Product, ...] = tuple(
            Product(row[0], row[1], Name(row[2], row[3]), row[4], tuple(row[5]))
            for row in conn.execute(_PRODUCTS)
        )

    def place(self, uri: str) -> Place | None:
        """The place, or the one whose door, dock or stall it is."""
        if uri not in self._places:
            whole = uri.partition("/254/")[0]
            rows = self._conn.execute(_PLACES, {"ids": [uri, whole]}).fetchall()
            found = {row[0]: row for row in rows}
            row = found.get(uri) or found.get(whole)
            self._places[uri] = (
                None if row is None else Place(uri, row[1], row[2], Name(row[3], row[4]), *row[5:])
            )
        return self._places[uri]

    def by_party(self, party: str) -> Organisation | None:
        return self._by_party.get(party)

    def party(self, said: str) -> str | None:
        """The party of an organisation by its id, or a party's own URI; None for what is neither."""
        known = self.organisations.get(said)
        if known is not None:
            return known.party
        return canonical(said) if ":" in said else None

    def product(self, identity: str) -> Product | None:
        return next((each for each in self.products if each.id == identity or identity in each.classes), None)

    def product_of_lot(self, lot: str) -> Product | None:
        wanted = product_of(lot)
        matches = [
            (len(uri), each)
            for each in self.products
            for uri in each.classes
            if uri == wanted or lot.startswith(f"{uri}.")
        ]
        return max(matches, key=lambda pair: pair[0])[1] if matches else None

    def net_content(self) -> dict[str, float]:
        """By class URI, for a replay."""
        return {
            uri: each.net_content_kg
            for each in self.products
            if each.net_content_kg is not None
            for uri in each.classes
        }
