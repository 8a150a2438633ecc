"""The permanent record can be added to and never changed, tried with each service's own credentials.

Which tables those are stands in docs/invariants.md, which names every other table too: a table that nobody sorted fails
here. Beside the rights on the tables, every way around them is looked for: columns, views, functions that run as their
owner, keys that cascade, roles that are granted to roles, ownership.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from tests.documents import DOCS
from tests.servers.databases import ROLES, Database

PRIVILEGES = ("UPDATE", "DELETE", "TRUNCATE")
SERVICES = [f"suyuan_{role}" for role in ROLES]
FORGETTING = {("drop_old_readings", "reading_store"), ("drop_old_readings", "observation")}
"""Functions that a service may call and that take from the record: what is dropped by age, as docs/decisions/0027 has it."""
# Migrations' own, which no service has any right to.
OF_MIGRATIONS = re.compile(r"_?yoyo_\w+|schema_applied")


@cache
def documented() -> dict[str, frozenset[str]]:
    """Tables by what may become of their rows: `append_only`, `kept` (changed and never taken away), `changeable`."""
    text = (DOCS / "invariants.md").read_text(encoding="utf-8")
    query = text.partition("```sql invariant:the_record_is_append_only\n")[2].partition("```")[0]
    append_only, kept = (
        frozenset(re.findall(r"'(\w+)'", array))
        for array in re.findall(r"ARRAY\[([^\]]*)\]\) AS name", query)
    )
    changeable = text.partition("```tables:changeable\n")[2].partition("```")[0]
    return {"append_only": append_only, "kept": kept, "changeable": frozenset(changeable.split())}


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner, autocommit=True) as conn:
        yield conn


def relations(owner: psycopg.Connection, kinds: str) -> set[str]:
    query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = ANY (%s)"
    return {name for (name,) in owner.execute(query, [list(kinds)])}


def test_the_document_sorts_every_table(owner: psycopg.Connection) -> None:
    sorted_ones = [name for names in documented().values() for name in names]
    assert len(sorted_ones) == len(set(sorted_ones)), "a table stands in two lists"
    tables = {name for name in relations(owner, "rp") if not OF_MIGRATIONS.fullmatch(name)}
    assert tables - set(sorted_ones) == set(), (
        "docs/invariants.md says of these neither that they are append-only nor not"
    )
    assert set(sorted_ones) - relations(owner, "rpvm") == set(), (
        "docs/invariants.md names tables that are not there"
    )


def test_the_ledger_itself_is_append_only() -> None:
    ledger = {
        "leaf",
        "checkpoint",
        "cosignature",
        "anchor",
        "event",
        "event_bytes",
        "sealed_window",
        "sealed_verdict",
    }
    assert ledger <= documented()["append_only"]


@pytest.mark.parametrize("role", ROLES)
def test_no_service_changes_or_takes_away_a_row(
    database: Database, owner: psycopg.Connection, role: str
) -> None:
    """Each statement finds no row: what is asked is the right, which is looked at before any row is."""
    there = relations(owner, "rp")
    append_only, kept = documented()["append_only"] & there, documented()["kept"] & there
    columns = owner.execute(
        "SELECT relname, attname, attidentity <> '' FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relnamespace = 'public'::regnamespace AND relname = ANY (%s) AND attnum > 0 AND NOT attisdropped",
        [sorted(append_only)],
    ).fetchall()
    statements = [
        sql.SQL("UPDATE {} SET {} = {} WHERE false").format(
            sql.Identifier(table),
            sql.Identifier(column),
            sql.DEFAULT if generated else sql.Identifier(column),
        )
        for table, column, generated in columns
    ]
    for table in sorted(append_only | kept):
        statements.append(sql.SQL("TRUNCATE {}").format(sql.Identifier(table)))
        if (role, table) != ("sequencer", "pending"):
            statements.append(sql.SQL("DELETE FROM {} WHERE false").format(sql.Identifier(table)))
    assert len(statements) > 100
    with psycopg.connect(database.service(role), autocommit=True) as conn:
        assert [text for text in statements if not refused(conn, text)] == []


def refused(conn: psycopg.Connection, statement: sql.Composable) -> bool:
    try:
        conn.execute(statement)
    except InsufficientPrivilege:
        return True
    except psycopg.Error:  # it got past the rights, and was stopped by something else
        return False
    return False


AROUND = [
    "SET ROLE suyuan_eraser",
    "SET ROLE suyuan_sequencer",
    "SET SESSION AUTHORIZATION suyuan_sequencer",
    "SET session_replication_role = replica",
    "ALTER TABLE leaf DISABLE TRIGGER ALL",
    "ALTER TABLE leaf OWNER TO CURRENT_USER",
    "ALTER TABLE leaf ADD COLUMN more text",
    "ALTER TABLE event_bytes DISABLE ROW LEVEL SECURITY",
    "CREATE RULE nothing AS ON INSERT TO leaf DO INSTEAD NOTHING",
    "CREATE TRIGGER other BEFORE INSERT ON leaf FOR EACH ROW EXECUTE FUNCTION refuse_thawing()",
    "CREATE FUNCTION public.ours() RETURNS void LANGUAGE sql AS ''",
    "CREATE TABLE public.ours ()",
    "DROP TABLE checkpoint",
    "DROP TRIGGER frozen_stays_frozen ON log",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "COPY leaf FROM PROGRAM 'true'",
]


@pytest.mark.parametrize("role", ROLES)
def test_no_service_gives_itself_the_right(database: Database, role: str) -> None:
    with psycopg.connect(database.service(role), autocommit=True) as conn:
        own = (
            {"SET ROLE suyuan_sequencer", "SET SESSION AUTHORIZATION suyuan_sequencer"}
            if role == "sequencer"
            else set()
        )
        ways = [text for text in AROUND if text not in own]
        assert [text for text in ways if not refused(conn, sql.SQL(text))] == []
        for table in sorted(documented()["append_only"] - {"account"}):
            # Without the option to grant this is refused or does nothing, as the rights held are some or none.
            refused(conn, sql.SQL("GRANT ALL ON {} TO CURRENT_USER").format(sql.Identifier(table)))
    test_rights(database)


def test_rights(database: Database) -> None:
    """Also of columns, of partitions and chunks, and of views that pass a change on."""
    with psycopg.connect(database.owner) as conn:
        held = conn.execute(
            "SELECT role, relation.oid::regclass::text, privilege FROM unnest(%s::text[]) AS role,"
            " unnest(%s::text[]) AS privilege, pg_class AS relation"
            " WHERE (relation.relname = ANY (%s) AND relation.relnamespace = 'public'::regnamespace"
            "        OR relation.oid IN (SELECT inhrelid FROM pg_inherits"
            "                            WHERE inhparent = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)))"
            " AND (has_table_privilege(role, relation.oid, privilege)"
            "      OR privilege = 'UPDATE' AND has_any_column_privilege(role, relation.oid, privilege))",
            [SERVICES, list(PRIVILEGES), *[sorted(documented()["append_only"])] * 2],
        ).fetchall()
        assert held == []
        views = conn.execute(
            "SELECT role, relation.oid::regclass::text FROM unnest(%s::text[]) AS role, pg_class AS relation"
            " WHERE relation.relkind IN ('v', 'm') AND relation.relnamespace = 'public'::regnamespace"
            " AND (has_table_privilege(role, relation.oid, 'UPDATE, DELETE, TRUNCATE')"
            "      OR has_any_column_privilege(role, relation.oid, 'UPDATE'))",
            [SERVICES],
        ).fetchall()
        assert views == []


def test_no_service_is_or_may_become_another_role(owner: psycopg.Connection) -> None:
    members = owner.execute(
        "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members WHERE member = ANY (%s::regrole[])",
        [SERVICES],
    ).fetchall()
    assert members == []
    strong = owner.execute(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)"
        " AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolinherit)",
        [SERVICES],
    ).fetchall()
    assert strong == []


def test_no_service_owns_anything(owner: psycopg.Connection) -> None:
    owned = owner.execute(
        "SELECT classid::regclass::text, objid, refobjid::regrole::text FROM pg_shdepend"
        " WHERE deptype = 'o' AND refclassid = 'pg_authid'::regclass AND refobjid = ANY (%s::regrole[])",
        [SERVICES],
    ).fetchall()
    assert owned == []


def test_nothing_that_a_service_deletes_takes_the_record_along(owner: psycopg.Connection) -> None:
    """A key that cascades works with the rights of the table's owner."""
    cascading = owner.execute(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'"
        " AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd')) AND connamespace = 'public'::regnamespace"
    ).fetchall()
    assert [row for row in cascading if row[0] in documented()["append_only"] | documented()["kept"]] == []


