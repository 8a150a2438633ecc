"""Clocks that are known, delays that are never negative: what comes out is the clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.clock.fitting import TOLERANCE_MS, Piece, fit

START = 1_780_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
EVERY = 30 * MINUTE


@dataclass(frozen=True)
class Clock:
    """Shows true time minus `offset_ms`, less `drift_ppm` of what passed since the start."""

    offset_ms: float
    drift_ppm: float = 0.0

    def shows(self, true_ms: int) -> int:
        return round(true_ms - self.offset_ms - self.drift_ppm * 1e-6 * (true_ms - START))


def samples(
    clock: Clock, begin: int, end: int, seed: int = 1, delay_ms: float = 400.0
) -> list[tuple[int, int]]:
    """(received, sent): one each half an hour, later by a delay that is seldom small."""
    rng = np.random.default_rng(seed)
    return [
        (at + round(float(rng.exponential(delay_ms))), clock.shows(at))
        for at in range(START + begin, START + end, EVERY)
    ]


def fitted(found: list[tuple[int, int]], before_ms: int | None = None) -> list[Piece]:
    return fit([each[0] for each in found], [each[1] for each in found], before_ms)


def test_no_samples_are_no_clock() -> None:
    assert fit([], []) == []


def test_one_sample_is_a_clock_for_all_times() -> None:
    (piece,) = fitted([(START + 5_000, START)])
    assert (piece.from_ms, piece.to_ms, piece.offset_ms, piece.drift_ppm) == (None, None, 5_000, 0)
    assert piece.corrected_ms(START - DAY) == START - DAY + 5_000


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-DAY, DAY).map(round),
    st.floats(-80, 80),
    st.integers(0, 2**32 - 1),
    st.floats(10, 500),
)
def test_offset_and_drift_are_found_from_below(
    offset_ms: int, drift_ppm: float, seed: int, delay_ms: float
) -> None:
    """To the tolerance, and what a clock drifts before a day is over and its drift is known."""
    clock = Clock(offset_ms, drift_ppm)
    found = samples(clock, 0, 5 * DAY, seed, delay_ms)
    pieces = fitted(found)
    for at in range(START + 2 * HOUR, START + 5 * DAY - HOUR, 7 * HOUR):
        shown = clock.shows(at)
        (piece,) = [
            each
            for each in pieces
            if (each.from_ms is None or each.from_ms <= shown) and (each.to_ms is None or shown < each.to_ms)
        ][-1:]
        assert abs(piece.corrected_ms(shown) - at) <= TOLERANCE_MS + 80e-6 * DAY
    for received, sent in found:
        assert min(each.corrected_ms(sent) for each in pieces) <= received + 1e-3


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(20)), st.integers(0, 1000))
def test_the_order_in_which_samples_come_is_nothing(order: list[int], seed: int) -> None:
    found = samples(Clock(7_000, 20), 0, 20 * EVERY, seed)
    assert fitted([found[place] for place in order]) == fitted(found)


@pytest.mark.parametrize("change_ms", [-DAY // 2, -3 * HOUR, -90_000, 90_000, HOUR, DAY // 2])
def test_a_clock_that_was_set_begins_a_new_piece(change_ms: int) -> None:
    """Forward (its offset falls) and back."""
    first, second = Clock(1_000), Clock(1_000 + change_ms)
    found = samples(first, 0, DAY) + samples(second, DAY, 2 * DAY, 2)
    before, after = fitted(found)
    assert before.offset_ms == pytest.approx(1_000, abs=400)
    assert after.offset_ms == pytest.approx(1_000 + change_ms, abs=400)
    assert (before.seen_to_ms, after.seen_from_ms) == (after.first_ms, after.first_ms)
    # What either clock showed is in its piece, also what was measured between two samples.
    for clock, piece, moments in ((first, before, range(0, DAY - EVERY, HOUR)), (second, after, range(DAY, 2 * DAY, HOUR))):  # fmt: skip
        for at in moments:
            shown = clock.shows(START + at)
            assert piece.from_ms is None or piece.from_ms <= shown
            assert piece.to_ms is None or shown < piece.to_ms


def test_a_backlog_is_no_clock() -> None:
    """Two hours of messages waited at the broker and come at once, the oldest first."""
    true = samples(Clock(0), 0, DAY)
    waited = [(START + DAY + 2 * HOUR, START + DAY + at) for at in range(0, 2 * HOUR, 5 * MINUTE)]
    after = samples(Clock(0), DAY + 2 * HOUR, 2 * DAY, 3)
    (piece,) = fitted(true + waited + after)
    assert abs(piece.offset_ms) < 400
    (alone,) = fitted(waited + after)
    assert abs(alone.offset_ms) < 400, "also where nothing was known before"


def test_a_single_slip_is_no_clock() -> None:
    found = samples(Clock(0), 0, DAY)
    slipped = (START + DAY, START + DAY + HOUR)  # once it said an hour later
    pieces = fitted([*found, slipped, *samples(Clock(0), DAY + EVERY, 2 * DAY, 2)])
    assert all(abs(piece.offset_ms) < 400 for piece in pieces)
    *_, last = fitted([*found, slipped])
    assert last.offset_ms == -HOUR, "until more is heard it is proof that the clock was so far ahead"


def test_one_late_sample_is_not_yet_a_clock_set_back() -> None:
    found = samples(Clock(0), 0, DAY)
    (piece,) = fitted([*found, (START + DAY, START + DAY - HOUR)])
    assert abs(piece.offset_ms) < 400


def test_a_piece_is_a_week_at_most() -> None:
    pieces = fitted(samples(Clock(0, 30), 0, 20 * DAY))
    assert len(pieces) == 3
    assert all(piece.drift_ppm == pytest.approx(30, abs=3) for piece in pieces[:2])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(-DAY, DAY)), min_size=1, max_size=6),
    st.integers(0, 99),
)
def test_made_again_from_the_last_piece_but_one_it_is_the_same(
    parts: list[tuple[int, int]], seed: int
) -> None:
    """As the consumer does when new samples come."""
    found: list[tuple[int, int]] = []
    begin = 0
    for length, offset in parts:
        found += samples(Clock(offset), begin, begin + length * EVERY, seed)
        begin += length * EVERY
    whole = fitted(found)
    if len(whole) >= 2:
        since = whole[-2].first_ms
        before = whole[-3].last_ms if len(whole) >= 3 else None
        again = fitted([each for each in found if each[0] >= since], before)
        assert again == whole[-2:]
