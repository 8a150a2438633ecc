"""Sparkplug B payloads: every datatype as it was meant, every vector, and any bytes give a payload or a reason."""

from __future__ import annotations

import base64
import json
import math
import struct
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.wire.errors import WireError
from ingest.wire.sparkplug import (
    MAX_RECORDS,
    Datatype,
    Metric,
    Payload,
    decode,
    rebirth_request,
    value_as,
)
from ingest.wire.sparkplug_topics import SparkplugAddress, is_id, parse_topic
from tests.unit.ingest.wire.sparkplug_writing import DATATYPES, PAYLOADS, length, metric, payload, quality
from tests.vectors import count_vectors, vector_path


def only(encoded: bytes) -> Metric:
    (found,) = decode(payload(encoded)).metrics
    assert isinstance(found, Metric)
    return found


def fault(encoded: bytes) -> WireError:
    (found,) = decode(payload(encoded)).metrics
    assert isinstance(found, WireError)
    return found


def refused(call: Any, *arguments: Any) -> str:
    with pytest.raises(WireError) as caught:
        call(*arguments)
    assert len(caught.value.detail) > 15, "a sentence a person understands"
    return caught.value.reason


# --- vectors --------------------------------------------------------------------------------------------------------


def vectors() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        vector_path("iot/sparkplug/payload_vectors.json").read_text(encoding="utf-8")
    )
    return found


def test_each_vector_says_what_its_maker_says() -> None:
    for vector in vectors():
        found = decode(base64.b64decode(vector["b64"]))
        wanted = vector["decoded"]
        assert (found.sent_ms, found.seq) == (wanted["timestamp"], wanted["seq"])
        told = []
        for item in found.metrics:
            assert isinstance(item, Metric) and item.datatype is not None
            value = value_as(item, item.datatype, "it")
            named = {"name": item.name} if item.name is not None else {}
            kind = next(name for name, index in DATATYPES.items() if index == item.datatype)
            told.append({**named, "alias": item.alias, "datatype": kind, "value": value})
        assert told == wanted["metrics"] and len(told) == vector["metric_count"]
        count_vectors()


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("Int8", -1, -1.0), ("Int8", 127, 127.0), ("Int16", -300, -300.0), ("Int32", -(2**31), -(2.0**31)),
        ("Int64", -5, -5.0), ("UInt8", 255, 255.0), ("UInt16", 65535, 65535.0), ("UInt32", 2**32 - 1, 2.0**32 - 1),
        ("UInt64", 2**53, 2.0**53), ("Float", 2.5, 2.5), ("Double", -18.25, -18.25), ("Boolean", True, 1.0),
        ("Boolean", False, 0.0), ("String", "冷库", "冷库"), ("Text", "", ""), ("UUID", "a-b", "a-b"),
        ("DateTime", 1_781_834_340_000, 1_781_834_340_000.0), ("Bytes", b"\x00\xff", b"\x00\xff"), ("File", b"x", b"x"),
        ("Int16Array", b"\x01\x00\xff\xff", b"\x01\x00\xff\xff"), ("DoubleArray", b"", b""),
    ],
)  # fmt: skip
def test_each_datatype_is_what_was_meant(kind: str, value: Any, wanted: Any) -> None:
    found = only(metric("a", value, kind))
    assert value_as(found, found.datatype, "a") == wanted


def test_a_small_signed_number_may_come_in_its_own_width() -> None:
    """Some write an Int8 of -1 as 255, some as 2^32-1, some in the field of 64 bits."""
    for raw, field in ((0xFF, "int"), (2**32 - 1, "int"), (2**64 - 1, "long")):
        assert value_as(only(metric("a", **{field: raw})), Datatype.INT8, "a") == -1.0
    assert refused(value_as, only(metric("a", int=0x1234)), Datatype.INT8, "a") == "malformed_sparkplug"


def test_minus_zero_is_zero() -> None:
    assert math.copysign(1.0, float(value_as(only(metric("a", -0.0, "Double")), 10, "a"))) == 1.0


