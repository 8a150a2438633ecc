"""What a portion was in: minutes that add up, gaps that stay gaps, sensors that contradict each other."""

import json
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.coldchain.exposure import Exposure, expose
from ingest.coldchain.timeline import LegError, pieces
from tests.unit.ingest.coldchain.cases import MINUTE, a_leg, a_limit, a_sensor, every_minute, series
from tests.vectors import count_vectors, vector_path


def test_a_leg_measured_throughout() -> None:
    found = expose([a_leg(0, 60, a_sensor(every_minute((0, 10, 4.0), (10, 45, 6.0), (45, 60, 4.0))))])
    assert (found.minutes, found.minutes_measured, found.minutes_unobserved) == (60, 60, 0)
    (limit,) = found.limits
    assert (limit.minutes_out_at_least, limit.minutes_out_at_most, limit.area_c_min) == (34, 36, 34)
    assert (found.min_c, found.max_c) == (4.0, 6.0)
    assert found.mean_kinetic_c is not None
    assert 4.0 < found.mean_kinetic_c < 6.0


def test_a_gap_is_neither_in_nor_out() -> None:
    found = expose([a_leg(0, 90, a_sensor(every_minute((0, 20, 6.0), (60, 90, 6.0))))])
    (limit,) = found.limits
    assert (limit.minutes, limit.minutes_measured, limit.minutes_unobserved) == (90, 49, 41)
    assert limit.minutes_out_at_least == 48
    assert limit.minutes_out_at_most == 49  # the edge behind the last reading; the gap is unobserved


def test_a_gap_is_measured_against_the_devices_own_interval() -> None:
    slow = series(*((minute, 4.0) for minute in range(0, 120, 30)))
    assert expose([a_leg(0, 120, a_sensor(slow, interval=30))]).minutes_unobserved == 0
    assert expose([a_leg(0, 120, a_sensor(slow, interval=1))]).minutes_unobserved == 120


def test_before_the_first_and_behind_the_last_reading_nothing_is_known() -> None:
    found = expose([a_leg(0, 100, a_sensor(every_minute((30, 70, 4.0))))])
    assert (found.minutes_measured, found.minutes_unobserved) == (39, 61)


def test_a_sensor_says_nothing_beyond_its_placement() -> None:
    readings = every_minute((0, 50, 20.0), (50, 100, 4.0))
    found = expose([a_leg(0, 100, a_sensor(readings, since=50))])
    assert (found.max_c, found.minutes_measured, found.minutes_unobserved) == (4.0, 50, 50)
    removed = expose([a_leg(200, 300, a_sensor(readings, since=0, until=100))])
    assert (removed.minutes_measured, removed.max_c) == (0, None)


def test_nobody_measured() -> None:
    found = expose([a_leg(0, 60)])
    assert (found.minutes_measured, found.minutes_unobserved, found.mean_kinetic_c) == (0, 60, None)
    assert found.limits[0].minutes_out_at_most == 0


def test_time_the_legs_leave_out_is_a_leg_of_unknown_place() -> None:
    cold = every_minute((0, 100, 4.0))
    found = expose([a_leg(60, 100, a_sensor(cold)), a_leg(0, 40, a_sensor(cold))])
    assert [leg.leg.place for leg in found.legs] == ["truck", None, "truck"]
    assert (found.minutes, found.minutes_unobserved) == (100, 20)
    assert found.limits[0].minutes == 100, "goods need cold also where nobody looked"


def test_legs_that_are_no_journey_are_refused() -> None:
    with pytest.raises(LegError, match="overlap"):
        expose([a_leg(0, 40), a_leg(30, 50)])
    with pytest.raises(LegError, match="before it starts"):
        expose([a_leg(40, 0)])
    with pytest.raises(LegError, match="interval is above 0"):
        expose([a_leg(0, 40, a_sensor(every_minute((0, 5, 4.0)), interval=0))])
    assert expose([]).minutes == 0


def test_positions_the_limit_does_not_name_are_shown_but_not_judged() -> None:
    pulp = a_sensor(every_minute((0, 60, 9.0)), "probe", "pulp")
    found = expose([a_leg(0, 60, pulp, a_sensor(every_minute((0, 60, 4.0))))])
    assert found.max_c == 4.0
    assert {sensor.series: sensor.max_c for sensor in found.legs[0].series} == {"probe": 9.0, "s1": 4.0}
    assert found.limits[0].minutes_out_at_most == 0


def test_without_a_limit_everything_measured_is_shown() -> None:
    pulp = a_sensor(every_minute((0, 60, 20.0)), "probe", "pulp")
    found = expose([a_leg(0, 60, pulp, limits=())])
    assert (found.max_c, found.minutes_measured, found.limits) == (20.0, 60, ())


def test_one_sensor_watches_while_another_is_silent() -> None:
    half, other = every_minute((0, 30, 4.0)), every_minute((30, 60, 4.0))
    found = expose([a_leg(0, 60, a_sensor(half, "a"), a_sensor(other, "b", "in_box"))])
    assert found.minutes_unobserved == pytest.approx(0, abs=1)
    assert found.limits[0].minutes_unobserved == found.minutes_unobserved


def test_of_two_sensors_the_worst_counts_alone() -> None:
    early = every_minute((0, 20, 6.0), (20, 60, 4.0))
    late = every_minute((0, 30, 4.0), (30, 55, 7.0), (55, 60, 4.0))
    (limit,) = expose([a_leg(0, 60, a_sensor(early, "a"), a_sensor(late, "b"))]).limits
    assert (limit.minutes_out_at_least, limit.minutes_out_at_most) == (24, 46)
    assert limit.area_c_min == 48


