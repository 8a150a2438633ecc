"""A recall's document in words for a page and as a sheet.

In the line: `trace_api.recalls` gives the document -> here -> recalls.html, recall.html, recall_notice.html, CSV and XLSX. Contract:
pure; whoever may not be named stands as "not shown to you", and what is not known is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from trace_api.audit.sheets import Column, Sheet
from trace_api.check.reading import short
from trace_api.holds.telling import ZONE
from trace_api.recalls.answering import CLASSES
from trace_api.words import Words

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """Of a list. `href`: of the recall's own page."""

    id: str
    number: int
    called: str
    title: str
    drill: bool
    state: str
    state_word: str
    level: str
    by: str
    issued: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bar:
    """`share` of the longest, 0 to 1."""

    name: str
    text: str
    share: float
    kind: str


@dataclass(frozen=True, slots=True)
class HolderLine:
    """`read`: when it confirmed the notice, "" if it did not. `now`: what became of what it had. `key`: for its letter."""

    key: str
    name: str
    amount: str
    sold: str
    read: str
    now: tuple[str, ...]
    done: float | None


def line(document: Document, words: Words) -> Line:
    level = document["level"]
    return Line(
        id=document["id"],
        number=document["number"],
        called=words(
            "recalls_number_drill" if document["drill"] else "recalls_number", number=document["number"]
        ),
        title=document["title"][words.language],
        drill=document["drill"],
        state=document["state"],
        state_word=words(f"recall_state_{document['state']}"),
        level=level["name"][words.language],
        by=document["ordered_by"][words.language] or words("check_nobody"),
        issued=when(document["issued_at"], words),
        source=source(document["from"], words),
        reason=document["reason"][words.language],
    )


def source(asked: Mapping[str, Any], words: Words) -> str:
    """From what it was asked."""
    kind = words(f"recalls_from_{asked['kind']}")
    called = (asked.get("name") or {}).get(words.language)
    name = str(asked.get("number") or called or short(str(asked.get("id", ""))))
    span = [when(asked[each], words) for each in ("from", "to") if asked.get(each)]
    return words("recalls_from", kind=kind, name=name) + (f" {' – '.join(span)}" if span else "")


def when(moment: str | None, words: Words) -> str:
    return "" if moment is None else words.moment(datetime.fromisoformat(moment), ZONE)


def amount(part: Mapping[str, Any], words: Words) -> str:
    """Kilograms, and boxes where some were counted."""
    told = [words.quantity(part["kilograms"], "KGM")] if part.get("kilograms") else []
    if part.get("boxes"):
        told.append(words.quantity(part["boxes"], None))
    if part.get("unweighed"):
        told.append(words("recalls_unweighed"))
    return words("work_comma").join(told) or words.quantity(0, "KGM")


def bars(document: Document, words: Words) -> tuple[Bar, ...]:
    """What became of all that it reached, class by class, of those that have any. In kilograms where all is weighed, else in boxes."""
    parts = {name: document["classes"][name] for name in CLASSES if document["classes"][name]["portions"]}
    unit = "kilograms" if all(part["kilograms"] for part in parts.values()) else "boxes"
    sizes = {name: float(part[unit] or part["kilograms"] or 0) for name, part in parts.items()}
    longest = max(sizes.values(), default=0.0)
    return tuple(
        Bar(
            words(f"recalls_class_{name}"),
            amount(parts[name], words),
            size / longest if longest else 0.0,
            name,
        )
        for name, size in sizes.items()
    )


def holders(
    document: Document, acknowledged: Mapping[str, tuple[datetime, str | None]], words: Words
) -> tuple[HolderLine, ...]:
    """Whom the order is told, what they had then, and what became of it since."""
    progress = {(each["keeper"], each["party"]): each for each in document["progress"] if not each["hidden"]}
    found = []
    for number, told in enumerate(document["notices"]):
        name = _holder_name(told, words)
        row = progress.get((told["keeper"], told["party"])) if not told["hidden"] else None
        states = {} if row is None else row["now"]
        read = acknowledged.get(told["keeper"] or "")
        found.append(
            HolderLine(
                str(number),
                name,
                amount({"kilograms": told["kilograms"], "boxes": told["boxes"]}, words),
                words.quantity(told["sold_kg"], "KGM") if told["sold_kg"] else "",
                ""
                if read is None
                else words(
                    "recalls_read", when=words.moment(read[0], ZONE), by=read[1] or words("holds_program")
                ),
                tuple(
                    words("recalls_so_far", what=words(f"recalls_now_{state}"), amount=amount(part, words))
                    for state, part in states.items()
                ),
                _done(states),
            )
        )
    return tuple(found)


def _holder_name(told: Mapping[str, Any], words: Words) -> str:
    if told["hidden"]:
        return words("recalls_hidden")
    if told["name"]:
        return str(told["name"][words.language] or told["keeper"])
    return short(told["party"]) if told["party"] else words("check_nobody")


def _done(states: Mapping[str, Mapping[str, Any]]) -> float | None:
    """How much of it is back or destroyed, None where nothing is weighed or counted."""
    unit = "kilograms" if any(part["kilograms"] for part in states.values()) else "boxes"
    sizes = {state: float(part[unit] or 0) for state, part in states.items()}
    total = sum(sizes.values())
    return sum(sizes.get(state, 0.0) for state in ("returned", "destroyed")) / total if total else None


