"""What nobody takes is left at the broker: a worker whose database is away holds no more than it may."""

from __future__ import annotations

import threading

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest import subscriber
from ingest.message import OVERHEAD_BYTES
from ingest.subscriber import Subscriber
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until

MESSAGES = 2_000
PAYLOAD = bytes(1_000)


@pytest.mark.parametrize("qos", [0, 1])
def test_what_nobody_takes_is_left_at_the_broker(
    mqtt_broker: Broker, monkeypatch: pytest.MonkeyPatch, qos: int
) -> None:
    monkeypatch.setattr(subscriber, "HELD_BYTES", 100_000)
    worker = Subscriber(mqtt_broker.url, "ingest-0", "ingest")
    worker.start()
    assert wait_until(lambda: worker.subscribed, 10)
    publish(mqtt_broker.port, qos)
    assert wait_until(lambda: worker.arrived.held_bytes > 100_000, 10)
    # A block beyond what it may hold, and one that is being handed over: no more, however long nobody takes it.
    most = 100_000 + 2 * (len(PAYLOAD) + OVERHEAD_BYTES) * 70
    assert worker.entered < MESSAGES and worker.arrived.held_bytes < most
    taken = 0
    while taken < MESSAGES * qos:
        came = worker.arrived.get(timeout=20)
        worker.acknowledge(came)
        taken += len(came)
    ended = threading.Thread(target=worker.stop)
    ended.start()
    ended.join(10)
    assert not ended.is_alive(), "it ends also while there is no room"


def publish(port: int, qos: int) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for told in [client.publish("suyuan/v1/coop/room-1/readings", PAYLOAD, qos) for _ in range(MESSAGES)]:
        told.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()
