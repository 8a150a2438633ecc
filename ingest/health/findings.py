"""Findings as rows: one open one for each device, series and kind, closed when it is no longer so.

In the line: `looking` -> here -> `device_finding`. Contract: what is not judged stays as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import psycopg

from ingest.health.judging import Finding, Judgement
from ingest.health.thresholds import Kind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Key = tuple[int, int | None, Kind]
"""device, series (None: all of the device), kind"""

_STANDING = """
SELECT device_id, series_id, kind, id, evidence FROM device_finding WHERE device_id = ANY (%s) AND until IS NULL
"""

_OPEN = """
INSERT INTO device_finding (organisation, device_id, series_id, kind, since, evidence, looked_at)
SELECT organisation, id, %s, %s, %s, %s, %s FROM device WHERE id = %s
"""


def keep(conn: psycopg.Connection, judged: Mapping[Key, Judgement], now: datetime) -> None:
    """Open, change and close, in the caller's transaction. A silent device is so until it is heard, everything else until now."""
    devices = sorted({device for device, _, _ in judged})
    standing = {
        (row[0], row[1], row[2]): (row[3], row[4]) for row in conn.execute(_STANDING, [devices]).fetchall()
    }
    opened, changed, closed = [], [], []
    for key, judgement in judged.items():
        known = standing.get(key)
        if isinstance(judgement, Finding):
            evidence = json.dumps(judgement.evidence)
            if known is None:
                since = min(EPOCH + timedelta(milliseconds=judgement.since_ms), now)
                opened.append([key[1], key[2], since, evidence, now, key[0]])
            elif known[1] != json.loads(evidence):
                changed.append([evidence, now, known[0]])
        elif judgement is not None and known is not None:
            closed.append(known[0])
    with conn.cursor() as cursor:
        cursor.executemany(_OPEN, opened)
        cursor.executemany("UPDATE device_finding SET evidence = %s, looked_at = %s WHERE id = %s", changed)
    if closed:
        conn.execute(
            "UPDATE device_finding SET until = greatest(since, %s), looked_at = %s WHERE id = ANY (%s)",
            [now, now, closed],
        )
