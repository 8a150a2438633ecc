"""`POST /epcis/events/validate`: is this document right? Nothing of it is kept.

Contract: what `suyuan epcis validate` says of the same bytes, with at most MOST_PROBLEMS of its findings. Who is signed in, or
asks with a token, may ask; the answer depends on the document alone, and no event has a part in it but the document's own.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from ledger.epcis.files import NoEvents, Unreadable, read_file
from ledger.epcis.validation import Finding, validate
from trace_api.access import Person
from trace_api.accounts.guard import Guard
from trace_api.capture.bodies import bounded
from trace_api.problems import Problem

MOST_BYTES: Final = 1_048_576
MOST_PROBLEMS: Final = 1_000


def router(guard: Guard) -> APIRouter:
    routes = APIRouter(prefix="/epcis", tags=["EPCIS"])
    signed_in = Depends(guard.allowed())

    @routes.options("/events/validate", status_code=204, summary="How events are looked at")
    def validate_options() -> Response:
        return Response(status_code=204, headers={"Allow": "OPTIONS, POST"})

    @routes.post("/events/validate", summary="What is wrong with EPCIS events, and how to mend it")
    async def validate_events(request: Request, person: Person = signed_in) -> dict[str, Any]:
        body = await bounded(request, MOST_BYTES, _too_large)
        return await run_in_threadpool(_document, body)

    return routes


def _too_large() -> Problem:
    text = f"At most {MOST_BYTES} bytes are looked at here; `suyuan epcis validate` takes larger files."
    return Problem(413, "Document too large", text)


def _document(body: bytes) -> dict[str, Any]:
    """`more`: further findings were left off."""
    try:
        file = read_file(body, MOST_BYTES)
    except NoEvents as error:
        finding = Finding("error", error.pointer, error.found)
        return {"valid": False, "events": 0, "problems": [finding.to_json()], "more": False}
    except Unreadable as error:
        raise Problem(400, "No EPCIS events", f"The document {error}.") from error
    problems: list[dict[str, Any]] = []
    valid, more = True, False
    for finding in validate(file):
        valid = valid and finding.severity != "error"
        more = len(problems) == MOST_PROBLEMS
        if not more:
            problems.append(finding.to_json())
        elif not valid:
            break  # nothing that follows changes the answer
    return {"valid": valid, "events": len(file.events), "problems": problems, "more": more}
