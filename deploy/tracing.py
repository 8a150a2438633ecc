"""A trace over EPCIS files, without a server: what `suyuan trace` does.

Files -> `ledger.epcis.lenient` -> `ledger.genealogy`. Contract: the same files in any order give the same trace; a file or an
event that comes twice counts once; what was left out of an event is said to `note`, never kept silent.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.epcis_files import read_path
from ledger.epcis.event_hash import event_hash
from ledger.epcis.events import Event
from ledger.epcis.files import Unreadable
from ledger.epcis.identifiers import IdentifierError
from ledger.epcis.lenient import name_of, read_leniently
from ledger.epcis.problems import EventError
from ledger.genealogy import Direction, Genealogy, RecordedEvent, Trace, Weighed, replay, weighed
from ledger.genealogy.names import uri
from trace_api.genealogy.picture import Painter
from trace_api.words import Language, Words

MOST_NOTES: Final = 20
_DEEPEST, _MOST_EVENTS = 10_000, 1_000_000  # a file is as long as it is


@dataclass(frozen=True, slots=True)
class Files:
    """`events` as they can be replayed, each under its eventID or its hash."""

    events: tuple[RecordedEvent, ...]

    def replayed(self) -> Genealogy:
        return replay(self.events)


def read_files(paths: Iterable[Path], note: Callable[[str], None]) -> Files:
    """Raises Unreadable, with the file's name before what is wrong with it."""
    notes: list[str] = []
    found = [event for path in paths for event in _events(path, notes)]
    for text in notes[:MOST_NOTES]:
        note(text)
    if len(notes) > MOST_NOTES:
        note(f"and {len(notes) - MOST_NOTES} more of the kind")
    return Files(tuple(_once(found)))


def trace_files(
    files: Files, identifier: str, direction: Direction, note: Callable[[str], None]
) -> tuple[Trace, tuple[Weighed, ...]]:
    """Of any code, URN, Digital Link or URI. What nobody names has no events, and `note` says what is named like it."""
    genealogy = files.replayed()
    name = uri(_named(identifier))
    found = genealogy.trace(name, direction, max_depth=_DEEPEST, max_events=_MOST_EVENTS)
    if not found.events:
        near = nearest(name, genealogy.named())
        note(f"no event names {name}" + (f"; named are {', '.join(near)}" if near else ""))
    return found, tuple(weighed(genealogy, found.edges))


def picture(found: Trace, edges: Iterable[Weighed], language: Language) -> str:
    """SVG, in UTC: files say in which zone their parties wrote, and not in which one is read."""
    return str(Painter(Words(language), lambda name: None).picture(found, edges))


def as_json(found: Trace) -> dict[str, Any]:
    """The events by name in the order in which they happened, each once."""
    events = list(dict.fromkeys(item.event.event_id for item in found.events))
    edges = [
        {"from": edge.source, "to": edge.target, "kind": edge.kind, "event": edge.event}
        for edge in found.edges
    ]
    return {"events": events, "edges": edges}


def nearest(name: str, named: Sequence[str], most: int = 3) -> list[str]:
    """Names that hold it or are spelt like it."""
    holding = [each for each in named if name in each or each in name]
    return (holding or difflib.get_close_matches(name, named, n=most, cutoff=0.75))[:most]


def _named(identifier: str) -> str:
    try:
        return name_of(identifier)
    except IdentifierError:
        return identifier


def _events(path: Path, notes: list[str]) -> Iterator[tuple[Event, Any]]:
    try:
        file = read_path(path)
    except Unreadable as error:
        raise Unreadable(f"{path} {error}") from error
    for place, raw in enumerate(file.events):
        read = read_leniently(raw, file.context)
        if read.notes:
            what = "is skipped" if read.event is None else "is read in part"
            notes.append(f"{path}#{file.pointer(place)} {what}: {'; '.join(read.notes[:3])}")
        if read.event is not None:
            yield read.event, file.context


def _once(found: Sequence[tuple[Event, Any]]) -> Iterator[RecordedEvent]:
    """Of several under one name those that say different things: XML and JSON may say the same in two spellings."""
    names = Counter(event.event_id for event, _ in found)
    seen: set[tuple[str | None, str, bool]] = set()
    for event, context in found:
        key = event.event_id, "", event.error_declaration is not None
        if names[event.event_id] > 1:
            key = event.event_id, _content(event, context), event.error_declaration is not None
        if key not in seen:
            seen.add(key)
            yield RecordedEvent(None, "", event)


def _content(event: Event, context: Any) -> str:
    try:
        return event_hash(event, context)
    except EventError:
        return event_hash(event)
