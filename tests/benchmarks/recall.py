"""A recall of one harvest that reaches 100,000 units in 100 lots at fifty holders, beside as much again that it must not reach: the
whole answer, and the whole order with its snapshot, notices and events. Against a plain recursive query that only names the portions."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from ledger.persons import Vault
from tests.benchmarks.measuring import compare
from tests.servers.databases import Database, Template
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.recalls import answering
from trace_api.recalls.asking import Order
from trace_api.recalls.ordering import order

AT = datetime(2026, 7, 1, 4, tzinfo=UTC)
UNITS = 100_000
HARVEST = "https://example.org/class/harvest.0"
PERSON = Person(None, "", "o0", "o0", frozenset({"packer"}))
_WORLD = Path(__file__).with_name("recall_world.sql")
_PLAIN = """
WITH RECURSIVE reached AS (
  SELECT lot, portion, used_in FROM portion WHERE lot = %s
  UNION
  SELECT next.lot, next.portion, next.used_in FROM reached JOIN portion AS next
    ON (next.lot = reached.lot AND next.origin = reached.portion) OR next.run = reached.used_in)
SELECT count(*) FROM reached
"""


def build(database: Database) -> None:
    with psycopg.connect(database.owner) as conn:
        conn.execute(_WORLD.read_bytes())
    with psycopg.connect(database.owner, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")


def run(template: Template) -> None:
    with template.clone() as database:
        build(database)
        with (
            ConnectionPool(database.service("api"), min_size=1, open=True) as pool,
            psycopg.connect(database.owner) as reference,
        ):
            databases = Databases(pool, pool)

            def asked(mode: str) -> dict[str, Any]:
                said = {"mode": mode, "from": {"kind": "lot", "id": HARVEST}, "reason": {"en": "bench"}}
                with access.acting(databases, PERSON) as conn:
                    wanted = Order.model_validate(said)
                    return order(
                        conn, PERSON, wanted, AT, "https://bench.example", Vault(lambda _: bytes(32))
                    )

            def plain() -> None:
                assert reference.execute(_PLAIN.encode(), [HARVEST]).fetchone()[0] > UNITS  # type: ignore[index]

            begun = time.perf_counter()
            document = asked("real")
            first = time.perf_counter() - begun
            reached = sum(place["units"] for holder in document["holders"] for place in holder["places"])
            print(
                f"an order for real, with its snapshot, {document['notices_sent']} notices and {len(document['events'])} events: {first:.2f} s;"
                f" {len(document['lots'])} lots, {reached:,} units at holders that may be named"
            )
            assert len(document["lots"]) == 101, "the other harvest's are not of it"
            begun = time.perf_counter()
            with access.looking(databases, PERSON) as conn:
                answering.read(conn, document["id"])
            print(f"the same looked at again, with its progress: {time.perf_counter() - begun:.2f} s")
            compare(
                "a recall that reaches 100,000 units, looked at", UNITS, "units", lambda: asked("preview"),
                "the portions alone by a plain recursive query", plain, rounds=3,
            )  # fmt: skip
