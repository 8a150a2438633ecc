"""Fresh databases on a test server, each cloned from a template that was migrated once.

Place in the line: the `database` fixture in `tests/conftest.py` hands one to each test that asks.
Contract: a test has its database to itself, at the schema of this release and empty of data. Connection
strings come per role; only `owner` is the superuser's. Roles belong to the whole server, so their passwords
are set once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from deploy.migrate import migrate
from tests.servers.postgres import PostgresServer

ROLES = ("ingest", "jobs", "sequencer", "api", "public")


@dataclass(frozen=True)
class Database:
    """One test's database. `edition` is `plain`, `timescale` (Apache) or `community`; `owner` is the superuser's
    connection string."""

    edition: str
    owner: str
    passwords: Mapping[str, str]

    def service(self, role: str) -> str:
        """The connection string of a service: `ingest`, `jobs`, `sequencer`, `api` or `public`."""
        return _url(self.owner, user=f"suyuan_{role}", password=self.passwords[role])


class Template:
    """A migrated database that nobody is connected to, and the services' passwords on its server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._name = f"suyuan_template_{secrets.token_hex(4)}"
        self._execute("CREATE DATABASE {}", sql.Identifier(self._name))
        migrate(_url(server.owner, dbname=self._name))
        # A database can be cloned only while nobody is in it. TimescaleDB's launcher would come back at any
        # time.
        self._execute("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false", sql.Identifier(self._name))
        self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}",
            sql.Literal(self._name),
        )
        self._passwords = {role: secrets.token_hex(16) for role in ROLES}
        for role, password in self._passwords.items():
            name = sql.Identifier(f"suyuan_{role}")
            self._execute("ALTER ROLE {} LOGIN PASSWORD {}", name, sql.Literal(password))

    @contextmanager
    def clone(self, of: Database | None = None) -> Iterator[Database]:
        """A database of its own; dropped at the end, whoever is still connected. `of`: a clone whose rows it begins with, and
        that nobody is connected to; None: an empty one."""
        name = f"suyuan_test_{secrets.token_hex(4)}"
        source = self._name if of is None else str(conninfo_to_dict(of.owner)["dbname"])
        # A checkpoint and a copy of files is the faster way where nothing is synced to disk.
        self._execute(
            "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy",
            sql.Identifier(name),
            sql.Identifier(source),
        )
        try:
            yield Database(self._server.edition, _url(self._server.owner, dbname=name), self._passwords)
        finally:
            self._execute("DROP DATABASE {} WITH (FORCE)", sql.Identifier(name))

    def drop(self) -> None:
        """Removes the template, for the sake of a server that outlives the session."""
        self._execute("DROP DATABASE {} WITH (FORCE)", sql.Identifier(self._name))

    def _execute(self, statement: LiteralString, *arguments: sql.Composable) -> None:
        with psycopg.connect(self._server.owner, autocommit=True) as conn:
            conn.execute(sql.SQL(statement).format(*arguments))


def _url(conninfo: str, **changes: str) -> str:
    """The connection string with some of its parts changed, always as a URL; a socket's folder is quoted as
    libpq has it (`%2Frun%2F…`)."""
    parts = {key: str(value) for key, value in (conninfo_to_dict(conninfo) | changes).items()}
    user, password, host, port, dbname = (
        quote(parts.pop(key, ""), safe="") for key in ("user", "password", "host", "port", "dbname")
    )
    secret = f":{password}" if password else ""
    return f"postgresql://{user}{secret}@{host}{f':{port}' if port else ''}/{dbname}" + (
        f"?{urlencode(parts)}" if parts else ""
    )
