"""Marks on the series that sit where goods or devices came or went: limits begin or end there, windows close.

In the line: what `goods` and `devices` changed -> here -> detection and sealing look again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import psycopg

from ingest import marks
from ingest.projection.rows import PlacementRow, PresenceRow
from ledger import recorded
from ledger.epcis import vocabulary
from ledger.genealogy import RecordedEvent

HAND_OVER_STEPS = frozenset({"loading", "unloading", "accepting", "receiving"})

_PLACED_IN = "SELECT series_id, parent FROM placement WHERE parent = ANY (%s)"


def mark_concerned(
    conn: psycopg.Connection, moved: Iterable[PresenceRow], placed: Iterable[PlacementRow], now: datetime
) -> None:
    """Where goods or devices came or went, limits begin or end on the series there: detection looks again."""
    touched: marks.Touched = {}
    by_holder: dict[str, list[tuple[datetime, datetime | None]]] = {}
    for row in moved:
        by_holder.setdefault(row.holder, []).append((row.start, row.end))
    for series, parent in conn.execute(_PLACED_IN, [sorted(by_holder)]):
        for start, end in by_holder[parent]:
            _extend(touched, series, start, end or max(now, start))
    for placement in placed:
        _extend(touched, placement.series, placement.start, placement.end or max(now, placement.start))
    marks.leave(conn, touched, now, reason="placement", consumers=("detection",))


def mark_hand_overs(conn: psycopg.Connection, new: Sequence[RecordedEvent], now: datetime) -> None:
    """At a hand-over the hour so far is sealed at once: neither side can change it afterwards."""
    touched: marks.Touched = {}
    for item in new:
        if item.event.biz_step is None or vocabulary.biz_step(item.event.biz_step) not in HAND_OVER_STEPS:
            continue
        for series, _parent in conn.execute(_PLACED_IN, [sorted(recorded.containers(item))]):
            _extend(touched, series, item.event.event_time, item.event.event_time)
    marks.leave(conn, touched, now, reason="hand_over", consumers=("sealing",))


def mark_placed(conn: psycopg.Connection, now: datetime) -> None:
    """A new limit may have been in force wherever a series ever sat. Left here and not by whoever loads the limit: a
    placement that is written at the same moment would be missed there."""
    touched: marks.Touched = {}
    for series, valid in conn.execute("SELECT series_id, valid FROM placement"):
        _extend(touched, series, valid.lower, valid.upper or max(now, valid.lower))
    marks.leave(conn, touched, now, reason="limit", consumers=("detection",))


def _extend(touched: marks.Touched, series: int, start: datetime, end: datetime) -> None:
    first, last = touched.get(series, (start, end))
    touched[series] = (min(first, start), max(last, end))
