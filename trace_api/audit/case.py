"""One breach for its page: who had the goods in each leg, by which rule, with which device, down to its readings.

In the line: a dossier -> here -> `audit_case.html`. Contract: words and numbers only; what is so was read in one snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from ledger.personal import is_person
from trace_api.audit.answers import Answer, answers, calibration
from trace_api.audit.picture import Picture, picture
from trace_api.audit.reading import Dossier, Goods, HandOver, Version, Window
from trace_api.audit.sealing import covered
from trace_api.audit.telling import BreachRow, breach_row, named, said_celsius, seconds, short, stamp, weight
from trace_api.genealogy.picture import trace_address
from trace_api.words import Words

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LegRow:
    when: str
    where: str
    standing: str
    holder: str
    stage: str
    kilograms: str


@dataclass(frozen=True, slots=True)
class LotRow:
    """`address`: where its trace is."""

    lot: str
    address: str
    product: str
    units: str
    kilograms: str
    origins: str


@dataclass(frozen=True, slots=True)
class HandOverRow:
    when: str
    step: str
    who: str
    units: str
    pulp: str
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionRow:
    version: int
    when: str
    state: str
    what: str


@dataclass(frozen=True, slots=True)
class WindowRow:
    hour: str
    version: int
    closed: str
    readings: int
    root: str
    leaf: str
    logged: str


@dataclass(frozen=True, slots=True)
class ReadingHour:
    """The readings of one hour of the place's clock."""

    hour: str
    readings: tuple[tuple[str, str, bool, str], ...]


@dataclass(frozen=True, slots=True)
class Case:
    row: BreachRow
    summary: str
    force: str
    picture: Picture
    gaps: tuple[str, ...]
    times: tuple[tuple[str, str], ...]
    legs: tuple[LegRow, ...]
    lots: tuple[LotRow, ...]
    rule: tuple[tuple[str, str], ...]
    device: tuple[tuple[str, str], ...]
    answers: tuple[Answer, ...]
    hand_overs: tuple[HandOverRow, ...]
    beside: tuple[tuple[str, str, str, str], ...]
    versions: tuple[VersionRow, ...]
    windows: tuple[WindowRow, ...]
    hours: tuple[ReadingHour, ...]


def case(found: Dossier, at: datetime, words: Words) -> Case:
    breach, zone = found.breach, found.breach.time_zone
    drawn = picture(found, at, words)
    return Case(
        row=breach_row(breach, found.regions, words),
        summary=_summary(found, words),
        force=binding(found, words),
        picture=drawn,
        gaps=tuple(words("audit_from_to", start=seconds(a, zone), end=seconds(b, zone)) for a, b in drawn.gaps),
        times=tuple(_times(found, words)),
        legs=tuple(_legs(found.goods, zone, words)),
        lots=tuple(_lots(found, words)),
        rule=tuple(_rule(found, words)),
        device=tuple(_device(found, words)),
        answers=tuple(answers(found, drawn, words)),
        hand_overs=tuple(_hand_over(each, zone, words) for each in found.hand_overs),
        beside=tuple(
            (f"{each.device} · {words.known('position', each.probe_position)}", named(words, each.parent_zh, each.parent_en, short(each.parent)),
             words("audit_lowest_highest", lowest=words.celsius(each.lowest), highest=words.celsius(each.highest)), str(each.n))
            for each in found.beside
        ),
        versions=tuple(_version(each, zone, words) for each in found.versions),
        windows=tuple(_window(each, zone, words) for each in found.windows),
        hours=tuple(_hours(found, words)),
    )  # fmt: skip


def _summary(found: Dossier, words: Words) -> str:
    breach = found.breach
    key = "audit_summary_below" if breach.rule["side"] == "below" else "audit_summary_above"
    return words(key, peak=words.celsius(breach.extreme), limit=words.celsius(float(breach.rule["limit_c"])),
                 beyond=words.celsius(breach.beyond_c), least=words.minutes(breach.minutes_at_least),
                 most=words.minutes(breach.minutes_at_most))  # fmt: skip


def binding(found: Dossier, words: Words) -> str:
    """What the limit binds. An agreed one binds those who agreed on it: where no hand-over states it, that is said."""
    force = found.breach.rule["force"]
    if force == "agreed" and not any(each.agreed for each in found.hand_overs):
        return words("audit_force_agreed_unseen")
    return words(f"audit_force_{force}_text")


