"""Hold proposals as who asks sees them: which goods, why, how much of them is concerned, who has them, what was decided.

In the line: the database's `hold_proposals` and its neighbours (deploy/schema/0035_holds.sql) -> here -> telling.py, deciding.py.
Contract: what the asker may not hear is None or absent; the likeliest goods come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import psycopg

from trace_api.holds.rules import HoldRules
from trace_api.story import Name

Relation = Literal["holder", "official", "tester"]


@dataclass(frozen=True, slots=True)
class Reason:
    """`code`: same_lot, input, same_plot, same_spray, same_grower, mix, made_from or sibling_mix. `of_tested`: the share of the tested lot
    that hangs together with these goods, `of_goods`: the share of these goods that is concerned; by weight, None where a weight
    is not known."""

    code: str
    of_tested: float | None
    of_goods: float | None
    via: tuple[str, ...]
    fact: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """`by`: the person's name, None where it was a program. `organisation`: None: an official."""

    id: int
    decision: Literal["hold", "request", "leave"]
    reason: str
    at: datetime
    act: UUID | None
    by: str | None
    organisation: Name | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """`lot`, `holder`, `kilograms`, `units`: None or empty where the tester may not hear who has what elsewhere."""

    id: UUID
    test: UUID
    relation: Relation
    lot: str | None
    holder: str | None
    holder_name: Name | None
    kilograms: float | None
    units: tuple[str, ...]
    places: tuple[str, ...]
    reasons: tuple[Reason, ...]
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Behind:
    """What went into the tested lot. `lot` None: the asker may not see it. `sprays`: what was used on its plots before harvest."""

    lot: str | None
    share: float | None
    plots: tuple[str, ...]
    sprays: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Tested:
    """A positive test that stands. `lot`, `tester` None: the asker only has goods that hang together with it. `confirmed`: a
    laboratory said so; else it is a screen, and no final result."""

    id: UUID
    lot: str | None
    tester: Name | None
    at: datetime
    confirmed: bool
    behind: tuple[Behind, ...]
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked of goods that the asker's organisation has. `answered`: it decided since; `standing`: the test still stands."""

    id: int
    proposal: UUID
    lot: str
    kilograms: float | None
    reason: str
    at: datetime
    by: str | None
    organisation: Name | None
    official: bool
    answered: bool
    standing: bool


_PROPOSALS = "SELECT * FROM hold_proposals(%s, %s)"
_DECISIONS = """
SELECT proposal, id, decision, reason, decided_at, act, by_name, by_zh, by_en FROM hold_decisions(%s, %s)
"""
_BEHIND = "SELECT test, lot, share, plots, sprays FROM hold_behind(%s, %s)"
_REQUESTS = """
SELECT id, proposal, lot, kilograms, reason, decided_at, by_name, by_zh, by_en, official, answered, standing FROM hold_requests()
"""


def read_proposals(conn: psycopg.Connection, rules: HoldRules, now: datetime) -> tuple[Tested, ...]:
    """The newest test first."""
    asked = [rules.document, now]
    decided: dict[UUID, list[Decision]] = {}
    for row in conn.execute(_DECISIONS, asked):
        decided.setdefault(row[0], []).append(Decision(*(*row[1:7], _name(row[7], row[8]))))
    behind: dict[UUID, list[Behind]] = {}
    for test, lot, share, plots, sprays in conn.execute(_BEHIND, asked):
        used = tuple(_spray(each) for each in sprays or ())
        behind.setdefault(test, []).append(Behind(lot, share, tuple(filter(None, plots or ())), used))
    found: dict[UUID, tuple[tuple[Any, ...], list[Proposal]]] = {}
    for row in conn.execute(_PROPOSALS, asked):
        found.setdefault(row[1], (row, []))[1].append(_proposal(row, decided.get(row[0], [])))
    return tuple(
        Tested(test, row[5], _name(row[3], row[4]), row[6], row[7], tuple(behind.get(test, ())), tuple(own))
        for test, (row, own) in found.items()
    )


def read_requests(conn: psycopg.Connection) -> tuple[Asked, ...]:
    """The newest first."""
    return tuple(
        Asked(*(*row[:7], _name(row[7], row[8]), *row[9:]))  # the columns in the order of the fields
        for row in conn.execute(_REQUESTS)
    )


def find_proposal(conn: psycopg.Connection, rules: HoldRules, now: datetime, wanted: UUID) -> Proposal | None:
    query = f"{_PROPOSALS} AS seen WHERE seen.id = %s"
    row = conn.execute(query.encode(), [rules.document, now, wanted]).fetchone()
    return None if row is None else _proposal(row, [])


def count_waiting(conn: psycopg.Connection, rules: HoldRules, now: datetime) -> int:
    """Positive tests of the asker's organisation about which it decided nothing, and requests that it did not answer."""
    row = conn.execute("SELECT holds_waiting(%s)", [now - timedelta(days=rules.open_days)]).fetchone()
    return 0 if row is None else int(row[0])


def _proposal(row: tuple[Any, ...], decided: list[Decision]) -> Proposal:
    return Proposal(
        id=row[0],
        test=row[1],
        relation=row[8],
        lot=row[9],
        holder=row[10],
        holder_name=_name(row[11], row[12]),
        kilograms=row[13],
        units=tuple(row[14] or ()),
        places=tuple(row[15] or ()),
        reasons=tuple(_reason(each) for each in row[16]),
        decisions=tuple(decided),
    )


def _reason(said: dict[str, Any]) -> Reason:
    via = tuple(said.get("via") or ())
    return Reason(said["reason"], said["of_tested"], said["of_goods"], via, _spray(said.get("fact") or {}))


def _spray(fact: dict[str, Any]) -> dict[str, Any]:
    used_on = fact.get("used_on")
    return fact if used_on is None else fact | {"used_on": date.fromisoformat(used_on)}


def _name(zh: str | None, en: str | None) -> Name | None:
    return Name(zh or "", en or "") if zh or en else None
