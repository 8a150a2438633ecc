"""What takes long to fetch or build and is the same every time: kept in the tests' cache under the name of its recipe.

Place in the line: `npm.py` and the other people's verifiers. Contract: a folder is whole or not there, whoever builds it
first and whatever ends them.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.servers.debian_root import cache_folder


def kept(name: str, recipe: bytes, build: Callable[[Path], None]) -> Path:
    """The folder, built if the cache has none of that recipe."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    whole = cache / f"{name}-{hashlib.sha256(recipe).hexdigest()[:12]}"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            unfinished = whole.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            build(unfinished)
            unfinished.rename(whole)
    return whole
