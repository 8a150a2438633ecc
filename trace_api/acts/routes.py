"""`/api/v1`: acts, certificates and stock for programs and devices, by the same rules as the pages.

Every POST carries an `Idempotency-Key`: the same key with the same request is answered again, and nothing is done twice. What
is refused is problem details with `faults`: each says in both languages what is wrong with which field, and what to do next.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import psycopg
from fastapi import APIRouter, Body, Depends, Query, Request, Response

from ledger.persons import Vault
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer
from trace_api.acts.acting import perform
from trace_api.acts.certificates import own_certificates
from trace_api.acts.certifying import issue_certificate, replace_certificate, void_certificate
from trace_api.acts.codes import resolve
from trace_api.acts.doing import Doing, Key, as_problem
from trace_api.acts.fields import Remark
from trace_api.acts.promises import Certificate
from trace_api.acts.refusals import read_act, read_form, refuse
from trace_api.acts.roles import CERTIFYING
from trace_api.acts.shapes import Form, Promise
from trace_api.acts.stock import Row, read_own_stock, read_stock
from trace_api.acts.undo import own_acts, undo
from trace_api.roles import GOODS

Said = Annotated[dict[str, Any], Body(description="The act's fields; docs/acts.md lists them")]


class _Voiding(Form):
    reason: Remark


def router(
    databases: Databases, guard: Guard, public_url: str, vault: Vault, now: Callable[[], datetime]
) -> APIRouter:
    routes = APIRouter(prefix="/api/v1")
    do = Doing(databases)
    _add_acts(routes, guard, do, public_url, vault, now)
    _add_certificates(routes, guard, do, public_url, vault, now)
    _add_looking(routes, databases, guard, vault, now)
    return routes


def _add_acts(
    routes: APIRouter, guard: Guard, do: Doing, public_url: str, vault: Vault, now: Callable[[], datetime]
) -> None:
    goods = Depends(guard.allowed(*GOODS))

    @routes.post(
        "/acts/{kind}", status_code=201, tags=["Acts"], summary="Record what was done, as EPCIS events"
    )
    def act(
        request: Request,
        kind: str,
        said: Said,
        person: Person = goods,
        idempotency_key: Key = None,
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            done = perform(conn, person, read_act(kind, said), now(), public_url, vault)
            return Answer(201, done.to_json(), "/api/v1/acts")

        return do(request, person, idempotency_key, said, work)

    @routes.post(
        "/acts/{act}/undo",
        tags=["Acts"],
        summary="Within ten minutes: declare it wrong, and say what is right instead",
    )
    def undoing(
        request: Request,
        act: UUID,
        person: Person = goods,
        said: Annotated[
            dict[str, Any] | None,
            Body(description='{"kind": ..., and its fields}: the act that corrects it; or nothing'),
        ] = None,
        idempotency_key: Key = None,
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            fields = dict(said or {})
            kind = fields.pop("kind", None)
            correction = None if kind is None and not fields else read_act(str(kind), fields)
            return Answer(200, undo(conn, person, act, now(), public_url, vault, correction).to_json())

        return do(request, person, idempotency_key, said, work)


def _add_certificates(
    routes: APIRouter, guard: Guard, do: Doing, public_url: str, vault: Vault, now: Callable[[], datetime]
) -> None:
    tags = ["Certificates"]
    certifying = Depends(guard.allowed(*sorted(CERTIFYING)))

    @routes.post(
        "/certificates", status_code=201, tags=list(tags), summary="Issue a 承诺达标合格证 over a lot"
    )
    def issue(
        request: Request,
        said: Said,
        person: Person = certifying,
        idempotency_key: Key = None,
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            return Answer(
                201, _certificate(issue_certificate(conn, person, _promise(said), now(), public_url, vault))
            )

        return do(request, person, idempotency_key, said, work)

    @routes.post("/certificates/{code:path}/void", tags=list(tags), summary="Void one; it is never edited")
    def void(
        request: Request,
        code: str,
        said: Said,
        person: Person = certifying,
        idempotency_key: Key = None,
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            voiding = read_form(_Voiding, said)
            assert isinstance(voiding, _Voiding)
            return Answer(
                200,
                _certificate(void_certificate(conn, person, code, voiding.reason, now(), public_url, vault)),
            )

        return do(request, person, idempotency_key, said, work)

    @routes.post(
        "/certificates/{code:path}/replace",
        status_code=201,
        tags=list(tags),
        summary="Put another in its place",
    )
    def replace(
        request: Request,
        code: str,
        said: Said,
        person: Person = certifying,
        idempotency_key: Key = None,
    ) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            made = replace_certificate(conn, person, code, _promise(said), now(), public_url, vault)
            return Answer(201, _certificate(made))

        return do(request, person, idempotency_key, said, work)


def _promise(said: dict[str, Any]) -> Promise:
    found = read_form(Promise, said)
    assert isinstance(found, Promise)
    return found


def _add_looking(
    routes: APIRouter, databases: Databases, guard: Guard, vault: Vault, now: Callable[[], datetime]
) -> None:
    goods = Depends(guard.allowed(*GOODS))

    @routes.get("/acts", tags=["Acts"], summary="What the own organisation recorded, newest first")
    def acts(
        person: Person = goods,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Annotated[datetime | None, Query(description="Those recorded earlier")] = None,
    ) -> dict[str, Any]:
        with access.looking(databases, person) as conn:
            return {"acts": vault.reading(conn, [each.to_json() for each in own_acts(conn, limit, before)])}

    @routes.get("/certificates", tags=["Certificates"], summary="One's own certificates, newest first")
    def certificates(
        person: Person = goods,
        lot: Annotated[str | None, Query(description="Only those over this lot")] = None,
    ) -> dict[str, Any]:
        with as_problem(), access.looking(databases, person) as conn:
            wanted = None if lot is None else resolve(conn, lot, "lot")
            found = [_certificate(each) for each in own_certificates(conn, wanted)]
            return {"certificates": vault.reading(conn, found)}

    @routes.get("/stock", tags=["Acts"], summary="What we hold: lots, load units, loose remainders")
    def stock(
        person: Person = goods,
        code: Annotated[
            list[str] | None, Query(description="Only what hangs together with these; else all that is ours")
        ] = None,
    ) -> dict[str, Any]:
        with as_problem(), access.looking(databases, person) as conn:
            if person.organisation is None:
                raise refuse("no_organisation", status=403)
            if code:
                of = [resolve(conn, each, "code") for each in code]
                rows: tuple[Row, ...] = read_stock(conn, person.organisation, of).rows
            else:
                rows = tuple(row for row in read_own_stock(conn, person.organisation, now()).rows if row.ours)
            return {"stock": [_row(row) for row in rows]}


def _row(row: Row) -> dict[str, Any]:
    return {
        "lot": row.lot,
        "product": None if row.product is None else {"zh": row.product.zh, "en": row.product.en},
        "quantity": row.quantity,
        "uom": row.uom,
        "kg": row.kg,
        "unit": row.unit,
        "vehicle": row.vehicle,
        "place": row.place,
        "place_name": None if row.place_name is None else {"zh": row.place_name.zh, "en": row.place_name.en},
        "stage": row.stage,
        "holder": row.holder,
        "ours": row.ours,
        "marks": sorted(row.marks),
        "since": row.since,
        "last": row.last,
        "serials": [{"first": first, "last": last} for first, last in row.serials],
    }


def _certificate(made: Certificate) -> dict[str, Any]:
    return {
        "id": made.id,
        "number": made.number,
        "kind": made.kind,
        "lot": made.lot,
        "lot_kg": made.lot_kg,
        "product": {"zh": made.product.zh, "en": made.product.en},
        "kg": made.kg,
        "origin": made.origin,
        "declared_by": made.declared_by,
        "contact": made.contact,
        "basis": list(made.basis),
        "evidence": list(made.evidence),
        "issued_at": made.issued_at.isoformat(),
        "status": made.status,
        "replaced_by": made.replaced_by,
        "voided_at": None if made.voided_at is None else made.voided_at.isoformat(),
        "void_reason": made.void_reason,
    }
