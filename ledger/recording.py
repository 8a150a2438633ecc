"""record(): the one way an event becomes permanent.

Both doors, MQTT and HTTP capture, end here. In the caller's transaction it writes the narrow `event` row,
the RFC 8785 bytes with a salt per field, who and what the event names, and a pending ledger entry. What is personal in it goes
to the vault first (`ledger.persons`): bytes, hashes and leaf are made of the replaced form, whichever door it came in by.
Contract: called twice with the same bytes it writes once; the same key with other bytes is `EventConflict`,
and nothing is written. The sequencer gives the event its position after the commit.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg

from ledger import strict_json
from ledger.entry import commit_event
from ledger.epcis import EpcisError
from ledger.epcis.event_hash import event_hash
from ledger.epcis.events import Event, event_to_json, read_recorded
from ledger.epcis.identifiers import canonical
from ledger.errors import EntryError
from ledger.genealogy import touches
from ledger.personal import Value, is_person, personal_values, swapped
from ledger.persons import Vault

SALT_BYTES = 16


class RecordingError(ValueError):
    """The event cannot be recorded."""


class EventConflict(RecordingError):
    """The same eventID is recorded with other content. Use a new eventID, or declare the old event wrong with an errorDeclaration."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """`event`: the row's id. `duplicate`: the same bytes were recorded before and nothing was written."""

    event: int
    event_id: str
    duplicate: bool


# ON CONFLICT: two workers may hold the same event at once; the second waits for the first and then sees its bytes.
_INSERT = """
INSERT INTO event (organisation, event_id, is_error, type, event_time, biz_step, received_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (organisation, event_id, is_error) DO NOTHING
RETURNING id
"""

_KNOWN = """
SELECT event.id, event_bytes.bytes FROM event JOIN event_bytes ON event_bytes.event = event.id
WHERE event.organisation = %s AND event.event_id = %s AND event.is_error = %s
"""