def _times(found: Dossier, words: Words) -> Iterator[tuple[str, str]]:
    breach, zone = found.breach, found.breach.time_zone
    yield words("audit_column_start"), seconds(breach.start_time, zone)
    yield words("audit_column_trigger"), seconds(breach.trigger_time, zone)
    ending = words(f"audit_closed_{breach.closed_by}") if breach.closed_by else ""
    yield (
        words("audit_column_end"),
        words("audit_ended", when=seconds(breach.end_time, zone), how=ending)
        if breach.end_time
        else words("audit_lasts"),
    )
    yield words("audit_opened_at"), seconds(breach.opened_at, zone)
    yield (
        words("audit_computed_at"),
        words("audit_as_version", when=seconds(breach.computed_at, zone), version=breach.version),
    )


def _legs(goods: Sequence[Goods], zone: str, words: Words) -> Iterator[LegRow]:
    """Neighbouring rows of one site, holder and stage as one leg, with the most that was there at one time."""
    legs: dict[tuple[Any, ...], list[Goods]] = {}
    for row in goods:
        key = (row.site, row.holder or row.holder_zh, row.stage, row.standing_zh)
        legs.setdefault(key, []).append(row)
    for rows in sorted(legs.values(), key=lambda rows: min(row.since for row in rows)):
        first = rows[0]
        ends = [row.until for row in rows if row.until is not None]
        end = seconds(max(ends), zone) if len(ends) == len(rows) else words("audit_lasts")
        yield LegRow(
            when=words("audit_from_to", start=seconds(min(row.since for row in rows), zone), end=end),
            where=named(
                words,
                first.site_zh,
                first.site_en,
                short(first.site) if first.site else words("audit_on_the_way"),
            ),
            standing=words("audit_standing", place=named(words, first.standing_zh, first.standing_en))
            if first.standing_zh
            else "",
            holder=named(words, first.holder_zh, first.holder_en, words("audit_holder_unknown")),
            stage=words.known("stage", first.stage or "other"),
            kilograms=weight(_most_at_once(rows), words),
        )


def _most_at_once(rows: Sequence[Goods]) -> float | None:
    """None where the weight of some of it is not known."""
    if any(row.kilograms is None for row in rows):
        return None
    return max(sum(other.kilograms or 0.0 for other in rows if other.since <= row.since and (other.until is None or other.until > row.since))
               for row in rows)  # fmt: skip


def _lots(found: Dossier, words: Words) -> Iterator[LotRow]:
    regions = {region.code: region.name for region in found.regions}
    by_lot = groupby(sorted(found.goods, key=lambda row: (row.lot, row.since)), key=lambda row: row.lot)
    for lot, group in by_lot:
        rows = list(group)
        grown = [
            words(
                "audit_origin_in",
                place=named(words, each["zh"], each["en"]),
                region=words.name(regions[each["region"]]),
            )
            if each.get("region") in regions
            else named(words, each["zh"], each["en"])
            for each in rows[0].origins or ()
        ]
        yield LotRow(
            lot=short(lot),
            address=trace_address(lot),
            product=named(words, rows[0].product_zh, rows[0].product_en, words("audit_unknown")),
            units=words("work_comma").join(sorted({short(row.unit) for row in rows if row.unit})),
            kilograms=weight(_most_at_once(rows), words),
            origins=words("work_comma").join(dict.fromkeys(grown)) or words("audit_unknown"),
        )


def _rule(found: Dossier, words: Words) -> Iterator[tuple[str, str]]:
    rule = found.breach.rule
    yield words("audit_rule"), named(words, rule["wording"]["zh"], rule["wording"]["en"])
    yield words("audit_force"), words(f"audit_force_{rule['force']}")
    limit, guard = words.celsius(float(rule["limit_c"])), words.celsius(float(rule["guard_band_c"]))
    minutes = words.minutes(float(rule["minutes"]))
    yield (
        words("audit_rule_number"),
        words("audit_rule_says", operator=rule["operator"], limit=limit, minutes=minutes, guard=guard),
    )
    stages = words("work_comma").join(words.known("stage", each) for each in rule["stages"])
    positions = words("work_comma").join(words.known("position", each) for each in rule["positions"])
    yield words("audit_rule_where"), words("audit_rule_applies", stages=stages, positions=positions)
    yield words("audit_column_source"), str(rule["source"])
    yield words("audit_column_clause"), str(rule["clause"])
    yield (
        words("audit_column_verified"),
        words("audit_verified") if rule["verified"] else words("audit_unverified"),
    )
    yield (
        words("audit_rule_version"),
        words("audit_rule_stood", id=rule["id"], version=rule["version"], since=str(rule["valid_from"])[:10]),
    )


