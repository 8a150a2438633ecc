"""Rolls a database that was restored from an older backup forward to what its logs have signed for.

Where the sequencer refuses a log (`LogBehindHead`), the leaves that the database lost come back here from the log's own
entry bundles: `read_lost` proves them for one log, `roll_forward` writes those of all logs in one transaction. A leaf
whose pending row is in the database is joined with it again; of the others the payload (the event's fields, the
window's readings) is gone, and `payload_lost` says so.
Contract: nothing is signed and no published file changes. Leaves come back only if all of them together have the root
that the head store says; else LogForked, and nothing was written. Run twice it writes nothing the second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg

from ledger.entry import Entry, parse_entry, stream_pseudonym
from ledger.errors import EntryError, LedgerError
from ledger.head_store import Head, HeadStore
from ledger.keys import KeyStore
from ledger.log_files import CHECKPOINT, FileMissing, LogFiles, LogForked
from ledger.strict_json import strict
from ledger.translog.checkpoint import open_checkpoint
from ledger.translog.merkle import leaf_hash
from ledger.translog.tiles import TILE_HEIGHT, TILE_WIDTH, Edge, bundle_path, tile_path
from ledger.translog.verify import VerifyError
from ledger.window_body import WindowBody

PAGE = 16 * TILE_WIDTH
"""Leaves that are in memory together."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
PAYLOADS = ("event", "window", "verdict")
"""Types of entries that commit to something that lies outside of the entry."""

Progress = Callable[[str, int, int], None]
"""organisation, leaves read, leaves to read."""


class BundleMissing(LedgerError):
    """A published bundle is not there or is damaged, so its leaves cannot come back. Restore DATA_DIR/log from a copy:
    a mirror, a web cache, anybody who follows the log."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What one log has signed for and the database does not have: leaves `first` to `head.size` - 1, proven to be it.

    `events`: record time (UTC ms) and index of those that are events: each had a position.
    """

    organisation: str
    head: Head
    first: int
    events: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        return self.head.size - self.first


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came back of one log. `joined`: leaves that found their payload; `lost`: those that did not, by type."""

    organisation: str
    origin: str
    before: int
    after: int
    joined: int
    lost: Mapping[str, int]


def read_lost(
    conn: psycopg.Connection, organisation: str, head: Head, files: LogFiles, progress: Progress
) -> Lost | None:
    """The leaves that the database lacks, or None if it has all. Reads only. Raises LogForked, BundleMissing."""
    row = conn.execute("SELECT tree_size FROM log WHERE organisation = %s", [organisation]).fetchone()
    size = row[0] if row is not None else 0
    if size >= head.size:
        return None
    edge = _kept(conn, organisation, size)
    events = list[tuple[int, int]]()
    for first, entries in _bundled(files, size, head.size):
        edge = edge.extend([leaf_hash(entry) for entry in entries]).edge
        for index, entry in enumerate(entries, start=first):
            said = _parsed(organisation, index, entry)
            if said.type == "event":
                events.append((said.rec, index))
        progress(organisation, edge.size - size, head.size - size)
    _want_head(edge, head)
    return Lost(organisation, head, size, tuple(events))


def _want_head(edge: Edge, head: Head) -> None:
    if edge.root_hash != head.root_hash:
        raise LogForked(
            f"{head.origin}: the leaves of the database and the published bundles after them give the root"
            f" {edge.root_hash.hex()}, and the log has signed for {head.root_hash.hex()}: they are of two histories. Keep"
            " both; nothing was changed"
        )


_HASHES = """
SELECT leaf_hash FROM leaf WHERE organisation = %s AND leaf_index >= %s AND leaf_index < %s ORDER BY leaf_index
"""


def _kept(conn: psycopg.Connection, organisation: str, size: int) -> Edge:
    edge = Edge.empty()
    while edge.size < size:
        rows = conn.execute(_HASHES, [organisation, edge.size, min(size, edge.size + PAGE)])
        hashes = [bytes(found) for (found,) in rows]
        if not hashes:
            raise LogForked(
                f"{organisation}: leaf {edge.size} is missing below the tree size {size} of the database"
            )
        edge = edge.extend(hashes).edge
    return edge


def _bundled(files: LogFiles, first: int, size: int) -> Iterator[tuple[int, list[bytes]]]:
    """Entries `first` to `size` - 1 of the published files, some at a time, with the index of the first."""
    while first < size:
        end = min(size, (first // TILE_WIDTH + 1) * TILE_WIDTH)
        try:
            leaves = files.read_bundle(first // TILE_WIDTH, size)
        except (FileMissing, VerifyError) as cause:
            raise BundleMissing(f"leaves {first} to {end - 1}: {cause}") from cause
        if len(leaves) < end - first // TILE_WIDTH * TILE_WIDTH:
            raise BundleMissing(f"leaves {first} to {end - 1}: their bundle holds {len(leaves)}")
        yield first, list(leaves[first % TILE_WIDTH : first % TILE_WIDTH + end - first])
        first = end


def _parsed(organisation: str, index: int, entry: bytes) -> Entry:
    try:
        return parse_entry(entry)
    except EntryError as cause:
        raise BundleMissing(f"leaf {index} of {organisation} is no entry of this release: {cause}") from cause


def roll_forward(
    conn: psycopg.Connection, lost: Sequence[Lost], keys: KeyStore, log_dir: Path, now: datetime
) -> list[Recovered]:
    """Writes the leaves of all logs and what follows from them, in one transaction. As the database's owner."""
    with conn.transaction():
        positions = _positions(conn, lost)
        return [_roll(conn, each, positions, keys, log_dir, now) for each in lost]


