"""A list as a file: CSV and XLSX of one `Sheet`, for whoever opens it in a spreadsheet and for programs.

Contract: no text of others becomes a formula, in either form; numbers are numbers and times have their offset; the filter
and the moment of export stand in the file. CSV: UTF-8 with a byte order mark, so that Excel reads Chinese; first the notes,
then an empty line, then the head of the table.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from openpyxl import Workbook
from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

Kind = Literal["text", "number", "moment", "day"]
Value = str | float | int | datetime | date | bool | None

# What a spreadsheet reads as the beginning of a formula, and the full-width forms that some turn into one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_UNSEEN = re.compile("^[\\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]+")
# What XML 1.0 cannot say: one of them, and no spreadsheet opens the file.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WIDEST = 60
CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` moment: aware, in the zone it is to be shown in."""

    head: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Sheet:
    """`notes`: (name, value) of the filter, the moment of export, and what has to be said of the numbers."""

    title: str
    notes_title: str
    notes: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]


def to_csv(sheet: Sheet) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([_harmless(sheet.title)])
    writer.writerows([_harmless(name), _harmless(value)] for name, value in sheet.notes)
    writer.writerow([])
    writer.writerow([_harmless(column.head) for column in sheet.columns])
    for row in sheet.rows:
        writer.writerow([_plain(value) for value in row])
    return out.getvalue().encode("utf-8-sig")


def _plain(value: Value) -> str | float | int:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    return _harmless(value) if isinstance(value, str) else value


def _harmless(text: str) -> str:
    """An apostrophe in front keeps a spreadsheet from computing what somebody wrote."""
    clean = _UNWRITABLE.sub("", text)
    return f"'{clean}" if _is_risky(clean) else clean


def _is_risky(text: str) -> bool:
    """It begins as a formula does, also behind what nobody sees."""
    return text.startswith(_FORMULA) or _UNSEEN.sub("", text).startswith(_FORMULA)


def to_xlsx(sheet: Sheet) -> bytes:
    book = Workbook()
    table = book.active
    assert isinstance(table, Worksheet)
    table.title = _sheet_name(sheet.title)
    _write_table(table, sheet)
    notes = book.create_sheet(_sheet_name(sheet.notes_title))
    for number, (name, value) in enumerate(sheet.notes, 1):
        _write_text(notes.cell(number, 1), name)
        _write_text(notes.cell(number, 2), value)
        notes.cell(number, 1).font = Font(bold=True)
        notes.cell(number, 2).alignment = Alignment(wrap_text=True, vertical="top")
    notes.column_dimensions["A"].width, notes.column_dimensions["B"].width = 24, 90
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _write_table(table: Worksheet, sheet: Sheet) -> None:
    """The offset of a moment is a column of its own: a spreadsheet's time has none."""
    heads = [head for column in sheet.columns for head in _heads(column)]
    for number, head in enumerate(heads, 1):
        cell = table.cell(1, number)
        _write_text(cell, head)
        cell.font, cell.alignment = Font(bold=True), Alignment(wrap_text=True, vertical="top")
    for at, row in enumerate(sheet.rows, 2):
        number = 1
        for column, value in zip(sheet.columns, row, strict=True):
            number = _write(table, at, number, column, value)
    table.freeze_panes = "A2"
    table.auto_filter.ref = f"A1:{get_column_letter(len(heads))}{len(sheet.rows) + 1}"
    _fit(table, heads, sheet.rows)


def _heads(column: Column) -> tuple[str, ...]:
    return (column.head, f"{column.head} UTC±") if column.kind == "moment" else (column.head,)


def _write(table: Worksheet, at: int, number: int, column: Column, value: Value) -> int:
    """Returns the next column's number."""
    cell = table.cell(at, number)
    if column.kind == "moment":
        if isinstance(value, datetime):
            cell.value, cell.number_format = value.replace(tzinfo=None), "yyyy-mm-dd hh:mm:ss"
            _write_text(table.cell(at, number + 1), f"{value:%z}"[:3] + ":" + f"{value:%z}"[3:5])
        return number + 2
    if isinstance(value, str):
        _write_text(cell, value)
    elif isinstance(value, date):
        cell.value, cell.number_format = value, "yyyy-mm-dd"
    elif value is not None:
        cell.value = value
    return number + 1


def _write_text(cell: Cell | MergedCell, text: str) -> None:
    """As text whatever it begins with, and marked so that it stays text when somebody edits the cell."""
    assert isinstance(cell, Cell)  # a sheet of ours merges none
    cell.value = _UNWRITABLE.sub("", text)
    cell.data_type = "s"
    if _is_risky(cell.value):
        cell.quotePrefix = True


def _fit(table: Worksheet, heads: Sequence[str], rows: Sequence[Sequence[Value]]) -> None:
    for number, head in enumerate(heads, 1):
        longest = max(
            [
                _width(head),
                *(_width(str(cell.value or "")) for cell in table[get_column_letter(number)][1:40]),
            ]
        )
        table.column_dimensions[get_column_letter(number)].width = min(_WIDEST, longest + 2)


def _width(text: str) -> int:
    return sum(2 if ord(char) > 0x2E7F else 1 for char in text)


def _sheet_name(title: str) -> str:
    """At most 31 characters, without those that a sheet's name must not have."""
    return "".join(char for char in title if char not in "[]:*?/\\")[:31]
