"""The trace index walks to the same events as `ledger.genealogy.trace`, whatever was said and in whichever order it came."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from random import Random
from typing import Any

import psycopg
import pytest

from ingest.projection import tracks
from ledger.genealogy import Direction, Genealogy, RecordedEvent, replay, touches
from ledger.genealogy.links import EVER
from ledger.genealogy.trace import Trace, Walk
from ledger.genealogy.weights import weighed
from ledger.recorded import GOODS_ROLES, Connected, meets_many
from tests.servers.databases import Database
from tests.unit.ledger.genealogy.said import (
    MARKET,
    OTHER_TRUCK,
    PACKHOUSE,
    STALL,
    STORE,
    TRUCK,
    box,
    declared_wrong,
    gone,
    installed,
    lot,
    made,
    mixed,
    put_in,
    seen,
    some,
    take_out,
    unit,
)

LOTS = [lot(name) for name in "ABCDEFG"]
PALLETS = [unit(number) for number in range(1, 7)]
COMPARTMENT = f"{TRUCK}.REAR"
PLACES = [PACKHOUSE, STORE, MARKET, STALL]
DIRECTIONS: tuple[Direction, ...] = ("back", "forward", "both")


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner) as conn:
        yield conn


def world(seed: int) -> list[RecordedEvent]:
    """Lots mixed, packed, loaded, split and sold, some of it at the same instant; not what a truck is named in: which of the loads
    that it took in at one instant came first rests on nothing."""
    random = Random(seed)
    minutes = iter(range(1000))
    said: list[RecordedEvent] = []
    for _ in range(random.randrange(4, 40)):
        said.append(one_event(random, next(minutes), random.random() < 0.15))
    wrong = random.sample(said, min(len(said), random.randrange(3)))
    return said + [declared_wrong(each, 2000) for each in wrong]


def one_event(random: Random, minute: int, crowded: bool) -> RecordedEvent:
    place = random.choice(PLACES)
    name, other = random.sample(LOTS, 2)
    pallet, second = random.sample(PALLETS, 2)
    carrier = random.choice([TRUCK, OTHER_TRUCK, COMPARTMENT])
    amount = some(name, random.randrange(1, 30)) if random.random() < 0.9 else some(name)
    boxes = [box("A", f"{random.randrange(1, 9):04}") for _ in range(2)]
    kind = random.randrange(14)
    if crowded and kind not in (6, 9, 11, 13):
        minute = minute // 4 * 4
    if kind <= 1:
        return made(minute, name, random.randrange(20, 60), where=place)
    if kind <= 3:
        inputs = [amount, random.choice([some(other, 5), pallet])]
        outputs = [some(each, 10) for each in random.sample(LOTS, random.randrange(1, 3))]
        run = {"transformationID": f"urn:run:{random.randrange(3)}"} if random.random() < 0.4 else {}
        half = random.randrange(3) if run else 0
        return mixed(minute, [] if half == 1 else inputs, [] if half == 2 else outputs, **run)
    if kind <= 5:
        return put_in(minute, pallet, amount, where=place)
    if kind == 6:
        return put_in(minute, carrier, pallet, step="loading", readPoint=place)
    if kind == 7:
        return put_in(minute, pallet, second, where=place)
    if kind == 8:
        return take_out(minute, pallet, *random.choice([(amount,), (second,), ()]), where=place)
    if kind == 9:
        return take_out(minute, carrier, *random.choice([(pallet,), ()]), step="unloading", where=place)
    if kind == 10:
        return gone(minute, random.choice(["destroying", "retail_selling"]), amount, readPoint=place)
    if kind == 11:
        return installed(minute, random.choice([pallet, carrier]), removed=random.random() < 0.5)
    if kind == 12:
        return put_in(minute, pallet, *dict.fromkeys(boxes), where=place)
    step = random.choice(["storing", "receiving", "holding", "departing", "arriving"])
    return seen(minute, step, random.choice([amount, pallet, carrier, boxes[0]]), where=place)


def whole(events: Sequence[RecordedEvent]) -> Connected:
    """As if all hung together."""
    named = {m.identifier for item in events for m in touches(item.event) if m.role in GOODS_ROLES}
    carriers = frozenset(filter(meets_many, named))
    lots = frozenset(name for name in named - carriers if "/00/" not in name)
    return Connected(lots, tuple(events), followed=frozenset(named - carriers), carriers=carriers)


def index(conn: psycopg.Connection, events: Sequence[RecordedEvent]) -> None:
    ids = {item.position: (item.position or 0) * 10 for item in events}
    tracks.project(conn, replay(events), whole(events), ids)


REACHED = """
WITH seed AS (SELECT ARRAY(SELECT id FROM trace_name WHERE name = %(name)s) AS ids)
SELECT reached.what, reached.id, name.name FROM seed CROSS JOIN LATERAL trace_reached(seed.ids,
  CASE WHEN %(direction)s <> 'forward' THEN array_fill(9223372036854775807, ARRAY[cardinality(seed.ids)]) END,
  CASE WHEN %(direction)s <> 'back' THEN array_fill((-9223372036854775808)::bigint, ARRAY[cardinality(seed.ids)]) END, %(depth)s) AS reached
