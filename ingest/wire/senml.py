"""SenML (RFC 8428) into flat records, and our own three: boot, seq, sent.

Contract: `decode(payload, device)` of any bytes gives a `Pack` or raises `WireError`, in time and memory linear in the
payload; names, base values and relative times are resolved; numbers stay as the device sent them. JSON and CBOR are told
apart by the first byte and are the same from there on.
"""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass
from typing import Any

import msgspec

from ingest.wire import senml_cbor, senml_json
from ingest.wire.errors import WireError
from ingest.wire.senml_record import MAX_BYTES, MAX_RECORDS, Record

RELATIVE_BELOW = 2**28  # RFC 8428 4.5.3: a smaller time is relative to now
META = ("boot", "seq", "sent")
VERSION = 10  # of RFC 8428; a pack of a later one is not to be read
MAX_NAME = 255  # characters of a resolved name: a long base name would otherwise be held once a record


@dataclass(frozen=True, slots=True)
class Measured:
    """One resolved record. `time_ms`: UTC ms. `value`: number, in CBOR also NaN or infinite, or None where `text` or `data`
    holds it."""

    channel: str
    unit: str | None
    time_ms: int
    value: float | None
    text: str | None = None
    data: bytes | None = None
    position: tuple[float, float] | None = None  # latitude, longitude in degrees, WGS-84


@dataclass(frozen=True, slots=True)
class Pack:
    """`boot`, `seq`: the device's own count, None where it keeps none. `sent_ms`: its clock at sending.
    `server_time`: times were relative and `sent` was absent, so they rest on our clock."""

    boot: int | None
    seq: int | None
    sent_ms: int | None
    server_time: bool
    records: tuple[Measured, ...]


def decode(payload: bytes, device: str, received_ms: int) -> Pack:
    """`received_ms`: our clock, for relative times of a pack without `sent`."""
    records = _parse(payload)
    meta, measured = _split(records, device)
    boot, seq, sent_ms = _identity(meta)
    base_ms = received_ms if sent_ms is None else sent_ms
    resolved = tuple(
        _resolve(record, channel, unit, time, base_ms) for record, channel, unit, time in measured
    )
    relative = any(abs(time) < RELATIVE_BELOW for _, _, _, time in measured)
    if not resolved:
        raise WireError("empty_pack", "the pack has no record besides boot, seq and sent")
    return Pack(boot, seq, sent_ms, relative and sent_ms is None, _join_positions(resolved))


def identity_of_unreadable(payload: bytes) -> tuple[int, int] | None:
    """boot and seq of a pack that cannot be decoded, as far as its beginning still says them.

    A device that waits for its receipt would otherwise send the message for ever: it lies in quarantine, and that is held.
    """
    form = senml_cbor if senml_cbor.is_cbor(payload) else senml_json
    found = form.numbers(payload[:1000])
    if len(found) != 2:
        return None
    boot, seq = found["boot"], found["seq"]
    return (boot, seq) if max(boot, seq) < 2**53 else None


def _parse(payload: bytes) -> list[Record]:
    if len(payload) > MAX_BYTES:
        raise WireError(
            "too_large", f"got {len(payload)} bytes, a pack has at most {MAX_BYTES}; send smaller packs"
        )
    records = senml_cbor.parse(payload) if senml_cbor.is_cbor(payload) else senml_json.parse(payload)
    if len(records) > MAX_RECORDS:
        raise WireError("too_large", f"got {len(records)} records, a pack has at most {MAX_RECORDS}")
    return records


Split = tuple[Record, str, str | None, float]


def _split(records: list[Record], device: str) -> tuple[dict[str, Any], list[Split]]:
    """Resolve base fields; boot, seq and sent go their own way."""
    base_name, base_time, base_unit = "", 0.0, None
    base_value = 0.0
    meta: dict[str, Any] = {}
    measured: list[Split] = []
    for record in records:
        if record.bver is not None and record.bver > VERSION:
            raise WireError(
                "malformed_senml", f"the pack is of version {record.bver}, want {VERSION} at most"
            )
        base_name = record.bn or base_name
        base_time = _double(record.bt, "bt") if record.bt is not None else base_time
        base_unit = record.bu or base_unit
        base_value = _double(record.bv, "bv") if record.bv is not None else base_value
        if _is_base_alone(record):
            continue
        if len(base_name) + len(record.n) > MAX_NAME:
            raise WireError("malformed_senml", f"a name (bn and n) has more than {MAX_NAME} characters")
        channel = _channel(base_name + record.n, device)
        if base_value and record.v is not None:
            record = msgspec.structs.replace(record, v=_double(record.v, channel) + base_value)
        if channel in META:
            meta[channel] = record.v
            continue
        if not channel:
            raise WireError("malformed_senml", "a record has no name (n or bn)")
        measured.append((record, channel, record.u or base_unit, base_time + _double(record.t, "t")))
    return meta, measured


