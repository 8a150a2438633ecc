"""One breach as a chart: what its sensor measured, an hour before to an hour after, cut where the goods changed hands.

In the line: a dossier -> legs of the shopper's chart -> `chart.draw`. Contract: every reading is drawn as it was measured,
none averaged; where the sensor was silent for longer than twice its interval, the picture says so; the limit is drawn only
where it was in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from trace_api import chart
from trace_api.audit.reading import Dossier, Goods, Reading
from trace_api.story import Curve, Leg, Name, Site
from trace_api.words import Words

_GAP_FACTOR = 2
_AROUND = timedelta(hours=1)
Gaps = Sequence[tuple[datetime, datetime]]
_MOST_POINTS = 1500  # of a breach that lasted for days: the extremes of each stretch are kept


@dataclass(frozen=True, slots=True)
class Picture:
    """`drawings`: empty where there is no reading. `gaps`: silences longer than twice the interval."""

    drawings: tuple[chart.Drawing, ...]
    position: str
    gaps: tuple[tuple[datetime, datetime], ...]
    thinned: bool


def picture(found: Dossier, at: datetime, words: Words) -> Picture:
    breach = found.breach
    position = breach.probe_position or "other"
    gaps = tuple(silences(found.readings, breach.interval_s, breach.end_time or at))
    if not found.readings:
        return Picture((), position, gaps, False)
    points, thinned = _thinned(found.readings)
    legs = _legs(found, points, gaps, at, words)
    drawings = tuple(chart.draw(legs, size, words, breach.time_zone) for size in (chart.WIDE, chart.NARROW))
    return Picture(drawings, position, gaps, thinned)


def silences(
    readings: Sequence[Reading], interval_s: int, until: datetime
) -> list[tuple[datetime, datetime]]:
    """Between two readings that are farther apart than twice the interval as it is configured, and after the last one: a logger
    that died while the breach lasted is silent `until` it ended, or until now."""
    reach = timedelta(seconds=_GAP_FACTOR * interval_s)
    times = [reading.time for reading in readings]
    if times and until > times[-1]:
        times.append(until)
    return [(before, after) for before, after in pairwise(times) if after - before > reach]


def _legs(
    found: Dossier, points: Sequence[tuple[int, float]], gaps: Gaps, at: datetime, words: Words
) -> list[Leg]:
    """The goods' stays, one after another, between an hour before and an hour after."""
    breach = found.breach
    end = breach.end_time or max(at, found.readings[-1].time)
    first, last = breach.start_time - _AROUND, end + (_AROUND if breach.end_time else timedelta())
    first, last = max(first, found.readings[0].time), min(last, max(found.readings[-1].time, end))
    marks = _changes(found.goods, breach.start_time, end)
    edges = sorted({first, last, *(moment for moment, _ in marks if first < moment < last)})
    if breach.end_time is not None and first < breach.end_time < last:
        edges = sorted({*edges, breach.end_time})
    return [_leg(found, points, gaps, start, stop, _goods_at(marks, start), breach.start_time <= start < end, words)
            for start, stop in pairwise(edges) if stop > start]  # fmt: skip


def _changes(goods: Sequence[Goods], start: datetime, end: datetime) -> list[tuple[datetime, Goods | None]]:
    """Where the site or the holder changed, and to what: of goods that went apart, the heaviest part is followed."""
    moments = sorted({start, *(row.since for row in goods if start <= row.since < end)})
    found: list[tuple[datetime, Goods | None]] = []
    for moment in moments:
        here = [row for row in goods if row.since <= moment and (row.until is None or row.until > moment)]
        main = max(here, key=lambda row: row.kilograms or 0.0, default=None)
        if not found or _surroundings(found[-1][1]) != _surroundings(main):
            found.append((moment, main))
    return found


def _surroundings(row: Goods | None) -> tuple[object, ...] | None:
    return None if row is None else (row.site, row.holder, row.stage, row.standing_zh)


def _goods_at(marks: Sequence[tuple[datetime, Goods | None]], moment: datetime) -> Goods | None:
    return next((goods for since, goods in reversed(marks) if since <= moment), None)


def _leg(
    found: Dossier,
    points: Sequence[tuple[int, float]],
    gaps: Gaps,
    start: datetime,
    stop: datetime,
    goods: Goods | None,
    inside: bool,
    words: Words,
) -> Leg:
    breach = found.breach
    own = tuple((ms, value) for ms, value in points if _ms(start) <= ms <= _ms(stop))
    silent = sum((min(b, stop) - max(a, start)).total_seconds() / 60
                 for a, b in gaps if a < stop and b > start)  # fmt: skip
    minutes = (stop - start).total_seconds() / 60
    unmeasured = minutes if not own else silent
    values = [value for _, value in own]
    site = None
    if goods is not None and goods.site is not None and inside:
        name = Name(goods.site_zh or "", goods.site_en or "")
        site = Site(goods.site, name, "", None, None, None, breach.time_zone)
    outside = words("audit_chart_before" if start < breach.start_time else "audit_chart_after")
    holder = (
        Name(goods.holder_zh or "", goods.holder_en or "")
        if goods is not None and inside
        else Name(outside, outside)
    )
    return Leg(
        site=site,
        holder=holder,
        stage=(goods.stage if goods and inside else None) or "other",
        start=start,
        end=stop,
        limit_c=float(breach.rule["limit_c"]) if inside else None,
        curves=(
            Curve(breach.probe_position or "other", breach.model, breach.accuracy_c, breach.interval_s, own),
        ),
        measured_min=minutes - unmeasured,
        unmeasured_min=unmeasured,
        beyond_min=(0.0, 0.0),
        lowest_c=min(values, default=None),
        highest_c=max(values, default=None),
    )


def _thinned(readings: Sequence[Reading]) -> tuple[list[tuple[int, float]], bool]:
    points = [(_ms(reading.time), reading.value) for reading in readings]
    if len(points) <= _MOST_POINTS:
        return points, False
    size = -(-len(points) // (_MOST_POINTS // 2))
    kept: list[tuple[int, float]] = []
    for at in range(0, len(points), size):
        bucket = points[at : at + size]
        kept += sorted({min(bucket, key=lambda point: point[1]), max(bucket, key=lambda point: point[1])})
    return kept, True


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
