"""Hours that marks touch: each once, joined where they follow on each other, in the order of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ingest.marks import Mark
from ingest.touched_hours import spans

HOUR = timedelta(hours=1)
AT = datetime(2026, 6, 20, 7, 30, tzinfo=UTC)


def mark(series: int, first: datetime, last: datetime) -> Mark:
    return Mark(1, AT, "readings", ((series, first, last),))


def test_touches_of_one_hour_are_one_and_neighbours_are_joined() -> None:
    (found,) = spans(
        [
            mark(7, AT, AT + HOUR / 4),
            mark(7, AT + HOUR / 3, AT + HOUR),
            mark(7, AT + 2 * HOUR, AT + 2 * HOUR),
            mark(7, AT + 9 * HOUR, AT + 9 * HOUR),
            mark(3, AT + HOUR, AT + HOUR),
        ],
        at_once=10,
    )
    seven = AT - HOUR / 2
    assert (found.series, found.first, found.last) == (
        [7, 3, 7],
        [seven, seven + HOUR, seven + 9 * HOUR],
        [seven + 2 * HOUR, seven + HOUR, seven + 9 * HOUR],
    )
    assert (found.values()["first"], found.values()["last"]) == (seven, seven + 9 * HOUR)


def test_many_come_in_parts() -> None:
    marks = [mark(series, AT, AT) for series in range(5)]
    assert [each.series for each in spans(marks, at_once=2)] == [[0, 1], [2, 3], [4]]
