"""The consumer `radar`: the rules that are no projection of events, each every few minutes, copied values as hours are sealed.

Contract: one rule a step, in a bounded time; `radar_look` says when each was looked at last, of how much it could judge, and of
how much not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import psycopg

from ingest.radar import certificates, copies, harvests, scans

EVERY = timedelta(minutes=5)
Look = Callable[[psycopg.Connection, datetime], tuple[int, int]]
RULES: Mapping[str, Look] = {
    certificates.KIND: certificates.look,
    harvests.KIND: harvests.look,
    scans.KIND: scans.look,
}

_LOOKS = "SELECT what, looked_at, position FROM radar_look"
_LOOKED = """
INSERT INTO radar_look AS kept (what, looked_at, position, judged, unjudged) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (what) DO UPDATE SET looked_at = EXCLUDED.looked_at, position = EXCLUDED.position, judged = EXCLUDED.judged, unjudged = EXCLUDED.unjudged
"""


def look_at(conn: psycopg.Connection, what: str, now: datetime) -> None:
    """One of `RULES`, now."""
    conn.execute(_LOOKED, [what, now, 0, *RULES[what](conn, now)])


def step(conn: psycopg.Connection, now: datetime) -> bool:
    looks = {what: (at, position) for what, at, position in conn.execute(_LOOKS).fetchall()}
    for what in RULES:
        if what not in looks or looks[what][0] <= now - EVERY:
            look_at(conn, what, now)
            return True
    _, position = looks.get(copies.KIND, (now, 0))
    reached = copies.look(conn, position, now)
    if reached is None:
        return False
    judged = conn.execute("SELECT count(DISTINCT series_id) FROM reading_print").fetchone()
    mute = conn.execute(
        "SELECT count(*) FROM series WHERE quantity = ANY (%s)", [copies.quantities()]
    ).fetchone()
    assert judged is not None and mute is not None
    conn.execute(_LOOKED, [copies.KIND, now, reached, judged[0], max(0, mute[0] - judged[0])])
    return True
