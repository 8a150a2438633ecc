"""How temperature ages goods: mean kinetic temperature, and the life that is left by Q10.

In the line: measured stretches of a portion -> here -> numbers beside the exposure. They are summaries
and no verdict: a hot hour vanishes in a cold week, so no limit is judged by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.coldchain.limits import ColdChainError

ZERO_CELSIUS_K: Final = 273.15
GAS_CONSTANT_KJ_PER_MOL_K: Final = 8.3144e-3
ACTIVATION_ENERGY_KJ_PER_MOL: Final = 83.144  # with the gas constant above: 10,000 K, USP's convention


class KineticsError(ColdChainError):
    """No mean can be formed: give at least one temperature above absolute zero, and some weight."""


def mean_kinetic_temperature(
    temperature_c: npt.ArrayLike,
    weight_s: npt.ArrayLike | None = None,
    activation_energy_kj_per_mol: float = ACTIVATION_ENERGY_KJ_PER_MOL,
    gas_constant_kj_per_mol_k: float = GAS_CONSTANT_KJ_PER_MOL_K,
) -> float:
    """Mean kinetic temperature in °C.

    `temperature_c`: float64[n], °C, any order. `weight_s`: float64[n], the time each stands for, >= 0;
    None weighs all alike. Means of parts combine: the mean of the parts' means, weighted by their
    time, is the mean of the whole. Raises KineticsError. Source: USP <1160>, <1079.2>.
    """
    kelvin = np.asarray(temperature_c, dtype=np.float64) + ZERO_CELSIUS_K
    weights = np.ones_like(kelvin) if weight_s is None else np.asarray(weight_s, dtype=np.float64)
    _check(kelvin, weights, activation_energy_kj_per_mol)
    over_k = activation_energy_kj_per_mol / gas_constant_kj_per_mol_k
    exponents = -over_k / kelvin
    # exp(-10,000 / T) is 1e-16 at room temperature; shifted by the largest term it cannot vanish.
    largest = float(exponents.max())
    rate = float(np.average(np.exp(exponents - largest), weights=weights))
    return float(-over_k / (largest + np.log(rate)) - ZERO_CELSIUS_K)


@dataclass(frozen=True, slots=True)
class Q10:
    """How much faster goods age for every 10 °C more. `bounds_c`: n+1 rising temperatures, `factors`: n, one between two bounds; below the
    first and above the last the nearest factor goes on. Raises KineticsError. Source: (R2/R1)^(10/(T2-T1)), Handbook 66, table 20.3."""

    bounds_c: Sequence[float]
    factors: Sequence[float]

    def __post_init__(self) -> None:
        bounds, factors = np.asarray(self.bounds_c), np.asarray(self.factors)
        if factors.size < 1 or bounds.size != factors.size + 1 or bool(np.any(np.diff(bounds) <= 0)):
            raise KineticsError(
                f"one factor between each two rising bounds, got {factors.size} for {bounds.size} bounds"
            )
        if not bool(np.all(factors > 0)) or not bool(np.all(np.isfinite(factors))):
            raise KineticsError(f"factors are above 0 and finite, got {list(self.factors)}")

    def rate(self, temperature_c: npt.ArrayLike, reference_c: float) -> npt.NDArray[np.float64]:
        """How many times as fast as at the reference, of each temperature."""
        given = np.asarray(temperature_c, dtype=np.float64)
        rate: npt.NDArray[np.float64] = np.exp(
            self._logarithm(given) - self._logarithm(np.array([reference_c]))
        )
        return rate

    def _logarithm(self, temperature_c: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Of the rate, against the first bound: straight between two bounds."""
        bounds = np.asarray(self.bounds_c, dtype=np.float64)
        slopes = np.log(np.asarray(self.factors, dtype=np.float64)) / 10
        at_bounds = np.concatenate(([0.0], np.cumsum(slopes * np.diff(bounds))))
        place = np.clip(np.searchsorted(bounds, temperature_c, side="right") - 1, 0, slopes.size - 1)
        logarithm: npt.NDArray[np.float64] = at_bounds[place] + slopes[place] * (
            temperature_c - bounds[place]
        )
        return logarithm


@dataclass(frozen=True, slots=True)
class Life:
    """In days at the reference temperature: used of a life, at least and at most, and what is left of it."""

    used_at_least: float
    used_at_most: float
    left_at_least: float
    left_at_most: float


def life_left(
    temperature_c: npt.ArrayLike,
    weight_s: npt.ArrayLike,
    unknown_s: float,
    q10: Q10,
    life_days: tuple[float, float],
    reference_c: float,
) -> Life:
    """What is left of a life that lasts `life_days` (at least, at most) at `reference_c`.

    `temperature_c`, `weight_s`: float64[n], as measured and for how long. `unknown_s`: nobody measured; then it was at least as cold
    as the coldest reading and at most as warm as the warmest, which is what can be said and no more. Raises KineticsError.
    """
    measured = np.asarray(temperature_c, dtype=np.float64)
    weights = np.asarray(weight_s, dtype=np.float64)
    _check(measured + ZERO_CELSIUS_K, weights, ACTIVATION_ENERGY_KJ_PER_MOL)
    shortest, longest = life_days
    if not 0 < shortest <= longest or not unknown_s >= 0:
        raise KineticsError(
            f"a life from above 0 days up, and no time below 0, got {life_days} and {unknown_s}"
        )
    rates = q10.rate(measured, reference_c)
    known = float((rates * weights).sum()) / _DAY_S
    at_least = known + unknown_s * float(rates.min()) / _DAY_S
    at_most = known + unknown_s * float(rates.max()) / _DAY_S
    return Life(at_least, at_most, max(0.0, shortest - at_most), max(0.0, longest - at_least))


_DAY_S: Final = 86_400


def _check(kelvin: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], energy: float) -> None:
    if kelvin.ndim != 1 or kelvin.shape != weights.shape:
        raise KineticsError(f"one weight per temperature, got {weights.shape} for {kelvin.shape}")
    if not kelvin.size or not bool(np.all(kelvin > 0)) or not bool(np.all(np.isfinite(kelvin))):
        raise KineticsError("at least one temperature, all finite and above absolute zero")
    if not bool(np.all(np.isfinite(weights) & (weights >= 0))) or float(weights.sum()) <= 0:
        raise KineticsError("weights are finite, not negative, and not all zero")
    if not energy > 0:
        raise KineticsError(f"activation energy is above 0, got {energy}")
