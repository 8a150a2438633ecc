"""Certificates on their own: issue one, void one, put another in its place. Each is an act of its own with its event.

In the line: a form or a request -> here -> certificates.py's rules -> one event (two where one replaces another) and the row.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import psycopg

from ledger.persons import Vault
from trace_api.access import Person
from trace_api.acts import certificates
from trace_api.acts.acting import lock, mint, write
from trace_api.acts.certificates import read_certificate
from trace_api.acts.codes import label
from trace_api.acts.desk import Desk, lay_out
from trace_api.acts.promises import Certificate
from trace_api.acts.refusals import refuse
from trace_api.acts.roles import may_certify
from trace_api.acts.shapes import Act, Promise

KINDS: Final = frozenset({"certificate_issue", "certificate_void", "certificate_replace"})


class _Over(Act):
    """An act about one lot, for the desk to read its record."""

    kind = "certificate"
    codes = ("lot",)

    lot: str


def issue_certificate(
    conn: psycopg.Connection, person: Person, promise: Promise, now: datetime, public_url: str, vault: Vault
) -> Certificate:
    """Raises Refused, and then nothing may be committed."""
    desk = _desk(conn, person, promise.lot, now, public_url)
    made, event = certificates.issue(desk, promise)
    desk.certificates.append(made)
    write(desk, vault, "certificate_issue", promise.model_dump(mode="json", exclude_none=True), [event])
    return made


def void_certificate(
    conn: psycopg.Connection,
    person: Person,
    code: str,
    reason: str,
    now: datetime,
    public_url: str,
    vault: Vault,
) -> Certificate:
    standing = _standing(conn, person, code)
    desk = _desk(conn, person, standing.lot, now, public_url)
    standing = _standing(conn, person, code)  # once more, now that nobody else is at it
    event = certificates.voided(desk, standing, reason)
    write(desk, vault, "certificate_void", {"certificate": standing.id, "reason": reason}, [event])
    named = vault.named(conn, standing.organisation, [reason])
    certificates.close(conn, standing, named.get(reason, reason), now)
    return certificates.as_written(conn, vault, read_certificate(conn, standing.id))


def replace_certificate(
    conn: psycopg.Connection,
    person: Person,
    code: str,
    promise: Promise,
    now: datetime,
    public_url: str,
    vault: Vault,
) -> Certificate:
    """The new one, over the same lot, in the place of the old one, which is never edited."""
    _standing(conn, person, code)
    desk = _desk(conn, person, promise.lot, now, public_url)
    standing = _standing(conn, person, code)
    if desk.lot(promise.lot, "lot") != standing.lot:
        raise refuse("certificate_of_another_lot", "lot", number=standing.number, lot=label(standing.lot))
    desk.at = max(desk.at, standing.issued_at + timedelta(milliseconds=1))
    made, event = certificates.issue(desk, promise, "certificate_replaced", standing.id)
    desk.certificates.append(made)
    ended = certificates.voided(desk, standing, "replaced", made.id)
    certificates.close(conn, standing, "replaced", now, made.id)
    asked = promise.model_dump(mode="json", exclude_none=True) | {"replaces": standing.id}
    write(desk, vault, "certificate_replace", asked, [ended, event])
    return made


def _standing(conn: psycopg.Connection, person: Person, code: str) -> Certificate:
    if not may_certify(person):
        raise refuse("not_certifying", status=403)
    found = read_certificate(conn, code)
    if found.status != "valid":
        raise refuse("certificate_not_valid", number=found.number)
    return found


def _desk(conn: psycopg.Connection, person: Person, lot: str, now: datetime, public_url: str) -> Desk:
    if person.organisation is None:
        raise refuse("no_organisation", status=403)
    if not may_certify(person):
        raise refuse("not_certifying", status=403)
    lock(conn, person)
    desk = lay_out(conn, person, _Over(lot=lot), now, public_url, mint)
    desk.after(desk.stock.of_lot(desk.lot(lot, "lot")))
    return desk
