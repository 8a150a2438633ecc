"""An event as others wrote it, read for what it says: nothing is asked but a type and a time.

Between `files` and a trace of what a partner sent: files need not be valid there. Contract: never raises; what cannot be read
of an event is left out and named in `notes`, and an event that cannot be read at all is None with the reason. What is valid
comes out as `parse_event` has it. Nothing read here is recorded: the doors take `parse_event`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from pydantic import ValidationError

from ledger.epcis.codes import read_code
from ledger.epcis.event_hash import event_hash
from ledger.epcis.identifiers import LONGEST, IdentifierError
from ledger.epcis.models import MODELS, URI_PATTERN, Event
from ledger.epcis.problems import EventError, short

MOST_MENDED = 200
"""Rounds of leaving out what cannot be read; an event with more faults than that is none."""


@dataclass(frozen=True, slots=True)
class Lenient:
    """`event`: None where it is none. `notes`: what was left out or supplied, in words. `name`: the eventID as written, or
    else the CBV hash."""

    event: Event | None
    name: str
    notes: tuple[str, ...]


def read_leniently(raw: Any, context: Any = None) -> Lenient:
    """`context`: the document's `@context`, for the hash of an event without an eventID."""
    if not isinstance(raw, Mapping):
        return Lenient(None, "", (f"got {short(raw)}, want an event",))
    notes: list[str] = []
    said = _plain(raw)
    kind = _kind(said)
    if kind is None:
        return Lenient(None, "", (f"its type is {short(raw.get('type'))}, which is no event of EPCIS 2.0",))
    time = _time(said.get("eventTime"), said.get("eventTimeZoneOffset"))
    if time is None:
        return Lenient(None, "", (f"its eventTime is {short(raw.get('eventTime'))}, which is no time",))
    said |= {"type": kind, "eventTime": time, "eventTimeZoneOffset": _offset(said, time)}
    if kind != "TransformationEvent":
        action = str(said.get("action", "")).upper()
        said["action"] = action if action in ("ADD", "DELETE") else "OBSERVE"
    event = _read(_tidied(said, notes), notes)
    if event is None:
        return Lenient(None, "", (*notes, "too little of it can be read"))
    identity = raw.get("eventID")
    name = str(identity).strip() if identity not in (None, "") else _hash(event, context)
    # By that name it is found again, whether or not it is a URI.
    return Lenient(event.model_copy(update={"event_id": name}), name, tuple(notes))


def name_of(text: str) -> str:
    """A name in the form of a URI: a code is read, and what has no form of its own keeps its letters."""
    text = text.strip()
    if _A_URI.fullmatch(text) and len(text) <= LONGEST:
        return text
    try:
        return read_code(text).uri
    except IdentifierError:
        quoted = quote(text, safe="!#$&'()*+,/:;=?@[]~%")
        return quoted if _SCHEME.match(quoted) else f"urn:x-name:{quoted}"


_A_URI: Final = re.compile(URI_PATTERN)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_NAMES: Final = {name.lower(): name for name in MODELS}


def _plain(raw: Mapping[Any, Any]) -> dict[str, Any]:
    """Without what says nothing; with the names that older drafts had."""
    said = {str(name): value for name, value in raw.items() if value not in (None, "", [], {})}
    for old, new in (("isA", "type"), ("@type", "type"), ("parentId", "parentID"), ("eventId", "eventID")):
        if old in said:
            said.setdefault(new, said.pop(old))
    return said


def _kind(said: Mapping[str, Any]) -> str | None:
    written = said.get("type")
    if isinstance(written, str):
        return _NAMES.get(re.split(r"[:#/]", written.strip())[-1].lower())
    if any(name.startswith(("input", "output")) for name in said):
        return "TransformationEvent"
    if "parentID" in said and any(name.startswith("child") for name in said):
        return "AggregationEvent"
    return "ObjectEvent" if "epcList" in said or "quantityList" in said else None


def _time(value: Any, offset: Any) -> str | None:
    """RFC 3339, with a zone: its own, or the event's, or UTC."""
    if not isinstance(value, str):
        return None
    text = value.strip().replace(" ", "T", 1)
    text = re.sub(r"([+-][0-9]{2})([0-9]{2})$", r"\1:\2", text)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            zone = offset if isinstance(offset, str) and _OFFSET.fullmatch(offset) else "+00:00"
            moment = datetime.fromisoformat(moment.isoformat() + zone)
            text = moment.isoformat()
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return text if _TIME.fullmatch(text) else moment.isoformat()


