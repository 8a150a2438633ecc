"""undo(): what was tapped by mistake is declared wrong, within minutes, and what is right is said in its place.

Contract: an event is never taken out of the record. Each event of the act is recorded once more with an errorDeclaration under
the same eventID; the act that corrects it, if there is one, is named in it and recorded after it. Nothing on which anybody has
built is undone: goods would vanish under those who rely on them. All in the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from ledger.epcis import vocabulary
from ledger.epcis.events import AggregationEvent, Event, ObjectEvent, TransformationEvent, read_recorded
from ledger.genealogy import replay, run_of, touches
from ledger.genealogy.parcels import base_vehicle
from ledger.persons import Vault
from trace_api.access import Person
from trace_api.acts import certificates
from trace_api.acts.acting import (
    UNDO_WITHIN,
    Done,
    lock,
    plan,
    record_all,
    refuse_strangers,
    said,
    wait_for_takers,
    write,
)
from trace_api.acts.certifying import KINDS as CERTIFYING
from trace_api.acts.desk import Desk
from trace_api.acts.parts import declared_wrong
from trace_api.acts.refusals import Fault, Refused, refuse
from trace_api.acts.shapes import Act
from trace_api.acts.stock import NOTHING, read_events, read_stock

TAKING_IN: Final = frozenset({"accept", "receive", "unload"})


@dataclass(frozen=True, slots=True)
class PastAct:
    """`facts`: what was asked for (`asked`) and what came of it (`done`)."""

    id: UUID
    kind: str
    at: datetime
    account: UUID | None
    events: tuple[str, ...]
    facts: Mapping[str, Any]
    undone_at: datetime | None

    @property
    def undo_until(self) -> datetime:
        return self.at + UNDO_WITHIN

    def to_json(self) -> dict[str, Any]:
        return {
            "act": str(self.id),
            "kind": self.kind,
            "recorded_at": self.at.isoformat(),
            "account": None if self.account is None else str(self.account),
            "events": list(self.events),
            "asked": self.facts["asked"],
            "done": self.facts["done"],
            "undone_at": None if self.undone_at is None else self.undone_at.isoformat(),
            "undo_until": self.undo_until.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Undone:
    """`events`: those declared wrong. `corrective`: what was said in their place."""

    act: UUID
    events: tuple[str, ...]
    corrective: Done | None

    def to_json(self) -> dict[str, Any]:
        return {
            "act": str(self.act),
            "events": list(self.events),
            "corrective": None if self.corrective is None else self.corrective.to_json(),
        }


_ACTS = "SELECT id, kind, at, account, event_ids, facts, undone_at FROM act"


def own_acts(conn: psycopg.Connection, limit: int = 50, before: datetime | None = None) -> list[PastAct]:
    """Of the asker's organisation, newest first. `before`: those recorded earlier."""
    rows = conn.execute(
        _ACTS
        + " WHERE %(before)s::timestamptz IS NULL OR at < %(before)s ORDER BY number DESC LIMIT %(limit)s",
        {"before": before, "limit": limit},
    )
    return [_past(row) for row in rows]


def read_past(conn: psycopg.Connection, act: UUID) -> PastAct:
    row = conn.execute(_ACTS + " WHERE id = %s", [act]).fetchone()
    if row is None:
        raise refuse("no_act", status=404)
    return _past(row)


def _past(row: tuple[Any, ...]) -> PastAct:
    return PastAct(row[0], row[1], row[2], row[3], tuple(row[4]), row[5], row[6])


_CORRECTIVE = "SELECT id FROM act WHERE facts -> 'asked' ->> 'corrects' = %s"


def corrected_by(conn: psycopg.Connection, past: PastAct) -> UUID | None:
    """The act that stands in place of one that was undone."""
    row = conn.execute(_CORRECTIVE, [str(past.id)]).fetchone() if past.undone_at else None
    return None if row is None else row[0]


def undoable(conn: psycopg.Connection, act: UUID, now: datetime) -> Fault | None:
    """None: it can be undone at this moment."""
    try:
        _refuse(conn, read_past(conn, act), now)
    except Refused as refused:
        return refused.faults[0]
    return None


def undo(
    conn: psycopg.Connection,
    person: Person,
    act: UUID,
    now: datetime,
    public_url: str,
    vault: Vault,
    correction: Act | None = None,
) -> Undone:
    """`correction`: what is right instead; it is checked as if the wrong one had not been said. Raises Refused."""
    past = read_past(conn, act)
    refuse_strangers(person, past.kind)
    lock(conn, person)
    past = read_past(conn, act)  # once more, now that nobody else is at it
    wait_for_takers(conn, {name for _, text in _said(conn, past) for name in built_on(read_recorded(text))})
    events = _refuse(conn, past, now)
    organisation = person.organisation
    assert organisation is not None
    desk: Desk | None = None
    corrective: list[dict[str, Any]] = []
    if correction is not None:
        refuse_strangers(person, correction.kind)
        desk, corrective = plan(conn, person, correction, now, public_url, frozenset(past.events))
    reason = "did_not_occur" if correction is None else "incorrect_data"
    names = [str(event["eventID"]) for event in corrective]
    moment = now.isoformat(timespec="milliseconds")
    wrong = [declared_wrong(event, moment, reason, names) for event in events]
    record_all(conn, vault, organisation, wrong, now)
    for certificate in certificates.of_events(conn, past.events):
        if certificate.status == "valid":
            certificates.close(conn, certificate, "undone", now)
    conn.execute("UPDATE act SET undone_at = %s WHERE id = %s", [now, past.id])
    done = None
    if desk is not None and correction is not None:
        done = write(desk, vault, correction.kind, said(correction) | {"corrects": str(past.id)}, corrective)
    return Undone(past.id, past.events, done)


