"""Admitted columns as the pipeline takes them: each row of the file stands for a message.

In the line: `cells` -> here -> `pipeline.transact`. A row becomes a real message, a SenML pack of its readings, only where
quarantine wants its bytes: a contradiction of what is stored can then be looked at and replayed like any other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import overload

import numpy as np

from ingest.backfill.cells import Admitted
from ingest.intake import NONE, Intake, Readings
from ingest.message import Message
from ingest.registry import Device, Series
from ingest.replay import EVER
from ingest.wire.topics import readings_topic


@dataclass(slots=True)
class FileRows(Sequence[Message]):
    """Messages made when they are asked for. `asked`: of which rows of the frame that was; only what is refused is asked for."""

    columns: Readings
    row: list[int]
    device: list[Device]
    series: dict[int, Series]
    asked: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.row)

    @overload
    def __getitem__(self, at: int) -> Message: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Message]: ...
    def __getitem__(self, at: int | slice) -> Message | Sequence[Message]:
        assert isinstance(at, int)
        self.asked.add(self.row[at])
        begun, ended = np.searchsorted(self.columns.message, [at, at + 1])
        records = [
            {
                "n": self.series[series].channel,
                "u": self.series[series].unit,
                "t": time_ms / 1000,
                "v": value,
            }
            for series, time_ms, value in zip(
                self.columns.series[begun:ended].tolist(),
                self.columns.time_ms[begun:ended].tolist(),
                self.columns.value[begun:ended].tolist(),
                strict=True,
            )
        ]
        device = self.device[at]
        topic = readings_topic(device.organisation, device.external_id)
        return Message(topic.encode(), json.dumps(records).encode(), redelivered=False)


@dataclass(slots=True)
class FileIntake(Intake):
    """A batch of which the columns are there already."""

    columns: Readings | None = None
    rows: FileRows | None = None

    def readings(self) -> Readings:
        assert self.columns is not None
        return self.columns

    def row_counts(self) -> list[int]:
        return self.records

    @property
    def sent(self) -> Sequence[Message]:
        assert self.rows is not None
        return self.rows

    @property
    def redelivered(self) -> int:
        return 0


def gather(admitted: Sequence[Admitted], now: datetime) -> FileIntake:
    """A row of the file that names two devices in two columns is a message of each; rows keep their order."""
    row = np.concatenate([each.row for each in admitted])
    device = np.repeat([each.device.id for each in admitted], [len(each.row) for each in admitted])
    series = np.repeat([each.series.id for each in admitted], [len(each.row) for each in admitted])
    order = np.lexsort((device, row))
    row, device, series = row[order], device[order], series[order]
    begins = np.ones(len(row), bool)
    begins[1:] = (row[1:] != row[:-1]) | (device[1:] != device[:-1])
    first = np.flatnonzero(begins)
    counts = np.diff(np.r_[first, len(row)])
    columns = Readings(
        np.cumsum(begins) - 1,
        series.astype(np.int64),
        np.concatenate([each.time_ms for each in admitted])[order],
        np.concatenate([each.value for each in admitted])[order],
        np.zeros(len(row), np.int16),
    )
    devices = {each.device.id: each.device for each in admitted}
    owner = device[first].tolist()
    batch = FileIntake(now, EVER, devices=devices, columns=columns)
    batch.device, batch.records = owner, counts.tolist()
    batch.boot, batch.seq, batch.sent_ms = ([NONE] * len(owner) for _ in range(3))
    names = {each.series.id: each.series for each in admitted}
    batch.rows = FileRows(columns, row[first].tolist(), [devices[each] for each in owner], names)
    return batch
