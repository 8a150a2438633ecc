"""Where the judgement of each series stands: a reading some way back, and the runs that were going on at it.

In the line: detection reads on from here, so that a door that has been open for a week costs no more than one just
opened. Contract: a snapshot says what all readings up to it come to, so it may be dropped at any time, and must be when one
of those changes; what is not there is made anew from the readings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import psycopg

from ingest.coldchain.setwise import Carried

Stood = Mapping[tuple[str, int], Carried]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`at_ms`: a reading's time. `interval_ms`: how often the device measured, as it was judged. `runs`: by limit, of those
    that were beyond it then; all others were not, or not in force."""

    at_ms: int
    interval_ms: int
    runs: Stood


_READ = "SELECT series_id, at_ms, interval_ms, runs FROM detection_snapshot WHERE series_id = ANY (%s)"
_WRITE = """
INSERT INTO detection_snapshot (series_id, at_ms, interval_ms, runs)
SELECT * FROM unnest(%b::integer[], %b::bigint[], %b::bigint[], %b::text[]::jsonb[])
ON CONFLICT (series_id) DO UPDATE SET at_ms = EXCLUDED.at_ms, interval_ms = EXCLUDED.interval_ms, runs = EXCLUDED.runs
"""


def read(conn: psycopg.Connection, series: Sequence[int]) -> dict[int, Snapshot]:
    rows = conn.execute(_READ, [list(series)])
    return {
        row[0]: Snapshot(row[1], row[2], {(one[0], one[1]): Carried(**one[2]) for one in row[3]})
        for row in rows
    }


def write(conn: psycopg.Connection, snapshots: Mapping[int, Snapshot]) -> None:
    if not snapshots:
        return
    rows = [
        (series, each.at_ms, each.interval_ms, json.dumps([[*limit, asdict(run)] for limit, run in sorted(each.runs.items())]))
        for series, each in sorted(snapshots.items())
    ]  # fmt: skip
    conn.execute(_WRITE, [*map(list, zip(*rows, strict=True))])


def drop(conn: psycopg.Connection, series: Iterable[int]) -> None:
    gone = sorted(series)
    if gone:
        conn.execute("DELETE FROM detection_snapshot WHERE series_id = ANY (%s)", [gone])
