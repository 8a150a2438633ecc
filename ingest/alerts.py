"""Alerts: of each excursion one, told anew only when its state or its grade grew, and ever further until somebody acknowledges it.

In the line: excursions as they are written (`excursion_rows.py`) -> here, in the same transaction -> the outbox. Contract: an
alert follows from its excursion and from what was told of it, so looking again tells nothing. What is written is the row first;
the broker and each channel of the organisation get it after the commit (`outbox.py`, `delivering.py`). `escalate` is a consumer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import psycopg

from ingest.outbox import Row, put_all
from ingest.wire.topics import alert_topic

LOTS_LOOKED_AT = 50

# `ended_by`: null while it goes on. What ended and grew at once has ended; what came back from being void is told again.
_FOLLOW = """
WITH stands AS (
  SELECT excursion.id, excursion.organisation, excursion.state, CASE excursion.state WHEN 'closed' THEN excursion.closed_by
           WHEN 'open' THEN NULL ELSE excursion.state END AS ended_by,
         (SELECT max(step.grade) FROM alert_grade AS step
          WHERE excursion.minutes_at_least >= greatest(step.times_hold * (rule.body ->> 'minutes')::float8, step.minutes)
             OR abs(excursion.extreme - (rule.body ->> 'limit_c')::float8) >= step.beyond_c) AS grade,
         known.excursion IS NULL AS is_new, known.closed_by AS told_ended_by, known.grade AS told_grade
  FROM excursion JOIN limit_version AS rule ON rule.id = excursion.limit_id AND rule.version = excursion.limit_version
  LEFT JOIN alert AS known ON known.excursion = excursion.id
  WHERE excursion.id = ANY (%(excursions)s)
), judged AS (
  SELECT *, CASE
    WHEN is_new THEN 'opened'
    WHEN state = 'void' OR state = 'merged' AND told_ended_by IS NULL THEN CASE WHEN told_ended_by IS DISTINCT FROM state THEN 'closed' END
    WHEN state = 'merged' THEN NULL
    WHEN told_ended_by IN ('void', 'merged') OR told_ended_by IS NOT NULL AND state = 'open' THEN 'reopened'
    WHEN told_ended_by IS NULL AND state = 'closed' THEN 'closed'
    WHEN grade > told_grade THEN 'grew' END AS what
  FROM stands
), written AS (
  INSERT INTO alert (excursion, organisation, grade, told_at, closed_at, closed_by)
  SELECT id, organisation, coalesce(grade, 1), %(now)s, CASE WHEN ended_by IS NOT NULL THEN %(now)s END, ended_by FROM judged
  WHERE what IS NOT NULL OR told_ended_by IS DISTINCT FROM ended_by ORDER BY id
  ON CONFLICT (excursion) DO UPDATE SET
    grade = greatest(alert.grade, excluded.grade),
    told_at = CASE WHEN alert.closed_by IS NOT NULL AND excluded.closed_by IS NULL THEN excluded.told_at ELSE alert.told_at END,
    level = CASE WHEN alert.closed_by IS NOT NULL AND excluded.closed_by IS NULL THEN 0 ELSE alert.level END,
    closed_at = CASE WHEN excluded.closed_by IS NOT NULL THEN coalesce(alert.closed_at, excluded.closed_at) END,
    closed_by = excluded.closed_by
  RETURNING excursion, grade, level
)
SELECT excursion, what, written.grade, level FROM written JOIN judged ON judged.id = excursion WHERE what IS NOT NULL ORDER BY excursion
"""

# One row an alert: it stands open and nobody acknowledged it. Its level is as many of the periods as are over.
_ESCALATE = """
WITH due AS (
  SELECT alert.excursion, (SELECT count(*) FROM unnest(%(minutes)s::float8[]) AS after
                           WHERE alert.told_at + after * INTERVAL '1 minute' <= %(now)s) AS level
  FROM alert
  WHERE closed_at IS NULL AND told_at + (%(minutes)s::float8[])[level + 1] * INTERVAL '1 minute' <= %(now)s
    AND NOT EXISTS (SELECT FROM alert_acknowledgement AS given WHERE given.excursion = alert.excursion)
  ORDER BY excursion FOR UPDATE OF alert
)
UPDATE alert SET level = due.level FROM due WHERE alert.excursion = due.excursion
RETURNING alert.excursion, 'escalated', grade, alert.level
"""

# The lots that the organisation itself recorded or was granted are named; of others, how many.
_WRITE = """
WITH said AS (
  SELECT gen_random_uuid() AS id, sent.* FROM unnest(%(excursions)s::bigint[], %(whats)s::text[], %(grades)s::smallint[], %(levels)s::smallint[])
    AS sent (excursion, what, grade, level)
), kept AS (
  INSERT INTO alert_message (id, excursion, version, what, grade, level, at)
  SELECT said.id, said.excursion, excursion.version, said.what, said.grade, said.level, %(now)s
  FROM said JOIN excursion ON excursion.id = said.excursion
)
SELECT said.id, alert.organisation, channel.id, facts.facts || jsonb_build_object(
    'kind', 'alert', 'id', said.id, 'alert', said.excursion, 'what', said.what, 'grade', said.grade, 'level', said.level, 'at', %(now)s,
    'organisation', alert.organisation, 'told_at', alert.told_at, 'closed_by', alert.closed_by, 'urgent', alert.closed_by IS NULL,
    'acknowledged', given.name IS NOT NULL, 'lots', goods.lots, 'lots_in_all', goods.in_all)
