"""Who may lift a hold, and when.

In the line: market.py's release -> here -> refused or not. Contract: a hold is lifted by the organisation that set it, and by
nobody who merely has the goods; where a screen was positive, after a laboratory's negative result and not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ledger.epcis import vocabulary
from ledger.genealogy import RecordedEvent
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
        setter = _setter(desk, row)
        if setter is None or setter.organisation != desk.us.id:
            raise refuse("held_by_other", "units", code=code)
        if not _settled(desk, row, setter, report):
            raise refuse("screen_open", "units", code=code)


def _setter(desk: Desk, row: Row) -> RecordedEvent | None:
    """The event that set the hold as it stands."""
    found: RecordedEvent | None = None
    for portion in desk.stock.genealogy.portions(row.lot):
        for item in portion.journey if portion.name == row.portion else ():
            marks = getattr(item.event, "persistent_disposition", None)
            if marks and any(vocabulary.disposition(mark) == HELD for mark in marks.unset):
                found = None
            if found is None and marks and any(vocabulary.disposition(mark) == HELD for mark in marks.set):
                found = item
    return found


_RESULTS: Final = """
SELECT test.kind, test.outcome, test.result_at FROM test_record AS test LEFT JOIN event AS said ON said.id = test.event
WHERE test.lot = %(lot)s AND test.outcome <> 'pending' AND (test.unit IS NULL OR test.unit = ANY (%(units)s))
  AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = test.organisation
                  AND declared.event_id = said.event_id AND declared.is_error)
ORDER BY test.result_at, test.number
"""


def _settled(desk: Desk, row: Row, setter: RecordedEvent, report: str | None) -> bool:
    """Whether no screen was positive, or a laboratory found nothing since. Its last word counts."""
    rows = desk.conn.execute(_RESULTS, {"lot": row.lot, "units": list(row.containers)}).fetchall()
    finals: list[tuple[str, datetime]] = [(outcome, at) for kind, outcome, at in rows if kind == "laboratory"]
    positive = [at for kind, outcome, at in rows if kind == "rapid" and outcome == "positive"]
    if _is_test(setter):
        positive.append(setter.event.event_time)
    if finals and finals[-1][0] == "positive":
        return False
    if not positive or (finals and finals[-1][1] >= max(positive)):
        return True
    return report is not None and "market" not in desk.person.roles


def _is_test(item: RecordedEvent) -> bool:
    reports = (report for element in item.event.sensor_element_list for report in element.sensor_report)
    return any("CholinesteraseInhibition" in str(report.type or "") for report in reports)
