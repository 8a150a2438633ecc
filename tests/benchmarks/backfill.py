"""A file of readings down the line: `suyuan ingest file` against a bare binary COPY of as many rows into the same table."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import psycopg

from ingest import readings
from ingest.backfill import checkpoint, running
from ingest.backfill.frames import Form
from ingest.intake import Readings
from ingest.registry import load, parse_registry
from tests.benchmarks.measuring import compare
from tests.integration.lines import REGISTRY, line
from tests.servers.databases import Template

ROWS, CHANNELS, ROUNDS = 20_000, 10, 5
BEGAN = datetime(2018, 1, 1, tzinfo=UTC)
FORM = Form(device="logger-1", time_zone="Asia/Shanghai")

DEVICE = {
    "id": "logger-1", "organisation": "coop", "giai": "https://id.gs1.org/8004/95212340LOGGER1", "model": "L", "interval_s": 60,
    "channels": [{"channel": f"t{n}", "quantity": "temperature", "unit": "Cel"} for n in range(CHANNELS)],
}  # fmt: skip


def run(template: Template, folder: Path) -> None:
    with template.clone() as database, psycopg.connect(database.service("ingest"), autocommit=True) as conn:
        with conn.transaction():
            load(conn, parse_registry(json.dumps(REGISTRY | {"devices": [DEVICE]})))
        worker = replace(line(folder), worker=running.WORKER)
        worker.registry.read(conn)
        files = iter([_file(folder / f"year-{number}.csv", number) for number in range(ROUNDS)])
        bare, numbers = iter([_rows(number) for number in range(ROUNDS, 2 * ROUNDS)]), count()

        def take_in() -> None:
            path, now = next(files), datetime.now(UTC)
            key = checkpoint.key_of(path, FORM, "csv")
            begun = checkpoint.begin(conn, key, path.name, now)
            for _ in running.take_in(conn, worker, path, FORM, key, begun, lambda: now):
                next(numbers)

        def copy() -> None:
            with (
                conn.cursor() as cursor,
                cursor.copy(
                    "COPY reading_store (series_id, time, value, flags, batch_id) FROM STDIN (FORMAT binary)"
                ) as out,
            ):
                out.write(next(bare))

        compare(
            "take a wide CSV in", ROWS * CHANNELS, "readings", take_in, "bare binary COPY, bytes ready", copy
        )


def _file(path: Path, number: int) -> Path:
    begun = BEGAN + timedelta(minutes=number * ROWS)
    with path.open("w", encoding="utf-8") as file:
        file.write("时间," + ",".join(f"t{n} (°C)" for n in range(CHANNELS)) + "\n")
        for row in range(ROWS):
            cells = (f"{2 + (row + n) % 70 / 10:.1f}" for n in range(CHANNELS))
            file.write(f"{begun + timedelta(minutes=row):%Y-%m-%d %H:%M:%S},{','.join(cells)}\n")
    return path


def _rows(number: int) -> bytes:
    place = np.arange(ROWS * CHANNELS)
    first = round(BEGAN.timestamp() * 1000) + number * ROWS * 60_000
    columns = Readings(
        place,
        1000 + place % CHANNELS,
        first + place // CHANNELS * 60_000,
        np.float64(2.0) + place % 7,
        np.zeros(len(place), np.int16),
    )
    return readings._copy_bytes(readings._sorted(columns), np.full(len(place), 1))
