"""The 承诺达标合格证 on the screen: one's own listed, issued, voided, replaced and printed; and the page that its code opens.

Contract: a certificate is never edited; who scans it sees whether it stands, what it promises of which goods, and that it is
a promise of the issuer and no third party's word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import psycopg
from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from ledger.persons import Vault
from trace_api import access, pages
from trace_api.access import Databases, Person
from trace_api.accounts.idempotency import Answer
from trace_api.acts import (
    Certificate,
    Promise,
    Refused,
    Registered,
    certifiable_kg,
    issue_certificate,
    may_certify,
    own_certificates,
    read_certificate,
    read_form,
    read_stock,
    refuse,
    replace_certificate,
    resolve,
    void_certificate,
)
from trace_api.acts.certificates import as_written
from trace_api.acts.codes import label, lot_named
from trace_api.pages import DEFAULT_ZONE, Assets
from trace_api.papers import certificate as paper
from trace_api.papers.certificate import BASES, PAGE_SIZES, PageSize
from trace_api.problems import Problem
from trace_api.scan.choices import Choices
from trace_api.scan.done_page import pdf
from trace_api.scan.printing import address
from trace_api.scan.standing import read_standing
from trace_api.story import Name
from trace_api.words import Words, decimal
from trace_api.work import Frame, Sent, done_once, page

_FIELDS = ("lot", "lot.code", "kg", "contact", "origin", "replaces")


class CertificatePages:
    def __init__(
        self, databases: Databases, assets: Assets, now: Callable[[], datetime], public_url: str, vault: Vault
    ) -> None:
        self._databases, self._assets, self._now, self._public_url = databases, assets, now, public_url
        self._vault = vault

    # --- one's own

    def listed(self, request: Request, person: Person) -> Response:
        frame = Frame.of(request, person)
        with access.looking(self._databases, person) as conn:
            issued = own_certificates(conn, limit=100)
        title = frame.words("scan_certificates")
        facts: dict[str, Any] = {
            "issued": issued,
            "may": may_certify(person),
            "label": label,
            "zone": DEFAULT_ZONE,
        }
        return page("scan_certificates.html", frame, self._assets, title, **facts)

    def one(self, request: Request, person: Person, number: str, wrong: str = "") -> Response:
        frame = Frame.of(request, person)
        with access.looking(self._databases, person) as conn:
            found = as_written(conn, self._vault, _read(conn, number))
            after = read_certificate(conn, found.replaced_by).number if found.replaced_by else None
        title = frame.words("scan_certificate_title", number=found.number)
        return page(
            "scan_certificate.html",
            frame,
            self._assets,
            title,
            status=422 if wrong else 200,
            it=found,
            after=after,
            may=may_certify(person),
            sizes=PAGE_SIZES,
            label=label,
            lot_path=address(found.lot, ""),
            page_path=address(found.id, self._public_url).removeprefix(self._public_url),
            wrong=wrong,
            zone=DEFAULT_ZONE,
        )

    def empty(self, request: Request, person: Person, lot: str, replaces: str) -> Response:
        """`replaces`: the number of the one that it is to stand in place of; its words are in the form to begin with."""
        with access.looking(self._databases, person) as conn:
            typed = {"lot": lot, "replaces": replaces}
            basis: tuple[str, ...] = ("self_declaration",)
            before = _read(conn, replaces) if replaces else _newest(conn)
            before = before and as_written(conn, self._vault, before)
            if replaces and before:
                typed |= {"lot": before.lot, "kg": decimal(before.kg), "origin": before.origin}
            if before:
                typed["contact"], basis = before.contact, before.basis
        return self._form(request, person, typed, basis, {}, [])

    def issue(self, request: Request, person: Person, form: Sent) -> Response:
        typed = {name: form.text(name) for name in _FIELDS}
        basis = tuple(form.all("basis"))
        try:
            return done_once(
                self._databases, person, form, lambda conn: self._issued(conn, person, typed, basis)
            )
        except Refused as refused:
            return self._refused(request, person, typed, basis, refused, form.key or "")

    def _issued(
        self, conn: psycopg.Connection, person: Person, typed: Mapping[str, str], basis: tuple[str, ...]
    ) -> Answer:
        fields: dict[str, Any] = {name: typed[name] for name in ("kg", "contact", "origin")}
        if typed["replaces"]:
            fields |= _unasked(read_certificate(conn, typed["replaces"]))
        promise = read_form(Promise, fields | {"lot": typed["lot.code"] or typed["lot"], "basis": basis})
        assert isinstance(promise, Promise)
        made = (
            replace_certificate(
                conn, person, typed["replaces"], promise, self._now(), self._public_url, self._vault
            )
            if typed["replaces"]
            else issue_certificate(conn, person, promise, self._now(), self._public_url, self._vault)
        )
        return Answer(303, location=f"/scan/certificates/{quote(made.number, safe='')}")

    def _refused(
        self,
        request: Request,
        person: Person,
        typed: Mapping[str, str],
        basis: tuple[str, ...],
        refused: Refused,
        key: str,
    ) -> Response:
        words = Frame.of(request, person).words
        fields: dict[str, str] = {}
        whole: list[str] = []
        for fault in refused.faults:
            sentence = f"{words.name(fault.text)} {words.name(fault.next)}"
            name = (fault.field or "").partition(".")[0]
            if name in ("lot", "kg", "contact", "origin", "basis") and name not in fields:
                fields[name] = sentence
            else:
                whole.append(sentence)
        return self._form(request, person, typed, basis, fields, whole, refused.status, key)

    def _form(
        self,
        request: Request,
        person: Person,
        typed: Mapping[str, str],
        basis: tuple[str, ...],
        errors: Mapping[str, str],
        whole: list[str],
        status: int = 200,
        key: str = "",
    ) -> Response:
        if not may_certify(person):
            raise refuse("not_certifying", status=403).problem()
        frame = Frame.of(request, person)
        with access.looking(self._databases, person) as conn:
            standing = read_standing(conn, person, self._now())
            lots = Choices(conn, person, frame.words, standing).of("everything")
            left = _left(conn, person, typed.get("lot", ""), typed.get("replaces", ""))
        title = frame.words("scan_replace_title" if typed.get("replaces") else "scan_certificate_new")
        facts: dict[str, Any] = {
            "typed": typed,
            "basis": basis,
            "lots": lots,
            "left": left,
            "errors": errors,
            "label": label,
            "whole": whole,
            "key": key,
        }
        return page(
            "scan_certificate_form.html", frame, self._assets, title, status=status, bases=BASES, **facts
        )

    def void(self, request: Request, person: Person, number: str, form: Sent) -> Response:
        reason = form.text("reason")
        if not reason:
            return self.one(request, person, number, Frame.of(request, person).words("work_required"))
        try:
            return done_once(
                self._databases, person, form, lambda conn: self._voided(conn, person, number, reason)
            )
        except Refused as refused:
            raise refused.problem() from None

    def _voided(self, conn: psycopg.Connection, person: Person, number: str, reason: str) -> Answer:
        found = void_certificate(
            conn, person, number, reason[:200], self._now(), self._public_url, self._vault
        )
        return Answer(303, location=f"/scan/certificates/{quote(found.number, safe='')}")

    def paper(self, request: Request, person: Person, number: str, size: PageSize) -> Response:
        with access.looking(self._databases, person) as conn:
            found = as_written(conn, self._vault, _read(conn, number))
            after = read_certificate(conn, found.replaced_by).number if found.replaced_by else None
            holder = Registered(conn).organisations[found.organisation].name
        printed = paper.Certificate(
            url=address(found.id, self._public_url),
            number=found.number,
            kind=found.kind,
            product=found.product.zh,
            lot=label(found.lot),
            quantity_kg=found.kg,
            origin=found.origin,
            declared_by=holder.zh,
            contact=found.contact,
            issued_at=found.issued_at.astimezone(ZoneInfo(DEFAULT_ZONE)),
            basis=tuple(each for each in BASES if each in found.basis),
            status=found.status,
            replaced_by=after,
        )
        return pdf(lambda: paper.certificate_pdf(printed, size, self._now()), found.number)

    # --- everybody's

    def public(self, request: Request, identity: str) -> Response:
        frame = Frame.of(request, None)
        with access.everybody(self._databases) as conn:
            row = conn.execute(_PUBLISHED, {"id": identity}).fetchone()
        if row is None:
            raise Problem.said(404, "scan_no_such_certificate")
        return HTMLResponse(
            pages.render(
                "certificate.html",
                frame.words,
                self._assets,
                path=request.url.path,
                title=frame.words("scan_certificate_title", number=row[0]),
                it=_published(row, frame.words),
                zone=DEFAULT_ZONE,
            ),
            headers=dict(pages.HEADERS),
        )

    def public_of(self, request: Request, organisation: str, number: str) -> Response:
        return self.public(request, f"{self._public_url}/{organisation}/doc/{number}")


_PUBLISHED = """
SELECT it.number, it.kind, it.lot, it.product_zh, it.product_en, it.quantity_kg, it.origin, it.basis, it.issued_at, it.status,
       it.voided_at, who.name_zh, who.name_en, after.number
