"""What a device's clock was, from samples of it: pure.

Of a sample the difference y = received - sent is the clock's error plus a delay that is never negative. While a clock runs
undisturbed, y lies on or above a line whose slope is its drift; the line is the one below all samples that is nearest to them
(Moon, Skelly, Towsley: Estimation and removal of clock skew from network delay measurements, INFOCOM 1999). A sample that lies
below the line by more than a drift explains is proof that the clock was set forward, or that those before were all late. Samples
above it are late, or the clock was set back: that is believed when they stay together for a while and none is on the line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TOLERANCE_MS = 2_000.0
DRIFT_PPM = 100.0
"""The most that a crystal does; a faster clock is one that is being set."""
BELIEVED = 3
BELIEVED_MS = 1_500_000
"""How many samples over how long make a clock that was set back, or a piece that another may follow."""
LONGEST_MS = 7 * 86_400_000
"""A piece is at most a week: the drift of a crystal follows the weather."""
DRIFT_FROM_MS = 86_400_000
DRIFT_SAMPLES = 8

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Piece:
    """True time = device's + offset_ms + drift_ppm of what the device counted since `anchor_ms`, all UTC ms.

    `from_ms`, `to_ms`: which of the device's times may be of this piece. `seen_from_ms`, `seen_to_ms`: when by our clock it ran
    so. None: without end. `first_ms`, `last_ms`: receipt of the first and last of the `samples` that it rests on."""

    from_ms: int | None
    to_ms: int | None
    anchor_ms: int
    offset_ms: float
    drift_ppm: float
    seen_from_ms: int | None
    seen_to_ms: int | None
    first_ms: int
    last_ms: int
    samples: int

    def corrected_ms(self, time_ms: int) -> float:
        return time_ms + self.offset_ms + self.drift_ppm * 1e-6 * max(0, time_ms - self.anchor_ms)


def fit(received_ms: Sequence[int], sent_ms: Sequence[int], before_ms: int | None = None) -> list[Piece]:
    """`received_ms`, `sent_ms`: UTC ms of n samples, in any order. `before_ms`: when the last sample of the piece before these was
    received, None where there is none. Returns pieces in the order of our clock; none of no samples."""
    received, sent = np.array(received_ms, np.int64), np.array(sent_ms, np.int64)
    order = np.lexsort((sent, received))
    received, sent = received[order], sent[order]
    moments, late = received.tolist(), (received - sent).tolist()  # one by one they are faster as Python's
    runs = list(_believed(_runs(moments, late), moments))
    return list(_pieces(runs, received, sent, before_ms))


@dataclass(slots=True)
class _Run:
    """Samples on one line, by index; `level`: its smallest difference as it drifts, at the sample `at`."""

    members: list[int]
    level: float
    at: int


def _slack_ms(elapsed_ms: int) -> float:
    return TOLERANCE_MS + DRIFT_PPM * 1e-6 * elapsed_ms


def _runs(received: list[int], late: list[int]) -> Iterator[_Run]:
    """Each begins afresh at its first sample, so that what follows does not hang on what was before."""
    begin: int | None = 0 if len(received) else None
    while begin is not None:
        run = _Run([begin], late[begin], begin)
        begin = _follow(run, received, late)
        yield run


def _follow(run: _Run, received: list[int], late: list[int]) -> int | None:
    """Gather the run's members; returns where the next one begins."""
    set_back: _Run | None = None
    for index in range(run.at + 1, len(received)):
        off = late[index] - run.level
        slack = _slack_ms(received[index] - received[run.at])
        if off < -slack:
            return index
        if off > slack:
            set_back = _also(set_back, index, received, late)
            if _is_believed(set_back, received):
                return set_back.members[0]
            continue
        if received[index] - received[run.members[0]] >= LONGEST_MS and off <= TOLERANCE_MS / 2:
            return index
        _join(run, index, received, late)
        set_back = None
    return None


