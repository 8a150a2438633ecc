"""Whatever follows from events and readings can be made again from them, and their order of arrival leaves no trace.

A world's cold part (its events, trucks and loggers) goes down the line; then its projections are dropped and rebuilt, its
marks left again in any order, its readings sent again in any batches. Smaller chains show how late data changes an
excursion without ever taking its number away.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from ingest import detection, marks, rollups
from ingest.pipeline import Away, Line, Message
from ingest.projection import following
from simulators.world import World
from tests.acceptance.instance import Instance, handed_over, in_batches
from tests.integration.lines import NOW, account, adds_up
from tests.integration.said import (
    LOT,
    REGISTRY,
    STORE,
    at,
    by_terminal,
    declared_wrong,
    made,
    placed,
    removed,
    room,
    said,
)
from tests.servers.databases import Database
from tests.servers.session import Servers

START = datetime(2026, 6, 18, 16, 0, tzinfo=UTC)
UNTIL = START + timedelta(hours=36)
MINUTES = timedelta(minutes=5)


@cache
def world() -> World:
    return World(20260618, START)


@cache
def cold_part() -> tuple[Message, ...]:
    """Events, trucks and loggers: all that an excursion of this world can come from, in the order of sending."""
    chosen = [
        sent
        for sent in world().messages(UNTIL)
        if sent.kind == "events" or "/truck-" in sent.topic or "/logger-0" in sent.topic
    ]
    return tuple(handed_over(chosen))


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    return Instance(database, tmp_path)


def fed(instance: Instance, size: int = 1200) -> None:
    """In the order of sending, by one worker; what follows the commits runs in between."""
    instance.register(world().registry())
    worker = instance.worker()
    for number, begin in enumerate(range(0, len(cold_part()), size)):
        instance.take(cold_part()[begin : begin + size], UNTIL, worker)
        if number % 4 == 0:
            instance.settle(UNTIL, consumers=("projection", "detection"))
    instance.settle(UNTIL, consumers=("projection", "detection", "rollup"))


PROJECTED = {
    "presence": "SELECT holder, lot, rule_product, stage, valid FROM presence ORDER BY holder, lot, stage, valid",
    "placement": "SELECT series_id, organisation, parent, probe_position, valid, conflict FROM placement ORDER BY series_id, valid, parent",
    "reading_1h": "SELECT * FROM reading_1h ORDER BY series_id, hour",
    "lot_grant": "SELECT organisation, lot, depth, since, event FROM lot_grant ORDER BY organisation, lot, event",
    "lot_grant_event": "SELECT organisation, lot, event, said_by FROM lot_grant_event ORDER BY organisation, lot, event",
    "lot_grant_stay": "SELECT organisation, lot, holder, valid FROM lot_grant_stay ORDER BY organisation, lot, holder, valid",
    "lot_mark": "SELECT event, lot, portion, known_as, set_marks, unset_marks, speaks FROM lot_mark ORDER BY event, lot, portion",
    "lot_origin": "SELECT lot, source, place FROM lot_origin ORDER BY lot, source, place",
    "lot_input": "SELECT lot, source, kilograms, share FROM lot_input ORDER BY lot, source",
    "lot_harvest": "SELECT lot, organisation, plot, grower, first_at, last_at FROM lot_harvest ORDER BY lot, plot, grower",
    "portion": "SELECT * FROM portion ORDER BY lot, portion",
    "portion_stay": "SELECT * FROM portion_stay ORDER BY lot, portion, name, since, until, stage",
    "portion_serial": "SELECT * FROM portion_serial ORDER BY lot, portion, first",
    "run_goods": "SELECT * FROM run_goods ORDER BY lot, run, output",
    "lot_making": "SELECT * FROM lot_making ORDER BY lot, event",
    "lot_unjudged": "SELECT lot, kind FROM lot_unjudged ORDER BY lot, kind",
}
INDEX = {
    "trace_named": "SELECT known.name, at, event FROM trace_named JOIN trace_name AS known ON known.id = trace_named.name ORDER BY 1, 2, 3",
    "trace_inside": "SELECT child.name, parent.name, first, last, event FROM trace_inside JOIN trace_name AS child ON child.id = child"
    " JOIN trace_name AS parent ON parent.id = parent ORDER BY 1, 2, 3",
    "trace_run": "SELECT run, output, known.name, within, first, last, event, made, quantity, uom, share"
    " FROM trace_run JOIN trace_name AS known ON known.id = trace_run.name"
    " ORDER BY 1, 2, 3",
    "trace_run_event": "SELECT run, at, event FROM trace_run_event ORDER BY 1, 2, 3",
    "trace_edge": "SELECT edge.event, source.name, target.name, beside, edge.told, length(whole.told), cardinality(whole.ends)"
    " FROM trace_edge AS edge JOIN trace_name AS source ON source.id = source JOIN trace_name AS target ON target.id = target"
    " LEFT JOIN trace_told AS whole ON whole.event = edge.event ORDER BY 1, 2, 3",
    "trace_parcel": "SELECT trace_parcel.id, known.name, origin, origin_steps, steps, runs, became FROM trace_parcel"
    " JOIN trace_name AS known ON known.id = lot ORDER BY 1",
    "trace_step": "SELECT parcel, number, at, event FROM trace_step ORDER BY 1, 2",
    "trace_spell": "SELECT parcel, known.name, entered, gone, event FROM trace_spell JOIN trace_name AS known ON known.id = unit ORDER BY 1, 2, 3",
    "trace_portion": "SELECT known.name, place, parcel, body FROM trace_portion JOIN trace_name AS known ON known.id = lot ORDER BY 1, 2",
    "trace_in_unit": "SELECT known.name, parcel, first, entered, latest, gone FROM trace_in_unit JOIN trace_name AS known ON known.id = unit"
    " ORDER BY 1, 2",
}
"""The trace index, by names: their numbers are given as they come."""


PORTIONS = ("portion", "portion_stay", "portion_maybe", "portion_serial", "run_goods")
# The same by names that two databases share.
NAMED = "FROM {} JOIN series ON series.id = series_id JOIN device ON device.id = device_id"
EXCURSIONS = (
    "SELECT external_id, channel, limit_id, limit_version, state, start_time, trigger_time, end_time, closed_by, extreme,"
    f" minutes_at_least, minutes_at_most {NAMED.format('excursion')} WHERE state IN ('open', 'closed') ORDER BY 1, 2, 6"
)
PLACEMENTS = f"SELECT external_id, channel, parent, probe_position, valid, conflict {NAMED.format('placement')} ORDER BY 1, 2, 5, 3"
READINGS = f"SELECT external_id, channel, time, value, flags {NAMED.format('reading_store')} ORDER BY 1, 2, 3"
GRANTS = "SELECT lot_grant.organisation, lot, depth, since, event_id FROM lot_grant JOIN event ON event.id = lot_grant.event ORDER BY 1, 2, 4, 5"
GRANTED = "SELECT given.organisation, lot, event_id, said_by FROM lot_grant_event AS given JOIN event ON event.id = given.event ORDER BY 1, 2, 3"
ROLLED_UP = (
    "SELECT external_id, channel, hour, n, reading_1h.minimum, reading_1h.maximum, first_at, last_at"
    f" {NAMED.format('reading_1h')} ORDER BY 1, 2, 3"
)
VERSIONS = "SELECT excursion, version, body FROM excursion_version ORDER BY excursion, version"


def test_what_is_projected_can_be_dropped_and_rebuilt(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed(instance)
    before = {table: instance.rows(query) for table, query in (PROJECTED | INDEX).items()}
    assert all(before.values())
    assert instance.rows("SELECT kind, body FROM finding") == [], "an honest world adds up"
    excursions, versions = instance.rows(EXCURSIONS), instance.rows(VERSIONS)
    truth = [each for each in world().truth_until(UNTIL) if each.undecidable is None]
    assert sorted({(row[0], row[1]) for row in excursions}) == sorted(
        {(each.device, each.channel) for each in truth}
    )

    with instance.as_role("jobs") as conn:  # its own rights suffice
        conn.execute("DELETE FROM presence")
        conn.execute("DELETE FROM placement")
        if rollups.is_ours(conn):
            conn.execute("DELETE FROM reading_1h")
        for table in (
            "lot_grant",
            "lot_grant_event",
            "lot_grant_stay",
            "lot_origin",
            "lot_input",
            "lot_harvest",
            "lot_mark",
            "trace_name",
            "trace_same",
            *INDEX,
            *PORTIONS,
            "lot_making",
            "lot_unjudged",
        ):
            conn.execute(f"DELETE FROM {table}".encode())
        conn.execute("UPDATE projection SET position = 0")
        _mark_everything(conn, "rollup", Random(1))
    monkeypatch.setattr(following, "BATCH", 20)  # one chain's events come in several
    instance.settle(UNTIL, consumers=("projection", "rollup"))
    assert {table: instance.rows(query) for table, query in (PROJECTED | INDEX).items()} == before

    # The projection has marked what it touched; detection looks at it all again, and at each series for itself.
    instance.settle(UNTIL + MINUTES, consumers=("detection",))
    for seed in range(3):
        with instance.as_role("jobs") as conn:
            _mark_everything(conn, "detection", Random(seed))
            while detection.step(conn, UNTIL + MINUTES):
                continue
    assert instance.rows(EXCURSIONS) == excursions
    assert instance.rows(VERSIONS) == versions, "looking again is no new version"


def _mark_everything(conn: psycopg.Connection, consumer: str, chance: Random) -> None:
    """A mark for each hour of each series, in any order: what many small batches would have left."""
    rows = conn.execute(
        "SELECT series_id, date_trunc('hour', time, 'UTC') AS hour, min(time), max(time) FROM reading_store GROUP BY series_id, hour"
    ).fetchall()
    chance.shuffle(rows)
    for part in range(0, len(rows), 50):
        touched: marks.Touched = {}
        for series, _, first, last in rows[part : part + 50]:
            known = touched.get(series, (first, last))
            touched[series] = (min(first, known[0]), max(last, known[1]))
        marks.leave(conn, touched, UNTIL, consumers=[consumer])


def test_roll_ups_are_what_the_readings_say(instance: Instance) -> None:
    instance.register(REGISTRY)
    instance.take([room([1.0 + minute / 60 for minute in range(150)], 5, 1)], NOW)
    instance.settle(NOW, consumers=("rollup",))
    instance.take([room([0.5], 4.991, 2), room([9.0], 4.5001, 3)], NOW)  # between the others
    instance.settle(NOW, consumers=("rollup",))
    recomputed = (
        "SELECT series_id, date_trunc('hour', time, 'UTC') AS hour, count(*)::int, sum(value), min(value), max(value), min(time), max(time)"
        " FROM reading_store GROUP BY series_id, hour ORDER BY series_id, hour"
    )
    kept = instance.rows(PROJECTED["reading_1h"])
    assert [_without_total(row) for row in kept] == [_without_total(row) for row in instance.rows(recomputed)]
    assert [row[3] for row in kept] == pytest.approx([row[3] for row in instance.rows(recomputed)])
    assert sum(row[2] for row in kept) == 152
    with instance.as_role("jobs") as conn:
        assert not rollups.step(conn, NOW), "no mark is left"


def _without_total(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sums of floats may differ in the last bits."""
    return (*row[:3], *row[4:])


