"""Genealogy: which lots went into which, what was inside what, where it was and when.

In the line: recorded events -> here -> placements, presences, portions, traces. Pure: no I/O, no clock; the
same events in any order of arrival give the same answer, and an error declaration takes its event out of all
of them.

    names.py       the one form of a name, and what can be read off it
    facts.py       what an event says; effective(): which events stand, in the order they happened
    mentions.py    touches(): which identifiers an event names, and in which role
    placements.py  placements(): where each device sat
    labels.py      label_ranges(), unit_of(): which boxes went into which unit
    stages.py      field, collected, precooling, cold, loaded, arrived, stall, shelf
    stock.py       the walk over all events, on
      containment.py   what is inside what        holdings.py   the parcels of every lot, made, split, ended
      books.py         how much there can be      pool.py       taking.py   which goods a bare quantity means
    lineage.py     replay(): one walk, and what is asked of it:
      portions.py      where a lot is             presence.py   who was where at which stage
      whereabouts.py   the same, each kilogram once, and with whom
      trace.py         links.py                   what it came from and what it became part of
      weights.py       how much of it went there
      custody.py       who took it in, and what lies behind       origins.py    what it is made of, and where that grew
      marks.py         which recalls and holds count
    accounted.py  what became of every portion      recall.py   what a recall reaches
"""

from __future__ import annotations

from ledger.genealogy.accounted import Accounted, RunGoods, accounted, run_goods
from ledger.genealogy.books import Discrepancy
from ledger.genealogy.custody import Registered, Taking
from ledger.genealogy.facts import RecordedEvent, effective
from ledger.genealogy.labels import LabelRange, label_ranges, unit_of
from ledger.genealogy.lineage import Genealogy, judged, portions, presence, replay, takings, trace
from ledger.genealogy.marks import (
    Belief,
    Judged,
    Line,
    Orders,
    Word,
    concerns_marks,
    digest,
    no_orders,
    spoken,
)
from ledger.genealogy.mentions import Mention, Role, run_of, touches
from ledger.genealogy.names import product_of
from ledger.genealogy.origins import Origin, origins
from ledger.genealogy.parcels import base_vehicle, untagged
from ledger.genealogy.placements import Placement, Say, Voice, placements
from ledger.genealogy.portions import Input, Portion, Span, Stay
from ledger.genealogy.presence import Presence
from ledger.genealogy.stages import STAGES
from ledger.genealogy.trace import Cut, Direction, Edge, Held, Trace
from ledger.genealogy.weights import Weighed, weighed
from ledger.genealogy.whereabouts import Whereabouts

__all__ = [
    "STAGES",
    "Accounted",
    "Belief",
    "Cut",
    "Direction",
    "Discrepancy",
    "Edge",
    "Genealogy",
    "Held",
    "Input",
    "Judged",
    "LabelRange",
    "Line",
    "Mention",
    "Orders",
    "Origin",
    "Placement",
    "Portion",
    "Presence",
    "RecordedEvent",
    "Registered",
    "Role",
    "RunGoods",
    "Say",
    "Span",
    "Stay",
    "Taking",
    "Trace",
    "Voice",
    "Weighed",
    "Whereabouts",
    "Word",
    "accounted",
    "base_vehicle",
    "concerns_marks",
    "digest",
    "effective",
    "judged",
    "label_ranges",
    "no_orders",
    "origins",
    "placements",
    "portions",
    "presence",
    "product_of",
    "replay",
    "run_goods",
    "run_of",
    "spoken",
    "takings",
    "touches",
    "trace",
    "unit_of",
    "untagged",
    "weighed",
]
