"""Findings in words. Contract: a number is told with its unit and what it is held against; what an honest explanation could be
stands beside each, and no word says who did what: it does not add up, and that is all that is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trace_api.audit.asking import ZONE
from trace_api.audit.telling import named, short, stamp
from trace_api.findings.reading import Coverage, Found
from trace_api.words import Words, decimal

SHOWN = 6


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    kind: str
    said: str
    severity: str
    severity_word: str
    standing: str
    standing_word: str
    when: str
    lots: str
    product: str
    places: str
    who: str


def row_of(found: Found, words: Words) -> Row:
    more = len(found.lots) - SHOWN
    lots = " ".join(map(short, found.lots[:SHOWN])) + (f" +{more}" if more > 0 else "")
    return Row(
        found.id, words(f"finding_kind_{found.kind}"), said(found, words), found.severity, words(f"finding_severity_{found.severity}"),
        found.standing, words(f"finding_is_{found.standing}"), _when(found), lots,
        named(words, found.product_zh, found.product_en), places(found, words), who(found, words),
    )  # fmt: skip


def _when(found: Found) -> str:
    moment = stamp(found.happened_at, ZONE)
    return moment.partition(" ")[0] if found.kind == "scanned_too_often" else moment  # counted by the day


def places(found: Found, words: Words) -> str:
    names = dict.fromkeys(
        named(words, each.get("zh"), each.get("en"), short(each["id"])) for each in found.places
    )
    return words("work_comma").join(list(names)[:SHOWN])


def who(found: Found, words: Words) -> str:
    return words("work_comma").join(
        named(words, each["zh"], each["en"], each["id"]) for each in found.organisations
    )


def said(found: Found, words: Words) -> str:
    """What was said and what is known, in one sentence."""
    return words(f"finding_said_{found.kind}", **_FACTS[found.kind](found.body, words))


def _weights(body: Mapping[str, Any], words: Words) -> dict[str, object]:
    uom = body["uom"]
    return {"said": words.quantity(body["said"], uom), "known": words.quantity(body["known"], uom)}


def _runs(body: Mapping[str, Any], words: Words) -> dict[str, object]:
    return _weights(body, words) | {"tolerance": percent(body["figures"].get("tolerance", 0))}


def _no_cull(body: Mapping[str, Any], words: Words) -> dict[str, object]:
    figures = body["figures"]
    return {
        "said": words.quantity(body["said"], "KGM"), "inputs": words.quantity(figures["inputs"], "KGM"),
        "cull": words.quantity(figures["cull"], "KGM"), "least": percent(figures["cull_least"]),
    }  # fmt: skip


def _early(body: Mapping[str, Any], words: Words) -> dict[str, object]:
    return {"ahead": words.age(body["said"] * 60), "slack": words.minutes(body["known"] * 60)}


def _two_places(body: Mapping[str, Any], words: Words) -> dict[str, object]:
    figures = body["figures"]
    return {
        "km": decimal(figures["km"]),
        "minutes": words.minutes(max(0, figures["minutes"])),
        "fastest": decimal(body["known"]),
    }


def _harvest(body: Mapping[str, Any], words: Words) -> dict[str, object]:
    figures = body["figures"]
    return _weights(body, words) | {
        "mu": decimal(figures["mu"]), "kg": decimal(figures["kg_per_mu"]), "season": int(figures["season"]),
        "tolerance": percent(figures["tolerance"]),
    }  # fmt: skip


def _papers(body: Mapping[str, Any], words: Words) -> dict[str, object]:
    return _weights(body, words) | {"count": int(body["figures"]["certificates"])}


def _scans(body: Mapping[str, Any], words: Words) -> dict[str, object]:
    figures = body["figures"]
    return {
        "visitors": f"{body['said']:,}", "boxes": decimal(figures["boxes"]), "places": f"{figures['places']:,}",
        "most": decimal(body["known"]),
    }  # fmt: skip


def _copies(body: Mapping[str, Any], words: Words) -> dict[str, object]:
    figures = body["figures"]
    return {
        "count": f"{body['said']:,}",
        "hours": decimal(figures["hours"]),
        "apart": words.minutes(figures["minutes_apart"]),
    }


_FACTS: Mapping[str, Callable[[Mapping[str, Any], Words], dict[str, object]]] = {
    "outputs_over_inputs": _runs,
    "no_cull": _no_cull,
    "moved_before_made": _early,
    "more_than_made": _runs,
    "two_places": _two_places,
    "harvest_over_ceiling": _harvest,
    "certificates_over_lot": _papers,
    "scanned_too_often": _scans,
    "copied_values": _copies,
}


def percent(share: float) -> str:
    return f"{decimal(round(share * 100, 2))} %"


@dataclass(frozen=True, slots=True)
class Case:
    """`figures`: (what, value); `sources`: (figure, source, whether anybody read it there); `events`: (when, step, who, name)."""

    row: Row
    means: str
    honest: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]
    sources: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, str, str, str], ...]
    hidden: int
    further: tuple[str, ...]
    lots: tuple[str, ...]
    words: tuple[tuple[str, str, str, str], ...]
    version: int
    opened: str
    changed: str


def case_of(found: Found, words: Words) -> Case:
    return Case(
        row_of(found, words), words(f"finding_means_{found.kind}"), tuple(words(f"finding_honest_{found.kind}").split("|")),
        tuple((words(f"finding_figure_{name}"), _figure(name, value, words)) for name, value in found.body.get("figures", {}).items()),
        tuple(_source(each, words) for each in found.body.get("sources", ())),
        tuple(_event(each, words) for each in found.events), found.hidden, tuple(_further(found, words)), tuple(found.lots[:100]),
        tuple(_word(each, words) for each in found.words), found.version, stamp(found.opened_at, ZONE), stamp(found.changed_at, ZONE),
    )  # fmt: skip


_SHARES = ("tolerance", "moisture_gain", "yield_most", "cull_least")
_KILOGRAMS = ("inputs", "cull")


def _figure(name: str, value: float, words: Words) -> str:
    if name in _SHARES:
        return percent(value)
    return words.quantity(value, "KGM") if name in _KILOGRAMS else decimal(value)


def _source(each: Mapping[str, Any], words: Words) -> tuple[str, str]:
    name = words(f"finding_figure_{each['figure']}")
    source = each["source"] or words("finding_source_none")
    return name, source if each["verified"] else words("finding_source_unverified", source=source)


def _event(each: Mapping[str, Any], words: Words) -> tuple[str, str, str, str]:
    made = each.get("step") in ("commissioning", "creating_class_instance")
    step = words("finding_event_made" if made else "finding_event_other")
    if each.get("step") and not made:
        step = words.known("step", each["step"])
    return (
        _stamped(each["at"]),
        step,
        named(words, each["zh"], each["en"], each["organisation"]),
        str(each["event_id"]),
    )


def _further(found: Found, words: Words) -> list[str]:
    body = found.body
    lines = [words("finding_code", code=found.subject)] if found.kind == "scanned_too_often" else []
    lines += [
        words("finding_paper", number=each["number"], kg=words.quantity(each["kg"], "KGM"))
        for each in body.get("certificates", ())
    ]
    lines += [
        words(
            "finding_device",
            device=each["device"],
            channel=each["channel"],
            start=_stamped(each["from"]),
            end=_stamped(each["to"]),
        )
        for each in body.get("devices", ())
    ]
    others = body.get("other_certificates", 0) + body.get("other_devices", 0)
    if others:
        lines.append(words("finding_others", count=others))
    if "values" in body:
        lines.append(words("finding_values", values=", ".join(map(decimal, body["values"]))))
    if body.get("regions"):
        lines.append(words("finding_regions", regions=words("work_comma").join(body["regions"])))
    return lines


def _stamped(moment: str) -> str:
    """As everywhere in these pages: in the area's zone, whatever the database's session has."""
    return stamp(datetime.fromisoformat(moment), ZONE)


def _word(each: Mapping[str, Any], words: Words) -> tuple[str, str, str, str]:
    return (
        words(f"finding_is_{each['says']}"),
        each["by"],
        _stamped(each["at"]),
        each["comment"],
    )


def coverage_line(covered: list[Coverage], words: Words) -> list[str]:
    """A sentence for each rule that could not judge everything: silence of a rule is no clean bill."""
    return [
        words(
            "finding_coverage",
            kind=words(f"finding_kind_{each.kind}"),
            judged=each.judged,
            unjudged=each.unjudged,
        )
        for each in covered
        if each.unjudged
    ]
