"""How much a worker takes at once: what has arrived, within a bound of messages and one of bytes."""

from __future__ import annotations

import queue

from ingest.pipeline import Message
from ingest.subscriber import BATCH, BATCH_BYTES, _next_batch


def sizes(payloads: list[bytes]) -> list[int]:
    arrived: queue.SimpleQueue[Message] = queue.SimpleQueue()
    for payload in payloads:
        arrived.put(Message(b"suyuan/v1/coop/logger-1/readings", payload, False))
    taken: list[int] = []
    while not arrived.empty():
        taken.append(len(_next_batch(arrived)))
    assert _next_batch(arrived) == []
    return taken


def test_a_batch_ends_with_the_message_that_reaches_16_mib() -> None:
    assert BATCH_BYTES == 16 * 2**20
    half, rest = bytes(BATCH_BYTES // 2), bytes(BATCH_BYTES // 2 - 1)
    assert sizes([half, rest, half, half, half]) == [3, 2]
    assert sizes([bytes(BATCH_BYTES + 1), b"", b""]) == [1, 2], "one that is too big by itself goes alone"


def test_a_batch_ends_with_its_two_thousandth_message() -> None:
    assert sizes([b"x"] * (2 * BATCH + 1)) == [BATCH, BATCH, 1] == [2000, 2000, 1]
