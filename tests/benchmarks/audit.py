"""The official's two lists over a month: 900 breaches, 300 devices, 1.3 million readings, 1,000 lots in 6,000 stays, as SQL makes
them. Each list, with what its page asks for besides, against reading the same month's hours of those devices once, which is
the least that a list could cost."""

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
_SUMMARY, _CHOICES = (
    f"SELECT * FROM official_{what}(%s, NULL, %s)".encode() for what in ("summary", "choices")
)
_AROUND = {"excursions": (_SUMMARY, _CHOICES), "duties": (_CHOICES,)}
"""What a page asks for besides its list."""
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

            for what, around in _AROUND.items():
                page = f"SELECT total FROM official_{what}(%s, %s)".encode()

                def listed(page: bytes = page, around: tuple[bytes, ...] = around) -> int:
                    rows = conn.execute(page, [json.dumps(MONTH), AT]).fetchall()
                    for query in around:
                        conn.execute(query, [MONTH["from"], AT]).fetchall()
                    return int(rows[0][0])

                begun = time.perf_counter()
                total = listed()
                seconds = time.perf_counter() - begun
                assert total > 500
                compare(
                    f"the page of {what} (the first took {seconds:.2f} s)",
                    total,
                    "rows ranked",
                    listed,
                    "the month's hours of these devices read once",
                    hours,
                )