LEFT JOIN trace_name AS name ON name.id = reached.id AND reached.what <> 'event'
"""

Found = tuple[set[int], set[str], set[str]]
"""Events, names, ends."""


def walked(conn: psycopg.Connection, name: str, direction: Direction, depth: int = 64) -> Found:
    rows = conn.execute(REACHED, {"name": name, "direction": direction, "depth": depth}).fetchall()
    ends = {row[2] for row in rows if row[0] == "end"}
    events = {row[1] // 10 for row in rows if row[0] == "event"}
    return events, {row[2] for row in rows if row[2] and row[0] != "end"}, ends


NEAREST = """
WITH seed AS (SELECT ARRAY(SELECT id FROM trace_name WHERE name = %(name)s) AS ids),
asked AS (
  SELECT seed.ids, CASE WHEN %(direction)s <> 'forward' THEN ARRAY[9223372036854775807] END AS untils,
         CASE WHEN %(direction)s <> 'back' THEN ARRAY[(-9223372036854775808)::bigint] END AS sinces FROM seed),
whole AS (
  SELECT array_agg(DISTINCT each.id) FILTER (WHERE each.what = 'event') AS events,
         coalesce(array_agg(DISTINCT each.id::integer) FILTER (WHERE each.what NOT IN ('event', 'end')), '{}') AS names,
         coalesce(array_agg(DISTINCT each.id::integer) FILTER (WHERE each.what = 'end'), '{}') AS ends
  FROM asked CROSS JOIN LATERAL trace_reached(asked.ids, asked.untils, asked.sinces, %(depth)s) AS each)
SELECT near.events, ARRAY(SELECT name FROM trace_name WHERE id = ANY (near.names)), ARRAY(SELECT name FROM trace_name WHERE id = ANY (near.ends))
FROM asked CROSS JOIN whole CROSS JOIN LATERAL
  trace_nearest(asked.ids, asked.untils, asked.sinces, %(depth)s, %(most)s, whole.names, whole.ends, whole.events) AS near
"""


def nearest(
    conn: psycopg.Connection, name: str, direction: Direction, depth: int, most: int
) -> tuple[Any, ...]:
    row = conn.execute(
        NEAREST, {"name": name, "direction": direction, "depth": depth, "most": most}
    ).fetchone()
    assert row is not None
    return [event // 10 for event in row[0]], set(row[1]), set(row[2])


def worlds_in_index(owner: psycopg.Connection, first: int) -> Iterator[tuple[int, Genealogy]]:
    """Ten worlds, each told in two parts and in any order."""
    for number in range(first, first + 10):
        said = world(number)
        Random(number).shuffle(said)
        events = [replace(each, position=position) for position, each in enumerate(said, 1)]
        index(owner, events[: len(events) // 2])
        index(owner, events)
        yield number, replay(events)
        owner.rollback()


LINKS = """
WITH own AS (SELECT ARRAY(SELECT id FROM trace_name WHERE name = ANY (%(names)s)) AS ids),
opened AS (SELECT ARRAY(SELECT DISTINCT said.run FROM trace_run_event AS said WHERE said.event = ANY (%(events)s) AND said.event <> said.run) AS runs)
SELECT ARRAY(SELECT edges.told FROM trace_edges(%(events)s, own.ids, opened.runs) AS edges), ARRAY(
  SELECT json_build_array(source.name, target.name, open.event, open.quantity, open.uom, open.share)
  FROM trace_open_edges(%(events)s, own.ids, opened.runs) AS found
  CROSS JOIN LATERAL unnest(found.sources, found.targets, found.told_by, found.quantities, found.uoms, found.shares)
    AS open (source, target, event, quantity, uom, share)
  JOIN trace_name AS source ON source.id = open.source JOIN trace_name AS target ON target.id = open.target)
