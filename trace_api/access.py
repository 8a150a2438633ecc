"""Who asks, and what the database shows them. The only place that sets `suyuan.org` and `suyuan.session`.

Contract: an answer for everybody is read as `suyuan_public`, which sees the published views and no table; an answer for
somebody as `suyuan_api` with both settings set for that one transaction. A forgotten WHERE leaks nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from trace_api.problems import Problem
from trace_api.roles import GOODS
from trace_api.story import Name


@dataclass(frozen=True, slots=True)
class Databases:
    """Pools: `api` connects as suyuan_api, `public` as suyuan_public."""

    api: ConnectionPool
    public: ConnectionPool


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in, or the organisation of a token. `account`: None for a token, which speaks for its organisation.
    `organisation`: None for who oversees or administers. `regions`: GB/T 2260 prefixes. `session`: SHA-256 of the session's
    token, by which the database knows the account."""

    account: UUID | None
    login: str
    name: str
    organisation: str | None
    roles: frozenset[str]
    department: str | None = None
    regions: tuple[str, ...] = ()
    organisation_name: Name | None = None
    session: bytes | None = field(default=None, repr=False)


@contextmanager
def everybody(databases: Databases) -> Iterator[psycopg.Connection]:
    """One read-only snapshot: figures on one page must not disagree."""
    with databases.public.connection() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield conn


@contextmanager
def acting(databases: Databases, person: Person) -> Iterator[psycopg.Connection]:
    """The transaction in which somebody does something: all of it, or nothing."""
    with databases.api.connection() as conn, conn.transaction():
        _speak_for(conn, person)
        yield conn


@contextmanager
def looking(databases: Databases, person: Person) -> Iterator[psycopg.Connection]:
    """One read-only snapshot of what that person may see."""
    with databases.api.connection() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        _speak_for(conn, person)
        yield conn


@contextmanager
def nobody(databases: Databases) -> Iterator[psycopg.Connection]:
    """Before anybody is known: only the functions for signing in answer here."""
    with databases.api.connection() as conn, conn.transaction():
        yield conn


@contextmanager
def organisation(databases: Databases, authorization: str | None) -> Iterator[tuple[psycopg.Connection, str]]:
    """The transaction of the organisation whose token came in `Authorization: Bearer ...`. Raises Problem 401."""
    with databases.api.connection() as conn, conn.transaction():
        person = token_person(conn, authorization)
        assert person.organisation is not None
        _speak_for(conn, person)
        yield conn, person.organisation


@contextmanager
def for_organisation(databases: Databases, organisation: str) -> Iterator[psycopg.Connection]:
    """The transaction in which what an organisation has asked for is done after it was answered."""
    with databases.api.connection() as conn, conn.transaction():
        _speak_for(conn, Person(None, "", "", organisation, frozenset()))
        yield conn


def _speak_for(conn: psycopg.Connection, person: Person) -> None:
    conn.execute(
        "SELECT set_config('suyuan.org', %s, true), set_config('suyuan.session', %s, true)",
        [person.organisation or "", (person.session or b"").hex()],
    )


def token_person(conn: psycopg.Connection, authorization: str | None) -> Person:
    """The organisation of a bearer token, in the role of its kind. Raises Problem 401."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Problem(
            401, "Sign-in needed", "Send `Authorization: Bearer <token>` of the organisation that captures."
        )
    row = conn.execute(
        "SELECT organisation.id, organisation.name_zh, organisation.name_en, organisation.kind FROM api_token"
        " JOIN organisation ON organisation.id = api_token.organisation WHERE sha256 = %s",
        [hashlib.sha256(token.encode()).digest()],
    ).fetchone()
    if row is None:
        raise Problem(
            401, "Unknown token", "The token belongs to no organisation here; ask the operator for a new one."
        )
    identity, zh, en, kind = row
    return Person(None, "", zh, identity, frozenset(GOODS) & {kind}, organisation_name=Name(zh, en))
