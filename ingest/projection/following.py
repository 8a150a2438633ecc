"""One step: the events that were sequenced since the last one, and what was registered, each into its rows.

The ledger knows nothing of ingest and leaves no marks; this one consumer reads what was sequenced since its cursor,
recomputes the lots and devices those events concern from all their events, writes what changed, and marks the series in
the places concerned in the same transaction.
Contract: whatever the order in which events arrived, and whether a device, product, place, organisation or rule was
registered before or after them, the tables hold what one pass over all of them would give; dropping them and setting
the cursor to 0 rebuilds them. An event that cannot be projected is set aside and stops no other: the rows of its lots
or devices stay as they were.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import psycopg

from ingest.projection.devices import associated, project_placements
from ingest.projection.goods import project_goods
from ingest.projection.touching import mark_concerned, mark_hand_overs, mark_placed
from ledger import recorded
from ledger.epcis.events import AggregationEvent
from ledger.epcis.identifiers import canonical
from ledger.genealogy import RecordedEvent

logger = logging.getLogger(__name__)

BATCH = 500
BATCHES = 8  # in one step
RETRIED = 50  # of a batch that failed, in one transaction: each of them may cost a whole walk
CHANGES = 50

Item = TypeVar("Item")
Part = Callable[[psycopg.Connection, Sequence[RecordedEvent], datetime, "Walked"], None]


def step(conn: psycopg.Connection, now: datetime) -> bool:
    changed = _follow_registry(conn, now)
    walked = Walked()
    for batch in range(BATCHES):
        if not _follow_events(conn, now, walked):
            return changed or batch > 0
    return True


# --- events ------------------------------------------------------------------------------------------------------


class Walked:
    """Goods that were followed in this step, and up to which position: a walk reads all that hangs together, with what comes
    later in line. Else a backlog of one large chain would be walked again for each batch of it."""

    def __init__(self) -> None:
        self._known_to: dict[str, int] = {}

    def forget(self) -> None:
        """What was walked in a transaction that did not stay."""
        self._known_to.clear()

    def add(self, goods: Iterable[str], position: int) -> None:
        self._known_to.update(dict.fromkeys(goods, position))

    def left(self, new: Sequence[RecordedEvent]) -> set[str]:
        """The goods of those events that no walk has read."""
        found = set[str]()
        for item in new:
            goods = recorded.goods_of([item])
            if any(self._known_to.get(name, 0) < (item.position or 0) for name in goods):
                found |= goods
        return found


def _follow_events(conn: psycopg.Connection, now: datetime, walked: Walked) -> bool:
    cursor = _cursor(conn)
    positions = _positions_after(conn, cursor)
    if not positions:
        return False
    try:
        with conn.transaction():
            new = recorded.after(conn, cursor, BATCH)
            for project in _PARTS.values():
                project(conn, new, now, walked)
            _advance(conn, positions[-1])
    except psycopg.OperationalError:
        raise  # the database's own trouble says nothing of the events
    except Exception:
        # Not lost: the events are recorded, and each that fails by itself is set aside by its position.
        logger.exception("a batch of events could not be projected and is taken apart")
        walked.forget()
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

    _apart(conn, new, lambda some: project(conn, some, now, Walked()), set_aside)


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


def _presence_of_new(
    conn: psycopg.Connection, new: Sequence[RecordedEvent], now: datetime, walked: Walked
) -> None:
    _follow_goods(conn, walked.left(new), now, walked)


def _follow_goods(conn: psycopg.Connection, goods: Collection[str], now: datetime, walked: Walked) -> None:
    """With the devices that somebody moves who has the goods in hand: whose word counts hangs on the hand-overs."""
    if not goods:
        return
    # Asked before the walk: positions become visible in their order, so it reads all events up to this one.
    (known_to,) = conn.execute("SELECT coalesce(max(position), 0) FROM leaf").fetchone() or (0,)
    moved, handed, followed = project_goods(conn, goods, now)
    mark_concerned(conn, moved, project_placements(conn, associated(conn, handed)), now)
    walked.add(followed, known_to)


def _placement_of_new(
    conn: psycopg.Connection, new: Sequence[RecordedEvent], now: datetime, _walked: Walked
) -> None:
    devices = {
        child for item in new if item.event.type == "AssociationEvent" for child in recorded.children(item)
    }
    # Who was the first to pack a unit has a say there, also if its packing is heard of later.
    packed = {item.event.parent_id for item in new if isinstance(item.event, AggregationEvent)} - {None}
    devices |= associated(conn, {canonical(unit) for unit in packed if unit})
    mark_concerned(conn, [], project_placements(conn, devices), now)


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
        mark_concerned(conn, [], project_placements(conn, devices), now)

    def follow(lots: Sequence[str]) -> None:
        _follow_goods(conn, lots, now, Walked())

    def set_aside(identifier: str, error: Exception) -> None:
        _set_aside(conn, 0, identifier, error, now)

    _spread(conn, by_kind.get("product", []), now)
    _spread_hand_overs(conn, by_kind.get("place", []), by_kind.get("organisation", []), now)
    devices = {*by_kind.get("device", []), *associated(conn, by_kind.get("place", []), within=True)}
    _apart(conn, sorted(devices), place, set_aside)
    _apart(conn, by_kind.get("lot", []), follow, set_aside)
    if "limit" in by_kind:
        mark_placed(conn, now)
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


_SPREAD_HAND_OVERS = """
WITH concerned AS (
  SELECT event.id, event.event_time FROM event WHERE event.id IN (
    SELECT event FROM event_mention WHERE split_part(identifier, '/254/', 1) = ANY (%(places)s) OR identifier = ANY (%(places)s)
    UNION SELECT event FROM event_party WHERE organisation = ANY (%(parties)s))
)
INSERT INTO registry_change (kind, identifier, at)
SELECT 'lot', presence.lot, %(now)s::timestamptz
FROM concerned JOIN event_mention AS mention ON mention.event = concerned.id JOIN presence ON presence.holder = mention.identifier
WHERE presence.valid @> concerned.event_time OR upper(presence.valid) = concerned.event_time
UNION
SELECT 'lot', origin.lot, %(now)s
FROM concerned JOIN event_mention AS mention ON mention.event = concerned.id JOIN lot_origin AS origin ON origin.lot = mention.identifier
"""


def _spread_hand_overs(
    conn: psycopg.Connection, places: Sequence[str], parties: Sequence[str], now: datetime
) -> None:
    """Whose a place or a party is decides who took in what was brought or sent there."""
    if places or parties:
        conn.execute(_SPREAD_HAND_OVERS, {"places": list(places), "parties": list(parties), "now": now})


# Hand-overs before placements, which hang on them: a series that is placed anew is marked for all its time there.
_PARTS: Mapping[str, Part] = {
    "presence": _presence_of_new,
    "placement": _placement_of_new,
    "hand_over": lambda conn, new, now, _walked: mark_hand_overs(conn, new, now),
}
