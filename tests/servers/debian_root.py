"""A Debian 13 root with PostgreSQL 17, TimescaleDB and Mosquitto in it, built once and kept in a cache.

Place in the line: `timescale.py` and `mosquitto.py` run their servers out of it, through `namespace.py`.
Contract: built under a temporary name and renamed when it is whole, so that a root which is there is a good
one, and a build cut short is thrown away by the next. Two sessions do not build at once. Sessions share the
root, and nothing writes in it but in a folder of its session under `/srv`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.servers import ServerError, ServerUnavailable, apt, namespace

SUITE = "trixie"
PACKAGES = ("mosquitto", "postgresql-17", "postgresql-17-timescaledb")

# Read by dpkg and by PostgreSQL's packaging while the root is being built. Syncing every file to disk,
# manuals and a first cluster that nobody starts cost a quarter of the time; a root lost in a power cut is
# built again.
_BEFORE_BUILD = {
    "etc/dpkg/dpkg.cfg.d/lean": (
        "force-unsafe-io\nforce-confold\n"
        "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n"
    ),
    "etc/postgresql-common/createcluster.conf": "create_main_cluster = false\n",
}
_NOT_NEEDED_AFTER = ("var/cache/apt", "var/lib/apt/lists")


def cache_folder() -> Path:
    """`SUYUAN_TEST_CACHE`, or `suyuan` in the user's cache folder."""
    named = os.environ.get("SUYUAN_TEST_CACHE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "suyuan"


@cache
def debian_root() -> Path:
    """The root's folder, building it if the cache has none. Raises ServerUnavailable where we cannot have
    one."""
    if not apt.on_debian_as_root():
        raise ServerUnavailable("we are not root on Debian")
    namespace.require()
    recipe = hashlib.sha256(repr((SUITE, PACKAGES, sorted(_BEFORE_BUILD.items()))).encode()).hexdigest()[:12]
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / f"{SUITE}-{recipe}"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _build(root)
    return root


def _build(root: Path) -> None:
    log = root.with_suffix(".log")
    log.unlink(missing_ok=True)
    # The keyring too: one older than the suite does not know the suite's signature.
    apt.install(["debootstrap", "debian-archive-keyring"], log)
    unfinished = root.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, text in _BEFORE_BUILD.items():
        path = unfinished / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    _debootstrap(unfinished, log)
    for name in _NOT_NEEDED_AFTER:
        shutil.rmtree(unfinished / name, ignore_errors=True)
    unfinished.rename(root)
    log.unlink()


def _debootstrap(target: Path, log: Path) -> None:
    mirror = apt.debian_mirror()
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command.append(
        "--no-check-gpg" if mirror.trusted else f"--keyring={mirror.keyring or apt.DEBIAN_KEYRING}"
    )
    with tempfile.TemporaryDirectory(prefix="suyuan-") as folder:
        wget = Path(folder) / "wget"
        wget.write_text(apt.FETCH_BY_APT)
        wget.chmod(0o755)
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
        with log.open("ab") as out:
            returncode = namespace.run([*command, SUITE, str(target), mirror.uri], out, environment)
    if returncode:
        raise ServerError(f"debootstrap ended with {returncode}; its output is in {log}")


def user_ids(root: Path, user: str) -> tuple[int, int]:
    """User and group number in the root's own passwd file, which is not the host's."""
    for line in (root / "etc/passwd").read_text().splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == user:
            return int(uid), int(gid)
    raise ServerError(f"the root at {root} has no user {user}")
