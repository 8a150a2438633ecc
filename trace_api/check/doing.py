"""The acts at the gate: each is one act of `trace_api.acts`, with the residue test written down beside its event.

In the line: a form of the page -> here -> the record. Contract: in the caller's transaction, so that a test is never without
its event; what the record does not bear is `Refused`, and nothing is half done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from trace_api.access import Person
from trace_api.acts import Act, Done, kinds_for, perform, read_act, refuse
from trace_api.acts.models import RapidTest, Sample
from trace_api.check import residues
from trace_api.check.reading import Code, read, short
from trace_api.check.residues import NewTest, Outcome
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
    "rapid_test": ("units", "lot", "sample", "method", "value"),
}
_OUTCOMES: Final[Mapping[str, Outcome]] = {
    "pending": "pending",
    "negative": "negative",
    "positive": "positive",
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
) -> Done:
    """Raises Refused."""
    if act.kind not in offered(person):
        raise refuse("not_your_act", status=403, kind=act.kind)
    if isinstance(act, RapidTest):
        act = act.model_copy(update={"threshold": rules.rapid_threshold_percent, "not_covered": NOT_COVERED})
    done = perform(conn, person, act, now, public_url)
    for test in _tests(conn, act, done, form, now):
        residues.record_test(conn, person, test, rules, now)
    return done


def _tests(conn: psycopg.Connection, act: Act, done: Done, form: Sent, now: datetime) -> list[NewTest]:
    """The rows of a sample and of a rapid result. A result judges the lot that its sample was taken from, and no other lot that
    lies beside it. Raises Refused where nothing tells which lot that is."""
    if isinstance(act, Sample):
        number = act.number or next(iter(done.documents), "")
        named = read(act.unit) if act.unit else None
        unit = named.uri if isinstance(named, Code) else None
        return [_waiting(act, lot, unit, short(number), done) for lot in done.lots]
    if isinstance(act, RapidTest):
        told = now if form.text("told") else None
        if (sampled_from := residues.sampled(conn, act.sample, done.lots)) is not None:
            return [_screened(act, *sampled_from, told, done)]
        if len(done.lots) != 1:
            code = short(done.units[0]) if len(done.units) == 1 else act.sample
            raise refuse("several_lots", "sample", status=422, code=code, count=len(done.lots))
        unit = done.units[0] if len(done.units) == 1 else None
        return [_screened(act, done.lots[0], unit, told, done)]
    return []


def _waiting(act: Sample, lot: str, unit: str | None, number: str, done: Done) -> NewTest:
    return NewTest(
        lot=lot,
        unit=unit,
        place=act.place,
        sample=number,
        kind="rapid",
        method="",
        sampled_at=done.at,
        result_at=None,
        outcome="pending",
        event_id=done.events[0],
    )


def _screened(act: RapidTest, lot: str, unit: str | None, told: datetime | None, done: Done) -> NewTest:
    outcome = residues.outcome_of(act.value, act.threshold)
    return NewTest(
        lot=lot,
        unit=unit,
        place=act.place,
        sample=act.sample,
        kind="rapid",
        method=act.method,
        sampled_at=act.sampled_at or done.at,
        result_at=done.at,
        outcome=outcome,
        value=act.value,
        uom="P1",
        threshold=act.threshold,
        covers=COVERS,
        not_covered=NOT_COVERED,
        told=max(told, done.at) if told and outcome == "positive" else None,
        event_id=done.events[0],
    )


def laboratory_results(form: Sent, now: datetime) -> list[NewTest]:
    """One for each lot of the form. Raises Problem 422 where no outcome was chosen."""
    outcome = _OUTCOMES.get(form.text("outcome"))
    if outcome is None or not form.text("sample"):
        raise Problem.said(422, "check_laboratory_missing")
    return [
        NewTest(
            lot=lot,
            unit=form.text("unit") or None,
            place=None,
            sample=form.text("sample")[:100],
            kind="laboratory",
            method=form.text("method")[:200],
            sampled_at=now,
            result_at=None if outcome == "pending" else now,
            outcome=outcome,
        )
        for lot in form.all("lot")
    ]


def told(conn: psycopg.Connection, test: str, now: datetime) -> bool:
    """The seller knows. False: no such test of ours, or they knew before."""
    try:
        return residues.tell_seller(conn, UUID(test), now)
    except ValueError:
        return False
