"""What is measured, the one unit each is stored in, and what it cannot be: the table that registration and admission share.

A word that is not here may be registered too: its values are stored in the unit they are sent in. Bounds stand only where
nothing beyond them can be (no sensor reads below absolute zero); what a particular sensor cannot read is its series' own
`minimum` and `maximum`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from ledger.epcis.units import CANONICAL, line

ABSOLUTE_ZERO_C: Final = -273.15
LARGEST: Final = 1e30
"""Of any stored number, whatever it measures: sums over all the readings there may ever be are still numbers. What is beyond,
such as the largest of 32 bits, is a sensor's way to say that it has no value."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """`unit`: that of the stored value. `minimum`, `maximum`: in it, None where there is no bound beyond doubt."""

    unit: str
    minimum: float | None = None
    maximum: float | None = None


QUANTITIES: Final[dict[str, Quantity]] = {
    "temperature": Quantity("Cel", ABSOLUTE_ZERO_C),
    "set_point": Quantity("Cel", ABSOLUTE_ZERO_C),
    "dew_point": Quantity("Cel", ABSOLUTE_ZERO_C),
    "humidity": Quantity("%RH", 0, 110),  # sensors in condensation read a little over 100
    "soil_moisture": Quantity("%", 0, 100),
    "co2": Quantity("ppm", 0, 1_000_000),
    "ethylene": Quantity("ppm", 0, 1_000_000),
    "oxygen": Quantity("%", 0, 100),
    "pressure": Quantity("Pa", 0),
    "battery_voltage": Quantity("V", 0),
    "battery_level": Quantity("%EL", 0, 100),
    "signal_strength": Quantity("dBW"),
    "speed": Quantity("m/s", 0),
    "heading": Quantity("deg", 0, 360),
    "illuminance": Quantity("lx", 0),
    "conductivity": Quantity("S/m", 0),
    "frequency": Quantity("Hz", 0),
    "distance": Quantity("m", 0),
    "boolean": Quantity("/", 0, 1),
    "latitude": Quantity("lat", -90, 90),
    "longitude": Quantity("lon", -180, 180),
    "position": Quantity("deg"),
    **{name: Quantity(CANONICAL[name]) for name in (
        "acceleration", "acidity", "angle", "charge", "count", "current", "energy", "irradiance", "length", "mass",
        "mass_concentration", "mass_fraction", "power", "time", "voltage", "volume", "volume_flow",
    )},
}  # fmt: skip
"""Quantity -> its unit and bounds. docs/wire.md has the same table."""

NUMBERLESS: Final = frozenset({"text", "data", "position"})
"""Quantities whose values are no numbers and go to `observation`."""

_UNITLESS: Final = NUMBERLESS | {"boolean"}


def canonical_line(quantity: str, unit: str) -> tuple[str, Fraction, Fraction]:
    """The unit in which values of `quantity` that are sent in `unit` are stored, and how they become that: stored = sent *
    factor + offset. Raises UnitError: `unit` measures something else."""
    known = QUANTITIES.get(quantity)
    if known is None or known.unit == unit:
        return unit, Fraction(1), Fraction(0)
    if quantity in _UNITLESS:  # "bool", "/" or nothing: the word says nothing of the value
        return known.unit, Fraction(1), Fraction(0)
    return known.unit, *line(unit, known.unit)
