"""`/api/v1/recalls`: for who made goods, and for officials of their area and department.

Every POST carries an `Idempotency-Key`. What is refused is problem details with `faults` in both languages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import psycopg
from fastapi import APIRouter, Body, Depends, Query, Request, Response

from ledger.persons import Vault
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer, fingerprint_of, once
from trace_api.acts.refusals import Refused, read_form
from trace_api.acts.routes import Key
from trace_api.recalls import answering
from trace_api.recalls.asking import Closing, Order
from trace_api.recalls.ordering import close, order
from trace_api.roles import GOODS, OVERSEEING

Said = Annotated[dict[str, Any], Body(description="docs/recall.md lists the fields")]


def router(
    databases: Databases, guard: Guard, public_url: str, vault: Vault, now: Callable[[], datetime]
) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["Recalls"])
    ordering = Depends(guard.allowed(*GOODS, "official"))
    looking = Depends(guard.allowed(*GOODS, *OVERSEEING))

    def once_only(
        request: Request,
        person: Person,
        key: str | None,
        said: object,
        work: Callable[[psycopg.Connection], Answer],
    ) -> Response:
        fingerprint = fingerprint_of(request.method, request.url.path, said)
        with _as_problem(), access.acting(databases, person) as conn:
            answer = once(conn, person, key, fingerprint, lambda: work(conn))
        return answer.response()

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

        return once_only(request, person, idempotency_key, said, work)

    @routes.post("/recalls/{recall}/close", summary="Say that it is completed, or withdraw it")
    def closing_it(
        request: Request, recall: UUID, said: Said, person: Person = ordering, idempotency_key: Key = None
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            closing = read_form(Closing, said)
            assert isinstance(closing, Closing)
            return Answer(200, close(conn, person, recall, closing, now(), public_url, vault))

        return once_only(request, person, idempotency_key, said, work)

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

    return routes


@contextmanager
def _as_problem() -> Iterator[None]:
    """Outside the transaction, which the refusal has left."""
    try:
        yield
    except Refused as refused:
        raise refused.problem() from refused
