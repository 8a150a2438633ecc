"""Mean kinetic temperature: the steady temperature that would have aged the goods as much.

In the line: measured stretches of a portion -> here -> a number beside the exposure. It is a summary
and no verdict: a hot hour vanishes in a cold week, so no limit is judged by it.
"""

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


def _check(kelvin: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], energy: float) -> None:
    if kelvin.ndim != 1 or kelvin.shape != weights.shape:
        raise KineticsError(f"one weight per temperature, got {weights.shape} for {kelvin.shape}")
    if not kelvin.size or not bool(np.all(kelvin > 0)) or not bool(np.all(np.isfinite(kelvin))):
        raise KineticsError("at least one temperature, all finite and above absolute zero")
    if not bool(np.all(np.isfinite(weights) & (weights >= 0))) or float(weights.sum()) <= 0:
        raise KineticsError("weights are finite, not negative, and not all zero")
    if not energy > 0:
        raise KineticsError(f"activation energy is above 0, got {energy}")
