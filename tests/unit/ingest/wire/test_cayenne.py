"""CayenneLPP: every frame of the vectors, every type of the table, and what is no frame."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingest.wire import cayenne
from ingest.wire.errors import WireError
from ingest.wire.samples import Sample
from tests.vectors import count_vectors, vector_path

# The names that the vectors' source gives the types, and ours. Accelerations are in g there.
NAMES = {
    "digitalInput": "digital_input",
    "digitalOutput": "digital_output",
    "analogInput": "analog_input",
    "analogOutput": "analog_output",
    "illuminanceSensor": "illuminance",
    "presenceSensor": "presence",
    "temperatureSensor": "temperature",
    "humiditySensor": "humidity",
    "accelerometer": "accelerometer",
    "barometer": "barometer",
    "gyrometer": "gyrometer",
}
G = 9.80665


def vectors() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(vector_path("iot/cayennelpp/vectors.json").read_text())
    return found


def told(samples: list[Sample]) -> dict[str, Any]:
    return {sample.name: sample.position or sample.value for sample in samples}


def expected(decoded: dict[str, dict[str, Any]]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    for kind, channels in decoded.items():
        for channel, value in channels.items():
            if kind == "gpsLocation":
                wanted["position"] = (value["latitude"], value["longitude"])
                wanted[f"gps_altitude_{channel}"] = value["altitude"]
            elif isinstance(value, dict):
                factor = G if kind == "accelerometer" else 1
                wanted |= {
                    f"{NAMES[kind]}_{channel}.{axis}": pytest.approx(part * factor, rel=1e-12)
                    for axis, part in value.items()
                }
            else:
                wanted[f"{NAMES[kind]}_{channel}"] = value
    return wanted


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["name"])
def test_a_frame_says_what_its_authors_say(vector: dict[str, Any]) -> None:
    """To the last digit: 27.2 and not 27.200000000000003."""
    assert told(cayenne.decode(bytes.fromhex(vector["hex"]))) == expected(vector["decoded"])
    count_vectors()


def sizes() -> dict[int, int]:
    table = json.loads(vector_path("iot/cayennelpp/types.json").read_text())
    extended = table.pop("_extended (pycayennelpp/ElectronicCats)")
    return {int(kind): entry[1] for kind, entry in table.items()} | {
        int(kind): int(said.split("B")[0].split()[-1]) for kind, said in extended.items()
    }


@pytest.mark.parametrize(("kind", "size"), sizes().items())
def test_every_type_of_the_table_has_its_size(kind: int, size: int) -> None:
    after = bytes.fromhex("0967ffd7")  # what follows is read only if the size was right
    samples = cayenne.decode(bytes([7, kind]) + bytes(size) + after)
    assert samples[-1].name == "temperature_9" and samples[-1].value == -4.1
    with pytest.raises(WireError, match="truncated"):
        cayenne.decode(bytes([7, kind]) + bytes(size - 1))
    count_vectors()


def test_no_other_type_is_known() -> None:
    for kind in set(range(256)) - set(sizes()):
        with pytest.raises(WireError, match="malformed_payload"):
            cayenne.decode(bytes([1, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0]))


def test_extended_types_have_their_scale_sign_and_unit() -> None:
    frame = "0174014a 0275ffff 0379ff9c 047afffff6 0582000003e8 067d01f4 078400b4 088e01"
    assert [(s.name, s.value, s.unit) for s in cayenne.decode(bytes.fromhex(frame))] == [
        ("voltage_1", 3.3, "V"),
        ("current_2", 65.535, "A"),
        ("altitude_3", -100.0, "m"),
        ("load_4", -0.01, "kg"),
        ("distance_5", 1.0, "m"),
        ("concentration_6", 500.0, "ppm"),
        ("direction_7", 180.0, "deg"),
        ("switch_8", 1.0, None),
    ]


def test_a_time_in_the_frame_is_the_time_of_each() -> None:
    frame = bytes.fromhex("0367 0110 01 85 60e43cc6 0568 28")
    assert [(s.name, s.value, s.time_ms) for s in cayenne.decode(frame)] == [
        ("temperature_3", 27.2, 1_625_570_502_000),
        ("humidity_5", 20.0, 1_625_570_502_000),
    ]
    with pytest.raises(WireError, match="more than one time"):
        cayenne.decode(frame + bytes.fromhex("01 85 60e43cc7"))


def test_a_frame_that_is_too_large_is_none() -> None:
    with pytest.raises(WireError, match="too_large"):
        cayenne.decode(bytes.fromhex("03670110") * 1_025)
