"""Where the verifiers come from: Debian, npm and PyPI, each fetched once and kept in the tests' cache.

Contract: a path to something that runs, or ServerUnavailable with what to install. Versions are named here or in a lock
file beside this one. What is built from a source of ours is known by that source.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.servers import ServerError, ServerUnavailable, apt
from tests.servers.kept import kept

HERE = Path(__file__).parent
GO = Path("/usr/lib/go-1.19/bin/go")
GO_SOURCES = Path("/usr/share/gocode")
GO_PACKAGES = ("golang-1.19-go", "golang-golang-x-mod-dev")
# They ask for Python 3.12, and use nothing of it.
SECOND_OPINION = ("aics-tlog==0.2.1", "aics-witness==0.1.0")


def sumdb(logs: Path) -> Path:
    """The program over Go's sumdb, compiled."""
    source = HERE / "sumdb" / "main.go"
    return kept("sumdb", source.read_bytes(), lambda folder: _compile(source, folder, logs)) / "sumdb"


def second_opinion(logs: Path) -> Path:
    """A folder for PYTHONPATH with `aics-tlog` and `aics-witness` in it."""
    return kept("aics", repr(SECOND_OPINION).encode(), lambda folder: _pip(SECOND_OPINION, folder, logs))


def openssl(logs: Path) -> str:
    """OpenSSL 3's program."""
    if shutil.which("openssl") is None and apt.on_debian_as_root():
        apt.install(["openssl"], logs / "openssl.log")
    found = shutil.which("openssl")
    if found is None:
        raise ServerUnavailable("OpenSSL: no openssl on the PATH, and we are not root on Debian")
    return found


def _compile(source: Path, folder: Path, logs: Path) -> None:
    if not GO.exists() or not (GO_SOURCES / "src/golang.org/x/mod/sumdb").exists():
        if not apt.on_debian_as_root():
            raise ServerUnavailable(f"Go's sumdb: no {GO}, and we are not root on Debian")
        apt.install(GO_PACKAGES, logs / "go.log")
    environment = {
        **os.environ, "GO111MODULE": "off", "GOPATH": str(GO_SOURCES), "GOFLAGS": "",
        "GOCACHE": str(folder / "cache"), "CGO_ENABLED": "0",
    }  # fmt: skip
    _run([str(GO), "build", "-o", str(folder / "sumdb"), str(source)], folder, logs, environment)
    shutil.rmtree(folder / "cache")


def _pip(packages: Sequence[str], folder: Path, logs: Path) -> None:
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--ignore-requires-python",
        "--disable-pip-version-check", "--target", str(folder), *packages,
    ]  # fmt: skip
    try:
        _run(command, folder, logs, dict(os.environ))
    except ServerError as error:
        raise ServerUnavailable(f"{', '.join(packages)}: pip could not fetch it; {error}") from error


def _run(command: Sequence[str], folder: Path, logs: Path, environment: dict[str, str]) -> None:
    log = logs / "verifiers.log"
    with log.open("ab") as out:
        done = subprocess.run(command, cwd=folder, stdout=out, stderr=out, env=environment, timeout=300)
    if done.returncode:
        raise ServerError(f"{command[0]} ended with {done.returncode}; its output is in {log}")