_LAST_POSITION = "SELECT coalesce(max(position), 0) FROM leaf"


def _positions(conn: psycopg.Connection, lost: Sequence[Lost]) -> dict[tuple[str, int], int]:
    """A position for each event that comes back, lost or not, so that none that was ever given out is given again.

    Which of two logs came first within a millisecond no entry says: there the order may differ from the one before.
    """
    (last,) = conn.execute(_LAST_POSITION).fetchone() or (0,)
    events = sorted((rec, each.organisation, index) for each in lost for rec, index in each.events)
    return {
        (organisation, index): position
        for position, (_, organisation, index) in enumerate(events, start=last + 1)
    }


@dataclass(slots=True)
class _Waiting:
    """Pending rows of one log by what their entry says: (type, stream, body without `amends`)."""

    rows: dict[tuple[str, bytes, bytes], tuple[int, int | None, int | None, int | None]]

    @classmethod
    def read(cls, conn: psycopg.Connection, organisation: str, org_key: bytes) -> _Waiting:
        found = conn.execute(_PENDING, [organisation])
        return cls(
            {
                (type_, stream_pseudonym(org_key, kind, stream), bytes(body)): (
                    pending,
                    event,
                    window,
                    verdict,
                )
                for pending, type_, kind, stream, body, event, window, verdict in found
            }
        )

    def take(self, entry: Entry) -> tuple[int, int | None, int | None, int | None] | None:
        body = {name: value for name, value in entry.body.items() if name != "amends"}
        return self.rows.pop((entry.type, entry.stream, strict(body)), None)


_PENDING = """
SELECT id, type, stream_kind, stream_id, body, event, sealed_window, sealed_verdict FROM pending WHERE organisation = %s
"""


