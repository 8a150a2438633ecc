"""Excursions as rows: those that stand where detection looks again, and what it changes, many in one statement.

In the line: detection -> here -> `excursion`, `excursion_version`. Contract: an excursion is never deleted, and each change
is a version that stays.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ingest import alerts
from ingest.coldchain.excursions import Changes, Run, StoredExcursion
from ingest.series_reading import bounded

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Pair = tuple[int, tuple[str, int]]
"""Series and limit."""

# Merged ones stay merged for ever. A voided one that never ended comes back only where it was.
_STANDING = """
SELECT excursion.series_id, limit_id, limit_version, id, version, state, merged_into,
       (extract(epoch FROM start_time) * 1000)::bigint, (extract(epoch FROM trigger_time) * 1000)::bigint,
       (extract(epoch FROM end_time) * 1000)::bigint, minutes_at_least, minutes_at_most, extreme, degree_minutes, closed_by
FROM unnest(%b::integer[], %b::bigint[], %b::bigint[]) AS wanted (series_id, first, last)
JOIN excursion ON excursion.series_id = wanted.series_id AND state <> 'merged'
  AND start_time <= timestamptz 'epoch' + wanted.last * INTERVAL '1 millisecond'
  AND coalesce(end_time, CASE state WHEN 'void' THEN trigger_time ELSE 'infinity' END)
      >= timestamptz 'epoch' + wanted.first * INTERVAL '1 millisecond'
ORDER BY id
"""


def standing(
    conn: psycopg.Connection, wanted: Sequence[tuple[int, int, int]]
) -> dict[Pair, list[StoredExcursion]]:
    """Those that meet (series, first, last), UTC milliseconds."""
    if not wanted:
        return {}
    series, first, last = zip(*wanted, strict=True)
    found: dict[Pair, list[StoredExcursion]] = defaultdict(list)
    for row in conn.execute(_STANDING, [list(series), bounded(first), bounded(last)]):
        found[row[0], (row[1], row[2])].append(StoredExcursion(*row[3:]))
    return dict(found)


@dataclass(frozen=True, slots=True)
class Change:
    """What one pair's excursions become. `organisation`: the series'."""

    organisation: str
    pair: Pair
    changes: Changes


def write(conn: psycopg.Connection, changed: Iterable[Change], now: datetime) -> None:
    """With what is to be told of it."""
    opened: list[tuple[Any, ...]] = []
    updated: list[tuple[Any, ...]] = []
    ended: list[tuple[Any, ...]] = []
    for each in changed:
        series, limit = each.pair
        opened += [(each.organisation, series, *limit, *_columns(run)) for run in each.changes.opened]
        updated += [(item.excursion.id, *_columns(item.run)) for item in each.changes.extended]
        ended += [(item.excursion.id, "merged", item.into, _body("merged")) for item in each.changes.merged]
        ended += [(excursion.id, "void", None, _body("void")) for excursion in each.changes.voided]
    written: list[int] = []
    for statement, rows in ((_OPEN, opened), (_UPDATE, updated), (_END, ended)):
        if rows:
            found = conn.execute(statement, [*map(list, zip(*rows, strict=True)), now]).fetchall()
            written += [number for (number,) in found]
    alerts.follow(conn, written, now)


# One statement each: the rows, their versions, and the note that a version may have to be sealed (`verdicts.py`).
_OPEN = """
WITH sent AS (
  SELECT * FROM unnest(%b::text[], %b::integer[], %b::text[], %b::integer[], %b::text[], %b::timestamptz[], %b::timestamptz[],
    %b::timestamptz[], %b::text[], %b::float8[], %b::float8[], %b::float8[], %b::float8[], %b::text[]::jsonb[]) WITH ORDINALITY
    AS sent (organisation, series_id, limit_id, limit_version, state, start_time, trigger_time, end_time, closed_by,
             extreme, at_least, at_most, degree_minutes, body, place)
), at AS (SELECT %s::timestamptz AS now), written AS (
  INSERT INTO excursion (organisation, series_id, limit_id, limit_version, version, state, start_time, trigger_time, end_time, closed_by,
                         extreme, minutes_at_least, minutes_at_most, degree_minutes, opened_at, computed_at)
  SELECT organisation, series_id, limit_id, limit_version, 1, state, start_time, trigger_time, end_time, closed_by,
         extreme, at_least, at_most, degree_minutes, now, now FROM sent, at ORDER BY place
  RETURNING id, series_id, limit_id, limit_version, start_time, computed_at
), noted AS (
  INSERT INTO open_verdict (excursion, version, due_at) SELECT id, 1, computed_at FROM written
)
INSERT INTO excursion_version (excursion, version, body, computed_at)
SELECT written.id, 1, sent.body, computed_at FROM written JOIN sent USING (series_id, limit_id, limit_version, start_time)
RETURNING excursion
"""
_UPDATE = """
WITH sent AS (
  SELECT * FROM unnest(%b::bigint[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::timestamptz[], %b::text[],
    %b::float8[], %b::float8[], %b::float8[], %b::float8[], %b::text[]::jsonb[])
    AS sent (id, state, start_time, trigger_time, end_time, closed_by, extreme, at_least, at_most, degree_minutes, body)
), written AS (
  UPDATE excursion SET version = version + 1, state = sent.state, start_time = sent.start_time, trigger_time = sent.trigger_time,
    end_time = sent.end_time, closed_by = sent.closed_by, extreme = sent.extreme, minutes_at_least = at_least,
    minutes_at_most = at_most, degree_minutes = sent.degree_minutes, computed_at = %s
  FROM sent WHERE excursion.id = sent.id RETURNING excursion.id, version, body, computed_at
), noted AS (
  INSERT INTO open_verdict (excursion, version, due_at) SELECT id, version, computed_at FROM written
)
INSERT INTO excursion_version (excursion, version, body, computed_at) SELECT * FROM written
RETURNING excursion
"""
_END = """
WITH sent AS (
  SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::text[]::jsonb[]) AS sent (id, state, merged_into, body)
), written AS (
  UPDATE excursion SET version = version + 1, state = sent.state, merged_into = sent.merged_into, computed_at = %s
  FROM sent WHERE excursion.id = sent.id RETURNING excursion.id, version, body, computed_at
), noted AS (
  INSERT INTO open_verdict (excursion, version, due_at) SELECT id, version, computed_at FROM written
)
INSERT INTO excursion_version (excursion, version, body, computed_at) SELECT * FROM written
RETURNING excursion
"""


def _columns(run: Run) -> tuple[Any, ...]:
    end = None if run.end_ms is None else _datetime(run.end_ms)
    return (run.state, _datetime(run.start_ms), _datetime(run.trigger_ms), end, run.closed_by, run.extreme_c,
            run.minutes_at_least, run.minutes_at_most, run.area_c_min, _body(run.state, run))  # fmt: skip


def _body(state: str, run: Run | None = None) -> str:
    facts = {} if run is None else {name: getattr(run, name) for name in Run.__slots__}
    return json.dumps({"state": state} | facts)


def _datetime(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=bounded([time_ms])[0])
