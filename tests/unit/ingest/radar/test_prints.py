"""Copied readings are told from readings that only look alike: stuck, coarse, clockwork, or of the same weather."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.radar.prints import Values, bits_per_reading, fingerprints, same_stretch
from ingest.radar.thresholds import shipped

RULE = shipped().copies


def walk(count: int, seed: int, resolution: float = 0.1) -> Values:
    steps = np.random.default_rng(seed).choice([-2, -1, 0, 0, 1, 2], count)
    return np.round(4 + np.cumsum(steps) * resolution, 3)


def common(one: Values, other: Values) -> set[int]:
    return set(fingerprints(one, RULE)[1].tolist()) & set(fingerprints(other, RULE)[1].tolist())


@given(
    seed=st.integers(0, 2**16),
    begin=st.integers(0, 300),
    length=st.integers(RULE.row + RULE.window - 1 + 8, 120),
    ahead=st.integers(0, 90),
)
def test_any_copied_stretch_has_a_fingerprint_in_common_at_any_shift(
    seed: int, begin: int, length: int, ahead: int
) -> None:
    one = walk(500, seed)
    stretch = one[begin : begin + length]
    if (np.diff(stretch) != 0).sum() < len(stretch) / 2:
        return  # mostly at rest: rows that say nothing have no fingerprint
    other = np.concatenate([walk(ahead, seed + 1) + 40, stretch, walk(50, seed + 2) + 40])
    assert common(one, other)


def test_who_has_nothing_to_tell_has_no_fingerprint() -> None:
    assert not len(fingerprints(np.full(500, 4.0), RULE)[0]), "stuck"
    door = np.array([2.0] * 100 + [2.5] * 100 + [2.0] * 100)
    assert not len(fingerprints(door, RULE)[0]), "a door"
    assert not len(fingerprints(np.array([1.0, 2.0]), RULE)[0])


def test_two_trucks_of_one_fleet_have_none_in_common() -> None:
    assert not any(common(walk(2000, seed), walk(2000, seed + 1000)) for seed in range(20))


def test_the_stretch_is_found_to_its_ends() -> None:
    one = walk(300, 1)
    other = np.concatenate([[90.0, 91.0], one[50:150], [92.0]])
    assert same_stretch(one, other, 80, 32) == (30, 70)
    assert same_stretch(one, one, 0, 0) == (0, 300)


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        (np.full(400, 3.0), 0, 0),
        (np.tile([4.0, 4.1, 4.2, 4.3, 4.4, 4.2, 4.1], 60), 0, 0.8),  # up and down like clockwork
        (np.repeat(walk(40, 3, 0.5), 10), 0, 1.0),  # coarse: at rest most of the time
        (walk(400, 5), 1.5, 2.6),
        (walk(400, 5, 0.01), 1.5, 2.6),
    ],
)
def test_a_reading_says_as_much_as_it_surprises(values: Values, least: float, most: float) -> None:
    assert least <= bits_per_reading(values) <= most
