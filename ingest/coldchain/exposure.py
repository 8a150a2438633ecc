"""Exposure: what temperature a portion was in, leg by leg, and for how long nobody knows.

In the line: `Leg`s of a portion -> `expose` -> verdict, page, audit. Contract: numbers are the
readings' own, without accuracy (the verdict weighs that); unobserved time is neither in nor out and
stands beside every number; each sensor is judged alone and the worst at the named positions decides;
sensors that contradict each other are said to, and none is believed for it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Final

import numpy as np

from ingest.coldchain.excursions import MINUTE_MS, beyond, find_stretches, unknown_steps
from ingest.coldchain.kinetics import ACTIVATION_ENERGY_KJ_PER_MOL, mean_kinetic_temperature
from ingest.coldchain.limits import Limit, Position
from ingest.coldchain.timeline import (
    GAP_FACTOR,
    Leg,
    ObservedSeries,
    Pieces,
    certain_ms,
    journey,
    once,
    pieces,
    timeline,
)

DISAGREE_C: Final = 2.0
DISAGREE_MINUTES: Final = 30.0


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two sensors at one position of one leg, apart by more than DISAGREE_C for `minutes` on end."""

    position: Position
    series: tuple[str, str]
    minutes: float
    largest_c: float


@dataclass(frozen=True, slots=True)
class SeriesExposure:
    """What one sensor measured in one leg; means are weighted by time, None without a reading."""

    series: str
    position: Position
    readings: int
    minutes_measured: float
    minutes_unobserved: float
    min_c: float | None
    max_c: float | None
    mean_c: float | None
    mean_kinetic_c: float | None


@dataclass(frozen=True, slots=True)
class LimitExposure:
    """How long goods were beyond one limit while it was in force.

    `minutes` = `minutes_measured` + `minutes_unobserved`. Of the measured time, `minutes_out_at_least`
    lies between readings that are both beyond, `minutes_out_at_most` has the edges too.
    `area_c_min`: °C beyond x measured minutes. Of several sensors the worst counts.
    """

    limit: Limit
    minutes: float
    minutes_measured: float
    minutes_unobserved: float
    minutes_out_at_least: float
    minutes_out_at_most: float
    area_c_min: float


