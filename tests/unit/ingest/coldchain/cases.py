"""Limits and series for the tests of this room, in minutes and °C so that a case reads at a glance."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from ingest.coldchain.excursions import FloatArray, IntArray
from ingest.coldchain.limits import Limit, Position, load_limits, parse_limit
from ingest.coldchain.timeline import Leg, ObservedSeries

MINUTE = 60_000


def limit_json(**changes: Any) -> dict[str, Any]:
    """A correct limit as JSON, above 5 °C for 30 consecutive minutes, with `changes`."""
    return {
        "id": "warm",
        "version": 1,
        "product": "yangmei",
        "stages": ["cold", "loaded"],
        "positions": ["return_air", "in_box"],
        "side": "above",
        "limit_c": 5.0,
        "operator": ">",
        "mode": "consecutive",
        "minutes": 30,
        "guard_band_c": 0.0,
        "force": "agreed",
        "source": "a test",
        "clause": "",
        "verified": True,
        "valid_from": datetime(2020, 1, 1, tzinfo=UTC).isoformat(),
        "valid_to": None,
        "wording": {"zh": "约定的 5 °C 上限", "en": "the agreed upper limit of 5 °C"},
    } | changes


def a_limit(**changes: Any) -> Limit:
    return parse_limit(limit_json(**changes))


def shipped(name: str) -> Limit:
    """A limit that comes with the package."""
    return next(limit for limit in load_limits() if limit.id == name)


def series(*points: tuple[float, float]) -> tuple[IntArray, FloatArray]:
    """(minute, °C) pairs as time_ms and value_c."""
    time_ms = np.array([round(minute * MINUTE) for minute, _ in points], dtype=np.int64)
    return time_ms, np.array([value for _, value in points], dtype=np.float64)


def every_minute(*stretches: tuple[int, int, float]) -> tuple[IntArray, FloatArray]:
    """(first minute, minute after the last, °C) stretches with one reading a minute."""
    return series(*((minute, value) for a, b, value in stretches for minute in range(a, b)))


def a_sensor(
    readings: tuple[IntArray, FloatArray],
    series: str = "s1",
    position: Position = "return_air",
    interval: float = 1,
    accuracy_c: float | None = 0.0,
    since: float | None = None,
    until: float | None = None,
) -> ObservedSeries:
    """A placed sensor; times in minutes. Exact unless a case is about accuracy."""
    return ObservedSeries(
        series=series,
        position=position,
        time_ms=readings[0],
        value_c=readings[1],
        interval_ms=round(interval * MINUTE),
        accuracy_c=accuracy_c,
        since_ms=None if since is None else round(since * MINUTE),
        until_ms=None if until is None else round(until * MINUTE),
    )


def a_leg(
    start: float,
    end: float,
    *sensors: ObservedSeries,
    limits: tuple[Limit, ...] | None = None,
    place: str = "truck",
    holder: str = "carrier",
) -> Leg:
    """A leg under the usual limit; times in minutes."""
    in_force = (a_limit(),) if limits is None else limits
    return Leg(
        place, "trailer", holder, "loaded", round(start * MINUTE), round(end * MINUTE), sensors, in_force
    )
