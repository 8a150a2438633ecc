"""Places: one thing, or the whole of a lot, at two of them within a time in which nobody drives there.

Where a place lies is only known of registered ones; without that the rule cannot tell.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from ledger.genealogy.balance.scales import HOUR_MS, Imbalance, Scales, Spot
from ledger.genealogy.facts import Fact
from ledger.genealogy.names import identify, site
from ledger.genealogy.parcels import NOTHING


def two_places(scales: Scales) -> Iterator[Imbalance]:
    seen: defaultdict[str, list[tuple[Fact, str, float | None]]] = defaultdict(list)
    for fact in scales.facts:
        place = fact.read_point or fact.biz_location
        if (
            place is None
            or fact.kind in ("AssociationEvent", "TransformationEvent")
            or fact.step == "sensor_reporting"
        ):
            continue
        for name in (*fact.nodes, *([fact.parent] if fact.parent else ())):
            if identify(name).scheme == "sscc":
                seen[name].append((fact, place, None))
        for amount in fact.goods:
            for box in amount.boxes:
                seen[box].append((fact, place, None))
            if not amount.boxes and fact.kind == "ObjectEvent" and amount.quantity is not None:
                seen[amount.lot].append(
                    (fact, place, scales.books.bridge(amount.lot, amount.quantity, amount.uom))
                )
    for name, sightings in seen.items():
        yield from _travels(scales, name, sightings)


def _travels(
    scales: Scales, name: str, sightings: list[tuple[Fact, str, float | None]]
) -> Iterator[Imbalance]:
    placed = [(fact, place, spot, held) for fact, place, held in sightings if (spot := _spot(scales, place))]
    is_lot = name in scales.genealogy.stock.parcels and name in scales.made_by
    if len(placed) < len(sightings) and name in scales.genealogy.stock.parcels:
        scales.cannot[name] |= {"two_places"}
    for (fact, place, spot, held), (later, there, its, other) in pairwise(placed):
        apart, hours = kilometres(spot, its), (later.ms - fact.ms + scales.rules.road_slack_ms) / HOUR_MS
        if apart <= scales.rules.near_km or apart <= scales.rules.fastest_kmh * hours:
            continue
        if name in scales.genealogy.stock.parcels:
            made = scales.books.made(name) if is_lot else None
            if made is None or held is None or other is None:
                continue
            if held + other <= made * (1 + scales.allowance(name).mass_tolerance) + NOTHING:
                continue  # two parts of it
        figures = {"km": round(apart, 1), "minutes": round((later.ms - fact.ms) / 60_000, 1)}
        yield scales.imbalance(
            "two_places", name, _lots_in(scales, name, fact), [fact, later], apart / hours, scales.rules.fastest_kmh,
            "KMH", figures, severity="high", places=(place, there),
        )  # fmt: skip
        return


def _spot(scales: Scales, place: str) -> Spot | None:
    return scales.spots.get(place) or scales.spots.get(site(place) or "")


def _lots_in(scales: Scales, name: str, fact: Fact) -> tuple[str, ...]:
    if name in scales.genealogy.stock.parcels:
        return (name,)
    return tuple(sorted({parcel.lot for parcel in scales.genealogy.parcels_answering(name)}))


def kilometres(one: Spot, other: Spot) -> float:
    """Along the great circle (haversine), on a sphere of 6371 km: an error of half a percent, for speeds of lorries."""
    (a, b), (c, d) = ((math.radians(each) for each in spot) for spot in (one, other))
    half = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 12_742 * math.asin(math.sqrt(half))
