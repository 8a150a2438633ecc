"""What lots are made of, by weight, and where and by whom they were harvested.

In the line: the one walk over connected lots -> here -> `lot_input`, `lot_harvest`, on which hold proposals rest
(deploy/schema/0035_holds.sql). Contract: the rows of a lot are those of its events, whatever was there before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

import psycopg

from ingest.projection.lot_rows import Row, replace
from ingest.projection.rows import moment
from ledger.genealogy import Genealogy
from ledger.genealogy.facts import Fact, master_datum

_TABLES = {
    "lot_input": ("lot", "source", "kilograms", "share"),
    "lot_harvest": ("lot", "organisation", "plot", "grower", "first_at", "last_at"),
}
_MAKING = frozenset({"commissioning", "creating_class_instance"})


def project(conn: psycopg.Connection, genealogy: Genealogy, lots: Collection[str]) -> None:
    """`lots`: those whose rows the walk knows in full."""
    made = {row for lot in lots for row in _inputs(genealogy, lot)}
    replace(conn, "lot_input", _TABLES["lot_input"], made, lots)
    mixed = {row[0] for row in made}
    picked = {row for row in _harvests(genealogy) if row[0] in lots and row[0] not in mixed}
    replace(conn, "lot_harvest", _TABLES["lot_harvest"], picked, lots)


def _inputs(genealogy: Genealogy, lot: str) -> Iterator[Row]:
    """Over all runs that made it. One weight that is not known leaves every share unknown."""
    stock = genealogy.stock
    runs = {
        parcel.run
        for parcel in stock.parcels.get(lot, ())
        if parcel.origin is None and parcel.run is not None
    }
    weights: dict[str, float | None] = {}
    for run in sorted(runs):
        for source, (quantity, uom) in stock.runs[run].inputs.items():
            kilograms = None if quantity is None else stock.books.kilograms(source, quantity, uom)
            before = weights.get(source, 0.0)
            weights[source] = None if before is None or kilograms is None else before + kilograms
    known = [weight for weight in weights.values() if weight is not None]
    total = sum(known) if len(known) == len(weights) else 0.0
    for source, weight in weights.items():
        if source != lot:
            yield lot, source, weight, weight / total if weight is not None and total > 0 else None


def _harvests(genealogy: Genealogy) -> Iterator[Row]:
    """Whoever picks again into a lot need not say again whose it is."""
    times: defaultdict[tuple[str, str, str | None], list[int]] = defaultdict(list)
    growers: dict[tuple[str, str], str] = {}
    givers: dict[str, str] = {}
    for fact in genealogy.facts:
        for each in fact.goods:
            if _is_picking(fact):
                times[each.lot, fact.recorded.organisation, fact.biz_location or fact.read_point].append(
                    fact.ms
                )
                if (grower := _grower(fact)) is not None:
                    growers.setdefault((each.lot, fact.recorded.organisation), grower)
            elif fact.step == "receiving" and fact.giver is not None:
                givers.setdefault(each.lot, fact.giver)
    for (lot, organisation, plot), found in times.items():
        grower = growers.get((lot, organisation)) or givers.get(lot)
        yield lot, organisation, plot, grower, moment(min(found)), moment(max(found))


def _is_picking(fact: Fact) -> bool:
    return fact.kind == "ObjectEvent" and fact.action == "ADD" and fact.step in _MAKING


def _grower(fact: Fact) -> str | None:
    said = master_datum(fact.event, "growerRef")
    return said if isinstance(said, str) and said else None
