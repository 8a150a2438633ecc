"""What really happened: excursions of the true temperature, before noise, sampling and transport.

Contract: judged on the model's own temperatures at the place and position a sensor is registered at, while
covered fruit is there; nothing here knows a reading, and nothing of ours is imported. The rule it holds the
world to is the waybill's: more than 5 °C for 30 minutes on end. What sensors of the stated accuracy and
interval could not tell apart is said to be undecidable, with the reason, rather than counted on either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LIMIT_C = 5.0
HOLD_S = 1800.0
LINGER_C = 0.2  # around the limit, where noise cuts a long run into pieces
LINGER_S = 4500.0


@dataclass(frozen=True, slots=True)
class Watch:
    """One measuring point under the limit. `in_force`: half-open, seconds from the world's start.
    `delay_s`: how long a reading may wait in the device before it is sent."""

    device: str
    channel: str
    position: str
    parent: str
    interval_s: float
    delay_s: float
    accuracy_c: float
    in_force: tuple[float, float]


@dataclass(frozen=True, slots=True)
class TrueExcursion:
    """`start`: first beyond the limit; `trigger`: 30 minutes later; `end`: back inside or no longer in force,
    None while it lasts. `undecidable`: why no honest detector could be held to it, None where it could."""

    device: str
    channel: str
    position: str
    parent: str
    start: datetime
    trigger: datetime
    end: datetime | None
    peak_c: float
    undecidable: str | None


@dataclass(frozen=True, slots=True)
class _Run:
    first: int
    last: int


def find(
    watch: Watch,
    world_start: datetime,
    time_s: FloatArray,
    registered_c: FloatArray,
    actual_c: FloatArray,
    until_s: float,
) -> list[TrueExcursion]:
    """Excursions triggered by `until_s`, and what cannot be decided by then, in time order.

    `time_s`: rising; `registered_c`: the true temperature where the label says the probe is; `actual_c`:
    where it really is. Both °C, NaN where there is nothing to measure.
    """
    begin, end = watch.in_force
    inside = (time_s >= begin) & (time_s < min(end, until_s))
    time_s, registered_c, actual_c = time_s[inside], registered_c[inside], actual_c[inside]
    if not time_s.size:
        return []
    found = []
    for run in _runs(registered_c > LIMIT_C - watch.accuracy_c, time_s, _least_s(watch)):
        part = slice(run.first, run.last + 1)
        excursion = _judge(watch, world_start, time_s[part], registered_c[part], actual_c[part], until_s)
        if excursion is not None:
            found.append(excursion)
    if registered_c is not actual_c:
        found += _only_seen(watch, world_start, time_s, registered_c, actual_c, until_s)
    return sorted(found, key=lambda excursion: excursion.start)


def _least_s(watch: Watch) -> float:
    """A true run this short leaves no reading-to-reading span of the hold."""
    return HOLD_S - 2 * watch.interval_s


def _most_s(watch: Watch) -> float:
    """A true run this long leaves one wherever the readings fall."""
    return HOLD_S + 2 * watch.interval_s


def _judge(
    watch: Watch,
    world_start: datetime,
    time_s: FloatArray,
    registered_c: FloatArray,
    actual_c: FloatArray,
    until_s: float,
) -> TrueExcursion | None:
    """One stretch that a generous sensor would report. None if not even the sharpest clock of the cut sees
    it."""
    runs = _runs(registered_c > LIMIT_C, time_s, HOLD_S)
    sure = _runs(registered_c > LIMIT_C + watch.accuracy_c, time_s, _most_s(watch))
    sent = time_s <= until_s - watch.delay_s - 2 * watch.interval_s
    sure_by_then = _runs((registered_c > LIMIT_C + watch.accuracy_c) & sent, time_s, _most_s(watch))
    seen = actual_c > LIMIT_C + watch.accuracy_c
    reason: str | None = None
    if not sure:
        reason = "peak or duration lies within the sensor's accuracy and two intervals of the rule"
    elif not sure_by_then:
        reason = "reached the hold so late that its readings may not have been sent by the cut"
    elif len(sure) > 1:
        reason = "one run for the sharpest sensor, several for the dullest"
    elif not _runs(seen, time_s, _most_s(watch)):
        reason = "the probe does not lie where it is registered, and does not feel it"
    elif _lingers(registered_c, time_s):
        reason = "stays so close to the limit that noise cuts the run into pieces"
    run = max(runs, key=lambda item: item.last - item.first) if runs else _longest(registered_c, time_s)
    if run is None:
        return None
    return _excursion(watch, world_start, time_s, registered_c, run, until_s, reason)


def _only_seen(
    watch: Watch,
    world_start: datetime,
    time_s: FloatArray,
    registered_c: FloatArray,
    actual_c: FloatArray,
    until_s: float,
) -> list[TrueExcursion]:
    """What a misplaced probe may report although the registered place was never that warm for that long."""
    true_there = np.zeros(time_s.size, dtype=bool)
    for run in _runs(registered_c > LIMIT_C - watch.accuracy_c, time_s, _least_s(watch)):
        true_there[run.first : run.last + 1] = True
    reason = "the probe does not lie where it is registered: the place was not that warm"
    return [
        _excursion(watch, world_start, time_s, actual_c, run, until_s, reason)
        for run in _runs(actual_c > LIMIT_C - watch.accuracy_c, time_s, _least_s(watch))
        if not true_there[run.first : run.last + 1].any()
    ]


def _excursion(
    watch: Watch,
    world_start: datetime,
    time_s: FloatArray,
    value_c: FloatArray,
    run: _Run,
    until_s: float,
    reason: str | None,
) -> TrueExcursion:
    def at(seconds: float) -> datetime:
        return world_start + timedelta(seconds=float(seconds))

    step_s = float(time_s[1] - time_s[0]) if time_s.size > 1 else 0.0
    lasts = run.last == time_s.size - 1 and time_s[run.last] + step_s >= until_s
    return TrueExcursion(
        device=watch.device,
        channel=watch.channel,
        position=watch.position,
        parent=watch.parent,
        start=at(time_s[run.first]),
        trigger=at(time_s[run.first] + HOLD_S),
        end=None if lasts else at(time_s[run.last] + step_s),
        peak_c=round(float(value_c[run.first : run.last + 1].max()), 2),
        undecidable=reason,
    )


def _runs(beyond: BoolArray, time_s: FloatArray, least_s: float) -> list[_Run]:
    """Unbroken stretches of True that last `least_s` or longer."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], beyond, [False])).astype(np.int8)))
    pairs = zip(edges[::2], edges[1::2] - 1, strict=True)
    return [_Run(int(a), int(b)) for a, b in pairs if time_s[b] - time_s[a] >= least_s]


def _longest(value_c: FloatArray, time_s: FloatArray) -> _Run | None:
    runs = _runs(value_c > LIMIT_C, time_s, 0.0) or _runs(value_c > -np.inf, time_s, 0.0)
    return max(runs, key=lambda run: run.last - run.first, default=None)


def _lingers(value_c: FloatArray, time_s: FloatArray) -> bool:
    return bool(_runs(np.abs(value_c - LIMIT_C) < LINGER_C, time_s, LINGER_S))
