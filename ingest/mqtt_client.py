"""paho's client, taking PUBLISH packets a block at a time and acknowledging in groups.

In the line: `subscriber` -> here -> the broker. Contract: connecting, keeping alive, subscribing, publishing and every packet
that is not a whole PUBLISH are paho's; whole PUBLISH packets of QoS 0 and 1 are handed over a block's worth at a time, in
order. MQTT 3.1.1 alone: in version 5 a PUBLISH has properties, and is paho's.
paho asks the socket three times for each packet, waits on it once for each, and looks every topic up among callbacks that we
do not have: a single reading's message costs it more than all the rest of the line (docs/decisions/0021-paho-in-blocks.md).
Names with an underscore are paho's own; requirements.lock fixes its version, and tests/integration/test_mqtt_client.py holds
it to them.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from ingest.broker_address import broker_address

BLOCK_BYTES = 65_536
PUBLISH, PUBACK, DUP, QOS = 0x30, 0x40, 0x08, 0x06
KEPT_BYTES = 2 * 2**20
ANSWER_S = 5.0
FEW, REST_S = 8, 0.0005
"""After a block of fewer messages: what comes within half a millisecond is the next block. A message that is read alone takes the
interpreter from the thread that commits, thousands of times a second."""
ENDLESS = 2**28  # longer than any packet may be


class Published(NamedTuple):
    """A PUBLISH packet. `mid`: 0 with QoS 0."""

    topic: bytes
    payload: bytes
    mid: int
    qos: int
    dup: bool


class BlockSocket:
    """A socket that reads ahead. What it holds begins where the next packet does, or goes on where paho left off."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._held = b""
        self._at = 0

    def fill(self) -> bool:
        """Read one block more. False at the end; raises what the socket raises."""
        came = self._inner.recv(BLOCK_BYTES)
        self._held, self._at = self._held[self._at :] + came, 0
        return bool(came)

    def published(self) -> list[Published]:
        """Take the whole PUBLISH packets at the front."""
        found, self._at = publishes(self._held, self._at)
        return found

    def holds(self) -> bool:
        return self._at < len(self._held)

    def waits_for_more(self) -> bool:
        """At the beginning of a packet: nothing is held, or a part of a PUBLISH that fits into a block."""
        if not self.holds():
            return True
        if self._held[self._at] & 0xF0 != PUBLISH:
            return False
        length, body = _varint(self._held, self._at + 1)
        if length == ENDLESS:
            return len(self._held) - self._at < 5
        return length <= BLOCK_BYTES and body + length > len(self._held)

    def recv(self, size: int) -> bytes:
        if self._at < len(self._held):
            taken = self._held[self._at : self._at + size]
            self._at += len(taken)
            return taken
        return bytes(self._inner.recv(size))

    def pending(self) -> int:
        """What a wait on the socket would not see: a TLS socket's own."""
        pending = getattr(self._inner, "pending", None)
        return int(pending()) if pending is not None else 0

    def send(self, data: bytes) -> int:
        return int(self._inner.send(data))

    def fileno(self) -> int:
        return int(self._inner.fileno())

    def close(self) -> None:
        self._inner.close()

    def setblocking(self, flag: bool) -> None:
        self._inner.setblocking(flag)

    def getsockname(self) -> Any:
        return self._inner.getsockname()


def publishes(data: bytes, at: int) -> tuple[list[Published], int]:
    """The whole PUBLISH packets of QoS 0 and 1 in `data` from `at` on, and where they end."""
    found: list[Published] = []
    take, end = found.append, len(data)
    while end - at >= 4:
        head, length, body = data[at], data[at + 1], at + 2
        if head & 0xF0 != PUBLISH or head & QOS > 2:
            break
        if length & 0x80:
            length, body = _varint(data, at + 1)
        stop = body + length
        if stop > end or length < 4:
            break
        topic = body + 2
        split = topic + (data[body] << 8 | data[body + 1])
        payload = split + (head & QOS)  # two bytes of number with QoS 1, none with QoS 0
        if payload > stop:
            break
        mid = data[split] << 8 | data[split + 1] if head & QOS else 0
        take(Published(data[topic:split], data[payload:stop], mid, (head & QOS) >> 1, head & DUP != 0))
        at = stop
    return found, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A packet's remaining length, and where what it counts begins; ENDLESS while its own bytes are not all there."""
    value = 0
    for place in range(4):
        if at + place >= len(data):
            break
        value |= (data[at + place] & 0x7F) << 7 * place
        if data[at + place] < 0x80:
            return value, at + place + 1
    return ENDLESS, at


