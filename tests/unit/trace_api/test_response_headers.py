"""The headers of every answer, added by an ASGI application of ours: what a route said stays, and the body is let through."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp

from trace_api.response_headers import ResponseHeaders

SAID = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def sent_by(app: ASGIApp, kind: str = "http") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.4"}}
    asyncio.run(ResponseHeaders(app, SAID)(scope, receive, send))
    return sent


def test_what_a_route_said_itself_stays_and_the_rest_is_added() -> None:
    start, _ = sent_by(Response(b"x", headers={"referrer-policy": "same-origin"}))
    assert dict(start["headers"]) == {
        b"referrer-policy": b"same-origin",
        b"x-content-type-options": b"nosniff",
        b"content-length": b"1",
    }


def test_a_body_in_one_piece_stays_one_and_a_stream_is_a_stream() -> None:
    whole = b"x" * 3_000_000
    assert [each.get("body") for each in sent_by(Response(whole))[1:]] == [whole]

    async def parts() -> Any:
        yield b"one"
        yield b"two"

    body = sent_by(StreamingResponse(parts()))[1:]
    assert [each["body"] for each in body] == [b"one", b"two", b""]
    assert [each["more_body"] for each in body] == [True, True, False]


def test_an_error_goes_on_to_who_answers_it() -> None:
    async def failing(*_: Any) -> None:
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        sent_by(failing)


def test_what_is_not_http_is_left_alone() -> None:
    async def lifespan(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})

    assert sent_by(lifespan, "lifespan") == [{"type": "lifespan.startup.complete"}]
