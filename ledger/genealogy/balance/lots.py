"""Lots: moved before they were made, and more of them sold, destroyed and used up than there was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from ledger.genealogy.balance.scales import HOUR_MS, Imbalance, Scales, is_birth
from ledger.genealogy.facts import Amount, Fact
from ledger.genealogy.parcels import NOTHING, Parcel, Step
from ledger.genealogy.taking import STILL

_NO_ENDING: Final = ("", "decommissioning")
_MAKING: Final = ("commissioning", "creating_class_instance")


def before_made(scales: Scales) -> Iterator[Imbalance]:
    early: defaultdict[str, list[tuple[Fact, Amount]]] = defaultdict(list)
    first = {lot: min(each.ms for each in made) for lot, made in scales.made_by.items()}
    for fact, amount in _moves(scales):
        if amount.lot not in first:
            scales.cannot[amount.lot] |= {"moved_before_made", "more_than_made"}
        elif fact.ms < first[amount.lot] - scales.rules.birth_slack_ms:
            early[amount.lot].append((fact, amount))
    for lot, moves in early.items():
        made = min(scales.made_by[lot], key=lambda each: each.ms)
        facts = [fact for fact, _ in moves]
        hours = (made.ms - facts[0].ms) / HOUR_MS
        yield scales.imbalance(
            "moved_before_made", lot, (lot,), facts, hours, scales.rules.birth_slack_ms / HOUR_MS, "HUR",
            {}, severity="high" if hours >= scales.rules.high_hours else "medium", also=[made.event],
        )  # fmt: skip


def _moves(scales: Scales) -> Iterator[tuple[Fact, Amount]]:
    """What moved, ended or used up a lot, as far as it says the lot."""
    for fact in scales.facts:
        if fact.kind in ("AssociationEvent", "TransactionEvent") or is_birth(fact):
            continue
        if (
            fact.kind == "ObjectEvent"
            and fact.action != "DELETE"
            and (fact.step in STILL or fact.step in ("", *_MAKING))
        ):
            continue
        for amount in fact.goods:
            yield fact, amount


def more_than_made(scales: Scales) -> Iterator[Imbalance]:
    gone: defaultdict[str, float] = defaultdict(float)
    by: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact, lot, quantity in _endings(scales):
        gone[lot] += quantity
        by[lot].append(fact)
    back = _returned(scales)
    for lot, said in gone.items():
        made = scales.books.made(lot)
        if made is None:
            scales.cannot[lot] |= {"more_than_made"}
            continue
        known = made + back[lot]
        if said > known * (1 + scales.allowance(lot).mass_tolerance) + NOTHING:
            figures = {
                "tolerance": scales.allowance(lot).mass_tolerance,
                "made": made,
                "returned": back[lot],
            }
            yield scales.imbalance(
                "more_than_made", lot, (lot,), by[lot], said, known, scales.books.unit(lot, None), figures,
                also=[each.event for each in scales.made_by[lot]],
            )  # fmt: skip


def _endings(scales: Scales) -> Iterator[tuple[Fact, str, float]]:
    """What was sold, destroyed or used up, in the lot's own unit; a box that is named counts once until it comes back."""
    ended = _ended_in_units(scales)
    seen: set[str] = set()
    for fact in scales.facts:
        if _comes_back(fact):
            seen -= {box for amount in fact.goods for box in amount.boxes}
        uses = fact.kind == "TransformationEvent"
        if not uses and not (fact.kind == "ObjectEvent" and fact.action == "DELETE"):
            continue
        if not uses and fact.step in _NO_ENDING:
            continue
        for amount in fact.goods:
            quantity = amount.quantity
            if amount.boxes:
                quantity = float(len(amount.boxes - seen))
                seen |= amount.boxes
            known = None if quantity is None else scales.books.bridge(amount.lot, quantity, amount.uom)
            if known is None:
                scales.cannot[amount.lot] |= {"more_than_made"}
            else:
                yield fact, amount.lot, known
        named = {amount.lot for amount in fact.goods}
        for lot, quantity in ended.get(fact.name, {}).items():
            if fact.nodes and lot not in named:
                yield fact, lot, quantity


def _ended_in_units(scales: Scales) -> Mapping[str, Mapping[str, float]]:
    """By event, what ended with a unit that it names."""
    found: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for lot, parcels in scales.genealogy.stock.parcels.items():
        for parcel in parcels:
            if parcel.ended_by is not None and parcel.quantity is not None:
                found[parcel.ended_by][lot] += parcel.quantity
    return found


def _comes_back(fact: Fact) -> bool:
    return fact.kind == "ObjectEvent" and fact.action != "DELETE" and fact.disposition == "returned"


def _returned(scales: Scales) -> defaultdict[str, float]:
    """By lot what came back, also by the number of the unit out of which it was sold. One return is told at several steps, by who
    sends it and by who takes it in: the step that tells most of it counts."""
    facts = [fact for fact in scales.facts if _comes_back(fact)]
    back: defaultdict[tuple[str, str], float] = defaultdict(float)
    sold = _ended_out_of(scales, frozenset(unit for fact in facts for unit in fact.nodes))
    since: defaultdict[tuple[str, str], int] = defaultdict(int)
    for fact in facts:
        for unit in fact.nodes:
            for parcel in sold[unit]:
                if since[unit, fact.step] <= (parcel.ended_ms or 0) < fact.ms:
                    back[parcel.lot, fact.step] += parcel.quantity or 0.0
            since[unit, fact.step] = fact.ms
        for amount in fact.goods:
            if amount.quantity is not None:
                known = scales.books.bridge(amount.lot, amount.quantity, amount.uom)
                back[amount.lot, fact.step] += known or 0.0
    most: defaultdict[str, float] = defaultdict(float)
    for (lot, _), quantity in back.items():
        most[lot] = max(most[lot], quantity)
    return most


def _ended_out_of(scales: Scales, units: frozenset[str]) -> Mapping[str, list[Parcel]]:
    found: defaultdict[str, list[Parcel]] = defaultdict(list)
    for parcels in scales.genealogy.stock.parcels.values() if units else ():
        for parcel in parcels:
            before = _as_it_stood(parcel) if parcel.ended_by is not None else None
            for unit in units.intersection(before.chain) if before else ():
                found[unit].append(parcel)
    return found


def _as_it_stood(parcel: Parcel) -> Step | None:
    """Before its last event: a piece, as what it was taken from did."""
    count, of = len(parcel.steps) - 1, parcel
    while count <= 0 and of.origin is not None:
        count, of = of.origin_steps, of.origin
    return of.steps[count - 1] if count > 0 else None
