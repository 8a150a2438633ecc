"""What a check says: a mark, a sentence, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"  # it could not be asked: neither well nor unwell


@dataclass(frozen=True, slots=True)
class Finding:
    """`about`: the check's name. `next`: what to do; never empty where the mark is WARN or FAIL."""

    about: str
    mark: Mark
    text: str
    next: str = ""


def ok(about: str, text: str) -> Finding:
    return Finding(about, Mark.OK, text)


def warn(about: str, text: str, what_next: str) -> Finding:
    return Finding(about, Mark.WARN, text, what_next)


def fail(about: str, text: str, what_next: str) -> Finding:
    return Finding(about, Mark.FAIL, text, what_next)


def unknown(about: str, text: str, what_next: str = "") -> Finding:
    return Finding(about, Mark.UNKNOWN, text, what_next)


def grave(in_production: bool, about: str, text: str, what_next: str) -> Finding:
    """What a trial may have and an instance for real people may not."""
    return Finding(about, Mark.FAIL if in_production else Mark.WARN, text, what_next)


WELL, FAILED, WARNED, UNASKED = 0, 1, 2, 3


def exit_status(findings: Iterable[Finding], owed: frozenset[str] = frozenset()) -> int:
    """1 if anything failed, else 3 if something of what is `owed` could not be asked, else 2 if there are warnings, else 0.
    Whatever else could not be asked changes nothing."""
    found = list(findings)
    marks = {finding.mark for finding in found}
    if Mark.FAIL in marks:
        return FAILED
    if unasked(found, owed):
        return UNASKED
    return WARNED if Mark.WARN in marks else WELL


def unasked(findings: Iterable[Finding], owed: frozenset[str]) -> list[Finding]:
    """What had to be asked and could not be."""
    return [each for each in findings if each.mark is Mark.UNKNOWN and each.about in owed]


def listed(items: Iterable[str], most: int = 5) -> str:
    """A few of them, and how many more."""
    found = list(items)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
