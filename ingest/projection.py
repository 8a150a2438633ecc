"""Events, in order of their position, into placements and presences, and marks for the series they concern.

The ledger knows nothing of ingest and leaves no marks; this one consumer reads what was sequenced since its cursor,
recomputes the lots and devices those events concern from all their events, writes what changed, and marks the series in
the places concerned in the same transaction.
Contract: whatever the order in which events arrived, the tables hold what one pass over all of them would give;
dropping them and setting the cursor to 0 rebuilds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.types.range import TimestamptzRange

from ingest import marks
from ledger import recorded
from ledger.epcis import vocabulary
from ledger.genealogy import Placement, RecordedEvent, placements, presence

BATCH = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HAND_OVER_STEPS = frozenset({"loading", "unloading", "accepting", "receiving"})

Interval = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class PresenceRow:
    holder: str
    lot: str
    rule_product: str | None
    stage: str
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class PlacementRow:
    series: int
    organisation: str
    parent: str
    probe_position: str
    start: datetime
    end: datetime | None
    conflict: bool


def step(conn: psycopg.Connection, now: datetime) -> bool:
    new = recorded.after(conn, _cursor(conn), BATCH)
    if not new:
        return False
    moved = _project_presences(conn, new)
    placed = _project_placements(conn, new)
    _mark_concerned(conn, moved, placed, now)
    _mark_hand_overs(conn, new, now)
    _advance(conn, max(item.position for item in new if item.position is not None))
    return True


def _cursor(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT position FROM projection WHERE name = 'portions'").fetchone()
    return 0 if row is None else int(row[0])


def _advance(conn: psycopg.Connection, position: int) -> None:
    conn.execute(
        "INSERT INTO projection (name, position) VALUES ('portions', %s)"
        " ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position",
        [position],
    )


def _project_presences(conn: psycopg.Connection, new: Sequence[RecordedEvent]) -> list[PresenceRow]:
    """Returns the rows that came or went."""
    concerned = recorded.connected(conn, recorded.goods_of(new))
    lots = sorted(concerned.lots)
    products = _products(conn)
    fresh = {
        PresenceRow(
            row.holder,
            row.lot,
            _rule_product(row.lot, products),
            row.stage,
            _datetime(row.start_ms),
            _maybe(row.end_ms),
        )
        for row in presence(concerned.events, _net_content(conn))
        if row.lot in concerned.lots and row.stage is not None
    }
    standing = {
        PresenceRow(row[0], row[1], row[2], row[3], row[4].lower, row[4].upper)
        for row in conn.execute(
            "SELECT holder, lot, rule_product, stage, valid FROM presence WHERE lot = ANY (%s)", [lots]
        )
    }
    if fresh == standing:
        return []
    conn.execute("DELETE FROM presence WHERE lot = ANY (%s)", [lots])
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO presence (holder, lot, rule_product, stage, valid) VALUES (%s, %s, %s, %s, %s)",
            [
                [row.holder, row.lot, row.rule_product, row.stage, TimestamptzRange(row.start, row.end)]
                for row in fresh
            ],
        )
    return list(fresh ^ standing)


def _project_placements(conn: psycopg.Connection, new: Sequence[RecordedEvent]) -> list[PlacementRow]:
    """The same for where devices sit. A device or channel that is not registered has no series and no row."""
    devices = sorted(
        {child for item in new if item.event.type == "AssociationEvent" for child in recorded.children(item)}
    )
    if not devices:
        return []
    series: dict[str, list[tuple[str, int, str]]] = {}
    for giai, channel, identity, organisation in conn.execute(
        "SELECT device.giai, series.channel, series.id, series.organisation"
        " FROM device JOIN series ON series.device_id = device.id WHERE device.giai = ANY (%s)",
        [devices],
    ):
        series.setdefault(giai, []).append((channel, identity, organisation))
    fresh = {
        PlacementRow(
            identity,
            organisation,
            row.parent,
            row.probe_position or "unknown",
            _datetime(start),
            _maybe(end),
            conflict,
        )
        for row in placements(recorded.naming(conn, devices))
        for channel, identity, organisation in series.get(row.device, ())
        if row.channel in (None, channel)
        for start, end, conflict in _spells(row)
    }
    ids = sorted(identity for channels in series.values() for _, identity, _ in channels)
    standing = {
        PlacementRow(row[0], row[1], row[2], row[3], row[4].lower, row[4].upper, row[5])
        for row in conn.execute(
            "SELECT series_id, organisation, parent, probe_position, valid, conflict FROM placement WHERE series_id = ANY (%s)",
            [ids],
        )
    }
    if fresh == standing:
        return []
    conn.execute("DELETE FROM placement WHERE series_id = ANY (%s)", [ids])
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO placement (series_id, organisation, parent, probe_position, valid, conflict) VALUES (%s, %s, %s, %s, %s, %s)",
            [
                [
                    row.series,
                    row.organisation,
                    row.parent,
                    row.probe_position,
                    TimestamptzRange(row.start, row.end),
                    row.conflict,
                ]
                for row in fresh
            ],
        )
    return list(fresh ^ standing)


def _spells(row: Placement) -> list[tuple[int, int | None, bool]]:
    """The placement cut where the same channel was also said to be elsewhere: only those minutes are in conflict."""
    found: list[tuple[int, int | None, bool]] = []
    at: int | None = row.start_ms
    for start, end in sorted(row.conflicts, key=lambda spell: spell[0]):
        if at is not None and start > at:
            found.append((at, start, False))
        found.append((start, end, True))
        at = end
    if at is not None and (row.end_ms is None or at < row.end_ms):
        found.append((at, row.end_ms, False))
    return found


_PLACED_IN = "SELECT series_id, parent FROM placement WHERE parent = ANY (%s)"


def _mark_concerned(
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


def _mark_hand_overs(conn: psycopg.Connection, new: Sequence[RecordedEvent], now: datetime) -> None:
    """At a hand-over the hour so far is sealed at once: neither side can change it afterwards."""
    touched: marks.Touched = {}
    for item in new:
        if item.event.biz_step is None or vocabulary.biz_step(item.event.biz_step) not in HAND_OVER_STEPS:
            continue
        for series, _parent in conn.execute(_PLACED_IN, [sorted(recorded.containers(item))]):
            _extend(touched, series, item.event.event_time, item.event.event_time)
    marks.leave(conn, touched, now, reason="hand_over", consumers=("sealing",))


def _extend(touched: marks.Touched, series: int, start: datetime, end: datetime) -> None:
    first, last = touched.get(series, (start, end))
    touched[series] = (min(first, start), max(last, end))


def _products(conn: psycopg.Connection) -> list[tuple[str, str]]:
    """(class URI, rule product), longest class first so that the narrowest decides."""
    rows = conn.execute("SELECT unnest(classes), rule_product FROM product").fetchall()
    return sorted(((str(uri), str(rule)) for uri, rule in rows), key=lambda pair: -len(pair[0]))


def _net_content(conn: psycopg.Connection) -> dict[str, float]:
    """Kilograms by class URI, as the pages' own walk has them: both must find the same goods in the same places."""
    rows = conn.execute(
        "SELECT unnest(classes), net_content_kg FROM product WHERE net_content_kg IS NOT NULL"
    )
    return {str(uri): float(kilograms) for uri, kilograms in rows}


def _rule_product(lot: str, products: list[tuple[str, str]]) -> str | None:
    return next(
        (rule for uri, rule in products if lot == uri or lot.startswith((uri + "/", uri + "."))), None
    )


def _maybe(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else _datetime(time_ms)


def _datetime(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time_ms)
