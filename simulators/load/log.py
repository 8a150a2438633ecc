"""How far a load came, on disk: what a checker needs to know every number that was published.

In the line: run -> file -> checker. Contract: each writing is whole; a run that is killed leaves its last one, at most a
second old. Of the messages from `published` up to `begun` it is not known then whether the broker has them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simulators.load.plan import Plan


@dataclass(frozen=True, slots=True)
class Came:
    """How far a run is. `begun`: message 0 to `begun` - 1 were sent; `published`: the first so many are at the broker, all of
    them; `stored`: so many are covered by receipts (with `keep`). `behind_ms`: the 99th percentile of how late a message
    left after the moment its rate gave it."""

    begun: int
    published: int
    stored: int
    sent_again: int
    reconnected: int
    seconds: float
    behind_ms: float = 0.0
    complete: bool = False


def write_log(path: Path, plan: Plan, came: Came) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps({"plan": plan.describe(), "came": asdict(came)}) + "\n", encoding="utf-8")
    os.replace(beside, path)


def read_log(path: Path) -> tuple[Plan, Came]:
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Plan.of(told["plan"]), Came(**told["came"])


def numbers(plan: Plan, messages: int) -> Iterator[tuple[str, int, int]]:
    """(device, boot, highest seq) of the first `messages`: every number from 1 up to it was published."""
    return ((plan.device(each), plan.boot, plan.last_seq(each, messages)) for each in range(plan.devices))
