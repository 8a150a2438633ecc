"""The rules of a witness: what it cosigns, what it refuses and how, and that it never forgets."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ledger.translog.add_checkpoint import (
    MAX_PROOF,
    AddCheckpoint,
    parse_add_checkpoint,
    parse_size_answer,
)
from ledger.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.translog.cosignature import ED25519_COSIGNATURE, ML_DSA_44, Cosigner, verify_cosignatures
from ledger.translog.merkle import Tree
from ledger.translog.note import SignerKey, add_signatures, parse_signatures
from ledger.translog.verify import VerifyError
from ledger.witness import MAX_BODY_SIZE, Answer, Witness
from ledger.witness_folder import TrustedLogs, open_witness, read_keys
from ledger.witness_store import Seen, WitnessForgot, WitnessStore

LOG = SignerKey.from_seed("log.example/coop", b"l" * 32)
STRANGER = SignerKey.from_seed("log.example/other", b"s" * 32)
LEAVES = [bytes([at]) for at in range(40)]
TREE, FORK = Tree.of(LEAVES), Tree.of([*LEAVES[:9], b"another", *LEAVES[10:]])
COSIGNERS = [Cosigner.from_seed("w.example", b"w" * 32, each) for each in (ED25519_COSIGNATURE, ML_DSA_44)]


class Bench:
    """A witness with a clock that stands."""

    def __init__(self, path: Path) -> None:
        self.time = 1_800_000_000
        self.store = WitnessStore(path)
        self.witness = Witness(self.store, COSIGNERS, lambda: {LOG.name: [LOG.verifier]}, lambda: self.time)

    def ask(self, old: int, size: int, tree: Tree = TREE, **other: Any) -> Answer:
        return self.witness.add_checkpoint(request(old, size, tree, **other))


def part(tree: Tree, size: int) -> Tree:
    return Tree(tree.leaf_hashes[:size])


def checkpoint(size: int, tree: Tree = TREE, origin: str = LOG.name) -> Checkpoint:
    return Checkpoint(origin, size, part(tree, size).root_hash)


def request(
    old: int, size: int, tree: Tree = TREE, *, key: SignerKey = LOG, proof: Any = None, lines: Any = ()
) -> bytes:
    note = add_signatures(sign_checkpoint(checkpoint(size, tree, key.name), [key]), lines)
    if proof is None:
        proof = part(tree, size).consistency_proof(old) if old <= size else ()
    return AddCheckpoint(old, tuple(proof), note.encode()).encode()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "witness.db")
    yield made
    made.store.close()


def test_it_follows_a_log_and_says_when(bench: Bench) -> None:
    for old, size in [(0, 0), (0, 5), (5, 5), (5, 8), (8, 40), (40, 40)]:
        bench.time += 1
        answer = bench.ask(old, size)
        assert answer.status == 200
        found = verify_cosignatures(
            checkpoint(size).text, parse_signatures(answer.body), [each.verifier for each in COSIGNERS]
        )
        assert [each.time for each in found] == [bench.time] * 2
    served = bench.witness.checkpoint(sha256(LOG.name.encode()).hexdigest())
    assert served.status == 200
    opened = open_checkpoint(served.body, [LOG.verifier], origin=LOG.name)
    assert opened.checkpoint == checkpoint(40)
    assert verify_cosignatures(opened.note.text, opened.note.unverified, [COSIGNERS[0].verifier])
    assert bench.witness.checkpoint("0" * 64).status == 404


def test_a_fork_is_refused_and_both_notes_are_kept(bench: Bench) -> None:
    assert bench.ask(0, 20).status == 200
    assert bench.ask(20, 30, FORK).status == 422
    assert bench.ask(20, 20, FORK).status == 409
    assert bench.ask(0, 20, FORK).status == 409  # whatever the request says of the old size
    assert bench.ask(20, 30, FORK).status == 422  # kept once
    assert bench.ask(20, 30).status == 200
    unproven, fork = bench.store.refused()
    assert (unproven.fault, fork.fault) == ("no_proof", "other_root")
    for kept, size in ((unproven, 30), (fork, 20)):
        assert open_checkpoint(kept.seen, [LOG.verifier]).checkpoint == checkpoint(20)
        assert open_checkpoint(kept.note, [LOG.verifier]).checkpoint == checkpoint(size, FORK)


def test_the_answer_to_another_old_size_names_the_one_it_saw(bench: Bench) -> None:
    assert bench.ask(5, 8).body == "0\n"
    assert bench.ask(0, 20).status == 200
    for old, size in [(0, 20), (19, 20), (0, 7), (7, 7), (21, 30)]:
        answer = bench.ask(old, size)
        assert (answer.status, answer.body, answer.content_type) == (409, "20\n", "text/x.tlog.size")
        assert parse_size_answer(answer.body.encode()) == 20
    assert bench.ask(9, 8).status == 400


def test_who_may_speak_for_a_log(bench: Bench) -> None:
    assert bench.ask(0, 5, key=STRANGER).status == 404
    false = SignerKey.from_seed(LOG.name, bytes(32))
    assert bench.ask(0, 5, key=false).status == 403
    spoilt = request(0, 5).replace(checkpoint(5).text.encode(), checkpoint(6).text.encode())
    assert bench.witness.add_checkpoint(spoilt).status == 403
    # Lines of others are passed over, and not kept.
    lines = [COSIGNERS[0].cosign(checkpoint(5), 7), *parse_signatures(f"— {STRANGER.name} AAAAAAAA\n")]
    assert bench.ask(0, 5, lines=lines).status == 200
    seen = bench.store.latest(LOG.name)
    assert seen is not None
    assert STRANGER.name not in seen.note
    assert seen.time == bench.time


def test_a_log_that_changes_its_key_is_known_by_both(tmp_path: Path) -> None:
    new = SignerKey.from_seed(LOG.name, b"n" * 32)
    trusted = TrustedLogs(tmp_path / "logs")
    assert trusted.add(LOG.verifier)
    store = WitnessStore(tmp_path / "witness.db")
    witness = Witness(store, COSIGNERS, trusted.current, lambda: 1)
    assert witness.add_checkpoint(request(0, 5)).status == 200
    assert witness.add_checkpoint(request(5, 6, key=new)).status == 403
    assert trusted.add(new.verifier)
    assert not trusted.add(new.verifier)
    assert witness.add_checkpoint(request(5, 6, key=new)).status == 200
    assert witness.add_checkpoint(request(6, 7)).status == 200
    store.close()


def test_a_list_whose_last_line_was_left_open_takes_another_key(tmp_path: Path) -> None:
    trusted = TrustedLogs(tmp_path / "logs")
    (tmp_path / "logs").write_text(str(LOG.verifier))
    other = SignerKey.from_seed("another.example/log", b"n" * 32).verifier
    assert trusted.add(other)
    assert trusted.read() == {LOG.name: [LOG.verifier], other.name: [other]}


def test_a_clock_that_goes_back_is_not_signed_for(bench: Bench) -> None:
    assert bench.ask(0, 5).status == 200
    bench.time -= 1
    assert bench.ask(5, 6).status == 503
    assert bench.ask(5, 5).status == 503
    bench.time += 1
    assert bench.ask(5, 6).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old 0\n\n",
        b"old 00\n\n",
        b"old -1\n\n",
        b"old 0 \n\n",
        b"OLD 0\n\n",
        b"old 99999999999999999999\n\n",
        request(0, 5).replace(b"old 0", b"old \xd9\xa1"),
        request(0, 5).replace(b"old 0\n", b"old 0\nAA==\n"),
        request(0, 5).replace(b"old 0\n", b"old 0\n" + b"A" * 44 + b"\n"),
        request(0, 5).replace(b"old 0\n", b"old 0\r\n"),
        request(0, 5, proof=[bytes(32)] * (MAX_PROOF + 1)),
        request(0, 5)[:-1],
        request(0, 5).replace(b"log.example", b"log\xff.example"),
        request(0, 5).replace(b"\n5\n", b"\n05\n"),
    ],
)
def test_what_is_no_request(bench: Bench, body: bytes) -> None:
    assert bench.witness.add_checkpoint(body).status == 400


def test_limits(bench: Bench) -> None:
    assert bench.witness.add_checkpoint(bytes(MAX_BODY_SIZE + 1)).status == 413
    assert bench.ask(0, 5, proof=[bytes(32)] * MAX_PROOF).status == 422
    assert bench.store.latest(LOG.name) is None
    # The first checkpoint with a proof that does not hold is held against nothing, so it shows nothing.
    assert bench.store.refused() == []


@given(body=st.binary(max_size=400))
@example(body=b"old 0\n\n\n\n\xe2\x80\x94 a AAAAAAAA\n")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_get_an_answer(bench: Bench, body: bytes) -> None:
    assert bench.witness.add_checkpoint(body).status in (400, 403, 404)
    with pytest.raises(VerifyError):
        parse_size_answer(b"x" + body)


@given(data=st.data())
def test_a_request_with_something_changed_is_refused_or_the_same(data: st.DataObject) -> None:
    """Only what the log signed, from where the witness stands, is ever cosigned."""
    bench = Bench(Path(":memory:"))
    old = data.draw(st.integers(0, len(LEAVES)))
    size = data.draw(st.integers(old, len(LEAVES)))
    assert bench.ask(0, old).status == 200
    body = bytearray(request(old, size))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    answer = bench.witness.add_checkpoint(bytes(body))
    assert answer.status in (200, 400, 403, 404, 409, 422)
    after = bench.store.latest(LOG.name)
    assert after is not None
    assert after.root_hash == part(TREE, after.size).root_hash
    assert after.size in (old, size)
    bench.store.close()


def test_a_request_survives_its_bytes() -> None:
    for old, size in [(0, 0), (0, 5), (5, 40)]:
        body = request(old, size)
        assert parse_add_checkpoint(body).encode() == body


def test_what_is_answered_is_on_the_disk(bench: Bench, tmp_path: Path) -> None:
    assert bench.ask(0, 20).status == 200
    again = Bench(tmp_path / "witness.db")  # the first still has the file open, as after a kill
    assert again.ask(20, 20, FORK).status == 409
    assert again.ask(20, 21).status == 200
    assert bench.ask(20, 21).body == "21\n"
    again.store.close()


def test_of_many_requests_at_once_each_follows_from_the_last(bench: Bench, tmp_path: Path) -> None:
    """Two processes' worth of stores over one file: no two answers of one size, none behind another."""
    benches = [bench, Bench(tmp_path / "witness.db")]
    answers: list[tuple[int, int]] = []

    def grow(own: Bench, tree: Tree) -> None:
        for size in range(1, len(LEAVES) + 1):
            seen = own.store.latest(LOG.name)
            old = seen.size if seen else 0
            if old <= size:
                answers.append((size, own.ask(old, size, tree).status))

    trees = [TREE, FORK, TREE, FORK]
    threads = [threading.Thread(target=grow, args=(benches[at % 2], tree)) for at, tree in enumerate(trees)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for _, status in answers} <= {200, 409, 422}
    last = bench.store.latest(LOG.name)
    assert last is not None
    grown = TREE if last.root_hash == part(TREE, last.size).root_hash else FORK
    assert last.root_hash == part(grown, last.size).root_hash
    benches[1].store.close()


