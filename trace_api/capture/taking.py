"""Events as written -> the record, and what became of each.

In the line: a job's document or one event alone -> here -> `ledger.recording.record_all`. Contract: in the caller's transaction;
one bad event hides no other, and each is told with a pointer and all that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import psycopg

from ingest.admission import check_event_times
from ingest.wire.errors import WireError
from ledger.epcis.events import EventError, parse_event
from ledger.epcis.problems import Problem as Wrong
from ledger.epcis.xml_order import refused
from ledger.persons import Vault
from ledger.recording import EventConflict, Recorded, RecordingError, Said, record_all

Outcome = Literal["recorded", "duplicate", "conflict", "invalid", "not_recorded"]
_MOST_TOLD = 20
_LONGEST_DETAIL = 2_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One event that was not taken. `pointer`: JSON pointer to it in the document; `problems`: inside it."""

    pointer: str
    status: Literal[400, 409]
    reason: str
    problems: Sequence[Wrong] = ()

    def to_json(self) -> dict[str, Any]:
        kind = "ValidationException" if self.status == 400 else "ResourceAlreadyExistsException"
        told: dict[str, Any] = {
            "type": f"epcisException:{kind}",
            "status": self.status,
            "title": "Event not captured",
            "detail": self.reason[:_LONGEST_DETAIL],
            "instance": self.pointer,
        }
        if self.problems:
            told["problems"] = [
                {"pointer": self.pointer + each.pointer, "message": each.message}
                for each in self.problems[:_MOST_TOLD]
            ]
        return told


@dataclass(slots=True)
class Taken:
    """What became of events, in their order. `named`: event_id by place, of those recorded under another one than they came with."""

    outcomes: list[Outcome] = field(default_factory=list)
    named: dict[int, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def take(
    conn: psycopg.Connection,
    organisation: str,
    events: Sequence[Any],
    pointer: Callable[[int], str],
    context: Any,
    received_at: datetime,
    vault: Vault,
    *,
    xml: bool = False,
) -> Taken:
    """`pointer`: to the event at that place. `context`: their document's `@context`. `xml`: they were written in XML. Raises
    persons.WrongKey."""
    sifted = [_sifted(event, context, received_at, xml) for event in events]
    good = [said for said in sifted if isinstance(said, Said)]
    recorded = iter(_recorded(conn, organisation, good, received_at, vault))
    taken = Taken()
    for place, said in enumerate(sifted):
        found: Recorded | RecordingError | _Invalid = said if isinstance(said, _Invalid) else next(recorded)
        if isinstance(found, Recorded):
            taken.outcomes.append("duplicate" if found.duplicate else "recorded")
            if found.event_id != events[place].get("eventID"):
                taken.named[place] = found.event_id
        else:
            taken.outcomes.append("conflict" if isinstance(found, EventConflict) else "invalid")
            taken.faults.append(_fault(pointer(place), found))
    return taken


@dataclass(frozen=True, slots=True)
class _Invalid:
    problems: Sequence[Wrong]


def _sifted(event: Any, context: Any, received_at: datetime, xml: bool) -> Said | _Invalid:
    """The rules of the MQTT door, and what XML has of its own."""
    if not isinstance(event, Mapping):
        return _Invalid([Wrong("", "an event is a JSON object")])
    disordered = list(refused(event)) if xml else []
    try:
        read = parse_event(event)
        check_event_times(read, round(received_at.timestamp() * 1000))
    except EventError as error:
        return _Invalid([*disordered, *error.problems])
    except WireError as error:
        return _Invalid([Wrong("/eventTime", error.detail)])
    return _Invalid(disordered) if disordered else Said(read, context, event)


def _recorded(
    conn: psycopg.Connection,
    organisation: str,
    events: Sequence[Said],
    received_at: datetime,
    vault: Vault,
) -> list[Recorded | RecordingError]:
    """What the database refuses is bisected down to the one event that it refuses."""
    if not events:
        return []
    try:
        with conn.transaction():
            return record_all(conn, organisation, events, received_at, vault)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        if len(events) == 1:
            return [RecordingError(error.diag.message_primary or str(error))]
    half = len(events) // 2
    return [
        found
        for part in (events[:half], events[half:])
        for found in _recorded(conn, organisation, part, received_at, vault)
    ]


def _fault(pointer: str, found: RecordingError | _Invalid) -> Fault:
    if isinstance(found, EventConflict):
        return Fault(pointer, 409, str(found))
    if isinstance(found, RecordingError):
        return Fault(pointer, 400, str(found))
    told = "; ".join(f"{each.pointer or '(event)'}: {each.message}" for each in found.problems[:_MOST_TOLD])
    return Fault(pointer, 400, told, found.problems)
