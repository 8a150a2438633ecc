"""ChirpStack v4 uplink events: both forms, decoded or raw, whose number is whose, and what is refused."""

from __future__ import annotations

import json
from struct import pack as packed
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.wire import chirpstack
from ingest.wire.chirpstack_event import MAX_BYTES, Uplink, parse
from ingest.wire.errors import WireError
from ingest.wire.profile import Profile
from ingest.wire.profiles import Profiles, load
from ingest.wire.senml import Pack
from tests.unit.ingest.wire.uplinks import DEV_EUI, OBJECT, PROTOBUF, PROTOBUF_DECODED, event, in_json

TIME_MS = 1_781_834_340_123
RECEIVED_MS = 1_781_834_345_000
RENAMED = Profile.model_validate(
    {
        "profile": "decoded",
        "object": {
            "channels": [{"name": "Hum_SHT", "channel": "humidity", "quantity": "humidity", "unit": "%RH"}],
            "ignore": ["Bat_status", "note", "list.0", "list.1.a", "door"],
        },
    }
)
PROFILES = Profiles({**load().known, "decoded": RENAMED}, {})


def decode(payload: bytes, profile: str | None = None, registered: tuple[str, ...] = ()) -> Pack:
    return chirpstack.decode(
        payload, DEV_EUI, profile, PROFILES, dict.fromkeys(registered, "number"), RECEIVED_MS
    )


def told(pack: Pack) -> dict[str, Any]:
    return {
        record.channel: next(x for x in (record.position, record.value, record.text) if x is not None)
        for record in pack.records
    }


def refused(payload: bytes, profile: str | None = None) -> str:
    with pytest.raises(WireError) as found:
        decode(payload, profile)
    assert len(found.value.detail) > 15
    return found.value.reason


BYTES = {"temperature": 28.29, "humidity": 88.6, "probe": 27.81}
MEMBERS = {
    "TempC_SHT": 28.29,
    "Hum_SHT": 88.6,
    "Bat_status": 3.0,
    "door": 1.0,
    "note": "Temperature Sensor",
    "position": (28.85, 120.7),
    "list.0": 1.0,
    "list.1.a": 2.0,
}


@pytest.mark.parametrize("payload", [PROTOBUF, in_json()], ids=["protobuf", "json"])
def test_bytes_are_read_by_the_devices_profile(payload: bytes) -> None:
    pack = decode(payload, "dragino-lht65")
    assert told(pack) == BYTES
    assert {record.time_ms for record in pack.records} == {TIME_MS} and not pack.server_time
    assert (pack.boot, pack.seq, pack.sent_ms) == (0x01A2B3C4, 42, None)


@pytest.mark.parametrize("payload", [PROTOBUF_DECODED, in_json(object=OBJECT)], ids=["protobuf", "json"])
def test_what_the_network_server_decoded_is_read_by_name(payload: bytes) -> None:
    assert told(decode(payload)) == MEMBERS
    assert told(decode(payload, "decoded")) == {
        "TempC_SHT": 28.29,
        "humidity": 88.6,
        "position": (28.85, 120.7),
    }
    assert told(decode(payload, "dragino-lht65")) == BYTES, "a profile that reads bytes goes before it"


def test_battery_and_radio_are_readings_where_they_are_registered() -> None:
    """Of the gateway that heard it best."""
    for payload in (PROTOBUF_DECODED, in_json(object=OBJECT)):
        found = decode(payload, None, ("battery", "rssi", "snr"))
        assert told(found) == MEMBERS | {"battery": 91.0, "rssi": -61.0, "snr": 9.25}
        assert {record.channel: record.unit for record in found.records}["rssi"] == "dBm"


def test_cayenne_is_a_profile_like_any_other() -> None:
    assert told(decode(in_json(data="A2cBEA=="), "cayenne")) == {"temperature_3": 27.2}


def test_a_device_with_a_clock_says_its_own_time() -> None:
    pack = decode(in_json(data="DlUBCGIIZ2DkPMY="), "dragino-ltc2")
    assert {record.time_ms for record in pack.records} == {1_625_570_502_000}


def test_without_a_gateways_clock_the_network_servers_stands_and_then_ours() -> None:
    pack = decode(in_json(time=None), "dragino-lht65")
    assert {record.time_ms for record in pack.records} == {1_781_834_340_200} and not pack.server_time
    pack = decode(in_json(time=None, rxInfo=None), "dragino-lht65")
    assert {record.time_ms for record in pack.records} == {RECEIVED_MS} and pack.server_time


@pytest.mark.parametrize("profile", [None, "dragino-lht65", "decoded"])
def test_a_frame_for_the_network_alone_has_a_number_and_no_readings(profile: str | None) -> None:
    """Its number counts: otherwise every such frame would be a gap."""
    for payload in (in_json(data="", fPort=0), in_json(data=None, fPort=None)):
        assert refused(payload, profile) == "empty_pack"
        assert chirpstack.identity_of_unreadable(payload) == (0x01A2B3C4, 42)
        assert told(decode(payload, profile, ("rssi",))) == {"rssi": -61.0}


def test_what_is_refused_keeps_its_number_where_it_has_one() -> None:
    assert chirpstack.identity_of_unreadable(PROTOBUF) == (0x01A2B3C4, 42)
    assert chirpstack.identity_of_unreadable(in_json(fPort=42)) == (0x01A2B3C4, 42)
    assert chirpstack.identity_of_unreadable(in_json(devAddr="x")) is None
    assert chirpstack.identity_of_unreadable(PROTOBUF[:-1]) is None


