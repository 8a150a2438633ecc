"""Events read back as genealogy wants them: by position, by identifier, or connected through the goods.

Contract: read only; every function takes `conn` first and works in the caller's transaction. Only sequenced events are
seen: an event without a position has no place in the one order yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from ledger.epcis.events import parse_event
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


class TooMuch(RuntimeError):
    """More events hang together than one walk may read. Ask for a narrower identifier or a smaller depth."""


@dataclass(frozen=True, slots=True)
class Connected:
    """`lots`: canonical class URIs that hang together; `events`: all that name them or what carried them."""

    lots: frozenset[str]
    events: tuple[RecordedEvent, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where events are read from. `events` gives (position, organisation, JSON of the event, id); `mentions` the index.

    `OWN` is what row-level security lets a service or an organisation see; `PUBLISHED` what a shopper may see.
    """

    events: str
    mentions: str


OWN = Shelf(
    "SELECT leaf.position, event.organisation, convert_from(event_bytes.bytes, 'UTF8')::json AS body, event.id"
    " FROM leaf JOIN event ON event.id = leaf.event JOIN event_bytes ON event_bytes.event = event.id",
    "event_mention",
)
PUBLISHED = Shelf("SELECT position, organisation, body, id FROM published_event", "published_mention")


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
    """Follow the goods from the seeds until nothing new is named. Raises TooMuch."""
    frontier, seen = set(seeds), set()
    events: dict[int | None, RecordedEvent] = {}
    while frontier:
        seen |= frontier
        found = naming(conn, sorted(frontier), shelf)
        events |= {item.position: item for item in found}
        if len(events) > MOST_EVENTS:
            raise TooMuch(f"more than {MOST_EVENTS} events hang together with {next(iter(seeds), '')}")
        frontier = {name for name in goods_of(found) if name not in seen and not _is_shared(name)}
    carriers = {name for name in goods_of(events.values()) if _is_shared(name)} - seen
    if carriers:
        events |= {item.position: item for item in naming(conn, sorted(carriers), shelf)}
    ordered = tuple(sorted(events.values(), key=lambda item: item.position or 0))
    return Connected(frozenset(name for name in seen if not _is_container(name)), ordered)


def children(item: RecordedEvent) -> set[str]:
    return {mention.identifier for mention in touches(item.event) if mention.role in ("child", "device")}


def containers(item: RecordedEvent) -> set[str]:
    """What a hand-over moves: parents, children and goods, and the place it happens at."""
    return {
        mention.identifier for mention in touches(item.event) if mention.role in (*GOODS_ROLES, "read_point")
    }


def _is_shared(name: str) -> bool:
    return _scheme(name) in _SHARED


def _is_container(name: str) -> bool:
    return _scheme(name) in ("sscc", *_SHARED)


def _scheme(name: str) -> str:
    """What is recorded stays traceable, even under an identifier that is not well made."""
    try:
        return parse(name).scheme
    except IdentifierError:
        return "uri"


def _event(row: tuple[int, str, dict[str, Any], int]) -> RecordedEvent:
    return RecordedEvent(position=row[0], organisation=row[1], event=parse_event(row[2]))
