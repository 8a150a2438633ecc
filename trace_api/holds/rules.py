"""How far the net is cast around a positive test: numbers that are data, with their source."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class HoldRules:
    """`plot_days`, `grower_days`: harvests so many days apart hang together. `spray_days`: uses of one product so many days apart
    are one spray; `reach_days`: so long after it a harvest is of it. `levels`: of mixing. `open_days`: so old tests still propose."""

    verified: bool
    source: str
    plot_days: int
    grower_days: int
    spray_days: int
    reach_days: int
    levels: int
    open_days: int

    @property
    def document(self) -> str:
        """For the database's functions."""
        names = ("plot_days", "grower_days", "spray_days", "reach_days", "levels", "open_days")
        return json.dumps({name: getattr(self, name) for name in names})


def load_rules() -> HoldRules:
    return HoldRules(**json.loads((files("trace_api.holds") / "rules.json").read_text(encoding="utf-8")))
