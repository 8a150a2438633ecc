"""承诺达标合格证: issued, voided, replaced, and never edited.

In the line: a person promises -> the record is asked how much there was and whose it was -> the row and its event. Contract: the
valid certificates of a lot never promise more than there was of it, also when two issue at once (the database's trigger holds
it too); the producer's text where all that went in is one's own harvest, the buyer's where anything was bought. It is the
issuer's own declaration and no third party's award.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import psycopg
from psycopg.rows import dict_row

from ledger.epcis.identifiers import canonical
from ledger.genealogy import Portion
from ledger.personal import is_person
from ledger.persons import Vault
from trace_api.acts.codes import label
from trace_api.acts.desk import Desk, amount
from trace_api.acts.parts import Event, Quantity, ilmd
from trace_api.acts.promises import Certificate, Kind, Status
from trace_api.acts.refusals import refuse
from trace_api.acts.registered import PLOTS, Product
from trace_api.acts.roles import may_certify
from trace_api.acts.shapes import Certify, Promise
from trace_api.acts.stock import NOTHING, Stock
from trace_api.story import Name

KILOGRAM = "KGM"
ERASED = "（已删除 / erased）"

# --- issuing ---------------------------------------------------------------------------------------------------------


def issue(
    desk: Desk, promise: Promise, activity: str = "certificate_issued", replaces: str | None = None
) -> tuple[Certificate, Event]:
    """Over a lot that is there. The caller holds the organisation's lock. `replaces`: the certificate it stands in place of."""
    if not may_certify(desk.person):
        raise refuse("not_certifying", status=403)
    lot = desk.lot(promise.lot, "lot")
    if not desk.stock.knows(lot):
        raise refuse("not_recorded", "lot", status=404, code=label(lot))
    lot_kg = desk.stock.certifiable_kg(lot)
    if lot_kg <= NOTHING:
        raise refuse("not_ours_to_certify", "lot", status=403, code=label(lot))
    refuse_over(desk.conn, lot, lot_kg, promise.kg, replaces or "")
    product = desk.registered.product_of_lot(lot)
    name = product.name if product else Name(label(lot), label(lot))
    bought = desk.stock.bought(lot)
    if promise.kind == "producer_card" and (bought or desk.us.kind != "grower"):
        raise refuse("not_a_growers_card", "kind", code=label(lot))
    kind: Kind = promise.kind or ("buyer" if bought else "producer")
    origin = promise.origin or origin_of(desk, [lot])
    made = _certificate(desk, promise, lot, lot_kg, promise.kg, name, kind, origin)
    event = desk.forms.certificate(lot, made.id, activity, made.record(), replaces)
    desk.lots.append(lot)
    return replace(made, event_id=event["eventID"]), event


def of_run(
    desk: Desk, certify: Certify, inputs: Sequence[Quantity], made: Sequence[tuple[Quantity, Product]]
) -> list[Certificate]:
    """One for each lot that a run makes, over all of it; they stand in the run's own event."""
    if not may_certify(desk.person):
        raise refuse("not_certifying", "certify", status=403)
    went_in = [each.lot for each in inputs]
    kind: Kind = "buyer" if any(desk.stock.bought(lot) for lot in went_in) else "producer"
    origin = certify.origin or origin_of(desk, went_in)
    found = []
    for goods, product in made:
        weight = goods.quantity or 0.0
        if goods.uom is None:
            weight *= product.net_content_kg or 0.0
        found.append(_certificate(desk, certify, goods.lot, weight, weight, product.name, kind, origin))
    desk.certificates += found
    return found


def in_ilmd(issued: Sequence[Certificate]) -> Event:
    if not issued:
        return {}
    records = [each.record() for each in issued]
    return ilmd(certificate=records[0] if len(records) == 1 else records)


def _certificate(
    desk: Desk,
    certify: Certify,
    lot: str,
    lot_kg: float,
    kg: float,
    product: Name,
    kind: Kind,
    origin: str,
) -> Certificate:
    """Without the name of its event, which is not said yet."""
    identity, number = desk.numbers.certificate(desk.day)
    return Certificate(
        id=identity,
        number=number,
        organisation=desk.us.id,
        kind=kind,
        lot=lot,
        lot_kg=lot_kg,
        product=product,
        kg=kg,
        origin=origin,
        declared_by=desk.us.party,
        contact=certify.contact,
        basis=certify.basis,
        evidence=tuple(canonical(each) for each in certify.evidence),
        issued_at=desk.at,
        issued_by=desk.person.account,
        event_id="",
    )


def origin_of(desk: Desk, lots: Iterable[str]) -> str:
    """Where it grew, by the names of the plots. Refused where the record does not tell it of all that went in."""
    plots: dict[str, None] = {}
    for each in dict.fromkeys(each for lot in lots for each in desk.stock.behind(lot)):
        portions = desk.stock.genealogy.portions(each)
        if any(portion.inputs for portion in portions):
            continue
        grown = tuple(_birthplaces(desk, portions))
        if not grown:
            raise refuse("origin_needed", "origin", status=422)
        plots |= dict.fromkeys(grown)
    return "、".join(plots)[:200]


def _birthplaces(desk: Desk, portions: Iterable[Portion]) -> Iterable[str]:
    """A stall or a store where goods were seen first is not where they grew."""
    for portion in portions:
        first = next(
            (item.event for item in portion.journey if item.event.biz_location or item.event.read_point), None
        )
        seen = None if first is None else first.biz_location or first.read_point
        place = None if seen is None else desk.registered.place(canonical(seen.id))
        if place is not None and place.kind in PLOTS:
            yield place.name.zh


