"""The hypertable: put a batch in, read a series out.

Contract of `store`: same key and same value is a duplicate, same key and another value a conflict, and both are found
without asking the store on every batch: the batch goes in by binary COPY straight into the table, as the first rows of its
transaction, or, where it is small, with the statement that closes it; and only when the unique index refuses it is it done
again, staged and inserted around the rows that stand.
Rows are sorted by key before either, so that two workers with overlapping rows wait for each other in one order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import psycopg

from ingest.admission import Observation
from ingest.intake import Readings

ROW = np.dtype([("series", "<i4"), ("time_ms", "<i8"), ("value", "<f8"), ("flags", "<i2"), ("source", "<i8")])
"""A batch's readings. `source`: index into the columns the row came from."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_2000_MS = 946_684_800_000
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_COPY_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("l0", ">i4"), ("series", ">i4"),
        ("l1", ">i4"), ("time", ">i8"),
        ("l2", ">i4"), ("value", ">f8"),
        ("l3", ">i4"), ("flags", ">i2"),
        ("l4", ">i4"), ("batch", ">i8"),
    ]
)  # fmt: skip

STORED, DUPLICATE, CONFLICT = 0, 1, 2
APART_MS = 3_600_000


class RowsLost(RuntimeError):
    """The database took fewer rows than it was given, without an error. Nothing is committed: the messages stay with the
    broker. TimescaleDB before 2.18.1 did so in compressed chunks: update it."""


@dataclass(frozen=True, slots=True)
class Touched:
    """int64[k] each: series, ascending, and the first and last time, UTC ms, of a stretch of what was stored of it. What lies more
    than `APART_MS` apart is two stretches: who follows has no need to look at all that lies between."""

    series: npt.NDArray[np.int64]
    first_ms: npt.NDArray[np.int64]
    last_ms: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stored:
    """`outcome`: uint8[n], one of STORED, DUPLICATE, CONFLICT, in the order of the input.
    `standing`: float64[n], for a conflict the value that stands, else NaN. `touched`: what was stored, by series.
    `left`: ROW[k], called stored and left to the caller to insert."""

    outcome: npt.NDArray[np.uint8]
    standing: npt.NDArray[np.float64]
    touched: Touched
    left: npt.NDArray[np.void]


class KeyStands(RuntimeError):
    """A key of the batch stands already: its transaction is undone, and the batch is stored around what stands."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A batch's readings as they came, and as `rows` in the order of the table's key. `first`: bool[n], not a repeat of a row
    before it, and whether there are `repeats`; `outcome`, `standing`: as in `Stored`, and not final before the rows are stored."""

    came: Readings
    rows: npt.NDArray[np.void]
    first: npt.NDArray[np.bool_]
    outcome: npt.NDArray[np.uint8]
    standing: npt.NDArray[np.float64]
    repeats: bool


def judge(readings: Readings) -> Judged:
    rows = _sorted(readings)
    first = _first_of_key(rows)
    outcome, standing = np.full(len(rows), STORED, dtype=np.uint8), np.full(len(rows), np.nan)
    repeats = not first.all()
    if repeats:
        _judge_repeats(rows, first, outcome, standing)
    return Judged(readings, rows, first, outcome, standing, repeats)


def store(conn: psycopg.Connection, batch_id: int, judged: Judged, *, around: bool, few: int = 0) -> Stored:
    """Insert in the caller's transaction, once. `around`: with what stands; without it a key that stands raises KeyStands, and
    up to `few` rows are left for a statement of the caller's."""
    rows, first, outcome, standing = judged.rows, judged.first, judged.outcome, judged.standing
    fresh = rows[first] if judged.repeats else rows
    if len(fresh) and around:
        _insert_around(conn, batch_id, fresh, outcome, standing)
        _follow_first(rows, first, outcome, standing)
    elif len(fresh) > few:
        _copy_straight(conn, batch_id, fresh)
    left = fresh[:0] if around or len(fresh) > few else fresh
    return Stored(outcome, standing, _touched(rows, outcome), left)


def _sorted(readings: Readings) -> npt.NDArray[np.void]:
    """By key, and within a key in the order of arrival."""
    rows = np.empty(len(readings.series), dtype=ROW)
    order = np.lexsort((readings.time_ms, readings.series))  # stable
    rows["series"] = readings.series[order]
    rows["time_ms"] = readings.time_ms[order]
    rows["value"] = readings.value[order]
    rows["flags"] = readings.flags[order]
    rows["source"] = order
    return rows


