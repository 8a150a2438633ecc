"""The bytes of a file -> an `Export`: what it is, and which character set, separator and sheet.

Contract: CSV with commas, semicolons or tabs in UTF-8, UTF-16, GB18030 or Windows-1252; XLSX; Berlinger's text. Raises ExportError.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from ingest.exports import cells, clock, moments, tables
from ingest.exports.exported import Column, Export, ExportError
from ingest.exports.moments import NEVER
from ingest.exports.tables import Asked, Row
from ingest.exports.tags import Tag, is_tag

LARGEST_BYTES = 256 << 20
_MOST_UNPACKED = 1 << 30
_MOST_CELLS = 20_000_000
_CHINESE = re.compile(r"[温度时间日期设备编号记录]{2}")


def read(data: bytes, asked: Asked = Asked(), encoding: str | None = None) -> Export:  # noqa: B008  (frozen)
    if not data.strip():
        raise ExportError("the file is empty")
    if len(data) > LARGEST_BYTES:
        raise ExportError(
            f"the file has {len(data):,} bytes; at most {LARGEST_BYTES:,} are read: cut it by time"
        )
    if data[:4] == b"PK\x03\x04":
        return _workbook(data, asked)
    if data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise ExportError("this is an Excel file of the old form (.xls): save it as .xlsx or CSV")
    if data[:5] == b"%PDF-":
        raise ExportError("this is a PDF: export the readings as CSV, XLSX or text from the logger's program")
    text = decoded(data, encoding)
    return _tag(Tag(text), asked) if is_tag(text) else tables.read(_cut(text), "csv", asked)


def decoded(data: bytes, encoding: str | None = None) -> str:
    for each in (encoding,) if encoding else _encodings(data):
        try:
            text = data.decode(each)
        except LookupError as error:
            raise ExportError(
                f"{each} is no character set that is known here: say --encoding with another name"
            ) from error
        except UnicodeDecodeError:
            continue
        if each == "gb18030" and not _CHINESE.search(text):
            continue  # a degree sign of Windows is half a Chinese character
        return text
    raise ExportError(
        f"the file is not in {encoding}: leave --encoding out, or say another"
        if encoding
        else "the file is no text: say --encoding if it is"
    )


def _encodings(data: bytes) -> Sequence[str]:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return ("utf-16",)
    if b"\0" in data[:4096]:
        return ()
    return ("utf-8-sig", "gb18030", "cp1252", "latin-1")


def _cut(text: str) -> list[Row]:
    """By the separator with which most rows hold a moment and a reading."""
    sample = "\n".join(text.splitlines()[:300])
    ways = {mark: tables.quality(_rows(sample, mark)) for mark in ";\t,|"}
    return _rows(text, max(ways, key=lambda mark: ways[mark]))


def _rows(text: str, mark: str) -> list[Row]:
    rows: list[Row] = []
    begun = 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    try:
        for row in reader:
            rows.append(row)
            if reader.line_num > begun and any(_holds_rows(cell, mark) for cell in row):
                raise ExportError(
                    f"line {begun}: a quotation mark is opened and not closed, and the rows behind it stand in one cell: mend that line"
                )
            begun = reader.line_num + 1
        return rows
    except csv.Error as error:
        raise ExportError(f"the file is no table: {error}") from error


def _holds_rows(cell: str, mark: str) -> bool:
    lines = cell.splitlines()[1:]
    return (
        bool(lines)
        and tables.quality(list(csv.reader(lines[:20], delimiter=mark, quoting=csv.QUOTE_NONE))) > 0
    )


def _workbook(data: bytes, asked: Asked) -> Export:
    """The sheet with most readings."""
    from openpyxl import load_workbook  # slow to load, and seldom wanted

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(each.file_size for each in packed.infolist()) > _MOST_UNPACKED:
                raise ExportError(
                    f"the workbook unpacks to more than {_MOST_UNPACKED:,} bytes: save the readings as CSV"
                )
        with warnings.catch_warnings(action="ignore"):  # that it has no styles
            sheets = _sheets(load_workbook(io.BytesIO(data), read_only=True, data_only=True))
    except ExportError:
        raise
    except Exception as error:  # whatever a broken workbook makes its reader stumble over
        raise ExportError(
            f"the workbook cannot be read ({error}): save it as .xlsx again, or as CSV"
        ) from error
    best = max(sheets, key=lambda title: tables.quality(sheets[title]), default=None)
    if best is None:
        raise ExportError("the workbook has no sheet with cells")
    return tables.read(sheets[best], "xlsx", asked)


def _sheets(book: Any) -> dict[str, list[Row]]:
    """The rows of each sheet as far as they are filled. What a sheet says of its own size is not believed: a column that was formatted
    as a whole makes it a million rows of sixteen thousand cells."""
    sheets: dict[str, list[Row]] = {}
    cells = 0
    for sheet in book.worksheets:
        sheet.reset_dimensions()
        rows = sheets.setdefault(sheet.title, [])
        for row in sheet.iter_rows(values_only=True):
            cells += 1 + len(row)  # a row that is left out is one too
            if cells > _MOST_CELLS:
                raise ExportError(
                    f"the workbook has more than {_MOST_CELLS:,} cells: save the readings as CSV"
                )
            rows.append(row)
    return sheets


def _tag(tag: Tag, asked: Asked) -> Export:
    written, values = tag.readings()
    when = moments.read(written, asked.date_order)
    known = when.local_ms != NEVER
    notes = (
        []
        if known.all()
        else [f"{int((~known).sum())} rows without a time that can be read were passed over"]
    )
    if not known.any():
        raise ExportError("no row has a time that can be read")
    value, _, odd = cells.numbers(values)
    rows = clock.line_up(when.local_ms[known], None, asked.zone)
    kept, (value,), differing = clock.once(rows.line.time_ms, [value[known][rows.order]])
    if differing:
        notes.append(f"{differing} moments have two readings that differ: taken as unknown")
    unit = tag.unit or asked.unit
    interval = tag.interval_minutes
    return Export(
        "berlinger",
        tag.serial,
        tables.only(rows.line, kept),
        (Column("T", unit, np.asarray(cells.celsius(value, unit)), odd, np.ones(value.size, np.bool_)),),
        None if not interval else round(interval * 60_000),
        tag.activation_energy,
        tag.own_limits(),
        (*notes, *rows.notes),
    )
