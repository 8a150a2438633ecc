"""The arrows of the design: which room may import which, and which parts touch nothing outside themselves.

Read from the source, not from what happens to be loaded: an import inside a function, or for a type alone, is
an arrow too. Each rule has a counter-example below that it must catch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

# What each room may import of ours, itself aside. A name allows what lies below it too.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "ledger": (),
    "ingest": ("ledger",),
    "trace_api": ("ledger", "ingest"),
    "simulators": ("ledger.epcis",),
    "deploy": ("ledger", "ingest", "trace_api", "simulators"),
}
OURS = (*MAY_IMPORT, "tests")

# Parts that compute and do nothing else, with what they may import of ours, themselves aside.
PURE: dict[str, tuple[str, ...]] = {
    "ledger.epcis": ("ledger.errors",),
    "ledger.translog": ("ledger.errors",),
    "ingest.coldchain": ("ledger.epcis",),
}
# Modules through which a part would reach a disk, a network, another process, the clock or chance.
OUTSIDE = {
    *("asyncio", "ftplib", "glob", "http", "multiprocessing", "os", "pathlib", "random", "secrets", "shutil"),
    *("signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib.request"),
    *("fastapi", "httpx", "paho", "psycopg", "psycopg_pool", "requests", "starlette", "yoyo"),
}
# Calls by their last name that do the same through modules which are otherwise harmless.
OUTSIDE_CALLS = {
    "open",
    "now",
    "today",
    "utcnow",
    "default_rng",
    "uuid1",
    "uuid4",
    "urlopen",
    "import_module",
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the rooms: its dotted name (a package's without `__init__`) and its file."""
    for room in MAY_IMPORT:
        for path in sorted((REPOSITORY / room).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


def imports(module: str, is_package: bool, source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each thing imported; `from a import b` gives `a.b`, whether b is a module or
    not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                above = parts[: len(parts) + is_package - node.level]  # a package's own level is itself
                base = ".".join([*above, *filter(None, [base])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def within(name: str, allowed: tuple[str, ...]) -> bool:
    """True if the dotted name is one of those allowed or lies below one."""
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def arrow_faults(module: str, is_package: bool, source: str) -> list[str]:
    """One line for each import of ours that the module's room may not have."""
    room = module.partition(".")[0]
    allowed = ", ".join(MAY_IMPORT[room]) or "nothing of ours"
    return [
        f"{module}, line {line}: {room} imports {name}; it may import {allowed}"
        for line, name in imports(module, is_package, source)
        if within(name, OURS) and not within(name, (room, *MAY_IMPORT[room]))
    ]


def purity_faults(module: str, is_package: bool, source: str) -> list[str]:
    """One line for each thing by which a pure part would reach outside itself; none for a part that need not
    be."""
    part = next((part for part in PURE if within(module, (part,))), None)
    if part is None:
        return []
    faults = []
    for line, name in imports(module, is_package, source):
        reaches = within(name, tuple(OUTSIDE))
        if reaches or (within(name, OURS) and not within(name, (part, *PURE[part]))):
            faults.append(f"{module}, line {line}: {part} is pure, and imports {name}")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and called(node) in OUTSIDE_CALLS:
            faults.append(f"{module}, line {node.lineno}: {part} is pure, and calls {called(node)}")
    return faults


def called(node: ast.Call) -> str:
    """The last name of what is called: `now` for `datetime.now()`."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


@pytest.mark.parametrize("module", MODULES)
def test_the_arrows_hold(module: str) -> None:
    path = MODULES[module]
    assert arrow_faults(module, path.stem == "__init__", path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", [module for module in MODULES if within(module, tuple(PURE))])
def test_pure_parts_touch_nothing_outside(module: str) -> None:
    path = MODULES[module]
    assert purity_faults(module, path.stem == "__init__", path.read_text(encoding="utf-8")) == []


def test_every_room_and_every_pure_part_is_there() -> None:
    """A renamed folder would otherwise pass, having nothing to check."""
    for name in (*MAY_IMPORT, *PURE):
        assert any(within(module, (name,)) for module in MODULES), f"no module under {name}"


AGAINST_THE_ARROWS = {
    "at the top": ("ledger.recording", "import ingest.pipeline"),
    "from a package": ("ingest.detection", "from trace_api import app"),
    "inside a function": ("ledger.reader", "def f():\n    from deploy.settings import Settings"),
    "for a type": (
        "ingest.x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import simulators.world",
    ),
    "more of the ledger than its words": ("simulators.world", "from ledger import recording"),
    "all of the ledger": ("simulators.world", "import ledger"),
    "a test": ("deploy.demo", "from tests.vectors import vector_path"),
    "relative, and out of the room": ("ledger.epcis.events", "from ...ingest import wire"),
}
NOT_PURE = {
    "a database": ("ledger.epcis.events", "import psycopg"),
    "below a module": ("ledger.translog.note", "from urllib.request import Request"),
    "a file": ("ledger.translog.tiles", "open('x')"),
    "the clock": ("ingest.coldchain.verdict", "from datetime import datetime\ndatetime.now()"),
    "the log knows no EPCIS": ("ledger.translog.merkle", "from ledger.epcis import events"),
    "nor by a relative import": ("ledger.translog.merkle", "from ..epcis import events"),
    "the rest of the room": ("ingest.coldchain.limits", "from ingest import readings"),
}
ALLOWED = {
    "a room itself": ("ledger.reader", "from ledger.translog import merkle\nfrom . import errors"),
    "along the arrow": ("trace_api.app", "import ingest.readings\nfrom ledger import reader"),
    "the words": ("simulators.world", "from ledger.epcis import identifiers\nimport ledger.epcis.units"),
    "not ours at all": (
        "ledger.translog.note",
        "import hashlib\nfrom urllib.parse import quote\nimport ingestion",
    ),
    "relative, within the part": ("ingest.coldchain.verdict", "from .limits import Limit"),
}


@pytest.mark.parametrize(("module", "source"), AGAINST_THE_ARROWS.values(), ids=AGAINST_THE_ARROWS)
def test_an_import_against_the_arrows_is_caught(module: str, source: str) -> None:
    assert len(arrow_faults(module, False, source)) == 1


@pytest.mark.parametrize(("module", "source"), NOT_PURE.values(), ids=NOT_PURE)
def test_a_reach_outside_is_caught(module: str, source: str) -> None:
    assert len(purity_faults(module, False, source)) == 1


@pytest.mark.parametrize(("module", "source"), ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert arrow_faults(module, False, source) + purity_faults(module, False, source) == []


def test_a_packages_relative_import_starts_at_the_package() -> None:
    assert list(imports("ledger.epcis", True, "from . import events")) == [(1, "ledger.epcis.events")]
    assert list(imports("ledger.epcis", True, "from .. import errors")) == [(1, "ledger.errors")]
