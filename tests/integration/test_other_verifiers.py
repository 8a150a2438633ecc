"""Verifiers that others wrote accept what our sequencer wrote, and refuse it altered: Go's sumdb, OpenSSL, Sigstore's,
pymerkle, aics-tlog; and our own monitor follows it.

One instance for all of them: a log of 600 events and some windows that grew over several checkpoints, and the root log
over it. What each is asked, and what it cannot say, is in docs/decisions/0035.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pymerkle
import pytest

from ledger.entry import commit_event
from ledger.keys import KeyStore
from ledger.monitor.memory import Memory
from ledger.monitor.sources import Address
from ledger.monitor.watching import Watch, look
from ledger.reader import LogReader, open_log
from ledger.sequencer import Sequencer, take_lock
from ledger.strict_json import strict
from ledger.translog.checkpoint import open_checkpoint
from ledger.translog.note import VerifierKey, parse_vkey, split_note
from ledger.translog.tiles import TiledTree
from tests.servers.npm import node_and_npm, npm_modules
from tests.servers.session import Servers
from tests.verifiers import installed

NOW = datetime(2026, 6, 18, 4, 0, tzinfo=UTC)
SIZES = (1, 2, 255, 256, 257, 600)
LOGS = ("xj-coop", "root")
SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before an Ed25519 public key in its DER form (RFC 8410)."""


@dataclass
class Written:
    """One log in a folder of its own, with the checkpoints that it had in `history`."""

    folder: Path
    reader: LogReader
    key: VerifierKey
    history: list[str]

    @property
    def size(self) -> int:
        return self.reader.tree_size

    def entries(self) -> list[bytes]:
        return [self.reader.entry(index) for index in range(self.size)]

    def tree(self, size: int) -> TiledTree:
        return TiledTree(size, self.reader.files.read_tile)

    def sizes(self) -> list[int]:
        return sorted({open_checkpoint(note, [self.key]).checkpoint.size for note in self.history})


