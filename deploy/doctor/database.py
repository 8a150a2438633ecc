"""The database: does it answer, is it ours, are the roles those of the schema, does each connection have its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from deploy.doctor.examination import Away, Patient, connect
from deploy.doctor.findings import Finding, fail, grave, listed, ok, unknown
from deploy.doctor.invariants import RIGHTS, invariants
from deploy.migrate import SERVICE_ROLES, SchemaMismatch, check_schema, edition

OLDEST_SERVER = 160_000
ROLES = [f"suyuan_{role}" for role in SERVICE_ROLES]
STORE = ("reading_store", "observation")
REVOKE = "somebody granted it by hand: REVOKE it (docs/invariants.md, Rights)"
MAY_READ_THE_STORE = ("suyuan_ingest", "suyuan_jobs")


def reachable(patient: Patient) -> Iterator[Finding]:
    try:
        with patient.database() as conn:
            yield from _server(conn)
    except Away as error:
        yield fail(
            "database",
            f"does not answer: {error}",
            "start it, or mend SUYUAN_DATABASE_URL (or --database-url)",
        )


def _server(conn: psycopg.Connection) -> Iterator[Finding]:
    number, version, user, replica = _row(
        conn,
        "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), current_user, pg_is_in_recovery()",
    )
    found = edition(conn)
    extension = conn.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    named = f"PostgreSQL {version}, edition {found}" + (f" (TimescaleDB {extension[0]})" if extension else "")
    if number < OLDEST_SERVER:
        yield fail("database", f"answers {user}: {named}", "PostgreSQL 16 or newer is needed")
    elif replica:
        yield fail("database", f"{named} is a replica and takes nothing in", "name the primary server")
    else:
        yield ok("database", f"answers {user}: {named}")
    if extension and not _is_hypertable(conn):
        yield fail(
            "database",
            "has TimescaleDB, but reading_store is no hypertable",
            "the extension came after the migration, or a restore lost it: docs/backup.md",
        )


def _is_hypertable(conn: psycopg.Connection) -> bool:
    found = conn.execute(
        "SELECT to_regclass('reading_store') IS NULL"
        " OR EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_name = 'reading_store')"
    ).fetchone()
    return bool(found and found[0])


def schema(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        try:
            check_schema(conn)
        except SchemaMismatch as error:
            yield fail("schema", str(error), "migrate, or start the release that fits")
        else:
            yield ok("schema", "is this release's")


_ROLES = """
SELECT rolname, rolcanlogin,
       coalesce((SELECT jsonb_object_agg(split_part(item, '=', 1), split_part(item, '=', 2))
                 FROM pg_db_role_setting AS given, unnest(setconfig) AS item
                 WHERE given.setrole = pg_roles.oid
                   AND given.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))), '{}')
