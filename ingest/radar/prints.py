"""Fingerprints of rows of readings, by which the same row is found elsewhere; and how much a row that is the same says. Pure.

Winnowing (Schleimer, Wilkerson, Aiken 2003): every row of `row` readings is hashed, and of `window` hashes in a row the
smallest is kept, so that any stretch of row + window - 1 equal readings has a fingerprint in common, whenever either began.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ingest.radar.thresholds import Copies

Values = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
_BASE = 0x9E3779B97F4A7C15
_CLASSES = 4


def in_thousandths(values: Values) -> Whole:
    """Readings as they are compared: what a sensor resolves is coarser."""
    return np.round(values * 1000).astype(np.int64)


def fingerprints(values: Values, rule: Copies) -> tuple[npt.NDArray[np.intp], Whole]:
    """`values`: float64[n], in time order. Returns where the rows begin, and their hashes. A row that hardly changes has none: a
    sensor that is stuck, or has nothing to tell, is like every other."""
    count = len(values) - rule.row + 1
    if count < 1:
        return np.zeros(0, np.intp), np.zeros(0, np.int64)
    whole = in_thousandths(values)
    hashes = np.zeros(count, np.uint64)
    factor = np.uint64(_BASE)
    for at in range(rule.row):
        hashes = hashes * factor + whole[at : at + count].view(np.uint64)
    hashes = (hashes ^ (hashes >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(32)
    changed = np.concatenate([[0], np.cumsum(np.diff(whole) != 0)])
    telling = changed[rule.row - 1 :] - changed[:count] >= rule.changes
    hashes[~telling] = np.iinfo(np.uint64).max
    width = min(rule.window, count)
    chosen = np.lib.stride_tricks.sliding_window_view(hashes, width).argmin(axis=1) + np.arange(
        count - width + 1
    )
    begins = np.unique(chosen)
    begins = begins[telling[begins]]
    return begins, hashes[begins].view(np.int64)


def same_stretch(one: Values, other: Values, at: int, there: int) -> tuple[int, int]:
    """How many readings before and from these two on are the same in both."""
    a, b = in_thousandths(one), in_thousandths(other)
    ahead = min(len(a) - at, len(b) - there)
    differs = np.flatnonzero(a[at : at + ahead] != b[there : there + ahead])
    after = int(differs[0]) if len(differs) else ahead
    back = min(at, there)
    differs = np.flatnonzero(a[at - back : at][::-1] != b[there - back : there][::-1])
    before = int(differs[0]) if len(differs) else back
    return before, after


def bits_per_reading(values: Values) -> float:
    """How surprising one more reading is to who knows the one before: the entropy of a step given the step before it, in bits, with
    steps in units of the sensor's resolution and cut at four of them. A coarse sensor, and a reefer that goes up and down
    like clockwork, say little with each reading, and so their rows must be longer to be no coincidence."""
    steps = np.diff(in_thousandths(values))
    moved = np.abs(steps[steps != 0])
    if len(steps) < 3 or not len(moved):
        return 0.0
    classes = np.clip(np.round(steps / moved.min()), -_CLASSES, _CLASSES).astype(np.intp) + _CLASSES
    width = 2 * _CLASSES + 1
    pairs = np.bincount(classes[:-1] * width + classes[1:], minlength=width * width).reshape(width, width)
    share = pairs / pairs.sum()
    given = share.sum(axis=1, keepdims=True)
    likely = share > 0
    return float(-(share[likely] * np.log2((share / np.where(given == 0, 1, given))[likely])).sum())
