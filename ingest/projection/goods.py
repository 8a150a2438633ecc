"""Where the goods of connected lots are and were, what they are made of, who took them in and stopped
them: one walk, all its rows.

In the line: the goods of new events -> one walk over all that hangs together with them -> presences, whereabouts,
origins, grants, marks, what does
not add up. Contract: only rows of lots that the walk knows in full are written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

import psycopg
from psycopg.types.range import TimestamptzRange

from ingest import portions, whereabouts
from ingest.projection import grants, makings, marks, tracks
from ingest.projection.rows import PresenceRow, maybe, moment
from ingest.radar import balances
from ledger import recorded
from ledger.genealogy import Genealogy, replay


def project_goods(
    conn: psycopg.Connection, goods: Iterable[str], now: datetime
) -> tuple[list[PresenceRow], set[str], frozenset[str]]:
    """Returns the presences that came or went, what held goods that were handed over otherwise than it stood, and the names whose
    goods were followed."""
    concerned = recorded.connected(conn, goods)
    products = _products(conn)
    genealogy = replay(concerned.events, _net_content(conn))
    whereabouts.project(conn, genealogy, concerned.lots, lambda lot: _rule_product(lot, products))
    known = grants.registered(conn, genealogy)
    portions.project(conn, genealogy, known, concerned.lots)
    handed = grants.project(conn, genealogy, known, concerned.lots)
    marks.project(conn, genealogy, known, concerned.lots)
    makings.project(conn, genealogy, concerned.lots)
    tracks.project(conn, genealogy, concerned, grants.ids_of(conn, concerned.events))
    balances.project(conn, genealogy, concerned.lots, now)
    return _project_presences(conn, genealogy, concerned.lots, products), handed, concerned.followed


def _project_presences(
    conn: psycopg.Connection, genealogy: Genealogy, lots: Collection[str], products: list[tuple[str, str]]
) -> list[PresenceRow]:
    fresh = {
        PresenceRow(
            row.holder,
            row.lot,
            _rule_product(row.lot, products),
            row.stage,
            moment(row.start_ms),
            maybe(row.end_ms),
        )
        for row in genealogy.presence()
        if row.lot in lots and row.stage is not None
    }
    standing = {
        PresenceRow(row[0], row[1], row[2], row[3], row[4].lower, row[4].upper)
        for row in conn.execute(
            "SELECT holder, lot, rule_product, stage, valid FROM presence WHERE lot = ANY (%s)", [list(lots)]
        )
    }
    if fresh == standing:
        return []
    conn.execute("DELETE FROM presence WHERE lot = ANY (%s)", [list(lots)])
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO presence (holder, lot, rule_product, stage, valid) VALUES (%s, %s, %s, %s, %s)",
            [
                [row.holder, row.lot, row.rule_product, row.stage, TimestamptzRange(row.start, row.end)]
                for row in fresh
            ],
        )
    return list(fresh ^ standing)


def _products(conn: psycopg.Connection) -> list[tuple[str, str]]:
    """(class URI, rule product), longest class first so that the narrowest decides."""
    rows = conn.execute("SELECT unnest(classes), rule_product FROM product").fetchall()
    return sorted(((str(uri), str(rule)) for uri, rule in rows), key=lambda pair: -len(pair[0]))


def _net_content(conn: psycopg.Connection) -> dict[str, float]:
    """Kilograms by class URI, as the pages' own walk has them: both must find the same goods in the same places."""
    rows = conn.execute(
        "SELECT unnest(classes), net_content_kg FROM product WHERE net_content_kg IS NOT NULL"
    )
    return {str(uri): float(kilograms) for uri, kilograms in rows}


def _rule_product(lot: str, products: list[tuple[str, str]]) -> str | None:
    return next(
        (rule for uri, rule in products if lot == uri or lot.startswith((uri + "/", uri + "."))), None
    )