def _touched(rows: npt.NDArray[np.void], outcome: npt.NDArray[np.uint8]) -> Touched:
    kept = rows[outcome[rows["source"]] == STORED]
    return _stretches(kept["series"].astype(np.int64), kept["time_ms"])


def _stretches(series: npt.NDArray[np.int64], time_ms: npt.NDArray[np.int64]) -> Touched:
    """Of n rows in the order of series and time."""
    begins = np.ones(len(series), dtype=bool)
    begins[1:] = (series[1:] != series[:-1]) | (time_ms[1:] - time_ms[:-1] > APART_MS)
    ends = np.ones(len(series), dtype=bool)
    ends[:-1] = begins[1:]
    return Touched(series[begins], time_ms[begins], time_ms[ends])


def _first_of_key(rows: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows["series"][1:] != rows["series"][:-1]) | (rows["time_ms"][1:] != rows["time_ms"][:-1])
    return first


def _judge_repeats(
    rows: npt.NDArray[np.void],
    first: npt.NDArray[np.bool_],
    outcome: npt.NDArray[np.uint8],
    standing: npt.NDArray[np.float64],
) -> None:
    """Within the batch the earliest row of a key stands."""
    kept = np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
    for index in np.flatnonzero(~first):
        source, stands = rows["source"][index], rows["value"][kept[index]]
        same = rows["value"][index] == stands
        outcome[source] = DUPLICATE if same else CONFLICT
        standing[source] = np.nan if same else stands


def _follow_first(
    rows: npt.NDArray[np.void],
    first: npt.NDArray[np.bool_],
    outcome: npt.NDArray[np.uint8],
    standing: npt.NDArray[np.float64],
) -> None:
    """A repeat whose first row met another stored value is judged against what is stored, not against its sibling."""
    kept = np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
    for index in np.flatnonzero(~first):
        head = rows["source"][kept[index]]
        if outcome[head] == CONFLICT:
            source = rows["source"][index]
            same = rows["value"][index] == standing[head]
            outcome[source] = DUPLICATE if same else CONFLICT
            standing[source] = np.nan if same else standing[head]


_COPY = "COPY reading_store (series_id, time, value, flags, batch_id) FROM STDIN (FORMAT binary)"


def _copy_straight(conn: psycopg.Connection, batch_id: int, rows: npt.NDArray[np.void]) -> None:
    with conn.cursor() as cursor:
        try:
            with cursor.copy(_COPY) as copy:
                copy.write(_copy_bytes(rows, np.full(len(rows), batch_id)))
        except psycopg.errors.UniqueViolation as error:
            raise KeyStands from error
        if cursor.rowcount != len(rows):
            raise RowsLost(f"got {cursor.rowcount} rows into reading_store, want {len(rows)}")


def _copy_bytes(rows: npt.NDArray[np.void], last: npt.NDArray[np.int64]) -> bytes:
    out = np.empty(len(rows), dtype=_COPY_ROW)
    out["fields"] = 5
    out["l0"], out["l1"], out["l2"], out["l3"], out["l4"] = 4, 8, 8, 2, 8
    out["series"] = rows["series"]
    out["time"] = (rows["time_ms"] - _EPOCH_2000_MS) * 1000
    out["value"] = rows["value"]
    out["flags"] = rows["flags"]
    out["batch"] = last
    return _COPY_HEADER + out.tobytes() + _COPY_TRAILER


