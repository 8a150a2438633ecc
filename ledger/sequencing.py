"""One sequencing transaction: pending rows of one log become its next leaves.

What is decided here, in the order of the rows: leaf index, each stream's `n` and `prev`, the record time, and
for events the `position`. Contract: all of it or nothing is committed; a row is deleted by the transaction
that made its leaf; a sequencer whose epoch is no longer the log's gets `Deposed` before it reads anything.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ledger.entry import Entry, EntryType, StreamKind, entry_hash, log_pseudonym, stream_pseudonym
from ledger.errors import EntryError, LedgerError
from ledger.strict_json import read_strict
from ledger.window_body import Amends, WindowBody

logger = logging.getLogger(__name__)

MOST_PENDING = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Deposed(LedgerError):
    """Another sequencer has taken over. Nothing was committed; wait for the lock and begin again."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A row that waits for its place. `body`: RFC 8785; `amends`: the window version whose leaf the entry
    cites.
    """

    id: int
    type: EntryType
    stream_kind: StreamKind
    stream_id: str
    body: bytes
    event: int | None
    sealed_window: int | None
    amends: int | None
    sealed_verdict: int | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A row of the `leaf` table, and the pending row it was made of."""

    pending: Pending
    index: int
    stream: bytes
    n: int
    entry: bytes
    hash: bytes
    position: int | None


@dataclass(slots=True)
class _Standing:
    """Where the log, its streams and its windows stand while the entries of one transaction are made.

    `streams`: stream -> (n, leaf hash) of its last entry; `windows`: sealed window -> its leaf.
    """

    org: bytes
    org_key: bytes
    size: int
    position: int
    rec: int
    streams: dict[bytes, tuple[int, bytes]]
    windows: dict[int, Amends]


def sequence(conn: psycopg.Connection, organisation: str, org_key: bytes, epoch: int, now: datetime) -> int:
    """Makes leaves of up to MOST_PENDING rows, in a transaction of its own; returns how many."""
    with conn.transaction():
        row = conn.execute(_LOCK_LOG, [organisation]).fetchone()
        if row is None or row[1] != epoch:
            raise Deposed(f"epoch of {organisation}: got {row and row[1]}, want {epoch}")
        origin, _, size = row
        pending = [Pending(*found) for found in conn.execute(_TAKE, [organisation, MOST_PENDING])]
        if not pending:
            return 0
        standing = _read_standing(conn, organisation, origin, size, org_key, pending, now)
        leaves = [leaf for item in pending if (leaf := _make(item, standing)) is not None]
        try:
            _write(conn, organisation, leaves, standing)
        except psycopg.errors.UniqueViolation as cause:
            # Only a second writer can have taken the next index or position.
            raise Deposed(
                f"next leaf of {organisation} or next position: taken by another sequencer"
            ) from cause
        return len(leaves)


_LOCK_LOG = "SELECT origin, epoch, tree_size FROM log WHERE organisation = %s FOR UPDATE"

