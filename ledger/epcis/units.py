"""Units of measure: UN/CEFACT codes (EPCIS `uom`) and SenML units, each turned into one unit per quantity.

A Fahrenheit logger and a Celsius logger must be judged by the same limit, so readings are stored in the
canonical unit of their quantity; the unit they came in is kept beside the series. Conversion is exact decimal
arithmetic rounded once: 41 degrees Fahrenheit is 5.0, not 5.000000000000001 and a breach.

Sources: UNECE Recommendation 20 (revision 17), SenML units registry with its secondary units (RFC 8428 section 12.1,
RFC 8798). `degF` is in neither and is what people write.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ledger.epcis import EpcisError


class UnitError(EpcisError):
    """The unit is unknown, measures another quantity, or the number is not finite."""


@dataclass(frozen=True)
class Unit:
    """canonical value = (value + `shift`) * `factor`, in the canonical unit of `quantity`."""

    code: str
    quantity: str
    factor: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)


# Quantity: its canonical unit (a SenML name where there is one), then every other unit with its factor.
_BY_FACTOR: dict[str, tuple[str, dict[str, str]]] = {
    "humidity": ("%RH", {}),
    "ratio": ("%", {"P1": "1", "/": "100", "/100": "1", "/1000": "1/10", "%EL": "1", "ppm": "1/10000",
                    "59": "1/10000", "ppb": "1/10000000", "61": "1/10000000"}),
    "mass": ("kg", {"KGM": "1", "GRM": "1/1000", "g": "1/1000", "MGM": "1/1000000", "TNE": "1000"}),
    "mass_fraction": ("mg/kg", {"NA": "1"}),
    "mass_concentration": ("kg/m3", {"KMQ": "1", "A93": "1/1000", "GP": "1/1000000", "g/l": "1", "mg/l": "1/1000",
                                     "ug/l": "1/1000000", "ug/m3": "1/1000000000"}),
    "amount_concentration": ("mol/m3", {"C36": "1", "C35": "1000"}),
    "count": ("count", {"C62": "1", "H87": "1", "EA": "1"}),
    "time": ("s", {"SEC": "1", "ms": "1/1000", "min": "60", "MIN": "60", "h": "3600", "HUR": "3600",
                   "DAY": "86400"}),
    "length": ("m", {"MTR": "1", "mm": "1/1000", "MMT": "1/1000", "cm": "1/100", "CMT": "1/100", "km": "1000",
                     "KMT": "1000", "INH": "127/5000", "FOT": "381/1250"}),
    "volume": ("m3", {"MTQ": "1", "l": "1/1000", "LTR": "1/1000", "MLT": "1/1000000"}),
    "speed": ("m/s", {"MTS": "1", "km/h": "5/18", "KMH": "5/18", "m/h": "1/3600", "mm/h": "1/3600000"}),
    "acceleration": ("m/s2", {"MSK": "1", "K40": "980665/100000", "gravity": "980665/100000"}),
    "angle": ("deg", {"DD": "1"}),
    "latitude": ("lat", {}),
    "longitude": ("lon", {}),
    "pressure": ("Pa", {"PAL": "1", "hPa": "100", "A97": "100", "KPA": "1000", "BAR": "100000",
                        "MBR": "100"}),
    "illuminance": ("lx", {"LUX": "1"}),
    "voltage": ("V", {"VLT": "1", "mV": "1/1000", "2Z": "1/1000"}),
    "current": ("A", {"AMP": "1", "mA": "1/1000", "4K": "1/1000"}),
    "power": ("W", {"WTT": "1", "kW": "1000", "KWT": "1000"}),
    "apparent_power": ("VA", {"kVA": "1000", "KVA": "1000"}),
    "reactive_power": ("var", {"kvar": "1000", "KVR": "1000"}),
    "apparent_energy": ("VAs", {"VAh": "3600", "kVAh": "3600000"}),
    "reactive_energy": ("vars", {"varh": "3600", "kvarh": "3600000"}),
    "charge": ("C", {"COU": "1", "Ah": "3600", "AMH": "3600"}),
    "energy": ("J", {"JOU": "1", "Wh": "3600", "WHR": "3600", "kWh": "3600000", "KWH": "3600000"}),
    "energy_per_distance": ("J/m", {"Wh/km": "18/5"}),
    "frequency": ("Hz", {"HTZ": "1", "MHz": "1000000", "MHZ": "1000000"}),
    "irradiance": ("W/m2", {"D54": "1"}),
    "conductivity": ("S/m", {"D10": "1", "uS/cm": "1/10000", "G42": "1/10000"}),
    "volume_flow": ("m3/s", {"MQS": "1", "l/s": "1/1000", "G51": "1/1000"}),
    "data_size": ("B", {"AD": "1", "KiB": "1024", "GB": "1000000000"}),
    "data_rate": ("bit/s", {"B10": "1", "B/s": "8", "MB/s": "8000000", "Mbit/s": "1000000"}),
    "level": ("dB", {"2N": "1"}),
    "acidity": ("pH", {"Q30": "1"}),
}  # fmt: skip

# Those that are no multiples.
_SHIFTED = (
    Unit("dBW", "signal"),
    Unit("dBm", "signal", shift=Fraction(-30)),
    Unit("Cel", "temperature"),
    Unit("CEL", "temperature"),
    Unit("K", "temperature", shift=Fraction("-273.15")),
    Unit("KEL", "temperature", shift=Fraction("-273.15")),
    Unit("FAH", "temperature", factor=Fraction(5, 9), shift=Fraction(-32)),
    Unit("degF", "temperature", factor=Fraction(5, 9), shift=Fraction(-32)),
)

CANONICAL: dict[str, str] = {"temperature": "Cel", "signal": "dBW"} | {
    name: unit for name, (unit, _) in _BY_FACTOR.items()
}
"""Quantity -> the unit in which its values are stored."""

UNITS: dict[str, Unit] = {unit.code: unit for unit in _SHIFTED} | {
    code: Unit(code, quantity, Fraction(factor))
    for quantity, (canonical, others) in _BY_FACTOR.items()
    for code, factor in {canonical: "1", **others}.items()
}
"""Every unit we read, by its code as written: SenML and UN/CEFACT differ in case, so `Cel` and `CEL` are
two."""

# A percentage says nothing of what it is a percentage of, and EPCIS has no other unit for relative humidity.
_READ_AS = {("ratio", "humidity")}


def unit(code: str) -> Unit:
    """The unit by its UN/CEFACT or SenML code. Raises UnitError if it is unknown."""
    found = UNITS.get(code)
    if found is None:
        raise UnitError(
            f"got unit {code[:40]!r}, want a UN/CEFACT code (CEL, KGM, P1) or a SenML unit (Cel, kg, %RH)"
        )
    return found


def to_canonical(value: float, code: str, quantity: str | None = None) -> tuple[float, str]:
    """`value` in the canonical unit, and that unit: `(41, "FAH")` -> `(5.0, "Cel")`.

    `quantity`: what is known to be measured, for a unit that serves several (P1 for humidity). Raises
    UnitError.
    """
    source = unit(code)
    wanted = quantity or source.quantity
    if wanted not in CANONICAL:
        raise UnitError(f"got quantity {wanted[:40]!r}, want one of {', '.join(sorted(CANONICAL))}")
    if wanted != source.quantity and (source.quantity, wanted) not in _READ_AS:
        raise UnitError(
            f"got {code} ({source.quantity}), want a unit of {wanted} such as {CANONICAL[wanted]}"
        )
    return _exact(value, source), CANONICAL[wanted]


def convert(value: float, source: str, target: str) -> float:
    """`value` of unit `source` in unit `target` of the same quantity. Raises UnitError."""
    aim = unit(target)
    to_canonical(value, source, aim.quantity)
    return _exact(value, unit(source), aim)


def line(source: str, target: str) -> tuple[Fraction, Fraction]:
    """Exactly how `source` becomes `target`: target value = value * factor + offset. Raises UnitError."""
    convert(1.0, source, target)
    return _line(unit(source), unit(target))


def _exact(value: float, source: Unit, target: Unit | None = None) -> float:
    if not math.isfinite(value):
        raise UnitError(f"got {value}, want a finite number")
    target = target or unit(CANONICAL[source.quantity])
    factor, offset = _line(source, target)
    if factor == 1 and offset == 0:
        return float(value)
    return _rounded(Fraction(repr(value)) * factor + offset)


@lru_cache(maxsize=1024)
def _line(source: Unit, target: Unit) -> tuple[Fraction, Fraction]:
    """Conversion as factor and offset: target value = value * factor + offset."""
    factor = source.factor / target.factor
    return factor, source.shift * factor - target.shift


def _rounded(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        raise UnitError("the converted number is too large for a double") from None
