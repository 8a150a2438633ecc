"""Whatever is handed to a verifier, it returns or raises VerifyError: mutated notes, checkpoints, proofs, tiles, policies,
time stamps and evidence files, at random and by structure. None of them is accepted as something else.
"""

import base64
import contextlib
import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.entry_bodies import CheckpointAnchor
from ledger.errors import EntryError
from ledger.evidence import read_trust, verify_evidence
from ledger.strict_json import canonical, read_json
from ledger.timestamp_token import read_token
from ledger.translog.checkpoint import open_checkpoint, parse_checkpoint
from ledger.translog.cosignature import parse_cosigner_vkey, verify_cosignatures
from ledger.translog.merkle import Tree
from ledger.translog.note import open_note, parse_signatures, parse_vkey, split_note
from ledger.translog.policy import parse_policy
from ledger.translog.proof_file import ProofFile, parse_proof_file
from ledger.translog.tiles import Edge, TiledTree, pack_bundle, unpack_bundle
from ledger.translog.verify import VerifyError, verify_consistency, verify_inclusion
from tests.unit.ledger.test_strict_json import JSON
from tests.unit.ledger.vectors_of_ours import FOLDER, make_v2

GOOD = json.loads(make_v2.example_evidence().to_json())
TEXT = json.dumps(GOOD, ensure_ascii=False, separators=(",", ":"))
TRUST = read_trust(make_v2.TRUSTED.values())
SAME = canonical(read_json(TEXT))
NOTE: str = GOOD["root"]["checkpoint"]
ROOT_KEY = parse_vkey(GOOD["root"]["vkey"])
WITNESS = parse_cosigner_vkey(GOOD["witnesses"][0]["vkey"])
TOKEN = (FOLDER / make_v2.TOKEN).read_bytes()
VKEY: str = GOOD["root"]["vkey"]

LEAVES = [b"leaf %d" % at for at in range(300)]
TREE = Tree.of(LEAVES)
GROWTH = Edge.empty().extend(TREE.leaf_hashes)
TILES = {(tile.level, tile.index, tile.width): tile.data for tile in GROWTH.tiles}


