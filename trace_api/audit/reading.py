"""What an official may see, as values. The functions of 0012 decide whose area and department it is; nothing else is read.

Contract: `conn` first, in the caller's snapshot; every function takes the moment it is now, so that an answer says as of when
it is. Somebody who oversees nothing gets empty lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from trace_api.audit.asking import PAGE, Asked
from trace_api.story import Name

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Breach:
    """A row of the first list. `site`: the vehicle or place when the alarm was due; `unit`: the container the probe lay in.
    `severity`: °C beyond the limit x minutes x kg, None where no weight is known; `weight_at_least`: that of
    some of the goods is not, and both are at least so much. `tonne_hours`, `unobserved`: of the
    goods while they were there, about. `concerns`: why the asker sees it."""

    id: int
    version: int
    state: str
    merged_into: int | None
    organisation: str
    organisation_zh: str
    organisation_en: str
    device: str
    giai: str
    model: str
    accuracy_c: float
    interval_s: int
    channel: str
    series: UUID
    probe_position: str | None
    unit: str | None
    site: str | None
    site_zh: str | None
    site_en: str | None
    site_kind: str | None
    vehicle: bool | None
    time_zone: str
    holder: str | None
    holder_zh: str | None
    holder_en: str | None
    limit_id: str
    limit_version: int
    rule: dict[str, Any]
    start_time: datetime
    trigger_time: datetime
    end_time: datetime | None
    closed_by: str | None
    extreme: float
    minutes_at_least: float
    minutes_at_most: float
    degree_minutes: float
    kilograms: float | None
    weight_at_least: bool
    lots: list[str]
    stages: list[str]
    severity: float | None
    tonne_hours: float | None
    unobserved: float | None
    concerns: list[dict[str, Any]]
    opened_at: datetime
    computed_at: datetime
    total: int

    @property
    def beyond_c(self) -> float:
        """How far beyond the limit it went at most."""
        distance = self.extreme - float(self.rule["limit_c"])
        return -distance if self.rule["side"] == "below" else distance

    @property
    def unobserved_share(self) -> float | None:
        if not self.tonne_hours or self.unobserved is None:
            return None
        return min(1.0, max(0.0, self.unobserved / self.tonne_hours))


@dataclass(frozen=True, slots=True)
class DutyFound:
    """A row of the second list. `bare`: nothing measured there at all. `until` None: it lasts. `gaps`: the first fifty."""

    kind: str
    rule_id: str
    rule_version: int
    rule: dict[str, Any]
    site: str | None
    site_zh: str | None
    site_en: str | None
    site_kind: str | None
    vehicle: bool | None
    time_zone: str
    holder: str | None
    holder_zh: str | None
    holder_en: str | None
    bare: bool
    device: str | None
    giai: str | None
    model: str | None
    interval_s: int | None
    owner: str | None
    owner_zh: str | None
    owner_en: str | None
    calibrations: list[dict[str, Any]] | None
    lots: list[str]
    units: int
    stages: list[str] | None
    tonne_hours: float | None
    since: datetime
    until: datetime | None
    minutes: float
    longest: float
    gaps: list[dict[str, str]]
    placements: list[dict[str, Any]] | None
    concerns: list[dict[str, Any]]
    total: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Stays of goods that needed cold: how many were breached, surely kept, and how much of them nobody measured."""

    stays: int
    breached: int
    kept: int
    tonne_hours: float | None
    unobserved: float | None

    @property
    def untold(self) -> int:
        return self.stays - self.breached - self.kept

    @property
    def kept_share(self) -> tuple[float, float] | None:
        """At least and at most; None where nothing needed cold, or where nothing could be told."""
        if self.stays == 0 or self.untold == self.stays:
            return None
        return self.kept / self.stays, (self.kept + self.untold) / self.stays

    @property
    def unobserved_share(self) -> float | None:
        if not self.tonne_hours or self.unobserved is None:
            return None
        return min(1.0, self.unobserved / self.tonne_hours)


@dataclass(frozen=True, slots=True)
class Choice:
    """`kind`: place, holder or product."""

    kind: str
    value: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Region:
    code: str
    name: Name
    verified: bool


@dataclass(frozen=True, slots=True)
class Reading:
    time: datetime
    value: float
    flags: int
    received_at: datetime | None
    beyond: bool


@dataclass(frozen=True, slots=True)
class Goods:
    """Some of a lot around the probe for a time. `standing_*`: where the vehicle stood."""

    lot: str
    product_zh: str | None
    product_en: str | None
    unit: str | None
    stage: str | None
    site: str | None
    site_zh: str | None
    site_en: str | None
    vehicle: bool
    standing_zh: str | None
    standing_en: str | None
    holder: str | None
    holder_zh: str | None
    holder_en: str | None
    kilograms: float | None
    since: datetime
    until: datetime | None
    origins: list[dict[str, str]] | None


@dataclass(frozen=True, slots=True)
class HandOver:
    event_time: datetime
    biz_step: str
    organisation: str
    organisation_zh: str
    organisation_en: str
    units: list[str]
    agreed: str | None
    set_point: str | None
    compartment: str | None
    seals: list[Any] | None
    seal_intact: str | None
    remark: str | None
    pulp_min: float | None
    pulp_max: float | None
    pulp_count: int | None


@dataclass(frozen=True, slots=True)
class Beside:
    """Another sensor around the same goods, while it lasted."""

    device: str
    model: str
    accuracy_c: float
    interval_s: int
    probe_position: str
    parent: str
    parent_zh: str | None
    parent_en: str | None
    n: int
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Placed:
    parent: str
    parent_zh: str | None
    parent_en: str | None
    probe_position: str
    since: datetime
    until: datetime | None
    conflict: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """`due_on`: the last day that it names itself; `counts_until`: that, or what the duty allows one that names none."""

    certificate: str
    laboratory: str
    calibrated_on: date
    due_on: date | None
    counts_until: date | None


