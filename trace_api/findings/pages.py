"""`/audit/findings`: the list, one finding with what shows it, and the word that an official says of it.

Contract: the database decides what concerns who asks; an auditor reads and says nothing. What was said stays, under its sayer's
name, with the version that they had before them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import psycopg
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer
from trace_api.audit.asking import PAGE, ZONE, filter_name, today_of
from trace_api.audit.pages import area_of
from trace_api.audit.reading import Region, regions_below
from trace_api.audit.telling import named, stamp
from trace_api.findings import reading
from trace_api.findings.asking import KINDS, SAYS, STANDINGS, ask_findings
from trace_api.findings.telling import case_of, coverage_line, row_of
from trace_api.pages import Assets
from trace_api.problems import Problem
from trace_api.roles import OVERSEEING
from trace_api.words import Words
from trace_api.work import Frame, Sent, done_once, page, sent

LONGEST = 2000


def router(databases: Databases, guard: Guard, assets: Assets, now: Callable[[], datetime]) -> APIRouter:
    routes = APIRouter(prefix="/audit", tags=["Audit"], default_response_class=HTMLResponse)
    overseeing, official, form_sent = (
        Depends(guard.allowed(*OVERSEEING)),
        Depends(guard.allowed("official")),
        Depends(sent),
    )

    @routes.get("/findings", summary="What does not add up in one's area and department")
    def listed(request: Request, person: Person = overseeing) -> Response:
        at, frame = now(), Frame.of(request, person)
        asked = ask_findings(request.query_params.multi_items(), today_of(at))
        with access.looking(databases, person) as conn:
            regions = regions_below(conn, person.regions)
            found = reading.findings(conn, asked.filters(), at, None)
            total = reading.total(conn, found, asked, at, None)
            covered = reading.coverage(conn, at)
        words, first = frame.words, (asked.page - 1) * PAGE + 1
        last = first + len(found) - 1
        return page("findings.html", frame, assets, words("audit_title"), rows=[row_of(each, words) for each in found], asked=asked,
                    area=area_of(person, regions, words), as_of=stamp(at, ZONE), total=total, first=first, last=last, more=last < total,
                    before=max(1, min(asked.page - 1, -(-total // PAGE))), options=_options(regions, words), muted=coverage_line(covered, words),
                    wrong=words("work_comma").join(filter_name(name, words) for name in asked.wrong))  # fmt: skip

    @routes.get(
        "/findings/{finding}",
        summary="One finding: the events that show it, the numbers, and what was said of it",
    )
    def one(request: Request, finding: str, person: Person = overseeing) -> Response:
        frame = Frame.of(request, person)
        with access.looking(databases, person) as conn:
            found = _there(conn, finding, now())
        return _case(frame, assets, found, person)

    @routes.post("/findings/{finding}/words", summary="Look into it, or say how it is explained")
    def say(request: Request, finding: str, form: Sent = form_sent, person: Person = official) -> Response:
        says, comment, at = form.text("says"), form.text("comment"), now()
        if says not in SAYS or not comment or len(comment) > LONGEST:
            frame = Frame.of(request, person)
            with access.looking(databases, person) as conn:
                found = _there(conn, finding, at)
            wrong = (
                "finding_needs_word"
                if says not in SAYS
                else "finding_needs_comment"
                if not comment
                else "finding_comment_long"
            )
            return _case(
                frame,
                assets,
                found,
                person,
                wrong=frame.words(wrong, most=LONGEST),
                typed=comment,
                chosen=says,
                status=422,
            )

        def work(conn: psycopg.Connection) -> Answer:
            if not reading.say(conn, finding, says, comment, at, _version(form)):
                raise Problem.said(404, "audit_missing")
            return Answer(303, location=f"/audit/findings/{finding}#words")

        return done_once(databases, person, form, work)

    return routes


def _version(form: Sent) -> int | None:
    """Which version was on the page that was sent."""
    text = form.text("version")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _there(conn: psycopg.Connection, wanted: str, at: datetime) -> reading.Found:
    """Raises Problem 404 for what lies outside the asker's area, or is none."""
    found = reading.finding(conn, wanted, at, None)
    if found is None:
        raise Problem.said(404, "audit_missing")
    return found


def _case(
    frame: Frame, assets: Assets, found: reading.Found, person: Person, *, wrong: str = "", typed: str = "", chosen: str = "", status: int = 200
) -> Response:  # fmt: skip
    case = case_of(found, frame.words)
    return page("finding.html", frame, assets, case.row.kind, status=status, case=case, may_say="official" in person.roles, wrong=wrong,
                typed=typed, chosen=chosen, says=[(word, frame.words(f"finding_say_{word}")) for word in SAYS])  # fmt: skip


def _options(regions: Sequence[Region], words: Words) -> dict[str, list[tuple[str, str]]]:
    every = ("", words("audit_all"))
    return {
        "kind": [every, *((kind, words(f"finding_kind_{kind}")) for kind in KINDS)],
        "standing": [(each, words(f"finding_standing_{each}")) for each in STANDINGS],
        "region": [every, *((region.code, f"{words.name(region.name)} {region.code}") for region in regions)],
    }


def asker_of(person: Person, regions: Sequence[Region], words: Words) -> str:
    """Whose list it is: an area, or an organisation."""
    if person.organisation is None:
        return area_of(person, list(regions), words)
    name: Any = person.organisation_name
    return named(words, name.zh, name.en, person.organisation) if name else person.organisation
