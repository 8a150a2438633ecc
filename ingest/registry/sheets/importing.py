"""Tables into the registry: in one transaction, all or nothing, or with `partial` every item that is good.

In the line: `table`, `columns`, `items` -> here -> tables of the database. Contract: nothing is written while any row of any
table has a fault, unless `partial`; each item is tried behind a savepoint, so that one run names all that is wrong. Said again
it changes nothing. The caller commits, or rolls back what was a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

import psycopg

from ingest.registry.document import RegistryError
from ingest.registry.loading import alone
from ingest.registry.sheets.columns import KINDS, Kind, heading_of, kind_of
from ingest.registry.sheets.items import Item, Refused, items_of
from ingest.registry.sheets.table import Fault, SheetError, Table

TURNS = 5  # a place may stand in the sheet before the one that it is part of


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
    done = _Done(
        sum(len(table.rows) + len({fault.row for fault in table.faults}) for table, _ in ours), progress
    )
    for table, of_kind in ours:
        items, faults = items_of(table, of_kind)
        done.faults += faults
        done.count(len({fault.row for fault in faults} - {row.number for item in items for row in item.rows}))
        _write_all(conn, table, of_kind, items, zone, now, done)
    order = {table.name: place for place, (table, _) in enumerate(ours)}
    said = sorted(done.faults, key=lambda fault: (order[fault.table], fault.row))
    return Report(done.of, done.taken, done.known, tuple(said), passed_over)


@dataclass(slots=True)
class _Done:
    """What has come of the rows so far."""

    of: int
    progress: Callable[[int, int], None]
    rows: int = 0
    taken: int = 0
    known: int = 0
    faults: list[Fault] = field(default_factory=list)

    def count(self, rows: int) -> None:
        self.rows += rows
        self.progress(self.rows, self.of)


def _write_all(
    conn: psycopg.Connection,
    table: Table,
    kind: Kind,
    items: Sequence[Item],
    zone: tzinfo,
    now: datetime,
    done: _Done,
) -> None:
    refused: list[tuple[Item, Fault]] = []
    for turn in range(TURNS):
        refused = []
        for item in items:
            outcome = _write(conn, table, kind, item, zone, now)
            if isinstance(outcome, Fault):
                refused.append((item, outcome))
            else:
                done.taken += len(item.rows)
                done.known += 0 if outcome else len(item.rows)
            done.count(0 if turn else len(item.rows))
        if kind.name != "places" or len(refused) in (0, len(items)):
            break
        items = [item for item, _ in refused]
    done.faults += [fault for _, fault in refused]


def _write(
    conn: psycopg.Connection, table: Table, kind: Kind, item: Item, zone: tzinfo, now: datetime
) -> bool | Fault:
    row = item.rows[0]
    try:
        with conn.transaction():
            return item.write(conn, zone, now)
    except Refused as error:
        heading = heading_of(table, kind, error.column)
        cell = row.cells[table.header.index(heading)] if heading in table.header else ""
        return Fault(table.name, row.number, heading, cell, str(error))
    except RegistryError as error:
        return Fault(table.name, row.number, "", "", str(error))
