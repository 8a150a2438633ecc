"""A child process that ends with us: by SIGTERM when we stop it, by its closed standard input when we are killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO


class Child:
    """`log`: where its output goes. With `piped` its standard output is `lines` instead."""

    def __init__(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        follows_stdin: bool = True,
        piped: bool = False,
    ) -> None:
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._from = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if follows_stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else out,
                stderr=out,
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C in the terminal is ours to act on, in our order
            )

    @property
    def lines(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def said(self, text: str) -> bool:
        """Its log, since this start, contains the text."""
        with self.log.open("rb") as log:
            log.seek(self._from)
            return text.encode() in log.read()

    def ended(self) -> int | None:
        return self._process.poll()

    def ask_to_stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, within_s: float = 10.0) -> None:
        self.ask_to_stop()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
