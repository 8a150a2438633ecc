"""perform(): a person did something, and now it is said.

In the line: a form or a request -> `read_act` -> here -> events in the record, and the act remembered so that it can be taken
back. Contract: all in the caller's transaction; under one lock an organisation, so that two taps see each other; an act that
the record does not bear out is Refused and leaves nothing. The event is recorded by `ledger.recording.record`, like any
other's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg

from ingest.admission import check_event_times
from ingest.wire.errors import WireError
from ledger.epcis.events import EventError, parse_event
from ledger.personal import personal_values, restored
from ledger.persons import Vault
from ledger.recording import RecordingError, record
from trace_api.access import Person
from trace_api.acts import certificates, farm, market, results, road, shop
from trace_api.acts.codes import label, lot_named, resolve
from trace_api.acts.desk import Desk, codes_of, lay_out
from trace_api.acts.models import Accept, Receive
from trace_api.acts.numbers import SerialRange
from trace_api.acts.parts import Event
from trace_api.acts.refusals import refuse
from trace_api.acts.roles import kinds_for
from trace_api.acts.shapes import Act
from trace_api.loggers import attaching, files

UNDO_WITHIN: Final = timedelta(minutes=10)

Planner = Callable[[Desk, Any], list[Event]]
PLANNERS: Final[Mapping[str, Planner]] = {
    "register_batch": farm.register_batch,
    "weigh_in": farm.weigh_in,
    "precool_start": farm.precool_start,
    "precool_end": farm.precool_end,
    "mix": farm.mix,
    "pack": farm.pack,
    "store": farm.store,
    "load": road.load,
    "depart": road.depart,
    "hand_over": road.hand_over,
    "arrive": road.arrive,
    "unload": road.unload,
    "inspect": market.inspect,
    "attach_logger": attaching.attach_logger,
    "refuse_part": market.refuse_part,
    "accept": market.accept,
    "receive": market.receive,
    "sample": market.sample,
    "rapid_test": market.rapid_test,
    "laboratory": market.laboratory,
    "hold": market.hold,
    "release": market.release,
    "split": shop.split,
    "ship": shop.ship,
    "sell": shop.sell,
    "shrink": shop.shrink,
}


@dataclass(frozen=True, slots=True)
class Done:
    """`at`: when it happened. `units`: new ones, where the act made some. `serials`: box labels to print. `documents`: papers
    by the identifiers they were given."""

    act: UUID
    kind: str
    at: datetime
    events: tuple[str, ...]
    lots: tuple[str, ...]
    units: tuple[str, ...]
    serials: tuple[SerialRange, ...]
    certificates: tuple[str, ...]
    documents: tuple[str, ...]
    undo_until: datetime

    def to_json(self) -> dict[str, Any]:
        return {
            "act": str(self.act),
            "kind": self.kind,
            "at": self.at.isoformat(),
            "events": list(self.events),
            "lots": list(self.lots),
            "units": list(self.units),
            "serials": [{"lot": each.lot, "first": each.first, "last": each.last} for each in self.serials],
            "certificates": list(self.certificates),
            "documents": list(self.documents),
            "undo_until": self.undo_until.isoformat(),
        }


def perform(
    conn: psycopg.Connection, person: Person, act: Act, now: datetime, public_url: str, vault: Vault
) -> Done:
    """Raises Refused, and then nothing may be committed."""
    refuse_strangers(person, act.kind)
    lock(conn, person)
    desk, events = plan(conn, person, act, now, public_url)
    return write(desk, vault, act.kind, said(act), events)


def refuse_strangers(person: Person, kind: str) -> None:
    if person.organisation is None:
        raise refuse("no_organisation", status=403)
    if kind not in kinds_for(person):
        raise refuse("not_your_act", status=403)


def lock(conn: psycopg.Connection, person: Person) -> None:
    """Until the transaction ends. What is read after it is what the one before left."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"acts of {person.organisation}"])


