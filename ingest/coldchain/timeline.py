"""Legs and what their sensors say of every moment: in, possibly beyond a limit, or unknown.

In the line: placements, portions and readings -> `Leg` -> here -> exposure (how long) and verdict (at
least, at most). Contract:
- A moment is observed when a sensor at a position that the limit names measured around it, within
  `gap_factor` x its interval; all other time is unknown, which is neither in nor out.
- Each sensor is judged alone for what happened at least: two sensors that are briefly warm one after
  the other do not add up. For what happened at most, a moment counts if any sensor allows it.
- A gap shorter than the hold breaks no stretch that is beyond on both sides, and makes no stretch by
  itself; a longer one does break it, since the goods may have been cold in between.
- The portion is judged, not the leg: a stretch goes on across a hand-over.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, TypeVar

import numpy as np

from ingest.coldchain.excursions import (
    BoolArray,
    FloatArray,
    IntArray,
    Stretches,
    beyond,
    check_series,
    find_stretches,
    unknown_steps,
)
from ingest.coldchain.limits import ColdChainError, Limit, Position
from ingest.coldchain.told import Told, ToldUnder

GAP_FACTOR: Final = 2.0
Made = TypeVar("Made")


class LegError(ColdChainError):
    """The legs of a portion are no journey: order them, and let none overlap or end before it starts."""


@dataclass(frozen=True, slots=True, eq=False)
class ObservedSeries:
    """One sensor as placed in a leg.

    `time_ms`: int64[n], strictly rising; `value_c`: float64[n]. Readings outside the placement
    [`since_ms`, `until_ms`) are not used; None means that it lasted as long as the readings given.
    Readings just outside the leg are welcome: they tell what was between them and the leg's own, so
    that cutting a journey into legs changes no minute of it. `interval_ms`: as configured at that
    time. `accuracy_c`: the sensor's own, None if nobody stated it. `failed_ms`: int64[m], rising, when it said that it had
    no value: what is around such a moment is unknown.
    """

    series: str
    position: Position
    time_ms: IntArray
    value_c: FloatArray
    interval_ms: int
    accuracy_c: float | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    failed_ms: IntArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """A portion's stay in one place, with one holder and in one stage, [start_ms, end_ms).

    `place` is None where nobody recorded it. `limits`: those in force here. A leg that still lasts
    ends at the time of asking. `told`: of sensors whose readings may not be seen, together with those
    of `series`; then it is judged by that.
    """

    place: str | None
    place_kind: str
    holder: str
    stage: str
    start_ms: int
    end_ms: int
    series: tuple[ObservedSeries, ...] = ()
    limits: tuple[Limit, ...] = ()
    told: Told | None = None
    # A leg never changes and is judged many times (by every limit, with and without accuracy, behind every input of a
    # mixed lot), so what was cut once is kept with it.
    kept: dict[tuple[object, ...], Any] = field(default_factory=dict, repr=False)

    def bound_by(self, limit: Limit) -> bool:
        """Whether this version of the limit is in force here."""
        return any(own.key == limit.key for own in self.limits)

    def named_by(self, limit: Limit) -> tuple[ObservedSeries, ...]:
        """The sensors at positions the limit speaks of."""
        return tuple(series for series in self.series if series.position in limit.positions)

    def told_under(self, limit: Limit, accuracy_c: float | None) -> ToldUnder | None:
        """What is told instead of readings, with accuracy weighed unless `accuracy_c` is None."""
        return None if self.told is None else self.told.under(limit.key, accuracy_c is not None)


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """One sensor's share of a leg, cut at its readings.

    `bounds_ms`: int64[k+1], from the placement's start in the leg to its end; `known`: bool[k], per
    piece. `time_ms`, `value_c`: the readings inside. `around_c`: those and one neighbour on either
    side where there is one; `begins`, `ends`: whether the first and last bound are no reading.
    """

    bounds_ms: IntArray
    known: BoolArray
    time_ms: IntArray
    value_c: FloatArray
    around_c: FloatArray
    begins: bool
    ends: bool

    def duration_ms(self) -> IntArray:
        """int64[k]."""
        return np.diff(self.bounds_ms)

    def inner(self) -> slice:
        """The pieces between two readings, one fewer than `around_c` has."""
        return slice(int(self.begins), int(self.begins) + self.around_c.size - 1)

    def known_ms(self) -> int:
        return int(self.duration_ms()[self.known].sum())

    def touching(self, out: BoolArray) -> BoolArray:
        """Known pieces with a reading beyond at one end or both; `out` belongs to `around_c`."""
        flags = self._at_bounds(out)
        return self.known & (flags[:-1] | flags[1:])

    def between(self, out: BoolArray) -> BoolArray:
        """Known pieces with a reading beyond at both ends; `out` belongs to `around_c`."""
        flags = self._at_bounds(out)
        return self.known & flags[:-1] & flags[1:]

    def weight_ms(self) -> FloatArray:
        """How much known time each of `around_c` stands for: half of a piece between, all of an edge."""
        known_ms = np.where(self.known, self.duration_ms(), 0).astype(np.float64)
        shares = known_ms / 2
        if self.begins:
            shares[0] = known_ms[0]
        if self.ends:
            shares[-1] = known_ms[-1]
        before = shares if self.begins else np.concatenate(([0.0], shares))
        after = shares if self.ends else np.concatenate((shares, [0.0]))
        return (
            (before[: self.around_c.size] + after[-self.around_c.size :])
            if self.around_c.size
            else shares[:0]
        )

    def _at_bounds(self, out: BoolArray) -> BoolArray:
        return np.concatenate(([False] * self.begins, out, [False] * self.ends)).astype(np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A stretch of time in pieces: `duration_ms` int64[k], `unknown` and `maybe` bool[k], never both.

    `maybe`: a sensor allows that the limit was passed. Neither: it was kept as far as one can tell.
    """

    duration_ms: IntArray
    unknown: BoolArray
    maybe: BoolArray

    def sum_ms(self, flag: BoolArray) -> int:
        """All flagged pieces together."""
        return int(self.duration_ms[flag].sum())

    def longest_ms(self, flag: BoolArray) -> int:
        """The longest sequence of flagged pieces."""
        if not bool(flag.any()):
            return 0
        ends_ms = np.cumsum(self.duration_ms)
        padded = np.concatenate(([False], flag, [False]))
        first = np.flatnonzero(padded[1:] & ~padded[:-1])
        after = np.flatnonzero(padded[:-1] & ~padded[1:])
        starts_ms = np.concatenate(([0], ends_ms))
        return int((starts_ms[after] - starts_ms[first]).max())


