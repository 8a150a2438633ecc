"""A value as it was sent -> in the canonical unit of its series, and back.

In the line: admission, per number -> here. Contract: pure; exact rational arithmetic, rounded once, so that 41 °F is 5 °C
and no excursion of ours. `original` gives back what was sent, to the digit: the shortest decimal that is stored as that
value. That is the device's own as long as it has at most 9 decimals and 15 digits in all, of a unit of the table. What came in
the stored unit already is told apart by its flag (`ingest.admission.FLAG_UNIT_STORED`) and is its own original.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

from ingest.registry.known import Series
from ingest.registry.quantities import LARGEST
from ingest.wire.errors import WireError
from ledger.epcis.units import UnitError, line

DECIMALS = 17


def normalise(series: Series, value: float, unit: str | None) -> float:
    """`value`, sent in `unit` (None: not said, so as registered), in `series.unit`.

    Raises WireError: not_a_number, wrong_unit (neither the registered one nor the canonical one), value_out_of_range.
    """
    if not math.isfinite(value):
        raise WireError("not_a_number", f"{series.channel} is {value}, want a finite number")
    if unit is None or unit == series.sent_unit:
        stored = _forwards(series, value)
    elif unit == series.unit:
        stored = value
    else:
        raise WireError(
            "wrong_unit", f"{series.channel} came in {unit[:40]!r}, registered is {series.sent_unit!r}"
        )
    _check_range(series, stored)
    return stored + 0.0  # -0 becomes 0


def is_as_registered(series: Series, unit: str | None) -> bool:
    """Whether a value in `unit` is in the unit that its device is registered with, and so converted by the series' line."""
    return series.as_sent or unit is None or unit == series.sent_unit


def original(series: Series, stored: float) -> float:
    """What was sent, in `series.sent_unit`, of a value that `normalise` gave to one that `is_as_registered`."""
    if series.as_sent:
        return stored
    factor, offset = _exact_line(series.sent_unit, series.unit, series.scale, series.offset)
    exact = (Fraction(stored) - offset) / factor
    for decimals in range(DECIMALS + 1):
        candidate = float(round(exact, decimals))
        if _forwards(series, candidate) + 0.0 == stored:
            return candidate
    return float(exact)


def exact_line(unit: str, canonical: str, scale: float, offset: float) -> tuple[Fraction, Fraction]:
    """stored = sent * factor + offset, as rational numbers. A table has doubles, and five ninths is none: where `scale` and
    `offset` are those of the two units, the units' own line is meant, else the decimals as they are written."""
    try:
        factor, shift = line(unit, canonical)
    except UnitError:
        pass
    else:
        if (float(factor), float(shift)) == (scale, offset):
            return factor, shift
    return Fraction(repr(scale)), Fraction(repr(offset))


_exact_line = lru_cache(maxsize=4096)(exact_line)


def _forwards(series: Series, value: float) -> float:
    if series.as_sent:
        return value
    factor, offset = _exact_line(series.sent_unit, series.unit, series.scale, series.offset)
    try:
        return float(Fraction(repr(float(value))) * factor + offset)
    except OverflowError as error:
        raise _beyond_all(series, value) from error


def _beyond_all(series: Series, value: float) -> WireError:
    return WireError("value_out_of_range", f"{series.channel} is {value}, which no sensor reads")


def _check_range(series: Series, stored: float) -> None:
    if abs(stored) > LARGEST:
        raise _beyond_all(series, stored)
    low, high = series.minimum, series.maximum
    if (low is None or stored >= low) and (high is None or stored <= high):
        if series.quantity != "boolean" or stored in (0.0, 1.0):
            return
        raise WireError("value_out_of_range", f"{series.channel} is {stored}, want true or false, 1 or 0")
    want = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
    raise WireError(
        "value_out_of_range",
        f"{series.channel} is {stored} {series.unit}, want {want}: what its sensor can measure",
    )
