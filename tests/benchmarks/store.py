"""Readings into the table: `readings.store` against a bare binary COPY of the same rows into the same table."""

from __future__ import annotations

from itertools import count

import numpy as np
import psycopg

from ingest import readings
from ingest.admission import Reading
from ingest.registry import Device
from tests.benchmarks.measuring import compare
from tests.servers.databases import Template

ROWS = 100_000
SERIES = 100


def run(template: Template) -> None:
    with template.clone() as database, psycopg.connect(database.service("ingest")) as conn:
        device = Device(1, "coop", "bench", "urn:bench", 60)
        batches = count()

        def rows() -> list[Reading]:
            first = 1_700_000_000_000 + next(batches) * ROWS * 1000
            return [
                Reading(0, device, place % SERIES, first + place * 1000, 2.0 + place % 7, 0)
                for place in range(ROWS)
            ]

        prepared = [rows() for _ in range(10)]
        bare = iter([_sorted(items) for items in prepared[1::2]])
        ours = iter(prepared[::2])

        def store() -> None:
            readings.store(conn, 1, next(ours))
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


def _sorted(items: list[Reading]) -> bytes:
    rows = readings._rows(items)
    rows = rows[np.lexsort((rows["time_ms"], rows["series"]))]
    return readings._copy_bytes(rows, np.full(len(rows), 1))