def _roll(
    conn: psycopg.Connection,
    lost: Lost,
    positions: Mapping[tuple[str, int], int],
    keys: KeyStore,
    log_dir: Path,
    now: datetime,
) -> Recovered:
    organisation = lost.organisation
    conn.execute(_BEGIN_LOG, [organisation, lost.head.origin])
    waiting = _Waiting.read(conn, organisation, keys.organisation_key(organisation))
    devices = _Devices.read(conn, organisation, keys.organisation_key(organisation))
    gone, joined = Counter[str](), 0
    for first, entries in _bundled(LogFiles(log_dir / organisation), lost.first, lost.head.size):
        page = _Page(organisation, [], [], [])
        for index, data in enumerate(entries, start=first):
            entry = parse_entry(data)
            known = waiting.take(entry)
            pending, event, window, verdict = known if known is not None else (None, None, None, None)
            if known is None and entry.type == "window":
                window = devices.missing_window(conn, organisation, entry, now)
            position = positions.get((organisation, index))
            page.leaves.append((index, data, entry, position, event, window, verdict))
            if pending is not None:
                page.pending.append(pending)
                joined += 1
            elif entry.type in PAYLOADS:
                page.lost.append(index)
                gone[entry.type] += 1
        page.write(conn, now)
    conn.execute(_MOVE_LOG, {"organisation": organisation, "size": lost.head.size, "epoch": lost.head.epoch})
    _want_head(_kept(conn, organisation, lost.head.size), lost.head)
    _keep_checkpoint(conn, lost, keys, LogFiles(log_dir / organisation), now)
    return Recovered(organisation, lost.head.origin, lost.first, lost.head.size, joined, dict(gone))


_BEGIN_LOG = "INSERT INTO log (organisation, origin) VALUES (%s, %s) ON CONFLICT (organisation) DO NOTHING"
_MOVE_LOG = """
UPDATE log SET tree_size = %(size)s, epoch = greatest(epoch, %(epoch)s) + 1 WHERE organisation = %(organisation)s
"""


def _keep_checkpoint(
    conn: psycopg.Connection, lost: Lost, keys: KeyStore, files: LogFiles, now: datetime
) -> None:
    """What is published belongs to the history. Where a crash kept it back, the sequencer signs the head again."""
    note = files.read(CHECKPOINT)
    # Any that ever signed: after a rotation the first one does not any more.
    own = [key.verifier for key in keys.log_keys(lost.organisation, lost.head.origin)]
    try:
        found = None if note is None else open_checkpoint(note, own, origin=lost.head.origin).checkpoint
    except VerifyError:  # damaged: the sequencer writes it again
        return
    if note is not None and found is not None and found.size == lost.head.size:
        conn.execute(_KEEP, [lost.organisation, found.size, found.root_hash, note.decode(), now])


_KEEP = """
INSERT INTO checkpoint (organisation, tree_size, root_hash, note, signed_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (organisation, tree_size) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class _Page:
    """Leaves that are written together: (index, bytes, entry, position, event, sealed window, sealed verdict)."""

    organisation: str
    leaves: list[tuple[int, bytes, Entry, int | None, int | None, int | None, int | None]]
    pending: list[int]
    lost: list[int]

    def write(self, conn: psycopg.Connection, now: datetime) -> None:
        columns = [
            [index for index, *_ in self.leaves],
            [data for _, data, *_ in self.leaves],
            [leaf_hash(data) for _, data, *_ in self.leaves],
            [_EPOCH + entry.rec * _MILLISECOND for _, _, entry, *_ in self.leaves],
            [position for _, _, _, position, *_ in self.leaves],
            [event for *_, event, _, _ in self.leaves],
            [window for *_, window, _ in self.leaves],
            [verdict for *_, verdict in self.leaves],
        ]
        conn.execute(_INSERT, [self.organisation, *columns])
        last = {entry.stream: (entry.n, leaf_hash(data)) for _, data, entry, *_ in self.leaves}
        heads = [list(last), [n for n, _ in last.values()], [digest for _, digest in last.values()]]
        conn.execute(_MOVE_STREAMS, [self.organisation, *heads])
        conn.execute("DELETE FROM pending WHERE id = ANY (%s)", [self.pending])
        conn.execute(_NOTE_LOST, [self.organisation, now, self.lost])


_INSERT = """
INSERT INTO leaf (organisation, leaf_index, entry, leaf_hash, record_time, position, event, sealed_window, sealed_verdict)
SELECT %s, * FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
"""
_MOVE_STREAMS = """
INSERT INTO stream_head (organisation, stream, n, leaf_hash)
SELECT %s, * FROM unnest(%s::bytea[], %s::bigint[], %s::bytea[])
ON CONFLICT (organisation, stream) DO UPDATE SET n = EXCLUDED.n, leaf_hash = EXCLUDED.leaf_hash
"""
_NOTE_LOST = """
INSERT INTO payload_lost (organisation, noted_at, leaf_index) SELECT %s, %s, * FROM unnest(%s::bigint[])
"""


@dataclass(frozen=True, slots=True)
class _Devices:
    """The organisation's devices by the pseudonym of their stream."""

    by_stream: Mapping[bytes, int]

    @classmethod
    def read(cls, conn: psycopg.Connection, organisation: str, org_key: bytes) -> _Devices:
        rows = conn.execute("SELECT id FROM device WHERE organisation = %s", [organisation])
        return cls({stream_pseudonym(org_key, "device", str(device)): device for (device,) in rows})

    def missing_window(
        self, conn: psycopg.Connection, organisation: str, entry: Entry, now: datetime
    ) -> int | None:
        """A row for a sealed window whose readings are not known, so that the next one of its hour amends it and does not
        begin anew. None where the device is not known either: it was registered after the backup."""
        device, body = self.by_stream.get(entry.stream), WindowBody.read(entry.body)
        if device is None:
            return None
        start, end = (_EPOCH + at * _MILLISECOND for at in (body.start_ms, body.end_ms))
        row = conn.execute(
            _MISSING_WINDOW,
            {
                "organisation": organisation, "device": device, "start": start, "closed": body.closed, "through": end,
                "readings": body.count, "root": body.root, "now": now,
            },
        ).fetchone()  # fmt: skip
        conn.execute(_LOOK_AGAIN, [device, start, now])
        return None if row is None else int(row[0])