@dataclass(frozen=True, slots=True)
class Band:
    """How long a portion was beyond a limit, in the limit's own mode, and what is behind the number.

    `at_least_ms` with the accuracy in the judged party's favour, `at_most_ms` with it against, and
    unknown counted as out. What would remain of that if gaps turned out to be in range:
    `at_most_if_uploaded_ms`, the gaps of devices that were there; `at_most_if_filled_ms`, all gaps.
    `surely_out`, `maybe_out`: whether any reading was beyond, so counted.
    """

    at_least_ms: int
    at_most_ms: int
    at_most_if_uploaded_ms: int
    at_most_if_filled_ms: int
    unknown_ms: int
    longest_unknown_ms: int
    surely_out: bool
    maybe_out: bool
    measured: bool


def journey(legs: Iterable[Leg]) -> tuple[Leg, ...]:
    """The legs in time order, with a leg of unknown place where the record leaves time out.

    There the limits of the leg before go on: goods do not stop to need cold because nobody looked.
    Raises LegError, or SeriesError of a series that is none.
    """
    ordered = sorted(legs, key=lambda leg: (leg.start_ms, leg.end_ms))
    for leg in ordered:
        _check_leg(leg)
    whole = ordered[:1]
    for before, leg in pairwise(ordered):
        if leg.start_ms < before.end_ms:
            raise LegError(f"legs overlap: one ends at {before.end_ms}, the next starts at {leg.start_ms}")
        if leg.start_ms > before.end_ms:
            whole.append(
                Leg(None, "unknown", "", before.stage, before.end_ms, leg.start_ms, limits=before.limits)
            )
        whole.append(leg)
    return tuple(whole)


