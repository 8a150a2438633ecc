"""What `suyuan epcis validate` does: every problem of every file, for people or for programs.

Contract: findings are written as they are found, at most `most` of each file; the others are counted. The exit status is
the worst of all files: 0 valid, 1 invalid, 3 unreadable.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from deploy.epcis_files import read_path
from ledger.epcis.files import NoEvents, ReadFile, Unreadable
from ledger.epcis.problems import printable
from ledger.epcis.validation import Finding, validate

MOST_BYTES: Final = 256 * 2**20
"""Of one file of few values; else `ledger.epcis.files` and `xml_document` refuse it earlier. Read, it takes several times as much."""
STATUS: Final = {"valid": 0, "invalid": 1, "unreadable": 3}
_PROGRESS_FROM = 5_000  # events; fewer are looked at before anybody would read a line about them


@dataclass
class Outcome:
    """Of one file. `found`: the first findings; `counts`: of all of them, by severity."""

    file: str
    status: str = "valid"
    events: int = 0
    found: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    unreadable: str = ""

    def to_json(self) -> dict[str, Any]:
        problems: list[dict[str, Any]] = [finding.to_json() for finding in self.found]
        if self.unreadable:
            problems = [{"severity": "error", "pointer": "", "detail": self.unreadable, "event": None}]
        return {
            "file": self.file,
            "status": self.status,
            "events": self.events,
            "errors": self.counts["error"],
            "warnings": self.counts["warning"],
            "problems": problems,
            "left_off": self.counts.total() - len(self.found),
        }


def validate_files(files: Sequence[Path], *, as_json: bool, most: int, say: Callable[[str], None]) -> int:
    """The exit status. `say` takes one line after another."""
    outcomes = [_validate(path, most, _silent if as_json else say) for path in files]
    if as_json:
        valid = all(outcome.status == "valid" for outcome in outcomes)
        say(
            json.dumps(
                {"valid": valid, "files": [each.to_json() for each in outcomes]}, ensure_ascii=False, indent=1
            )
        )
    return max((STATUS[outcome.status] for outcome in outcomes), default=0)


def _silent(line: str) -> None:
    """As JSON everything is said at once, in the end."""


def _validate(path: Path, most: int, say: Callable[[str], None]) -> Outcome:
    outcome = Outcome(printable(str(path)))
    try:
        file = read_path(path, MOST_BYTES)
    except NoEvents as error:
        outcome.status, outcome.counts["error"] = "invalid", 1
        finding = Finding("error", error.pointer, error.found)
        if most:
            outcome.found.append(finding)
            say(f"{outcome.file}: {_line(finding)}")
        say(f"{outcome.file}: {_summary(outcome)}")
        return outcome
    except Unreadable as error:
        outcome.status, outcome.unreadable = "unreadable", printable(str(error))
        say(f"{outcome.file}: unreadable: {outcome.unreadable}")
        return outcome
    outcome.events = len(file.events)
    with _progress(file) as bar:
        for finding in validate(file, lambda number: bar.update(1)):
            outcome.counts[finding.severity] += 1
            if len(outcome.found) < most:
                outcome.found.append(finding)
                say(f"{outcome.file}: {_line(finding)}")
    outcome.status = "invalid" if outcome.counts["error"] else "valid"
    say(f"{outcome.file}: {_summary(outcome)}")
    return outcome


def _progress(file: ReadFile) -> Any:
    """On standard error, of a terminal only."""
    hidden = len(file.events) < _PROGRESS_FROM or not sys.stderr.isatty()
    return click.progressbar(length=len(file.events), label="events", file=sys.stderr, hidden=hidden)


def _line(finding: Finding) -> str:
    where = f"event {finding.event}: " if finding.event else ""
    return printable(f"{finding.severity}: {where}{finding.pointer or '(document)'}: {finding.message}")


def _summary(outcome: Outcome) -> str:
    counted = (
        (outcome.events, "event"),
        (outcome.counts["error"], "error"),
        (outcome.counts["warning"], "warning"),
    )
    said = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counted)
    left_off = outcome.counts.total() - len(outcome.found)
    return f"{outcome.status}: {said}" + (f" ({left_off} not shown; --most shows more)" if left_off else "")
