"""A disk of a few megabytes for the database: memory, mounted for the server alone and gone with it.

Place in the line: `scenarios/databases.py` puts a tablespace there. Needs root, and the right to make namespaces.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.servers import ServerUnavailable, namespace
from tests.servers.plain import PlainServer

SMALL = "small"  # in the server's home
_ENTER = """
set -e
folder=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=0700 tmpfs "$folder"
chown nobody "$folder"
exec "$@"
"""


def prelude(home: Path) -> list[str]:
    """What to put before a server's command. Raises ServerUnavailable where we may not mount."""
    if os.geteuid():
        raise ServerUnavailable("we are not root, so there is no small disk to fill")
    namespace.require()
    folder = home / SMALL
    folder.mkdir(exist_ok=True)
    return ["unshare", "--mount", "/bin/sh", "-c", _ENTER, "sh", str(folder)]


def shrink(server: PlainServer, size: int) -> None:
    """`size`: bytes; what lies there already has to fit."""
    command = [
        "nsenter",
        "--target",
        str(server.pid),
        "--mount",
        "mount",
        "-o",
        f"remount,size={size}",
        "tmpfs",
    ]
    subprocess.run([*command, str(server.home / SMALL)], check=True)


def make_room(server: PlainServer) -> None:
    """The disk is larger from now on, as when somebody has cleared it."""
    shrink(server, 512 * 2**20)
