"""When our own code fails on a batch: is it one message, or everything?

In the line: `pipeline` asks here before it puts what it failed on into quarantine. Contract: a fault that nothing gets past
does not empty the queue into quarantine, and one device's messages never stop the others'.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ingest.quarantine import KeyGone
from ingest.readings import RowsLost
from ledger.keys import KeyMissing
from ledger.persons import WrongKey

NO_MESSAGES_FAULT = (OSError, MemoryError, RowsLost, KeyGone, KeyMissing, WrongKey)
"""Raised: a folder of keys that cannot be written or is another host's, memory that is used up. Every other message would end the same way."""

FEW = 10


@dataclass(slots=True)
class Faults:
    """What our code failed on since something last passed, over one worker's batches: where little is sent, each message is a
    batch of its own."""

    _messages: int = 0
    _devices: set[int] = field(default_factory=set)

    def passed(self) -> None:
        """Something of a batch was stored, or had been before."""
        self._messages = 0
        self._devices.clear()

    def is_everything(self, devices: Collection[int]) -> bool:
        """`devices`: of the messages it failed on just now. True where these are more than `FEW` in a row, of more than one
        device, and nothing passed between them. What a single device sends may all be bad, and is that device's affair: its
        quarantine has a budget."""
        self._messages += len(devices)
        self._devices.update(devices)
        return self._messages > FEW and len(self._devices) > 1
