"""From when on something does not add up: the numbers of `thresholds.json`. docs/radar.md says why; each finding shows its own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

from ledger.genealogy.balance import Rules

_MINUTE_MS = 60_000


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Balance(_Entry, frozen=True):
    """`mass_tolerance`: of a product that has none of its own."""

    mass_tolerance: float
    birth_slack_minutes: int
    road_slack_minutes: int
    fastest_kmh: float
    near_km: float
    medium_share: float
    high_share: float
    high_hours: float

    @property
    def rules(self) -> Rules:
        return Rules(
            self.birth_slack_minutes * _MINUTE_MS, self.road_slack_minutes * _MINUTE_MS, self.fastest_kmh,
            self.near_km, self.medium_share, self.high_share, self.high_hours,
        )  # fmt: skip


class Tolerated(_Entry, frozen=True):
    tolerance: float


class Scans(_Entry, frozen=True):
    """More than `times_boxes` scans for each box, `at_least` so many, from `places` places at least on one day, within `days`."""

    times_boxes: float
    at_least: int
    places: int
    days: int


class Copies(_Entry, frozen=True):
    """Fingerprints are of `row` readings, one in every `window` of them; a row with fewer than `changes` changes has none, and one
    that was found more than `common` times says nothing. Told are `readings` in a row with `distinct` values and `bits`."""

    quantities: list[str]
    days: int
    row: int
    window: int
    changes: int
    common: int
    readings: int
    distinct: int
    bits: float


class Thresholds(_Entry, frozen=True):
    """`late_hours`: what is told in pieces has so long to be told whole before anybody is shown a finding."""

    balance: Balance
    late_hours: float
    harvest: Tolerated
    certificates: Tolerated
    scans: Scans
    copies: Copies


@cache
def shipped() -> Thresholds:
    return msgspec.json.decode(
        files("ingest.radar").joinpath("thresholds.json").read_bytes(), type=Thresholds
    )
