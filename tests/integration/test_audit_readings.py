"""`suyuan audit readings`: whoever changes the table, and whatever else of the database with it, is found out, by the reading."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from deploy.readings_audit import Report, Wanted, audit
from ledger.log_files import LogFiles
from tests.acceptance.instance import Instance
from tests.integration.lines import NOW
from tests.integration.running import suyuan
from tests.integration.said import REGISTRY, room, truck

HOUR, QUIET = timedelta(hours=1), timedelta(minutes=2)


def begin(instance: Instance) -> None:
    """Two devices with two hours each, one of them amended; all of it in the logs."""
    instance.register(REGISTRY)
    for number, message in enumerate((room([1.0, 2.0, 3.0], 3, 1), room([4.0, 5.0], 2, 2), truck([6.0], 3, 1), truck([7.0], 2, 2))):  # fmt: skip
        instance.take([message], NOW + number * timedelta(seconds=1))
    settle(instance, 1)
    instance.take([room([2.5], 3 - 0.25 / 60, 3)], NOW + 2 * HOUR)
    settle(instance, 3)


@pytest.fixture
def instance(begun: Instance) -> Instance:
    return begun


def settle(instance: Instance, hours: float) -> None:
    instance.settle(NOW + hours * HOUR, consumers=("projection", "detection", "sealing"))


def audited(instance: Instance, **wanted: Any) -> Report:
    with psycopg.connect(instance.database.service("jobs"), autocommit=True) as conn:
        return audit(
            conn, instance.folder / "log", instance.folder / "keys", Wanted(**wanted), lambda _said: None
        )


def named(report: Report) -> list[tuple[str, float, Any]]:
    """(kind, minutes after the hour three before NOW, what is there)."""
    start_ms = (NOW - 3 * HOUR).timestamp() * 1000
    return [
        (each.fault.kind, (each.fault.time_ms - start_ms) / 60_000, each.fault.there)
        for each in report.found
        if each.fault.time_ms is not None
    ]


def test_what_nobody_touched_holds(instance: Instance) -> None:
    report = audited(instance)
    assert (report.status, report.found) == (0, [])
    assert {name: report.counts[name] for name in ("windows", "versions", "readings")} == {
        "windows": 4, "versions": 5, "readings": 8,
    }  # fmt: skip
    assert audited(instance, device="truck-1").counts["windows"] == 2
    assert audited(instance, organisation="coop", since=NOW - 2 * HOUR).counts["windows"] == 1
    assert audited(instance, until=NOW - 3 * HOUR).counts["windows"] == 0


ALTERED = ("altered", 1.0, {"value": 8.5, "flags": 0})
ALTER = "UPDATE reading_store SET value = 8.5 WHERE value = 2"
AFTER = "(SELECT max(time) + INTERVAL '1 minute' FROM reading_store WHERE value = 3)"
OF_THREE = "FROM sealed_window WHERE readings IN (3, 4)"


@pytest.mark.editions("plain")
@pytest.mark.parametrize(
    ("deeds", "found"),
    [
        ((ALTER,), [ALTERED]),
        (("UPDATE reading_store SET flags = 4 WHERE value = 2",), [("altered", 1.0, {"value": 2.0, "flags": 4})]),
        (("DELETE FROM reading_store WHERE value = 2",), [("removed", 1.0, None)]),
        ((f"INSERT INTO reading_store SELECT series_id, {AFTER}, 9, 0, batch_id FROM reading_store WHERE value = 3",),
         [("inserted", 3.0, {"value": 9.0, "flags": 0})]),
        (("UPDATE reading_store SET time = time + INTERVAL '10 s' WHERE value = 3",),
         [("removed", 2.0, None), ("inserted", 2 + 1 / 6, {"value": 3.0, "flags": 0})]),
        ((f"INSERT INTO reading_store SELECT series_id, {AFTER} - INTERVAL '9 h', 9, 0, batch_id FROM reading_store WHERE value = 3",),
         [("inserted", 3.0 - 9 * 60, {"value": 9.0, "flags": 0})]),
        ((ALTER, "DELETE FROM reading_store WHERE value IN (3, 7)"), [ALTERED, ("removed", 2.0, None), ("removed", 60.0, None)]),
        # Whoever changes the rows that speak of it as well changes nothing of the log.
        ((ALTER, f"UPDATE sealed_window SET root = sha256(root) WHERE id IN (SELECT id {OF_THREE})"), [ALTERED]),
        ((ALTER, f"UPDATE leaf SET entry = sha256(entry), leaf_hash = sha256(leaf_hash) WHERE sealed_window IN (SELECT id {OF_THREE})"), [ALTERED]),
    ],
)  # fmt: skip
def test_each_reading_that_was_changed_is_named(
    instance: Instance, deeds: tuple[str, ...], found: list[Any]
) -> None:
    for deed in deeds:
        instance.alter(deed)
    report = audited(instance)
    assert report.status == 1
    assert sorted(map(str, named(report))) == sorted(map(str, found))


@pytest.mark.editions("plain")
@pytest.mark.parametrize(
    ("deeds", "said"),
    [
        ((ALTER, "UPDATE sealed_window SET leaf_prefixes = NULL"), "before leaf prefixes were kept"),
        ((ALTER, "UPDATE sealed_window SET leaf_prefixes = substring(sha256(leaf_prefixes) FOR 4 * readings)"), "no longer what was sealed"),
        (("DELETE FROM reading_store WHERE value = 3",
          "UPDATE sealed_window SET leaf_keys = substring(leaf_keys FOR 24 * (readings - 1)), leaf_prefixes = NULL"
          f" WHERE id IN (SELECT id {OF_THREE})"),
         "readings, its entry"),
        (("UPDATE sealed_window SET leaf_keys = set_byte(leaf_keys, 23, 255 - get_byte(leaf_keys, 23)) WHERE version = 2",),
         "list of readings was altered"),
        ((f"UPDATE leaf SET sealed_window = NULL WHERE sealed_window IN (SELECT id {OF_THREE})",
          f"DELETE FROM sealed_window WHERE id IN (SELECT id {OF_THREE})", ALTER), "the table has no row of it"),
        (("UPDATE leaf SET sealed_window = NULL WHERE sealed_window = (SELECT max(id) FROM sealed_window)",
          "INSERT INTO sealed_window (organisation, device_id, start_time, version, closed, through, readings, root, leaf_keys, sealed_at)"
          " SELECT organisation, device_id, start_time, 3, closed, through, readings, root, leaf_keys, now() FROM sealed_window WHERE version = 2"),
         "waits for none"),
    ],
)  # fmt: skip
def test_who_changes_what_the_names_come_from_is_found_out_by_the_hour(
    instance: Instance, deeds: tuple[str, ...], said: str
) -> None:
    for deed in deeds:
        instance.alter(deed)
    report = audited(instance)
    assert report.status == 1
    assert any(said in each.fault.detail for each in report.found), report.found


def test_late_data_is_no_alteration_while_it_waits(instance: Instance) -> None:
    instance.take([room([9.0], 2.5, 4), room([9.0], 20, 5)], NOW + 4 * HOUR)
    assert (audited(instance).status, audited(instance).counts["unsealed"]) == (0, 2), "marked"
    instance.consume("sealing", NOW + 4 * HOUR)
    assert (audited(instance).status, audited(instance).counts["unsealed"]) == (0, 2), "noted"
    instance.consume("sealing", NOW + 4 * HOUR + QUIET)
    report = audited(instance)
    assert (report.status, report.counts["unsealed"], report.counts["not_in_log_yet"]) == (0, 0, 2)
    settle(instance, 5)
    assert audited(instance).counts["not_in_log_yet"] == 0


@pytest.mark.editions("plain")
def test_what_cannot_be_checked_is_not_said_to_hold(instance: Instance) -> None:
    (instance.folder / "keys" / "carrier.org_key").rename(instance.folder / "kept")
    report = audited(instance)
    assert report.status == 2 and "carrier: its key" in report.unchecked[0][0]
    assert not (instance.folder / "keys" / "carrier.org_key").exists(), "and none was made"
    (instance.folder / "kept").rename(instance.folder / "keys" / "carrier.org_key")

    files = LogFiles(instance.folder / "log" / "coop")
    bundle = max((files.folder / "tile" / "entries").glob("000.p/*"), key=lambda path: int(path.name))
    whole = bundle.read_bytes()
    bundle.write_bytes(whole.replace(b'"closed":"hour"', b'"closed":"houR"'))
    report = audited(instance)
    assert report.status == 2 and "give the root" in report.unchecked[0][0]
    bundle.write_bytes(whole)
    files.folder.rename(files.folder.with_name("elsewhere"))
    report = audited(instance)
    assert report.status == 2 and "its log is not in" in report.unchecked[0][0]


@pytest.mark.editions("plain")
def test_the_command_says_it_and_ends_with_its_status(instance: Instance) -> None:
    environment = {
        "SUYUAN_DATABASE_URL": instance.database.service("jobs"),
        "SUYUAN_DATA_DIR": str(instance.folder),
    }
    done = suyuan(environment, "audit", "readings")
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 device-hours (5 versions), 8 readings: all hold" in done.stdout
    instance.alter(ALTER)
    done = suyuan(environment, "audit", "readings", "--organisation", "coop")
    assert done.returncode == 1
    assert "altered   coop room-1 ambient 2026" in done.stdout and '{"value": 8.5, "flags": 0}' in done.stdout
    done = suyuan(environment, "audit", "readings", "--from", "2020-01-01", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["faults"] == {"altered": 1} and report["holds"] is False and report["complete"] is True
    assert report["named"][0]["channel"] == "ambient" and report["named"][0]["there"] == {
        "value": 8.5,
        "flags": 0,
    }
    assert suyuan(environment, "audit", "readings", "--device", "nobody").returncode == 1
    for role in ("api", "sequencer"):  # who sees no row, or not the store, must not hear that all holds
        done = suyuan(
            environment | {"SUYUAN_DATABASE_URL": instance.database.service(role)}, "audit", "readings"
        )
        assert done.returncode == 1 and "give the jobs' or the owner's URL" in done.stderr and not done.stdout
