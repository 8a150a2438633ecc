"""What a worker keeps of its devices' clocks: for each, the message that took least time of a while.

In the line: `pipeline` -> here -> `closing` (into `clock_sample`). Contract: a delay is never negative, so of the
differences between our receipt and the device's `sent` the smallest is nearest to what its clock is off; what the broker sent
again, or what was stored already, is late for reasons of its own and is left out. A sample is written when it says something
new: another offset than the last one, or half an hour is over. It is an estimate's input: a worker that dies takes what it had
not written yet.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

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


class Heard(NamedTuple):
    """What a batch says of clocks. `best`: of each of its devices, the fastest since the last one that was written; `due`: those
    of them to be written with the batch."""

    best: list[Sample]
    due: list[Sample]


SILENCE = Heard([], [])


class Samples:
    """One worker's memory of its devices' clocks."""

    def __init__(self) -> None:
        self._best: dict[int, Sample] = {}
        self._written: dict[int, tuple[int, int]] = {}  # device -> when, and the delay

    def heard(self, batch: Intake, repeated: Collection[int] = ()) -> Heard:
        """`repeated`: indices of messages of which something was stored before. Nothing is remembered before it is `written`: a
        transaction that is undone was never heard."""
        heard = Heard([], [])
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
                known = Sample(device, received_ms, sent_ms)
                heard.best.append(known)
            if self._is_due(known, now_ms):
                heard.due.append(known)
        return heard

    def _is_due(self, sample: Sample, now_ms: int) -> bool:
        written = self._written.get(sample.device)
        if written is None:
            return True
        at_ms, delay_ms = written
        return now_ms - at_ms >= (SOON_MS if abs(sample.delay_ms - delay_ms) > NEWS_MS else REGULAR_MS)

    def written(self, heard: Heard, now_ms: int) -> None:
        """The batch is committed."""
        for sample in heard.best:
            self._best[sample.device] = sample
        for sample in heard.due:
            self._written[sample.device] = now_ms, sample.delay_ms
            del self._best[sample.device]
