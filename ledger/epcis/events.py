"""The five EPCIS 2.0 event types: received JSON becomes a checked, frozen value and goes out as it came.

Second stop of every event, after the bytes are JSON and before anything is recorded. The contract is
threefold: `event_to_json(parse_event(x)) == x`, since hashes, ledger leaves and disclosures are made over
what was said and not over what we made of it; nothing invalid passes, and every fault is named with a JSON
pointer and a remedy; no input, however deep, long or odd, ends in anything but `EventError`. What has passed
once is read back by `read_recorded`, which asks for no more than the fields' shapes: a door that grew stricter
must not shut in what is recorded.

Attributes are the standard's names in snake_case and the JSON names are aliases only. A list that was not
given is an empty tuple, any other absent field is None. Times keep the text as received (`event_time_text`)
and are read through a property of the plain name (`event_time`), an aware datetime in the offset written.

Sources: EPCIS 2.0 section 7 and its JSON schema, CBV 2.0 section 7. Stricter than the schema in what the text
of the standard says and a schema cannot (check digits, order of times, parents); laxer in one point, the URN
and web address spellings of standard vocabulary, which older systems send.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from ledger.epcis.bounds import LARGEST_NUMBER, refuse_unbounded
from ledger.epcis.contexts import refuse_context
from ledger.epcis.models import (
    MODELS,
    TIME_PATTERN,
    AggregationEvent,
    AssociationEvent,
    BizTransaction,
    Destination,
    ErrorDeclaration,
    Event,
    ObjectEvent,
    PersistentDisposition,
    Place,
    QuantityElement,
    SensorElement,
    SensorMetadata,
    SensorReport,
    Source,
    TransactionEvent,
    TransformationEvent,
    field_problem,
)
from ledger.epcis.problems import EventError, Problem, pointer_to, short
from ledger.epcis.rules import faults

__all__ = [
    "AggregationEvent",
    "AssociationEvent",
    "BizTransaction",
    "Destination",
    "Document",
    "ErrorDeclaration",
    "Event",
    "EventError",
    "ObjectEvent",
    "PersistentDisposition",
    "Place",
    "Problem",
    "QuantityElement",
    "SensorElement",
    "SensorMetadata",
    "SensorReport",
    "Source",
    "TransactionEvent",
    "TransformationEvent",
    "event_to_json",
    "extensions",
    "parse_document",
    "parse_event",
    "read_recorded",
    "refuse_envelope",
]


@dataclass(frozen=True)
class Document:
    """What came in one piece: `events` in the order written, `context` the `@context` as written (None for a
    bare event without one), `kind` EPCISDocument, EPCISQueryDocument or the event's own type."""

    kind: str
    context: Any
    events: tuple[Event, ...]


def parse_event(obj: Mapping[str, Any]) -> Event:
    """One event from its JSON object. Raises EventError with every problem found.

    The event keeps references to the nested values of `obj`; a caller who goes on changing them must copy
    first.
    """
    refuse_unbounded(obj)
    refuse_context(obj.get("@context"))
    event = _shaped(obj)
    problems = list(faults(event))
    if problems:
        raise EventError(problems)
    return event


def read_recorded(text: str) -> Event:
    """An event that was taken before, from JSON text in any spelling of its numbers.

    PostgreSQL's jsonb writes 1e308 as an integer of 309 digits; a number that great becomes the float it was.
    Neither bounds nor the standard's rules are asked again, so that no recorded event stops those who read all
    of them.
    """
    return _shaped(json.loads(text, parse_int=_read_integer))


def _read_integer(digits: str) -> int | float:
    number = float(digits)
    return int(digits) if abs(number) <= LARGEST_NUMBER else number


def _shaped(obj: Mapping[str, Any]) -> Event:
    model = MODELS.get(str(obj.get("type")))
    if model is None:
        raise EventError([Problem("/type", f"got {short(obj.get('type'))}, want one of {', '.join(MODELS)}")])
    try:
        return model.model_validate(obj)
    except ValidationError as error:
        raise EventError([field_problem(detail) for detail in error.errors(include_url=False)]) from None


def event_to_json(event: Event) -> dict[str, Any]:
    """The event's JSON object, field for field what came in."""
    return event.model_dump(mode="json", by_alias=True, exclude_unset=True)


def extensions(event: Event) -> dict[str, Any]:
    """The event's own extension fields by the names they were written with, e.g. `suyuan:probePosition`."""
    return dict(event.model_extra or {})


def parse_document(obj: Mapping[str, Any]) -> Document:
    """An EPCISDocument, an EPCISQueryDocument or one bare event. Raises EventError with the problems of the
    envelope, or else of all its events."""
    kind = obj.get("type") if isinstance(obj, Mapping) else None
    if kind != "EPCISDocument" and kind != "EPCISQueryDocument":
        event = parse_event(obj)
        return Document(event.type, event.context, (event,))
    refuse_envelope(obj, kind)
    _, path = _ENVELOPES[kind]
    return Document(kind, obj["@context"], _parse_all(_event_list(obj, path), path))


# The fields that must be there, and the way to the list of events.
_ENVELOPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "EPCISDocument": (("@context", "schemaVersion", "creationDate"), ("epcisBody", "eventList")),
    "EPCISQueryDocument": (("@context",), ("epcisBody", "queryResults", "resultsBody", "eventList")),
}


def refuse_envelope(obj: Mapping[str, Any], kind: str) -> None:
    """Raises EventError with what is wrong around the events of an EPCISDocument or EPCISQueryDocument (`kind`)."""
    required, path = _ENVELOPES[kind]
    problems = [Problem(pointer_to([name]), "is missing; add it") for name in required if name not in obj]
    for name, pattern, wanted in (
        ("schemaVersion", r"^\d+(\.\d+)*$", 'a version such as "2.0"'),
        ("creationDate", TIME_PATTERN, "an ISO 8601 date and time with zone"),
    ):
        said = obj.get(name)
        if name in obj and not (isinstance(said, str) and re.match(pattern, said)):
            problems.append(Problem(f"/{name}", f"got {short(said)}, want {wanted}"))
    if problems:
        raise EventError(problems)
    # Only the context leaves the envelope; the events are bounded one by one.
    refuse_unbounded({"@context": obj["@context"]})
    refuse_context(obj["@context"])
    _event_list(obj, path)


def _event_list(obj: Mapping[str, Any], path: tuple[str, ...]) -> list[Any]:
    value: Any = obj
    for depth, name in enumerate(path, start=1):
        value = value.get(name) if isinstance(value, Mapping) else None
        wanted = list if depth == len(path) else Mapping
        if not isinstance(value, wanted):
            kind = "an array" if wanted is list else "an object"
            raise EventError([Problem(pointer_to(path[:depth]), f"got {short(value)}, want {kind}")])
    return value  # type: ignore[no-any-return]


def _parse_all(items: list[Any], path: tuple[str, ...]) -> tuple[Event, ...]:
    events: list[Event] = []
    problems: list[Problem] = []
    for place, item in enumerate(items):
        try:
            events.append(parse_event(item))
        except EventError as error:
            head = pointer_to([*path, place])
            problems.extend(replace(problem, pointer=head + problem.pointer) for problem in error.problems)
    if problems:
        raise EventError(problems)
    return tuple(events)
