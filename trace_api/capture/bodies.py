"""The bytes of a request's body, bounded while they come in and while they are inflated.

Contract: no more than the limit's bytes are ever held of what was sent, and no more of what that inflates to, however small it came.
What is too large is 413 with the limits, what nobody here reads 415.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from fastapi import Request

from trace_api.capture.desk import Limits
from trace_api.problems import Problem

_GZIP = 16 + zlib.MAX_WBITS


def want_readable(content_type: str | None) -> None:
    """Which of the two formats it is, its first bytes say. Raises Problem 415."""
    said = (content_type or _MEDIA_TYPES[0]).partition(";")[0].strip().lower()
    if said not in _MEDIA_TYPES and not said.endswith(("+json", "+xml")):
        raise _unread(
            f"Content-Type {said[:60]}: send application/json, application/ld+json or application/xml."
        )


_MEDIA_TYPES = ("application/json", "application/ld+json", "application/xml", "text/xml")


async def body(request: Request, limits: Limits) -> bytes:
    """Raises Problem as `bounded` does."""
    return await bounded(request, limits.bytes, lambda: too_large(limits))


async def bounded(request: Request, most: int, refusal: Callable[[], Problem]) -> bytes:
    """`most`: bytes, as they come and as they are unpacked; counted while it is read, as a length header may be absent, or lie.
    `refusal`: of what is larger. Raises Problem 400, 413 and 415."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip"):
        raise _unread(f"Content-Encoding {coding[:40]}: send it as it is, or as gzip.")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > most:
        raise refusal()
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise refusal()
        parts.append(part)
    came = b"".join(parts)
    return came if coding == "identity" else _inflated(came, most, refusal)


def too_large(limits: Limits, events: int | None = None) -> Problem:
    """`events`: how many there are, where that is what is too much."""
    got = "" if events is None else f" This one has {events} events."
    return Problem(
        413,
        "Capture too large",
        f"A document has at most {limits.bytes} bytes and {limits.events} events; send several.{got}",
        type="epcisException:CaptureLimitExceededException",
        headers={
            "GS1-EPCIS-Capture-Limit": str(limits.events),
            "GS1-EPCIS-Capture-File-Size-Limit": str(limits.bytes),
        },
    )


def _inflated(data: bytes, most: int, refusal: Callable[[], Problem]) -> bytes:
    """One gzip member after the other, as RFC 1952 has it."""
    parts, room = [], most
    try:
        while data:
            member = zlib.decompressobj(_GZIP)
            part = member.decompress(data, room + 1)
            room -= len(part)
            if room < 0:
                raise refusal()
            if not member.eof:
                raise zlib.error("it ends too early")
            parts.append(part)
            data = member.unused_data
    except zlib.error as error:
        detail = f"The body is no gzip, as its Content-Encoding says ({error}); compress it again."
        raise Problem(400, "Not gzip", detail, type="epcisException:ValidationException") from error
    return b"".join(parts)


def _unread(detail: str) -> Problem:
    return Problem(
        415,
        "Unsupported media type",
        detail,
        type="epcisException:UnsupportedMediaTypeException",
        headers={"Accept-Encoding": "gzip"},
    )
