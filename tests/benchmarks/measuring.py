"""Alternate two ways of doing the same, A B A B, and print the ratio of their medians.

These machines are noisy: a single time says little, a ratio of medians from one run says more.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

ROUNDS = 5


def compare(
    what: str,
    count: int,
    unit: str,
    ours: Callable[[], object],
    name: str,
    reference: Callable[[], None],
    rounds: int = ROUNDS,
) -> float:
    """`ours` and `reference` each do `count` of `unit`; what they need beforehand they have prepared. Returns the ratio."""
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        mine.append(count / seconds(ours))
        theirs.append(count / seconds(reference))
    own, other = statistics.median(mine), statistics.median(theirs)
    spread = f"{short(min(mine))}-{short(max(mine))} against {short(min(theirs))}-{short(max(theirs))}"
    print(
        f"{what}: {short(own)} {unit}/s; {name}: {short(other)} {unit}/s; ratio {own / other:.2g} (medians of {rounds}; {spread})",
        flush=True,
    )
    return own / other


def short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
