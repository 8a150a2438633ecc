"""What counts of recalls and holds, as rows: who asks sees too little of custody to judge by themselves.

In the line: the one walk over connected lots -> here -> `lot_mark` -> the views for who asks. Contract: the rows of a lot are
those of its events and of the registry, whatever was there before.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import psycopg

from ingest.projection.grants import ids_of
from ledger.genealogy import Genealogy, Registered, concerns_marks, digest, judged

Row = tuple[str, str, tuple[str, ...], int, tuple[str, ...], tuple[str, ...], bool]
_COLUMNS = "lot, portion, known_as, event, set_marks, unset_marks, speaks"


def project(conn: psycopg.Connection, genealogy: Genealogy, known: Registered, lots: Collection[str]) -> None:
    """`lots`: those whose rows the walk knows in full."""
    fresh: set[Row] = set()
    if any(concerns_marks(fact.recorded) for fact in genealogy.facts):
        found = [each for each in judged(genealogy, known) if each.lot in lots]
        ids = ids_of(conn, (each.event for each in found))
        fresh = {
            (
                each.lot,
                digest(each.portion),
                tuple(sorted(map(digest, each.known_as))),
                ids[each.event.position],
                tuple(sorted(each.word.set)),
                tuple(sorted(each.word.unset)),
                each.word.speaks,
            )
            for each in found
        }
    if fresh == _standing(conn, lots):
        return
    conn.execute("DELETE FROM lot_mark WHERE lot = ANY (%s)", [list(lots)])
    with conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO lot_mark ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)".encode(),  # noqa: S608
            [[list(value) if isinstance(value, tuple) else value for value in row] for row in fresh],
        )


def _standing(conn: psycopg.Connection, lots: Collection[str]) -> set[Row]:
    rows: list[tuple[Any, ...]] = conn.execute(
        f"SELECT {_COLUMNS} FROM lot_mark WHERE lot = ANY (%s)".encode(),  # noqa: S608
        [list(lots)],
    ).fetchall()
    return {(row[0], row[1], tuple(row[2]), row[3], tuple(row[4]), tuple(row[5]), row[6]) for row in rows}
