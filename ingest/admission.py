"""Known device? its own topic? a sane clock? a value its sensor can have? -> admitted rows, or refusals with their reason.

Contract: every record of a decoded message comes out exactly once, admitted or refused; nothing raises for
what a device sent. One bad record never takes its neighbours in the pack with it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.decoding import Decoded, find_device
from ingest.registry import Device, Registry, Series
from ingest.registry.conversion import is_as_registered, normalise
from ingest.registry.quantities import NUMBERLESS
from ingest.wire.epcis import Said
from ingest.wire.errors import WireError
from ingest.wire.senml import Measured, Pack
from ingest.wire.time_unit import mistaken_unit
from ingest.wire.topics import Address
from ledger.epcis.events import Event

logger = logging.getLogger(__name__)

EARLIEST_MS = 1_420_070_400_000  # 2015-01-01T00:00:00Z: before it no device of ours existed
EARLIEST_SAID_MS = 946_684_800_000  # 2000-01-01T00:00:00Z: what a document tells may be older than any device
AHEAD_MS = 86_400_000  # a clock that was never corrected may be a day ahead, no more

FLAG_SERVER_TIME = 1
FLAG_HISTORICAL = 2
FLAG_UNIT_STORED = 4  # it came in the unit that is stored, although the device's registered one is another


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why `records` records of one message were not taken. `device`: None where it is not known."""

    message: int
    device: Device | None
    boot: int | None
    seq: int | None
    records: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Reading:
    message: int
    device: Device
    series: int
    time_ms: int
    value: float
    flags: int


@dataclass(frozen=True, slots=True)
class Observation:
    message: int
    device: Device
    series: int
    time_ms: int
    body: dict[str, Any]
    flags: int


@dataclass(frozen=True, slots=True)
class SaidEvent:
    message: int
    device: Device
    event: Event
    context: Any


