"""Series that are made to be ill, and noisy ones that are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.health import judging
from ingest.health.judging import WELL, Finding, Judgement
from ingest.health.thresholds import KINDS, Battery, Flat, Kind, shipped

RULES = shipped()
NOW = 1_781_950_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FLAT = RULES.stuck.quantities["temperature"]
JUMP = RULES.jumping.quantities["temperature"]
BATTERY = RULES.low_battery.quantities["battery_level"]


def times(count: int, step_ms: int = MINUTE) -> judging.Times:
    return NOW - step_ms * np.arange(count - 1, -1, -1)


def found(judgement: Judgement, kind: Kind) -> Finding:
    assert isinstance(judgement, Finding) and judgement.kind == kind
    return judgement


def test_silence_is_counted_in_intervals_and_is_never_shorter_than_a_quarter() -> None:
    rule = RULES.silent
    assert judging.silent(None, None, NOW, 60, rule) is None, "never heard is not silent"
    assert judging.silent(NOW, NOW - 15 * MINUTE, NOW, 60, rule) == WELL
    silent = found(judging.silent(NOW - HOUR, NOW - 16 * MINUTE, NOW, 60, rule), "silent")
    assert silent.since_ms == NOW - 16 * MINUTE
    assert silent.evidence["allowed_s"] == 900
    assert judging.silent(NOW, NOW - 16 * MINUTE, NOW, 600, rule) == WELL
    assert found(judging.silent(NOW, NOW - HOUR, NOW, 600, rule), "silent").evidence["allowed_s"] == 3000


def test_half_a_day_at_one_value_is_stuck() -> None:
    values = np.full(60, 4.1)
    since = NOW - 13 * HOUR
    stuck = found(judging.stuck(times(60), values, since, RULES.stuck, FLAT), "stuck")
    assert (stuck.since_ms, stuck.evidence["value"], stuck.evidence["hours"]) == (since, 4.1, 13.0)
    assert stuck.evidence["readings"][-1] == [NOW, 4.1]
    assert judging.stuck(times(60), values, NOW - 11 * HOUR, RULES.stuck, FLAT) is None, "not yet"
    assert judging.stuck(times(20, HOUR), values[:20], None, RULES.stuck, FLAT) is None, "too few"
    values[-1] = 4.2
    assert judging.stuck(times(60), values, None, RULES.stuck, FLAT) == WELL


def test_air_that_is_full_of_water_is_not_stuck() -> None:
    full = RULES.stuck.quantities["humidity"]
    assert judging.stuck(times(60), np.full(60, 100.0), NOW - 2 * DAY, RULES.stuck, full) == WELL
    assert found(judging.stuck(times(60), np.full(60, 91.0), NOW - DAY, RULES.stuck, full), "stuck")
    assert not judging.is_flat(np.empty(0), Flat())


def test_a_loose_wire_jumps_and_a_door_does_not() -> None:
    values = np.full(60, 3.0)
    values[[10, 30, 50]] = 85.0
    jumping = found(judging.jumping(times(60), values, 0.5, RULES.jumping, JUMP), "jumping")
    assert jumping.evidence["times"] == 3 and jumping.since_ms == int(times(60)[10])
    assert [value for _, value in jumping.evidence["readings"]] == [85.0] * 3
    values[50] = 3.0
    assert judging.jumping(times(60), values, 0.5, RULES.jumping, JUMP) == WELL, "twice is chance"
    door = np.concatenate([np.full(20, 3.0), np.linspace(3, 14, 6), np.linspace(14, 3, 34)])
    assert judging.jumping(times(60), door, 0.5, RULES.jumping, JUMP) == WELL
    defrost = np.full(60, 2.0)
    defrost[[10, 30, 50]] = 14.0  # every ten minutes: the air has time for it
    assert judging.jumping(times(60, 10 * MINUTE), defrost, 0.5, RULES.jumping, JUMP) == WELL
    assert judging.jumping(times(2), values[:2], 0.5, RULES.jumping, JUMP) is None


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.5), st.floats(-25, 30), st.floats(-2, 2))
def test_noise_within_the_accuracy_is_no_finding(seed: int, noise: float, level: float, trend: float) -> None:
    """Nor is a room that cools or warms."""
    rng = np.random.default_rng(seed)
    values = level + trend * np.arange(60) / 60 + np.clip(rng.normal(0, noise, 60), -1, 1)
    assert judging.jumping(times(60), values, 0.5, RULES.jumping, JUMP) == WELL
    assert not isinstance(judging.stuck(times(60), values, None, RULES.stuck, FLAT), Finding)


def test_a_battery_is_low_by_the_middle_of_its_last_readings() -> None:
    low = found(
        judging.low_battery(times(6), np.array([30.0, 24, 21, 19, 18, 18]), 3, BATTERY), "low_battery"
    )
    assert (low.evidence["level"], low.since_ms) == (18.0, int(times(6)[3]))
    assert judging.low_battery(times(6), np.array([80.0, 80, 80, 80, 2, 80]), 3, BATTERY) == WELL
    assert judging.low_battery(times(3), np.array([22.0, 22, 22]), 3, BATTERY) is None, "neither"
    assert judging.low_battery(times(2), np.array([2.0, 2]), 3, BATTERY) is None
    cell = Battery(below=3.3, well_from=3.4)
    assert found(judging.low_battery(times(3), np.array([3.2, 3.1, 3.2]), 3, cell), "low_battery")


@pytest.mark.parametrize(("offset_ms", "off_s"), [(180_000, -180.0), (-7_200_000, 7200.0)])
def test_a_clock_is_off_beyond_two_minutes(offset_ms: float, off_s: float) -> None:
    skew = found(judging.clock_skew(offset_ms, 12.0, 9, NOW - DAY, RULES.clock_skew), "clock_skew")
    assert (skew.evidence["off_s"], skew.evidence["samples"]) == (off_s, 9), "positive: ahead of ours"
    assert judging.clock_skew(90_000, 0, 9, NOW, RULES.clock_skew) is None
    assert judging.clock_skew(-59_000, 0, 9, NOW, RULES.clock_skew) == WELL


def days(seed: int = 1, noise: float = 0.2) -> tuple[judging.Times, np.ndarray, np.ndarray]:
    """A week of a room, and what two sensors in it add to it."""
    rng = np.random.default_rng(seed)
    room = 3 + np.sin(np.arange(168) / 24 * 2 * np.pi)
    return NOW + HOUR * np.arange(-168, 0), room + rng.normal(0, noise, 168), room + rng.normal(0, noise, 168)


def test_a_sensor_that_moves_away_from_another_drifts_and_nobody_says_which() -> None:
    hours, own, other = days()
    away = own + np.linspace(0, 3, 168)
    first = found(judging.drifting(hours, away, {8: other}, 0.3, {8: 0.3}, RULES.drifting), "drifting")
    second = found(judging.drifting(hours, other, {7: away}, 0.3, {7: 0.3}, RULES.drifting), "drifting")
    assert first.evidence["alone"] and first.evidence["beside"] == [8]
    assert first.evidence["moved"] == pytest.approx(-second.evidence["moved"])
    assert first.evidence["moved"] > first.evidence["allowed"] == pytest.approx(1.2)


def test_of_three_the_one_that_moves_is_named() -> None:
    hours, own, other = days()
    third, away = days(2)[1], own + np.linspace(0, -3, 168)
    accuracies = {8: 0.3, 9: 0.3}
    assert found(
        judging.drifting(hours, away, {8: other, 9: third}, 0.3, accuracies, RULES.drifting), "drifting"
    )
    still = judging.drifting(hours, other, {7: away, 9: third}, 0.3, {7: 0.3, 9: 0.3}, RULES.drifting)
    assert still == WELL


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-5, 5), st.floats(0, 0.4))
def test_two_that_always_differed_do_not_drift(seed: int, apart: float, noise: float) -> None:
    hours, own, other = days(seed, noise)
    assert judging.drifting(hours, own + apart, {8: other}, 0.3, {8: 0.3}, RULES.drifting) == WELL


def test_what_was_hung_elsewhere_at_once_does_not_drift_and_a_lone_one_is_not_judged() -> None:
    hours, own, other = days(noise=0.0)
    moved = own + np.where(np.arange(168) < 56, 0, 3)
    assert judging.drifting(hours, moved, {8: other}, 0.3, {8: 0.3}, RULES.drifting) == WELL
    assert judging.drifting(hours, moved, {}, 0.3, {}, RULES.drifting) is None
    gaps = np.where(np.arange(168) % 3 == 0, own, np.nan)
    assert judging.drifting(hours, gaps, {8: other}, 0.3, {8: 0.3}, RULES.drifting) is None, "too few hours"


def test_every_kind_is_judged_here() -> None:
    assert [name for name in KINDS if not hasattr(judging, name)] == []
