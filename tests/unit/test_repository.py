"""What the repository must not contain: where one machine's files lie, and where its packages come from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

# Each written so that it does not match itself.
FORBIDDEN = {
    "a person's folder": re.compile(r"/(?:home|Users)/\w"),
    # A JSON pointer into an evidence file is no folder.
    "a folder of one machine": re.compile(r"(?<![\w.$}])/(?:work|root)/(?!(?:checkpoint|clock|vkey)[\"'])\w"),
    "a package registry": re.compile(r"registry\.npmjs|registry\.yarnpkg|pypi\.org/simple|pythonhosted\.org"),
    "a package mirror": re.compile(r"(?:deb|security|snapshot)\.debian\.org|archive\.ubuntu\.com"),
    "an index line": re.compile(r"^\s*--(?:extra-)?index[-]url|^\s*--find[-]links", re.MULTILINE),
    "a lock file's download address": re.compile(r'"resolved":\s*"http'),
}
LARGEST = 2_000_000  # bytes


def files() -> list[str]:
    """Every file that is in the repository or would be, by its path from the top."""
    if not (REPOSITORY / ".git").exists():
        return []
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout.decode()
    return sorted(name for name in listed.split("\0") if name and (REPOSITORY / name).is_file())


FILES = files()


@pytest.mark.skipif(not FILES, reason="not a git checkout, so there is no telling which files belong to it")
@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    found = []
    for name in FILES:
        text = (REPOSITORY / name).read_text(encoding="utf-8", errors="replace")
        for match in FORBIDDEN[what].finditer(text):
            found.append(f"{name}, line {text.count(chr(10), 0, match.start()) + 1}: {match.group()}")
    assert found == []


@pytest.mark.skipif(not FILES, reason="not a git checkout, so there is no telling which files belong to it")
def test_no_file_is_too_large() -> None:
    assert [name for name in FILES if (REPOSITORY / name).stat().st_size > LARGEST] == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a person's folder", "see /" + "home/ann/x"),
        ("a folder of one machine", "cd /" + "work/main"),
        ("a package registry", "https://registry" + ".npmjs.org/x"),
        ("a package mirror", "http://deb" + ".debian.org/debian"),
        ("an index line", "\n--index" + "-url https://mirror.example"),
        ("a lock file's download address", '"resolved"' + ': "https://mirror.example"'),
    ],
)
def test_each_rule_catches_what_it_is_for(what: str, text: str) -> None:
    assert FORBIDDEN[what].search(text)
