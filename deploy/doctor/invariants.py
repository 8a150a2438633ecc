"""The invariants as docs/invariants.md has them: its SQL is what `suyuan doctor --deep` runs, and what the tests run.

The document is the one source. An installed package carries a copy of it beside this one (pyproject.toml); in a
checkout it is read where it lies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

RIGHTS = "Rights"
"""The section that asks the catalogue alone: any role may run it, and it costs nothing."""

_BLOCK = re.compile(r"^```sql invariant:(?P<name>\w+)\n(?P<sql>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_CLAIM = re.compile(r"^\*\*(.+?)\*\*", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Invariant:
    """`claim`: the document's sentence, without its last dot. `sql`: no row while it holds. `section`: its heading."""

    name: str
    section: str
    claim: str
    sql: str


def invariants(section: str | None = None) -> tuple[Invariant, ...]:
    """All of the document, in its order; or those under one heading."""
    return tuple(each for each in _all() if section is None or each.section == section)


@cache
def _all() -> tuple[Invariant, ...]:
    return tuple(_read(_document()))


def _document() -> str:
    packaged = files("deploy") / "invariants.md"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "docs" / "invariants.md").read_text(encoding="utf-8")


def _read(document: str) -> Iterator[Invariant]:
    section, end = "", 0
    for block in _BLOCK.finditer(document):
        between = document[end : block.start()]
        section = (_HEADING.findall(between) or [section])[-1]
        claims = _CLAIM.findall(between)
        claim = " ".join(claims[-1].split()).rstrip(".") if claims else block["name"].replace("_", " ")
        yield Invariant(block["name"], section, claim, block["sql"].strip())
        end = block.end()
