"""Many series and limits at once, in one go or interrupted anywhere: to the last bit what each gives for itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.coldchain.excursions import Run, find_excursions, merge_intervals
from ingest.coldchain.limits import Limit
from ingest.coldchain.setwise import Bounds, Carried, Judged
from tests.unit.ingest.coldchain.cases import MINUTE, a_limit

Reading = tuple[int, float]
Row = tuple[int, Limit, tuple[int, int]]
"""Series, limit, stretch in force."""

values = st.sampled_from([3.0, 5.0, 5.1, 5.5, 6.4, 7.25, 8.3])
some_readings = st.lists(
    st.tuples(st.integers(0, 120).map(lambda half: half * MINUTE // 2 + half % 7), values),
    max_size=80,
    unique_by=lambda reading: reading[0],
).map(sorted)
bounds = st.one_of(st.none(), st.integers(0, 65).map(lambda minute: minute * MINUTE))
forces = st.lists(
    st.tuples(bounds, bounds).filter(lambda pair: None in pair or pair[0] <= pair[1]), max_size=3
)
limits = st.builds(
    a_limit, operator=st.sampled_from([">", ">="]), minutes=st.sampled_from([0, 1, 5, 12])
) | st.builds(
    a_limit,
    side=st.just("below"),
    limit_c=st.sampled_from([5.1, 6.4]),
    operator=st.sampled_from(["<", "<="]),
    minutes=st.sampled_from([0, 5]),
)
worlds = st.lists(
    st.tuples(some_readings, st.integers(1, 3), st.lists(st.tuples(limits, forces), max_size=3)), max_size=4
)


def judged(
    rows: list[Row], series: list[list[Reading]], intervals: list[int], carried: dict[int, Carried]
) -> Judged:
    sizes = [len(series[number]) for number, _, _ in rows]
    times = [time for number, _, _ in rows for time, _ in series[number]]
    readings = [value for number, _, _ in rows for _, value in series[number]]
    return Judged(
        Bounds.of([row[1] for row in rows], [intervals[row[0]] for row in rows], [row[2] for row in rows]),
        np.repeat(np.arange(len(rows)), sizes),
        np.array(times, np.int64),
        np.array(readings, np.float64),
        carried,
    )


@settings(max_examples=300, deadline=None)
@given(worlds, st.randoms(use_true_random=False))
def test_many_at_once_and_interrupted_are_each_for_itself(
    world: list[tuple[list[Reading], int, list[tuple[Limit, list[tuple[int | None, int | None]]]]]],
    chance: object,
) -> None:
    series = [readings for readings, _, _ in world]
    intervals = [minutes * MINUTE for _, minutes, _ in world]
    rows = [
        (number, limit, stretch)
        for number, (_, _, rules) in enumerate(world)
        for limit, force in rules
        for stretch in merge_intervals(force)
    ]
    want: list[tuple[int, Run]] = [
        (place, run)
        for place, (number, limit, stretch) in enumerate(rows)
        for run in find_excursions(
            np.array([time for time, _ in series[number]], np.int64),
            np.array([value for _, value in series[number]], np.float64),
            limit,
            [stretch],
            intervals[number],
        )
    ]
    whole = judged(rows, series, intervals, {})
    assert whole.runs() == want

    # From any reading on, given what stood there: the runs that were not over by then.
    cuts = [chance.randrange(len(readings)) if readings else None for readings in series]  # type: ignore[attr-defined]
    begun = [(place, cuts[number]) for place, (number, _, _) in enumerate(rows)]
    at = [(place, series[rows[place][0]][cut][0]) for place, cut in begun if cut is not None]
    standing = whole.standing(
        np.array([row for row, _ in at], np.int64), np.array([time for _, time in at], np.int64)
    )
    carried = {at[place][0]: known for place, known in standing}
    later = [readings[cut:] for readings, cut in zip(series, cuts, strict=True)]
    cut_ms = {
        place: readings[0][0]
        for place, (number, _, _) in enumerate(rows)
        for readings in [later[number]]
        if readings
    }
    assert judged(rows, later, intervals, carried).runs() == [
        (place, run) for place, run in want if run.last_ms >= cut_ms[place]
    ]


def test_a_run_is_not_taken_up_where_what_was_in_force_has_changed() -> None:
    """Carried at the tenth minute; now in force only from the twelfth."""
    rows: list[Row] = [(0, a_limit(), (12 * MINUTE, 2**62))]
    readings = [(minute * MINUTE, 6.0) for minute in range(10, 60)]
    carried = {0: Carried(10 * MINUTE, 0, 0, 10 * MINUTE, None, 9.0, 10.0)}
    ((_, run),) = judged(rows, [readings], [MINUTE], carried).runs()
    assert (run.start_ms, run.minutes_at_least, run.extreme_c) == (12 * MINUTE, 47.0, 6.0)