def test_sensors_that_disagree_are_named() -> None:
    a = a_sensor(every_minute((0, 60, 4.0)), "a")
    b = a_sensor(every_minute((0, 20, 4.0), (20, 55, 7.5), (55, 60, 4.0)), "b")
    (found,) = expose([a_leg(0, 60, b, a)]).disagreements
    assert (found.series, found.position, found.minutes, found.largest_c) == (
        ("a", "b"),
        "return_air",
        34,
        3.5,
    )


@pytest.mark.parametrize(
    ("minutes", "degrees", "position"),
    [(29, 3.5, "return_air"), (40, 2.0, "return_air"), (40, 3.5, "in_box")],
)
def test_a_small_or_short_difference_is_none(minutes: int, degrees: float, position: str) -> None:
    a = a_sensor(every_minute((0, 60, 4.0)), "a")
    b = a_sensor(every_minute((0, minutes, 4.0 + degrees), (minutes, 60, 4.0)), "b", position)  # type: ignore[arg-type]
    assert not expose([a_leg(0, 60, a, b)]).disagreements


def test_a_silent_sensor_contradicts_nobody() -> None:
    a = a_sensor(every_minute((0, 100, 4.0)), "a")
    b = a_sensor(every_minute((0, 5, 9.0), (95, 100, 9.0)), "b")
    assert not expose([a_leg(0, 100, a, b)]).disagreements


def test_the_mean_is_weighted_by_time_not_by_readings() -> None:
    # Dense while warm: a mean over readings would say 8 and more.
    dense = series(
        *((minute / 10, 9.0) for minute in range(100)), *((minute, 3.0) for minute in range(10, 100))
    )
    (sensor,) = expose([a_leg(0, 100, a_sensor(dense))]).legs[0].series
    assert sensor.mean_c == pytest.approx(3.6, abs=0.05)


# --- cutting a journey changes nothing ---------------------------------------------------------------

readings = st.lists(
    st.tuples(st.integers(0, 120), st.sampled_from([3.0, 5.5, 7.25])),
    max_size=60,
    unique_by=lambda one: one[0],
).map(sorted)
cuts = st.lists(st.integers(1, 119), max_size=4, unique=True).map(sorted)


def cut(points: list[tuple[int, float]], at: list[int], interval: int) -> Exposure:
    sensor = a_sensor(series(*points), interval=interval, since=0, until=120)
    edges = [0, *at, 120]
    return expose(a_leg(a, b, sensor) for a, b in pairwise(edges))


@settings(max_examples=200, deadline=None)
@given(readings, cuts, st.integers(1, 5))
def test_minutes_add_up_however_the_journey_is_cut(
    points: list[tuple[int, float]], at: list[int], interval: int
) -> None:
    whole, parts = cut(points, [], interval), cut(points, at, interval)
    for one, other in zip(whole.limits, parts.limits, strict=True):
        assert one.minutes == pytest.approx(one.minutes_measured + one.minutes_unobserved)
        assert 0 <= one.minutes_out_at_least <= one.minutes_out_at_most <= one.minutes_measured + 1e-9
        assert other.minutes == pytest.approx(one.minutes)
        assert other.minutes_unobserved == pytest.approx(one.minutes_unobserved)
        assert other.minutes_out_at_least == pytest.approx(one.minutes_out_at_least)
        assert other.minutes_out_at_most == pytest.approx(one.minutes_out_at_most)
    assert parts.minutes_measured == pytest.approx(whole.minutes_measured)
    assert (parts.min_c, parts.max_c) == (whole.min_c, whole.max_c)


@settings(max_examples=100, deadline=None)
@given(readings, st.integers(1, 5))
def test_weights_are_the_known_time(points: list[tuple[int, float]], interval: int) -> None:
    sensor = a_sensor(series(*points), interval=interval)
    own = pieces(sensor, a_leg(0, 121, sensor))
    assert own.weight_ms().sum() == own.known_ms()


# --- a real logger that lost its sensor --------------------------------------------------------------


def test_rows_without_a_reading_are_unknown() -> None:
    (case,) = json.loads(vector_path("coldchain/vectors.json").read_text(encoding="utf-8"))["missing_data"]
    text = vector_path("coldchain/" + case["data_file"]).read_text(encoding="utf-8")
    rows = [row.split("\t")[1:3] for row in text.splitlines() if row.startswith("\t20")]
    missing = [time for time, value in rows if value.strip() == "--.-"]
    assert missing == [time for time, _ in case["missing_rows"]]
    points = sorted((_minute(time), float(value)) for time, value in rows if value.strip() != "--.-")
    first, last = min(_minute(time) for time, _ in rows), max(_minute(time) for time, _ in rows)
    warm = a_limit(limit_c=-60.0, minutes=60)
    leg = a_leg(first, last + 5, a_sensor(series(*points), interval=5), limits=(warm,))
    (limit,) = expose([leg], gap_factor=1.0).limits
    assert limit.minutes_unobserved == pytest.approx(5 * len(missing), abs=5)
    assert limit.minutes_out_at_most < limit.minutes, "missing rows are not counted as out either"
    count_vectors(len(missing))


def _minute(text: str) -> int:
    return round(datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp() / 60)


def test_many_readings_without_a_loop_over_them() -> None:
    rng = np.random.default_rng(7)
    time_ms = np.arange(200_000, dtype=np.int64) * MINUTE
    sensor = a_sensor((time_ms, rng.normal(4, 1, time_ms.size)))
    found = expose([a_leg(k * 20_000, (k + 1) * 20_000, sensor) for k in range(10)])
    assert found.minutes_measured == 200_000
