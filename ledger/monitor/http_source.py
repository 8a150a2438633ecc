"""A log's files from a web server that may be broken or hostile.

Contract: every answer ends, within a time and a length that we chose and not the server; what comes is the file or
None (404, 410), everything else is `Unreachable`, after a few tries where another may help. No redirect is followed, so
that a log cannot make us read from elsewhere, and nothing is unpacked, so that a short answer cannot become a long one.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from ledger.monitor.findings import Damaged, Unreachable

TOGETHER = 4
_GONE = (404, 410)
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Patience:
    """`answer_s`: for one whole answer, from the connecting to its last byte; `tries`: of each file, `pause_s`
    apart and twice as long each time.
    """

    answer_s: float = 30.0
    tries: int = 4
    pause_s: float = 0.5


@dataclass(slots=True)
class HttpSource:
    """One server. Connections are kept, at most TOGETHER of them."""

    scheme: str
    host: str
    port: int
    prefix: str
    patience: Patience
    tls: ssl.SSLContext | None
    together: int = TOGETHER
    _idle: list[http.client.HTTPConnection] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    @contextmanager
    def at(cls, url: str, patience: Patience) -> Iterator[HttpSource]:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        tls = ssl.create_default_context() if secure else None
        source = cls(parts.scheme, parts.hostname or "", port, parts.path.rstrip("/"), patience, tls)
        try:
            yield source
        finally:
            for connection in source._idle:
                connection.close()

    def read(self, path: str, limit: int) -> bytes | None:
        pause = self.patience.pause_s
        for attempt in range(1, self.patience.tries + 1):
            try:
                return self._once(path, limit)
            except _Transient as why:
                if attempt == self.patience.tries:
                    raise Unreachable(path, got=str(why), want="the file") from why.__cause__
            time.sleep(pause)
            pause *= 2
        raise AssertionError("at least one try")

    def _once(self, path: str, limit: int) -> bytes | None:
        deadline = time.monotonic() + self.patience.answer_s
        connection = None
        try:
            connection = self._connection(deadline)
            connection.request("GET", f"{self.prefix}/{quote(path)}", headers=_HEADERS)
            answer = connection.getresponse()
            data = self._body(answer, path, limit)
        except (OSError, http.client.HTTPException, ValueError) as cause:
            # ValueError: what http.client raises for some malformed answers.
            if connection is not None:
                connection.close()
            raise _Transient(f"{type(cause).__name__}: {cause}"[:60]) from cause
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        self._keep(connection, answer)
        return data

    def _body(self, answer: http.client.HTTPResponse, path: str, limit: int) -> bytes | None:
        if answer.status in _GONE:
            _read_all(answer, _PIECE)
            return None
        if answer.status in _AGAIN:
            raise _Transient(f"status {answer.status}")
        if answer.status != 200:
            raise Unreachable(path, got=f"status {answer.status}", want="200, and no redirect")
        encoding = answer.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise Unreachable(path, got=f"content encoding {encoding}", want="none, as asked for")
        data = _read_all(answer, limit)
        if len(data) > limit:
            raise Damaged(f"length of {path}", got=f"more than {limit}", want=f"at most {limit}")
        return data

    def _connection(self, deadline: float) -> http.client.HTTPConnection:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = http.client.HTTPConnection(self.host, self.port)
            connection.sock = _Timed(self._connect(deadline))
        timed: Any = connection.sock
        timed.deadline = deadline
        return connection

    def _connect(self, deadline: float) -> socket.socket:
        plain = socket.create_connection((self.host, self.port), timeout=_left(deadline))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is None:
            return plain
        plain.settimeout(_left(deadline))
        try:
            return self.tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def _keep(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        with self._lock:
            if connection.sock is not None and answer.isclosed() and len(self._idle) < self.together:
                self._idle.append(connection)
                return
        connection.close()


_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "suyuan-monitor"}


class _Transient(Exception):
    """Another try may go better."""


def _read_all(answer: http.client.HTTPResponse, limit: int) -> bytes:
    """Up to one byte more than `limit`. An answer that ends too early raises."""
    pieces, length = list[bytes](), 0
    while length <= limit and (piece := answer.read(min(_PIECE, limit + 1 - length))):
        pieces.append(piece)
        length += len(piece)
    if length <= limit and answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return b"".join(pieces)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for an answer is over")
    return left


class _Timed:
    """A socket on which all of an answer has one deadline: a server that sends a byte now and then does not hold us."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self.deadline = 0.0

    def sendall(self, data: bytes) -> None:
        self._inner.settimeout(_left(self.deadline))
        self._inner.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        raw = self._inner.makefile("rb", buffering=0)
        return io.BufferedReader(_Reading(raw, lambda: self._inner.settimeout(_left(self.deadline))))

    def close(self) -> None:
        """The answer's file holds the socket until it is closed too."""
        self._inner.close()


class _Reading(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, hurry: Callable[[], None]) -> None:
        self._raw = raw
        self._hurry = hurry

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._hurry()
        found: int | None = self._raw.readinto(buffer)
        return found

    def close(self) -> None:
        self._raw.close()
        super().close()
