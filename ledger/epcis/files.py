"""Reading an EPCIS file, whatever it is: the bytes become the events in it, as they are written.

First stop of `suyuan epcis validate`, `suyuan epcis hash`, `suyuan trace` and HTTP capture; `deploy.epcis_files`
reads a file by its path. Taken are JSON and JSON-LD (a byte-order mark allowed) and XML: an EPCISDocument, an
EPCISQueryDocument, one bare event, or, in JSON, a list of events. Contract: any bytes end in a `ReadFile` or in
`Unreadable`, the one error, in time and memory bounded by MOST_BYTES. Whether the events are any good is not
asked here: each may still be anything that JSON can say.

A key that stands twice in one object makes a file that two readers read differently. One of the standard's own
examples has one, so it is read, as nearly every reader does, with its last value, and `repeated` names it: a
door that keeps what came refuses it, who only looks goes on.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Never

from ledger.epcis import EpcisError
from ledger.epcis.bounds import DEEPEST
from ledger.epcis.problems import EventError, pointer_to, short
from ledger.epcis.xml_document import read_xml
from ledger.errors import EntryError

MOST_BYTES = 64 * 2**20
"""Of one file: some 60,000 events. Read, it takes several times as much memory."""
MOST_MARKS = 4_000_000
"""Brackets and commas of one file, twice what that many events have: an empty list of two bytes takes eighty in
memory."""
DEEPEST_FILE = DEEPEST + 8
"""Levels of nesting in a file: an event's, and the envelope's around it."""


class Unreadable(EpcisError):
    """No EPCIS events can be read from this. The message says what was found and how to mend it."""


class NoEvents(Unreadable):
    """It is JSON, and there are no events where they belong: `pointer` is where they were looked for."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}" if pointer else message)
        self.pointer, self.found = pointer, message


@dataclass(frozen=True)
class ReadFile:
    """What a file says.

    `kind`: EPCISDocument, EPCISQueryDocument, `event` (a bare one) or `events` (a list). `context`: the
    document's `@context` as written, None where there is none. `events`: in document order, each as written and
    not looked at: want a dict, and expect anything. `document`: the whole as JSON. `path`: the way in it to the
    list of events, or to the one event where it is `alone`. `repeated`: keys that stand twice in one object.
    `xml`: it was XML, in which the order of an event's fields counts (`xml_order`).
    """

    kind: str
    context: Any
    events: list[Any]
    document: Any
    path: tuple[str, ...] = ()
    alone: bool = False
    repeated: tuple[str, ...] = ()
    xml: bool = False

    def pointer(self, place: int) -> str:
        """The JSON pointer to an event in `document`, by its place in `events`."""
        return pointer_to(self.path if self.alone else [*self.path, place])


def read_file(data: bytes, most_bytes: int = MOST_BYTES, *, literal: bool = False) -> ReadFile:
    """The events of the bytes of a file. Raises Unreadable. `literal`: see `read_xml`; nothing to JSON."""
    if len(data) > most_bytes:
        raise Unreadable(f"is too large: want at most {most_bytes} bytes; split it into several documents")
    if data[:64].replace(b"\0", b"").lstrip(_BLANK).startswith(b"<"):
        try:
            return replace(as_read(read_xml(data, literal=literal)), xml=True)
        except EventError as error:
            raise Unreadable(error.problems[0].message) from error
    if not data[:64].strip(_BLANK) and not data.strip(_BLANK):
        raise Unreadable(f"is empty: send {_WANTED}")
    if data.startswith(_COMPRESSED):
        raise Unreadable("is compressed; unpack it first")
    if sum(map(data.count, (b"{", b"[", b","))) > MOST_MARKS:
        raise Unreadable(f"holds too many values: want at most {MOST_MARKS}; split it into several documents")
    repeated: set[str] = set()
    return replace(as_read(_json(data, repeated)), repeated=tuple(sorted(repeated)))


