"""A log on a web server, honest or hostile, over real connections: every answer ends, and what is wrong is one error."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.stack.ports import free_port
from ledger.monitor import watching
from ledger.monitor.findings import Damaged, Unreachable
from ledger.monitor.http_source import Patience
from ledger.monitor.memory import Memory
from ledger.monitor.sources import Address
from ledger.monitor.watching import Seen, Watch, look
from ledger.translog.verify import VerifyError
from tests.unit.ledger.monitor.written import Speaker, Written

PATIENT = Patience(answer_s=20.0, tries=2, pause_s=0.0)
HASTY = Patience(answer_s=0.3, tries=1, pause_s=0.0)

Answer = Callable[[socket.socket, bytes], None]
"""What is done with a connection, in the place of the file's bytes."""


def plain(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Server:
    """Serves a folder, one thread a connection. `instead`: path -> what to do with a request for it."""

    folder: Path
    port: int
    instead: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        while not self._stopped.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError, IndexError):
            reading = connection.makefile("rb")
            while line := reading.readline():
                path = line.split()[1].decode().removeprefix("/log/one/")
                while reading.readline() not in (b"\r\n", b""):
                    pass
                self.asked.append(path)
                file = self.folder / path
                body = file.read_bytes() if file.is_file() else b""
                if path in self.instead:
                    self.instead[path](connection, body)
                    return
                connection.sendall(plain(body) if file.is_file() else plain(b"none", "404 Not Found"))

    def send(self, path: str, *pieces: bytes) -> None:
        """Those bytes and then the end of the connection."""

        def answer(connection: socket.socket, _body: bytes) -> None:
            for piece in pieces:
                connection.sendall(piece)

        self.instead[path] = answer

    def look(self, memory: Memory, patience: Patience = PATIENT) -> Seen:
        address = Address(f"http://127.0.0.1:{self.port}/log/one/", patience)
        return look(Watch(address), memory, lambda _done, _of: None)

    def stop(self) -> None:
        self._stopped.set()


@pytest.fixture
def log(tmp_path: Path) -> Written:
    return Written(tmp_path / "log").grow(Speaker().mixed(600))


@pytest.fixture
def server(log: Written) -> Iterator[Server]:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as listener:
        serving = Server(log.folder, port)
        thread = threading.Thread(target=serving.serve, args=(listener,), daemon=True)
        thread.start()
        yield serving
        serving.stop()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.at(tmp_path / "memory.sqlite") as memory:
        yield memory


def test_a_log_is_read_over_http(server: Server, memory: Memory) -> None:
    assert server.look(memory).kept.size == 600
    assert "tile/entries/002.p/88" in server.asked


