"""A whole instance without its processes: one database, one data folder, and the rooms called as their services call them.

Each step runs under its own service's role, on a connection of its own, and time is passed in, so that an hour can be
over and quiet without anybody waiting for it.
"""

from __future__ import annotations

import json
import select
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import psycopg

from ingest import jobs, retention
from ingest.pipeline import Line, Message, run
from ingest.quarantine import MonthlyKeys
from ingest.registry import Registry, load, load_shipped, load_token, parse_registry
from ledger.keys import KeyStore
from ledger.persons import Vault
from ledger.reader import LogReader, open_log
from ledger.sequencer import Sequencer, take_lock
from simulators.world import Message as Sent
from tests.servers.databases import Database

MOST_IN_A_BATCH = 2000


class Instance:
    """`folder`: its DATA_DIR."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self._kept: dict[tuple[str, int], psycopg.Connection] = {}
        weakref.finalize(self, _close_all, self._kept)
        self.keys = KeyStore(folder / "keys")
        self.consumers = jobs.steps(self.keys.organisation_key, lambda _messages: True)

    @contextmanager
    def as_role(self, role: str) -> Iterator[psycopg.Connection]:
        """A connection as the service has it: `ingest`, `jobs`, `sequencer`, `api`, `public`."""
        with psycopg.connect(self.database.service(role)) as conn:
            yield conn

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """As the owner: the tests look at what no single service may see."""
        with self._on_kept("owner") as conn:
            return conn.execute(query.encode(), values or None).fetchall()

    def one(self, query: str, *values: Any) -> Any:
        """The one column of the one row."""
        ((value,),) = self.rows(query, *values)
        return value

    def alter(self, query: str, *values: Any) -> None:
        """As the owner, what no service can do."""
        with self._on_kept("owner") as conn:
            conn.execute(query.encode(), values or None)

    @contextmanager
    def _on_kept(self, role: str) -> Iterator[psycopg.Connection]:
        """A transaction on a connection that stays, as the services' do: a new one would read the whole catalogue anew. The
        community edition's WASM build has one session, which is for nobody to keep."""
        key = (role, threading.get_ident())
        conn = self._kept.pop(key, None)
        if conn is None or _ended(conn):
            conn = psycopg.connect(self.database.owner if role == "owner" else self.database.service(role))
            if role == "owner":
                conn.prepare_threshold = None  # what a test alters may be what a statement was prepared for
        if self.database.edition == "community":
            with conn:
                yield conn
            return
        try:
            yield conn
            conn.commit()
        except BaseException:
            conn.close()
            raise
        self._kept[key] = conn

    def leave(self) -> None:
        """Ends the connections that stay, so that the database can be cloned."""
        _close_all(self._kept)
        self._kept.clear()

    # --- in ---------------------------------------------------------------------------------------------

    def register(self, document: dict[str, Any]) -> None:
        """The registry, the shipped limits, and for each organisation the token `token-of-{id}`."""
        with self.as_role("ingest") as conn:
            load(conn, parse_registry(json.dumps(document)))
            load_shipped(conn)
            for organisation in document["organisations"]:
                load_token(conn, organisation["id"], token(organisation["id"]))

    def worker(self, name: str = "ingest-test") -> Line:
        return Line(
            name,
            Registry(time.monotonic),
            MonthlyKeys(self.folder / "keys"),
            timedelta(days=1096),
            Vault.with_keys_in(self.folder / "keys"),
        )

    def take(self, messages: Sequence[Message], now: datetime, worker: Line | None = None) -> None:
        """One batch down to its commit."""
        with self._on_kept("ingest") as conn:
            run(conn, worker or self.worker(), messages, now)

    # --- what follows a commit ------------------------------------------------------------------------------

    def consume(self, name: str, now: datetime) -> bool:
        """One step of one consumer; True if there was work."""
        with self._on_kept("jobs") as conn:
            return self.consumers[name](conn, now)

    def sequence(self, now: datetime) -> bool:
        """A reign of the sequencer until nothing is pending; True if there was work. Nothing may be refused."""
        with psycopg.connect(self.database.service("sequencer"), autocommit=True) as conn:
            assert take_lock(conn, Event(), 0.1)
            sequencer = Sequencer(conn, self.keys, self.folder, "log.example", lambda: now)
            sequencer.take_over()
            worked = False
            while sequencer.step():
                worked = True
        assert not sequencer.refused, sequencer.refused
        return worked

    def settle(self, now: datetime, *, consumers: Iterable[str] | None = None) -> None:
        """Until everything taken in is sequenced, projected, detected, sealed as far as due, and rolled up."""
        steps = [self.consumers[name] for name in (self.consumers if consumers is None else consumers)]
        with self._on_kept("jobs") as conn:
            while any([self.sequence(now), *(self._in_its_own(conn, step, now) for step in steps)]):
                continue

    def compress(self, now: datetime) -> None:
        """What is a week old into columns, where the edition has them; nothing is dropped."""
        for_ever = partial(retention.step, keep=timedelta(days=36_500), key=self.keys.organisation_key)
        with self._on_kept("jobs") as conn:
            while self._in_its_own(conn, for_ever, now):
                continue

    @staticmethod
    def _in_its_own(conn: psycopg.Connection, step: jobs.Step, now: datetime) -> bool:
        """A transaction for each step, as the service has it."""
        worked = step(conn, now)
        conn.commit()
        return worked

    # --- out ----------------------------------------------------------------------------------------------------

    def log(self, organisation: str) -> LogReader:
        log = open_log(self.folder / "log", organisation)
        assert log is not None, f"{organisation} has published no log"
        return log


def _ended(conn: psycopg.Connection) -> bool:
    """Whether the server has ended it: of one that is idle there is nothing to read but its end."""
    return conn.closed or bool(select.select([conn.fileno()], [], [], 0)[0])


def _close_all(kept: dict[tuple[str, int], psycopg.Connection]) -> None:
    for conn in kept.values():
        conn.close()


def token(organisation: str) -> str:
    return f"token-of-{organisation}"


def handed_over(messages: Iterable[Sent], redelivered: bool = False) -> list[Message]:
    """What the world sent, as a broker hands it on."""
    return [Message(sent.topic.encode(), sent.payload, redelivered) for sent in messages]


def in_batches(messages: Sequence[Message], chance: Random) -> Iterator[list[Message]]:
    """The messages in any order, in batches of any size that the line takes."""
    mixed = list(messages)
    chance.shuffle(mixed)
    while mixed:
        size = min(len(mixed), chance.choice((1, 7, 60, 400, 900, MOST_IN_A_BATCH)))
        yield mixed[:size]
        del mixed[:size]
