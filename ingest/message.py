"""A message as the broker handed it over: what enters the line."""

from __future__ import annotations

from typing import Final, NamedTuple

OVERHEAD_BYTES: Final = 400
"""Of a message's objects, besides its payload: a million empty ones are 400 megabytes."""


class Message(NamedTuple):
    """`topic`: bytes, it may be no UTF-8. `token`: what acknowledging it needs: the packet's number, 0 with QoS 0, and the
    connection it came by. One is made for every message, so it is a tuple."""

    topic: bytes
    payload: bytes
    redelivered: bool
    token: tuple[int, int] | None = None
