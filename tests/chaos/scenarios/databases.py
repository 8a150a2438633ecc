"""Databases that end, sleep, are slow, and are full."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.chaos.checker import Verdict
from tests.chaos.scenarios import scenario
from tests.chaos.slow import IN_A_BATCH, SLOW_COMMIT, ports_of
from tests.chaos.small_disk import SMALL, make_room, shrink
from tests.chaos.stage import Stage
from tests.chaos.worker import Worker


def database_stop(stage: Stage) -> Verdict:
    """Immediate stop of the database, and its start; then one of two workers is replaced."""
    assert stage.server is not None
    workers = stage.two_workers()
    gateway = stage.publish(stage.all_messages())
    for _ in stage.at_random_points():
        stage.server.stop(signal.SIGQUIT)
        time.sleep(stage.random.random())
        stage.server.start()
        stage.inject("immediate stop")
    # Its lease on a slot died with the database: whoever comes now must not take the slot of one that lives.
    workers[1].kill()
    stage.inject("kill -9 after the stops")
    stage.worker()
    return stage.verdict(gateway)


def database_sleep(stage: Stage) -> Verdict:
    """SIGSTOP of every process of the database."""
    stage.worker()
    gateway = stage.publish(stage.all_messages(), "receipt")
    for _ in stage.at_random_points():
        assert stage.server is not None
        postmaster = stage.server.pid
        stopped = _signal([postmaster], signal.SIGSTOP) + _signal(_children(postmaster), signal.SIGSTOP)
        time.sleep(0.3 + stage.random.random() * (4 if stage.size.long else 0.5))
        _signal(stopped, signal.SIGCONT)
        stage.inject("SIGSTOP")
    return stage.verdict(gateway)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _signal(pids: list[int], number: signal.Signals) -> list[int]:
    reached = []
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        reached.append(pid)
    return reached


def slow_commit(stage: Stage) -> Verdict:
    """Every commit takes up to 0.2 s, and each kill falls between the first row of its worker's batch and the end of its commit."""
    stage.owner.execute(SLOW_COMMIT)
    workers = stage.two_workers()
    known = stage.all_messages()
    share = -(-len(known) // stage.size.faults)
    gateways = []
    for number, first in enumerate(range(0, len(known), share)):
        gateways.append(stage.publish(known[first : first + share]))
        _await_batch(stage, workers[number % 2])
        stage.restart(workers[number % 2])
        stage.inject("kill -9 within a batch")
    verdict = stage.verdict(*gateways)
    redelivered = int(stage.ask("SELECT sum(redelivered) FROM batch"))
    assert redelivered > 0, "no batch came again, so no kill fell where it should"
    stage.inject("redelivered", redelivered)
    return verdict


def _await_batch(stage: Stage, worker: Worker) -> None:
    """Until the worker's own transaction is anywhere in a batch."""

    def within() -> bool:
        return bool(stage.ask(IN_A_BATCH, ports=ports_of(worker.pid)))

    while True:
        stage.wait(within, "a worker in the middle of a batch")
        time.sleep(stage.random.random() * 0.1)
        if within():
            return


SMALL_BYTES = 30  # of disk for each message that comes: about a third of what they take
LEAST_BYTES = 60_000  # the tables' own first pages take a part of it


def disk_full(stage: Stage) -> Verdict:
    """Readings and quarantine lie in a tablespace that fills up; later somebody makes room."""
    assert stage.server is not None
    shrink(stage.server, max(LEAST_BYTES, stage.size.messages * SMALL_BYTES))
    stage.owner.execute("DROP TABLESPACE IF EXISTS small")
    stage.owner.execute(f"CREATE TABLESPACE small LOCATION '{stage.server.home / SMALL}'".encode())
    for table in ("reading_store", "observation", "quarantine"):
        stage.owner.execute(f"ALTER TABLE {table} SET TABLESPACE small".encode())
    stage.worker()
    gateway = stage.publish(stage.all_messages())
    full = "No space left on device"
    stage.wait(lambda: full in stage.server.log.read_text(errors="replace"), "the disk to be full")
    stage.inject("disk full")
    stage.wait(gateway.finished.is_set, "everything to be published")
    assert stage.held() < stage.size.messages, "everything was held, and the disk has no room for it"
    make_room(stage.server)
    return stage.verdict(gateway)


SCENARIOS = [
    scenario(database_stop, needs_server=True),
    scenario(database_sleep, needs_server=True),
    scenario(slow_commit),
    scenario(disk_full, needs_server=True, small_disk=True),
]