FROM pg_roles WHERE rolname = ANY (%s)
"""


def roles(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        there = {name: (login, given) for name, login, given in conn.execute(_ROLES, [ROLES])}
        missing = [role for role in ROLES if role not in there]
        if missing:
            yield fail("roles", f"{listed(missing)}: not there", "run `suyuan migrate` as the owner")
        closed = [role for role, (login, _) in there.items() if not login]
        if closed:
            yield fail("roles", f"{listed(closed)} may not log in", "ALTER ROLE ... LOGIN")
        endless = [
            role
            for role, (_, given) in there.items()
            for setting in ("statement_timeout", "idle_in_transaction_session_timeout")
            if given.get(setting, "0") in ("0", "")
        ]
        if endless:
            yield fail(
                "roles",
                f"{listed(sorted(set(endless)))} may hold the database for ever",
                "ALTER ROLE ... SET statement_timeout and idle_in_transaction_session_timeout, as deploy/schema/0001_roles.sql does",
            )
        if not (missing or closed or endless):
            yield ok("roles", "the five services' roles are there and their statements have a time limit")
        yield from _rights(conn)


def _rights(conn: psycopg.Connection) -> Iterator[Finding]:
    """The section Rights of docs/invariants.md: what the catalogue says they may."""
    asked = invariants(RIGHTS)
    broken = 0
    for invariant in asked:
        rows = conn.execute(invariant.sql.encode()).fetchall()
        if rows:
            broken += 1
            shown = listed(" ".join(map(str, row)) for row in rows)
            yield fail(
                "rights",
                f"{invariant.name} does not hold: {shown}",
                "somebody granted or changed it by hand: take it back (docs/invariants.md, Rights)",
            )
    if not broken:
        yield ok(
            "rights",
            f"by the catalogue the roles own nothing and cannot pass their policies ({len(asked)} invariants)",
        )


def tried(patient: Patient) -> Iterator[Finding]:
    """What the catalogue says, done: in the place of each role, the store and a forgotten WHERE."""
    with patient.database() as conn:
        user = _row(conn, "SELECT current_user")[0]
        relations = [*STORE, *_chunk(conn)]
        leaks: list[str] = []
        done: list[str] = []
        for role in ROLES:
            try:
                leaks += _leaks_as(conn, role, user, relations)
                done.append(role)
            except psycopg.errors.InsufficientPrivilege:
                continue  # this user may not stand in that role's place
        if leaks:
            yield fail("rights", f"tried and got through: {listed(leaks)}", REVOKE)
        elif done:
            yield ok(
                "rights",
                f"tried as {listed(done)}: the store is closed, and nothing shows without an organisation",
            )
        if len(done) < len(ROLES):
            yield unknown(
                "rights",
                f"as {user} only {len(done)} of {len(ROLES)} roles could be tried",
                "a superuser's --database-url can try them all",
            )


def _chunk(conn: psycopg.Connection) -> list[str]:
    """Chunks are tables too."""
    if edition(conn) == "plain":
        return []
    rows = conn.execute(
        "SELECT chunk_schema || '.' || chunk_name FROM timescaledb_information.chunks WHERE hypertable_name = 'reading_store' LIMIT 1"
    )
    return [name for (name,) in rows]


def _leaks_as(conn: psycopg.Connection, role: str, user: str, relations: Sequence[str]) -> list[str]:
    """What `role` reaches and should not. Raises InsufficientPrivilege where we cannot stand in its place."""
    leaks = []
    with conn.transaction(force_rollback=True):
        if role != user:
            conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        if role not in MAY_READ_THE_STORE:
            leaks += [f"{role} reads {name}" for name in relations if _can_read(conn, name)]
        if role == "suyuan_api":
            conn.execute("SET LOCAL suyuan.org = ''")
            leaks += [
                f"{role} sees {name} without an organisation"
                for name in ("event", "device")
                if _shows(conn, name)
            ]
    return leaks


def _can_read(conn: psycopg.Connection, relation: str) -> bool:
    try:
        with conn.transaction():
            conn.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(*relation.split("."))))
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _shows(conn: psycopg.Connection, relation: str) -> bool:
    return (
        conn.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(relation))).fetchone()
        is not None
    )


def urls(patient: Patient) -> Iterator[Finding]:
    """Each configured connection is the role's that it should be."""
    yield from _own_url(patient)
    yield from _public_url(patient)


def _own_url(patient: Patient) -> Iterator[Finding]:
    about, url = "connections", patient.settings.database_url
    try:
        with connect(url) as conn:
            user, superuser = _row(
                conn, "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
            )
            leaks = _leaks_as(conn, user, user, STORE) if user in ROLES else []
    except Away as error:
        if patient.chosen:
            yield unknown(
                about,
                f"SUYUAN_DATABASE_URL does not connect: {error}",
                "set it to a service's URL that connects to have it looked at",
            )
        return  # otherwise it is what `reachable` has said
    if user in ROLES:
        yield _connects(about, "SUYUAN_DATABASE_URL", user, leaks)
        if user == "suyuan_api" and not patient.settings.public_database_url:
            yield grave(
                patient.production,
                about,
                "SUYUAN_PUBLIC_DATABASE_URL is empty: shoppers' pages would read with the API's rights",
                "set it to suyuan_public's URL",
            )
        return
    what = "a superuser" if superuser else "not a service's role"
    yield grave(
        patient.production,
        about,
        f"SUYUAN_DATABASE_URL connects as {user}, {what}",
        "keep the owner's URL out of the services' environment; for the doctor give it with --database-url",
    )


def _public_url(patient: Patient) -> Iterator[Finding]:
    url = patient.settings.public_database_url
    if not url:
        return
    try:
        with connect(url) as conn:
            user = _row(conn, "SELECT current_user")[0]
            leaks = _leaks_as(conn, "suyuan_public", user, STORE) if user == "suyuan_public" else []
    except Away as error:
        yield fail(
            "connections",
            f"SUYUAN_PUBLIC_DATABASE_URL does not connect: {error}",
            "mend it: no page is served without it",
        )
        return
    if user != "suyuan_public":
        yield fail(
            "connections",
            f"SUYUAN_PUBLIC_DATABASE_URL connects as {user}",
            "it must be suyuan_public, which sees published fields alone",
        )
    else:
        yield _connects("connections", "SUYUAN_PUBLIC_DATABASE_URL", user, leaks)


def _connects(about: str, name: str, user: str, leaks: list[str]) -> Finding:
    """As whom, and that this connection reaches no more than it should: tried on it."""
    if leaks:
        return fail(about, f"{name}, tried: {listed(leaks)}", REVOKE)
    return ok(about, f"{name} connects as {user}")


def _row(conn: psycopg.Connection, query: str) -> tuple[Any, ...]:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return tuple(row)
