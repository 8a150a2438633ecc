"""Runs beyond a limit, and what becomes of them as readings arrive late: fast against plain."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.coldchain.excursions import (
    Changes,
    Interval,
    Run,
    SeriesError,
    StoredExcursion,
    beyond,
    find_excursions,
    merge_intervals,
    reconcile,
)
from ingest.coldchain.limits import Limit
from tests.unit.ingest.coldchain.cases import MINUTE, a_limit, every_minute, series
from tests.unit.ingest.coldchain.reference import Reading, slow_excursions
from tests.vectors import count_vectors, vector_path

ALWAYS: list[Interval] = [(None, None)]


# --- one series, one look ---------------------------------------------------------------------------


def test_a_run_that_reaches_the_hold_is_an_excursion() -> None:
    time_ms, value_c = every_minute((0, 10, 4.0), (10, 45, 6.5), (45, 60, 4.0))
    (run,) = find_excursions(time_ms, value_c, a_limit(), ALWAYS, MINUTE)
    assert (run.start_ms, run.trigger_ms, run.last_ms, run.end_ms) == (
        10 * MINUTE,
        40 * MINUTE,
        44 * MINUTE,
        45 * MINUTE,
    )
    assert (run.minutes_at_least, run.minutes_at_most) == (34.0, 36.0)
    assert (run.extreme_c, run.area_c_min, run.closed_by, run.state) == (6.5, 51.0, "recovery", "closed")


@pytest.mark.parametrize(("last_minute_out", "found"), [(39, 0), (40, 1)])
def test_the_hold_is_reached_by_the_time_between_readings(last_minute_out: int, found: int) -> None:
    time_ms, value_c = every_minute(
        (0, 10, 4.0), (10, last_minute_out + 1, 6.0), (last_minute_out + 1, 60, 4.0)
    )
    assert len(find_excursions(time_ms, value_c, a_limit(), ALWAYS, MINUTE)) == found


def test_without_a_hold_one_reading_is_enough() -> None:
    time_ms, value_c = series((0, 4.0), (1, 6.0), (2, 4.0), (3, 7.0))
    first, second = find_excursions(time_ms, value_c, a_limit(minutes=0), ALWAYS, MINUTE)
    assert (first.trigger_ms, first.minutes_at_least, first.minutes_at_most) == (MINUTE, 0.0, 2.0)
    assert (second.trigger_ms, second.state, second.end_ms) == (3 * MINUTE, "open", None)


def test_a_gap_shorter_than_the_hold_is_unknown_and_ends_no_run() -> None:
    time_ms, value_c = every_minute((0, 20, 6.0), (40, 60, 6.0))
    (run,) = find_excursions(time_ms, value_c, a_limit(), ALWAYS, MINUTE)
    assert (run.minutes_at_least, run.minutes_at_most) == (38.0, 59.0)
    assert run.trigger_ms == 51 * MINUTE  # 19 minutes before the gap, 11 behind it


def test_a_gap_as_long_as_the_hold_ends_a_run() -> None:
    time_ms, value_c = every_minute((0, 40, 6.0), (80, 120, 6.0))
    first, second = find_excursions(time_ms, value_c, a_limit(), ALWAYS, MINUTE)
    assert (first.start_ms, first.last_ms, first.end_ms) == (0, 39 * MINUTE, 80 * MINUTE)
    assert (first.closed_by, first.minutes_at_least, first.minutes_at_most) == ("sensor_silent", 39.0, 80.0)
    assert (second.start_ms, second.closed_by, second.minutes_at_most) == (80 * MINUTE, None, 80.0)
    halves = every_minute((0, 20, 6.0), (60, 80, 6.0))
    assert not find_excursions(*halves, a_limit(), ALWAYS, MINUTE), (
        "19 minutes each, and 41 that nobody knows"
    )


def test_a_recovery_that_nobody_saw_is_none() -> None:
    time_ms, value_c = every_minute((0, 40, 6.0), (80, 90, 4.0))
    (run,) = find_excursions(time_ms, value_c, a_limit(), ALWAYS, MINUTE)
    assert (run.end_ms, run.closed_by, run.minutes_at_most) == (80 * MINUTE, "sensor_silent", 80.0)


def test_a_value_that_the_device_did_not_have_is_a_gap_however_short() -> None:
    time_ms, value_c = every_minute((0, 20, 6.0), (21, 35, 6.0))
    (run,) = find_excursions(time_ms, value_c, a_limit(), ALWAYS, MINUTE)
    assert run.minutes_at_least == 34.0
    failed = np.array([20 * MINUTE])
    (run,) = find_excursions(time_ms, value_c, a_limit(), ALWAYS, MINUTE, failed_ms=failed)
    assert (run.minutes_at_least, run.minutes_at_most) == (32.0, 34.0)


def test_a_slow_device_has_no_gaps() -> None:
    time_ms, value_c = series((0, 6.0), (10, 6.0), (20, 6.0), (30, 6.0))
    assert find_excursions(time_ms, value_c, a_limit(), ALWAYS, 10 * MINUTE)[0].minutes_at_least == 30.0
    assert not find_excursions(time_ms, value_c, a_limit(), ALWAYS, MINUTE)


def test_a_recovery_between_two_gaps_ends_the_run() -> None:
    time_ms, value_c = every_minute((0, 20, 6.0), (40, 41, 4.0), (60, 80, 6.0))
    assert not find_excursions(time_ms, value_c, a_limit(), ALWAYS, MINUTE)


def test_a_hand_over_does_not_cut_an_excursion_in_two() -> None:
    time_ms, value_c = every_minute((0, 50, 6.0))
    halves: list[Interval] = [(25 * MINUTE, None), (0, 25 * MINUTE)]
    (run,) = find_excursions(time_ms, value_c, a_limit(), halves, MINUTE)
    assert (run.minutes_at_least, run.state) == (49.0, "open")


def test_readings_count_only_while_the_limit_is_in_force() -> None:
    time_ms, value_c = every_minute((0, 100, 6.0))
    apart: list[Interval] = [(0, 25 * MINUTE), (50 * MINUTE, 85 * MINUTE)]
    (run,) = find_excursions(time_ms, value_c, a_limit(), apart, MINUTE)
    assert (run.start_ms, run.end_ms, run.closed_by) == (50 * MINUTE, 85 * MINUTE, "out_of_force")
    assert (run.minutes_at_least, run.minutes_at_most) == (34.0, 35.0)
    assert not find_excursions(time_ms, value_c, a_limit(), [], MINUTE)


def test_a_cumulative_limit_adds_up_what_a_consecutive_one_forgives() -> None:
    dips = every_minute(
        *((k * 30, k * 30 + 21, 6.0) for k in range(3)), *((k * 30 + 21, k * 30 + 30, 4.0) for k in range(3))
    )
    order = np.argsort(dips[0])
    time_ms, value_c = dips[0][order], dips[1][order]
    assert not find_excursions(time_ms, value_c, a_limit(), ALWAYS, MINUTE)
    (run,) = find_excursions(time_ms, value_c, a_limit(mode="cumulative", minutes=60), ALWAYS, MINUTE)
    # 21 minutes a dip, each reading until the next: 21, 42, and 18 of the third.
    assert (run.start_ms, run.trigger_ms, run.end_ms) == (0, 78 * MINUTE, 81 * MINUTE)
    assert run.minutes_at_least == 60.0


@pytest.mark.parametrize(
    ("operator", "margin_c", "out"),
    [
        (">", 0.0, [5.1]),
        (">=", 0.0, [5.0, 5.1]),
        ("<", 0.0, [4.9]),
        ("<=", 0.0, [4.9, 5.0]),
        (">", 0.1, []),
        ("<", -0.1, [4.9, 5.0]),
    ],
)
def test_operators_are_strict_where_they_say_so(operator: str, margin_c: float, out: list[float]) -> None:
    values = np.array([4.9, 5.0, 5.1])
    limit = a_limit(operator=operator, side="above" if ">" in operator else "below")
    assert values[beyond(values, limit, margin_c)].tolist() == out


@pytest.mark.parametrize(
    ("points", "named"),
    [
        (((0, 1.0), (0, 1.0)), "rise strictly"),
        (((1, 1.0), (0, 1.0)), "rise strictly"),
        (((0, float("nan")),), "finite"),
    ],
)
def test_a_series_that_is_none_is_refused(points: tuple[tuple[float, float], ...], named: str) -> None:
    with pytest.raises(SeriesError, match=named):
        find_excursions(*series(*points), a_limit(), ALWAYS, MINUTE)


def test_intervals_that_run_backwards_are_refused() -> None:
    with pytest.raises(SeriesError, match="before it starts"):
        merge_intervals([(5, 3)])
    with pytest.raises(SeriesError, match="interval > 0"):
        find_excursions(*series((0, 1.0)), a_limit(), ALWAYS, 0)


# --- fast = plain -----------------------------------------------------------------------------------

readings_lists = st.lists(
    st.tuples(st.integers(0, 90).map(lambda minute: minute * MINUTE), st.sampled_from([3.0, 5.0, 5.5, 7.25])),
    max_size=60,
    unique_by=lambda reading: reading[0],
)
bounds = st.one_of(st.none(), st.integers(0, 95).map(lambda minute: minute * MINUTE))
force_lists = st.lists(
    st.tuples(bounds, bounds).filter(lambda pair: None in pair or pair[0] <= pair[1]), min_size=1, max_size=4
)
limits = st.builds(
    a_limit,
    side=st.just("above"),
    operator=st.sampled_from([">", ">="]),
    mode=st.sampled_from(["consecutive", "cumulative"]),
    minutes=st.sampled_from([1, 5, 12]),
) | st.builds(
    a_limit,
    side=st.just("below"),
    operator=st.sampled_from(["<", "<="]),
    minutes=st.sampled_from([0, 5]),
)


def fast(
    readings: list[Reading],
    limit: Limit,
    in_force: list[Interval],
    interval_ms: int = MINUTE,
    gap: float = 2.0,
    failed: Sequence[int] = (),
) -> list[Run]:
    ordered = sorted(set(readings))
    time_ms = np.array([time for time, _ in ordered], dtype=np.int64)
    value_c = np.array([value for _, value in ordered], dtype=np.float64)
    failed_ms = np.array(sorted(set(failed) - set(time_ms.tolist())), dtype=np.int64)
    return find_excursions(time_ms, value_c, limit, in_force, interval_ms, gap, failed_ms)


@settings(max_examples=400, deadline=None)
@given(
    readings_lists,
    limits,
    force_lists,
    st.integers(1, 4),
    st.sampled_from([1.0, 2.0, 3.5]),
    st.lists(st.integers(0, 90).map(lambda minute: minute * MINUTE), max_size=4),
)
def test_fast_is_plain(
    readings: list[Reading],
    limit: Limit,
    in_force: list[Interval],
    minutes: int,
    gap: float,
    failed: list[int],
) -> None:
    got = fast(readings, limit, in_force, minutes * MINUTE, gap, failed)
    want = slow_excursions(readings, limit, in_force, minutes * MINUTE, gap, failed)
    assert [asdict(run) for run in got] == [pytest.approx(asdict(run)) for run in want]


@settings(max_examples=100, deadline=None)
@given(readings_lists, limits, force_lists)
def test_the_band_is_a_band(readings: list[Reading], limit: Limit, in_force: list[Interval]) -> None:
    for run in fast(readings, limit, in_force):
        assert run.minutes_at_least <= run.minutes_at_most
        assert run.start_ms <= run.trigger_ms
        assert run.end_ms is None or run.end_ms > run.last_ms
        if limit.mode == "consecutive":
            assert limit.minutes <= run.minutes_at_least
            assert run.trigger_ms <= run.last_ms
        else:
            assert limit.minutes <= run.minutes_at_most


# --- late and out of order --------------------------------------------------------------------------


class Store:
    """What the database keeps, by id; `apply` writes changes the way detection does."""

    def __init__(self) -> None:
        self.rows: dict[int, StoredExcursion] = {}

    def apply(self, changes: Changes) -> None:
        for merge in changes.merged:
            self._write(merge.excursion, state="merged", merged_into=merge.into)
        for excursion in changes.voided:
            self._write(excursion, state="void")
        for extension in changes.extended:
            self._write(extension.excursion, **_columns(extension.run))
        for run in changes.opened:
            new = len(self.rows) + 1
            self.rows[new] = StoredExcursion(id=new, version=1, merged_into=None, **_columns(run))

    def _write(self, excursion: StoredExcursion, **columns: Any) -> None:
        self.rows[excursion.id] = replace(excursion, version=excursion.version + 1, **columns)

    def live(self) -> list[dict[str, Any]]:
        rows = sorted((row for row in self.rows.values() if row.live), key=lambda row: row.start_ms)
        return [{name: getattr(row, name) for name in _columns_of_run} for row in rows]

    def see(self, runs: list[Run]) -> Changes:
        changes = reconcile(list(self.rows.values()), runs)
        self.apply(changes)
        return changes


_columns_of_run = (
    "state",
    "start_ms",
    "trigger_ms",
    "end_ms",
    "minutes_at_least",
    "minutes_at_most",
    "extreme_c",
    "area_c_min",
    "closed_by",
)


def _columns(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in _columns_of_run}


@settings(max_examples=200, deadline=None)
@given(readings_lists, limits, force_lists, st.randoms(use_true_random=False))
def test_any_batching_order_and_repetition_gives_the_same_excursions(
    readings: list[Reading], limit: Limit, in_force: list[Interval], chance: random.Random
) -> None:
    store, arrived, seen_ids = Store(), set[Reading](), set[int]()
    delivery = readings + chance.sample(readings, k=len(readings) // 3)
    chance.shuffle(delivery)
    while delivery:
        size = chance.randint(1, 9)
        arrived.update(delivery[:size])
        delivery = delivery[size:]
        store.see(fast(list(arrived), limit, in_force))
        assert seen_ids <= set(store.rows), "an excursion was deleted"
        seen_ids = set(store.rows)
    want = fast(readings, limit, in_force)
    assert store.live() == [pytest.approx(_columns(run)) for run in want]
    assert not reconcile(list(store.rows.values()), want), "asking again changes nothing"


@settings(max_examples=100, deadline=None)
@given(readings_lists, limits, st.lists(force_lists, min_size=1, max_size=4))
def test_limits_in_force_may_change_too(
    readings: list[Reading], limit: Limit, histories: list[list[Interval]]
) -> None:
    store = Store()
    for in_force in histories:
        runs = fast(readings, limit, in_force)
        store.see(runs)
        assert store.live() == [pytest.approx(_columns(run)) for run in runs]
    for row in store.rows.values():
        assert (row.merged_into is None) == (row.state != "merged")
        assert row.merged_into is None or row.merged_into < row.id


def test_late_readings_extend_under_the_same_id() -> None:
    store = Store()
    store.see(fast(_minutes(0, 35, 6.0), a_limit(), ALWAYS))
    changes = store.see(fast(_minutes(0, 50, 6.0) + _minutes(50, 60, 4.0), a_limit(), ALWAYS))
    assert [(extension.excursion.id, extension.grew) for extension in changes.extended] == [(1, True)]
    assert (store.rows[1].state, store.rows[1].version) == ("closed", 2)


def test_a_closure_is_no_reason_to_call_anyone() -> None:
    store = Store()
    store.see(fast(_minutes(0, 35, 6.0), a_limit(), ALWAYS))
    (extension,) = store.see(fast([*_minutes(0, 35, 6.0), (35 * MINUTE, 4.0)], a_limit(), ALWAYS)).extended
    assert not extension.grew


def test_two_become_one_and_the_earliest_id_survives() -> None:
    store = Store()
    readings = _minutes(0, 100, 6.0)
    store.see(fast(readings, a_limit(), [(0, 40 * MINUTE), (50 * MINUTE, None)]))
    changes = store.see(fast(readings, a_limit(), ALWAYS))
    assert [(merge.excursion.id, merge.into) for merge in changes.merged] == [(2, 1)]
    assert (store.rows[2].state, store.rows[2].merged_into) == ("merged", 1)
    assert store.rows[1].minutes_at_least == 99.0


def test_a_late_recovery_voids_and_a_later_run_returns_under_the_old_id() -> None:
    store = Store()
    store.see(fast(_minutes(0, 16, 6.0) + _minutes(17, 35, 6.0), a_limit(), ALWAYS))
    late = [*_minutes(0, 16, 6.0), (16 * MINUTE, 4.0), *_minutes(17, 35, 6.0)]
    changes = store.see(fast(late, a_limit(), ALWAYS))
    assert [excursion.id for excursion in changes.voided] == [1]
    assert not store.see(fast(late, a_limit(), ALWAYS)), "void stays void without a word"
    (extension,) = store.see(fast(late + _minutes(35, 60, 6.0), a_limit(), ALWAYS)).extended
    assert (extension.excursion.id, extension.grew) == (1, True)
    assert store.rows[1].state == "open"


def test_a_run_cut_in_two_keeps_its_id_where_it_was_triggered() -> None:
    store = Store()
    readings = _minutes(0, 40, 6.0) + _minutes(41, 90, 6.0)
    store.see(fast(readings, a_limit(), ALWAYS))
    changes = store.see(fast([*readings, (40 * MINUTE, 4.0)], a_limit(), ALWAYS))
    assert [extension.excursion.id for extension in changes.extended] == [1]
    assert [run.start_ms for run in changes.opened] == [41 * MINUTE]
    assert store.rows[1].end_ms == 40 * MINUTE


def _minutes(first: int, after_last: int, value: float) -> list[Reading]:
    return [(minute * MINUTE, value) for minute in range(first, after_last)]


# --- a real logger's own alarms ---------------------------------------------------------------------


def _device_ms(text: str) -> int:
    # The export names no zone (known defect 7); only differences matter here.
    return round(datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp() * 1000)


def _qtag() -> tuple[dict[str, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    (trace,) = json.loads(vector_path("coldchain/vectors.json").read_text(encoding="utf-8"))[
        "device_alarm_traces"
    ]
    time_ms = np.array([_device_ms(text) for text, _ in trace["series"]], dtype=np.int64)
    return trace, time_ms, np.array([value for _, value in trace["series"]], dtype=np.float64)


HIGH: dict[str, Any] = {"side": "above", "operator": ">", "limit_c": 8.0}
LOW: dict[str, Any] = {"side": "below", "operator": "<", "limit_c": 2.0}


def test_the_device_marks_the_same_readings_as_out() -> None:
    _, _, value_c = _qtag()
    rows = (
        vector_path("coldchain/qtag").glob("*.txt").__next__().read_text(encoding="utf-8").split("Data:")[1]
    )
    flags = [row.split("\t")[3].strip() == "x" for row in rows.splitlines()[2:] if row.startswith("\t20")]
    out = beyond(value_c, a_limit(**HIGH)) | beyond(value_c, a_limit(**LOW))
    assert out.tolist() == flags
    assert len(flags) == 124
    count_vectors(124)


@pytest.mark.parametrize(("name", "side"), [("high_single", HIGH), ("low_single", LOW)])
def test_single_event_alarms_within_one_log_interval(name: str, side: dict[str, Any]) -> None:
    trace, time_ms, value_c = _qtag()
    interval_ms = trace["log_interval_min"] * MINUTE
    # The log is 10 minutes coarse: a device that samples finer may see 30 minutes where the log shows 20.
    runs = find_excursions(time_ms, value_c, a_limit(**side, minutes=20), ALWAYS, interval_ms)
    for alarm in trace["device_results"][name]:
        assert any(_is_the_alarm(run, alarm, interval_ms) for run in runs), alarm
        count_vectors()


def _is_the_alarm(run: Run, alarm: dict[str, Any], interval_ms: int) -> bool:
    starts = abs(run.start_ms - _device_ms(alarm["start"])) <= interval_ms
    ends = (
        run.end_ms is None
        if alarm["end"] is None
        else abs((run.end_ms or 0) - _device_ms(alarm["end"])) <= interval_ms
    )
    slack = 2 * interval_ms / MINUTE
    return starts and ends and run.minutes_at_least - slack <= alarm["minutes"] <= run.minutes_at_most + slack


@pytest.mark.parametrize(("name", "side"), [("high_cumulative", HIGH), ("low_cumulative", LOW)])
def test_cumulative_alarms(name: str, side: dict[str, Any]) -> None:
    trace, time_ms, value_c = _qtag()
    want = trace["device_results"][name]
    (run,) = find_excursions(
        time_ms,
        value_c,
        a_limit(**side, mode="cumulative", minutes=60),
        ALWAYS,
        trace["log_interval_min"] * MINUTE,
    )
    assert abs(run.start_ms - _device_ms(want["first_out"])) <= 10 * MINUTE
    assert run.minutes_at_least <= want["minutes"] <= run.minutes_at_most + 10
    count_vectors()


def test_several_dips_shorter_than_the_hold_raise_no_alarm() -> None:
    rules = json.loads(vector_path("coldchain/vectors.json").read_text(encoding="utf-8"))["published_rules"]
    rule = next(rule["rule"] for rule in rules if rule["id"] == "berlinger-single-vs-cumulative")
    limit = a_limit(side="below", operator=rule["op"], limit_c=rule["limit_c"], minutes=rule["minutes"])
    dips = [
        reading
        for k in range(4)
        for reading in (*_minutes(k * 60, k * 60 + 53, -1.0), *_minutes(k * 60 + 53, k * 60 + 60, 1.0))
    ]
    assert not fast(dips, limit, ALWAYS)
    count_vectors()