_PROMISED = (
    "SELECT coalesce(sum(quantity_kg), 0) FROM certificate WHERE lot = %s AND status = 'valid' AND id <> %s"
)


def promised_kg(conn: psycopg.Connection, lot: str, but_for: str = "") -> float:
    row = conn.execute(_PROMISED, [lot, but_for]).fetchone()
    assert row is not None
    return float(row[0])


def certifiable_kg(conn: psycopg.Connection, stock: Stock, lot: str) -> float:
    """What may still be promised of it."""
    return max(0.0, stock.certifiable_kg(lot) - promised_kg(conn, lot))


def refuse_over(conn: psycopg.Connection, lot: str, lot_kg: float, wanted: float, but_for: str = "") -> None:
    promised = promised_kg(conn, lot, but_for)
    if promised + wanted > lot_kg + NOTHING:
        left = max(0.0, lot_kg - promised)
        raise refuse(
            "over_certified",
            "kg",
            lot=label(lot),
            made=amount(lot_kg, KILOGRAM),
            promised=amount(promised, KILOGRAM),
            left=amount(left, KILOGRAM),
            wanted=amount(wanted, KILOGRAM),
        )


# --- voiding -----------------------------------------------------------------------------------------------------------


def voided(desk: Desk, certificate: Certificate, reason: str, replaced_by: str | None = None) -> Event:
    """The event that says so, and why. The row follows with `close`."""
    status: Status = "void" if replaced_by is None else "replaced"
    ended = replace(certificate, status=status, replaced_by=replaced_by, void_reason=reason)
    return desk.forms.certificate(certificate.lot, certificate.id, "certificate_voided", ended.record())


_CLOSE = """
UPDATE certificate SET status = %s, replaced_by = %s, voided_at = %s, void_reason = %s WHERE id = %s AND status = 'valid'
"""


def close(
    conn: psycopg.Connection,
    certificate: Certificate,
    reason: str,
    now: datetime,
    replaced_by: str | None = None,
) -> None:
    status = "void" if replaced_by is None else "replaced"
    done = conn.execute(_CLOSE, [status, replaced_by, now, reason, certificate.id])
    if done.rowcount != 1:
        raise refuse("certificate_not_valid", number=certificate.number)


# --- rows -----------------------------------------------------------------------------------------------------------------

_INSERT = """
INSERT INTO certificate (id, number, organisation, kind, lot, lot_kg, product_zh, product_en, quantity_kg, origin, declared_by,
  contact, basis, evidence, issued_at, issued_by, event_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def remember(conn: psycopg.Connection, made: Certificate) -> None:
    """Raises Refused where the database finds that more is promised than there was."""
    try:
        with conn.transaction():
            conn.execute(
                _INSERT,
                [made.id, made.number, made.organisation, made.kind, made.lot, made.lot_kg, made.product.zh, made.product.en,
                 made.kg, made.origin, made.declared_by, made.contact, list(made.basis), list(made.evidence), made.issued_at,
                 made.issued_by, made.event_id],
            )  # fmt: skip
    except psycopg.errors.CheckViolation as error:
        if error.diag.constraint_name != "certificate_within_lot":
            raise
        refuse_over(conn, made.lot, made.lot_kg, made.kg)
        raise


_READ = """
SELECT id, number, organisation, kind, lot, lot_kg, product_zh, product_en, quantity_kg, origin, declared_by, contact, basis, evidence,
       issued_at, issued_by, event_id, status, replaced_by, voided_at, void_reason
FROM certificate
"""


def own_certificates(conn: psycopg.Connection, lot: str | None = None, limit: int = 200) -> list[Certificate]:
    """One's own, newest first."""
    query = (
        _READ + " WHERE %(lot)s::text IS NULL OR lot = %(lot)s ORDER BY issued_at DESC, id LIMIT %(limit)s"
    )
    with conn.cursor(row_factory=dict_row) as cursor:
        return [_read(row) for row in cursor.execute(query, {"lot": lot, "limit": limit})]


def read_certificate(conn: psycopg.Connection, code: str) -> Certificate:
    """One's own, by identifier or number. Raises Refused 404."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_READ + " WHERE id = %s OR number = %s", [canonical(code), code]).fetchone()
    if row is None:
        raise refuse("no_certificate", status=404, code=code[:80])
    return _read(row)


def as_written(conn: psycopg.Connection, vault: Vault, certificate: Certificate) -> Certificate:
    """With the words that people wrote, which rest in the vault: for whoever reads or prints it."""
    contact, reason = (
        ERASED if is_person(each) else each
        for each in vault.reading(conn, [certificate.contact, certificate.void_reason])
    )
    return replace(certificate, contact=contact, void_reason=reason)


def of_events(conn: psycopg.Connection, event_ids: Sequence[str]) -> list[Certificate]:
    """Those that these events say."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return [_read(row) for row in cursor.execute(_READ + " WHERE event_id = ANY (%s)", [list(event_ids)])]


def _read(row: dict[str, Any]) -> Certificate:
    return Certificate(
        id=row["id"],
        number=row["number"],
        organisation=row["organisation"],
        kind=cast(Kind, row["kind"]),
        lot=row["lot"],
        lot_kg=row["lot_kg"],
        product=Name(row["product_zh"], row["product_en"]),
        kg=row["quantity_kg"],
        origin=row["origin"],
        declared_by=row["declared_by"],
        contact=row["contact"],
        basis=tuple(row["basis"]),
        evidence=tuple(row["evidence"]),
        issued_at=row["issued_at"],
        issued_by=row["issued_by"],
        event_id=row["event_id"],
        status=cast(Status, row["status"]),
        replaced_by=row["replaced_by"],
        voided_at=row["voided_at"],
        void_reason=row["void_reason"],
    )