_SAID = """
SELECT event.id, convert_from(event_bytes.bytes, 'UTF8')
FROM event JOIN event_bytes ON event_bytes.event = event.id
WHERE event.organisation = current_organisation() AND event.event_id = ANY (%s) AND NOT event.is_error
ORDER BY event.id
"""


def _said(conn: psycopg.Connection, past: PastAct) -> list[tuple[int, str]]:
    return conn.execute(_SAID, [list(past.events)]).fetchall()


def _refuse(conn: psycopg.Connection, past: PastAct, now: datetime) -> list[dict[str, Any]]:
    """The act's events as they were said; Refused where it cannot be undone."""
    if past.kind in CERTIFYING:
        raise refuse("void_instead")
    if past.undone_at is not None:
        raise refuse("undone_already")
    if now > past.undo_until:
        raise refuse("undo_too_late", minutes=round(UNDO_WITHIN.total_seconds() / 60))
    rows = _said(conn, past)
    events = [read_recorded(text) for _, text in rows]
    _refuse_built_upon(conn, past, [row[0] for row in rows], events)
    return [json.loads(text) for _, text in rows]


_LATER = "SELECT later_events(%(own)s, %(named)s, %(vehicles)s, %(inside)s)"


def _refuse_built_upon(
    conn: psycopg.Connection, past: PastAct, own: Sequence[int], events: Sequence[Event]
) -> None:
    named = {name for event in events for name in built_on(event)}
    inside = set(_inside(conn, past))
    _refuse_certified(conn, past, named | inside)
    asked = {
        "own": list(own),
        "named": sorted(named | {run for event in events if (run := run_of(event)) is not None}),
        "vehicles": sorted({name for event in events for name in vehicles_of(event)}),
        "inside": sorted(inside),
    }
    row = conn.execute(_LATER, asked).fetchone()
    assert row is not None
    if row[0]:
        raise refuse("built_upon", count=row[0])


_PROMISED = """
SELECT lot, max(number), sum(quantity_kg), current_organisation() FROM certificate
WHERE lot = ANY (%s) AND status = 'valid' AND event_id <> ALL (%s) GROUP BY lot
"""


def _refuse_certified(conn: psycopg.Connection, past: PastAct, lots: Iterable[str]) -> None:
    """A certificate does not go away with what it promises: it is voided first, so that who has the paper can be told. Those
    that stand in the act's own events go with it."""
    promised = conn.execute(_PROMISED, [sorted(lots), list(past.events)]).fetchall()
    if not promised:
        return
    stock = read_stock(conn, promised[0][3], [row[0] for row in promised], without=frozenset(past.events))
    for lot, number, weight, _ in promised:
        if weight > stock.certifiable_kg(lot) + NOTHING:
            raise refuse("void_first", number=number)


def _inside(conn: psycopg.Connection, past: PastAct) -> Iterable[str]:
    """The lots in the units that an act took in, also those that were not seen then: who sells, samples or certifies them
    names the lot and not the unit. Of a vehicle that was taken over, the units on it."""
    done = past.facts["done"]
    if past.kind == "hand_over":
        return tuple(done["units"])
    if past.kind not in TAKING_IN:
        return ()
    if done["lots"] or not done["units"]:
        return tuple(done["lots"])
    genealogy = replay(read_events(conn, done["units"]))
    return {parcel.lot for unit in done["units"] for parcel in genealogy.parcels_answering(unit)}


def vehicles_of(event: Event) -> set[str]:
    """What goods were put on, and the trailer whose compartment that is: who takes it over or drives it off has them too,
    and names nothing but the vehicle."""
    if not (isinstance(event, AggregationEvent) and event.action == "ADD" and _is_loading(event)):
        return set()
    parents = {each.identifier for each in touches(event) if each.role == "parent"}
    return parents | {base for name in parents if (base := base_vehicle(name)) is not None}


def _is_loading(event: Event) -> bool:
    return event.biz_step is not None and vocabulary.biz_step(event.biz_step) == "loading"


def built_on(event: Event) -> set[str]:
    """What later events rest on: what this one made or moved. Not what it only took from: of a lot of which one pallet was
    packed by mistake, another may have been packed since."""
    if isinstance(event, TransformationEvent):
        roles = {"output"}
    elif isinstance(event, AggregationEvent):
        taken_out = event.action == "DELETE"
        # A vehicle carries other loads as well; its children are what was moved.
        roles = {"child"} if taken_out or _is_loading(event) else {"parent", "child"}
        goods = {each.epc_class for each in event.child_quantity_list}
        return {
            each.identifier for each in touches(event) if each.role in roles and each.identifier not in goods
        }
    elif isinstance(event, ObjectEvent) and event.action == "DELETE":
        roles = {"epc"}
    else:
        roles = {"epc", "class"}
    return {each.identifier for each in touches(event) if each.role in roles}
