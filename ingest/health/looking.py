"""Looking at devices, each every two minutes: the consumer `health`.

In the line: `reading_store`, `reading_1h`, `placement`, `device_clock` -> here (`judging`) -> `findings`. It takes no marks: what
is wrong with a device is seen in its newest readings, also in that there are none, and a look costs the same however
much comes in. Contract: a few queries a step for many devices; what stands can be dropped and is found again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import psycopg

from ingest.health import findings, judging
from ingest.health.findings import Key
from ingest.health.judging import Judgement, Times, Values
from ingest.health.thresholds import Thresholds, shipped

AT_ONCE = 200
EVERY = timedelta(minutes=2)
RECENT = timedelta(days=2)
NEWEST = 60


@dataclass(frozen=True, slots=True)
class Device:
    """`looked_at`: None where it never was."""

    id: int
    model: str
    interval_s: int
    accuracy: float
    looked_at: datetime | None
    last_time: datetime | None
    heard_at: datetime | None


@dataclass(frozen=True, slots=True)
class Series:
    """`times`, `values`: its newest, ascending."""

    id: int
    device: int
    quantity: str
    times: Times
    values: Values


# Asked all the time while nothing is due, so it asks the index first.
_IS_DUE = (
    "SELECT EXISTS (SELECT FROM device_look WHERE looked_at <= %s) OR NOT EXISTS (SELECT FROM device_look)"
)

_DUE = """
SELECT device.id, device.model, device.interval_s, device.accuracy_c, look.looked_at, look.last_time, look.heard_at
FROM device LEFT JOIN device_look AS look ON look.device_id = device.id
WHERE look.looked_at IS NULL OR look.looked_at <= %s ORDER BY look.looked_at NULLS FIRST, device.id LIMIT %s
"""

# Of the newest and of the newest that is not ahead of our clock, what was received last: a clock that was ahead and is set right
# goes on below the times that it has shown.
_HEARD = """
SELECT asked.id, newest.time, newest.received_at
FROM unnest(%(devices)s::integer[], %(since)s::timestamptz[]) AS asked (id, since)
CROSS JOIN LATERAL (
  SELECT store.time, batch.received_at
  FROM series CROSS JOIN (VALUES ('infinity'::timestamptz), (%(now)s)) AS latest (time) CROSS JOIN LATERAL (
    (SELECT time, batch_id FROM reading_store AS store
     WHERE series_id = series.id AND store.time >= asked.since AND store.time <= latest.time ORDER BY store.time DESC LIMIT 1)
    UNION ALL
    (SELECT time, batch_id FROM observation AS seen
     WHERE series_id = series.id AND seen.time >= asked.since AND seen.time <= latest.time ORDER BY seen.time DESC LIMIT 1)) AS store
  JOIN batch ON batch.id = store.batch_id
  WHERE series.device_id = asked.id ORDER BY batch.received_at DESC, store.time DESC LIMIT 1) AS newest
"""

_NEWEST = """
SELECT series.id, series.device_id, series.quantity, (extract(epoch FROM store.time) * 1000)::bigint, store.value
FROM series CROSS JOIN LATERAL (
  SELECT time, value FROM reading_store WHERE series_id = series.id AND time > %(since)s ORDER BY time DESC LIMIT %(newest)s) AS store
WHERE series.device_id = ANY (%(devices)s) AND series.quantity = ANY (%(quantities)s)
ORDER BY series.id, store.time
"""

# The first reading after the last that was another.
_FLAT_SINCE = """
SELECT flat.id, (extract(epoch FROM (
  SELECT min(time) FROM reading_store WHERE series_id = flat.id AND time > coalesce(other.time, %(since)s))) * 1000)::bigint
FROM unnest(%(series)s::integer[], %(values)s::float8[]) AS flat (id, value)
LEFT JOIN LATERAL (SELECT time FROM reading_store WHERE series_id = flat.id AND time > %(since)s AND value <> flat.value
                   ORDER BY time DESC LIMIT 1) AS other ON true
"""

_CLOCKS = """
SELECT DISTINCT ON (device_id) device_id,
       offset_ms + drift_ppm * 1e-3 * greatest(0, extract(epoch FROM %(now)s - anchor)), drift_ppm, samples,
       (extract(epoch FROM first_at) * 1000)::bigint
