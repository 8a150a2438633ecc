"""Workers that die, sleep, and leave a session behind."""

from __future__ import annotations

import signal
import time

from tests.chaos.checker import Verdict
from tests.chaos.proxy import Mode, Proxy
from tests.chaos.scenarios import scenario
from tests.chaos.stage import Stage
from tests.chaos.worker import Worker


def worker_kill(stage: Stage) -> Verdict:
    """Two workers, kill -9 of either at random points."""
    workers = stage.two_workers()
    gateway = stage.publish(stage.all_messages())
    for number, _ in enumerate(stage.at_random_points()):
        stage.restart(workers[number % 2])
        stage.inject("kill -9")
    return stage.verdict(gateway)


def commit_and_puback(stage: Stage) -> Verdict:
    """kill -9 between COMMIT and PUBACK: the wire holds what the worker sends to the broker until the database shows the commit."""
    wire = stage.proxy(stage.broker.port)
    worker = stage.worker(broker=wire)
    known = stage.all_messages()
    share = len(known) // (2 * stage.size.faults)
    gateways, committed = [], 0
    for fault in range(stage.size.faults):
        first, last = 2 * fault * share, fault == stage.size.faults - 1
        gateways.append(stage.publish(known[first : first + share]))
        time.sleep(stage.random.random() * share / stage.size.rate)
        wire.set(up=Mode.HOLD)
        before = stage.ask("SELECT coalesce(array_agg(id), '{}') FROM batch")
        gateways.append(stage.publish(known[first + share : None if last else first + 2 * share]))
        committed += _kill_after_commit(stage, worker, wire, before)
        stage.await_subscribed(worker.start())
    verdict = stage.verdict(*gateways)
    assert verdict.duplicates >= committed, (
        f"{committed} messages were committed and never acknowledged, and only {verdict.duplicates} came again"
    )
    return verdict


def _kill_after_commit(stage: Stage, worker: Worker, wire: Proxy, before: list[int]) -> int:
    """`before`: what was committed when the wire held already: the acknowledgement of any other batch is held. Returns how many
    messages were in those."""
    stage.wait(lambda: stage.batches() > len(before), "a batch to be committed behind the wire")
    held = wire.held_up()
    worker.kill()
    number = int(stage.ask("SELECT sum(messages) FROM batch WHERE id <> ALL (%(before)s)", before=before))
    wire.cut()
    wire.set()
    stage.inject("kill -9 between COMMIT and PUBACK")
    stage.inject("PUBACK held back", held.count(b"\x40\x02"))
    return number


def worker_sleep(stage: Stage) -> Verdict:
    """SIGSTOP of a worker, once for longer than the broker waits for it."""
    workers = stage.two_workers()
    gateway = stage.publish(stage.all_messages())
    for number, _ in enumerate(stage.at_random_points()):
        asleep_s = 50.0 if stage.size.long and number == 0 else 0.2 + stage.random.random()
        workers[number % 2].signal(signal.SIGSTOP)
        time.sleep(asleep_s)
        workers[number % 2].signal(signal.SIGCONT)
        stage.inject("SIGSTOP")
    return stage.verdict(gateway)


def slot_takeover(stage: Stage) -> Verdict:
    """One of two workers dies for good; the other one takes its session and drains it."""
    first, second = stage.two_workers()
    gateway = stage.publish(stage.all_messages())
    victims = [second, first]
    point = next(stage.at_random_points(1))
    victims[stage.seed % 2].kill()
    stage.inject("kill -9, not started again")
    assert point < stage.size.messages
    return stage.verdict(gateway)


SCENARIOS = [scenario(each) for each in (worker_kill, commit_and_puback, worker_sleep, slot_takeover)]
