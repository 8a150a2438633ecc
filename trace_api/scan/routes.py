"""The addresses under /scan, and what a printed code leads to that is no lot: a load unit, a certificate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from ledger.epcis.identifiers import RESOLVER
from ledger.persons import Vault
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.acts.roles import CERTIFYING
from trace_api.pages import Assets
from trace_api.papers.certificate import PageSize
from trace_api.papers.labels import Size
from trace_api.roles import GOODS
from trace_api.scan.certificate_pages import CertificatePages
from trace_api.scan.done_page import DonePages
from trace_api.scan.printing import Of
from trace_api.scan.sheet_page import SheetPages
from trace_api.scan.start_page import StartPages
from trace_api.work import Sent, sent


def router(
    databases: Databases,
    guard: Guard,
    assets: Assets,
    public_url: str,
    vault: Vault,
    now: Callable[[], datetime],
) -> APIRouter:
    routes = APIRouter(tags=["Scan"], default_response_class=HTMLResponse)
    worker, form_sent = Depends(guard.allowed(*GOODS)), Depends(sent)
    start = StartPages(databases, assets, now)
    sheets = SheetPages(databases, assets, now, public_url, vault)
    done = DonePages(databases, assets, now, public_url, vault)

    @routes.get("/scan", summary="What I hold, what I may do, what I did last")
    def begin(request: Request, person: Person = worker) -> Response:
        return start.start(request, person)

    @routes.get("/scan/find", summary="One thing that was scanned, and what may be done with it")
    def find(
        request: Request, code: Annotated[str, Query(max_length=400)] = "", person: Person = worker
    ) -> Response:
        return start.find(request, person, code.strip())

    @routes.get("/scan/do/{kind}", summary="The form of one act")
    def form_of(request: Request, kind: str, person: Person = worker) -> Response:
        return sheets.empty(request, person, kind)

    @routes.post("/scan/do/{kind}", summary="Record one act, or fill its form further")
    def do(request: Request, kind: str, form: Sent = form_sent, person: Person = worker) -> Response:
        return sheets.sent(request, person, kind, form)

    @routes.get("/scan/done/{act}", summary="What was recorded, its papers, and how to take it back")
    def show(request: Request, act: UUID, person: Person = worker) -> Response:
        return done.show(request, person, act)

    @routes.get("/scan/undo/{act}", summary="Whether an act is to be corrected or declared wrong")
    def ask_undo(request: Request, act: UUID, person: Person = worker) -> Response:
        return done.ask(request, person, act)

    @routes.post("/scan/undo/{act}", summary="Declare an act wrong, within minutes")
    def undo(request: Request, act: UUID, form: Sent = form_sent, person: Person = worker) -> Response:
        return done.undo(request, person, act, form)

    @routes.get("/scan/labels/{act}/{of}", summary="The labels of an act, as PDF", response_class=Response)
    def labels(
        request: Request,
        act: UUID,
        of: Annotated[Of, Path(description="boxes, lots or units")],
        size: Annotated[Size, Query(description="width x height in mm")] = "60x40",
        person: Person = worker,
    ) -> Response:
        return done.labels(request, person, act, of, size)

    certifier = Depends(guard.allowed(*sorted(CERTIFYING)))
    certificates = CertificatePages(databases, assets, now, public_url, vault)
    _add_certificates(routes, certificates, worker, certifier, form_sent)
    _add_public(routes, certificates)
    _add_codes(routes, public_url)
    return routes


def _add_certificates(
    routes: APIRouter, pages: CertificatePages, worker: Person, certifier: Person, form_sent: Sent
) -> None:
    @routes.get("/scan/certificates", summary="One's own certificates")
    def listed(request: Request, person: Person = worker) -> Response:
        return pages.listed(request, person)

    @routes.get("/scan/certificates/new", summary="The form of a new certificate")
    def empty(
        request: Request,
        lot: Annotated[str, Query(max_length=500)] = "",
        replaces: Annotated[str, Query(max_length=200)] = "",
        person: Person = certifier,
    ) -> Response:
        return pages.empty(request, person, lot, replaces)

    @routes.post("/scan/certificates", summary="Issue a certificate, or put one in another's place")
    def issue(request: Request, form: Sent = form_sent, person: Person = certifier) -> Response:
        return pages.issue(request, person, form)

    @routes.get("/scan/certificates/{number}", summary="One certificate of one's own")
    def one(request: Request, number: str, person: Person = worker) -> Response:
        return pages.one(request, person, number)

    @routes.get("/scan/certificates/{number}/paper", summary="A certificate as PDF", response_class=Response)
    def paper(
        request: Request,
        number: str,
        size: Annotated[PageSize, Query(description="A6 or A4")] = "A6",
        person: Person = worker,
    ) -> Response:
        return pages.paper(request, person, number, size)

    @routes.post("/scan/certificates/{number}/void", summary="Declare a certificate void")
    def void(request: Request, number: str, form: Sent = form_sent, person: Person = certifier) -> Response:
        return pages.void(request, person, number, form)


def _add_public(routes: APIRouter, pages: CertificatePages) -> None:
    @routes.get("/253/{gdti}", summary="A certificate, for whoever scans it")
    def by_gdti(request: Request, gdti: str) -> Response:
        return pages.public(request, f"{RESOLVER}/253/{gdti}")

    @routes.get(
        "/{organisation}/doc/{number}", summary="A certificate of who has no GS1 prefix, for whoever scans it"
    )
    def by_address(request: Request, organisation: str, number: str) -> Response:
        return pages.public_of(request, organisation, number)


def _add_codes(routes: APIRouter, public_url: str) -> None:
    """Codes on pallets and crates open a page too: that of whoever handles goods."""

    def found(code: str) -> Response:
        return RedirectResponse(f"/scan/find?code={quote(code, safe='')}", 303)

    @routes.get("/00/{sscc}", summary="A load unit's code")
    def load_unit(sscc: str) -> Response:
        return found(f"{RESOLVER}/00/{sscc}")

    @routes.get("/{organisation}/obj/{unit}", summary="A load unit's code, of who has no GS1 prefix")
    def own_unit(organisation: str, unit: str) -> Response:
        return found(f"{public_url}/{organisation}/obj/{unit}")

    @routes.get("/{organisation}/class/{lot}", summary="A lot's code, of a class without GTIN")
    def own_lot(organisation: str, lot: str) -> Response:
        return found(f"{public_url}/{organisation}/class/{lot}")
