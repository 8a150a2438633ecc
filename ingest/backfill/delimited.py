"""CSV and its relatives -> frames: a row per moment with a column per channel, or a row per reading.

Contract: UTF-8 or GB18030, separated by commas, semicolons or tabs; rows in any order. Values are read by column, a cell at a
time only in a column that holds something besides numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

import numpy as np

from ingest.backfill import times
from ingest.backfill.frames import READINGS, Fault, FileError, Floats, Form, Frame, Mask, Values
from ingest.backfill.headings import Layout, layout, unit_word
from ingest.backfill.times import NEVER

EMPTY = frozenset({"", "-", "--", "---", "--.-", "n/a", "na", "null", "none", "无", "空"})
_WORDS = {"true": 1.0, "false": 0.0}
_SNIFFED = 1 << 20

Row = tuple[int, list[str]]
"""Its line, and its cells."""


def read(path: Path, form: Form, zone: ZoneInfo | None, done: int) -> Iterator[Frame]:
    """`done`: rows of values to pass over. Raises FileError."""
    with path.open("rb") as file:
        encoding = form.encoding or _encoding(file.read(_SNIFFED))
        file.seek(0)
        try:
            with io.TextIOWrapper(file, encoding, newline="") as text:
                yield from _frames(text, file, form, zone, done)
        except (UnicodeDecodeError, LookupError) as error:
            raise FileError(f"is not in {encoding}: {error}; say --encoding") from error
        except csv.Error as error:
            raise FileError(f"is no CSV file: {error}") from error


def _encoding(begun: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            # A character may be cut at the end of what was read.
            begun[: begun.rfind(b"\n") + 1 or None].decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    raise FileError("is neither UTF-8 nor GB18030: say --encoding")


def _frames(
    text: io.TextIOWrapper, file: BinaryIO, form: Form, zone: ZoneInfo | None, done: int
) -> Iterator[Frame]:
    first = text.readline()
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader([first], delimiter=delimiter)
    found = layout(next(reader, []), form)
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    for _ in islice(rows, done):
        pass
    most = max(1, READINGS // max(1, len(found.titles)))
    while True:
        part = [(rows.line_num + 1, row) for row in islice(rows, most)]
        if not part:
            return
        done += len(part)
        yield _frame(part, found, form, zone, done, file.tell())


def _frame(
    part: list[Row], found: Layout, form: Form, zone: ZoneInfo | None, through: int, position: int
) -> Frame:
    faults: list[Fault] = []
    whole = [each for each in part if len(each[1]) == found.width]
    if len(whole) < len(part):
        faults += [
            Fault(line, "", "malformed_row", f"got {len(row)} cells, want {found.width} as in the heading")
            for line, row in part
            if len(row) != found.width and row
        ]
    columns = list(zip(*(row for _, row in whole), strict=True)) or [()] * found.width
    time_ms, want = times.parse(columns[found.time], zone) if whole else (np.empty(0, np.int64), "")
    readable = time_ms != NEVER
    faults += [
        Fault(whole[at][0], "", "malformed_time", f"got {columns[found.time][at]!r}: {want}")
        for at in np.flatnonzero(~readable).tolist()
    ]
    line = np.array([line for line, _ in whole], np.int64)
    values = [
        Values(
            title.channel, title.unit, *_numbers(columns[title.place], line, readable, title.heading, faults)
        )
        for title in found.titles
    ]
    if found.value is not None and found.channel is not None:
        names = [form.channels.get(name.strip(), name.strip()) for name in columns[found.channel]]
        units = None if found.unit is None else [unit_word(unit) for unit in columns[found.unit]]
        numbers = _numbers(columns[found.value], line, readable, "value", faults)
        values = [Values(names, units, *numbers)]
    device = form.device if found.device is None else [name.strip() for name in columns[found.device]]
    if readable.all():
        return Frame(line, device, time_ms, values, through, faults, position)
    return Frame(line, device, np.where(readable, time_ms, 0), values, through, faults, position)


def _numbers(
    column: Sequence[str],
    line: np.ndarray[tuple[int], np.dtype[np.int64]],
    readable: Mask,
    heading: str,
    faults: list[Fault],
) -> tuple[Floats, Mask]:
    """Values, and where there are any; a row whose time cannot be read has none."""
    try:
        if "_" in "".join(column):
            raise ValueError("Python reads 1_0 as ten, and nobody else does")
        value = np.array(column, dtype=np.float64)
        present = np.ones(len(column), bool)
    except ValueError:
        read = [_number(cell) for cell in column]
        value = np.array([0.0 if number is None else number for number in read])
        present = np.array([number is not None for number in read])
    for at in np.flatnonzero(present & readable & ~np.isfinite(value)).tolist():
        faults.append(
            Fault(int(line[at]), heading, "not_a_number", f"got {column[at][:40]!r}, want a number")
        )
    return value, present & readable & np.isfinite(value)


def _number(cell: str) -> float | None:
    """None: the cell is empty. NaN: it is no number."""
    text = cell.strip().casefold()
    if text in EMPTY:
        return None
    if text in _WORDS:
        return _WORDS[text]
    try:
        return float("nan") if "_" in text else float(text)
    except ValueError:
        return float("nan")
