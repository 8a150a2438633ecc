"""Load units: more packed into them by a lot's maker than there was of it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

from ledger.genealogy.balance.scales import Imbalance, Scales
from ledger.genealogy.facts import Fact
from ledger.genealogy.names import identify
from ledger.genealogy.parcels import NOTHING


def packed_twice(scales: Scales) -> Iterator[Imbalance]:
    """More packed by its maker, into units that were all still about, than there was. A unit that was never heard of again
    may have been opened by somebody who forgot to say so."""
    last = _last_heard(scales)
    for lot, packings in _packings(scales).items():
        made = scales.books.made(lot)
        if made is None:
            continue
        tolerance = scales.allowance(lot).mass_tolerance
        if (
            sum(quantity for _, quantity in packings if 0 < quantity < math.inf)
            <= made * (1 + tolerance) + NOTHING
        ):
            continue  # most lots: nothing was packed twice, and nobody needs to know when
        inside: dict[str, float] = {}
        by: dict[str, list[Fact]] = {}
        worst: tuple[float, list[Fact]] | None = None
        for fact, quantity in packings:
            unit = fact.parent or ""
            inside[unit] = 0.0 if math.isinf(quantity) else max(0.0, inside.get(unit, 0.0) + quantity)
            by.setdefault(unit, []).append(fact)
            standing = {
                name: held for name, held in inside.items() if name == unit or last[name] > fact.ordinal
            }
            total = sum(standing.values())
            if (
                quantity > 0
                and total > made * (1 + tolerance) + NOTHING
                and (worst is None or total > worst[0])
            ):
                worst = total, [each for name in standing for each in by[name]]
        if worst is not None:
            said, facts = worst
            yield scales.imbalance(
                "more_than_made", lot, (lot,), facts, said, made, scales.books.unit(lot, None),
                {"tolerance": tolerance, "made": made, "packed": said}, also=[each.event for each in scales.made_by[lot]],
            )  # fmt: skip


def _packings(scales: Scales) -> Mapping[str, list[tuple[Fact, float]]]:
    """By lot what its makers put into load units (+) and took out (-inf: all)."""
    makers = {lot: {each.event.organisation for each in made} for lot, made in scales.made_by.items()}
    found: defaultdict[str, list[tuple[Fact, float]]] = defaultdict(list)
    held: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for fact in scales.facts:
        if fact.kind != "AggregationEvent" or fact.parent is None or identify(fact.parent).scheme != "sscc":
            continue
        out = fact.action == "DELETE"
        for amount in fact.goods:
            known = (
                None
                if amount.quantity is None
                else scales.books.bridge(amount.lot, amount.quantity, amount.uom)
            )
            if known is None or (not out and fact.action != "ADD"):
                continue
            if out or fact.recorded.organisation in makers.get(amount.lot, ()):
                found[amount.lot].append((fact, -known if out else known))
                held[fact.parent][amount.lot] = None
        if out and not fact.goods and not fact.nodes:
            for lot in held[fact.parent]:
                found[lot].append((fact, math.inf))
    return found


def _last_heard(scales: Scales) -> Mapping[str, int]:
    last: defaultdict[str, int] = defaultdict(lambda: -1)
    for fact in scales.facts:
        for name in (*fact.nodes, *([fact.parent] if fact.parent else ())):
            last[name] = fact.ordinal
    return last
