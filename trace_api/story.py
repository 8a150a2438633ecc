"""What a shopper's page tells of one box or one lot, as values: no SQL, no words of a language, no markup.

`telling.py` reads it from the database as the public role; `pages.py` puts it into words and pictures.
All times are aware UTC; `time_zone` names the zone of the place they are shown in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

VerdictState = Literal["compliant", "breach", "indeterminate", "not_applicable"]


@dataclass(frozen=True, slots=True)
class Name:
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Site:
    """A place as shown. `region`: GB/T 2260 prefix. Coordinates WGS-84, None for a vehicle."""

    id: str
    name: Name
    kind: str
    region: str | None
    latitude: float | None
    longitude: float | None
    time_zone: str


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the journey. `code`: what happened, the key of its words (harvest, collected, precooling_start,
    precooling_end, packed, stored, loaded, departed, arrived, unloaded, inspected, refused_part, accepted, sampled,
    tested, sold_on, on_shelf, sold, held, recalled, other). `pulp_c`: mean pulp temperature measured then."""

    code: str
    at: datetime
    site: Site | None
    organisation: Name | None
    event: int
    pulp_c: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One series while the goods were with it. `points`: (UTC ms, °C) in time order, already thinned for a picture so
    that extremes of each bucket survive. `interval_s`: how often the device measures; a longer silence is not measured."""

    position: str
    device_model: str
    accuracy_c: float
    interval_s: int
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Leg:
    """Where the goods were from `start` to `end`, at which stage, what was measured there, what was agreed there.
    `measured` and `unmeasured`: minutes. `beyond`: minutes beyond the limit, at least and at most."""

    site: Site | None
    holder: Name | None
    stage: str
    start: datetime
    end: datetime
    limit_c: float | None
    curves: tuple[Curve, ...]
    measured_min: float
    unmeasured_min: float
    beyond_min: tuple[float, float]
    lowest_c: float | None
    highest_c: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """`headline`, `detail`: careful words from the judgement itself. `reasons`: likewise. `rule`: the limit's own wording."""

    state: VerdictState
    headline: Name
    detail: Name
    reasons: tuple[Name, ...]
    rule: Name | None
    rule_verified: bool
    beyond_min: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A 承诺达标合格证: the producer's own declaration, never a third party's."""

    id: str
    issued_by: Name | None
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Test:
    """A rapid test at a market. `result`: passed, on_hold, unknown. Never "failed" before a final result."""

    at: datetime
    site: Site | None
    result: Literal["passed", "on_hold", "unknown"]


@dataclass(frozen=True, slots=True)
class Portion:
    """A part of the lot that travelled together. `unit`: SSCC URI, None for what is loose."""

    unit: str | None
    quantity: float
    uom: str | None
    now_at: Site | None
    stage: str
    verdict: VerdictState
    sample_serial: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """One input lot: where it grew, its share of the whole by weight (None where not known)."""

    lot: str
    site: Site | None
    picked_at: datetime | None
    share: float | None


RecallState = Literal["open", "completed", "withdrawn"]
RecallPart = Literal["all", "part", "box", "inputs"]


@dataclass(frozen=True, slots=True)
class Amount:
    quantity: float
    uom: str | None


@dataclass(frozen=True, slots=True)
class Recall:
    """An order that concerns these goods. `by` and `department`: whose it is, both None where that is not known. `part`: all of the lot,
    part of it (`amounts`), this box, or what went into it (`share` by weight, None where not known). `ended`: None while it is open."""

    state: RecallState
    level: int | None
    by: Name | None
    department: str | None
    since: datetime
    reason: Name | None
    part: RecallPart
    share: float | None
    amounts: tuple[Amount, ...]
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Story:
    gtin: str
    lot: str
    serial: str | None
    product: Name
    brand: Name | None
    origins: tuple[Origin, ...]
    picked_from: datetime | None  # earliest picking
    hours_to_cold: float | None  # from picking to the end of pre-cooling, the longest of the inputs
    now: datetime
    steps: tuple[Step, ...]
    legs: tuple[Leg, ...]
    judgement: Judgement | None
    certificates: tuple[Certificate, ...]
    tests: tuple[Test, ...]
    portions: tuple[Portion, ...]  # more than one for a bare lot; the one for a box
    on_hold: bool
    events_recorded: int
    events_sealed: int  # of these, how many have a place in the ledger
    proof_url: str  # GET gives the evidence file (suyuan-evidence/v2)
    independent_witnesses: int
    events_hidden: int = 0  # steps of these goods that are not published
    recalls: tuple[Recall, ...] = ()  # the newest first

    @property
    def recalled(self) -> bool:
        """Whether one stands: it was not withdrawn."""
        return any(each.state != "withdrawn" for each in self.recalls)