@dataclass(frozen=True, slots=True, eq=False)
class LegExposure:
    """One leg. Minutes and extremes are of the positions its limits name; without limits, of all. Of a leg whose
    readings may not be seen they are as told, and `series` holds the others."""

    leg: Leg
    minutes: float
    minutes_measured: float
    minutes_unobserved: float
    min_c: float | None
    max_c: float | None
    mean_kinetic_c: float | None
    series: tuple[SeriesExposure, ...]
    limits: tuple[LimitExposure, ...]
    disagreements: tuple[Disagreement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """A portion's whole journey; `limits` sums each limit over the legs where it was in force.

    `gap_factor` is what the legs were read with; the verdict reads them with the same.
    """

    legs: tuple[LegExposure, ...]
    minutes: float
    minutes_measured: float
    minutes_unobserved: float
    min_c: float | None
    max_c: float | None
    mean_kinetic_c: float | None
    limits: tuple[LimitExposure, ...]
    disagreements: tuple[Disagreement, ...]
    gap_factor: float


def expose(
    legs: Iterable[Leg],
    gap_factor: float = GAP_FACTOR,
    activation_energy_kj_per_mol: float = ACTIVATION_ENERGY_KJ_PER_MOL,
) -> Exposure:
    """The exposure of one portion. `legs` in any order, not overlapping; time they leave out becomes
    a leg of unknown place. Raises LegError and SeriesError.
    """
    energy = activation_energy_kj_per_mol
    each = tuple(
        once(leg, ("exposure", gap_factor, energy), partial(_expose_leg, leg, gap_factor, energy))
        for leg in journey(legs)
    )
    return Exposure(
        legs=each,
        minutes=sum(leg.minutes for leg in each),
        minutes_measured=sum(leg.minutes_measured for leg in each),
        minutes_unobserved=sum(leg.minutes_unobserved for leg in each),
        min_c=_least(leg.min_c for leg in each),
        max_c=_most(leg.max_c for leg in each),
        mean_kinetic_c=_mean_of_means(each, activation_energy_kj_per_mol),
        limits=_summed(each),
        disagreements=tuple(found for leg in each for found in leg.disagreements),
        gap_factor=gap_factor,
    )


def _expose_leg(leg: Leg, gap_factor: float, energy: float) -> LegExposure:
    named = _named(leg)
    sensors = tuple(
        _expose_series(series, pieces(series, leg, gap_factor), leg, energy) for series in leg.series
    )
    judged = [sensor for sensor in sensors if sensor.position in named]
    minutes = _minutes(leg.end_ms - leg.start_ms)
    told = leg.told
    measured = _minutes(_observed_ms(leg, named, gap_factor) if told is None else told.measured_ms)
    return LegExposure(
        leg=leg,
        minutes=minutes,
        minutes_measured=measured,
        minutes_unobserved=minutes - measured,
        min_c=_least(sensor.min_c for sensor in judged) if told is None else told.min_c,
        max_c=_most(sensor.max_c for sensor in judged) if told is None else told.max_c,
        mean_kinetic_c=_most(sensor.mean_kinetic_c for sensor in judged) if told is None else None,
        series=sensors,
        limits=tuple(_expose_limit(leg, limit, gap_factor) for limit in leg.limits),
        disagreements=tuple(_disagreements(leg, gap_factor)),
    )


def _named(leg: Leg) -> set[Position]:
    by_limits = {position for limit in leg.limits for position in limit.positions}
    return by_limits or {series.position for series in leg.series}


def _observed_ms(leg: Leg, named: set[Position], gap_factor: float) -> int:
    """Time that at least one sensor at a named position saw."""
    spans = []
    for series in leg.series:
        if series.position in named:
            own = pieces(series, leg, gap_factor)
            spans.append(np.stack((own.bounds_ms[:-1][own.known], own.bounds_ms[1:][own.known])))
    if not spans:
        return 0
    starts, ends = np.concatenate(spans, axis=1)
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    # What a span adds is what reaches beyond all that began before it.
    before = np.concatenate((starts[:1], ends[:-1]))
    return int(np.maximum(ends - np.maximum(starts, before), 0).sum())


def _expose_series(series: ObservedSeries, own: Pieces, leg: Leg, energy: float) -> SeriesExposure:
    some = own.time_ms.size > 0
    weights = own.weight_ms()
    if not weights.any():  # a lone reading far from everything stands for no time, yet it is one
        weights = np.ones_like(weights)
    known_ms = own.known_ms()
    return SeriesExposure(
        series=series.series,
        position=series.position,
        readings=own.time_ms.size,
        minutes_measured=_minutes(known_ms),
        minutes_unobserved=_minutes(leg.end_ms - leg.start_ms - known_ms),
        min_c=float(own.value_c.min()) if some else None,
        max_c=float(own.value_c.max()) if some else None,
        mean_c=float(np.average(own.around_c, weights=weights)) if some else None,
        mean_kinetic_c=mean_kinetic_temperature(own.around_c, weights, energy) if some else None,
    )


def _expose_limit(leg: Leg, limit: Limit, gap_factor: float) -> LimitExposure:
    line = timeline(leg, limit, None, gap_factor)
    minutes = _minutes(leg.end_ms - leg.start_ms)
    unobserved = _minutes(line.sum_ms(line.unknown))
    return LimitExposure(
        limit=limit,
        minutes=minutes,
        minutes_measured=minutes - unobserved,
        minutes_unobserved=unobserved,
        minutes_out_at_least=_minutes(certain_ms(leg, limit, None, gap_factor)),
        minutes_out_at_most=_minutes(line.sum_ms(line.maybe)),
        area_c_min=max(_areas_c_min(leg, limit, gap_factor), default=0.0),
    )


def _areas_c_min(leg: Leg, limit: Limit, gap_factor: float) -> Iterator[float]:
    """°C beyond x minutes between readings that are both beyond, per sensor named."""
    if leg.told is not None and limit.key in leg.told.limits:
        yield leg.told.limits[limit.key].area_c_min
        return
    for series in leg.named_by(limit):
        own = pieces(series, leg, gap_factor)
        both = own.between(beyond(own.around_c, limit))[own.inner()]
        minutes = own.duration_ms()[own.inner()] / MINUTE_MS
        excess = np.abs(own.around_c - limit.limit_c)
        yield float(((excess[1:] + excess[:-1]) / 2 * minutes)[both].sum())


def _disagreements(leg: Leg, gap_factor: float) -> Iterator[Disagreement]:
    # What no rule asks about may differ: three lots' probes in one pre-cooling room do not contradict each other.
    asked = {position for limit in leg.limits for position in limit.positions}
    for a, b in combinations([series for series in leg.series if series.position in asked], 2):
        if a.position == b.position and a.series != b.series:
            found = _disagreement(a, b, leg, gap_factor)
            if found is not None:
                yield found


def _disagreement(a: ObservedSeries, b: ObservedSeries, leg: Leg, gap_factor: float) -> Disagreement | None:
    """The longest time that two sensors are apart, at the readings of the one that measures more often."""
    often, seldom = sorted((a, b), key=lambda series: -pieces(series, leg, gap_factor).time_ms.size)
    own, other = pieces(often, leg, gap_factor), pieces(seldom, leg, gap_factor)
    if not other.time_ms.size:
        return None
    apart_c = np.abs(own.value_c - np.interp(own.time_ms, other.time_ms, other.value_c))
    # Where the other one is silent, or not yet there, there is nothing to compare with.
    at = np.searchsorted(other.bounds_ms, own.time_ms, side="right") - 1
    compared = (at >= 0) & (at < other.known.size)
    compared[compared] = other.known[at[compared]]
    apart = compared & (apart_c > DISAGREE_C)
    unknown = unknown_steps(own.time_ms, gap_factor * often.interval_ms, often.failed_ms)
    runs = find_stretches(own.time_ms, apart, unknown)
    if not runs.first.size or _minutes(int(runs.measured_ms.max())) < DISAGREE_MINUTES:
        return None
    minutes = _minutes(int(runs.measured_ms.max()))
    names = (min(a.series, b.series), max(a.series, b.series))
    return Disagreement(a.position, names, minutes, float(apart_c[apart].max()))


def _summed(legs: Sequence[LegExposure]) -> tuple[LimitExposure, ...]:
    by_key: dict[tuple[str, int], list[LimitExposure]] = {}
    for leg in legs:
        for found in leg.limits:
            by_key.setdefault(found.limit.key, []).append(found)
    return tuple(
        LimitExposure(
            limit=parts[0].limit,
            minutes=sum(part.minutes for part in parts),
            minutes_measured=sum(part.minutes_measured for part in parts),
            minutes_unobserved=sum(part.minutes_unobserved for part in parts),
            minutes_out_at_least=sum(part.minutes_out_at_least for part in parts),
            minutes_out_at_most=sum(part.minutes_out_at_most for part in parts),
            area_c_min=sum(part.area_c_min for part in parts),
        )
        for _, parts in sorted(by_key.items())
    )


def _mean_of_means(legs: Sequence[LegExposure], energy: float) -> float | None:
    means = [
        (leg.mean_kinetic_c, leg.minutes_measured)
        for leg in legs
        if leg.mean_kinetic_c is not None and leg.minutes_measured > 0
    ]
    if not means:
        return None
    temperatures, weights = zip(*means, strict=True)
    return mean_kinetic_temperature(temperatures, weights, energy)


def _minutes(ms: int) -> float:
    return ms / MINUTE_MS


def _least(values: Iterable[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
