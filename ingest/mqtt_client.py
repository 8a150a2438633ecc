"""paho's client, reading in blocks and acknowledging in groups.

In the line: `subscriber` -> here -> the broker. Contract: what paho does, with fewer system calls and less work a message.
paho asks the socket three times for each packet, waits on it once for each, and looks every topic up among callbacks that
we do not have. A single reading's message costs paho more than all the rest of the line; this halves it. The names with an
underscore are paho's own, so requirements.lock fixes its version and tests/integration/test_mqtt_client.py holds it to them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

BLOCK_BYTES = 65_536
PUBACK = 0x40


class BlockSocket:
    """A socket that reads ahead. It tells paho of what it holds by `pending`, as a TLS socket does."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._held = b""
        self._at = 0

    def recv(self, size: int) -> bytes:
        if self._at >= len(self._held):
            if size >= BLOCK_BYTES:
                return bytes(self._inner.recv(size))
            self._held, self._at = self._inner.recv(BLOCK_BYTES), 0
        taken = self._held[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def pending(self) -> int:
        return len(self._held) - self._at or self._inner_pending()

    def _inner_pending(self) -> int:
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

    def setsockopt(self, *arguments: Any) -> None:
        self._inner.setsockopt(*arguments)

    def getsockname(self) -> Any:
        return self._inner.getsockname()


class BlockClient(mqtt.Client):
    """`on_message` must not raise and gets every message; no callbacks by topic."""

    def _create_socket(self) -> Any:
        made: Any = super()._create_socket()
        if isinstance(made, socket.socket):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return BlockSocket(made)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """All packets of a block, before paho looks at anything else."""
        while True:
            code = super().loop_read(max_packets)
            held: Any = self._sock
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS or held is None or not held.pending():
                return code

    def _handle_on_message(self, message: mqtt.MQTTMessage) -> None:
        if self.on_message is not None:
            self.on_message(self, self._userdata, message)

    def acknowledge(self, mids: Iterable[int]) -> None:
        """PUBACK for all of these, in this order, in one write."""
        packets = b"".join(b"\x40\x02" + mid.to_bytes(2, "big") for mid in mids)
        if packets:
            self._packet_queue(PUBACK, packets, 0, 0)
