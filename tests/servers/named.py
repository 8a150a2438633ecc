"""The database server that `SUYUAN_TEST_DATABASE_URL` names, and which edition it turns out to be.

Place in the line: `session.py` asks here before it starts a server of its own.
Contract: the named server takes the place of ours of its edition; the other editions run as everywhere. The connection
string is a superuser's. A full community server can do what the WASM build cannot, so naming one runs every test
there, not only those that say `community`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg

from tests.servers import ServerError
from tests.servers.postgres import PostgresServer, describe

VARIABLE = "SUYUAN_TEST_DATABASE_URL"


@cache
def named_server() -> PostgresServer | None:
    """The server, or None where none is named. Raises ServerError where it does not answer."""
    conninfo = os.environ.get(VARIABLE)
    if not conninfo:
        return None
    try:
        return describe(edition_of(conninfo), conninfo)
    except psycopg.Error as refusal:
        raise ServerError(f"the server that {VARIABLE} names does not answer: {refusal}") from refusal


def edition_of(conninfo: str) -> str:
    """By what a database on it would become: the extension is made where the server preloads it."""
    with psycopg.connect(conninfo) as conn:
        row = conn.execute(
            "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"
            " OR (current_setting('shared_preload_libraries') LIKE '%timescaledb%'"
            "     AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')),"
            " current_setting('timescaledb.license', true)"
        ).fetchone()
    assert row is not None
    if not row[0]:
        return "plain"
    return "community" if row[1] == "timescale" else "timescale"


@contextmanager
def running(_logs: Path) -> Iterator[PostgresServer]:
    """The named server as the servers of ours come: it runs before us and after us."""
    server = named_server()
    assert server is not None
    yield server
