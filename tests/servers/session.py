"""The servers of one run: each started when it is first asked for, all stopped at the end.

Place in the line: the one object that the fixtures in `tests/conftest.py` share.
Contract: what did not come up is not tried again, and every test that wanted it has the same outcome: skipped
where this machine cannot have the server, failed where it should. `lines` says at the end what ran and what
did not, in all the processes of the run.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

import pytest

from tests.servers import ServerError, ServerUnavailable, named
from tests.servers.community import Community, CommunityTemplate, community_server
from tests.servers.databases import Template
from tests.servers.plain import plain_server
from tests.servers.postgres import PostgresServer
from tests.servers.timescale import timescale_server

SERVERS: dict[str, Callable[[Path], AbstractContextManager[PostgresServer | Community]]] = {
    "plain": plain_server,
    "timescale": timescale_server,
    "community": community_server,
}

T = TypeVar("T")


def editions() -> tuple[str, ...]:
    """Those that every test runs on: what `SUYUAN_TEST_EDITIONS` names, else plain PostgreSQL and the Apache edition. The
    community edition is one of them where a whole server of it is named; its WASM build runs what says so."""
    wanted = [name.strip() for name in os.environ.get("SUYUAN_TEST_EDITIONS", "").split(",") if name.strip()]
    if strange := set(wanted) - set(SERVERS):
        raise ServerError(f"SUYUAN_TEST_EDITIONS: {', '.join(strange)}; there are {', '.join(SERVERS)}")
    if wanted:
        return tuple(wanted)
    server = named.named_server()
    return ("plain", "timescale", *(["community"] if server and server.edition == "community" else []))


EDITIONS = editions()


def server_of(edition: str) -> Callable[[Path], AbstractContextManager[PostgresServer | Community]]:
    """How to come by a server of the edition: the named one, or one of ours."""
    server = named.named_server()
    return named.running if server and server.edition == edition else SERVERS[edition]


class Told(NamedTuple):
    """One process's servers: of each that came up how, and for each reason why one did not the number of tests."""

    started: dict[str, str]
    skipped: dict[str, int]


def lines(processes: Sequence[Told]) -> list[str]:
    """What ran, in one line, and one line for each server that was not to be had, with the tests it cost."""
    started: dict[str, str] = {}
    skipped: Counter[str] = Counter()
    for each in processes:
        started = {**each.started, **started}
        skipped.update(each.skipped)
    of_each = f" in each of {len(processes)} processes" if len(processes) > 1 else ""
    ran = [f"servers{of_each}: {'; '.join(started.values())}"] if started else []
    return ran + [f"skipped: {tests} tests without {reason}" for reason, tests in skipped.items()]


def on_wasm(parameters: Mapping[str, object]) -> bool:
    """Whether a test with those parameters would run on the WASM build."""
    return "community" in parameters.values() and server_of("community") is community_server


class Servers:
    """`logs` is the folder for the servers' logs, which stays after the run."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._stack = ExitStack()
        self._templates: dict[str, Template | CommunityTemplate] = {}
        self._started: dict[str, str] = {}
        self._failed: dict[str, ServerError] = {}
        self._skipped: Counter[str] = Counter()

    def template(self, edition: str) -> Template | CommunityTemplate:
        """The migrated template on the edition's server."""
        if edition not in self._templates:
            self._templates[edition] = self._migrated(edition)
        return self._templates[edition]

    def _migrated(self, edition: str) -> Template | CommunityTemplate:
        server = self.enter(self._stack, edition, server_of(edition))
        begun = time.monotonic()
        template = CommunityTemplate(server) if isinstance(server, Community) else Template(server)
        self._stack.callback(template.drop)
        self._started[edition] += f" ({server.version}), migrated in {time.monotonic() - begun:.1f} s"
        return template

    def enter(self, stack: ExitStack, name: str, server: Callable[[Path], AbstractContextManager[T]]) -> T:
        """Starts a server for as long as `stack` lasts. Skips the test where this machine cannot have it."""
        if name in self._failed:
            self._refuse(self._failed[name])
        begun = time.monotonic()
        try:
            running = stack.enter_context(server(self._logs))
        except ServerError as error:
            self._failed[name] = error
            self._refuse(error)
        self._started.setdefault(name, f"{name} up in {time.monotonic() - begun:.1f} s")
        return running

    def _refuse(self, error: ServerError) -> NoReturn:
        if isinstance(error, ServerUnavailable):
            self._skipped[str(error)] += 1
            pytest.skip(str(error))
        raise error

    def told(self) -> Told:
        """What can be said of them at the end."""
        return Told(dict(self._started), dict(self._skipped))

    def stop(self) -> None:
        """Stops every server, the last one started first."""
        self._stack.close()
