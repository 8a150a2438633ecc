"""A log's files: many at once, each whole, none ever with other bytes."""

import os
from pathlib import Path

import pytest

from ledger import log_files
from ledger.log_files import LogFiles, LogForked

FILES = [(f"tile/{number % 3}/{number:03}", bytes([number]) * 5_000) for number in range(30)]


def found(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_many_are_written_once_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    files = LogFiles(tmp_path)
    files.write_once(FILES[:2])
    files.write_once(FILES)
    files.write_once(FILES)
    assert found(tmp_path) == dict(FILES)
    with pytest.raises(LogForked, match="holds other bytes"):
        files.write_once([("tile/9/000", b"new"), ("tile/0/000", b"other")])
    assert found(tmp_path) == dict(FILES)


@pytest.mark.parametrize("count", [3, 30])
def test_a_disk_that_takes_nothing_leaves_nothing_open_and_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    LogFiles(tmp_path).write_once([("tile/0/999", b""), ("tile/1/999", b""), ("tile/2/999", b"")])
    before = set(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(log_files.os, "fsync", refuse)
        with pytest.raises(OSError, match="Input/output"):
            LogFiles(tmp_path).write_once(FILES[:count])
    assert set(os.listdir("/proc/self/fd")) == before
    assert not any((tmp_path / path).exists() for path, _ in FILES)
    LogFiles(tmp_path).write_once(FILES)
    assert all((tmp_path / path).read_bytes() == data for path, data in FILES)
