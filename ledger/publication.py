"""From committed leaves to a signed checkpoint: all that follows the sequencing commit.

Every step is a function of the committed leaves and can be done again: tiles go to paths that never change,
the new root must extend the last signed head, the head store moves, and only then is signed what it holds. A
crash between any two steps leaves less than a checkpoint, and the next run ends up with the same bytes.
Contract: two checkpoints of one size and different roots are never signed, whatever is restored, repeated or
run twice.
"""

from collections.abc import Sequence
from datetime import datetime

import psycopg

from ledger.cosigning import clock_time, keep_cosignature, read_published
from ledger.errors import LedgerError
from ledger.freezing import LogFrozen, frozen_by
from ledger.head_store import Head, HeadMoved
from ledger.log import Log, Tip, current_head
from ledger.log_files import CHECKPOINT, CLOCK_VKEY, VKEY, VKEYS, LogForked
from ledger.published_log import newer_than
from ledger.sequencing import Sequenced
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.merkle import leaf_hash
from ledger.translog.note import VerifierKey, add_signatures
from ledger.translog.tiles import TILE_WIDTH, Edge, TiledTree, bundles
from ledger.translog.verify import verify_consistency

MOST_LEAVES = 5000
"""Published under one checkpoint: bounds the memory that a long catch-up takes."""
_PAGE = 65_536


class LogBehindHead(LedgerError):
    """The database holds fewer leaves than this log has signed for: an old state was restored. Run
    `suyuan recover`.
    """


class HeadBehind(LedgerError):
    """The log has published more than the head store knows: older heads were put back. Bring the newest ones back, or run
    `suyuan recover`.
    """


class LeafDamaged(LedgerError):
    """A stored entry no longer hashes to its leaf hash: the database was changed from outside. Restore it."""


def check_head(conn: psycopg.Connection, log: Log, head: Head, tree_size: int) -> None:
    """The database still begins with all that the log has signed for: else LogBehindHead or LogForked."""
    if tree_size < head.size:
        raise LogBehindHead(
            f"{log.origin}: the database has {tree_size} leaves, the log has signed for {head.size}; {_RESTORE}"
        )
    edge = Edge.empty()
    while edge.size < head.size:
        asked = [log.organisation, edge.size, min(head.size, edge.size + _PAGE)]
        (hashes,) = conn.execute(_HASHES, asked, binary=True).fetchone() or (None,)
        if not hashes:
            raise LogBehindHead(
                f"{log.origin}: leaf {edge.size} is missing, the log has signed for {head.size}; {_RESTORE}"
            )
        edge = edge.extend([hashes]).edge
    if edge.root_hash != head.root_hash:
        got, want = edge.root_hash.hex(), head.root_hash.hex()
        raise LogForked(f"{log.origin}: root of the first {head.size} leaves: got {got}, want {want}")


def check_published(log: Log, head: Head, own: Sequence[VerifierKey]) -> None:
    """What the log itself has published is not ahead of its head: else HeadBehind. `own`: all keys that ever signed for it.

    HeadMoved if another sequencer moved it since it was read.
    """
    if (there := newer_than(head, log.files, own)) is not None:
        # A head is moved before its checkpoint is published: what is ahead of the head that was read may be another's work.
        if (now := log.heads.read(log.organisation)) != head:
            raise HeadMoved(f"head of {log.origin}: got {now}, want {head}")
        raise HeadBehind(
            f"{log.origin}: the head store says {head.size} leaves, the published checkpoint {there.size}: an older head was put"
            " back. Bring back the newest DATA_DIR/heads, or run `suyuan recover`; until then nothing is signed for this log"
        )


_RESTORE = (
    "an older state was restored: run `suyuan recover`, which brings it forward from the log's own files. Until then nothing is"
    " signed for this log, and what is recorded waits (docs/backup.md)"
)
_HASHES = """
SELECT string_agg(leaf_hash, ''::bytea ORDER BY leaf_index) FROM leaf
WHERE organisation = %s AND leaf_index >= %s AND leaf_index < %s
"""


def publish(
    conn: psycopg.Connection, log: Log, epoch: int, now: datetime, made: Sequenced | None = None
) -> int:
    """Signs and publishes up to MOST_LEAVES more of what is committed; returns the tree size published.

    Also completes what a crash left between the head store and the published checkpoint. `made`: what was committed
    last. If that is what follows the head it need not be read from the table again.
    """
    head = current_head(log, epoch)
    if made is None or made.first != head.size:
        made = _committed_after(conn, log.organisation, head.size)
    if head.frozen is not None and (made or not ends_with_freeze(conn, log.organisation, head.size)):
        raise LogFrozen(f"{log.origin}: {head.frozen}")
    grown = _write_tiles(conn, log, head, made)
    if made:
        moved = Head(head.origin, grown.size, grown.root_hash, epoch, frozen_by(made.entries[-1]))
        log.heads.swap(log.organisation, head, moved)
        head = moved
    _sign(conn, log, head, now)
    return head.size


