"""Receipts: at once, then the newest word, and the last one before the worker ends."""

from __future__ import annotations

import json
import queue

from ingest.receipts import Receipts
from ingest.registry import Device
from ingest.sequences import Receipt

DEVICE = Device(1, "coop", "room-1", "https://id.gs1.org/8004/95212340ROOM1", 60)


def test_a_device_that_sends_much_is_told_the_newest_only() -> None:
    told: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    receipts = Receipts(lambda topic, payload: told.put((topic, payload)))
    receipts.start()
    receipts.add([(DEVICE, Receipt(1, 3, 1, ()))])
    assert told.get(timeout=5) == ("suyuan/v1/coop/room-1/receipt", '{"boot": 3, "through": 1, "gaps": []}')
    for through in range(2, 500):
        receipts.add([(DEVICE, Receipt(1, 3, through, ()))])
    receipts.add([(DEVICE, Receipt(1, 4, 1, ((2, 3),)))])
    receipts.stop()
    rest = [json.loads(told.get_nowait()[1]) for _ in range(told.qsize())]
    assert {"boot": 3, "through": 499, "gaps": []} in rest
    assert {"boot": 4, "through": 1, "gaps": [[2, 3]]} in rest, "another boot is another count"
    assert len(rest) < 100


def test_a_thread_that_ends_says_by_what() -> None:
    def failing(_topic: str, _payload: str) -> None:
        raise ValueError("too large")

    receipts = Receipts(failing)
    receipts.start()
    receipts.add([(DEVICE, Receipt(1, 3, 1, ()))])
    receipts.stop()
    assert isinstance(receipts.fault, ValueError)
