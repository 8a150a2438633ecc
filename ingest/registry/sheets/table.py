"""A CSV or XLSX file into tables of text: bytes -> here -> `columns`.

Contract: any bytes give tables or `SheetError`, in bounded memory. A cell is stripped text. One that would compute something
(a formula), that holds what cannot be seen, or that a spreadsheet has already spoilt (a number of more than 15 digits) is
refused with its row and never repaired; empty rows are passed over.
Excel in China writes CSV in GBK: what is no UTF-8 is read as GB18030, which GBK is a part of.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import openpyxl

from ingest.registry.document import RegistryError

MAX_BYTES: Final = 50 * 2**20
MAX_UNPACKED: Final = 500 * 2**20
MAX_ROWS: Final = 100_000
MAX_COLUMNS: Final = 60
MAX_CELL: Final = 500


class SheetError(RegistryError):
    """The file cannot be read as a table. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is not taken. `row`: as the spreadsheet numbers it; `column`: its heading, empty where the row as a whole."""

    table: str
    row: int
    column: str
    value: str
    detail: str

    def __str__(self) -> str:
        where = f"{self.table}, row {self.row}" + (f", {self.column}" if self.column else "")
        return f"{where}: {self.detail}" + (f" (got {self.value[:80]!r})" if self.value else "")


@dataclass(frozen=True, slots=True)
class Row:
    """`cells`: by column, as many as the heading has; shorter rows are filled with empty text."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`name`: of the file or sheet. `rows`: those whose cells can be read; `faults`: of the others."""

    name: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...] = ()
    encoding: str = ""


def read_tables(name: str, data: bytes) -> list[Table]:
    """`name`: of the file. A CSV file is one table, a workbook one per sheet that is not empty. Raises SheetError."""
    if len(data) > MAX_BYTES:
        raise SheetError(
            f"{name}: {len(data)} bytes, at most {MAX_BYTES} are read; cut it into several files"
        )
    if data.startswith(b"PK\x03\x04"):
        return list(_workbook(name, data))
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise SheetError(
            f"{name}: an old Excel file (.xls) or one with a password; save it as .xlsx without one, or as CSV"
        )
    text, encoding = _decoded(name, data)
    table = _table(name, _csv_rows(name, text), encoding)
    if table is None:
        raise SheetError(f"{name}: holds no row; the first row names the columns (suyuan import --template)")
    return [table]


def _decoded(name: str, data: bytes) -> tuple[str, str]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _as(name, data, "utf-16"), "UTF-16"
    try:
        return data.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        return _as(name, data, "gb18030"), "GB18030"