def test_the_first_frame_of_a_session_is_number_one() -> None:
    pack = decode(in_json(fCnt=None), "dragino-lht65")
    assert (pack.boot, pack.seq) == (0x01A2B3C4, 1)
    assert decode(in_json(devAddr=""), "dragino-lht65").boot is None
    assert decode(in_json(devAddr="01A2B3C4"), "dragino-lht65").boot == 0x01A2B3C4


@pytest.mark.parametrize(
    ("payload", "profile", "reason"),
    [
        (in_json(), None, "unknown_profile"),
        (in_json(), "decoded", "unknown_profile"),
        (in_json(), "nobody", "unknown_profile"),
        (in_json(object=OBJECT), "teltonika", "unknown_profile"),
        (in_json(fPort=42), "dragino-lht65", "unknown_port"),
        (in_json(data="y/YLDQN2AQrdf/8A"), "dragino-lht65", "malformed_payload"),
        (in_json(data="A2cB"), "cayenne", "truncated"),
        (in_json(data="not base64"), "dragino-lht65", "malformed_uplink"),
        (
            in_json(joinServerContext={"sessionKeyId": "00", "appSKey": None}),
            "dragino-lht65",
            "sealed_uplink",
        ),
        (in_json(deviceInfo={"devEui": "a84041ffff1234ac"}), "dragino-lht65", "malformed_uplink"),
        (in_json(deviceInfo={"devEui": "12"}), "dragino-lht65", "malformed_uplink"),
        (in_json(deviceInfo=None), "dragino-lht65", "malformed_uplink"),
        (in_json(time="2026-06-19T01:59:00"), "dragino-lht65", "malformed_uplink"),
        (in_json(fCnt="41"), "dragino-lht65", "malformed_uplink"),
        (in_json(object=[1]), None, "malformed_uplink"),
        (in_json(object={str(number): 1 for number in range(1001)}), None, "too_large"),
        (in_json(object=json.loads('{"a":' * 9 + "1" + "}" * 9)), None, "malformed_uplink"),
        (in_json(object={"a" * 256: {"b": 1}}), None, "malformed_uplink"),
        (b'{"object": ' + b"[" * 20_000, None, "malformed_json"),
        (in_json()[:-1], "dragino-lht65", "truncated"),
        (in_json().replace(b"{", b"[", 1), "dragino-lht65", "malformed_uplink"),
        (PROTOBUF[:-1], "dragino-lht65", "malformed_uplink"),
        (b"", None, "malformed_uplink"),
        (b"\x0a", None, "malformed_uplink"),
        (b"{" + b" " * MAX_BYTES, None, "too_large"),
    ],
    ids=range(25),
)
def test_what_cannot_be_read_says_why(payload: bytes, profile: str | None, reason: str) -> None:
    assert refused(payload, profile) == reason


def test_a_number_beyond_a_double_is_a_reason_and_no_fault() -> None:
    payload = in_json(object={"x": 1}).replace(b'"x": 1', b'"x": 1' + b"0" * 400)
    assert refused(payload) in ("malformed_json", "not_a_number", "malformed_uplink")


def test_a_time_that_no_clock_shows_is_a_reason_and_no_fault() -> None:
    seconds = bytes.fromhex(
        "120b08ffffffffffffffff7f10959aef3a"
    )  # in the place of 12 0b 08e4c4d2d106 10959aef3a
    payload = PROTOBUF.replace(
        bytes.fromhex("120b08e4c4d2d10610959aef3a"), bytes([0x12, 0x0F]) + seconds[2:], 1
    )
    assert refused(payload, "dragino-lht65") == "impossible_time"


def test_an_event_in_json_that_begins_with_a_line_is_json() -> None:
    assert told(decode(b"\n" + in_json(), "dragino-lht65")) == BYTES


# --- one meaning, two forms ---------------------------------------------------------------------------------------

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(decoded=st.dictionaries(names, values, max_size=4), f_cnt=st.integers(0, 2**32 - 1))
def test_an_event_means_the_same_in_either_form(decoded: dict[str, Any], f_cnt: int) -> None:
    """Written to the standard's own text for protobuf's JSON values, so that our tables do not check themselves."""
    as_json = json.dumps(event(object=decoded, fCnt=f_cnt, data="", time=None, rxInfo=None)).encode()
    eui = field(3, field(8, DEV_EUI.encode()))
    as_protobuf = eui + field(4, b"01a2b3c4") + number(7, f_cnt) + number(8, 2) + field(11, struct(decoded))
    assert outcome(as_protobuf) == outcome(as_json)


def outcome(payload: bytes) -> Uplink | str:
    try:
        return parse(payload)
    except WireError as error:
        return error.reason


def number(tag: int, value: int) -> bytes:
    return varint(tag << 3) + varint(value)


def field(tag: int, value: bytes) -> bytes:
    return varint(tag << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    groups = []
    while True:
        groups.append(value & 0x7F)
        value >>= 7
        if not value:
            return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def struct(value: dict[str, Any]) -> bytes:
    return b"".join(
        field(1, field(1, name.encode()) + field(2, one_value(inner))) for name, inner in value.items()
    )


def one_value(value: Any) -> bytes:
    match value:
        case None:
            return number(1, 0)
        case bool():
            return number(4, value)
        case float():
            return varint(2 << 3 | 1) + packed("<d", value)
        case str():
            return field(3, value.encode())
        case dict():
            return field(5, struct(value))
        case _:
            return field(6, b"".join(field(1, one_value(inner)) for inner in value))
