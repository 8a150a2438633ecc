"""Findings as the functions of 0034 and 0043 answer them: they decide what concerns who asks.

Contract: `conn` first, in the caller's transaction. An organisation hears of its own part: the devices of another are not named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from trace_api.findings.asking import AskedFindings


@dataclass(frozen=True, slots=True)
class Found:
    """A finding. `body`: said, known, uom, figures, and what else shows it. `events`: those the asker may see; `hidden`: how many
    others there are. `words`: what officials said of it, the first first."""

    id: str
    kind: str
    subject: str
    version: int
    state: str
    severity: str
    lots: list[str]
    product_zh: str | None
    product_en: str | None
    places: list[dict[str, Any]]
    organisations: list[dict[str, Any]]
    happened_at: datetime
    body: dict[str, Any]
    opened_at: datetime
    changed_at: datetime
    events: list[dict[str, Any]]
    hidden: int
    words: list[dict[str, Any]]
    grown: bool
    total: int

    @property
    def standing(self) -> str:
        """open, look_into, explained, grown (worse since it was explained) or closed."""
        if self.state == "closed":
            return "closed"
        if self.grown:
            return "grown"
        return str(self.words[-1]["says"]) if self.words else "open"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of how much a rule could judge, and of how much it could not."""

    kind: str
    judged: int
    unjudged: int


def findings(
    conn: psycopg.Connection, filters: dict[str, Any], at: datetime, organisation: str | None
) -> list[Found]:
    """`organisation`: who asks, where it is one."""
    with conn.cursor(row_factory=class_row(Found)) as cursor:
        rows = cursor.execute("SELECT * FROM findings_seen(%s, %s)", [json.dumps(filters), at]).fetchall()
    return rows if organisation is None else [_for(organisation, row) for row in rows]


def total(
    conn: psycopg.Connection, found: Sequence[Found], asked: AskedFindings, at: datetime, who: str | None
) -> int:
    """On all pages: each row knows. Behind the last page the first row is asked."""
    if not found and asked.page > 1:
        found = findings(conn, asked.filters(1, 0), at, who)
    return found[0].total if found else 0


def finding(conn: psycopg.Connection, wanted: str, at: datetime, organisation: str | None) -> Found | None:
    return next(iter(findings(conn, {"id": wanted}, at, organisation)), None)


def coverage(conn: psycopg.Connection, at: datetime) -> list[Coverage]:
    with conn.cursor(row_factory=class_row(Coverage)) as cursor:
        return cursor.execute("SELECT * FROM findings_coverage(%s)", [at]).fetchall()


def say(
    conn: psycopg.Connection, wanted: str, says: str, comment: str, at: datetime, version: int | None
) -> bool:
    """`version`: the one they had before them; None: the one that stands.

    False where there is no such finding for who says it, or they are no official."""
    row = conn.execute(
        "SELECT say_of_finding(%s, %s, %s, %s, %s)", [wanted, says, comment, at, version]
    ).fetchone()
    return row is not None and bool(row[0])


def _for(organisation: str, found: Found) -> Found:
    body = dict(found.body)
    for name in ("devices", "certificates"):
        if name in body:
            own = [each for each in body[name] if each.get("organisation") == organisation]
            body[name] = own
            body[f"other_{name}"] = len(found.body[name]) - len(own)
    subject = found.subject if found.kind != "copied_values" else ""
    seen = {each["organisation"] for each in found.events} | {organisation}
    return replace(
        found,
        body=body,
        subject=subject,
        organisations=[each for each in found.organisations if each["id"] in seen],
    )
