"""Excursions: when a series was beyond a limit for longer than the limit bears.

In the line: marks -> detection reads a series and the intervals in which a limit was in force on it ->
`find_excursions` -> `reconcile` with what is stored -> rows. Contract:
- A run is a sequence of consecutive readings beyond the limit inside one stretch in force. Intervals
  that touch are one stretch, so handing the goods over does not cut a run in two.
- A gap (longer than `gap_factor` x the device's interval, or in which the device says that it had no value)
  is unknown: it never counts in `minutes_at_least`, always in `minutes_at_most`. A gap as long as the hold
  ends a run, since the goods may have been cold in between (`sensor_silent`); a shorter one does not.
- What is consecutive lasts from a run's first reading to its last. What is cumulative is counted as loggers
  count: each reading beyond stands until the next one. At least it was beyond between readings that both are.
- The result depends on the set of readings alone. Readings arrive late and out of order, so what is
  stored is reconciled, never deleted: an excursion keeps its id, and with it its acknowledgement.

Exact by construction: durations are sums of integer milliseconds and become minutes last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from ingest.coldchain.limits import ColdChainError, Limit

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Interval = tuple[int | None, int | None]
ClosedBy = Literal["recovery", "sensor_silent", "out_of_force"]
State = Literal["open", "closed", "merged", "void"]

MINUTE_MS: Final = 60_000
EVER: Final = 2**62  # an open end as a number; far from where int64 arithmetic would wrap
_LIVE: Final = ("open", "closed")


class SeriesError(ColdChainError):
    """A series is not what the judgement reads: sort it, make times unique, take out NaN."""


@dataclass(frozen=True, slots=True)
class Run:
    """One excursion as the readings show it; all times UTC milliseconds of the device's readings.

    `start_ms` and `last_ms`: first and last reading beyond. `trigger_ms`: the reading at which the
    hold was reached. `end_ms`: the first reading back inside, or behind a gap as long as the hold, or the end
    of the stretch in force; None while open. `minutes_at_least`: measured between readings that are both beyond.
    `minutes_at_most`: with gaps, and with the edges up to the neighbouring readings or the bounds of
    the stretch. `extreme_c`: the reading farthest beyond. `area_c_min`: °C beyond x measured minutes.
    """

    start_ms: int
    trigger_ms: int
    last_ms: int
    end_ms: int | None
    minutes_at_least: float
    minutes_at_most: float
    extreme_c: float
    area_c_min: float
    closed_by: ClosedBy | None

    @property
    def state(self) -> State:
        """`open` or `closed`."""
        return "open" if self.closed_by is None else "closed"


@dataclass(frozen=True, slots=True)
class StoredExcursion:
    """An excursion of one series and one limit version as last written; `id` grows with opening."""

    id: int
    version: int
    state: State
    merged_into: int | None
    start_ms: int
    trigger_ms: int
    end_ms: int | None
    minutes_at_least: float
    minutes_at_most: float
    extreme_c: float
    area_c_min: float
    closed_by: ClosedBy | None

    @property
    def live(self) -> bool:
        """True unless voided or merged into another."""
        return self.state in _LIVE


@dataclass(frozen=True, slots=True)
class Extension:
    """A stored excursion whose run is no longer what was stored; it takes the next version.

    `grew` is True where a person who was already told has reason to be told again: it opened again,
    was void, or lasts longer.
    """

    excursion: StoredExcursion
    run: Run
    grew: bool


@dataclass(frozen=True, slots=True)
class Merge:
    """A stored excursion that turned out to be part of the one with id `into`."""

    excursion: StoredExcursion
    into: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What to write so that the stored excursions say what the readings say. Empty if they do."""

    opened: tuple[Run, ...] = ()
    extended: tuple[Extension, ...] = ()
    merged: tuple[Merge, ...] = ()
    voided: tuple[StoredExcursion, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opened or self.extended or self.merged or self.voided)


@dataclass(frozen=True, slots=True)
class Stretches:
    """Runs of consecutive readings beyond a limit, as index arrays of equal length, in time order.

    `first`, `last`: indices of a run's first and last reading. `measured_ms`: time between its
    readings without gaps. `elapsed_ms`: `measured_ms` accumulated over the series, one per reading,
    from which the reading that reached any duration can be looked up.
    """

    first: IntArray
    last: IntArray
    measured_ms: IntArray
    elapsed_ms: IntArray