FROM own CROSS JOIN opened
"""

Link = tuple[str, str, str, str, float | None, str | None, float | None]


def linked(conn: psycopg.Connection, found: Genealogy, trace: Trace) -> list[Link]:
    """As `trace_of_asker` puts them together, of the events and names of this trace."""
    said = sorted((item.position or 0) * 10 for item in trace.events)
    row = conn.execute(LINKS, {"names": list(trace.identifiers), "events": said}).fetchone()
    assert row is not None
    told = [json.loads(f"[{each}]") for each in row[0]]
    links: list[Link] = [
        (one["from"], one["to"], one["kind"], one["event"], one["quantity"], one["uom"], one["share"])
        for each in told
        for one in each
    ]
    names = {(fact.recorded.position or 0) * 10: fact.name for fact in found.facts}
    return links + [
        (source, target, "transformed", names[event], *much) for source, target, event, *much in row[1]
    ]


NAMES = [*LOTS, *PALLETS, TRUCK, OTHER_TRUCK, COMPARTMENT]


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_the_index_gives_the_events_that_the_replay_gives(owner: psycopg.Connection, first: int) -> None:
    for number, found in worlds_in_index(owner, first):
        for name in NAMES:
            for direction in DIRECTIONS:
                expected = found.trace(name, direction)
                got, names, _ = walked(owner, name, direction)
                assert got == {each.position for each in expected.events}, (number, name, direction)
                if got:
                    assert names == set(expected.identifiers), (number, name, direction)
                    links = [
                        (each.edge.source, each.edge.target, each.edge.kind, each.edge.event,
                         each.quantity, each.uom, each.share)
                        for each in weighed(found, expected.edges)
                    ]  # fmt: skip
                    assert sorted(linked(owner, found, expected), key=repr) == sorted(links, key=repr)


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_a_trace_that_is_cut_is_the_same_from_the_index_and_by_the_replay(
    owner: psycopg.Connection, first: int
) -> None:
    """At every depth, and cut to so many events at every depth; with what it says of how to go on."""
    for number, found in worlds_in_index(owner, first):
        random = Random(number)
        for name, direction in (
            (name, direction) for name in random.sample(NAMES, 4) for direction in DIRECTIONS
        ):
            for depth in (0, random.choice([1, 2, 3])):
                shallow = found.trace(name, direction, max_depth=depth)
                where = number, name, direction, depth
                if not shallow.events:
                    continue
                events, names, ends = walked(owner, name, direction, depth)
                assert (events, names, ends) == (
                    {each.position for each in shallow.events}, set(shallow.identifiers), set(shallow.ends)), where  # fmt: skip
                if len(events) > 1:
                    most = random.randrange(1, len(events))
                    short = found.trace(name, direction, max_depth=depth, max_events=most)
                    assert nearest(owner, name, direction, depth, most) == (
                        [each.position for each in short.events], set(short.identifiers), set(short.ends)), (*where, most)  # fmt: skip


ONE_WAY = "SELECT identifier, (extract(epoch FROM at) * 1000)::float8 FROM {}(%s, %s::timestamptz[]) WHERE kind = 'goods'"


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_what_a_recall_walks_from_a_moment_on_is_what_the_replay_follows(
    owner: psycopg.Connection, first: int
) -> None:
    """`trace_forward` and `trace_back` of several names, each from (up to) a moment of its own: what is followed, and since (until)
    when."""
    for number, found in worlds_in_index(owner, first):
        random = Random(number)
        for _ in range(4):
            names = random.sample([name for name in NAMES if found.tracks.links.named.get(name)], 2)
            moments = [random.choice([None, *found.facts]) for _ in names]
            asked = [None if fact is None else fact.event.event_time for fact in moments]
            ahead, back = (Walk(found.tracks, "", 1000) for _ in range(2))
            for name, fact in zip(names, moments, strict=True):
                ahead.forward(name, 0 if fact is None else found.tracks.links.start_of_instant(fact.ordinal))
                back.back(name, EVER if fact is None else found.tracks.links.end_of_instant(fact.ordinal))
            ahead.run()
            back.run()
            where = number, names, asked
            start = found.facts[0].ms  # as early as can be
            since = {name: found.facts[ordinal].ms for name, ordinal in ahead.since.items()}
            until = {
                name: inf if ordinal == EVER else found.facts[ordinal].ms
                for name, ordinal in back.until.items()
            }
            for function, expected in (("trace_forward", since), ("trace_back", until)):
                got = owner.execute(ONE_WAY.format(function).encode(), [names, asked]).fetchall()
                assert {name: max(ms, start) for name, ms in got} == expected, (function, *where)


def test_an_erased_name_is_in_no_link_that_was_written(owner: psycopg.Connection) -> None:
    """Also of the event that empties a pallet and names nothing of what was in it."""
    pallet, name = PALLETS[0], LOTS[0]
    said = [made(0, name, 20), put_in(1, pallet, some(name, 5)), take_out(2, pallet)]
    index(owner, [replace(each, position=position) for position, each in enumerate(said, 1)])
    kinds = owner.execute("SELECT count(*) FROM trace_edge WHERE position(%s IN told) > 0", [name]).fetchone()
    assert kinds == (2,)
    owner.execute("SELECT trace_erase(10, ARRAY[%s], 'urn:suyuan:erased:1')", [name])
    links = owner.execute(
        "SELECT told::json ->> 'kind', told::json ->> 'from', told::json ->> 'to' FROM trace_edge ORDER BY event"
    ).fetchall()
    assert links == [
        ("packed", "urn:suyuan:erased:1", pallet),
        ("unpacked", pallet, "urn:suyuan:erased:1"),
    ]
    pieces = owner.execute("SELECT told FROM trace_told ORDER BY event").fetchall()
    assert [json.loads(told)["kind"] for (told,) in pieces] == ["packed", "unpacked"]
    assert not [told for (told,) in pieces if name in told]


def test_what_came_off_a_truck_is_told_by_the_walk_that_knows_it(owner: psycopg.Connection) -> None:
    """The walk of one load, which knows nothing of the other, leaves the links of the other as they are."""
    first, second = PALLETS[:2]
    said = [
        put_in(1, TRUCK, first, step="loading"),
        put_in(2, TRUCK, second, step="loading"),
        take_out(3, TRUCK, step="unloading"),
    ]
    events = [replace(each, position=position) for position, each in enumerate(said, 1)]
    ids = {each.position: (each.position or 0) * 10 for each in events}
    for load, known in ((first, events), (second, events[1:])):
        concerned = Connected(
            frozenset(), tuple(known), followed=frozenset({load}), carriers=frozenset({TRUCK})
        )
        tracks.project(owner, replay(known), concerned, ids)
    links = owner.execute(
        "SELECT told::json ->> 'kind', told::json ->> 'from', told::json ->> 'to' FROM trace_edge ORDER BY event, source, target"
    ).fetchall()
    assert sorted(links) == sorted(
        [
            ("loaded", first, TRUCK),
            ("loaded", second, TRUCK),
            ("unloaded", TRUCK, first),
            ("unloaded", TRUCK, second),
        ]
    )
    assert told_of(owner, [30], [TRUCK, first, second]) == {("unloaded", first), ("unloaded", second)}
    assert told_of(owner, [30], [TRUCK, second]) == {("unloaded", second)}, "and of the other, nothing"


@pytest.mark.parametrize("count", [63, 64])
def test_however_many_links_an_event_tells_those_between_the_names_are_told(
    owner: psycopg.Connection, count: int
) -> None:
    """Up to 64 stand in one piece: those of the boxes, and one of their lot."""
    boxes = [box("A", f"{number:04}") for number in range(count)]
    index(owner, [replace(put_in(1, PALLETS[0], *boxes), position=1)])
    assert owner.execute("SELECT told IS NULL FROM trace_told").fetchall() == [(count > 63,)]
    assert told_of(owner, [10], [PALLETS[0], *boxes]) == {("packed", PALLETS[0])}
    assert links_of(owner, [10], [PALLETS[0], *boxes]) == count
    assert links_of(owner, [10], [PALLETS[0], *boxes[:2]]) == 2
    assert links_of(owner, [10], boxes) == 0
    kept = "source = ANY (ARRAY(SELECT id FROM trace_name WHERE name = ANY (%s)))"
    owner.execute(f"DELETE FROM trace_edge WHERE NOT {kept}".encode(), [boxes[:3]])
    assert links_of(owner, [10], [PALLETS[0], *boxes]) == 3, "as it is known by now"
    assert owner.execute("SELECT told IS NULL FROM trace_told").fetchall() == [(False,)]


def told_of(owner: psycopg.Connection, events: list[int], names: list[str]) -> set[tuple[str, str]]:
    """Kind and target of each link."""
    query = """
SELECT link ->> 'kind', link ->> 'to'
FROM trace_edges(%s, ARRAY(SELECT id FROM trace_name WHERE name = ANY (%s)), '{}') AS edges
CROSS JOIN LATERAL json_array_elements(('[' || edges.told || ']')::json) AS link
"""
    return set(owner.execute(query, [events, names]).fetchall())


def links_of(owner: psycopg.Connection, events: list[int], names: list[str]) -> int:
    query = """
SELECT coalesce(sum(json_array_length(('[' || edges.told || ']')::json)), 0)::integer
FROM trace_edges(%s, ARRAY(SELECT id FROM trace_name WHERE name = ANY (%s)), '{}') AS edges
"""
    row = owner.execute(query, [events, names]).fetchone()
    assert row is not None
    return int(row[0])
