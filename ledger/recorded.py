"""Events read back as genealogy wants them: by position, by identifier, or connected through the goods.

Contract: read only; every function takes `conn` first and works in the caller's transaction. Only sequenced events are
seen, but on the shelf `OWN_NOW`: an event without a position has no place in the one order yet and comes last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import psycopg

from ledger.epcis.events import TransformationEvent, read_recorded
from ledger.epcis.identifiers import IdentifierError, parse
from ledger.genealogy import RecordedEvent, touches
from ledger.genealogy.names import uri

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


Why = Literal["own", "party", "granted", "official", "published"]


@dataclass(frozen=True, slots=True)
class Connected:
    """`lots`: canonical class URIs that hang together; `events`: all that name them or what carried them. `why`: by
    position, why the asker sees it; an event that is shown because it is published has its published fields only.
    `followed`: the names whose goods were followed; `carriers`: what carries one load after another, of which the events were
    read and the loads not followed (but of a seed's)."""

    lots: frozenset[str]
    events: tuple[RecordedEvent, ...]
    why: Mapping[int | None, Why] = field(default_factory=dict)
    followed: frozenset[str] = frozenset()
    carriers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where events are read from. `events` gives (position, organisation, JSON text of the event, id); `mentions` the index,
    `said` their types and steps, `places` the registered places and vehicles. `walk`: a function of the database that
    follows the goods by itself.

    `OWN` is what row-level security lets a service or an organisation see, `OWN_NOW` the same with what waits for its
    position; `PUBLISHED` what a shopper may see, `ASKER` what the organisation or official who asks may see.
    """

    events: str
    mentions: str
    said: str
    places: str
    walk: str | None = None
    fresh: bool = False  # with one's own events that wait for their position


OWN = Shelf(
    "SELECT leaf.position, event.organisation, convert_from(event_bytes.bytes, 'UTF8') AS body, event.id"
    " FROM leaf JOIN event ON event.id = leaf.event JOIN event_bytes ON event_bytes.event = event.id",
    "event_mention",
    "event",
    "place",
)
# With those that were recorded this moment and have no position yet: who acts must see what was done a second ago.
OWN_NOW = Shelf(
    "SELECT leaf.position, event.organisation, convert_from(event_bytes.bytes, 'UTF8') AS body, event.id"
    " FROM event JOIN event_bytes ON event_bytes.event = event.id LEFT JOIN leaf ON leaf.event = event.id",
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
ASKER = Shelf(
    "SELECT position, organisation, body::text AS body, id FROM asker_event",
    "asker_mention",
    "asker_event",
    "asker_place",
    walk="walk",
)
ASKER_NOW = replace(ASKER, fresh=True)

_Row = tuple[int | None, str, str, int]


def after(conn: psycopg.Connection, position: int, limit: int, shelf: Shelf = OWN) -> list[RecordedEvent]:
    """The next events in order of position."""
    rows = conn.execute(
        f"SELECT * FROM ({shelf.events}) AS shelf WHERE position > %s ORDER BY position LIMIT %s",  # noqa: S608
        [position, limit],
    )
    return [_event(row) for row in rows]


def naming(conn: psycopg.Connection, identifiers: Sequence[str], shelf: Shelf = OWN) -> list[RecordedEvent]:
    """All events that name one of the canonical identifiers in any role, in order of position. Raises TooMuch."""
    return list(_naming(conn, identifiers, shelf).values())


def _naming(conn: psycopg.Connection, identifiers: Sequence[str], shelf: Shelf) -> dict[int, RecordedEvent]:
    """By their number: those that wait for a position have no other name."""
    rows: list[_Row] = conn.execute(
        f"SELECT * FROM ({shelf.events}) AS shelf"  # noqa: S608
        f" WHERE id = ANY (ARRAY(SELECT event FROM {shelf.mentions} WHERE identifier = ANY (%s)))"
        " ORDER BY position, id LIMIT %s",
        [list(identifiers), MOST_EVENTS + 1],
    ).fetchall()
    if len(rows) > MOST_EVENTS:
        raise TooMuch(
            f"more than {MOST_EVENTS} events name {identifiers[0]} and {len(identifiers) - 1} others"
        )
    return {row[3]: _event(row) for row in rows}


def goods_of(events: Iterable[RecordedEvent]) -> set[str]:
    return {
        mention.identifier
        for item in events
        for mention in touches(item.event)
        if mention.role in GOODS_ROLES
    }


def _runs_of(events: Iterable[RecordedEvent]) -> set[str]:
    """As written too: of what was recorded before runs were looked up, that form is in the index."""
    named = (item.event.transformation_id for item in events if isinstance(item.event, TransformationEvent))
    return {form for run in named if run for form in (run, uri(run))}


def _of_runs(
    conn: psycopg.Connection, runs: Iterable[str], events: dict[int, RecordedEvent], shelf: Shelf
) -> dict[int, RecordedEvent]:
    """The other events of these runs: one that stays open names what went in and what came out in different ones."""
    rows: list[_Row] = conn.execute(
        f"SELECT * FROM ({shelf.events}) AS shelf"  # noqa: S608
        f" WHERE id = ANY (ARRAY(SELECT event FROM {shelf.mentions} WHERE role = 'run' AND identifier = ANY (%s)))"
        " AND id <> ALL (%s) LIMIT %s",
        [sorted(runs), list(events), MOST_EVENTS + 1],
    ).fetchall()
    return {row[3]: _event(row) for row in rows}


def connected(conn: psycopg.Connection, seeds: Iterable[str], shelf: Shelf = OWN) -> Connected:
    """Follow the goods from the seeds, and the runs that used or made them, until nothing new is named. Raises TooMuch.

    Not through what many loads share (`_shared`), unless it is a seed.
    """
    seeds = frozenset(seeds)
    if shelf.walk is not None:
        return _walked(conn, seeds, shelf)
    frontier, seen, carriers, runs = set(seeds), set[str](), set[str](), set[str]()
    events: dict[int, RecordedEvent] = {}
    while frontier:
        seen |= frontier
        found = _naming(conn, sorted(frontier), shelf)
        events |= found
        while new_runs := _runs_of(found.values()) - runs:
            runs |= new_runs
            found |= _of_runs(conn, new_runs, events, shelf)
            events |= found
        if len(events) > MOST_EVENTS:
            raise TooMuch(f"more than {MOST_EVENTS} events hang together with {min(seeds, default='')}")
        named = goods_of(found.values()) - seen - carriers
        carriers |= _shared(conn, named, shelf)
        frontier = named - carriers
    if carriers:
        events |= _naming(conn, sorted(carriers), shelf)
    # What waits for a position comes last, in the order in which it was written down.
    ordered = sorted(events.items(), key=lambda row: (row[1].position is None, row[1].position or row[0]))
    shared = _shared(conn, seeds, shelf)
    lots = frozenset(name for name in seen if not _is_container(name)) - shared
    return Connected(
        lots,
        tuple(event for _, event in ordered),
        followed=frozenset(seen),
        carriers=frozenset(carriers | shared),
    )


def unsequenced(conn: psycopg.Connection, identifiers: Iterable[str]) -> list[RecordedEvent]:
    """One's own events that name one of these and wait for their position: the second in which somebody looks at what they
    just did."""
    rows: list[_Row] = conn.execute(
        f"SELECT * FROM ({OWN_NOW.events}) AS shelf WHERE position IS NULL"  # noqa: S608
        " AND id = ANY (ARRAY(SELECT event FROM event_mention WHERE identifier = ANY (%s))) ORDER BY id",
        [sorted(identifiers)],
    ).fetchall()
    return [_event(row) for row in rows]


def _walked(conn: psycopg.Connection, seeds: frozenset[str], shelf: Shelf) -> Connected:
    """The same by one function that sees more than its caller may, and tells what the caller may see."""
    just_now = unsequenced(conn, seeds) if shelf.fresh else []
    runs_now = _runs_of(just_now)
    if runs_now:
        just_now += unsequenced(conn, runs_now)
    seeds |= _named_by(conn, just_now, shelf)
    query = f"SELECT position, organisation, body, id, why, follows FROM {shelf.walk}(%s)"  # noqa: S608
    try:
        rows: list[tuple[Any, ...]] = conn.execute(query.encode(), [sorted(seeds | runs_now)]).fetchall()
    except psycopg.errors.ProgramLimitExceeded as error:
        raise TooMuch(str(error.diag.message_primary)) from error
    except psycopg.errors.QueryCanceled as error:
        raise TooMuch(
            f"what hangs together with {min(seeds, default='')} was not found in the time that one question has"
        ) from error
    events = [_event((row[0], row[1], row[2], row[3])) for row in rows]
    followed = [event for event, row in zip(events, rows, strict=True) if row[5]]
    named = seeds | goods_of(followed)
    if shelf.fresh:
        events += unsequenced(conn, named | runs_now | _runs_of(followed))
    names = named - _shared(conn, named, shelf) - _shared(conn, seeds, shelf)
    lots = frozenset(name for name in names if not _is_container(name))
    return Connected(lots, tuple(events), {row[0]: row[4] for row in rows})


def _named_by(conn: psycopg.Connection, just_now: Iterable[RecordedEvent], shelf: Shelf) -> set[str]:
    """What a unit that was made this moment was made of: the walk has not heard of it."""
    named = goods_of(just_now)
    return named - _shared(conn, named, shelf) if named else named


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
    by_scheme = set(filter(meets_many, schemes))
    asked = [name for name in schemes if name not in by_scheme and schemes[name] not in _NEVER_SHARED]
    if not asked:
        return by_scheme
    query = _CARRIERS.format(places=shelf.places, mentions=shelf.mentions, said=shelf.said)
    return by_scheme | {str(name) for (name,) in conn.execute(query.encode(), {"names": asked})}


def meets_many(name: str) -> bool:
    """By its scheme alone: a vehicle, a crate or a place, which one load after another is put into."""
    return _scheme(name) in _SHARED


def _is_container(name: str) -> bool:
    return _scheme(name) == "sscc" or meets_many(name)


def _scheme(name: str) -> str:
    """What is recorded stays traceable, even under an identifier that is not well made."""
    try:
        return parse(name).scheme
    except IdentifierError:
        return "uri"


def _event(row: _Row) -> RecordedEvent:
    return RecordedEvent(position=row[0], organisation=row[1], event=read_recorded(row[2]))


@dataclass(frozen=True, slots=True)
class InContext:
    """An event as recorded, with what its prefixes stand for. `fields`: its JSON, persons under their URNs; `context`: the
    `@context` of the document it came in, None where it had none."""

    fields: dict[str, Any]
    context: Any


_IN_CONTEXT = """
SELECT convert_from(event_bytes.bytes, 'UTF8'), event_context.body
FROM event JOIN event_bytes ON event_bytes.event = event.id
LEFT JOIN event_context ON event_context.organisation = event.organisation AND event_context.digest = event.context
WHERE event.organisation = %s AND event.event_id = %s ORDER BY event.is_error
"""


def with_context(conn: psycopg.Connection, organisation: str, event_id: str) -> list[InContext]:
    """An organisation's event, and after it the declaration that it is wrong, as far as each is recorded."""
    rows = conn.execute(_IN_CONTEXT, [organisation, event_id])
    return [
        InContext(json.loads(body), None if context is None else json.loads(context))
        for body, context in rows
    ]
