"""Readings of a frame, admitted: the same questions as `admission` asks of a message, of whole columns.

In the line: frame -> here -> `lines`. Contract: every value that is present comes out once, as an admitted reading or in a fault
with its line. Values go through `normalise`, each different one once, so that a file says to the last bit what the device's own
message would have said. Older than the retention limit is what files are for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.admission import AHEAD_MS, EARLIEST_MS
from ingest.backfill import times
from ingest.backfill.frames import Fault, Floats, Form, Frame, Integers, Mask
from ingest.registry import Device, Registry, Series, normalise
from ingest.registry.quantities import LARGEST, NUMBERLESS
from ingest.wire.errors import WireError

_PERCENT = ("%RH", "%EL")


@dataclass(frozen=True, slots=True)
class Admitted:
    """Readings of one series. `row`: index into the frame; int64[n], UTC ms, float64[n] in the series' unit."""

    device: Device
    series: Series
    row: Integers
    time_ms: Integers
    value: Floats


def admit(
    frame: Frame, registry: Registry, form: Form, now_ms: int
) -> tuple[list[Admitted], list[Fault], int]:
    """Also how many readings the frame holds, admitted or not."""
    admitted: list[Admitted] = []
    faults = list(frame.faults)
    readings = sum(fault.count for fault in faults)  # a row that cannot be read counts as one
    for name, channel, unit, row, value in _columns(frame):
        readings += len(row)
        try:
            device = find_device(registry, name, form)
            series = _series(device, channel, unit)
        except WireError as error:
            faults.append(Fault(int(frame.line[row[0]]), channel, error.reason, error.detail, len(row)))
            continue
        time_ms = frame.time_ms[row]
        stored, fits = _normalised(series, value, _word(series, unit), frame.line[row], faults)
        possible = (time_ms >= EARLIEST_MS) & (time_ms <= now_ms + AHEAD_MS)
        for at in np.flatnonzero(fits & ~possible).tolist():
            said = f"{times.in_words(int(time_ms[at]))} lies before 2015 or more than a day ahead: check the year, and the zone"
            faults.append(Fault(int(frame.line[row[at]]), channel, "impossible_time", said))
        kept = fits & possible
        admitted.append(Admitted(device, series, row[kept], time_ms[kept], stored[kept]))
    return admitted, faults, readings


def _columns(frame: Frame) -> Iterator[tuple[str, str, str | None, Integers, Floats]]:
    """Device, channel, unit, rows and values of each: of a wide file by column, of a long one by what its rows say."""
    for values in frame.values:
        row = np.flatnonzero(values.present)
        if isinstance(frame.device, str) and isinstance(values.channel, str):
            assert values.unit is None or isinstance(values.unit, str)
            if len(row):
                yield frame.device, values.channel, values.unit, row, values.value[row]
            continue
        groups: dict[tuple[str, str, str | None], list[int]] = defaultdict(list)
        devices = _each(frame.device, len(frame.line))
        channels, units = _each(values.channel, len(frame.line)), _each(values.unit, len(frame.line))
        for at in row.tolist():
            groups[devices[at], channels[at], units[at]].append(at)
        for (device, channel, unit), places in groups.items():
            chosen = np.array(places, np.int64)
            yield device, channel, unit, chosen, values.value[chosen]


def _each(said: object, n: int) -> Sequence[str]:
    return [said] * n if said is None or isinstance(said, str) else said  # type: ignore[list-item,return-value]


def find_device(registry: Registry, name: str, form: Form) -> Device:
    """`name`: an id as in topics, or scheme and number as `lorawan:a84041000181c061`. Raises WireError."""
    scheme, colon, number = name.partition(":")
    device = registry.device(name) or (registry.device(number, scheme) if colon else None)
    if device is None:
        raise WireError(
            "unknown_device",
            f"no device {name!r} is registered: register it (suyuan register), or say --device",
        )
    if form.organisation is not None and device.organisation != form.organisation:
        raise WireError(
            "foreign_device", f"{name!r} belongs to {device.organisation!r}, not to {form.organisation!r}"
        )
    return device


def _series(device: Device, channel: str, unit: str | None) -> Series:
    series = device.series.get(channel)
    if series is None:
        said = f"{device.external_id} has no channel {channel!r}: register it, name it with --channel {channel}=..., or leave it out with --skip"
        raise WireError("unknown_channel", said)
    if series.quantity in NUMBERLESS:
        raise WireError(
            "wrong_kind", f"{channel} carries {series.quantity} and no number; take it in as SenML"
        )
    word = _word(series, unit)
    if word is not None and word not in (series.sent_unit, series.unit):
        raise WireError(
            "wrong_unit", f"{channel} is said to be in {unit!r}, registered is {series.sent_unit!r}"
        )
    return series


def _word(series: Series, unit: str | None) -> str | None:
    """A bare per cent sign is what people write of a humidity and of a battery."""
    return series.sent_unit if unit == "%" and series.sent_unit in _PERCENT else unit


def _normalised(
    series: Series, value: Floats, unit: str | None, line: Integers, faults: list[Fault]
) -> tuple[Floats, Mask]:
    """In the series' unit, and which of them its sensor can have measured."""
    different, place = np.unique(value, return_inverse=True)
    stored, fits = np.zeros(len(different)), np.ones(len(different), bool)
    if series.as_sent and series.quantity != "boolean":
        low = -LARGEST if series.minimum is None else max(series.minimum, -LARGEST)
        high = LARGEST if series.maximum is None else min(series.maximum, LARGEST)
        inside = (different >= low) & (different <= high)
        stored[inside] = different[inside] + 0.0
        asked = np.flatnonzero(~inside)
    else:
        asked = np.arange(len(different))
    for at in asked.tolist():
        try:
            stored[at] = normalise(series, float(different[at]), unit)
        except WireError as error:
            fits[at] = False
            for row in np.flatnonzero(place == at).tolist():
                faults.append(Fault(int(line[row]), series.channel, error.reason, error.detail))
    return stored[place], fits[place]