def pieces(series: ObservedSeries, leg: Leg, gap_factor: float = GAP_FACTOR) -> Pieces:
    """A sensor's readings inside leg and placement, and which of the time between them is known."""
    return once(leg, ("pieces", series, gap_factor), lambda: _pieces(series, leg, gap_factor))


def once(leg: Leg, key: tuple[object, ...], make: Callable[[], Made]) -> Made:
    """What `make` gives for this leg, made the first time it is asked for."""
    if key not in leg.kept:
        leg.kept[key] = make()
    made: Made = leg.kept[key]
    return made


def _pieces(series: ObservedSeries, leg: Leg, gap_factor: float) -> Pieces:
    since_ms = leg.start_ms if series.since_ms is None else series.since_ms
    until_ms = leg.end_ms if series.until_ms is None else series.until_ms
    start_ms = min(max(leg.start_ms, since_ms), leg.end_ms)
    end_ms = max(start_ms, min(leg.end_ms, until_ms))
    first, after = (int(at) for at in np.searchsorted(series.time_ms, (start_ms, end_ms)))
    begins = first == 0 or (series.since_ms is not None and int(series.time_ms[first - 1]) < since_ms)
    ends = after == series.time_ms.size or (
        series.until_ms is not None and int(series.time_ms[after]) >= until_ms
    )
    around = slice(first if begins else first - 1, after if ends else after + 1)
    # A gap is as long as it is, wherever a leg's bound cuts it: so the placement's own bounds here.
    edges = (np.array([since_ms] if begins else [], np.int64), np.array([until_ms] if ends else [], np.int64))
    knots = np.concatenate((edges[0], series.time_ms[around], edges[1]))
    known = ~unknown_steps(knots, gap_factor * series.interval_ms, series.failed_ms)
    if begins and ends and first == after:
        known[:] = False
    return Pieces(
        bounds_ms=np.clip(knots, start_ms, end_ms),
        known=known,
        time_ms=series.time_ms[first:after],
        value_c=series.value_c[first:after],
        around_c=series.value_c[around],
        begins=begins,
        ends=ends,
    )


def timeline(
    leg: Leg, limit: Limit, accuracy_c: float | None = None, gap_factor: float = GAP_FACTOR
) -> Timeline:
    """One leg under one limit, over all sensors the limit names.

    `accuracy_c`: for sensors that state none; None takes readings at their word, without accuracy
    and guard band.
    """
    key = ("timeline", limit.key, accuracy_c, gap_factor)
    return once(leg, key, lambda: _timeline(leg, limit, accuracy_c, gap_factor))


def _timeline(leg: Leg, limit: Limit, accuracy_c: float | None, gap_factor: float) -> Timeline:
    told = leg.told_under(limit, accuracy_c)
    if told is not None:
        return Timeline(*told.line(leg.end_ms - leg.start_ms))
    cuts = []
    for series in leg.named_by(limit):
        own = pieces(series, leg, gap_factor)
        out = beyond(own.around_c, limit, -_margin_c(series, limit, accuracy_c))
        cuts.append((own.bounds_ms, own.known, own.touching(out)))
    whole = np.array([leg.start_ms, leg.end_ms], dtype=np.int64)
    if len(cuts) == 1 and np.array_equal(cuts[0][0][[0, -1]], whole):
        own_bounds_ms, own_known, own_maybe = cuts[0]  # the usual case: one sensor, there all the time
        return Timeline(np.diff(own_bounds_ms), ~own_known, own_maybe)
    bounds_ms = np.unique(np.concatenate([whole, *(bounds for bounds, _, _ in cuts)]))
    known = np.zeros(bounds_ms.size - 1, dtype=np.bool_)
    maybe = np.zeros_like(known)
    for own_bounds_ms, own_known, own_maybe in cuts:
        at = np.searchsorted(own_bounds_ms, bounds_ms[:-1], side="right") - 1
        inside = (at >= 0) & (at < own_known.size)
        at = np.clip(at, 0, own_known.size - 1)
        known |= inside & own_known[at]
        maybe |= inside & own_maybe[at]
    return Timeline(np.diff(bounds_ms), ~known, maybe)


