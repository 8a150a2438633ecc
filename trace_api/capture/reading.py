"""The bytes of a document -> its events as written, or why they cannot be told apart.

Read twice: at the door, so that what cannot be read is refused at once, and by who works the job off. Contract: any bytes end in a
`ReadFile` with events in it or in `Unread`, in bounded time and memory; what is wrong with one event alone is not looked at here.
"""

from __future__ import annotations

from typing import Any

from ledger.epcis.events import EventError, parse_document
from ledger.epcis.files import ReadFile, Unreadable, read_file
from ledger.epcis.problems import Problem as Fault
from trace_api.capture.desk import Limits


class Unread(ValueError):
    """The document cannot be read. `problems` say where, as far as that can be said."""

    def __init__(self, message: str, problems: list[Fault]) -> None:
        super().__init__(message)
        self.problems = problems


def read(data: bytes, limits: Limits) -> ReadFile:
    """Raises Unread."""
    try:
        said = read_file(data, limits.bytes)
    except Unreadable as error:
        raise Unread(f"The document {error}", []) from error
    # An official example has two eventIDs in one event. What it is called is the last one, as everywhere; what happened is never
    # left to the reader.
    ambiguous = [name for name in said.repeated if name != "eventID"]
    if ambiguous:
        names = ", ".join(repr(name)[:60] for name in ambiguous[:5])
        raise Unread(
            f"The document has the key {names} twice in one object; two readers would read two things.", []
        )
    _refuse_envelope(said)
    if not said.events:
        raise Unread("The document has no events in it: put them into epcisBody.eventList.", [])
    return said


def _refuse_envelope(said: ReadFile) -> None:
    if said.kind not in ("EPCISDocument", "EPCISQueryDocument"):
        return
    document: dict[str, Any] = said.document
    try:
        if document.get("type") != said.kind:
            raise EventError([Fault("/type", f"is missing; add it, {said.kind}")])
        parse_document(_emptied(document, said.path))
    except EventError as error:
        problems = [each for each in error.problems if not each.pointer.startswith("/epcisBody")]
        if problems:
            told = "; ".join(f"{each.pointer}: {each.message}" for each in problems)
            raise Unread(f"The document's envelope is wrong: {told}", problems) from error


def _emptied(document: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The envelope without its events."""
    head, *rest = path
    inside = document.get(head)
    if not rest or not isinstance(inside, dict):
        return {**document, head: []}
    return {**document, head: _emptied(inside, tuple(rest))}
