"""paho's client reading in blocks, on a real Mosquitto: nothing is lost, cut or out of order, and groups are acknowledged."""

from __future__ import annotations

import queue
import threading

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest.mqtt_client import BLOCK_BYTES, BlockClient, Published
from tests.servers.mosquitto import Broker

pytestmark = pytest.mark.editions("plain")

SIZES = (0, 1, 100, BLOCK_BYTES - 7, BLOCK_BYTES, 3 * BLOCK_BYTES + 1, 5, 2_000_000)


class Handing(BlockClient):
    came: queue.SimpleQueue[Published]

    def on_published(self, published: list[Published]) -> None:
        for each in published:
            self.came.put(each)


class Reader:
    def __init__(self, port: int, client_id: str) -> None:
        self.came: queue.SimpleQueue[Published] = queue.SimpleQueue()
        self._ready = threading.Event()
        self.client = Handing(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
        )
        self.client.came = self.came
        self.client.on_connect = lambda client, *_: client.subscribe("blocks/#", 1)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def publish(port: int, payloads: list[bytes]) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [client.publish("blocks/x", payload, qos=1) for payload in payloads]
    for each in sent:
        each.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


def test_messages_of_any_size_come_whole_and_in_order(mqtt_broker: Broker) -> None:
    payloads = [bytes([number % 251]) * SIZES[number % len(SIZES)] for number in range(400)]
    reader = Reader(mqtt_broker.port, "blocks")
    try:
        publish(mqtt_broker.port, payloads)
        for payload in payloads:
            message = reader.came.get(timeout=20)
            assert message.payload == payload
            reader.client.acknowledge([message.mid])
    finally:
        reader.stop()


def test_a_group_is_acknowledged_and_the_rest_comes_again(mqtt_broker: Broker) -> None:
    reader = Reader(mqtt_broker.port, "groups")
    publish(mqtt_broker.port, [b"%d" % number for number in range(1000)])
    came = [reader.came.get(timeout=20) for _ in range(1000)]
    reader.client.acknowledge(message.mid for message in came[:700])
    # The broker answers in order: it has read what was written before this.
    reader.client.publish("elsewhere", b"", qos=1).wait_for_publish(20)
    reader.stop()
    again = Reader(mqtt_broker.port, "groups")
    try:
        rest = [again.came.get(timeout=20) for _ in range(300)]
        assert [message.payload for message in rest] == [b"%d" % number for number in range(700, 1000)]
        assert all(message.dup for message in rest)
        publish(mqtt_broker.port, [b"after"])
        assert again.came.get(timeout=20).payload == b"after", "and nothing else"
    finally:
        again.stop()
