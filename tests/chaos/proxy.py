"""A wire that fails: TCP on loopback, with a say over every connection and direction.

Contract: what is held is kept in order and can be let go or thrown away; what is swallowed is gone, and its end too, as
on a network that went silent: neither side is told. A connection that is made while the wire swallows is swallowed.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from deploy.stack.ports import free_port


class Mode(enum.Enum):
    PASS = enum.auto()
    HOLD = enum.auto()
    SWALLOW = enum.auto()


@dataclass(eq=False)
class Lane:
    """One direction of one connection."""

    source: socket.socket
    target: socket.socket
    mode: Mode
    lock: threading.Lock = field(default_factory=threading.Lock)
    held: bytearray = field(default_factory=bytearray)

    def carry(self, data: bytes, delay_s: float) -> None:
        if delay_s:
            time.sleep(delay_s)
        with self.lock:
            if self.mode is Mode.HOLD:
                self.held += data
            elif self.mode is Mode.PASS:
                self.target.sendall(data)

    def change(self, mode: Mode) -> None:
        with self.lock:
            if mode is Mode.PASS and self.held:
                with contextlib.suppress(OSError):
                    self.target.sendall(self.held)
            if mode is not Mode.HOLD:
                self.held.clear()
            self.mode = mode


class Proxy:
    """Listens on `port` for one server. `up` is from the client to the server, `down` the way back."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.delay_s = 0.0
        self.connections = 0
        self._target_port = target_port
        self._up = self._down = Mode.PASS
        self._lanes: list[tuple[Lane, Lane]] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, up: Mode = Mode.PASS, down: Mode = Mode.PASS, new: bool = True) -> None:
        """For every connection there is, and with `new` for those to come."""
        with self._lock:
            if new:
                self._up, self._down = up, down
            pairs = list(self._lanes)
        for one, other in pairs:
            one.change(up)
            other.change(down)

    def held_up(self) -> bytes:
        """What clients have sent and no server has got yet."""
        with self._lock:
            return b"".join(bytes(up.held) for up, _ in self._lanes)

    def cut(self) -> int:
        """Every connection ends at once, by a reset, with what was held. Returns how many."""
        with self._lock:
            pairs, self._lanes = self._lanes, []
        return _reset(pairs)

    def cut_silent(self) -> int:
        """The same, of those that swallow."""
        with self._lock:
            pairs = [pair for pair in self._lanes if pair[0].mode is Mode.SWALLOW]
            self._lanes = [pair for pair in self._lanes if pair not in pairs]
        return _reset(pairs)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port), timeout=5)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                pair = Lane(client, server, self._up), Lane(server, client, self._down)
                self._lanes.append(pair)
                self.connections += 1
            for lane in pair:
                threading.Thread(target=self._pump, args=(lane, pair), daemon=True).start()

    def _pump(self, lane: Lane, pair: tuple[Lane, Lane]) -> None:
        with contextlib.suppress(OSError):
            while data := lane.source.recv(65_536):
                lane.carry(data, self.delay_s)
        if lane.mode is Mode.SWALLOW:
            return
        with self._lock:
            if pair in self._lanes:
                self._lanes.remove(pair)
        for end in (lane.target, lane.source):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _reset(pairs: list[tuple[Lane, Lane]]) -> int:
    for up, _ in pairs:
        for end in (up.source, up.target):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()
    return len(pairs)
