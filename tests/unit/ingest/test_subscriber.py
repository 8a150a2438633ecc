"""The worker's end at the broker, against one that is played byte by byte: what Mosquitto cannot be made to do at a given moment."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from paho.mqtt.client import MQTTMessageInfo

from ingest import outbox
from ingest.message import Message
from ingest.mqtt_client import Published
from ingest.subscriber import Subscriber
from tests.servers.waiting import wait_until
from tests.unit.ingest.test_mqtt_client import publish

CONNECT, SUBSCRIBE = 0x10, 0x82
CONNACK = b"\x20\x02\x01\x00"  # the session was kept
TOPIC = b"suyuan/v1/coop/room-1/readings"


class Played:
    """The broker's end of one connection."""

    def __init__(self, listening: socket.socket) -> None:
        self._socket, _ = listening.accept()
        self._socket.settimeout(10)

    def packet(self) -> tuple[int, bytes]:
        """The next one; ours are shorter than 2^14."""
        head, length = self._exactly(2)
        if length & 0x80:
            length = length & 0x7F | self._exactly(1)[0] << 7
        return head, self._exactly(length)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def subscribed(self) -> None:
        assert self.packet()[0] == CONNECT
        self.send(CONNACK)
        self.acknowledge_subscription()

    def acknowledge_subscription(self) -> None:
        head, body = self.packet()
        assert head == SUBSCRIBE
        self.send(b"\x90\x07" + body[:2] + b"\x01" * 5)

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            found += (came := self._socket.recv(size - len(found)))
            assert came, "the subscriber has gone"
        return found


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(10)
        yield made


@pytest.fixture
def subscriber(listening: socket.socket) -> Iterator[Subscriber]:
    made = Subscriber(f"mqtt://127.0.0.1:{listening.getsockname()[1]}", "ingest-0", None)
    yield made
    made.stop()


def arrived(subscriber: Subscriber) -> Message:
    while True:
        if messages := subscriber.arrived.get(timeout=10):
            return messages[0]


def test_nothing_is_acknowledged_on_another_connection_than_it_came_by(
    subscriber: Subscriber, listening: socket.socket
) -> None:
    """Also not while the next one is being made: what is queued then goes out on it, before or right after CONNECT."""
    subscriber.start()
    first = Played(listening)
    first.subscribed()
    first.send(publish(TOPIC, b"[]", 7))
    message = arrived(subscriber)
    first.close()
    second = Played(listening)
    assert second.packet()[0] == CONNECT
    subscriber.acknowledge([message])
    second.send(CONNACK)
    second.acknowledge_subscription()
    second.send(publish(TOPIC, b"[]", 8))
    subscriber.acknowledge([message, arrived(subscriber)])
    assert second.packet() == (0x40, b"\x00\x08")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_network_thread_that_ends_is_told(subscriber: Subscriber, listening: socket.socket) -> None:
    def failing(_published: list[Published]) -> None:
        raise MemoryError

    subscriber._client.arrive = failing
    subscriber.start()
    network = subscriber._client._thread
    assert network is not None
    played = Played(listening)
    played.subscribed()
    played.send(publish(TOPIC, b"[]", 7))
    assert subscriber.arrived.get(timeout=10) == [], "whoever waits is woken"
    assert isinstance(subscriber.fault, MemoryError)
    network.join(10)  # or pytest would tell of its end in the next test
    played.close()


def test_a_broker_that_acknowledges_nothing_holds_up_what_is_sent_once(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows' transaction is open for as long: with 200 of them it would be a quarter of an hour."""
    monkeypatch.setattr(outbox, "PATIENCE_S", 0.1)
    waited: list[int] = []
    really = MQTTMessageInfo.wait_for_publish

    def wait_for_publish(info: MQTTMessageInfo, timeout: float | None = None) -> None:
        waited.append(info.mid)
        really(info, timeout)

    monkeypatch.setattr(MQTTMessageInfo, "wait_for_publish", wait_for_publish)
    sender = outbox.Sender(f"mqtt://127.0.0.1:{listening.getsockname()[1]}", "outbox-test")
    try:
        assert not sender.send([]), "it connects first"
        played = Played(listening)
        assert played.packet()[0] == CONNECT
        played.send(CONNACK)
        assert sender._connected.wait(10)
        assert not sender.send([("a", "{}")] * 50)
        assert len(waited) == 1
        played.close()
    finally:
        sender.stop()


def test_a_broker_that_does_not_answer_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    subscriber = Subscriber(f"mqtt://user:hunter2@127.0.0.1:{port}", "ingest-0", None)
    subscriber.start()
    try:
        assert wait_until(lambda: "the broker does not answer" in caplog.text, within_s=10)
    finally:
        subscriber.stop()
    assert caplog.records[0].broker == f"127.0.0.1:{port}" and "hunter2" not in caplog.text  # type: ignore[attr-defined]
