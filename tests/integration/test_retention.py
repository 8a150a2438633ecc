"""Raw readings go by age, on every edition; what was made of them stays, and what comes late for them spoils none of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.migrate import follow_retention
from deploy.readings_audit import Wanted, audit
from ingest import retention
from ingest.pipeline import Message
from tests.acceptance.instance import Instance
from tests.integration.lines import NOW, pack
from tests.integration.said import REGISTRY, by_terminal, made, message, placed
from tests.integration.test_invariants import INVARIANTS
from tests.servers.community import run_policies
from tests.servers.databases import Database

EVERY_EDITION = pytest.mark.editions("plain", "timescale", "community")
HORIZON = datetime(2026, 6, 19, tzinfo=UTC)
"""A midnight; readings lie from thirty-six hours before it to thirty-six after."""
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MISSING = HORIZON + DAY
"""An hour that nothing was heard of."""
ROLLED_UP = "SELECT hour, n, total, minimum, maximum, first_at, last_at FROM reading_1h ORDER BY hour"
EXCURSIONS = "SELECT id, version, state, start_time, trigger_time, end_time, minutes_at_least, degree_minutes FROM excursion ORDER BY id"
WINDOWS = "SELECT device_id, start_time, version, readings, root FROM sealed_window ORDER BY id"


def keep(horizon: datetime = HORIZON) -> timedelta:
    """How long readings are kept if by the present day those before `horizon` are to go."""
    return datetime.now(UTC) - horizon - retention.MARGIN - timedelta(hours=1)


def readings(start: datetime, values: list[float], seq: int, step_s: float = 60) -> Message:
    return message(pack(values, seq=seq, start_s=start.timestamp(), step_s=step_s))


def position(when: datetime, seq: int) -> Message:
    start = f'"t": {when.timestamp()}'
    return message(
        f'[{{"n": "boot", "v": 1}}, {{"n": "seq", "v": {seq}}}, {{"n": "lat", "u": "lat", {start}, "v": 28.8}},'
        f' {{"n": "lon", "u": "lon", {start}, "v": 120.7}}]'.encode()
    )


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    """Three days of readings but for an hour, an excursion on each side of the horizon, all computed, sealed and in the log."""
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    instance.take(by_terminal(made(72), placed(71)), NOW)
    curve = [2.5 + (minute % 7) / 10 for minute in range(72 * 60)]
    for warm in (20 * 60, 50 * 60):
        curve[warm : warm + 45] = [7.3] * 45
    begin = HORIZON - 1.5 * DAY
    packs = [
        readings(begin + hour * HOUR, curve[60 * hour : 60 * hour + 60], hour + 1)
        for hour in range(72)
        if begin + hour * HOUR != MISSING
    ]
    instance.take([*packs, position(begin, 100), position(HORIZON, 101)], NOW)
    settle(instance)
    return instance


def settle(instance: Instance) -> None:
    instance.settle(NOW + timedelta(hours=1))
    if instance.database.edition == "community":
        run_policies(instance.database.owner)
        instance.compress(datetime.now(UTC))


def drop(instance: Instance, horizon: datetime = HORIZON) -> int:
    """Until there is no more to do; returns in how many steps. The roll-up's refresh has been told, as `suyuan migrate` does."""
    with psycopg.connect(instance.database.owner) as conn:
        follow_retention(conn, keep(horizon))
    steps = 0
    with instance.as_role("jobs") as conn:
        while retention.step(conn, datetime.now(UTC), keep(horizon), instance.keys.organisation_key):
            conn.commit()
            steps += 1
    return steps


def made_of_them(instance: Instance) -> dict[str, list[tuple[Any, ...]]]:
    return {query: instance.rows(query) for query in (ROLLED_UP, EXCURSIONS, WINDOWS)}


@EVERY_EDITION
def test_old_readings_go_and_what_was_made_of_them_stays(instance: Instance) -> None:
    before = made_of_them(instance)
    assert [len(rows) for rows in before.values()] == [71, 2, 71]
    assert drop(instance) > 1 and drop(instance) == 0
    assert instance.rows("SELECT min(time), count(*) FROM reading_store") == [(HORIZON, 35 * 60)]
    assert instance.rows("SELECT time FROM observation") == [(HORIZON,)]
    assert instance.rows("SELECT before, readings, observations FROM retention_run") == [
        (HORIZON, 36 * 60, 1)
    ]
    settle(instance)
    assert made_of_them(instance) == before
    whatever_holds(instance)


