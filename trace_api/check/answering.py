"""One question at the gate, answered: what was found, portion by portion, the worst first.

In the line: finding.py's `Found` -> chains read with the asker's eye -> evidence.py's cases -> `Answered`. Contract: one
snapshot; a pallet or a box answers with its portion, a lot with what is left of it, a vehicle with what is in it now; goods
that are no more answer only where nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

MOST_SHOWN: Final = 60
MOST_JUDGED: Final = 400
_SAME_TRIP: Final = timedelta(hours=6)

# A chain, and those of its portions that are asked about.
_Asked = tuple[Chain, list[Portion]]


@dataclass(frozen=True, slots=True)
class Answered:
    """`cases`: the worst first. `gone`: what was asked for is no more, and the cases tell what became of it. `last_trip`: the
    vehicle is empty, and the cases are what it brought last. `more`: portions beyond those that are shown, none of them worse;
    `unjudged`: of these, those that nobody looked at. `worst`: how many have the
    answer of the worst."""

    found: Found
    cases: tuple[Case, ...]
    gone: bool = False
    last_trip: bool = False
    more: int = 0
    unjudged: int = 0
    worst: int = 0

    @property
    def answer(self) -> Answer | None:
        """None where nothing can be said of anything."""
        if not self.cases or self.gone:
            return None
        worst = self.cases[0].decision.answer
        return "cannot_tell" if worst == "accept" and (self.unjudged or self.elsewhere) else worst

    @property
    def elsewhere(self) -> Case | None:
        """The first of the goods, where the record has all of them at somebody else's place: a copied label answers as well as
        a true one. None of the goods that a vehicle brought last, which are meant to be gone from it."""
        apart = (
            self.cases and not self.last_trip and not self.gone and all(case.elsewhere for case in self.cases)
        )
        return self.cases[0] if apart else None

    @property
    def total(self) -> int:
        return len(self.cases) + self.more


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
    living: list[_Asked] = []
    ended: list[_Asked] = []
    for chain, its_codes in _chains(conn, codes):
        there = [(code, chain.genealogy.portions_answering(code)) for code in its_codes]
        living.append((chain, _once(each for code, all_of in there for each in _now_in(all_of, code))))
        ended += [(chain, all_of[-3:]) for code, all_of in there if not _now_in(all_of, code)]
    if any(portions for _, portions in living):
        return _judged(conn, found, living, asked)
    return Answered(
        found,
        tuple(case for chain, portions in ended for case in cases(conn, chain, portions, asked)),
        gone=bool(ended),
    )


def _judged(
    conn: psycopg.Connection,
    found: Found,
    all_of: Sequence[_Asked],
    asked: Asked,
    *,
    last_trip: bool = False,
    unread: int = 0,
) -> Answered:
    """All are judged before the list is cut: the worst is never what is cut off. Of more than can be judged at once those with
    a mark come first, and what is left is counted. `unread`: such as was not even read."""
    judged: list[Case] = []
    unjudged = unread
    for chain, portions in all_of:
        marked_first = sorted(portions, key=lambda portion: not portion.marks)
        room = MOST_JUDGED - len(judged)
        unjudged += max(0, len(marked_first) - room)
        judged += cases(conn, chain, marked_first[:room], asked)
    ranked = _worst_first(judged)
    shown = ranked[:MOST_SHOWN]
    return Answered(
        found,
        shown,
        last_trip=last_trip,
        more=len(judged) - len(shown) + unjudged,
        unjudged=unjudged,
        worst=sum(case.decision.answer == ranked[0].decision.answer for case in ranked),
    )


def _now_in(portions: Iterable[Portion], code: str) -> list[Portion]:
    """What is left. What was taken out of a unit does not answer for it any more."""
    left = [portion for portion in portions if portion.end_ms is None]
    held = [portion for portion in left if _is_inside(portion, code)]
    was_container = any(span.value == code for portion in left for span in portion.containers)
    return held if was_container else left


def _is_inside(portion: Portion, container: str) -> bool:
    return any(span.value == container and span.end_ms is None for span in portion.containers)


def _of_vehicle(conn: psycopg.Connection, found: Vehicle, asked: Asked) -> Answered:
    inside: list[_Asked] = []
    brought: list[tuple[int, Chain, Portion]] = []
    for chain, codes in _chains(conn, found.loaded):
        all_of = _once(each for code in codes for each in chain.genealogy.portions_answering(code))
        living = [portion for portion in all_of if portion.end_ms is None]
        inside.append((chain, [portion for portion in living if _is_inside(portion, found.uri)]))
        brought += [
            (max(left), chain, portion) for portion in living if (left := _times_left(portion, found.uri))
        ]
    if any(portions for _, portions in inside) or not brought:
        return _judged(conn, found, inside, asked, unread=_unread(found, inside))
    newest = max(left for left, _, _ in brought) - _SAME_TRIP // timedelta(milliseconds=1)
    last: dict[int, _Asked] = {}
    for at, chain, portion in brought:
        if at >= newest:
            last.setdefault(id(chain), (chain, []))[1].append(portion)
    return _judged(conn, found, list(last.values()), asked, last_trip=True)


def _unread(vehicle: Vehicle, inside: Iterable[_Asked]) -> int:
    """Of what went onto it earlier than all that was read it is asked only where something so old is still inside."""
    oldest = vehicle.loaded[-1]
    still_there = any(
        span.value == oldest or portion.lot == oldest
        for _, portions in inside
        for portion in portions
        for span in portion.containers
    )
    return vehicle.left_off if still_there else 0


def _times_left(portion: Portion, container: str) -> list[int]:
    return [span.end_ms for span in portion.containers if span.value == container and span.end_ms is not None]


def _once(portions: Iterable[Portion]) -> list[Portion]:
    return list({portion.name: portion for portion in portions}.values())


def _chains(conn: psycopg.Connection, codes: Sequence[str]) -> list[tuple[Chain, list[str]]]:
    """All codes in one reading with those that it knows; one by one only where together they are too much."""
    if not codes:
        return []
    try:
        chain = read_chain(conn, identify(codes[0]), ASKER_NOW, codes)
    except Problem as problem:
        if problem.status == 404:  # the asker sees that they were named, and nothing of the goods themselves
            return []
        if len(codes) == 1:
            raise Problem.said(413, "check_too_much") from problem
        return [found for code in codes for found in _chains(conn, [code])]
    return [(chain, [code for code in codes if chain.genealogy.portions_answering(code)])]


def _worst_first(found: Iterable[Case]) -> tuple[Case, ...]:
    def rank(case: Case) -> tuple[int, float, str]:
        return (
            WORST_FIRST.index(case.decision.answer),
            -(case.kilograms or 0.0),
            case.portion.unit or case.portion.lot,
        )

    return tuple(sorted(found, key=rank))
