"""The same readings give the same answers on plain PostgreSQL and on both editions of TimescaleDB.

Each edition is compared with one slow reference in plain Python, so that what holds of each holds between them. On the
community edition the policies run in between: what comes late meets compressed chunks and a roll-up that was refreshed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psycopg
import pytest

from deploy.migrate import follow_retention
from ingest import marks, rollups, series_reading
from ingest.pipeline import Message
from ingest.readings import RowsLost
from ingest.sequences import receipt
from tests.acceptance.instance import Instance
from tests.integration.lines import NOW, account, adds_up, pack
from tests.integration.said import REGISTRY, by_terminal, made, message, placed
from tests.servers.community import run_policies
from tests.servers.databases import Database

EVERY_EDITION = pytest.mark.editions("plain", "timescale", "community")
COMMUNITY = pytest.mark.editions("community")

HOURS = 60  # from noon over three midnights, which is where chunks end
START_S = round((NOW - timedelta(hours=HOURS)).timestamp())
MINUTES_A_PACK = 40
WARM_FROM, WARM_TO = (
    START_S + 47 * 3600 + 1200,
    START_S + 48 * 3600 + 2400,
)  # eighty minutes around a midnight


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    return Instance(database, tmp_path)


def tidy(instance: Instance) -> None:
    """On the community edition the policy runs, and what is old goes into columns; elsewhere our own consumer keeps the roll-up."""
    instance.settle(NOW, consumers=("rollup",))
    if instance.database.edition == "community":
        instance.settle(NOW + timedelta(hours=2), consumers=("detection", "sealing"))
        run_policies(instance.database.owner)
        instance.compress(datetime.now(UTC))


# --- what is sent -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """One pack: readings from `start_s` on, `step_s` apart."""

    seq: int
    start_s: int
    step_s: int
    values: tuple[float, ...]

    def times(self) -> Iterator[int]:
        return (self.start_s + place * self.step_s for place in range(len(self.values)))

    def message(self) -> Message:
        return message(pack(self.values, seq=self.seq, start_s=self.start_s, step_s=self.step_s))


def regular() -> list[Sent]:
    """A reading a minute, numbered from 1; three decimals, so that sums depend on their order."""
    chance = Random(20260620)
    packs = []
    for seq in range(1, HOURS * 60 // MINUTES_A_PACK + 1):
        start = START_S + (seq - 1) * MINUTES_A_PACK * 60
        values = [
            round(
                chance.uniform(6, 8) if WARM_FROM <= start + 60 * place < WARM_TO else chance.uniform(1, 4), 3
            )
            for place in range(MINUTES_A_PACK)
        ]
        packs.append(Sent(seq, start, 60, tuple(values)))
    return packs


def arrivals() -> list[list[Sent]]:
    """Batches as they come in; between two of them the policies run."""
    packs, chance = regular(), Random(7672)
    never = {17, 18, 61}
    late = {each.seq for each in packs if each.seq % 4 == 0} - never
    in_order = [each for each in packs if each.seq not in late | never]
    lagging = [each for each in packs if each.seq in late]
    chance.shuffle(lagging)
    repeated = chance.sample(in_order, 15)
    # Over chunk borders, between stored readings and beside them: its first row stands already, its second does not.
    between = [
        Sent(
            200 + hour,
            START_S + hour * 3600 - 900,
            30,
            tuple(round(from_c + step / 70, 3) for step in range(60)),
        )
        for hour, from_c in ((12, 2), (36, 2), (48, 6))
    ]
    same_again = [Sent(300 + each.seq, each.start_s, each.step_s, each.values) for each in repeated[:5]]
    contradicting = [
        Sent(400 + each.seq, each.start_s, each.step_s, each.values[::-1]) for each in repeated[5:9]
    ]
    half = len(lagging) // 2
    return [
        in_order,
        [*lagging[:half], *repeated],
        [*between, *same_again, *lagging[half:]],
        [*contradicting, *between, Sent(500, START_S - 7200, 60, (3.25,) * 200)],
    ]


# --- the slow reference ---------------------------------------------------------------------------------------------


@dataclass
class Reference:
    """What must stand, kept the plainest way: the first value of a time stays."""

    standing: dict[int, float] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)
    counted: Counter[str] = field(default_factory=Counter)

    def take(self, sent: Sequence[Sent]) -> None:
        for each in sent:
            self.numbers.add(each.seq)
            for time, value in zip(each.times(), each.values, strict=True):
                self.counted["received"] += 1
                if time not in self.standing:
                    self.standing[time] = value
                    self.counted["stored"] += 1
                else:
                    self.counted["duplicate" if self.standing[time] == value else "conflict"] += 1

    def rows(self) -> list[tuple[datetime, float]]:
        return [(moment(time), value) for time, value in sorted(self.standing.items())]

    def hours(self) -> list[tuple[Any, ...]]:
        grouped: dict[int, list[tuple[int, float]]] = {}
        for time, value in sorted(self.standing.items()):
            grouped.setdefault(time - time % 3600, []).append((time, value))
        found = []
        for hour, inside in sorted(grouped.items()):
            values = np.array([value for _, value in inside])
            total = 0.0
            for value in values:
                total += float(value)  # in order of time; sum() would round otherwise from Python 3.12 on
            found.append(
                (moment(hour), len(inside), total, values.min(), values.max(), moment(inside[0][0]), moment(inside[-1][0]))
            )  # fmt: skip
        return found

    def gaps(self) -> tuple[tuple[int, int], ...]:
        missing = sorted(set(range(1, max(self.numbers) + 1)) - self.numbers)
        runs: list[list[int]] = []
        for number in missing:
            if runs and runs[-1][1] == number - 1:
                runs[-1][1] = number
            else:
                runs.append([number, number])
        return tuple((first, last) for first, last in runs)


def moment(time_s: int) -> datetime:
    return datetime.fromtimestamp(time_s, UTC)


# --- the answers ------------------------------------------------------------------------------------------------------

STORED = "SELECT time, value FROM reading_store ORDER BY time"
ROLLED_UP = "SELECT hour, n, total, minimum, maximum, first_at, last_at FROM reading_1h ORDER BY hour"
VIEW = "SELECT time, value FROM reading ORDER BY time"


def answers_like(instance: Instance, reference: Reference) -> None:
    assert instance.rows(STORED) == reference.rows()
    assert instance.rows(ROLLED_UP) == reference.hours()
    assert as_organisation(instance, "coop") == reference.rows()
    assert as_organisation(instance, "carrier") == []
    ((device, boot, held),) = instance.rows("SELECT device_id, boot, stored + refused FROM device_sequence")
    assert receipt(device, boot, held).gaps == reference.gaps()
    with instance.as_role("jobs") as conn:
        series = instance.one("SELECT id FROM series WHERE channel = 'ambient'")
        for hours in ((0, HOURS), (11.5, 12.5), (35, 49), (12, 12)):
            first, last = (moment(round(START_S + 3600 * each)) for each in hours)
            first_ms, last_ms = (round(each.timestamp() * 1000) for each in (first, last))
            (found,) = series_reading.read_many(conn, [(series, first_ms, last_ms - 1)])
            inside = [row for row in reference.rows() if first <= row[0] < last]
            assert found.time_ms.tolist() == [round(row[0].timestamp() * 1000) for row in inside]
            assert found.value.tolist() == [row[1] for row in inside]


def as_organisation(instance: Instance, organisation: str) -> list[tuple[Any, ...]]:
    with instance.as_role("api") as conn:
        conn.execute("SELECT set_config('suyuan.org', %s, true)", [organisation])
        return conn.execute(VIEW).fetchall()


@EVERY_EDITION
def test_the_same_readings_give_the_same_answers(instance: Instance) -> None:
    instance.register(REGISTRY)
    instance.take(by_terminal(made(70), placed(69)), NOW)
    instance.settle(NOW, consumers=("projection",))
    reference = Reference()
    for batch in arrivals():
        instance.take([each.message() for each in batch], NOW)
        reference.take(batch)
        tidy(instance)
        answers_like(instance, reference)
        compressed(instance)
    counted = account(instance.database.owner)
    events = 2
    assert adds_up(counted) and counted == {
        **reference.counted,
        "received": reference.counted["received"] + events,
        "stored": reference.counted["stored"] + events,
        "quarantined": 0,
    }
    assert min(reference.counted.values()) > 60, "the feed has something of each kind"

    instance.settle(NOW, consumers=("detection",))
    warm = [time for time in sorted(reference.standing) if WARM_FROM <= time < WARM_TO]
    closed = min(time for time in reference.standing if time >= WARM_TO)
    assert instance.rows("SELECT state, start_time, end_time FROM excursion") == [
        ("closed", moment(warm[0]), moment(closed))
    ]

    take_away(instance, reference, [time for time in sorted(reference.standing) if time % 3600 == 1800][::5])
    tidy(instance)
    answers_like(instance, reference)
    assert instance.rows("SELECT * FROM mark WHERE consumer = 'rollup'") == []


def compressed(instance: Instance) -> None:
    """Or the community edition's share in this would be none."""
    if instance.database.edition == "community":
        chunks = instance.rows(
            "SELECT is_compressed FROM timescaledb_information.chunks WHERE hypertable_name = 'reading_store'"
        )
        assert len(chunks) >= 3 and all(each for (each,) in chunks)