def definers(owner: psycopg.Connection) -> dict[str, str]:
    """Functions that run with their owner's rights and that a service may call, or that a trigger calls for it."""
    rows = owner.execute(
        "SELECT DISTINCT proname, prosrc FROM pg_proc, unnest(%s::text[]) AS role"
        " WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        " AND (has_function_privilege(role, pg_proc.oid, 'EXECUTE')"
        "      OR EXISTS (SELECT FROM pg_trigger WHERE tgfoid = pg_proc.oid))",
        [SERVICES],
    )
    return {name: without_comments(source) for name, source in rows}


def without_comments(source: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL)


def taken(source: str) -> set[str]:
    """Tables that a function's text updates, deletes from, merges into or empties."""
    return set(
        re.findall(
            r"\b(?:update|delete\s+from|truncate(?:\s+table)?|merge\s+into)\s+(?:only\s+)?\"?(\w+)",
            source,
            re.IGNORECASE,
        )
    )


def test_no_function_does_it_for_a_service(owner: psycopg.Connection) -> None:
    found = definers(owner)
    assert len(found) > 20
    changing = {(name, table) for name, source in found.items() for table in taken(source)}
    of_the_record = {
        pair for pair in changing if pair[1] in documented()["append_only"] | documented()["kept"]
    }
    assert of_the_record <= FORGETTING
    told_elsewhere = {
        name
        for name, source in found.items()
        if re.search(r"\bexecute\b(?!\s+function)", source, re.IGNORECASE)
    }
    assert told_elsewhere <= {name for name, _ in FORGETTING}, "what these do is put together as they run"


def test_a_function_that_would_is_found(owner: psycopg.Connection) -> None:
    """The test above sees what it should: one that helps a service to change a leaf, and one that hides what it does."""
    owner.execute(
        "CREATE FUNCTION helps() RETURNS void LANGUAGE sql SECURITY DEFINER AS"
        " 'UPDATE leaf SET entry = entry WHERE false; DELETE FROM ONLY checkpoint WHERE false'"
    )
    owner.execute(
        "CREATE FUNCTION hides() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS"
        " 'BEGIN EXECUTE ''UPD'' || ''ATE leaf SET entry = entry''; END'"
    )
    found = definers(owner)
    assert taken(found["helps"]) == {"leaf", "checkpoint"}
    assert re.search(r"\bexecute\b", found["hides"], re.IGNORECASE)


def test_a_right_that_was_given_is_found(database: Database, owner: psycopg.Connection) -> None:
    for table, privilege in product(("leaf", "cosignature"), PRIVILEGES):
        owner.execute(
            sql.SQL("GRANT {} ON {} TO suyuan_jobs").format(sql.SQL(privilege), sql.Identifier(table))
        )
        with pytest.raises(AssertionError):
            test_rights(database)
        with pytest.raises(AssertionError):
            test_no_service_changes_or_takes_away_a_row(database, owner, "jobs")
        owner.execute(
            sql.SQL("REVOKE {} ON {} FROM suyuan_jobs").format(sql.SQL(privilege), sql.Identifier(table))
        )
    owner.execute("GRANT UPDATE (line) ON cosignature TO suyuan_jobs")
    with pytest.raises(AssertionError):
        test_rights(database)
    owner.execute("CREATE TABLE forgotten (id integer)")
    with pytest.raises(AssertionError, match="neither that they are append-only nor not"):
        test_the_document_sorts_every_table(owner)
