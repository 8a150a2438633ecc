"""The findings as a sheet, in the form of the other audit files."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from trace_api.audit.asking import ZONE
from trace_api.audit.sheets import Column, Sheet, Value
from trace_api.audit.telling import short
from trace_api.findings.asking import AskedFindings
from trace_api.findings.reading import Found
from trace_api.findings.telling import places, row_of, who
from trace_api.words import Words

_COLUMNS = ("id", "kind", "standing", "severity", "happened", "what", "said_value", "known_value", "uom", "lots", "places", "who", "events", "hidden",
            "opened", "version", "last_word", "last_by")  # fmt: skip
_MOMENTS = ("happened", "opened")
_NUMBERS = ("said_value", "known_value", "hidden", "version")


def sheet(found: Sequence[Found], about: tuple[tuple[str, str], ...], words: Words) -> Sheet:
    columns = tuple(
        Column(words(f"finding_column_{name}"), "moment" if name in _MOMENTS else "number" if name in _NUMBERS else "text") for name in _COLUMNS
    )  # fmt: skip
    return Sheet(
        words("finding_title"),
        words("audit_note_sheet"),
        about,
        columns,
        tuple(_values(each, words) for each in found),
    )


def _values(each: Found, words: Words) -> tuple[Value, ...]:
    row, zone, last = row_of(each, words), ZoneInfo(ZONE), each.words[-1] if each.words else None
    return (
        each.id, row.kind, row.standing_word, row.severity_word, each.happened_at.astimezone(zone), row.said, each.body.get("said"),
        each.body.get("known"), each.body.get("uom") or words("finding_boxes"), " ".join(map(short, each.lots)), places(each, words),
        who(each, words),
        " ".join(str(event["event_id"]) for event in each.events), each.hidden, each.opened_at.astimezone(zone), each.version,
        last["comment"] if last else "", last["by"] if last else "",
    )  # fmt: skip


def filter_text(asked: AskedFindings, words: Words) -> str:
    period = words(
        "audit_period_of", start=asked.since or words("audit_open"), end=asked.until or words("audit_open")
    )
    parts = [
        period,
        words(
            "audit_filter_is",
            name=words("finding_standing"),
            value=words(f"finding_standing_{asked.standing}"),
        ),
    ]
    if asked.kind:
        parts.append(
            words("audit_filter_is", name=words("audit_kind"), value=words(f"finding_kind_{asked.kind}"))
        )
    for name, value in (
        ("finding_lot", asked.lot),
        ("audit_region", asked.common.region),
        ("audit_text", asked.common.text),
    ):
        if value:
            parts.append(words("audit_filter_is", name=words(name), value=value))
    return words("audit_filter_between").join(parts)