@EVERY_EDITION
def test_what_comes_for_dropped_hours_spoils_nothing(instance: Instance) -> None:
    """As it comes from a file; the field's are refused. What comes behind the horizon counts as ever."""
    drop(instance)
    before = made_of_them(instance)
    late = [
        readings(HORIZON - DAY + timedelta(minutes=hour * 60, seconds=20), [9.9] * 50, 200 + hour)
        for hour in range(6)
    ]
    settled = NOW + timedelta(hours=1)
    instance.take(late, settled)
    instance.settle(settled + timedelta(minutes=5))
    settle(instance)
    assert made_of_them(instance) == before
    whatever_holds(instance)

    hour = HORIZON + timedelta(hours=30)
    instance.take([readings(hour + timedelta(seconds=30), [9.0] * 40, 300)], settled)
    instance.settle(settled + timedelta(minutes=5))
    settle(instance)
    after = made_of_them(instance)
    ((_, number, _, _, warmest, *_),) = [row for row in after[ROLLED_UP] if row not in before[ROLLED_UP]]
    assert (number, warmest) == (100, 9.0)
    assert len(after[WINDOWS]) == 72, "amended"
    assert drop(instance, HORIZON - 2 * DAY) == 0, "kept for longer by now, it would stay"
    assert instance.one("SELECT min(time) FROM reading_store") < HORIZON
    assert drop(instance) > 0, "what came for dropped hours goes too"
    assert instance.one("SELECT min(time) FROM reading_store") == HORIZON
    whatever_holds(instance)


@EVERY_EDITION
def test_late_readings_reach_everything(instance: Instance) -> None:
    """Also where the chunk that they belong to lies in columns."""
    if instance.database.edition == "community":
        chunks = (
            "SELECT is_compressed FROM timescaledb_information.chunks WHERE hypertable_name = 'reading_store'"
        )
        assert {each for (each,) in instance.rows(chunks)} == {True}
    before = made_of_them(instance)
    later = NOW + 2 * HOUR
    instance.take([readings(MISSING, [7.3] * 60, 61)], later)
    instance.settle(later + timedelta(minutes=5))
    settle(instance)
    rolled, excursion, window = (
        [row for row in rows if row not in before[query]] for query, rows in made_of_them(instance).items()
    )
    assert [(row[0], row[1], row[3]) for row in rolled] == [(MISSING, 60, 7.3)]
    assert [row[2:6] for row in excursion] == [("closed", MISSING, MISSING + HOUR / 2, MISSING + HOUR)]
    assert [row[1:4] for row in window] == [(MISSING, 1, 60)]
    whatever_holds(instance)


@EVERY_EDITION
def test_readings_taken_away_are_taken_out_of_what_was_made_of_them(instance: Instance) -> None:
    """An hour in part, an hour whole, an excursion; by whoever may, with the mark that is left then."""
    (first, second), hour = instance.rows(EXCURSIONS), HORIZON + timedelta(hours=32)
    gone = (second[3], second[5])
    instance.alter("DELETE FROM reading_store WHERE time >= %s AND time < %s", *gone)
    instance.alter(
        "DELETE FROM reading_store WHERE time >= %s AND time < %s", hour, hour + timedelta(hours=1)
    )
    instance.alter(
        "DELETE FROM batch_account"
    )  # nobody but the owner takes readings away, and the account knows nothing of it
    for begin, end in (gone, (hour, hour + timedelta(minutes=59))):
        for consumer in ("detection", "rollup"):
            instance.alter(
                "INSERT INTO mark (consumer, created_at, reason, series_ids, from_times, to_times)"
                " SELECT %s, now(), 'readings', ARRAY[id], ARRAY[%s::timestamptz], ARRAY[%s::timestamptz] FROM series WHERE channel = 'ambient'",
                consumer, begin, end,
            )  # fmt: skip
    settle(instance)
    assert [(row[0], row[2]) for row in instance.rows(EXCURSIONS)] == [
        (first[0], "closed"),
        (second[0], "void"),
    ]
    rolled = instance.rows(ROLLED_UP)
    assert len(rolled) == 70 and hour not in {row[0] for row in rolled}
    assert min(row[1] for row in rolled) == 15, "forty-five minutes of an hour are gone"
    assert instance.rows(INVARIANTS["rollups_are_those_of_the_readings"]) == []


