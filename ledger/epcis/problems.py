"""What was wrong with a document, for the person or program that must mend it.

A fault is a place (JSON pointer) and a sentence (got, want, remedy). All faults of a document travel together
in one `EventError`, since a sender who learns of them one by one gives up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

from ledger.epcis import EpcisError

MOST_PROBLEMS = 100
"""Faults reported at once: a document wrong in every line would otherwise be answered with many of its
size."""


Severity: TypeAlias = Literal["error", "warning", "note"]
"""An error makes a document invalid. A warning names what is allowed and seldom meant, a note what need not be mended."""


@dataclass(frozen=True)
class Problem:
    """One fault: `pointer` is the JSON pointer (RFC 6901) to it, `message` says got, want and the remedy."""

    pointer: str
    message: str
    severity: Severity = "error"


class EventError(EpcisError):
    """The document or event cannot be taken. `problems` name the faults, the first MOST_PROBLEMS at most, and
    are never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(islice(problems, MOST_PROBLEMS))
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"{first.pointer or '(document)'}: {first.message}{more}")


def pointer_to(steps: Iterable[str | int]) -> str:
    """The JSON pointer of these object names and array positions."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def short(value: object) -> str:
    """A value for a message: never long, never a risk to whoever prints it."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array"
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = "an integer of thousands of digits"
    return printable(text if len(text) <= 100 else text[:97] + "...")


def printable(text: str) -> str:
    """Text that can be encoded, whatever surrogates came in."""
    return text.encode("utf-8", "backslashreplace").decode()
