"""Bytes by a profile's messages into samples.

Contract: `read` of any bytes with any profile gives samples or raises `WireError`, in time linear in the payload times
the profile's length. Every byte is accounted for: a payload longer or shorter than its form, or a tag that the profile
does not know, is refused whole, since what follows cannot be told.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from ingest.wire.errors import WireError
from ingest.wire.profile import Bits, Condition, FieldEntry, Meaning, MessageEntry, Order, Profile, TimeEntry
from ingest.wire.samples import Sample, scaled

MAX_BYTES = 4_096  # a LoRaWAN frame has 242; over MQTT a gateway may join a few
_FLOATS = {16: ">e", 32: ">f", 64: ">d"}


def read(profile: Profile, payload: bytes, f_port: int | None) -> list[Sample]:
    """`f_port`: None where the payload came without one; then it is not asked for. Raises WireError."""
    if len(payload) > MAX_BYTES:
        raise WireError("too_large", f"got {len(payload)} bytes, a sensor's payload has at most {MAX_BYTES}")
    on_port = [form for form in profile.messages if f_port is None or form.f_port in (None, f_port)]
    if not on_port:
        raise WireError("unknown_port", f"profile {profile.profile!r} has no message on port {f_port}")
    form = next((form for form in on_port if _fits(form, payload)), None)
    if form is None:
        raise WireError(
            "malformed_payload",
            f"{len(payload)} bytes{'' if f_port is None else f' on port {f_port}'} are no message of profile {profile.profile!r},"
            " by length and conditions",
        )
    if form.items:
        return list(_items(form, payload, profile.profile))
    assert form.length is not None
    groups = (payload[at : at + form.length] for at in range(0, len(payload), form.length))
    return [sample for group in groups for sample in _fields(form.fields, form.time, group, form.order)]


def _fits(form: MessageEntry, payload: bytes) -> bool:
    if form.length is not None:
        whole, rest = divmod(len(payload), form.length)
        if rest or not (whole == 1 or (form.repeat and whole)):
            return False
    return all(_holds(condition, payload, form.order) for condition in form.when)


def _holds(condition: Condition, payload: bytes, order: Order) -> bool:
    return condition.end <= len(payload) and _raw(condition, payload, order) in condition.equals


def _items(form: MessageEntry, payload: bytes, profile: str) -> Iterator[Sample]:
    known = {bytes.fromhex(item.tag): item for item in form.items}
    width = len(next(iter(known)))
    at = 0
    while at < len(payload):
        tag = payload[at : at + width]
        item = known.get(tag)
        if item is None:
            raise WireError(
                "malformed_payload", f"profile {profile!r} has no item {tag.hex()}; what follows is lost"
            )
        value = payload[at + width : at + width + item.length]
        if len(value) < item.length:
            raise WireError("truncated", f"the payload ends in the middle of item {tag.hex()}")
        yield from _fields(item.fields, item.time, value, form.order)
        at += width + item.length


def _fields(
    fields: tuple[FieldEntry, ...], time: TimeEntry | None, payload: bytes, order: Order
) -> Iterator[Sample]:
    time_ms = _time(time, payload, order) if time is not None else None
    for field in fields:
        if not all(_holds(condition, payload, order) for condition in field.when):
            continue
        raw = _raw(field, payload, order)
        if field.type == "float" and raw not in field.none:
            value = struct.unpack(_FLOATS[field.width], raw.to_bytes(field.width // 8))[0]
            if not math.isnan(value):  # a sensor without a value
                yield _floating(field, value, time_ms)
            continue
        signed = raw - (1 << field.width) if field.type == "signed" and raw >> (field.width - 1) else raw
        sample = interpreted(field, field.channel, raw, signed, time_ms)
        if sample is not None:
            yield sample


def interpreted(meaning: Meaning, name: str, raw: int, number: int, time_ms: int | None) -> Sample | None:
    """`raw`: the bits as they stand, which `invalid` and `words` speak of; `number`: the same with its sign. None: the
    sensor says that it has no value."""
    if raw in meaning.none:
        return None
    if meaning.words:
        text = meaning.words.get(str(number), str(number))
        return Sample(name, None, text=text, time_ms=time_ms, optional=meaning.optional)
    return Sample(
        name, meaning.unit, scaled(number, *meaning.line), time_ms=time_ms, optional=meaning.optional
    )


def _floating(field: FieldEntry, value: float, time_ms: int | None) -> Sample:
    value = value * field.scale + field.offset
    return Sample(field.channel, field.unit, value, time_ms=time_ms, optional=field.optional)


def _time(entry: TimeEntry, payload: bytes, order: Order) -> int | None:
    raw = _raw(entry, payload, order)
    if raw in entry.invalid:
        return None
    return min(
        raw * (1000 if entry.format == "unix_s" else 1), 2**62
    )  # beyond it is impossible, and refused as that


def _raw(bits: Bits, payload: bytes, order: Order) -> int:
    whole = int.from_bytes(payload[bits.byte : bits.end], bits.order or order)
    return (whole >> bits.shift) & ((1 << bits.width) - 1)
