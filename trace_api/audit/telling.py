"""Breaches and duties in words, as the lists on the page show them.

Contract: a word that claims an offence is nowhere in here: what an agreed, recommended or own limit says is told as that;
what is near enough is told as near; what nobody measured stands beside what somebody did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from trace_api.audit.reading import Breach, DutyFound, Region, Summary
from trace_api.story import Name
from trace_api.words import Words

BASES = ("place", "vehicle", "seat", "origin", "destination")


def stamp(moment: datetime, zone: str) -> str:
    """`2026-06-19 01:10`, in the place's zone: the same in both languages, and sorted as it reads."""
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


_SAID_CELSIUS = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)(?:\.\.(-?[0-9]+(?:\.[0-9]+)?))? CEL")


def said_celsius(said: str, words: Words) -> str:
    """`0..5 CEL`, as an event says it, for people; what is written otherwise stays as it is."""
    found = _SAID_CELSIUS.fullmatch(said)
    if found is None:
        return said
    low, high = (None if each is None else words.celsius(float(each)) for each in found.groups())
    return str(low) if high is None else words("audit_lowest_highest", lowest=low, highest=high)


def offset(moment: datetime, zone: str) -> str:
    """`UTC+08:00`."""
    text = f"{moment.astimezone(ZoneInfo(zone)):%z}"
    return f"UTC{text[:3]}:{text[3:5]}"