_BYTE_ORDER_MARKS = b"\xef\xbb\xbf\xff\xfe"
_BLANK = _BYTE_ORDER_MARKS + b" \t\r\n"
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""Of gzip, zip, bzip2, xz and zstd."""


def as_read(document: Any) -> ReadFile:
    """The events of what is JSON already, its depth bounded before. Raises Unreadable."""
    if isinstance(document, list):
        return ReadFile("events", None, document, document)
    if not isinstance(document, dict):
        raise NoEvents("", f"got {short(document)}, want {_WANTED}")
    kind = _kind(document)
    if kind == "event":
        return ReadFile("event", document.get("@context"), [document], document, alone=True)
    return _enveloped(kind, document)


_WANTED = "an EPCISDocument, an EPCISQueryDocument, one event or a list of events"
_PATHS: dict[str, tuple[str, ...]] = {
    "EPCISDocument": ("epcisBody",),
    "EPCISQueryDocument": ("epcisBody", "queryResults", "resultsBody"),
}


def _kind(document: Mapping[str, Any]) -> str:
    """By its type, or else by its body: documents without a type are sent."""
    said = document.get("type")
    if isinstance(said, str) and said in _PATHS:
        return said
    body = document.get("epcisBody")
    if isinstance(body, Mapping):
        return "EPCISQueryDocument" if "queryResults" in body else "EPCISDocument"
    if "eventTime" in document or (isinstance(said, str) and said.endswith("Event")):
        return "event"
    got = "an object without a type" if said is None else f"an object of type {short(said)}"
    raise NoEvents("/type", f"got {got}, want {_WANTED}; give it its type")


def _enveloped(kind: str, document: dict[str, Any]) -> ReadFile:
    body: Any = document
    for depth, name in enumerate(_PATHS[kind], start=1):
        body = body.get(name)
        if not isinstance(body, dict):
            pointer = pointer_to(_PATHS[kind][:depth])
            wanted = f"an object that holds the eventList of the {kind}"
            raise NoEvents(pointer, f"got {short(body)}, want {wanted}")
    context, path = document.get("@context"), _PATHS[kind]
    # A single event instead of a list: drafts of the standard had it so, and some still send it.
    if "eventList" not in body and isinstance(body.get("event"), dict):
        return ReadFile(kind, context, [body["event"]], document, (*path, "event"), alone=True)
    events = body.get("eventList")
    if not isinstance(events, list):
        pointer = pointer_to([*path, "eventList"])
        raise NoEvents(pointer, f"got {short(events)}, want an array of events")
    return ReadFile(kind, context, events, document, (*path, "eventList"))


# --- bytes --------------------------------------------------------------------------------------------------


def _json(data: bytes, repeated: set[str]) -> Any:
    """JSON without NaN and infinities, bounded in depth. Keys that stand twice in an object go into
    `repeated`."""

    def last_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            repeated.update(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        return found

    try:
        document = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=last_of_each,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise Unreadable(f"{_not_text(data)}: byte {error.start} begins no character of UTF-8") from error
    except json.JSONDecodeError as error:
        ended = error.pos >= len(error.doc.rstrip())
        remedy = "it ends too early, send the whole of it" if ended else "mend it there, or export it again"
        where = f"line {error.lineno}, column {error.colno}"
        raise Unreadable(f"is no JSON: {_plainly(error)} at {where}; {remedy}") from error
    except EntryError as error:
        raise Unreadable(f"is no JSON that can be carried: {error}") from error
    except RecursionError as error:
        raise Unreadable(_TOO_DEEP) from error
    except ValueError as error:  # an integer of more digits than Python reads
        text = "holds a number of thousands of digits; write it as text"
        raise Unreadable(f"is no JSON that can be carried: it {text}") from error
    _refuse_deep(document)
    return document


def _plainly(error: json.JSONDecodeError) -> str:
    """What is wrong, said to who does not know our parser."""
    if error.msg.startswith("Expecting"):
        got = error.doc[error.pos : error.pos + 1]
        missing = error.msg.removeprefix("Expecting ").partition(" enclosed")[0]
        return f"got {short(got) if got else 'the end'}, want {_JSON_PARTS.get(missing, missing)},"
    return error.msg.removesuffix(" at").lower()


_JSON_PARTS = {
    "value": "a value",
    "property name": "a key in double quotes",
    "',' delimiter": "a comma or the closing bracket",
    "':' delimiter": "a colon after the key",
}
_TOO_DEEP = f"is nested too deep; want at most {DEEPEST_FILE} levels"


def _refuse_deep(document: Any) -> None:
    """Level by level, so that no depth breaks it."""
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(DEEPEST_FILE):
        inside = (value.values() if type(value) is dict else value for value in level)
        level = [value for values in inside for value in values if type(value) is dict or type(value) is list]
        if not level:
            return
    raise Unreadable(_TOO_DEEP)


def _not_text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is UTF-16; save it as UTF-8"
    return "is no text in UTF-8; save it as UTF-8"


def _no_constant(text: str) -> Never:
    raise EntryError(f"JSON has no {text}; leave the field out where there is no value")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise EntryError(f"got {text[:40]}, want a number that a double holds; write a greater one as text")
    return number
