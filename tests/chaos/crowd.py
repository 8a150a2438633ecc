"""Many devices at once: a connection each, in one thread, by a client that knows no more of MQTT 3.1.1 than QoS 1 needs.

Place in the line: beside `gateway.py`, where a client library's thread and three file handles a device would be too many.
Contract: a device keeps a message until its PUBACK; after a reconnect it sends again, as DUP, what had none.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence

from tests.chaos.known import Known

WINDOW = 20  # unacknowledged messages a device
PUBACK = 0x40


class Device:
    """One of the crowd. `begin` connects, and the bytes to say are in `out`."""

    def __init__(self, name: str, messages: Sequence[Known]) -> None:
        self.due = 0.0  # how many messages it may have sent by now
        self.socket: socket.socket | None = None
        self.out = bytearray()
        self._name = name.encode()
        self._left = deque(messages)
        self._sent: OrderedDict[int, Known] = OrderedDict()
        self._number = self._begun = 0
        self._in = bytearray()

    def done(self) -> bool:
        return not self._left and not self._sent

    def begin(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setblocking(False)
        self._in.clear()
        variable = b"\x00\x04MQTT\x04\x00\x00\x3c" + struct.pack("!H", len(self._name)) + self._name
        self.out = bytearray(packet(0x10, variable))
        for number, message in self._sent.items():
            self.out += published(message, number, again=True)
        self.fill()

    def fill(self) -> None:
        while self._left and len(self._sent) < WINDOW and self._begun < self.due:
            self._begun += 1
            self._number = self._number % 65_535 + 1
            message = self._sent[self._number] = self._left.popleft()
            self.out += published(message, self._number, again=False)

    def heard(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 2 and len(self._in) >= 2 + self._in[1]:
            if self._in[0] == PUBACK:
                self._sent.pop(struct.unpack("!H", self._in[2:4])[0], None)
            del self._in[: 2 + self._in[1]]
        self.fill()

    def end(self, abruptly: bool) -> None:
        if self.socket is not None:
            if abruptly:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
            self.socket = None


class Crowd:
    """Publishes each device's messages on its own connection. `finished` is set when every one has its PUBACK."""

    def __init__(self, port: int, shares: Sequence[Sequence[Known]], rate: float) -> None:
        self.finished = threading.Event()
        self.connects = 0
        self._port, self._rate = port, rate / len(shares)
        self._devices = [Device(f"crowd-{index}", share) for index, share in enumerate(shares)]
        self._cut, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Crowd:
        self._thread.start()
        return self

    def cut(self) -> None:
        """All of them lose the broker at once, and come back at once."""
        self._cut.set()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        with selectors.DefaultSelector() as selector:
            while not self._stopped.is_set() and not all(device.done() for device in self._devices):
                if self._cut.is_set():
                    self._cut.clear()
                    for device in self._devices:
                        self._end(selector, device, abruptly=True)
                for device in self._devices:
                    device.due = (time.monotonic() - begun) * self._rate
                    if device.socket is None and not device.done():
                        self._begin(selector, device)
                    elif device.socket is not None and not device.out:
                        device.fill()
                        if device.out:
                            selector.modify(
                                device.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, device
                            )
                self._serve(selector)
            for device in self._devices:
                device.end(abruptly=False)
        if not self._stopped.is_set():
            self.finished.set()

    def _begin(self, selector: selectors.BaseSelector, device: Device) -> None:
        with contextlib.suppress(OSError):
            device.begin(self._port)
            assert device.socket is not None
            selector.register(device.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, device)
            self.connects += 1

    def _end(self, selector: selectors.BaseSelector, device: Device, abruptly: bool) -> None:
        if device.socket is not None:
            selector.unregister(device.socket)
            device.end(abruptly)

    def _serve(self, selector: selectors.BaseSelector) -> None:
        for key, _events in selector.select(0.02):
            device: Device = key.data
            try:
                self._exchange(device, key.fileobj)
            except OSError:
                self._end(selector, device, abruptly=False)
                continue
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if device.out else 0)
            if key.events != wanted:
                selector.modify(key.fileobj, wanted, device)

    def _exchange(self, device: Device, wire: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            data = wire.recv(65_536)
            if not data:
                raise ConnectionResetError
            device.heard(data)
        if device.out:
            with contextlib.suppress(BlockingIOError):
                del device.out[: wire.send(device.out)]


def published(message: Known, number: int, *, again: bool) -> bytes:
    """PUBLISH with QoS 1."""
    topic = message.topic.encode()
    body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", number) + message.payload.encode()
    return packet(0x3A if again else 0x32, body)


def packet(kind: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while True:
        left, digit = left >> 7, left & 127
        length.append(digit | (128 if left else 0))
        if not left:
            return bytes([kind]) + bytes(length) + body
