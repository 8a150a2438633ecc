"""Verdicts in the log: what is sealed of an excursion, when, and that it opens field by field."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.evidence_making import Wish, run
from deploy.settings import Settings
from ingest import verdicts
from ingest.verdicts import SealedVerdict
from ledger.entry import Entry, commit_event, parse_entry, stream_pseudonym
from tests.acceptance.instance import Instance
from tests.integration.lines import NOW
from tests.integration.said import REGISTRY, by_terminal, made, placed, room
from tests.integration.test_evidence_command import said_in
from tests.servers.databases import Database

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
QUIET = verdicts.QUIET
COLD, WARM = 2.0, 8.0
STEPS = ("projection", "detection", "verdicts")


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    """A cold store with a sensor, and goods in it that are to be kept below 5 °C."""
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    instance.take(by_terminal(made(10), placed(9)), NOW)
    return instance


def sealed(instance: Instance, excursion: int = 1) -> list[SealedVerdict]:
    with instance.as_role("jobs") as conn:
        return verdicts.read(conn, excursion, instance.keys.organisation_key)


def states(instance: Instance, excursion: int = 1) -> list[tuple[int, str]]:
    return [(each.version, each.fields["state"]) for each in sealed(instance, excursion)]


def entries(instance: Instance) -> list[tuple[int, Entry]]:
    log = instance.log("coop")
    found = [(index, parse_entry(log.entry(index))) for index in range(log.tree_size)]
    return [(index, entry) for index, entry in found if entry.type == "verdict"]


def test_an_excursion_is_in_the_log_as_soon_as_it_is_open(instance: Instance) -> None:
    instance.take([room([COLD] * 5 + [WARM] * 40, 1, 1)], NOW)
    instance.settle(NOW, consumers=STEPS)
    ((index, entry),) = entries(instance)
    (verdict,) = sealed(instance)
    assert verdict.leaf_index == index
    assert entry.body == commit_event(verdict.fields, verdict.salts).body(), "it opens with these salts"
    device = instance.one("SELECT device_id FROM series WHERE channel = 'ambient'")
    key = instance.keys.organisation_key("coop")
    assert entry.stream == stream_pseudonym(key, "device", str(device)), "chained with its device's windows"
    fields: dict[str, Any] = dict(verdict.fields)
    rule, series = instance.rows(
        "SELECT body, uuid::text FROM excursion JOIN limit_version AS rule ON (rule.id, rule.version) = (limit_id, limit_version)"
        " JOIN series ON series.id = series_id"
    )[0]
    assert fields["rule"] == rule and {"source", "clause", "limit_c", "version"} <= rule.keys()
    assert (fields["state"], fields["series"], fields["extreme"]) == ("open", series, WARM)
    assert fields["start_time"] == (NOW - HOUR + 5 * MINUTE).isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )
    assert fields["end_time"] is None and fields["closed_by"] is None


@pytest.mark.editions("plain")
def test_one_that_goes_on_is_sealed_by_the_hour_as_it_grows_and_what_it_came_to_once(
    instance: Instance,
) -> None:
    for minute in range(0, 360, 10):
        at = NOW + minute * MINUTE
        instance.take([room([WARM] * 10, -minute / 60, minute + 1)], at + 9 * MINUTE)
        instance.settle(at + 9 * MINUTE, consumers=STEPS)
    versions = instance.one("SELECT version FROM excursion")
    assert versions > 30
    first = states(instance)
    assert {state for _, state in first} == {"open"} and len(first) <= 1 + 6
    assert len(instance.rows("SELECT FROM open_verdict")) <= 1
    instance.take([room([COLD] * 3, -6, 999)], NOW + 6 * HOUR)
    instance.settle(NOW + 6 * HOUR, consumers=STEPS)
    assert states(instance) == first, "it may open again in a moment"
    instance.settle(NOW + 6 * HOUR + QUIET, consumers=STEPS)
    assert states(instance) == [*first, (versions + 1, "closed")]
    instance.settle(NOW + 9 * HOUR, consumers=STEPS)
    assert len(states(instance)) == len(first) + 1 and instance.rows("SELECT FROM open_verdict") == []
    assert instance.one("SELECT count(*) FROM excursion_version") == versions + 1, "all of them are kept"


def test_what_late_data_makes_of_a_judgement_is_sealed_as_well(instance: Instance) -> None:
    warm = [WARM] * 40
    instance.take([room([COLD, *warm, COLD], 2, 1)], NOW)
    instance.settle(NOW, consumers=STEPS)
    assert states(instance) == [(1, "closed")]
    for number in range(3):  # a cold reading between each of the warm ones, in three parts
        late = [room([COLD], 2 - (minute + 0.5) / 60, 10 + minute) for minute in range(number, 42, 3)]
        instance.take(late, NOW + HOUR)
        instance.settle(NOW + HOUR, consumers=STEPS)
    assert instance.one("SELECT state FROM excursion WHERE id = 1") == "void"
    assert states(instance) == [(1, "closed")]
    instance.settle(NOW + HOUR + QUIET, consumers=STEPS)
    assert [state for _, state in states(instance)] == ["closed", "void"]
    assert len(entries(instance)) == instance.one("SELECT count(*) FROM sealed_verdict")


@pytest.mark.editions("plain")
def test_a_version_is_sealed_once_whoever_does_it_again(instance: Instance) -> None:
    instance.take([room([WARM] * 40, 1, 1)], NOW)
    instance.settle(NOW, consumers=STEPS)
    instance.alter("INSERT INTO open_verdict SELECT id, version, computed_at FROM excursion")
    instance.settle(NOW, consumers=STEPS)
    assert len(sealed(instance)) == 1 and instance.rows("SELECT FROM open_verdict") == []


@pytest.mark.editions("plain")
def test_one_that_cannot_be_committed_to_is_tried_again_and_keeps_nobody(
    instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    """A rule with a number that no double stands for has no RFC 8785 form."""
    instance.take([room([COLD] * 5 + [WARM] * 40, 1, 1)], NOW)
    instance.settle(NOW, consumers=STEPS[:2])
    instance.alter("UPDATE limit_version SET body = body || '{\"odd\": 9007199254740993}'")
    instance.settle(NOW, consumers=("verdicts",))
    assert states(instance) == [] and "a verdict cannot be sealed" in caplog.text
    instance.alter("UPDATE limit_version SET body = body - 'odd'")
    instance.settle(NOW + HOUR, consumers=STEPS)
    assert states(instance) == [(1, "open")]


def test_an_organisation_sees_its_own_verdicts(instance: Instance) -> None:
    instance.take([room([WARM] * 40, 1, 1)], NOW)
    instance.settle(NOW, consumers=STEPS)
    for organisation, seen in (("coop", 1), ("carrier", 0)):
        with instance.as_role("api") as conn:
            conn.execute("SELECT set_config('suyuan.org', %s, false)", [organisation])
            assert len(verdicts.read(conn, 1, instance.keys.organisation_key)) == seen


def test_the_issuer_calls_a_verdict_a_computation_and_no_event(instance: Instance, tmp_path: Path) -> None:
    instance.take([room([COLD] * 5 + [WARM] * 40, 1, 1)], NOW)
    instance.settle(NOW, consumers=STEPS)
    ((index, _),) = entries(instance)
    settings = Settings(database_url=instance.database.owner, data_dir=instance.folder)
    page = tmp_path / "verdict.html"
    run(settings, None, Wish(f"coop:{index}", wait_s=0.0), page, "en", lambda _told: None, lambda _text: None)
    (line,) = [each for each in said_in(page)["lines"] if each["id"] == "generation"]
    assert "computed by the system" in line["en"]
