"""Who may lift a hold, and when.

In the line: market.py's release and laboratory -> here -> refused or not. Contract: a hold is lifted by the organisation that
set it, and by nobody who merely has the goods; where a screen was positive, after a laboratory's negative result and not
before, which may lift it by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ledger.genealogy import Portion, RecordedEvent
from trace_api.acts import results
from trace_api.acts.codes import label
from trace_api.acts.refusals import refuse

if TYPE_CHECKING:
    from trace_api.acts.desk import Desk
    from trace_api.acts.stock import Row

HELD: Final = "unavailable"


def refuse_release(desk: Desk, rows: Iterable[Row], report: str | None) -> None:
    """`report`: the laboratory's number, on which those go who keep no results of tests here."""
    for row in rows:
        code = label(row.unit or row.lot)
        if HELD not in row.marks:
            raise refuse("not_held", "units", code=code)
        setters = _setters(_portion(desk, row))
        if all(each.organisation != desk.us.id for each in setters):
            raise refuse("held_by_other", "units", code=code)
        told_on_paper = report is not None and "market" not in desk.person.roles
        found = results.against(_found(desk, row))
        if found is not None and (found.kind == "laboratory" or not told_on_paper):
            raise refuse("screen_open", "units", code=code)


def cleared(desk: Desk, rows: Iterable[Row], lot: str, at: datetime) -> bool:
    """Whether a clean result of `lot` lifts the hold on these: tests of ours set it and nothing else did, and nothing stands
    against the other lots among them, nor against `lot` itself since that result was found (`at`)."""
    for row in rows:
        setters = _setters(_portion(desk, row))
        if not setters or not all(_our_test(desk, each) for each in setters):
            return False
        clean = [_Found("laboratory", "negative", at)] if row.lot == lot else []
        if results.against([*_found(desk, row), *clean]) is not None:
            return False
    return True


def _our_test(desk: Desk, item: RecordedEvent) -> bool:
    return item.organisation == desk.us.id and results.says_a_test(item.event)


def _setters(portion: Portion) -> tuple[RecordedEvent, ...]:
    """The events that put goods on hold and count, since the last that released them."""
    return portion.set_by.get(HELD, ())


def _portion(desk: Desk, row: Row) -> Portion:
    return next(each for each in desk.stock.genealogy.portions(row.lot) if each.name == row.portion)


@dataclass(frozen=True, slots=True)
class _Found:
    kind: str
    outcome: str
    at: datetime


_RESULTS: Final = """
SELECT test.kind, test.outcome, test.result_at FROM test_record AS test LEFT JOIN event AS said ON said.id = test.event
WHERE test.lot = %(lot)s AND test.outcome <> 'pending' AND (test.unit IS NULL OR test.unit = ANY (%(units)s))
  AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = test.organisation
                  AND declared.event_id = said.event_id AND declared.is_error)
ORDER BY test.result_at, test.number
"""
_OF_EVENTS: Final = """
SELECT DISTINCT said.event_id FROM test_record AS test JOIN event AS said ON said.id = test.event
WHERE said.event_id = ANY (%s)
"""


def _found(desk: Desk, row: Row) -> list[_Found]:
    """Of the goods in whatever unit they were, and what set their hold if only an event says it: a row says of which lot its
    sample was, an event names all that lies in a unit."""
    portion = _portion(desk, row)
    units = [span.value for span in portion.containers]
    found = [_Found(*each) for each in desk.conn.execute(_RESULTS, {"lot": row.lot, "units": units})]
    screens = [item.event for item in _setters(portion) if results.screens(item.event)]
    names = [event.event_id for event in screens]
    written = {each[0] for each in desk.conn.execute(_OF_EVENTS, [names])} if names else set()
    return found + [
        _Found("rapid", "positive", event.event_time) for event in screens if event.event_id not in written
    ]
