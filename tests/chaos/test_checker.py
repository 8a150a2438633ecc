"""The checker itself: what the line took is whole, and each single thing amiss is found and named."""

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
from tests.chaos.known import Known, messages, poisons, registry
from tests.servers.databases import Database

pytestmark = pytest.mark.editions("plain")
DEVICES = 4


@pytest.fixture
def known(database: Database, tmp_path: Path) -> list[Known]:
    """What was published; all of it went down the line, every third message twice."""
    good = messages(200, DEVICES)
    bad = [each for place in range(DEVICES) for _, each in poisons(good[place], 1_000 + 100 * place)]
    take(database, tmp_path, [*good, *bad, *good[::3], *bad[::3]])
    return [*good, *bad]


def take(database: Database, folder: Path, published: list[Known]) -> None:
    line = Line(
        "ingest-0",
        Registry(time.monotonic),
        MonthlyKeys(folder),
        timedelta(days=1096),
        Vault.with_keys_in(folder),
    )
    with psycopg.connect(database.service("ingest")) as conn:
        load(conn, parse_registry(registry(DEVICES)))
        conn.commit()
        for first in range(0, len(published), 50):
            batch = [
                Message(each.topic.encode(), each.payload.encode(), redelivered=False)
                for each in published[first : first + 50]
            ]
            pipeline.run(conn, line, batch, datetime.now(UTC))


def verdict(database: Database, known: list[Known]) -> checker.Verdict:
    with psycopg.connect(database.owner, autocommit=True) as conn:
        checker.load(conn, known)
        return checker.check(conn)


def test_what_the_line_took_is_whole(database: Database, known: list[Known]) -> None:
    found = verdict(database, known)
    assert found.sentences() == []
    assert (found.published, found.stored, found.quarantined) == (len(known), 200, len(known) - 200)


READING = "reading_store WHERE series_id = (SELECT min(series_id) FROM reading_store) AND time = (SELECT min(time) FROM reading_store)"

AMISS = {
    "a reading is gone": (f"DELETE FROM {READING}", "lost"),
    "a position is gone": (
        "DELETE FROM observation WHERE time = (SELECT min(time) FROM observation)",
        "lost",
    ),
    "a refused message is gone": (
        "DELETE FROM quarantine WHERE boot = 7 AND seq = 1002",
        "lost",
    ),
    "a value is another one": (
        f"UPDATE {READING.replace(' WHERE', ' SET value = value + 1 WHERE')}",
        "stored with another value",
    ),
    "a reading came from nowhere": (
        "INSERT INTO reading_store SELECT series_id, time - INTERVAL '1 year', value, flags, batch_id FROM reading_store LIMIT 1",
        "stored, and never published",
    ),
    "a message is in both": (
        "INSERT INTO quarantine (batch_id, received_at, topic, device_id, boot, seq, records, reason, detail, key_month, payload)"
        " SELECT batch_id, received_at, topic, device_id, boot, 1, records, reason, detail, key_month, payload FROM quarantine"
        " WHERE topic = 'suyuan/v1/coop/logger-000/readings' LIMIT 1",
        "in both",
    ),
    "the account counts one too many": (
        "UPDATE batch_account SET received[1] = received[1] + 1 WHERE batch_id = (SELECT min(batch_id) FROM batch_account)",
        "received is not",
    ),
    "the account counts what is not there": (
        "UPDATE batch_account SET stored[1] = stored[1] + 1, duplicate[1] = duplicate[1] - 1 WHERE duplicate[1] > 0",
        "the account is not what the tables hold",
    ),
    "a message entered and was not counted": (
        "UPDATE batch SET messages = messages + 1 WHERE id = (SELECT min(id) FROM batch)",
        "the account is not what entered",
    ),
    "a number is not held": (
        "UPDATE device_sequence SET stored = stored - '{[3,3]}' WHERE boot = 7 AND device_id = (SELECT min(device_id) FROM device_sequence)",
        "held, and its number is not",
    ),
    "a mark is gone": (
        "DELETE FROM mark WHERE id = (SELECT min(id) FROM mark)",
        "stored, and no mark covers it",
    ),
}


@pytest.mark.parametrize(("statement", "rule"), AMISS.values(), ids=AMISS)
def test_what_is_amiss_is_found(database: Database, known: list[Known], statement: str, rule: str) -> None:
    with psycopg.connect(database.owner) as conn:
        assert conn.execute(statement.encode()).rowcount > 0
    found = verdict(database, known)
    assert any(sentence.startswith(rule) for sentence in found.sentences()), found.sentences()


def test_a_lost_message_is_named(database: Database, known: list[Known]) -> None:
    with psycopg.connect(database.owner) as conn:
        assert conn.execute(f"DELETE FROM {READING}".encode()).rowcount == 1
    found = verdict(database, known)
    assert found.broken["lost: neither stored nor in quarantine"] == ["logger-000 boot 7 seq 1"]
    assert found.stored + found.quarantined == found.published - 1


# After the insert: what is swallowed before it is missing from COPY's own count, and the line itself refuses to go on.
SWALLOW_SOME = """
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN DELETE FROM reading_store WHERE (series_id, time) = (NEW.series_id, NEW.time); RETURN NULL; END $$;
CREATE TRIGGER swallow AFTER INSERT ON reading_store FOR EACH ROW WHEN (NEW.value = 3.25) EXECUTE FUNCTION swallow();
"""


def test_a_message_lost_inside_the_line_is_found(database: Database, tmp_path: Path) -> None:
    """The database takes the rows, says that it has them, and keeps all but some."""
    with psycopg.connect(database.owner) as conn:
        conn.execute(SWALLOW_SOME)
    good = messages(200, DEVICES)
    take(database, tmp_path, good)
    found = verdict(database, good)
    assert {rule.partition(":")[0] for rule in found.broken} >= {
        "lost",
        "the account is not what the tables hold",
        "distinct(stored) + distinct(quarantined) is not what was published",
    }
