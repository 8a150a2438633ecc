"""One question at the gate, answered: what was found, portion by portion, the worst first.

In the line: finding.py's `Found` -> chains read with the asker's eye -> evidence.py's cases -> `Answered`. Contract: one
snapshot; a pallet or a box answers with its portion, a lot with what is left of it, a vehicle with what is in it now; goods
that are no more answer only where nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import psycopg

from ledger.genealogy import Portion
from trace_api.chain import ASKER_NOW, Chain, identify, read_chain
from trace_api.check.checks import WORST_FIRST, Answer
from trace_api.check.evidence import Case, cases
from trace_api.check.facts import Asked
from trace_api.check.finding import Document, Found, Goods, Unknown, Vehicle
from trace_api.problems import Problem

MOST_CASES: Final = 60
_SAME_TRIP: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Answered:
    """`cases`: the worst first. `gone`: what was asked for is no more, and the cases tell what became of it. `last_trip`: the
    vehicle is empty, and the cases are what it brought last. `more`: portions beyond those that are shown."""

    found: Found
    cases: tuple[Case, ...]
    gone: bool = False
    last_trip: bool = False
    more: int = 0

    @property
    def answer(self) -> Answer | None:
        """None where nothing can be said of anything."""
        if not self.cases or self.gone:
            return None
        return self.cases[0].decision.answer

    @property
    def worst(self) -> int:
        return sum(case.decision.answer == self.answer for case in self.cases)


def answer(conn: psycopg.Connection, found: Found, asked: Asked) -> Answered:
    """Raises Problem 413 where too much hangs together."""
    match found:
        case Unknown():
            return Answered(found, ())
        case Goods():
            return _of_goods(conn, found, [found.uri], asked)
        case Document():
            return _of_goods(conn, found, found.goods, asked)
        case Vehicle():
            return _of_vehicle(conn, found, asked)


def _of_goods(conn: psycopg.Connection, found: Found, codes: Sequence[str], asked: Asked) -> Answered:
    living: list[Case] = []
    ended: list[Case] = []
    more = 0
    for chain, code in _chains(conn, codes):
        there = chain.genealogy.portions_answering(code)
        now = _now_in(there, code)
        if not now:
            ended += cases(conn, chain, there[-3:], asked)
        room = MOST_CASES - len(living)
        more += max(0, len(now) - room)
        living += cases(conn, chain, now[:room], asked)
    if living:
        return Answered(found, _worst_first(living), more=more)
    return Answered(found, tuple(ended), gone=bool(ended))


def _now_in(portions: Iterable[Portion], code: str) -> list[Portion]:
    """What is left. What was taken out of a unit does not answer for it any more."""
    left = [portion for portion in portions if portion.end_ms is None]
    held = [portion for portion in left if _is_inside(portion, code)]
    was_container = any(span.value == code for portion in left for span in portion.containers)
    return held if was_container else left


def _is_inside(portion: Portion, container: str) -> bool:
    return any(span.value == container and span.end_ms is None for span in portion.containers)


def _of_vehicle(conn: psycopg.Connection, found: Vehicle, asked: Asked) -> Answered:
    inside: list[Case] = []
    brought: list[tuple[int, Chain, Portion]] = []
    more = 0
    for chain, portions in _by_chain(conn, found.loaded):
        now = [portion for portion in portions if portion.end_ms is None and _is_inside(portion, found.uri)]
        room = MOST_CASES - len(inside)
        more += max(0, len(now) - room)
        inside += cases(conn, chain, now[:room], asked)
        for portion in portions:
            left = [
                span.end_ms
                for span in portion.containers
                if span.value == found.uri and span.end_ms is not None
            ]
            if left and portion.end_ms is None:
                brought.append((max(left), chain, portion))
    if inside or not brought:
        return Answered(found, _worst_first(inside), more=more)
    newest = max(left for left, _, _ in brought) - _SAME_TRIP // timedelta(milliseconds=1)
    last = [
        item
        for left, chain, portion in brought
        if left >= newest
        for item in cases(conn, chain, [portion], asked)
    ]
    return Answered(
        found, _worst_first(last[:MOST_CASES]), last_trip=True, more=max(0, len(last) - MOST_CASES)
    )


def _by_chain(conn: psycopg.Connection, codes: Sequence[str]) -> Iterator[tuple[Chain, list[Portion]]]:
    """The portions that answer for these codes, each once, chain by chain."""
    found: dict[int, tuple[Chain, dict[str, Portion]]] = {}
    for chain, code in _chains(conn, codes):
        _, portions = found.setdefault(id(chain), (chain, {}))
        portions |= {portion.name: portion for portion in chain.genealogy.portions_answering(code)}
    for chain, portions in found.values():
        yield chain, list(portions.values())


def _chains(conn: psycopg.Connection, codes: Sequence[str]) -> Iterator[tuple[Chain, str]]:
    """Each code with a chain that holds it. The pallets of one truck mostly hang together, and are read once."""
    chains: list[Chain] = []
    for code in codes:
        chain = next((each for each in chains if each.genealogy.portions_answering(code)), None)
        if chain is None:
            try:
                chain = read_chain(conn, identify(code), ASKER_NOW)
            except Problem as problem:
                if (
                    problem.status == 404
                ):  # the asker sees that it was named, and nothing of the goods themselves
                    continue
                raise Problem.said(413, "check_too_much") from problem
            chains.append(chain)
        yield chain, code


def _worst_first(found: Iterable[Case]) -> tuple[Case, ...]:
    def rank(case: Case) -> tuple[int, float, str]:
        return (
            WORST_FIRST.index(case.decision.answer),
            -(case.kilograms or 0.0),
            case.portion.unit or case.portion.lot,
        )

    return tuple(sorted(found, key=rank))
