"""Parquet -> frames, by pyarrow: an extra, since it is large (docs/decisions/0022).

Contract: the same two layouts as CSV, by the same headings. A timestamp with a zone is a moment; one without is local time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from ingest.backfill import times
from ingest.backfill.frames import READINGS, Fault, FileError, Form, Frame, Integers, Mask, Values
from ingest.backfill.headings import Layout, layout, unit_word
from ingest.backfill.times import NEVER

if TYPE_CHECKING:
    import pyarrow as pa


def read(path: Path, form: Form, zone: ZoneInfo | None, done: int) -> Iterator[Frame]:
    """`done`: rows to pass over; `line` counts rows from 1. Raises FileError."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise FileError("Parquet needs pyarrow: pip install 'suyuan[parquet]'") from error
    try:
        with pq.ParquetFile(path) as file:
            found = layout(file.schema_arrow.names, form)
            most = max(1, READINGS // max(1, len(found.titles)))
            size, rows = path.stat().st_size, max(1, file.metadata.num_rows)
            through = 0
            for batch in file.iter_batches(batch_size=most):
                if through + batch.num_rows > done:
                    part = batch.slice(max(0, done - through))
                    first = through + batch.num_rows - part.num_rows
                    position = size * (through + batch.num_rows) // rows
                    yield _frame(part, found, form, zone, first, position)
                through += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"is no Parquet file that can be read: {error}") from error


def _frame(
    batch: pa.RecordBatch, found: Layout, form: Form, zone: ZoneInfo | None, first: int, position: int
) -> Frame:
    line = np.arange(first + 1, first + batch.num_rows + 1)
    faults: list[Fault] = []
    time_ms = _times(batch.column(found.time), zone)
    readable = time_ms != NEVER
    faults += [
        Fault(int(line[at]), "", "malformed_time", "no time, or none that can be")
        for at in np.flatnonzero(~readable)
    ]
    values = [
        Values(
            title.channel,
            title.unit,
            *_numbers(batch.column(title.place), line, readable, title.heading, faults),
        )
        for title in found.titles
    ]
    if found.value is not None and found.channel is not None:
        names = [form.channels.get(name, name) for name in _texts(batch.column(found.channel))]
        units = None if found.unit is None else [unit_word(unit) for unit in _texts(batch.column(found.unit))]
        values = [Values(names, units, *_numbers(batch.column(found.value), line, readable, "value", faults))]
    device = form.device if found.device is None else _texts(batch.column(found.device))
    through = first + batch.num_rows
    return Frame(line, device, np.where(readable, time_ms, 0), values, through, faults, position)


def _times(column: Any, zone: ZoneInfo | None) -> Integers:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        there = np.array(column.is_valid())
        ms = np.array(column.cast(pa.timestamp("ms", kind.tz), safe=False).cast(pa.int64()).fill_null(0))
        ms = ms if kind.tz is not None else times.localised(ms, zone)
        return np.where(there, ms, NEVER)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return times.from_numbers(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    return times.parse(_texts(column), zone)[0]


def _numbers(
    column: Any, line: Integers, readable: Mask, heading: str, faults: list[Fault]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], Mask]:
    import pyarrow as pa

    there = np.array(column.is_valid(), bool)
    try:
        value = np.array(column.cast(pa.float64(), safe=False).fill_null(0.0), np.float64)
    except pa.ArrowException as error:
        raise FileError(
            f"the column {heading} holds {column.type} and no numbers: leave it out with --skip"
        ) from error
    for at in np.flatnonzero(there & readable & ~np.isfinite(value)).tolist():
        faults.append(Fault(int(line[at]), heading, "not_a_number", f"got {value[at]}, want a number"))
    return value, there & readable & np.isfinite(value)


def _texts(column: Any) -> Sequence[str]:
    return [str(cell).strip() if cell is not None else "" for cell in column.to_pylist()]