@st.composite
def mutated(draw: st.DrawFn, good: bytes) -> bytes:
    """`good` with one to three cuts, insertions, repetitions or flipped bits."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, min(40, len(data) - at)))
        kind = draw(st.sampled_from(["bytes", "repeat", "flip", "swap"]))
        if kind == "bytes":
            data[at : at + cut] = draw(st.binary(max_size=12))
        elif kind == "repeat":
            data[at:at] = data[at : at + cut] * draw(st.integers(1, 3))
        elif kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        else:
            data[at : at + cut] = data[at : at + cut][::-1]
    return bytes(data)


def text_of(good: str) -> st.SearchStrategy[str]:
    return mutated(good.encode()).map(lambda data: data.decode(errors="surrogateescape"))


@settings(deadline=None, max_examples=150)
@given(text_of(NOTE) | mutated(NOTE.encode()) | st.text(max_size=60) | st.binary(max_size=60))
def test_a_note_opens_as_what_was_signed_or_not_at_all(note: str | bytes) -> None:
    with contextlib.suppress(VerifyError):
        signed = open_note(note, [ROOT_KEY])
        assert signed.text == split_note(NOTE)[0]
    with contextlib.suppress(VerifyError):
        assert open_checkpoint(note, [ROOT_KEY]).checkpoint == parse_checkpoint(split_note(NOTE)[0])
    with contextlib.suppress(VerifyError):
        text, lines = split_note(note)
        if verify_cosignatures(text, lines, [WITNESS]):
            assert text == split_note(NOTE)[0]


@settings(deadline=None, max_examples=150)
@given(text_of(NOTE) | st.text(max_size=60))
def test_lines_and_checkpoints_parse_or_not(text: str) -> None:
    for parse in (parse_checkpoint, parse_signatures):
        with contextlib.suppress(VerifyError):
            parse(text)
    with contextlib.suppress(EntryError):
        CheckpointAnchor.read({"checkpoint": text})


@settings(deadline=None, max_examples=150)
@given(text_of(VKEY) | text_of(str(WITNESS)) | st.text(max_size=60))
def test_a_key_is_read_as_it_is_spelled_or_not_at_all(text: str) -> None:
    for parse in (parse_vkey, parse_cosigner_vkey):
        with contextlib.suppress(VerifyError):
            assert str(parse(text)) == text


@settings(deadline=None, max_examples=150)
@given(text_of(make_v2.POLICY) | mutated(make_v2.POLICY.encode()) | st.text(max_size=60))
def test_a_policy_is_read_or_not(text: str | bytes) -> None:
    with contextlib.suppress(VerifyError):
        policy = parse_policy(text)
        assert parse_policy(str(policy)) == policy


@settings(deadline=None, max_examples=200)
@given(mutated(TOKEN) | st.binary(max_size=80))
def test_a_time_stamp_is_read_or_not(der: bytes) -> None:
    with contextlib.suppress(VerifyError):
        info = read_token(der)
        assert len(info.imprint) == 32


@pytest.mark.parametrize(
    "der", [b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x30\x82\x00\x01\x00", b"\x30" * 65_537, b""]
)
def test_lengths_that_lie_are_no_time_stamp(der: bytes) -> None:
    with pytest.raises(VerifyError):
        read_token(der)


LEAF_ELSEWHERE = Tree.of([b"another log's leaf"]).root_hash
HASHES = st.lists(
    st.sampled_from([*TREE.leaf_hashes[:4], TREE.root_hash, bytes(32), b"", bytes(31)]), max_size=12
)
SIZES = st.integers(-2, 302) | st.sampled_from([2**31, 2**63, 2**64, 2**4000])


@settings(deadline=None, max_examples=200)
@given(SIZES, SIZES, HASHES)
def test_no_proof_leads_a_leaf_to_another_place(index: int, size: int, proof: list[bytes]) -> None:
    with pytest.raises(VerifyError):
        verify_inclusion(LEAF_ELSEWHERE, index, size, proof, TREE.root_hash)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 299), SIZES, HASHES)
def test_no_proof_joins_two_trees_that_do_not_follow(old: int, size: int, proof: list[bytes]) -> None:
    with pytest.raises(VerifyError):
        verify_consistency(old, size, bytes([9]) * 32, TREE.root_hash, proof)
    if size < old:
        with pytest.raises(VerifyError):
            verify_consistency(old, size, Tree(TREE.leaf_hashes[:old]).root_hash, TREE.root_hash, proof)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 299), st.data())
def test_a_mutated_proof_does_not_hold(index: int, data: st.DataObject) -> None:
    proof = TREE.inclusion_proof(index)
    spoiled = data.draw(mutated(b"".join(proof)))
    hashes = [spoiled[at : at + 32] for at in range(0, len(spoiled), 32)]
    if hashes != list(proof):
        with pytest.raises(VerifyError):
            verify_inclusion(TREE.leaf_hashes[index], index, 300, hashes, TREE.root_hash)


PROOF_FILE = str(ProofFile(5, TREE.inclusion_proof(5), NOTE, b"more"))


@settings(deadline=None, max_examples=150)
@given(text_of(PROOF_FILE) | st.text(max_size=60))
def test_a_proof_file_is_read_or_not(text: str) -> None:
    with contextlib.suppress(VerifyError):
        parse_proof_file(text)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(sorted(TILES)), st.data())
def test_a_spoiled_tile_gives_no_proof_that_holds(which: tuple[int, int, int], data: st.DataObject) -> None:
    spoiled = data.draw(mutated(TILES[which]))

    def read(level: int, index: int, width: int) -> bytes:
        return spoiled if (level, index, width) == which else TILES[level, index, width]

    index = data.draw(st.integers(0, 299))
    tree = TiledTree(300, read)
    with contextlib.suppress(VerifyError):
        # A tile that the path does not pass may be what it likes.
        proof = tree.inclusion_proof(index)
        if proof != TREE.inclusion_proof(index):
            with pytest.raises(VerifyError):
                verify_inclusion(TREE.leaf_hashes[index], index, 300, proof, TREE.root_hash)


@settings(deadline=None, max_examples=150)
@given(mutated(pack_bundle(LEAVES[:20])) | st.binary(max_size=80))
def test_a_bundle_is_unpacked_or_not(data: bytes) -> None:
    with contextlib.suppress(VerifyError):
        assert pack_bundle(unpack_bundle(data)) == data


def refused(data: bytes | str) -> bool:
    """Whether it is not accepted; anything but VerifyError escapes."""
    try:
        return not verify_evidence(data, TRUST).verified
    except VerifyError:
        return True


def same_content(data: bytes | str) -> bool:
    """White space and equal spellings of a number are no change."""
    return canonical(read_json(data)) == SAME


@settings(deadline=None, max_examples=200)
@given(mutated(TEXT.encode()))
def test_a_mutated_file_is_refused(data: bytes) -> None:
    assert refused(data) or same_content(data) or harmless(json.loads(data))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


PLACES = places(GOOD)[1:]
ODD = st.sampled_from(
    [
        2**53,
        2**64,
        -1,
        0,
        1e308,
        0.5,
        True,
        None,
        "",
        "\u0000",
        "\ud7ff",
        "é",
        "é",
        [],
        {},
        [[]],
        "A" * 44,
        "AA==",
        "+",
        "+++",
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(PLACES), JSON | ODD | st.sampled_from(PLACES))
def test_any_value_in_any_place_is_refused(place: tuple[Any, ...], new: Any) -> None:
    """Also one that stands elsewhere in the file."""
    value = json.loads(TEXT)
    if isinstance(new, tuple):
        new = at(value, new)
    holder = at(value, place[:-1])
    holder[place[-1]] = json.loads(json.dumps(new))
    data = json.dumps(value)
    assert refused(data) or same_content(data) or harmless(value)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(PLACES), st.sampled_from(["remove", "double", "reverse", "rename"]))
def test_members_removed_doubled_and_moved_are_refused(place: tuple[Any, ...], how: str) -> None:
    value = json.loads(TEXT)
    holder, last = at(value, place[:-1]), place[-1]
    if how == "remove":
        del holder[last]
    elif isinstance(holder, list):
        holder.insert(last, holder[last]) if how == "double" else holder.reverse()
    else:
        holder[f"{last}'"] = holder[last] if how == "double" else holder.pop(last)
    data = json.dumps(value)
    assert refused(data) or same_content(data) or harmless(value)


def at(value: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        value = value[step]
    return value


def harmless(value: Any) -> bool:
    """Changes that leave nothing untrue: less is shown, the items stand in another order, or what is the issuer's word on
    a witness, or a line of nobody that the file names, reads otherwise.
    """
    issuer = {"operator", "relation"}
    spoken = [{k: v for k, v in each.items() if k not in issuer} for each in value["witnesses"]]
    known = [{k: v for k, v in each.items() if k not in issuer} for each in GOOD["witnesses"]]
    named = [
        value["root"]["vkey"],
        value["root"]["clock"] or "",
        *(each["vkey"] for each in value["witnesses"]),
    ]
    return (
        all(each in known for each in spoken)
        and value["root"]["vkey"] == GOOD["root"]["vkey"]
        and value["root"]["clock"] in (None, GOOD["root"]["clock"])
        and lines_of(value["root"]["checkpoint"], named) == lines_of(NOTE, named)
        and all(each in GOOD["logs"] for each in value["logs"])
        and all(each in GOOD["keys"] for each in value["keys"])
        and all(each in GOOD["timestamps"] for each in value["timestamps"])
        and all(less_of(each) for each in value["items"])
    )


def lines_of(note: str, vkeys: list[str]) -> tuple[str, set[str]]:
    """The note's text, and the signature lines of these keys."""
    text, lines = split_note(note)
    named = {(vkey.split("+")[0], vkey.split("+")[1]) for vkey in vkeys if vkey}
    return text, {str(line) for line in lines if (line.name, line.key_id.hex()) in named}


