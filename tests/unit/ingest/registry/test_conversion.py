"""What is sent in one unit is stored in another, exactly, and can be had again to its last digit."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.registry import Series, line_of, normalise, original
from ingest.registry.document import ChannelEntry, RegistryError
from ingest.registry.quantities import QUANTITIES, canonical_line
from ingest.registry.schemes import external_id
from ingest.wire.errors import WireError
from ledger.epcis.units import UNITS, UnitError, line, unit
from tests.documents import DOCS


def series(
    quantity: str, sent: str, minimum: float | None = None, maximum: float | None = None, **own: float
) -> Series:
    entry = ChannelEntry(
        channel="probe", quantity=quantity, unit=sent, minimum=minimum, maximum=maximum, **own
    )  # type: ignore[arg-type]
    stored = line_of(entry)
    return Series(
        1,
        "probe",
        stored.quantity,
        stored.unit,
        stored.original_unit,
        stored.scale,
        stored.offset,
        minimum,
        maximum,
    )


@pytest.mark.parametrize(
    ("quantity", "unit", "value", "stored"),
    [
        ("temperature", "degF", 41.0, 5.0),
        ("temperature", "FAH", 38.3, 3.5),
        ("temperature", "K", 275.15, 2.0),
        ("temperature", "Cel", 2.31, 2.31),
        ("humidity", "P1", 91.5, 91.5),
        ("humidity", "/", 0.915, 91.5),
        ("pressure", "hPa", 1013.25, 101325.0),
        ("battery_voltage", "mV", 3123.0, 3.123),
        ("battery_level", "/", 0.87, 87.0),
        ("co2", "%", 0.04, 400.0),
        ("ethylene", "ppb", 150.0, 0.15),
        ("speed", "km/h", 36.0, 10.0),
        ("signal_strength", "dBm", -97.0, -127.0),
        ("conductivity", "uS/cm", 1250.0, 0.125),
        ("boolean", "/", 1.0, 1.0),
        ("boolean", "bool", 1.0, 1.0),
        ("taste", "points", 7.0, 7.0),
    ],
)
def test_each_quantity_has_one_unit(quantity: str, unit: str, value: float, stored: float) -> None:
    channel = series(quantity, unit)
    assert normalise(channel, value, unit) == normalise(channel, value, None) == stored
    assert normalise(channel, stored, channel.unit) == stored, "sent in the canonical unit"
    assert original(channel, stored) == value


CONVERTED = [(quantity, code) for quantity, known in QUANTITIES.items() for code in UNITS
             if UNITS[code].quantity == unit(known.unit).quantity and quantity not in ("boolean", "position")
             and code != known.unit]  # fmt: skip


@given(
    st.sampled_from(CONVERTED),
    st.decimals(min_value=-999_999, max_value=999_999, places=9, allow_nan=False),
    st.integers(0, 9),
)
@example(("temperature", "degF"), Decimal("0.1"), 1)
@example(("temperature", "degF"), Decimal("-0.000000001"), 9)
def test_the_original_comes_back_to_the_digit(pair: tuple[str, str], sent: Decimal, places: int) -> None:
    value = float(round(sent, places))
    quantity, code = pair
    channel = series(quantity, code)
    assert original(channel, normalise(channel, value, code)) == value


@given(
    st.decimals(min_value="0.0001", max_value=1000, places=4), st.decimals(min_value=-500, max_value=500, places=3),
    st.decimals(min_value=-9999, max_value=9999, places=2),
)  # fmt: skip
def test_a_sensors_own_scale_can_be_undone(scale: Decimal, offset: Decimal, sent: Decimal) -> None:
    channel = series("ethylene", "mV", scale=float(scale), offset=float(offset))
    assert channel.unit == "ppm"
    value = float(sent) + 0.0
    stored = float(Decimal(repr(value)) * scale + offset)
    assert normalise(channel, value, "mV") == stored + 0.0
    assert original(channel, stored + 0.0) == value


@pytest.mark.parametrize(
    ("value", "unit", "reason"),
    [
        (2.0, "degF", "wrong_unit"),
        (2.0, "K", "wrong_unit"),
        (2.0, "", "wrong_unit"),
        (math.nan, "Cel", "not_a_number"),
        (math.inf, None, "not_a_number"),
        (-300.0, "Cel", "value_out_of_range"),
        (-40.1, None, "value_out_of_range"),
        (80.5, "Cel", "value_out_of_range"),
    ],
)
def test_what_the_sensor_cannot_mean_is_refused(value: float, unit: str | None, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        normalise(series("temperature", "Cel", -40, 80), value, unit)
    assert caught.value.reason == reason
    assert "probe" in caught.value.detail


def test_bounds_are_in_the_stored_unit() -> None:
    fahrenheit = series("temperature", "degF", -40, 80)
    assert normalise(fahrenheit, 176.0, "degF") == 80
    with pytest.raises(WireError, match=r"80\.05.* Cel"):
        normalise(fahrenheit, 176.1, None)
    with pytest.raises(WireError, match="value_out_of_range"):
        normalise(series("mass", "TNE"), 1.7e308, "TNE")


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0])
def test_a_boolean_is_0_or_1(value: float) -> None:
    with pytest.raises(WireError, match="value_out_of_range"):
        normalise(series("boolean", "/"), value, None)


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([None, "degF", "Cel", "K", "x"]))
def test_any_number_in_any_unit_is_stored_finite_or_refused(value: float, unit: str | None) -> None:
    try:
        stored = normalise(series("temperature", "degF"), value, unit)
    except WireError:
        return
    assert math.isfinite(stored) and math.copysign(1, stored or 1.0) == (1 if stored >= 0 else -1)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"quantity": "temperature", "unit": "%RH"}, "want a unit of temperature"),
        ({"quantity": "temperature", "unit": "mV"}, "give scale and offset"),
        ({"quantity": "temperature", "unit": "furlong"}, "UN/CEFACT"),
        ({"quantity": "latitude", "unit": "m"}, "want a unit of latitude"),
        ({"quantity": "ethylene", "unit": "mV", "scale": 0}, "scale 0"),
        ({"quantity": "boolean", "unit": "/", "scale": 2}, "scale 2"),
        ({"quantity": "temperature", "unit": "Cel", "minimum": 5, "maximum": 4}, "lies above"),
    ],
)  # fmt: skip
def test_a_channel_that_could_not_be_stored_is_not_registered(entry: dict[str, object], said: str) -> None:
    with pytest.raises(RegistryError, match=re.escape(said)):
        line_of(ChannelEntry.model_validate({"channel": "probe"} | entry))


def test_every_canonical_unit_is_one_and_has_its_row_in_the_document() -> None:
    text = (DOCS / "wire.md").read_text(encoding="utf-8")
    table = text[text.index("| quantity | stored in |") :]
    rows = re.findall(r"^\| (`[a-z0-9_`, ]+) \| `([^`]+)` \| ([^|]*)\|$", table, re.MULTILINE)
    said = {
        name: (code, bounds.strip()) for names, code, bounds in rows for name in re.findall(r"`(\w+)`", names)
    }
    assert {name: code for name, (code, _) in said.items()} == {
        name: known.unit for name, known in QUANTITIES.items()
    }
    for name, known in QUANTITIES.items():
        assert canonical_line(name, known.unit) == (known.unit, 1, 0)
        bounds = [
            f"{word} {bound:g}" if bound != 1_000_000 else f"{word} 1000000"
            for word, bound in (("below", known.minimum), ("above", known.maximum))
            if bound is not None
        ]
        wanted = "anything but 0 and 1" if name == "boolean" else ", ".join(bounds)
        assert said[name][1] == wanted, name


def test_secondary_units_of_senml_convert_as_rfc_8798_says() -> None:
    for secondary, primary, value, converted in (
        ("ms", "s", 1500, 1.5), ("dBm", "dBW", 30, 0), ("gravity", "m/s2", 1, 9.80665), ("Wh", "J", 1, 3600), ("kvarh", "vars", 2, 7_200_000),
        ("Ah", "C", 1, 3600), ("MB/s", "bit/s", 1, 8_000_000), ("mm/h", "m/s", 3_600_000, 1), ("Wh/km", "J/m", 10, 36), ("ppb", "/", 5, 5e-9),
        ("KiB", "B", 2, 2048), ("hPa", "Pa", 1, 100), ("kVAh", "VAs", 1, 3_600_000),
    ):  # fmt: skip
        factor, offset = line(secondary, primary)
        assert float(value * factor + offset) == converted, secondary
    with pytest.raises(UnitError):
        line("ms", "Cel")


@pytest.mark.parametrize(
    ("scheme", "written", "number"),
    [
        ("suyuan", "truck-1", "truck-1"),
        ("lorawan", "A8-40-41-00-01-81-C0-61", "a84041000181c061"),
        ("teltonika", "352093081452251", "352093081452251"),
        ("sparkplug", "冷库/edge 1/probe", "冷库/edge 1/probe"),
        ("modbus_rtu", "7", "7"),
    ],
)
def test_a_device_has_one_number_in_its_scheme(scheme: str, written: str, number: str) -> None:
    assert external_id(scheme, written) == number


@pytest.mark.parametrize(
    ("scheme", "written"),
    [("suyuan", "Truck 1"), ("suyuan", ""), ("lorawan", "a840"), ("teltonika", "35209308145225"), ("sparkplug", "group"),
     ("sparkplug", "a/b/c/d"), ("Lora", "x"), ("other", " ")],
)  # fmt: skip
def test_what_is_no_number_of_its_scheme_is_refused(scheme: str, written: str) -> None:
    with pytest.raises(RegistryError):
        external_id(scheme, written)
