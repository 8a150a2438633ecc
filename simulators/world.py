"""One world, put together: its registry, its messages in the order they would be sent, and its truth.

Contract: `World(seed, start)` is a value in all but its memory of computed temperatures. Whatever is asked of
it, in whatever order and from whatever thread, the same arguments give the same registry, bytes and truth.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from simulators import binary, journey, presence, registration, rooms, scenario, statements, truth
from simulators.devices import COVERED_POSITIONS, Device, Probe, devices_of, packs
from simulators.scenario import GTIN, HOUR, LIFETIME_S, MINUTE
from simulators.truth import TrueExcursion

Kind = Literal["readings", "events", "unknown_device", "bad_payload"]

BEFORE_NOW: Final = timedelta(hours=36)
LIFETIME: Final = timedelta(seconds=LIFETIME_S)
STRANGER: Final = "logger-99"
BROKEN: Final = "collection-1"  # its firmware once writes NaN, which JSON has not
_MINUTES_TO_2020: Final = 26_297_280


@dataclass(frozen=True, slots=True)
class Message:
    """What a device hands to the broker. `at`: world time of sending. `records`: readings or events inside.
    `clock_s`: how far its clock is ahead. `sent_span`: where its clock at sending stands in the payload, if
    it does."""

    topic: str
    payload: bytes
    at: datetime
    kind: Kind
    records: int
    clock_s: float = 0.0
    sent_span: tuple[int, int] | None = None

    def sent_at(self, wall: datetime) -> Message:
        """The same message, handed over at `wall` after waiting: `sent` is the device's clock of that
        moment."""
        if self.sent_span is None:
            return self
        begin, end = self.sent_span
        text = _seconds(wall.timestamp() + self.clock_s)
        sent = text.encode() if self.payload.startswith(b"[") else binary.written(float(text))
        payload = self.payload[:begin] + sent + self.payload[end:]
        return replace(self, payload=payload, sent_span=(begin, begin + len(sent)))


@dataclass(frozen=True, slots=True)
class Box:
    """A box by its label: GTIN-14, lot and serial; and the truck it came on."""

    gtin: str
    lot: str
    serial: str
    truck: str


class World:
    def __init__(self, seed: int, start: datetime, after: World | None = None) -> None:
        """`start`: aware; the harvest begins minutes later. `after`: the world that was played before in the
        same place, and is cleared away first. Raises ValueError for a naive start."""
        self.seed = seed
        self.start = start
        self.after = after
        self.plan = scenario.draw(seed, start)
        self.devices = devices_of(self.plan)
        self._model = rooms.build(self.plan)
        self._steps = journey.steps(self.plan, self.devices)
        if after is not None:
            age_s = (start - after.start).total_seconds()
            self._steps = (*journey.clearing(after.plan, after.devices, age_s), *self._steps)
        # Boots rise over the worlds of one database, so that no message of one is taken for another's.
        self.boot = int(start.timestamp() // 60) - _MINUTES_TO_2020

    @property
    def end(self) -> datetime:
        """After it nothing is sent: the next world's turn."""
        return self.start + LIFETIME

    def registry(self) -> dict[str, Any]:
        """The registry document. Placements are not in it: they are events."""
        return registration.document(self.devices, self.start.date())

    def messages(self, until: datetime) -> Iterator[Message]:
        """Everything sent before `until`, in the order of sending; every call starts from the beginning."""
        streams = [self._readings(device) for device in self.devices]
        streams += [self._events(), iter(self._faults())]
        for message in heapq.merge(*streams, key=lambda message: message.at):
            if message.at >= until:
                return
            yield message

    def truth_until(self, measured: datetime) -> list[TrueExcursion]:
        """True excursions triggered by `measured`, and what cannot be decided by then, by start."""
        until_s = (measured - self.start).total_seconds()
        self._model.run_to(until_s)
        found = [item for watch, probe in self._watches() for item in self._judge(watch, probe, until_s)]
        return sorted(found, key=lambda item: (item.start, item.device, item.channel))

    def quarantined_expected(self, until: datetime) -> int:
        """Messages sent before `until` that nobody should be able to store."""
        return sum(message.at < until for message in self._faults())

    def sample_box(self) -> tuple[str, str, str]:
        """GTIN, lot and serial of a box on the shop's shelf that came on the failing truck."""
        box = self.sample_boxes()[0]
        return box.gtin, box.lot, box.serial

    def sample_boxes(self) -> tuple[Box, ...]:
        """A box of each truck, both accepted, both on sale; the failing truck's first."""
        units = [self.plan.unit(drop.unit) for drop in self.plan.drops]
        return tuple(
            Box(GTIN, unit.lot, self.plan.serial(unit.first), rooms.TRUCKS[unit.truck or 0]) for unit in units
        )

    def _at(self, seconds: float) -> datetime:
        return self.start + timedelta(seconds=round(seconds, 3))

    def _readings(self, device: Device) -> Iterator[Message]:
        topic = _topic(device.organisation, device.id, "readings")
        spoilt = self._spoilt_seq() if device.id == BROKEN else None
        for pack in packs(device, self._model, self.seed, self.start):
            if pack.seq != spoilt:  # that number goes out with NaN in it
                at, clock_s = self._at(pack.sent_s), device.clock_s(pack.sent_s)
                message = self._pack(topic, at, clock_s, pack.seq, pack.lines, "readings")
                yield _in_cbor(message) if device.id in binary.SPEAKERS else message

    def _pack(
        self, topic: str, at: datetime, clock_s: float, seq: int, lines: tuple[str, ...], kind: Kind
    ) -> Message:
        head = f'[{{"n":"boot","v":{self.boot}}},{{"n":"seq","v":{seq}}},{{"n":"sent","v":'
        sent = _seconds(at.timestamp() + clock_s)
        payload = f"{head}{sent}}},{','.join(lines)}]".encode()
        return Message(topic, payload, at, kind, len(lines), clock_s, (len(head), len(head) + len(sent)))

    def _events(self) -> Iterator[Message]:
        for step in self._steps:
            self._model.run_to(step.sent_s)
            events, at = step.events(self._model), self._at(step.sent_s)
            topic = _topic(step.organisation, step.terminal, "events")
            yield Message(topic, statements.payload(events, at), at, "events", len(events))

    def _spoilt_seq(self) -> int:
        return 121 + self.seed % 7

    def _faults(self) -> tuple[Message, ...]:
        """A logger nobody registered, once; and one pack of a known device with NaN in it, in its own
        count."""
        at = self._at(9.0 * HOUR + 7.0)
        line = f'{{"bt":{_seconds(at.timestamp())},"n":"in_box","u":"Cel","v":4.4}}'
        stranger = self._pack(_topic("xj-coop", STRANGER, "readings"), at, 0.0, 1, (line,), "unknown_device")
        device = next(device for device in self.devices if device.id == BROKEN)
        sent_s = self._spoilt_seq() * device.pack_s + 1.5
        at = self._at(sent_s)
        line = f'{{"bt":{_seconds(at.timestamp() - MINUTE)},"n":"ambient","u":"Cel","v":NaN}}'
        topic = _topic(device.organisation, device.id, "readings")
        broken = self._pack(topic, at, device.clock_s(sent_s), self._spoilt_seq(), (line,), "bad_payload")
        return tuple(sorted((stranger, broken), key=lambda message: message.at))

    def _watches(self) -> Iterator[tuple[truth.Watch, Probe]]:
        """Every probe that the one limit covers, with the time in which it does."""
        intervals = presence.covered(self.plan)
        for device in self.devices:
            for probe in device.probes:
                placement = probe.placement
                if placement.position not in COVERED_POSITIONS or placement.parent not in intervals:
                    continue
                begin, end = intervals[placement.parent]
                removed = float(LIFETIME_S) if placement.removed_at is None else placement.removed_at
                watch = truth.Watch(
                    device=device.id,
                    channel=probe.channel,
                    position=placement.position,
                    parent=placement.parent,
                    interval_s=device.interval_s,
                    delay_s=device.longest_wait_s,
                    accuracy_c=device.accuracy_c,
                    in_force=(max(begin, placement.from_s), min(end, removed)),
                )
                yield watch, probe

    def _judge(self, watch: truth.Watch, probe: Probe, until_s: float) -> list[TrueExcursion]:
        registered = probe.registered(self._model)
        actual = registered if probe.reads is probe.registered else probe.reads(self._model)
        return truth.find(watch, self.start, self._model.time_s, registered, actual, until_s)


def _in_cbor(message: Message) -> Message:
    payload, span = binary.in_cbor(message.payload)
    return replace(message, payload=payload, sent_span=span)


def _topic(organisation: str, device: str, leaf: str) -> str:
    return f"suyuan/v1/{organisation}/{device}/{leaf}"


def _seconds(timestamp: float) -> str:
    return f"{timestamp:.3f}"