@EVERY_EDITION
def test_a_legal_hold_keeps_what_it_names(instance: Instance) -> None:
    instance.alter("INSERT INTO legal_hold (reason, since) VALUES ('a court', %s)", HORIZON - DAY)
    drop(instance)
    assert instance.one("SELECT whole_since FROM reading_horizon") == HORIZON - DAY
    assert instance.one("SELECT min(time) FROM reading_store") == HORIZON - DAY
    whatever_holds(instance)
    instance.alter("UPDATE legal_hold SET released_at = now()")
    drop(instance)
    assert instance.one("SELECT min(time) FROM reading_store") == HORIZON
    # Placed when the horizon has passed already: what is still there stays.
    instance.take([readings(HORIZON - DAY, [2.0], 400)], NOW)
    settle(instance)
    instance.alter("INSERT INTO legal_hold (reason, since) VALUES ('another', %s)", HORIZON - 2 * DAY)
    assert drop(instance) == 0
    assert instance.one("SELECT min(time) FROM reading_store") == HORIZON - DAY


@EVERY_EDITION
def test_a_horizon_behind_which_nothing_went_is_lowered(instance: Instance) -> None:
    """An instance that was begun with the usual time, and is to take years in."""
    ahead = HORIZON + 5 * DAY
    instance.alter("UPDATE reading_horizon SET whole_since = %s, checked_since = %s", ahead, ahead)
    with psycopg.connect(instance.database.owner) as conn:
        follow_retention(conn, keep())
    assert instance.one("SELECT whole_since FROM reading_horizon") == HORIZON
    before = made_of_them(instance)
    instance.take([readings(HORIZON + 30 * HOUR + timedelta(seconds=20), [9.9] * 50, 200)], NOW)
    settle(instance)
    assert len(instance.rows(ROLLED_UP)) == len(before[ROLLED_UP]) and made_of_them(instance) != before
    whatever_holds(instance)
    drop(instance)
    with psycopg.connect(instance.database.owner) as conn:
        follow_retention(conn, keep(HORIZON - DAY))
    assert instance.one("SELECT whole_since FROM reading_horizon") == HORIZON, "something went"


def test_nothing_goes_that_is_still_to_be_looked_at(instance: Instance) -> None:
    instance.take([readings(HORIZON - DAY + timedelta(seconds=30), [2.0], 400)], NOW)
    for consumer in ("detection", "rollup", "sealing"):
        assert drop(instance) == 0
        instance.consume(consumer, NOW)
    assert drop(instance) == 0, "an hour is still to be sealed"
    settle(instance)
    assert drop(instance) > 0


