"""`/api/v1/logger-files`: a logger's file handed in, judged, and handed out again to who may see an event that names it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from ingest.exports.exported import Export
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer
from trace_api.acts.doing import Doing, Key, as_problem
from trace_api.acts.fields import ZONE
from trace_api.acts.models import AttachLogger
from trace_api.acts.refusals import read_act
from trace_api.capture.bodies import bounded
from trace_api.loggers import files
from trace_api.loggers.attaching import read_export
from trace_api.loggers.judging import documents, limits_named
from trace_api.problems import Problem
from trace_api.roles import GOODS, OVERSEEING


def router(databases: Databases, guard: Guard, now: Callable[[], datetime]) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["Cold chain"], max_body_size=2 * files.MOST_BYTES)
    goods = Depends(guard.allowed(*GOODS))
    looking = Depends(guard.allowed(*GOODS, *OVERSEEING))
    do = Doing(databases)

    @routes.post("/logger-files", status_code=201, summary="Hand in a logger's export: it is kept and judged")
    async def hand_in(
        request: Request,
        person: Person = goods,
        product: Annotated[
            str | None, Query(description="By whose limits it is judged, as strawberry or frozen")
        ] = None,
        time_zone: Annotated[str | None, Query(description="Where its clock stood")] = None,
        unit: Annotated[Literal["C", "F"] | None, Query(description="Of readings that say none")] = None,
        date_order: Annotated[
            Literal["dmy", "mdy", "ymd"] | None, Query(description="Of dates such as 03/04")
        ] = None,
        idempotency_key: Key = None,
    ) -> Response:
        data = await bounded(request, files.MOST_BYTES, _too_large)
        digest = sha256(data).digest()
        said = {"file": digest.hex(), "time_zone": time_zone, "unit": unit, "date_order": date_order}

        def work(conn: psycopg.Connection) -> Answer:
            act = read_act("attach_logger", {**said, "units": ["-"]})
            assert isinstance(act, AttachLogger)
            export = read_export(data, act, ZONE)
            files.keep(conn, person, digest, data, now())
            return Answer(201, _answer(conn, digest, export, product))

        return await run_in_threadpool(
            do, request, person, idempotency_key, {**said, "product": product}, work
        )

    @routes.get("/logger-files/{sha256}", summary="The file as it was handed in")
    def handed_out(sha256: str, person: Person = looking) -> Response:
        wanted = files.hash_in(sha256)
        with as_problem(), access.looking(databases, person) as conn:
            data = None if wanted is None else files.seen(conn, wanted)
        if data is None or wanted is None:
            raise Problem.said(404, "logger_file_not_found")
        headers = {
            "Content-Disposition": f'attachment; filename="{wanted.hex()}"',
            "Cache-Control": "private, no-store",
        }
        return Response(data, media_type="application/octet-stream", headers=headers)

    return routes


def _too_large() -> Problem:
    return Problem.said(413, "logger_file_too_large", most=files.MOST_BYTES // 2**20)


def _answer(conn: psycopg.Connection, digest: bytes, export: Export, product: str | None) -> dict[str, Any]:
    """`columns`: each as `suyuan judge --json` has it; without a product no limit applies."""
    limits = () if product is None else limits_named(conn, product)
    return {
        "file": files.name_of(digest),
        "form": export.form,
        "serial": export.serial,
        "columns": documents(export, limits),
    }
