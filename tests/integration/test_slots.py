"""Slots: one holder each, kept through a restart of the database, given up to who has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from ingest import slots
from ingest.slots import Slot
from tests.servers.databases import Database
from tests.servers.waiting import wait_until

pytestmark = pytest.mark.editions("plain")

HOLDERS = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@contextmanager
def held(database: Database, lost: threading.Event) -> Iterator[Slot]:
    slot = Slot(partial(psycopg.connect, database.service("ingest")), lost.set)
    try:
        yield slot
    finally:
        slot.release()


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner, autocommit=True) as conn:
        yield conn


def holder(owner: psycopg.Connection, number: int) -> int | None:
    row = owner.execute(HOLDERS, [slots.SLOT_LOCK, number]).fetchone()
    return None if row is None else int(row[0])


def end(owner: psycopg.Connection, number: int) -> None:
    pid = holder(owner, number)
    owner.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert wait_until(lambda: holder(owner, number) != pid, 10, every_s=0.01)


def test_each_holder_has_its_own_and_one_that_goes_gives_it_to_the_next(database: Database) -> None:
    lost = threading.Event()
    with held(database, lost) as first, held(database, lost) as second:
        assert (first.number, second.number) == (0, 1)
    with held(database, lost) as third:
        assert third.number == 0
    assert not lost.is_set()


def test_a_connection_that_was_lost_is_taken_again(
    database: Database, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "LOOK_S", 0.05)
    lost = threading.Event()
    with held(database, lost) as slot:
        end(owner, slot.number)
        assert wait_until(lambda: holder(owner, slot.number) is not None, 10, every_s=0.02)
    assert not lost.is_set()


def test_a_slot_that_somebody_else_took_meanwhile_is_given_up(
    database: Database, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "LOOK_S", 0.3)
    lost = threading.Event()
    with held(database, lost) as slot, psycopg.connect(database.service("ingest"), autocommit=True) as other:
        end(owner, slot.number)
        assert other.execute(
            "SELECT pg_try_advisory_lock(%s, %s)", [slots.SLOT_LOCK, slot.number]
        ).fetchone() == (True,)
        assert lost.wait(10), "the worker is told, and ends"
