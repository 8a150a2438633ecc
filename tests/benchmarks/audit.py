"""The official's two lists over a month: 900 breaches, 300 devices, 1.3 million readings, 1,000 lots in 6,000 stays, as SQL makes
them. Each list against reading the same month's hours of those devices once, which is the least that a list could cost."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg

from ingest.registry import load_limit_versions
from ingest.registry.shipped import load_duty_rules
from tests.benchmarks.measuring import compare
from tests.servers.databases import Database, Template

AT = datetime(2026, 7, 1, 4, tzinfo=UTC)
MONTH = {"from": (AT - timedelta(days=30)).isoformat(), "limit": 25, "offset": 0}
_WORLD = Path(__file__).with_name("audit_world.sql")
_HOURS = "SELECT count(*), sum(n), max(maximum) FROM reading_1h WHERE hour > %s"


def build(database: Database) -> UUID:
    """The world, and an auditor of its province."""
    with psycopg.connect(database.owner) as conn:
        load_limit_versions(conn)
        load_duty_rules(conn)
        conn.execute(
            f"CREATE FUNCTION pg_temp.moment() RETURNS timestamptz IMMUTABLE LANGUAGE sql AS $$ SELECT '{AT}'::timestamptz $$".encode()
        )
        conn.execute(_WORLD.read_bytes())
        row = conn.execute("SELECT id FROM user_account WHERE login = 'bench.auditor'").fetchone()
    with psycopg.connect(database.owner, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
    assert row is not None
    return UUID(str(row[0]))


def run(template: Template) -> None:
    with template.clone() as database:
        account = build(database)
        with psycopg.connect(database.service("api")) as conn, psycopg.connect(database.owner) as reference:
            session = hashlib.sha256(str(account).encode()).hexdigest()
            conn.execute("SELECT set_config('suyuan.session', %s, false)", [session])

            def hours() -> None:
                reference.execute(_HOURS, [AT - timedelta(days=30)]).fetchall()

            for what in ("excursions", "duties"):
                page = f"SELECT total FROM official_{what}(%s, %s)".encode()
                begun = time.perf_counter()
                row = conn.execute(page, [json.dumps(MONTH), AT]).fetchone()
                seconds = time.perf_counter() - begun
                assert row is not None and row[0] > 500

                def listed(page: bytes = page) -> None:
                    conn.execute(page, [json.dumps(MONTH), AT]).fetchall()

                compare(
                    f"a page of official_{what} (the first took {seconds:.2f} s)",
                    row[0],
                    "rows ranked",
                    listed,
                    "the month's hours of these devices read once",
                    hours,
                )