def test_the_file_itself_goes_neither_back_nor_aside(bench: Bench, tmp_path: Path) -> None:
    bench.ask(0, 20)
    seen = bench.store.latest(LOG.name)
    assert seen is not None
    for size, root_hash in ((19, seen.root_hash), (20, bytes(32))):
        with pytest.raises(sqlite3.IntegrityError):
            bench.store.advance(seen, Seen(LOG.name, size, root_hash, seen.note, seen.time))
    assert not bench.store.advance(None, Seen(LOG.name, 21, bytes(32), seen.note, seen.time))
    with sqlite3.connect(tmp_path / "witness.db") as other, pytest.raises(sqlite3.IntegrityError):
        other.execute("DELETE FROM seen")
    other.close()
    assert bench.store.latest(LOG.name) == seen


# --- its folder ---------------------------------------------------------------------------------------------------


def begin(folder: Path, name: str = "w.example", *algorithms: int) -> list[str]:
    cosigners, store = open_witness(folder, name, algorithms or [ED25519_COSIGNATURE], lambda n: bytes(n))
    store.close()
    return [str(cosigner.verifier) for cosigner in cosigners]


def use(folder: Path) -> None:
    cosigners, store = open_witness(folder, "", [], lambda n: bytes(n))
    witness = Witness(store, cosigners, lambda: {LOG.name: [LOG.verifier]}, lambda: 1)
    assert witness.add_checkpoint(request(0, 5)).status == 200
    store.close()


