"""`/api/v1/alerts` and `/api/v1/excursions/{number}/acknowledge`, for an organisation's own.

Contract: the POST carries an `Idempotency-Key`; what is refused is problem details that name who acknowledged before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer
from trace_api.acts.doing import Doing, Key
from trace_api.alerts import reading
from trace_api.alerts.reading import STATES, Alert, State
from trace_api.problems import Problem
from trace_api.roles import GOODS

Number = Annotated[int, Path(ge=1, lt=2**63, description="The excursion's number")]
Comment = Annotated[str, Body(embed=True, description="What was found, or is done; at most 2,000 characters")]


def router(databases: Databases, guard: Guard, now: Callable[[], datetime]) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["Alerts"])
    do, handler = Doing(databases), Depends(guard.allowed(*GOODS))

    def by_name(person: Person = handler) -> Person:
        if person.account is None:
            raise Problem.said(403, "alert_not_a_person")
        return person

    somebody = Depends(by_name)

    @routes.get("/alerts", summary="Alerts of one's own organisation, newest first")
    def listed(
        person: Person = handler,
        state: Annotated[State | None, Query()] = None,
        after: Annotated[
            int | None, Query(ge=1, lt=2**63, description="Page on: alerts with a smaller number")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> JSONResponse:
        with access.looking(databases, person) as conn:
            found = reading.alerts(conn, STATES if state is None else (state,), after=after, limit=limit)
        more = found[-1].excursion if len(found) == limit else None
        return JSONResponse(
            {"alerts": [_json(each) for each in found], "next": more}, headers={"Cache-Control": "no-store"}
        )

    @routes.post(
        "/excursions/{number}/acknowledge",
        summary="Say by name that somebody takes care of it: the first one stands",
    )
    def acknowledged(
        request: Request,
        number: Number,
        comment: Comment,
        person: Person = somebody,
        idempotency_key: Key = None,
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            given = reading.acknowledge(conn, number, comment, now())
            return Answer(200, {"excursion": number} | _moments(asdict(given)))

        return do(request, person, idempotency_key, {"comment": comment}, work)

    return routes


def _json(alert: Alert) -> dict[str, Any]:
    row = {name: value for name, value in asdict(alert).items() if name != "facts"}
    told = [_moments(each) for each in row["told"]]
    given = row["acknowledgement"]
    return {
        **_moments(row),
        **alert.facts,
        "told": told,
        "acknowledgement": given and _moments(given),
        "alert": alert.excursion,
    }


def _moments(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
