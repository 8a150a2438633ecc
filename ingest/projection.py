"""Events, in order of their position, into placements and presences, and marks for the series they concern.

The ledger knows nothing of ingest and leaves no marks; this one consumer reads what was sequenced since its cursor,
recomputes the lots and devices those events concern from all their events, writes what changed, and marks the series in
the places concerned in the same transaction.
Contract: whatever the order in which events arrived, and whether a device, product or rule was registered before or
after them, the tables hold what one pass over all of them would give; dropping them and setting the cursor to 0
rebuilds them. An event that cannot be projected is set aside and stops no other: the rows of its lots or devices stay
as they were.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import psycopg
from psycopg.types.range import TimestamptzRange

from ingest import marks
from ledger import recorded
from ledger.epcis import vocabulary
from ledger.genealogy import Placement, RecordedEvent, placements, presence

logger = logging.getLogger(__name__)

BATCH = 500
RETRIED = 50  # of a batch that failed, in one transaction: each of them may cost a whole walk
CHANGES = 50
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HAND_OVER_STEPS = frozenset({"loading", "unloading", "accepting", "receiving"})

Interval = tuple[datetime | None, datetime | None]
Item = TypeVar("Item")
Part = Callable[[psycopg.Connection, Sequence[RecordedEvent], datetime], None]


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
    changed = _follow_registry(conn, now)
    return _follow_events(conn, now) or changed


# --- events ------------------------------------------------------------------------------------------------------


def _follow_events(conn: psycopg.Connection, now: datetime) -> bool:
    cursor = _cursor(conn)
    positions = _positions_after(conn, cursor)
    if not positions:
        return False
    try:
        with conn.transaction():
            new = recorded.after(conn, cursor, BATCH)
            for project in _PARTS.values():
                project(conn, new, now)
            _advance(conn, positions[-1])
    except psycopg.OperationalError:
        raise  # the database's own trouble says nothing of the events
    except Exception:
        # Not lost: the events are recorded, and each that fails by itself is set aside by its position.
        logger.exception("a batch of events could not be projected and is taken apart")
        _project_apart(conn, cursor, positions[:RETRIED], now)
    return True


def _positions_after(conn: psycopg.Connection, cursor: int) -> list[int]:
    """Those of `recorded.after`, without reading the events: one of them may be what cannot be read."""
    rows = conn.execute(
        "SELECT position FROM leaf WHERE event IS NOT NULL AND position > %s ORDER BY position LIMIT %s",
        [cursor, BATCH],
    )
    return [int(position) for (position,) in rows]


def _project_apart(conn: psycopg.Connection, cursor: int, positions: Sequence[int], now: datetime) -> None:
    """Part by part: where a device sits does not hang on whether the goods beside it can be followed."""
    new: list[RecordedEvent] = []

    def read(some: Sequence[int]) -> None:
        found = recorded.after(conn, some[0] - 1, len(some))
        new.extend(found)

    _apart(conn, positions, read, lambda position, error: _set_aside(conn, position, "event", error, now))
    for name, project in _PARTS.items():
        _project_part(conn, name, project, new, now)
    _advance(conn, positions[-1])


def _project_part(
    conn: psycopg.Connection, name: str, project: Part, new: Sequence[RecordedEvent], now: datetime
) -> None:
    def set_aside(item: RecordedEvent, error: Exception) -> None:
        _set_aside(conn, item.position or 0, name, error, now)

    _apart(conn, new, lambda some: project(conn, some, now), set_aside)


def _apart(
    conn: psycopg.Connection,
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], object],
    set_aside: Callable[[Item, Exception], None],
) -> None:
    """Work on all items that bear it: what fails together is halved, down to the single item that is set aside.

    Halves and not one by one from the start: one bad event among many costs a few walks and not many, and events
    that are only too many together find their way in smaller parties.
    """
    if not items:
        return
    try:
        with conn.transaction():
            work(items)
        return
    except psycopg.OperationalError:
        raise
    except Exception as error:
        if len(items) == 1:
            set_aside(items[0], error)
            return
    middle = len(items) // 2
    _apart(conn, items[:middle], work, set_aside)
    _apart(conn, items[middle:], work, set_aside)


def _set_aside(conn: psycopg.Connection, position: int, part: str, error: Exception, now: datetime) -> None:
    logger.error(
        "what cannot be projected is set aside", exc_info=error, extra={"position": position, "part": part}
    )
    conn.execute(
        "INSERT INTO set_aside (position, part, reason, at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [position, part, f"{type(error).__name__}: {error}".replace("\0", ""), now],
    )


def _cursor(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT position FROM projection WHERE name = 'portions'").fetchone()
    return 0 if row is None else int(row[0])


def _advance(conn: psycopg.Connection, position: int) -> None:
    conn.execute(
        "INSERT INTO projection (name, position) VALUES ('portions', %s)"
        " ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position",
        [position],
    )


def _presence_of_new(conn: psycopg.Connection, new: Sequence[RecordedEvent], now: datetime) -> None:
    _mark_concerned(conn, _project_presences(conn, recorded.goods_of(new)), [], now)


def _placement_of_new(conn: psycopg.Connection, new: Sequence[RecordedEvent], now: datetime) -> None:
    devices = {
        child for item in new if item.event.type == "AssociationEvent" for child in recorded.children(item)
    }
    _mark_concerned(conn, [], _project_placements(conn, devices), now)


# --- the registry ------------------------------------------------------------------------------------------------


_TAKE_CHANGES = """
DELETE FROM registry_change WHERE id = ANY (ARRAY(SELECT id FROM registry_change ORDER BY id LIMIT %s)) RETURNING kind, identifier
"""


def _follow_registry(conn: psycopg.Connection, now: datetime) -> bool:
    """What was registered after the events that rest on it: as if it had been there before them."""
    changes = sorted(set(conn.execute(_TAKE_CHANGES, [CHANGES])))
    by_kind: dict[str, list[str]] = {}
    for kind, identifier in changes:
        by_kind.setdefault(kind, []).append(identifier)

    def place(devices: Sequence[str]) -> None:
        _mark_concerned(conn, [], _project_placements(conn, devices), now)

    def follow(lots: Sequence[str]) -> None:
        _mark_concerned(conn, _project_presences(conn, lots), [], now)

    def set_aside(identifier: str, error: Exception) -> None:
        _set_aside(conn, 0, identifier, error, now)

    _spread(conn, by_kind.get("product", []), now)
    _apart(conn, by_kind.get("device", []), place, set_aside)
    _apart(conn, by_kind.get("lot", []), follow, set_aside)
    if "limit" in by_kind:
        _mark_placed(conn, now)
    return bool(changes)


_SPREAD = """
INSERT INTO registry_change (kind, identifier, at)
SELECT DISTINCT 'lot', mention.identifier, %s::timestamptz
FROM unnest(%s::text[]) AS class (uri), event_mention AS mention
WHERE mention.role = ANY (%s)
  AND mention.identifier NOT LIKE '%%/10/%%/21/%%'  -- a box names its lot beside it
  AND (mention.identifier = uri OR starts_with(mention.identifier, uri || '/') OR starts_with(mention.identifier, uri || '.'))
