"""What the two PostgreSQL servers of the tests have in common: how they are set, and how one speaks to their
owner.

Place in the line: `plain.py` and `timescale.py` start a server with `SETTINGS` and hand on a
`PostgresServer`; `databases.py` makes databases on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from tests.servers import ServerError
from tests.servers.waiting import wait_until

OWNER = "suyuan_owner"

# initdb: passwords for everyone, so that a service that connects as somebody else is found out; a collation
# that is the same on every machine and in both versions.
INITDB = (
    f"--username={OWNER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-sync",
    "--no-instructions",
    "--set=scram_iterations=1",
)

# A test server's data is thrown away with it, so nothing waits for the disk. What a client can see
# (isolation, commit order, what a lost connection means) is the same as in production. A password is asked for as
# ever; that guessing it is dear, which is half of what a connection takes, helps nobody here.
SETTINGS: Mapping[str, str] = {
    "scram_iterations": "1",
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    "shared_buffers": "128MB",
}


@dataclass(frozen=True)
class PostgresServer:
    """A running server. `owner` is the superuser's connection string to the database `postgres`."""

    edition: str
    owner: str
    version: str


def options(settings: Mapping[str, str]) -> list[str]:
    """The settings as the server's command line takes them."""
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def owner_conninfo(port: int, password: str) -> str:
    """A URL, since that is what `SUYUAN_DATABASE_URL` holds. The password must be URL-safe as it stands."""
    return f"postgresql://{OWNER}:{password}@127.0.0.1:{port}/postgres"


def wait_until_ready(
    edition: str, conninfo: str, running: Callable[[], bool], log: Path, within_s: float = 60
) -> PostgresServer:
    """Waits until the server takes the owner's connection. Raises ServerError, naming the log, if it does
    not."""
    refusals: list[str] = []

    def connects() -> bool:
        try:
            psycopg.connect(make_conninfo(conninfo, connect_timeout=2)).close()
        except psycopg.OperationalError as refusal:
            refusals.append(str(refusal).strip())
            return False
        return True

    if not wait_until(lambda: not running() or connects(), within_s, every_s=0.05):
        raise ServerError(
            f"PostgreSQL ({edition}) took no connection in {within_s} s ({refusals[-1]}); log: {log}"
        )
    if not running():
        raise ServerError(f"PostgreSQL ({edition}) ended while it was starting; log: {log}")
    return describe(edition, conninfo)


def describe(edition: str, conninfo: str) -> PostgresServer:
    """The server behind a connection string, with what it says of its version."""
    with psycopg.connect(conninfo) as conn:
        version = str(conn.info.parameter_status("server_version")).split()[0]
        found = conn.execute(
            "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
        ).fetchone()
    return PostgresServer(edition, conninfo, f"{version}, TimescaleDB {found[0]}" if found else version)
