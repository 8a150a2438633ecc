"""Readings into the table: `readings.store` against a bare binary COPY of the same rows into the same table."""

from __future__ import annotations

from itertools import count

import numpy as np
import psycopg

from ingest import readings
from ingest.intake import Readings
from tests.benchmarks.measuring import compare
from tests.servers.databases import Template

ROWS = 100_000
SERIES = 100


def run(template: Template) -> None:
    with template.clone() as database, psycopg.connect(database.service("ingest")) as conn:
        batches = count()

        def rows() -> Readings:
            place = np.arange(ROWS)
            first = 1_700_000_000_000 + next(batches) * ROWS * 1000
            return Readings(
                place,
                place % SERIES,
                first + place * 1000,
                np.float64(2.0) + place % 7,
                np.zeros(ROWS, np.int16),
            )

        prepared = [rows() for _ in range(10)]
        bare = iter([_sorted(columns) for columns in prepared[1::2]])
        ours = iter(prepared[::2])

        def store() -> None:
            readings.store(conn, 1, readings.judge(next(ours)), around=False)
            conn.commit()

        def copy() -> None:
            with (
                conn.cursor() as cursor,
                cursor.copy(
                    "COPY reading_store (series_id, time, value, flags, batch_id) FROM STDIN (FORMAT binary)"
                ) as out,
            ):
                out.write(next(bare))
            conn.commit()

        compare("store a batch of readings", ROWS, "rows", store, "bare binary COPY, bytes ready", copy)


def _sorted(columns: Readings) -> bytes:
    return readings._copy_bytes(readings._sorted(columns), np.full(ROWS, 1))
