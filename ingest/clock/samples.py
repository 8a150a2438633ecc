"""What a worker keeps of its devices' clocks: for each, the message that took least time of a while.

In the line: `pipeline` -> here -> `clock_sample`, in the batch's transaction. Contract: a delay is never negative, so of the
differences between our receipt and the device's `sent` the smallest is nearest to what its clock is off; what the broker sent
again, or what was stored already, is late for reasons of its own and is left out. A sample is written when it says something
new: another offset than the last one, or half an hour is over. It is an estimate's input: a worker that dies takes what it had
not written yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import psycopg

from ingest.admission import AHEAD_MS, EARLIEST_MS
from ingest.intake import UNKNOWN_DEVICE, Intake

REGULAR_MS = 1_800_000
SOON_MS = 60_000
NEWS_MS = 2_000


class Sample(NamedTuple):
    """Both in UTC ms: our clock at receipt, the device's at sending."""

    device: int
    received_ms: int
    sent_ms: int

    @property
    def delay_ms(self) -> int:
        return self.received_ms - self.sent_ms


class Samples:
    """One worker's memory of its devices' clocks."""

    def __init__(self) -> None:
        self._best: dict[int, Sample] = {}
        self._written: dict[int, tuple[int, int]] = {}  # device -> when, and the delay

    def due(self, batch: Intake, repeated: Collection[int] = ()) -> list[Sample]:
        """Those to be written with this batch. `repeated`: indices of messages of which something was stored before.

        Asked again for the same batch it answers the same, so that a transaction may be tried again."""
        due: list[Sample] = []
        now_ms = batch.received_ms[-1] if batch.received_ms else 0
        # The last of each device: of those in a batch it waited least with us.
        for device, index in dict(zip(batch.device, range(len(batch.device)), strict=True)).items():
            received_ms, sent_ms = batch.received_ms[index], batch.sent_ms[index]
            if not EARLIEST_MS <= sent_ms <= received_ms + AHEAD_MS or device == UNKNOWN_DEVICE:
                continue
            if batch.messages[index].redelivered or index in repeated:
                continue
            known = self._best.get(device)
            if known is None or received_ms - sent_ms < known.delay_ms:
                self._best[device] = known = Sample(device, received_ms, sent_ms)
            if self._is_due(known, now_ms):
                due.append(known)
        return due

    def _is_due(self, sample: Sample, now_ms: int) -> bool:
        written = self._written.get(sample.device)
        if written is None:
            return True
        at_ms, delay_ms = written
        return now_ms - at_ms >= (SOON_MS if abs(sample.delay_ms - delay_ms) > NEWS_MS else REGULAR_MS)

    def written(self, samples: Iterable[Sample], now_ms: int) -> None:
        """They are committed."""
        for sample in samples:
            self._written[sample.device] = now_ms, sample.delay_ms
            if self._best.get(sample.device) == sample:
                del self._best[sample.device]


_WRITE = """
INSERT INTO clock_sample (device_id, received_at, sent_at)
SELECT device, 'epoch'::timestamptz + received * INTERVAL '1 millisecond', 'epoch'::timestamptz + sent * INTERVAL '1 millisecond'
FROM unnest(%s::integer[], %s::bigint[], %s::bigint[]) AS sample (device, received, sent)
ON CONFLICT DO NOTHING
"""


def write(conn: psycopg.Connection, samples: Collection[Sample]) -> None:
    if samples:
        conn.execute(_WRITE, [list(column) for column in zip(*samples, strict=True)])
