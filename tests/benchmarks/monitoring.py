"""`suyuan monitor` over a log of a million entries, from nothing, against bare SHA-256 over the same bytes.

Half of the entries are events and half windows of readings, of 10,000 streams; the log lies on this machine. The reference
reads every bundle and hashes it as one string: what no verifier can do without. It runs in as many processes as the monitor.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ledger.entry import log_pseudonym
from ledger.monitor.memory import Memory
from ledger.monitor.sources import Address
from ledger.monitor.watching import Watch, look
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.note import SignerKey
from ledger.translog.tiles import TILE_WIDTH, Edge, bundles
from tests.benchmarks.telling import Target, target

ENTRIES = 1_000_000
STREAMS = 10_000
AIM_S = 60
ORIGIN = "bench.example/coop"
REC = 1_782_000_000_000
HOUR_MS = 3_600_000
_TOGETHER = 256 * TILE_WIDTH


def run(folder: Path, entries: int = ENTRIES) -> None:
    log = folder / "monitored"
    processes = min(2, os.cpu_count() or 1)
    write(log, entries)
    try:
        begun = time.perf_counter()
        address = Address(str(log))
        with Memory.at(folder / "memory.sqlite") as memory:
            seen = look(Watch(address, processes=processes), memory, lambda _done, _of: None)
        took = time.perf_counter() - begun
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        theirs = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        begun = time.perf_counter()
        size = _hashed(log, processes)
        bare = time.perf_counter() - begun
        remembered = sum(path.stat().st_size for path in folder.glob("memory.sqlite*"))
    finally:
        shutil.rmtree(log)
    assert seen.read == entries
    print(
        f"monitor, {entries:,} entries of {size / entries:.0f} bytes, {processes} processes: {took:.1f} s, {entries / took:,.0f}"
        f" entries/s; bare SHA-256 over the same bytes: {bare:.2f} s; ratio {bare / took:.2g}; at most {own:.0f} MiB in this"
        f" process, {theirs:.0f} MiB in another; {remembered / 1e6:.0f} MB remembered",
        flush=True,
    )
    target(took, Target(AIM_S, f"s for {entries:,} entries", least=False))


def _hashed(log: Path, processes: int) -> int:
    names = sorted(str(path) for path in (log / "tile/entries").rglob("*") if path.is_file())
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        return sum(pool.map(_hash, names, chunksize=64))


def _hash(name: str) -> int:
    data = Path(name).read_bytes()
    sha256(data).digest()
    return len(data)


def write(folder: Path, entries: int) -> None:
    """The log's files. As a sequencer writes them, but for syncing each."""
    edge, speaker, tail = Edge.empty(), _Speaker(), list[bytes]()
    while edge.size < entries:
        leaves = list(speaker.say(min(_TOGETHER, entries - edge.size)))
        for bundle in bundles(tail, edge.size, leaves):
            _write(folder / bundle.path, bundle.data)
        growth = edge.extend([hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves])
        for tile in growth.tiles:
            _write(folder / tile.path, tile.data)
        edge, tail = growth.edge, [*tail, *leaves][len(tail) + len(leaves) - growth.edge.size % TILE_WIDTH :]
    key = SignerKey.from_seed(ORIGIN, bytes(32))
    _write(
        folder / "checkpoint", sign_checkpoint(Checkpoint(ORIGIN, edge.size, edge.root_hash), [key]).encode()
    )
    _write(folder / "vkey", f"{key.verifier}\n".encode())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@dataclass
class _Speaker:
    """Entries as `ledger.entry` writes them, written out: that one parses back each that it makes."""

    count: int = 0
    ends: list[tuple[int, str]] = field(default_factory=lambda: [(-1, "null")] * STREAMS)

    def say(self, count: int) -> Iterator[bytes]:
        org, any_root = json.dumps(_b64(log_pseudonym(ORIGIN))), _b64(bytes(32))
        for number in range(self.count, self.count + count):
            stream = number * 7919 % STREAMS
            n, prev = self.ends[stream]
            name = _b64(sha256(b"%d" % stream).digest()[:16])
            if stream % 2:
                start = REC + number // STREAMS * HOUR_MS
                series = f'[["{name}",60,{start},{start + 3_540_000},1875,4250]]'
                kind, body = "window", (
                    f'{{"closed":"hour","count":60,"missing":[],"root":"{any_root}","series":{series},'
                    f'"window":[{start},{start + HOUR_MS}]}}'
                )  # fmt: skip
            else:
                kind, body = "event", f'{{"fields":12,"root":"{any_root}"}}'
            data = (
                f'{{"body":{body},"n":{n + 1},"org":{org},"prev":{prev},"rec":{REC + number},"stream":"{name}",'
                f'"type":"{kind}","v":1}}'
            ).encode()
            leaf = _b64(sha256(b"\0" + data).digest())
            self.ends[stream] = n + 1, f'"{leaf}"'
            yield data
        self.count += count


def _b64(data: bytes) -> str:
    return b64encode(data).decode()
