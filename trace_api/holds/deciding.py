"""A person decides one proposal: the goods go on hold, whoever has them is asked to hold them, or they are left.

In the line: a form or a request -> here -> the act `hold` of `trace_api.acts` where the person may hold these goods, else a request
to who has them (`hold_decide`, which puts it in the outbox). Contract: in the caller's transaction, under one lock a proposal;
nobody decides on what they may not see, and nobody holds what is not in their hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import psycopg

from ledger.persons import Vault
from trace_api.access import Person
from trace_api.acts import Row, kinds_for, perform, read_act, read_stock
from trace_api.acts.holds import HELD
from trace_api.holds.proposals import Proposal, find_proposal
from trace_api.holds.rules import HoldRules
from trace_api.problems import Problem

Wanted = Literal["hold", "leave"]


@dataclass(frozen=True, slots=True)
class Decided:
    """`act`: by which the goods were held. `id`: of the decision."""

    id: int
    outcome: Literal["held", "requested", "left"]
    act: UUID | None


@dataclass(frozen=True, slots=True)
class Decider:
    """What deciding works with."""

    rules: HoldRules
    public_url: str
    vault: Vault
    now: datetime


def decide(
    conn: psycopg.Connection, person: Person, proposal: UUID, wanted: Wanted, reason: str, with_: Decider
) -> Decided:
    """Raises Problem 404 for a proposal that is not the asker's to see, 403 for who may not decide, 409 for goods that are on hold
    already, and Refused where the record does not bear the hold."""
    found = find_proposal(conn, with_.rules, with_.now, proposal)
    if found is None:
        raise Problem.said(404, "holds_no_proposal")
    act = _hold(conn, person, found, reason, with_) if wanted == "hold" else None
    verdict = "leave" if wanted == "leave" else "request" if act is None else "hold"
    row = conn.execute(
        "SELECT hold_decide(%s, %s, %s, %s, %s, %s)",
        [proposal, verdict, reason, act, with_.rules.document, with_.now],
    ).fetchone()
    if row is None or row[0] is None:
        raise Problem.said(403, "holds_not_yours")
    outcomes: dict[str, Any] = {"hold": "held", "request": "requested", "leave": "left"}
    return Decided(int(row[0]), outcomes[verdict], act)


def _hold(
    conn: psycopg.Connection, person: Person, found: Proposal, reason: str, with_: Decider
) -> UUID | None:
    """The act; None where these goods are in somebody else's hands."""
    if person.organisation is None or found.lot is None:
        return None
    may = "hold" in kinds_for(person)
    if found.relation == "holder" and not may:
        raise Problem.said(403, "holds_not_your_role")
    if not may or not (found.relation == "holder" or "market" in person.roles):
        return None
    stock = read_stock(conn, person.organisation, [found.lot])
    rows = [row for row in stock.of_lot(found.lot) if _at_hand(row, person, found)]
    free = [row for row in rows if HELD not in row.marks]
    if not rows and found.relation != "holder":
        return None
    if not free:
        raise Problem.said(409, "holds_already" if rows else "holds_gone")
    done = perform(
        conn,
        person,
        read_act("hold", {"reason": reason, **_goods(free)}),
        with_.now,
        with_.public_url,
        with_.vault,
    )
    return done.act


def _at_hand(row: Row, person: Person, found: Proposal) -> bool:
    """Our own, or, for who runs the market, what came through it and stands at its stalls (as `Desk.looked_at`)."""
    if found.relation == "holder":
        return row.ours
    return (row.ours or row.custody.handled) and (row.holder == found.holder or row.unit in found.units)


def _goods(rows: Sequence[Row]) -> dict[str, Any]:
    units = list(dict.fromkeys(row.unit for row in rows if row.unit is not None))
    loose = [row for row in rows if row.unit is None]
    said: dict[str, Any] = {"units": units} if units else {}
    if loose:
        known = [row.quantity for row in loose if row.quantity is not None]
        amount = {"quantity": sum(known)} if len(known) == len(loose) else {}
        said["goods"] = [{"lot": loose[0].lot} | amount]
    return said
