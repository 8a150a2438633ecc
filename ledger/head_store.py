"""What each log last committed itself to, kept outside the database so that no restore can make it forget.

Between tiles written and checkpoint signed stands `swap`: only what is here may be signed, and it only grows.
A restored database, a second sequencer, a process that slept through its own deposition: each finds here that
it is behind. Contract: `swap` is atomic between processes of one machine and survives a crash at any moment.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.errors import LedgerError
from ledger.log_files import read_if_there, replace_whole
from ledger.strict_json import from_base64, natural, read_json, to_base64
from ledger.translog.merkle import EMPTY_ROOT, HASH_SIZE


class HeadMoved(LedgerError):
    """Another sequencer moved this log's head. It is the writer now; stop, and wait to take over again."""


@dataclass(frozen=True, slots=True)
class Head:
    """`origin`: the log's name, fixed for ever; `epoch`: of the sequencer that wrote this; `frozen`: why nothing
    is added any more.
    """

    origin: str
    size: int
    root_hash: bytes
    epoch: int
    frozen: str | None = None

    @classmethod
    def inception(cls, origin: str) -> "Head":
        return cls(origin, 0, EMPTY_ROOT, 0)


@dataclass(frozen=True, slots=True)
class HeadStore:
    """One small file an organisation."""

    folder: Path

    def read(self, organisation: str) -> Head | None:
        data = read_if_there(self._path(organisation))
        if data is None:
            return None
        found: Any = read_json(data)
        size, epoch = natural(found["size"], "size"), natural(found["epoch"], "epoch")
        root = from_base64(found["root"], "root", HASH_SIZE)
        return Head(found["origin"], size, root, epoch, found.get("frozen"))

    def swap(self, organisation: str, old: Head | None, new: Head) -> None:
        """Puts `new` in the place of `old`, or raises HeadMoved if something else is there."""
        if old is not None and old.frozen is not None and (old.size, old.frozen) != (new.size, new.frozen):
            raise ValueError(f"head of {organisation}: frozen, and frozen it stays")
        with self.holding(organisation, old):
            value: dict[str, Any] = {
                "origin": new.origin,
                "size": new.size,
                "root": to_base64(new.root_hash),
                "epoch": new.epoch,
            }
            if new.frozen is not None:
                value["frozen"] = new.frozen
            replace_whole(self._path(organisation), json.dumps(value).encode() + b"\n")

    @contextmanager
    def holding(self, organisation: str, head: Head | None) -> Iterator[None]:
        """Inside, nobody else moves the head, and it is `head`; else HeadMoved."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            there = self.read(organisation)
            if there != head:
                raise HeadMoved(f"head of {organisation}: got {there}, want {head}")
            yield

    @contextmanager
    def still(self) -> Iterator[None]:
        """Inside, no head moves; for who copies them. Makes no file: the lock's must be the sequencer's own, and where
        there is none no log has begun.
        """
        try:
            descriptor = os.open(self.folder / ".lock", os.O_RDONLY)
        except FileNotFoundError:
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def organisations(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def _path(self, organisation: str) -> Path:
        return self.folder / f"{organisation}.json"
