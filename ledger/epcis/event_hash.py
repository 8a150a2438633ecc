"""The CBV 2.0 event hash: one name for an event, whatever its field order, identifier spelling, time zone or
format (JSON-LD, XML).

Used as the key of events that came without an eventID, and to compare what two parties recorded. It is no
integrity proof: `recordTime`, `eventID`, `errorDeclaration` and comments stay outside, so an event and its
own error declaration hash alike: who looks for duplicates compares the declarations too. A claimed `ni:`
eventID that does not recompute is no reason to refuse anything; most published ones are stale.

The pre-hash string lists the fields in the standard's order as `name=value`, without separators; lists are
sorted, extension fields come last in their object as `{namespace}name=value`, sorted. What a prefix stands
for is said by the JSON-LD context, so the document's `@context` is part of the input. Contexts named by
address are not fetched: the standard's own prefixes are known here, those of another address are taken as
they are written.

Two doors: `event_hash` for an event that was taken, `Hasher` for the raw events of one document, valid or not,
which needs no model and is the faster one. Source: CBV 2.0 section 8.9; the examples of its reference
implementation are the tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ledger.epcis.bounds import MOST_CHARACTERS, refuse_unbounded
from ledger.epcis.contexts import refuse_context
from ledger.epcis.events import Event, event_to_json
from ledger.epcis.hash_fields import EVENT, LATE, NEVER, OUTSIDE, Field, Misshapen, Names, Value, foreign
from ledger.epcis.problems import EventError, Problem, pointer_to, short

VERSION = "CBV2.0"
MOST_WRITTEN = 8 * MOST_CHARACTERS
"""Characters of names and values written for one event. A list repeats its name with every item and a prefix
stands for a whole namespace, so that without a bound a small event writes out to gigabytes."""


def event_hash(event: Event, context: Any = None, *, ignored: Iterable[str] = ()) -> str:
    """`ni:///sha-256;<64 hex digits>?ver=CBV2.0`. Arguments and errors as for `pre_hash`."""
    return Hasher.of(context, ignored).hash(event_to_json(event))


def pre_hash(event: Event, context: Any = None, *, ignored: Iterable[str] = ()) -> str:
    """The string that is hashed.

    `context`: the `@context` of the document the event came in, as written; the event's own is added to it.
    `ignored`: extension fields to leave out, by the names written (a repository's own marks, which were not
    there when the event was made).
    Raises EventError for a context that `parse_document` would not take, and for an event that writes out to
    more than MOST_WRITTEN characters.
    """
    return Hasher.of(context, ignored).pre_hash(event_to_json(event))


def ignored_in(document: Any) -> list[str]:
    """Extension fields that a document says are its repository's own, by the names written: `ignoreFields` of
    any namespace, in the document, its body or its query results."""
    body = document.get("epcisBody") if isinstance(document, Mapping) else None
    results = body.get("queryResults") if isinstance(body, Mapping) else None
    return [name for said in (document, body, results) for name in _ignored(said)]


def _ignored(said: Any) -> Iterator[str]:
    for key, names in said.items() if isinstance(said, Mapping) else ():
        if key.endswith(":ignoreFields") and isinstance(names, list | Mapping):
            yield from (name for name in names if isinstance(name, str))


@dataclass(frozen=True)
class Hasher:
    """The hashes of the events of one document, as JSON objects within `bounds`; made once for all of them.

    Valid they need not be: what the standard does not know is hashed as an extension, a null as a field that
    is not there. `hash` and `pre_hash` raise EventError, with the place in the event, for a value that has no
    text in the hash (a time without its zone, an object where a URI belongs), an event without a type, and one
    that writes out to more than MOST_WRITTEN characters.
    """

    context: Any
    ignored: tuple[str, ...]
    _names: Names
    _left_out: frozenset[str]

    @classmethod
    def of(cls, context: Any = None, ignored: Iterable[str] = (), *, published: bool = False) -> Hasher:
        """`context` and `ignored` as for the function `pre_hash`. `published`: numbers of more than 15 digits
        become doubles, as in published hashes, so that two may be one. Raises EventError for a context out of
        bounds."""
        refuse_unbounded({"@context": context})
        refuse_context(context)
        kept = tuple(ignored)
        names = Names.of(context, published=published)
        return cls(context, kept, names, NEVER | {names.braced(name) for name in kept})

    def hash(self, said: Mapping[str, Any]) -> str:
        """`ni:///sha-256;<64 hex digits>?ver=CBV2.0`."""
        digest = hashlib.sha256(self.pre_hash(said).encode()).hexdigest()
        return f"ni:///sha-256;{digest}?ver={VERSION}"

    def pre_hash(self, said: Mapping[str, Any]) -> str:
        kind = said.get("type")
        if not isinstance(kind, str):
            raise EventError([Problem("/type", f"got {short(kind)}, want the type of the event")])
        names, left_out = self._names, self._left_out
        if said.get("@context") is not None:
            refuse_context(said["@context"])
            names = Names.of(self.context, said["@context"], published=names.published)
            left_out = NEVER | {names.braced(name) for name in self.ignored}
        try:
            return f"eventType={kind.strip()}" + _Writer(names, left_out).inside(_EVENT, said)
        except Misshapen as error:
            raise EventError([Problem(pointer_to(reversed(error.steps)), str(error))]) from None


@dataclass(frozen=True)
class _Fields:
    """The fields of one kind of object: in the standard's `order`, and `late` ones, sorted among extensions.
    `known`: their names and those that are not hashed there; None where all but the fields is left alone."""

    order: tuple[_Known, ...]
    late: tuple[_Known, ...]
    known: frozenset[str] | None

    @classmethod
    def of(
        cls, *fields: Field, late: tuple[Field, ...] = (), outside: Iterable[str] = (), rest: bool = False
    ) -> _Fields:
        known = frozenset({field.name for field in (*fields, *late)}.union(outside))
        return cls(cls._each(fields, rest), cls._each(late, rest), None if rest else known)

    @classmethod
    def _each(cls, fields: tuple[Field, ...], rest: bool) -> tuple[_Known, ...]:
        return tuple(
            (field.name, field.value, field.each, None if field.value else cls._inside(field, rest))
            for field in fields
        )

    @classmethod
    def _inside(cls, field: Field, rest: bool) -> _Fields:
        return cls.of(*field.inside, outside=field.elsewhere, rest=rest or field.rest)


_Known: TypeAlias = tuple[str, Value | None, str | None, _Fields | None]
"""A field's name, what writes its value or else the fields of its object, and the name before each item of a list."""

