"""From when on something is wrong with a device: the numbers of `thresholds.json`, by quantity. docs/health.md says why."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final, Literal, get_args

import msgspec

Kind = Literal["silent", "stuck", "jumping", "drifting", "low_battery", "clock_skew"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Silent(_Entry, frozen=True):
    """Silent: nothing came for `intervals` of the device's, and for `at_least_s`."""

    intervals: int
    at_least_s: int


class Flat(_Entry, frozen=True):
    """`below`: only values below it; a sensor rests at the end of its range for good reason."""

    below: float | None = None


class Stuck(_Entry, frozen=True):
    hours: float
    readings: int
    quantities: dict[str, Flat]


class Jump(_Entry, frozen=True):
    """In the unit of the quantity: a step that the thing measured cannot make in its time."""

    at_least: float
    per_minute: float


class Jumping(_Entry, frozen=True):
    """`times`: how often there and back. `accuracies`: how many of the device's a jump is at least."""

    times: int
    accuracies: float
    quantities: dict[str, Jump]


class Drifting(_Entry, frozen=True):
    """Over `days`, of which `hours` hours are common; beyond `accuracies` times those of both sensors."""

    days: int
    hours: int
    accuracies: float
    quantities: list[str]


class Battery(_Entry, frozen=True):
    below: float
    well_from: float


class LowBattery(_Entry, frozen=True):
    """`models`: by model and quantity; a voltage says nothing unless one knows the cell."""

    readings: int
    quantities: dict[str, Battery]
    models: dict[str, dict[str, Battery]]


class ClockSkew(_Entry, frozen=True):
    off_s: float
    well_s: float


class Thresholds(_Entry, frozen=True):
    silent: Silent
    stuck: Stuck
    jumping: Jumping
    drifting: Drifting
    low_battery: LowBattery
    clock_skew: ClockSkew

    def judged_quantities(self) -> list[str]:
        """Of which single readings are looked at."""
        batteries = {name for model in self.low_battery.models.values() for name in model}
        return sorted(
            {*self.stuck.quantities, *self.jumping.quantities, *self.low_battery.quantities, *batteries}
        )


@cache
def shipped() -> Thresholds:
    return msgspec.json.decode(
        files("ingest.health").joinpath("thresholds.json").read_bytes(), type=Thresholds
    )