@pytest.fixture(scope="module")
def logs(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    folder = tmp_path_factory.mktemp("instance")
    history: dict[str, list[str]] = {name: [] for name in LOGS}
    with (
        servers.template("plain").clone() as database,
        psycopg.connect(database.owner, autocommit=True) as owner,
    ):
        owner.execute(
            "INSERT INTO organisation (id, name_zh, name_en, party, kind) VALUES ('xj-coop', '社', 'Coop', 'urn:party', 'packer')"
        )
        for number, size in enumerate(SIZES):
            pend(owner, SIZES[number - 1] if number else 0, size)
            now = NOW + timedelta(minutes=2 * number)
            with psycopg.connect(database.service("sequencer"), autocommit=True) as conn:
                reign(conn, folder, now)
            for name in LOGS:
                history[name].append((folder / "log" / name / "checkpoint").read_text())
    found = {}
    for name in LOGS:
        reader = open_log(folder / "log", name)
        assert reader is not None
        home = folder / "log" / name
        (home / "history").mkdir()
        for number, note in enumerate(history[name]):
            (home / "history" / str(number)).write_text(note)
        found[name] = Written(home, reader, parse_vkey(reader.vkey), history[name])
    return found


def pend(owner: psycopg.Connection, first: int, end: int) -> None:
    """Events `first` to `end`, as recording leaves them behind: three parties take turns."""
    for number in range(first, end):
        body = commit_event(
            {"type": "ObjectEvent", "eventID": f"urn:uuid:{number}"}, [bytes([number % 256]) * 16] * 2
        ).body()
        owner.execute(
            "WITH said AS (INSERT INTO event (organisation, event_id, is_error, type, event_time, received_at)"
            " VALUES ('xj-coop', %s, false, 'ObjectEvent', %s, %s) RETURNING id)"
            " INSERT INTO pending (organisation, type, stream_kind, stream_id, body, event, created_at)"
            " SELECT 'xj-coop', 'event', 'party', %s, %s, id, %s FROM said",
            [f"urn:uuid:{number}", NOW, NOW, f"party-{number % 3}", strict(body), NOW],
        )


def reign(conn: psycopg.Connection, folder: Path, now: datetime) -> None:
    from threading import Event

    assert take_lock(conn, Event(), 0)
    keys = KeyStore(folder / "keys", lambda count: bytes(range(count)))
    sequencer = Sequencer(conn, keys, folder, "log.example", lambda: now)
    sequencer.take_over()
    while sequencer.step():
        continue
    assert sequencer.refused == {}


@pytest.fixture(params=LOGS)
def log(request: pytest.FixtureRequest, logs: dict[str, Written]) -> Written:
    return logs[request.param]


@pytest.fixture(scope="module")
def logs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verifiers")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def test_the_logs_are_worth_reading(logs: dict[str, Written]) -> None:
    assert logs["xj-coop"].sizes() == list(SIZES)
    assert logs["root"].size >= len(SIZES)
    assert (logs["xj-coop"].folder / "tile/1/000.p/2").exists()


# --- proofs of ours, and the same spoilt -------------------------------------------------------------------------


def claims(log: Written) -> list[dict[str, Any]]:
    """Proofs of records and of older trees, each once true and once with each of its parts altered."""
    made = [record(log, log.size, index) for index in range(log.size)]
    made += [record(log, size, size - 1) for size in log.sizes()]
    made += [tree(log, old) for old in range(1, log.size + 1)]
    return made + [spoilt for claim in made[:: max(1, len(made) // 50)] for spoilt in spoil(claim)]


def record(log: Written, size: int, index: int) -> dict[str, Any]:
    whole = log.tree(size)
    proof = [b64(node) for node in whole.inclusion_proof(index)]
    facts = {"Root": b64(whole.root_hash), "Hash": b64(whole.leaf_hash(index)), "Proof": proof, "Holds": True}
    return {"Kind": "record", "Size": size, "Index": index, **facts}


def tree(log: Written, old: int) -> dict[str, Any]:
    whole = log.tree(log.size)
    proof = [b64(node) for node in whole.consistency_proof(old)]
    facts = {
        "Root": b64(whole.root_hash),
        "Hash": b64(whole.root_hash_at(old)),
        "Proof": proof,
        "Holds": True,
    }
    return {"Kind": "tree", "Size": log.size, "Index": old, **facts}


def spoil(claim: dict[str, Any]) -> Iterator[dict[str, Any]]:
    proof: list[str] = claim["Proof"]
    for at, node in enumerate(proof):
        yield claim | {"Proof": [*proof[:at], spoilt(node), *proof[at + 1 :]], "Holds": False}
    yield claim | {"Root": spoilt(claim["Root"]), "Holds": False}
    yield claim | {"Hash": spoilt(claim["Hash"]), "Holds": False}
    yield claim | {"Proof": [*proof, claim["Root"]], "Holds": False}
    if proof:
        yield claim | {"Proof": proof[:-1], "Holds": False}


def spoilt(text: str) -> str:
    return b64(flipped(base64.b64decode(text)))


# --- Go ----------------------------------------------------------------------------------------------------------


def test_gos_sumdb_reads_the_log_and_judges_our_proofs(log: Written, logs_folder: Path) -> None:
    asked = claims(log)
    found = sumdb(log, logs_folder, asked)
    assert found.returncode == 0, found.stderr
    holding = sum(claim["Holds"] for claim in asked)
    assert json.loads(found.stdout) == {
        "size": log.size, "records": log.size, "trees": len(log.history), "held": holding, "refused": len(asked) - holding,
    }  # fmt: skip
    assert len(asked) - holding > 20


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("tile/0/000", "record 0: invalid transparency proof"),
        ("tile/0/001", "record 256: invalid transparency proof"),
        ("tile/1/000.p/2", "downloaded inconsistent tile"),
        ("tile/entries/001", "record "),
        ("checkpoint", "note"),
        ("history/3", "note"),
    ],
)
def test_gos_sumdb_refuses_what_was_altered(
    logs: dict[str, Written], logs_folder: Path, path: str, words: str
) -> None:
    with altered(logs["xj-coop"].folder / path):
        found = sumdb(logs["xj-coop"], logs_folder, [])
    assert found.returncode == 1
    assert words in found.stderr


def sumdb(log: Written, logs_folder: Path, asked: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    command = [str(installed.sumdb(logs_folder)), str(log.folder), str(log.key)]
    return subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=60)


class altered:  # noqa: N801 - it reads as a statement
    """One byte of a file, near its middle, for as long as the block lasts."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._whole = file.read_bytes()

    def __enter__(self) -> None:
        at = len(self._whole) // 2
        self._file.write_bytes(self._whole[:at] + flipped(self._whole[at:]))

    def __exit__(self, *_: object) -> None:
        self._file.write_bytes(self._whole)


# --- OpenSSL -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoilt_part", [None, "text", "signature", "key"])
def test_openssl_verifies_the_notes_signature(
    log: Written, logs_folder: Path, tmp_path: Path, spoilt_part: str | None
) -> None:
    text, lines = split_note(log.reader.checkpoint)
    (line,) = [line for line in lines if line.key_id == log.key.key_id]
    parts = {"text": text.encode(), "signature": line.signature, "key": log.key.public_key}
    if spoilt_part is not None:
        parts[spoilt_part] = flipped(parts[spoilt_part])
    (tmp_path / "key.der").write_bytes(SPKI + parts["key"])
    (tmp_path / "text").write_bytes(parts["text"])
    (tmp_path / "signature").write_bytes(parts["signature"])
    command = [
        installed.openssl(logs_folder), "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey",
        str(tmp_path / "key.der"), "-in", str(tmp_path / "text"), "-sigfile", str(tmp_path / "signature"),
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (found.returncode == 0) == (spoilt_part is None), found.stderr
    assert ("Signature Verified Successfully" in found.stdout) == (spoilt_part is None)


# --- Sigstore ----------------------------------------------------------------------------------------------------


def test_sigstore_opens_the_checkpoints_and_follows_our_proofs(log: Written, logs_folder: Path) -> None:
    asked = [question(log, log.reader.checkpoint, index) for index in range(log.size)]
    asked += [question(log, note, 0) for note in log.history]
    assert sigstore(asked, logs_folder) == [None] * len(asked)


SPOILT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "the body": lambda asked: {"body": spoilt(asked["body"])},
    "a hash": lambda asked: {"hashes": [spoilt(asked["hashes"][0]), *asked["hashes"][1:]]},
    "the last hash": lambda asked: {"hashes": [*asked["hashes"][:-1], spoilt(asked["hashes"][-1])]},
    "a hash too few": lambda asked: {"hashes": asked["hashes"][:-1]},
    "a hash too many": lambda asked: {"hashes": [*asked["hashes"], asked["hashes"][0]]},
    "the index": lambda asked: {"index": asked["index"] ^ 1},
    "an index beyond": lambda _: {"index": 600},
    "the size": lambda asked: {"checkpoint": asked["checkpoint"].replace("\n600\n", "\n601\n")},
    "the origin": lambda asked: {"checkpoint": asked["checkpoint"].replace("log.example", "lag.example", 1)},
    "the key": lambda asked: {"key": b64(SPKI + bytes(32))},
    "the key's id": lambda asked: {"logID": b64(bytes(32))},
}


def test_sigstore_refuses_what_was_altered(logs: dict[str, Written], logs_folder: Path) -> None:
    log = logs["xj-coop"]
    true = question(log, log.reader.checkpoint, 300)
    answers = sigstore([true, *(true | change(true) for change in SPOILT.values())], logs_folder)
    assert answers[0] is None
    assert [name for name, answer in zip(SPOILT, answers[1:], strict=True) if answer is None] == []


def question(log: Written, note: str, index: int) -> dict[str, Any]:
    checkpoint = open_checkpoint(note, [log.key]).checkpoint
    proof = log.tree(checkpoint.size).inclusion_proof(index)
    return {
        "what": "inclusion", "checkpoint": note, "key": b64(SPKI + log.key.public_key),
        "logID": b64(log.key.key_id + bytes(28)), "name": log.key.name, "index": index,
        "hashes": [b64(node) for node in proof], "body": b64(log.reader.entry(index)),
    }  # fmt: skip


def sigstore(asked: list[dict[str, Any]], logs_folder: Path) -> list[str | None]:
    node, npm = node_and_npm()
    project = installed.HERE / "sigstore"
    modules = npm_modules(npm, project, "@sigstore/verify: npm could not fetch it", logs_folder / "npm.log")
    command = [node, str(project / "check.cjs"), str(modules)]
    found = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    answers: list[str | None] = json.loads(found.stdout)
    return answers


# --- pymerkle ----------------------------------------------------------------------------------------------------


def test_pymerkle_comes_to_the_same_roots_and_proofs(log: Written) -> None:
    theirs = pymerkle.InmemoryTree.init_from_entries(log.entries(), algorithm="sha256")
    for note in log.history:
        checkpoint = open_checkpoint(note, [log.key]).checkpoint
        assert theirs.get_root(checkpoint.size) == checkpoint.root_hash
    for index in range(0, log.size, 7):
        proof = theirs.prove_inclusion(index + 1, log.size)  # they count from one
        leaf = log.reader.leaf_hash(index)
        pymerkle.verify_inclusion(leaf, log.reader.root_hash, proof, index=index + 1, size=log.size)
        assert sorted(log.reader.inclusion_proof(index)) == sorted(set(proof.path) - {leaf})
        with pytest.raises(pymerkle.InvalidProof):
            pymerkle.verify_inclusion(
                flipped(leaf), log.reader.root_hash, proof, index=index + 1, size=log.size
            )
    for size in log.sizes():
        proof = theirs.prove_consistency(size, log.size)
        old_root = log.tree(size).root_hash
        pymerkle.verify_consistency(
            old_root, log.reader.root_hash, proof, prior_size=size, later_size=log.size
        )
        with pytest.raises(pymerkle.InvalidProof):
            pymerkle.verify_consistency(flipped(old_root), log.reader.root_hash, proof)


# --- a second opinion --------------------------------------------------------------------------------------------


def second_opinion(log: Written, logs_folder: Path) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(installed.second_opinion(logs_folder))}
    command = [sys.executable, str(installed.HERE / "second_opinion.py"), str(log.folder), str(log.key)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert found.returncode == 0, found.stderr
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def test_aics_tlog_audits_the_whole_log(log: Written, logs_folder: Path) -> None:
    told = second_opinion(log, logs_folder)
    assert (told["ok"], told.get("origin"), told.get("size")) == (True, log.key.name, log.size), told
    assert told["bundles"] == -(-log.size // 256)


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/001", "tile/1/000.p/2", "tile/entries/002.p/88"])
def test_aics_tlog_refuses_what_was_altered(logs: dict[str, Written], logs_folder: Path, path: str) -> None:
    with altered(logs["xj-coop"].folder / path):
        assert second_opinion(logs["xj-coop"], logs_folder)["ok"] is False


# --- our own, which anybody may run ------------------------------------------------------------------------------


def test_our_monitor_follows_it_through_its_checkpoints(log: Written, tmp_path: Path) -> None:
    with Memory.at(tmp_path / "memory.sqlite") as memory:
        watch = Watch(Address(str(log.folder)), (log.key,))
        newest = (log.folder / "checkpoint").read_bytes()
        try:
            for note in log.history:
                (log.folder / "checkpoint").write_text(note)
                seen = look(watch, memory, lambda _done, _of: None)
                assert seen.kept.size == open_checkpoint(note, [log.key]).checkpoint.size
                assert not seen.kept.opaque
        finally:
            (log.folder / "checkpoint").write_bytes(newest)
