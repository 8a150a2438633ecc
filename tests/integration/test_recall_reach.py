"""What the database reaches is what the plain walk reaches, on worlds of any events; and the classes add up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from ingest import portions
from ledger.genealogy import Genealogy, RecordedEvent, Registered, digest, recall, replay
from ledger.genealogy.facts import Fact
from ledger.genealogy.parcels import Parcel
from tests.acceptance.instance import Instance
from tests.servers.databases import Database
from tests.unit.ledger.genealogy.said import (
    MARKET,
    PACKHOUSE,
    STALL,
    STORE,
    TRUCK,
    at,
    box,
    declared_wrong,
    event,
    gone,
    lot,
    made,
    mixed,
    put_in,
    seen,
    some,
    take_out,
    unit,
)

LOTS = [lot(name) for name in "ABCDE"]
UNITS = [unit(number) for number in range(1, 5)]
PLACES = [PACKHOUSE, STORE, MARKET, STALL]
KNOWN = Registered({}, {}, frozenset())
WORLDS = 60
COOP = {
    "organisations": [
        {"id": "xj-coop", "name": {"zh": "社", "en": "coop"}, "party": "https://id.gs1.org/417/9521234002000", "kind": "packer"}
    ]
}  # fmt: skip


def world(chance: Random) -> list[RecordedEvent]:
    """Up to thirty events: lots made, packed, moved, mixed, taken apart, sold; some are taken back."""

    def goods() -> dict[str, Any]:
        return some(chance.choice(LOTS), chance.randint(1, 12))

    kinds: list[Callable[[int], RecordedEvent]] = [
        lambda m: made(m, chance.choice(LOTS), chance.randint(5, 40), where=chance.choice(PLACES)),
        lambda m: put_in(m, chance.choice(UNITS), goods(), where=chance.choice(PLACES)),
        lambda m: put_in(m, chance.choice(UNITS), some(chance.choice(LOTS), 5), where=PACKHOUSE,
                         labels=("0001", "0005") if chance.random() < 0.5 else ("0006", "0010")),
        lambda m: put_in(m, TRUCK, chance.choice(UNITS), step="loading", readPoint=chance.choice(PLACES)),
        lambda m: take_out(m, chance.choice([*UNITS, TRUCK]), where=chance.choice(PLACES)),
        lambda m: take_out(m, chance.choice(UNITS), goods(), where=chance.choice(PLACES)),
        lambda m: seen(m, chance.choice(["storing", "receiving", "departing"]), chance.choice([*UNITS, goods()]), where=chance.choice(PLACES)),
        lambda m: gone(m, chance.choice(["destroying", "retail_selling", "sampling"]), goods(), readPoint=chance.choice(PLACES)),
        lambda m: mixed(m, [goods(), goods()], [goods()], where=chance.choice(PLACES)),
        lambda m: mixed(m, [chance.choice(UNITS)], [goods()]),
    ]  # fmt: skip
    said = [made(0, name, 20, where=PACKHOUSE) for name in LOTS[:3]]
    said += [chance.choice(kinds)(minute) for minute in range(1, chance.randint(6, 30))]
    return said + [declared_wrong(chance.choice(said), 99) for _ in range(chance.randint(0, 1))]


@pytest.fixture
def owner(database: Database, tmp_path: Path) -> Iterator[psycopg.Connection]:
    Instance(database, tmp_path).register(COOP)
    with psycopg.connect(database.owner) as conn:
        yield conn


def questions(chance: Random, found: Genealogy) -> Iterator[tuple[dict[str, Any], recall.Seeds]]:
    """As the database is asked, and the seeds that the walk has for it."""
    for name in LOTS:
        yield {"kind": "lot", "id": name}, recall.of_lot(found, name)
    of = chance.choice(LOTS)
    for serial in ("0003", "0008", "0099"):
        yield (
            {"kind": "box", "lot": of, "serial": serial, "id": box(of[-1], serial)},
            recall.of_box(found, box(of[-1], serial)),
        )
    for name in (*UNITS, TRUCK):
        yield {"kind": "unit", "id": name}, recall.of_spells(found, [(name, recall.ALWAYS, recall.NEVER)])
    for name in ("https://id.gs1.org/414/9521234003106", *PLACES):
        first = chance.randint(0, 20)
        last = first + chance.randint(1, 10)
        times = {"from": iso(first), "to": iso(last)}
        yield {"kind": "place", "id": name} | times, recall.of_spells(found, [(name, at(first), at(last))])


def iso(minute: int) -> str:
    return f"2026-06-18T00:{minute:02d}:00Z"


def asked(conn: psycopg.Connection, ask: Mapping[str, Any]) -> dict[tuple[str, str], bool]:
    with conn.transaction(force_rollback=True):
        name = uuid4()
        conn.execute("SELECT set_config('suyuan.org', 'xj-coop', true)")
        conn.execute(
            "SELECT recall_order(%s, %s::jsonb, true, 1::smallint, 'a', 'a', '', now())",
            [name, psycopg.types.json.Jsonb(dict(ask))],
        )
        rows = conn.execute(
            "SELECT lot, portion, certain FROM recall_goods WHERE recall = %s", [name]
        ).fetchall()
    return {(row[0], row[1]): row[2] for row in rows}


def mine(seeds: recall.Seeds) -> dict[Parcel, int]:
    """Those that the asker made: of what nobody made nobody is the maker."""
    return {each: since for each, since in seeds.items() if not each.found or each.made_later}


@pytest.mark.editions("plain")
def test_the_database_reaches_what_the_walk_reaches(owner: psycopg.Connection) -> None:
    reached_some = doubted = 0
    for seed in range(WORLDS):
        chance = Random(seed)
        found = replay(world(chance))
        for table in portions.TABLES:
            owner.execute(f"DELETE FROM {table}".encode())
        portions.project(owner, found, KNOWN, found.lots())
        for ask, seeds in questions(chance, found):
            expected = {
                (each.lot, digest(each.name)): sure for each, sure in recall.reach(found, mine(seeds)).items()
            }
            assert asked(owner, ask) == expected, (seed, ask)
            reached_some += bool(expected)
            doubted += sum(not sure for sure in expected.values())
    assert reached_some > 5 * WORLDS and doubted > WORLDS / 2


def test_nothing_is_reached_that_the_trace_does_not_reach() -> None:
    """Forward of the lot, of the units that held it, and of what became of those."""
    through = 0
    for seed in range(WORLDS):
        found = replay(world(Random(seed)))
        for name in LOTS:
            lots = {
                each.lot for each, sure in recall.reach(found, recall.of_lot(found, name)).items() if sure
            }
            assert lots <= traced(found, name), (seed, name)
            through += len(lots) > 1
    assert through > WORLDS / 2


def traced(found: Genealogy, name: str) -> set[str]:
    reached, waiting = set[str](), [name]
    while waiting:
        each = waiting.pop()
        if each not in reached:
            reached.add(each)
            waiting.extend(set(found.trace(each, "forward").identifiers) & {*LOTS, *UNITS, TRUCK})
    return reached


def made_by(fact: Fact, name: str) -> float:
    makes = fact.out_goods if fact.kind == "TransformationEvent" else ()
    if fact.kind == "ObjectEvent" and fact.action == "ADD":
        makes = fact.goods
    return sum(each.quantity or 0.0 for each in makes if each.lot == name)


def test_the_classes_of_a_lot_add_up_to_what_was_made_of_it() -> None:
    """What was made, from the events alone; what nobody made is found as far as it was seen."""
    checked = 0
    for seed in range(WORLDS):
        found = replay(world(Random(seed)))
        for name in LOTS:
            if found.stock.books.is_made(name):
                rows = [each for each in portions.accounted(found, KNOWN) if each.lot == name]
                made_of = sum(made_by(fact, name) for fact in found.facts)
                assert sum(each.quantity or 0.0 for each in rows) == pytest.approx(made_of)
                checked += len({each.state for each in rows}) > 1
    assert checked > WORLDS


def test_a_piece_taken_before_is_not_of_it() -> None:
    events = [
        made(0, LOTS[0], 20, where=STORE),
        put_in(2, UNITS[0], some(LOTS[0], 8), where=STORE),
        seen(3, "storing", UNITS[0], where=MARKET),
        seen(6, "storing", UNITS[0], where=STALL),
        event(7, "ObjectEvent", bizStep="storing", quantityList=[some(LOTS[0], 12)], where=MARKET),
    ]
    found = replay(events)
    seeds = recall.of_spells(found, [(MARKET, at(4), at(5))])
    assert [each.quantity for each in recall.reach(found, seeds)] == [8]
    later = recall.of_spells(found, [(MARKET, at(8), at(9))])
    assert [each.quantity for each in recall.reach(found, later)] == [12]
