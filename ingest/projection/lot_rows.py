"""A table's rows of some lots, put in the place of those that stood there.

In the line: one walk's rows -> here -> any table with a column `lot`. Contract: afterwards the table has exactly these rows of these
lots; where it has them already nothing is written, so that looking again leaves nothing to vacuum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import psycopg

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
    standing = [_hashable(row) for row in conn.execute(select.encode(), [list(lots)])]
    if Counter(standing) == Counter(fresh):
        return set()
    conn.execute(f"DELETE FROM {table} WHERE lot = ANY (%s)".encode(), [list(lots)])  # noqa: S608
    insert = f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608
    with conn.cursor() as cursor:
        cursor.executemany(insert.encode(), [_with_arrays(row) for row in fresh])
    return set(standing) ^ set(fresh)


def _hashable(row: Row) -> Row:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


def _with_arrays(row: Row) -> list[Any]:
    return [list(value) if isinstance(value, tuple) else value for value in row]
