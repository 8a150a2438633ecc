"""What the documents hold that a test can run: fenced blocks with a marker, links, commands.

Place in the line: beside it; `tests/unit/test_docs.py` and `tests/integration/test_invariants.py` read through this.
A fence's first word is its language, for those who read it with colours; the others say what the test does with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Fence:
    """`words`: the marker after the language. `name`: file and line, for a test's id. `text`: without the block's indent."""

    name: str
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def payload(self) -> bytes:
        """The message that the block shows: its text, or the bytes that it writes in hexadecimal."""
        if self.language not in ("cbor", "hex"):
            return self.text.encode()
        return bytes.fromhex("".join(line.partition("#")[0] for line in self.text.splitlines()))

    @property
    def flags(self) -> frozenset[str]:
        return frozenset(word for word in self.words if "=" not in word and ":" not in word)

    def after(self, prefix: str) -> str | None:
        """What follows `prefix` in the one word that starts with it: `topic=`, `refused:`."""
        return next((word.removeprefix(prefix) for word in self.words if word.startswith(prefix)), None)


def markdown_files() -> list[Path]:
    at_the_top = [REPOSITORY / name for name in ("README.md", "README.zh-CN.md", "CHANGELOG.md")]
    return [*at_the_top, *sorted(DOCS.rglob("*.md"))]


def fences(path: Path) -> list[Fence]:
    return list(_fences(path))


def invariants() -> dict[str, str]:
    """docs/invariants.md: the query of each, by name."""
    named = {fence.after("invariant:"): fence.text for fence in fences(DOCS / "invariants.md")}
    return {name: query for name, query in named.items() if name is not None}


def without_fences(text: str) -> str:
    """Prose alone, with every line where it was."""
    return _FENCE.sub(lambda match: "\n" * match.group().count("\n"), text)


def _fences(path: Path) -> Iterator[Fence]:
    whole = path.read_text(encoding="utf-8")
    for match in _FENCE.finditer(whole):
        language, *words = match["info"].split() or [""]
        indent = len(match["indent"])
        text = "".join(line[indent:] for line in match["text"].splitlines(keepends=True))
        name = f"{path.name}:{whole.count(chr(10), 0, match.start()) + 1}"
        yield Fence(name, language, tuple(words), text)