_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged_reading (
  series_id integer, time timestamptz, value float8, flags smallint, source bigint
) ON COMMIT DELETE ROWS
"""

_INSERT_AROUND = """
INSERT INTO reading_store (series_id, time, value, flags, batch_id)
SELECT series_id, time, value, flags, %s FROM staged_reading ORDER BY series_id, time
ON CONFLICT (series_id, time) DO NOTHING
"""

# Ours carry this batch's number; every other row with the key stood before.
_STANDING = """
SELECT staged.source, store.value
FROM staged_reading AS staged
JOIN reading_store AS store USING (series_id, time)
WHERE store.batch_id <> %s
"""


def _insert_around(
    conn: psycopg.Connection,
    batch_id: int,
    rows: npt.NDArray[np.void],
    outcome: npt.NDArray[np.uint8],
    standing: npt.NDArray[np.float64],
) -> None:
    conn.execute(_STAGE)
    conn.execute("DELETE FROM staged_reading")
    with conn.cursor() as cursor:
        with cursor.copy(
            "COPY staged_reading (series_id, time, value, flags, source) FROM STDIN (FORMAT binary)"
        ) as copy:
            copy.write(_copy_bytes(rows, rows["source"]))
        inserted = cursor.execute(_INSERT_AROUND, [batch_id]).rowcount
        stood = cursor.execute(_STANDING, [batch_id]).fetchall()
    # An account that rests on what was meant to happen would call a lost row stored.
    if inserted + len(stood) != len(rows):
        raise RowsLost(
            f"got {inserted} rows into reading_store and found {len(stood)} there, want {len(rows)} in all"
        )
    if stood:
        source = np.array([row[0] for row in stood], dtype=np.int64)
        value = np.array([row[1] for row in stood], dtype=np.float64)
        sent = np.empty(len(outcome))
        sent[rows["source"]] = rows["value"]
        same = sent[source] == value
        outcome[source] = np.where(same, DUPLICATE, CONFLICT)
        standing[source] = np.where(same, np.nan, value)


_OBSERVE = """
WITH sent AS (
  SELECT * FROM unnest(%s::integer[], %s::timestamptz[], %s::jsonb[], %s::smallint[]) WITH ORDINALITY
    AS sent (series_id, time, body, flags, source)
), written AS (
  INSERT INTO observation (series_id, time, body, flags, batch_id)
  SELECT DISTINCT ON (series_id, time) series_id, time, body, flags, %s FROM sent ORDER BY series_id, time, source
  ON CONFLICT (series_id, time) DO NOTHING
  RETURNING series_id, time, body
)
SELECT sent.source, sent.body = coalesce(written.body, stood.body),
       written.series_id IS NOT NULL AND row_number() OVER (PARTITION BY sent.series_id, sent.time ORDER BY sent.source) = 1
FROM sent
LEFT JOIN written USING (series_id, time)
LEFT JOIN observation AS stood ON stood.series_id = sent.series_id AND stood.time = sent.time
"""


def store_observations(
    conn: psycopg.Connection, batch_id: int, observations: Sequence[Observation]
) -> npt.NDArray[np.uint8]:
    """The same for texts, data and positions. Returns uint8[n] of STORED, DUPLICATE, CONFLICT."""
    outcome = np.full(len(observations), STORED, dtype=np.uint8)
    if not observations:
        return outcome
    rows = conn.execute(
        _OBSERVE,
        [
            [item.series for item in observations],
            [_datetime(item.time_ms) for item in observations],
            [json.dumps(item.body) for item in observations],
            [item.flags for item in observations],
            batch_id,
        ],
    )
    unseen = []
    for source, same, written in rows:
        outcome[source - 1] = STORED if written else DUPLICATE if same else CONFLICT
        if same is None:
            unseen.append(source - 1)
    _judge_unseen(conn, observations, unseen, outcome)
    return outcome


_STOOD = """
SELECT sent.source - 1, sent.body = stood.body
FROM unnest(%s::integer[], %s::timestamptz[], %s::jsonb[]) WITH ORDINALITY AS sent (series_id, time, body, source)
JOIN observation AS stood USING (series_id, time)
"""


def _judge_unseen(
    conn: psycopg.Connection,
    observations: Sequence[Observation],
    unseen: Sequence[int],
    outcome: npt.NDArray[np.uint8],
) -> None:
    """What another worker committed between that statement's snapshot and its insert was invisible to it, and is not to the
    next one: unjudged, a message that two workers got would be stored by one and called a conflict by the other."""
    if not unseen:
        return
    chosen = [observations[index] for index in unseen]
    rows = conn.execute(
        _STOOD,
        [
            [item.series for item in chosen],
            [_datetime(item.time_ms) for item in chosen],
            [json.dumps(item.body) for item in chosen],
        ],
    )
    for place, same in rows:
        outcome[unseen[place]] = DUPLICATE if same else CONFLICT


def touched_by(observations: Sequence[Observation]) -> Touched:
    """What these observations touched."""
    rows = np.array(sorted((item.series, item.time_ms) for item in observations), np.int64).reshape(-1, 2)
    return _stretches(rows[:, 0], rows[:, 1])


def together(one: Touched, other: Touched) -> Touched:
    """Of different series: one has numbers, the other has not."""
    if not len(other.series):
        return one
    return Touched(
        np.r_[one.series, other.series],
        np.r_[one.first_ms, other.first_ms],
        np.r_[one.last_ms, other.last_ms],
    )


def _datetime(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time_ms)
