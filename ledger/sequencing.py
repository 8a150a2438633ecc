"""One sequencing transaction: pending rows of one log become its next leaves.

What is decided here, in the order of the rows: leaf index, each stream's `n` and `prev`, the record time, and
for events the `position`. Contract: all of it or nothing is committed; a row is deleted by the transaction
that made its leaf; a sequencer whose epoch is no longer the log's gets `Deposed` before it reads anything; a
`freeze` entry is the last of its log, which the same transaction freezes.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from struct import Struct
from typing import Any, LiteralString, NamedTuple

import psycopg

from ledger.entry import EntryType, StreamKind, entry_hash, log_pseudonym, stream_pseudonym
from ledger.entry_bodies import KeyBody
from ledger.entry_bytes import EntryTemplate
from ledger.errors import EntryError, LedgerError
from ledger.freezing import frozen_by, note_frozen
from ledger.key_rotation import verify_rotation
from ledger.strict_json import read_strict, strict
from ledger.translog.verify import VerifyError
from ledger.window_body import Amends, WindowBody

logger = logging.getLogger(__name__)

MOST_PENDING = 5000
"""Rows of one transaction: bounds the memory that it takes."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Deposed(LedgerError):
    """Another sequencer has taken over. Nothing was committed; wait for the lock and begin again."""


class Pending(NamedTuple):
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


class Leaf(NamedTuple):
    """A row of the `leaf` table, and the pending row it was made of."""

    pending: Pending
    leaf_index: int
    entry: bytes
    hash: bytes
    position: int | None


@dataclass(frozen=True, slots=True)
class Sequenced:
    """What one transaction committed: leaves `first` and on, their entries and leaf hashes."""

    first: int
    entries: tuple[bytes, ...]
    hashes: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(slots=True)
class _Stream:
    """One stream as it stands: its last entry's number (-1: none yet) and leaf hash, and its next entries' templates."""

    pseudonym: bytes
    n: int
    last: bytes | None
    templates: dict[EntryType, EntryTemplate]


@dataclass(slots=True)
class _Standing:
    """Where the log, its streams and its windows stand while the entries of one transaction are made.

    `windows`: sealed window -> its leaf; `rec`: the transaction's record time, UTC ms.
    """

    org: bytes
    size: int
    position: int
    rec: int
    streams: Mapping[tuple[StreamKind, str], _Stream]
    windows: dict[int, Amends]


class _Stays(Exception):
    """A row was taken away that has to stay."""


def sequence(
    conn: psycopg.Connection, organisation: str, org_key: bytes, epoch: int, now: datetime
) -> Sequenced:
    """Makes leaves of up to MOST_PENDING rows, in a transaction of its own. Returns them: they are committed."""
    try:
        return _sequence(conn, organisation, org_key, epoch, now, _TAKE_AWAY)
    except _Stays:  # nothing happened; this is seldom, and the other way costs twice as much for each row
        return _sequence(conn, organisation, org_key, epoch, now, _TAKE)


def _sequence(
    conn: psycopg.Connection,
    organisation: str,
    org_key: bytes,
    epoch: int,
    now: datetime,
    take: LiteralString,
) -> Sequenced:
    with conn.transaction():
        row = conn.execute(_LOCK_LOG, [organisation]).fetchone()
        if row is None or row[1] != epoch:
            raise Deposed(f"epoch of {organisation}: got {row and row[1]}, want {epoch}")
        origin, _, size, is_frozen = row
        if is_frozen:
            return Sequenced(size, (), ())
        asked = {"organisation": organisation, "most": MOST_PENDING}
        pending = sorted(map(Pending._make, conn.execute(take, asked, binary=True).fetchall()))
        if not pending:
            return Sequenced(size, (), ())
        standing = _read_standing(conn, organisation, origin, size, org_key, pending, now)
        try:
            made = _make_all(pending, standing, some_stay=take is _TAKE)
            leaves = _write_leaves(conn, organisation, made, standing.rec)
        except psycopg.errors.UniqueViolation as cause:
            # Only a second writer can have taken the next index or position.
            raise Deposed(
                f"next leaf of {organisation} or next position: taken by another sequencer"
            ) from cause
        if leaves:
            _move_on(conn, organisation, standing)
            if leaves[-1].pending.type == "freeze":
                note_frozen(conn, organisation, frozen_by(leaves[-1].entry), now)
        if take is _TAKE:
            conn.execute("DELETE FROM pending WHERE id = ANY (%s)", [[leaf.pending.id for leaf in leaves]])
        elif len(leaves) < len(pending):
            raise _Stays
        return Sequenced(size, tuple([leaf.entry for leaf in leaves]), tuple([leaf.hash for leaf in leaves]))


