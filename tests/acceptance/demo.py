"""`suyuan demo` as a user starts it: a process, its output, and every process below it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from deploy.stack.ports import free_port
from deploy.stack.postgres import EmbeddedPostgres
from tests.servers.waiting import wait_until

PRESENTED = "Ctrl-C stops everything"
REPOSITORY = Path(__file__).parents[2]


class DemoRun:
    """Started with further `arguments` on free ports; `family`: the processes it was seen to have, itself included."""

    def __init__(
        self, data_dir: Path, *arguments: str, port: int | None = None, mqtt_port: int | None = None
    ) -> None:
        self.port, self.mqtt_port = port or free_port(), mqtt_port or free_port()
        command = [sys.executable, "-m", "deploy", "demo", "--data-dir", str(data_dir)]
        command += ["--port", str(self.port), "--mqtt-port", str(self.mqtt_port), *arguments]
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(("SUYUAN_", "PG"))}
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.family: set[int] = {self._process.pid}
        self._out: list[str] = []
        self._err: list[str] = []
        self._readers = [
            threading.Thread(target=lines.extend, args=(pipe,), daemon=True)
            for lines, pipe in ((self._out, self._process.stdout), (self._err, self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """What it showed to the person in front of it."""
        return "".join(self._err)

    @property
    def printed(self) -> list[str]:
        """What it printed for scripts, in lines."""
        return [line.rstrip("\n") for line in self._out]

    def wait_until_presented(self, within_s: float = 180) -> None:
        assert wait_until(
            lambda: self._look() or PRESENTED in self.said or self.ended(), within_s, every_s=0.2
        ), self.said
        assert not self.ended(), self.said

    def wait_until_ended(self, within_s: float = 180) -> int:
        """Its exit status."""
        assert wait_until(lambda: self._look() or self.ended(), within_s, every_s=0.2), self.said
        for reader in self._readers:
            reader.join(10)
        return self._process.wait()

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit status."""
        self._look()
        self._process.send_signal(signal.SIGINT)
        return self.wait_until_ended(60)

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.printed[-1])
        return found

    def ended(self) -> bool:
        return self._process.poll() is not None

    def left(self) -> list[str]:
        """Of the processes it was seen to have, those that are still there, with what they run."""
        return [f"{pid} {name}" for pid in sorted(self.family) if (name := _running(pid))]

    def end(self) -> None:
        """However the test went: nothing that it started stays."""
        if not self.ended():
            self.interrupt()
        for pid in self.family:
            if _running(pid):
                os.kill(pid, signal.SIGKILL)

    def _look(self) -> bool:
        """Notes the processes below it. Always False, to stand in a condition."""
        waiting = [self._process.pid]
        while waiting:
            below = _children(waiting.pop())
            waiting += below
            self.family.update(below)
        return False


def remove_database(data_dir: Path) -> None:
    """As root the demo's database does not lie in its data directory."""
    shutil.rmtree(EmbeddedPostgres(data_dir).home, ignore_errors=True)


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _running(pid: int) -> str:
    """Its name; empty if it is gone, or a zombie that holds nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if stat.rpartition(")")[2].split()[0] == "Z" else stat.partition("(")[2].rpartition(")")[0]
