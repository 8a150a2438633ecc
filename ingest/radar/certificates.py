"""Certificates that promise more than there was of the lot.

In the line: `certificate`, `lot_making` -> here -> `finding`. A producer's certificates of one lot are summed over whoever issued
them, since it was picked or packed once; a buyer issues anew for what it bought, so each buyer's stand for themselves. What was
voided or replaced does not count. Where nobody knows what the lot weighed, the rule cannot tell.
"""

from __future__ import annotations

from datetime import datetime

import psycopg

from ingest.radar import findings
from ingest.radar.findings import Finding
from ingest.radar.thresholds import shipped

KIND = "certificates_over_lot"

_PROMISED = """
WITH promised AS (
  SELECT lot, kind, CASE WHEN kind = 'buyer' THEN organisation ELSE '' END AS issuer, sum(quantity_kg) AS kg, max(issued_at) AS last,
         array_agg(DISTINCT organisation) AS organisations,
         jsonb_agg(jsonb_build_object('number', number, 'kg', quantity_kg, 'organisation', organisation) ORDER BY issued_at, number) AS certificates,
         array_agg(event_id) AS event_ids
  FROM certificate WHERE status = 'valid' GROUP BY 1, 2, 3),
made AS (
  SELECT lot, CASE WHEN bool_and(kg IS NOT NULL) THEN sum(kg) END AS kg, array_agg(DISTINCT organisation) AS organisations,
         (array_agg(event ORDER BY made_at, event))[1:20] AS events, array_agg(DISTINCT place) FILTER (WHERE place IS NOT NULL) AS places
  FROM lot_making WHERE lot IN (SELECT lot FROM promised) GROUP BY lot)
SELECT promised.lot, promised.kind, promised.issuer, promised.kg, made.kg, promised.last, promised.organisations, promised.certificates,
       made.events, made.places, made.organisations,
       ARRAY(SELECT event.id FROM event WHERE event.event_id = ANY (promised.event_ids) AND event.organisation = ANY (promised.organisations)
               AND NOT event.is_error ORDER BY event.event_time, event.id LIMIT 20)
FROM promised LEFT JOIN made USING (lot)
WHERE made.kg IS NULL OR promised.kg > made.kg * (1 + %(tolerance)s) + 1e-6 OR %(all)s
"""


def look(conn: psycopg.Connection, now: datetime) -> tuple[int, int]:
    """Returns of how many lots it could judge, and of how many not."""
    tolerance = shipped().certificates.tolerance
    found, judged, mute = [], 0, 0
    for row in conn.execute(_PROMISED, {"tolerance": tolerance, "all": True}):
        lot, kind, issuer, said, known, last, who, papers, made_in, places, makers, told_in = row
        if known is None:
            mute += 1
            continue
        judged += 1
        if said <= known * (1 + tolerance) + 1e-6:
            continue
        figures = {"tolerance": tolerance, "certificates": len(papers)}
        body = {
            "said": said,
            "known": known,
            "uom": "KGM",
            "figures": figures,
            "certificates": papers[:40],
            "certificate_kind": kind,
        }
        over = said / known if known else float("inf")
        found.append(
            Finding(
                KIND, f"{lot} {kind} {issuer}".strip(), "high" if over >= 1.3 else "medium" if over >= 1.1 else "low", (lot,),
                tuple(places or ()), tuple(sorted({*who, *makers})), tuple(dict.fromkeys([*made_in, *told_in])), last, body,
            )
        )  # fmt: skip
    findings.keep(conn, found, [KIND], now)
    return judged, mute
