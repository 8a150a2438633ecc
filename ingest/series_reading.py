"""Readings of many series in one question, as arrays.

In the line: detection and sealing -> here -> `reading_store`. Contract: all that is stored of each between its bounds, in order. The
database packs a series into one value, so that nothing is done per reading in Python: a tenth of the time that rows would take.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import psycopg

WEEK_MS = 7 * 86_400_000
EPOCH_2000_MS = 946_684_800_000
_LAST_MS = 253_402_300_799_000  # the end of 9999
_PACKED = np.dtype([("time", ">i8"), ("value", ">f8"), ("flags", ">i2")])


@dataclass(frozen=True, slots=True)
class SeriesReadings:
    """In time order. `time_ms`: int64[n], UTC; `value`: float64[n], the series' unit; `flags`: int16[n]."""

    time_ms: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    flags: npt.NDArray[np.int16]


# The bounds of all together stand beside each one's own: they let the planner leave out chunks before it starts.
_READ = """
SELECT (SELECT string_agg(timestamptz_send(time) || float8send(value) || int2send(flags), '' ORDER BY time)
        FROM reading_store AS store
        WHERE store.series_id = wanted.series_id AND store.time >= wanted.first AND store.time <= wanted.last
          AND store.time >= %(first)s::timestamptz AND store.time <= %(last)s::timestamptz)
FROM (SELECT series_id, timestamptz 'epoch' + first * INTERVAL '1 millisecond' AS first,
             timestamptz 'epoch' + last * INTERVAL '1 millisecond' AS last, place
      FROM unnest(%(series)b::integer[], %(firsts)b::bigint[], %(lasts)b::bigint[]) WITH ORDINALITY AS sent (series_id, first, last, place)
      OFFSET 0) AS wanted
ORDER BY place
"""


def read_many(conn: psycopg.Connection, wanted: Sequence[tuple[int, int, int]]) -> list[SeriesReadings]:
    """`wanted`: (series, first, last), UTC milliseconds, both inclusive. One answer for each, in that order."""
    found: list[SeriesReadings | None] = [None] * len(wanted)
    for places in _near(wanted):
        for place, readings in zip(places, _read(conn, [wanted[place] for place in places]), strict=True):
            found[place] = readings
    return [each for each in found if each is not None]


def _near(wanted: Sequence[tuple[int, int, int]]) -> Iterable[list[int]]:
    """Places of those that begin within a week, together: one that asks for long ago must not open every chunk for all."""
    some: list[int] = []
    for place in sorted(range(len(wanted)), key=lambda place: wanted[place][1]):
        if some and wanted[place][1] - wanted[some[0]][1] > WEEK_MS:
            yield some
            some = []
        some.append(place)
    if some:
        yield some


def _read(conn: psycopg.Connection, wanted: Sequence[tuple[int, int, int]]) -> list[SeriesReadings]:
    series, first, last = zip(*wanted, strict=True)
    firsts, lasts = bounded(first), bounded(last)
    values = {"series": list(series), "firsts": firsts, "lasts": lasts, "first": stamp(min(firsts)), "last": stamp(max(lasts))}  # fmt: skip
    with conn.cursor(binary=True) as cursor:
        # Never prepared: a plan for any bounds would open every chunk.
        rows = cursor.execute(_READ, values, prepare=False).fetchall()
    return [_unpacked(packed or b"") for (packed,) in rows]


def _unpacked(packed: bytes) -> SeriesReadings:
    rows = np.frombuffer(packed, _PACKED)
    return SeriesReadings(
        rows["time"] // 1000 + EPOCH_2000_MS, rows["value"].astype(np.float64), rows["flags"].astype(np.int16)
    )


def bounded(times_ms: Iterable[int]) -> list[int]:
    """What a timestamp can hold; bounds beyond it stand for an open end."""
    return [min(max(time_ms, 0), _LAST_MS) for time_ms in times_ms]


def stamp(time_ms: int) -> str:
    """A timestamp as PostgreSQL reads it."""
    return f"{np.datetime64(min(max(time_ms, 0), _LAST_MS), 'ms')}Z"
