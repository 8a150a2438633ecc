"""What is printed: each figure with its reference of the same run, their ratio, and the target with whether it was met."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.benchmarks.racing import Ran


@dataclass(frozen=True)
class Target:
    """`of`: what the number is, in words. `least`: it is met from there on, else up to there."""

    number: float
    of: str
    least: bool = True

    def met(self, found: float) -> bool:
        return found >= self.number if self.least else found <= self.number

    def line(self, found: float) -> str:
        side = "at least" if self.least else "at most"
        return f"    target: {side} {short(self.number)} {self.of}: {short(found)}, {'met' if self.met(found) else 'NOT MET'}"


@dataclass
class Lane:
    """One runner's rounds; `fault`: why it does not count."""

    name: str
    settings: str
    ran: list[Ran] = field(default_factory=list)
    fault: str | None = None

    @property
    def rate(self) -> float | None:
        return None if self.fault or not self.ran else statistics.median(each.rate for each in self.ran)

    @property
    def peak_mb(self) -> float | None:
        found = [each.peak_mb for each in self.ran if each.peak_mb is not None]
        return max(found, default=None)


Unit = Literal["messages/s", "readings/s"]


def table(title: str, lanes: Sequence[Lane], reference: Lane, unit: Unit) -> None:
    print(f"\n{title} ({busy()})", flush=True)
    for lane in lanes:
        print(f"  {lane.name:<22} {_figures(lane, reference, unit)}")
        print(f"  {'':<22} {lane.settings}", flush=True)


def _figures(lane: Lane, reference: Lane, unit: Unit) -> str:
    if lane.rate is None:
        return f"not counted: {lane.fault or 'it did not run'}"
    rates = [each.rate for each in lane.ran]
    words = [f"{short(lane.rate)} {unit} ({short(min(rates))}-{short(max(rates))})"]
    if lane is not reference and reference.rate:
        words.append(f"{lane.rate / reference.rate:.2f} of the {reference.name}")
    if lane.peak_mb is not None:
        words.append(f"{lane.peak_mb:.0f} MB at most")
    commits = [each.commits for each in lane.ran if each.commits]
    if commits:
        words.append(f"{statistics.median(commits):,.0f} commits")
    return "; ".join(words)


def target(found: float | None, wanted: Target) -> None:
    """`found` None: what it would be compared with did not run."""
    print(wanted.line(found) if found is not None else f"    target: {wanted.of}: cannot be told", flush=True)


def ratio(lane: Lane, reference: Lane) -> float | None:
    return None if lane.rate is None or not reference.rate else lane.rate / reference.rate


def busy() -> str:
    """Whoever else works on the machine takes from everybody here, and not from all alike."""
    return f"load average {os.getloadavg()[0]:.1f}"


def short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
