"""`/scan/logger`: on a phone, a logger's file put on goods, and at once what it says of them.

Contract: handed in and attached in one transaction, once; what is refused is said at its field, with what was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from ingest.exports.judged import written
from ledger.persons import Vault
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer
from trace_api.acts import Refused, perform, read_act
from trace_api.acts.codes import is_unit, label, resolve
from trace_api.acts.doing import as_problem
from trace_api.acts.models import AttachLogger
from trace_api.acts.refusals import refuse
from trace_api.acts.registered import Registered
from trace_api.acts.undo import read_past
from trace_api.loggers import files
from trace_api.loggers.judging import judged, limits_of
from trace_api.pages import Assets
from trace_api.problems import Problem
from trace_api.roles import GOODS
from trace_api.work import Frame, Sent, done_once, page

_TYPED = ("code", "column", "device")
_AT = {"units": "code", "goods": "code"}


@dataclass(frozen=True, slots=True)
class _Handed:
    """A form, and the file with it: empty where none was chosen."""

    form: Sent
    data: bytes


def router(
    databases: Databases,
    guard: Guard,
    assets: Assets,
    public_url: str,
    vault: Vault,
    now: Callable[[], datetime],
) -> APIRouter:
    routes = APIRouter(tags=["Scan"], default_response_class=HTMLResponse, max_body_size=2 * files.MOST_BYTES)
    pages = LoggerPages(databases, assets, public_url, vault, now)
    worker = Depends(guard.allowed(*GOODS))

    @routes.get("/scan/logger", summary="The form for a logger's file")
    def empty(request: Request, code: str = "", person: Person = worker) -> Response:
        return pages.form(request, person, {"code": code[:400]})

    @routes.post("/scan/logger", summary="Put a logger's file on goods")
    async def attach(request: Request, person: Person = worker) -> Response:
        handed = await _handed(request)
        return await run_in_threadpool(pages.attach, request, person, handed)

    @routes.get("/scan/logger/{act}", summary="What a logger's file says")
    def shown(request: Request, act: UUID, person: Person = worker) -> Response:
        return pages.shown(request, person, act)

    return routes


async def _handed(request: Request) -> _Handed:
    try:
        form = await request.form(max_files=1, max_fields=20)
        fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        sent = next((value for value in form.values() if isinstance(value, UploadFile)), None)
        data = b"" if sent is None else await sent.read(files.MOST_BYTES + 1)
    except MultiPartException as error:
        raise Problem.said(422, "work_unreadable") from error
    if any("\x00" in value for _, value in fields):
        raise Problem.said(422, "work_unreadable")
    if len(data) > files.MOST_BYTES:
        raise Problem.said(413, "logger_file_too_large", most=files.MOST_BYTES // 2**20)
    return _Handed(Sent(request.url.path, [*fields, ("file", sha256(data).hexdigest())]), data)


class LoggerPages:
    def __init__(
        self, databases: Databases, assets: Assets, public_url: str, vault: Vault, now: Callable[[], datetime]
    ) -> None:
        self._databases, self._assets, self._public_url = databases, assets, public_url
        self._vault, self._now = vault, now

    def form(
        self,
        request: Request,
        person: Person,
        typed: Mapping[str, str],
        errors: Mapping[str, str] | None = None,
        whole: list[str] | None = None,
        status: int = 200,
        key: str = "",
    ) -> Response:
        frame = Frame.of(request, person)
        return page("scan_logger.html", frame, self._assets, frame.words("scan_act_attach_logger"), status=status,
                    typed=typed, errors=errors or {}, whole=whole or [], key=key)  # fmt: skip

    def attach(self, request: Request, person: Person, handed: _Handed) -> Response:
        typed = {name: handed.form.text(name) for name in _TYPED}
        try:
            return done_once(
                self._databases,
                person,
                handed.form,
                lambda conn: self._attached(conn, person, typed, handed.data),
            )
        except Refused as refused:
            return self._refused(request, person, typed, refused, handed.form.key or "")

    def _attached(
        self, conn: psycopg.Connection, person: Person, typed: Mapping[str, str], data: bytes
    ) -> Answer:
        if not data:
            raise refuse("logger_file_missing", "file", status=422)
        digest = sha256(data).digest()
        files.keep(conn, person, digest, data, self._now())
        named = resolve(conn, typed["code"], "code") if typed["code"] else ""
        what: dict[str, Any] = (
            {"units": [typed["code"]]} if named and is_unit(named) else {"goods": [{"lot": typed["code"]}]}
        )
        fields = {"file": digest.hex(), "column": typed["column"], "device": typed["device"], **what}
        done = perform(
            conn, person, read_act("attach_logger", fields), self._now(), self._public_url, self._vault
        )
        return Answer(303, location=f"/scan/logger/{done.act}")

    def _refused(
        self, request: Request, person: Person, typed: Mapping[str, str], refused: Refused, key: str
    ) -> Response:
        words = Frame.of(request, person).words
        fields: dict[str, str] = {}
        whole: list[str] = []
        for fault in refused.faults:
            sentence = f"{words.name(fault.text)} {words.name(fault.next)}"
            name = (fault.field or "").partition(".")[0]
            name = _AT.get(name, name)
            if name in (*_TYPED, "file") and name not in fields:
                fields[name] = sentence
            else:
                whole.append(sentence)
        return self.form(request, person, typed, fields, whole, refused.status, key)

    def shown(self, request: Request, person: Person, act: UUID) -> Response:
        frame = Frame.of(request, person)
        with as_problem(), access.looking(self._databases, person) as conn:
            past = read_past(conn, act)
            if past.kind != "attach_logger":
                raise Problem.said(404, "work_no_such")
            asked = read_act("attach_logger", past.facts["asked"])
            assert isinstance(asked, AttachLogger)
            lots = past.facts["done"]["lots"]
            product = Registered(conn).product_of_lot(lots[0]) if lots else None
            limits = () if product is None else limits_of(conn, product.id)
            digest = files.hash_in(asked.file)
            data = None if digest is None else files.own(conn, digest)
        if data is None:
            raise Problem.said(404, "work_no_such")
        export, column, found = judged(data, asked, limits)
        facts: dict[str, Any] = {
            "export": export,
            "column": column,
            "found": found,
            "limits": limits,
            "act": act,
            "written": partial(written, export.line),
            "goods": [label(each) for each in (*past.facts["done"]["units"], *lots)],
            "file": files.name_of(sha256(data).digest()),
        }
        return page("scan_logger_said.html", frame, self._assets, frame.words("logger_said_title"), **facts)
