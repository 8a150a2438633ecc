"""What became of every portion, written beside the presences of the same walk: what a recall reaches, and who has it.

In the line: projection (one walk over the lots that hang together) -> here -> `portion`, `portion_stay`, `portion_maybe`,
`portion_serial`, `run_goods` -> the functions of deploy/schema/0033_recall.sql. Contract: the rows of a lot are those of its events
and of the registry, whatever was there before; a projection, dropped and rebuilt at will.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import psycopg

from ingest.projection.lot_rows import Row, replace
from ingest.projection.rows import maybe, moment
from ledger.genealogy import Accounted, Genealogy, Registered, RunGoods, accounted, digest, run_goods

TABLES: Final[Mapping[str, str]] = {
    "portion": "lot, portion, origin, began, maker, run, used_in, quantity, uom, kilograms, inside, place, stage, holder, keeper,"
    " state, since, said_by, held_by, held_at",
    "portion_stay": "lot, portion, name, stage, since, until",
    "portion_maybe": "lot, portion, source",
    "portion_serial": "lot, portion, first, last",
    "run_goods": "run, lot, output, quantity, uom, kilograms, found",
}


def project(conn: psycopg.Connection, genealogy: Genealogy, known: Registered, lots: Collection[str]) -> None:
    """`lots`: those whose rows the walk knows in full."""
    mine = [each for each in accounted(genealogy, known) if each.lot in lots]
    ids = _ids(conn, mine)
    fresh = {
        "portion": {_portion(each, ids) for each in mine},
        "portion_stay": {
            (each.lot, digest(each.name), stay.name, stay.stage, moment(stay.start_ms), maybe(stay.end_ms))
            for each in mine
            for stay in each.stays
        },
        "portion_maybe": {
            (each.lot, digest(each.name), digest(name)) for each in mine for name in each.possibly
        },
        "portion_serial": {
            (each.lot, digest(each.name), *serial) for each in mine for serial in each.serials
        },
        "run_goods": {_run(each) for each in run_goods(genealogy) if each.lot in lots},
    }
    for table, columns in TABLES.items():
        replace(conn, table, columns.split(", "), fresh[table], lots)


def _ids(conn: psycopg.Connection, rows: Iterable[Accounted]) -> dict[int | None, int]:
    positions = sorted({each.said_by.position for each in rows if each.said_by and each.said_by.position})
    found = conn.execute("SELECT position, event FROM leaf WHERE position = ANY (%s)", [positions])
    return {int(position): int(event) for position, event in found}


def _portion(each: Accounted, ids: Mapping[int | None, int]) -> Row:
    return (
        each.lot,
        digest(each.name),
        None if each.origin is None else digest(each.origin),
        moment(each.began_ms),
        each.maker,
        each.run,
        each.used_in,
        each.quantity,
        each.uom,
        each.kilograms,
        each.inside,
        each.place,
        each.stage,
        each.holder,
        each.keeper,
        each.state,
        moment(each.since_ms),
        None if each.said_by is None else ids.get(each.said_by.position),
        tuple(who for who, _ in each.held),
        tuple(moment(at) for _, at in each.held),
    )


def _run(each: RunGoods) -> Row:
    return each.run, each.lot, each.output, each.quantity, each.uom, each.kilograms, each.found
