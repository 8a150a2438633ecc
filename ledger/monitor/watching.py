"""One pass over a log: from the checkpoint it shows to the checkpoint we keep.

Contract: nothing is kept unless every new entry was read, its tiles are its own at every level, and the root over all
entries is the signed one; then the checkpoint kept before is a beginning of it by our own arithmetic, and no proof of
the log's is believed. What is found is raised (`findings`), with both notes where there are two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ledger.entry import log_pseudonym
from ledger.monitor.anchoring import check_stamps, tree_of
from ledger.monitor.chains import Chains
from ledger.monitor.findings import (
    Damaged,
    Forked,
    KeyProblem,
    RolledBack,
    Unreachable,
    Unreadable,
)
from ledger.monitor.memory import Kept, Memory
from ledger.monitor.parallel import scanned_in_order
from ledger.monitor.scanning import Scanned, Task, unpacked
from ledger.monitor.sources import Address, Source, read_bundle, read_tile
from ledger.strict_json import to_base64
from ledger.translog.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from ledger.translog.merkle import HASH_SIZE
from ledger.translog.note import MAX_NOTE_SIZE, VerifierKey, parse_vkey, split_note
from ledger.translog.tiles import TILE_HEIGHT, TILE_WIDTH, Edge, Tile, tile_path
from ledger.translog.verify import VerifyError

BUNDLES = 32
"""Of one task: 8,192 entries, some megabytes."""

Tell = Callable[[int, int], None]
"""`(entries read, entries to read)`, after each task."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched. `keys`: from the one who asks; none: the log's own are taken the first time, and kept. `opaque`:
    leaves are somebody else's bytes, and only the tree is checked. `again`: from the first entry.
    """

    address: Address
    keys: tuple[VerifierKey, ...] = ()
    opaque: bool = False
    again: bool = False
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """One pass that found nothing wrong. `read`: entries in this pass; `vkeys`: through which its key changed in it."""

    kept: Kept
    old_size: int
    read: int
    vkeys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Shown:
    """The checkpoint as the log shows it. `vkey`: the key that signed it; `trusted`: the one we had, from which `key`
    entries must lead there.
    """

    note: str
    checkpoint: Checkpoint
    vkey: str
    trusted: str
    given: bool


def look(watch: Watch, memory: Memory, tell: Tell) -> Seen:
    """One pass. Raises what it finds."""
    watch.address.check()
    with watch.address.open() as source:
        kept = memory.kept()
        shown = _shown(watch, source, kept)
        try:
            return _pass(watch, source, memory, kept, shown, tell)
        except VerifyError as error:
            notes = "" if kept is None else kept.note, shown.note
            if isinstance(error, Damaged):
                error.notes = notes
                raise
            if isinstance(error, Unreachable | KeyProblem | Unreadable):
                raise
            # The signed log says something that cannot be read: its damage, whatever the reader calls it.
            damage = Damaged(error.what, got=error.got, want=error.want)
            damage.notes = notes
            raise damage from error


def _shown(watch: Watch, source: Source, kept: Kept | None) -> _Shown:
    note = source.read("checkpoint", MAX_NOTE_SIZE)
    if note is None:
        raise Unreachable("checkpoint", got="no such file", want="the log's checkpoint")
    try:
        claim = parse_checkpoint(split_note(note)[0])
    except VerifyError as cause:
        raise Unreadable(cause.what, got=cause.got, want=cause.want) from cause
    if kept is not None and claim.origin != kept.origin:
        raise Unreadable("origin of the log", got=claim.origin, want=kept.origin)
    if kept is None and not watch.keys:
        published = _published(source)
        if published is None:
            raise KeyProblem("key of the log", got="none, and the log publishes none", want="--key")
        trusted, given = _parsed(published), False
    else:
        trusted, given = _trusted(watch.keys, kept, claim.origin, note)
    try:
        return _opened(note, claim.origin, trusted, trusted, given)
    except VerifyError as cause:
        failed = cause
    # Perhaps by a key that it changed to: then the entries must lead there from the one that we trust.
    if (published := _published(source)) is not None:
        with suppress(VerifyError):
            return _opened(note, claim.origin, parse_vkey(published), trusted, given)
    raise KeyProblem("signature of the checkpoint", got=failed.got, want=f"one by {trusted}")


def _published(source: Source) -> str | None:
    own = source.read("vkey", MAX_NOTE_SIZE)
    return None if own is None else own.decode("utf-8", "replace").strip()


def _parsed(published: str) -> VerifierKey:
    try:
        return parse_vkey(published)
    except VerifyError as cause:
        raise KeyProblem("key that the log publishes", got=cause.got, want=cause.want) from cause


def _opened(note: bytes, origin: str, key: VerifierKey, trusted: VerifierKey, given: bool) -> _Shown:
    checkpoint = open_checkpoint(note, [key], origin=origin).checkpoint
    return _Shown(note.decode(), checkpoint, str(key), str(trusted), given)


def _trusted(
    keys: Sequence[VerifierKey], kept: Kept | None, origin: str, note: bytes
) -> tuple[VerifierKey, bool]:
    """The key we go by, and whether it comes from somebody else than the log."""
    named = [key for key in keys if key.name == origin] or list(keys)
    if kept is not None:
        if named and not {kept.vkey, *kept.former_vkeys} & set(map(str, named)):
            want = f"{kept.vkey}, by which it was followed"
            raise KeyProblem("key of the log", got=f"{named[0]} from you", want=want)
        return parse_vkey(kept.vkey), kept.vkey_given or bool(named)
    for key in named:
        with suppress(VerifyError):
            open_checkpoint(note, [key], origin=origin)
            return key, True
    return named[0], True


def _pass(watch: Watch, source: Source, memory: Memory, kept: Kept | None, shown: _Shown, tell: Tell) -> Seen:
    size, root = shown.checkpoint.size, shown.checkpoint.root_hash
    _check_growth(source, kept, shown)
    if kept is not None and size == kept.size and not watch.again:
        again = replace(kept, note=shown.note, vkey=_key_in_force(shown, ()), vkey_given=shown.given)
        if again != kept:
            with memory.whole_pass():
                memory.keep(again, memory.edge(kept.size))
        return Seen(again, kept.size, 0)
    with memory.whole_pass():
        begun = None if watch.again else kept
        if watch.again:
            memory.forget()
        opaque = watch.opaque or (kept.opaque if kept and kept.size else not _ours(source, shown.checkpoint))
        chains = Chains(memory, shown.checkpoint.origin, begun)
        edge = memory.edge(begun.size) if begun else Edge.empty()
        grown = _read_all(watch, source, edge, shown.checkpoint, None if opaque else chains, tell)
        if grown.root_hash != root:
            raise Damaged(
                "root hash of the checkpoint", got=root, want=f"{grown.root_hash.hex()}, over its entries"
            )
        vkey = _key_in_force(shown, chains.vkeys)
        now = Kept(
            shown.checkpoint.origin, vkey, _former(kept, vkey, chains.vkeys), shown.given, opaque, shown.note, size, root, chains.last_rec,
            chains.frozen_at,
        )  # fmt: skip
        memory.keep(now, grown)
    return Seen(now, edge.size, size - edge.size, tuple(chains.vkeys))


def _key_in_force(shown: _Shown, vkeys: Sequence[str]) -> str:
    """The key that signed the checkpoint is the one that `key` entries lead to from the one we trusted."""
    if not vkeys:
        if shown.vkey != shown.trusted:
            raise KeyProblem(
                "key of the checkpoint",
                got=shown.vkey,
                want=f"{shown.trusted}, or a key entry that leads from it",
            )
        return shown.trusted
    if shown.trusted not in vkeys:
        raise KeyProblem("keys of the key entries", got=", ".join(vkeys), want=f"among them {shown.trusted}")
    open_with = parse_vkey(vkeys[-1])
    try:
        open_checkpoint(shown.note, [open_with], origin=shown.checkpoint.origin)
    except VerifyError as cause:
        raise KeyProblem("signature of the checkpoint", got=cause.got, want=f"one by {open_with}") from cause
    return vkeys[-1]


def _former(kept: Kept | None, vkey: str, vkeys: Sequence[str]) -> tuple[str, ...]:
    before = (*kept.former_vkeys, kept.vkey) if kept else ()
    return tuple(dict.fromkeys(each for each in (*before, *vkeys) if each != vkey))


def _check_growth(source: Source, kept: Kept | None, shown: _Shown) -> None:
    """By the log's tiles, before all of it is read: a fork need not wait for that. Also that no tile seen before changed."""
    size, root = shown.checkpoint.size, shown.checkpoint.root_hash
    if kept is not None and kept.size == size and kept.root != root:
        raise Forked(f"root of {size} entries", got=root, want=kept.root)
    older, newer = (0, size) if kept is None else (min(kept.size, size), max(kept.size, size))
    tree = tree_of(source, newer)
    try:
        whole, beginning = tree.root_hash, tree.root_hash_at(older)
    except Unreachable:
        if kept is not None and size < kept.size:  # a log put back shows no tile of what it has taken away
            raise RolledBack("size of the log", got=size, want=f"{kept.size} or more") from None
        raise
    if kept is None:
        if whole != root:
            raise Damaged("root hash of the tiles", got=whole, want=root)
        return
    signed, before = (root, kept.root) if size >= kept.size else (kept.root, root)
    if whole != signed:
        raise Damaged("root hash of the tiles", got=whole, want=signed)
    if beginning != before:
        raise Forked(f"root of the first {older} of {newer} entries", got=beginning, want=before)
    if size < kept.size:
        raise RolledBack("size of the log", got=size, want=f"{kept.size} or more")