def take_turns(conn: psycopg.Connection, act: Accept | Receive) -> None:
    """Two organisations may reach for one unit, or for what lies loose of one lot: whoever comes second waits for the first, and
    is refused though the record has not given the first one's event its position yet, and shows it to nobody."""
    names = {lot_named(resolve(conn, text, where)) for where, text in codes_of(act)}
    wait_for_takers(conn, names)
    taken = conn.execute("SELECT taken_just_now(%s)", [list(names)]).fetchone()
    if taken is not None and taken[0]:
        raise refuse("taken_just_now", "units" if act.units else "goods", code=label(taken[0][0]))


def wait_for_takers(conn: psycopg.Connection, goods: Iterable[str]) -> None:
    """Until whoever takes some of these in at this moment has done so; from then on they wait for this transaction."""
    for name in sorted(set(goods)):
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"taken in {name}"])


def plan(
    conn: psycopg.Connection,
    person: Person,
    act: Act,
    now: datetime,
    public_url: str,
    without: frozenset[str] = frozenset(),
) -> tuple[Desk, list[Event]]:
    """What is to be said, and nothing said yet; under the organisation's lock. `without`: own events that it stands in place of."""
    if isinstance(act, Accept | Receive):
        take_turns(conn, act)
    desk = lay_out(conn, person, act, now, public_url, mint, without)
    return desk, PLANNERS[act.kind](desk, act)


def mint() -> str:
    return f"urn:uuid:{uuid4()}"


def write(desk: Desk, vault: Vault, kind: str, asked: Mapping[str, Any], events: Sequence[Event]) -> Done:
    """Records the events, the certificates they carry, the results they say, and the act."""
    conn, now = desk.conn, desk.now
    record_all(conn, vault, desk.us.id, events, now)
    # What the events say of persons rests here by the same names as in them, and is forgotten with them.
    names = vault.named(conn, desk.us.id, {value for event in events for value in personal_values(event)})
    said_by = tuple(str(event["eventID"]) for event in events)
    for made in desk.certificates:
        made = replace(made, contact=names.get(made.contact, made.contact))
        certificates.remember(conn, made if made.event_id else replace(made, event_id=said_by[0]))
    for test in desk.tests:
        results.remember(
            conn, desk.person, test if test.event_id else replace(test, event_id=said_by[0]), now
        )
    for sha256 in desk.logger_files:
        files.attached(conn, desk.us.id, said_by[0], sha256)
    done = Done(
        act=uuid4(),
        kind=kind,
        at=desk.at,
        events=said_by,
        lots=tuple(desk.lots),
        units=tuple(desk.units),
        serials=tuple(desk.serials),
        certificates=tuple(each.id for each in desk.certificates),
        documents=tuple(desk.documents),
        undo_until=now + UNDO_WITHIN,
    )
    facts = {
        "asked": restored(asked, names),
        "done": done.to_json(),
        "numbers": [each.to_json() for each in desk.numbers.given],
    }
    conn.execute(
        "INSERT INTO act (id, organisation, account, kind, event_ids, facts, at) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            done.act,
            desk.us.id,
            desk.person.account,
            kind,
            list(said_by),
            json.dumps(facts, ensure_ascii=False),
            now,
        ],
    )
    return done


def record_all(
    conn: psycopg.Connection, vault: Vault, organisation: str, events: Iterable[Event], now: datetime
) -> None:
    """By the rules of both other doors. What cannot be said as an event of the standard is the asker's to mend."""
    for each in events:
        try:
            event = parse_event(each)
            check_event_times(event, round(now.timestamp() * 1000))
            record(conn, organisation, event, now, vault)
        except (EventError, WireError, RecordingError) as error:
            raise refuse("cannot_be_said", status=422, reason=str(error)[:300]) from error


def said(act: Act) -> dict[str, Any]:
    """As the person said it."""
    return act.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
