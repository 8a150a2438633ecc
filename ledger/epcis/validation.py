"""Is this document right? Everything that can be said of it without knowing anything else.

Behind `files` in the line, and the whole of `suyuan epcis validate` and `POST /epcis/events/validate`. Contract:
pure; findings come one by one in the order of the document, each with a pointer into it; nothing is collected but
an eventID and a digest for each event and what `advice.Together` remembers, and the cost is linear in the events.

Errors are of three kinds: what every door refuses (fields, `rules.faults`), what the standard's text forbids and its
own examples do (`rules.breaches`), and what a repository would answer with 409, one eventID for two events. Warnings
are `advice`; a note says that a claimed event hash is not that of the event, as in most that are published.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ledger.epcis.advice import Together, advice
from ledger.epcis.event_hash import Hasher, ignored_in
from ledger.epcis.events import parse_event, refuse_envelope
from ledger.epcis.files import ReadFile
from ledger.epcis.models import Event
from ledger.epcis.problems import EventError, Problem, Severity, printable, short
from ledger.epcis.rules import breaches
from ledger.epcis.xml_order import misplaced


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend. `pointer`: into the file's document; `event`: the number of the event in it, from 1, None
    where it is about what is around the events."""

    severity: Severity
    pointer: str
    message: str
    event: int | None = None

    def to_json(self) -> dict[str, Any]:
        pointer, detail = printable(self.pointer), printable(self.message)
        return {"severity": self.severity, "pointer": pointer, "detail": detail, "event": self.event}


def validate(file: ReadFile, begun: Callable[[int], object] = lambda number: None) -> Iterator[Finding]:
    """Everything to be said of a file's events and of what is around them. `begun` is called with the number of each
    event that is looked at."""
    sound = True
    for problem in _around(file):
        sound = sound and problem.severity != "error"
        yield Finding(problem.severity, problem.pointer, problem.message)
    together, names = Together(), _Names()
    hasher = Hasher.of(file.context, ignored_in(file.document)) if sound else None
    for place, raw in enumerate(file.events):
        begun(place + 1)
        pointer = file.pointer(place)
        if file.xml:
            for problem in misplaced(raw):
                yield Finding("error", pointer + problem.pointer, problem.message, place + 1)
        try:
            event = parse_event(raw)
        except EventError as error:
            for problem in error.problems:
                yield Finding("error", pointer + problem.pointer, problem.message, place + 1)
            continue
        for problem in (
            *_of(event, raw, hasher),
            *names.add(event, raw, place + 1),
            *together.add(event, place + 1),
        ):
            yield Finding(problem.severity, pointer + problem.pointer, problem.message, place + 1)


def _around(file: ReadFile) -> Iterator[Problem]:
    if file.kind in ("EPCISDocument", "EPCISQueryDocument"):
        said = file.document.get("type")
        if said != file.kind:
            yield Problem("/type", f"got {short(said)}, want {file.kind}")
        try:
            refuse_envelope(file.document, file.kind)
        except EventError as error:
            yield from error.problems
    for name in file.repeated:
        remedy = "the last is read here, another reader may read the first; take out the wrong one"
        yield Problem("", f"has {short(name)} twice in one object; {remedy}")
    if not file.events:
        yield Problem(
            file.pointer(0)[:-2],
            "has no events in it, and nothing to capture; is this the right file?",
            "warning",
        )


def _of(event: Event, raw: Any, hasher: Hasher | None) -> Iterator[Problem]:
    yield from breaches(event)
    yield from advice(event)
    claimed = event.event_id or ""
    if hasher is not None and claimed.startswith("ni:"):
        with suppress(EventError):  # too long to be hashed, which is no fault of an event that has a name
            wanted = hasher.hash(raw)
            if claimed != wanted:
                yield Problem("/eventID", f"is not the hash of this event, which is {wanted}", "note")


@dataclass
class _Names:
    """eventIDs of the document. One that names two events leaves a repository with a conflict; an event and its error
    declaration share theirs."""

    _known: dict[tuple[str, bool], tuple[bytes, int]] = field(default_factory=dict)

    def add(self, event: Event, raw: Any, number: int) -> Iterator[Problem]:
        if event.event_id is None:
            return
        key = event.event_id, event.error_declaration is not None
        digest = hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).digest()[:16]
        known, first = self._known.setdefault(key, (digest, number))
        if first == number:
            return
        if known == digest:
            yield Problem(
                "/eventID", f"is that of event {first}, which says the same; send it once", "warning"
            )
        else:
            remedy = (
                "give each event an eventID of its own; to correct one, declare it wrong (errorDeclaration)"
            )
            yield Problem("/eventID", f"is that of event {first}, which says something else; {remedy}")
