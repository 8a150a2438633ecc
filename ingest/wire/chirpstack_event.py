"""A ChirpStack v4 uplink event, in JSON or protobuf, into one form.

Contract: `parse` of any bytes gives an `Uplink` or raises `WireError`, in time and memory linear in the payload; the two
forms are told apart by the first byte. Only what is used is read: messages within messages stay bytes until they are
asked for, so that what we do not know costs nothing. Source: ChirpStack's integration.proto and gw.proto (field numbers),
its JSON being the protobuf JSON mapping.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from ingest.wire.errors import WireError
from ingest.wire.protobuf import DecodeError, Message, described

MAX_BYTES = 65_536  # an uplink carries 242 bytes; the rest is what gateways and the network say of it
MAX_DEPTH = 8  # of a decoded object
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Uplink:
    """`dev_eui`, `dev_addr`: lower hexadecimal. `time_ms`: when the gateway heard it, UTC ms, by the gateway's clock or, where
    that has none, the network server's. `received`: (rssi in dBm, snr in dB or None) by gateway. `sealed`: the payload is
    encrypted end to end, past the network server."""

    dev_eui: str
    dev_addr: str
    f_cnt: int
    f_port: int
    data: bytes
    object: Any
    time_ms: int | None
    received: tuple[tuple[float, float | None], ...]
    sealed: bool


def parse(payload: bytes) -> Uplink:
    if len(payload) > MAX_BYTES:
        raise WireError("too_large", f"got {len(payload)} bytes, an uplink event has at most {MAX_BYTES}")
    # A protobuf event begins with its UUID: a line feed and the length 36, which is no brace.
    return _json(payload) if payload.lstrip(b" \t\r\n")[:1] == b"{" else _protobuf(payload)


# --- JSON ---------------------------------------------------------------------------------------------------------

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Gateway(msgspec.Struct, rename="camel"):
    rssi: float | None = None
    snr: float | None = None
    ns_time: _Moment | None = None


class _DeviceInfo(msgspec.Struct, rename="camel"):
    dev_eui: str = ""


class _Event(msgspec.Struct, rename="camel"):
    device_info: _DeviceInfo
    time: _Moment | None = None
    dev_addr: str = ""
    f_cnt: int = 0
    f_port: int = 0
    data: bytes | None = None
    object: Any = None
    rx_info: list[_Gateway] | None = None
    join_server_context: Any = None


_decoder = msgspec.json.Decoder(_Event, strict=True)


def _json(payload: bytes) -> Uplink:
    try:
        event = _decoder.decode(payload)
    except RecursionError as error:
        raise WireError("malformed_json", "the event is nested too deeply") from error
    except msgspec.ValidationError as error:
        raise WireError("malformed_uplink", f"no ChirpStack v4 uplink event: {error}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = "truncated" if "truncated" in str(error) else "malformed_json"
        raise WireError(reason, f"no JSON of an uplink event: {error}") from error
    gateways = event.rx_info or []
    moments = [
        event.time or min((moment for gateway in gateways if (moment := gateway.ns_time)), default=None)
    ]
    return Uplink(
        dev_eui=_hexadecimal(event.device_info.dev_eui, 16),
        dev_addr=event.dev_addr.lower(),
        f_cnt=event.f_cnt,
        f_port=event.f_port,
        data=event.data or b"",
        object=event.object,
        time_ms=next((_ms(moment) for moment in moments if moment), None),
        received=tuple((gateway.rssi, gateway.snr) for gateway in gateways if gateway.rssi is not None),
        sealed=bool(event.join_server_context),
    )


def _ms(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _hexadecimal(text: str, digits: int) -> str:
    if not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", text, re.ASCII):
        raise WireError("malformed_uplink", f"devEui is {text[:40]!r}, want {digits} hexadecimal digits")
    return text.lower()


# --- protobuf -----------------------------------------------------------------------------------------------------

_event = described(
    "UplinkEvent",
    """
    2 time bytes
    3 device_info bytes
    4 dev_addr bytes
    7 f_cnt uint32
    8 f_port uint32
    10 data bytes
    11 object bytes
    12 rx_info *bytes
    15 join_server_context bytes
    """,
)
_device_info = described("DeviceInfo", "8 dev_eui bytes")
_rx_info = described("UplinkRxInfo", "6 rssi int32\n7 snr float\n17 ns_time bytes")
_timestamp = described("Timestamp", "1 seconds int64\n2 nanos int32")
_struct = described("Struct", "1 fields *bytes")
_entry = described("Entry", "1 key bytes\n2 value bytes")
_value = described(
    "Value",
    """
    1 null_value uint64
    2 number_value double
    3 string_value bytes
    4 bool_value bool
    5 struct_value bytes
    6 list_value bytes
    """,
)
_list = described("ListValue", "1 values *bytes")


def _protobuf(payload: bytes) -> Uplink:
    try:
        event: Any = _read(_event, payload)
        gateways: list[Any] = [_read(_rx_info, one) for one in event.rx_info]
        heard = [_protobuf_ms(gateway.ns_time) for gateway in gateways if gateway.HasField("ns_time")]
        info: Any = _read(_device_info, event.device_info)
        return Uplink(
            dev_eui=_hexadecimal(info.dev_eui.decode(), 16),
            dev_addr=event.dev_addr.decode().lower(),
            f_cnt=event.f_cnt,
            f_port=event.f_port,
            data=event.data,
            object=_object(event.object, MAX_DEPTH) if event.HasField("object") else None,
            time_ms=_protobuf_ms(event.time) if event.HasField("time") else min(heard, default=None),
            received=tuple((float(gateway.rssi), float(gateway.snr)) for gateway in gateways),
            sealed=bool(event.join_server_context),
        )
    except (DecodeError, UnicodeDecodeError) as error:
        raise WireError(
            "malformed_uplink", f"neither JSON nor the protobuf of an uplink event: {error}"
        ) from error


def _read(kind: type[Message], payload: bytes) -> Message:
    return kind.FromString(payload)


def _protobuf_ms(payload: bytes) -> int:
    moment: Any = _read(_timestamp, payload)
    return int(moment.seconds) * 1000 + int(moment.nanos) // 1_000_000


def _object(payload: bytes, depth: int) -> dict[str, Any]:
    """google.protobuf.Struct."""
    if depth == 0:
        raise WireError("malformed_uplink", f"the object is nested more than {MAX_DEPTH} deep")
    struct: Any = _read(_struct, payload)
    entries: list[Any] = [_read(_entry, one) for one in struct.fields]
    return {entry.key.decode(): _plain(entry.value, depth) for entry in entries}


def _plain(payload: bytes, depth: int) -> Any:
    value: Any = _read(_value, payload)
    if value.HasField("struct_value"):
        return _object(value.struct_value, depth - 1)
    if value.HasField("list_value"):
        if depth == 0:
            raise WireError("malformed_uplink", f"the object is nested more than {MAX_DEPTH} deep")
        listed: Any = _read(_list, value.list_value)
        return [_plain(one, depth - 1) for one in listed.values]
    if value.HasField("string_value"):
        return value.string_value.decode()
    if value.HasField("bool_value"):
        return value.bool_value
    return value.number_value if value.HasField("number_value") else None
