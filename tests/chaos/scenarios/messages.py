"""Messages that come twice, in disorder, out of the broker's memory, or cannot be taken."""

from __future__ import annotations

import signal

from tests.chaos.checker import Verdict
from tests.chaos.known import POISONS, Known, poisons
from tests.chaos.scenarios import scenario
from tests.chaos.stage import Stage


def twice_and_in_disorder(stage: Stage) -> Verdict:
    """Every message from two gateways at once, each in an order of its own, to two workers."""
    stage.two_workers()
    known = stage.all_messages()
    one = stage.publish(shuffled(stage, known))
    other = stage.publish_again(shuffled(stage, known))
    stage.inject("published again", len(known))
    verdict = stage.verdict(one, other)
    assert verdict.duplicates == len(known), f"got {verdict.duplicates} duplicates, want {len(known)}"
    return verdict


def shuffled(stage: Stage, known: list[Known], within: int = 1_500) -> list[Known]:
    """Each message is moved by at most about `within` places."""
    order = sorted(range(len(known)), key=lambda place: place + stage.random.random() * within)
    return [known[place] for place in order]


def retained_replay(stage: Stage) -> Verdict:
    """Retained messages from before the worker's first subscription, and again at every reconnect; a plain subscription."""
    known = stage.all_messages()
    devices = stage.size.devices
    before, after = known[:devices], known[devices:]
    early = stage.publish(before, retain=True)
    stage.wait(early.finished.is_set, "the retained messages to be published")
    wire = stage.proxy(stage.broker.port)
    stage.worker(broker=wire, mqtt_share_group="")
    gateway = stage.publish(after, retain=True)
    for _ in stage.at_random_points():
        stage.inject("reconnect with replay", wire.cut())
    return stage.verdict(gateway)


def poison(stage: Stage) -> Verdict:
    """A bad message of every kind, all over batches as large as they come."""
    worker = stage.worker()
    known = stage.all_messages()
    kinds = _poisons(stage, known)
    first, rest = known[: stage.size.devices], known[stage.size.devices :]
    early = stage.publish(first)
    stage.wait(early.finished.is_set, "what conflicts will be in conflict with to be published")
    for kind, bad in kinds:
        rest.insert(stage.random.randrange(len(rest)), bad)
        stage.inject(kind)
    # It finds all of it waiting, so that its batches are as large as they come.
    worker.signal(signal.SIGSTOP)
    gateway = stage.publish(rest, rate=None)
    stage.wait(gateway.finished.is_set, "everything to be published")
    worker.signal(signal.SIGCONT)
    return stage.verdict(gateway)


def _poisons(stage: Stage, known: list[Known]) -> list[tuple[str, Known]]:
    """Each kind for each device, in the seed's order. Their numbers lie behind all good ones."""
    found = [
        each
        for index, good in enumerate(known[: stage.size.devices])
        for each in poisons(good, 1_000_000 + index * POISONS)
    ]
    stage.random.shuffle(found)
    return found


SCENARIOS = [scenario(each) for each in (twice_and_in_disorder, retained_replay, poison)]
