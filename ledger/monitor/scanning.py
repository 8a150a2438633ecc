"""Some bundles of a log, read and checked against their tiles: the work of one process.

Contract: what comes back is small beside what was read (two entries a stream, one line a window), and true of the
leaves whose tile hashes it carries; the caller ties those to the signed root. Within the bundles the chains are
checked here; across them by `chains`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from ledger.errors import EntryError
from ledger.monitor import findings
from ledger.monitor.findings import Damaged
from ledger.monitor.forms import Facts, read_facts
from ledger.monitor.sources import Address, Source, read_bundle, read_tile
from ledger.translog.merkle import HASH_SIZE, complete_root
from ledger.translog.tiles import TILE_WIDTH, bundle_path, tile_path, unpack_bundle
from ledger.translog.verify import VerifyError

AHEAD = 8
"""Bundles under way at once from a source that answers slowly."""


@dataclass(frozen=True, slots=True)
class Task:
    """Bundles `first` to `end` of a log of `size` leaves. `known`: hashes of the first bundle's leaves that were
    checked before, one after the other; `org`: the log's pseudonym, None where leaves are opaque.
    """

    address: Address
    first: int
    end: int
    size: int
    known: bytes
    org: bytes | None


class Link(NamedTuple):
    """The first entry of a stream in these bundles, and the last."""

    at: int
    n: int
    prev: bytes | None
    last_n: int
    last_leaf: bytes


class Window(NamedTuple):
    stream: bytes
    start: int
    at: int
    leaf: bytes
    amends: tuple[int, bytes] | None


class Special(NamedTuple):
    """An entry that the chains look into: `key`, `freeze` or `anchor`."""

    at: int
    type: str
    body: Mapping[str, Any]


@dataclass(slots=True)
class Scanned:
    """`roots`: of each full bundle, 32 bytes; `tail`: hashes of the last one's leaves if it is not full."""

    count: int = 0
    roots: list[bytes] = field(default_factory=list)
    tail: bytes = b""
    links: dict[bytes, Link] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    special: list[Special] = field(default_factory=list)
    first_rec: int | None = None
    last_rec: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """A finding on its way between processes."""

    kind: str
    what: str
    got: str
    want: str

    def error(self) -> VerifyError:
        kind: type[VerifyError] = getattr(findings, self.kind, Damaged)
        return kind(self.what, got=self.got, want=self.want)


def scan(task: Task) -> Scanned | Fault:
    """Never raises for what a log holds: an error with more than a message does not travel."""
    try:
        with task.address.open() as source:
            return _scan(task, source)
    except VerifyError as error:
        return Fault(type(error).__name__, error.what, error.got, error.want)


def _scan(task: Task, source: Source) -> Scanned:
    found = Scanned()
    known = task.known
    with _fetched(task, source) as pairs:
        for bundle, (data, tile) in zip(range(task.first, task.end), pairs, strict=True):
            width = _width(bundle, task.size)
            hashes = _checked(bundle, width, data, tile, known)
            before = len(known) // HASH_SIZE
            if task.org is not None:
                _entries(found, bundle * TILE_WIDTH, hashes, unpack_bundle(data), before, task.org)
            found.count += width - before
            if width == TILE_WIDTH:
                found.roots.append(complete_root(tile))
            else:
                found.tail = tile
            known = b""
    return found


def _width(bundle: int, size: int) -> int:
    return min(TILE_WIDTH, size - bundle * TILE_WIDTH)


@contextmanager
def _fetched(task: Task, source: Source) -> Iterator[Iterator[tuple[bytes, bytes]]]:
    """Bundle and tile of each, in order; a few ahead where that saves waiting."""

    def fetch(bundle: int) -> tuple[bytes, bytes]:
        width = _width(bundle, task.size)
        return read_bundle(source, bundle, width), read_tile(source, 0, bundle, width)

    numbers = range(task.first, task.end)
    if source.together == 1:
        yield map(fetch, numbers)
        return
    with ThreadPoolExecutor(source.together) as pool:

        def ahead() -> Iterator[tuple[bytes, bytes]]:
            waiting = [pool.submit(fetch, number) for number in numbers[:AHEAD]]
            for number in range(task.first + AHEAD, task.end + AHEAD):
                yield waiting.pop(0).result()
                if number < task.end:
                    waiting.append(pool.submit(fetch, number))

        try:
            yield ahead()
        finally:
            pool.shutdown(cancel_futures=True)


