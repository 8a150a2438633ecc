"""Where every record of a batch ended: received = stored + duplicate + conflict + quarantined.

In the line: `pipeline` adds, `closing` writes a row a batch, and a consumer folds these into a total per device, so that
`device_account` is quick however long an instance has run. Contract: `received` is what decoding counted, and never the sum of the
others: that is what makes the equation worth checking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import psycopg

from ingest.closing import Account
from ingest.readings import DUPLICATE, STORED


class Tallies:
    """Counts in records, per device id; 0: the device could not be known."""

    def __init__(self, device: Sequence[int], records: Sequence[int]) -> None:
        """`device`, `records`: of each message."""
        self._device = device
        self.received: Counter[int] = Counter()
        self.stored: Counter[int] = Counter()
        self.duplicate: Counter[int] = Counter()
        self.conflict: Counter[int] = Counter()
        self.quarantined: Counter[int] = Counter()
        self._count(self.received, records)

    def add(self, message: npt.NDArray[np.intp], outcome: npt.NDArray[np.uint8]) -> None:
        """Rows that were stored or found stored, by the message each came in. Conflicts are counted as they are refused."""
        for code, tally in ((STORED, self.stored), (DUPLICATE, self.duplicate)):
            chosen = message[outcome == code]
            if len(chosen):
                self._count(tally, np.bincount(chosen, minlength=len(self._device)).tolist())

    def _count(self, tally: Counter[int], counts: Iterable[int]) -> None:
        for device, count in zip(self._device, counts, strict=True):
            tally[device] += count

    def account(self) -> Account:
        devices = sorted({*self.received, *self.quarantined, *self.conflict})
        columns = (self.received, self.stored, self.duplicate, self.conflict, self.quarantined)
        return Account(devices, *([column.get(device, 0) for device in devices] for column in columns))


_FOLD = """
WITH taken AS (
  DELETE FROM account_unfolded WHERE batch_id = ANY (ARRAY(SELECT batch_id FROM account_unfolded ORDER BY batch_id LIMIT %s))
  RETURNING batch_id
)
INSERT INTO account_total AS total (device_id, received, stored, duplicate, conflict, quarantined)
SELECT device_id, sum(received), sum(stored), sum(duplicate), sum(conflict), sum(quarantined)
FROM taken JOIN account USING (batch_id) GROUP BY device_id ORDER BY device_id
ON CONFLICT (device_id) DO UPDATE SET received = total.received + EXCLUDED.received, stored = total.stored + EXCLUDED.stored,
  duplicate = total.duplicate + EXCLUDED.duplicate, conflict = total.conflict + EXCLUDED.conflict,
  quarantined = total.quarantined + EXCLUDED.quarantined
"""
FOLDED_AT_ONCE = 1_000
FOLD_FROM = (
    100  # batches: `device_account` reads as many quickly, and a fold for each would cost more than it saves
)


def step(conn: psycopg.Connection, _now: datetime) -> bool:
    """Fold batches' accounts into the devices' totals. Returns whether there may be more."""
    row = conn.execute(
        "SELECT count(*) FROM (SELECT FROM account_unfolded LIMIT %s) AS waiting", [FOLD_FROM]
    ).fetchone()
    if row is None or row[0] < FOLD_FROM:
        return False
    conn.execute(_FOLD, [FOLDED_AT_ONCE])
    return True
