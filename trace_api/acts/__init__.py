"""Acts: what a person does at the field, packhouse, store, truck, market and shop becomes EPCIS events.

models.py        what a person says, one model an act       shapes.py      what the models are made of
refusals.py      why it was not taken, in both languages    fields.py      values as people write them
roles.py         who does what                              codes.py       which thing a scanned code names
registered.py    who and what is registered                 numbers.py     lots, serials, units, papers
stock.py         what there is, where, whose                forms.py       the events, by EVENTS.md (pure)
desk.py          what a planner has in front of it, and the rules all acts share
  farm.py   road.py   market.py   shop.py                   the planners: checked against the record, said as events
results.py       residue tests beside their events, and the holds that stand on them
certificates.py  the rules of the 承诺达标合格证             certifying.py  issued, voided, replaced
promises.py      one of them, as it is kept
acting.py        perform(): lock, plan, record, remember    undo.py        taken back within minutes
routes.py        /api/v1/acts, /certificates, /stock
"""

from __future__ import annotations

from trace_api.acts.acting import UNDO_WITHIN, Done, perform, said
from trace_api.acts.certificates import certifiable_kg, own_certificates, read_certificate
from trace_api.acts.certifying import issue_certificate, replace_certificate, void_certificate
from trace_api.acts.codes import label, resolve
from trace_api.acts.models import ACTS
from trace_api.acts.numbers import SerialRange
from trace_api.acts.promises import Certificate
from trace_api.acts.refusals import Fault, Refused, read_act, read_form, refuse
from trace_api.acts.registered import Registered
from trace_api.acts.roles import ACTS_BY_ROLE, kinds_for, may_certify
from trace_api.acts.shapes import Act, Certify, Promise
from trace_api.acts.stock import Row, Stock, read_own_stock, read_stock
from trace_api.acts.undo import PastAct, Undone, corrected_by, own_acts, read_past, undo, undoable

__all__ = [
    "ACTS",
    "ACTS_BY_ROLE",
    "UNDO_WITHIN",
    "Act",
    "Certificate",
    "Certify",
    "Done",
    "Fault",
    "PastAct",
    "Promise",
    "Refused",
    "Registered",
    "Row",
    "SerialRange",
    "Stock",
    "Undone",
    "certifiable_kg",
    "corrected_by",
    "issue_certificate",
    "kinds_for",
    "label",
    "may_certify",
    "own_acts",
    "own_certificates",
    "perform",
    "read_act",
    "read_certificate",
    "read_form",
    "read_own_stock",
    "read_past",
    "read_stock",
    "refuse",
    "replace_certificate",
    "resolve",
    "said",
    "undo",
    "undoable",
    "void_certificate",
]