def yours(document: Document) -> dict[str, Any]:
    """What whoever was told has of it, to be opened where it is recorded: load units, and the lots of the notice."""
    units = [(short(each["unit"]), each["unit"]) for each in document.get("units", ())]
    own = [(short(lot), lot) for each in document["notices"] for lot in each["lots"]]
    return {"units": units, "more": document.get("more_units", False), "lots": own}


def lots(document: Document, words: Words) -> list[dict[str, Any]]:
    return [
        {
            "name": short(each["lot"]),
            "code": each["lot"],
            "share": None if each["share"] is None else words.percent(each["share"]),
            "seed": each["seed"],
            "whole": each["whole"],
            "total": amount(each["total"], words),
            "possibly": amount(each["possibly"], words) if each["possibly"]["portions"] else "",
        }
        for each in document.get("lots", ())
    ]


def conflicts(document: Document, words: Words) -> list[tuple[str, str]]:
    """Where records contradict each other on who made what: what came of it, and the lots."""
    return [
        (words(f"recalls_conflict_{kind}"), words("work_comma").join(short(lot) for lot in found))
        for kind, found in document["conflicts"].items()
        if found
    ]


def endings(document: Document, words: Words) -> list[dict[str, str]]:
    """What was sold to buyers nobody knows, came back or was destroyed, with the proof where it is shown."""
    told = []
    for state in ("dispersed", "returned", "destroyed"):
        for each in document.get(state, ()):
            papers = [short(str(paper.get("bizTransaction", ""))) for paper in each["papers"]]
            where = (
                (each["place_name"] or {}).get(words.language) or short(each["place"])
                if each["place"]
                else words("recalls_region", code=each["region"])
                if each["region"]
                else ""
            )
            told.append(
                {
                    "what": words(f"recalls_class_{state}"),
                    "amount": amount(each, words),
                    "when": when(each["at"], words),
                    "where": where,
                    "proof": words("work_comma").join(filter(None, [*papers, each["witness"] or ""])),
                    "missing": words("recalls_unproven") if _unproven(each) else "",
                }
            )
    return told


def destruction(document: Document, words: Words) -> tuple[tuple[str, ...], str]:
    """What was destroyed, with its proof and without, and what to do where some has none; empty where nothing was destroyed."""
    found = document.get("destruction")
    if found is None:
        return (), ""
    sums = tuple(
        words("recalls_so_far", what=words(f"recalls_destroyed_{kind}"), amount=amount(found[kind], words))
        for kind in ("proven", "unproven")
        if found[kind]["times"]
    )
    return sums, found["next"][words.language] if found["next"] else ""


def _unproven(ending: Mapping[str, Any]) -> bool:
    return "proven" in ending and not ending["proven"]


# --- as a file --------------------------------------------------------------------------------------------------------

_HEADS: Final = ("lot", "class", "holder", "place", "kilograms", "boxes", "proof")


def sheet(document: Document, words: Words, at: datetime) -> Sheet:
    """One line for each lot and class, each holder and place, and each ending."""
    head = line(document, words)
    rows: list[tuple[Any, ...]] = []
    for each in document.get("lots", ()):
        for name, part in each["classes"].items():
            rows.append(
                (each["lot"], words(f"recalls_class_{name}"), "", "", part["kilograms"], part["boxes"], "")
            )
    for each in document.get("holders", ()):
        name = (
            each["name"][words.language]
            if each["name"]
            else each["keeper"] or each["party"] or words("check_nobody")
        )
        for place in each["places"]:
            rows.append(
                (
                    "",
                    words("recalls_class_held"),
                    name,
                    place["place"] or "",
                    place["kilograms"],
                    place["boxes"],
                    "",
                )
            )
    for state in ("dispersed", "returned", "destroyed"):
        for each in document.get(state, ()):
            papers = [str(paper.get("bizTransaction", "")) for paper in each["papers"]]
            proof = " ".join([*papers, words("recalls_unproven")] if _unproven(each) else papers)
            rows.append(
                (
                    "",
                    words(f"recalls_class_{state}"),
                    each["by"] or "",
                    each["place"] or "",
                    each["kilograms"],
                    each["boxes"],
                    proof,
                )
            )
    return Sheet(
        title=head.called,
        notes_title=words("audit_export"),
        notes=(
            (words("recalls_source"), head.source),
            (words("recalls_level"), head.level),
            (words("recalls_reason"), head.reason),
            (words("recalls_ordered"), f"{head.by} {head.issued}"),
            (words("recalls_state"), head.state_word),
            (words("recalls_exported"), at.astimezone(ZoneInfo(ZONE)).isoformat(timespec="seconds")),
            *(((words("recall_title_drill"), words("recalls_drill_note")),) if head.drill else ()),
        ),
        columns=tuple(
            Column(words(f"recalls_column_{name}"), "number" if name in ("kilograms", "boxes") else "text")
            for name in _HEADS
        ),
        rows=tuple(rows),
    )


def letter(document: Document, key: str) -> Mapping[str, Any] | None:
    """The notice to one holder, in both languages; None where there is none by that key, or whoever it is for may not be named."""
    notices: Sequence[Mapping[str, Any]] = document["notices"]
    if not key.isdecimal() or len(key) > 6 or int(key) >= len(notices):
        return None
    found = notices[int(key)]
    return None if found["hidden"] else found
