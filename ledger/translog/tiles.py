"""The log as static files: C2SP tlog-tiles paths and bytes, and growth at the right edge.

A tile of level L holds up to 256 hashes, each the root over 256**L leaves; only the last tile of a level may
be partial. An entry bundle holds the leaves themselves. `Edge` is all a writer must know of a log to extend
it: the partial tiles, at most 255 hashes a level. Everything here is a function of the leaves, so a crashed
writer that runs again writes the same bytes to the same paths; that is what allows a path never to be
rewritten with other bytes. Source: c2sp.org/tlog-tiles.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ledger.translog.merkle import (
    HASH_SIZE,
    Range,
    complete_root,
    consistency_ranges,
    fold,
    inclusion_ranges,
    range_hash,
)
from ledger.translog.verify import VerifyError, want_same

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_SIZE = TILE_WIDTH * HASH_SIZE
MAX_LEAF_SIZE = 0xFFFF

ReadTile = Callable[[int, int, int], bytes]
"""`(level, index, width) -> width * 32 bytes`. The reader may cut them from a fuller tile of the same level
and index.
"""


@dataclass(frozen=True, slots=True)
class Tile:
    """One file of hashes. `width`: 1 to 256; `data`: width * 32 bytes."""

    level: int
    index: int
    width: int
    data: bytes

    @property
    def path(self) -> str:
        return tile_path(self.level, self.index, self.width)


@dataclass(frozen=True, slots=True)
class EntryBundle:
    """One file of leaves, each behind its length as a big-endian uint16."""

    index: int
    width: int
    data: bytes

    @property
    def path(self) -> str:
        return bundle_path(self.index, self.width)


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """`tile/<L>/<N>` or `tile/<L>/<N>.p/<W>`."""
    return f"tile/{level}/{_number_path(index)}{_partial(width)}"


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """`tile/entries/<N>` or `tile/entries/<N>.p/<W>`."""
    return f"tile/entries/{_number_path(index)}{_partial(width)}"


def _number_path(index: int) -> str:
    """Groups of three digits, an `x` before each but the last: 1234067 is `x001/x234/067`."""
    digits = f"{index:d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def _partial(width: int) -> str:
    if not 1 <= width <= TILE_WIDTH:
        raise ValueError(f"tile width: got {width}, want 1 to {TILE_WIDTH}")
    return "" if width == TILE_WIDTH else f".p/{width}"


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes tile `index` of `level` holds in a tree of `size` leaves; 0 where it does not exist
    yet.
    """
    count = size >> (TILE_HEIGHT * level)
    return max(0, min(TILE_WIDTH, count - index * TILE_WIDTH))


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """`(level, index, width)` of every tile of a tree of `size` leaves, level by level."""
    level = 0
    while count := size >> (TILE_HEIGHT * level):
        for index in range(-(-count // TILE_WIDTH)):
            yield level, index, tile_width(level, index, size)
        level += 1


def pack_bundle(leaves: Sequence[bytes]) -> bytes:
    """ValueError for a leaf beyond 65,535 bytes."""
    longest = max(map(len, leaves), default=0)
    if longest > MAX_LEAF_SIZE:
        raise ValueError(f"leaf length: got {longest}, want at most {MAX_LEAF_SIZE}")
    return b"".join([part for leaf in leaves for part in (len(leaf).to_bytes(2, "big"), leaf)])


def unpack_bundle(data: bytes) -> tuple[bytes, ...]:
    """The leaves of a bundle, or VerifyError where the lengths do not fill it exactly."""
    leaves, at = list[bytes](), 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        end = at + 2 + length
        if end > len(data):
            raise VerifyError("entry bundle length", got=len(data), want=f"at least {end}")
        leaves.append(data[at + 2 : end])
        at = end
    return tuple(leaves)


def bundles(tail: Sequence[bytes], size: int, new_leaves: Sequence[bytes]) -> tuple[EntryBundle, ...]:
    """The entry bundles that `new_leaves` add to a log of `size`; `tail`: the last size % 256 leaves."""
    if len(tail) != size % TILE_WIDTH:
        raise ValueError(f"leaves in the partial bundle: got {len(tail)}, want {size % TILE_WIDTH}")
    if not new_leaves:
        return ()
    leaves, first = [*tail, *new_leaves], size // TILE_WIDTH
    rows = [leaves[i : i + TILE_WIDTH] for i in range(0, len(leaves), TILE_WIDTH)]
    return tuple(EntryBundle(first + i, len(row), pack_bundle(row)) for i, row in enumerate(rows))


@dataclass(frozen=True)
class Edge:
    """The right edge of a log of `size` leaves. `tails[L]`: the hashes of level L's partial tile one after the
    other, 0 to 255 of them.
    """

    size: int
    tails: tuple[bytes, ...]

    @classmethod
    def empty(cls) -> "Edge":
        return cls(0, ())

    @classmethod
    def load(cls, size: int, read_tile: ReadTile) -> "Edge":
        """Reads the partial tiles of a log of `size`: one a level. VerifyError on a wrong length."""
        tails, level = list[bytes](), 0
        while count := size >> (TILE_HEIGHT * level):
            width = count % TILE_WIDTH
            tails.append(_read(read_tile, level, count // TILE_WIDTH, width) if width else b"")
            level += 1
        return cls(size, tuple(tails))

    @cached_property
    def root_hash(self) -> bytes:
        peaks = list[bytes]()
        for tail in self.tails:  # from the right end of the tree to the left
            peaks[:0] = _peaks(tail)
        return fold(peaks)

    def extend(self, leaf_hashes: Sequence[bytes]) -> "Growth":
        """The edge after `leaf_hashes`, which may come joined, and every tile new or fuller than before, lowest level first."""
        tails, tiles = list(self.tails), list[Tile]()
        level, rising = 0, b"".join(leaf_hashes)
        added = len(rising) // HASH_SIZE
        while rising:
            if level == len(tails):
                tails.append(b"")
            hashes = tails[level] + rising
            first = (self.size >> (TILE_HEIGHT * level)) // TILE_WIDTH
            rows = [hashes[i : i + TILE_SIZE] for i in range(0, len(hashes), TILE_SIZE)]
            tiles += [Tile(level, first + i, len(row) // HASH_SIZE, row) for i, row in enumerate(rows)]
            tails[level] = rows.pop() if len(rows[-1]) < TILE_SIZE else b""
            rising = b"".join([complete_root(row) for row in rows])
            level += 1
        return Growth(Edge(self.size + added, tuple(tails)), tuple(tiles))


@dataclass(frozen=True, slots=True)
class Growth:
    """What an extension of the log amounts to: the edge it ends at, and the tiles to write before that is
    signed.
    """

    edge: Edge
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class TiledTree:
    """A tree of `size` leaves whose nodes come from tiles. A proof reads at most two tiles a level, each once."""

    size: int
    read_tile: ReadTile

    @property
    def root_hash(self) -> bytes:
        return self._hashes([(0, self.size)])[0]

    def root_hash_at(self, size: int) -> bytes:
        """Of its first `size` leaves, at most all of them."""
        return self._hashes([(0, size)])[0]

    def inclusion_proof(self, index: int) -> tuple[bytes, ...]:
        """IndexError if the tree has no such leaf, VerifyError on a tile of the wrong length."""
        return self._hashes(inclusion_ranges(index, self.size))

    def consistency_proof(self, old_size: int) -> tuple[bytes, ...]:
        return self._hashes(consistency_ranges(old_size, self.size))

    def leaf_hash(self, index: int) -> bytes:
        return self._hashes([(index, index + 1)])[0]

    def _hashes(self, ranges: Sequence[Range]) -> tuple[bytes, ...]:
        """The root over each of `ranges`."""
        held: dict[tuple[int, int], bytes] = {}

        def node(level: int, index: int) -> bytes:
            tile_level, height = divmod(level, TILE_HEIGHT)
            tile_index, offset = divmod(index << height, TILE_WIDTH)
            tile = held.get((tile_level, tile_index))
            if tile is None:
                width = tile_width(tile_level, tile_index, self.size)
                tile = held[tile_level, tile_index] = _read(self.read_tile, tile_level, tile_index, width)
            return complete_root(tile[offset * HASH_SIZE : (offset + (1 << height)) * HASH_SIZE])

        return tuple(range_hash(leaves, node) for leaves in ranges)


def _read(read_tile: ReadTile, level: int, index: int, width: int) -> bytes:
    data = read_tile(level, index, width)
    if len(data) != width * HASH_SIZE:
        want_same(f"length of {tile_path(level, index, width)}", got=len(data), want=width * HASH_SIZE)
    return data


def _peaks(hashes: bytes) -> list[bytes]:
    """The roots of the complete subtrees of falling size that `hashes` consist of."""
    peaks, at, count = list[bytes](), 0, len(hashes) // HASH_SIZE
    while at < count:
        width = 1 << ((count - at).bit_length() - 1)
        peaks.append(complete_root(hashes[at * HASH_SIZE : (at + width) * HASH_SIZE]))
        at += width
    return peaks
