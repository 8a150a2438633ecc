"""Where peers lie: `.bench/` beside the sources, never in a lock file of the product's. Built under another name and renamed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.documents import REPOSITORY

CACHE = REPOSITORY / ".bench"


class NotInstalled(RuntimeError):
    """The peer cannot be had here. One line, with the reason."""


def kept(name: str, build: Callable[[Path], None]) -> Path:
    """The peer's folder, built if it is not there. Raises NotInstalled."""
    folder = CACHE / name
    if not folder.exists():
        unfinished = CACHE / f"{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        build(unfinished)
        unfinished.rename(folder)
    return folder


def run(what: str, command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{what} is not measured: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise NotInstalled(
            f"{what} is not measured: it could not be installed ({said[-1] if said else 'no reason given'})"
        )
