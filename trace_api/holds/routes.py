"""The addresses of hold proposals: `/holds` for people, `/api/v1/holds` and `/api/v1/input-uses` for programs.

Contract: a question is a GET and changes nothing; a decision is a POST with an idempotency key. Who may see a proposal is the
database's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ledger.persons import Vault
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer
from trace_api.acts import Refused, kinds_for
from trace_api.acts.doing import Doing, Key
from trace_api.holds import telling
from trace_api.holds.deciding import Decider, Wanted, decide
from trace_api.holds.input_uses import InputUse, own_input_uses, record_input_use
from trace_api.holds.notices import read_unread, unread_view
from trace_api.holds.proposals import read_proposals, read_requests
from trace_api.holds.recall_pages import add_recall_pages
from trace_api.holds.rules import HoldRules, load_rules
from trace_api.pages import Assets
from trace_api.problems import Problem
from trace_api.roles import GOODS, OVERSEEING
from trace_api.story import Name
from trace_api.work import Frame, Sent, done_once, page, sent

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
DECIDING = (*GOODS, "official")
GROWING = ("grower", "packer")
_SITES = "SELECT id, name_zh, name_en FROM asker_place WHERE id = ANY (%s)"


class NewDecision(BaseModel):
    """`hold`: by an act of the decider's where the goods are in their hands, else a request to whoever has them."""

    model_config = ConfigDict(extra="forbid")

    decision: Wanted
    reason: Why


class NewInputUse(BaseModel):
    """One use of one product on one plot. `plot`: a place of the asker's, or where it recorded a harvest. `registration`: the
    product's registration number. `interval_days`: before harvest, by its label."""

    model_config = ConfigDict(extra="forbid")

    plot: Annotated[str, Field(max_length=2048)]
    registration: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    name: Text
    dose: Text
    used_on: date
    interval_days: Annotated[int, Field(ge=0, le=365)]
    corrects: UUID | None = None


@dataclass(frozen=True, slots=True)
class _Desk:
    databases: Databases
    assets: Assets
    rules: HoldRules
    public_url: str
    vault: Vault
    now: Callable[[], datetime]

    @property
    def do(self) -> Doing:
        return Doing(self.databases)

    def decider(self) -> Decider:
        return Decider(self.rules, self.public_url, self.vault, self.now())


def router(
    databases: Databases,
    guard: Guard,
    assets: Assets,
    public_url: str,
    vault: Vault,
    now: Callable[[], datetime],
) -> APIRouter:
    desk = _Desk(databases, assets, load_rules(), public_url, vault, now)
    routes = APIRouter(tags=["Holds"])
    _add_pages(routes, guard, desk)
    _add_programs(routes, guard, desk)
    _add_input_uses(routes, guard, desk)
    add_recall_pages(routes, databases, guard, assets, public_url, vault, now)
    return routes


# --- pages ----------------------------------------------------------------------------------------------------------


def _add_pages(routes: APIRouter, guard: Guard, desk: _Desk) -> None:
    looker, decider, form_sent = (
        Depends(guard.allowed(*GOODS, *OVERSEEING)),
        Depends(guard.allowed(*DECIDING)),
        Depends(sent),
    )

    @routes.get(
        "/holds", summary="What hangs together with positive tests, to decide", response_class=HTMLResponse
    )
    def proposals(
        request: Request,
        person: Person = looker,
        done: Annotated[Literal["held", "requested", "left"] | None, Query()] = None,
    ) -> Response:
        return _page(request, person, desk, done=done)

    @routes.post("/holds/decide", summary="Decide one proposal", response_class=HTMLResponse)
    def decided(request: Request, form: Sent = form_sent, person: Person = decider) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            made = decide(
                conn, person, _uuid(form.text("proposal")), _wanted(form), _reason(form), desk.decider()
            )
            return Answer(303, location=f"/holds?done={made.outcome}")

        try:
            return done_once(desk.databases, person, form, work)
        except Refused as refused:
            return _page(request, person, desk, refused=refused, form=form)


