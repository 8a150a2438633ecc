"""Moments as an export writes them -> one line of time that never goes back.

Contract: rows newest first are turned round, rows in no order are sorted, a repeated row counts once. A local hour that comes twice
(clocks set back) is two hours; the hour that is left out in spring is known to be none where a zone is given, or where the same
export shows that its clock is set. Two readings of one moment that differ are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from ingest.exports.exported import Floats, Integers, Line, Mask

_HOUR_MS = 3_600_000
_EPOCH = datetime(1970, 1, 1)
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of the file the line is made of, in its order; and what was set right."""

    line: Line
    order: Integers
    notes: tuple[str, ...]


def line_up(local_ms: Integers, offset_ms: Integers | None, zone: ZoneInfo | None) -> Rows:
    """`local_ms`: int64[n] in the order of the file, all known. The line may still hold a moment twice: see `once`."""
    if offset_ms is not None:
        order = _sorted(local_ms - offset_ms)
        return Rows(Line((local_ms - offset_ms)[order], local_ms[order], offset_ms[order]), order, ())
    notes: list[str] = []
    order = np.arange(local_ms.size)
    steps = np.diff(local_ms)
    if np.count_nonzero(steps < 0) > np.count_nonzero(steps > 0):
        order = order[::-1]
    typical_ms = _typical(np.diff(local_ms[order]))
    back = _set_back(local_ms[order], typical_ms, zone)
    steps = np.diff(local_ms[order])
    if not back.any() and bool(np.any(steps <= 0)):
        if bool(np.any(steps < 0)):
            order = _sorted(local_ms)
            notes.append("the rows were in no order of time and were sorted")
            typical_ms = _typical(np.diff(local_ms[order]))
        doubled = _doubled(local_ms[order])
        if doubled is not None:
            apart = _set_back(local_ms[order][doubled], typical_ms, zone)
            if apart.any():
                order, back = order[doubled], apart
    local = local_ms[order]
    shift = np.cumsum(np.concatenate(([0], back.astype(np.int64)))) * _HOUR_MS
    if back.any():
        first = _EPOCH + int(local[1:][back][0]) * _MS
        notes.append(
            f"the clock was set back by an hour: {first:%Y-%m-%d %H:%M} comes twice, and was read as two hours"
        )
        forward = _set_forward(local + shift, typical_ms)
        shift = shift - np.cumsum(np.concatenate(([0], forward.astype(np.int64)))) * _HOUR_MS
    if zone is None:
        return Rows(Line(local + shift, local, None), order, tuple(notes))
    repeated = np.concatenate(([False], back)) | _second_pass(local, back)
    offsets = _offsets(local, repeated, zone)
    return Rows(Line(local - offsets, local, offsets), order, tuple(notes))


def _sorted(time_ms: Integers) -> Integers:
    return np.argsort(time_ms, kind="stable")


def _typical(steps: Integers) -> int:
    forward = steps[steps > 0]
    return int(np.median(forward)) if forward.size else 0


def _set_back(local_ms: Integers, typical_ms: int, zone: ZoneInfo | None) -> Mask:
    """bool[n-1]: between these rows the clock went back by an hour, since with an hour more the row is the next one. With a zone, only
    where that sets its clocks back."""
    steps = np.diff(local_ms)
    # Of what is logged every hour, the hour before comes again and no time has gone back; or a row stands there twice.
    again = (steps == 0) & (typical_ms == _HOUR_MS)
    if zone is None:
        again[again] = [_at_the_turn(int(moment)) for moment in local_ms[1:][again].tolist()]
    gone_back: Mask = (steps < 0) | again
    mask: Mask = gone_back & (steps + _HOUR_MS > 0) & (steps + _HOUR_MS <= 2 * typical_ms)
    if zone is not None:
        comes_twice = [_comes_twice(int(moment), zone) for moment in local_ms[1:][mask].tolist()]
        mask[mask] = comes_twice
    # Rows in no order go back in all ways; a clock does it twice in two years.
    if np.any((steps < 0) & ~mask) or np.count_nonzero(mask) > 1 + local_ms.size // 100:
        return np.zeros_like(mask)
    return mask


