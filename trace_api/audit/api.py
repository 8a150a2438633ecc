"""`/api/v1/audit`: the same lists as JSON, CSV and XLSX, and the evidence file of a breach.

Contract: the filters are those of the pages; one that cannot be used is refused, since a program would not see that the
answer is not filtered. A file holds all that match, up to a bound that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import psycopg
from fastapi import APIRouter, Depends, Request, Response

from ledger.anchored_evidence import Issuing, anchored
from ledger.witness_list import ListedWitness
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.audit import reading, sheets
from trace_api.audit.asking import BREACHES, DUTIES, MOST, PAGE, Asked, ask, filter_name, today_of
from trace_api.audit.filing import breach_sheet, chosen_names, duty_sheet, notes
from trace_api.audit.pages import area_of, number_of
from trace_api.audit.sealing import Logs, evidence_of
from trace_api.audit.sheets import Sheet
from trace_api.problems import Problem
from trace_api.proofs import OrganisationKey
from trace_api.roles import OVERSEEING
from trace_api.work import Frame

Form = Literal["csv", "xlsx"]
FRESH = {"Cache-Control": "no-store"}


def router(
    databases: Databases,
    guard: Guard,
    logs: Logs,
    key: OrganisationKey,
    now: Callable[[], datetime],
    witnesses: Sequence[ListedWitness] = (),
) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/audit", tags=["Audit"])
    overseeing = Depends(guard.allowed(*OVERSEEING))

    @routes.get("/excursions", summary="Breaches of one's area and department, with what they touched")
    def excursions(request: Request, response: Response, person: Person = overseeing) -> dict[str, Any]:
        at = now()
        asked = _asked(request, at, BREACHES)
        response.headers.update(FRESH)
        with access.looking(databases, person) as conn:
            found = reading.breaches(conn, asked, at)
            total = reading.total(found, asked, lambda: reading.breaches(conn, asked, at, 1, 0))
            overall = reading.summary(conn, asked, at)
        return _document("excursions", found, total, asked, at) | {"summary": asdict(overall)}

    @routes.get("/duties", summary="Record duties not kept in one's area and department")
    def duties(request: Request, response: Response, person: Person = overseeing) -> dict[str, Any]:
        at = now()
        asked = _asked(request, at, DUTIES)
        response.headers.update(FRESH)
        with access.looking(databases, person) as conn:
            found = reading.duties(conn, asked, at)
            total = reading.total(found, asked, lambda: reading.duties(conn, asked, at, 1, 0))
            return _document("duties", found, total, asked, at)

    def breaches_file(request: Request, person: Person, form: Form) -> Response:
        at = now()
        asked = _asked(request, at, BREACHES)
        with access.looking(databases, person) as conn:
            found = reading.breaches(conn, asked, at, MOST, 0)
            about, regions, words = _about(conn, request, person, asked, at, found)
        return _file(breach_sheet(found, regions, about, words), form, "suyuan-breaches", at)

    def duties_file(request: Request, person: Person, form: Form) -> Response:
        at = now()
        asked = _asked(request, at, DUTIES)
        with access.looking(databases, person) as conn:
            found = reading.duties(conn, asked, at, MOST, 0)
            about, regions, words = _about(conn, request, person, asked, at, found)
        return _file(duty_sheet(found, regions, about, words), form, "suyuan-duties", at)

    _add_files(routes, "excursions", breaches_file, overseeing)
    _add_files(routes, "duties", duties_file, overseeing)

    @routes.get(
        "/excursions/{number}/proof",
        summary="Evidence file (suyuan-evidence/v2) of a breach: verifies offline",
    )
    def proof(number: str, person: Person = overseeing) -> Response:
        at = now()
        with access.looking(databases, person) as conn:
            breach = reading.breach(conn, number_of(number), at)
            if breach is None:
                raise Problem.said(404, "audit_missing")
            evidence = evidence_of(conn, breach, at, logs, key)
            file = anchored(conn, evidence, Issuing(logs, witnesses, stamps=True))
        name = f'attachment; filename="breach-{breach.id}.evidence.json"'
        return Response(
            file.to_json(), media_type="application/json", headers=FRESH | {"Content-Disposition": name}
        )

    return routes


def _add_files(
    routes: APIRouter, what: str, make: Callable[[Request, Person, Form], Response], overseeing: Any
) -> None:
    @routes.get(f"/{what}.csv", summary=f"The same as CSV: {what}", name=f"{what}_csv")
    def as_csv(request: Request, person: Person = overseeing) -> Response:
        return make(request, person, "csv")

    @routes.get(f"/{what}.xlsx", summary=f"The same as XLSX: {what}", name=f"{what}_xlsx")
    def as_xlsx(request: Request, person: Person = overseeing) -> Response:
        return make(request, person, "xlsx")


def _asked(request: Request, at: datetime, names: Collection[str]) -> Asked:
    """Raises Problem 422 for filters that cannot be used."""
    asked = ask(request.query_params.multi_items(), today_of(at), names)
    if asked.wrong:
        raise Problem.said(
            422,
            "audit_wrong_filter",
            fields=lambda words: words("work_comma").join(filter_name(name, words) for name in asked.wrong),
        )
    return asked


def _document(what: str, found: list[Any], total: int, asked: Asked, at: datetime) -> dict[str, Any]:
    more = (asked.page - 1) * PAGE + len(found) < total
    rows = [{name: value for name, value in asdict(item).items() if name != "total"} for item in found]
    kept: Mapping[str, Any] = {name: value for name, value in asked.filters().items() if value is not None}
    return {"at": at, "filter": kept, "total": total, what: rows, "next": asked.page + 1 if more else None}


def _about(
    conn: psycopg.Connection, request: Request, person: Person, asked: Asked, at: datetime, found: list[Any]
) -> tuple[Any, Any, Any]:
    words = Frame.of(request, person).words
    regions = reading.regions_below(conn, person.regions)
    chosen = chosen_names(asked, reading.choices(conn, asked, at), regions, words)
    total = found[0].total if found else 0
    return notes(asked, area_of(person, regions, words), chosen, at, total, len(found), words), regions, words


def _file(sheet: Sheet, form: Form, stem: str, at: datetime) -> Response:
    body, kind = (
        (sheets.to_csv(sheet), sheets.CSV_TYPE)
        if form == "csv"
        else (sheets.to_xlsx(sheet), sheets.XLSX_TYPE)
    )
    name = quote(f"{stem}-{at:%Y%m%dT%H%MZ}.{form}")
    return Response(
        body, media_type=kind, headers=FRESH | {"Content-Disposition": f'attachment; filename="{name}"'}
    )