_LOCK_LOG = (
    "SELECT origin, epoch, tree_size, frozen_at IS NOT NULL FROM log WHERE organisation = %s FOR UPDATE"
)

# Oldest first: a stream keeps the order in which its rows were written.
_TAKE_AWAY = """
DELETE FROM pending WHERE organisation = %(organisation)s AND id <= (
  SELECT max(id) FROM (SELECT id FROM pending WHERE organisation = %(organisation)s ORDER BY id LIMIT %(most)s) AS oldest)
RETURNING id, type, stream_kind, stream_id, body, event, sealed_window, amends, sealed_verdict
"""
# The same where some will stay, which is found out when they are made. SKIP LOCKED: nobody is waited for.
_TAKE = """
SELECT id, type, stream_kind, stream_id, body, event, sealed_window, amends, sealed_verdict FROM pending
WHERE organisation = %(organisation)s ORDER BY id LIMIT %(most)s FOR UPDATE SKIP LOCKED
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
    names = dict.fromkeys((item.stream_kind, item.stream_id) for item in pending)
    streams = {stream_pseudonym(org_key, kind, stream_id): (kind, stream_id) for kind, stream_id in names}
    heads = {
        stream: (n, hash_)
        for stream, n, hash_ in conn.execute(_STREAM_HEADS, [organisation, list(streams)], binary=True)
    }
    amended = [item.amends for item in pending if item.amends is not None]
    position, recorded_at = conn.execute(_LAST, [organisation, size - 1]).fetchone() or (0, None)
    return _Standing(
        org=log_pseudonym(origin),
        size=size,
        position=position,
        # A clock set back must not make time run backwards in the record.
        rec=(max(now, recorded_at or now) - _EPOCH) // _MILLISECOND,
        streams={
            name: _Stream(stream, *heads.get(stream, (-1, None)), {}) for stream, name in streams.items()
        },
        windows={
            window: Amends(index, hash_)
            for window, index, hash_ in conn.execute(_WINDOWS, [organisation, amended])
        }
        if amended
        else {},
    )


# The last position of the instance, and the later of its record time and that of the log's last leaf.
_LAST = """
SELECT coalesce(max(position), 0), max(record_time) FROM (
  (SELECT position, record_time FROM leaf WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1)
  UNION ALL SELECT NULL, record_time FROM leaf WHERE organisation = %s AND leaf_index = %s
) AS last
"""
_STREAM_HEADS = "SELECT stream, n, leaf_hash FROM stream_head WHERE organisation = %s AND stream = ANY (%s)"
_WINDOWS = """
SELECT sealed_window, leaf_index, leaf_hash FROM leaf
WHERE organisation = %s AND sealed_window = ANY (%s::bigint[])
"""


def _make_all(pending: Sequence[Pending], standing: _Standing, *, some_stay: bool) -> Iterator[Leaf]:
    """The next leaves, and `standing` as it is after each. A row stays pending whose time has not come, or which is
    no entry (a fault of ours, and logged: the row stays as the trace of it); unless `some_stay` that is _Stays.
    """
    for item in pending:
        stream = standing.streams[item.stream_kind, item.stream_id]
        try:
            if item.type == "key":
                _want_rotation(item, standing)
            body = item.body if item.amends is None else _amending(item, standing)
            if body is None:
                if not some_stay:
                    raise _Stays
                continue
            template = stream.templates.get(item.type)
            if template is None:
                template = EntryTemplate.of(item.type, standing.org, stream.pseudonym, standing.rec)
                stream.templates[item.type] = template
            entry = template.fill(stream.n + 1, stream.last, body)
        except (EntryError, VerifyError) as error:
            if not some_stay:
                raise _Stays from error
            logger.error("pending row is no entry", extra={"pending": item.id, "reason": str(error)})
            continue
        hash_ = entry_hash(entry)
        position = None
        if item.event is not None:
            position = standing.position = standing.position + 1
        leaf = Leaf(item, standing.size, entry, hash_, position)
        standing.size += 1
        stream.n += 1
        stream.last = hash_
        if item.sealed_window is not None:
            standing.windows[item.sealed_window] = Amends(leaf.leaf_index, hash_)
        yield leaf
        if item.type == "freeze":
            return


def _want_rotation(item: Pending, standing: _Standing) -> None:
    """A key that did not sign for its successor is not given up for it, whoever wrote the row."""
    body = KeyBody.read(_object(item.body))
    verify_rotation(body, item.stream_id)
    if item.stream_kind != "log" or log_pseudonym(item.stream_id) != standing.org:
        raise EntryError(f"key: got one of {item.stream_id}, want one of this log")


def _object(body: bytes) -> Mapping[str, Any]:
    value = read_strict(body)
    if not isinstance(value, Mapping):
        raise EntryError(f"body: got a {type(value).__name__}, want an object")
    return value


def _amending(item: Pending, standing: _Standing) -> bytes | None:
    """The body with the leaf that it amends; None while that window is no leaf yet."""
    amends = standing.windows.get(item.amends) if item.amends is not None else None
    if amends is None:
        return None
    return strict(WindowBody.read(read_strict(item.body), pending=True).amending(amends).value())


def _write_leaves(conn: psycopg.Connection, organisation: str, made: Iterator[Leaf], rec: int) -> list[Leaf]:
    """Sends leaves as they are made: the server stores some while we make the next."""
    leaves = list[Leaf]()
    name = organisation.encode()
    before, after = Struct(f">hi{len(name)}siqi").pack, Struct(">i32siq").pack
    time_us = (rec - _POSTGRES_EPOCH_MS) * 1000
    with conn.cursor() as cursor, cursor.copy(_COPY_LEAVES) as out:
        out.write(_COPY_HEADER)
        while some := list(islice(made, _SENT_AT_ONCE)):
            leaves += some
            parts = list[bytes]()
            for item, index, entry, hash_, position in some:
                parts += (
                    before(_LEAF_COLUMNS, len(name), name, 8, index, len(entry)), entry, after(32, hash_, 8, time_us),
                    _optional(position, item.event), _optional(item.sealed_window, item.sealed_verdict),
                )  # fmt: skip
            out.write(b"".join(parts))
        out.write(_COPY_TRAILER)
    return leaves


_COPY_LEAVES = """
COPY leaf (organisation, leaf_index, entry, leaf_hash, record_time, position, event, sealed_window, sealed_verdict)
FROM STDIN (FORMAT binary)
"""
_LEAF_COLUMNS = 9
_SENT_AT_ONCE = 500
_COPY_HEADER, _COPY_TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_POSTGRES_EPOCH_MS = 946_684_800_000
_BIGINT, _TWO_BIGINTS = Struct(">iq").pack, Struct(">iqiq").pack
_NULL = b"\xff\xff\xff\xff"


def _optional(first: int | None, second: int | None) -> bytes:
    """Two columns, each a bigint or null."""
    if first is None:
        return _NULL + (_NULL if second is None else _BIGINT(8, second))
    return _BIGINT(8, first) + _NULL if second is None else _TWO_BIGINTS(8, first, 8, second)


def _move_on(conn: psycopg.Connection, organisation: str, standing: _Standing) -> None:
    streams = [stream for stream in standing.streams.values() if stream.last is not None]
    heads = [
        [stream.pseudonym for stream in streams], [stream.n for stream in streams], [stream.last for stream in streams]
    ]  # fmt: skip
    conn.execute(_MOVE_ON, [organisation, *heads, standing.size, organisation])


_MOVE_ON = """
WITH moved AS (
  INSERT INTO stream_head (organisation, stream, n, leaf_hash)
  SELECT %s, next.stream, next.n, next.leaf_hash
  FROM unnest(%s::bytea[], %s::bigint[], %s::bytea[]) AS next (stream, n, leaf_hash)
  ON CONFLICT (organisation, stream) DO UPDATE SET n = EXCLUDED.n, leaf_hash = EXCLUDED.leaf_hash
)
UPDATE log SET tree_size = %s WHERE organisation = %s
"""