def _double(value: float, name: str) -> float:
    """JSON writes whole numbers of any length; one beyond a double is no measurement."""
    try:
        return float(value)
    except OverflowError as error:
        raise WireError("malformed_senml", f"{name} is a number beyond what a double holds") from error


def _is_base_alone(record: Record) -> bool:
    """The RFC's authors write records that only set what holds from there on."""
    values = (record.v, record.vs, record.vb, record.vd, record.s)
    base = (record.bn or None, record.bt, record.bu, record.bv, record.bs, record.bver)
    return not record.n and values == (None,) * 5 and base != (None,) * 6


def _channel(name: str, device: str) -> str:
    """The name without the device's own in front: bridges like to add it."""
    if name.startswith(device) and name[len(device) : len(device) + 1] in ("/", ":"):
        return name[len(device) + 1 :]
    return name


def _identity(meta: dict[str, Any]) -> tuple[int | None, int | None, int | None]:
    boot, seq = _count(meta, "boot"), _count(meta, "seq")
    if (boot is None) != (seq is None):
        raise WireError(
            "malformed_senml", "boot and seq come together: one without the other names no message"
        )
    sent = meta.get("sent")
    if sent is None:
        return boot, seq, None
    if not math.isfinite(_double(sent, "sent")) or not 0 <= sent < 2**40:
        raise WireError("impossible_time", f"sent is {sent}, want seconds since 1970{_instead_of(sent)}")
    return boot, seq, round(sent * 1000)


def _instead_of(sent: float) -> str:
    return " and not milliseconds" if 2**40 <= sent < 2**43 else ""


def _count(meta: dict[str, Any], name: str) -> int | None:
    value = meta.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or not 0 <= value < 2**53:
        raise WireError("malformed_senml", f"{name} is {value!r}, want a whole number from 0 to 2^53-1")
    return value


def _resolve(record: Record, channel: str, unit: str | None, time: float, base_ms: int) -> Measured:
    if not abs(time) < 2**53:
        raise WireError("impossible_time", f"the time of {channel} is {time}, want seconds since 1970")
    time_ms = round(time * 1000) + (base_ms if abs(time) < RELATIVE_BELOW else 0)
    if sum(each is not None for each in (record.v, record.vb, record.vs, record.vd)) > 1:
        raise WireError("malformed_senml", f"{channel} has more than one value (v, vb, vs, vd)")
    if record.v is not None:
        return Measured(channel, unit, time_ms, _double(record.v, channel) + 0.0)  # -0 becomes 0
    if record.vb is not None:
        return Measured(channel, unit, time_ms, float(record.vb))
    if record.vs is not None:
        return Measured(channel, unit, time_ms, None, text=record.vs)
    if record.vd is not None:
        data = record.vd if isinstance(record.vd, bytes) else _bytes(record.vd, channel)
        return Measured(channel, unit, time_ms, None, data=data)
    if record.s is not None:
        raise WireError("unsupported_value", f"{channel} carries a sum (s) and no value; send the value")
    raise WireError("malformed_senml", f"{channel} has no value (v, vb, vs or vd)")


def _join_positions(records: tuple[Measured, ...]) -> tuple[Measured, ...]:
    """A latitude and a longitude of one time are one position: apart they name no place. A second one of the same time stays
    as it came, and is refused: dropped here it would be gone and counted nowhere."""
    halves: dict[int, dict[str, Measured]] = {}
    for record in records:
        if record.unit in ("lat", "lon") and record.value is not None and math.isfinite(record.value):
            halves.setdefault(record.time_ms, {}).setdefault(record.unit, record)
    whole = {time_ms: pair for time_ms, pair in halves.items() if len(pair) == 2}
    if not whole:
        return records
    joined = {id(half) for pair in whole.values() for half in pair.values()}
    kept = [record for record in records if id(record) not in joined]
    for time_ms, pair in whole.items():
        latitude, longitude = pair["lat"].value or 0.0, pair["lon"].value or 0.0
        kept.append(Measured("position", "deg", time_ms, None, position=(latitude, longitude)))
    return tuple(kept)


def _bytes(text: str, channel: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError("malformed_senml", f"{channel} has data (vd) that is not base64url") from error
