"""People of a world doing what they do, through `perform`, on a real database: as the pages and the JSON API call it.

`Doing` keeps the clock: each act happens a minute after the one before, unless it says when.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import psycopg
from psycopg_pool import ConnectionPool

from ledger.persons import Vault
from simulators import places, scenario
from simulators.world import World
from tests.acceptance.instance import Instance
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.acts import Certificate, Done, Undone, certifying, perform, read_act, read_form, undo
from trace_api.acts.shapes import Promise

START = datetime(2026, 6, 18, 0, 0, tzinfo=UTC)
PUBLIC_URL = "https://trace.example"
PEOPLE = {
    "coop": ("xj-coop", "packer"),
    "grower": ("g-0137", "grower"),
    "carrier": ("carrier-1", "carrier"),
    "other_carrier": ("carrier-2", "carrier"),
    "market": ("hz-market", "market"),
    "stall": ("hz-stall-b12", "stall"),
    "shop": ("hz-shop-1", "retailer"),
}
COOP, CARRIER, MARKET, STALL, SHOP = (
    places.COOP.id, places.CARRIERS[0].id, places.MARKET.id, places.STALL.id, places.SHOP.id
)  # fmt: skip
PLOT = places.PLOTS[0].place.id
STATION, PRECOOLING, PACKHOUSE, COLD_STORE = (
    places.COLLECTION.id, places.PRECOOLING.id, places.PACKHOUSE.id, places.COLD_STORE.id
)  # fmt: skip
DOCK, GATE, YARD, STALL_ROOM, SHELF = (
    f"{places.DOCK.id}/254/7", places.GATE.id, places.YARD.id, places.STALL_ROOM.id, places.SHOP_SHELF.id
)  # fmt: skip
TRUCK = places.VEHICLES[0].id
OTHER_TRUCK = places.VEHICLES[1].id
GTIN = scenario.GTIN


def person(who: str) -> Person:
    organisation, role = PEOPLE[who]
    account = uuid5(UUID("6f1d3c1e-5a52-5c0b-9a53-7d5e6f0c2b11"), who)
    return Person(account, who, who, organisation, frozenset({role}))


class Doing:
    """`registry`: another than the simulated world's."""

    def __init__(self, instance: Instance, registry: dict[str, Any] | None = None) -> None:
        self.instance = instance
        instance.register(registry or World(20260618, START).registry())
        self.now = START
        self.vault = Vault(instance.keys.organisation_key)
        self._api = ConnectionPool(instance.database.service("api"), min_size=1, max_size=6, open=True)
        self.databases = Databases(self._api, self._api)

    def close(self) -> None:
        self._api.close()

    @contextmanager
    def acting(self, who: str) -> Iterator[psycopg.Connection]:
        with access.acting(self.databases, person(who)) as conn:
            yield conn

    def tick(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now

    def do(self, who: str, kind: str, **fields: Any) -> Done:
        act = read_act(kind, fields)
        with self.acting(who) as conn:
            return perform(conn, person(who), act, self.tick(), PUBLIC_URL, self.vault)

    def undo(self, who: str, act: UUID, kind: str | None = None, **fields: Any) -> Undone:
        correction = None if kind is None else read_act(kind, fields)
        with self.acting(who) as conn:
            return undo(conn, person(who), act, self.tick(), PUBLIC_URL, self.vault, correction)

    def certify(self, who: str, **fields: Any) -> Certificate:
        promise = read_form(Promise, fields)
        assert isinstance(promise, Promise)
        with self.acting(who) as conn:
            return certifying.issue_certificate(
                conn, person(who), promise, self.tick(), PUBLIC_URL, self.vault
            )

    def settle(self) -> None:
        self.instance.settle(self.now + timedelta(seconds=30))

    def events(self) -> int:
        return int(self.instance.one("SELECT count(*) FROM event"))

    # --- the usual way of the goods ----------------------------------------------------------------------------

    def picked(self, kg: float = 500, who: str = "coop") -> str:
        (lot,) = self.do(
            who, "register_batch", product=GTIN, plot=PLOT, kg=kg, interval_checked=True, variety="东魁"
        ).lots
        return lot

    def weighed(self, kg: float = 500, bought: bool = True) -> str:
        lot = self.picked(kg)
        self.do(
            "coop",
            "weigh_in",
            lot=lot,
            kg=kg,
            place=STATION,
            bought=bought,
            grower="g-0137",
            pulp="24.5 25.1",
            tare_kg=50,
        )
        return lot

    def cooled(self, kg: float = 500) -> str:
        lot = self.weighed(kg)
        self.do("coop", "precool_start", goods=[{"lot": lot}], place=PRECOOLING)
        self.do("coop", "precool_end", goods=[{"lot": lot}], pulp=[2.1, 2.6, 3.0])
        return lot

    def mixed(self, kg: float = 500, boxes: int = 200, cull_kg: float = 40, certify: bool = True) -> Done:
        lot = self.cooled(kg)
        return self.do(
            "coop",
            "mix",
            inputs=[{"lot": lot}],
            outputs=[{"product": GTIN, "boxes": boxes, "grade": "A"}],
            cull_kg=cull_kg,
            place=PACKHOUSE,
            best_before="2026-06-23",
            **({"certify": {"contact": "0576-5550100", "basis": ["self_inspection"]}} if certify else {}),
        )

    def packed(self, boxes: int = 40, **mixed: Any) -> tuple[str, str]:
        """(lot, unit), in the cold store."""
        (lot,) = self.mixed(**mixed).lots
        (unit,) = self.do("coop", "pack", lot=lot, boxes=boxes, packaging="泡沫箱").units
        self.do("coop", "store", units=[unit], place=COLD_STORE, door=f"{COLD_STORE}/254/DOOR1")
        return lot, unit

    def loaded(self, **packed: Any) -> tuple[str, str]:
        lot, unit = self.packed(**packed)
        self.load(unit)
        self.settle()
        return lot, unit

    def load(self, unit: str, **fields: Any) -> Done:
        said = {"who": "coop", "vehicle": TRUCK, "carrier": CARRIER} | fields
        return self.do(
            said.pop("who"),
            "load",
            units=[unit],
            pulp="1.8 2.2 2.4",
            agreed_low_c=0,
            agreed_high_c=5,
            compartment_c=2.5,
            set_point_c=2,
            seals="JJ0098811",
            place=f"{COLD_STORE}/254/DOCK1",
            **said,
        )

    def arrived(self, **packed: Any) -> tuple[str, str]:
        """At the market's dock, out of the truck."""
        lot, unit = self.loaded(**packed)
        self.do("carrier", "depart", vehicle=TRUCK, destination=YARD, seals=["JJ0098811"])
        self.do("carrier", "arrive", vehicle=TRUCK, gate=GATE, yard=YARD)
        self.settle()
        self.do("market", "unload", vehicle=TRUCK, place=DOCK, seals_found="JJ0098811", seal_intact=True)
        return lot, unit

    def accepted(self, **packed: Any) -> tuple[str, str]:
        """At the stall."""
        lot, unit = self.arrived(**packed)
        self.do("market", "inspect", units=[unit], conformant=True, pulp="2.8 3.1")
        self.settle()
        self.do("stall", "accept", units=[unit], place=STALL_ROOM, seller=COOP, giver=CARRIER)
        self.settle()
        return lot, unit
