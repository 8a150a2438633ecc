"""An instance that runs: a simulated world's day in it up to now, and its services as processes of their own.

For what is tried from outside, by the commands that a user has: `suyuan doctor`, `suyuan backup`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from argon2 import PasswordHasher
from click.testing import CliRunner

from deploy.command import main
from simulators.world import World
from tests.acceptance.instance import Instance, handed_over
from tests.documents import REPOSITORY

ADMINISTRATOR = "ling.wang"


def played(instance: Instance, hours: float) -> World:
    """A world that began so many hours ago and has reached now; what it sent is taken in, sealed and published."""
    now = datetime.now(UTC)
    start = now - timedelta(hours=hours)
    world = World(20260618, start)
    instance.register(world.registry())
    worker = instance.worker()
    messages = list(world.messages(now))
    for first in range(0, len(messages), 500):
        batch = messages[first : first + 500]
        instance.take(handed_over(batch), batch[-1].at + timedelta(seconds=1), worker)
    instance.settle(datetime.now(UTC))
    return world


def for_real_people(instance: Instance) -> None:
    """Without the tokens that a test guesses, and with somebody who administers accounts."""
    hashed = PasswordHasher(time_cost=1, memory_cost=1024).hash("four-words-nobody-guesses")
    with psycopg.connect(instance.database.owner) as conn:
        conn.execute("DELETE FROM api_token")
        conn.execute(
            "SELECT account_add(%s, '王玲', NULL, ARRAY['administrator'], NULL, '{}', %s, now())",
            [ADMINISTRATOR, hashed],
        )


def suyuan(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as somebody types it, with nothing of this process's own settings. Run in this process: to start Python
    and load everything is most of a command's time. That it starts as one is `test_packaging.py`'s and the services'.
    """
    ours = {name: None for name in os.environ if name.startswith(("SUYUAN_", "PG"))}
    done = CliRunner().invoke(main, arguments, env=ours | environment, prog_name="suyuan")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


@contextmanager
def services(environment: Callable[[str], dict[str, str]], logs: Path) -> Iterator[None]:
    """The four of them, until the block ends. `environment`: by the name of the service."""
    with ExitStack() as stack:
        for name in ("ingest", "jobs", "sequencer", "api"):
            out = stack.enter_context((logs / f"{name}.log").open("wb"))
            command = [sys.executable, "-m", "deploy", name, "--follow-parent"]
            process = subprocess.Popen(
                command, cwd=REPOSITORY, env=environment(name), stdin=subprocess.PIPE, stdout=out, stderr=out
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        yield
