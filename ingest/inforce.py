"""Which limits are in force on a series, and when: its placements joined with what was inside the same place.

A reading belongs to a device; a lot meets it only through where both were. A limit is in force on a series while the
series is placed, at a position the limit names, in a place, vehicle or container that holds the limit's product
at one of its stages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg

from ingest.coldchain.excursions import Interval, merge_intervals
from ingest.coldchain.limits import Limit, parse_limit

InForce = dict[tuple[int, tuple[str, int]], list[tuple[int, int]]]
"""(series id, limit key) -> merged intervals, UTC ms; an open end is `excursions.EVER`."""


@dataclass(frozen=True, slots=True)
class Placed:
    series: int
    parent: str
    position: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class Present:
    holder: str
    rule_product: str | None
    stage: str
    interval: Interval


def read_limits(conn: psycopg.Connection) -> dict[tuple[str, int], Limit]:
    rows = conn.execute("SELECT body FROM limit_version").fetchall()
    return {limit.key: limit for limit in (parse_limit(body) for (body,) in rows)}


_PLACED = """
SELECT series_id, parent, probe_position, (extract(epoch FROM lower(valid)) * 1000)::bigint, (extract(epoch FROM upper(valid)) * 1000)::bigint
FROM placement WHERE series_id = ANY (%s) AND NOT conflict
"""

_PRESENT = """
SELECT holder, rule_product, stage, (extract(epoch FROM lower(valid)) * 1000)::bigint, (extract(epoch FROM upper(valid)) * 1000)::bigint
FROM presence WHERE holder = ANY (%s)
"""


def read(conn: psycopg.Connection, series: Sequence[int], limits: Iterable[Limit]) -> InForce:
    """An overlap of placements is a conflict: its minutes are unknown, so nothing is in force in it."""
    placed = [
        Placed(row[0], row[1], row[2], (row[3], row[4])) for row in conn.execute(_PLACED, [list(series)])
    ]
    holders = sorted({item.parent for item in placed})
    present = [Present(row[0], row[1], row[2], (row[3], row[4])) for row in conn.execute(_PRESENT, [holders])]
    return join(placed, present, limits)


def join(placed: Iterable[Placed], present: Iterable[Present], limits: Iterable[Limit]) -> InForce:
    inside: dict[str, list[Present]] = defaultdict(list)
    for item in present:
        inside[item.holder].append(item)
    found: dict[tuple[int, tuple[str, int]], list[Interval]] = defaultdict(list)
    rules = tuple(limits)
    for place in placed:
        for goods in inside[place.parent]:
            common = _common(place.interval, goods.interval)
            if common is None or goods.rule_product is None:
                continue
            for limit in rules:
                if limit.applies(goods.rule_product, goods.stage, place.position):
                    bounded = _common(common, limit.valid_ms())
                    if bounded is not None:
                        found[place.series, limit.key].append(bounded)
    return {key: merge_intervals(intervals) for key, intervals in found.items()}


def _common(left: Interval, right: Interval) -> Interval | None:
    starts = [start for start in (left[0], right[0]) if start is not None]
    ends = [end for end in (left[1], right[1]) if end is not None]
    start, end = max(starts, default=None), min(ends, default=None)
    return None if start is not None and end is not None and start >= end else (start, end)