def _join(run: _Run, index: int, received: list[int], late: list[int]) -> None:
    drifted = run.level + DRIFT_PPM * 1e-6 * (received[index] - received[run.at])
    run.level, run.at = min(late[index], drifted), index
    run.members.append(index)


def _also(run: _Run | None, index: int, received: list[int], late: list[int]) -> _Run:
    """What may be a clock that was set back, with one more sample above the line."""
    if run is None:
        return _Run([index], late[index], index)
    off = late[index] - run.level
    slack = _slack_ms(received[index] - received[run.at])
    if off < -slack:
        return _Run([index], late[index], index)
    if off <= slack:
        _join(run, index, received, late)
    return run


def _is_believed(run: _Run, received: list[int]) -> bool:
    first, last = run.members[0], run.members[-1]
    return len(run.members) >= BELIEVED and received[last] - received[first] >= BELIEVED_MS


def _believed(runs: Iterator[_Run], received: list[int]) -> Iterator[_Run]:
    """A run that another follows before it is believed was a delay or a slip of the device; the last one may be young."""
    held: _Run | None = None
    for run in runs:
        if held is not None and _is_believed(held, received):
            yield held
        held = run
    if held is not None:
        yield held


def _pieces(
    runs: Sequence[_Run], received: Integers, sent: Integers, before_ms: int | None
) -> Iterator[Piece]:
    for place, run in enumerate(runs):
        first_ms, last_ms = int(received[run.members[0]]), int(received[run.members[-1]])
        next_ms = int(received[runs[place + 1].members[0]]) if place + 1 < len(runs) else None
        anchor_ms = int(sent[run.members[0]])
        offset_ms, drift_ppm = _line(sent[run.members], (received - sent)[run.members])
        # When between two samples the clock was set is not known: both pieces may be of that while.
        yield Piece(
            None if before_ms is None else min(anchor_ms, round(before_ms - offset_ms)),
            None if next_ms is None else _until(anchor_ms, offset_ms, drift_ppm, next_ms),
            anchor_ms,
            offset_ms,
            drift_ppm,
            None if before_ms is None else first_ms,
            next_ms,
            first_ms,
            last_ms,
            len(run.members),
        )
        before_ms = last_ms


def _until(anchor_ms: int, offset_ms: float, drift_ppm: float, at_ms: int) -> int:
    """What the clock shows at a moment of ours, and a little more: two pieces shall not leave a hole between them."""
    shown = at_ms - offset_ms
    return max(anchor_ms, round(shown - drift_ppm * 1e-6 * max(0.0, shown - anchor_ms))) + 1_000


def _line(sent: Integers, late: Integers) -> tuple[float, float]:
    """Offset at the first sample, ms, and drift, ppm."""
    if len(sent) < DRIFT_SAMPLES or np.ptp(sent) < DRIFT_FROM_MS:
        return float(late.min()), 0.0
    x, y = (sent - sent[0]).astype(np.float64), late.astype(np.float64)
    slope = float(np.clip(_slope_below(x, y), -DRIFT_PPM * 1e-6, DRIFT_PPM * 1e-6))
    return float((y - slope * x).min()), slope * 1e6


def _slope_below(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Of the line below all points that is nearest to them in sum: the edge of the lower hull under the mean of x."""
    hull: list[int] = []
    for point in np.lexsort((y, x)).tolist():
        if hull and x[point] == x[hull[-1]]:
            continue
        while len(hull) > 1 and _turns_down(x, y, hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    if len(hull) < 2:
        return 0.0
    edge = min(max(int(np.searchsorted(x[hull], x.mean(), side="right")), 1), len(hull) - 1)
    left, right = hull[edge - 1], hull[edge]
    return float((y[right] - y[left]) / (x[right] - x[left]))


def _turns_down(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], left: int, middle: int, right: int
) -> bool:
    """Whether the middle point lies on or above the line between the others."""
    return bool((y[middle] - y[left]) * (x[right] - x[left]) >= (y[right] - y[left]) * (x[middle] - x[left]))
