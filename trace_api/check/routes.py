"""The addresses of `/check` and of its JSON.

Contract: a question is a GET and changes nothing; an act is a POST with an idempotency key, answered by 303 to the page that
shows what became of it, or by the same page with what is wrong and what was typed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from ledger.persons import Vault
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer
from trace_api.acts import Fault, Refused, read_past, results, undo, undoable
from trace_api.check import aliases, doing, residues, showing, telling
from trace_api.check.answering import answer
from trace_api.check.board import read_board
from trace_api.check.finding import Found, Goods, Unknown, Vehicle, find, is_seen
from trace_api.check.gate import ROLES, Gate, bind
from trace_api.check.offering import offer
from trace_api.check.programs import add_programs
from trace_api.check.reading import Code, read
from trace_api.check.rules import load_rules
from trace_api.holds.notices import read_unread, unread_view
from trace_api.holds.proposals import count_waiting
from trace_api.holds.rules import load_rules as load_hold_rules
from trace_api.pages import Assets
from trace_api.problems import Problem
from trace_api.story import Name
from trace_api.words import Words
from trace_api.work import Frame, Sent, done_once, page, sent


@dataclass(frozen=True, slots=True)
class Failed:
    """A form that was not taken: which act, what is wrong, what was typed."""

    kind: str
    faults: dict[str | None, Fault]
    form: Sent
    status: int

    def sentences(self, words: Words) -> list[str]:
        """Each once: three values may be wrong in the same way."""
        told = (f"{words.name(fault.text)} {words.name(fault.next)}" for fault in self.faults.values())
        return list(dict.fromkeys(told))


def router(
    databases: Databases,
    guard: Guard,
    assets: Assets,
    public_url: str,
    vault: Vault,
    now: Callable[[], datetime],
) -> APIRouter:
    gate = Gate(databases, assets, public_url, vault, load_rules(), load_hold_rules(), now)
    routes = APIRouter(tags=["Check"])
    _add_pages(routes, guard, gate)
    _add_acts(routes, guard, gate)
    _add_tests(routes, guard, gate)
    _add_bindings(routes, guard, gate)
    add_programs(routes, guard, gate)
    return routes


# --- pages ----------------------------------------------------------------------------------------------------------


def _add_pages(routes: APIRouter, guard: Guard, gate: Gate) -> None:
    checker = Depends(guard.allowed(*ROLES))

    @routes.get(
        "/check",
        summary="The gate: scan, running clocks, holds, today's arrivals",
        response_class=HTMLResponse,
    )
    def start(request: Request, person: Person = checker) -> Response:
        frame = Frame.of(request, person)
        with access.looking(gate.databases, person) as conn:
            board = read_board(conn, gate.rules, gate.now(), telling.ZONE)
            waiting = count_waiting(conn, gate.holds, gate.now())
            unread = [unread_view(row, frame.words) for row in read_unread(conn)]
        shown = showing.board_view(board, frame.words, gate.now())
        return page(
            "check.html",
            frame,
            gate.assets,
            frame.words("check_title"),
            board=shown,
            waiting=waiting,
            unread=unread,
        )

    @routes.get("/check/answer", summary="One answer from the four checks", response_class=HTMLResponse)
    def answered(
        request: Request,
        person: Person = checker,
        code: Annotated[str, Query(max_length=2000)] = "",
        done: Annotated[UUID | None, Query(description="The act that was just recorded")] = None,
        said: Annotated[
            Literal["undone", "told", "not_told", "laboratory", "bound", "unbound", "not_unbound"] | None,
            Query(),
        ] = None,
        test: Annotated[UUID | None, Query(description="The test whose seller was just told")] = None,
    ) -> Response:
        frame = Frame.of(request, person)
        with access.looking(gate.databases, person) as conn:
            until = None if test is None else residues.told_until(conn, test, gate.rules)
            notice = _notice(conn, done, said, code, until, frame, gate)
            return _answer_page(conn, frame, person, gate, code, notice, None)


@dataclass(frozen=True, slots=True)
class Notice:
    """What was just done. `undo`: the act, while it can be taken back."""

    title: str
    text: str
    kind: str = "good"
    undo: UUID | None = None


def _answer_page(
    conn: psycopg.Connection,
    frame: Frame,
    person: Person,
    gate: Gate,
    code: str,
    notice: Notice | None,
    failed: Failed | None,
) -> HTMLResponse:
    asked, words = gate.asked(person), frame.words
    found = find(conn, code, asked.now)
    result = answer(conn, found, asked)
    if not result.cases and not isinstance(found, Vehicle):
        found = found if isinstance(found, Unknown) else Unknown(code, None)  # named, and nothing of it shown
    offers = offer(conn, result, person, gate.rules) if result.cases else None
    facts: dict[str, Any] = {
        "code": code,
        "shown": telling.view(result, words),
        "bound": showing.binding(found, code, _names(conn, found), words),
        "notice": notice,
        "offer": showing.offer_view(offers, words) if offers else None,
        "failed": failed,
        "typed": _typed(failed),
        "errors": _errors(failed, words),
        "schemes": [(scheme, words(f"check_scheme_{scheme}")) for scheme in aliases.SCHEMES],
        "can_bind": "market" in person.roles or "stall" in person.roles,
        "untold": showing.untold(result) if "market" in person.roles else (),
        "positive": showing.screened_positive(result),
    }
    status = failed.status if failed else 200
    if isinstance(found, Unknown):
        facts["trouble"] = showing.trouble(found, words)
        facts["lots"] = [(lot.uri, showing.numbered(lot, words)) for lot in found.lots]
        scanned = read(code)
        facts["scheme"] = "plate" if isinstance(scanned, Code) and scanned.kind == "plate" else "label"
        return page(
            "check_unknown.html", frame, gate.assets, words("check_unknown_title"), status=404, **facts
        )
    title = facts["shown"].word or words("check_title")
    return page("check_answer.html", frame, gate.assets, title, status=status, result=result, **facts)


def _names(conn: psycopg.Connection, found: Found) -> dict[str, Name]:
    """What a binding names: who bound it, and the place or vehicle that it stands for."""
    if not isinstance(found, Goods | Vehicle) or found.bound is None:
        return {}
    rows = conn.execute(
        "SELECT id, name_zh, name_en FROM asker_organisation WHERE id = %s"
        " UNION ALL SELECT id, name_zh, name_en FROM asker_place WHERE id = %s",
        [found.bound.organisation, found.uri],
    )
    return {row[0]: Name(row[1], row[2]) for row in rows}


def _typed(failed: Failed | None) -> dict[str, str]:
    return {} if failed is None else {name: failed.form.text(name) for name, _ in failed.form.fields}


def _errors(failed: Failed | None, words: Any) -> dict[str, str]:
    """By form field: what is wrong with it. What concerns the act as a whole stands in the notice."""
    if failed is None:
        return {}
    told = {}
    for name, fault in failed.faults.items():
        plain = (name or "").partition(".")[0]
        told[plain] = f"{words.name(fault.text)} {words.name(fault.next)}"
    return told


def _notice(
    conn: psycopg.Connection,
    done: UUID | None,
    said: str | None,
    code: str,
    until: datetime | None,
    frame: Frame,
    gate: Gate,
) -> Notice | None:
    words = frame.words
    if done is not None:
        try:
            past = read_past(conn, done)
        except Refused:
            return None  # somebody else's, or none at all
        text = words(
            "check_done", what=words(f"check_act_{past.kind}"), at=words.moment(past.at, telling.ZONE)
        )
        undo_act = past.id if past.undone_at is None and undoable(conn, past.id, gate.now()) is None else None
        if undo_act is not None:
            text += " " + words("check_done_undo", until=words.clock(past.undo_until, telling.ZONE))
        return Notice(words("check_done_title"), text, undo=undo_act)
    match said:
        case "undone":
            return Notice(words("check_undone_title"), words("check_undone"))
        case "told" if until is not None:
            return Notice(
                words("check_told_title"), words("check_told", until=words.moment(until, telling.ZONE))
            )
        case "not_told":
            return Notice(words("check_act_wrong"), words("check_not_told"), "plain")
        case "laboratory":
            return Notice(words("check_done_title"), words("check_laboratory_done"))
        case "bound":
            return Notice(words("check_bound_title"), words("check_bound_done", value=code))
        case "unbound":
            return Notice(words("check_unbound_title"), words("check_unbound", value=code))
        case "not_unbound":
            return Notice(words("check_act_wrong"), words("check_not_unbound"), "plain")
        case _:
            return None


# --- forms ----------------------------------------------------------------------------------------------------------------


def _add_acts(routes: APIRouter, guard: Guard, gate: Gate) -> None:
    checker = Depends(guard.allowed(*ROLES))
    form_sent = Depends(sent)

    @routes.post("/check/act", summary="Record an act at the gate", response_class=HTMLResponse)
    def act(request: Request, form: Sent = form_sent, person: Person = checker) -> Response:
        kind, code = form.text("kind"), form.text("code")
        try:
            wanted = doing.read_form(kind, form)

            def work(conn: psycopg.Connection) -> Answer:
                done = doing.do(
                    conn, person, wanted, form, gate.rules, gate.now(), gate.public_url, gate.vault
                )
                return Answer(303, location=_page_of(code, done=str(done.act)))

            return done_once(gate.databases, person, form, work)
        except Refused as refused:
            failed = Failed(kind, refused.by_field, form, refused.status)
        with access.looking(gate.databases, person) as conn:
            return _answer_page(conn, Frame.of(request, person), person, gate, code, None, failed)

    @routes.post("/check/undo", summary="Take back what was just recorded", response_class=HTMLResponse)
    def take_back(request: Request, form: Sent = form_sent, person: Person = checker) -> Response:
        code = form.text("code")

        def work(conn: psycopg.Connection) -> Answer:
            undo(conn, person, _uuid(form.text("act")), gate.now(), gate.public_url, gate.vault)
            return Answer(303, location=_page_of(code, said="undone"))

        try:
            return done_once(gate.databases, person, form, work)
        except Refused as refused:
            failed = Failed("undo", refused.by_field, form, refused.status)
        with access.looking(gate.databases, person) as conn:
            return _answer_page(conn, Frame.of(request, person), person, gate, code, None, failed)


def _add_tests(routes: APIRouter, guard: Guard, gate: Gate) -> None:
    tester, form_sent = Depends(guard.allowed("market")), Depends(sent)

    @routes.post(
        "/check/told",
        summary="The seller was told of a positive test: the clock starts",
        response_class=HTMLResponse,
    )
    def told(form: Sent = form_sent, person: Person = tester) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            known = doing.told(conn, form.text("test"), gate.now())
            more = {"said": "told", "test": form.text("test")} if known else {"said": "not_told"}
            return Answer(303, location=_page_of(form.text("code"), **more))

        return done_once(gate.databases, person, form, work)

    @routes.post(
        "/check/laboratory",
        summary="A sample was sent to a laboratory",
        response_class=HTMLResponse,
    )
    def laboratory(form: Sent = form_sent, person: Person = tester) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            test = doing.sent_to_laboratory(form, gate.now())
            if not is_seen(conn, test.lot):
                raise Problem.said(422, "check_test_unseen")
            results.remember(conn, person, test, gate.now())
            return Answer(303, location=_page_of(form.text("code"), said="laboratory"))

        return done_once(gate.databases, person, form, work)


def _add_bindings(routes: APIRouter, guard: Guard, gate: Gate) -> None:
    binder, form_sent = Depends(guard.allowed("market", "stall")), Depends(sent)

    @routes.post("/check/alias", summary="Bind a foreign code once", response_class=HTMLResponse)
    def bind_code(form: Sent = form_sent, person: Person = binder) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            value = form.text("value")
            bind(conn, person, form.text("scheme"), value, form.text("target"), gate.now())
            return Answer(303, location=_page_of(value, said="bound"))

        return done_once(gate.databases, person, form, work)

    @routes.post(
        "/check/alias/end", summary="A code does not mean this any more", response_class=HTMLResponse
    )
    def unbind(form: Sent = form_sent, person: Person = binder) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            value = form.text("value")
            ended = aliases.unbind(conn, read(value).value, form.text("scheme"), gate.now())
            return Answer(303, location=_page_of(value, said="unbound" if ended else "not_unbound"))

        return done_once(gate.databases, person, form, work)


def _page_of(code: str, **more: str) -> str:
    return f"/check/answer?{urlencode({'code': code} | more)}"


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)  # no act has it: refused as unknown
