"""Poison at every place of a batch: one bad message of every kind, and its neighbours are stored."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ingest import pipeline
from ingest.pipeline import Line, Message
from ingest.quarantine import MonthlyKeys
from ingest.registry import Registry, load, parse_registry
from ledger.persons import Vault
from tests.chaos import checker
from tests.chaos.known import POISONS, Known, messages, poisons, registry
from tests.servers.databases import Database

SIZE = 12


@pytest.mark.editions("plain")
def test_poison_at_every_place_of_a_batch(database: Database, tmp_path: Path) -> None:
    line = Line(
        "ingest-0",
        Registry(time.monotonic),
        MonthlyKeys(tmp_path),
        timedelta(days=1096),
        Vault.with_keys_in(tmp_path),
    )
    first, *good = messages(1 + POISONS * SIZE * (SIZE - 1), 1)
    published = [first]
    with psycopg.connect(database.service("ingest")) as conn:
        load(conn, parse_registry(registry(1)))
        conn.commit()
        _take(conn, line, [first])
        for kind in range(POISONS):
            for place in range(SIZE):
                _, bad = list(poisons(first, 1_000_000 + 100 * place))[kind]
                batch, good = good[: SIZE - 1], good[SIZE - 1 :]
                batch.insert(place, bad)
                _take(conn, line, batch)
                published += batch
    with psycopg.connect(database.owner, autocommit=True) as conn:
        checker.load(conn, published)
        found = checker.check(conn)
    assert found.sentences() == []
    assert found.quarantined == POISONS * SIZE


def _take(conn: psycopg.Connection, line: Line, batch: list[Known]) -> None:
    taken = [Message(each.topic.encode(), each.payload.encode(), redelivered=False) for each in batch]
    pipeline.run(conn, line, taken, datetime.now(UTC))
