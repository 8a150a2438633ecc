"""A folder for what a session writes, gone when the session is, however it ended.

Place in the line: `plain.py`, `mosquitto.py` and `chromium.py` keep their servers' files in one.
Contract: removed at the end; one that a killed session left behind is removed by the next that makes one
beside it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "suyuan-test-"
_ROOM_IN_MEMORY = (
    2 * 1024**3
)  # bytes; a database takes about ten million, and containers often give 64 in all


def in_memory() -> Path | None:
    """A folder of the machine's that lies in memory, if it has one with room: to clone a database there takes
    a twentieth of the time that it takes on a disk."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > _ROOM_IN_MEMORY else None


@contextmanager
def session_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder in `parent`, by default where the system keeps temporary files."""
    parent = parent or Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    folder, lock = _make(parent)
    try:
        yield folder
    finally:
        # A server that was just stopped may still be taking its last files away, and so get ahead of us.
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(parent: Path) -> tuple[Path, int]:
    """The folder, and the lock on it that says that its session lives. The lock goes with the process, so
    neither a kill nor a reused process number nor another container's numbers can mislead the next
    session."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Between the two lines above, another session may have taken it for abandoned.
        if folder.exists():
            return folder, lock
        os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:  # gone meanwhile, or another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
