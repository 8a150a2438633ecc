"""Which columns hold words that people typed, besides the record and quarantine: data for `deploy.erasing`.

Contract: a table's columns here are those that the role `suyuan_eraser` may update (deploy/schema/0026_persons.sql), and each
row is named by a key that a restored database knows it by.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from ledger.erasures import Place, paths_to, put

MARK: Final = "（已删除 / erased）"
"""What people read in the place of what was erased. Events have a random name there."""


@dataclass(frozen=True, slots=True)
class Words:
    """`whose`: the condition by which a row is of `%(organisation)s`."""

    key: tuple[str, ...]
    columns: tuple[str, ...]
    whose: str = "organisation = %(organisation)s"


_THEIR_SCOPES = (
    "(scope = 'organisation:' || %(organisation)s"
    " OR scope IN (SELECT 'account:' || id FROM user_account WHERE organisation = %(organisation)s))"
)
COLUMNS: Final[Mapping[str, Words]] = {
    "act": Words(("id",), ("facts",)),
    "certificate": Words(
        ("id",), ("contact", "origin", "void_reason", "product_zh", "product_en", "evidence")
    ),
    "test_record": Words(("id",), ("method", "sample", "covers", "not_covered")),
    "input_use": Words(("id",), ("name", "dose")),
    "hold_decision": Words(("id",), ("reason",)),
    "capture_job": Words(("id",), ("errors",)),
    "idempotency": Words(("scope", "key"), ("body", "location"), _THEIR_SCOPES),
    "place": Words(("id",), ("name_zh", "name_en")),
    "product": Words(("id",), ("name_zh", "name_en")),
    "organisation": Words(("id",), ("name_zh", "name_en"), "id = %(organisation)s"),
    "user_account": Words(("id",), ("name",)),
    "recall": Words(("id",), ("reason_zh", "reason_en", "legal_basis")),
    "recall_closing": Words(
        ("recall",), ("note",), "recall IN (SELECT id FROM recall WHERE organisation = %(organisation)s)"
    ),
    "set_aside": Words(("position", "part"), ("reason",), "true"),
}

EVERYWHERE: Final = """
SELECT quote_ident(relation.relname), quote_ident(held.attname),
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation.oid AND attname = 'organisation' AND NOT attisdropped)
FROM pg_class AS relation JOIN pg_attribute AS held ON held.attrelid = relation.oid
WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'p') AND held.attnum > 0 AND NOT held.attisdropped
  AND held.atttypid IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype, 'json'::regtype)
  AND has_column_privilege(relation.oid, held.attnum, 'SELECT')
ORDER BY 1, 2
"""
UNREAD: Final = """
SELECT DISTINCT quote_ident(relation.relname)
FROM pg_class AS relation JOIN pg_attribute AS held ON held.attrelid = relation.oid
WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'p') AND held.attnum > 0 AND NOT held.attisdropped
  AND held.atttypid IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype, 'json'::regtype)
  AND NOT has_column_privilege(relation.oid, held.attnum, 'SELECT')
ORDER BY 1
"""


def found_in(
    conn: psycopg.Connection, table: str, organisation: str, texts: Sequence[str]
) -> Iterator[Place]:
    words = COLUMNS[table]
    for column in words.columns:
        query = sql.SQL("SELECT {key}, {column} FROM {table} WHERE {whose} AND EXISTS (SELECT FROM unnest(%(texts)s::text[]) AS needle"
                        " WHERE position(needle IN {column}::text) > 0) ORDER BY {key}").format(
            key=sql.SQL(", ").join(map(sql.Identifier, words.key)), column=sql.Identifier(column),
            table=sql.Identifier(table), whose=sql.SQL(words.whose),
        )  # fmt: skip
        for *key, value in conn.execute(
            query, {"organisation": organisation, "texts": list(texts)}
        ).fetchall():
            paths = tuple(paths_to(value, texts))
            if paths:
                yield Place(table, dict(zip(words.key, map(_plain, key), strict=True)), column, paths)


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | str) else str(value)


def apply_to(conn: psycopg.Connection, place: Place) -> None:
    """Puts the mark where the value stood. A row that is not there, or says something else by now, is left alone."""
    words = COLUMNS[place.table]
    where = sql.SQL(" AND ").join(
        sql.SQL("{name}::text = {value}").format(
            name=sql.Identifier(name), value=sql.Literal(str(place.key[name]))
        )
        for name in words.key
    )
    column, table = sql.Identifier(place.column), sql.Identifier(place.table)
    row = conn.execute(
        sql.SQL("SELECT {0} FROM {1} WHERE {2} FOR UPDATE").format(column, table, where)
    ).fetchone()
    if row is None:
        return
    value, stood = put(row[0], place.paths, MARK)
    if stood:
        given = (
            json.dumps(value)
            if isinstance(value, dict) or (isinstance(value, list) and _is_json(conn, place))
            else value
        )
        conn.execute(sql.SQL("UPDATE {0} SET {1} = %s WHERE {2}").format(table, column, where), [given])


def _is_json(conn: psycopg.Connection, place: Place) -> bool:
    row = conn.execute(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s",
        [place.table, place.column],
    ).fetchone()
    return row is not None and row[0] in ("json", "jsonb")
