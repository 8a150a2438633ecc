"""A logger's export as read: one line of time, and the columns of temperature on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_EPOCH = datetime(1970, 1, 1)
_MS = timedelta(milliseconds=1)


class ExportError(ValueError):
    """The file cannot be read as a logger's export; the sentence says what to do. Nothing of it was judged."""


@dataclass(frozen=True, slots=True)
class Line:
    """n moments, rising strictly. `time_ms`: int64[n], ms on a clock that never went back (UTC where `offset_ms` is known);
    `local_ms`: int64[n], what the export writes, ms since 1970 on its own clock; `offset_ms`: int64[n], local minus UTC."""

    time_ms: Integers
    local_ms: Integers
    offset_ms: Integers | None

    def written(self, at: int) -> str:
        """The moment as the export has it, ISO 8601: with an offset where it has one."""
        text = _EPOCH + int(self.local_ms[at]) * _MS
        if self.offset_ms is None:
            return _iso(text)
        offset = timedelta(milliseconds=int(self.offset_ms[at]))
        return _iso(text.replace(tzinfo=timezone(offset) if offset else UTC))


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")


@dataclass(frozen=True, slots=True)
class Column:
    """One probe. `value_c`: float64[n], °C, NaN where the export has no reading or none that counts. `unit`: as the export has it, None
        where it says nothing; `faults`: what stood in place of readings, and how often. `rows`: bool[n], where the export has a row of this probe:
    with a row per reading, the moments of another probe are none of it."""

    name: str
    unit: str | None
    value_c: Floats
    faults: Mapping[str, int]
    rows: Mask

    def ends(self) -> tuple[int, int]:
        """The places of its first and its last row."""
        places = np.flatnonzero(self.rows)
        return int(places[0]), int(places[-1])

    def series(self, line: Line) -> tuple[Integers, Floats]:
        """Its own rows: moments, and values with NaN where a row has no reading."""
        return line.time_ms[self.rows], self.value_c[self.rows]


@dataclass(frozen=True, slots=True)
class OwnLimit:
    """An alarm that the logger itself was set to: °C, minutes."""

    name: str
    side: str
    mode: str
    limit_c: float
    minutes: float


@dataclass(frozen=True, slots=True)
class Export:
    """`form`: what it was read as. `interval_ms`: as the logger was set to measure, None where the file does not say;
    `activation_energy_kj_per_mol`: that of its own mean kinetic temperature. `own_limits`: the logger's own alarms.
    `notes`: what was passed over or set right, one sentence each."""

    form: str
    serial: str | None
    line: Line
    columns: tuple[Column, ...]
    interval_ms: int | None = None
    activation_energy_kj_per_mol: float | None = None
    own_limits: tuple[OwnLimit, ...] = ()
    notes: tuple[str, ...] = ()
