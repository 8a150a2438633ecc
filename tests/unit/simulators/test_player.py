"""The player against a real broker: everything arrives once a restart or two are over, in order, with honest
clocks."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators.player import STORY, PlayerError, Progress, Protocol, Story, play, resume
from simulators.world import BEFORE_NOW, LIFETIME, World
from tests.servers.mosquitto import Broker
from tests.unit.simulators.worlds import MORNING

SHORT = timedelta(hours=5)


class Listener:
    """Hears everything under suyuan/v1 and keeps it."""

    def __init__(self, broker: Broker) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._subscribed = threading.Event()
        self.more = threading.Condition()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener")
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        host, port = broker.url.removeprefix("mqtt://").rsplit(":", 1)
        self._client.connect(host, int(port))
        self._client.subscribe("suyuan/v1/#", qos=1)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def wait_for(self, count: int) -> list[tuple[str, bytes]]:
        with self.more:
            assert self.more.wait_for(lambda: len(self.heard) >= count, timeout=30), len(self.heard)
        return list(self.heard)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        with self.more:
            self.heard.append((message.topic, bytes(message.payload)))
            self.more.notify_all()


def play_until_caught_up(
    world: World, broker: Broker, data_dir: Path, now: datetime, protocol: Protocol = "3.1.1"
) -> list[Progress]:
    """Plays with a clock that stands still at `now`."""
    stop = threading.Event()
    seen: list[Progress] = []

    def on_progress(progress: Progress) -> None:
        seen.append(progress)
        if progress.caught_up:
            stop.set()

    seen.append(play(world, broker.url, data_dir, on_progress, stop, now=lambda: now, protocol=protocol))
    return seen


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_the_past_arrives_in_order_with_the_wall_clock_as_sent(
    mqtt_broker: Broker, tmp_path: Path, protocol: Protocol
) -> None:
    listener = Listener(mqtt_broker)
    world, now = World(7, MORNING), MORNING + SHORT
    expected = list(world.messages(now))
    progress = play_until_caught_up(world, mqtt_broker, tmp_path, now, protocol)
    heard = listener.wait_for(len(expected))
    listener.close()
    assert [topic for topic, _ in heard] == [message.topic for message in expected]
    for (_, payload), message in zip(heard, expected, strict=True):
        if message.kind == "readings" and now - message.at > timedelta(seconds=5):
            assert json.loads(payload)[2]["v"] == pytest.approx(now.timestamp() + message.clock_s, abs=0.01)
        elif message.kind == "events":
            assert payload == message.payload
    assert progress[-1].sent == len(expected)
    assert progress[-1].readings == sum(m.records for m in expected if m.kind == "readings")


def test_a_restart_goes_on_where_the_broker_was(mqtt_broker: Broker, tmp_path: Path) -> None:
    listener = Listener(mqtt_broker)
    first, second = MORNING + timedelta(hours=2), MORNING + SHORT
    play_until_caught_up(World(7, MORNING), mqtt_broker, tmp_path, first)
    world = resume(tmp_path, 7, second)
    assert world.start == MORNING
    play_until_caught_up(world, mqtt_broker, tmp_path, second)
    expected = [message.topic for message in world.messages(second)]
    assert [topic for topic, _ in listener.wait_for(len(expected))] == expected
    listener.close()


def test_a_broker_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(PlayerError, match="start it"):
        play(World(7, MORNING), "mqtt://127.0.0.1:9", tmp_path, lambda _: None, threading.Event())
    with pytest.raises(PlayerError, match="want mqtt://"):
        play(World(7, MORNING), "http://127.0.0.1", tmp_path, lambda _: None, threading.Event())


def test_a_new_world_starts_36_hours_ago_and_an_old_one_goes_on(tmp_path: Path) -> None:
    now = datetime(2026, 6, 20, 3, 0, 30, tzinfo=UTC)
    fresh = resume(tmp_path, 5, now)
    assert fresh.start == now.replace(second=0) - BEFORE_NOW
    Story(5, fresh.start, 1200).save(tmp_path)
    assert resume(tmp_path, 5, now + timedelta(days=2)).start == fresh.start


def test_a_world_at_its_end_is_followed_by_one_that_clears_it_away(tmp_path: Path) -> None:
    Story(5, MORNING, 9000).save(tmp_path)
    following = resume(tmp_path, 5, MORNING + LIFETIME + timedelta(hours=1))
    assert following.after is not None
    assert following.after.start == MORNING
    Story(5, following.start, 10, (5, MORNING)).save(tmp_path)
    again = resume(tmp_path, 5, MORNING + LIFETIME + timedelta(hours=9))
    assert again.start == following.start
    assert again.after is not None
    assert again.after.start == MORNING


def test_a_story_of_another_seed_or_of_no_meaning_is_refused(tmp_path: Path) -> None:
    Story(5, MORNING, 0).save(tmp_path)
    with pytest.raises(PlayerError, match="seed 5"):
        resume(tmp_path, 6, MORNING)
    (tmp_path / STORY).write_text("{}")
    with pytest.raises(PlayerError, match="empty data folder"):
        resume(tmp_path, 5, MORNING)
