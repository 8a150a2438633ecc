"""Somebody else's witness and verifier (`aics-witness`, `aics-tlog`) against ours, over HTTP, each a process of its own.

Theirs cosigns our checkpoints; theirs, as a log, is cosigned by ours; theirs verifies what ours signed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.stack.ports import free_port
from ledger.http_exchange import HttpTransport, PeerAway
from ledger.log_files import CHECKPOINT, VKEY, LogFiles
from ledger.published_log import PublishedLog, read_published
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.cosignature import parse_cosigner_vkey
from ledger.translog.merkle import leaf_hash
from ledger.translog.note import SignerKey, add_signatures, split_note
from ledger.translog.tiles import Edge, bundles
from ledger.witness_client import Contradicted, Cosigned, NotNow, Outcome, ask
from ledger.witness_list import InTwoLanguages, ListedWitness
from tests.verifiers import installed

KEY = SignerKey.from_seed("log.example/coop", b"l" * 32)
LEAVES = [f"leaf {at}".encode() for at in range(600)]
SOMEONE = InTwoLanguages("某方", "someone")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a process that is one of theirs."""
    folder = installed.second_opinion(tmp_path_factory.mktemp("logs"))
    return {**os.environ, "PYTHONPATH": str(folder)}


def published(folder: Path, leaves: list[bytes], key: SignerKey = KEY) -> PublishedLog:
    """The log's files of these leaves, written over what was there."""
    files = LogFiles(folder / "coop")
    grown = Edge.empty().extend([leaf_hash(leaf) for leaf in leaves])
    files.write_once([(tile.path, tile.data) for tile in grown.tiles])
    files.write_once([(bundle.path, bundle.data) for bundle in bundles([], 0, leaves)])
    checkpoint = Checkpoint(key.name, len(leaves), grown.edge.root_hash)
    files.publish(VKEY, f"{key.verifier}\n".encode())
    files.publish(CHECKPOINT, sign_checkpoint(checkpoint, [key]).encode())
    log = read_published(folder, "coop")
    assert log is not None
    return log


@contextmanager
def running(command: list[str], folder: Path, url: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "out.log").open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out, **options)
    try:
        wait_for(lambda: is_up(f"{url}/healthz"), process, folder / "out.log")
        yield process
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdin is not None
        process.stdin.close()


def wait_for(reached: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.05)


def is_up(url: str) -> bool:
    try:
        return HttpTransport(5)(url, None, {}).status == 200
    except PeerAway:
        return False


