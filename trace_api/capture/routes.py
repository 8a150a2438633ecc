"""`/epcis/capture` and `/epcis/events`: what is asked and what is answered.

Source: EPCIS 2.0 section 12 and its OpenAPI document. Headers and problem types are the standard's.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from ledger.epcis.files import ReadFile
from ledger.recorded import with_context
from trace_api import access
from trace_api.capture import jobs
from trace_api.capture.bodies import body, too_large, want_readable
from trace_api.capture.desk import Desk
from trace_api.capture.jobs import Behaviour, Job
from trace_api.capture.negotiating import EPC_FORMAT, VERSION, refuse_other_answers, refuse_other_versions
from trace_api.capture.reading import Unread, read
from trace_api.capture.taking import Taken, take
from trace_api.problems import Problem

STANDARD = {"GS1-EPCIS-Version": VERSION, "GS1-CBV-Version": VERSION}
SPAN = {
    "GS1-EPCIS-Min": VERSION, "GS1-EPCIS-Max": VERSION, "GS1-CBV-Min": VERSION, "GS1-CBV-Max": VERSION,
    "GS1-EPC-Format": EPC_FORMAT,
}  # fmt: skip
MOST_PER_PAGE = 100
LONGEST_WAIT_S = 30.0

_ANSWERS = [Depends(refuse_other_answers)]

Token = Annotated[str | None, Header()]
Version = Annotated[str | None, Header(alias="GS1-EPCIS-Version")]
CbvVersion = Annotated[str | None, Header(alias="GS1-CBV-Version")]


def router(desk: Desk) -> APIRouter:
    # A little over a document's own limit, so that who sends too much is told that limit.
    routes = APIRouter(prefix="/epcis", tags=["EPCIS"], max_body_size=2 * desk.limits.bytes)

    _add_capture(routes, desk)
    _add_jobs(routes, desk)
    _add_events(routes, desk)
    return routes


def _add_capture(routes: APIRouter, desk: Desk) -> None:
    @routes.options("/capture", status_code=204, summary="What capture takes")
    def capture_options() -> Response:
        limits = {
            "GS1-EPCIS-Capture-Limit": str(desk.limits.events),
            "GS1-EPCIS-Capture-File-Size-Limit": str(desk.limits.bytes),
            "GS1-Capture-Error-Behaviour": "all",
        }
        return _discovered("OPTIONS, POST, GET", limits)

    @routes.post("/capture", status_code=202, summary="Capture an EPCISDocument or EPCISQueryDocument")
    async def capture(
        request: Request,
        authorization: Token = None,
        epcis: Version = None,
        cbv: CbvVersion = None,
        behaviour: Annotated[str, Header(alias="GS1-Capture-Error-Behaviour")] = "rollback",
        prefer: Annotated[str, Header()] = "",
    ) -> Response:
        """202 and a job; `Prefer: wait=<seconds>` waits for its end, at most half a minute."""
        refuse_other_versions(epcis, cbv)
        organisation = await run_in_threadpool(_organisation, desk, authorization)
        want_readable(request.headers.get("content-type"))
        data = await body(request, desk.limits)

        # The work with the database runs in the thread pool: the event loop only waits for the body.
        job = await run_in_threadpool(put, desk, organisation, data, _behaviour(behaviour))
        desk.wake()
        headers = STANDARD | {"Location": f"/epcis/capture/{job.id}"}
        wait_s = _wait_s(prefer)
        if wait_s is not None:
            job = await _ended(desk, job, wait_s)
            headers["Preference-Applied"] = f"wait={wait_s:g}"
        return JSONResponse(_whole(job), 202, headers)


def _add_jobs(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/capture", summary="An organisation's capture jobs, the latest first", dependencies=_ANSWERS)
    def capture_jobs(
        authorization: Token = None,
        per_page: Annotated[int, Query(alias="perPage", ge=1)] = 30,
        token: Annotated[str | None, Query(alias="nextPageToken", max_length=200)] = None,
    ) -> Response:
        most = min(per_page, MOST_PER_PAGE)
        with access.organisation(desk.databases, authorization) as (conn, _):
            found = jobs.listed(conn, None if token is None else _after(token), most + 1)
        headers = dict(STANDARD)
        if len(found) > most:
            last = found[most - 1]
            headers["Link"] = f'</epcis/capture?perPage={most}&nextPageToken={_token(last)}>; rel="next"'
            headers["GS1-Next-Page-Token-Expires"] = (desk.now() + desk.limits.kept).isoformat()
        return JSONResponse([job.to_json() for job in found[:most]], headers=headers)

    @routes.options("/capture/{job}", status_code=204, summary="How a job is asked for")
    def job_options(job: str) -> Response:
        return _discovered("OPTIONS, GET")

    @routes.get("/capture/{job}", summary="What became of a capture, event by event", dependencies=_ANSWERS)
    def capture_job(job: uuid.UUID, authorization: Token = None) -> Response:
        with access.organisation(desk.databases, authorization) as (conn, _):
            found = jobs.find(conn, job)
        if found is None:
            text = "Your organisation has no capture job of this number, or it is forgotten by now."
            raise Problem(404, "No such capture job", text, type=_NO_SUCH)
        return JSONResponse(_whole(found), headers=STANDARD)


def _add_events(routes: APIRouter, desk: Desk) -> None:
    @routes.options("/events", status_code=204, summary="How events are sent")
    def events_options() -> Response:
        return _discovered("OPTIONS, POST")

    @routes.post("/events", status_code=201, summary="Capture one event, at once")
    async def event(
        request: Request, authorization: Token = None, epcis: Version = None, cbv: CbvVersion = None
    ) -> Response:
        """201 with its address, or 200 where the same event is recorded already."""
        refuse_other_versions(epcis, cbv)
        organisation = await run_in_threadpool(_organisation, desk, authorization)
        want_readable(request.headers.get("content-type"))
        data = await body(request, desk.limits)
        return await run_in_threadpool(_one, desk, organisation, data)

    @routes.options("/events/{event:path}", status_code=204, summary="How an event is asked for")
    def event_options(event: str) -> Response:
        return _discovered("OPTIONS, GET")

    @routes.get(
        "/events/{event:path}",
        summary="One recorded event of one's own, by its eventID",
        dependencies=_ANSWERS,
    )
    def recorded_event(event: str, authorization: Token = None) -> Response:
        with access.organisation(desk.databases, authorization) as (conn, organisation):
            # PostgreSQL has no text with NUL in it, and no event such a name.
            found = [] if "\0" in event else with_context(conn, organisation, event)
            events = [desk.vault.reading(conn, each.fields) for each in found]
        if not found:
            raise Problem(
                404,
                "No such event",
                "Your organisation has recorded no event of this eventID.",
                type=_NO_SUCH,
            )
        return JSONResponse(_query_document(found[0].context, events, desk.now()), headers=STANDARD)


_NO_SUCH = "epcisException:NoSuchResourceException"
_INVALID = "epcisException:ValidationException"
_DEFAULT_CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


# --- the doors --------------------------------------------------------------------------------------------------------


def _organisation(desk: Desk, authorization: str | None) -> str:
    """Before a body is read: who is nobody cannot make us hold it."""
    with access.organisation(desk.databases, authorization) as (_, organisation):
        return organisation


def put(desk: Desk, organisation: str, data: bytes, behaviour: Behaviour) -> Job:
    """A job whose document is stored when this returns. Raises Problem."""
    said = _said(desk, data)
    id_, now = uuid.uuid4(), desk.now()
    sealed = desk.seal.close(organisation, id_, data)
    with access.for_organisation(desk.databases, organisation) as conn:
        if jobs.waiting(conn, organisation) >= desk.limits.waiting:
            text = f"{desk.limits.waiting} documents of yours wait to be worked off. Send this one again in a while."
            raise Problem(503, "Too many at once", text)
        jobs.put(conn, id_, organisation, said, sealed, behaviour, now)
        found = jobs.find(conn, id_)
    assert found is not None
    return found


def _said(desk: Desk, data: bytes) -> ReadFile:
    try:
        with desk.reading:
            said = read(data, desk.limits)
    except Unread as error:
        told = [{"pointer": each.pointer, "message": each.message} for each in error.problems]
        raise Problem(400, "Not an EPCIS document", str(error), type=_INVALID, problems=told) from error
    if len(said.events) > desk.limits.events:
        raise too_large(desk.limits, len(said.events))
    return said


def _one(desk: Desk, organisation: str, data: bytes) -> Response:
    said = _said(desk, data)
    if len(said.events) != 1:
        text = f"Got {len(said.events)} events, want one; send several to /epcis/capture."
        raise Problem(400, "Not one event", text, type=_INVALID)
    with access.for_organisation(desk.databases, organisation) as conn:
        taken = take(
            conn, organisation, said.events, said.pointer, said.context, desk.now(), desk.vault, xml=said.xml
        )
    _refuse(taken)
    written: dict[str, Any] = said.events[0]
    event_id = taken.named.get(0) or str(written["eventID"])
    told = ({} if said.context is None else {"@context": said.context}) | written | {"eventID": event_id}
    status = 201 if taken.outcomes == ["recorded"] else 200
    headers = STANDARD | {"Location": f"/epcis/events/{quote(event_id, safe='')}"}
    return JSONResponse(told, status, headers)


def _refuse(taken: Taken) -> None:
    for fault in taken.faults:
        told = fault.to_json()
        if fault.status == 409:
            raise Problem(409, "Another event has this eventID", fault.reason, type=told["type"])
        problems = told.get("problems", [{"pointer": fault.pointer, "message": fault.reason}])
        raise Problem(400, "Not a valid event", told["detail"], type=_INVALID, problems=problems)


async def _ended(desk: Desk, job: Job, wait_s: float) -> Job:
    """The job when it is over, or as it stands by then. No connection is held meanwhile: there are few, and it needs one."""
    pause_s, begun = 0.01, time.monotonic()
    while job.finished_at is None and (left_s := begun + wait_s - time.monotonic()) > 0:
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, 0.25)
        job = await run_in_threadpool(_looked_at, desk, job)
    return job


def _looked_at(desk: Desk, job: Job) -> Job:
    with access.for_organisation(desk.databases, job.organisation) as conn:
        return jobs.find(conn, job.id) or job


# --- headers and documents --------------------------------------------------------------------------------------------


def _discovered(allow: str, more: Mapping[str, str] | None = None) -> Response:
    return Response(status_code=204, headers={"Allow": allow, **STANDARD, **SPAN, **(more or {})})


def _behaviour(said: str) -> Behaviour:
    if said == "rollback":
        return "rollback"
    if said == "proceed":
        return "proceed"
    text = f"GS1-Capture-Error-Behaviour: got {said[:40]}, want rollback (all or nothing) or proceed (all that is good)."
    raise Problem(400, "Unknown error behaviour", text, type=_INVALID)


def _wait_s(prefer: str) -> float | None:
    """RFC 7240: `wait=10`, among other preferences."""
    for preference in prefer.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isascii() and value.isdigit():
            return min(float(value[:6]), LONGEST_WAIT_S)
    return None


def _whole(job: Job) -> dict[str, Any]:
    return job.to_json() | {"results": job.results()}


def _token(job: Job) -> str:
    return urlsafe_b64encode(json.dumps([job.created_at.isoformat(), str(job.id)]).encode()).decode()


def _after(token: str) -> tuple[datetime, uuid.UUID]:
    try:
        at, id_ = json.loads(urlsafe_b64decode(token.encode()))
        return datetime.fromisoformat(at), uuid.UUID(id_)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        text = "Take nextPageToken from the Link header of the page before, unchanged; or leave it out to begin anew."
        raise Problem(400, "No such page", text, type="epcisException:QueryParameterException") from error


def _query_document(context: Any, events: list[Any], now: datetime) -> dict[str, Any]:
    return {
        "@context": _DEFAULT_CONTEXT if context is None else context,
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": now.isoformat(),
        "epcisBody": {
            "queryResults": {"queryName": "SimpleEventQuery", "resultsBody": {"eventList": events}}
        },
    }
