"""EPCIS 2.0 capture over HTTP: the second door to `ledger.recording.record`.

`POST /epcis/capture` answers 202 with the address of a job; the job's document names every event that was not taken and why.
In this release the work is done before the answer: what the job says is already so.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool

from ingest.admission import check_event_times
from ingest.wire.epcis import Said, decode
from ingest.wire.errors import WireError
from ledger.epcis.events import Event
from ledger.persons import Vault
from ledger.recording import EventConflict, RecordingError, record
from trace_api import access
from trace_api.access import Databases
from trace_api.problems import Problem

MAX_BYTES = 1_048_576
MAX_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Fault:
    """One event of a capture that was not taken. `pointer`: JSON pointer into the document."""

    pointer: str
    status: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "about:blank",
            "status": self.status,
            "title": "Event not captured",
            "detail": self.reason,
            "instance": self.pointer,
        }


class _TakenBack(Exception):
    """Leaves the transaction of a rollback capture."""


def router(databases: Databases, vault: Vault, now: Callable[[], datetime]) -> APIRouter:
    routes = APIRouter(prefix="/epcis", tags=["EPCIS"])

    @routes.post("/capture", status_code=202, summary="Capture an EPCISDocument")
    async def capture(
        request: Request,
        response: Response,
        authorization: Annotated[str | None, Header()] = None,
        gs1_capture_error_behaviour: Annotated[Literal["rollback", "proceed"], Header()] = "rollback",
    ) -> dict[str, Any]:
        body = await _body(request)

        # The work with the database runs in the thread pool: the event loop only waits for the body.
        job = await run_in_threadpool(
            _capture, databases, vault, authorization, body, gs1_capture_error_behaviour, now
        )
        response.headers["Location"] = f"/epcis/capture/{job['captureID']}"
        return job

    @routes.get("/capture/{job}", summary="What became of a capture")
    def capture_job(job: uuid.UUID, authorization: Annotated[str | None, Header()] = None) -> dict[str, Any]:
        with access.organisation(databases, authorization) as (conn, _):
            row = conn.execute(
                "SELECT id, created_at, finished_at, success, error_behaviour, errors, events FROM capture_job WHERE id = %s",
                [job],
            ).fetchone()
        if row is None:
            raise Problem(404, "No such capture job", "Your organisation has no capture job of this number.")
        return _job_document(row)

    return routes


async def _body(request: Request) -> bytes:
    """Bounded while it is read: a length header may be absent, or lie."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BYTES:
            raise Problem(
                413,
                "Capture too large",
                f"A capture has at most {MAX_BYTES} bytes and {MAX_EVENTS} events; send several.",
            )
        parts.append(part)
    return b"".join(parts)


def _capture(
    databases: Databases,
    vault: Vault,
    authorization: str | None,
    body: bytes,
    behaviour: str,
    clock: Callable[[], datetime],
) -> dict[str, Any]:
    now = clock()
    with access.organisation(databases, authorization) as (conn, owner):
        said = _said(body)
        events, faults = _sift(said, now)
        if not faults or behaviour == "proceed":
            faults += _record_all(conn, vault, owner, events, said.context, behaviour, now)
        faults.sort(key=lambda fault: int(fault.pointer.rpartition("/")[2]))
        row = conn.execute(
            "INSERT INTO capture_job (id, organisation, created_at, finished_at, success, error_behaviour, events, errors)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            " RETURNING id, created_at, finished_at, success, error_behaviour, errors, events",
            [
                uuid.uuid4(),
                owner,
                now,
                clock(),
                not faults,
                behaviour,
                len(said.events),
                json.dumps([f.to_json() for f in faults]),
            ],
        ).fetchone()
    assert row is not None
    return _job_document(row)


def _said(body: bytes) -> Said:
    try:
        said = decode(body, MAX_BYTES)
    except WireError as error:
        raise Problem(400, "Not EPCIS JSON", error.detail) from error
    if len(said.events) > MAX_EVENTS:
        text = f"A capture has at most {MAX_EVENTS} events, this one has {len(said.events)}; send several."
        raise Problem(413, "Capture too large", text)
    return said


def _sift(said: Said, now: datetime) -> tuple[list[tuple[str, Event]], list[Fault]]:
    """Events that may be recorded, by their pointer, and why the others may not: the rules of the MQTT door."""
    events: list[tuple[str, Event]] = []
    faults: list[Fault] = []
    for index, event in enumerate(said.events):
        pointer = f"/epcisBody/eventList/{index}"
        try:
            if isinstance(event, WireError):
                raise event
            check_event_times(event, round(now.timestamp() * 1000))
            events.append((pointer, event))
        except WireError as error:
            faults.append(Fault(pointer, 400, error.detail))
    return events, faults


def _record_all(
    conn: psycopg.Connection,
    vault: Vault,
    owner: str,
    events: list[tuple[str, Event]],
    context: Any,
    behaviour: str,
    now: datetime,
) -> list[Fault]:
    """With `rollback` the first fault takes back all of them; with `proceed` the others stay."""
    faults: list[Fault] = []
    vault = vault.ahead(conn, [(owner, event) for _, event in events])
    try:
        with conn.transaction():
            for pointer, event in events:
                try:
                    with conn.transaction():
                        record(conn, owner, event, now, vault, context=context)
                except (RecordingError, psycopg.DataError, psycopg.IntegrityError) as error:
                    faults.append(
                        Fault(pointer, 409 if isinstance(error, EventConflict) else 400, str(error))
                    )
                    if behaviour == "rollback":
                        raise _TakenBack from error
    except _TakenBack:
        pass
    return faults


def _job_document(row: tuple[Any, ...]) -> dict[str, Any]:
    identity, created, finished, success, behaviour, errors, events = row
    return {
        "captureID": str(identity),
        "createdAt": created.isoformat(),
        "finishedAt": None if finished is None else finished.isoformat(),
        "running": finished is None,
        "success": success,
        "captureErrorBehaviour": behaviour,
        "events": events,
        "errors": errors,
    }
