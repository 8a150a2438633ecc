"""Recalls that stand, for whoever looks at goods.

In the line: `published_recall` -> here -> `replay` -> the marks of portions -> checks, refusals, the shopper's page. Contract: read
only; an order acts from its commit on, on what was mixed from recalled goods too, whoever ordered it and before it is projected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import psycopg

from ledger.epcis.events import parse_event
from ledger.genealogy import Line, Orders, RecordedEvent, digest, untagged
from ledger.genealogy.facts import milliseconds

_STANDING: Final = """
SELECT lot, portion, unit, coalesce(organisation, department), issued_at, recall::text FROM published_recall WHERE lot = ANY (%s)
ORDER BY issued_at, recall
"""
_Row = tuple[str | None, str | None, RecordedEvent]


def read_orders(conn: psycopg.Connection, lots: Iterable[str]) -> Orders:
    """`lots`: canonical; what is none is not found."""
    of_lot: defaultdict[str, list[_Row]] = defaultdict(list)
    said: dict[str, RecordedEvent] = {}
    rows = conn.execute(_STANDING, [sorted(lots)]).fetchall()
    for lot, portion, unit, who, at, recall in rows:
        if recall not in said:
            said[recall] = _order(who, at, recall)
        of_lot[lot].append((portion, unit, said[recall]))

    def orders(lot: str, line: Line, inside: frozenset[str]) -> tuple[RecordedEvent, ...]:
        standing = of_lot.get(lot)
        if not standing:
            return ()
        names = _known_as(line)
        # Who sees less of the chain knows the portion by another name: then the unit it is in tells.
        found = {
            item.event.event_id: item
            for named, unit, item in standing
            if named is None or _is_of(named, names, item) or (unit is not None and unit in inside)
        }
        return tuple(found.values())

    return orders


def _known_as(line: Line) -> dict[str, int | None]:
    """Digests of the portion's name, and of those it came of, with when it was split off."""
    found: dict[str, int | None] = {}
    for name, split_ms in line:
        for each in (name, untagged(name)):
            found.setdefault(digest(each), split_ms)
    return found


def _is_of(named: str, names: dict[str, int | None], item: RecordedEvent) -> bool:
    """What was split off before the order is among what it reached by itself, or is not of it."""
    if named not in names:
        return False
    split_ms = names[named]
    return split_ms is None or split_ms >= milliseconds(item.event.event_time)


def _order(who: str, at: datetime, recall: str) -> RecordedEvent:
    """As an event, though none need be recorded: what a mark is set by."""
    said = {
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "eventID": f"urn:uuid:{recall}",
        "eventTime": at.isoformat(timespec="milliseconds"),
        "eventTimeZoneOffset": "+00:00",
        "bizStep": "holding",
        "disposition": "recalled",
        "epcList": [f"urn:uuid:{recall}"],
        "persistentDisposition": {"set": ["recalled"]},
    }
    return RecordedEvent(None, who, parse_event(said))
