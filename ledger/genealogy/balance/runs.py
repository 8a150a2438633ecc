"""Runs: more out than in, and nothing sorted out. A run is judged as a whole, over all events of its transformationID."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from ledger.genealogy.balance.scales import Allowance, Imbalance, Scales, is_cull
from ledger.genealogy.facts import KILOGRAM, Fact
from ledger.genealogy.names import product_of
from ledger.genealogy.parcels import NOTHING


def of_runs(scales: Scales) -> Iterator[Imbalance]:
    runs: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in scales.facts:
        if fact.kind == "TransformationEvent":
            runs[fact.run].append(fact)
    for run, facts in runs.items():
        yield from _run(scales, run, facts)


def _run(scales: Scales, run: str, facts: list[Fact]) -> Iterator[Imbalance]:
    outputs = [amount for fact in facts for amount in fact.out_goods if not scales.is_label(amount)]
    lots = tuple(dict.fromkeys(amount.lot for amount in outputs))
    inputs = _inputs_kg(scales, run, facts)
    weights = [scales.kg(amount) for amount in outputs]
    if inputs is None or not outputs or all(weight is None for weight in weights):
        for lot in lots:
            scales.cannot[lot] |= {"outputs_over_inputs", "no_cull"}
        return
    if any(weight is None for weight in weights):  # what is known of them may still be too much
        for lot in lots:
            scales.cannot[lot] |= {"outputs_over_inputs"}
    rule = _widest(scales, lots)
    sold = sum(
        weight or 0.0 for weight, amount in zip(weights, outputs, strict=True) if not is_cull(amount.lot)
    )
    everything = sum(weight or 0.0 for weight in weights)
    yield from _too_much(scales, run, facts, lots, inputs, sold, everything, rule)
    yield from _without_cull(scales, run, facts, lots, inputs, sold, everything, weights, rule)


def _inputs_kg(scales: Scales, run: str, facts: list[Fact]) -> float | None:
    """None where one of them is not known, or nothing went in that anybody told."""
    told = scales.genealogy.stock.runs[run].inputs
    units = {name for fact in facts for name in fact.nodes}
    if not told or not units <= scales.held:
        return None
    total = 0.0
    for lot, (quantity, uom) in told.items():
        kg = None if quantity is None else scales.books.kilograms(lot, quantity, uom)
        if kg is None:
            return None
        total += kg
    return total


def _widest(scales: Scales, lots: Iterable[str]) -> Allowance:
    """Of several products in one run, what any of them allows."""
    rules = [scales.allowance(lot) for lot in lots if not is_cull(lot)] or [
        scales.allowance(lot) for lot in lots
    ]
    yields = [rule.yield_most for rule in rules]
    culls = [rule.cull_least for rule in rules]
    return Allowance(
        max(rule.mass_tolerance for rule in rules),
        max(rule.moisture_gain for rule in rules),
        None if None in yields else max(each for each in yields if each is not None),
        None if None in culls else min(each for each in culls if each is not None),
    )


def _too_much(
    scales: Scales,
    run: str,
    facts: list[Fact],
    lots: tuple[str, ...],
    inputs: float,
    sold: float,
    everything: float,
    rule: Allowance,
) -> Iterator[Imbalance]:
    spare = 1 + rule.mass_tolerance + rule.moisture_gain
    most = inputs * (1.0 if rule.yield_most is None else rule.yield_most)
    said, known = (sold, most) if sold > most * spare and most < inputs else (everything, inputs)
    if said <= known * spare + NOTHING:
        return
    figures = {"tolerance": rule.mass_tolerance, "moisture_gain": rule.moisture_gain, "inputs": inputs}
    if rule.yield_most is not None:
        figures["yield_most"] = rule.yield_most
    yield scales.imbalance("outputs_over_inputs", run, lots, facts, said, known, KILOGRAM, figures)


def _is_relabelling(scales: Scales, run: str, lots: Iterable[str]) -> bool:
    """A lot split or merged into others of the same product was sorted before."""
    products = {product_of(lot) for lot in lots}
    return all(product_of(lot) in products for lot in scales.genealogy.stock.runs[run].inputs)


def _without_cull(
    scales: Scales,
    run: str,
    facts: list[Fact],
    lots: tuple[str, ...],
    inputs: float,
    sold: float,
    everything: float,
    weights: list[float | None],
    rule: Allowance,
) -> Iterator[Imbalance]:
    """Nothing sorted out and nothing lost, where the product always loses some."""
    if any(fact.step == "repackaging" for fact in facts) or _is_relabelling(scales, run, lots):
        return
    if rule.cull_least is None or any(weight is None for weight in weights):
        for lot in lots:
            scales.cannot[lot] |= {"no_cull"}
        return
    least = inputs * rule.cull_least
    if (
        everything - sold >= least - NOTHING
        or inputs - sold >= least - NOTHING
        or everything > inputs * (1 + rule.mass_tolerance)
    ):
        return
    found = scales.imbalance(
        "no_cull", run, lots, facts, sold, inputs - least, KILOGRAM,
        {"cull_least": rule.cull_least, "inputs": inputs, "cull": everything - sold}, severity="low",
    )  # fmt: skip
    yield found