FROM said JOIN alert USING (excursion) JOIN alert_facts AS facts USING (excursion)
LEFT JOIN alert_acknowledgement AS given USING (excursion)
CROSS JOIN LATERAL (
  SELECT coalesce(jsonb_agg(inside.lot ORDER BY inside.lot) FILTER (WHERE inside.own), '[]') AS lots, coalesce(max(inside.in_all), 0) AS in_all
  FROM (SELECT there.*, EXISTS (SELECT FROM event_mention AS mention JOIN event ON event.id = mention.event
                                WHERE mention.identifier = there.lot AND event.organisation = alert.organisation)
               OR EXISTS (SELECT FROM lot_grant WHERE lot_grant.lot = there.lot AND lot_grant.organisation = alert.organisation) AS own
        FROM (SELECT lot, count(*) OVER () AS in_all FROM presence
              WHERE holder = facts.parent AND valid @> facts.trigger_time AND rule_product = facts.facts #>> '{limit,product}'
              GROUP BY lot ORDER BY lot LIMIT %(lots)s) AS there) AS inside) AS goods
LEFT JOIN alert_channel AS channel ON channel.organisation = alert.organisation
  AND CASE said.what WHEN 'escalated' THEN channel.level = said.level ELSE channel.level <= said.level END
ORDER BY said.excursion
"""


def follow(conn: psycopg.Connection, excursions: Sequence[int], now: datetime) -> None:
    """After these were written in this transaction: each has its alert, and what is new of it is to be told."""
    if excursions:
        found = conn.execute(_FOLLOW, {"excursions": list(excursions), "now": now}).fetchall()
        _tell(conn, found, now)


def escalate(conn: psycopg.Connection, now: datetime, *, after_minutes: Sequence[float]) -> bool:
    """`after_minutes`: since it was told, rising; the alert is then of level 1, 2, ... Returns whether any was."""
    found = conn.execute(_ESCALATE, {"minutes": list(after_minutes), "now": now}).fetchall()
    _tell(conn, found, now)
    return bool(found)


def _tell(conn: psycopg.Connection, said: Sequence[tuple[int, str, int, int]], now: datetime) -> None:
    if not said:
        return
    excursions, whats, grades, levels = map(list, zip(*said, strict=True))
    found = conn.execute(
        _WRITE,
        {"excursions": excursions, "whats": whats, "grades": grades, "levels": levels, "now": now, "lots": LOTS_LOOKED_AT},
    ).fetchall()  # fmt: skip
    rows: dict[tuple[str, str | None], Row] = {}
    for key, organisation, channel, body in found:
        topic = alert_topic(organisation)
        rows[str(key), None] = Row(topic, str(key), None, body)
        if channel is not None:
            rows[str(key), str(channel)] = Row(topic, str(key), str(channel), body)
    put_all(conn, list(rows.values()), now)
