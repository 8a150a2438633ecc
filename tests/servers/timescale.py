"""PostgreSQL with TimescaleDB (Apache edition), out of the Debian 13 root.

Place in the line: the second edition of the `database` fixture in `tests/conftest.py`.
Contract: a fresh cluster for each session, in memory and in the server's own namespace, so that nothing of it
is left however the session ends. Where we are not root on Debian there is none, unless `SUYUAN_TEST_DATABASE_URL`
names one (`named.py`).
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.stack.ports import free_port
from tests.servers import ServerUnavailable, named
from tests.servers.debian_root import debian_root
from tests.servers.namespace import Contained
from tests.servers.postgres import (
    INITDB,
    SETTINGS,
    PostgresServer,
    options,
    owner_conninfo,
    wait_until_ready,
)

# Sockets, data and the server's lock all lie in these two, both of which vanish with the namespace.
_IN_MEMORY = ("/var/lib/postgresql", "/run/postgresql")
_PROGRAMS = "/usr/lib/postgresql/17/bin"
_START = """
set -e
umask 077
data=/var/lib/postgresql/data bin=$1 password=$2 initdb=$3; shift 3
echo "$password" > /var/lib/postgresql/password
"$bin/initdb" --pgdata="$data" --pwfile=/var/lib/postgresql/password $initdb
exec "$bin/postgres" -D "$data" "$@"
"""


def client_programs(folder: Path) -> Path:
    """A folder in `folder` with pg_dump and pg_restore of this server's version, to be put on a PATH. Where the server is not
    ours it is empty, and the PATH must have them."""
    made = folder / "client-programs"
    made.mkdir()
    if (server := named.named_server()) is not None and server.edition == "timescale":
        return made
    root = debian_root()
    libraries = next((root / "usr/lib").glob("*-linux-gnu"))
    loader = next(libraries.glob("ld-linux-*.so.*"))
    for name in ("pg_dump", "pg_restore"):
        program = root / _PROGRAMS.lstrip("/") / name
        # Not in the root itself, where the files that it is told to read and write are not.
        (made / name).write_text(f'#!/bin/sh\nexec {loader} --library-path {libraries} {program} "$@"\n')
        (made / name).chmod(0o755)
    return made


# Schedulers would sit in every database that has the extension, the template too, and one connection is
# enough to stop it from being cloned. The Apache edition has no jobs for them to run.
_TIMESCALE_SETTINGS = {
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "0",
    "unix_socket_directories": "/run/postgresql",
}


@contextmanager
def timescale_server(logs: Path, **further: str) -> Iterator[PostgresServer]:
    """A running server with TimescaleDB, with `further` settings. Its log is `timescale.log` in the folder `logs`."""
    try:
        root = debian_root()
    except ServerUnavailable as missing:
        raise ServerUnavailable(
            f"TimescaleDB: {missing} and SUYUAN_TEST_DATABASE_URL names no server"
        ) from missing
    port, password, log = free_port(), secrets.token_hex(16), logs / "timescale.log"
    settings = {**SETTINGS, **_TIMESCALE_SETTINGS, **further, "port": str(port)}
    command = ["/bin/sh", "-c", _START, "sh", _PROGRAMS, password, " ".join(INITDB), *options(settings)]
    server = Contained(root, "postgres", command, log, in_memory=_IN_MEMORY)
    try:
        yield wait_until_ready("timescale", owner_conninfo(port, password), server.running, log)
    finally:
        if server.running():
            server.stop(
                signal.SIGINT, patience_s=20
            )  # "fast": clients are cut off, the server closes down in order
