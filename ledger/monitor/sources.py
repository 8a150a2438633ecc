"""Where a log's files come from: a folder of this machine, or a web server that nobody trusts.

Contract: `read` gives all of a file, or None where the log has no such file; a file longer than the caller allows, and
an answer that does not come, are a `VerifyError`. A source is opened from its address by each process that reads, since
connections do not travel.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from ledger.monitor.findings import Damaged, Unreachable, Unreadable
from ledger.monitor.http_source import HttpSource, Patience
from ledger.translog.merkle import HASH_SIZE
from ledger.translog.tiles import TILE_WIDTH, bundle_path, tile_path

MAX_BUNDLE_SIZE = TILE_WIDTH * (2 + 0xFFFF)


class Source(Protocol):
    """A log's files by their C2SP paths. `together`: how many reads are worth having under way at once."""

    @property
    def together(self) -> int: ...

    def read(self, path: str, limit: int) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Address:
    """`url`: `http://`, `https://`, or a folder's path. Travels between processes."""

    url: str
    patience: Patience = field(default_factory=Patience)

    @contextmanager
    def open(self) -> Iterator[Source]:
        """Unreadable for an address of another kind."""
        if not self.url.startswith(("http://", "https://")):
            yield FolderSource(Path(self.url))
            return
        with HttpSource.at(self.url, self.patience) as source:
            yield source

    def sibling(self, name: str) -> Address:
        """Another log of the same instance, which lies beside this one."""
        if "://" not in self.url:
            return Address(str(Path(self.url).absolute().parent / name), self.patience)
        return Address(self.url.rstrip("/").rpartition("/")[0] + "/" + name, self.patience)

    def check(self) -> None:
        """Unreadable where it is no address that can be read."""
        if "://" in self.url:
            try:
                parts = urlsplit(self.url)
                sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:
                sound = False
            if not sound or parts.query or parts.fragment:
                raise Unreadable("address of the log", got=self.url, want="http://, https:// or a folder")
        elif not Path(self.url).is_dir():
            raise Unreachable(
                "address of the log", got=f"{self.url}, which is no folder", want="a log's folder"
            )


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A copy of a log on a disk."""

    folder: Path
    together: int = 1

    def read(self, path: str, limit: int) -> bytes | None:
        try:
            # Not blocking: in a folder that somebody else filled, a name may be a pipe.
            descriptor = os.open(self.folder / path, os.O_RDONLY | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as cause:
            raise Unreachable(path, got=cause.strerror, want="a file") from cause
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Unreachable(path, got="no file", want="a file")
        with open(descriptor, "rb") as file:
            try:
                data = file.read(limit + 1)
            except OSError as cause:
                raise Unreachable(path, got=cause.strerror, want="a file") from cause
        if len(data) > limit:
            raise Damaged(f"length of {path}", got=f"more than {limit}", want=f"at most {limit}")
        return data


def read_tile(source: Source, level: int, index: int, width: int) -> bytes:
    """`tiles.ReadTile` of a source: exactly `width` hashes. A partial tile may be gone once the full one is there."""
    partial, full = tile_path(level, index, width), tile_path(level, index)
    data = source.read(partial, width * HASH_SIZE)
    if data is None and partial != full:
        whole = source.read(full, TILE_WIDTH * HASH_SIZE)
        data = None if whole is None else whole[: width * HASH_SIZE]
    if data is None:
        raise Unreachable(partial, got="no such file", want=f"{width} hashes")
    if len(data) != width * HASH_SIZE:
        raise Damaged(f"length of {partial}", got=len(data), want=width * HASH_SIZE)
    return data


def read_bundle(source: Source, index: int, width: int) -> bytes:
    """The bytes of an entry bundle of at least `width` leaves."""
    partial, full = bundle_path(index, width), bundle_path(index)
    data = source.read(partial, MAX_BUNDLE_SIZE)
    if data is None and partial != full:
        data = source.read(full, MAX_BUNDLE_SIZE)
    if data is None:
        raise Unreachable(partial, got="no such file", want=f"{width} entries")
    return data
