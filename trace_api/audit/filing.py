"""The two lists as sheets: which columns a file has, and what it says of itself.

Contract: a file says as of when, whose area, by which filter and how much of it it holds; its columns are the same in both
forms and both languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from trace_api.audit.asking import ZONE, Asked
from trace_api.audit.reading import Breach, Choice, DutyFound, Region
from trace_api.audit.sheets import Column, Sheet, Value
from trace_api.audit.telling import named, rule_of, short, site_of, what_of, whys
from trace_api.words import Words


def notes(
    asked: Asked, area: str, chosen: Mapping[str, str], at: datetime, total: int, written: int, words: Words
) -> tuple[tuple[str, str], ...]:
    """What stands in every file: as of when, whose area, which filter, how many, and what the numbers do not say."""
    return (
        (words("audit_note_at"), at.astimezone(ZoneInfo(ZONE)).isoformat(timespec="seconds")),
        (words("audit_note_area"), area),
        (words("audit_note_filter"), filter_text(asked, chosen, words)),
        (words("audit_note_total"), words("audit_note_rows", written=written, total=total)),
        (words("audit_note_reading"), words("audit_note_meaning")),
    )


def filter_text(asked: Asked, chosen: Mapping[str, str], words: Words) -> str:
    """`chosen`: names of what was chosen by code."""
    period = words(
        "audit_period_of", start=asked.since or words("audit_open"), end=asked.until or words("audit_open")
    )
    parts = [period, words(f"audit_order_{asked.order}")]
    for name in ("region", "product", "place", "holder", "text"):
        value = getattr(asked, name)
        if value is not None:
            parts.append(words("audit_filter_is", name=words(f"audit_{name}"), value=chosen.get(name, value)))
    for name in ("state", "kind"):
        value = getattr(asked, name)
        if value is not None:
            word = words(f"audit_state_{value}" if name == "state" else f"audit_duty_{value}")
            parts.append(words("audit_filter_is", name=words(f"audit_{name}"), value=word))
    if asked.over_c is not None:
        parts.append(words("audit_over_option", degrees=asked.over_c))
    return words("audit_filter_between").join(parts)


def chosen_names(
    asked: Asked, choices: Iterable[Choice], regions: Iterable[Region], words: Words
) -> dict[str, str]:
    found = {
        choice.kind: named(words, choice.name_zh, choice.name_en)
        for choice in choices
        if getattr(asked, choice.kind, None) == choice.value
    }
    for each in regions:
        if each.code == asked.region:
            found["region"] = f"{words.name(each.name)} {each.code}"
    if "product" in found:
        found["product"] = words.known("audit_product", found["product"])
    return found


def breach_sheet(
    items: Sequence[Breach], regions: Sequence[Region], about: tuple[tuple[str, str], ...], words: Words
) -> Sheet:
    kinds = {"trigger": "moment", "start": "moment", "end": "moment", "id": "number", "extreme": "number", "limit": "number",
             "beyond": "number", "least": "number", "most": "number", "degree_minutes": "number", "kilograms": "number",
             "severity": "number", "unobserved": "number", "tonne_hours": "number", "unobserved_hours": "number",
             "version": "number"}  # fmt: skip
    rows = [_breach_values(item, regions, words) for item in items]
    return Sheet(
        words("audit_breaches"),
        words("audit_note_sheet"),
        about,
        _columns(_BREACH, kinds, words),
        tuple(map(tuple, rows)),
    )


_BREACH = ("id", "state", "trigger", "start", "end", "where", "unit", "holder", "device", "model", "position", "lots", "stages", "extreme",
           "limit", "beyond", "least", "most", "degree_minutes", "kilograms", "severity", "weight_at_least", "unobserved", "tonne_hours",
           "unobserved_hours",
           "rule", "force", "source", "clause", "verified", "why", "version")  # fmt: skip


def _breach_values(item: Breach, regions: Sequence[Region], words: Words) -> list[Value]:
    rule, zone = item.rule, ZoneInfo(item.time_zone)
    return [
        item.id, words(f"audit_state_{item.state}"), item.trigger_time.astimezone(zone), item.start_time.astimezone(zone),
        item.end_time.astimezone(zone) if item.end_time else None, site_of(item, words), short(item.unit) if item.unit else "",
        named(words, item.holder_zh, item.holder_en), item.device, item.model, words.known("position", item.probe_position or "other"),
        " ".join(map(short, item.lots)), words("work_comma").join(words.known("stage", stage) for stage in item.stages), item.extreme,
        float(rule["limit_c"]), round(item.beyond_c, 2), round(item.minutes_at_least, 1), round(item.minutes_at_most, 1),
        round(item.degree_minutes, 1), _rounded(item.kilograms, 1), _rounded(item.severity, 0),
        words("work_yes") if item.weight_at_least else words("work_no"), _rounded(item.unobserved_share, 4),
        _rounded(item.tonne_hours, 3), _rounded(item.unobserved, 3), rule_of(rule, words), words(f"audit_force_{rule['force']}"),
        rule["source"], rule["clause"], words("work_yes") if rule["verified"] else words("work_no"), _why_text(item.concerns, regions, words),
        item.version,
    ]  # fmt: skip


_DUTY = ("kind", "what", "where", "holder", "device", "owner", "since", "until", "minutes", "longest", "tonne_hours", "units", "lots", "rule",
         "force", "source", "clause", "verified", "basis", "why")  # fmt: skip


def duty_sheet(
    items: Sequence[DutyFound], regions: Sequence[Region], about: tuple[tuple[str, str], ...], words: Words
) -> Sheet:
    kinds = {
        "since": "moment",
        "until": "moment",
        "minutes": "number",
        "longest": "number",
        "tonne_hours": "number",
        "units": "number",
    }
    rows = [_duty_values(item, regions, words) for item in items]
    return Sheet(
        words("audit_duties"),
        words("audit_note_sheet"),
        about,
        _columns(_DUTY, kinds, words),
        tuple(map(tuple, rows)),
    )


def _duty_values(item: DutyFound, regions: Sequence[Region], words: Words) -> list[Value]:
    rule, zone = item.rule, ZoneInfo(item.time_zone)
    return [
        words(f"audit_duty_{item.kind}"), what_of(item, words), site_of(item, words), named(words, item.holder_zh, item.holder_en),
        item.device or "", named(words, item.owner_zh, item.owner_en), item.since.astimezone(zone),
        item.until.astimezone(zone) if item.until else None, round(item.minutes, 1), round(item.longest, 1), _rounded(item.tonne_hours, 3),
        item.units, " ".join(map(short, item.lots)), rule_of(rule, words), words(f"audit_force_{rule['force']}"), rule["source"], rule["clause"],
        words("work_yes") if rule["verified"] else words("work_no"), words(f"audit_basis_of_{rule['basis']}"),
        _why_text(item.concerns, regions, words),
    ]  # fmt: skip


def _columns(names: Iterable[str], kinds: Mapping[str, Any], words: Words) -> tuple[Column, ...]:
    return tuple(Column(words(f"audit_column_{name}"), kinds.get(name, "text")) for name in names)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _why_text(concerns: Iterable[Mapping[str, Any]], regions: Sequence[Region], words: Words) -> str:
    return "; ".join(
        f"{why.basis}: {why.regions}" + (f" ({why.note})" if why.note else "")
        for why in whys(concerns, regions, words)
    )