FROM device_clock WHERE device_id = ANY (%(devices)s) ORDER BY device_id, first_at DESC
"""

# Series of one organisation that hang at one place and position with one that is asked for, over all the days, hour by hour.
# Another's would tell by the difference what it measured.
_BESIDE = """
WITH hung AS (
  SELECT DISTINCT placement.series_id, placement.parent, placement.probe_position, series.quantity, series.organisation, series.device_id
  FROM placement JOIN series ON series.id = placement.series_id
  WHERE NOT placement.conflict AND placement.valid @> tstzrange(%(since)s, %(now)s) AND series.quantity = ANY (%(quantities)s)
), asked AS (SELECT DISTINCT parent, probe_position, quantity, organisation FROM hung WHERE device_id = ANY (%(devices)s))
SELECT hung.organisation, hung.parent, hung.probe_position, hung.quantity, hung.series_id, hung.device_id, device.accuracy_c,
       (extract(epoch FROM rolled.hour) * 1000)::bigint, rolled.total / rolled.n
FROM hung JOIN asked USING (parent, probe_position, quantity, organisation) JOIN device ON device.id = hung.device_id
JOIN reading_1h AS rolled ON rolled.series_id = hung.series_id AND rolled.hour >= %(since)s AND rolled.hour < %(now)s
"""

_LOOKED = """
INSERT INTO device_look AS look (device_id, looked_at, last_time, heard_at)
SELECT *, NULL, NULL FROM unnest(%s::integer[], %s::timestamptz[])
ON CONFLICT (device_id) DO UPDATE SET looked_at = EXCLUDED.looked_at
"""

_HEARD_OF = """
UPDATE device_look SET last_time = heard.last_time, heard_at = greatest(heard_at, heard.received_at)
FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[]) AS heard (id, last_time, received_at) WHERE device_id = heard.id
"""


def step(conn: psycopg.Connection, now: datetime) -> bool:
    row = conn.execute(_IS_DUE, [now - EVERY]).fetchone()
    if row is None or not row[0]:
        return False
    devices = [Device(*row) for row in conn.execute(_DUE, [now - EVERY, AT_ONCE])]
    if not devices:
        return False
    rules = shipped()
    judged: dict[Key, Judgement] = {}
    heard = _heard(conn, devices, now)
    for device in devices:
        last, at = heard.get(device.id, (device.last_time, device.heard_at))
        judged[device.id, None, "silent"] = judging.silent(
            _ms(last), _ms(at), _require_ms(now), device.interval_s, rules.silent
        )
    judged |= _clocks(conn, devices, now, rules)
    judged |= _readings(conn, devices, now, rules)
    judged |= _drifts(conn, [device for device in devices if _is_another_hour(device, now)], now, rules)
    findings.keep(conn, judged, now)
    return True


def _heard(
    conn: psycopg.Connection, devices: Sequence[Device], now: datetime
) -> dict[int, tuple[datetime, datetime]]:
    """Newest reading and its receipt, of those of which something was ever heard; and that they were looked at."""
    asked = {
        "devices": [device.id for device in devices],
        "since": [
            datetime.min.replace(year=2015, tzinfo=now.tzinfo)
            if device.last_time is None
            else min(device.last_time, now - RECENT)
            for device in devices
        ],
        "now": now,
    }
    rows = conn.execute(_HEARD, asked).fetchall()
    conn.execute(_LOOKED, [asked["devices"], [now] * len(devices)])
    conn.execute(_HEARD_OF, [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []])
    return {row[0]: (row[1], row[2]) for row in rows}


def _clocks(
    conn: psycopg.Connection, devices: Sequence[Device], now: datetime, rules: Thresholds
) -> dict[Key, Judgement]:
    asked = {"devices": [device.id for device in devices], "now": now}
    return {
        (row[0], None, "clock_skew"): judging.clock_skew(
            float(row[1]), float(row[2]), row[3], row[4], rules.clock_skew
        )
        for row in conn.execute(_CLOCKS, asked)
    }


def _readings(
    conn: psycopg.Connection, devices: Sequence[Device], now: datetime, rules: Thresholds
) -> dict[Key, Judgement]:
    known = {device.id: device for device in devices}
    series = list(_newest(conn, list(known), now, rules))
    flat = _flat_since(conn, series, now, rules)
    judged: dict[Key, Judgement] = {}
    for each in series:
        device = known[each.device]
        if (still := rules.stuck.quantities.get(each.quantity)) is not None:
            judged[each.device, each.id, "stuck"] = judging.stuck(
                each.times, each.values, flat.get(each.id), rules.stuck, still
            )
        if (jump := rules.jumping.quantities.get(each.quantity)) is not None:
            accuracy = device.accuracy if each.quantity == "temperature" else 0.0
            judged[each.device, each.id, "jumping"] = judging.jumping(
                each.times, each.values, accuracy, rules.jumping, jump
            )
        batteries = rules.low_battery.models.get(device.model, {})
        battery = batteries.get(each.quantity) or rules.low_battery.quantities.get(each.quantity)
        if battery is not None:
            judged[each.device, each.id, "low_battery"] = judging.low_battery(
                each.times, each.values, rules.low_battery.readings, battery
            )
    return judged


def _newest(
    conn: psycopg.Connection, devices: list[int], now: datetime, rules: Thresholds
) -> Iterator[Series]:
    asked = {
        "devices": devices,
        "since": now - RECENT,
        "newest": NEWEST,
        "quantities": rules.judged_quantities(),
    }
    rows: dict[tuple[int, int, str], list[tuple[int, float]]] = defaultdict(list)
    with conn.cursor(binary=True) as cursor:
        for series, device, quantity, time_ms, value in cursor.execute(_NEWEST, asked):
            rows[series, device, quantity].append((time_ms, value))
    for (series, device, quantity), found in rows.items():
        times, values = zip(*found, strict=True)
        yield Series(series, device, quantity, np.array(times, np.int64), np.array(values, np.float64))


def _flat_since(
    conn: psycopg.Connection, series: Sequence[Series], now: datetime, rules: Thresholds
) -> dict[int, int]:
    """Of those whose newest are all the same."""
    stuck = rules.stuck
    flat = [
        each
        for each in series
        if each.quantity in stuck.quantities and judging.is_flat(each.values, stuck.quantities[each.quantity])
    ]
    if not flat:
        return {}
    asked = {
        "series": [each.id for each in flat],
        "values": [float(each.values[0]) for each in flat],
        "since": now - RECENT,
    }
    return {row[0]: row[1] for row in conn.execute(_FLAT_SINCE, asked) if row[1] is not None}


def _is_another_hour(device: Device, now: datetime) -> bool:
    """Drift is read from hours: once in each."""
    return device.looked_at is None or device.looked_at.replace(
        minute=0, second=0, microsecond=0
    ) != now.replace(minute=0, second=0, microsecond=0, tzinfo=device.looked_at.tzinfo)


def _drifts(
    conn: psycopg.Connection, devices: Sequence[Device], now: datetime, rules: Thresholds
) -> dict[Key, Judgement]:
    if not devices:
        return {}
    rule = rules.drifting
    asked = {
        "devices": [device.id for device in devices], "since": now - timedelta(days=rule.days), "now": now,
        "quantities": rule.quantities,
    }  # fmt: skip
    groups: dict[tuple[str, ...], dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    owners: dict[int, tuple[int, float]] = {}
    for *place, series, device, accuracy, hour, mean in conn.execute(_BESIDE, asked):
        groups[tuple(place)][series][hour] = mean
        owners[series] = device, accuracy
    looked = {device.id for device in devices}
    judged: dict[Key, Judgement] = {}
    for means in groups.values():
        hours = np.array(sorted({hour for each in means.values() for hour in each}), np.int64)
        rows = {
            series: np.array([each.get(hour, np.nan) for hour in hours.tolist()])
            for series, each in means.items()
        }
        for series, own in rows.items():
            device, accuracy = owners[series]
            if device in looked:
                others = {other: row for other, row in rows.items() if owners[other][0] != device}
                judged[device, series, "drifting"] = judging.drifting(
                    hours, own, others, accuracy, {other: owners[other][1] for other in others}, rule
                )
    return judged


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else _require_ms(moment)


def _require_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
