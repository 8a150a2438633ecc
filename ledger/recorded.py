"""Events read back as genealogy wants them: by position, by identifier, or connected through the goods.

Contract: read only; every function takes `conn` first and works in the caller's transaction. Only sequenced events are
seen: an event without a position has no place in the one order yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg

from ledger.epcis.events import read_recorded
from ledger.epcis.identifiers import IdentifierError, parse
from ledger.genealogy import RecordedEvent, touches

GOODS_ROLES = ("epc", "class", "parent", "child", "input", "output")
MOST_EVENTS = 20_000
_SHARED = (
    "giai",
    "grai",
    "gln",
    "geo",
)  # a trailer or a crate meets every lot it ever carried: its events count, its other loads do not
# A pallet's label is never used again, whatever is loaded on it: who is on it belongs together.
_NEVER_SHARED = ("sscc",)


class TooMuch(RuntimeError):
    """More events hang together than one walk may read. Ask for a narrower identifier or a smaller depth."""


@dataclass(frozen=True, slots=True)
class Connected:
    """`lots`: canonical class URIs that hang together; `events`: all that name them or what carried them."""

    lots: frozenset[str]
    events: tuple[RecordedEvent, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where events are read from. `events` gives (position, organisation, JSON text of the event, id); `mentions` the index,
    `said` their types and steps, `places` the registered places and vehicles.

    `OWN` is what row-level security lets a service or an organisation see; `PUBLISHED` what a shopper may see.
    """

    events: str
    mentions: str
    said: str
    places: str


OWN = Shelf(
    "SELECT leaf.position, event.organisation, convert_from(event_bytes.bytes, 'UTF8') AS body, event.id"
    " FROM leaf JOIN event ON event.id = leaf.event JOIN event_bytes ON event_bytes.event = event.id",
    "event_mention",
    "event",
    "place",
)
PUBLISHED = Shelf(
    "SELECT position, organisation, body::text AS body, id FROM published_event",
    "published_mention",
    "published_event",
    "published_place",
)


def after(conn: psycopg.Connection, position: int, limit: int, shelf: Shelf = OWN) -> list[RecordedEvent]:
    """The next events in order of position."""
    rows = conn.execute(
        f"SELECT * FROM ({shelf.events}) AS shelf WHERE position > %s ORDER BY position LIMIT %s",  # noqa: S608
        [position, limit],
    )
    return [_event(row) for row in rows]


def naming(conn: psycopg.Connection, identifiers: Sequence[str], shelf: Shelf = OWN) -> list[RecordedEvent]:
    """All events that name one of the canonical identifiers in any role, in order of position. Raises TooMuch."""
    rows = conn.execute(
        f"SELECT * FROM ({shelf.events}) AS shelf"  # noqa: S608
        f" WHERE id = ANY (ARRAY(SELECT event FROM {shelf.mentions} WHERE identifier = ANY (%s)))"
        " ORDER BY position LIMIT %s",
        [list(identifiers), MOST_EVENTS + 1],
    ).fetchall()
    if len(rows) > MOST_EVENTS:
        raise TooMuch(
            f"more than {MOST_EVENTS} events name {identifiers[0]} and {len(identifiers) - 1} others"
        )
    return [_event(row) for row in rows]


def goods_of(events: Iterable[RecordedEvent]) -> set[str]:
    return {
        mention.identifier
        for item in events
        for mention in touches(item.event)
        if mention.role in GOODS_ROLES
    }


def connected(conn: psycopg.Connection, seeds: Iterable[str], shelf: Shelf = OWN) -> Connected:
    """Follow the goods from the seeds until nothing new is named. Raises TooMuch.

    Not through what many loads share (`_shared`), unless it is a seed.
    """
    seeds = frozenset(seeds)
    frontier, seen, carriers = set(seeds), set[str](), set[str]()
    events: dict[int | None, RecordedEvent] = {}
    while frontier:
        seen |= frontier
        found = naming(conn, sorted(frontier), shelf)
        events |= {item.position: item for item in found}
        if len(events) > MOST_EVENTS:
            raise TooMuch(f"more than {MOST_EVENTS} events hang together with {min(seeds, default='')}")
        named = goods_of(found) - seen - carriers
        carriers |= _shared(conn, named, shelf)
        frontier = named - carriers
    if carriers:
        events |= {item.position: item for item in naming(conn, sorted(carriers), shelf)}
    ordered = tuple(sorted(events.values(), key=lambda item: item.position or 0))
    lots = {name for name in seen if not _is_container(name)} - _shared(conn, seeds, shelf)
    return Connected(frozenset(lots), ordered)


def children(item: RecordedEvent) -> set[str]:
    return {mention.identifier for mention in touches(item.event) if mention.role in ("child", "device")}


def containers(item: RecordedEvent) -> set[str]:
    """What a hand-over moves: parents, children and goods, and the place it happens at."""
    return {
        mention.identifier for mention in touches(item.event) if mention.role in (*GOODS_ROLES, "read_point")
    }


_CARRIERS = """
SELECT id FROM {places} WHERE id = ANY (%(names)s)
UNION
SELECT identifier FROM {mentions} WHERE identifier = ANY (%(names)s) AND role = 'parent' AND event = ANY (ARRAY(
  SELECT id FROM {said} WHERE type = 'AggregationEvent' AND biz_step ~ '(^|[:-])loading$' AND id = ANY (ARRAY(
    SELECT event FROM {mentions} WHERE identifier = ANY (%(names)s) AND role = 'parent'))))
"""


def _shared(conn: psycopg.Connection, names: Iterable[str], shelf: Shelf) -> set[str]:
    """Those of the names that carry one load after another: by their scheme, as a registered place or vehicle, or
    because something was loaded on them. Asked of all events, so that the answer does not hang on where a walk began.
    """
    schemes = {name: _scheme(name) for name in names}
    by_scheme = {name for name, scheme in schemes.items() if scheme in _SHARED}
    asked = [name for name in schemes if name not in by_scheme and schemes[name] not in _NEVER_SHARED]
    if not asked:
        return by_scheme
    query = _CARRIERS.format(places=shelf.places, mentions=shelf.mentions, said=shelf.said)
    return by_scheme | {str(name) for (name,) in conn.execute(query.encode(), {"names": asked})}


def _is_container(name: str) -> bool:
    return _scheme(name) in ("sscc", *_SHARED)


def _scheme(name: str) -> str:
    """What is recorded stays traceable, even under an identifier that is not well made."""
    try:
        return parse(name).scheme
    except IdentifierError:
        return "uri"


def _event(row: tuple[int, str, str, int]) -> RecordedEvent:
    return RecordedEvent(position=row[0], organisation=row[1], event=read_recorded(row[2]))