@pytest.mark.editions("plain")
def test_any_batches_any_order_and_repeats_give_the_same_excursions(
    servers: Servers, database: Database, tmp_path: Path
) -> None:
    orderly = Instance(database, tmp_path / "orderly")
    fed(orderly)
    assert orderly.rows(EXCURSIONS)

    with servers.template("plain").clone() as other:
        mixed = Instance(other, tmp_path / "mixed")
        mixed.register(world().registry())
        chance = Random(20260618)
        repeated = chance.sample(cold_part(), len(cold_part()) // 4)
        twice = [*cold_part(), *(Message(each.topic, each.payload, redelivered=True) for each in repeated)]
        _at_once(mixed, list(in_batches(twice, chance)))
        mixed.settle(UNTIL, consumers=("projection", "detection", "rollup"))
        stays, origins = PROJECTED["lot_grant_stay"], PROJECTED["lot_origin"]
        for query in (
            EXCURSIONS,
            PLACEMENTS,
            PROJECTED["presence"],
            READINGS,
            ROLLED_UP,
            GRANTS,
            GRANTED,
            stays,
            origins,
        ):
            assert mixed.rows(query) == orderly.rows(query)
        counted = account(other.owner)
        assert adds_up(counted) and counted["conflict"] == 0 and counted["duplicate"] > 0


def _at_once(instance: Instance, batches: Sequence[Sequence[Message]]) -> None:
    """Two workers, each with its own connection, and detection beside them."""

    def work(number: int) -> None:
        worker = instance.worker(f"ingest-{number}")
        for batch in batches[number::2]:
            while not _taken(instance, batch, worker):
                continue  # as the subscriber does: unacknowledged, and tried again

    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(work, number) for number in range(2)]
        while not all(each.done() for each in working):
            instance.settle(UNTIL, consumers=("projection", "detection"))
        for each in working:
            each.result()


