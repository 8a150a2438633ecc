"""Organisations, places, devices and placements from CSV and XLSX, as people keep them.

`table` reads a file into rows of text, `columns` says what each kind of sheet may hold and in which words, `items` makes of rows
what is to be registered, `importing` writes it: all of it, or with `partial` what is good.
"""

from __future__ import annotations

from ingest.registry.sheets.columns import KINDS, Kind, template
from ingest.registry.sheets.importing import Report, import_tables
from ingest.registry.sheets.table import Fault, SheetError, Table, read_tables

__all__ = [
    "KINDS",
    "Fault",
    "Kind",
    "Report",
    "SheetError",
    "Table",
    "import_tables",
    "read_tables",
    "template",
]
