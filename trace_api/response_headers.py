"""What every answer's headers say, unless a route said it itself.

In the line: a route's answer -> here -> the client. Contract: an ASGI application around another one; the headers of an answer of
HTTP are added to as it begins, and nothing else is touched: a body passes through as it was sent, in as many parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class ResponseHeaders:
    """`said`: by name."""

    app: ASGIApp
    said: Mapping[str, str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.said.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, completed)
