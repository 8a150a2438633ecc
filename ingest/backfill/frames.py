"""A piece of a file, by column: what every format is read into.

Contract: a frame holds whole rows; what cannot be read of them is a `Fault` with its line, and takes nobody with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class FileError(ValueError):
    """The file cannot be taken in as it is; the sentence says what to do. Nothing of it was taken since the last checkpoint."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why `count` readings of a line, or from it on, were not taken."""

    line: int
    column: str
    reason: str
    detail: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Values:
    """One column of n values. `channel`, `unit`: what all of it is, or of each (a long file). `present`: False where the cell
    is empty or could not be read."""

    channel: str | Sequence[str]
    unit: str | Sequence[str | None] | None
    value: Floats
    present: Mask


@dataclass(frozen=True, slots=True)
class Frame:
    """n rows. `line`: where each begins in the file, from 1. `device`: of all, or of each; None: the file does not say.
    `time_ms`: UTC ms; a row whose time cannot be read is not here. `through`: rows of the file that are done with this."""

    line: Integers
    device: str | Sequence[str] | None
    time_ms: Integers
    values: Sequence[Values]
    through: int
    faults: list[Fault]
    position: int = 0  # bytes read, for who watches


@dataclass(frozen=True, slots=True)
class Form:
    """How a person says the file is to be read; part of what a checkpoint is of."""

    device: str | None = None
    organisation: str | None = None
    time_zone: str | None = None
    encoding: str | None = None
    kind: str | None = None
    channels: Mapping[str, str] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()


READINGS = 50_000
"""In a frame, about: what one transaction holds."""
