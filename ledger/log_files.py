"""A log's public files: tiles and bundles that never change, and a checkpoint that is replaced whole.

The sequencer writes here, `ledger.reader` and any web server read. Contract: after a crash at any moment a
path holds either nothing or all of its bytes; a tile's path never holds other bytes than it once held
(`LogForked`).
"""

import os
import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import LedgerError
from ledger.translog.merkle import HASH_SIZE
from ledger.translog.tiles import TILE_WIDTH, bundle_path, tile_path, unpack_bundle

CHECKPOINT = "checkpoint"
VKEY = "vkey"
VKEYS = "vkeys"
TIMESTAMPS = "timestamp"
"""Folder of RFC 3161 tokens in the root log, each a file that never changes."""
CLOCK_VKEY = "clock.vkey"
POLICY = "policy"
"""Beside the logs' folders: no log may be called so."""


class LogForked(LedgerError):
    """The database's leaves are not those the log has published. Keep both; find out which is true."""


class FileMissing(LedgerError, FileNotFoundError):
    """A tile or bundle that the log has published is gone. Restore it from a copy, or let `suyuan recover` make it anew."""


@dataclass(frozen=True, slots=True)
class LogFiles:
    """The files of one log under `folder`, by their C2SP paths."""

    folder: Path

    def write_once(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Writes tiles and bundles, by path, or finds them already written with the same bytes; else LogForked.

        All are on the disk when this returns, and which of them a crash leaves is open. Written first and synced
        then, they wait for the disk together.
        """
        new, folders = list[tuple[Path, bytes]](), dict[Path, None]()
        for name, data in files:
            path = self.folder / name
            folders[path.parent] = (
                None  # of those that are there too: a crash may have come before their sync
            )
            there = read_if_there(path)
            if there is None:
                new.append((path, data))
            elif there != data:
                raise LogForked(f"{path} holds other bytes than the database's leaves give")
        for folder in folders:
            _make_folder(folder)
        written = list[tuple[Path, Path]]()
        with ExitStack() as stack:
            descriptors = list[int]()
            for path, data in new:
                beside, descriptor = _open_beside(path, data, 0o644)
                stack.callback(os.close, descriptor)
                descriptors.append(descriptor)
                written.append((path, beside))
            _sync_together(descriptors)
        for path, beside in written:
            os.replace(beside, path)
        for folder in folders:
            sync_folder(folder)

    def publish(self, path: str, data: bytes) -> None:
        """Puts `data` in the place of what was there, at one moment."""
        if read_if_there(self.folder / path) != data:
            replace_whole(self.folder / path, data)

    def read(self, path: str) -> bytes | None:
        return read_if_there(self.folder / path)

    def read_tile(self, level: int, index: int, width: int) -> bytes:
        """`tiles.ReadTile`; a partial tile may have been removed once the full one was there."""
        return self._read_partial(tile_path(level, index, width), tile_path(level, index))[
            : width * HASH_SIZE
        ]

    def read_bundle(self, bundle: int, size: int) -> tuple[bytes, ...]:
        """The leaves of entry bundle `bundle` of a log of `size`, perhaps with later ones after them.

        FileMissing where it is not, VerifyError where it is damaged.
        """
        width = min(TILE_WIDTH, size - bundle * TILE_WIDTH)
        return unpack_bundle(self._read_partial(bundle_path(bundle, width), bundle_path(bundle)))

    def read_leaf(self, index: int, size: int) -> bytes:
        """Leaf `index` of a log of `size` leaves, from its entry bundle."""
        bundle, at = divmod(index, TILE_WIDTH)
        return self.read_bundle(bundle, size)[at]

    def _read_partial(self, partial: str, full: str) -> bytes:
        for path in (partial, full):
            if (data := self.read(path)) is not None:
                return data
        raise FileMissing(
            f"{self.folder / partial} was published and is not there: restore it from a copy of the log, or run `suyuan recover`"
        )


def read_if_there(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def replace_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Writes beside, syncs, renames: a reader and a crash see the old bytes or the new, never a part."""
    _make_folder(path.parent)
    os.replace(_write_beside(path, data, mode), path)
    sync_folder(path.parent)


def create_once(path: Path, data: bytes) -> None:
    """Writes a secret that only we may read, unless one is there already: then that one stays."""
    _make_folder(path.parent, 0o700)
    beside = _write_beside(path, data, 0o600)
    try:
        os.link(beside, path)
    except FileExistsError:
        return
    finally:
        os.unlink(beside)
    sync_folder(path.parent)


def _write_beside(path: Path, data: bytes, mode: int) -> Path:
    beside, descriptor = _open_beside(path, data, mode)
    _sync(descriptor)
    return beside


def _open_beside(path: Path, data: bytes, mode: int) -> tuple[Path, int]:
    """A file of these bytes that nobody knows, written and not synced, still open."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
    except BaseException:
        os.close(descriptor)
        raise
    return beside, descriptor


def _sync_together(descriptors: Sequence[int]) -> None:
    """Many are synced by several threads: they wait for the disk, and it writes what waits in one go."""
    if len(descriptors) < _MANY:
        for descriptor in descriptors:
            os.fsync(descriptor)
        return
    with ThreadPoolExecutor(_SYNCING) as pool:
        for _ in pool.map(os.fsync, descriptors):
            pass


_MANY = 8
_SYNCING = 4


def _sync(descriptor: int) -> None:
    """Syncs and closes."""
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path, mode: int = 0o755) -> None:
    """A new folder is only there after a crash if the one above was synced too."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    _sync(os.open(folder, os.O_RDONLY))
