"""The pages of recalls, for who made goods, for officials, and for whoever got a notice.

In the line: a form -> `trace_api.recalls` (look, rehearse, order, close) -> here -> a page. Contract: what an order reaches is shown
before it is confirmed; looking changes nothing; an order, its end and an acknowledgement are each done once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote
from uuid import UUID

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from ledger.persons import Vault
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer
from trace_api.acts import Refused
from trace_api.acts.refusals import read_form
from trace_api.audit import sheets
from trace_api.holds import recall_views as views
from trace_api.holds.notices import read_unread, unread_view
from trace_api.pages import Assets
from trace_api.problems import Problem
from trace_api.recalls import answering
from trace_api.recalls.asking import Closing, Order
from trace_api.recalls.ordering import close, order
from trace_api.roles import AREAS, GOODS, OVERSEEING
from trace_api.story import Name
from trace_api.words import Words
from trace_api.work import Frame, Sent, done_once, page, sent

ORDERING: Final = (*GOODS, "official")
KINDS: Final = ("lot", "unit", "field", "place", "device", "excursion")
FIELDS: Final = ("mode", "kind", "id", "number", "since", "until", "level", "reason_zh", "reason_en")

MOST_CHOICES: Final = 300


@dataclass(frozen=True, slots=True)
class _Desk:
    databases: Databases
    assets: Assets
    public_url: str
    vault: Vault
    now: Callable[[], datetime]


def add_recall_pages(
    routes: APIRouter,
    databases: Databases,
    guard: Guard,
    assets: Assets,
    public_url: str,
    vault: Vault,
    now: Callable[[], datetime],
) -> None:
    desk = _Desk(databases, assets, public_url, vault, now)
    _add_looking(routes, guard, desk)
    _add_ordering(routes, guard, desk)
    _add_files(routes, guard, desk)


# --- looking --------------------------------------------------------------------------------------------------------


def _add_looking(routes: APIRouter, guard: Guard, desk: _Desk) -> None:
    looker, form_sent = Depends(guard.allowed(*GOODS, *OVERSEEING)), Depends(sent)
    goods = Depends(guard.allowed(*GOODS))

    @routes.get(
        "/holds/recalls", summary="Recalls and drills, and the notices to you", response_class=HTMLResponse
    )
    def recalls(
        request: Request,
        person: Person = looker,
        before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    ) -> Response:
        frame = Frame.of(request, person)
        with access.looking(desk.databases, person) as conn:
            found = answering.listed(conn, 51, before)
            unread = read_unread(conn) if person.organisation else []
        lines = [views.line(each, frame.words) for each in found[:50]]
        more = lines[-1].number if len(found) > 50 else None
        return page("recalls.html", frame, desk.assets, frame.words("recalls_title"), recalls=lines, more=more,
                    unread=[unread_view(each, frame.words) for each in unread], may_order=_may_order(person))  # fmt: skip

    @routes.get(
        "/holds/recalls/{recall}",
        summary="One recall: who has what, what came back",
        response_class=HTMLResponse,
    )
    def recall(
        request: Request,
        recall: UUID,
        person: Person = looker,
        done: Annotated[Literal["ordered", "closed", "read"] | None, Query()] = None,
    ) -> Response:
        return _recall_page(request, person, desk, recall, done)

    @routes.post(
        "/holds/recalls/{recall}/acknowledge",
        summary="A holder has read the notice",
        response_class=HTMLResponse,
    )
    def acknowledged(recall: UUID, form: Sent = form_sent, person: Person = goods) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            answering.read(conn, recall)  # 404 where it is not theirs to see
            conn.execute("SELECT recall_acknowledge(%s, %s)", [recall, desk.now()])
            return Answer(303, location=f"/holds/recalls/{recall}?done=read")

        return done_once(desk.databases, person, form, work)


def _recall_page(
    request: Request,
    person: Person,
    desk: _Desk,
    recall: UUID,
    done: str | None,
    refused: Refused | None = None,
    form: Sent | None = None,
) -> HTMLResponse:
    frame = Frame.of(request, person)
    words = frame.words
    with access.looking(desk.databases, person) as conn:
        document = answering.read(conn, recall)
        read = {
            row[0]: (row[1], row[2])
            for row in conn.execute("SELECT keeper, at, by_name FROM recall_acknowledged(%s)", [recall])
        }
    told = document["why"] == "told"
    return page(
        "recall.html",
        frame,
        desk.assets,
        views.line(document, words).called,
        status=200 if refused is None else refused.status,
        recall=views.line(document, words),
        begin_by=views.when(document["begin_by"], words),
        closed=views.when(document["closed_at"], words),
        note=document["note"],
        typed={} if form is None else {name: form.text(name) for name in ("outcome", "note")},
        basis=document["legal_basis"],
        level=document["level"],
        faults=_faults(refused, words),
        done=done,
        told=told,
        unread=told and person.organisation not in read,
        mine=document["why"] == "ordered"
        and document["state"] == "open"
        and not person.roles.isdisjoint(ORDERING),
        holders=views.holders(document, read, words),
        yours=views.yours(document) if told else None,
        record="/scan/find" if person.roles.isdisjoint(AREAS["check"]) else "/check/answer",
        letter=document["notices"][0]["text"][words.language] if told and document["notices"] else "",
        **(
            {"bars": (), "lots": [], "endings": [], "destruction": ((), "")}
            if told
            else _reached(document, words)
        ),
    )


def _reached(document: Mapping[str, Any], words: Words) -> dict[str, Any]:
    return {
        "bars": views.bars(document, words),
        "lots": views.lots(document, words),
        "endings": views.endings(document, words),
        "destruction": views.destruction(document, words),
    }


def _may_order(person: Person) -> bool:
    return not person.roles.isdisjoint(ORDERING)


# --- ordering -------------------------------------------------------------------------------------------------------


def _add_ordering(routes: APIRouter, guard: Guard, desk: _Desk) -> None:
    orderer, form_sent = Depends(guard.allowed(*ORDERING)), Depends(sent)

    @routes.get("/holds/order", summary="Begin a recall or a drill", response_class=HTMLResponse)
    def new(
        request: Request,
        person: Person = orderer,
        kind: str = "lot",
        code: Annotated[str, Query(max_length=500)] = "",
    ) -> Response:
        begun = kind if kind in KINDS else "lot"
        typed = {"number" if begun == "excursion" else "id": code, "mode": "drill", "level": "1"}
        # From the preview one comes back with all that was filled in.
        typed |= {name: request.query_params[name] for name in FIELDS if name in request.query_params}
        typed["kind"] = begun
        return _form_page(request, person, desk, typed)

    @routes.post(
        "/holds/order/preview",
        summary="What it would reach; nothing is recorded",
        response_class=HTMLResponse,
    )
    def preview(request: Request, form: Sent = form_sent, person: Person = orderer) -> Response:
        typed = {name: form.text(name) for name in FIELDS}
        try:
            wanted = _order(typed | {"mode": "preview"})
            _order(typed)  # what is to be confirmed must be whole as well
            with access.acting(desk.databases, person) as conn:
                document = order(conn, person, wanted, desk.now(), desk.public_url, desk.vault)
        except Refused as refused:
            return _form_page(request, person, desk, typed, refused)
        frame = Frame.of(request, person)
        words = frame.words
        return page("recall_preview.html", frame, desk.assets, words("recalls_preview_title"), typed=typed,
                    recall=views.line(document, words), holders=views.holders(document, {}, words), refused_lots=document["refused_lots"],
                    conflicts=views.conflicts(document, words), **_reached(document, words))  # fmt: skip

    @routes.post("/holds/order", summary="Order it, for real or as a drill", response_class=HTMLResponse)
    def ordered(request: Request, form: Sent = form_sent, person: Person = orderer) -> Response:
        typed = {name: form.text(name) for name in FIELDS}

        def work(conn: psycopg.Connection) -> Answer:
            document = order(conn, person, _order(typed), desk.now(), desk.public_url, desk.vault)
            return Answer(303, location=f"/holds/recalls/{document['id']}?done=ordered")

        try:
            return done_once(desk.databases, person, form, work)
        except Refused as refused:
            return _form_page(request, person, desk, typed, refused)

    @routes.post(
        "/holds/recalls/{recall}/close", summary="It is completed, or withdrawn", response_class=HTMLResponse
    )
    def closed(request: Request, recall: UUID, form: Sent = form_sent, person: Person = orderer) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            closing = read_form(Closing, {"outcome": form.text("outcome"), "note": form.text("note")})
            assert isinstance(closing, Closing)
            close(conn, person, recall, closing, desk.now(), desk.public_url, desk.vault)
            return Answer(303, location=f"/holds/recalls/{recall}?done=closed")

        try:
            return done_once(desk.databases, person, form, work)
        except Refused as refused:
            return _recall_page(request, person, desk, recall, None, refused, form)


def _order(typed: Mapping[str, str]) -> Order:
    """Raises Refused."""
    source = {name: typed[name] for name in ("kind", "id", "number", "since", "until") if typed.get(name)}
    if source.get("kind") != "excursion":
        source.pop("number", None)
    reason = {
        language: typed[f"reason_{language}"] for language in ("zh", "en") if typed.get(f"reason_{language}")
    }
    said: dict[str, Any] = {"mode": typed["mode"], "from": source, "level": typed.get("level") or 1}
    wanted = read_form(Order, said | ({"reason": reason} if reason else {}))
    assert isinstance(wanted, Order)
    return wanted


def _form_page(
    request: Request, person: Person, desk: _Desk, typed: Mapping[str, str], refused: Refused | None = None
) -> HTMLResponse:
    frame = Frame.of(request, person)
    words = frame.words
    with access.looking(desk.databases, person) as conn:
        found = conn.execute("SELECT code, name_zh, name_en FROM recall_choices(%s)", [MOST_CHOICES])
        choices = [(code, words.name(Name(zh, en))) for code, zh, en in found]
    return page(
        "recall_order.html",
        frame,
        desk.assets,
        words("recalls_new_title"),
        status=200 if refused is None else refused.status,
        typed=typed,
        faults=_faults(refused, words),
        choices=choices,
        kinds=[(kind, words(f"recalls_from_{kind}")) for kind in KINDS],
        levels=[(str(level), words(f"recalled_level_{level}")) for level in (1, 2, 3)],
        official=person.organisation is None,
    )


def _faults(refused: Refused | None, words: Words) -> list[str]:
    told = (
        ()
        if refused is None
        else (f"{words.name(each.text)} {words.name(each.next)}" for each in refused.faults)
    )
    return list(dict.fromkeys(told))


# --- letters and files ----------------------------------------------------------------------------------------------


def _add_files(routes: APIRouter, guard: Guard, desk: _Desk) -> None:
    looker = Depends(guard.allowed(*GOODS, *OVERSEEING))

    @routes.get(
        "/holds/recalls/{recall}/letters/{number}",
        summary="A notice, to be printed",
        response_class=HTMLResponse,
    )
    def letter(request: Request, recall: UUID, number: str, person: Person = looker) -> Response:
        frame = Frame.of(request, person)
        with access.looking(desk.databases, person) as conn:
            document = answering.read(conn, recall)
        found = views.letter(document, number)
        if found is None:
            raise Problem.said(404, "recall_none")
        return page("recall_notice.html", frame, desk.assets, found["title"][frame.language], notice=found,
                    recall=views.line(document, frame.words), both=(Words("zh"), Words("en")), basis=document["legal_basis"],
                    address=f"{desk.public_url}/holds/recalls/{recall}")  # fmt: skip

    @routes.get("/api/v1/recalls/{recall}/sheet.{form}", summary="A recall as CSV or XLSX")
    def exported(
        request: Request, recall: UUID, form: Literal["csv", "xlsx"], person: Person = looker
    ) -> Response:
        words, at = Frame.of(request, person).words, desk.now()
        with access.looking(desk.databases, person) as conn:
            document = answering.read(conn, recall)
        made = views.sheet(document, words, at)
        body = sheets.to_csv(made) if form == "csv" else sheets.to_xlsx(made)
        name = quote(f"recall-{document['number']}-{at:%Y%m%dT%H%MZ}.{form}")
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
        return Response(
            body, media_type=sheets.CSV_TYPE if form == "csv" else sheets.XLSX_TYPE, headers=headers
        )