@contextmanager
def our_witness(folder: Path, logs: Path, *, killed: bool = False) -> Iterator[ListedWitness]:
    """`suyuan witness` as a process, with both kinds of key."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "deploy", "witness", "--dir", str(folder), "--name", "market.example/w1"]
    options = ["--listen", f"127.0.0.1:{port}", "--logs", str(logs), "--ml-dsa", "--follow-parent"]
    folder.mkdir(exist_ok=True)
    with running([*command, *options], folder, url) as process:
        said = (folder / "out.log").read_text()
        keys = tuple(map(parse_cosigner_vkey, re.findall(r"witness key: (\S+)", said)))
        assert len(keys) == 2
        yield ListedWitness(keys, url, "independent", SOMEONE, None, "all")
        if killed:
            process.kill()


@contextmanager
def their_witness(folder: Path, environment: dict[str, str], key: SignerKey = KEY) -> Iterator[ListedWitness]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    folder.mkdir()

    def tool(*arguments: str) -> str:
        command = [sys.executable, "-m", "aics_witness", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True, text=True
        ).stdout

    said = tool("init", "--name", "theirs.example/w")
    tool("add-log", "--origin", key.name, "--vkey", str(key.verifier))
    (vkey,) = set(re.findall(r"theirs\.example/w\+\S+", said))
    command = [sys.executable, "-m", "aics_witness", "serve", "--listen", f"127.0.0.1:{port}"]
    with running(command, folder, url, cwd=folder, env=environment):
        yield ListedWitness((parse_cosigner_vkey(vkey),), url, "independent", SOMEONE, None, "all")


def shown(witness: ListedWitness, log: PublishedLog, old_size: int = 0) -> Outcome:
    return ask(HttpTransport(10), witness, log, old_size, time.time())[0]


def their_verdict(environment: dict[str, str], script: str, *arguments: str) -> Any:
    """What a few lines of theirs say, as JSON."""
    command = [sys.executable, "-c", script, *arguments]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_their_witness_cosigns_our_log_and_refuses_our_fork(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with their_witness(tmp_path / "theirs", environment) as witness:
        for size, old in [(1, 0), (255, 1), (256, 255), (300, 0), (300, 300), (600, 300)]:
            outcome = shown(witness, published(tmp_path / "log", LEAVES[:size]), old)
            assert isinstance(outcome, Cosigned)
        behind = shown(witness, published(tmp_path / "behind", LEAVES[:400]), 300)
        assert isinstance(behind, Contradicted) and behind.size == 600
        forked = shown(
            witness, published(tmp_path / "fork", [*LEAVES[:500], b"another", *LEAVES[501:], b"more"]), 600
        )
        assert isinstance(forked, Contradicted) and "another root" in forked.reason
        stranger = SignerKey.from_seed("log.example/stranger", bytes(32))
        unknown = shown(witness, published(tmp_path / "stranger", LEAVES[:3], stranger))
        assert isinstance(unknown, NotNow) and unknown.unknown


VERIFY = """
import json, sys
from aics_tlog import cosignature_vkey, parse_vkey, verify_checkpoint, parse_note
note, log_key, *witnesses = sys.argv[1:]
result = verify_checkpoint(parse_note(open(note, "rb").read()), parse_vkey(log_key), [parse_vkey(each) for each in witnesses], quorum=1)
print(json.dumps({"ok": result.ok, "errors": [str(each) for each in getattr(result, "errors", [])]}))
"""


def test_their_verifier_takes_our_cosigned_checkpoint_and_no_other(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    log = published(tmp_path / "log", LEAVES)
    with our_witness(tmp_path / "w", tmp_path / "log") as witness:
        outcome = shown(witness, log)
    assert isinstance(outcome, Cosigned) and len(outcome.found) == 2
    note = add_signatures(log.note, [one.line for one in outcome.found])
    classic = str(witness.keys[0])
    (tmp_path / "good").write_text(note)
    assert (
        their_verdict(environment, VERIFY, str(tmp_path / "good"), str(KEY.verifier), classic)["ok"] is True
    )
    text, lines = split_note(note)
    late = (outcome.found[0].time + 1).to_bytes(8, "big")
    spoilt = [
        type(line)(line.name, line.key_id, late + line.signature[8:]) if len(line.signature) == 72 else line
        for line in lines
    ]
    (tmp_path / "bad").write_text(text + "\n" + "".join(map(str, spoilt)))
    assert (
        their_verdict(environment, VERIFY, str(tmp_path / "bad"), str(KEY.verifier), classic)["ok"] is False
    )


FEED = """
import json, sys
from aics_tlog import Checkpoint, MerkleTree, sign_checkpoint
from aics_witness import WitnessClient, WitnessRejected, WitnessConflict
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
url, vkey, origin = sys.argv[1:]
key = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
leaves = [b"leaf %d" % at for at in range(300)]
tree, other = MerkleTree(leaves), MerkleTree([*leaves[:100], b"another", *leaves[101:]])
client, said = WitnessClient(url, vkey), []
def show(tree, size):
    note = sign_checkpoint(Checkpoint(origin, size, tree.root(size)), key, origin)
    try:
        client.submit(note.to_bytes(), lambda old, new: tree.consistency_proof(old, new))
        said.append("cosigned")
    except (WitnessConflict, WitnessRejected) as refused:
        said.append(type(refused).__name__)
for size in (1, 7, 256, 256, 300):
    show(tree, size)
show(other, 300)
show(tree, 200)
print(json.dumps(said))
"""


def test_their_log_is_cosigned_by_ours_and_their_fork_refused(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    logs = tmp_path / "logs"
    logs.write_text(f"# theirs\n{KEY.verifier}\n")
    with our_witness(tmp_path / "w", logs) as witness:
        said = their_verdict(environment, FEED, witness.url, str(witness.keys[0]), KEY.name)
        assert said == ["cosigned"] * 5 + ["WitnessRejected", "WitnessAhead"]
        kept = json.loads(get(f"{witness.url}/evidence.json"))["refused"]
        assert [each["fault"] for each in kept] == ["other_root"]


def get(url: str) -> bytes:
    return HttpTransport(10)(url, None, {}).body


def test_ours_killed_at_once_after_its_answer_remembers(tmp_path: Path) -> None:
    """Not somebody else's opinion, but with the same process: what it answered outlives it."""
    log = published(tmp_path / "log", LEAVES)
    fork = published(tmp_path / "fork", [*LEAVES[:-1], b"another"])
    folder = tmp_path / "w"
    for round_ in range(2):
        with our_witness(folder, tmp_path / "log", killed=True) as witness:
            assert isinstance(shown(witness, log, 0 if round_ == 0 else log.size), Cosigned)
    with our_witness(folder, tmp_path / "log") as witness:
        refused = shown(witness, fork, log.size)
        assert isinstance(refused, Contradicted) and "another root" in refused.reason
