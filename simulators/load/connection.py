"""One MQTT 3.1.1 connection that publishes with QoS 1, far faster than a general client does.

In the line: run -> bytes on a socket. Contract: what it speaks of MQTT is CONNECT, PUBLISH with QoS 1, SUBSCRIBE with QoS 0
and PINGREQ; a packet it did not ask for raises `ConnectionLost`, as does a broker that goes away. It never blocks but in
`connect` and `turn`, and holds no message: what is unacknowledged is the caller's to make again.

Written out because the load must not be the bottleneck of what it measures: paho publishes some 10,000 messages/s with
QoS 1 for a whole core, this several times as many.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

KEEPALIVE_S: Final = 60
MOST_IN_FLIGHT: Final = 60_000  # packet numbers have 16 bits
_READ: Final = 1 << 18
_CONNACK, _PUBLISH, _PUBACK, _SUBACK, _PINGRESP = 2, 3, 4, 9, 13
_ONE_PUBACK: Final = struct.Struct(">HH")
_PUBACK_HEAD: Final = 0x4002


class ConnectionLost(ConnectionError):
    """The broker went away, or said what it should not. What was in flight may or may not have arrived: send it again."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def address_of(mqtt_url: str) -> Address:
    """Of mqtt://[user[:password]@]host[:port]. Raises ValueError, which quotes nothing of the URL."""
    try:
        url = urlsplit(mqtt_url)
        host, port = url.hostname, url.port or 1883
    except ValueError:  # its text quotes what it took for the port, which may be a password
        host = None
    if host is None or url.scheme not in ("mqtt", "tcp"):
        raise ValueError("the broker's address is none: want mqtt://[user:password@]host[:port]")
    password = None if url.password is None else unquote(url.password)
    return Address(host, port, unquote(url.username) if url.username else None, password)


class Connection:
    """`on_message(topic, payload)`: what arrives by a subscription. `acknowledged`: called with packet numbers, in the
    order in which the broker acknowledged them."""

    def __init__(
        self,
        address: Address,
        client_id: str,
        acknowledged: Callable[[list[int]], None],
        on_message: Callable[[bytes, bytes], None] | None = None,
        within_s: float = 10.0,
    ) -> None:
        """Connects. Raises OSError, ConnectionLost."""
        self._acknowledged, self._on_message = acknowledged, on_message
        self._out = memoryview(b"")
        self._in = b""
        self._quiet_since = time.monotonic()
        self._granted = False
        self._socket = socket.create_connection((address.host, address.port), timeout=within_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(_connect(client_id, address))
        answer = self._socket.recv(4)
        if len(answer) != 4 or answer[0] >> 4 != _CONNACK or answer[3]:
            self._socket.close()
            raise ConnectionLost(
                f"the broker did not take the connection (got {answer.hex() or 'nothing'}, want 20020000)"
            )
        self._socket.setblocking(False)

    def subscribe(self, topic_filter: str, within_s: float = 10.0) -> None:
        """With QoS 0. Returns when the broker granted it."""
        body = b"\0\1" + prefixed(topic_filter) + b"\0"
        self.send(b"\x82" + VARINT[len(body)] + body)
        until = time.monotonic() + within_s
        while not self._granted:
            self.turn(0.1)
            if time.monotonic() > until:
                raise ConnectionLost(f"the broker granted no subscription within {within_s} s")

    @property
    def busy(self) -> bool:
        """What was sent last has not all left yet."""
        return bool(self._out)

    def send(self, packets: bytes) -> None:
        """Whole packets. They leave now as far as the socket takes them, and for the rest in `turn`."""
        self._out = memoryview(bytes(self._out) + packets if self._out else packets)
        self._write()

    def turn(self, wait_s: float) -> None:
        """Write what is left, read what has come; waits at most `wait_s` for either."""
        try:
            readable, writable, _ = select.select(
                [self._socket], [self._socket] if self._out else [], [], wait_s
            )
        except (OSError, ValueError) as error:
            raise ConnectionLost(f"the connection broke: {error}") from error
        if writable:
            self._write()
        if readable:
            self._read()
        if time.monotonic() - self._quiet_since > KEEPALIVE_S / 2:
            self.send(b"\xc0\0")

    def close(self) -> None:
        """As a client that is done: the broker publishes no last will."""
        with suppress(OSError):
            self._socket.send(b"\xe0\0")
        self._socket.close()

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._out)
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error}") from error
        self._out = self._out[sent:]
        self._quiet_since = time.monotonic()

    def _read(self) -> None:
        try:
            came = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error}") from error
        if not came:
            raise ConnectionLost("the broker closed the connection")
        data = self._in + came if self._in else came
        whole = len(data) & ~3
        packets = list(_ONE_PUBACK.iter_unpack(data[:whole]))
        if all(head == _PUBACK_HEAD for head, _ in packets):  # the usual case: nothing but acknowledgements
            self._acknowledged([number for _, number in packets])
            self._in = data[whole:]
        else:
            self._in = data[self._take(data) :]

    def _take(self, data: bytes) -> int:
        """Packet by packet; returns how many bytes were whole packets."""
        at, numbers = 0, []
        while (found := _packet(data, at)) is not None:
            body, end = found
            kind, content = data[at] >> 4, data[body:end]
            if kind == _PUBACK:
                numbers.append(int.from_bytes(content, "big"))
            elif kind == _PUBLISH and self._on_message is not None:
                topic_end = 2 + int.from_bytes(content[:2], "big")
                self._on_message(content[2:topic_end], content[topic_end:])
            elif kind == _SUBACK:
                if content[2] & 0x80:
                    raise ConnectionLost("the broker refused the subscription")
                self._granted = True
            elif kind != _PINGRESP:
                raise ConnectionLost(f"got a packet of type {kind}, which nobody asked for")
            at = end
        self._acknowledged(numbers)
        return at


def _packet(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at `at` begins and ends; None if it is not all there."""
    length = shift = 0
    for place in range(at + 1, min(at + 5, len(data))):
        length |= (data[place] & 0x7F) << shift
        shift += 7
        if not data[place] & 0x80:
            end = place + 1 + length
            return (place + 1, end) if end <= len(data) else None
    return None


def _varint(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = divmod(number, 128)
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


class _Varints(dict[int, bytes]):
    """Remaining lengths as MQTT writes them, each worked out once."""

    def __missing__(self, number: int) -> bytes:
        self[number] = found = _varint(number)
        return found


VARINT: Final = _Varints()


def prefixed(text: str) -> bytes:
    """As MQTT writes a text: its length, then its bytes."""
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _connect(client_id: str, address: Address) -> bytes:
    flags, credentials = 0x02, b""  # clean session
    if address.user is not None:
        flags, credentials = flags | 0x80, prefixed(address.user)
        if address.password is not None:
            flags, credentials = flags | 0x40, credentials + prefixed(address.password)
    body = b"\0\4MQTT\4" + bytes([flags]) + KEEPALIVE_S.to_bytes(2, "big") + prefixed(client_id) + credentials
    return b"\x10" + VARINT[len(body)] + body
