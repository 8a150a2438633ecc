"""Detection over many series at once against the plain recomputation of each: the same excursions, to the last bit, whatever
came in which batches and order, was taken away again, or came or went of what is in force."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import psycopg
import pytest

from ingest import detection, inforce, marks, snapshots
from ingest.coldchain.excursions import find_excursions
from tests.documents import invariants
from tests.servers.databases import Database
from tests.unit.ingest.coldchain.cases import limit_json

START = datetime(2026, 6, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SERIES, MINUTES = 8, 400
APART = 10 * MINUTE
NOW = START + timedelta(days=1)
ALERTS = {name: query for name, query in invariants().items() if "alert" in name}
Key = tuple[int, int]
"""Series, half minutes since START."""

WORLD = f"""
INSERT INTO organisation (id, name_zh, name_en, party, kind) VALUES ('o', 'o', 'o', 'urn:o', 'carrier');
INSERT INTO device (organisation, external_id, giai, model, interval_s)
  SELECT 'o', n, 'urn:d:' || n, 'T', 60 + 60 * (n % 2) FROM generate_series(1, {SERIES}) AS n ORDER BY n;
INSERT INTO series (organisation, device_id, channel, quantity, unit) SELECT 'o', id, 'c', 'temperature', 'Cel' FROM device ORDER BY id;
INSERT INTO placement (series_id, organisation, parent, probe_position, valid, conflict)
  SELECT id, 'o', 'urn:t:' || id, 'in_box', tstzrange('{START}', NULL), false FROM series;