def less_of(item: Any) -> bool:
    """One of the items, perhaps with fewer readings."""
    for known in GOOD["items"]:
        if item == known:
            return True
        if item.keys() == known.keys() and "readings" in item:
            rest = {name for name in known if name not in ("readings", "series")}
            if all(item[name] == known[name] for name in rest):
                return all(
                    each in known[name]
                    for name in ("readings", "series")
                    if name in item
                    for each in item[name]
                )
    return False


@settings(deadline=None, max_examples=100)
@given(mutated(gzip.compress(TEXT.encode())))
def test_a_mutated_gzip_is_refused(data: bytes) -> None:
    assert refused(data) or gzip.decompress(data) == TEXT.encode()


DEEP = 100_000


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("[" * DEEP, id="deep lists"),
        pytest.param('{"a":' * DEEP, id="deep objects"),
        pytest.param(
            '{"format":"suyuan-evidence/v2","root":' + "[" * DEEP + "]" * DEEP + "}", id="deep and closed"
        ),
        pytest.param(TEXT.replace('"index":1', '"index":' + "9" * 100_000, 1), id="a huge integer"),
        pytest.param(TEXT.replace('"index":1', '"index":1e400', 1), id="an infinite number"),
        pytest.param(TEXT.replace('"index":1', '"index":NaN', 1), id="no number"),
        pytest.param(TEXT.replace("\\n5\\n", "\\n" + "9" * 5_000 + "\\n", 1), id="a huge size"),
        pytest.param(TEXT.replace("\\n5\\n", "\\n٥\\n", 1), id="another script's digit"),
        pytest.param(TEXT.replace("suyuan.example", "suyuan.\\ud800example"), id="a lone surrogate"),
        pytest.param(TEXT.replace("suyuan.example", "suyuan.example\\u0000"), id="a zero character"),
        pytest.param(TEXT.replace("suyuan.example", "suyuan.​example", 1), id="an invisible character"),
        pytest.param(gzip.compress(b"[" * (2**26 + 1)), id="a bomb of brackets"),
        pytest.param(gzip.compress(b" " * 2**26 + b"{"), id="a bomb of spaces"),
        pytest.param(b"\x1f\x8b\x08\x04" + bytes(20), id="a broken gzip header"),
        pytest.param(b"\xff\xfe" + TEXT.encode("utf-16-le"), id="UTF-16"),
        pytest.param(b'<script type="application/json" id="evidence">' * 1000, id="a page of openings"),
    ],
)
def test_traps_are_refused(data: bytes | str) -> None:
    assert refused(data)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=400))
def test_any_token_and_any_entry_in_a_sound_file_are_refused(noise: bytes) -> None:
    value = json.loads(TEXT)
    value["timestamps"][0]["token"] = base64.b64encode(noise).decode()
    assert refused(json.dumps(value))
    value = json.loads(TEXT)
    value["logs"][0]["anchor"]["entry"] = noise.decode(errors="replace")
    assert refused(json.dumps(value))
    value = json.loads(TEXT)
    value["keys"][0]["entry"] = noise.decode(errors="replace")
    assert refused(json.dumps(value))


def test_the_example_is_accepted() -> None:
    """Else all of the above would hold of a verifier that refuses everything."""
    assert not refused(TEXT)
    assert harmless(GOOD)