def _taken(instance: Instance, batch: Sequence[Message], worker: Line) -> bool:
    try:
        instance.take(batch, UNTIL, worker)
    except Away:
        return False
    return True


# --- late data on a small chain: a lot in a cold store with one sensor ---------------------------------------

WARM, COLD = 8.0, 2.0


@pytest.fixture
def store(instance: Instance) -> Instance:
    """The lot lies in the store since ten hours ago, the sensor hangs there."""
    instance.register(REGISTRY)
    instance.take(by_terminal(made(10), placed(9)), NOW)
    instance.settle(NOW, consumers=("projection",))
    return instance


def detect(instance: Instance, *messages: Message, minutes_later: float = 0) -> list[dict[str, Any]]:
    """All excursions after those messages, by id, with minutes before NOW for times."""
    now = NOW + timedelta(minutes=minutes_later)
    instance.take(messages, now)
    instance.settle(now, consumers=("projection", "detection"))
    rows = instance.rows(
        "SELECT id, version, state, merged_into, start_time, trigger_time, end_time, minutes_at_least FROM excursion ORDER BY id"
    )
    return [
        {
            "id": row[0],
            "version": row[1],
            "state": row[2],
            "into": row[3],
            "span": tuple(
                None if time is None else round((NOW - time).total_seconds() / 60) for time in row[4:7]
            ),
            "minutes": row[7],
        }
        for row in rows
    ]


