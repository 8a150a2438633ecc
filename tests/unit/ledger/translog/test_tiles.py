"""The tiled log: the same roots and proofs as the plain tree, however it grew, and other people's files byte
for byte.
"""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.translog.merkle import EMPTY_ROOT, Tree, leaf_hash
from ledger.translog.note import parse_private_key
from ledger.translog.tiles import (
    TILE_WIDTH,
    Edge,
    TiledTree,
    bundle_path,
    bundles,
    pack_bundle,
    tile_path,
    tile_width,
    tiles_of,
    unpack_bundle,
)
from ledger.translog.verify import VerifyError, verify_consistency, verify_inclusion
from tests.vectors import count_vectors, vector_path

TESSERA_KEY = "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg"
HASHES = tuple(leaf_hash(b"%d" % i) for i in range(70_000))


class Store:
    """Files by path, that refuse to be rewritten with other bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def write(self, path: str, data: bytes) -> None:
        assert self.files.setdefault(path, data) == data, path

    def read_tile(self, level: int, index: int, width: int) -> bytes:
        return self.files[tile_path(level, index, width)]


def grow(steps: list[int]) -> tuple[Edge, Store]:
    edge, store = Edge.empty(), Store()
    for step in steps:
        growth = edge.extend(HASHES[edge.size : edge.size + step])
        for tile in growth.tiles:
            store.write(tile.path, tile.data)
        edge = growth.edge
    return edge, store


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 40), st.sampled_from([255, 256, 257, 600])), max_size=12), st.data())
def test_any_growth_gives_the_plain_trees_root_and_proofs(steps: list[int], data: st.DataObject) -> None:
    edge, store = grow(steps)
    plain = Tree(HASHES[: edge.size])
    assert edge.root_hash == plain.root_hash
    assert Edge.load(edge.size, store.read_tile) == edge
    tiled = TiledTree(edge.size, store.read_tile)
    assert tiled.root_hash == plain.root_hash
    if edge.size:
        index = data.draw(st.integers(0, edge.size - 1))
        assert tiled.inclusion_proof(index) == plain.inclusion_proof(index)
        assert tiled.leaf_hash(index) == HASHES[index]
    old_size = data.draw(st.integers(0, edge.size))
    assert tiled.consistency_proof(old_size) == plain.consistency_proof(old_size)


def test_a_log_of_three_levels_proves_its_ends() -> None:
    edge, store = grow([65_000, 5_000])
    tiled = TiledTree(edge.size, store.read_tile)
    assert tiled.root_hash == edge.root_hash == Tree(HASHES).root_hash
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        verify_inclusion(HASHES[index], index, 70_000, tiled.inclusion_proof(index), edge.root_hash)
    old_root = Tree(HASHES[:65_000]).root_hash
    verify_consistency(65_000, 70_000, old_root, edge.root_hash, tiled.consistency_proof(65_000))


def test_extending_by_nothing_writes_nothing() -> None:
    growth = Edge.empty().extend([])
    assert growth.tiles == ()
    assert growth.edge.root_hash == EMPTY_ROOT


def test_a_tile_of_the_wrong_length_is_no_tile() -> None:
    with pytest.raises(VerifyError, match="length of tile/0/000"):
        Edge.load(3, lambda level, index, width: bytes(31))


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (tile_path(0, 0), "tile/0/000"),
        (tile_path(0, 999, 8), "tile/0/999.p/8"),
        (tile_path(1, 1000), "tile/1/x001/000"),
        (bundle_path(1_234_067), "tile/entries/x001/x234/067"),
        (bundle_path(7, 255), "tile/entries/007.p/255"),
    ],
)
def test_paths(path: str, want: str) -> None:
    assert path == want


def test_a_width_out_of_range_has_no_path() -> None:
    with pytest.raises(ValueError, match="got 257"):
        tile_path(0, 0, 257)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_gives_back_its_leaves(leaves: list[bytes]) -> None:
    assert unpack_bundle(pack_bundle(leaves)) == tuple(leaves)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_bundle_or_an_error(data: bytes) -> None:
    with suppress(VerifyError):
        assert pack_bundle(unpack_bundle(data)) == data


def test_a_leaf_too_long_for_its_length_is_refused() -> None:
    with pytest.raises(ValueError, match="65536"):
        pack_bundle([bytes(65_536)])


def test_bundles_continue_the_partial_one() -> None:
    leaves = [b"%d" % i for i in range(600)]
    first = bundles([], 0, leaves[:300])
    assert [bundle.path for bundle in first] == ["tile/entries/000", "tile/entries/001.p/44"]
    more = bundles(leaves[256:300], 300, leaves[300:])
    assert [bundle.path for bundle in more] == ["tile/entries/001", "tile/entries/002.p/88"]
    assert unpack_bundle(more[0].data) == tuple(leaves[256:512])
    with pytest.raises(ValueError, match="partial bundle"):
        bundles([], 300, leaves[300:])


def test_the_specs_own_example() -> None:
    spec = json.loads((vector_path("ledger/extracted") / "checkpoint_and_proof.json").read_text())
    example = spec["tlog_tiles_spec_example"]
    size = example["size"]
    widths = {level: [w for found, _, w in tiles_of(size) if found == level] for level in range(3)}
    assert widths[0] == [TILE_WIDTH] * example["level0_full"] + [example["level0_partial"]]
    assert widths[1] == [TILE_WIDTH] * example["level1_full"] + [example["level1_partial"]]
    assert widths[2] == [example["level2_partial"]]
    assert tile_path(0, 1_234_067) == "tile/0/" + example["path_1234067"]
    assert tile_width(0, 273, size) == example["level0_partial"]
    assert tile_width(3, 0, size) == 0
    count_vectors(2)


def test_tesseras_log_is_rebuilt_byte_for_byte() -> None:
    folder = vector_path("ledger/tessera") / "testdata" / "log"
    leaves = unpack_bundle((folder / "tile/entries/000.p/15").read_bytes())
    key = parse_private_key(TESSERA_KEY)
    store, edge = Store(), Edge.empty()
    for size in range(len(leaves) + 1):
        root = edge.root_hash
        checkpoint = Checkpoint(key.name, size, root)
        want = (folder / f"checkpoint.{size}").read_text()
        assert sign_checkpoint(checkpoint, [key]) == want
        assert open_checkpoint(want, [key.verifier], origin=key.name).checkpoint == checkpoint
        count_vectors()
        if size < len(leaves):
            for bundle in bundles(leaves[:size], size, leaves[size : size + 1]):
                store.write(bundle.path, bundle.data)
            growth = edge.extend([leaf_hash(leaves[size])])
            for tile in growth.tiles:
                store.write(tile.path, tile.data)
            edge = growth.edge
    theirs = {str(f.relative_to(folder)): f.read_bytes() for f in (folder / "tile").rglob("*") if f.is_file()}
    assert store.files == theirs
    count_vectors(len(theirs))