def beyond(value_c: FloatArray, limit: Limit, margin_c: float = 0.0) -> BoolArray:
    """Which readings lie beyond the limit moved outwards by `margin_c` (inwards if negative)."""
    threshold = threshold_c(limit, margin_c)
    match limit.operator:
        case ">":
            return value_c > threshold
        case ">=":
            return value_c >= threshold
        case "<":
            return value_c < threshold
        case "<=":
            return value_c <= threshold


def threshold_c(limit: Limit, margin_c: float = 0.0) -> float:
    """The limit moved outwards by `margin_c`."""
    # Rounded, since 5.0 + 0.1 + 0.2 would else excuse a reading of exactly 5.3.
    return round(limit.limit_c + (margin_c if limit.side == "above" else -margin_c), 9)


def check_series(time_ms: IntArray, value_c: FloatArray) -> None:
    """Raises SeriesError unless times rise strictly and every value is finite."""
    if time_ms.ndim != 1 or time_ms.shape != value_c.shape:
        raise SeriesError(f"one value per time, got {value_c.shape} values for {time_ms.shape} times")
    if time_ms.size > 1 and bool(np.any(np.diff(time_ms) <= 0)):
        at = int(np.argmax(np.diff(time_ms) <= 0))
        raise SeriesError(f"times rise strictly, got {time_ms[at + 1]} after {time_ms[at]}")
    if not bool(np.all(np.isfinite(value_c))):
        raise SeriesError(f"values are finite, got {value_c[int(np.argmin(np.isfinite(value_c)))]}")


def merge_intervals(intervals: Sequence[Interval]) -> list[tuple[int, int]]:
    """Half-open [start, end) intervals as few disjoint ones in order; None is open, as -/+EVER.

    Touching intervals become one, empty ones vanish. Raises SeriesError where one ends before it starts.
    """
    bounds = sorted((-EVER if a is None else a, EVER if b is None else b) for a, b in intervals)
    merged: list[tuple[int, int]] = []
    for start, end in bounds:
        if end < start:
            raise SeriesError(f"an interval in force ends ({end}) before it starts ({start})")
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif end > start:
            merged.append((start, end))
    return merged


def unknown_steps(time_ms: IntArray, longest_known_ms: float, failed_ms: IntArray | None = None) -> BoolArray:
    """bool[n-1]: between which readings nobody knows. `failed_ms`: when the device said that it had no value, in order."""
    steps: BoolArray = np.diff(time_ms) > longest_known_ms
    if failed_ms is None or not failed_ms.size:
        return steps
    before = np.searchsorted(failed_ms, time_ms)
    return steps | (before[1:] > before[:-1])


def find_stretches(
    time_ms: IntArray, out: BoolArray, unknown: BoolArray, ends_run: BoolArray | None = None
) -> Stretches:
    """Runs of True in `out`; unknown time between readings (`unknown_steps`) is not counted.

    `ends_run`: bool[n-1], True where no run may go on from one reading to the next.
    """
    joined = out[:-1] & out[1:]
    if ends_run is not None:
        joined &= ~ends_run
    counted = np.where(joined & ~unknown, np.diff(time_ms), 0)
    elapsed = np.concatenate((np.zeros(min(1, out.size), np.int64), np.cumsum(counted, dtype=np.int64)))
    first = np.flatnonzero(out & ~np.concatenate(([False], joined))[: out.size])
    last = np.flatnonzero(out & ~np.concatenate((joined, [False]))[: out.size])
    return Stretches(first, last, elapsed[last] - elapsed[first], elapsed)


def find_excursions(
    time_ms: IntArray,
    value_c: FloatArray,
    limit: Limit,
    in_force: Sequence[Interval],
    interval_ms: int,
    gap_factor: float = 2.0,
    failed_ms: IntArray | None = None,
) -> list[Run]:
    """The runs of a series that reached the limit's hold, in time order.

    `time_ms`: int64[n], UTC milliseconds, strictly rising; `value_c`: float64[n], finite.
    `in_force`: half-open intervals in any order, None for an open end. `interval_ms`: how often the
    device was set to measure at that time; `failed_ms`: int64[m], rising, when it said that it had no value.
    A cumulative limit gives at most one run, over all stretches together. Raises SeriesError.
    """
    check_series(time_ms, value_c)
    if interval_ms <= 0 or gap_factor < 1:
        raise SeriesError(f"interval > 0 and gap factor >= 1, got {interval_ms} ms and {gap_factor}")
    stretches_in_force = merge_intervals(in_force)
    if not stretches_in_force or not time_ms.size:
        return []
    starts, ends = np.array(stretches_in_force, dtype=np.int64).T
    stretch = np.searchsorted(starts, time_ms, side="right") - 1
    out = beyond(value_c, limit) & (stretch >= 0) & (time_ms < ends[stretch])
    unknown = unknown_steps(time_ms, gap_factor * interval_ms, failed_ms)
    # What is cumulative goes on behind any gap.
    silent = unknown & (np.diff(time_ms) >= limit.hold_ms) & (limit.mode == "consecutive")
    runs = find_stretches(time_ms, out, unknown, (stretch[1:] != stretch[:-1]) | silent)
    if not runs.first.size:
        return []
    bounds = starts[stretch[runs.first]], ends[stretch[runs.first]]
    found = _Found(time_ms, value_c, limit, runs, out, unknown, silent, *bounds)
    return found.together() if limit.mode == "cumulative" else found.each()


