"""An instance in which something has happened already: made once in a module, and each test's own to change.

Place in the line: the `begun` fixture in `tests/conftest.py`. What a module's tests begin with often takes ten times as
long to make as to copy: here it is made once for each edition, by the rooms themselves, and database and data folder are
copied for each test. Contract: a test has a copy to itself; nothing
that it does is there for the next.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.acceptance.instance import Instance
from tests.servers.databases import Database, Template
from tests.servers.session import Servers


class Worlds:
    """`make` does in an empty instance what all tests begin with; `folder` is for the data folders that are copied."""

    def __init__(self, servers: Servers, folder: Path, make: Callable[[Instance], object]) -> None:
        self._servers, self._folder, self._make = servers, folder, make
        self._made: dict[str, Database] = {}
        self._stack = ExitStack()

    @contextmanager
    def copy(self, edition: str, folder: Path) -> Iterator[Instance]:
        """An instance with its data in `folder`. The community edition's WASM build copies nothing faster than it makes it."""
        template = self._servers.template(edition)
        if not isinstance(template, Template):
            with template.clone() as database:
                instance = Instance(database, folder)
                self._make(instance)
                yield instance
            return
        if edition not in self._made:
            self._made[edition] = self._first(template, self._folder / edition)
        with template.clone(self._made[edition]) as database:
            shutil.copytree(self._folder / edition, folder, dirs_exist_ok=True)
            yield Instance(database, folder)

    def _first(self, template: Template, folder: Path) -> Database:
        folder.mkdir()
        database = self._stack.enter_context(template.clone())
        instance = Instance(database, folder)
        self._make(instance)
        instance.leave()
        return database

    def drop(self) -> None:
        self._stack.close()
