"""What tells a device that its data is stored: sent after the commit, the newest word only.

In the line: commit -> here -> the device. Contract: every receipt that was handed over, or a later one of the same device
and boot, is published; a device hears at most once every `EVERY_S`, since a receipt says how far everything is held and the
next one says it again. What is lost with the connection is said again when a duplicate arrives.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable

from ingest.registry import Device
from ingest.sequences import Receipt
from ingest.wire.topics import receipt_topic

EVERY_S = 0.25
STEPS = 50

Publish = Callable[[str, str], None]
"""(topic, payload)"""


class Receipts:
    """A thread that publishes what is newest, and then rests: a device that sends much is told seldom, one that sends now and
    then at once. `fault`: by what the thread has ended."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self.fault: BaseException | None = None
        self._waiting: dict[tuple[int, int], tuple[Device, Receipt]] = {}
        self._guard = threading.Lock()
        self._news = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="receipts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After what is waiting was published."""
        self._stop.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()

    def add(self, receipts: Iterable[tuple[Device, Receipt]]) -> None:
        with self._guard:
            for device, receipt in receipts:
                self._waiting[receipt.device, receipt.boot] = device, receipt
        self._news.set()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._news.wait()
                self._news.clear()
                self._flush()
            self._flush()
        except BaseException as error:
            self.fault = error

    def _flush(self) -> None:
        """A few at a time over `EVERY_S`: all devices at once would hold up the line, which shares the interpreter."""
        with self._guard:
            waiting, self._waiting = list(self._waiting.values()), {}
        few = -(-len(waiting) // STEPS) or 1
        for first in range(0, len(waiting), few):
            for device, receipt in waiting[first : first + few]:
                self._publish(receipt_topic(device.organisation, device.external_id), body(receipt))
            self._stop.wait(EVERY_S * few / len(waiting))


def body(receipt: Receipt) -> str:
    return json.dumps({"boot": receipt.boot, "through": receipt.through, "gaps": receipt.gaps})