class BoundedClient(mqtt.Client):
    """Of a packet of more than KEPT_BYTES the beginning is kept, which is more than any message may have. A broker takes a quarter
    of a gigabyte unless it is told not to, and what ended one worker for want of memory would come to the next."""

    def _sock_recv(self, bufsize: int) -> bytes:
        del self._in_packet["packet"][KEPT_BYTES:]
        return super()._sock_recv(min(bufsize, BLOCK_BYTES))

    def _packet_handle(self) -> MQTTErrorCode:
        del self._in_packet["packet"][KEPT_BYTES:]
        return super()._packet_handle()


class BlockClient(BoundedClient):
    """`on_published` gets everything that is published, and `on_message` nothing. `on_end`: the network thread has ended by an
    error, paho's or ours; it would be gone in silence."""

    def on_end(self, error: BaseException) -> None:
        raise NotImplementedError

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except BaseException as error:
            self.on_end(error)
            raise

    def on_published(self, published: list[Published]) -> None:
        raise NotImplementedError

    def _create_socket(self) -> Any:
        made: Any = super()._create_socket()
        if isinstance(made, socket.socket):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return BlockSocket(made)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """A block: its PUBLISH packets at once, the others one by one."""
        held: Any = self._sock
        if held is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        try:
            came = held.fill()
        except BlockingIOError:
            came = held.holds()
        except OSError:
            came = False
        if came:
            self._last_bytes_received = time.monotonic()  # an answer to a ping may be a long way behind
        else:
            return super().loop_read(max_packets)  # paho asks the socket itself, and takes it from there
        while True:
            if self._in_packet["command"] == 0:
                if published := held.published():
                    self.on_published(published)
                if held.waits_for_more():
                    if len(published) < FEW:
                        time.sleep(REST_S)
                    return MQTTErrorCode.MQTT_ERR_SUCCESS
            code = super().loop_read(max_packets)
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS or self._sock is None or not held.holds():
                return code

    def _handle_on_message(self, message: mqtt.MQTTMessage) -> None:
        """A PUBLISH that paho took: one that was longer than a block."""
        self.on_published(
            [Published(message._topic, bytes(message.payload), message.mid, message.qos, message.dup)]
        )

    def acknowledge(self, mids: Iterable[int]) -> None:
        """PUBACK for all of these, in this order, in one write."""
        packets = b"".join(b"\x40\x02" + mid.to_bytes(2, "big") for mid in mids)
        if packets:
            self._packet_queue(PUBACK, packets, 0, 0)


Kind = TypeVar("Kind", bound=mqtt.Client)


def client_for(
    kind: type[Kind], url: str, client_id: str, *, kept: bool = False
) -> tuple[Kind, tuple[str, int]]:
    """A client that signs in as `url` says, and the host and port to connect it to. `kept`: with a session that the broker keeps,
    of which we acknowledge what we have. 3.1.1 for our own side: paho parses it twice as fast, and devices speak what they
    like. Raises AddressError."""
    address = broker_address(url)
    client = kind(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=not kept,
        protocol=mqtt.MQTTv311,
        manual_ack=kept,
    )
    if address.user:
        client.username_pw_set(address.user, address.password)
    return client, (address.host, address.port)


def remove_session(url: str, client_id: str) -> None:
    """Nothing is kept at the broker under that name any more. A broker that is away keeps it."""
    client, address = client_for(mqtt.Client, url, client_id)
    with contextlib.suppress(OSError):
        client.connect(*address, keepalive=10)
        answered = time.monotonic() + ANSWER_S
        while not client.is_connected() and time.monotonic() < answered:
            client.loop(0.1)
        client.disconnect()
