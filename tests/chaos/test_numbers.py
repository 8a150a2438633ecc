"""A database that crashes gives numbers again that it gave to a transaction which did not commit: no batch has one twice."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ingest import pipeline
from ingest.pipeline import Away, Line, Message
from ingest.quarantine import MonthlyKeys
from ingest.registry import Registry, load, parse_registry
from ledger.persons import Vault
from tests.chaos import checker
from tests.chaos.known import Known, messages, registry
from tests.chaos.runner import Ground, plain_ground
from tests.servers.databases import Database
from tests.servers.session import Servers
from tests.servers.waiting import wait_until

WAITS = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'batch'::regclass AND NOT granted"


@pytest.fixture(scope="module")
def ground(servers: Servers) -> Iterator[Ground]:
    """A server of one's own, since it is stopped."""
    with ExitStack() as stack:
        yield servers.enter(stack, "plain for chaos", plain_ground)


def test_numbers_of_a_crashed_database_are_not_used(ground: Ground, tmp_path: Path) -> None:
    assert ground.server is not None
    known = messages(4, 2)
    with ground.template.clone() as database:
        with psycopg.connect(database.service("ingest")) as conn:
            load(conn, parse_registry(registry(2)))
        first, second = line(tmp_path, "ingest-0"), line(tmp_path, "ingest-1")
        crash_in_the_middle(ground, database, first, known[:1])
        # One message a batch: a larger one whose number is taken would be halved, and get others.
        for worker, place in ((second, 1), (first, 0), (second, 2), (first, 3)):
            with psycopg.connect(database.service("ingest")) as conn:
                take(conn, worker, known[place : place + 1])
        with psycopg.connect(database.owner, autocommit=True) as conn:
            checker.load(conn, known)
            found = checker.check(conn)
    assert found.sentences() == []
    assert found.stored == len(known)


def crash_in_the_middle(ground: Ground, database: Database, worker: Line, share: list[Known]) -> None:
    """The worker has drawn its numbers and waits for a lock when the database is stopped at once."""
    raised: list[Away] = []

    def work() -> None:
        try:
            with psycopg.connect(database.service("ingest")) as conn:
                take(conn, worker, share)
        except Away as error:
            raised.append(error)

    assert ground.server is not None
    thread = threading.Thread(target=work)
    with (
        closing(psycopg.connect(database.owner)) as locking,
        closing(psycopg.connect(database.owner, autocommit=True)) as looking,
    ):
        locking.execute("LOCK TABLE batch IN ACCESS EXCLUSIVE MODE")
        thread.start()
        assert wait_until(lambda: looking.execute(WAITS).fetchone() == (True,), 20)
        ground.server.stop(signal.SIGQUIT)
        thread.join()
    ground.server.start()
    assert raised, "the batch must not be taken for committed"


def line(folder: Path, name: str) -> Line:
    return Line(
        name, Registry(time.monotonic), MonthlyKeys(folder), timedelta(days=1096), Vault.with_keys_in(folder)
    )


def take(conn: psycopg.Connection, worker: Line, share: list[Known]) -> None:
    batch = [Message(each.topic.encode(), each.payload.encode(), redelivered=False) for each in share]
    pipeline.run(conn, worker, batch, datetime.now(UTC))
