"""What may be done next with goods that were just looked at: the acts, in the order in which they help, with what they need.

Contract: what the answer forbids is not offered: goods that are to be held or refused have no button that takes them in. The
record itself has the last word (`trace_api.acts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from trace_api.access import Person
from trace_api.check.answering import Answered
from trace_api.check.checks import Answer
from trace_api.check.doing import offered
from trace_api.check.evidence import Case
from trace_api.check.finding import Vehicle
from trace_api.check.rules import Rules
from trace_api.story import Name

MOST_UNITS: Final = 40
# What helps most stands first; what the answer does not bear is left out.
_BY_ANSWER: Final[dict[Answer, tuple[str, ...]]] = {
    "accept": ("accept", "inspect", "sample", "rapid_test", "refuse_part", "hold"),
    "cannot_tell": ("inspect", "sample", "rapid_test", "hold", "refuse_part"),
    "hold": ("inspect", "sample", "rapid_test", "release", "hold", "refuse_part"),
    "reject": ("refuse_part", "inspect", "hold", "sample", "rapid_test"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    name: Name


@dataclass(frozen=True, slots=True)
class Part:
    """What is taken in with one receipt: of one seller, who is as a rule who made it. `units` empty: what is loose of the lot."""

    seller: str
    name: Name | None
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """`units`, or else `lot`: what an act is about. `boxes`: how many there are in the one unit. `first`: the act whose form
    stands open, because the way out asks for it. `parts`: what can be taken in, by maker. `laboratory`: its result can be
    entered, of one unit at a time. `sample`, `report`: numbers of what waits for a rapid and for a laboratory's result."""

    kinds: tuple[str, ...]
    first: str | None
    units: tuple[str, ...]
    lot: str | None
    lots: tuple[str, ...]
    boxes: int | None
    sellers: tuple[Choice, ...]
    parts: tuple[Part, ...]
    places: tuple[Choice, ...]
    place: str
    sample: str
    report: str
    threshold: float
    measure: int
    laboratory: bool


def offer(conn: psycopg.Connection, answered: Answered, person: Person, rules: Rules) -> Offer | None:
    """None where there is nothing that an act could be about."""
    cases = answered.cases
    lots = tuple(dict.fromkeys(case.portion.lot for case in cases))
    subject = _subject(answered)
    if answered.gone:  # nothing can be done with them, but what the laboratory found can still be said
        subject = ((), lots[0]) if len(lots) == 1 else None
    if subject is None:
        return None
    units, lot = subject
    kinds = () if answered.answer is None else _kinds(answered.answer, cases, units, person)
    sellers = _sellers(conn, person) if "accept" in kinds else ()
    places = _places(conn) if "accept" in kinds else ()
    return Offer(
        kinds=kinds,
        first=_first(cases[0], kinds),
        units=units,
        lot=lot,
        lots=lots,
        boxes=_boxes(cases) if len(units) == 1 else None,
        sellers=sellers,
        parts=tuple(_parts(cases, units, sellers)) if "accept" in kinds else (),
        places=places,
        place=_likely_place(places, cases[0]),
        sample=_sample(conn, lots, "rapid"),
        report=_sample(conn, lots, "laboratory"),
        threshold=rules.rapid_threshold_percent,
        measure=rules.gate_boxes,
        laboratory="laboratory" in offered(person) and len(units) <= 1,
    )


def _subject(answered: Answered) -> tuple[tuple[str, ...], str | None] | None:
    """One unit, what is loose of one lot, or the units of one vehicle."""
    units = tuple(dict.fromkeys(case.portion.unit for case in answered.cases if case.portion.unit))
    lots = tuple(dict.fromkeys(case.portion.lot for case in answered.cases))
    if isinstance(answered.found, Vehicle):
        return (units[:MOST_UNITS], None) if units and len(units) <= MOST_UNITS else None
    if len(units) == 1 and all(case.portion.unit for case in answered.cases):
        return units, None
    if not units and len(lots) == 1:
        return (), lots[0]
    return None


