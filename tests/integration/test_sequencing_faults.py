"""The sequencer as a process, killed and told EIO by the kernel at every file call that it makes.

After each fault a new sequencer finishes the work, and the log is what it would have been: no fork, no gap, nothing twice.
Before it does, whoever reads the files meets nothing that does not verify.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from ledger.log_files import FileMissing, LogForked
from ledger.reader import LogReader, open_log
from ledger.translog.merkle import leaf_hash
from ledger.translog.tiles import TiledTree
from ledger.translog.verify import VerifyError, verify_consistency
from tests.integration.sequencing_child import contend, reign
from tests.integration.test_sequencer import (
    NOW,
    ORGANISATIONS,
    Instance,
    check_everything,
    instance,
)
from tests.servers.session import Servers
from tests.servers.strace import attached, counted, strace_path
from tests.servers.waiting import wait_until

__all__ = ["instance"]

CHANGES = ("write", "fsync", "rename", "link", "unlink", "mkdir", "flock")
CALLS = ("openat", "read", *CHANGES)
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["tests.integration.sequencing_child"])


@dataclass(frozen=True)
class Child:
    process: BaseProcess
    gate: Connection

    def end(self) -> None:
        with suppress(OSError):
            self.gate.send("end")
        self.process.join(20)


@contextmanager
def child(
    instance: Instance, work: Callable[[str, Path, datetime, Connection], None] = reign
) -> Iterator[Child]:
    """A sequencer that has started and waits for the word."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(
        target=work, args=(instance.database.service("sequencer"), instance.folder, NOW, theirs), daemon=True
    )
    process.start()
    theirs.close()
    try:
        assert ours.recv() == process.pid
        yield Child(process, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def begin(instance: Instance) -> None:
    """A log that has begun, and one that has not; more waits for both."""
    instance.reset()
    instance.add_event(100)
    instance.run()
    instance.add_event(0)
    instance.add_event(3, "hz-market")
    instance.add_window(1)
    instance.add_window(2)


def done(instance: Instance) -> bool:
    """Everything is a leaf, and published, and each log is in the root."""
    rows = instance.rows(
        "SELECT organisation, tree_size FROM log WHERE NOT EXISTS (SELECT FROM pending)"
        " AND (SELECT count(DISTINCT organisation) FROM anchor) = %s ORDER BY organisation",
        len(ORGANISATIONS),
    )
    logs = [(name, open_log(instance.folder / "log", name)) for name, _ in rows]
    return len(rows) > len(ORGANISATIONS) and [(name, log and log.tree_size) for name, log in logs] == rows


def run(instance: Instance, program: str, fault: str | None, trace: Path) -> bool:
    """One sequencer under a fault; whether it finished the work before it died, if it did."""
    with child(instance) as running:
        assert running.process.pid is not None
        with attached(program, running.process.pid, CALLS, fault, trace):
            running.gate.send("go")
            assert wait_until(lambda: done(instance) or not running.process.is_alive(), 30, every_s=0.01)
            running.end()
    return done(instance)


def want_readable(instance: Instance, *, deep: bool = True) -> None:
    """What a stranger checks who reads the published files at this moment."""
    for folder in (instance.folder / "log").glob("*"):
        log = open_log(folder.parent, folder.name)
        if log is None:
            continue
        assert TiledTree(log.tree_size, log.files.read_tile).root_hash == log.root_hash
        assert not deep or all(
            log.leaf_hash(index) == leaf_hash(log.entry(index)) for index in range(log.tree_size)
        )


@pytest.mark.editions("plain")  # files and transactions, the same on both
def test_killed_at_every_call_that_changes_a_file(
    instance: Instance, servers: Servers, tmp_path: Path
) -> None:
    """Before the call: what it would have done is not there, all before it is."""
    calls = [each for each in file_calls(instance, tmp_path) if each[0] in CHANGES]
    assert len(calls) > 60
    unfinished = [call for call in calls if not survives(instance, tmp_path, call, "signal=SIGKILL")]
    assert len(unfinished) > 60, "it does die of it"


# What only reads comes again and again: some of it here, all of it where there is time (docs/chaos.md).
READS = slice(None, None, 1 if os.environ.get("SUYUAN_TEST_ALL_FAULTS") else 5)


@pytest.mark.editions("plain")
@pytest.mark.parametrize("kind", ["changes", "reads"])
def test_a_disk_that_fails_once_at_any_call_is_got_over(
    instance: Instance, servers: Servers, tmp_path: Path, kind: str
) -> None:
    calls = [each for each in file_calls(instance, tmp_path) if (each[0] in CHANGES) == (kind == "changes")]
    assert len(calls) > 60
    for call in calls if kind == "changes" else calls[READS]:
        assert survives(instance, tmp_path, call, "error=EIO"), call


def file_calls(instance: Instance, tmp_path: Path) -> list[tuple[str, int]]:
    """Every call on a file of the instance's that a whole piece of work makes, in order."""
    begin(instance)
    assert run(instance, strace_path(tmp_path), None, tmp_path / "trace")
    check_everything(instance)
    return counted(tmp_path / "trace", str(instance.folder))


def survives(instance: Instance, tmp_path: Path, call: tuple[str, int], fault: str) -> bool:
    """One piece of work under a fault at one call; then what is left of it, by another sequencer. Whether the first one had
    finished by itself.
    """
    begin(instance)
    name, number = call
    finished = run(instance, strace_path(tmp_path), f"{name}:{fault}:when={number}", tmp_path / "trace")
    want_readable(instance)
    instance.run()
    check_everything(instance)
    return finished


CONTEND_S = float(os.environ.get("SUYUAN_TEST_CONTEND_S", "6"))  # a minute shows more, and costs one


@pytest.mark.editions("plain")
def test_two_that_sequence_at_once_make_one_history(instance: Instance, servers: Servers) -> None:
    """Without the lock that keeps them apart, as when a database is in two minds about who holds it."""
    number, seen = 0, dict[str, LogReader]()
    with child(instance, contend) as one, child(instance, contend) as other:
        for each in (one, other):
            each.gate.send("go")
        until = time.monotonic() + CONTEND_S
        while time.monotonic() < until:
            instance.add_event(number, ORGANISATIONS[number % 2])
            number += 1
            want_growth(instance, seen)
            assert not any(each.gate.poll() for each in (one, other)), "one that gave up says why"
        for each in (one, other):
            each.gate.send("end")
        reigns = [each.gate.recv() for each in (one, other)]
        assert all(isinstance(each, int) and each > 3 for each in reigns), reigns
    instance.run()
    check_everything(instance)
    assert instance.rows("SELECT count(*) FROM leaf WHERE event IS NOT NULL") == [(number,)]


def want_growth(instance: Instance, seen: dict[str, LogReader]) -> None:
    """What is published now verifies, and extends what was published when last looked."""
    want_readable(instance, deep=False)
    for organisation in ORGANISATIONS:
        log = open_log(instance.folder / "log", organisation)
        before = seen.get(organisation)
        if log is None:
            assert before is None
            continue
        if before is not None:
            proof = log.consistency_proof(before.tree_size)
            verify_consistency(before.tree_size, log.tree_size, before.root_hash, log.root_hash, proof)
        seen[organisation] = log


@pytest.mark.editions("plain")
@pytest.mark.parametrize("harm", ["a byte", "its end", "all of it"])
@pytest.mark.parametrize("path", ["tile/0/000.p/5", "tile/entries/000.p/5"])
def test_what_is_damaged_is_not_built_upon(instance: Instance, path: str, harm: str) -> None:
    """The log says so and stands still, its checkpoint as it was; mended from a copy it goes on."""
    instance.fill()
    instance.run()
    before, file = instance.log().checkpoint, instance.folder / "log/xj-coop" / path
    whole = file.read_bytes()
    damaged = {"a byte": bytes([whole[0] ^ 1]) + whole[1:], "its end": whole[:-1], "all of it": None}[harm]
    file.unlink() if damaged is None else file.write_bytes(damaged)
    instance.add_event(9)
    refused = instance.run().refused
    if path.startswith("tile/0"):
        assert isinstance(refused["xj-coop"], LogForked | FileMissing | VerifyError)
        assert instance.log().checkpoint == before
        file.write_bytes(whole)
        assert instance.run().refused == {}
    check_everything(instance)
