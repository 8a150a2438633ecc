"""Who receives alerts in tests: an HTTP server and a mail server, both real, that answer as the test says."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from aiosmtpd.controller import Controller

from deploy.stack.ports import free_port


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answers`: statuses, the last one for ever; `hold`: it does not answer until this is set."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [204])
    hold: threading.Event | None = None
    received: queue.SimpleQueue[Received] = field(default_factory=queue.SimpleQueue)

    def take(self) -> Received:
        return self.received.get(timeout=20)


@contextmanager
def http_receiver(answers: Sequence[int] = (204,), hold: threading.Event | None = None) -> Iterator[Receiver]:
    receiver = Receiver(answers=list(answers), hold=hold)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.put(
                Received({name.lower(): value for name, value in self.headers.items()}, body)
            )
            if receiver.hold is not None:
                receiver.hold.wait(30)
            status = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", receiver.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/alerts?of=coop"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        if hold is not None:
            hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class MailServer:
    """`refuses`: it answers that it is busy."""

    url: str = ""
    refuses: bool = False
    mails: queue.SimpleQueue[EmailMessage] = field(default_factory=queue.SimpleQueue)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        if self.refuses:
            return "451 busy"
        self.mails.put(cast(EmailMessage, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 taken"


@contextmanager
def mail_server() -> Iterator[MailServer]:
    handler = MailServer()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    handler.url = f"smtp://127.0.0.1:{controller.port}"
    try:
        yield handler
    finally:
        controller.stop()
