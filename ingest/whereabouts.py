"""Where goods were, each kilogram once, written beside the presences of the same walk.

In the line: projection (one walk over the lots that hang together) -> here -> `whereabouts`. Contract: the rows of a lot
are those of its events, whatever was there before; a projection, dropped and rebuilt at will.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.types.range import TimestamptzRange

from ledger.genealogy import Genealogy, Whereabouts

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Row = tuple[
    str, str | None, str | None, tuple[str, ...], str | None, bool, str | None, float | None, TimestamptzRange
]

_STANDING = """
SELECT lot, rule_product, stage, inside, place, in_vehicle, holder, kilograms, valid FROM whereabouts WHERE lot = ANY (%s)
"""
_WRITE = """
INSERT INTO whereabouts (lot, rule_product, stage, inside, place, in_vehicle, holder, kilograms, valid)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def project(
    conn: psycopg.Connection,
    genealogy: Genealogy,
    lots: Collection[str],
    rule_product: Callable[[str], str | None],
) -> None:
    """`lots`: those whose rows the walk knows in full."""
    fresh = {_row(each, rule_product(each.lot)) for each in genealogy.whereabouts() if each.lot in lots}
    standing = {(*row[:3], tuple(row[3]), *row[4:]) for row in conn.execute(_STANDING, [list(lots)])}
    if fresh == standing:
        return
    conn.execute("DELETE FROM whereabouts WHERE lot = ANY (%s)", [list(lots)])
    with conn.cursor() as cursor:
        cursor.executemany(_WRITE, [[*row[:3], list(row[3]), *row[4:]] for row in fresh])


def _row(each: Whereabouts, rule_product: str | None) -> Row:
    end = None if each.end_ms is None else _datetime(each.end_ms)
    valid = TimestamptzRange(_datetime(each.start_ms), end)
    return (each.lot, rule_product, each.stage, each.inside, each.place, each.in_vehicle, each.holder,
            each.kilograms, valid)  # fmt: skip


def _datetime(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time_ms)