# Without keys: which readings it held is not known. `suyuan recover` fills them in where the readings are still there.
_MISSING_WINDOW = """
INSERT INTO sealed_window (organisation, device_id, start_time, version, closed, through, readings, root, leaf_keys, sealed_at)
SELECT %(organisation)s, %(device)s, %(start)s, coalesce(max(version), 0) + 1, %(closed)s, %(through)s, %(readings)s, %(root)s, '', %(now)s
FROM sealed_window WHERE device_id = %(device)s AND start_time = %(start)s
RETURNING id
"""


# The hour holds what the database still has of it, perhaps less than was sealed: sealing amends it then.
_LOOK_AGAIN = """
INSERT INTO open_window (device_id, start_time, touched_at) VALUES (%s, %s, %s) ON CONFLICT (device_id, start_time) DO NOTHING
"""


def bring_up(conn: psycopg.Connection, heads: HeadStore, organisation: str, published: Head) -> None:
    """Moves an older head that was put back up to what the log itself has published, once the leaves have its root."""
    _want_head(_kept(conn, organisation, published.size), published)
    heads.swap(organisation, heads.read(organisation), published)


def beyond(files: LogFiles, size: int) -> list[str]:
    """Paths of tiles and bundles that no head of `size` leaves covers: written for leaves that were never signed for.

    With the database they were made of gone, other leaves will take their place, and their paths have to be free.
    """
    found = list[str]()
    for level in range(8):
        found += _beyond(files, partial(tile_path, level), size >> (TILE_HEIGHT * level))
    return found + _beyond(files, bundle_path, size)


def _beyond(files: LogFiles, path: Callable[[int, int], str], count: int) -> list[str]:
    """Of one level: whole and partial tiles that hold more than `count` hashes in all."""
    found, index = list[str](), count // TILE_WIDTH
    while True:
        held = [width for width in range(1, TILE_WIDTH + 1) if (files.folder / path(index, width)).is_file()]
        found += [path(index, width) for width in held if index * TILE_WIDTH + width > count]
        if not held:
            return found
        index += 1


def lost_heads(conn: psycopg.Connection, heads: HeadStore) -> list[str]:
    """Logs that the database knows and the head store does not."""
    known = {organisation for (organisation,) in conn.execute("SELECT organisation FROM log")}
    return sorted(known - set(heads.organisations()))
