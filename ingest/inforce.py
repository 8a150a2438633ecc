"""Which limits are in force on a series, and when: its placements joined with what was inside the same place.

A reading belongs to a device; a lot meets it only through where both were. A limit is in force on a series while the
series is placed, at a position the limit names, in a place, vehicle or container that holds the limit's product
at one of its stages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
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

# A store that a thousand lots went through was never without one: what follows on each other is one stay of the product.
_PRESENT = """
SELECT holder, rule_product, stage, (extract(epoch FROM lower(stay)) * 1000)::bigint, (extract(epoch FROM upper(stay)) * 1000)::bigint
FROM (SELECT holder, rule_product, stage, range_agg(valid) AS stays FROM presence
      WHERE holder = ANY (%s) AND rule_product IS NOT NULL GROUP BY holder, rule_product, stage) AS inside, unnest(stays) AS stay
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
    rules = tuple(limits)
    ruled: dict[tuple[str, str], list[tuple[tuple[str, int], Interval]]] = {}
    found: dict[tuple[int, tuple[str, int]], list[Interval]] = defaultdict(list)
    for place in placed:
        where = place.parent, place.position
        if where not in ruled:  # many sensors hang in one place
            ruled[where] = list(_ruled(inside[place.parent], place.position, rules))
        for key, interval in ruled[where]:
            common = _common(place.interval, interval)
            if common is not None:
                found[place.series, key].append(common)
    return {key: merge_intervals(intervals) for key, intervals in found.items()}


def _ruled(
    present: Iterable[Present], position: str, rules: Iterable[Limit]
) -> Iterator[tuple[tuple[str, int], Interval]]:
    """When each limit holds at a position beside those goods."""
    for goods in present:
        for limit in rules:
            if goods.rule_product is not None and limit.applies(goods.rule_product, goods.stage, position):
                interval = _common(goods.interval, limit.valid_ms())
                if interval is not None:
                    yield limit.key, interval


def _common(left: Interval, right: Interval) -> Interval | None:
    starts = [start for start in (left[0], right[0]) if start is not None]
    ends = [end for end in (left[1], right[1]) if end is not None]
    start, end = max(starts, default=None), min(ends, default=None)
    return None if start is not None and end is not None and start >= end else (start, end)
