"""PUBLISH packets out of bytes that come in any pieces: whole ones in order, the rest left as it is."""

from __future__ import annotations

import socket
import threading
import tracemalloc

import paho.mqtt.client as mqtt
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from ingest.mqtt_client import BLOCK_BYTES, KEPT_BYTES, BlockClient, BlockSocket, Published, publishes


def publish(topic: bytes, payload: bytes, mid: int = 0, dup: bool = False) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + (mid.to_bytes(2, "big") if mid else b"") + payload
    length, rest = bytearray(), len(body)
    while True:
        rest, low = divmod(rest, 128)
        length.append(low | (128 if rest else 0))
        if not rest:
            return bytes([0x30 | (2 if mid else 0) | (8 if dup else 0)]) + bytes(length) + body


class Pieces:
    """A socket that gives its bytes in these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def recv(self, _size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


packets = st.builds(
    Published,
    st.binary(min_size=2, max_size=20),
    st.binary(max_size=300),
    st.integers(0, 65_535),
    st.just(0),
    st.booleans(),
)


@given(st.lists(packets, max_size=8), st.lists(st.integers(1, 120), max_size=40))
def test_they_come_whole_and_in_order_however_they_are_cut(sent: list[Published], cuts: list[int]) -> None:
    stream = b"".join(publish(each.topic, each.payload, each.mid, each.dup) for each in sent)
    pieces = []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    socket = BlockSocket(Pieces([piece for piece in [*pieces, stream] if piece]))
    came: list[Published] = []
    while socket.fill():
        came += socket.published()
        assert socket.waits_for_more()
    assert came == [each._replace(qos=1 if each.mid else 0) for each in sent]
    assert not socket.holds()


def test_what_is_not_a_whole_publish_is_left_to_paho() -> None:
    first = publish(b"a/b", b"x", 7)
    for other in (
        b"\x40\x02\x00\x07",  # PUBACK
        b"\x34\x08\x00\x03a/b\x00\x07x",  # QoS 2
        b"\x32\x04\x00\xffab",  # its topic ends beyond it
        b"\x30\x00",
        b"\x30\xff\xff\xff\xff\x01",  # a length of five bytes
    ):
        assert publishes(first + other, 0) == ([Published(b"a/b", b"x", 7, 1, False)], len(first))
        socket = BlockSocket(Pieces([other]))
        socket.fill()
        assert socket.published() == [] and not socket.waits_for_more()


def test_one_longer_than_a_block_is_left_to_paho_as_soon_as_it_begins() -> None:
    whole = publish(b"a/b", bytes(BLOCK_BYTES + 1), 7)
    socket = BlockSocket(Pieces([whole[:3], whole[3:5000]]))
    socket.fill()
    assert socket.waits_for_more(), "its length is not known yet"
    socket.fill()
    assert socket.published() == [] and not socket.waits_for_more()
    assert socket.recv(4) == whole[:4], "from its beginning"


@given(st.binary(max_size=400))
def test_any_bytes_are_taken_or_left(data: bytes) -> None:
    found, at = publishes(data, 0)
    assert 0 <= at <= len(data)
    assert sum(len(each.topic) + len(each.payload) + 4 for each in found) <= at


class Handing(BlockClient):
    def on_published(self, published: list[Published]) -> None:
        self.came = published


def test_messages_that_come_keep_the_connection_while_the_answer_to_a_ping_is_behind_them() -> None:
    """paho gives a connection up that brought no byte for a keep-alive; a backlog may take longer than that."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = Handing(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311, manual_ack=True)
        ours.setblocking(False)
        client._sock = BlockSocket(ours)
        client._last_bytes_received = 0.0
        theirs.sendall(publish(b"a/b", b"x", 7))
        assert client.loop_read() == mqtt.MQTT_ERR_SUCCESS
        assert [each.mid for each in client.came] == [7]
        assert client._last_bytes_received > 0.0
        client._sock = None


def test_of_a_message_that_is_too_long_the_beginning_is_kept_and_the_next_comes_whole() -> None:
    """Its end may be a quarter of a gigabyte away, and the worker has less."""
    whole = publish(b"a/b", bytes(range(256)) * 160_000, 7)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = Handing(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311, manual_ack=True)
        client._sock = BlockSocket(ours)
        came: list[Published] = []
        sending = threading.Thread(target=theirs.sendall, args=(whole + publish(b"a/c", b"x", 8),))
        sending.start()
        tracemalloc.start()
        try:
            while len(came) < 2:
                client.came = []
                assert client.loop_read() == mqtt.MQTT_ERR_SUCCESS
                came += client.came
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            sending.join()
            client._sock = None
    assert [(each.topic, each.mid) for each in came] == [(b"a/b", 7), (b"a/c", 8)]
    assert came[1].payload == b"x"
    kept = came[0].payload
    assert KEPT_BYTES - 10 < len(kept) < KEPT_BYTES and kept == (bytes(range(256)) * 160_000)[: len(kept)]
    assert peak < 5 * KEPT_BYTES
