"""What the receipts say is stored, and so what is still missing.

In the line: connection -> receipts -> run. Contract: a message counts as stored when a receipt of this run's boot covers its
number, and never before; receipts may come twice, late, and in any order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from simulators.load.plan import Plan

Gap = tuple[int, int]
"""First and last number, both missing."""


@dataclass(frozen=True, slots=True)
class Told:
    """A receipt: held is every number up to `highest` but those in `gaps`."""

    highest: int = 0
    gaps: tuple[Gap, ...] = ()

    @property
    def count(self) -> int:
        return self.highest - sum(last - first + 1 for first, last in self.gaps)

    @property
    def through(self) -> int:
        return self.gaps[0][0] - 1 if self.gaps else self.highest

    def covers(self, seq: int) -> bool:
        return seq <= self.highest and not any(first <= seq <= last for first, last in self.gaps)


def read(through: int, gaps: list[list[int]]) -> Told:
    """The gaps lie above `through`. That the last one ends means that the number after it is held; of those above that one
    the receipt says nothing."""
    return Told(gaps[-1][1] + 1 if gaps else through, tuple((first, last) for first, last in gaps))


class Receipts:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._numbers = {plan.topic(number, "receipt").encode(): number for number in range(plan.devices)}
        self._told = [Told()] * plan.devices
        self.came = 0

    def take(self, topic: bytes, payload: bytes) -> None:
        """One message that arrived. Others' topics and other boots are passed over."""
        number = self._numbers.get(topic)
        if number is None:
            return
        receipt = json.loads(payload)
        if receipt["boot"] != self._plan.boot:
            return
        self.came += 1
        told = read(receipt["through"], receipt["gaps"])
        # An older one that comes later has the lower `through`, or the same.
        before = self._told[number]
        if (told.through, told.count) > (before.through, before.count):
            self._told[number] = told

    def stored(self) -> int:
        """How many messages are covered."""
        return sum(told.count for told in self._told)

    def missing(self, messages: int) -> Iterator[int]:
        """The indices below `messages` that no receipt covers, device by device."""
        for number, told in enumerate(self._told):
            last = self._plan.last_seq(number, messages)
            if told.count < last:
                for seq in range(1, last + 1):
                    if not told.covers(seq):
                        yield (seq - 1) * self._plan.devices + number
