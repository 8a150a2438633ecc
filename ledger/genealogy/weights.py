"""How much went along each link of a trace, and which share of a mixed lot it is.

In the line: the edges of a trace -> here -> the document and the picture. Contract: what no event says is None and never
guessed; shares are by weight over a whole run, as in `portions.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.genealogy.facts import Fact
from ledger.genealogy.lineage import Genealogy
from ledger.genealogy.portions import inputs_of
from ledger.genealogy.trace import Edge


@dataclass(frozen=True, slots=True)
class Weighed:
    """`quantity` in `uom` (KGM, None for pieces) of the lot that went along; `share` of all that went into the run, 0 to 1;
    `ms`: when."""

    edge: Edge
    quantity: float | None
    uom: str | None
    share: float | None
    ms: int


def weighed(genealogy: Genealogy, edges: Iterable[Edge]) -> Iterator[Weighed]:
    """In the order of the edges."""
    facts = {fact.name: fact for fact in genealogy.facts}
    for edge in edges:
        fact = facts[edge.event]
        if edge.kind == "transformed":
            used = {each.lot: each for each in inputs_of(genealogy.stock, genealogy.stock.runs[fact.run])}
            found = used.get(edge.source)
            known = (found.quantity, found.uom, found.share) if found else (None, None, None)
            yield Weighed(edge, *known, fact.ms)
        else:
            yield Weighed(edge, *_moved(fact, edge), None, fact.ms)


def _moved(fact: Fact, edge: Edge) -> tuple[float | None, str | None]:
    return moved(fact, edge.source if edge.source != fact.parent else edge.target)


def moved(fact: Fact, child: str) -> tuple[float | None, str | None]:
    """How much of a lot an event says that it moved, and in which unit."""
    return next(
        ((each.quantity, each.uom) for each in fact.goods if each.lot == child and not each.boxes),
        (None, None),
    )