def _checked(bundle: int, width: int, data: bytes, tile: bytes, known: bytes) -> list[bytes]:
    """The bundle's leaf hashes, which are the tile's."""
    leaves = unpacked(bundle, width, data)
    if len(leaves) < width or (len(leaves) > width and len(leaves) != TILE_WIDTH):
        raise Damaged(f"entries in {bundle_path(bundle, width)}", got=len(leaves), want=width)
    hashes = [sha256(b"\x00" + leaf).digest() for leaf in leaves[:width]]
    joined, first = b"".join(hashes), bundle * TILE_WIDTH
    if joined != tile:
        at, shown, own = _first_other(tile, joined)
        raise Damaged(f"leaf {first + at} in {tile_path(0, bundle, width)}", got=shown, want=own)
    if not joined.startswith(known):
        at, shown, own = _first_other(joined, known)
        raise Damaged(f"leaf {first + at}, which was read before", got=shown, want=own)
    return hashes


def _first_other(shown: bytes, own: bytes) -> tuple[int, bytes, bytes]:
    """The number of the first hash that differs, and both."""
    pieces = [(shown[i : i + HASH_SIZE], own[i : i + HASH_SIZE]) for i in range(0, len(own), HASH_SIZE)]
    return next((i, *pair) for i, pair in enumerate(pieces) if pair[0] != pair[1])


def unpacked(bundle: int, width: int, data: bytes) -> tuple[bytes, ...]:
    """The leaves of a bundle, or Damaged."""
    try:
        return unpack_bundle(data)
    except VerifyError as cause:
        raise Damaged(bundle_path(bundle, width), got=str(cause), want=f"{width} entries") from cause


def _entries(
    found: Scanned, first: int, hashes: Sequence[bytes], leaves: Sequence[bytes], known: int, org: bytes
) -> None:
    links, last_rec = found.links, found.last_rec
    for at in range(known, len(hashes)):
        index, leaf = first + at, hashes[at]
        facts = _facts(index, leaves[at])
        if facts.org != org:
            raise Damaged(f"org of entry {index}", got=facts.org, want=org)
        if facts.rec < last_rec:
            raise Damaged(f"record time of entry {index}", got=facts.rec, want=f"{last_rec} or later")
        last_rec = facts.rec
        if found.first_rec is None:
            found.first_rec = facts.rec
        link = links.get(facts.stream)
        if link is None:
            links[facts.stream] = Link(index, facts.n, facts.prev, facts.n, leaf)
        else:
            want_next(index, facts.n, facts.prev, link.last_n, link.last_leaf)
            links[facts.stream] = Link(link.at, link.n, link.prev, facts.n, leaf)
        if facts.start is not None:
            found.windows.append(Window(facts.stream, facts.start, index, leaf, facts.amends))
        elif facts.body is not None:
            found.special.append(Special(index, facts.type, facts.body))
    found.last_rec = last_rec


def _facts(index: int, data: bytes) -> Facts:
    try:
        return read_facts(data)
    except EntryError as cause:
        raise Damaged(f"entry {index}", got=str(cause), want="an entry of version 1") from cause


def want_next(index: int, n: int, prev: bytes | None, last_n: int, last_leaf: bytes) -> None:
    """Entry `index` follows the stream's last one, or Damaged."""
    if n != last_n + 1:
        raise Damaged(f"number of entry {index} in its stream", got=n, want=last_n + 1)
    if prev != last_leaf:
        raise Damaged(f"prev of entry {index}", got=prev or b"", want=last_leaf)
