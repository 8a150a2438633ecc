"""After the market, as events: split for a shop, the shelf, and what stall and shop sell day by day.

In the line: plan -> these steps -> journey. Contract: a part that leaves the stall travels under an SSCC of
its own, with the serials on its boxes; sales to buyers nobody knows say so rather than inventing one.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulators import keys, places
from simulators.scenario import MINUTE
from simulators.statements import Forms, Step, destination, source, trade, where

_STALL = where(places.STALL_ROOM.id, places.STALL_ROOM.id)
_UNKNOWN = f"{keys.VOC}unknownBuyer"


def steps(forms: Forms) -> Iterator[Step]:
    yield from _splitting(forms)
    yield from _to_the_shelf(forms)
    yield from _shop_sales(forms)
    yield from _stall_sales(forms)


def _splitting(forms: Forms) -> Iterator[Step]:
    for k, drop in enumerate(forms.plan.drops):
        unit = forms.plan.unit(drop.unit)
        content = {"childQuantityList": [forms.boxes(drop.boxes, unit.lot)]}
        labels = forms.labels(unit.lot, unit.first, unit.first + drop.boxes - 1)
        out, into = f"splitting {k}: out", f"splitting {k}: in"
        taken = forms.take_out(
            out,
            drop.unpacked_at,
            "unpacking",
            "in_progress",
            {"parentID": unit.sscc},
            content,
            _STALL,
            labels,
        )
        packed = forms.put_in(
            into, drop.packed_at, "packing", "in_progress", {"parentID": drop.sscc}, content, _STALL, labels
        )
        yield forms.step(out, drop.unpacked_at, "stall-terminal", taken)
        yield forms.step(into, drop.packed_at, "stall-terminal", packed)


def _to_the_shelf(forms: Forms) -> Iterator[Step]:
    plan, shelf = forms.plan, where(places.SHOP_SHELF.id, places.SHOP_SHELF.id)
    epcs = {"epcList": [drop.sscc for drop in plan.drops]}
    shipped = forms.observe(
        "shipping",
        plan.shipped_at,
        "shipping",
        "in_transit",
        epcs,
        where(places.STALL_ROOM.id),
        {"bizTransactionList": [trade("inv", f"{keys.OWN}/bt/sale/{plan.day}-501")]},
        source(places.STALL.party, places.STALL.party),
        destination(places.SHOP.party, places.SHOP.party),
    )
    shelved = forms.observe("shelving", plan.shelved_at, "receiving", "sellable_accessible", epcs, shelf)
    yield forms.step("shipping", plan.shipped_at, "stall-terminal", shipped)
    yield forms.step("shelving", plan.shelved_at, "shop-terminal", shelved)


def _shop_sales(forms: Forms) -> Iterator[Step]:
    till = where(f"{places.SHOP_SHELF.id}/254/POS1")
    for k, (at_s, count) in enumerate(forms.plan.shop_sales):
        amount = {"quantityList": [forms.boxes(count, forms.plan.lot)]}
        basis = {"suyuan:aggregatedFrom": "POS half-day total"}
        sold = forms.end(f"sold {k}", at_s, "retail_selling", "retail_sold", amount, till, basis)
        yield forms.step(f"sold {k}", at_s, "shop-terminal", sold)


def _stall_sales(forms: Forms) -> Iterator[Step]:
    plan = forms.plan
    for k, (at_s, name, count) in enumerate(plan.stall_sales):
        unit = plan.unit(name)
        boxes = [forms.boxes(count, unit.lot)]
        parent = {"parentID": unit.sscc, "childQuantityList": boxes}
        taken = forms.take_out(f"stall sale {k}: out", at_s, "unpacking", "in_progress", parent, _STALL)
        sold = forms.observe(
            f"stall sale {k}",
            at_s + 3 * MINUTE,
            "shipping",
            "in_transit",
            {"quantityList": boxes},
            where(places.STALL_ROOM.id),
            {"bizTransactionList": [trade("inv", f"{keys.OWN}/bt/sale/{plan.day}-{600 + k}")]},
            source(places.STALL.party, places.STALL.party),
            destination(_UNKNOWN, _UNKNOWN),
        )
        yield forms.step(f"stall sale {k}: out", at_s, "stall-terminal", taken)
        yield forms.step(f"stall sale {k}", at_s + 3 * MINUTE, "stall-terminal", sold)
