"""Which hours marks touch: what roll-ups and windows are computed by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ingest.marks import Mark

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Spans:
    """Columns: series; first and last hour (their starts) of hours without a break, each touched once."""

    series: list[int]
    first: list[datetime]
    last: list[datetime]

    def values(self) -> dict[str, object]:
        """As a statement takes them, with the bounds of all together: they let the planner leave out chunks."""
        return {
            "series": self.series,
            "firsts": self.first,
            "lasts": self.last,
            "first": min(self.first),
            "last": max(self.last),
        }


def spans(marks: Iterable[Mark], at_once: int) -> Iterator[Spans]:
    """In the order of time, so many series at once."""
    hours: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for mark in marks:
        for series, first, last in mark.touched:
            hours[series].add((int(first.timestamp() // HOUR_S), int(last.timestamp() // HOUR_S)))
    rows = sorted((*span, series) for series, touched in hours.items() for span in _joined(touched))
    for begin in range(0, len(rows), at_once):
        some = rows[begin : begin + at_once]
        yield Spans(
            [series for _, _, series in some],
            [_start(first) for first, _, _ in some],
            [_start(last) for _, last, _ in some],
        )


def _joined(touched: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(touched):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined


def _start(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR_S, UTC)