def _at_the_turn(local_ms: int) -> bool:
    """Whether clocks are set back at such a time anywhere: in the night before or after a Saturday, or before a Friday."""
    moment = _EPOCH + local_ms * _MS
    return moment.weekday() >= 3 and (moment.hour <= 3 or moment.hour == 23)


def _comes_twice(local_ms: int, zone: ZoneInfo) -> bool:
    moment = (_EPOCH + local_ms * _MS).replace(tzinfo=zone)
    return moment.utcoffset() != moment.replace(fold=1).utcoffset()


def _set_forward(shifted_ms: Integers, typical_ms: int) -> Mask:
    """bool[n-1]: a step of an hour more than is usual, in the small hours of a Sunday in March (or October, south of the equator)."""
    steps = np.diff(shifted_ms)
    longer = np.flatnonzero(np.abs(steps - _HOUR_MS - typical_ms) <= typical_ms / 2)
    mask = np.zeros(steps.size, np.bool_)
    for at in longer.tolist():
        after = _EPOCH + int(shifted_ms[at + 1]) * _MS
        mask[at] = after.weekday() == 6 and after.month in (3, 4, 9, 10) and after.hour <= 4
    return mask


def _doubled(local_ms: Integers) -> Integers | None:
    """Where sorted rows hold each moment of one hour twice: the order in which the first of each come before the second."""
    moments, first, counts = np.unique(local_ms, return_index=True, return_counts=True)
    twice = np.flatnonzero(counts == 2)
    if not twice.size or counts.max() > 2 or np.any(np.diff(twice) != 1):
        return None
    if moments[twice[-1]] - moments[twice[0]] >= _HOUR_MS or moments[twice[0]] % _HOUR_MS >= _typical(
        np.diff(moments)
    ):
        return None
    block = np.concatenate((first[twice], first[twice] + 1))
    order = np.arange(local_ms.size)
    order[first[twice[0]] : first[twice[-1]] + 2] = block
    return order


def _second_pass(local_ms: Integers, back: Mask) -> Mask:
    """The rows of an hour that comes a second time."""
    mask = np.zeros(local_ms.size, np.bool_)
    for at in np.flatnonzero(back).tolist():
        again = (
            (np.arange(local_ms.size) > at)
            & (local_ms <= local_ms[at])
            & (local_ms > local_ms[at] - 2 * _HOUR_MS)
        )
        mask |= again
    return mask


def _offsets(local_ms: Integers, repeated: Mask, zone: ZoneInfo) -> Integers:
    quarters, place = np.unique(local_ms // 900_000 * 2 + repeated, return_inverse=True)
    each = [
        (
            (_EPOCH + int(quarter) // 2 * 900_000 * _MS)
            .replace(tzinfo=zone, fold=int(quarter) % 2)
            .utcoffset()
            or timedelta()
        )
        // _MS
        for quarter in quarters.tolist()
    ]
    return np.array(each, np.int64)[place]


def once(time_ms: Integers, values: list[Floats]) -> tuple[Mask, list[Floats], int]:
    """Each moment once: which rows are kept, the columns with NaN where one moment has two readings, and how many those are."""
    kept: Mask = np.concatenate(([True], np.diff(time_ms) > 0))[: time_ms.size]
    if kept.all():
        return kept, values, 0
    of = np.cumsum(kept) - 1
    merged, differing = [], np.zeros(int(kept.sum()), np.bool_)
    for value in values:
        low = np.full(differing.size, np.inf)
        high = np.full(differing.size, -np.inf)
        known = ~np.isnan(value)
        np.minimum.at(low, of[known], value[known])
        np.maximum.at(high, of[known], value[known])
        differing |= low < high
        merged.append(np.where(low == high, low, np.nan))
    return kept, merged, int(differing.sum())
