"""The same gate for programs: one answer as JSON, foreign codes, residue tests.

Contract: as routes.py; what is refused says so as problem details.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import psycopg
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from trace_api import access
from trace_api.access import Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer, fingerprint_of, once
from trace_api.acts import Act, Refused, perform, read_act, results
from trace_api.check import residues, telling
from trace_api.check.answering import answer
from trace_api.check.finding import Unknown, Vehicle, find, is_seen
from trace_api.check.gate import ROLES, Gate, bind
from trace_api.check.reading import Code, Trouble, read
from trace_api.problems import Problem


class NewAlias(BaseModel):
    """`entity`: a code of ours, as scanned; what it names must be recorded where the binder may see it."""

    model_config = ConfigDict(extra="forbid")

    scheme: Annotated[str, Field(max_length=40)]
    value: Annotated[str, Field(max_length=400)]
    entity: Annotated[str, Field(max_length=2048)]


class NewTestResult(BaseModel):
    """A sample, or a result of it under the same number. A result is recorded as an event as well, as by the act `rapid_test`
    or `laboratory`: a rapid one needs its `value` in per cent, and a positive one puts the goods on hold. The clock of its
    retest runs from `notified_at`, when the seller was told. Without a `unit` it is of what lies loose of the lot."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    lot: Annotated[str, Field(max_length=2048)]
    unit: Annotated[str, Field(max_length=2048)] | None = None
    place: Annotated[str, Field(max_length=2048)] | None = None
    sample: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Literal["rapid", "laboratory"]
    method: Annotated[str, Field(max_length=200)] = ""
    sampled_at: AwareDatetime
    result_at: AwareDatetime | None = None
    outcome: Literal["negative", "positive", "pending"]
    value: Annotated[float, Field(ge=-1e6, le=1e6)] | None = None
    uom: Annotated[str, Field(max_length=10)] | None = None
    threshold: Annotated[float, Field(ge=-1e6, le=1e6)] | None = None
    covers: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=100)] = []
    not_covered: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=100)] = []
    notified_at: AwareDatetime | None = None
    retest_of: UUID | None = None


def add_programs(routes: APIRouter, guard: Guard, gate: Gate) -> None:
    checker = Depends(guard.allowed(*ROLES))
    tester = Depends(guard.allowed("market"))
    binder = Depends(guard.allowed("market", "stall"))

    @routes.get("/api/v1/check", summary="One answer from the four checks, for programs")
    def check(
        person: Person = checker,
        code: Annotated[str, Query(max_length=2000, description="What was scanned: any code")] = "",
    ) -> JSONResponse:
        with access.looking(gate.databases, person) as conn:
            asked = gate.asked(person)
            found = find(conn, code, asked.now)
            result = answer(conn, found, asked)
            if not result.cases and not isinstance(found, Vehicle):
                raise _unknown(found.trouble if isinstance(found, Unknown) else None)
            return JSONResponse(telling.document(result, code), headers={"Cache-Control": "no-store"})

    @routes.post("/api/v1/aliases", summary="Bind a foreign code once", status_code=201)
    def alias(
        request: Request,
        body: NewAlias,
        person: Person = binder,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        with access.acting(gate.databases, person) as conn:

            def work() -> Answer:
                entity = bind(conn, person, body.scheme, body.value, body.entity, gate.now())
                return Answer(201, {"scheme": body.scheme, "value": body.value, "entity": entity})

            fingerprint = fingerprint_of(request.url.path, body.model_dump(mode="json"))
            return once(conn, person, idempotency_key, fingerprint, work).response()

    @routes.post("/api/v1/tests", summary="Write down a sample or its result", status_code=201)
    def test(
        request: Request,
        body: NewTestResult,
        person: Person = tester,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        with access.acting(gate.databases, person) as conn:

            def work() -> Answer:
                return Answer(201, {"id": str(_write_down(conn, person, body, gate))})

            fingerprint = fingerprint_of(request.url.path, body.model_dump(mode="json"))
            try:
                return once(conn, person, idempotency_key, fingerprint, work).response()
            except Refused as refused:
                raise refused.problem() from refused


def _write_down(conn: psycopg.Connection, person: Person, body: NewTestResult, gate: Gate) -> UUID:
    """A result is an act with its event; a sample that waits is a row alone. Raises Problem or Refused."""
    lot = read(body.lot)
    if not isinstance(lot, Code) or lot.uri is None or not is_seen(conn, lot.uri):
        raise Problem.said(422, "check_test_unseen")
    if body.outcome == "pending" or body.result_at is None:
        return results.remember(conn, person, _waiting(body, lot.uri), gate.now())
    done = perform(conn, person, _act(body), gate.now(), gate.public_url, gate.vault)
    return residues.test_of(conn, done.events[0])


def _waiting(body: NewTestResult, lot: str) -> results.NewTest:
    unit = None if body.unit is None else read(body.unit)
    said = body.model_dump(exclude={"lot", "unit", "covers", "not_covered", "notified_at"})
    return results.NewTest(
        lot=lot,
        unit=unit.uri if isinstance(unit, Code) else None,
        covers=tuple(body.covers),
        not_covered=tuple(body.not_covered),
        told=body.notified_at,
        **said,
    )


def _act(body: NewTestResult) -> Act:
    """Raises Problem 422 where the outcome is not what value and threshold say."""
    names = {"sample", "method", "place", "covers", "sampled_at", "result_at"}
    fields: dict[str, Any] = body.model_dump(include=names) | {"lot": body.lot}
    fields |= {"units": [body.unit]} if body.unit else {"goods": [{"lot": body.lot}]}
    if body.kind == "laboratory":
        return read_act("laboratory", fields | {"outcome": body.outcome, "retest_of": body.retest_of})
    threshold = 50.0 if body.threshold is None else body.threshold
    if body.value is None or body.uom not in (None, "P1") or body.retest_of is not None:
        raise Problem.said(422, "check_test_contradicts")
    if results.outcome_of(body.value, threshold) != body.outcome:
        raise Problem.said(422, "check_test_contradicts")
    told = {"told": body.notified_at, "not_covered": body.not_covered}
    return read_act("rapid_test", fields | told | {"value": body.value, "threshold": threshold})


def _unknown(trouble: Trouble | None) -> Problem:
    """404 for what nothing is known of; 400 where the code itself is wrong."""
    if trouble is None:
        return Problem.said(404, "check_unknown")
    code, facts = trouble.code, trouble.facts
    return Problem.said(
        400,
        "check_trouble",
        what=lambda words: words(f"check_read_{code}", **facts),
        then=lambda words: words(f"check_read_{code}_next", **facts),
    )
