"""The rows of placements and presences, as they travel between what writes them and what they touch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PresenceRow:
    holder: str
    lot: str
    rule_product: str | None
    stage: str
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class PlacementRow:
    series: int
    organisation: str
    parent: str
    probe_position: str
    start: datetime
    end: datetime | None
    conflict: bool


def moment(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time_ms)


def maybe(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else moment(time_ms)