def _ours(source: Source, checkpoint: Checkpoint) -> bool:
    """Whether the first leaf names this log as our entries do, well-formed or not. A log without leaves is taken for ours."""
    if checkpoint.size == 0:
        return True
    width = min(TILE_WIDTH, checkpoint.size)
    leaves = unpacked(0, width, read_bundle(source, 0, width))
    return bool(leaves) and to_base64(log_pseudonym(checkpoint.origin)).encode() in leaves[0]


def _read_all(
    watch: Watch, source: Source, edge: Edge, checkpoint: Checkpoint, chains: Chains | None, tell: Tell
) -> Edge:
    """Every entry from the edge on; the edge after them. Tiles of every level are compared on the way."""
    org = None if chains is None else log_pseudonym(checkpoint.origin)
    begun, size = edge.size, checkpoint.size
    for scanned in scanned_in_order(_tasks(watch.address, edge, size, org), watch.processes):
        if chains is not None:
            chains.take(edge.size, scanned)
            check_stamps(source, size, chains.stamped)
        edge = _extended(source, edge, scanned)
        tell(edge.size - begun, size - begun)
    for level, tail in enumerate(edge.tails[1:], start=1):
        if tail:
            _want_tile(
                source,
                Tile(level, (size >> (TILE_HEIGHT * level)) // TILE_WIDTH, len(tail) // HASH_SIZE, tail),
            )
    return edge


def _tasks(address: Address, edge: Edge, size: int, org: bytes | None) -> Iterator[Task]:
    known = edge.tails[0] if edge.tails else b""
    first, end = edge.size // TILE_WIDTH, -(-size // TILE_WIDTH)
    for at in range(first, end if size > edge.size else first, BUNDLES):
        yield Task(address, at, min(at + BUNDLES, end), size, known, org)
        known = b""


def _extended(source: Source, edge: Edge, scanned: Scanned) -> Edge:
    """The tree above the bundles is grown from their roots, and each tile that is now full compared with the log's."""
    growth = Edge(edge.size // TILE_WIDTH, edge.tails[1:]).extend(scanned.roots)
    for tile in growth.tiles:
        if tile.width == TILE_WIDTH:
            _want_tile(source, replace(tile, level=tile.level + 1))
    return Edge(edge.size + scanned.count, (scanned.tail, *growth.edge.tails))


def _want_tile(source: Source, tile: Tile) -> None:
    if read_tile(source, tile.level, tile.index, tile.width) != tile.data:
        path = tile_path(tile.level, tile.index, tile.width)
        raise Damaged(path, got="other hashes", want="those of its entries")
