"""The document of a recall: what it reached, who has it, what became of it.

In the line: the functions of deploy/schema/0033_recall.sql -> here -> JSON. Contract: read only, in the caller's transaction; whoever
may not be named to the asker is counted and not named; the classes of each lot add up to what was reached of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from trace_api.problems import Problem
from trace_api.recalls.notices import holder_words, order_words, title
from trace_api.recalls.sealing import read_seals
from trace_api.recalls.shares import Went, shares
from trace_api.words import LANGUAGES, Words

CLASSES: Final = ("held", "dispersed", "returned", "destroyed", "used", "sampled", "unaccounted")
MOST_UNITS: Final = 200
_CERTIFICATE: Final = re.compile(r"(^|[:/-])cert$")
Row = dict[str, Any]

_KNOWN: Final = """
SELECT known.*, level.name_zh AS level_zh, level.name_en AS level_en, level.hours, level.source, level.force, level.verified
FROM asker_recall AS known JOIN recall_level AS level USING (level)
"""


def rows(conn: psycopg.Connection, query: str, values: Sequence[Any]) -> list[Row]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), values).fetchall()


def listed(conn: psycopg.Connection, limit: int, before: int | None) -> list[Row]:
    found = rows(
        conn,
        f"{_KNOWN} WHERE known.number < coalesce(%s::bigint, 9223372036854775807) ORDER BY known.number DESC LIMIT %s",
        [before, limit],
    )
    return _with_names(conn, [head(each) for each in found])


def read(conn: psycopg.Connection, recall: UUID, mode: str | None = None) -> Row:
    """The whole document. `mode`: of an order that was given in this transaction. Raises Problem 404 where the asker has no right to
    it."""
    found = rows(conn, f"{_KNOWN} WHERE known.id = %s", [recall])
    if not found:
        raise Problem.said(404, "recall_none")
    (document,) = _with_names(conn, [head(found[0])])
    document |= {} if mode is None else {"mode": mode}
    document["sealed"] = read_seals(conn, recall)
    (followed,) = rows(conn, "SELECT * FROM recall_followed(%s, %s)", [recall, mode is not None])
    progress = _progress(followed["progress"])
    if document["why"] == "told":
        units = read_units(conn, recall, "", MOST_UNITS)
        return document | {**units, "progress": progress, "notices": _notices(conn, recall, document)}
    reached = rows(conn, "SELECT * FROM recall_reached(%s)", [recall])
    went = runs(conn, recall)
    sites = _names(conn, "place", (each["place"] for each in followed["ended"]))
    units = read_units(conn, recall, "", MOST_UNITS)
    ended: dict[str, list[Row]] = {
        state: [_ending(each, sites) for each in followed["ended"] if _class(each["state"]) == state]
        for state in ("dispersed", "destroyed", "returned", "sampled", "unaccounted")
    }
    return document | {
        "lots": _lots(reached, went),
        "classes": _classes(reached),
        **_holders(conn, reached),
        **ended,
        "destruction": _destruction(ended["destroyed"]),
        **units,
        "notices": _notices(conn, recall, document),
        "progress": progress,
    }  # fmt: skip


def head(row: Row) -> Row:
    return {
        "id": str(row["id"]),
        "number": row["number"] or None,
        "mode": "drill" if row["drill"] else "real",
        "drill": row["drill"],
        "title": {language: title(Words(language), row["drill"]) for language in LANGUAGES},
        "why": row["why"],
        "state": row["state"],
        "from": row["ask"],
        "level": {
            "level": row["level"],
            "name": {"zh": row["level_zh"], "en": row["level_en"]},
            "begin_within_hours": row["hours"],
            "source": row["source"],
            "force": row["force"],
            "verified": row["verified"],
        },
        "reason": {"zh": row["reason_zh"], "en": row["reason_en"]},
        "legal_basis": row["legal_basis"],
        "ordered_by": _orderer(row),
        "issued_at": _time(row["issued_at"]),
        "begin_by": _time(row["begin_by"]),
        "closed_at": _time(row["closed_at"]),
        "note": row["note"],
        "known_to": row["known_to"],
    }


def runs(conn: psycopg.Connection, recall: UUID) -> list[Went]:
    return [
        Went(each["run"], each["lot"], each["kilograms"], each["reached"], tuple(each["outputs"] or ()))
        for each in rows(conn, "SELECT * FROM recall_runs(%s) ORDER BY run, lot", [recall])
    ]


def read_units(conn: psycopg.Connection, recall: UUID, beyond: str, most: int) -> Row:
    """`beyond`: the unit after which to go on."""
    found = rows(conn, "SELECT * FROM recall_units(%s, %s, %s)", [recall, beyond, most + 1])
    return {"units": found[:most], "more_units": len(found) > most}


def _orderer(row: Row) -> Row:
    if row["organisation"] is not None:
        return {"organisation": row["organisation"], "zh": row["by_zh"], "en": row["by_en"]}
    key = f"work_department_{row['department']}"
    return {"department": row["department"], **{language: Words(language)(key) for language in LANGUAGES}}


def _class(state: str) -> str:
    return "unaccounted" if state == "gone" else state


def _sum(reached: Iterable[Row]) -> Row:
    """None where nothing of it has a known weight."""
    found = list(reached)
    return {
        "kilograms": round(sum(each["kilograms"] or 0.0 for each in found), 6),
        "boxes": round(sum(each["boxes"] or 0.0 for each in found), 6),
        "portions": sum(each["portions"] for each in found),
        "unweighed": sum(each["unknown"] for each in found),
    }


def _classes(reached: Sequence[Row]) -> Row:
    return {name: _sum(each for each in reached if _in_class(each) == name) for name in CLASSES}


def _in_class(each: Row) -> str:
    """Goods that nobody is known to have, at no known place, are nowhere."""
    nowhere = (
        each["state"] == "held"
        and not each["hidden"]
        and not (each["keeper"] or each["party"] or each["place"])
    )
    return "unaccounted" if nowhere else _class(each["state"])


def _lots(reached: Sequence[Row], went: Sequence[Went]) -> list[Row]:
    by_lot: dict[str, list[Row]] = {}
    for each in reached:
        by_lot.setdefault(each["lot"], []).append(each)
    share = shares(went, [lot for lot, own in by_lot.items() if any(each["seed"] for each in own)])
    return [
        {
            "lot": lot,
            "seed": any(each["seed"] for each in own),
            "whole": own[0]["whole"],
            "share": share.get(lot),
            "total": _sum(own),
            "classes": {name: part for name, part in _classes(own).items() if part["portions"]},
            "possibly": _sum(each for each in own if not each["certain"]),
        }
        for lot, own in by_lot.items()
    ]


_NAMES: Final = "SELECT id, name_zh, name_en FROM asker_{} WHERE id = ANY (%s)"


def _names(conn: psycopg.Connection, what: str, ids: Iterable[str | None]) -> dict[str, Row]:
    wanted = sorted({each for each in ids if each})
    found = rows(conn, _NAMES.format(what), [[*wanted, *(each.partition("/254/")[0] for each in wanted)]])
    names = {each["id"]: {"zh": each["name_zh"], "en": each["name_en"]} for each in found}
    return {each: names[key] for each in wanted for key in (each, each.partition("/254/")[0]) if key in names}


def _holders(conn: psycopg.Connection, reached: Sequence[Row]) -> Row:
    having = [each for each in reached if each["state"] in ("held", "returned")]
    organisations = _names(conn, "organisation", (each["keeper"] for each in having))
    places = _names(conn, "place", (each["place"] for each in having))
    found: dict[tuple[str | None, str | None], list[Row]] = {}
    for each in having:
        if not each["hidden"]:
            found.setdefault((each["keeper"], each["party"]), []).append(each)
    holders = [
        {
            "keeper": keeper,
            "party": party,
            "name": organisations.get(keeper or ""),
            **_sum(own),
            "places": [
                {
                    "place": place,
                    "name": places.get(place or ""),
                    **_sum(each for each in own if each["place"] == place),
                    "units": sum(each["units"] for each in own if each["place"] == place),
                }
                for place in dict.fromkeys(each["place"] for each in own)
            ],
        }
        for (keeper, party), own in found.items()
    ]
    return {"holders": holders, "hidden": _sum(each for each in having if each["hidden"])}


def _ending(each: Row, sites: dict[str, Row]) -> Row:
    told = {name: value for name, value in each.items() if name != "state"}
    if each["state"] == "destroyed":
        told["proven"] = any(_CERTIFICATE.search(str(paper.get("type", ""))) for paper in each["papers"])
    return told | {"place_name": sites.get(each["place"] or "")}


def _destruction(destroyed: Sequence[Row]) -> Row:
    """How much of what was destroyed has its certificate and how much has none yet; `next`: what to do, None where none is missing."""
    unproven = [each for each in destroyed if not each["proven"]]
    return {
        "proven": _destroyed(each for each in destroyed if each["proven"]),
        "unproven": _destroyed(unproven),
        "next": {language: Words(language)("recalls_unproven_next") for language in LANGUAGES}
        if unproven
        else None,
    }


def _destroyed(found: Iterable[Row]) -> Row:
    each_time = list(found)
    return {
        "times": len(each_time),
        "kilograms": round(sum(each["kilograms"] or 0.0 for each in each_time), 6),
        "boxes": round(sum(each["boxes"] or 0.0 for each in each_time), 6),
    }


def _with_names(conn: psycopg.Connection, heads: list[Row]) -> list[Row]:
    """From where, as the asker's register calls it."""
    sites = _names(conn, "place", (each["from"].get("id") for each in heads))
    return [
        each | {"from": each["from"] | {"name": sites[each["from"]["id"]]}}
        if each["from"].get("id") in sites
        else each
        for each in heads
    ]


