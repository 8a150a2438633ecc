"""Where every record of a batch ended: received = stored + duplicate + conflict + quarantined.

In the line: `pipeline` adds, `closing` writes. Contract: `received` is what decoding counted, and never the sum of the
others: that is what makes the equation worth checking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ingest.closing import Account
from ingest.readings import CONFLICT, DUPLICATE, STORED

OUTCOMES = 3
assert {STORED, DUPLICATE, CONFLICT} == set(range(OUTCOMES))


class Tallies:
    """Counts in records, per device id; 0: the device could not be known."""

    def __init__(self, device: Sequence[int], records: Sequence[int]) -> None:
        """`device`, `records`: of each message."""
        self._devices, self._place = np.unique(np.array(device, np.int64), return_inverse=True)
        weights = np.bincount(self._place, np.array(records, np.int64), minlength=len(self._devices))
        self.received = Counter(dict(zip(self._devices.tolist(), weights.astype(int).tolist(), strict=True)))
        self.stored: Counter[int] = Counter()
        self.duplicate: Counter[int] = Counter()
        self.conflict: Counter[int] = Counter()
        self.quarantined: Counter[int] = Counter()

    def add(self, message: npt.NDArray[np.intp], outcome: npt.NDArray[np.uint8]) -> None:
        """Rows that were stored or found stored, by the message each came in. Conflicts are counted as they are refused."""
        cells = np.bincount(
            self._place[message] * OUTCOMES + outcome, minlength=len(self._devices) * OUTCOMES
        )
        for device, counts in zip(self._devices.tolist(), cells.reshape(-1, OUTCOMES).tolist(), strict=True):
            if counts[STORED]:
                self.stored[device] += counts[STORED]
            if counts[DUPLICATE]:
                self.duplicate[device] += counts[DUPLICATE]

    def account(self) -> Account:
        devices = sorted({*self.received, *self.quarantined, *self.conflict})
        columns = (self.received, self.stored, self.duplicate, self.conflict, self.quarantined)
        return Account(devices, *([column[device] for device in devices] for column in columns))
