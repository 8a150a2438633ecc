"""Runs a program out of a Debian root, in mount and process namespaces of its own.

Place in the line: `timescale.py` and `mosquitto.py` start their servers through here.
Contract: nothing of the host is mounted into the root; the network is shared, so a server is reached on
loopback. All mounts live in the namespace and end with it. The program is process 1 there: when it ends, the
kernel ends whatever it left running, and when this process ends in any way, the program is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tests.servers import ServerError, ServerUnavailable
from tests.servers.waiting import wait_until

# unshare kills its child when it dies, and is itself killed when we die. The child's own wish to die with its
# parent is lost when it changes user (the kernel clears it then), so setpriv states it anew inside, as its
# last act.
_NAMESPACES = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
_ENTER = """
set -e
root=$1 user=$2 in_memory=$3; shift 3
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
for folder in $in_memory; do mount -t tmpfs -o mode=1777 tmpfs "$root$folder"; done
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --init-groups --pdeathsig KILL "$@"
"""


def run(command: Sequence[str], log: IO[bytes], environment: dict[str, str] | None = None) -> int:
    """Runs a host command to its end in namespaces of its own: the mounts that it makes cannot outlive it."""
    whole = [*_NAMESPACES, "--mount-proc", *command]
    return subprocess.run(whole, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment).returncode


def require() -> None:
    """Raises ServerUnavailable where root may not make namespaces, as in most containers."""
    probe = subprocess.run([*_NAMESPACES, "--mount-proc", "true"], capture_output=True, text=True)
    if probe.returncode:
        raise ServerUnavailable(f"root may not make namespaces here ({probe.stderr.strip()})")


class Contained:
    """A program running inside a root."""

    def __init__(
        self, root: Path, user: str, command: Sequence[str], log: Path, in_memory: Sequence[str] = ()
    ) -> None:
        """`user` is one of the root's users; `in_memory` are folders of the root that the program sees empty
        and that vanish with it; `command` is looked up inside the root; its output is added to `log`, on the
        host."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}
        arguments = [str(root), user, " ".join(in_memory), *command]
        with log.open("ab") as out:
            self._unshare = subprocess.Popen(
                [*_NAMESPACES, "/bin/sh", "-c", _ENTER, "sh", *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment,
            )  # fmt: skip

    def running(self) -> bool:
        """False once the program has ended."""
        return self._unshare.poll() is None

    def stop(self, number: signal.Signals, patience_s: float) -> None:
        """Asks the program to end with a signal, and kills it if it has not after `patience_s`.

        The signal goes to the program itself: unshare ignores SIGTERM and SIGINT while it waits for its
        child.
        """
        for child in _children(self._unshare.pid):
            os.kill(child, number)
        if not wait_until(lambda: not self.running(), patience_s):
            self.kill()
            raise ServerError(
                f"process {self._unshare.pid} did not end within {patience_s} s of {number.name}"
            )

    def kill(self) -> None:
        """SIGKILL to the program, which takes all of its namespace with it."""
        # Not to unshare: its child would be left to process 1 of the host, which in a container may never
        # reap it.
        for child in _children(self._unshare.pid):
            os.kill(child, signal.SIGKILL)
        if not wait_until(lambda: not self.running(), 10):
            self._unshare.kill()
            self._unshare.wait()


def _children(pid: int) -> list[int]:
    """The direct children of a process, as the host counts them."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
