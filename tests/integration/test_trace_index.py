"""The trace index walks to the same events as `ledger.genealogy.trace`, whatever was said and in whichever order it came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

import psycopg
import pytest

from ingest.projection import tracks
from ledger.genealogy import Direction, RecordedEvent, replay, touches
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
  CASE WHEN %(direction)s <> 'back' THEN array_fill((-9223372036854775808)::bigint, ARRAY[cardinality(seed.ids)]) END, 64) AS reached
LEFT JOIN trace_name AS name ON name.id = reached.id AND reached.what <> 'event'
"""


def walked(conn: psycopg.Connection, name: str, direction: Direction) -> tuple[set[int], set[str]]:
    rows = conn.execute(REACHED, {"name": name, "direction": direction}).fetchall()
    return {row[1] // 10 for row in rows if row[0] == "event"}, {row[2] for row in rows if row[2]}


@pytest.mark.parametrize("seed", range(0, 60, 10))
def test_the_index_gives_the_events_that_the_replay_gives(owner: psycopg.Connection, seed: int) -> None:
    for number in range(seed, seed + 10):
        said = world(number)
        Random(number).shuffle(said)
        events = [replace(each, position=position) for position, each in enumerate(said, 1)]
        half = len(events) // 2
        index(owner, events[:half])
        index(owner, events)
        found = replay(events)
        for name in [*LOTS, *PALLETS, TRUCK, OTHER_TRUCK, COMPARTMENT]:
            for direction in DIRECTIONS:
                expected = found.trace(name, direction)
                got, names = walked(owner, name, direction)
                assert got == {each.position for each in expected.events}, (number, name, direction)
                if got:
                    assert names == set(expected.identifiers), (number, name, direction)
        owner.rollback()
