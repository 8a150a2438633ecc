"""Excursions and bands again, slowly and plainly: one reading at a time, no arrays. Only tests use it."""

from dataclasses import dataclass, field
from itertools import pairwise

from ingest.coldchain.excursions import Interval, Run
from ingest.coldchain.limits import Limit

Reading = tuple[int, float]


@dataclass
class Streak:
    """Consecutive readings beyond, with the stretch in force [begins, ends) they lie in."""

    begins: int | None
    ends: int | None
    readings: list[Reading] = field(default_factory=list)
    before: int | None = None
    after: int | None = None
    silent: bool = False


@dataclass(frozen=True)
class Gaps:
    """What is unknown between two readings, and whether that ends a streak."""

    longest_known_ms: float
    failed: list[int]
    hold_ms: float
    consecutive: bool

    def unknown(self, a: int, b: int) -> bool:
        return b - a > self.longest_known_ms or any(a < moment < b for moment in self.failed)

    def silent(self, a: int, b: int) -> bool:
        return self.consecutive and self.unknown(a, b) and b - a >= self.hold_ms


def slow_excursions(
    readings: list[Reading],
    limit: Limit,
    in_force: list[Interval],
    interval_ms: int,
    gap_factor: float,
    failed: list[int] | None = None,
) -> list[Run]:
    gaps = Gaps(interval_ms * gap_factor, failed or [], limit.minutes * 60_000, limit.mode == "consecutive")
    streaks = [
        streak
        for begins, ends in _joined(in_force)
        for streak in _streaks(sorted(set(readings)), limit, gaps, begins, ends)
    ]
    groups = [[streak] for streak in streaks] if gaps.consecutive else [streaks] if streaks else []
    moments = sorted({time for time, _ in readings})
    runs = [_run(group, limit, gaps, moments) for group in groups]
    return [run for run in runs if run is not None]


def is_out(value: float, limit: Limit) -> bool:
    if limit.operator == ">":
        return value > limit.limit_c
    if limit.operator == ">=":
        return value >= limit.limit_c
    if limit.operator == "<":
        return value < limit.limit_c
    return value <= limit.limit_c


def _joined(in_force: list[Interval]) -> list[Interval]:
    joined: list[Interval] = []
    for begins, ends in sorted(in_force, key=lambda interval: -1 if interval[0] is None else interval[0]):
        if ends is not None and begins is not None and begins >= ends:
            continue
        if joined:
            last_begins, last_ends = joined[-1]
            if last_ends is None or begins is None or begins <= last_ends:
                later = None if last_ends is None or ends is None else max(last_ends, ends)
                joined[-1] = (last_begins, later)
                continue
        joined.append((begins, ends))
    return joined


def _streaks(
    readings: list[Reading], limit: Limit, gaps: Gaps, begins: int | None, ends: int | None
) -> list[Streak]:
    streaks: list[Streak] = []
    current: Streak | None = None
    previous: int | None = None
    for time, value in readings:
        inside = (begins is None or time >= begins) and (ends is None or time < ends)
        if current is not None and previous is not None and gaps.silent(previous, time):
            current.after, current.silent, current = time, True, None
        if inside and is_out(value, limit):
            if current is None:
                current = Streak(begins, ends, before=previous)
                streaks.append(current)
            current.readings.append((time, value))
        elif current is not None:
            current.after = time
            current = None
        previous = time
    return streaks


def _cumulative_trigger(streaks: list[Streak], limit: Limit, gaps: Gaps, moments: list[int]) -> int | None:
    """The first reading by which the readings beyond, each until the next one, have lasted for the hold."""
    out = {time: streak for streak in streaks for time, _ in streak.readings}
    counted = 0
    for a, b in pairwise(moments):
        if a in out and not gaps.unknown(a, b):
            ends = out[a].ends
            counted += (b if ends is None else min(b, ends)) - a
        if counted >= limit.minutes * 60_000:
            return b
    return None


def _run(streaks: list[Streak], limit: Limit, gaps: Gaps, moments: list[int]) -> Run | None:
    measured, at_most, area, trigger = 0, 0, 0.0, None
    for streak in streaks:
        for k, (time, value) in enumerate(streak.readings):
            if k > 0:
                before, value_before = streak.readings[k - 1]
                if not gaps.unknown(before, time):
                    measured += time - before
                    excess = (abs(value - limit.limit_c) + abs(value_before - limit.limit_c)) / 2
                    area += excess * (time - before) / 60_000
            if trigger is None and measured >= limit.minutes * 60_000:
                trigger = time
        first, last = streak.readings[0][0], streak.readings[-1][0]
        earliest = [bound for bound in (streak.before, streak.begins) if bound is not None]
        latest = [bound for bound in (streak.after, streak.ends) if bound is not None]
        at_most += (min(latest) if latest else last) - (max(earliest) if earliest else first)
    if not gaps.consecutive:
        trigger = _cumulative_trigger(streaks, limit, gaps, moments)
    if trigger is None:
        return None
    end_of_last = [bound for bound in (streaks[-1].after, streaks[-1].ends) if bound is not None]
    end = min(end_of_last) if end_of_last else None
    values = [value for streak in streaks for _, value in streak.readings]
    return Run(
        start_ms=streaks[0].readings[0][0],
        trigger_ms=trigger,
        last_ms=streaks[-1].readings[-1][0],
        end_ms=end,
        minutes_at_least=measured / 60_000,
        minutes_at_most=at_most / 60_000,
        extreme_c=max(values) if limit.side == "above" else min(values),
        area_c_min=area,
        closed_by=None
        if end is None
        else "out_of_force"
        if end == streaks[-1].ends
        else "sensor_silent"
        if streaks[-1].silent
        else "recovery",
    )


def slow_band(
    readings: list[tuple[int, float]], length: int, limit: Limit, interval: int, accuracy_c: float
) -> tuple[int, int]:
    """At least and at most, in minutes, of one sensor over minutes 0..length; limit above, gap factor 2."""
    surely = [value > limit.limit_c + accuracy_c for _, value in readings]
    maybe = [value > limit.limit_c - accuracy_c for _, value in readings]
    times = [0, *(minute for minute, _ in readings), length]
    most = least = most_now = least_now = 0
    sum_most = sum_least = 0
    for k, (a, b) in enumerate(pairwise(times)):
        ends = [at for at in (k - 1, k) if 0 <= at < len(readings)]  # readings at this piece's two ends
        known = bool(readings) and b - a <= 2 * interval
        if not known or any(maybe[at] for at in ends):
            most_now, sum_most = most_now + b - a, sum_most + b - a
        else:
            most_now = 0
        most = max(most, most_now)
        if len(ends) == 2 and all(surely[at] for at in ends):
            if known:
                least_now, sum_least = least_now + b - a, sum_least + b - a
            elif b - a >= limit.minutes:
                least_now = 0
        else:
            least_now = 0
        least = max(least, least_now)
    if limit.mode == "cumulative":
        return sum_least, max(sum_most, sum_least)
    return least, max(most, least)