def certain_ms(
    leg: Leg, limit: Limit, accuracy_c: float | None = None, gap_factor: float = GAP_FACTOR
) -> int:
    """Known time between readings of one sensor that are both beyond, summed; of the worst one named."""
    told = leg.told_under(limit, accuracy_c)
    if told is not None:
        return told.certain_ms
    longest_ms = 0
    for series in leg.named_by(limit):
        own = pieces(series, leg, gap_factor)
        out = beyond(own.around_c, limit, _margin_c(series, limit, accuracy_c))
        longest_ms = max(longest_ms, int(own.duration_ms()[own.between(out)].sum()))
    return longest_ms


def band(legs: Sequence[Leg], limit: Limit, accuracy_c: float | None, gap_factor: float = GAP_FACTOR) -> Band:
    """How long a journey was beyond a limit at least and at most. `legs`: from `journey`."""
    bound = [leg for leg in legs if leg.bound_by(limit)]
    lines = [_under(leg, limit, accuracy_c, gap_factor) for leg in legs]
    whole = _joined(lines)
    told = [found for leg in bound if (found := leg.told_under(limit, accuracy_c)) is not None]
    lost = [line.unknown & (not _has_device(leg, limit)) for leg, line in zip(legs, lines, strict=True)]
    outs_at_most = (whole.maybe | whole.unknown, whole.maybe | np.concatenate(lost), whole.maybe)
    if limit.mode == "cumulative":
        at_least_ms = sum(certain_ms(leg, limit, accuracy_c, gap_factor) for leg in bound)
        at_most_ms = [whole.sum_ms(out) for out in outs_at_most]
    else:
        at_least_ms = _longest_certain_ms(legs, limit, accuracy_c, gap_factor)
        at_most_ms = [whole.longest_ms(out) for out in outs_at_most]
    # One sensor's gap may be bridged where another one, in range, measured; the band stays a band.
    at_most, if_uploaded, if_filled = (max(at_least_ms, bound_ms) for bound_ms in at_most_ms)
    outs = [out for leg in bound for _, _, out in _outs(leg, limit, accuracy_c, gap_factor)]
    return Band(
        at_least_ms=at_least_ms,
        at_most_ms=at_most,
        at_most_if_uploaded_ms=if_uploaded,
        at_most_if_filled_ms=if_filled,
        unknown_ms=whole.sum_ms(whole.unknown),
        longest_unknown_ms=whole.longest_ms(whole.unknown),
        surely_out=any(bool(out.any()) for out in outs) or any(each.surely_out for each in told),
        maybe_out=bool(whole.maybe.any()),
        measured=bool(outs) or any(each.measured for each in told),
    )


def _has_device(leg: Leg, limit: Limit) -> bool:
    told = leg.told_under(limit, None)
    return bool(leg.named_by(limit)) if told is None else told.measured


def _check_leg(leg: Leg) -> None:
    if leg.end_ms < leg.start_ms:
        raise LegError(f"a leg ends ({leg.end_ms}) before it starts ({leg.start_ms})")
    for series in leg.series:
        check_series(series.time_ms, series.value_c)
        if series.interval_ms <= 0:
            raise LegError(f"series {series.series}: interval is above 0, got {series.interval_ms} ms")


def _margin_c(series: ObservedSeries, limit: Limit, accuracy_c: float | None) -> float:
    if accuracy_c is None:
        return 0.0
    stated = accuracy_c if series.accuracy_c is None else series.accuracy_c
    return stated + limit.guard_band_c


