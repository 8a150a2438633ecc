"""The same values, reading for reading, from devices that were not together: a record that was copied.

In the line: `sealed_window` (which hours are new, late ones too), `reading_1h` (in which of them anything changed), `reading_store`
-> prints.py -> `reading_print` -> here -> `finding`. Contract: each sealed hour is looked at once, a bounded number of them a step;
the time may be shifted by any amount. Two probes of one device, and two devices that sat in the same place at the same moment,
are no copy: a recorder and its telematics unit may read one probe.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from ingest.radar import findings
from ingest.radar.findings import Finding
from ingest.radar.prints import Values, bits_per_reading, fingerprints, same_stretch
from ingest.radar.thresholds import Copies, shipped

KIND = "copied_values"
AT_ONCE = 2000
"""Sealed hours a step."""
PAIRS = 100
AROUND = 1500
"""Readings to each side of a common fingerprint in which the rest is looked for."""
HOUR = timedelta(hours=1)

_NEW = """
SELECT sealed.id, series.id, sealed.start_time
FROM (SELECT id, device_id, start_time FROM sealed_window WHERE id > %s ORDER BY id LIMIT %s) AS sealed
LEFT JOIN series ON series.device_id = sealed.device_id AND series.quantity = ANY (%s)
LEFT JOIN reading_1h AS hour ON hour.series_id = series.id AND hour.hour = sealed.start_time
WHERE series.id IS NULL OR hour.series_id IS NULL OR hour.maximum > hour.minimum
"""

# With as many readings before and behind as the choice of fingerprints hangs on.
_READ = """
SELECT asked.id, (extract(epoch FROM store.time) * 1000)::bigint, store.value
FROM unnest(%(series)s::integer[], %(first)s::timestamptz[], %(last)s::timestamptz[]) AS asked (id, first, last)
CROSS JOIN LATERAL (
  (SELECT time, value FROM reading_store WHERE series_id = asked.id AND time < asked.first AND time > asked.first - INTERVAL '2 days'
   ORDER BY time DESC LIMIT %(margin)s)
  UNION ALL
  SELECT time, value FROM reading_store WHERE series_id = asked.id AND time >= asked.first AND time < asked.last
  UNION ALL
  (SELECT time, value FROM reading_store WHERE series_id = asked.id AND time >= asked.last AND time < asked.last + INTERVAL '2 days'
   ORDER BY time LIMIT %(margin)s)) AS store
ORDER BY 1, 2
"""

_COMMON = """
WITH fresh AS (SELECT DISTINCT hash FROM unnest(%(hashes)s::bigint[]) AS hash),
telling AS (
  SELECT fresh.hash FROM fresh
  WHERE (SELECT count(*) FROM (SELECT FROM reading_print AS each WHERE each.hash = fresh.hash LIMIT %(common)s + 1) AS few) BETWEEN 2 AND %(common)s)
SELECT DISTINCT ON (one.series_id, other.series_id) one.series_id, other.series_id, one.time, other.time
FROM telling JOIN reading_print AS one USING (hash) JOIN reading_print AS other USING (hash)
JOIN series AS a ON a.id = one.series_id JOIN series AS b ON b.id = other.series_id
WHERE one.series_id < other.series_id AND a.device_id <> b.device_id
ORDER BY one.series_id, other.series_id, one.time LIMIT %(pairs)s
"""

_NEAR = """
(SELECT (extract(epoch FROM time) * 1000)::bigint, value FROM reading_store
 WHERE series_id = %(series)s AND time < %(at)s ORDER BY time DESC LIMIT %(most)s)
UNION ALL
(SELECT (extract(epoch FROM time) * 1000)::bigint, value FROM reading_store
 WHERE series_id = %(series)s AND time >= %(at)s ORDER BY time LIMIT %(most)s)
ORDER BY 1
"""

# Who and where, while it lasted, and with which goods around.
_SAT = """
SELECT device.organisation, device.scheme, device.external_id, series.channel, placement.parent,
       ARRAY(SELECT DISTINCT presence.lot FROM presence WHERE presence.holder = placement.parent AND presence.valid && span.during LIMIT 50)
