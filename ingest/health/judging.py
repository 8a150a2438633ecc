"""What the recent readings of a series, or what is known of a device, say of its health: pure.

Each function returns a `Finding` with its evidence, `WELL`, or None where what there is does not tell: a finding that stands
is not taken back for want of readings. Times are UTC ms, by the device's clock unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from ingest.health.thresholds import Battery, ClockSkew, Drifting, Flat, Jump, Jumping, Kind, Silent, Stuck

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
WELL: Final = "well"
SHOWN: Final = 6
"""Readings that evidence names at most."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`since_ms`: from when on. `evidence`: readings as [ms, value], what was found and what it was held against."""

    kind: Kind
    since_ms: int
    evidence: Mapping[str, Any]


Judgement = Finding | Literal["well"] | None


def silent(
    last_ms: int | None, heard_ms: int | None, now_ms: int, interval_s: int, rule: Silent
) -> Judgement:
    """`heard_ms`: when its newest reading was received, `now_ms`: both by our clock; `last_ms`: when that was measured."""
    if heard_ms is None:
        return None
    allowed_s = max(rule.at_least_s, rule.intervals * interval_s)
    if now_ms - heard_ms <= allowed_s * 1000:
        return WELL
    return Finding(
        "silent",
        heard_ms,
        {"heard_ms": heard_ms, "last_ms": last_ms, "allowed_s": allowed_s, "interval_s": interval_s},
    )


def is_flat(values: Values, rule: Flat) -> bool:
    """Whether all are one value, and one that a sensor does not rest at."""
    if not len(values) or values.min() != values.max():
        return False
    return rule.below is None or bool(values[0] < rule.below)


def stuck(times: Times, values: Values, flat_since_ms: int | None, rule: Stuck, flat: Flat) -> Judgement:
    """`times`, `values`: the newest n, ascending. `flat_since_ms`: the first reading after the last other value; None where there
    was no look further back than these."""
    if len(values) < rule.readings:
        return None
    if not is_flat(values, flat):
        return WELL
    since_ms = int(times[0]) if flat_since_ms is None else flat_since_ms
    if times[-1] - since_ms < rule.hours * 3_600_000:
        return None
    return Finding(
        "stuck",
        since_ms,
        {
            "value": float(values[0]),
            "readings": _named(times[-2:], values[-2:]),
            "hours": round((int(times[-1]) - since_ms) / 3_600_000, 1),
            "allowed_hours": rule.hours,
        },
    )


def jumping(times: Times, values: Values, accuracy: float, rule: Jumping, jump: Jump) -> Judgement:
    """Readings that lie off both their neighbours, to one side, by more than what is measured can change in the time between,
    while the neighbours agree: a wire that is loose. A door that opens is a step, and no jump."""
    if len(values) < 3:
        return None
    minutes = np.diff(times) / 60_000
    limit = np.maximum(max(jump.at_least, rule.accuracies * accuracy), jump.per_minute * minutes)
    steps = np.diff(values)
    out, back = steps[:-1], steps[1:]
    beyond = (np.abs(out) > limit[:-1]) & (np.abs(back) > limit[1:]) & (np.sign(out) != np.sign(back))
    at = np.flatnonzero(beyond) + 1
    if len(at) < rule.times:
        return WELL
    shown = at[-SHOWN:]
    return Finding(
        "jumping",
        int(times[at[0]]),
        {
            "readings": _named(times[shown], values[shown]),
            "times": len(at),
            "of": len(values),
            "by": round(float(np.minimum(np.abs(out), np.abs(back))[beyond].min()), 3),
            "allowed": round(float(limit.min()), 3),
        },
    )


def low_battery(times: Times, values: Values, readings: int, rule: Battery) -> Judgement:
    """By the middle of the last `readings`: a cold morning or a transmission makes one low."""
    if len(values) < readings:
        return None
    level = float(np.median(values[-readings:]))
    if level >= rule.well_from:
        return WELL
    if level >= rule.below:
        return None
    high = np.flatnonzero(values >= rule.below)
    first = 0 if not len(high) else min(int(high[-1]) + 1, len(values) - 1)
    return Finding(
        "low_battery",
        int(times[first]),
        {"readings": _named(times[-readings:], values[-readings:]), "level": level, "below": rule.below},
    )


def clock_skew(offset_ms: float, drift_ppm: float, samples: int, since_ms: int, rule: ClockSkew) -> Judgement:
    """`offset_ms`: what is to be added to the device's time now; `since_ms`: by our clock, since when it runs so."""
    if abs(offset_ms) < rule.well_s * 1000:
        return WELL
    if abs(offset_ms) <= rule.off_s * 1000:
        return None
    return Finding(
        "clock_skew",
        since_ms,
        {
            "off_s": round(-offset_ms / 1000, 1),
            "drift_ppm": round(drift_ppm, 1),
            "samples": samples,
            "allowed_s": rule.off_s,
        },
    )


def drifting(
    hours: Times, own: Values, others: Mapping[int, Values], accuracy: float, accuracies: Mapping[int, float], rule: Drifting
) -> Judgement:  # fmt: skip
    """`hours`: the begin of n hours, ascending. `own`, `others` (by series): their means, NaN where there is none; all hung at one
    place and position in all of them.

    It drifts if it moved away from more than half of the others. With one other nobody can say which of the two it is; a sensor
    alone is not judged, since what it measures changes with the season."""
    moves = {
        series: move
        for series, means in others.items()
        if (move := _moved(own - means, rule.hours)) is not None
    }
    if not moves:
        return None
    beyond = {
        series: move
        for series, move in moves.items()
        if abs(move.by) > rule.accuracies * (accuracy + accuracies[series]) and move.steady
    }
    if len(beyond) * 2 <= len(moves):
        return WELL
    least = min(beyond.values(), key=lambda move: abs(move.by))
    return Finding(
        "drifting",
        int(hours[0]),
        {
            "moved": round(least.by, 2),
            "from": round(least.first, 2),
            "to": round(least.last, 2),
            "allowed": round(rule.accuracies * (accuracy + max(accuracies[series] for series in beyond)), 2),
            "beside": sorted(beyond),
            "alone": len(moves) == 1,
            "hours": least.hours,
        },
    )


@dataclass(frozen=True, slots=True)
class _Move:
    """Medians of the first and the last third of a difference. `steady`: that of the middle lies between."""

    first: float
    last: float
    steady: bool
    hours: int

    @property
    def by(self) -> float:
        return self.last - self.first


def _moved(apart: Values, hours: int) -> _Move | None:
    """One that moved at once was hung elsewhere, or something was put beside it; a drift passes through the middle."""
    known = apart[~np.isnan(apart)]
    if len(known) < hours:
        return None
    third = len(known) // 3
    parts = known[:third], known[third : len(known) - third], known[-third:]
    first, middle, last = (float(np.median(part)) for part in parts)
    return _Move(first, last, min(first, last) < middle < max(first, last), len(known))


def _named(times: Times, values: Values) -> list[list[float]]:
    return [[int(time), float(value)] for time, value in zip(times.tolist(), values.tolist(), strict=True)]
