"""EPCIS files by their path."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.epcis_files import read_path
from ledger.epcis.files import Unreadable


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "exported.json"
    path.write_bytes(b'\xef\xbb\xbf[{"type": "ObjectEvent"}]')
    assert read_path(path).events == [{"type": "ObjectEvent"}]


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b"[" + b"1," * 10**6)
    with pytest.raises(Unreadable, match="want at most 100 bytes; split it"):
        read_path(path, most_bytes=100)


def test_a_file_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="cannot be read: No such file"):
        read_path(tmp_path / "none.json")
    with pytest.raises(Unreadable, match="cannot be read: Is a directory"):
        read_path(tmp_path)
