"""EPCIS 2.0 JSON over MQTT or HTTP into event models.

Contract: any bytes give what they say, event by event, or raise `WireError`; size, depth and duplicate keys are checked
before the model sees anything, because a duplicate key would let two readers read two events.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ingest.wire.errors import WireError
from ledger.epcis.events import Event, EventError, parse_document, parse_event
from ledger.strict_json import unique_keys

MAX_BYTES = 1_048_576


def parse_json(payload: bytes, limit: int = MAX_BYTES) -> Any:
    """Strict JSON: UTF-8, no duplicate keys, no NaN, bounded size and depth. Raises WireError."""
    if len(payload) > limit:
        raise WireError(
            "too_large", f"got {len(payload)} bytes, at most {limit} are taken; send fewer events a message"
        )
    try:
        return json.loads(
            payload.decode("utf-8-sig"), object_pairs_hook=unique_keys, parse_constant=_no_constant
        )
    except WireError:
        raise
    except RecursionError as error:
        raise WireError("malformed_json", "the JSON is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise WireError(
            "malformed_json", f"not UTF-8: byte {error.start} begins no character; send JSON as UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        reason = "truncated" if error.pos >= len(error.doc.rstrip()) else "malformed_json"
        raise WireError(reason, f"not JSON: {error.msg} at character {error.pos}") from error
    except ValueError as error:
        raise WireError("malformed_json", str(error)) from error


@dataclass(frozen=True, slots=True)
class Said:
    """What a payload says. `events`: in its order, each an event or why it is none: one bad event hides no other."""

    context: Any
    events: tuple[Event | WireError, ...]


def decode(payload: bytes, limit: int = MAX_BYTES) -> Said:
    """One event or an EPCISDocument. Raises WireError where it is neither, so that no event can be told apart."""
    document = parse_json(payload, limit)
    if not isinstance(document, dict):
        raise WireError(
            "malformed_event",
            "want one EPCIS event or an EPCISDocument, got something else than a JSON object",
        )
    raw = _raw_events(document)
    return Said(document.get("@context"), tuple(_event(item) for item in raw))


def _raw_events(document: dict[str, Any]) -> list[Any]:
    if document.get("type") != "EPCISDocument":
        return [document]
    body = document.get("epcisBody")
    found = body.get("eventList") if isinstance(body, dict) else None
    if not isinstance(found, list) or not found:
        raise WireError("malformed_event", "the document has no epcisBody.eventList with events in it")
    try:
        parse_document({**document, "epcisBody": {**document["epcisBody"], "eventList": []}})
    except EventError as error:
        raise WireError("malformed_event", _in_words(error)) from error
    return found


def _event(item: Any) -> Event | WireError:
    if not isinstance(item, dict):
        return WireError("invalid_event", "an event is a JSON object")
    try:
        return parse_event(item)
    except EventError as error:
        return WireError("invalid_event", _in_words(error))


def _in_words(error: EventError) -> str:
    return "; ".join(f"{problem.pointer}: {problem.message}" for problem in error.problems)


def _no_constant(text: str) -> Any:
    raise WireError("not_a_number", f"JSON has no {text}: leave the field out when there is no value")
