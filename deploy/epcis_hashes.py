"""`suyuan epcis hash`: what it does.

What is printed is what others print: an XML document is read as the published hashes were made of it
(`ledger.epcis.xml_names`), and numbers are doubles. The ledger, which must not take two events for one, compares formats
by the standard's rule and numbers by their digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from deploy.epcis_files import read_path
from ledger.epcis.bounds import refuse_unbounded
from ledger.epcis.event_hash import Hasher, ignored_in
from ledger.epcis.files import ReadFile, Unreadable
from ledger.epcis.problems import EventError, Problem, printable

UNHASHED, UNREADABLE = 1, 3


def print_hashes(paths: Iterable[Path], say: Callable[[str], None], complain: Callable[[str], None]) -> int:
    """Says the hashes of each file's events in order; returns the exit status, the worst of all files."""
    worst = 0
    for path in paths:
        name = printable(str(path))
        try:
            found = list(hashes(read_path(path, literal=True)))
        except Unreadable as error:
            complain(f"{name}: {error}")
            worst = UNREADABLE
            continue
        lines = [one for one in found if isinstance(one, str)]
        if lines:
            say("\n".join(lines))
        for problem in (one for one in found if isinstance(one, Problem)):
            complain(f"{name}: {problem.pointer or '(event)'}: {problem.message}")
            worst = max(worst, UNHASHED)
    return worst


def hashes(file: ReadFile) -> Iterator[str | Problem]:
    """The hash of each event, or why it has none. Raises Unreadable where the context is out of bounds."""
    try:
        hasher = Hasher.of(file.context, ignored_in(file.document), published=True)
    except EventError as error:
        raise Unreadable(str(error)) from error
    for place, event in enumerate(file.events):
        try:
            refuse_unbounded(event)
            yield hasher.hash(event)
        except EventError as error:
            head = file.pointer(place)
            yield from (Problem(head + problem.pointer, problem.message) for problem in error.problems)
