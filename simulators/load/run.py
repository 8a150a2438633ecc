"""Sends a plan: at a rate or as fast as the broker takes it, and, if told to, until all of it is stored.

In the line: plan -> run -> connection -> broker. Contract: a message counts as published when the broker acknowledged it;
after a broken connection everything unacknowledged is sent again under its own number. With `keep` a run ends only when a
receipt covers every message: what none covers is sent again each time that nothing new was covered for `resend_after_s`.
How far it came stands in the log file, at least once a second, each time whole: a run that is killed leaves the last state.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from simulators.load.connection import MOST_IN_FLIGHT, VARINT, Address, Connection, ConnectionLost, prefixed
from simulators.load.log import Came, write_log
from simulators.load.plan import Plan, events_payload, payloads, placing
from simulators.load.receipts import Receipts

_AT_ONCE: Final = 256  # messages in one write
_EVENTS_AT_ONCE: Final = 500
_PATIENCE_S: Final = 30.0  # for a broker that went away
_RECEIPTS: Final = "suyuan/v1/+/+/receipt"


class LoadError(Exception):
    """The load cannot be sent. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a plan is sent. `rate`: messages a second, None as fast as it goes. `placed`: how many devices are put into the
    cold store first. `times`: file for when each message was sent first, float64[messages], seconds since 1970 (numpy)."""

    rate: float | None = None
    in_flight: int = 4_000
    keep: bool = False
    resend_after_s: float = 10.0
    give_up_after_s: float = 600.0
    placed: int = 0
    log: Path | None = None
    times: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.in_flight <= MOST_IN_FLIGHT:
            raise LoadError(f"got {self.in_flight} messages in flight, want 1 to {MOST_IN_FLIGHT}")


def run(
    plan: Plan,
    address: Address,
    way: Way,
    stop: threading.Event,
    on_progress: Callable[[Came], None] = lambda _came: None,
) -> Came:
    """Raises LoadError where there is no broker within 30 s, at the start or later."""
    return _Run(plan, address, way, stop, on_progress).run()


class _Run:
    def __init__(
        self,
        plan: Plan,
        address: Address,
        way: Way,
        stop: threading.Event,
        on_progress: Callable[[Came], None],
    ) -> None:
        self._plan, self._address, self._way = plan, address, way
        self._stop, self._on_progress = stop, on_progress
        self._payload = payloads(plan)
        self._topics = [prefixed(plan.topic(number)) for number in range(plan.devices)]
        self._receipts = Receipts(plan)
        self._connection: Connection | None = None
        self._in_flight: dict[int, int] = {}  # packet number -> index
        self._number = 0
        self._next = 0  # the first message that was never sent
        self._again: deque[int] = deque()
        self._times = array("d")
        self._late = array("d")
        self._sent_again = self._reconnected = self._at_broker = 0
        self._begun_at = self._reported_at = 0.0

    # --- the whole ------------------------------------------------------------------------------------------

    def run(self) -> Came:
        self._connect()
        try:
            self._place()
        except ConnectionLost as error:
            raise LoadError(f"the devices were not placed, start again: {error}") from error
        self._begun_at = self._reported_at = time.monotonic()
        while not self._stop.is_set() and (
            self._next < self._plan.messages or self._in_flight or self._again
        ):
            self._step()
        if self._way.keep:
            self._until_stored()
        came = self._report(complete=self._is_complete())
        if self._connection is not None:
            self._connection.close()
        if self._way.times is not None:
            np.save(self._way.times, np.frombuffer(self._times, dtype=np.float64))
        return came

    def _is_complete(self) -> bool:
        if self._way.keep:
            return self._receipts.stored() >= self._plan.messages
        return self._published() >= self._plan.messages

    def _until_stored(self) -> None:
        covered, since = self._receipts.stored(), time.monotonic()
        begun = since
        while not self._stop.is_set() and not self._is_complete():
            self._step()
            now = time.monotonic()
            if self._receipts.stored() > covered or self._again or self._in_flight:
                covered, since = self._receipts.stored(), now
            elif now - since > self._way.resend_after_s:
                self._again.extend(self._receipts.missing(self._plan.messages))
                self._sent_again += len(self._again)
            if now - begun > self._way.give_up_after_s:
                return

    # --- one step -------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Send what is due and fits, take what has come."""
        assert self._connection is not None
        try:
            due = self._due()
            if due > 0 and not self._connection.busy:
                self._send(list(self._take(due)))
            self._connection.turn(self._pause())
        except ConnectionLost:
            self._connection.close()
            self._connect()
        if time.monotonic() - self._reported_at > 1:
            self._report()

    def _due(self) -> int:
        """How many messages may leave now."""
        room = min(self._way.in_flight - len(self._in_flight), _AT_ONCE)
        if self._again or self._way.rate is None:
            return room
        passed = time.monotonic() - self._begun_at
        return min(room, int(passed * self._way.rate) + 1 - self._next)

    def _pause(self) -> float:
        if self._stop.is_set() or len(self._in_flight) >= self._way.in_flight:
            return 0.1
        if self._again:
            return 0.0
        if self._next >= self._plan.messages:
            return 0.05
        if self._way.rate is None:
            return 0.0
        return min(max(self._begun_at + self._next / self._way.rate - time.monotonic(), 0.0), 0.1)

    def _take(self, count: int) -> Iterator[int]:
        for _ in range(count):
            if self._again:
                yield self._again.popleft()
            elif self._next < self._plan.messages and not self._stop.is_set():
                yield self._next
                self._next += 1

    def _send(self, indices: list[int]) -> None:
        assert self._connection is not None
        now = time.time()
        payload, topics, devices = self._payload, self._topics, self._plan.devices
        number, in_flight, parts = self._number, self._in_flight, []
        for index in indices:
            number = number % MOST_IN_FLIGHT + 1
            while number in in_flight:
                number = number % MOST_IN_FLIGHT + 1
            in_flight[number] = index
            parts.append(_publish(topics[index % devices], number, payload(index, now)))
        self._number = number
        self._note(indices, now)
        self._connection.send(b"".join(parts))

    def _note(self, indices: list[int], now: float) -> None:
        new = [index for index in indices if index >= len(self._times)]
        self._times.extend([now] * len(new))
        if self._way.rate is not None and new:
            at = time.monotonic() - self._begun_at
            self._late.extend(at - index / self._way.rate for index in new)

    def _acknowledged(self, numbers: list[int]) -> None:
        for number in numbers:
            self._in_flight.pop(number, None)  # none: an event, or sent before the connection broke

    # --- the connection -------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Connects, and puts what was in flight in front of the queue."""
        self._reconnected += self._connection is not None
        self._again.extendleft(sorted(self._in_flight.values(), reverse=True))
        self._sent_again += len(self._in_flight)
        self._in_flight.clear()
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                name = f"suyuan-load-{self._plan.boot}"
                self._connection = Connection(self._address, name, self._acknowledged, self._receipts.take)
                if self._way.keep:
                    self._connection.subscribe(_RECEIPTS)
                return
            except OSError as error:
                if time.monotonic() > until or self._stop.is_set():
                    raise LoadError(
                        f"no broker at {self._address.host}:{self._address.port} within {_PATIENCE_S:.0f} s: {error};"
                        " start it, or set SUYUAN_MQTT_URL"
                    ) from error
                self._stop.wait(0.2)

    def _place(self) -> None:
        """The events that put devices into the store, by the first device, before the first reading."""
        assert self._connection is not None
        events = placing(self._plan, range(self._way.placed)) if self._way.placed else []
        topic = prefixed(self._plan.topic(0, "events"))
        for first in range(0, len(events), _EVENTS_AT_ONCE):
            body = events_payload(events[first : first + _EVENTS_AT_ONCE], datetime.now(UTC))
            self._number += 1
            self._in_flight[self._number] = -1
            self._connection.send(_publish(topic, self._number, body))
            while self._in_flight:
                self._connection.turn(0.1)

    # --- what is told ---------------------------------------------------------------------------------------

    def _published(self) -> int:
        """The first so many are all at the broker. What is sent again for want of a receipt was there before."""
        self._at_broker = max(self._at_broker, min([self._next, *self._again, *self._in_flight.values()]))
        return self._at_broker

    def _report(self, complete: bool = False) -> Came:
        self._reported_at = time.monotonic()
        came = Came(
            begun=self._next,
            published=self._published(),
            stored=self._receipts.stored(),
            sent_again=self._sent_again,
            reconnected=self._reconnected,
            seconds=round(self._reported_at - self._begun_at, 3),
            behind_ms=self._behind_ms() if complete else 0.0,
            complete=complete,
        )
        if self._way.log is not None:
            write_log(self._way.log, self._plan, came)
        self._on_progress(came)
        return came

    def _behind_ms(self) -> float:
        return round(float(np.percentile(self._late, 99)) * 1000, 2) if self._late else 0.0


def _publish(topic: bytes, number: int, body: bytes) -> bytes:
    """The packet, with QoS 1. `topic`: after its length."""
    return b"".join((b"\x32", VARINT[len(topic) + 2 + len(body)], topic, number.to_bytes(2, "big"), body))