def versions(instance: Instance) -> dict[int, list[str]]:
    """The states each excursion went through."""
    found: dict[int, list[str]] = {}
    for excursion, state in instance.rows(
        "SELECT excursion, body ->> 'state' FROM excursion_version ORDER BY excursion, version"
    ):
        found.setdefault(excursion, []).append(state)
    return found


def test_late_readings_extend_an_excursion_under_its_number(store: Instance) -> None:
    (first,) = detect(store, room([WARM] * 41, 4, 2))
    assert (first["state"], first["span"], first["minutes"]) == ("open", (240, 210, None), 40)
    (after,) = detect(store, room([WARM] * 20 + [COLD], 4 - 41 / 60, 3), minutes_later=1)
    assert (after["id"], after["version"], after["state"], after["span"]) == (
        first["id"],
        2,
        "closed",
        (240, 210, 179),
    )
    (before,) = detect(store, room([WARM] * 10, 4 + 10 / 60, 1), minutes_later=2)
    assert (before["id"], before["version"], before["span"], before["minutes"]) == (
        first["id"],
        3,
        (250, 220, 179),
        70,
    )
    assert versions(store) == {first["id"]: ["open", "closed", "closed"]}


def test_a_gap_does_not_cut_an_excursion_and_what_fills_it_may(store: Instance) -> None:
    (whole,) = detect(store, room([WARM] * 35, 5, 1), room([WARM] * 45 + [COLD], 4, 3))
    assert (whole["span"], whole["minutes"]) == ((300, 270, 195), 34 + 44)
    first, second = detect(store, room([WARM] * 3 + [COLD] * 2, 5 - 40 / 60, 2), minutes_later=1)
    assert (first["id"], first["state"], first["span"]) == (whole["id"], "closed", (300, 270, 257))
    assert (second["state"], second["span"]) == ("closed", (240, 210, 195))


def test_an_excursion_that_was_none_is_voided_and_returns_under_its_number(store: Instance) -> None:
    (found,) = detect(store, room([WARM] * 41 + [COLD], 4, 1))
    (void,) = detect(store, *by_terminal(declared_wrong(placed(9))), minutes_later=1)
    assert (void["id"], void["state"]) == (found["id"], "void"), "the sensor was never there"
    again = placed(8.5)
    (back,) = detect(store, *by_terminal(again), minutes_later=2)
    assert (back["id"], back["state"], back["span"]) == (found["id"], "closed", found["span"])
    assert versions(store) == {found["id"]: ["closed", "void", "closed"]}


def test_two_excursions_that_were_one_are_merged_into_the_older(store: Instance) -> None:
    taken, hung = removed(3), placed(2)
    apart = detect(store, *by_terminal(taken, hung), room([WARM] * 240 + [COLD], 4.5, 1))
    assert [(each["state"], each["span"]) for each in apart] == [
        ("closed", (270, 240, 180)),
        ("closed", (120, 90, 30)),
    ]
    older, younger = detect(store, *by_terminal(declared_wrong(taken), declared_wrong(hung)), minutes_later=1)
    assert (older["id"], older["state"], older["span"]) == (apart[0]["id"], "closed", (270, 240, 30))
    assert (younger["id"], younger["state"], younger["into"]) == (apart[1]["id"], "merged", older["id"])
    assert older["minutes"] == 239


def test_the_projection_knows_what_a_box_weighs(store: Instance) -> None:
    """The lot's events do not say it; the registry does: 80 kg of 2 kg boxes are all 40 of them."""
    gone = said(
        "ObjectEvent",
        5,
        action="DELETE",
        bizStep="destroying",
        quantityList=[{"epcClass": LOT, "quantity": 80, "uom": "KGM"}],
        **at(STORE),
    )
    store.take(by_terminal(gone), NOW)
    store.settle(NOW, consumers=("projection",))
    ((ended,),) = store.rows("SELECT upper(valid) FROM presence WHERE lot = %s", LOT)
    assert ended == NOW - timedelta(hours=5)
