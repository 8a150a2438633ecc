"""A log of a million entries: how much memory `suyuan sequencer` holds while it grows, how fast a proof comes out of it, and how
long it takes until a sequencer that starts on it may go on.

The process is the service as it runs, its database and files in memory. Events wait a hundred thousand at a time; writing them
is nobody's time. A proof is what the API does for one: open the log (its checkpoint's signature is verified), read tiles, fold;
each is verified afterwards. Once the files are as the sequencer left them, and once on a disk, each proof's tiles dropped from the
machine's cache before.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg

from ledger.keys import KeyStore
from ledger.log_files import LogFiles
from ledger.reader import LogReader, open_log
from ledger.sequencer import Sequencer
from ledger.translog.verify import verify_inclusion
from tests.benchmarks.ground import peak_mb, started
from tests.benchmarks.ledger import ORGANISATION, pend, register
from tests.benchmarks.measuring import short
from tests.conftest import build_service_environment
from tests.servers.databases import Database, Template
from tests.servers.folders import in_memory, session_folder
from tests.servers.waiting import wait_until

SLICE = 100_000
PROOFS = 500
MOST_PROOF_MS = 2.0
LATEST_S = 120.0


def run(template: Template, folder: Path, entries: int = 1_000_000) -> None:
    with template.clone() as database, session_folder(in_memory()) as data:
        register(database)
        grow(database, data, folder, entries)
        take_over(database, data)
        log = _opened(data / "log")
        print(
            f"proof from a log of {log.tree_size:,} entries, files in memory: {_tell(lambda index: _prove(data / 'log', index), log)}"
        )
        with session_folder(folder) as disk:
            keep_apart = shutil.ignore_patterns("entries")
            shutil.copytree(data / "log" / ORGANISATION, disk / ORGANISATION, ignore=keep_apart)
            os.sync()
            print(
                f"the same, files on a disk and not in its cache: {_tell(lambda index: _prove_cold(disk, index), log)}",
                flush=True,
            )


def grow(database: Database, data: Path, folder: Path, entries: int) -> None:
    command = [sys.executable, "-m", "deploy", "sequencer", "--follow-parent"]
    environment = build_service_environment(database, None, data, "sequencer")
    resident, took = [0.0], 0.0
    with (
        started(command, environment, folder / "sequencer.log") as process,
        psycopg.connect(database.owner, autocommit=True) as owner,
    ):
        for first in range(0, entries, SLICE):
            pend(owner, SLICE)
            begun = time.perf_counter()
            _wait_until_published(data, first + SLICE, process)
            took += time.perf_counter() - begun
            resident.append(_resident_mb(process))
        peak = peak_mb(process)
    print(
        f"{entries:,} entries by suyuan sequencer, {SLICE:,} waiting at a time: {short(entries / took)} entries/s; resident after"
        f" {SLICE:,} / half / all of them: {resident[1]:.0f} / {resident[len(resident) // 2]:.0f} / {resident[-1]:.0f} MB, at most {peak:.0f} MB",
        flush=True,
    )


def take_over(database: Database, data: Path) -> None:
    """All that the log has signed for is read and hashed before anything is added."""
    with psycopg.connect(database.service("sequencer"), autocommit=True) as conn:
        sequencer = Sequencer(conn, KeyStore(data / "keys"), data, "bench.example", lambda: datetime.now(UTC))
        begun = time.perf_counter()
        sequencer.take_over()
        print(
            f"a take-over of it, every leaf hash read and folded: {time.perf_counter() - begun:.2f} s",
            flush=True,
        )
        if sequencer.refused:
            raise RuntimeError(f"refused: {sequencer.refused}")


def _wait_until_published(data: Path, size: int, process: subprocess.Popen[bytes]) -> None:
    def is_published() -> bool:
        log = open_log(data / "log", ORGANISATION)
        return (log is not None and log.tree_size >= size) or process.poll() is not None

    if not wait_until(is_published, LATEST_S, every_s=0.02) or process.poll() is not None:
        raise RuntimeError(f"{size} entries were not published in {LATEST_S} s")


def _resident_mb(process: subprocess.Popen[bytes]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6


def _opened(log_dir: Path) -> LogReader:
    log = open_log(log_dir, ORGANISATION)
    assert log is not None
    return log


def _prove(log_dir: Path, index: int) -> tuple[float, tuple[bytes, ...]]:
    begun = time.perf_counter()
    proof = _opened(log_dir).inclusion_proof(index)
    return time.perf_counter() - begun, proof


def _prove_cold(log_dir: Path, index: int) -> tuple[float, tuple[bytes, ...]]:
    log, paths = _opened(log_dir), list[Path]()

    class Noting(LogFiles):
        def read(self, path: str) -> bytes | None:
            paths.append(self.folder / path)
            return super().read(path)

    LogReader(Noting(log.files.folder), log.head, log.checkpoint, log.vkey).inclusion_proof(index)
    for path in filter(Path.exists, [*paths, log.files.folder / "checkpoint", log.files.folder / "vkey"]):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    return _prove(log_dir, index)


def _tell(prove: Callable[[int], tuple[float, tuple[bytes, ...]]], log: LogReader) -> str:
    chosen, took = random.Random(1), list[float]()
    for index in (chosen.randrange(log.tree_size) for _ in range(PROOFS)):
        seconds, proof = prove(index)
        verify_inclusion(log.leaf_hash(index), index, log.tree_size, proof, log.root_hash)
        took.append(seconds * 1000)
    half, most = np.percentile(took, [50, 99])
    met = "met" if most < MOST_PROOF_MS else "not met"
    return f"{half:.2f} ms, {most:.2f} ms at the 99th percentile (aim {MOST_PROOF_MS:g} ms: {met}); {PROOFS} proofs, each verified"
