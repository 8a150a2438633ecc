"""Who asks, and what the database shows them. The only place that sets `suyuan.org`.

Contract: an answer for everybody is read as `suyuan_public`, which sees the published views and no table; an answer for
an organisation as `suyuan_api` with `suyuan.org` set for that one transaction. A forgotten WHERE leaks nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg_pool import ConnectionPool

from trace_api.problems import Problem


@dataclass(frozen=True, slots=True)
class Databases:
    """Pools: `api` connects as suyuan_api, `public` as suyuan_public."""

    api: ConnectionPool
    public: ConnectionPool


@contextmanager
def everybody(databases: Databases) -> Iterator[psycopg.Connection]:
    """One read-only snapshot: figures on one page must not disagree."""
    with databases.public.connection() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield conn


@contextmanager
def organisation(databases: Databases, authorization: str | None) -> Iterator[tuple[psycopg.Connection, str]]:
    """The transaction of the organisation whose token came in `Authorization: Bearer ...`. Raises Problem 401."""
    with databases.api.connection() as conn, conn.transaction():
        name = _owner_of(conn, authorization)
        conn.execute("SELECT set_config('suyuan.org', %s, true)", [name])
        yield conn, name


def _owner_of(conn: psycopg.Connection, authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Problem(
            401, "Sign-in needed", "Send `Authorization: Bearer <token>` of the organisation that captures."
        )
    row = conn.execute(
        "SELECT organisation FROM api_token WHERE sha256 = %s", [hashlib.sha256(token.encode()).digest()]
    ).fetchone()
    if row is None:
        raise Problem(
            401, "Unknown token", "The token belongs to no organisation here; ask the operator for a new one."
        )
    return str(row[0])