_EVENT = _Fields.of(*EVENT, late=LATE, outside=OUTSIDE)
_EXTENSION = _Fields.of()
_TEXT = ("#text", "@value")
"""Where an object holds the text of an XML element with attributes, or a JSON-LD value with its type."""


class _Writer:
    """Writes one event, and counts what is written."""

    __slots__ = ("left", "left_out", "names")

    def __init__(self, names: Names, left_out: frozenset[str]) -> None:
        self.names, self.left_out, self.left = names, left_out, MOST_WRITTEN

    def inside(self, fields: _Fields, said: Mapping[str, Any]) -> str:
        """An object: the standard's fields in its order, then extension fields, sorted."""
        if type(said) is not dict:
            raise Misshapen(said, "an object")
        written: list[str] = []
        if fields.order:
            self._known(fields.order, said, written)
        if fields.known is not None and not said.keys() <= fields.known:
            others: list[str] = []
            self._known(fields.late, said, others)
            for name in said.keys() - fields.known:
                self._extension(name, said[name], others)
            others.sort()
            written += others
        elif fields.late:
            late: list[str] = []
            self._known(fields.late, said, late)
            late.sort()
            written += late
        return "".join(written)

    def _known(self, fields: tuple[_Known, ...], said: Mapping[str, Any], written: list[str]) -> None:
        get, names = said.get, self.names
        for name, write, each, inner in fields:
            value = get(name)
            if value is None:
                continue
            try:
                if each is not None or type(value) is list:
                    if text := self._several(name, write, each, inner, value):
                        written.append(text)
                elif inner is not None:
                    if text := self.inside(inner, value):
                        written.append(name + text)
                elif write is not None and (text := write(names, value)):
                    written.append(f"{name}={self._spent(text)}")
            except Misshapen as error:
                error.steps.append(name)
                raise

    def _several(
        self, name: str, write: Value | None, each: str | None, inner: _Fields | None, said: Any
    ) -> str:
        """A list: its items, sorted."""
        if type(said) is not list:
            raise Misshapen(said, "an array")
        before, names = name if each is None else each, self.names
        written: list[str] = []
        place = 0
        try:
            if inner is not None:
                for item in said:
                    if text := self.inside(inner, item):
                        written.append(before + text)
                    place += 1
            elif write is not None:
                for item in said:
                    if text := write(names, item):
                        written.append(f"{before}={self._spent(text)}")
                    place += 1
        except Misshapen as error:
            error.steps.append(place)
            raise
        if not written:
            return ""
        written.sort()
        return "".join(written) if each is None else name + "".join(written)

    def _extension(self, name: str, said: Any, written: list[str]) -> None:
        """One string for every value: a list is so many fields of the same name."""
        braced = self.names.braced(name)
        if name[:1] not in ("@", "#") and braced not in self.left_out:
            self._values(braced, said, written)

    def _values(self, braced: str, said: Any, written: list[str]) -> None:
        for item in said if type(said) is list else (said,):
            if type(item) is dict:
                written.append(self._spent(braced) + self._text_in(item) + self.inside(_EXTENSION, item))
            elif type(item) is list:
                self._values(braced, item, written)
            elif item is not None:
                written.append(self._spent(braced) + self._text(item))

    def _text_in(self, said: dict[str, Any]) -> str:
        text = next((said[name] for name in _TEXT if name in said), None)
        return "" if text is None or type(text) in (dict, list) else self._text(text)

    def _text(self, value: Any) -> str:
        text = foreign(self.names, value)
        return self._spent(f"={text}") if text else ""

    def _spent(self, text: str) -> str:
        self.left -= len(text)
        if self.left < 0:
            wanted = f"want at most {MOST_WRITTEN} characters; give it an eventID, or split it"
            raise EventError([Problem("", f"writes out to too long a text for the event hash: {wanted}")])
        return text
