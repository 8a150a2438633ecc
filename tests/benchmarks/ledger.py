"""Sequencing: pending rows to signed, published leaves, against a bare COPY of the same entries into the same table."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import psycopg

from ledger.keys import KeyStore
from ledger.sequencer import Sequencer
from tests.benchmarks.measuring import compare
from tests.servers.databases import Database, Template

ENTRIES = 3_000
BODY = b'{"fields":12,"root":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}'


def run(template: Template, folder: Path) -> None:
    with template.clone() as database:
        _register(database)
        with (
            psycopg.connect(database.service("sequencer"), autocommit=True) as conn,
            psycopg.connect(database.owner) as owner,
        ):
            sequencer = Sequencer(
                conn, KeyStore(folder / "keys"), folder, "bench.example", lambda: datetime.now(UTC)
            )
            sequencer.take_over()

            def sequence() -> None:
                _pend(database)
                while sequencer.step():
                    pass

            def copy() -> None:
                rows = owner.execute(
                    "SELECT organisation, leaf_index, entry, leaf_hash, record_time FROM leaf LIMIT %s",
                    [ENTRIES],
                ).fetchall()
                owner.execute("CREATE TEMP TABLE IF NOT EXISTS bare (LIKE leaf INCLUDING INDEXES)")
                owner.execute("TRUNCATE bare")
                with (
                    owner.cursor() as cursor,
                    cursor.copy(
                        "COPY bare (organisation, leaf_index, entry, leaf_hash, record_time) FROM STDIN"
                    ) as out,
                ):
                    for row in rows:
                        out.write_row(row)
                owner.commit()

            sequence()
            compare(
                "pend, sequence, publish and sign",
                ENTRIES,
                "entries",
                sequence,
                "read and COPY of the same entries",
                copy,
                rounds=3,
            )


def _register(database: Database) -> None:
    with psycopg.connect(database.owner) as conn:
        conn.execute(
            "INSERT INTO organisation (id, name_zh, name_en, party, kind) VALUES ('coop', '社', 'Coop', 'urn:party', 'packer')"
        )


def _pend(database: Database) -> None:
    with psycopg.connect(database.owner) as conn:
        conn.execute(
            "INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at)"
            " SELECT 'coop', 'event', 'party', 'coop', %s, now() FROM generate_series(1, %s)",
            [BODY, ENTRIES],
        )