def take_away(instance: Instance, reference: Reference, times: Sequence[int]) -> None:
    """As the owner, who alone can, and with the mark that whoever does it leaves."""
    gone = [moment(time) for time in times]
    instance.alter("DELETE FROM reading_store WHERE time = ANY (%s)", gone)
    for time in times:
        del reference.standing[time]
    with instance.as_role("jobs") as conn:
        marks.leave(
            conn, {instance.one("SELECT min(series_id) FROM reading_store"): (gone[0], gone[-1])}, NOW
        )


@EVERY_EDITION
def test_the_roll_up_outlives_the_readings(instance: Instance) -> None:
    """Readings older than 30 days go, as they will by age; the refresh has been told how long they are kept."""
    instance.register(REGISTRY)
    reference = Reference()
    for batch in arrivals()[:2]:
        instance.take([each.message() for each in batch], NOW)
        reference.take(batch)
    tidy(instance)
    with psycopg.connect(instance.database.owner) as conn:
        follow_retention(conn, timedelta(days=30))
        if instance.database.edition == "plain":
            conn.execute("DELETE FROM reading_store WHERE time < now() - INTERVAL '32 days'")
        else:
            conn.execute("SELECT drop_chunks('reading_store', older_than => INTERVAL '32 days')")
    tidy(instance)
    assert instance.rows(STORED) == []
    assert instance.rows(ROLLED_UP) == reference.hours()


