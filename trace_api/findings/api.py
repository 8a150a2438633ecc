"""`/api/v1/findings`: what does not add up, as JSON, CSV and XLSX, for officials and for organisations.

Contract: the filters are those of the page; one that cannot be used is refused. `coverage` says of how much each rule could judge
and of how much it could not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request, Response

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.audit import sheets
from trace_api.audit.asking import MOST, PAGE, ZONE, filter_name, today_of
from trace_api.audit.reading import regions_below
from trace_api.findings import reading
from trace_api.findings.asking import AskedFindings, ask_findings
from trace_api.findings.filing import filter_text, sheet
from trace_api.findings.pages import asker_of
from trace_api.findings.telling import said
from trace_api.problems import Problem
from trace_api.roles import GOODS, OVERSEEING
from trace_api.words import LANGUAGES, Words
from trace_api.work import Frame

Form = Literal["csv", "xlsx"]
FRESH = {"Cache-Control": "no-store"}


def router(databases: Databases, guard: Guard, now: Callable[[], datetime]) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["Findings"])
    anybody = Depends(guard.allowed(*OVERSEEING, *GOODS))

    @routes.get(
        "/findings",
        summary="What does not add up: of an official's area, or about an organisation's own goods",
    )
    def listed(request: Request, response: Response, person: Person = anybody) -> dict[str, Any]:
        at = now()
        asked = _asked(request, at)
        response.headers.update(FRESH)
        with access.looking(databases, person) as conn:
            found = reading.findings(conn, asked.filters(), at, person.organisation)
            total = reading.total(conn, found, asked, at, person.organisation)
            covered = reading.coverage(conn, at)
        more = (asked.page - 1) * PAGE + len(found) < total
        kept = {name: value for name, value in asked.filters().items() if value is not None}
        return {
            "at": at, "filter": kept, "total": total, "findings": [_json(each) for each in found], "next": asked.page + 1 if more else None,
            "coverage": [asdict(each) for each in covered],
        }  # fmt: skip

    def file(request: Request, person: Person, form: Form) -> Response:
        at = now()
        asked, words = _asked(request, at), Frame.of(request, person).words
        with access.looking(databases, person) as conn:
            found = reading.findings(conn, asked.filters(MOST, 0), at, person.organisation)
            whose = asker_of(person, regions_below(conn, person.regions), words)
        total = found[0].total if found else 0
        about = (
            (words("audit_note_at"), at.astimezone(ZoneInfo(ZONE)).isoformat(timespec="seconds")),
            (words("audit_note_area"), whose),
            (words("audit_note_filter"), filter_text(asked, words)),
            (words("audit_note_total"), words("audit_note_rows", written=len(found), total=total)),
            (words("audit_note_reading"), words("finding_note")),
        )
        made = sheet(found, about, words)
        body, kind = (
            (sheets.to_csv(made), sheets.CSV_TYPE)
            if form == "csv"
            else (sheets.to_xlsx(made), sheets.XLSX_TYPE)
        )
        name = quote(f"suyuan-findings-{at:%Y%m%dT%H%MZ}.{form}")
        return Response(
            body, media_type=kind, headers=FRESH | {"Content-Disposition": f'attachment; filename="{name}"'}
        )

    @routes.get("/findings.csv", summary="The same as CSV: findings")
    def as_csv(request: Request, person: Person = anybody) -> Response:
        return file(request, person, "csv")

    @routes.get("/findings.xlsx", summary="The same as XLSX: findings")
    def as_xlsx(request: Request, person: Person = anybody) -> Response:
        return file(request, person, "xlsx")

    return routes


def _asked(request: Request, at: datetime) -> AskedFindings:
    """Raises Problem 422 for filters that cannot be used."""
    asked = ask_findings(request.query_params.multi_items(), today_of(at))
    if asked.wrong:
        raise Problem.said(
            422, "audit_wrong_filter",
            fields=lambda words: words("work_comma").join(filter_name(name, words) for name in asked.wrong),
        )  # fmt: skip
    return asked


def _json(found: reading.Found) -> dict[str, Any]:
    row = {name: value for name, value in asdict(found).items() if name != "total"}
    told = {language: said(found, Words(language)) for language in LANGUAGES}
    return row | {"standing": found.standing, "told": told}
