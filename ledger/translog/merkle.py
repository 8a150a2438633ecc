"""The RFC 6962 tree: how leaves become one root, and which nodes prove a leaf or a growth.

Nodes have coordinates: `(level, index)` covers leaves `index << level` to `(index + 1) << level`, complete.
Proofs are written once, as ranges of leaves (`inclusion_ranges`, `consistency_ranges`), and read from
whatever holds the nodes: the lists of a `Tree` in memory or the tiles of a log on disk. A log's proof and the
proof of one field of an event are therefore made by the same lines. The recursive text of the RFC stands in
the tests as the reference for these.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()

Range = tuple[int, int]
"""Leaves [first, end) under one node of the tree: `first` is a multiple of the power of two at or above their
count.
"""

ReadNode = Callable[[int, int], bytes]
"""`(level, index) -> hash` of a complete node."""


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def pair_up(hashes: Sequence[bytes]) -> list[bytes]:
    """The level above: complete nodes only, a last one without a sibling is left out."""
    return [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]


def complete_root(hashes: bytes) -> bytes:
    """The root over a power of two of hashes of one level, given one after the other."""
    while len(hashes) > HASH_SIZE:
        pairs = range(0, len(hashes), 2 * HASH_SIZE)
        hashes = b"".join([sha256(b"\x01" + hashes[i : i + 2 * HASH_SIZE]).digest() for i in pairs])
    return hashes


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The subtrees whose roots prove leaf `index` of `size`, from the leaf upwards. IndexError if it has no
    such leaf.
    """
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} of a tree of {size}")
    first, end, ranges = 0, size, list[Range]()
    while end - first > 1:
        middle = first + split(end - first)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first = middle
    return ranges[::-1]


def consistency_ranges(old_size: int, new_size: int) -> list[Range]:
    """The subtrees whose roots prove that the tree of `old_size` is the beginning of that of `new_size`."""
    if not 0 <= old_size <= new_size:
        raise IndexError(f"a tree of {new_size} does not extend one of {old_size}")
    if old_size == 0:
        return []
    first, end, ranges = 0, new_size, list[Range]()
    while end != old_size:
        middle = first + split(end - first)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first = middle
    if first:  # else the old tree itself is the node, and the verifier knows its root
        ranges.append((first, end))
    return ranges[::-1]


def split(count: int) -> int:
    """The largest power of two below `count`, where RFC 6962 divides a tree of two leaves or more."""
    return 1 << ((count - 1).bit_length() - 1)


def complete_nodes(first: int, end: int) -> Iterator[tuple[int, int]]:
    """The coordinates of the complete nodes that make up a `Range`, from left to right."""
    while first < end:
        level = (end - first).bit_length() - 1
        yield level, first >> level
        first += 1 << level


def range_hash(leaves: Range, node: ReadNode) -> bytes:
    """The root over a `Range`; `node` is asked for each complete node once. The empty range has the empty
    root.
    """
    return fold([node(level, index) for level, index in complete_nodes(*leaves)])


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root over complete subtrees of falling size, from left to right."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


@dataclass(frozen=True)
class Tree:
    """A whole tree in memory, for small ones: an event's fields, an hour of readings, a list."""

    leaf_hashes: tuple[bytes, ...]

    @classmethod
    def of(cls, leaves: Sequence[bytes]) -> "Tree":
        """A tree over leaf data."""
        return cls(tuple(leaf_hash(data) for data in leaves))

    @property
    def size(self) -> int:
        return len(self.leaf_hashes)

    @cached_property
    def root_hash(self) -> bytes:
        return range_hash((0, self.size), self.node)

    def inclusion_proof(self, index: int) -> tuple[bytes, ...]:
        return tuple(range_hash(leaves, self.node) for leaves in inclusion_ranges(index, self.size))

    def consistency_proof(self, old_size: int) -> tuple[bytes, ...]:
        return tuple(range_hash(leaves, self.node) for leaves in consistency_ranges(old_size, self.size))

    def node(self, level: int, index: int) -> bytes:
        return self._levels[level][index]

    @cached_property
    def _levels(self) -> list[Sequence[bytes]]:
        levels: list[Sequence[bytes]] = [self.leaf_hashes]
        while len(levels[-1]) > 1:
            levels.append(pair_up(levels[-1]))
        return levels
