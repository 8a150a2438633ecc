"""The temperature of a whole journey as geometry: where each line, band and label lies.

`pages.py` hands a `Drawing` to `templates/chart.svg`. Contract: nothing is drawn that was not measured: a line ends
where a device fell silent, and what no device measured is a `Stretch`, drawn as such. Labels never overlap. Two sizes are
drawn, since text in a picture shrinks with it: a phone gets fewer labels, not smaller ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil, floor
from statistics import median
from typing import Literal
from unicodedata import east_asian_width
from zoneinfo import ZoneInfo

from trace_api.story import Curve, Leg
from trace_api.words import Words

POSITIONS = ("in_box", "return_air", "supply_air", "ambient", "pulp", "surface")
"""Where a probe can sit, in the order of legends and tables."""
_LIMITED = frozenset({"in_box", "return_air", "ambient"})
"""The positions that limits speak of: warm pulp at loading is not a warm truck."""
_GAP_FACTOR = 2
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Size:
    """Of the drawing and its margins, in its own units, which are CSS pixels where it is shown at full size."""

    name: Literal["wide", "narrow"]
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    label: float
    names: bool

    @property
    def plot_width(self) -> float:
        return self.width - self.left - self.right

    @property
    def plot_height(self) -> float:
        return self.height - self.top - self.bottom

    @property
    def floor(self) -> float:
        """The y of the plot's lower edge."""
        return self.height - self.bottom


WIDE = Size("wide", 840, 402, left=40, right=10, top=52, bottom=46, label=20, names=True)
NARROW = Size("narrow", 358, 322, left=30, right=6, top=34, bottom=42, label=18, names=False)


@dataclass(frozen=True, slots=True)
class Band:
    """One leg: its background, its number at `label_x`, and its place's name where there is room for it."""

    number: int
    x: float
    width: float
    middle: float
    label_x: float
    name: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which nothing was measured."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Line:
    """One uninterrupted part of a curve. `area`: the same, closed along the limit; empty where no limit is in force."""

    position: str
    path: str
    area: str


@dataclass(frozen=True, slots=True)
class Limit:
    """An agreed upper limit over one leg."""

    x: float
    width: float
    y: float


@dataclass(frozen=True, slots=True)
class Tick:
    """`strong`: midnight, or zero degrees."""

    at: float
    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    size: Size
    bands: tuple[Band, ...]
    stretches: tuple[Stretch, ...]
    limits: tuple[Limit, ...]
    lines: tuple[Line, ...]
    times: tuple[Tick, ...]
    days: tuple[Tick, ...]
    degrees: tuple[Tick, ...]


