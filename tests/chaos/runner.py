"""Plays scenarios: the servers once, a fresh database and a fresh broker for each, and one line for each that was played."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import small_disk
from tests.chaos.checker import Verdict
from tests.chaos.scenarios import Scenario
from tests.chaos.stage import Size, stage
from tests.chaos.worker import LIMIT_MB
from tests.servers import ServerUnavailable
from tests.servers.databases import Template
from tests.servers.folders import in_memory, session_folder
from tests.servers.mosquitto import Mosquitto, mosquitto_broker
from tests.servers.plain import PlainServer
from tests.servers.timescale import timescale_server

BROKERS_OWN_AUTOSAVE_S = 1_800  # Mosquitto's default
# What no commit has written is lost with the server, and not by luck alone.
LAZY = {"wal_writer_delay": "10s"}


@dataclass(frozen=True)
class Ground:
    """A database server with a migrated template. `server`: where it is ours to stop."""

    edition: str
    template: Template
    server: PlainServer | None
    small_disk: bool


@dataclass(frozen=True)
class Played:
    """What came of one scenario. `broken`: nothing, or what must not be."""

    scenario: Scenario
    edition: str
    seed: int
    injected: dict[str, int]
    verdict: Verdict
    seconds: float
    workers: int
    peak_mb: float

    @property
    def broken(self) -> list[str]:
        return self.verdict.sentences()

    def line(self) -> str:
        found = self.verdict
        injected = ", ".join(f"{what} ×{times:,}" for what, times in self.injected.items())
        return (
            f"{'FAILED ' if self.broken else ''}{self.scenario.name} ({self.edition}, seed {self.seed}): {injected}; "
            f"published {found.published:,} = stored {found.stored:,} + quarantined {found.quarantined:,}; "
            f"duplicates {found.duplicates:,}; {self.seconds:.1f} s; "
            f"{self.workers} workers, at most {self.peak_mb:.0f} MB each under a limit of {LIMIT_MB} MB"
        ).replace("= stored", "≠ stored" if self.broken else "= stored")


@contextmanager
def plain_ground(logs: Path) -> Iterator[Ground]:
    with session_folder(in_memory()) as home:
        try:
            prelude = small_disk.prelude(home)
        except ServerUnavailable:
            prelude = []
        server = PlainServer(home, logs / "plain.log", LAZY, prelude)
        try:
            yield Ground("plain", Template(server.start()), server, bool(prelude))
        finally:
            server.stop()


@contextmanager
def timescale_ground(logs: Path) -> Iterator[Ground]:
    with timescale_server(logs) as server:
        yield Ground("timescale", Template(server), None, False)


def play(scenario: Scenario, ground: Ground, size: Size, seed: int, logs: Path) -> Played:
    """Raises AssertionError where something went wrong that is no matter of counting; ServerUnavailable where this machine
    cannot have it."""
    if scenario.small_disk and not ground.small_disk:
        raise ServerUnavailable("a small disk to fill: root may not mount one here")
    logs.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with ground.template.clone() as database, mosquitto_broker(logs, BROKERS_OWN_AUTOSAVE_S) as broker:
        if not isinstance(broker, Mosquitto):
            raise ServerUnavailable("a broker to kill: SUYUAN_TEST_MQTT_URL names one that is not ours")
        with stage(database, ground.server, broker, size, seed, logs) as set_up:
            verdict = scenario.play(set_up)
            peak = max(worker.peak_mb for worker in set_up.workers)
            number = len(set_up.workers)
    return Played(
        scenario, ground.edition, seed, dict(set_up.injected), verdict, time.monotonic() - begun, number, peak
    )
