"""What a root log says of other logs and of itself, asked of those logs.

Contract: an anchored checkpoint holds if its log's key signed it and it is a beginning of what that log shows now, by
tiles under that log's own signed checkpoint, whose every entry was read (`watching`). A log that does not answer is
`Unreachable`, and is asked again the next time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ledger.monitor.findings import Damaged, Forked, Unreadable
from ledger.monitor.memory import Kept, Memory
from ledger.monitor.sources import Address, Source, read_tile
from ledger.translog.checkpoint import Checkpoint, open_checkpoint
from ledger.translog.note import parse_vkey
from ledger.translog.tiles import TiledTree
from ledger.translog.verify import VerifyError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def tree_of(source: Source, size: int) -> TiledTree:
    """By the log's tiles; whether they are those of its checkpoint is for the caller to see."""
    return TiledTree(size, lambda level, index, width: read_tile(source, level, index, width))


def check_stamps(source: Source, size: int, stamped: Sequence[tuple[int, bytes]]) -> None:
    """Each (size, root) that a time stamp speaks of is a beginning of the log of `size` entries."""
    tree = tree_of(source, size)
    for old_size, root in stamped:
        beginning = tree.root_hash_at(old_size)
        if beginning != root:
            raise Damaged(f"root of {old_size} entries in a time stamp", got=root, want=beginning)


def address_of(root: Address, origin: str) -> Address:
    """Where a log of that origin lies beside its root log."""
    name = origin.rpartition("/")[2]
    if not _NAME.fullmatch(name):
        raise Unreadable("origin of an anchored log", got=origin, want="one that ends in a plain name")
    return root.sibling(name)


def check_anchored(memory: Memory, log: Address, kept: Kept) -> int:
    """Compares the checkpoints that the root log (`memory`) anchored of one log with that log as it was just read
    (`kept`). How many were compared.
    """
    count = 0
    with log.open() as source:
        tree = tree_of(source, kept.size)
        for size, note in memory.unasked(kept.origin):
            _check_one(tree, kept, size, note)
            count += 1
    memory.asked(kept.origin, kept.size)
    return count


def _check_one(tree: TiledTree, kept: Kept, size: int, note: str) -> None:
    checkpoint = _opened(kept, note)
    if size > kept.size:
        what, want = f"size of {kept.origin}", f"{size} or more, as anchored"
        raise _with(Damaged(what, got=kept.size, want=want), note, kept.note)
    beginning = tree.root_hash_at(size)
    if beginning != checkpoint.root_hash:
        what = f"root of the first {size} of {kept.size} entries of {kept.origin}"
        raise _with(Forked(what, got=beginning, want=checkpoint.root_hash), note, kept.note)


def _opened(kept: Kept, note: str) -> Checkpoint:
    for vkey in (kept.vkey, *kept.former_vkeys):
        try:
            return open_checkpoint(note, [parse_vkey(vkey)], origin=kept.origin).checkpoint
        except VerifyError as cause:
            failed = cause
    what = f"anchored checkpoint of {kept.origin}"
    raise _with(Damaged(what, got=str(failed), want="one signed by that log"), note, kept.note)


def _with(error: Damaged, anchored: str, shown: str) -> Damaged:
    error.notes = anchored, shown
    return error
