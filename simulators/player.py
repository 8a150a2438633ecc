"""Plays a world into a broker: the past as fast as it is acknowledged, then the present as it happens.

Contract: QoS 1, in the world's order, at most `IN_FLIGHT` messages unacknowledged. How far the broker has
taken the world is kept in `data_dir/world.json`, so that a restart goes on with the same world and renumbers
nothing; what was in flight when it stopped is sent again, under the same boot and sequence. What is sent late
carries the wall clock as `sent`, as after buffering. Time is passed in; the only waiting is for the broker
and for the next message.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from simulators.load.connection import address_of
from simulators.world import BEFORE_NOW, LIFETIME, Message, World

IN_FLIGHT: Final = 200
STORY: Final = "world.json"
_LATE: Final = timedelta(seconds=5)
_REPORT_EVERY: Final = 250

Clock = Callable[[], datetime]
Protocol = Literal["3.1.1", "5"]


class PlayerError(Exception):
    """The world cannot be played. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`sent`: messages the broker has acknowledged since the world's start, without a hole. `world_time`: of
    the last one handed over. `caught_up`: the world has reached now, and the broker has all of it.
    `readings`, `events`: records inside what was handed over."""

    sent: int
    world_time: datetime
    caught_up: bool
    readings: int
    events: int


@dataclass(frozen=True, slots=True)
class Story:
    """What a restart needs: which world, after which other, and how many of its messages the broker has."""

    seed: int
    start: datetime
    sent: int
    after: tuple[int, datetime] | None = None

    def world(self) -> World:
        return World(self.seed, self.start, None if self.after is None else World(*self.after))

    def save(self, data_dir: Path) -> None:
        """Atomic: a kill leaves the old story or the new one."""
        data_dir.mkdir(parents=True, exist_ok=True)
        after = None if self.after is None else [self.after[0], self.after[1].isoformat()]
        told = {"seed": self.seed, "start": self.start.isoformat(), "sent": self.sent, "after": after}
        beside = data_dir / f"{STORY}.new"
        beside.write_text(json.dumps(told) + "\n", encoding="utf-8")
        os.replace(beside, data_dir / STORY)

    @classmethod
    def load(cls, data_dir: Path) -> Story | None:
        """None if there is none. Raises PlayerError for a file that is not one of ours."""
        path = data_dir / STORY
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            after = told["after"] and (int(told["after"][0]), datetime.fromisoformat(told["after"][1]))
            return cls(int(told["seed"]), datetime.fromisoformat(told["start"]), int(told["sent"]), after)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise PlayerError(
                f"{path} does not tell which world was played; begin anew in an empty data folder"
            ) from error


def resume(data_dir: Path, seed: int, now: datetime) -> World:
    """The world to play: the one under way, or a new one that started 36 hours before `now`.

    When the one under way has come to the end of its life, a new one follows it, which clears it away first.
    Raises PlayerError where `data_dir` tells of another seed: two seeds in one database would be two lots
    in one cold store.
    """
    story = Story.load(data_dir)
    if story is not None and story.seed != seed:
        raise PlayerError(
            f"{data_dir} holds the world of seed {story.seed}, asked for was {seed}; "
            "use that seed, or an empty data directory"
        )
    if story is not None and now < story.start + LIFETIME:
        return story.world()
    start = (now.astimezone(UTC) - BEFORE_NOW).replace(second=0, microsecond=0)
    return World(seed, start, None if story is None else World(story.seed, story.start))


def play(
    world: World,
    mqtt_url: str,
    data_dir: Path,
    on_progress: Callable[[Progress], None],
    stop_event: threading.Event,
    *,
    now: Clock = lambda: datetime.now(UTC),
    protocol: Protocol = "3.1.1",
) -> Progress:
    """Publish until `stop_event` is set or the world's life is over; returns how far it came.

    `mqtt_url`: mqtt://[user[:password]@]host[:port]. One connection carries all devices. `on_progress` is
    called every few hundred messages, once when the world reaches now, and with every message from then on.
    Raises PlayerError if there is no broker at the start; one that goes away later is waited for.
    """
    line = _Line(mqtt_url, protocol, f"suyuan-world-{world.seed}", stop_event)
    try:
        return _Player(world, line, data_dir, on_progress, stop_event, now).run()
    finally:
        line.close()


class _Line:
    """One MQTT connection with a bounded number of messages in flight, and what is known to have arrived."""

    def __init__(
        self, mqtt_url: str, protocol: Protocol, client_id: str, stop_event: threading.Event
    ) -> None:
        try:
            address = address_of(mqtt_url)
        except ValueError as error:
            raise PlayerError(str(error)) from None
        self._stop = stop_event
        self._changed = threading.Condition()
        self._unacknowledged: dict[int, int] = {}  # mid -> index
        self._overtaken: set[int] = set()  # acknowledged before publish() returned
        self._reserved = 0
        version = mqtt.MQTTv5 if protocol == "5" else mqtt.MQTTv311
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version)
        if address.user:
            self._client.username_pw_set(address.user, address.password)
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.on_publish = self._on_publish
        try:
            self._client.connect(address.host, address.port)
        except OSError as error:
            raise PlayerError(
                f"no broker at {address.host}: {error}; start it, or set SUYUAN_MQTT_URL"
            ) from error
        self._client.loop_start()

    def publish(self, index: int, message: Message) -> bool:
        """False if stopped before there was room in flight."""
        with self._changed:
            if not self._wait_for(lambda: self._reserved < IN_FLIGHT):
                return False
            self._reserved += 1
        # Not under our lock: paho acknowledges under a lock of its own, which publish takes as well.
        mid = self._client.publish(message.topic, message.payload, qos=1).mid
        with self._changed:
            if mid in self._overtaken:
                self._overtaken.discard(mid)
            else:
                self._unacknowledged[mid] = index
        return True

    def arrived_below(self, handed_over: int) -> int:
        """Every message with a smaller index has arrived at the broker."""
        with self._changed:
            return min(self._unacknowledged.values(), default=handed_over)

    def drain(self, patience_s: float) -> None:
        """Wait for what is in flight, at most `patience_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._reserved == 0, timeout=patience_s)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _wait_for(self, ready: Callable[[], bool]) -> bool:
        while not self._changed.wait_for(ready, timeout=0.2):
            if self._stop.is_set():
                return False
        return True

    def _on_publish(self, client: mqtt.Client, userdata: Any, mid: int, *_more: Any) -> None:
        with self._changed:
            if self._unacknowledged.pop(mid, None) is None:
                self._overtaken.add(mid)
            self._reserved -= 1
            self._changed.notify_all()


class _Player:
    def __init__(
        self,
        world: World,
        line: _Line,
        data_dir: Path,
        on_progress: Callable[[Progress], None],
        stop_event: threading.Event,
        now: Clock,
    ) -> None:
        self._world, self._line, self._data_dir = world, line, data_dir
        self._on_progress, self._stop, self._now = on_progress, stop_event, now
        self._index = self._readings = self._events = 0
        self._world_time = world.start
        self._caught_up = False

    def run(self) -> Progress:
        done = self._already_sent()
        self._save(done)
        for message in self._world.messages(self._world.end):
            if self._index >= done and not self._hand_over(message):
                break
            self._count(message)
            if self._caught_up or self._index % _REPORT_EVERY == 0:
                self._report()
        self._line.drain(patience_s=2.0 if self._stop.is_set() else 60.0)
        return self._report()

    def _already_sent(self) -> int:
        story = Story.load(self._data_dir)
        if story is None or (story.seed, story.start) != (self._world.seed, self._world.start):
            return 0
        return story.sent

    def _hand_over(self, message: Message) -> bool:
        """False if stopped before the message was handed over."""
        if message.at > self._now():
            self._reach_now()
            if self._wait_until(message.at):
                return False
        if self._now() - message.at > _LATE:
            message = message.sent_at(self._now())
        return not self._stop.is_set() and self._line.publish(self._index, message)

    def _reach_now(self) -> None:
        """Once: the past is told when the broker has all of it."""
        if not self._caught_up:
            self._line.drain(patience_s=60.0)
            self._caught_up = True
            self._report()

    def _wait_until(self, at: datetime) -> bool:
        """True if stopped while waiting."""
        while (ahead_s := (at - self._now()).total_seconds()) > 0:
            if self._stop.wait(min(ahead_s, 1.0)):
                return True
        return False

    def _count(self, message: Message) -> None:
        self._index += 1
        self._world_time = message.at
        if message.kind == "readings":
            self._readings += message.records
        elif message.kind == "events":
            self._events += message.records

    def _report(self) -> Progress:
        sent = self._line.arrived_below(self._index)
        self._save(sent)
        progress = Progress(sent, self._world_time, self._caught_up, self._readings, self._events)
        self._on_progress(progress)
        return progress

    def _save(self, sent: int) -> None:
        former = self._world.after
        after = None if former is None else (former.seed, former.start)
        Story(self._world.seed, self._world.start, sent, after).save(self._data_dir)