def _page(
    request: Request,
    person: Person,
    desk: _Desk,
    *,
    done: str | None = None,
    refused: Refused | None = None,
    form: Sent | None = None,
) -> HTMLResponse:
    frame = Frame.of(request, person)
    words = frame.words
    with access.looking(desk.databases, person) as conn:
        tests = read_proposals(conn, desk.rules, desk.now())
        wanted = [name for plot in telling.plots(tests) for name in (plot, plot.partition("/254/")[0])]
        sites = {row[0]: Name(row[1], row[2]) for row in conn.execute(_SITES, [wanted])}
        requests = read_requests(conn)
        unread = read_unread(conn) if person.organisation else []
    may = {"may_hold": "hold" in kinds_for(person), "may_decide": not person.roles.isdisjoint(DECIDING)}
    faults = (
        []
        if refused is None
        else [f"{words.name(each.text)} {words.name(each.next)}" for each in refused.faults]
    )
    return page(
        "holds.html",
        frame,
        desk.assets,
        words("holds_title"),
        status=200 if refused is None else refused.status,
        tests=[telling.tested_view(each, words, sites, **may) for each in tests],
        requests=[telling.asked_view(each, words) for each in requests if not each.answered],
        done=done,
        unread=[unread_view(each, words) for each in unread],
        faults=faults,
        typed={} if form is None else {"proposal": form.text("proposal"), "reason": form.text("reason")},
        open_days=desk.rules.open_days,
    )


def _wanted(form: Sent) -> Wanted:
    match form.text("decision"):
        case "hold":
            return "hold"
        case "leave":
            return "leave"
    raise Problem.said(422, "holds_undecided")


def _reason(form: Sent) -> str:
    reason = form.text("reason")
    if not reason or len(reason) > 500:
        raise Problem.said(422, "holds_no_reason")
    return reason


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)  # no proposal has it


# --- programs -------------------------------------------------------------------------------------------------------


def _add_programs(routes: APIRouter, guard: Guard, desk: _Desk) -> None:
    looker, decider = Depends(guard.allowed(*GOODS, *OVERSEEING)), Depends(guard.allowed(*DECIDING))

    @routes.get(
        "/api/v1/holds/proposals", summary="What hangs together with positive tests, with shares and holders"
    )
    def proposals(person: Person = looker) -> JSONResponse:
        with access.looking(desk.databases, person) as conn:
            told = telling.document(read_proposals(conn, desk.rules, desk.now()), read_requests(conn))
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    @routes.post(
        "/api/v1/holds/proposals/{proposal}/decide",
        summary="Hold, ask the holder to hold, or leave",
        status_code=201,
    )
    def decided(
        request: Request,
        proposal: UUID,
        body: NewDecision,
        person: Person = decider,
        idempotency_key: Key = None,
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            made = decide(conn, person, proposal, body.decision, body.reason, desk.decider())
            act = None if made.act is None else str(made.act)
            return Answer(201, {"decision": made.id, "outcome": made.outcome, "act": act})

        return desk.do(request, person, idempotency_key, body.model_dump(mode="json"), work)


def _add_input_uses(routes: APIRouter, guard: Guard, desk: _Desk) -> None:
    grower = Depends(guard.allowed(*GROWING))

    @routes.get("/api/v1/input-uses", summary="Pesticides and fertilisers used on one's own plots")
    def uses(person: Person = grower) -> JSONResponse:
        with access.looking(desk.databases, person) as conn:
            return JSONResponse({"input_uses": own_input_uses(conn)}, headers={"Cache-Control": "no-store"})

    @routes.post("/api/v1/input-uses", summary="Record the use of a product on a plot", status_code=201)
    def use(
        request: Request,
        body: NewInputUse,
        person: Person = grower,
        idempotency_key: Key = None,
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            made = record_input_use(conn, person, InputUse(**body.model_dump()), desk.now())
            return Answer(201, {"id": str(made)})

        return desk.do(request, person, idempotency_key, body.model_dump(mode="json"), work)