@dataclass(frozen=True, slots=True)
class Version:
    version: int
    body: dict[str, Any]
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """A sealed version of a device-hour. `leaf_index` in the log `origin`."""

    id: int
    organisation: str
    device_id: int
    start_time: datetime
    version: int
    closed: str
    readings: int
    root: bytes
    leaf_keys: bytes
    leaf_index: int
    leaf_hash: bytes
    record_time: datetime
    origin: str


@dataclass(frozen=True, slots=True)
class Dossier:
    """One breach with everything behind it."""

    breach: Breach
    readings: Sequence[Reading]
    goods: Sequence[Goods]
    hand_overs: Sequence[HandOver]
    beside: Sequence[Beside]
    placed: Sequence[Placed]
    calibrations: Sequence[Calibration]
    versions: Sequence[Version]
    windows: Sequence[Window]
    regions: Sequence[Region]


def breaches(
    conn: psycopg.Connection, asked: Asked, at: datetime, limit: int = PAGE, offset: int | None = None
) -> list[Breach]:
    filters = json.dumps(asked.filters(limit, offset))
    return _rows(conn, Breach, "SELECT * FROM official_excursions(%s, %s)", filters, at)


def duties(
    conn: psycopg.Connection, asked: Asked, at: datetime, limit: int = PAGE, offset: int | None = None
) -> list[DutyFound]:
    filters = json.dumps(asked.filters(limit, offset))
    return _rows(conn, DutyFound, "SELECT * FROM official_duties(%s, %s)", filters, at)


def total(
    found: Sequence[Breach | DutyFound], asked: Asked, first: Callable[[], Sequence[Breach | DutyFound]]
) -> int:
    """How many there are on all pages: each row knows. Behind the last page, `first` asks for the first row."""
    if not found and asked.page > 1:
        found = first()
    return found[0].total if found else 0


def summary(conn: psycopg.Connection, asked: Asked, at: datetime) -> Summary:
    (found,) = _rows(
        conn, Summary, "SELECT * FROM official_summary(%s, %s, %s)", asked.begins, asked.ends, at
    )
    return found


def choices(conn: psycopg.Connection, asked: Asked, at: datetime) -> list[Choice]:
    return _rows(conn, Choice, "SELECT * FROM official_choices(%s, %s, %s)", asked.begins, asked.ends, at)


_REGIONS = """
SELECT code, name_zh, name_en, verified FROM region
WHERE upper_inf(valid) AND EXISTS (SELECT FROM unnest(%s::text[]) AS own WHERE starts_with(code, own)) ORDER BY code
"""


def regions_below(conn: psycopg.Connection, own: Sequence[str]) -> list[Region]:
    """The asker's own regions and those in them, as they stand today."""
    return [
        Region(code, Name(zh, en), verified) for code, zh, en, verified in conn.execute(_REGIONS, [list(own)])
    ]


def regions_named(conn: psycopg.Connection, codes: Sequence[str]) -> list[Region]:
    rows = conn.execute(
        "SELECT code, name_zh, name_en, verified FROM region WHERE upper_inf(valid) AND code = ANY (%s)",
        [sorted({part for code in codes for part in (code[:2], code[:4], code[:6], code)})],
    )
    return [Region(code, Name(zh, en), verified) for code, zh, en, verified in rows]


def breach(conn: psycopg.Connection, wanted: int, at: datetime) -> Breach | None:
    found = _rows(conn, Breach, "SELECT * FROM official_excursion(%s, %s)", wanted, at)
    return found[0] if found else None


def dossier(conn: psycopg.Connection, wanted: int, at: datetime) -> Dossier | None:
    """None: there is none, or it does not concern the asker."""
    found = breach(conn, wanted, at)
    if found is None:
        return None
    goods = _rows(conn, Goods, "SELECT * FROM official_goods(%s, %s)", wanted, at)
    codes = [each["region"] for each in found.concerns]
    codes += [each["region"] for row in goods for each in row.origins or () if each.get("region")]
    return Dossier(
        breach=found,
        readings=_rows(conn, Reading, "SELECT * FROM official_readings(%s, %s)", wanted, at),
        goods=goods,
        hand_overs=_rows(conn, HandOver, "SELECT * FROM official_hand_overs(%s)", wanted),
        beside=_rows(conn, Beside, "SELECT * FROM official_beside(%s, %s)", wanted, at),
        placed=_rows(conn, Placed, "SELECT * FROM official_placements(%s)", wanted),
        calibrations=_rows(conn, Calibration, "SELECT * FROM official_calibrations(%s)", wanted),
        versions=_rows(conn, Version, "SELECT * FROM official_versions(%s)", wanted),
        windows=windows(conn, wanted, at),
        regions=regions_named(conn, codes),
    )


def windows(conn: psycopg.Connection, wanted: int, at: datetime) -> list[Window]:
    return _rows(conn, Window, "SELECT * FROM official_windows(%s, %s)", wanted, at)


def device_hour(conn: psycopg.Connection, wanted: int, hour: datetime, at: datetime) -> list[tuple[Any, ...]]:
    """(series, UTC ms, value, flags, body) of everything that the device recorded in that hour."""
    return conn.execute(
        "SELECT series, time_ms, value, flags, body FROM official_device_hour(%s, %s, %s)", [wanted, hour, at]
    ).fetchall()


def _rows(conn: psycopg.Connection, kind: type[T], query: str, *values: Any) -> list[T]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query.encode(), values).fetchall()
