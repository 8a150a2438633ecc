"""Mosquitto, set up as the line needs its broker.

Place in the line: the `mqtt_broker` fixture in `tests/conftest.py`.
Contract: `kill` is SIGKILL, `restart` brings the broker back on the same port with what it had saved. On
Debian as root it runs out of the Debian 13 root; elsewhere it is what `SUYUAN_TEST_MQTT_URL` names (that one
wins where it is set, and cannot be killed), or the `mosquitto` on the PATH.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest

from deploy.stack.ports import free_port
from tests.servers import ServerError, ServerUnavailable
from tests.servers.debian_root import debian_root, user_ids
from tests.servers.folders import session_folder
from tests.servers.namespace import Contained
from tests.servers.waiting import answers, wait_until

# Two batches of the line, which takes at most 2,000 messages: one in its transaction and the next one
# gathering. The broker's own 20 would cap every batch at 20. Queues are without limit, since the broker's
# default drops, unsaid, all beyond 1,000 messages. 4 MiB lets a payload in that is too large for us, so that
# we are the ones to refuse it. Started by root on the host, the broker would change to a user who may not
# write its folder.
MAX_INFLIGHT_MESSAGES = 4_000
MESSAGE_SIZE_LIMIT = 4 * 1024 * 1024
CONFIGURATION = f"""
listener {{port}} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {{folder}}/
autosave_interval {{autosave_s}}
max_inflight_messages {MAX_INFLIGHT_MESSAGES}
max_queued_messages 0
message_size_limit {MESSAGE_SIZE_LIMIT}
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
log_type notice
"""


class Broker(Protocol):
    """What the tests see of a broker."""

    @property
    def port(self) -> int:
        """The TCP port on which it listens."""

    @property
    def url(self) -> str:
        """As `SUYUAN_MQTT_URL` holds it: `mqtt://host:port`."""

    def kill(self) -> None:
        """SIGKILL, which loses what the broker had not saved."""

    def restart(self) -> None:
        """Starts it again, after an orderly stop if it is running. Returns when it takes connections."""


class Mosquitto:
    """A broker of our own. `root` is the Debian root that holds the program, or None for the one on the
    PATH. `autosave_s`: how often it saves what it holds; its own default is 1800."""

    def __init__(self, root: Path | None, folder: Path, log: Path, autosave_s: int = 5) -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._root, self._folder, self._log = root, folder, log
        self._process: Contained | subprocess.Popen[bytes] | None = None
        within = Path("/", folder.relative_to(root)) if root else folder
        (folder / "mosquitto.conf").write_text(
            CONFIGURATION.format(port=self.port, folder=within, autosave_s=autosave_s)
        )
        program = "mosquitto" if root else _on_this_machine() or "mosquitto"
        self._command = [program, "-c", str(within / "mosquitto.conf")]

    def start(self) -> None:
        """Starts the broker and waits until it listens. Raises ServerError, naming the log, if it does
        not."""
        if self._root:
            self._process = Contained(self._root, "mosquitto", self._command, self._log)
        else:
            lifeline = ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
            with self._log.open("ab") as out:
                self._process = subprocess.Popen(
                    [*lifeline, *self._command], stdin=subprocess.DEVNULL, stdout=out, stderr=out
                )
        if not wait_until(lambda: answers(self.port), within_s=20):
            raise ServerError(f"Mosquitto does not listen on port {self.port} after 20 s; log: {self._log}")

    def stop(self) -> None:
        """An orderly stop: what is queued for absent sessions is saved."""
        process, self._process = self._process, None
        if isinstance(process, Contained) and process.running():
            process.stop(signal.SIGTERM, patience_s=20)
        elif isinstance(process, subprocess.Popen):
            process.terminate()
            process.wait(timeout=20)

    def kill(self) -> None:
        """SIGKILL, which loses what the broker had not saved."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
        if isinstance(process, subprocess.Popen):
            process.wait()

    def restart(self) -> None:
        """Starts it again, after an orderly stop if it is running. Returns when it takes connections."""
        self.stop()
        self.start()


class NamedBroker:
    """The broker that `SUYUAN_TEST_MQTT_URL` names. It is not ours to kill, so a test that would is
    skipped."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = urlsplit(url).port or 1883

    def kill(self) -> None:
        """Skips the test."""
        pytest.skip("the broker that SUYUAN_TEST_MQTT_URL names is not ours to kill")

    def restart(self) -> None:
        """Skips the test."""
        self.kill()


@contextmanager
def mosquitto_broker(logs: Path, autosave_s: int = 5) -> Iterator[Broker]:
    """A broker for one test. Its log is `mosquitto.log` in the folder `logs`."""
    named = os.environ.get("SUYUAN_TEST_MQTT_URL")
    if named:
        yield NamedBroker(named)
        return
    with _program() as (root, folder):
        broker = Mosquitto(root, folder, logs / "mosquitto.log", autosave_s)
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()


def _on_this_machine() -> str | None:
    """Debian puts servers where an ordinary user's PATH does not lead."""
    return shutil.which(
        "mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    )


@contextmanager
def _program() -> Iterator[tuple[Path | None, Path]]:
    """The root that Mosquitto runs out of, None for the host itself, and a folder for its data."""
    try:
        root = debian_root()
    except ServerUnavailable as missing:
        if not _on_this_machine():
            raise ServerUnavailable(
                f"Mosquitto: {missing}, SUYUAN_TEST_MQTT_URL names no broker and no mosquitto is on the PATH"
            ) from missing
        with session_folder() as folder:
            yield None, folder
        return
    with session_folder(root / "srv") as folder:
        os.chown(folder, *user_ids(root, "mosquitto"))
        yield root, folder
