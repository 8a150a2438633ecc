"""The keys under which quarantined payloads rest."""

from __future__ import annotations

import ctypes
import os
import stat
from pathlib import Path

import pytest

from ingest.quarantine import MonthlyKeys

_CACHESTAT = 451  # the system call's number on every architecture


def test_a_months_key_is_on_disk_before_anything_is_encrypted_by_it(tmp_path: Path) -> None:
    """The kernel is asked for pages that were written and not synced: a power cut would leave payloads that nobody reads."""
    if not any(is_told(tmp_path / f"unsynced-{attempt}") for attempt in range(20)):
        pytest.skip("this kernel or file system does not tell")
    keys = MonthlyKeys(tmp_path / "keys")
    stored = keys.encrypt("2026-06", b"what a person typed")
    (file,) = (tmp_path / "keys").iterdir()
    assert dirty_pages(file) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert MonthlyKeys(tmp_path / "keys").decrypt("2026-06", stored) == b"what a person typed"


def is_told(unsynced: Path) -> bool:
    """Of what was not synced. Now and then the kernel writes a page back by itself just then."""
    unsynced.write_bytes(b"x")
    return dirty_pages(unsynced) == 1


def dirty_pages(path: Path) -> int | None:
    """Linux 6.5 and later: cachestat(2). None where the kernel has no answer."""
    found = (ctypes.c_uint64 * 5)()  # cached, dirty, in writeback, evicted, recently evicted
    whole = (ctypes.c_uint64 * 2)(0, 0)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        refused = ctypes.CDLL(None).syscall(_CACHESTAT, descriptor, whole, found, 0)
    finally:
        os.close(descriptor)
    return None if refused else found[1] + found[2]
