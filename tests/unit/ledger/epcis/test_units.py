"""One unit per quantity, and arithmetic that makes no excursion of its own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.units import CANONICAL, UNITS, UnitError, convert, to_canonical, unit

readings = st.floats(min_value=-200, max_value=5000, allow_nan=False).map(lambda value: round(value, 3))


@pytest.mark.parametrize(
    ("value", "code", "expected"),
    [
        (41, "FAH", (5.0, "Cel")),
        (38.3, "FAH", (3.5, "Cel")),
        (275.15, "KEL", (2.0, "Cel")),
        (2.31, "Cel", (2.31, "Cel")),
        (2.31, "CEL", (2.31, "Cel")),
        (86.5, "KGM", (86.5, "kg")),
        (500, "GRM", (0.5, "kg")),
        (0.05, "NA", (0.05, "mg/kg")),
        (55, "P1", (55.0, "%")),
        (0.55, "/", (55.0, "%")),
        (36, "KMH", (10.0, "m/s")),
    ],
)
def test_a_reading_in_its_canonical_unit(value: float, code: str, expected: tuple[float, str]) -> None:
    assert to_canonical(value, code) == expected


def test_a_percentage_may_be_humidity() -> None:
    assert to_canonical(91.5, "P1", "humidity") == (91.5, "%RH")
    assert to_canonical(91.5, "%RH") == (91.5, "%RH")


@pytest.mark.parametrize(
    ("value", "code", "quantity"),
    [
        (1, "furlong", None),
        (1, "KGM", "temperature"),
        (1, "CEL", "humidity"),
        (1, "CEL", "taste"),
        (math.nan, "CEL", None),
        (math.inf, "FAH", None),
        (1e308, "TNE", None),
    ],
)
def test_what_cannot_be_converted_is_said(value: float, code: str, quantity: str | None) -> None:
    with pytest.raises(UnitError):
        to_canonical(value, code, quantity)


def test_units_of_two_quantities_do_not_convert() -> None:
    with pytest.raises(UnitError, match="want a unit of mass"):
        convert(1, "CEL", "KGM")


def test_every_canonical_unit_is_a_unit_of_its_quantity() -> None:
    for quantity, code in CANONICAL.items():
        assert unit(code).quantity == quantity
        assert to_canonical(1.5, code) == (1.5, code)


@given(st.sampled_from(sorted(UNITS)), readings)
def test_there_and_back_again(code: str, value: float) -> None:
    there, canonical = to_canonical(value, code)
    assert math.isclose(convert(there, canonical, code), value, rel_tol=1e-12, abs_tol=1e-9)


@given(st.integers(-60, 200))
def test_whole_celsius_degrees_come_out_whole(celsius: int) -> None:
    assert to_canonical(round(celsius * 9 / 5 + 32, 1), "FAH") == (celsius, "Cel")
