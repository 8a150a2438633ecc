"""The mass balance as rows: what was made of each lot, what could not be judged of it, and what does not add up.

In the line: the one walk over connected lots -> `ledger.genealogy.balance` -> `lot_making`, `lot_unjudged`, `finding`. Contract:
the rows of a lot are those of its events and of the registry, whatever was there before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import psycopg

from ingest.projection.grants import ids_of
from ingest.projection.lot_rows import replace
from ingest.projection.rows import moment
from ingest.radar import findings
from ingest.radar.findings import Finding
from ingest.radar.thresholds import Thresholds, shipped
from ledger.genealogy import Genealogy
from ledger.genealogy.balance import KINDS, Allowance, Imbalance, Making, Spot, balance, is_cull

_ALLOWANCES = """
SELECT class.uri, figure.name, figure.value FROM product CROSS JOIN unnest(product.classes) AS class (uri)
JOIN figure ON figure.subject = product.id AND figure.name IN ('mass_tolerance', 'moisture_gain', 'yield_most', 'cull_least')
"""
_SPOTS = "SELECT id, latitude, longitude FROM place WHERE latitude IS NOT NULL AND id = ANY (%s)"


def project(conn: psycopg.Connection, genealogy: Genealogy, lots: Collection[str], now: datetime) -> None:
    """`lots`: those whose rows the walk knows in full."""
    rules = shipped()
    weighed = balance(genealogy, _allowances(conn, rules), rules.balance.rules, _spots(conn, genealogy))
    makings = [making for making in weighed.makings if making.lot in lots]
    shown = [each for each in weighed.imbalances if set(each.lots) & set(lots)]
    ids = ids_of(
        conn, [*(making.event for making in makings), *(event for each in shown for event in each.events)]
    )
    replace(
        conn,
        "lot_making",
        _MAKING,
        [_making(each, ids) for each in makings if each.event.position in ids],
        lots,
    )
    mute = sorted((lot, kind) for lot, kinds in weighed.cannot.items() if lot in lots for kind in kinds)
    replace(conn, "lot_unjudged", ("lot", "kind"), mute, lots)
    findings.keep(conn, [_finding(each, ids) for each in shown], KINDS, now, lots=lots, late=True)


def _allowances(conn: psycopg.Connection, rules: Thresholds) -> Callable[[str], Allowance]:
    """By lot, the narrowest class first; what a cull may do is what nobody asks."""
    figures: dict[str, dict[str, float]] = {}
    for uri, name, value in conn.execute(_ALLOWANCES):
        figures.setdefault(uri, {})[name] = value
    classes = sorted(figures, key=len, reverse=True)
    general = Allowance(rules.balance.mass_tolerance)

    def of(lot: str) -> Allowance:
        for uri in () if is_cull(lot) else classes:
            if lot == uri or lot.startswith((uri + "/", uri + ".")):
                known = figures[uri]
                return Allowance(
                    known.get("mass_tolerance", general.mass_tolerance), known.get("moisture_gain", 0.0),
                    known.get("yield_most"), known.get("cull_least"),
                )  # fmt: skip
        return general

    return of


def _spots(conn: psycopg.Connection, genealogy: Genealogy) -> dict[str, Spot]:
    named = {place for fact in genealogy.facts for place in (fact.read_point, fact.biz_location) if place}
    named |= {place.split("/254/", 1)[0] for place in named}
    rows = conn.execute(_SPOTS, [sorted(named)])
    return {str(place): (float(latitude), float(longitude)) for place, latitude, longitude in rows}


_MAKING = ("lot", "event", "organisation", "made_at", "place", "run", "boxes", "kg")


def _making(making: Making, ids: dict[int | None, int]) -> tuple[Any, ...]:
    boxes = making.quantity if making.uom is None else None
    return (
        making.lot, ids[making.event.position], making.event.organisation, moment(making.ms), making.place, making.run,
        boxes, making.kg,
    )  # fmt: skip


def _finding(each: Imbalance, ids: dict[int | None, int]) -> Finding:
    body = {"said": each.said, "known": each.known, "uom": each.uom, "figures": dict(each.figures)}
    events = tuple(ids[event.position] for event in each.events if event.position in ids)
    who = tuple(sorted({event.organisation for event in each.events}))
    return Finding(
        each.kind, each.subject, each.severity, each.lots, each.places, who, events, moment(each.at_ms), body
    )