# Oldest first: a stream keeps the order in which its rows were written. SKIP LOCKED: nobody is waited for.
_TAKE = """
SELECT id, type, stream_kind, stream_id, body, event, sealed_window, amends, sealed_verdict FROM pending
WHERE organisation = %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""


def _read_standing(
    conn: psycopg.Connection,
    organisation: str,
    origin: str,
    size: int,
    org_key: bytes,
    pending: Sequence[Pending],
    now: datetime,
) -> _Standing:
    names = {(item.stream_kind, item.stream_id) for item in pending}
    streams = [stream_pseudonym(org_key, kind, stream_id) for kind, stream_id in names]
    amended = [item.amends for item in pending if item.amends is not None]
    position, positioned_at = conn.execute(_LAST_POSITION).fetchone() or (0, _EPOCH)
    (recorded_at,) = conn.execute(_LAST_LEAF, [organisation, size - 1]).fetchone() or (_EPOCH,)
    return _Standing(
        org=log_pseudonym(origin),
        org_key=org_key,
        size=size,
        position=position,
        # A clock set back must not make time run backwards in the record.
        rec=(max(now, positioned_at, recorded_at) - _EPOCH) // _MILLISECOND,
        streams={
            stream: (n, hash_) for stream, n, hash_ in conn.execute(_STREAM_HEADS, [organisation, streams])
        },
        windows={
            window: Amends(index, hash_)
            for window, index, hash_ in conn.execute(_WINDOWS, [organisation, amended])
        },
    )


_LAST_POSITION = (
    "SELECT position, record_time FROM leaf WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1"
)
_LAST_LEAF = "SELECT record_time FROM leaf WHERE organisation = %s AND leaf_index = %s"
_STREAM_HEADS = "SELECT stream, n, leaf_hash FROM stream_head WHERE organisation = %s AND stream = ANY (%s)"
_WINDOWS = """
SELECT sealed_window, leaf_index, leaf_hash FROM leaf
WHERE organisation = %s AND sealed_window = ANY (%s::bigint[])
"""


def _make(item: Pending, standing: _Standing) -> Leaf | None:
    """The next leaf, and `standing` as it is after it. None leaves the row pending: its time has not come, or
    it is no entry (which is a fault of ours and is logged: the row stays as the trace of it).
    """
    stream = stream_pseudonym(standing.org_key, item.stream_kind, item.stream_id)
    n, prev = standing.streams.get(stream, (-1, None))
    try:
        body = _body(item, standing)
        if body is None:
            return None
        entry = Entry(item.type, standing.org, stream, n + 1, prev, standing.rec, body).encode()
    except EntryError as error:
        logger.error("pending row is no entry", extra={"pending": item.id, "reason": str(error)})
        return None
    position = standing.position + 1 if item.event is not None else None
    leaf = Leaf(item, standing.size, stream, n + 1, entry, entry_hash(entry), position)
    standing.size += 1
    standing.position = position or standing.position
    standing.streams[stream] = (leaf.n, leaf.hash)
    if item.sealed_window is not None:
        standing.windows[item.sealed_window] = Amends(leaf.index, leaf.hash)
    return leaf


def _body(item: Pending, standing: _Standing) -> Any:
    """The entry's body; None while the window it amends is no leaf yet."""
    body = read_strict(item.body)
    if item.amends is None:
        return body
    amends = standing.windows.get(item.amends)
    return None if amends is None else WindowBody.read(body, pending=True).amending(amends).value()


def _write(conn: psycopg.Connection, organisation: str, leaves: Sequence[Leaf], standing: _Standing) -> None:
    if not leaves:
        return
    record_time = _EPOCH + standing.rec * _MILLISECOND
    columns = {
        "leaf_index": [leaf.index for leaf in leaves],
        "entry": [leaf.entry for leaf in leaves],
        "hash": [leaf.hash for leaf in leaves],
        "position": [leaf.position for leaf in leaves],
        "event": [leaf.pending.event for leaf in leaves],
        "sealed_window": [leaf.pending.sealed_window for leaf in leaves],
        "sealed_verdict": [leaf.pending.sealed_verdict for leaf in leaves],
    }
    conn.execute(_INSERT_LEAVES, {"organisation": organisation, "record_time": record_time, **columns})
    last = {leaf.stream: leaf for leaf in leaves}
    heads = [list(last), [leaf.n for leaf in last.values()], [leaf.hash for leaf in last.values()]]
    conn.execute(_MOVE_STREAMS, [organisation, *heads])
    conn.execute("UPDATE log SET tree_size = %s WHERE organisation = %s", [standing.size, organisation])
    conn.execute("DELETE FROM pending WHERE id = ANY (%s)", [[leaf.pending.id for leaf in leaves]])


_INSERT_LEAVES = """
INSERT INTO leaf (organisation, leaf_index, entry, leaf_hash, record_time, position, event, sealed_window, sealed_verdict)
SELECT %(organisation)s, made.leaf_index, made.entry, made.hash, %(record_time)s,
       made.position, made.event, made.sealed_window, made.sealed_verdict
FROM unnest(%(leaf_index)s::bigint[], %(entry)s::bytea[], %(hash)s::bytea[],
            %(position)s::bigint[], %(event)s::bigint[], %(sealed_window)s::bigint[], %(sealed_verdict)s::bigint[])
     AS made (leaf_index, entry, hash, position, event, sealed_window, sealed_verdict)
"""

_MOVE_STREAMS = """
INSERT INTO stream_head (organisation, stream, n, leaf_hash)
SELECT %s, moved.stream, moved.n, moved.leaf_hash
FROM unnest(%s::bytea[], %s::bigint[], %s::bytea[]) AS moved (stream, n, leaf_hash)
ON CONFLICT (organisation, stream) DO UPDATE SET n = EXCLUDED.n, leaf_hash = EXCLUDED.leaf_hash
"""
