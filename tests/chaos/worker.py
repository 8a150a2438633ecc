"""The process under test: one `suyuan ingest` under a memory limit, started again after every kill.

Contract: the limit is set by the kernel before Python starts, and is read back from the running process; a worker that ends
and was not told to counts as a fault of its own.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.documents import REPOSITORY
from tests.servers.waiting import wait_until

# Private writable memory, not only what is resident: thread stacks and what numpy reserves count in full.
LIMIT_MB = 400
_LIMITED = (
    "import os, resource, sys; limit = int(sys.argv[1]); "
    "resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)); os.execv(sys.argv[2], sys.argv[2:])"
)


class Worker:
    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment, self.log = dict(environment), log
        self.peak_mb = 0.0
        self._log_begins = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Worker:
        program = [sys.executable, "-m", "deploy", "ingest", "--follow-parent"]
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, "-S", "-c", _LIMITED, str(LIMIT_MB * 2**20), *program]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                command, cwd=REPOSITORY, env=self._environment, stdin=subprocess.PIPE, stdout=out, stderr=out
            )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None, "the worker is not started"
        return self._process.pid

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.look()
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and no other in its place."""
        self.require_running()
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self._process = None

    def has_subscribed(self) -> bool:
        self.require_running()
        return b"subscribed:" in self.log.read_bytes()[self._log_begins :]

    def look(self) -> None:
        """Notes its memory, and that the limit is the process's own."""
        if not self.running():
            return
        try:
            peak = _status(self.pid, "VmHWM")
        except (OSError, StopIteration):  # it ends this moment
            return
        self.peak_mb = max(self.peak_mb, peak / 1024)

    def require_limit(self) -> None:
        found = resource.prlimit(self.pid, resource.RLIMIT_DATA)
        wanted = (LIMIT_MB * 2**20,) * 2
        assert wait_until(lambda: resource.prlimit(self.pid, resource.RLIMIT_DATA) == wanted, 10), (
            f"got a memory limit of {found}, want {wanted}"
        )

    def require_running(self) -> None:
        assert self.running(), f"a worker ended by itself; its log is {self.log}:\n{_tail(self.log)}"

    def begin_stop(self) -> None:
        """SIGTERM, if it is started; `stop` waits for its end."""
        if self._process is not None:
            self.require_running()
            self.signal(signal.SIGTERM)

    def stop(self) -> None:
        """Waits for an end in order."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            code = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"a worker did not end within 20 s of SIGTERM:\n{_tail(self.log)}") from None
        assert code == 0, f"a worker ended with {code}:\n{_tail(self.log)}"

    def abandon(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _status(pid: int, name: str) -> int:
    """A line of the process's status, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:])
