"""The numbers of the gate: data, each with its source, its force and who may change it (`rules.json`).

Contract: read once where the application is put together; a number that is missing or of another kind stops the start.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources


@dataclass(frozen=True, slots=True)
class Rules:
    """`gate_boxes`: of how many boxes the pulp is measured. `pulp_margin_c`: °C that a pulp may be beyond a limit of
    the product at the gate. `retest`: how long after being told of a positive result a retest may be asked for; fixed by
    law. `rapid_threshold_percent`: inhibition from which on a rapid test is positive."""

    gate_boxes: int
    pulp_margin_c: float
    retest: timedelta
    rapid_threshold_percent: float
    pulp_counts_minutes: int
    business_day_start_hour: int


def load_rules() -> Rules:
    said = json.loads(resources.files("trace_api.check").joinpath("rules.json").read_text(encoding="utf-8"))
    value = {name: rule["value"] for name, rule in said.items()}
    return Rules(
        gate_boxes=int(value["gate_boxes"]),
        pulp_margin_c=float(value["pulp_margin_c"]),
        retest=timedelta(hours=float(value["retest_hours"])),
        rapid_threshold_percent=float(value["rapid_threshold_percent"]),
        pulp_counts_minutes=int(value["pulp_counts_minutes"]),
        business_day_start_hour=int(value["business_day_start_hour"]),
    )