def _outs(
    leg: Leg, limit: Limit, accuracy_c: float | None, gap_factor: float
) -> Iterator[tuple[ObservedSeries, Pieces, BoolArray]]:
    """Sensors that measured here, with the readings that are beyond whatever the accuracy hides; none where one is told
    of them instead."""
    for series in () if leg.told_under(limit, accuracy_c) is not None else leg.named_by(limit):
        own = pieces(series, leg, gap_factor)
        if own.time_ms.size:
            yield series, own, beyond(own.value_c, limit, _margin_c(series, limit, accuracy_c))


def _under(leg: Leg, limit: Limit, accuracy_c: float | None, gap_factor: float) -> Timeline:
    """The leg's timeline, or one piece that is neither unknown nor out where the limit is not in force."""
    if leg.bound_by(limit):
        return timeline(leg, limit, accuracy_c, gap_factor)
    free = np.zeros(1, dtype=np.bool_)
    return Timeline(np.array([leg.end_ms - leg.start_ms], dtype=np.int64), free, free)


def _joined(lines: Sequence[Timeline]) -> Timeline:
    return Timeline(
        np.concatenate([line.duration_ms for line in lines]),
        np.concatenate([line.unknown for line in lines]),
        np.concatenate([line.maybe for line in lines]),
    )


@dataclass(frozen=True, slots=True)
class _Tail:
    """A stretch beyond that lasts to a sensor's last reading in a leg, so the next leg may go on with it."""

    series: str
    certain_ms: int
    last_ms: int

    def goes_on(self, series: ObservedSeries, first_ms: int, limit: Limit, gap_factor: float) -> int:
        """What it brings to a stretch of `series` that begins a leg at `first_ms`."""
        gap_ms = first_ms - self.last_ms
        seen = gap_ms <= gap_factor * series.interval_ms
        if not seen and gap_ms >= limit.hold_ms:
            return 0
        # Only the same sensor saw what was between the two readings.
        return self.certain_ms + (gap_ms if seen and series.series == self.series else 0)


def _longest_certain_ms(
    legs: Sequence[Leg], limit: Limit, accuracy_c: float | None, gap_factor: float
) -> int:
    longest, tails = 0, list[_Tail]()
    for leg in legs:
        told = leg.told_under(limit, accuracy_c) if leg.bound_by(limit) else None
        if told is not None:
            # Whether a stretch went on from the leg before or into the next is not told: it did not for certain.
            longest, tails = max(longest, told.longest_certain_ms), []
            continue
        measured = list(_outs(leg, limit, accuracy_c, gap_factor)) if leg.bound_by(limit) else []
        if leg.bound_by(limit) and not measured:
            continue  # nobody measured here: whether a stretch goes on is for its length to say
        next_tails = list[_Tail]()
        for series, own, out in measured:
            runs = _bridged(series, own, out, limit, gap_factor)
            if not runs.first.size:
                continue
            lengths = runs.measured_ms.copy()
            if out[0]:
                first_ms = int(own.time_ms[0])
                lengths[0] += max(
                    (tail.goes_on(series, first_ms, limit, gap_factor) for tail in tails), default=0
                )
            longest = max(longest, int(lengths.max()))
            if out[-1]:
                next_tails.append(_Tail(series.series, int(lengths[-1]), int(own.time_ms[-1])))
        tails = next_tails
    return longest


def _bridged(
    series: ObservedSeries, own: Pieces, out: BoolArray, limit: Limit, gap_factor: float
) -> Stretches:
    """Stretches beyond, which a gap as long as the hold ends and a shorter one does not."""
    known_ms = gap_factor * series.interval_ms
    unknown = unknown_steps(own.time_ms, known_ms, series.failed_ms)
    return find_stretches(own.time_ms, out, unknown, unknown & (np.diff(own.time_ms) >= limit.hold_ms))
