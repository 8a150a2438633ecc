"""Excursions of many series and limits at once, from where the judgement of each stands.

In the line: detection reads the readings of all touched series -> here -> the runs of each, and where they stand now.
A `Bounds` row is one limit in force on one series without a break: runs never cross it, so the rows are independent.
Contract: over whole stretches the runs are, to the last bit, those of `excursions.find_excursions`, which is the plain form
of this; and going on from a `Carried` gives what the whole would have given. Sums are made in order of time, reading by
reading, so that it makes no difference where they were interrupted. Consecutive limits only: a cumulative one is a
portion's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ingest.coldchain.excursions import (
    EVER,
    MINUTE_MS,
    BoolArray,
    ClosedBy,
    FloatArray,
    IntArray,
    Run,
    threshold_c,
)
from ingest.coldchain.limits import Limit


@dataclass(frozen=True, slots=True)
class Bounds:
    """What judges, u rows. `side`: +1 above, -1 below; `limit_c` and `threshold_c` (the same, as `beyond` rounds it): °C times
    `side`; `strict`: the limit itself is inside. `longest_known_ms`: readings farther apart are a gap. [`start_ms`,
    `end_ms`): in force, -/+EVER if open."""

    side: FloatArray
    limit_c: FloatArray
    threshold_c: FloatArray
    strict: BoolArray
    hold_ms: IntArray
    longest_known_ms: FloatArray
    start_ms: IntArray
    end_ms: IntArray

    @classmethod
    def of(
        cls,
        limits: Sequence[Limit],
        interval_ms: Sequence[int],
        stretches: Sequence[tuple[int, int]],
        gap_factor: float = 2.0,
    ) -> Self:
        """One of each a row."""
        side = np.array([1.0 if limit.side == "above" else -1.0 for limit in limits])
        start, end = np.array(stretches, np.int64).reshape(-1, 2).T
        return cls(
            side=side,
            limit_c=side * np.array([limit.limit_c for limit in limits], np.float64),
            threshold_c=side * np.array([threshold_c(limit) for limit in limits], np.float64),
            strict=np.array([limit.operator in ("<", ">") for limit in limits], np.bool_),
            hold_ms=np.array([limit.hold_ms for limit in limits], np.int64),
            longest_known_ms=gap_factor * np.array(interval_ms, np.float64),
            start_ms=start,
            end_ms=end,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Carried:
    """A run that was going on at the reading of `at_ms`, which is in it: what later readings need to know of it.

    `before_ms`: from when on it may have lasted. `elapsed_ms`, `area_c_min`, `extreme_c`: up to that reading.
    `trigger_ms`: None while the hold is not reached.
    """

    at_ms: int
    start_ms: int
    before_ms: int
    elapsed_ms: int
    trigger_ms: int | None
    extreme_c: float
    area_c_min: float


class Judged:
    """The runs of all rows. `row`: int64[n], rising, the row of `bounds` each reading is for; `time_ms`: int64[n], rising
    strictly within a row; `value_c`: float64[n]. A reading for several limits is given to each. `carried`: by row, of the
    row's first reading. What lies out of force is left out here."""

    def __init__(
        self,
        bounds: Bounds,
        row: IntArray,
        time_ms: IntArray,
        value_c: FloatArray,
        carried: dict[int, Carried],
    ) -> None:
        inside = (time_ms >= bounds.start_ms[row]) & (time_ms < bounds.end_ms[row])
        self.bounds, self.row, self.time_ms = bounds, row[inside], time_ms[inside]
        self.signed = value_c[inside] * bounds.side[self.row]
        threshold = bounds.threshold_c[self.row]
        self.out = np.where(bounds.strict[self.row], self.signed > threshold, self.signed >= threshold)
        self._find()
        self._carry(carried)

    def _find(self) -> None:
        steps = np.diff(self.time_ms)
        unknown = steps > self.bounds.longest_known_ms[self.row[1:]]
        self.silent = np.concatenate((unknown & (steps >= self.bounds.hold_ms[self.row[1:]]), [False]))
        joined = self.out[:-1] & self.out[1:] & (self.row[1:] == self.row[:-1]) & ~self.silent[:-1]
        counted = np.where(joined & ~unknown, steps, 0)
        self.elapsed = np.concatenate(
            (np.zeros(min(1, self.out.size), np.int64), np.cumsum(counted, dtype=np.int64))
        )
        self.first = np.flatnonzero(self.out & ~np.concatenate(([False], joined))[: self.out.size])
        self.last = np.flatnonzero(self.out & ~np.concatenate((joined, [False]))[: self.out.size])
        self.of = self.row[self.first]
        begins = np.zeros(self.out.size, np.int64)
        begins[self.first] = 1
        self.run = np.cumsum(begins) - 1
        # One entry a reading: the °C x minutes up to it since the one before, 0 where none are measured. A run's first has
        # none, so that what was carried can stand there.
        excess = np.abs(self.signed - self.bounds.limit_c[self.row])
        self.slices = np.concatenate(
            (np.zeros(min(1, self.out.size)), (excess[1:] + excess[:-1]) / 2 * (counted / MINUTE_MS))
        )
        before, after = self._neighbours()
        starts, ends = self.bounds.start_ms[self.of], self.bounds.end_ms[self.of]
        before, after = np.maximum(before, starts), np.minimum(after, ends)
        self.before = np.where(before == -EVER, self.time_ms[self.first], before)
        self.after = np.where(after == EVER, self.time_ms[self.last], after)
        self.start = self.time_ms[self.first]

    def _neighbours(self) -> tuple[IntArray, IntArray]:
        """Times of the readings before and after each run in its row, -/+EVER where there is none."""
        times = np.concatenate(([-EVER], self.time_ms, [EVER]))
        rows = np.concatenate(([-1], self.row, [-1]))
        before = np.where(rows[self.first] == self.of, times[self.first], -EVER)
        after = np.where(rows[self.last + 2] == self.of, times[self.last + 2], EVER)
        return before, after

    def _carry(self, carried: dict[int, Carried]) -> None:
        self.carried_ms = np.zeros(self.first.size, np.int64)
        self.carried_extreme = np.full(self.first.size, -np.inf)
        self.carried_trigger: dict[int, int] = {}
        if carried:
            begins = np.concatenate(([True], self.row[1:] != self.row[:-1]))[: self.row.size]
            for run in np.flatnonzero(begins[self.first]).tolist():
                known = carried.get(int(self.of[run]))
                # Where what was in force has changed, the run does not begin in the reading that it was carried at.
                if known is not None and known.at_ms == self.time_ms[self.first[run]]:
                    self._go_on(run, known)

    def _go_on(self, run: int, known: Carried) -> None:
        self.carried_ms[run] = known.elapsed_ms
        self.start[run], self.before[run] = known.start_ms, known.before_ms
        self.carried_extreme[run] = known.extreme_c * self.bounds.side[self.of[run]]
        self.slices[self.first[run]] = known.area_c_min
        if known.trigger_ms is not None:
            self.carried_trigger[run] = known.trigger_ms

    # --- what came of it ------------------------------------------------------------------------------------------

    def runs(self) -> list[tuple[int, Run]]:
        """(row, run) of those that reached the hold, in order of row and time."""
        measured = self.elapsed[self.last] - self.elapsed[self.first] + self.carried_ms
        held = np.flatnonzero(measured >= self.bounds.hold_ms[self.of])
        if not held.size:
            return []
        end, closed_by = self._ends()
        trigger = self._triggers()
        extreme = self._extremes(self.out) * self.bounds.side[self.of]
        area = self._areas(self.slices)
        return [
            (
                int(self.of[k]),
                Run(
                    start_ms=int(self.start[k]),
                    trigger_ms=int(trigger[k]),
                    last_ms=int(self.time_ms[self.last[k]]),
                    end_ms=int(end[k]) if end[k] < EVER else None,
                    minutes_at_least=int(measured[k]) / MINUTE_MS,
                    minutes_at_most=int(self.after[k] - self.before[k]) / MINUTE_MS,
                    extreme_c=float(extreme[k]),
                    area_c_min=float(area[k]),
                    closed_by=closed_by[k],
                ),
            )
            for k in held.tolist()
        ]

    def standing(self, row: IntArray, time_ms: IntArray) -> list[tuple[int, Carried]]:
        """(place in the input, run) of those runs that a reading is in. `row`, `time_ms`: of the readings, which are among
        those given. Taken up again with what comes after, they go on as if they had never been interrupted."""
        found, at = self._in_runs(row, time_ms)
        if not found.size:
            return []
        upto = np.full(self.first.size, -1)
        upto[self.run[at]] = at
        until = np.arange(self.out.size) <= upto[np.maximum(self.run, 0)]
        area, extreme = self._areas(np.where(until, self.slices, 0.0)), self._extremes(self.out & until)
        elapsed = self.elapsed[np.maximum(upto, 0)] - self.elapsed[self.first] + self.carried_ms
        trigger, side = self._triggers(), self.bounds.side[self.of]
        hold = self.bounds.hold_ms[self.of]
        return [
            (
                int(place),
                Carried(
                    at_ms=int(self.time_ms[upto[k]]),
                    start_ms=int(self.start[k]),
                    before_ms=int(self.before[k]),
                    elapsed_ms=int(elapsed[k]),
                    trigger_ms=int(trigger[k]) if elapsed[k] >= hold[k] else None,
                    extreme_c=float(extreme[k] * side[k]),
                    area_c_min=float(area[k]),
                ),
            )
            for place, k in zip(found.tolist(), self.run[at].tolist(), strict=True)
        ]

    def _in_runs(self, row: IntArray, time_ms: IntArray) -> tuple[IntArray, IntArray]:
        """Which of the readings are in a run, and where they stand."""
        keys, sought = _key(self.row, self.time_ms), _key(row, time_ms)
        at = np.searchsorted(keys, sought)
        there = at < keys.size
        there[there] &= keys[at[there]] == sought[there]
        there[there] &= self.out[at[there]]
        return np.flatnonzero(there), at[there]

    def _ends(self) -> tuple[IntArray, Sequence[ClosedBy | None]]:
        """When each run ended, EVER while it has not, and by what."""
        _, after = self._neighbours()
        end = np.minimum(after, self.bounds.end_ms[self.of])
        by: list[ClosedBy | None] = [
            "sensor_silent" if silent else "recovery" if seen else "out_of_force" if ended else None
            for silent, seen, ended in zip(
                self.silent[self.last] & (after < EVER), after < EVER, end < EVER, strict=True
            )
        ]
        return end, by

    def _triggers(self) -> IntArray:
        """The reading at which each run reached its hold; of one that did not, any."""
        reached = self.elapsed[self.first] + self.bounds.hold_ms[self.of] - self.carried_ms
        # With no hold the look-up may land on the flat part before the run: its first reading triggers.
        at = np.minimum(np.maximum(np.searchsorted(self.elapsed, reached), self.first), self.out.size - 1)
        trigger = self.time_ms[at]
        for run, known_ms in self.carried_trigger.items():
            trigger[run] = known_ms
        return trigger

    def _extremes(self, counted: BoolArray) -> FloatArray:
        """Farthest beyond of each run, times its side."""
        farthest = np.maximum.reduceat(np.where(counted, self.signed, -np.inf), self.first)
        extreme: FloatArray = np.maximum(farthest, self.carried_extreme)
        return extreme

    def _areas(self, slices: FloatArray) -> FloatArray:
        """Added up from the left: bincount does, reduceat does not."""
        mine = self.run >= 0
        area = np.bincount(self.run[mine], slices[mine], minlength=self.first.size).astype(np.float64)
        return area


def _key(row: IntArray, time_ms: IntArray) -> IntArray:
    """One number for both, in their order: times are between 1970 and 2527."""
    key: IntArray = (row << 44) | time_ms
    return key
