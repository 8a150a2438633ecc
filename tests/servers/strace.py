"""strace: the kernel's answers to one process, made to fail at a chosen call.

Place in the line: tests of what a crash or a failing disk leaves. On Debian as root it is installed if it is missing.
Contract: attached before the process goes on (`attached`), gone with it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers import ServerUnavailable, apt
from tests.servers.waiting import wait_until


def strace_path(logs: Path) -> str:
    """Raises ServerUnavailable where there is none."""
    if shutil.which("strace") is None and apt.on_debian_as_root():
        apt.install(["strace"], logs / "strace.log")
    found = shutil.which("strace")
    if found is None:
        raise ServerUnavailable("strace: not on the PATH, and we are not root on Debian")
    return found


@contextmanager
def attached(program: str, pid: int, calls: Sequence[str], fault: str | None, trace: Path) -> Iterator[None]:
    """Follows `pid`. `calls`: which system calls; `fault`: as `--inject` takes it, None to watch only."""
    inject = [f"--inject={fault}"] if fault else []
    command = [
        program,
        "-f",
        "-y",
        "-qq",
        "-o",
        str(trace),
        "-e",
        f"trace={','.join(calls)}",
        *inject,
        "-p",
        str(pid),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        if not wait_until(
            lambda: _tracer(pid) == process.pid or process.poll() is not None, 20, every_s=0.002
        ):
            raise ServerUnavailable("strace: did not attach")
        if process.poll() is not None:
            raise ServerUnavailable(f"strace: {(process.stderr.read() if process.stderr else b'').decode()}")
        yield
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)  # it lets the process go
        process.communicate()


def _tracer(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^TracerPid:\s*(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0


def counted(trace: Path, within: str) -> list[tuple[str, int]]:
    """Of a watched run, each call (name, its number among those of its name) whose line names `within`."""
    found, numbers = list[tuple[str, int]](), Counter[str]()
    for line in trace.read_text(errors="replace").splitlines():
        name = re.match(r"(?:\d+\s+)?(\w+)\(", line)
        if name is None:
            continue
        numbers[name[1]] += 1
        if within in line:
            found.append((name[1], numbers[name[1]]))
    return found