FROM series JOIN device ON device.id = series.device_id CROSS JOIN (SELECT tstzrange(%(first)s, %(last)s, '[]') AS during) AS span
LEFT JOIN placement ON placement.series_id = series.id AND NOT placement.conflict AND placement.valid && span.during
WHERE series.id = %(series)s
"""
_TOGETHER = """
SELECT EXISTS (SELECT FROM placement AS one JOIN placement AS other ON other.parent = one.parent AND other.valid && one.valid
               WHERE one.series_id = %(one)s AND other.series_id = %(other)s
                 AND one.valid && tstzrange(%(first)s, %(last)s, '[]') AND other.valid && tstzrange(%(first)s, %(last)s, '[]'))
"""
_KNOWN = "SELECT (body ->> 'said')::float8 FROM finding WHERE id = %s AND state = 'open'"


def quantities() -> list[str]:
    """Of which series are compared."""
    return shipped().copies.quantities


@dataclass(frozen=True, slots=True)
class Stretch:
    """The same readings in both, `count` of them. `one`, `other`: their times in ms; `values`: those of both."""

    one: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]
    values: Values
    bits: float


def look(conn: psycopg.Connection, after: int, now: datetime) -> int | None:
    """The next sealed hours after window `after`. Returns the last of them, None where there is none."""
    rule = shipped().copies
    rows = conn.execute(_NEW, [after, AT_ONCE, rule.quantities]).fetchall()
    last = conn.execute(
        "SELECT max(id) FROM (SELECT id FROM sealed_window WHERE id > %s ORDER BY id LIMIT %s) AS fresh",
        [after, AT_ONCE],
    ).fetchone()
    if last is None or last[0] is None:
        return None
    since = now - timedelta(days=rule.days)
    hours: defaultdict[int, set[datetime]] = defaultdict(set)
    for _, series, start in rows:
        if series is not None and start >= since:
            hours[series].add(start)
    hashes = _print(conn, hours, rule)
    if hashes:
        found = [each for each in _pairs(conn, hashes, rule) if each is not None]
        findings.keep(conn, found, [KIND], now, closing=False)
    conn.execute("DELETE FROM reading_print WHERE time < %s", [since])
    return int(last[0])


def _print(conn: psycopg.Connection, hours: dict[int, set[datetime]], rule: Copies) -> list[int]:
    """Fingerprints of those hours, in the place of what they had. Returns the hashes."""
    stretches = [(series, *stretch) for series, starts in hours.items() for stretch in _joined(starts)]
    if not stretches:
        return []
    series, first, last = (list(column) for column in zip(*stretches, strict=True))
    asked = {"series": series, "first": first, "last": last, "margin": rule.row + rule.window}
    read: defaultdict[int, dict[int, float]] = defaultdict(dict)
    with conn.cursor(binary=True) as cursor:
        for identity, time_ms, value in cursor.execute(_READ, asked):
            read[identity][time_ms] = value
    rows: list[tuple[int, datetime, int]] = []
    for identity, values in read.items():
        times = sorted(values)
        at, hashes = fingerprints(np.array([values[each] for each in times]), rule)
        for position, hashed in zip(at.tolist(), hashes.tolist(), strict=True):
            moment = datetime.fromtimestamp(times[position] / 1000, UTC)
            if moment.replace(minute=0, second=0, microsecond=0) in hours[identity]:
                rows.append((identity, moment, hashed))
    conn.execute(
        "DELETE FROM reading_print AS kept USING unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[]) AS asked (id, first, last)"
        " WHERE kept.series_id = asked.id AND kept.time >= asked.first AND kept.time < asked.last",
        [series, first, last],
    )
    with (
        conn.cursor() as cursor,
        cursor.copy("COPY reading_print (series_id, time, hash) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)
    return [hashed for _, _, hashed in rows]


def _joined(starts: set[datetime]) -> list[tuple[datetime, datetime]]:
    """Hours that follow each other as one."""
    found: list[tuple[datetime, datetime]] = []
    for start in sorted(starts):
        if found and found[-1][1] == start:
            found[-1] = found[-1][0], start + HOUR
        else:
            found.append((start, start + HOUR))
    return found


def _pairs(conn: psycopg.Connection, hashes: list[int], rule: Copies) -> list[Finding | None]:
    asked = {"hashes": hashes, "common": rule.common, "pairs": PAIRS}
    rows = conn.execute(_COMMON, asked).fetchall()
    return [_compared(conn, one, other, at, there, rule) for one, other, at, there in rows]


def _compared(
    conn: psycopg.Connection, one: int, other: int, at: datetime, there: datetime, rule: Copies
) -> Finding | None:
    stretch = _stretch(conn, one, other, at, there)
    count, distinct = len(stretch.values), len(np.unique(stretch.values))
    if count < rule.readings or distinct < rule.distinct or stretch.bits < rule.bits:
        return None
    spans = [_span(stretch.one), _span(stretch.other)]
    lag = (spans[1][0] - spans[0][0]).total_seconds() / 60
    if abs(lag) < 5 and _together(conn, one, other, *spans[0]):
        return None
    return _finding(conn, (one, other), spans, stretch, lag, distinct, rule)


def _stretch(conn: psycopg.Connection, one: int, other: int, at: datetime, there: datetime) -> Stretch:
    times, values = _near(conn, one, at)
    other_times, other_values = _near(conn, other, there)
    i = int(np.searchsorted(times, round(at.timestamp() * 1000)))
    j = int(np.searchsorted(other_times, round(there.timestamp() * 1000)))
    before, after = same_stretch(values, other_values, i, j)
    same = slice(i - before, i + after)
    bits = (before + after) * min(bits_per_reading(values), bits_per_reading(other_values))
    return Stretch(times[same], other_times[j - before : j + after], values[same], bits)


def _near(conn: psycopg.Connection, series: int, at: datetime) -> tuple[npt.NDArray[np.int64], Values]:
    rows = conn.execute(_NEAR, {"series": series, "at": at, "most": AROUND}).fetchall()
    return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float64)


def _span(times: npt.NDArray[np.int64]) -> tuple[datetime, datetime]:
    return datetime.fromtimestamp(int(times[0]) / 1000, UTC), datetime.fromtimestamp(
        int(times[-1]) / 1000, UTC
    )


def _together(conn: psycopg.Connection, one: int, other: int, first: datetime, last: datetime) -> bool:
    row = conn.execute(_TOGETHER, {"one": one, "other": other, "first": first, "last": last}).fetchone()
    return row is not None and bool(row[0])


def _finding(
    conn: psycopg.Connection,
    pair: tuple[int, int],
    spans: list[tuple[datetime, datetime]],
    stretch: Stretch,
    lag: float,
    distinct: int,
    rule: Copies,
) -> Finding | None:
    devices: list[dict[str, Any]] = []
    lots: set[str] = set()
    places: set[str] = set()
    for series, (first, last) in zip(pair, spans, strict=True):
        rows = conn.execute(_SAT, {"series": series, "first": first, "last": last}).fetchall()
        organisation, scheme, number, channel = rows[0][:4]
        sat = sorted({row[4] for row in rows if row[4]})
        lots |= {lot for row in rows for lot in row[5]}
        places |= set(sat)
        devices.append({
            "organisation": organisation, "scheme": scheme, "device": number, "channel": channel, "parents": sat,
            "from": first.isoformat(), "to": last.isoformat(),
        })  # fmt: skip
    devices.sort(key=lambda each: (each["organisation"], each["device"], each["channel"]))
    subject = " ".join(f"{each['scheme']}:{each['device']}/{each['channel']}" for each in devices)
    figures = {
        "minutes_apart": round(abs(lag), 1), "distinct": distinct, "bits": round(stretch.bits), "least_bits": rule.bits,
        "hours": round((spans[0][1] - spans[0][0]).total_seconds() / 3600, 1),
    }  # fmt: skip
    body = {
        "said": len(stretch.values), "known": rule.readings, "uom": "readings", "figures": figures, "devices": devices,
        "values": [round(value, 3) for value in stretch.values[:12].tolist()],
    }  # fmt: skip
    who = tuple(sorted({each["organisation"] for each in devices}))
    severity = "high" if stretch.bits >= 4 * rule.bits else "medium"
    at = max(span[0] for span in spans)
    finding = Finding(
        KIND, subject, severity, tuple(sorted(lots)[:50]), tuple(sorted(places)), who, (), at, body
    )
    known = conn.execute(_KNOWN, [finding.id]).fetchone()
    if known is not None and known[0] >= len(stretch.values):
        return None  # a shorter part of what is told already
    return finding