@COMMUNITY
def test_what_the_database_keeps_by_itself(instance: Instance) -> None:
    """The newest hours at once, late readings with the next refresh; nothing is dropped by age; our consumer takes its
    marks and leaves the rest to the policy."""
    instance.register(REGISTRY)
    first, second, *_ = arrivals()
    reference = Reference()
    instance.take([each.message() for each in first], NOW)
    reference.take(first)
    assert instance.rows(ROLLED_UP) == reference.hours(), "before anything was materialised"
    tidy(instance)
    instance.take([each.message() for each in second], NOW)
    assert instance.rows(ROLLED_UP) == reference.hours(), "late readings wait for the refresh"
    with instance.as_role("jobs") as conn:
        assert not rollups.is_ours(conn)
        assert rollups.step(conn, NOW) and not rollups.step(conn, NOW)
    tidy(instance)
    reference.take(second)
    assert instance.rows(ROLLED_UP) == reference.hours()
    assert instance.rows(
        "SELECT proc_name FROM timescaledb_information.jobs WHERE proc_name LIKE 'policy_%' AND job_id >= 1000 ORDER BY proc_name"
    ) == [("policy_refresh_continuous_aggregate",)]


@EVERY_EDITION
def test_the_refresh_looks_back_as_far_as_readings_are_kept(database: Database) -> None:
    looks_back = (
        "SELECT (config ->> 'start_offset')::interval FROM timescaledb_information.jobs"
        " WHERE proc_name = 'policy_refresh_continuous_aggregate'"
    )
    with psycopg.connect(database.owner) as conn:
        if database.edition != "community":
            follow_retention(conn, timedelta(days=400))  # there is nothing to tell, and nothing fails
            return
        assert conn.execute(looks_back).fetchall() == [(timedelta(days=1097),)]
        follow_retention(conn, timedelta(days=400))
        assert conn.execute(looks_back).fetchall() == [(timedelta(days=401),)]


LOSING = """
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN NEW.value < 3 THEN NEW END; END $$;
CREATE TRIGGER lose BEFORE INSERT ON reading_store FOR EACH ROW EXECUTE FUNCTION lose();
"""


@pytest.mark.editions("plain")
def test_rows_that_the_database_loses_in_silence_are_noticed(instance: Instance) -> None:
    """As TimescaleDB before 2.18.1 lost them in compressed chunks, once a row stood already."""
    instance.register(REGISTRY)
    instance.take([message(pack([1.0]))], NOW)
    instance.alter(LOSING)
    with pytest.raises(RowsLost, match="got 1 rows into reading_store and found 1 there, want 4 in all"):
        instance.take([message(pack([1.0, 2.0, 3.0, 4.0], seq=2))], NOW)
    assert len(instance.rows(STORED)) == 1
    assert account(instance.database.owner)["received"] == 1, "nothing of the batch is written"
