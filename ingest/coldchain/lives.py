"""How long goods last, as data: at a reference temperature, and how much faster they age when it is warmer.

In the line: `lives.json` (package data) -> here -> the life that is left beside a judgement. Contract: every number says where it comes
from and whether anybody read it there; it is told as a range, and nothing is judged by it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

from ingest.coldchain.kinetics import Q10


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`life_days`: at least and at most, at `reference_c`."""

    product: str
    reference_c: float
    life_days: tuple[float, float]
    q10: Q10
    source: str
    verified: bool


def lifetime_of(product: str) -> Lifetime | None:
    """None: nobody wrote one down. Raises KineticsError of a table that is none."""
    text = resources.files("ingest.coldchain").joinpath("lives.json").read_text(encoding="utf-8")
    said = next((each for each in json.loads(text)["lives"] if each["product"] == product), None)
    if said is None:
        return None
    shortest, longest = said["life_days"]
    q10 = Q10(tuple(said["q10"]["bounds_c"]), tuple(said["q10"]["factors"]))
    return Lifetime(product, said["reference_c"], (shortest, longest), q10, said["source"], said["verified"])