FROM published_certificate AS it
JOIN published_organisation AS who ON who.id = it.organisation
LEFT JOIN published_certificate AS after ON after.id = it.replaced_by
WHERE it.id = %(id)s
"""


def _published(row: tuple[Any, ...], words: Words) -> dict[str, Any]:
    names = ("number", "kind", "lot", "zh", "en", "kg", "origin", "basis", "issued_at", "status", "voided_at")
    it = dict(zip(names, row, strict=False))
    product, who = Name(it["zh"], it["en"]), Name(row[11], row[12])
    more = {"product": words.name(product), "declared_by": words.name(who), "replaced_by": row[13]}
    return it | more | {"lot_number": label(it["lot"]), "lot_path": address(it["lot"], "")}


def _read(conn: psycopg.Connection, number: str) -> Certificate:
    try:
        return read_certificate(conn, number)
    except Refused as refused:
        raise refused.problem() from None


def _unasked(before: Certificate) -> dict[str, Any]:
    """What a program said of it and the form does not ask for: it stays as it was."""
    kind = {"kind": before.kind} if before.kind == "producer_card" else {}
    return kind | {"evidence": list(before.evidence)}


def _newest(conn: psycopg.Connection) -> Certificate | None:
    """Whose telephone and basis are likely the same again."""
    return next(iter(own_certificates(conn, limit=1)), None)


def _left(conn: psycopg.Connection, person: Person, code: str, replaces: str) -> float | None:
    """What may still be promised of the lot in the form, without the certificate that is to be replaced; None if that
    cannot be told."""
    if not code or person.organisation is None:
        return None
    try:
        lot = lot_named(resolve(conn, code))
        left = certifiable_kg(conn, read_stock(conn, person.organisation, [lot]), lot)
        before = read_certificate(conn, replaces) if replaces else None
    except Refused:
        return None
    return left + before.kg if before and before.lot == lot and before.status == "valid" else left