def seconds(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def span(since: datetime, until: datetime | None, zone: str, words: Words) -> str:
    if until is None:
        return words("audit_since_lasting", start=stamp(since, zone))
    return words("audit_from_to", start=stamp(since, zone), end=stamp(until, zone))


def named(words: Words, zh: str | None, en: str | None, otherwise: str = "") -> str:
    return words.name(Name(zh or "", en or "")) or otherwise


def short(uri: str) -> str:
    """What stands on a label: the lot number or the serial of an SSCC."""
    return uri.rstrip("/").rpartition("/")[2] or uri


def number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def distance(km: float) -> str:
    return "< 1" if km < 1 else number(km)


def share(words: Words, part: float | None) -> str:
    """A share as it is known; what is not nothing never reads as nothing, and what is not all never as all."""
    if part is None:
        return words("audit_unknown")
    if part <= 1e-6:  # what the counts leave open is no minute
        return words.percent(0)
    if part < 0.01:
        return words("audit_below_one_percent")
    return words("audit_about", share=words.percent(0.99 if 0.99 < part < 1 else part))


@dataclass(frozen=True, slots=True)
class Why:
    """Why the asker sees a row. `note`: how near, where it is near only."""

    basis: str
    regions: str
    note: str


def whys(concerns: Iterable[Mapping[str, Any]], regions: Sequence[Region], words: Words) -> tuple[Why, ...]:
    names = {region.code: region.name for region in regions}
    found: dict[str, dict[str, None]] = {}
    distances: list[float] = []
    for each in concerns:
        name = names.get(each["region"]) or names.get(str(each["region"])[:6])
        found.setdefault(each["basis"], {})[words.name(name) if name else each["region"]] = None
        if each.get("distance_km") is not None:
            distances.append(float(each["distance_km"]))
    return tuple(
        Why(
            words(f"audit_basis_{basis}"),
            words("work_comma").join(found[basis]),
            words("audit_basis_near", km=distance(max(distances)))
            if basis == "vehicle" and distances
            else "",
        )
        for basis in BASES
        if basis in found
    )


@dataclass(frozen=True, slots=True)
class BreachRow:
    """`severity`: empty where no weight is known."""

    id: int
    state: str
    state_word: str
    when: str
    where: str
    unit: str
    holder: str
    rule: str
    force: str
    peak: str
    beyond: str
    lasted: str
    kilograms: str
    severity: str
    unobserved: str
    why: tuple[Why, ...]


def weight(kilograms: float | None, words: Words, at_least: bool = False) -> str:
    if kilograms is None:
        return words("audit_weight_unknown")
    return words("audit_weight_is", kilograms=_at_least(kilograms, at_least, words))


def severity(value: float | None, words: Words, at_least: bool) -> str:
    return "" if value is None else words("audit_severity_is", severity=_at_least(value, at_least, words))


def extent(units: int, tonne_hours: float | None, words: Words) -> str:
    if tonne_hours is None:
        return words("audit_extent_unknown", units=units)
    return words("audit_extent", units=units, tonne_hours=number(tonne_hours, 2))


def _at_least(value: float, at_least: bool, words: Words) -> str:
    return words("audit_weight_at_least", value=number(value)) if at_least else number(value)


def breach_row(item: Breach, regions: Sequence[Region], words: Words) -> BreachRow:
    lasted = words("audit_at_least", minutes=words.minutes(item.minutes_at_least))
    return BreachRow(
        id=item.id,
        state=item.state,
        state_word=words(f"audit_state_{item.state}"),
        when=stamp(item.trigger_time, item.time_zone),
        where=site_of(item, words),
        unit=words("audit_in_unit", unit=short(item.unit)) if item.unit else "",
        holder=named(words, item.holder_zh, item.holder_en, words("audit_holder_unknown")),
        rule=rule_of(item.rule, words),
        force=words(f"audit_force_{item.rule['force']}"),
        peak=words.celsius(item.extreme),
        beyond=words.celsius(item.beyond_c),
        lasted=lasted,
        kilograms=weight(item.kilograms, words, item.weight_at_least),
        severity=severity(item.severity, words, item.weight_at_least),
        unobserved=share(words, item.unobserved_share),
        why=whys(item.concerns, regions, words),
    )


def site_of(item: Breach | DutyFound, words: Words) -> str:
    """The place or vehicle by name; goods between two places are on their way."""
    if item.site is None:
        return words("audit_on_the_way")
    return named(words, item.site_zh, item.site_en, short(item.site))


def rule_of(rule: Mapping[str, Any], words: Words) -> str:
    return named(words, rule["wording"]["zh"], rule["wording"]["en"])


@dataclass(frozen=True, slots=True)
class DutyRow:
    kind: str
    kind_word: str
    what: str
    where: str
    holder: str
    device: str
    when: str
    lasts: bool
    extent: str
    rule: str
    force: str
    source: str
    basis: str
    verified: bool
    lots: str
    why: tuple[Why, ...]
    gaps: tuple[str, ...]
    placements: tuple[str, ...]


def duty_row(item: DutyFound, regions: Sequence[Region], words: Words) -> DutyRow:
    zone = item.time_zone
    return DutyRow(
        kind=item.kind,
        kind_word=words(f"audit_duty_{item.kind}"),
        what=what_of(item, words),
        where=site_of(item, words),
        holder=named(words, item.holder_zh, item.holder_en, words("audit_holder_unknown")),
        device=device_of(item, words),
        when=span(item.since, item.until, zone, words),
        lasts=item.until is None,
        extent=extent(item.units, item.tonne_hours, words),
        rule=rule_of(item.rule, words),
        force=words(f"audit_force_{item.rule['force']}"),
        source=words("audit_source", source=item.rule["source"], clause=item.rule["clause"]),
        basis=words("audit_verified") if item.rule["verified"] else words(f"audit_basis_of_{item.rule['basis']}"),
        verified=bool(item.rule["verified"]),
        lots=words("work_comma").join(short(lot) for lot in item.lots),
        why=whys(item.concerns, regions, words),
        gaps=tuple(_gaps(item, words)) if item.kind == "missing_record" else (),
        placements=tuple(_placements(item, words)),
    )  # fmt: skip


def what_of(item: DutyFound, words: Words) -> str:
    if item.kind == "missing_record":
        key = "audit_missing_bare" if item.bare else "audit_missing_gaps"
        return words(key, minutes=words.minutes(item.minutes), longest=words.minutes(item.longest))
    if item.kind == "interval_too_long":
        interval, most = words.seconds(item.interval_s or 0), words.seconds(item.rule["max_interval_s"])
        return words("audit_interval_found", interval=interval, most=most)
    if not item.calibrations:
        return words("audit_calibration_none")
    last = item.calibrations[-1]
    return words(
        "audit_calibration_lapsed",
        certificate=last["certificate"],
        due=last["due_on"] or words("audit_due_by_rule"),
    )


def device_of(item: DutyFound, words: Words) -> str:
    if item.device is None:
        return ""
    return words(
        "audit_device", device=item.device, model=item.model, owner=named(words, item.owner_zh, item.owner_en)
    )


def _gaps(item: DutyFound, words: Words) -> Iterator[str]:
    for gap in item.gaps:
        start, end = (datetime.fromisoformat(gap[name]) for name in ("from", "to"))
        yield words("audit_from_to", start=seconds(start, item.time_zone), end=seconds(end, item.time_zone))


def _placements(item: DutyFound, words: Words) -> Iterator[str]:
    for each in item.placements or ():
        yield words(
            "audit_placed",
            device=each["device"],
            position=words.known("position", each["position"]),
            parent=short(each["parent"]),
            since=stamp(datetime.fromisoformat(each["since"]), item.time_zone),
            interval=words.seconds(each["interval_s"]),
        )


# --- the area ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SummaryView:
    stays: int
    breached: int
    kept: int
    untold: int
    share: str
    unobserved: str
    tonne_hours: str
    unobserved_hours: str


def summary_view(found: Summary, words: Words) -> SummaryView:
    bounds = found.kept_share
    low, high = (words.percent(bound) for bound in bounds) if bounds else ("", "")
    told = "" if bounds is None else low if low == high else words("audit_share_between", low=low, high=high)
    return SummaryView(found.stays, found.breached, found.kept, found.untold, told, share(words, found.unobserved_share),
                       number(found.tonne_hours, 1), number(found.unobserved, 1))  # fmt: skip
