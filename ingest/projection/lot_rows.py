"""A table's rows of some lots, put in the place of those that stood there.

In the line: one walk's rows -> here -> any table with a column `lot`. Contract: afterwards the table has exactly these rows of these
lots; of a lot where it has them already nothing is written: looking again leaves nothing to vacuum, and of a large chain a new event
touches few lots.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

import psycopg
from psycopg.types.range import TimestamptzRange

Row = tuple[Any, ...]


def replace(
    conn: psycopg.Connection,
    table: str,
    columns: Sequence[str],
    fresh: Collection[Row],
    lots: Collection[str],
) -> set[Row]:
    """`fresh`: all rows of `lots`, an array as a tuple. Returns the rows that came or went."""
    names = ", ".join(columns)
    select = f"SELECT {names} FROM {table} WHERE lot = ANY (%s)"  # noqa: S608
    standing = Counter(_hashable(row) for row in conn.execute(select.encode(), [list(lots)]))
    wanted = Counter(fresh)
    if standing == wanted:
        return set()
    lot = columns.index("lot")
    touched = {row[lot] for row in standing.keys() | wanted.keys() if standing[row] != wanted[row]}
    conn.execute(f"DELETE FROM {table} WHERE lot = ANY (%s)".encode(), [list(touched)])  # noqa: S608
    # As one text: a deep chain has a hundred rows for each event, and to hand them over one by one takes longer than all the rest.
    insert = f"INSERT INTO {table} ({names}) SELECT {names} FROM json_populate_recordset(NULL::{table}, %s)"  # noqa: S608
    conn.execute(insert.encode(), [_as_json(columns, [row for row in fresh if row[lot] in touched])])
    return standing.keys() ^ wanted.keys()


def _hashable(row: Row) -> Row:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


def _as_json(columns: Sequence[str], rows: Collection[Row]) -> str:
    try:
        return json.dumps(
            [dict(zip(columns, row, strict=True)) for row in rows], default=_as_text, allow_nan=False
        )
    except ValueError:  # JSON has no word for what is not finite; the database reads it from a text
        return _as_json(columns, [tuple(map(_finite, row)) for row in rows])


def _finite(value: object) -> object:
    return value if not isinstance(value, float) or isfinite(value) else str(value)


def _as_text(value: datetime | TimestamptzRange) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    lower, upper = (end.isoformat() if end else "" for end in (value.lower, value.upper))
    return f"[{lower},{upper})"
