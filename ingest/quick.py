"""Decode and admit in one pass what is ordinary: a JSON pack of numbers, from a known device, with nothing wrong.

In the line: `intake` asks here first, and takes the plain way (`decoding`, `admission`) for all that is declined.
Contract: `take` either adds to the rows exactly what the plain way would admit, or adds nothing and returns None. It never
refuses: whatever is unusual, wrong, or merely rare is the plain way's, which is the one that is documented (docs/wire.md).
Most messages are ordinary, and the plain way makes an object of every record of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ingest.admission import EARLIEST_MS, Window
from ingest.registry import Device, Series
from ingest.registry.quantities import LARGEST, NUMBERLESS
from ingest.wire.senml import MAX_NAME, META, RELATIVE_BELOW
from ingest.wire.senml_record import MAX_BYTES, MAX_RECORDS


class _Record(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The labels of an ordinary record; another one, or a value of another type, sends the pack the plain way."""

    n: str = ""
    v: float | None = None
    t: float = 0.0
    u: str | None = None
    bn: str | None = None
    bt: float | None = None
    bu: str | None = None
    vb: bool | None = None


class Channel(NamedTuple):
    """A series of numbers that is stored as it is sent, in `unit`."""

    series: int
    unit: str
    minimum: float
    maximum: float
    boolean: bool

    @classmethod
    def of(cls, series: Series) -> Channel:
        low = -LARGEST if series.minimum is None else max(series.minimum, -LARGEST)
        high = LARGEST if series.maximum is None else min(series.maximum, LARGEST)
        return cls(series.id, series.unit, low, high, series.quantity == "boolean")


def _is_ordinary(series: Series) -> bool:
    """Numbers that are stored as they came, and no halves of a position."""
    return series.quantity not in NUMBERLESS and series.as_sent and series.unit not in ("lat", "lon")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a topic leads: its device, and the channels whose records are ordinary there."""

    device: Device
    channels: dict[str, Channel]
    prefixes: tuple[str, ...]

    @classmethod
    def of(cls, device: Device) -> Route:
        prefixes = (f"{device.external_id}/", f"{device.external_id}:")
        channels = {
            name: Channel.of(series)
            for name, series in device.series.items()
            if _is_ordinary(series)
            and name not in META
            and not name.startswith(prefixes)
            and len(prefixes[0]) + len(name) <= MAX_NAME
        }
        return cls(device, channels, ("", *prefixes))


@dataclass(slots=True)
class Rows:
    """Readings in the order in which they were taken, a column each; `counts`: how many each message brought."""

    series: list[int] = field(default_factory=list)
    time_ms: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


class Said(NamedTuple):
    """What a taken pack said of itself; `boot` and `seq` are -1 where the device keeps no count, `sent_ms` where it was not said."""

    boot: int
    seq: int
    sent_ms: int
    records: int


_decode = msgspec.json.Decoder(list[_Record], strict=True).decode


def take(payload: bytes, route: Route, window: Window, rows: Rows) -> Said | None:
    """Add the pack's readings to `rows`, or add nothing and return None."""
    if len(payload) > MAX_BYTES:
        return None
    try:
        records = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if len(records) > MAX_RECORDS:
        return None
    begun = len(rows.series)
    said = _add(records, route, window, rows)
    if said is None:
        del rows.series[begun:], rows.time_ms[begun:], rows.value[begun:]
    return said


def _add(records: list[_Record], route: Route, window: Window, rows: Rows) -> Said | None:
    find, prefixes = route.channels.get, route.prefixes
    latest_ms, oldest_ms = window.latest_ms(route.device), window.oldest_ms
    add_series, add_time, add_value = rows.series.append, rows.time_ms.append, rows.value.append
    base_time, base_unit = 0.0, None
    boot = seq = sent_ms = -1
    taken = 0
    for record in records:
        name, value, base_name = record.n, record.v, record.bn
        if base_name is not None and base_name not in prefixes:
            return None
        if record.bt is not None:
            base_time = record.bt
        if record.bu:
            base_unit = record.bu
        channel = find(name)
        if channel is None:
            if value is None or value < 0 or base_name or record.vb is not None:
                return None
            if name == "seq" and seq < 0:
                seq = int(value) if value < _BEYOND and value.is_integer() else _BEYOND
            elif name == "boot" and boot < 0:
                boot = int(value) if value < _BEYOND and value.is_integer() else _BEYOND
            elif name == "sent" and sent_ms < 0 and value < 2**40:
                sent_ms = round(value * 1000)
            else:
                return None
            continue
        series, own_unit, minimum, maximum, boolean = channel
        if value is None:
            if record.vb is None or not boolean:
                return None
            value = float(record.vb)
        elif record.vb is not None or (boolean and value not in (0.0, 1.0)):
            return None
        unit = record.u or base_unit
        if (unit is not None and unit != own_unit) or not minimum <= value <= maximum:
            return None
        time = base_time + record.t
        if -RELATIVE_BELOW < time < RELATIVE_BELOW:
            if sent_ms < 0:
                return None
            time_ms = round(time * 1000) + sent_ms
        elif time < 2**40:
            time_ms = round(time * 1000)
        else:
            return None
        if not oldest_ms <= time_ms <= latest_ms:
            return None
        add_series(series)
        add_time(time_ms)
        add_value(value + 0.0)  # -0 becomes 0
        taken += 1
    if not taken or (boot < 0) != (seq < 0) or boot == _BEYOND or seq == _BEYOND:
        return None
    if sent_ms >= 0 and not EARLIEST_MS <= sent_ms <= latest_ms:
        return None
    return Said(boot, seq, sent_ms, taken)


_BEYOND = 2**53
