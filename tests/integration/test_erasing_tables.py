"""Every column that can hold a text is either looked through when somebody is erased, or named with why it is not."""

from __future__ import annotations

import psycopg
import pytest

from deploy.erase_command import KINDS
from deploy.erasing_tables import COLUMNS, WITHOUT_WORDS
from tests.servers.databases import Database

_TEXTS = """
SELECT relation.relname, held.attname, has_column_privilege('suyuan_eraser', relation.oid, held.attnum, 'UPDATE')
FROM pg_class AS relation JOIN pg_attribute AS held ON held.attrelid = relation.oid
JOIN pg_type AS type ON type.oid = held.atttypid LEFT JOIN pg_type AS element ON element.oid = type.typelem AND type.typcategory = 'A'
WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'p') AND NOT relation.relispartition
  AND held.attnum > 0 AND NOT held.attisdropped
  AND (coalesce(element.typcategory, type.typcategory) = 'S' OR coalesce(element.typname, type.typname) IN ('json', 'jsonb', 'xml'))
"""
THE_MIGRATIONS_OWN = "yoyo"


def texts(database: Database) -> dict[tuple[str, str], bool]:
    """Whether the eraser may update it, by table and column."""
    with psycopg.connect(database.owner) as conn:
        return {
            (table, column): reached
            for table, column, reached in conn.execute(_TEXTS)
            if THE_MIGRATIONS_OWN not in table
        }


def excused() -> list[tuple[str, str]]:
    return [
        (table, column)
        for tables in WITHOUT_WORDS.values()
        for table, columns in tables.items()
        for column in columns.split()
    ]


@pytest.mark.editions("plain", "timescale")
def test_every_text_is_looked_through_or_said_to_hold_no_person(database: Database) -> None:
    looked = {(table, column) for table, words in COLUMNS.items() for column in words.columns}
    named = excused()
    assert len(named) == len(set(named)) and not looked & set(named), "each stands in one place"
    there = texts(database)
    assert not (missed := sorted(set(there) - looked - set(named))), (
        f"neither looked through nor excused: {missed}"
    )
    assert not (looked | set(named)) - set(there), "no table has these"
    assert set(COLUMNS) <= set(KINDS), "the command has a word for what it found"
    assert all(there[each] for each in looked), "what is looked through can be erased"


def test_a_new_column_in_neither_list_is_found(database: Database) -> None:
    with psycopg.connect(database.owner) as conn:
        conn.execute("CREATE TABLE visitor (remarks text[], told jsonb, name varchar(20), came date)")
    new = set(texts(database)) - set(excused())
    assert {("visitor", "remarks"), ("visitor", "told"), ("visitor", "name")} <= new and (
        "visitor",
        "came",
    ) not in new