def record(
    conn: psycopg.Connection,
    organisation: str,
    event: Event,
    received_at: datetime,
    vault: Vault,
    *,
    context: Any = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Recorded:
    """Record one event in the caller's transaction.

    `context`: the `@context` of the document it came in, which an event without an eventID needs for its hash.
    Raises EventConflict (same key, other bytes), RecordingError (content that RFC 8785 cannot carry) and persons.WrongKey.
    """
    said = _Said(organisation, event, context, received_at)
    fields = event_to_json(event)
    values = personal_values(fields)
    if not values:
        return _record(conn, said, fields, random_bytes)
    canonical_bytes(fields)
    urns = vault.known(conn, organisation, values)
    new = [value for value in values if vault.digest(organisation, value) not in urns]

    def in_its_place(value: Value) -> str:
        return urns[vault.digest(organisation, value)]

    if not new:
        said = said.as_kept(swapped(fields, in_its_place), urns.values())
        return _record(conn, said, None, random_bytes)
    with conn.transaction() as names:
        urns = urns | vault.mint(conn, organisation, new, received_at)
        said = said.as_kept(swapped(fields, in_its_place), urns.values())
        recorded = _record(conn, said, None, random_bytes)
        if recorded.duplicate:
            # Known but for what was erased of it since: that does not come back with a repeat.
            raise psycopg.Rollback(names)
    return recorded


@dataclass(frozen=True, slots=True)
class _Said:
    """What somebody said, and when it came. `names`: that stand in it for persons, once it is `as_kept`."""

    organisation: str
    event: Event
    context: Any
    received_at: datetime
    names: frozenset[str] = frozenset()

    def as_kept(self, fields: dict[str, Any], names: Iterable[str]) -> _Said:
        event = read_recorded(canonical_bytes(fields).decode())
        return replace(self, event=event, names=frozenset(names))


def _record(
    conn: psycopg.Connection,
    said: _Said,
    fields: dict[str, Any] | None,
    random_bytes: Callable[[int], bytes],
) -> Recorded:
    """An event that holds nothing personal any more. `fields`: its JSON, if it was made already."""
    event, organisation = said.event, said.organisation
    fields = event_to_json(event) if fields is None else fields
    content = canonical_bytes(fields)
    event_id = event.event_id or _hash(event, said.context)
    key = (organisation, event_id, event.error_declaration is not None)
    row = conn.execute(
        _INSERT, [*key, event.type, event.event_time, event.biz_step, said.received_at]
    ).fetchone()
    if row is None:
        return _compare(conn, key, content, said.names)
    _write_bytes(conn, row[0], organisation, fields, content, said.received_at, random_bytes)
    _write_mentions(conn, row[0], organisation, event)
    return Recorded(row[0], event_id, duplicate=False)


def _hash(event: Event, context: Any) -> str:
    """The key of an event without an eventID. Raises RecordingError where it cannot be written out."""
    try:
        return event_hash(event, context)
    except EpcisError as error:
        raise RecordingError(f"the event has no eventID and no hash: {error}") from error


def canonical_bytes(fields: dict[str, Any]) -> bytes:
    """RFC 8785. Raises RecordingError for what has no such form (a lone surrogate, an integer no double holds)."""
    try:
        return strict_json.canonical(fields)
    except EntryError as error:
        raise RecordingError(f"the event has no canonical form: {error}") from error


def _compare(
    conn: psycopg.Connection, key: tuple[str, str, bool], content: bytes, names: frozenset[str]
) -> Recorded:
    known = conn.execute(_KNOWN, key).fetchone()
    if known is None or not (bytes(known[1]) == content or _is_erased(conn, bytes(known[1]), content, names)):
        raise EventConflict(f"event {key[1]} of {key[0]} is recorded with other content")
    return Recorded(known[0], key[1], duplicate=True)


_FORGOTTEN = (
    "SELECT count(*) FROM unnest(%s::text[]) AS named WHERE EXISTS (SELECT FROM vault WHERE urn = named)"
)


def _is_erased(conn: psycopg.Connection, known: bytes, came: bytes, names: frozenset[str]) -> bool:
    """Whether the two differ only where a person's value was erased since: that it was another one cannot be told any more."""
    differing = _where_persons_stood(json.loads(known), json.loads(came), names)
    if not differing:
        return False
    row = conn.execute(_FORGOTTEN, [sorted(differing)]).fetchone()
    return row is not None and row[0] == 0


def _where_persons_stood(known: Any, came: Any, names: frozenset[str]) -> set[str] | None:
    """The URNs in `known` where `came` has another of the `names`, or a value of a field that is no person's; None if they
    differ in anything else."""
    if isinstance(known, dict) and isinstance(came, dict):
        if known.keys() != came.keys():
            return None
        pairs = [(known[name], came[name]) for name in known]
    elif isinstance(known, list) and isinstance(came, list):
        if len(known) != len(came):
            return None
        pairs = list(zip(known, came, strict=True))
    elif known == came and type(known) is type(came):
        return set()
    else:
        may_be = (isinstance(came, str) and came in names) or not (
            is_person(came) or isinstance(came, dict | list)
        )
        return {known} if is_person(known) and may_be else None
    found = [_where_persons_stood(*pair, names) for pair in pairs]
    return None if None in found else set().union(*(each for each in found if each is not None))


def _write_bytes(
    conn: psycopg.Connection,
    event: int,
    organisation: str,
    fields: dict[str, Any],
    content: bytes,
    received_at: datetime,
    random_bytes: Callable[[int], bytes],
) -> None:
    salts = [random_bytes(SALT_BYTES) for _ in fields]
    commitment = commit_event(fields, salts)
    conn.execute(
        "INSERT INTO event_bytes (event, bytes, field_names, salts, field_hashes) VALUES (%s, %s, %s, %s, %s)",
        [event, content, list(commitment.names), b"".join(salts), b"".join(commitment.leaves)],
    )
    conn.execute(
        "INSERT INTO pending (organisation, type, stream_kind, stream_id, body, event, created_at)"
        " VALUES (%s, 'event', 'party', %s, %s, %s, %s)",
        [organisation, organisation, strict_json.strict(commitment.body()), event, received_at],
    )


def _write_mentions(conn: psycopg.Connection, event: int, organisation: str, said: Event) -> None:
    # A certificate is found by the events that name it, and is no goods: no walk follows it.
    certificates = {(canonical(each), "certificate") for each in said.certification_info or ()}
    mentions = sorted(certificates | {(mention.identifier, mention.role) for mention in touches(said)})
    conn.execute(
        "INSERT INTO event_mention (event, identifier, role) SELECT %s, * FROM unnest(%s::text[], %s::text[])",
        [event, [identifier for identifier, _ in mentions], [role for _, role in mentions]],
    )
    parties = {(organisation, "capture")}
    parties |= {(canonical(item.source), "source") for item in said.source_list}
    parties |= {(canonical(item.destination), "destination") for item in said.destination_list}
    conn.execute(
        # A party we know appears under its organisation, another one under its identifier.
        "INSERT INTO event_party (event, organisation, part)"
        " SELECT %s, coalesce(organisation.id, said.party), said.part FROM unnest(%s::text[], %s::text[]) AS said (party, part)"
        " LEFT JOIN organisation ON organisation.party = said.party",
        [event, [party for party, _ in sorted(parties)], [part for _, part in sorted(parties)]],
    )