def ends_with_freeze(conn: psycopg.Connection, organisation: str, size: int) -> bool:
    """Whether the log of `size` leaves was ended by its last one, and not by what somebody proved of it."""
    last = conn.execute(_ENTRIES, [organisation, size - 1, size]).fetchone()
    return last is not None and frozen_by(last[0]) is not None


def _committed_after(conn: psycopg.Connection, organisation: str, size: int) -> Sequenced:
    rows = _read(conn, organisation, size, size + MOST_LEAVES)
    return Sequenced(size, tuple(entry for entry, _ in rows), tuple(hash_ for _, hash_ in rows))


def _read(conn: psycopg.Connection, organisation: str, first: int, end: int) -> Sequence[tuple[bytes, bytes]]:
    """Leaves, each with its hash. LeafDamaged if it is another's."""
    rows = conn.execute(_ENTRIES, [organisation, first, end], binary=True).fetchall()
    for index, (entry, stored) in enumerate(rows, start=first):
        if leaf_hash(entry) != stored:
            raise LeafDamaged(
                f"leaf {index} of {organisation}: got {leaf_hash(entry).hex()}, want {stored.hex()}"
            )
    return rows


_ENTRIES = """
SELECT entry, leaf_hash FROM leaf WHERE organisation = %s AND leaf_index >= %s AND leaf_index < %s
ORDER BY leaf_index
"""


def _write_tiles(conn: psycopg.Connection, log: Log, head: Head, made: Sequenced) -> Edge:
    """Tiles and bundles of what follows the head on disk, and the edge they end at, proven from those files to extend the
    head.
    """
    tip = log.tip
    if (tip.edge.size, tip.edge.root_hash) != (head.size, head.root_hash):
        tip = _read_tip(conn, log, head.size)
    if tip.edge.root_hash != head.root_hash:
        raise LogForked(
            f"{log.origin}: the tiles of size {head.size} give another root than the log has signed for"
        )
    if not made:
        return tip.edge
    growth = tip.edge.extend(made.hashes)
    grown = growth.edge
    files = [(bundle.path, bundle.data) for bundle in bundles(tip.entries, head.size, made.entries)]
    log.files.write_once(files + [(tile.path, tile.data) for tile in growth.tiles])
    proof = TiledTree(grown.size, log.files.read_tile).consistency_proof(head.size)
    verify_consistency(head.size, grown.size, head.root_hash, grown.root_hash, proof)
    log.tip.move(grown, (*tip.entries, *made.entries))
    return grown


def _read_tip(conn: psycopg.Connection, log: Log, size: int) -> Tip:
    """From tiles and table, each checked against the other."""
    edge = Edge.load(size, log.files.read_tile)
    tail = _read(conn, log.organisation, size - size % TILE_WIDTH, size)
    if edge.tails and b"".join([hash_ for _, hash_ in tail]) != edge.tails[0]:
        raise LogForked(f"{log.origin}: the last leaves before {size} are not those in its tiles")
    return Tip(edge, tuple(entry for entry, _ in tail))


def _sign(conn: psycopg.Connection, log: Log, head: Head, now: datetime) -> None:
    """Signing again what a crash left unpublished says nothing new: the text is the same, and so is what Ed25519 makes
    of it.
    """
    checkpoint = Checkpoint(head.origin, head.size, head.root_hash)
    there = log.files.read(CHECKPOINT)
    is_signed = _is_signed(there, checkpoint, log)
    vkey = str(log.keys[0].verifier).encode() + b"\n"
    log.files.publish(VKEYS, log.vkeys.encode())
    if is_signed or there is None:
        log.files.publish(VKEY, vkey)
    if is_signed:
        return
    note = add_signatures(
        sign_checkpoint(checkpoint, log.keys), [key.line(checkpoint) for key in log.further]
    )
    text, lines = read_published(there)
    beside = [line for line in lines if line.name != log.origin] if text == checkpoint.text else []
    # History first: the next run publishes what it has, but nothing would add to it what was published.
    conn.execute(_KEEP, [log.organisation, head.size, head.root_hash, note, now])
    if log.clock is not None:
        log.files.publish(CLOCK_VKEY, str(log.clock.verifier).encode() + b"\n")
        line = log.clock.cosign(checkpoint, clock_time(there, log.clock, now))
        keep_cosignature(conn, log.organisation, head.size, line)
        beside.append(line)
    # Under the head's lock: a sequencer that slept here must not put its old checkpoint over its successor's.
    with log.heads.holding(log.organisation, head):
        log.files.publish(CHECKPOINT, add_signatures(note, beside).encode())
    # Not before what it checks is there: whoever reads in between has a key and a note that fit.
    log.files.publish(VKEY, vkey)


def _is_signed(note: bytes | None, checkpoint: Checkpoint, log: Log) -> bool:
    """By every key that is to sign now."""
    text, lines = read_published(note)
    signers = {line.key_id for line in lines if line.name == log.origin}
    wanted = {key.verifier.key_id for key in log.keys} | {key.key_id for key in log.further}
    return text == checkpoint.text and wanted <= signers


_KEEP = """
INSERT INTO checkpoint (organisation, tree_size, root_hash, note, signed_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (organisation, tree_size) DO NOTHING
"""