"""


def _spread(conn: psycopg.Connection, classes: Sequence[str], now: datetime) -> None:
    """A class that changed becomes its lots: a season's are too many for one transaction."""
    if classes:
        conn.execute(_SPREAD, [now, list(classes), list(recorded.GOODS_ROLES)])


def _mark_placed(conn: psycopg.Connection, now: datetime) -> None:
    """A new limit may have been in force wherever a series ever sat. Left here and not by whoever loads the limit: a
    placement that is written at the same moment would be missed there."""
    touched: marks.Touched = {}
    for series, valid in conn.execute("SELECT series_id, valid FROM placement"):
        _extend(touched, series, valid.lower, valid.upper or max(now, valid.lower))
    marks.leave(conn, touched, now, reason="limit", consumers=("detection",))


# --- rows --------------------------------------------------------------------------------------------------------


def _project_presences(conn: psycopg.Connection, goods: Iterable[str]) -> list[PresenceRow]:
    """Returns the rows that came or went."""
    concerned = recorded.connected(conn, goods)
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


def _project_placements(conn: psycopg.Connection, concerned: Iterable[str]) -> list[PlacementRow]:
    """The same for where devices (GIAI) sit. A device or channel that is not registered has no series and no row."""
    devices = sorted(set(concerned))
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


# Placements first: the others leave marks on the series that sit where goods moved.
_PARTS: Mapping[str, Part] = {
    "placement": _placement_of_new,
    "presence": _presence_of_new,
    "hand_over": _mark_hand_overs,
}


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
