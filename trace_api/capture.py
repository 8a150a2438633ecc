"""EPCIS 2.0 capture over HTTP: the second door to `ledger.recording.record`.

`POST /epcis/capture` answers 202 with the address of a job; the job's document names every event that was not taken and why.
In this release the work is done before the answer: what the job says is already so.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool

from ingest.wire.epcis import parse_json
from ingest.wire.errors import WireError
from ledger.epcis.events import Event, EventError, parse_document, parse_event
from ledger.recording import RecordingError, record
from trace_api import access
from trace_api.access import Databases
from trace_api.problems import Problem

MAX_BYTES = 1_048_576
MAX_EVENTS = 500
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)


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


def router(databases: Databases, now: Callable[[], datetime]) -> APIRouter:
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
        job = await run_in_threadpool(_capture, databases, authorization, body, gs1_capture_error_behaviour, now)
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
    databases: Databases, authorization: str | None, body: bytes, behaviour: str, clock: Callable[[], datetime]
) -> dict[str, Any]:
    now = clock()
    with access.organisation(databases, authorization) as (conn, owner):
        raw, context = _events_of(body)
        events, faults = _parse(raw, now)
        if not faults or behaviour == "proceed":
            faults += _record_all(conn, owner, events, context, behaviour, now)
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
                len(raw),
                json.dumps([f.to_json() for f in faults]),
            ],
        ).fetchone()
    assert row is not None
    return _job_document(row)


def _events_of(body: bytes) -> tuple[list[Any], Any]:
    """The events as they stand and the document's context, one by one, so that one bad event does not hide its neighbours."""
    try:
        document = parse_json(body, MAX_BYTES)
    except WireError as error:
        raise Problem(400, "Not EPCIS JSON", error.detail) from error
    if not isinstance(document, dict):
        raise Problem(400, "Not EPCIS JSON", "Want an EPCISDocument or one event as a JSON object.")
    found = (
        document.get("epcisBody", {}).get("eventList")
        if isinstance(document.get("epcisBody"), dict)
        else None
    )
    events = found if document.get("type") == "EPCISDocument" else [document]
    if not isinstance(events, list) or not events:
        raise Problem(400, "No events", "The document has no epcisBody.eventList with events in it.")
    if len(events) > MAX_EVENTS:
        raise Problem(
            413,
            "Capture too large",
            f"A capture has at most {MAX_EVENTS} events, this one has {len(events)}; send several.",
        )
    try:
        if document.get("type") == "EPCISDocument":
            parse_document({**document, "epcisBody": {**document["epcisBody"], "eventList": []}})
    except EventError as error:
        raise Problem(
            400, "Not an EPCISDocument", "; ".join(f"{p.pointer}: {p.message}" for p in error.problems)
        ) from error
    return events, document.get("@context")


def _parse(raw: list[Any], now: datetime) -> tuple[list[tuple[str, Event]], list[Fault]]:
    events: list[tuple[str, Event]] = []
    faults: list[Fault] = []
    for index, item in enumerate(raw):
        pointer = f"/epcisBody/eventList/{index}"
        try:
            if not isinstance(item, dict):
                raise RecordingError("an event is a JSON object")
            event = parse_event(item)
            if not EARLIEST <= event.event_time <= now + AHEAD:
                raise RecordingError(
                    f"eventTime {event.event_time.isoformat()} lies before 2015 or more than a day ahead"
                )
            events.append((pointer, event))
        except EventError as error:
            faults.append(Fault(pointer, 400, "; ".join(f"{p.pointer}: {p.message}" for p in error.problems)))
        except RecordingError as error:
            faults.append(Fault(pointer, 400, str(error)))
    return events, faults


def _record_all(
    conn: psycopg.Connection,
    owner: str,
    events: list[tuple[str, Event]],
    context: Any,
    behaviour: str,
    now: datetime,
) -> list[Fault]:
    """With `rollback` the first fault takes back all of them; with `proceed` the others stay."""
    faults: list[Fault] = []
    try:
        with conn.transaction():
            for pointer, event in events:
                try:
                    record(conn, owner, event, now, context=context)
                except RecordingError as error:
                    faults.append(Fault(pointer, 409, str(error)))
                    if behaviour == "rollback":
                        raise
    except RecordingError:
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