def reconcile(existing: Sequence[StoredExcursion], runs: Sequence[Run]) -> Changes:
    """What must be written so that `existing` says what `runs` say.

    Both belong to one series and one limit version, and cover the same time: an excursion in
    `existing` that no run overlaps is voided. Overlap decides identity; of several live excursions in
    one run the smallest id survives, the others are merged into it and stay so for ever; of several
    runs in one excursion the one that shares most of what led to its trigger keeps the id. A voided
    excursion whose run comes back returns under its old id. Applying the changes and asking again
    gives none. Nothing here touches an acknowledgement: it stays with the id it was given to.
    """
    claims: dict[int, list[StoredExcursion]] = {}
    voided: list[StoredExcursion] = []
    for excursion in sorted(existing, key=lambda stored: stored.id):
        claimed = None if excursion.state == "merged" else _claimed_run(excursion, runs)
        if claimed is not None:
            claims.setdefault(claimed, []).append(excursion)
        elif excursion.live:
            voided.append(excursion)
    opened: list[Run] = []
    extended: list[Extension] = []
    merged: list[Merge] = []
    for index, run in enumerate(runs):
        claimants = claims.get(index, [])
        if not claimants:
            opened.append(run)
            continue
        survivor, *others = sorted(claimants, key=lambda stored: (not stored.live, stored.id))
        merged.extend(Merge(other, survivor.id) for other in others if other.live)
        if not _says(survivor, run):
            extended.append(Extension(survivor, run, grew=_grew(survivor, run)))
    return Changes(tuple(opened), tuple(extended), tuple(merged), tuple(voided))