@pytest.mark.editions("plain")
def test_readings_can_be_dropped_in_no_other_way(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    with instance.as_role("jobs") as conn:
        for statement in (
            "DELETE FROM reading_store",
            "UPDATE reading_horizon SET whole_since = now()",
            "UPDATE legal_hold SET released_at = now()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                conn.execute(statement.encode())
        with pytest.raises(psycopg.errors.RaiseException, match="for a day at least"), conn.transaction():
            conn.execute("SELECT raise_reading_horizon(now())")
        assert conn.execute("SELECT readings FROM drop_old_readings(10)").fetchone() == (0,)
    with instance.as_role("ingest") as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("SELECT * FROM drop_old_readings(10)")
    monkeypatch.setattr(retention, "MOST", 500)
    assert drop(instance) == 9, "two days: its windows, the horizon, and its 720 or 1440 rows in batches"


# --- a window is looked at before its readings go ---------------------------------------------------------------------


@EVERY_EDITION
def test_a_window_that_does_not_hold_keeps_its_readings(instance: Instance) -> None:
    begin = HORIZON - DAY - 3 * HOUR
    at = (begin, begin + HOUR)
    was = instance.one("SELECT value FROM reading_store WHERE time = %s", begin)
    instance.alter("UPDATE reading_store SET value = 1.25 WHERE time = %s", begin)
    instance.alter(
        "UPDATE window_check SET checked_at = checked_at - %s", retention.FRESH
    )  # before it was compressed
    drop(instance)
    ((start, fault),) = instance.rows("SELECT start_time, fault FROM window_check WHERE fault IS NOT NULL")
    assert start == begin and "altered" in fault
    assert instance.one("SELECT count(*) FROM reading_store WHERE time >= %s AND time < %s", *at) == 60
    kept = 60 if instance.database.edition == "plain" else 720  # the chunk of its day
    assert instance.one("SELECT count(*) FROM reading_store WHERE time < %s", HORIZON) == kept
    assert instance.one("SELECT whole_since FROM reading_horizon") == HORIZON, "the others went"
    assert set(holding(instance)) == {"no_window_has_a_fault"}
    instance.settle(datetime.now(UTC) + 2 * HOUR)
    drop(instance)
    assert instance.one("SELECT count(*) FROM reading_store WHERE time >= %s AND time < %s", *at) == 60

    instance.alter("UPDATE reading_store SET value = %s WHERE time = %s", was, begin)
    instance.settle(datetime.now(UTC) + 4 * HOUR)
    drop(instance)
    assert instance.one("SELECT min(time) FROM reading_store") == HORIZON
    whatever_holds(instance)


@pytest.mark.editions("plain")
def test_what_was_never_sealed_is_sealed_before_it_goes(instance: Instance) -> None:
    instance.take([readings(HORIZON - DAY + timedelta(seconds=30), [2.0], 400)], NOW)
    instance.alter("DELETE FROM mark")
    before = instance.one("SELECT count(*) FROM sealed_window")
    drop(instance)
    assert instance.one("SELECT whole_since FROM reading_horizon") < HORIZON
    instance.settle(datetime.now(UTC))
    drop(instance)
    assert instance.one("SELECT min(time) FROM reading_store") == HORIZON
    assert instance.one("SELECT count(*) FROM sealed_window") == before + 1, "its hour was amended"
    assert instance.one("SELECT count(*) FROM window_check WHERE start_time < %s", HORIZON) == 36


@pytest.mark.editions("plain")
def test_the_audit_says_what_is_gone_and_that_it_was_checked(instance: Instance) -> None:
    drop(instance)
    with psycopg.connect(instance.database.service("jobs"), autocommit=True) as conn:
        folders = (instance.folder / "log", instance.folder / "keys")
        report = audit(conn, *folders, Wanted(), lambda _said: None)
        assert (report.status, report.counts["gone"], report.counts["readings"]) == (0, 36, 35 * 60 + 1)
        instance.alter("DELETE FROM window_check")
        report = audit(conn, *folders, Wanted(), lambda _said: None)
        assert (report.status, report.counts["gone_unchecked"]) == (2, 36)
        report = audit(conn, *folders, Wanted(since=HORIZON), lambda _said: None)
        assert (report.status, report.counts["gone"]) == (0, 0)


@pytest.mark.editions("plain")
def test_the_horizon_passes_no_window_that_nobody_looked_at(instance: Instance) -> None:
    with (
        instance.as_role("jobs") as conn,
        pytest.raises(psycopg.errors.RaiseException, match="not held against"),
    ):
        conn.execute("SELECT raise_reading_horizon(%s)", [HORIZON])


@pytest.mark.editions("community")
def test_a_chunk_goes_into_columns_when_its_windows_hold(instance: Instance) -> None:
    in_rows = "SELECT range_start FROM timescaledb_information.chunks WHERE hypertable_name = 'reading_store' AND NOT is_compressed"
    begin = HORIZON - 10 * DAY
    instance.take([readings(begin, [2.0, 3.0], 500)], NOW)
    instance.settle(NOW + 2 * HOUR)
    instance.alter("UPDATE reading_store SET value = 1 WHERE time = %s", begin)
    instance.compress(datetime.now(UTC))
    assert instance.rows(in_rows) == [(begin,)]
    assert instance.one("SELECT start_time FROM window_check WHERE fault IS NOT NULL") == begin
    instance.alter("UPDATE reading_store SET value = 2 WHERE time = %s", begin)
    instance.settle(datetime.now(UTC) + 2 * HOUR)
    instance.compress(datetime.now(UTC))
    assert instance.rows(in_rows) == []
    with instance.as_role("jobs") as conn:
        assert conn.execute("SELECT * FROM readings_in_rows(now())").fetchall() == []


def whatever_holds(instance: Instance) -> None:
    assert holding(instance) == []


def holding(instance: Instance) -> list[str]:
    """The invariants that do not hold."""
    return [name for name, query in INVARIANTS.items() if instance.rows(query)]
