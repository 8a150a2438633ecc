"""What somebody said, made ready to be recorded: without persons, written out, hashed, and with what it mentions.

In the line: `recording` -> here -> `recording_rows`. Pure but for the random bytes of salts. Contract: whatever is made here is
made of the replaced form (`ledger.personal`), whichever door the event came in by.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ledger import strict_json
from ledger.entry import EventCommitment, commit_written
from ledger.epcis import EpcisError
from ledger.epcis.event_hash import VERSION, Hasher
from ledger.epcis.events import Event, event_to_json, read_recorded
from ledger.epcis.identifiers import canonical
from ledger.errors import EntryError
from ledger.genealogy import run_of, touches

SALT_BYTES = 16


class RecordingError(ValueError):
    """The event cannot be recorded."""


@dataclass(frozen=True, slots=True)
class Said:
    """`context`: the `@context` of the document it came in, which its hash needs. `fields`: its JSON, where the caller has it."""

    event: Event
    context: Any = None
    fields: Mapping[str, Any] | None = None

    def as_json(self) -> Mapping[str, Any]:
        return event_to_json(self.event) if self.fields is None else self.fields


@dataclass(frozen=True, slots=True)
class Context:
    """A document's `@context`, read once for all its events. `written`: its digest and RFC 8785 bytes, None for none. `names`: of
    its events' fields, in RFC 8785, as far as they came up."""

    written: tuple[bytes, bytes] | None
    hasher: Hasher
    names: dict[str, bytes] = field(default_factory=dict)

    def name(self, name: str) -> bytes:
        found = self.names.get(name)
        if found is None:
            found = self.names[name] = _written(name)
        return found

    @classmethod
    def of(cls, context: Any) -> Context:
        """Raises RecordingError."""
        try:
            hasher = Hasher.of(context)
        except EpcisError as error:
            raise RecordingError(f"the document's context cannot be read: {error}") from error
        content = None if context is None else _written(context)
        return cls(None if content is None else (sha256(content).digest(), content), hasher)


@dataclass(frozen=True, slots=True)
class Ready:
    """An event as it is kept. `place`: among those recorded together. `persons`: URNs that stand in it for persons.
    `written`: name and value of each field in RFC 8785, in tree order. `digest`: the SHA-256 of its CBV hash, None where it has
    none. `identified`: it came with an eventID. `context`: digest and bytes of its document's."""

    place: int
    event: Event
    persons: frozenset[str]
    names: tuple[str, ...]
    written: tuple[tuple[bytes, bytes], ...]
    digest: bytes | None
    event_id: str
    identified: bool
    context: tuple[bytes, bytes] | None

    @property
    def key(self) -> tuple[str, bool]:
        return self.event_id, self.event.error_declaration is not None

    @property
    def content(self) -> bytes:
        """Its bytes, RFC 8785."""
        return b"{%b}" % b",".join(b"%b:%b" % pair for pair in self.written)

    def commitment(self, random_bytes: Callable[[int], bytes]) -> tuple[bytes, EventCommitment]:
        """The salts one after the other, and what is committed to under them."""
        count = len(self.written)
        salts = random_bytes(SALT_BYTES * count)
        each = [salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES)]
        return salts, commit_written(self.names, self.written, each)

    def mentions(self) -> list[tuple[str, str]]:
        """(identifier, role), each once."""
        # A certificate is found by the events that name it, and is no goods: no walk follows it.
        certificates = {(canonical(each), "certificate") for each in self.event.certifications}
        # A run is no goods either; the events of one that stays open are found by it.
        run = run_of(self.event)
        runs = {(run, "run")} if run else set()
        return sorted(certificates | runs | {(found.identifier, found.role) for found in touches(self.event)})

    def parties(self, organisation: str) -> list[tuple[str, str]]:
        """(party as named, part), each once; the organisation that captures among them."""
        parties = {(organisation, "capture")}
        parties |= {(canonical(item.source), "source") for item in self.event.source_list}
        parties |= {(canonical(item.destination), "destination") for item in self.event.destination_list}
        return sorted(parties)


def ready(
    place: int,
    said: Said,
    context: Context,
    replaced: Mapping[str, Any] | None = None,
    persons: Iterable[str] = (),
) -> Ready:
    """`context`: of its document, `Context.of(said.context)`. `replaced`: its JSON with URNs in the places of persons, None where it names none.
    Raises RecordingError."""
    fields = said.as_json() if replaced is None else replaced
    names = tuple(sorted(fields) if all(map(str.isascii, fields)) else sorted(fields, key=_code_units))
    pieces = tuple((context.name(name), _written(fields[name])) for name in names)
    event = said.event
    if replaced is not None:
        event = read_recorded((b"{%b}" % b",".join(b"%b:%b" % pair for pair in pieces)).decode())
    name = _hash(event, fields, context)
    return Ready(
        place,
        event,
        frozenset(persons),
        names,
        pieces,
        digest_in(name),
        event.event_id or name or "",
        event.event_id is not None,
        context.written,
    )


def hash_name(digest: bytes) -> str:
    """The CBV 2.0 hash as a name: the event_id of what came without one."""
    return f"ni:///sha-256;{digest.hex()}?ver={VERSION}"


def digest_in(name: str | None) -> bytes | None:
    """The SHA-256 in a name as `event_hash` gives it."""
    found = None if name is None else _HASH_NAME.fullmatch(name)
    return None if found is None else bytes.fromhex(found[1])


_HASH_NAME = re.compile(r"ni:///sha-256;([0-9a-f]{64})\?ver=CBV2\.0")


def body_of(commitment: EventCommitment) -> bytes:
    """`commitment.body()` in RFC 8785."""
    root = b2a_base64(commitment.root, newline=False)
    return b'{"fields":%d,"root":"%b"}' % (len(commitment.leaves), root)


def _code_units(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _written(value: Any) -> bytes:
    """RFC 8785. Raises RecordingError for what has no such form (a lone surrogate, an integer no double holds)."""
    try:
        return strict_json.written(value)
    except EntryError as error:
        raise RecordingError(f"the event has no canonical form: {error}") from error


def _hash(event: Event, fields: Mapping[str, Any], context: Context) -> str | None:
    """Raises RecordingError where an event without an eventID cannot be written out."""
    try:
        return context.hasher.hash(fields)
    except EpcisError as error:
        if event.event_id is None:
            raise RecordingError(f"the event has no eventID and no hash: {error}") from error
        return None
