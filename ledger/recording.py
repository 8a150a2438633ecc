"""record(): the one way an event becomes permanent.

Both doors, MQTT and HTTP capture, end here. In the caller's transaction it writes the narrow `event` row,
the RFC 8785 bytes with a salt per field, who and what the event names, and a pending ledger entry.
Contract: called twice with the same bytes it writes once; the same key with other bytes is `EventConflict`,
and nothing is written. The sequencer gives the event its position after the commit.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ledger import strict_json
from ledger.entry import commit_event
from ledger.epcis import EpcisError
from ledger.epcis.event_hash import event_hash
from ledger.epcis.events import Event, event_to_json
from ledger.epcis.identifiers import canonical
from ledger.errors import EntryError
from ledger.genealogy import touches

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
    *,
    context: Any = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Recorded:
    """Record one event in the caller's transaction.

    `context`: the `@context` of the document it came in, which an event without an eventID needs for its hash.
    Raises EventConflict (same key, other bytes) and RecordingError (content that RFC 8785 cannot carry).
    """
    fields = event_to_json(event)
    content = canonical_bytes(fields)
    event_id = event.event_id or _hash(event, context)
    key = (organisation, event_id, event.error_declaration is not None)
    row = conn.execute(_INSERT, [*key, event.type, event.event_time, event.biz_step, received_at]).fetchone()
    if row is None:
        return _compare(conn, key, content)
    _write_bytes(conn, row[0], organisation, fields, content, received_at, random_bytes)
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


def _compare(conn: psycopg.Connection, key: tuple[str, str, bool], content: bytes) -> Recorded:
    known = conn.execute(_KNOWN, key).fetchone()
    if known is None or bytes(known[1]) != content:
        raise EventConflict(f"event {key[1]} of {key[0]} is recorded with other content")
    return Recorded(known[0], key[1], duplicate=True)


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
