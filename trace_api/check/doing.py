"""The acts at the gate: each is one act of `trace_api.acts`.

In the line: a form of the page -> here -> the record. Contract: in the caller's transaction; what the record does not bear is
`Refused`, and nothing is half done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from ledger.persons import Vault
from trace_api.access import Person
from trace_api.acts import Act, Done, kinds_for, perform, read_act, refuse
from trace_api.acts.models import RapidTest
from trace_api.acts.results import NewTest
from trace_api.check import residues
from trace_api.check.rules import Rules
from trace_api.problems import Problem
from trace_api.work import Sent

# Kind -> the fields of its form. Whatever else is sent is none of the act's.
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "inspect": ("units", "lot", "conformant", "place", "pulp", "reason"),
    "accept": ("units", "lot", "place", "seller", "receipt"),
    "refuse_part": ("unit", "lot_of_unit", "boxes", "reason", "serials"),
    "hold": ("units", "lot", "reason"),
    "release": ("units", "lot", "reason", "report"),
    "sample": ("unit", "lot", "kg", "authority", "number"),
    "rapid_test": ("units", "lot", "lot_of_unit", "sample", "method", "value"),
    "laboratory": ("units", "lot", "lot_of_unit", "sample", "method", "outcome"),
}
COVERS: Final = ("organophosphates", "carbamates")
NOT_COVERED: Final = ("fungicides", "plant growth regulators")


def offered(person: Person) -> frozenset[str]:
    """What the person may do at the gate."""
    return kinds_for(person) & FIELDS.keys()


def read_form(kind: str, form: Sent) -> Act:
    """The act that a form of the page says. Raises Refused."""
    fields: dict[str, Any] = {name: form.text(name) for name in FIELDS.get(kind, ()) if form.text(name)}
    lot = fields.pop("lot", None)
    if lot is not None and kind != "sample" and "units" not in fields:
        fields["goods"] = [{"lot": lot}]  # loose goods: all of the lot that lies there
    elif lot is not None and kind == "sample":
        fields["lot"] = lot
    if "lot_of_unit" in fields:
        fields["lot"] = fields.pop("lot_of_unit")
    return read_act(kind, fields)


def do(
    conn: psycopg.Connection,
    person: Person,
    act: Act,
    form: Sent,
    rules: Rules,
    now: datetime,
    public_url: str,
    vault: Vault,
) -> Done:
    """Raises Refused."""
    if act.kind not in offered(person):
        raise refuse("not_your_act", status=403, kind=act.kind)
    if isinstance(act, RapidTest):
        told = now if form.text("told") else None
        measured = {"threshold": rules.rapid_threshold_percent, "covers": COVERS, "not_covered": NOT_COVERED}
        act = act.model_copy(update=measured | {"told": told})
    return perform(conn, person, act, now, public_url, vault)


def sent_to_laboratory(form: Sent, now: datetime) -> NewTest:
    """Goods that wait for a laboratory: a row of its own, since nothing happens to them meanwhile. Raises Problem 422."""
    if not form.text("sample") or not form.text("lot"):
        raise Problem.said(422, "check_laboratory_missing")
    return NewTest(
        lot=form.text("lot"),
        unit=form.text("units") or None,
        place=None,
        sample=form.text("sample")[:60],
        kind="laboratory",
        method=form.text("method")[:200],
        sampled_at=now,
        result_at=None,
        outcome="pending",
    )


def told(conn: psycopg.Connection, test: str, now: datetime) -> bool:
    """The seller knows. False: no such test of ours, or they knew before."""
    try:
        return residues.tell_seller(conn, UUID(test), now)
    except ValueError:
        return False