def _as(name: str, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise SheetError(
            f"{name}: neither UTF-8 nor GB18030 (byte {error.start}); save it as CSV UTF-8 or as .xlsx"
        ) from error


def _csv_rows(name: str, text: str) -> Iterator[tuple[int, list[Any]]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    before = 0
    try:
        for cells in reader:
            yield before + 1, list(cells)
            before = reader.line_num
    except csv.Error as error:
        raise SheetError(
            f"{name}, line {reader.line_num}: {error}; look for a quotation mark that is not closed"
        ) from error


def _workbook(name: str, data: bytes) -> Iterator[Table]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            unpacked = sum(item.file_size for item in packed.infolist())
        if unpacked > MAX_UNPACKED:
            raise SheetError(
                f"{name}: {unpacked} bytes unpacked, at most {MAX_UNPACKED} are read; cut it into several files"
            )
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=False, keep_links=False)
        tables = [_table(f"{name}/{sheet.title}", _sheet_rows(sheet)) for sheet in book.worksheets]
        book.close()
    except SheetError:
        raise
    except Exception as error:  # a damaged file makes the library raise whatever its parsers raise
        raise SheetError(
            f"{name}: cannot be read as an Excel workbook ({error}); save it again as .xlsx, or as CSV"
        ) from error
    yield from (table for table in tables if table is not None)


def _sheet_rows(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    for number, row in enumerate(sheet.iter_rows(max_col=MAX_COLUMNS + 1), start=1):
        yield number, [_Formula(cell.value) if cell.data_type in ("f", "e") else cell.value for cell in row]


@dataclass(frozen=True, slots=True)
class _Formula:
    """A cell that computes, or whose computation failed (#REF!)."""

    said: object


def _table(name: str, numbered: Iterable[tuple[int, list[Any]]], encoding: str = "") -> Table | None:
    header: tuple[str, ...] | None = None
    rows: list[Row] = []
    faults: list[Fault] = []
    for number, raw in numbered:
        cells, refused = _cells(raw)
        if not any(cells) and not refused:
            continue
        if header is None:
            if refused:
                raise SheetError(
                    f"{name}, row {number}: the first row names the columns; {next(iter(refused.values()))}"
                )
            header = _without_empty_end(cells)
            if len(header) > MAX_COLUMNS:
                raise SheetError(
                    f"{name}: more than {MAX_COLUMNS} columns; suyuan import --template prints those that are read"
                )
            continue
        if len(rows) + len(faults) >= MAX_ROWS:
            raise SheetError(f"{name}: more than {MAX_ROWS} rows; cut it into several files")
        found = [
            Fault(
                name,
                number,
                header[place] if place < len(header) else f"column {place + 1}",
                cells[place],
                detail,
            )
            for place, detail in refused.items()
        ]
        if any(cells[len(header) :]):
            found.append(
                Fault(
                    name,
                    number,
                    "",
                    "",
                    f"has more cells than the {len(header)} columns; look for a stray comma",
                )
            )
        if found:
            faults += found
        else:
            rows.append(Row(number, (cells + ("",) * len(header))[: len(header)]))
    return None if header is None else Table(name, header, tuple(rows), tuple(faults), encoding)


def _without_empty_end(cells: tuple[str, ...]) -> tuple[str, ...]:
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _cells(raw: list[Any]) -> tuple[tuple[str, ...], dict[int, str]]:
    """The texts, and by place why one is refused."""
    refused: dict[int, str] = {}
    texts: list[str] = []
    for place, value in enumerate(raw):
        text, detail = _text(value)
        texts.append(text)
        if detail:
            refused[place] = detail
    return tuple(texts), refused


def _text(value: Any) -> tuple[str, str]:
    match value:
        case None:
            return "", ""
        case _Formula(said) if str(said).startswith("#"):
            return str(said), "is a formula that failed: put the value there, or nothing"
        case _Formula(said):
            return str(said), "is a formula: paste its value instead"
        case bool():
            return str(value).lower(), ""
        case int() | float():
            if abs(value) >= 1e15:
                return (
                    str(value),
                    "is a number of more than 15 digits, which a spreadsheet rounds: format the column as text and type it again",
                )
            return str(int(value) if float(value).is_integer() else value), ""
        case datetime() | date():
            return value.isoformat(), ""
        case str():
            text = value.strip()
            return text, _hostile(text)
        case _:
            return str(value), "is neither text, a number nor a date"


_FORMULA = re.compile(r"[=@\t\r]|[+-](?![0-9.]|$)")
_ROUNDED = re.compile(r"[0-9](\.[0-9]+)?E\+[0-9]{2}", re.IGNORECASE)
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _hostile(text: str) -> str:
    if len(text) > MAX_CELL:
        return f"has {len(text)} characters, at most {MAX_CELL} are taken"
    if _FORMULA.match(text):
        return "begins as a formula does: write it without the sign in front"
    if _ROUNDED.fullmatch(text):
        return "was rounded by a spreadsheet: format the column as text and type it again"
    for character in text:
        if unicodedata.category(character) in _UNSEEN:
            return f"holds a character that cannot be seen (U+{ord(character):04X}): type the cell again"
    return ""