@pytest.mark.parametrize(
    ("encoded", "datatype", "reason"),
    [
        (metric("a", 1.0, "Double"), Datatype.INT32, "malformed_sparkplug"),
        (metric("a", True, "Boolean"), Datatype.INT32, "malformed_sparkplug"),
        (metric("a", "x", "String"), Datatype.DOUBLE, "malformed_sparkplug"),
        (metric("a", int=2), Datatype.BOOLEAN, "malformed_sparkplug"),
        (metric("a", int=256), Datatype.UINT8, "malformed_sparkplug"),
        (metric("a", int=1), None, "unsupported_value"),
        (metric("a", int=1), 0, "unsupported_value"),
        (metric("a", int=1), 99, "unsupported_value"),
    ],
)
def test_a_value_that_is_not_of_its_datatype_is_refused(
    encoded: bytes, datatype: int | None, reason: str
) -> None:
    assert refused(value_as, only(encoded), datatype, "a") == reason


def test_the_flags_of_a_metric_are_kept() -> None:
    found = only(
        metric(
            "a", 1.5, "Double", alias=7, timestamp=5, is_historical=1, is_transient=1, properties=quality(0)
        )
    )
    assert (found.alias, found.time_ms, found.historical, found.transient, found.quality) == (
        7,
        5,
        True,
        True,
        0,
    )
    assert only(metric("a", is_null=1, datatype=10)).raw is None
    plain = only(metric("a", 1.5, "Double"))
    assert (plain.alias, plain.time_ms, plain.historical, plain.transient, plain.quality) == (None, None, False, False, None)  # fmt: skip


# --- what is wrong takes no neighbour with it -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (metric("a", b"\x08\x01", "DataSet"), "unsupported_value"),
        (metric("a", b"\x2a\x00", "Template"), "unsupported_value"),
        (metric("a", datatype=10), "malformed_sparkplug"),
        (metric("a", 1.5, "Double", int=3), "malformed_sparkplug"),
        (metric("a" * 256, 1.5, "Double"), "malformed_sparkplug"),
        (metric("a\0b", 1.5, "Double"), "malformed_sparkplug"),
        (length(1, b"\xff\xfe") + metric(None, 1.5, "Double"), "malformed_sparkplug"),
        (metric("a", "x\0", "String"), "malformed_sparkplug"),
        (metric("a", 1.5, "Double", timestamp=2**63), "impossible_time"),
        (metric("a", 1.5, "Double", alias=2**60), "malformed_sparkplug"),
        (metric("a", 1.5, "Double")[:-3], "malformed_protobuf"),
        (metric("a", 1.5, "Double", properties=b"\x0a\xff"), "malformed_protobuf"),
    ],
)
def test_a_bad_metric_is_a_reason_in_its_place(encoded: bytes, reason: str) -> None:
    good = metric("b", 2.0, "Double")
    found = decode(payload(good, encoded, good)).metrics
    assert isinstance(found[1], WireError) and found[1].reason == reason
    assert len(found[1].detail) > 15
    assert found[0] == found[2] == only(good)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (payload(metric("a", 1.5, "Double"), seq=256), "malformed_sparkplug"),
        (payload(metric("a", 1.5, "Double"), timestamp=2**60), "impossible_time"),
        (payload(rest=length(4, "SPBV1.0_COMPRESSED") + length(5, b"\x78\x9c")), "unsupported_value"),
        (payload(*[b""] * (MAX_RECORDS + 1)), "too_large"),
        (bytes(1_048_577), "too_large"),
        (payload(metric("a", 1.5, "Double"))[:-1], "malformed_protobuf"),
        (b'[{"n":"temperature","v":4}]', "malformed_protobuf"),
    ],
)
def test_what_is_no_payload_says_why(encoded: bytes, reason: str) -> None:
    assert refused(decode, encoded) == reason


def test_nothing_at_all_is_a_payload_without_metrics() -> None:
    assert decode(b"") == Payload(None, 0, ())


