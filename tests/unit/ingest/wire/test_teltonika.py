"""Teltonika AVL packets: every vector of the vendor's examples, those that must fail, and what becomes of a record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingest.wire import teltonika
from ingest.wire.errors import WireError
from ingest.wire.profiles import load
from ingest.wire.teltonika import Record, crc_16_ibm
from tests.vectors import count_vectors, vector_path

IMEI = "352093086403655"
PROFILES = load()


def vectors(part: str) -> list[Any]:
    found: list[Any] = json.loads(vector_path("iot/teltonika/vectors.json").read_text())[part]
    return found


def told(record: Record) -> dict[str, Any]:
    latitude, longitude = record.position
    return {
        "timestamp_ms": record.time_ms,
        "priority": record.priority,
        "latitude": latitude,
        "longitude": longitude,
        "altitude": record.altitude_m,
        "angle": record.heading_deg,
        "satellites": record.satellites,
        "speed": record.speed_km_h,
        "event_id": record.event,
        "io": {
            str(name): f"hex:{value.hex()}" if isinstance(value, bytes) else value
            for name, value, _ in record.io
        },
    }


@pytest.mark.parametrize("vector", vectors("avl"), ids=lambda vector: f"{vector['codec']}-{vector['over']}")
def test_a_packet_says_what_its_authors_say(vector: dict[str, Any]) -> None:
    imei, records = teltonika.parse(bytes.fromhex(vector["hex"]))
    wanted = [
        {key: value for key, value in item.items() if key != "generation_type"} for item in vector["avl"]
    ]
    assert [told(record) for record in records] == wanted
    assert imei == vector.get("imei")
    count_vectors()


@pytest.mark.parametrize("vector", vectors("commands"), ids=lambda vector: str(vector["codec"]))
def test_a_command_is_refused_as_one(vector: dict[str, Any]) -> None:
    with pytest.raises(WireError, match=f"command_packet: codec {vector['codec']} ") as found:
        teltonika.parse(bytes.fromhex(vector["hex"]))
    assert found.value.reason == "command_packet"
    count_vectors()


@pytest.mark.parametrize("packet", [*vectors("must_fail_tcp"), *vectors("must_fail_udp")])
def test_what_must_fail_fails(packet: str) -> None:
    with pytest.raises(WireError) as found:
        teltonika.parse(bytes.fromhex(packet))
    assert found.value.reason in ("bad_checksum", "malformed_avl", "truncated")
    count_vectors()


def test_the_checksum_is_the_published_one() -> None:
    assert crc_16_ibm(b"123456789") == 0xBB3D


@pytest.mark.parametrize("vector", vectors("avl"), ids=lambda vector: f"{vector['codec']}-{vector['over']}")
def test_no_part_of_a_packet_is_a_packet_and_no_changed_bit_passes_the_checksum(
    vector: dict[str, Any],
) -> None:
    packet = bytes.fromhex(vector["hex"])
    for cut in range(len(packet)):
        with pytest.raises(WireError):
            teltonika.parse(packet[:cut])
    with pytest.raises(WireError):
        teltonika.parse(packet + b"\0")
    if vector["over"] == "tcp":
        for place in range(8, len(packet)):
            with pytest.raises(WireError):
                teltonika.parse(packet[:place] + bytes([packet[place] ^ 1]) + packet[place + 1 :])


# --- into readings ----------------------------------------------------------------------------------------------------


def packet(satellites: int, io: dict[int, tuple[int, int]], time_ms: int = 1_781_834_340_000) -> bytes:
    """A codec 8 packet of one record. `io`: (value, width) by id."""
    position = (1207000000).to_bytes(4) + (288500000).to_bytes(4) + bytes.fromhex("002a 010e")
    record = time_ms.to_bytes(8) + b"\1" + position + bytes([satellites]) + (36).to_bytes(2) + b"\0"
    record += bytes([len(io)])
    for width in (1, 2, 4, 8):
        inside = [(name, value) for name, (value, wide) in io.items() if wide == width]
        record += bytes([len(inside)])
        record += b"".join(bytes([name]) + (value % 256**width).to_bytes(width) for name, value in inside)
    data = b"\x08\x01" + record + b"\x01"
    return bytes(4) + len(data).to_bytes(4) + data + crc_16_ibm(data).to_bytes(4)


def read(payload: bytes, registered: tuple[str, ...] = (), profile: str | None = None) -> dict[str, Any]:
    pack = teltonika.decode(payload, IMEI, profile, PROFILES, dict.fromkeys(registered, ""))
    assert (pack.boot, pack.seq, pack.sent_ms, pack.server_time) == (None, None, None, False)
    assert {record.time_ms for record in pack.records} <= {1_781_834_340_000}
    return {
        record.channel: (record.position or record.value or record.data, record.unit)
        for record in pack.records
    }


def test_a_record_is_a_position_and_its_elements() -> None:
    companions = ("speed", "heading", "altitude", "satellites")
    found = read(packet(7, {72: (-184, 4), 1: (1, 1), 21: (4, 1)}), companions)
    assert found == {
        "position": ((28.85, 120.7), "deg"),
        "speed": (36.0, "km/h"),
        "altitude": (42.0, "m"),
        "heading": (270.0, "deg"),
        "satellites": (7.0, "count"),
        "temperature_1": (-18.4, "Cel"),
        "digital_input_1": (1.0, "/"),
    }


def test_the_companions_of_a_position_are_wanted_only_where_they_are_registered() -> None:
    assert read(packet(7, {})) == {"position": ((28.85, 120.7), "deg")}


def test_without_satellites_there_is_no_position() -> None:
    """The receiver then repeats its last fix, or zeros: the truck is not in the Gulf of Guinea."""
    assert read(packet(0, {1: (1, 1)}), ("speed",)) == {"digital_input_1": (1.0, "/")}


@pytest.mark.parametrize("raw", [850, 2000, 3000, 4000, 5000])
def test_an_error_code_is_no_temperature(raw: int) -> None:
    assert read(packet(0, {72: (raw, 4), 73: (45, 4)})) == {"temperature_2": (4.5, "Cel")}


def test_an_element_that_nobody_described_keeps_its_number_and_is_not_lost() -> None:
    assert read(packet(0, {251: (9, 2)})) == {"io_251": (9.0, None)}


def test_a_packet_of_another_tracker_is_refused() -> None:
    (udp, *_) = (bytes.fromhex(vector["hex"]) for vector in vectors("avl") if vector["over"] == "udp")
    assert teltonika.decode(udp, IMEI, None, PROFILES, {}).records
    with pytest.raises(WireError, match="malformed_avl: the topic names the tracker"):
        teltonika.decode(udp, "352093086403656", None, PROFILES, {})


def test_a_login_carries_no_records() -> None:
    with pytest.raises(WireError, match="malformed_avl: a login"):
        teltonika.parse(bytes.fromhex("000F333536333037303432343431303133"))


def test_a_profile_of_something_else_is_refused() -> None:
    with pytest.raises(WireError, match="unknown_profile"):
        read(packet(0, {}), profile="dragino-lht65")