INSERT INTO batch (worker, received_at, messages, redelivered) VALUES ('w', now(), 0, 0);
"""
READINGS = "SELECT (extract(epoch FROM time) * 1000)::bigint, value FROM reading_store WHERE series_id = %s ORDER BY time"
RULES = (
    limit_json(minutes=10),
    limit_json(id="at once", limit_c=8.0, minutes=0),
    limit_json(id="cold", side="below", operator="<=", limit_c=2.0, minutes=5),
)


class World:
    """What was sent and what stands, and the database that is told of it."""

    def __init__(self, conn: psycopg.Connection, jobs: psycopg.Connection, chance: Random) -> None:
        self.conn, self.jobs, self.chance = conn, jobs, chance
        self.values = {
            (series, half): value
            for series in range(1, SERIES + 1)
            for half, value in enumerate(self._curve())
            if chance.random() < 0.85
        }

    def _curve(self) -> Iterable[float]:
        level = 4.0
        for _ in range(2 * MINUTES):
            if self.chance.random() < 0.04:
                level = self.chance.choice([1.5, 4.0, 4.0, 6.3, 6.3, 9.1])
            yield round(level + self.chance.choice([0, 0, 0.1, 0.37]), 2)

    def touch(self, keys: Iterable[Key], reason: str = "readings") -> None:
        stretches: list[marks.Stretch] = []
        for series, half in sorted(keys):
            known = stretches[-1] if stretches and stretches[-1][0] == series else None
            if known is not None and at(half) - known[2] <= APART:
                stretches[-1] = (series, known[1], at(half))
            else:
                stretches.append((series, at(half), at(half)))
        with self.conn.transaction():
            marks.leave_stretches(self.conn, stretches, NOW, reason=reason, consumers=["detection"])

    def mark(self, touched: marks.Touched, reason: str) -> None:
        with self.conn.transaction():
            marks.leave(self.conn, touched, NOW, reason=reason, consumers=["detection"])

    def send(self, keys: list[Key]) -> None:
        self.conn.execute(
            "INSERT INTO reading_store SELECT series, time, value, 0, 1"
            " FROM unnest(%s::integer[], %s::timestamptz[], %s::float8[]) AS sent (series, time, value) ON CONFLICT DO NOTHING",
            [*columns(keys), [self.values[key] for key in keys]],
        )
        self.touch(keys)

    def take_away(self, keys: list[Key]) -> None:
        self.conn.execute(
            "DELETE FROM reading_store AS store USING unnest(%s::integer[], %s::timestamptz[]) AS gone (series, time)"
            " WHERE store.series_id = gone.series AND store.time = gone.time",
            columns(keys),
        )
        self.touch(keys)

    def load_or_unload(self) -> None:
        """Goods come into a truck for a while, or were never there."""
        series, begin = self.chance.randint(1, SERIES), self.chance.randrange(2 * MINUTES)
        end = self.chance.choice([None, begin + self.chance.randrange(1, MINUTES)])
        holder = f"urn:t:{series}"
        gone = (
            self.chance.random() < 0.4
            and self.conn.execute(
                "DELETE FROM presence WHERE ctid = (SELECT ctid FROM presence WHERE holder = %s ORDER BY lot LIMIT 1)"
                " RETURNING lower(valid), upper(valid)",
                [holder],
            ).fetchone()
        )
        if gone:
            self.mark({series: (gone[0], gone[1] or NOW)}, "placement")
        else:
            until = None if end is None else at(end)
            self.conn.execute(
                "INSERT INTO presence (holder, lot, rule_product, stage, valid) VALUES (%s, %s, 'yangmei', 'loaded', tstzrange(%s, %s))",
                [holder, str(self.chance.random()), at(begin), until],
            )
            self.mark({series: (at(begin), until or NOW)}, "placement")

    def detect(self) -> None:
        while True:
            with self.jobs.transaction():
                if not detection.step(self.jobs, NOW):
                    return

    def stands(self) -> list[tuple[Any, ...]]:
        return self.conn.execute(
            "SELECT series_id, limit_id, (extract(epoch FROM start_time) * 1000)::bigint, (extract(epoch FROM trigger_time) * 1000)::bigint,"
            " (extract(epoch FROM end_time) * 1000)::bigint, closed_by, extreme, minutes_at_least, minutes_at_most, degree_minutes"
            " FROM excursion WHERE state IN ('open', 'closed') ORDER BY 1, 2, 3"
        ).fetchall()

    def told(self) -> int:
        """So many messages of alerts; what must hold of these does."""
        for name, query in ALERTS.items():
            assert self.conn.execute(query.encode()).fetchall() == [], name
        row = self.conn.execute("SELECT count(*) FROM alert_message").fetchone()
        assert row is not None
        return int(row[0])

    def plain(self) -> list[tuple[Any, ...]]:
        """Every series read whole, every limit by itself."""
        limits = inforce.read_limits(self.conn)
        found = []
        force = inforce.read(self.conn, range(1, SERIES + 1), limits.values())
        for (series, key), stretches in force.items():
            stored = self.conn.execute(READINGS, [series]).fetchall()
            times, values = np.array(stored, np.float64).reshape(-1, 2).T
            interval_ms = 60_000 * (1 + series % 2)
            for run in find_excursions(times.astype(np.int64), values, limits[key], stretches, interval_ms):
                found.append((series, key[0], run.start_ms, run.trigger_ms, run.end_ms, run.closed_by, run.extreme_c,
                              run.minutes_at_least, run.minutes_at_most, run.area_c_min))  # fmt: skip
        return sorted(found)


def columns(keys: list[Key]) -> list[list[Any]]:
    return [[series for series, _ in keys], [at(half) for _, half in keys]]


def at(half: int) -> datetime:
    return START + half * MINUTE / 2


@pytest.fixture
def connections(database: Database) -> Iterable[tuple[psycopg.Connection, psycopg.Connection]]:
    with (
        psycopg.connect(database.owner, autocommit=True) as owner,
        psycopg.connect(database.service("jobs"), autocommit=True) as jobs,
    ):
        owner.execute(WORLD.encode())
        for rule in RULES:
            owner.execute(
                "INSERT INTO limit_version (id, version, product, stages, positions, body) VALUES (%s, 1, 'yangmei', %s, %s, %s)",
                [rule["id"], rule["stages"], rule["positions"], json.dumps(rule)],
            )
        yield owner, jobs


@pytest.mark.editions("plain", "timescale", "community")
@pytest.mark.parametrize("seed", range(2))
def test_many_at_once_are_each_for_itself(
    connections: tuple[psycopg.Connection, psycopg.Connection], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = Random(seed)
    monkeypatch.setattr(
        detection, "LAG", 4 + 20 * seed
    )  # so that some come before a snapshot and some behind it
    monkeypatch.setattr(detection, "NEAR_MS", 1_800_000)
    monkeypatch.setattr(detection, "LONGEST_MS", 7_200_000)  # and some are looked at later than others
    world = World(*connections, chance)
    order = sorted(world.values, key=lambda key: key[1] + chance.choice([0, 0, 0, 0, 7, 30, 300]))
    sent: list[Key] = []
    opened = 0
    while order or chance.random() < 0.9:
        batch, order = order[:120], order[120:]
        world.send(batch + chance.sample(sent, min(len(sent), 5)))
        sent += batch
        if chance.random() < 0.3:
            world.load_or_unload()
        if chance.random() < 0.1:
            world.take_away(chance.sample(sent, 3))
        if chance.random() < 0.6:
            world.detect()
            assert world.stands() == world.plain()
            world.told()
            opened = max(opened, len(world.stands()))
    world.detect()
    assert world.stands() == world.plain()
    assert opened > 20
    number = world.conn.execute("SELECT count(*) FROM detection_snapshot").fetchone()
    assert number is not None and number[0] > 2, "some were judged from a snapshot"
    snapshots.drop(world.jobs, range(1, SERIES + 1))
    before, told = world.conn.execute("SELECT count(*) FROM excursion_version").fetchone(), world.told()
    world.touch(list(world.values))
    world.detect()
    assert world.stands() == world.plain()
    assert world.conn.execute("SELECT count(*) FROM excursion_version").fetchone() == before, (
        "looking again says nothing new"
    )
    assert world.told() == told > opened
