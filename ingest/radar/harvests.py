"""More picked on a plot in a season than it can bear: fruit from elsewhere under the name of a place.

In the line: `lot_making`, `figure` -> here -> `finding`. Contract: area and yield ceiling are figures that somebody gave, with
their source; where one is missing, or a picking was not weighed, the rule cannot tell. A season begins in the month
`season_starts` of the product (January where nobody said), in the plot's own zone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import psycopg

from ingest.radar import findings
from ingest.radar.findings import Finding
from ingest.radar.thresholds import shipped

KIND = "harvest_over_ceiling"
M2_PER_MU = 2000 / 3
SEASONS = timedelta(days=2 * 366)

_HARVESTED = """
WITH harvest AS (
  SELECT plot.id AS plot, plot.organisation AS owner, product.id AS product, making.*,
         extract(year FROM picked.local - make_interval(months => greatest(coalesce(season.value, 1)::integer, 1) - 1))::integer AS season
  FROM lot_making AS making
  JOIN LATERAL (SELECT place.* FROM place WHERE place.id IN (making.place, split_part(making.place, '/254/', 1))
                ORDER BY place.id = making.place DESC LIMIT 1) AS plot ON true
  LEFT JOIN LATERAL (
    SELECT product.id FROM product CROSS JOIN unnest(product.classes) AS class (uri)
    WHERE making.lot = uri OR starts_with(making.lot, uri || '/') OR starts_with(making.lot, uri || '.')
    ORDER BY length(uri) DESC, product.id LIMIT 1) AS product ON true
  LEFT JOIN figure AS season ON season.subject = product.id AND season.name = 'season_starts'
  CROSS JOIN LATERAL (SELECT making.made_at AT TIME ZONE plot.time_zone AS local) AS picked
  WHERE making.run IS NULL AND making.made_at >= %(since)s
    AND (plot.kind IN ('plot', 'field') OR EXISTS (SELECT FROM figure WHERE figure.subject = plot.id AND figure.name = 'area_m2')))
SELECT harvest.plot, harvest.owner, harvest.product, harvest.season, CASE WHEN bool_and(harvest.kg IS NOT NULL) THEN sum(harvest.kg) END,
       max(harvest.made_at), (array_agg(harvest.event ORDER BY harvest.made_at, harvest.event))[1:40], array_agg(DISTINCT harvest.lot),
       array_agg(DISTINCT harvest.organisation), area.value, area.source, area.verified, ceiling.value, ceiling.source, ceiling.verified
FROM harvest
LEFT JOIN figure AS area ON area.subject = harvest.plot AND area.name = 'area_m2'
LEFT JOIN figure AS ceiling ON ceiling.subject = harvest.product AND ceiling.name = 'yield_kg_per_mu'
GROUP BY harvest.plot, harvest.owner, harvest.product, harvest.season, area.value, area.source, area.verified,
  ceiling.value, ceiling.source, ceiling.verified
"""


def look(conn: psycopg.Connection, now: datetime) -> tuple[int, int]:
    """Returns of how many plots, products and seasons it could judge, and of how many not."""
    tolerance = shipped().harvest.tolerance
    found, judged, mute = [], 0, 0
    for row in conn.execute(_HARVESTED, {"since": now - SEASONS}):
        (
            plot,
            owner,
            product,
            season,
            said,
            last,
            events,
            lots,
            who,
            area,
            area_from,
            area_read,
            most,
            most_from,
            most_read,
        ) = row
        if said is None or area is None or most is None:
            mute += 1
            continue
        judged += 1
        known = area / M2_PER_MU * most
        if said <= known * (1 + tolerance) + 1e-6:
            continue
        figures = {
            "tolerance": tolerance,
            "mu": round(area / M2_PER_MU, 2),
            "kg_per_mu": most,
            "season": season,
        }
        sources = [
            {"figure": "area_m2", "source": area_from, "verified": area_read},
            {"figure": "yield_kg_per_mu", "source": most_from, "verified": most_read},
        ]
        body = {
            "said": round(said, 1),
            "known": round(known, 1),
            "uom": "KGM",
            "figures": figures,
            "sources": sources,
            "product": product,
        }
        severity = "high" if said >= 1.5 * known else "medium"
        found.append(
            Finding(
                KIND, f"{plot} {product} {season}", severity, tuple(lots[:100]), (plot,), tuple(sorted({*who, owner})), tuple(events),
                last, body,
            )
        )  # fmt: skip
    findings.keep(conn, found, [KIND], now)
    return judged, mute
