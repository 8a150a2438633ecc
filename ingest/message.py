"""A message as the broker handed it over: what enters the line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """`topic`: bytes, it may be no UTF-8. `token`: what acknowledging it needs."""

    topic: bytes
    payload: bytes
    redelivered: bool
    token: object = None
