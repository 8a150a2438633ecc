"""Sparkplug B payloads (Sparkplug 3.0.0, chapter 6) into metrics as they were sent, and the one command that we send.

Contract: `decode` of any bytes gives a `Payload` or raises `WireError`, in time and memory linear in the payload; a metric
that cannot be read is a `WireError` in its place and takes no neighbour with it. What an alias means, and what a number
without a datatype is, only the birth certificate tells: `ingest/sparkplug` resolves it and then asks `value_as`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ingest.wire import sparkplug_messages as messages
from ingest.wire.errors import WireError
from ingest.wire.senml_record import MAX_BYTES, MAX_RECORDS

MAX_NAME = 255
MAX_PROPERTIES = 100
LATEST_MS = 2**53  # a later time, or a higher alias, is none that anybody meant
REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"

Value = float | str | bytes


class Datatype(IntEnum):
    """Indexes of Sparkplug 3.0.0, 6.4.16."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13
    TEXT = 14
    UUID = 15
    DATA_SET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATE_TIME_ARRAY = 34


_SIGNED_BITS = {Datatype.INT8: 8, Datatype.INT16: 16, Datatype.INT32: 32, Datatype.INT64: 64}
_UNSIGNED_BITS = {
    Datatype.UINT8: 8,
    Datatype.UINT16: 16,
    Datatype.UINT32: 32,
    Datatype.UINT64: 64,
    Datatype.DATE_TIME: 64,
}
_DATATYPES = frozenset(map(int, Datatype))
_TEXTS = (Datatype.STRING, Datatype.TEXT, Datatype.UUID)
_BYTES = (Datatype.BYTES, Datatype.FILE, *(kind for kind in Datatype if kind >= Datatype.INT8_ARRAY))
_PLAIN = (
    "int_value",
    "long_value",
    "float_value",
    "double_value",
    "boolean_value",
    "string_value",
    "bytes_value",
)
_COMPOUND = {
    "dataset_value": "a data set",
    "template_value": "a template",
    "extension_value": "an extension",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """As sent. `raw`: what its value field holds (an integer is still unsigned), None where it `null`s the metric.
    `bits`: width of the integer field it came in, 0 for other fields. `quality`: its property of that name, if it has one."""

    name: str | None
    alias: int | None
    time_ms: int | None
    datatype: int | None
    raw: int | float | bool | str | bytes | None
    bits: int = 0
    historical: bool = False
    transient: bool = False
    quality: int | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    """`sent_ms`: the node's clock at sending, UTC ms. `seq`: 0 to 255; a field that is absent is 0, as protobuf has it."""

    sent_ms: int | None
    seq: int
    metrics: tuple[Metric | WireError, ...]

    @property
    def bd_seq(self) -> int | None:
        """Which connection a birth or a death certificate belongs to."""
        found = (item.raw for item in self.metrics if isinstance(item, Metric) and item.name == BD_SEQ)
        number = next(found, None)
        return number if isinstance(number, int) and number < LATEST_MS else None


def decode(payload: bytes) -> Payload:
    """Raises WireError where the payload as a whole cannot be read."""
    if len(payload) > MAX_BYTES:
        raise WireError(
            "too_large", f"got {len(payload)} bytes, a payload has at most {MAX_BYTES}; send fewer metrics"
        )
    found: Any = _parsed(messages.payload, payload, "a Sparkplug B payload")
    if found.HasField("body"):
        kind = _text(found.uuid, "the uuid")[:80] or "no uuid"
        raise WireError(
            "unsupported_value", f"the payload has a body of its own ({kind}); send metrics, uncompressed"
        )
    if len(found.metrics) > MAX_RECORDS:
        raise WireError("too_large", f"got {len(found.metrics)} metrics, a payload has at most {MAX_RECORDS}")
    if found.seq > 255:
        raise WireError("malformed_sparkplug", f"seq is {found.seq}, want 0 to 255")
    sent_ms = _time_ms(found, "the payload's timestamp")
    return Payload(sent_ms, found.seq, tuple(_metric_or_fault(encoded) for encoded in found.metrics))


def value_as(metric: Metric, number: int | None, name: str) -> Value:
    """The value as its datatype has it: numbers and truth as float, text, bytes (arrays as they came: packed, little-endian).

    `number`: of its datatype, the metric's own, else its birth's. Raises WireError where the two do not go together.
    """
    raw = metric.raw
    if raw is None:
        raise ValueError(f"{name} is null and has no value")
    if number not in _DATATYPES:
        raise WireError("unsupported_value", f"{name} has no datatype that Sparkplug knows ({number})")
    datatype = Datatype(number)
    if datatype in _SIGNED_BITS or datatype in _UNSIGNED_BITS:
        return _integer(metric, datatype, name)
    if datatype in (Datatype.FLOAT, Datatype.DOUBLE) and isinstance(raw, float):
        return raw + 0.0  # -0 becomes 0
    if datatype == Datatype.BOOLEAN and isinstance(raw, int) and raw in (0, 1):
        return float(raw)
    if datatype in _TEXTS and isinstance(raw, str):
        return raw
    if datatype in _BYTES and isinstance(raw, bytes):
        return raw
    raise _mismatch(name, datatype)


def rebirth_request(now_ms: int) -> bytes:
    """The NCMD that asks an edge node for its birth certificates. It has no sequence number (Sparkplug 3.0.0, 6.4.20)."""
    asked = messages.metric(
        name=REBIRTH.encode(), timestamp=now_ms, datatype=Datatype.BOOLEAN, boolean_value=True
    )
    whole = messages.payload(timestamp=now_ms, metrics=[asked.SerializeToString()])
    encoded: bytes = whole.SerializeToString()
    return encoded


def _parsed(kind: type[messages.Message], encoded: bytes, what: str) -> messages.Message:
    try:
        return kind.FromString(encoded)
    except messages.DecodeError as error:
        raise WireError(
            "malformed_protobuf", f"not the protobuf of {what}; it may have been cut off: {error}"
        ) from error


def _metric_or_fault(encoded: bytes) -> Metric | WireError:
    try:
        return _metric(encoded)
    except WireError as error:
        return error


def _metric(encoded: bytes) -> Metric:
    found: Any = _parsed(messages.metric, encoded, "a metric")
    name = _name(found.name) if found.HasField("name") else None
    alias = found.alias if found.HasField("alias") else None
    if alias is not None and alias >= LATEST_MS:
        raise WireError("malformed_sparkplug", f"an alias is {alias}, want less than 2^53")
    called = repr(name) if name is not None else f"the metric of alias {alias}"
    raw, bits = _raw(found, called)
    return Metric(
        name=name,
        alias=alias,
        time_ms=_time_ms(found, f"the timestamp of {called}"),
        datatype=found.datatype if found.HasField("datatype") else None,
        raw=raw,
        bits=bits,
        historical=found.is_historical,
        transient=found.is_transient,
        quality=_quality(found.properties) if found.HasField("properties") else None,
    )


def _name(encoded: bytes) -> str:
    name = _text(encoded, "a metric's name")
    if len(name) > MAX_NAME:
        raise WireError("malformed_sparkplug", f"a metric's name has more than {MAX_NAME} characters")
    return name


def _text(encoded: bytes, what: str) -> str:
    try:
        text = encoded.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError("malformed_sparkplug", f"{what} is not valid UTF-8 at byte {error.start}") from error
    if "\0" in text:
        raise WireError("malformed_sparkplug", f"{what} has a NUL in it, which no table can hold")
    return text


def _time_ms(found: Any, what: str) -> int | None:
    if not found.HasField("timestamp"):
        return None
    time_ms: int = found.timestamp
    if time_ms >= LATEST_MS:
        raise WireError("impossible_time", f"{what} is {time_ms}, want milliseconds since 1970")
    return time_ms


def _raw(found: Any, called: str) -> tuple[int | float | bool | str | bytes | None, int]:
    """The value field, and the width of it where it is an integer's."""
    for field, what in _COMPOUND.items():
        if found.HasField(field):
            raise WireError("unsupported_value", f"{called} is {what}; send its members as metrics")
    given = [field for field in _PLAIN if found.HasField(field)]
    if found.is_null:
        return None, 0
    if len(given) != 1:
        raise WireError(
            "malformed_sparkplug",
            f"{called} has {'more than one value' if given else 'no value and is not null'}",
        )
    (field,) = given
    raw = getattr(found, field)
    if field == "string_value":
        return _text(raw, f"the text of {called}"), 0
    return raw, {"int_value": 32, "long_value": 64}.get(field, 0)


def _quality(encoded: bytes) -> int | None:
    """The property `Quality` (6.4.13), read from the first so many properties."""
    found: Any = _parsed(messages.property_set, encoded, "a property set")
    for key, value in list(zip(found.keys, found.values, strict=False))[:MAX_PROPERTIES]:
        if key == b"Quality":
            stated: Any = _parsed(messages.property_value, value, "a property")
            if stated.HasField("int_value") or stated.HasField("long_value"):
                return int(stated.int_value or stated.long_value)
    return None


def _integer(metric: Metric, datatype: Datatype, name: str) -> float:
    """A negative number comes as its two's complement, of the datatype's width or of the field's."""
    raw = metric.raw
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise _mismatch(name, datatype)
    width = _UNSIGNED_BITS.get(datatype)
    if width is not None:
        if raw >= 1 << width:
            raise WireError("malformed_sparkplug", f"{name} is {raw}, beyond what {datatype.name} holds")
        return float(raw)
    width = _SIGNED_BITS[datatype]
    for bits in (width, metric.bits):
        number = raw - (1 << bits) if raw >> (bits - 1) == 1 else raw
        if -(1 << (width - 1)) <= number < 1 << (width - 1):
            return float(number)
    raise WireError("malformed_sparkplug", f"{name} is {raw}, beyond what {datatype.name} holds")


def _mismatch(name: str, datatype: Datatype) -> WireError:
    return WireError(
        "malformed_sparkplug", f"{name} is said to be {datatype.name} and came as something else"
    )
