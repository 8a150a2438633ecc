"""Codes that were scanned by far more people, in more places, than their boxes allow: a label that was copied.

In the line: `scan_visit` (trace_api/scanning.py) -> here -> `scan_day`, `finding`. Contract: when a day is over, its hashes and
their key are thrown away and counts stay. What is compared is people and not page views: one family may look ten times. A lot
whose boxes nobody counted is not judged.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from math import floor, log10
from zoneinfo import ZoneInfo

import psycopg

from ingest.radar import findings
from ingest.radar.findings import Finding
from ingest.radar.thresholds import shipped

KIND = "scanned_too_often"
ZONE = ZoneInfo("Asia/Shanghai")

_FOLD = """
WITH over AS (DELETE FROM scan_visit WHERE day < %(today)s RETURNING code, day, visitor, network, region, scans)
INSERT INTO scan_day AS kept (code, day, scans, visitors, networks, regions)
SELECT code, day, sum(scans), count(*), count(DISTINCT network), coalesce(array_agg(DISTINCT region) FILTER (WHERE region <> ''), '{}')
FROM over GROUP BY code, day
ON CONFLICT (code, day) DO UPDATE SET scans = kept.scans + EXCLUDED.scans, visitors = kept.visitors + EXCLUDED.visitors,
  networks = greatest(kept.networks, EXCLUDED.networks), regions = ARRAY(SELECT unnest(kept.regions) UNION SELECT unnest(EXCLUDED.regions) ORDER BY 1)
"""

# Of a box its lot's making; of a lot all its boxes.
_SCANNED = """
WITH daily AS (
  SELECT code, day, scans, visitors, networks, regions FROM scan_day WHERE day > %(since)s
  UNION ALL
  SELECT code, day, sum(scans), count(*), count(DISTINCT network), coalesce(array_agg(DISTINCT region) FILTER (WHERE region <> ''), '{}')
  FROM scan_visit GROUP BY code, day),
scanned AS (
  SELECT code, split_part(code, '/21/', 1) AS lot, code LIKE '%%/21/%%' AS is_box, sum(scans) AS scans, sum(visitors) AS visitors,
         max(networks) AS networks, max(day) AS last
  FROM daily GROUP BY code),
made AS (
  SELECT lot, CASE WHEN bool_and(boxes IS NOT NULL) THEN sum(boxes) END AS boxes, array_agg(DISTINCT organisation) AS organisations,
         (array_agg(event ORDER BY made_at, event))[1:20] AS events
  FROM lot_making WHERE lot IN (SELECT lot FROM scanned) GROUP BY lot)
SELECT scanned.code, scanned.lot, scanned.scans, scanned.visitors, scanned.networks, scanned.last,
       CASE WHEN made.lot IS NOT NULL AND scanned.is_box THEN 1 ELSE made.boxes END, made.organisations, made.events,
       ARRAY(SELECT DISTINCT region FROM daily, unnest(daily.regions) AS region WHERE daily.code = scanned.code ORDER BY 1)
FROM scanned LEFT JOIN made USING (lot)
"""


def look(conn: psycopg.Connection, now: datetime) -> tuple[int, int]:
    """Returns of how many codes it could judge, and of how many not."""
    rule, today = shipped().scans, now.astimezone(ZONE).date()
    conn.execute(_FOLD, {"today": today})
    conn.execute("DELETE FROM scan_key WHERE day < %s", [today])
    found, judged, mute = [], 0, 0
    for row in conn.execute(_SCANNED, {"since": today - timedelta(days=rule.days)}):
        code, lot, scans, visitors, networks, last, boxes, makers, events, regions = row
        if boxes is None:
            mute += 1
            continue
        judged += 1
        most, places = max(rule.at_least, rule.times_boxes * boxes), max(networks, len(regions))
        if visitors <= most or places < rule.places:
            continue
        figures = {
            "boxes": boxes, "times_boxes": rule.times_boxes, "scans": rounded(scans), "places": rounded(places),
            "least_places": rule.places,
        }  # fmt: skip
        body = {
            "said": rounded(visitors),
            "known": most,
            "uom": "visitors",
            "figures": figures,
            "regions": regions,
        }
        severity = "high" if visitors > 4 * most else "medium"
        found.append(
            Finding(KIND, code, severity, (lot,), (), tuple(makers), tuple(events), _begun(last), body)
        )
    findings.keep(conn, found, [KIND], now)
    return judged, mute


def rounded(count: float) -> int:
    """To two figures: a finding whose count grew by one is the same finding."""
    count = int(count)
    if count < 100:
        return count
    step = int(10 ** (floor(log10(count)) - 1))
    return count // step * step


def _begun(day: date) -> datetime:
    """When the day began: not ahead of us, and the same at every look of that day."""
    return datetime(day.year, day.month, day.day, tzinfo=ZONE)