def test_its_key_is_made_once_and_one_of_another_kind_may_be_added(tmp_path: Path) -> None:
    (first,) = begin(tmp_path / "w")
    assert begin(tmp_path / "w") == [first] == begin(tmp_path / "w", "")
    assert (tmp_path / "w/witness.key").stat().st_mode & 0o777 == 0o600
    use(tmp_path / "w")
    both = begin(tmp_path / "w", "", ED25519_COSIGNATURE, ML_DSA_44)
    assert both[0] == first and len(both) == 2
    assert begin(tmp_path / "w", "") == both
    assert (tmp_path / "w/witness.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(VerifyError, match="name of the key"):
        begin(tmp_path / "w", "other.example")
    with pytest.raises(ValueError, match="key name"):
        begin(tmp_path / "x", "no name")
    assert read_keys(tmp_path / "x") == ()


def test_without_its_memory_or_its_key_it_does_not_start(tmp_path: Path) -> None:
    begin(tmp_path / "w")
    use(tmp_path / "w")
    (tmp_path / "w/witness.db").rename(tmp_path / "memory")
    with pytest.raises(WitnessForgot, match=r"witness\.db is missing"):
        begin(tmp_path / "w")
    (tmp_path / "memory").rename(tmp_path / "w/witness.db")
    (tmp_path / "w/witness.key").rename(tmp_path / "key")
    with pytest.raises(WitnessForgot, match=r"witness\.key is missing"):
        begin(tmp_path / "w")
    begin(tmp_path / "v", "v.example")
    (tmp_path / "v/witness.key").rename(tmp_path / "w/witness.key")
    with pytest.raises(WitnessForgot, match="another key"):
        begin(tmp_path / "w", "")


def test_a_start_that_was_cut_off_before_the_key_was_made_begins_again(tmp_path: Path) -> None:
    begin(tmp_path / "w")
    (tmp_path / "w/witness.key").unlink()
    assert begin(tmp_path / "w", "other.example")[0].startswith("other.example+")


def test_the_list_of_logs_may_be_the_folder_of_an_instance(tmp_path: Path) -> None:
    for key in (LOG, STRANGER):
        folder = tmp_path / key.name.rpartition("/")[2]
        folder.mkdir()
        (folder / "vkey").write_text(f"{key.verifier}\n")
    trusted = TrustedLogs(tmp_path)
    assert trusted.current() == {LOG.name: [LOG.verifier], STRANGER.name: [STRANGER.verifier]}
    (tmp_path / "other/vkey").write_text("spoilt")
    assert LOG.name in trusted.current()  # the last good one
    with pytest.raises(VerifyError):
        trusted.read()
