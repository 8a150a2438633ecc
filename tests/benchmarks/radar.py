"""Copied readings among 500 series of a month: how long the look takes, from the sealed hours to the finding.

Not a part of `make bench`: run `python -m tests.benchmarks.radar`. Contract: one stretch of two days is planted in another truck,
17 minutes later; the look must name that pair and no other.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg

from ingest.radar import copies
from tests.servers.session import Servers

SERIES, DAYS, STEP = 500, 31, timedelta(minutes=5)
START = datetime(2026, 6, 1, tzinfo=UTC)
NOW = START + timedelta(days=DAYS)


def plant(owner: str) -> int:
    """Returns how many readings there are."""
    count = int(timedelta(days=DAYS) / STEP)
    dice = np.random.default_rng(20260618)
    with psycopg.connect(owner) as conn:
        conn.execute(
            "INSERT INTO organisation (id, name_zh, name_en, party, kind) VALUES ('fleet', '车队', 'Fleet', 'urn:fleet', 'carrier')"
        )
        conn.execute(
            "INSERT INTO device (organisation, external_id, giai, model, interval_s) SELECT 'fleet', 'd' || n, 'urn:d' || n, 'T', 300"
            " FROM generate_series(1, %s) AS n",
            [SERIES],
        )
        conn.execute(
            "INSERT INTO series (organisation, device_id, channel, quantity, unit)"
            " SELECT 'fleet', id, 'air', 'temperature', 'Cel' FROM device ORDER BY id"
        )
        ids = [row[0] for row in conn.execute("SELECT id FROM series ORDER BY id")]
        values = np.round(4 + 0.1 * np.cumsum(dice.choice([-1, 0, 0, 1], (SERIES, count)), axis=1) % 8, 1)
        values[7, 1500:2076] = values[3, 1000:1576]
        times = [START + STEP * number for number in range(count)]
        with (
            conn.cursor() as cursor,
            cursor.copy("COPY reading_store (series_id, time, value, flags, batch_id) FROM STDIN") as copy,
        ):
            for series, row in zip(ids, values.tolist(), strict=True):
                for moment, value in zip(times, row, strict=True):
                    copy.write_row((series, moment, value, 0, 1))
        conn.execute(
            "INSERT INTO sealed_window (organisation, device_id, start_time, version, closed, through, readings, root, leaf_keys, sealed_at)"
            " SELECT 'fleet', device.id, hour, 1, 'hour', hour, 12, sha256('x'), '', hour "
            " FROM generate_series(%s::timestamptz, %s, INTERVAL '1 hour') AS hour, device"
            " ORDER BY hour, device.id",
            [START, NOW - timedelta(hours=1)],
        )
        conn.execute("ANALYZE")
    return SERIES * count


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            with servers.template("plain").clone() as database:
                count = plant(database.owner)
                begun, position, steps, worst = time.monotonic(), 0, 0, 0.0
                with psycopg.connect(database.service("jobs"), autocommit=True) as conn:
                    while True:
                        at = time.monotonic()
                        with conn.transaction():
                            reached = copies.look(conn, position, NOW)
                        if reached is None:
                            break
                        position, steps, worst = reached, steps + 1, max(worst, time.monotonic() - at)
                    found = conn.execute("SELECT subject, body ->> 'said' FROM finding").fetchall()
                    prints = conn.execute("SELECT count(*) FROM reading_print").fetchone()
                took = time.monotonic() - begun
        finally:
            servers.stop()
    print(
        f"{count:,} readings of {SERIES} series in {took:.1f} s: {count / took:,.0f} readings/s, {steps} steps, the longest {worst:.2f} s"
    )
    print(f"fingerprints: {prints[0] if prints else 0:,}; found: {found}")
    assert [subject for subject, _ in found] == ["suyuan:d4/air suyuan:d8/air"], found


if __name__ == "__main__":
    main()
