"""What is detected is what happened: worlds of seeds drawn at test time, down the real line, against their own truth.

A world's truth is written by its model before noise, sampling and transport. Its messages go down the line in any order
and any batches; what the line finds must be what was true, one to one. Where sensors of the stated accuracy could not
tell, the truth says so beforehand, with the reason, and neither outcome is held against anybody.

A failure names its seed and the moment of the cut: `SUYUAN_TEST_SEEDS=7,8 SUYUAN_TEST_NOW=2026-06-19T12:00:00Z` plays
those worlds again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.simulation import complete_until
from simulators.truth import TrueExcursion
from simulators.world import BEFORE_NOW, World
from tests.acceptance.instance import Instance, handed_over, in_batches
from tests.integration.lines import account, adds_up
from tests.servers.databases import Database

_GIVEN = os.environ.get("SUYUAN_TEST_SEEDS")
_OF_THE_RUN = os.environ.get(
    "PYTEST_XDIST_TESTRUNUID"
)  # the processes of one run draw the same; alone, anything
SEEDS = list(map(int, _GIVEN.split(","))) if _GIVEN else random.Random(_OF_THE_RUN).sample(range(2**31), 5)
_NOW = os.environ.get("SUYUAN_TEST_NOW")
SLACK = timedelta(minutes=4)  # two intervals of the slowest device, and its clock


@dataclass(frozen=True, slots=True)
class Detected:
    device: str
    channel: str
    start: datetime
    trigger: datetime
    end: datetime | None

    def __str__(self) -> str:
        return f"{self.device}/{self.channel} {self.start:%d %H:%M} to {self.end and self.end.strftime('%d %H:%M')}"


@pytest.mark.editions("plain")
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_detected_is_what_happened(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    now = datetime.fromisoformat(_NOW) if _NOW else datetime.now(UTC)
    world = World(seed, now - BEFORE_NOW)
    sent = list(world.messages(now))
    instance = Instance(database, tmp_path)
    instance.register(world.registry())
    worker = instance.worker()
    for number, batch in enumerate(in_batches(handed_over(sent), random.Random(seed))):
        instance.take(batch, now, worker)
        if number % 3 == 0:  # what comes later finds excursions standing, and must extend, merge or void them
            instance.settle(now, consumers=("projection", "detection"))
    instance.settle(now)  # what waits to be quiet before it is sealed may wait

    until = complete_until(world, len(sent))
    truth, found = world.truth_until(until), _detected(instance, until)
    decidable = [each for each in truth if each.undecidable is None]
    with capsys.disabled():
        print(
            f"\nseed {seed} at {now.isoformat()}: {len(found)} detected, {len(decidable)} true,"
            f" {len(truth) - len(decidable)} that no sensor could decide"
        )
        for reason in (each.undecidable for each in truth if each.undecidable):
            print(f"  undecidable: {reason}")
        differences = list(_differences(truth, found))
        for difference in differences:
            print(f"  {difference}")
    assert not differences, "\n".join(differences)
    assert decidable, "a world in which nothing goes wrong shows nothing"

    counted = account(database.owner)
    assert adds_up(counted), counted
    assert counted["conflict"] == 0
    assert instance.one("SELECT coalesce(sum(messages), 0) FROM batch") == len(sent)
    positions = sum(message.payload.count(b'"n":"lat"') for message in sent)  # with its longitude, one record
    assert counted["received"] == sum(message.records for message in sent) - positions
    assert instance.one("SELECT count(*) FROM quarantine") == world.quarantined_expected(now)
    assert counted["quarantined"] == world.quarantined_expected(now)
    events, windows, verdicts = (
        instance.one(f"SELECT count(*) FROM {table}")
        for table in ("event", "sealed_window", "sealed_verdict")
    )
    assert events == sum(message.records for message in sent if message.kind == "events")
    leaves = instance.one("SELECT count(*) FROM leaf WHERE organisation <> 'root'")
    assert leaves == events + windows + verdicts
    assert (
        instance.rows(
            "SELECT * FROM mark UNION ALL SELECT NULL::bigint, type, created_at, '', '{}', '{}', '{}' FROM pending"
        )
        == []
    )


def _detected(instance: Instance, until: datetime) -> list[Detected]:
    rows = instance.rows(
        "SELECT device.external_id, series.channel, start_time, trigger_time, end_time"
        " FROM excursion JOIN series ON series.id = excursion.series_id JOIN device ON device.id = series.device_id"
        " WHERE state IN ('open', 'closed') AND trigger_time <= %s ORDER BY start_time",
        until,
    )
    return [Detected(*row) for row in rows]


def _differences(truth: list[TrueExcursion], found: list[Detected]) -> Iterator[str]:
    """One sentence each. Every true one is found once; every found one is true, or was undecidable."""
    for each in truth:
        if each.undecidable is None:
            matches = [one for one in found if _overlap(each, one)]
            if not matches:
                yield f"not detected: {_told(each)}"
            elif len(matches) > 1:
                yield f"detected {len(matches)} times: {_told(each)}: {', '.join(map(str, matches))}"
    for one in found:
        causes = [each for each in truth if _overlap(each, one)]
        if not causes:
            yield f"detected, but not true: {one}"
        elif len([each for each in causes if each.undecidable is None]) > 1:
            yield f"several true ones detected as one: {one}"


def _overlap(true: TrueExcursion, found: Detected) -> bool:
    if (true.device, true.channel) != (found.device, found.channel):
        return False
    ends_before = true.end is not None and true.end + SLACK < found.start
    return not ends_before and not (found.end is not None and found.end + SLACK < true.start)


def _told(each: TrueExcursion) -> str:
    lasted = "still" if each.end is None else each.end.strftime("%d %H:%M")
    return f"{each.device}/{each.channel} {each.start:%d %H:%M} to {lasted}, up to {each.peak_c} °C"