@dataclass(frozen=True, slots=True)
class Admitted:
    """What one message came to. `device`: None where it could not be known."""

    device: Device | None
    readings: tuple[Reading, ...] = ()
    observations: tuple[Observation, ...] = ()
    events: tuple[SaidEvent, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Our time at receipt and the oldest measuring time taken from the field, both UTC ms. `ahead_ms`: by device, how far its
    clock may be ahead of ours, as far as its clock is known (`ingest.clock.Clocks`)."""

    received_ms: int
    retained_from_ms: int
    ahead_ms: Mapping[int, int] = field(default_factory=dict)

    @property
    def oldest_ms(self) -> int:
        return max(EARLIEST_MS, self.retained_from_ms)

    def latest_ms(self, device: Device) -> int:
        """The latest time that the device's clock can honestly show."""
        return self.received_ms + self.ahead_ms.get(device.id, AHEAD_MS)


def window_at(now: datetime, retention: timedelta, ahead_ms: Mapping[int, int] | None = None) -> Window:
    return window_of(_ms(now), retention, ahead_ms)


def window_of(received_ms: int, retention: timedelta, ahead_ms: Mapping[int, int] | None = None) -> Window:
    """`received_ms`: UTC ms."""
    kept_ms = round(retention.total_seconds() * 1000)
    return Window(received_ms, received_ms - kept_ms, {} if ahead_ms is None else ahead_ms)


def admit(item: Decoded, registry: Registry, window: Window) -> Admitted:
    """What one decoded message comes to; nothing raises for what a device sent."""
    device = None
    try:
        if item.address is None or item.error is not None:
            if item.address is not None:
                device = _owner(registry, item.address)
            raise item.error or WireError("unknown_topic", "the topic names no device")
        device = find_device(registry, item.address)
    except WireError as error:
        boot, seq = item.identity or (None, None)
        refusal = Refusal(item.index, device, boot, seq, item.records, error.reason, error.detail)
        return Admitted(device, refusals=(refusal,))
    try:
        if item.pack is not None:
            return admit_pack(item.index, item.pack, device, window)
        assert item.said is not None
        return admit_events(item.index, item.said, device, window)
    except Exception as error:
        # As where it is decoded: the others go on, and this one can be replayed.
        logger.exception("admitting failed", extra={"device": device.external_id})
        boot, seq = item.identity or (None, None)
        detail = f"our own code failed on it: {error!r}"
        refusal = Refusal(item.index, device, boot, seq, item.records, "decoder_fault", detail)
        return Admitted(device, refusals=(refusal,))


def _owner(registry: Registry, address: Address) -> Device | None:
    """The device of an unreadable message, so that its account shows it; never another organisation's."""
    try:
        return find_device(registry, address)
    except WireError:
        return None


def admit_pack(message: int, pack: Pack, device: Device, window: Window, flags: int = 0) -> Admitted:
    """`flags`: of all its readings, besides what the pack itself says."""
    if pack.sent_ms is not None:
        try:
            _check_time("sent", pack.sent_ms, window.received_ms, _possible(window, device))
        except WireError as error:
            whole = Refusal(
                message, device, pack.boot, pack.seq, len(pack.records), error.reason, error.detail
            )
            return Admitted(device, refusals=(whole,))
    readings: list[Reading] = []
    observations: list[Observation] = []
    refusals: list[Refusal] = []
    flags |= FLAG_SERVER_TIME if pack.server_time else 0
    for record in pack.records:
        try:
            series = _series(device, record, window, pack.sent_ms)
            if record.value is None:
                observations.append(_observation(message, device, series, record, flags))
            else:
                value = normalise(series, record.value, record.unit)
                unit = 0 if is_as_registered(series, record.unit) else FLAG_UNIT_STORED
                readings.append(Reading(message, device, series.id, record.time_ms, value, flags | unit))
        except WireError as error:
            refusals.append(Refusal(message, device, pack.boot, pack.seq, 1, error.reason, error.detail))
    return Admitted(device, tuple(readings), tuple(observations), (), tuple(refusals))


def admit_events(message: int, said: Said, device: Device, window: Window) -> Admitted:
    taken: list[SaidEvent] = []
    refusals: list[Refusal] = []
    for event in said.events:
        try:
            if isinstance(event, WireError):
                raise event
            check_event_times(event, window.received_ms, window.latest_ms(device))
            taken.append(SaidEvent(message, device, event, said.context))
        except WireError as error:
            refusals.append(Refusal(message, device, None, None, 1, error.reason, error.detail))
    return Admitted(device, (), (), tuple(taken), tuple(refusals))


def check_event_times(event: Event, received_ms: int, latest_ms: int | None = None) -> None:
    """The same at both doors. `latest_ms`: what the clock of the device that says it can show; None where a document tells,
    whose events may be older than any device of ours. Raises WireError."""
    earliest_ms = EARLIEST_SAID_MS if latest_ms is None else EARLIEST_MS
    span = range(earliest_ms, (received_ms + AHEAD_MS if latest_ms is None else latest_ms) + 1)
    _check_time("eventTime", round(event.event_time.timestamp() * 1000), received_ms, span)
    declared = event.error_declaration
    if declared is not None:
        declared_ms = round(declared.declaration_time.timestamp() * 1000)
        _check_time("declarationTime", declared_ms, received_ms, span)


def _check_time(what: str, time_ms: int, received_ms: int, span: range, base_ms: int | None = None) -> None:
    """`span`: the times it can have. `base_ms`: what a small time is relative to."""
    if time_ms in span:
        return
    unit = mistaken_unit(time_ms, range(EARLIEST_MS, received_ms + AHEAD_MS), base_ms)
    if unit is not None:
        raise WireError("impossible_time", f"{what} {unit}")
    if time_ms < span.start:
        year = datetime.fromtimestamp(span.start / 1000, UTC).year
        raise WireError("impossible_time", f"{what} lies before {year}: set the clock, or correct the time")
    latest_ms = span.stop - 1
    if latest_ms == received_ms + AHEAD_MS:
        raise WireError(
            "impossible_time", f"{what} lies more than a day ahead of our clock: set the device's clock"
        )
    raise WireError(
        "impossible_time",
        f"{what} lies {(time_ms - received_ms) / 60_000:.1f} minutes ahead of our clock, this device's clock can be"
        f" {(latest_ms - received_ms) / 60_000:.1f} at most, by its last messages: set the device's clock",
    )


def _possible(window: Window, device: Device) -> range:
    return range(EARLIEST_MS, window.latest_ms(device) + 1)


def _series(device: Device, record: Measured, window: Window, sent_ms: int | None) -> Series:
    series = device.series.get(record.channel)
    if series is None:
        raise WireError(
            "unknown_channel",
            f"device {device.external_id!r} has no channel {record.channel!r}; register it (suyuan register); the message is kept",
        )
    if record.value is None and record.unit is not None and record.unit != series.unit:
        raise WireError(
            "wrong_unit", f"{record.channel} came in {record.unit!r}, registered is {series.unit!r}"
        )
    if record.value is None and series.quantity not in NUMBERLESS:
        raise WireError("wrong_kind", f"{record.channel} carries no number, registered is {series.quantity}")
    if record.value is not None and series.quantity in NUMBERLESS:
        raise WireError("wrong_kind", f"{record.channel} carries a number, registered is {series.quantity}")
    base_ms = window.received_ms if sent_ms is None else sent_ms
    _check_time("the measuring time", record.time_ms, window.received_ms, _possible(window, device), base_ms)
    if record.time_ms < window.retained_from_ms:
        raise WireError(
            "beyond_retention",
            "older than raw readings are kept from the field (SUYUAN_RETENTION_DAYS); the message is kept",
        )
    return series


def _observation(message: int, device: Device, series: Series, record: Measured, flags: int) -> Observation:
    body: dict[str, Any]
    if record.position is not None:
        latitude, longitude = record.position
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # nor is a NaN
            raise WireError(
                "value_out_of_range",
                f"position {latitude}, {longitude}: want latitude within ±90 and longitude within ±180",
            )
        body = {"latitude": latitude, "longitude": longitude}
    elif record.text is not None:
        if "\0" in record.text:
            raise WireError("unsupported_value", f"{record.channel} has a NUL in it, which no table can hold")
        body = {"text": record.text}
    else:
        body = {"data": (record.data or b"").hex()}
    return Observation(message, device, series.id, record.time_ms, body, flags)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
