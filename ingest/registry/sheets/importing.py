"""Tables into the registry: in one transaction, all or nothing, or with `partial` every item that is good.

In the line: `table`, `columns`, `items` -> here -> tables of the database. Contract: nothing is written while any row of any
table has a fault, unless `partial`; each item is tried behind a savepoint, so that one run names all that is wrong. Said again
it changes nothing. The caller commits, or rolls back what was a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

import psycopg

from ingest.registry.document import RegistryError
from ingest.registry.loading import alone
from ingest.registry.sheets.columns import KINDS, Kind, kind_of
from ingest.registry.sheets.items import Item, Refused, items_of
from ingest.registry.sheets.table import Fault, SheetError, Table


@dataclass(frozen=True, slots=True)
class Report:
    """In rows. `taken`: written, or to be written were the others good; `known`: of these, placements recorded before.
    `passed_over`: names of tables that are none of ours."""

    rows: int
    taken: int
    known: int
    faults: tuple[Fault, ...]
    passed_over: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not self.faults


def import_tables(
    conn: psycopg.Connection,
    tables: Sequence[Table],
    zone: tzinfo,
    now: datetime,
    *,
    kind: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Report:
    """Write them in the caller's transaction, organisations before places before devices before placements.

    `zone`: of times without an offset. `kind`: of tables that do not say. `progress`: rows done, rows in all. Raises SheetError:
    a table with headings that do not fit, or none that is any of ours.
    """
    sorted_out = [(table, kind_of(table, kind)) for table in tables]
    ours = sorted(
        ((table, found) for table, found in sorted_out if found is not None),
        key=lambda pair: KINDS.index(pair[1]),
    )
    passed_over = tuple(table.name for table, found in sorted_out if found is None)
    if not ours:
        raise SheetError(
            f"{', '.join(passed_over)}: the headings are those of no kind of sheet; suyuan import --template prints them, --kind says which"
        )
    alone(conn)
    total = sum(len(table.rows) + len({fault.row for fault in table.faults}) for table, _ in ours)
    rows, taken, known = 0, 0, 0
    faults: list[Fault] = []
    for table, of_kind in ours:
        items, wrong = items_of(table, of_kind)
        faults += wrong
        rows += len({fault.row for fault in wrong} - {number for item in items for number in item.rows})
        for item in items:
            outcome = _write(conn, table, of_kind, item, zone, now)
            if isinstance(outcome, Fault):
                faults.append(outcome)
            else:
                taken += len(item.rows)
                known += 0 if outcome else len(item.rows)
            rows += len(item.rows)
            progress(rows, total)
    faults.sort(key=lambda fault: fault.row)
    return Report(total, taken, known, tuple(faults), passed_over)


def _write(
    conn: psycopg.Connection, table: Table, kind: Kind, item: Item, zone: tzinfo, now: datetime
) -> bool | Fault:
    try:
        with conn.transaction():
            return item.write(conn, zone, now)
    except Refused as error:
        return Fault(table.name, item.rows[0], _heading(table, kind, error.column), "", str(error))
    except RegistryError as error:
        return Fault(table.name, item.rows[0], "", "", str(error))


def _heading(table: Table, kind: Kind, field: str) -> str:
    """As the sheet calls it."""
    for heading in table.header:
        column = kind.column(heading)
        if column is not None and column.field == field:
            return heading
    return field
