"""Whether an event that comes says what is recorded already.

In the line: `recording` asks here before it writes and where it could not. Contract: an event is known by its key
(eventID, is it an error declaration), or, where it or the recorded one came without an eventID, by its CBV hash. The same bytes,
the same meaning in another spelling or format, or the same but for what was erased of a person since, are a duplicate; anything
else under a known key is a conflict. An error declaration of an event is never a duplicate of the event.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from ledger.epcis import EpcisError, vocabulary
from ledger.epcis.event_hash import event_hash
from ledger.epcis.events import ErrorDeclaration, Event, read_recorded
from ledger.personal import is_person
from ledger.said import Ready, digest_in, hash_name


@dataclass(frozen=True, slots=True)
class Known:
    """A recorded event. `digest`: None where it was recorded before hashes were kept. `context`: of its document, JSON text."""

    id: int
    event_id: str
    is_error: bool
    digest: bytes | None
    content: bytes
    context: str | None


# Writers who name their events by eventID share this lock; who names one by its hash alone must be alone with the organisation:
# the same event under an eventID may be about to be written, and has another key.
_SHARED = "SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))"
_ALONE = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
_LOCK = 0x5359_0400  # "SY", recording; the second key is the hash of the organisation

_KNOWN = """
SELECT event.id, event.event_id, event.is_error, event.event_hash, event_bytes.bytes, event_context.body
FROM event JOIN event_bytes ON event_bytes.event = event.id
LEFT JOIN event_context ON event_context.organisation = event.organisation AND event_context.digest = event.context
WHERE event.id = ANY (ARRAY(
  SELECT id FROM event WHERE organisation = %(organisation)s AND event_id = ANY (%(names)b)
  UNION SELECT id FROM event WHERE organisation = %(organisation)s AND event_hash = ANY (%(digests)b)))
ORDER BY event.id
"""


def wait_for_others(conn: psycopg.Connection, organisation: str, events: Iterable[Ready]) -> None:
    """Before `look_up`, so that what another transaction is about to write is seen."""
    shared = all(each.identified for each in events)
    conn.execute(_SHARED if shared else _ALONE, [_LOCK, organisation])


def be_alone(conn: psycopg.Connection, organisation: str) -> None:
    """Until the end of the transaction nobody else records anything of the organisation's."""
    conn.execute(_ALONE, [_LOCK, organisation])


@dataclass(slots=True)
class Shelf:
    """Recorded events that some others may be the same as."""

    by_key: dict[tuple[str, bool], Known] = field(default_factory=dict)
    by_digest: dict[tuple[bytes | None, bool], Known] = field(default_factory=dict)

    def of(self, ready: Ready) -> Known | None:
        found = self.by_key.get(ready.key)
        if found is not None or ready.digest is None:
            return found
        is_error = ready.key[1]
        if ready.identified:
            return self.by_key.get((hash_name(ready.digest), is_error))
        return self.by_digest.get((ready.digest, is_error))


def look_up(conn: psycopg.Connection, organisation: str, events: Sequence[Ready]) -> Shelf:
    digests = list({each.digest for each in events if each.digest is not None})
    names = {each.event_id for each in events} | {hash_name(digest) for digest in digests}
    rows = conn.execute(_KNOWN, {"organisation": organisation, "names": list(names), "digests": digests})
    shelf = Shelf()
    for id_, event_id, is_error, digest, content, context in rows:
        known = Known(
            id_, event_id, is_error, None if digest is None else bytes(digest), bytes(content), context
        )
        shelf.by_key[event_id, is_error] = known
        shelf.by_digest.setdefault((known.digest, is_error), known)
    return shelf


def is_duplicate(conn: psycopg.Connection, ready: Ready, known: Known) -> bool:
    content = ready.content
    return (
        known.content == content
        or _means_the_same(ready, known)
        or _is_erased(conn, known.content, content, ready.persons)
    )


# --- the same meaning -------------------------------------------------------------------------------------------------


def _means_the_same(ready: Ready, known: Known) -> bool:
    recorded = read_recorded(known.content.decode())
    digest = known.digest if known.digest is not None else _digest(recorded, known.context)
    return (
        digest is not None
        and digest == ready.digest
        and _declared(recorded.error_declaration) == _declared(ready.event.error_declaration)
    )


def _digest(event: Event, context: str | None) -> bytes | None:
    try:
        return digest_in(event_hash(event, None if context is None else json.loads(context)))
    except EpcisError:
        return None


def _declared(said: ErrorDeclaration | None) -> object:
    """What an error declaration says, of which the hash knows nothing."""
    if said is None:
        return None
    reason = None if said.reason is None else vocabulary.ERROR_REASON.full(said.reason)
    return said.declaration_time, reason, frozenset(said.corrective_event_ids), said.model_extra or {}


# --- the same but for what was erased ---------------------------------------------------------------------------------

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
