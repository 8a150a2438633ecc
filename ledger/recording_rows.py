"""The rows of recorded events, many at a time.

In the line: `recording` -> here -> event, event_context, event_bytes, event_mention, event_party, pending. Contract: a few
statements for any number of events. Events are inserted in the order of their keys, so that two writers of the same events wait
for each other and never in a circle; what waits for its place in the log does so in the order in which it was said.

INSERT from arrays and not COPY, which PostgreSQL refuses on tables with row-level security.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import psycopg

from ledger.said import Ready, body_of

_CONTEXT = """
INSERT INTO event_context (organisation, digest, body)
SELECT %s, * FROM unnest(%b::bytea[], %b::text[]) ON CONFLICT DO NOTHING
"""

# ON CONFLICT: another worker may hold the same event at this moment; this one waits for it and then inserts nothing.
_EVENT = """
INSERT INTO event (organisation, event_id, is_error, type, event_time, biz_step, received_at, event_hash, context)
SELECT %(organisation)s, said.event_id, said.is_error, said.type, said.event_time, said.biz_step, %(received_at)s, said.digest, said.context
FROM unnest(%(names)b::text[], %(errors)b::boolean[], %(types)b::text[], %(times)b::timestamptz[], %(steps)b::text[], %(digests)b::bytea[],
            %(contexts)b::bytea[]) AS said (event_id, is_error, type, event_time, biz_step, digest, context)
ON CONFLICT (organisation, event_id, is_error) DO NOTHING
RETURNING event_id, is_error, id
"""

_BYTES = """
INSERT INTO event_bytes (event, bytes, field_names, salts, field_hashes)
SELECT said.event, said.bytes, said.names::text[], said.salts, said.hashes
FROM unnest(%b::bigint[], %b::bytea[], %b::text[], %b::bytea[], %b::bytea[]) AS said (event, bytes, names, salts, hashes)
"""

_PENDING = """
INSERT INTO pending (organisation, type, stream_kind, stream_id, body, event, created_at)
SELECT %(organisation)s, 'event', 'party', %(organisation)s, said.body, said.event, %(received_at)s
FROM unnest(%(bodies)b::bytea[], %(events)b::bigint[]) AS said (body, event)
"""

_MENTION = """
INSERT INTO event_mention (event, identifier, role) SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[])
"""

# A party we know appears under its organisation, another one under its identifier.
_PARTY = """
INSERT INTO event_party (event, organisation, part)
SELECT said.event, coalesce(organisation.id, said.party), said.part
FROM unnest(%b::bigint[], %b::text[], %b::text[]) AS said (event, party, part)
LEFT JOIN organisation ON organisation.party = said.party
"""


def insert_events(
    conn: psycopg.Connection, organisation: str, events: Iterable[Ready], received_at: datetime
) -> dict[tuple[str, bool], int]:
    """Ids of those inserted, by their keys; one that is not there was recorded by another."""
    rows = sorted(events, key=lambda each: each.key)
    contexts = dict(each.context for each in rows if each.context is not None)
    if contexts:
        digests = sorted(contexts)
        conn.execute(_CONTEXT, [organisation, digests, [contexts[digest].decode() for digest in digests]])
    inserted = conn.execute(
        _EVENT,
        {
            "organisation": organisation,
            "received_at": received_at,
            "names": [each.event_id for each in rows],
            "errors": [each.key[1] for each in rows],
            "types": [each.event.type for each in rows],
            "times": [each.event.event_time for each in rows],
            "steps": [each.event.biz_step for each in rows],
            "digests": [each.digest for each in rows],
            "contexts": [None if each.context is None else each.context[0] for each in rows],
        },
    )
    return {(event_id, is_error): id_ for event_id, is_error, id_ in inserted}


def insert_contents(
    conn: psycopg.Connection,
    organisation: str,
    events: Sequence[Ready],
    ids: Mapping[tuple[str, bool], int],
    received_at: datetime,
    random_bytes: Callable[[int], bytes],
) -> None:
    """Bytes, commitments, mentions and parties of events that were inserted, in the order said."""
    numbers = [ids[each.key] for each in events]
    commitments = [each.commitment(random_bytes) for each in events]
    conn.execute(
        _BYTES,
        [
            numbers,
            [each.content for each in events],
            [_array(each.names) for each in events],
            [salts for salts, _ in commitments],
            [b"".join(made.leaves) for _, made in commitments],
        ],
    )
    bodies = [body_of(made) for _, made in commitments]
    conn.execute(
        _PENDING,
        {"organisation": organisation, "received_at": received_at, "bodies": bodies, "events": numbers},
    )
    mentions = [(id_, *each) for id_, event in zip(numbers, events, strict=True) for each in event.mentions()]
    parties = [
        (id_, *each)
        for id_, event in zip(numbers, events, strict=True)
        for each in event.parties(organisation)
    ]
    for statement, rows in ((_MENTION, mentions), (_PARTY, parties)):
        if rows:
            conn.execute(statement, [list(column) for column in zip(*rows, strict=True)])


def _array(names: Sequence[str]) -> str:
    """As PostgreSQL writes an array of texts: unnest of a two-dimensional one would take it apart."""
    quoted = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
    return "{" + ",".join(f'"{name}"' for name in quoted) + "}"
