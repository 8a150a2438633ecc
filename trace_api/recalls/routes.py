"""`/api/v1/recalls`: for who made goods, and for officials of their area and department.

Every POST carries an `Idempotency-Key`. What is refused is problem details with `faults` in both languages.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import psycopg
from fastapi import APIRouter, Body, Depends, Query, Request, Response

from ledger.persons import Vault
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer
from trace_api.acts.doing import Doing, Key
from trace_api.acts.refusals import read_form
from trace_api.recalls import answering
from trace_api.recalls.asking import Closing, Order
from trace_api.recalls.ordering import close, order
from trace_api.roles import GOODS, OVERSEEING

Said = Annotated[dict[str, Any], Body(description="docs/recall.md lists the fields")]


def router(
    databases: Databases, guard: Guard, public_url: str, vault: Vault, now: Callable[[], datetime]
) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["Recalls"])
    _add_ordering(routes, guard, Doing(databases), public_url, vault, now)
    _add_looking(routes, databases, guard)
    return routes


def _add_ordering(
    routes: APIRouter, guard: Guard, do: Doing, public_url: str, vault: Vault, now: Callable[[], datetime]
) -> None:
    ordering = Depends(guard.allowed(*GOODS, "official"))

    @routes.post(
        "/recalls", status_code=201, summary="Recall: look what it reaches, rehearse it, or order it"
    )
    def ordering_it(
        request: Request, said: Said, person: Person = ordering, idempotency_key: Key = None
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            wanted = read_form(Order, said)
            assert isinstance(wanted, Order)
            document = order(conn, person, wanted, now(), public_url, vault)
            if wanted.mode == "preview":
                return Answer(200, document)
            return Answer(201, document, f"/api/v1/recalls/{document['id']}")

        return do(request, person, idempotency_key, said, work)

    @routes.post("/recalls/{recall}/close", summary="Say that it is completed, or withdraw it")
    def closing_it(
        request: Request, recall: UUID, said: Said, person: Person = ordering, idempotency_key: Key = None
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            closing = read_form(Closing, said)
            assert isinstance(closing, Closing)
            return Answer(200, close(conn, person, recall, closing, now(), public_url, vault))

        return do(request, person, idempotency_key, said, work)


def _add_looking(routes: APIRouter, databases: Databases, guard: Guard) -> None:
    looking = Depends(guard.allowed(*GOODS, *OVERSEEING))

    @routes.get("/recalls", summary="Recalls and drills that concern the asker, newest first")
    def recalls(
        person: Person = looking,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Annotated[
            int | None, Query(ge=1, lt=2**63, description="Those with a smaller number")
        ] = None,
    ) -> dict[str, Any]:
        with access.looking(databases, person) as conn:
            return {"recalls": answering.listed(conn, limit, before)}

    @routes.get("/recalls/{recall}", summary="What it reached, who has it, what came back")
    def recall(recall: UUID, person: Person = looking) -> dict[str, Any]:
        with access.looking(databases, person) as conn:
            return answering.read(conn, recall)

    @routes.get("/recalls/{recall}/units", summary="Load units with goods of it, in pages")
    def units(
        recall: UUID,
        person: Person = looking,
        after: Annotated[str, Query(max_length=500, description="The last unit of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
    ) -> dict[str, Any]:
        with access.looking(databases, person) as conn:
            return answering.read_units(conn, recall, after, limit)