def _device(found: Dossier, words: Words) -> Iterator[tuple[str, str]]:
    breach, zone = found.breach, found.breach.time_zone
    yield words("audit_column_device"), f"{breach.device} · {breach.model}"
    yield words("audit_giai"), breach.giai
    yield words("audit_owner"), named(words, breach.organisation_zh, breach.organisation_en)
    yield (
        words("audit_accuracy"),
        words(
            "audit_accuracy_is", accuracy=f"{breach.accuracy_c:g}", interval=words.seconds(breach.interval_s)
        ),
    )
    for placed in found.placed:
        yield words("audit_position"), words("audit_placed_in", position=words.known("position", placed.probe_position),
                                             parent=named(words, placed.parent_zh, placed.parent_en, short(placed.parent)),
                                             since=stamp(placed.since, zone))  # fmt: skip
    yield words("audit_duty_calibration"), calibration(found, words)[1]


def _hand_over(each: HandOver, zone: str, words: Words) -> HandOverRow:
    pulp = ""
    if each.pulp_min is not None and each.pulp_max is not None:
        pulp = words(
            "audit_lowest_highest", lowest=words.celsius(each.pulp_min), highest=words.celsius(each.pulp_max)
        )
    kept = words("audit_kept_with_writer")
    warmth = (("agreed", each.agreed), ("set_point", each.set_point), ("compartment", each.compartment))
    said = [words(f"audit_said_{name}", value=value) for name, value in (
        *((name, value and (kept if is_person(value) else said_celsius(value, words))) for name, value in warmth),
        ("seals", ", ".join(kept if is_person(seal) else str(seal) for seal in each.seals) if each.seals else None),
        ("remark", kept if is_person(each.remark) else each.remark)) if value]  # fmt: skip
    if each.seal_intact is not None:
        said.append(words("audit_said_intact" if each.seal_intact == "true" else "audit_said_broken"))
    return HandOverRow(
        when=stamp(each.event_time, zone),
        step=words.known("audit_step", each.biz_step),
        who=named(words, each.organisation_zh, each.organisation_en),
        units=words("work_comma").join(map(short, each.units)),
        pulp=pulp,
        said=tuple(said),
    )


def _version(each: Version, zone: str, words: Words) -> VersionRow:
    body = each.body
    what = ""
    if "start_ms" in body:
        end = (
            seconds(_moment(body["end_ms"]), zone) if body.get("end_ms") is not None else words("audit_lasts")
        )
        what = words("audit_version_says", start=seconds(_moment(body["start_ms"]), zone), end=end, peak=words.celsius(body["extreme_c"]),
                     least=words.minutes(body["minutes_at_least"]), most=words.minutes(body["minutes_at_most"]))  # fmt: skip
    return VersionRow(
        each.version, seconds(each.computed_at, zone), words(f"audit_state_{body['state']}"), what
    )


def _window(each: Window, zone: str, words: Words) -> WindowRow:
    return WindowRow(
        hour=stamp(each.start_time, zone),
        version=each.version,
        closed=words("audit_window_hour_over" if each.closed == "hour" else f"audit_window_{each.closed}"),
        readings=each.readings,
        root=each.root.hex(),
        leaf=f"{each.origin} · {each.leaf_index}",
        logged=seconds(each.record_time, zone),
    )


def _hours(found: Dossier, words: Words) -> Iterator[ReadingHour]:
    zone = found.breach.time_zone
    sealed = covered(found.windows, found.breach.series.bytes)

    def mark(time_ms: int, received: datetime | None) -> str:
        parts = [words("audit_sealed")] if time_ms in sealed else []
        late = received is not None and received - _moment(time_ms) > timedelta(hours=1)
        return words("work_comma").join(
            [*parts, words("audit_late", when=stamp(received, zone))] if late and received else parts
        )

    rows = [(reading, round(reading.time.timestamp() * 1000)) for reading in found.readings]
    for hour, group in groupby(
        rows, key=lambda row: row[0].time.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:00")
    ):
        yield ReadingHour(hour, tuple(
            (f"{reading.time.astimezone(ZoneInfo(zone)):%H:%M:%S}", words.celsius(reading.value), reading.beyond, mark(ms, reading.received_at))
            for reading, ms in group))  # fmt: skip


def _moment(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time_ms)