BOMBS = {
    "half a million empty metrics": b"\x12\x00" * 524_288,
    "groups within groups": b"\x0b" * 1_000_000,
    "properties": payload(metric("a", 1.0, "Double", properties=(length(1, "k") + length(2, b"")) * 100_000)),
    "properties of properties": payload(
        metric("a", 1.0, "Double", properties=length(2, length(9, length(2, b""))) * 50_000)
    ),
    "a length of 4 GiB": b"\x12\xff\xff\xff\xff\x0f",
    "a length of 2^63": b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
}
MEASURE = """
import resource, sys
from ingest.wire import sparkplug
from ingest.wire.errors import WireError
encoded = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    sparkplug.decode(encoded)
except WireError:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_costs_little(bomb: bytes) -> None:
    """Measured in a process of its own: the library's memory is none that Python counts."""
    ran = subprocess.run([sys.executable, "-c", MEASURE], input=bomb, capture_output=True, check=True)
    assert int(ran.stdout) < 40_000, "kB"


def nested(depth: int) -> bytes:
    inner = metric("leaf", 1.0, "Double")
    while depth and len(inner) < 100_000:
        inner, depth = length(1, "t") + length(18, length(2, inner)), depth - 1
    return inner


def test_templates_in_templates_are_refused_without_a_look_inside() -> None:
    assert fault(nested(30_000)).reason == "unsupported_value"


@given(PAYLOADS)
def test_any_bytes_are_a_payload_or_a_reason(encoded: bytes) -> None:
    try:
        found = decode(encoded)
    except WireError:
        return
    assert 0 <= found.seq <= 255
    for item in found.metrics:
        if isinstance(item, Metric) and item.raw is not None:
            for datatype in (item.datatype, *range(35)):
                try:
                    value = value_as(item, datatype, "it")
                except WireError:
                    continue
                assert type(value) in (float, str, bytes)


@given(st.integers(-(2**31), 2**31 - 1))
def test_an_integer_comes_back_as_it_went(value: int) -> None:
    found = only(metric("a", value, "Int32"))
    assert value_as(found, found.datatype, "a") == value
    assert value_as(only(metric("a", value, "Int64")), Datatype.INT64, "a") == value


@given(st.floats(width=32, allow_nan=False))
def test_a_float_of_32_bits_is_the_double_that_it_is(value: float) -> None:
    assert value_as(only(metric("a", value, "Float")), Datatype.FLOAT, "a") == struct.unpack("<f", struct.pack("<f", value))[0]  # fmt: skip


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_rebirth_request_is_what_the_standard_says() -> None:
    """tck-id-operational-behavior-data-commands-ncmd-rebirth-name, -value; -payloads-ncmd-timestamp, -seq."""
    wanted = payload(
        metric("Node Control/Rebirth", timestamp=1_781_834_405_000, datatype=11, boolean=1),
        timestamp=1_781_834_405_000,
    )
    assert rebirth_request(1_781_834_405_000) == wanted


# --- topics -----------------------------------------------------------------------------------------------------------


def test_topics_name_their_node_and_device() -> None:
    assert parse_topic("spBv1.0/冷链/NDATA/gw 1".encode()) == SparkplugAddress("冷链", "NDATA", "gw 1")
    found = parse_topic(b"spBv1.0/plant/DBIRTH/gw1/probe-7")
    assert found == SparkplugAddress("plant", "DBIRTH", "gw1", "probe-7")
    assert (found.external_id, parse_topic(b"spBv1.0/plant/NDATA/gw1").external_id) == ("plant/gw1/probe-7", "plant/gw1")  # fmt: skip


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        (b"spBv1.0/plant/NDATA/gw1/probe", "unknown_topic"),
        (b"spBv1.0/plant/DDATA/gw1", "unknown_topic"),
        (b"spBv1.0/plant/NDATA/", "unknown_topic"),
        (b"spBv1.0/plant/ndata/gw1", "unknown_topic"),
        (b"spBv1.0/STATE/host", "unknown_topic"),
        (b"spAv1.0/plant/NDATA/gw1", "unknown_topic"),
        (b"spBv1.0/plant/NDATA/g\xff", "topic_not_utf8"),
        (b"spBv1.0", "unknown_topic"),
        (b"", "unknown_topic"),
    ],
)
def test_topics_outside_the_grammar_say_why(topic: bytes, reason: str) -> None:
    assert refused(parse_topic, topic) == reason


@given(st.binary(max_size=60))
def test_any_topic_is_an_address_or_a_reason(topic: bytes) -> None:
    for each in (topic, b"spBv1.0/" + topic):
        try:
            found = parse_topic(each)
        except WireError:
            continue
        assert is_id(found.group) and is_id(found.node)