@dataclass(frozen=True)
class _Found:
    """The stretches of one series beyond one limit, with the bounds in force around each."""

    time_ms: IntArray
    value_c: FloatArray
    limit: Limit
    runs: Stretches
    out: BoolArray
    unknown: BoolArray
    silent: BoolArray
    bound_starts_ms: IntArray
    bound_ends_ms: IntArray

    def each(self) -> list[Run]:
        """Every stretch that reached a consecutive limit's hold."""
        held = np.flatnonzero(self.runs.measured_ms >= self.limit.hold_ms)
        reached_ms = self.runs.elapsed_ms[self.runs.first[held]] + self.limit.hold_ms
        # With no hold the look-up may land on the flat part before the run: its first reading triggers.
        triggers = np.maximum(np.searchsorted(self.runs.elapsed_ms, reached_ms), self.runs.first[held])
        at_most_ms, area = self.at_most_ms(), self.area_c_min()
        return [
            self.as_run(slice(k, k + 1), int(trigger), int(at_most_ms[k]), float(area[k]))
            for k, trigger in zip(held, triggers, strict=True)
        ]

    def together(self) -> list[Run]:
        """All stretches as one run, if their sum reached a cumulative limit's allowance."""
        stands_ms = np.where(
            self.unknown, 0, np.minimum(self.time_ms[1:], self.bound_end_of()) - self.time_ms[:-1]
        )
        counted = np.concatenate(([0], np.cumsum(np.where(self.out[:-1], stands_ms, 0))))
        if int(counted[-1]) < self.limit.hold_ms:
            return []
        trigger = int(np.searchsorted(counted, self.limit.hold_ms))
        every = slice(0, self.runs.first.size)
        return [self.as_run(every, trigger, int(self.at_most_ms().sum()), float(self.area_c_min().sum()))]

    def bound_end_of(self) -> IntArray:
        """int64[n-1]: where the stretch in force of each reading but the last ends."""
        run = np.maximum(
            np.searchsorted(self.runs.first, np.arange(self.time_ms.size - 1), side="right") - 1, 0
        )
        ends: IntArray = self.bound_ends_ms[run]
        return ends

    def as_run(self, parts: slice, trigger: int, at_most_ms: int, area_c_min: float) -> Run:
        first, last = self.runs.first[parts], self.runs.last[parts]
        end_ms, closed_by = self.end(int(last[-1]), int(self.bound_ends_ms[parts][-1]))
        return Run(
            start_ms=int(self.time_ms[first[0]]),
            trigger_ms=int(self.time_ms[trigger]),
            last_ms=int(self.time_ms[last[-1]]),
            end_ms=end_ms,
            minutes_at_least=int(self.runs.measured_ms[parts].sum()) / MINUTE_MS,
            minutes_at_most=at_most_ms / MINUTE_MS,
            extreme_c=self.extreme_c(first, last),
            area_c_min=area_c_min,
            closed_by=closed_by,
        )

    def end(self, last: int, bound_ms: int) -> tuple[int | None, ClosedBy | None]:
        """When and by what a run ended: the next reading in force is back inside or far behind, else it were no end."""
        if last + 1 < self.time_ms.size and self.time_ms[last + 1] < bound_ms:
            return int(self.time_ms[last + 1]), "sensor_silent" if self.silent[last] else "recovery"
        if bound_ms < EVER:
            return bound_ms, "out_of_force"
        return None, None

    def at_most_ms(self) -> IntArray:
        """Longest possible duration of each stretch: from the neighbour before to the neighbour after.

        The bounds in force are neighbours too. Where neither exists (an open bound with nothing
        measured there) the run stops at its reading: what lies beyond is unobserved, and exposure
        counts it as such.
        """
        neighbours = np.concatenate(([-EVER], self.time_ms, [EVER]))
        before = np.maximum(neighbours[self.runs.first], self.bound_starts_ms)
        after = np.minimum(neighbours[self.runs.last + 2], self.bound_ends_ms)
        before = np.where(before == -EVER, self.time_ms[self.runs.first], before)
        after = np.where(after == EVER, self.time_ms[self.runs.last], after)
        longest: IntArray = after - before
        return longest

    def area_c_min(self) -> FloatArray:
        """°C beyond the limit x measured minutes of each stretch, trapezoids between its readings."""
        excess = np.abs(self.value_c - self.limit.limit_c)
        minutes = np.diff(self.runs.elapsed_ms) / MINUTE_MS
        slices = np.concatenate(((excess[1:] + excess[:-1]) / 2 * minutes, [0.0]))
        # Steps between runs and across gaps have no minutes, so summing from one run's first reading
        # to the next one's adds nothing foreign. bincount adds from the left, as `setwise` goes on adding.
        run = np.zeros(slices.size, np.int64)
        run[self.runs.first[1:]] = 1
        begun = int(self.runs.first[0])
        area = np.bincount(np.cumsum(run)[begun:], slices[begun:]).astype(np.float64)
        return area

    def extreme_c(self, first: IntArray, last: IntArray) -> float:
        farthest = np.max if self.limit.side == "above" else np.min
        each = [farthest(self.value_c[a : b + 1]) for a, b in zip(first, last, strict=True)]
        return float(farthest(each))


def _claimed_run(excursion: StoredExcursion, runs: Sequence[Run]) -> int | None:
    """Index of the run that shares most of start..trigger, which was known; else the first one met."""
    shared = [_shared_ms(excursion.start_ms, excursion.trigger_ms + 1, run) for run in runs]
    if shared and max(shared) > 0:
        return shared.index(max(shared))
    # What was voided while it lasted comes back only where it was, which the above has looked at.
    ends_ms = (
        excursion.end_ms if excursion.end_ms is not None else EVER if excursion.live else excursion.start_ms
    )
    return next((k for k, run in enumerate(runs) if _shared_ms(excursion.start_ms, ends_ms, run) > 0), None)


def _shared_ms(start_ms: int, end_ms: int, run: Run) -> int:
    run_ends_ms = EVER if run.end_ms is None else run.end_ms
    return min(end_ms, run_ends_ms) - max(start_ms, run.start_ms)


def _says(excursion: StoredExcursion, run: Run) -> bool:
    """Whether the stored version already says this, to the last bit: sums are made in one order, that of time."""
    return excursion.live and all(
        getattr(excursion, name) == getattr(run, name)
        for name in (
            "start_ms",
            "trigger_ms",
            "end_ms",
            "closed_by",
            "extreme_c",
            "minutes_at_least",
            "minutes_at_most",
            "area_c_min",
        )
    )


def _grew(excursion: StoredExcursion, run: Run) -> bool:
    opened_again = run.state == "open" and excursion.state != "open"
    lasts_longer = run.minutes_at_least > excursion.minutes_at_least
    return not excursion.live or opened_again or lasts_longer
