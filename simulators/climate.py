"""The weather of one June stretch in Zhejiang: outdoor temperature and sunshine, by the local hour.

Contract: arrays on the model's own time grid, the same for the same generator state; never a bare curve,
since clouds and showers move both temperature and sun. Levels: Hangzhou and Xianju in mid June, daily mean
about 25.5 °C, daily range about 8 °C, coldest at 5 and warmest at 14 to 15 o'clock, sunrise near 5 and sunset
near 19.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
LOCAL = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Weather:
    """`outdoor_c`: °C, `sun_w_m2`: on a level roof; one value per time step."""

    outdoor_c: FloatArray
    sun_w_m2: FloatArray


def make_weather(rng: np.random.Generator, start: datetime, steps: int, step_s: int) -> Weather:
    """`start`: aware. Draws a mean, a range and slow clouds; the curve of the day is sunrise-driven, not
    symmetric."""
    local = start.astimezone(LOCAL)
    hour = (local.hour + local.minute / 60 + local.second / 3600 + np.arange(steps) * step_s / 3600) % 24
    mean_c, range_c = 25.5 + rng.uniform(-1.8, 1.8), 8.0 + rng.uniform(-2.0, 1.5)
    cloud = _slow_noise(rng, steps, step_s, correlation_s=5400.0)
    clear = np.clip(0.62 + 0.25 * cloud, 0.08, 1.0)
    height = np.clip(np.sin(np.pi * (hour - 5.0) / 14.0), 0.0, None) * ((hour > 5.0) & (hour < 19.0))
    drift = _slow_noise(rng, steps, step_s, correlation_s=14_400.0)
    outdoor = mean_c + range_c * (_day_shape(hour) - 0.5) + 0.7 * drift + 0.5 * (clear - 0.62)
    return Weather(outdoor, 930.0 * clear * height)


def _day_shape(hour: FloatArray) -> FloatArray:
    """0 at the coldest hour, 1 at the warmest: rises with the sun from 5, holds past noon, decays after
    17."""
    rising = np.sin(np.pi / 2 * np.clip((hour - 5.0) / 9.5, 0.0, 1.0)) ** 1.3
    evening = np.where(hour >= 5.0, hour - 17.0, hour + 7.0)
    falling = np.exp(-np.clip(evening, 0.0, None) / 5.5)
    floor = np.exp(-12.0 / 5.5)
    by_day = (hour >= 5.0) & (hour < 17.0)
    shape: FloatArray = np.where(by_day, np.maximum(rising, 0.0), (falling - floor) / (1.0 - floor))
    return np.where(by_day & (hour > 14.5), 1.0 - 0.05 * (hour - 14.5), shape * np.where(by_day, 1.0, 0.875))


def _slow_noise(rng: np.random.Generator, steps: int, step_s: int, correlation_s: float) -> FloatArray:
    """Zero mean, unit variance, forgetting with `correlation_s`: nodes half that far apart, joined
    smoothly."""
    every = correlation_s / 2
    count = int(steps * step_s / every) + 3
    keep = float(np.exp(-0.5))
    shocks = rng.standard_normal(count)
    nodes = np.empty(count)
    nodes[0] = shocks[0]
    for k in range(1, count):
        nodes[k] = keep * nodes[k - 1] + np.sqrt(1 - keep**2) * shocks[k]
    noise: FloatArray = np.interp(np.arange(steps) * step_s, np.arange(count) * every, nodes)
    return noise