def _kinds(answer: Answer, cases: Sequence[Case], units: Sequence[str], person: Person) -> tuple[str, ...]:
    marks = {mark for case in cases for mark in case.portion.marks}
    allowed = offered(person)

    def fits(kind: str) -> bool:
        if kind in ("refuse_part", "sample", "rapid_test") and len(units) > 1:
            return False
        if kind == "refuse_part" and not units:
            return False
        if kind == "accept":
            return bool(list(_parts(cases, units, ())))
        if kind == "release":
            return "unavailable" in marks and all(_may_lift(case, person) for case in cases)
        return kind != "hold" or marks <= {"recalled"}

    return tuple(kind for kind in _BY_ANSWER[answer] if kind in allowed and fits(kind))


def _parts(cases: Sequence[Case], units: Sequence[str], sellers: Sequence[Choice]) -> Iterator[Part]:
    """A unit with goods of several makers is taken in with those of the first; what was taken in, or lies elsewhere, with none."""
    names = {choice.value: choice.name for choice in sellers}
    gone = {case.portion.unit for case in cases if case.elsewhere or case.taken}
    makers: dict[str, list[str | None]] = {}
    for unit in units or (None,):
        of_unit = [case for case in cases if case.portion.unit == unit]
        if of_unit and unit not in gone:
            makers.setdefault(of_unit[0].maker_id or "", []).append(unit)
    for maker, theirs in makers.items():
        yield Part(maker, names.get(maker), tuple(unit for unit in theirs if unit))


def _may_lift(case: Case, person: Person) -> bool:
    """Who set a hold lifts it, and not while a test speaks against the goods."""
    ours = all(mark.setter == person.organisation for mark in case.facts.marks if mark.kind == "held")
    tested = next(finding for finding in case.decision.findings if finding.check == "test")
    return ours and tested.answer not in ("hold", "reject")


def _first(case: Case, kinds: Sequence[str]) -> str | None:
    way = case.decision.way_out.code if case.decision.way_out else None
    wanted = {
        "measure_boxes": "inspect",
        "measure_more": "inspect",
        "sample_here": "sample",
        "wait_result": "rapid_test",
        "refuse_warm": "refuse_part",
        "refuse_cold": "refuse_part",
        "see_test": "release",
    }.get(way or "", "")
    if not way and case.decision.answer == "accept":
        wanted = "accept"
    return wanted if wanted in kinds else None


def _boxes(cases: Sequence[Case]) -> int | None:
    amounts = [case.portion.quantity for case in cases if case.portion.uom is None]
    known = [amount for amount in amounts if amount is not None]
    return int(sum(known)) if known and len(known) == len(cases) else None


def _sellers(conn: psycopg.Connection, person: Person) -> tuple[Choice, ...]:
    rows = conn.execute(
        "SELECT id, name_zh, name_en FROM asker_organisation WHERE id <> %s AND kind <> 'market' ORDER BY kind = 'carrier', id"
        " LIMIT 200",
        [person.organisation],
    )
    return tuple(Choice(row[0], Name(row[1], row[2])) for row in rows)


def _places(conn: psycopg.Connection) -> tuple[Choice, ...]:
    """Row-level security shows an organisation its own."""
    rows = conn.execute(
        "SELECT id, name_zh, name_en FROM place WHERE kind NOT IN ('trailer', 'truck', 'compartment', 'gate') ORDER BY id LIMIT 200"
    )
    return tuple(Choice(row[0], Name(row[1], row[2])) for row in rows)


def _likely_place(places: Sequence[Choice], case: Case) -> str:
    here = case.site.id if case.site else ""
    return next(
        (choice.value for choice in places if choice.value == here), places[0].value if places else ""
    )


def _sample(conn: psycopg.Connection, lots: Sequence[str], kind: str) -> str:
    """The newest sample of these lots that waits for its result of that kind."""
    row = conn.execute(
        "SELECT sample FROM test_record AS test WHERE lot = ANY (%s) AND kind = %s AND outcome = 'pending' AND NOT EXISTS ("
        "  SELECT FROM test_record AS result WHERE result.sample = test.sample AND result.lot = test.lot"
        "  AND result.kind = test.kind AND result.number > test.number)"
        " ORDER BY number DESC LIMIT 1",
        [list(lots), kind],
    ).fetchone()
    return "" if row is None else str(row[0])