def _notices(conn: psycopg.Connection, recall: UUID, document: Row) -> list[Row]:
    told = rows(conn, "SELECT * FROM recall_told(%s)", [recall])
    order = order_words(document)
    return [
        {
            "keeper": each["keeper"],
            "party": each["party"],
            "name": None if each["name_zh"] is None else {"zh": each["name_zh"], "en": each["name_en"]},
            "hidden": each["hidden"],
            "kilograms": each["kilograms"],
            "boxes": each["boxes"],
            "units": each["units"],
            "sold_kg": each["sold_kg"],
            "lots": each["lots"],
            "title": order["title"],
            "text": holder_words(document, each),
        }
        for each in told
    ]


def _progress(steps: Iterable[Row]) -> list[Row]:
    """One a holder, and one for those who may not be named together."""
    found: dict[tuple[Any, ...], Row] = {}
    for each in steps:
        key = (each["keeper"], each["party"], each["hidden"])
        row = found.setdefault(
            key,
            {"keeper": each["keeper"], "party": each["party"], "hidden": each["hidden"], "holders": 0,
             "acknowledged_at": None, "now": {}},
        )  # fmt: skip
        row["holders"] = max(row["holders"], each["holders"])
        told = [at for at in (row["acknowledged_at"], each["acknowledged"]) if at]
        row["acknowledged_at"] = min(told, default=None)
        row["now"][each["state"]] = {
            "kilograms": each["kilograms"],
            "boxes": each["boxes"],
            "unweighed": each["unknown"],
        }
    return list(found.values())


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