_OFFSET: Final = re.compile(r"[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})")


def _offset(said: Mapping[str, Any], time: str) -> str:
    offset = said.get("eventTimeZoneOffset")
    if isinstance(offset, str) and _OFFSET.fullmatch(offset):
        return offset
    return "+00:00" if time.endswith("Z") else time[-6:]


_EPCS: Final = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_QUANTITIES: Final = ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")


def _tidied(said: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Names are made whole before anything else could throw them out."""
    for field in _EPCS:
        if field in said:
            written = said[field] if isinstance(said[field], list) else [said[field]]
            names = [name_of(each) for each in map(_text, written) if each]
            said[field] = list(dict.fromkeys(names))
    for field in _QUANTITIES:
        if field in said:
            written = said[field] if isinstance(said[field], list) else [said[field]]
            said[field] = [each for each in (_quantity(item, notes) for item in written) if each]
    for field in ("parentID", "transformationID"):
        if field in said:
            said[field] = name_of(_text(said[field]))
    for field in ("readPoint", "bizLocation"):
        place = said.get(field)
        inside = place.get("id") if isinstance(place, Mapping) else place
        if inside:
            said[field] = {"id": name_of(_text(inside))}
    declared = said.get("errorDeclaration")
    if declared is not None:
        # That it is declared wrong must not be lost with an odd time of saying so.
        told = declared if isinstance(declared, Mapping) else {}
        time = _time(told.get("declarationTime"), said["eventTimeZoneOffset"]) or said["eventTime"]
        said["errorDeclaration"] = {**told, "declarationTime": time}
    return said


def _text(value: Any) -> str:
    return str(value.get("id", "")) if isinstance(value, Mapping) else str(value)


def _quantity(item: Any, notes: list[str]) -> dict[str, Any] | None:
    if not isinstance(item, Mapping) or not item.get("epcClass"):
        notes.append(f"a quantity without epcClass is left out: {short(item)}")
        return None
    found: dict[str, Any] = {"epcClass": name_of(_text(item["epcClass"]))}
    quantity, uom = item.get("quantity"), item.get("uom")
    if isinstance(quantity, str):
        try:
            quantity = float(quantity)
        except ValueError:
            quantity = None
    if isinstance(quantity, int | float) and not isinstance(quantity, bool):
        found["quantity"] = quantity
    if isinstance(uom, str) and uom.strip():
        found["uom"] = uom.strip().upper()
    return found


def _read(written: dict[str, Any], notes: list[str]) -> Event | None:
    """With one fault after another left out, the innermost thing that has it."""
    said = written
    model = MODELS[said["type"]]
    for _ in range(MOST_MENDED):
        try:
            return model.model_validate(said)
        except ValidationError as error:
            places = {tuple(detail["loc"]): detail["type"] for detail in error.errors(include_url=False)}
            if said is written:
                said = deepcopy(written)  # the caller's stays as it is
            for place, kind in sorted(places.items(), key=_from_the_end):
                if not _leave_out(said, place[:-1] if kind == "missing" else place):
                    return None
                notes.append(f"left out: {'/'.join(map(str, place))} ({kind.replace('_', ' ')})")
    return None


def _from_the_end(fault: tuple[tuple[int | str, ...], str]) -> list[tuple[int, str]]:
    """Later items of a list first: those before keep their place."""
    return [(-step, "") if isinstance(step, int) else (0, step) for step in fault[0]]


def _leave_out(said: dict[str, Any], place: tuple[int | str, ...]) -> bool:
    """False where nothing is left of it."""
    if not place:
        return False
    holder: Any = said
    for step in place[:-1]:
        try:
            holder = holder[step]
        except (KeyError, IndexError, TypeError):
            return True  # left out already, with what held it
    try:
        del holder[place[-1]]
    except (KeyError, IndexError, TypeError, ValueError):
        return len(place) > 1 and _leave_out(said, place[:-1])
    return True


def _hash(event: Event, context: Any) -> str:
    try:
        return event_hash(event, context)
    except EventError:
        return event_hash(event)