def test_also_in_several_processes(server: Server, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BUNDLES", 1)
    Written(server.folder).grow([b"%d]" % i for i in range(2000)])
    address = Address(f"http://127.0.0.1:{server.port}/log/one", PATIENT)
    assert look(Watch(address, processes=2), memory, lambda _done, _of: None).read == 2000


def test_a_server_that_closes_each_connection_is_read_too(server: Server, memory: Memory) -> None:
    def closing(connection: socket.socket, body: bytes) -> None:
        connection.sendall(plain(body, "200 OK", "Connection: close"))

    for path in [str(path.relative_to(server.folder)) for path in server.folder.rglob("*") if path.is_file()]:
        server.instead[path] = closing
    assert server.look(memory).kept.size == 600


def test_a_body_in_pieces_is_read_too(server: Server, memory: Memory) -> None:
    def chunked(connection: socket.socket, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")

    server.instead["tile/entries/000"] = chunked
    assert server.look(memory).kept.size == 600


def test_another_try_may_go_better(server: Server, memory: Memory) -> None:
    def once(connection: socket.socket, _body: bytes) -> None:
        del server.instead["tile/0/001"]
        connection.sendall(plain(b"", "503 Service Unavailable"))

    server.instead["tile/0/001"] = once
    assert server.look(memory).kept.size == 600


def endless(connection: socket.socket, _body: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(bytes(65_536))


def endless_head(connection: socket.socket, _body: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n" * 1000)


def going_on(connection: socket.socket, _body: bytes) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def dripping(connection: socket.socket, _body: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8192\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.01)


def dripping_head(connection: socket.socket, _body: bytes) -> None:
    while True:
        connection.sendall(b"H")
        time.sleep(0.01)


def silent(connection: socket.socket, _body: bytes) -> None:
    connection.recv(1)  # until the other side has enough


def squeezed(connection: socket.socket, body: bytes) -> None:
    connection.sendall(plain(gzip.compress(body), "200 OK", "Content-Encoding: gzip"))


def long_pieces(connection: socket.socket, _body: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffff\r\n")
    while True:
        connection.sendall(bytes(65_536))


def sending(*pieces: bytes) -> Answer:
    def answer(connection: socket.socket, _body: bytes) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE: dict[str, Answer] = {
    "nothing": sending(),
    "no HTTP": sending(b"hello\r\n\r\n"),
    "bytes": sending(bytes(range(256)) * 40),
    "a number that is none": sending(OK + b"Content-Length: x\r\n\r\n" + bytes(8192)),
    "a negative length": sending(OK + b"Content-Length: -5\r\n\r\n" + bytes(8192)),
    "a length beyond": sending(OK + b"Content-Length: 99999999999999999999\r\n\r\n" + bytes(8192)),
    "a body cut short": sending(OK + b"Content-Length: 8192\r\n\r\n" + bytes(100)),
    "a shorter body": sending(plain(bytes(100))),
    "a longer body": sending(plain(bytes(17_000_000))),
    "no body": sending(plain(b"")),
    "pieces of no length": sending(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "pieces of a great length": long_pieces,
    "an endless body": endless,
    "an endless head": endless_head,
    "an answer that is always about to come": going_on,
    "a long line": sending(b"HTTP/1.1 200 " + b"x" * 100_000),
    "a byte now and then": dripping,
    "a byte of the head now and then": dripping_head,
    "silence": silent,
    "a packed body": squeezed,
    "an encoding of its own": sending(plain(bytes(8192), "200 OK", "Content-Encoding: x")),
    "a redirect to a file": sending(plain(b"", "302 Found", "Location: file:///etc/passwd")),
    "a redirect elsewhere": sending(plain(b"", "301 Moved", "Location: http://127.0.0.1:1/")),
    "not allowed": sending(plain(b"", "403 Forbidden")),
    "always too busy": sending(plain(b"", "429 Too Many Requests", "Retry-After: 100000000")),
    "half of it": sending(plain(bytes(8192), "206 Partial Content")),
    "gone": sending(plain(b"", "410 Gone")),
    "a great nothing": sending(plain(bytes(1_000_000), "404 Not Found")),
    "a status of its own": sending(b"HTTP/1.1 999999 x\r\n\r\n"),
}


@pytest.mark.parametrize("path", ["tile/0/000", "tile/entries/000", "checkpoint"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_one_error(server: Server, memory: Memory, name: str, path: str) -> None:
    server.instead[path] = HOSTILE[name]
    with pytest.raises(VerifyError):
        server.look(memory, HASTY)
    assert memory.kept() is None


def test_what_an_answer_may_cost_is_bounded(server: Server, memory: Memory) -> None:
    """A redirect is not followed, and its target not asked."""
    server.instead["tile/0/000"] = sending(plain(b"", "302 Found", "Location: /log/one/tile/0/001"))
    with pytest.raises(Unreachable, match="tile/0/000: got status 302"):
        server.look(memory)
    server.instead["tile/0/000"] = dripping
    with pytest.raises(Unreachable, match="tile/0/000: got TimeoutError"):
        server.look(memory, HASTY)
    server.instead["tile/0/000"] = endless
    with pytest.raises(Damaged, match="length of tile/0/000: got more than 8192"):
        server.look(memory)


def test_nobody_there_is_unreachable(memory: Memory) -> None:
    address = Address(f"http://127.0.0.1:{free_port()}/log/one", HASTY)
    with pytest.raises(Unreachable, match="checkpoint: got ConnectionRefusedError"):
        look(Watch(address), memory, lambda _done, _of: None)


def test_a_host_that_speaks_no_tls_is_unreachable(server: Server, memory: Memory) -> None:
    address = Address(f"https://127.0.0.1:{server.port}/log/one", HASTY)
    with pytest.raises(Unreachable, match="checkpoint"):
        look(Watch(address), memory, lambda _done, _of: None)
