"""A batch as it gathers: messages decoded and admitted into columns, while the batch before it commits.

In the line: `subscriber` -> here -> `pipeline`. Contract: every record of every message that was taken is in the rows, in
`observations`, in `events` or in `refusals`, once, and is counted in `records`, which nothing else is computed from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

import numpy as np
import numpy.typing as npt

from ingest import decoding, quick
from ingest.admission import Admitted, Observation, Refusal, SaidEvent, Window, admit, window_at
from ingest.decoding import Decoded
from ingest.message import Message
from ingest.quick import Route
from ingest.registry import Device, Registry
from ingest.wire.profiles import Profiles

UNKNOWN_DEVICE = 0
NONE = -1
"""In the columns of boots, numbers and times: there is none."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Readings:
    """Columns of n admitted readings. `message`: index of the message each came in. `time_ms`: UTC ms."""

    message: npt.NDArray[np.intp]
    series: Integers
    time_ms: Integers
    value: npt.NDArray[np.float64]
    flags: npt.NDArray[np.int16]


class Routes:
    """Topics whose messages may go the quick way, as the registry stands: one entry for each topic of a known device. And the
    profiles, by which others are read."""

    def __init__(self, registry: Registry, profiles: Profiles) -> None:
        self._registry = registry
        self.profiles = profiles
        self._routes: dict[bytes, Route] = {}

    def find(self, topic: bytes) -> Route | None:
        route = self._routes.get(topic)
        if route is not None and self._registry.device(route.device.external_id) is route.device:
            return route
        return None

    def learn(self, topic: bytes, item: Decoded, device: Device | None) -> None:
        is_senml = item.pack is not None and item.address is not None and item.address.kind == "readings"
        if device is not None and is_senml and self.find(topic) is None:
            self._routes[topic] = Route.of(device)


@dataclass(slots=True)
class Intake:
    """`received_at`: our clock as the batch was opened. `size_bytes`: of the payloads taken so far."""

    received_at: datetime
    retention: timedelta
    messages: list[Message] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    events: list[SaidEvent] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    devices: dict[int, Device] = field(default_factory=dict)
    device: list[int] = field(default_factory=list)
    boot: list[int] = field(default_factory=list)
    seq: list[int] = field(default_factory=list)
    sent_ms: list[int] = field(default_factory=list)
    received_ms: list[int] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    size_bytes: int = 0
    _rows: quick.Rows = field(default_factory=quick.Rows)
    _flagged: list[tuple[int, int, int]] = field(default_factory=list)

    def take(
        self,
        message: Message,
        registry: Registry,
        routes: Routes,
        window: Window,
        refresh: Callable[[], None],
    ) -> None:
        """Add one message. `refresh`: reads the registry again if it may have news; what it raises leaves the intake as it was."""
        route = routes.find(message.topic)
        said = None if route is None else quick.take(message.payload, route, window, self._rows)
        if route is not None and said is not None:
            device = route.device
            self._rows.counts.append(said.records)
            self.devices[device.id] = device
            self._number(device.id, said.boot, said.seq, said.sent_ms, said.records)
        else:
            self._take_plainly(message, registry, routes, window, refresh)
        self._enter(message, window.received_ms)

    def add(self, message: Message, item: Decoded, admitted: Admitted) -> None:
        """One message that was decoded and admitted elsewhere, with its place in the batch for an index."""
        self._add(item, admitted)
        self._enter(message, round(self.received_at.timestamp() * 1000))

    def _enter(self, message: Message, received_ms: int) -> None:
        self.messages.append(message)
        self.received_ms.append(received_ms)
        self.size_bytes += len(message.payload)

    def _take_plainly(
        self,
        message: Message,
        registry: Registry,
        routes: Routes,
        window: Window,
        refresh: Callable[[], None],
    ) -> None:
        index, received_ms = len(self.messages), window.received_ms
        item = decoding.decode(index, message, received_ms, registry, routes.profiles)
        if not _known(registry, item):
            refresh()
            if item.error is not None:  # perhaps for want of the device
                item = decoding.decode(index, message, received_ms, registry, routes.profiles)
        admitted = admit(item, registry, window)
        routes.learn(message.topic, item, admitted.device)
        self._add(item, admitted)

    def _add(self, item: Decoded, admitted: Admitted) -> None:
        rows, begun = self._rows, len(self._rows.series)
        rows.series += [reading.series for reading in admitted.readings]
        rows.time_ms += [reading.time_ms for reading in admitted.readings]
        rows.value += [reading.value for reading in admitted.readings]
        rows.counts.append(len(admitted.readings))
        for flags, run in groupby(enumerate(admitted.readings, begun), lambda pair: pair[1].flags):
            if flags:
                at = [place for place, _ in run]
                self._flagged.append((at[0], at[-1] + 1, flags))
        self.observations += admitted.observations
        self.events += admitted.events
        self.refusals += admitted.refusals
        device = admitted.device
        if device is not None:
            self.devices[device.id] = device
        boot, seq = item.identity or (NONE, NONE)
        sent_ms = None if item.pack is None else item.pack.sent_ms
        self._number(
            UNKNOWN_DEVICE if device is None else device.id,
            boot,
            seq,
            NONE if sent_ms is None else sent_ms,
            item.records,
        )

    def _number(self, device: int, boot: int, seq: int, sent_ms: int, records: int) -> None:
        self.device.append(device)
        self.boot.append(boot)
        self.seq.append(seq)
        self.sent_ms.append(sent_ms)
        self.records.append(records)

    @property
    def sent(self) -> Sequence[Message]:
        """The messages, for what is made of those that are refused."""
        return self.messages

    @property
    def redelivered(self) -> int:
        return sum(message.redelivered for message in self.messages)

    @property
    def reading_count(self) -> int:
        return len(self._rows.series)

    def row_counts(self) -> list[int]:
        """How many readings each message brought."""
        return self._rows.counts

    def readings(self) -> Readings:
        rows = self._rows
        flags = np.zeros(len(rows.series), np.int16)
        for begun, ended, flag in self._flagged:
            flags[begun:ended] = flag
        return Readings(
            np.repeat(np.arange(len(rows.counts)), rows.counts),
            np.array(rows.series, np.int64),
            np.array(rows.time_ms, np.int64),
            np.array(rows.value, np.float64),
            flags,
        )


def intake(
    messages: Sequence[Message],
    registry: Registry,
    profiles: Profiles,
    retention: timedelta,
    now: datetime,
    refresh: Callable[[], None] = lambda: None,
    ahead_ms: Mapping[int, int] | None = None,
) -> Intake:
    """A whole batch at once. `refresh`: asked at most once. `ahead_ms`: as in `Window`."""
    batch, routes = Intake(now, retention), Routes(registry, profiles)
    window, asked = window_at(now, retention, ahead_ms), Once(refresh)
    for message in messages:
        batch.take(message, registry, routes, window, asked)
    return batch


@dataclass(slots=True)
class Once:
    """Strangers must not make us ask the database for each of their messages."""

    _refresh: Callable[[], None]
    _done: bool = False

    def __call__(self) -> None:
        if not self._done:
            self._refresh()
            self._done = True


def _known(registry: Registry, item: Decoded) -> bool:
    """False where reading the registry again may change what becomes of the message."""
    if item.address is None:
        return True
    device = registry.device(item.address.device, item.address.scheme)
    if device is None or item.address.organisation not in (None, device.organisation):
        return False
    return item.pack is None or all(record.channel in device.series for record in item.pack.records)