def draw(legs: Sequence[Leg], size: Size, words: Words, zone: str) -> Drawing:
    """`legs`: at least one, in time order, with a reading in one of them."""
    scale = _Scale.over(legs, size)
    return Drawing(
        size=size,
        bands=tuple(_bands(legs, scale, words)),
        stretches=tuple(
            Stretch(scale.x(start), scale.x(end) - scale.x(start))
            for leg in legs
            for start, end in unmeasured(leg)
        ),
        limits=tuple(
            Limit(
                scale.x(_ms(leg.start)), scale.x(_ms(leg.end)) - scale.x(_ms(leg.start)), scale.y(leg.limit_c)
            )
            for leg in legs
            if leg.limit_c is not None
        ),
        lines=tuple(line for leg in legs for curve in leg.curves for line in _lines(leg, curve, scale)),
        times=tuple(_times(scale, zone)),
        days=tuple(_days(scale, words, zone)),
        degrees=tuple(
            Tick(scale.y(value), f"{value}°".replace("-", "\u2212"), strong=value == 0)
            for value in range(scale.low, scale.high + 1, scale.step)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """From (UTC ms, °C) to the drawing's x and y. `low` and `high` are multiples of `step`."""

    size: Size
    start: int
    end: int
    low: int
    high: int
    step: int

    @classmethod
    def over(cls, legs: Sequence[Leg], size: Size) -> _Scale:
        values = [value for leg in legs for curve in leg.curves for _, value in curve.points]
        values += [leg.limit_c for leg in legs if leg.limit_c is not None]
        low, high = min([0.0, *values]), max([5.0, *values])
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if (high - low) / step <= 7)
        start, end = _ms(legs[0].start), max(_ms(leg.end) for leg in legs)
        return cls(
            size, start, max(end, start + 1), floor(low / step) * step, ceil((high + 0.2) / step) * step, step
        )

    def x(self, moment_ms: float) -> float:
        return self.size.left + (moment_ms - self.start) / (self.end - self.start) * self.size.plot_width

    def y(self, celsius: float) -> float:
        return self.size.floor - (celsius - self.low) / (self.high - self.low) * self.size.plot_height


def _bands(legs: Sequence[Leg], scale: _Scale, words: Words) -> Iterator[Band]:
    edges = [(scale.x(_ms(leg.start)), scale.x(_ms(leg.end))) for leg in legs]
    middles = [(left + right) / 2 for left, right in edges]
    labels = spread(middles, scale.size.label, scale.size.left, scale.size.width - scale.size.right)
    for number, (leg, (left, right), middle, label) in enumerate(
        zip(legs, edges, middles, labels, strict=True), 1
    ):
        name = place_name(leg, words)
        fits = scale.size.names and text_width(name, 12) <= right - left - 6
        yield Band(number, left, right - left, middle, label, name if fits else "")


def place_name(leg: Leg, words: Words) -> str:
    """The place, else who had the goods, else that they were on their way."""
    if leg.site:
        return words.name(leg.site.name)
    return words.name(leg.holder) if leg.holder else words("leg_road")


def text_width(text: str, size: float) -> float:
    """About how wide `text` is in a sans serif of that size: a Chinese character is square."""
    return sum(size if east_asian_width(char) in "WF" else size * 0.56 for char in text)


def spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Places near `wanted` (rising), at least `apart` from one another and half of that inside `low` and `high`.

    Where there is no room for all, they stand evenly.
    """
    if not wanted:
        return []
    low, high = low + apart / 2, high - apart / 2
    if (len(wanted) - 1) * apart >= high - low:
        between = (high - low) / max(len(wanted) - 1, 1)
        return [low + between * number for number in range(len(wanted))]
    places: list[float] = []
    for place in wanted:
        places.append(max(place, low, places[-1] + apart if places else low))
    ceiling = high
    for number in range(len(places) - 1, -1, -1):
        places[number] = min(places[number], ceiling)
        ceiling = places[number] - apart
    return places


def _lines(leg: Leg, curve: Curve, scale: _Scale) -> Iterator[Line]:
    for run in runs(curve):
        points = [(scale.x(time), scale.y(value)) for time, value in run]
        if len(points) == 1:  # a stroke needs two ends, even a dot's
            points.append((points[0][0] + 0.1, points[0][1]))
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        area = ""
        if leg.limit_c is not None and curve.position in _LIMITED:
            base = scale.y(leg.limit_c)
            area = f"{path}L{points[-1][0]:.1f} {base:.1f}L{points[0][0]:.1f} {base:.1f}Z"
        yield Line(curve.position, path, area)


def runs(curve: Curve) -> Iterator[tuple[tuple[int, float], ...]]:
    """The curve without its silences: each part holds points that follow one another as the device measures."""
    reach = _reach_ms(curve)
    begin = 0
    for at, (before, after) in enumerate(pairwise(curve.points), 1):
        if after[0] - before[0] > reach:
            yield curve.points[begin:at]
            begin = at
    if curve.points:
        yield curve.points[begin:]


def _reach_ms(curve: Curve) -> float:
    """The longest time between two points that is no silence.

    Twice the interval; but the points may be thinned to two of each bucket of equally many readings, and then two
    neighbours can lie almost two buckets apart.
    """
    interval = max(curve.interval_s, 1) * 1000
    steps = [after[0] - before[0] for before, after in pairwise(curve.points)]
    usual = median(steps) if steps else interval
    thinned = usual > 1.5 * interval
    return max(_GAP_FACTOR * interval, 4 * usual if thinned else 0)


def unmeasured(leg: Leg) -> tuple[tuple[int, int], ...]:
    """The stretches of a leg, in UTC ms, in which no device measured; none where the leg's account says so."""
    start, end = _ms(leg.start), _ms(leg.end)
    if not any(curve.points for curve in leg.curves):
        return ((start, end),)
    if leg.unmeasured_min < 1:
        return ()
    slack = max(_reach_ms(curve) for curve in leg.curves if curve.points)
    covered = sorted((run[0][0], run[-1][0]) for curve in leg.curves for run in runs(curve))
    return tuple(_holes(start, end, covered, slack))


def _holes(
    start: int, end: int, covered: Iterable[tuple[int, int]], slack: float
) -> Iterator[tuple[int, int]]:
    """What lies between `start` and `end` and in none of `covered` (rising), if longer than `slack`."""
    reached = start
    for first, last in covered:
        if first - reached > slack:
            yield reached, first
        reached = max(reached, last)
    if end - reached > slack:
        yield reached, end


def _times(scale: _Scale, zone: str) -> Iterator[Tick]:
    """Hours of the day, as many as have room."""
    room = scale.size.plot_width / (scale.end - scale.start) * _HOUR_MS
    every = next((hours for hours in (1, 2, 3, 6, 12) if hours * room >= 44), 24)
    for moment in _local_hours(scale, zone):
        if moment.hour % every == 0:
            yield Tick(scale.x(_ms(moment)), f"{moment:%H:%M}", strong=moment.hour == 0)


def _days(scale: _Scale, words: Words, zone: str) -> Iterator[Tick]:
    """The date at the beginning of each day, and at the left edge; none where the next would run into it."""
    begins = [scale.start, *(_ms(moment) for moment in _local_hours(scale, zone) if moment.hour == 0)]
    texts = [words.day(datetime.fromtimestamp(begin / 1000, ZoneInfo(zone)), zone) for begin in begins]
    for at, (begin, text) in enumerate(zip(begins, texts, strict=True)):
        until = scale.x(begins[at + 1]) if at + 1 < len(begins) else scale.size.width
        if scale.x(begin) + text_width(text, 12) + 4 <= until:
            yield Tick(scale.x(begin), text)


def _local_hours(scale: _Scale, zone: str) -> Iterator[datetime]:
    """Full hours of the zone's clock within the drawing."""
    first = datetime.fromtimestamp(scale.start / 1000, ZoneInfo(zone)).replace(
        minute=0, second=0, microsecond=0
    )
    hours = (scale.end - scale.start) // _HOUR_MS + 2
    for number in range(hours):
        moment = (first.astimezone(ZoneInfo("UTC")) + timedelta(hours=number)).astimezone(ZoneInfo(zone))
        if scale.start <= _ms(moment) <= scale.end:
            yield moment


@dataclass(frozen=True, slots=True)
class Hour:
    """What was measured in an hour. `extremes`: for each position of the table (lowest, highest), None if nothing."""

    start: datetime
    legs: tuple[int, ...]
    extremes: tuple[tuple[float, float] | None, ...]


def positions(legs: Iterable[Leg]) -> tuple[str, ...]:
    """Those that occur, the known ones first."""
    found = {curve.position for leg in legs for curve in leg.curves if curve.points}
    return (*(name for name in POSITIONS if name in found), *sorted(found - set(POSITIONS)))


def hours(legs: Sequence[Leg]) -> tuple[Hour, ...]:
    """The picture's data as a table, an hour a row, from the first leg to the last."""
    if not legs:
        return ()
    shown = positions(legs)
    first = _ms(legs[0].start) // _HOUR_MS * _HOUR_MS
    end = max(_ms(leg.end) for leg in legs)
    values: dict[tuple[int, str], list[float]] = {}
    for curve in (curve for leg in legs for curve in leg.curves):
        for time, value in curve.points:
            values.setdefault((time // _HOUR_MS, curve.position), []).append(value)
    return tuple(
        Hour(
            datetime.fromtimestamp(begin / 1000, ZoneInfo("UTC")),
            tuple(
                number
                for number, leg in enumerate(legs, 1)
                if _ms(leg.start) < begin + _HOUR_MS and _ms(leg.end) > begin
            ),
            tuple(_extremes(values.get((begin // _HOUR_MS, position))) for position in shown),
        )
        for begin in range(first, end, _HOUR_MS)
    )


def _extremes(values: Sequence[float] | None) -> tuple[float, float] | None:
    return (min(values), max(values)) if values else None


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
