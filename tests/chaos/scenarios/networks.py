"""Wires between a worker and its neighbours: cut, late, silent."""

from __future__ import annotations

from tests.chaos.checker import Verdict
from tests.chaos.proxy import Mode, Proxy
from tests.chaos.scenarios import scenario
from tests.chaos.slow import IN_COMMIT, SLOW_COMMIT
from tests.chaos.stage import Stage


def network_cut(stage: Stage) -> Verdict:
    """Both wires of a worker are cut at random points, and its way to the database is late by some milliseconds."""
    to_broker, to_database = stage.proxy(stage.broker.port), stage.proxy(stage.database_port)
    stage.two_workers(broker=to_broker, database=to_database)
    gateway = stage.publish(stage.all_messages())
    for number, _ in enumerate(stage.at_random_points()):
        to_database.delay_s = stage.random.random() * 0.01
        wire, name = ((to_broker, "broker"), (to_database, "database"))[number % 2]
        if wire.cut():
            stage.inject(f"wire to the {name} cut")
    return stage.verdict(gateway)


def commit_unanswered(stage: Stage) -> Verdict:
    """The database commits, and the wire is cut before its answer arrives: the worker cannot know."""
    stage.owner.execute(SLOW_COMMIT)
    wire = stage.proxy(stage.database_port)
    stage.worker(database=wire)
    known = stage.all_messages()
    share = -(-len(known) // stage.size.faults)
    gateways = []
    for first in range(0, len(known), share):
        gateways.append(stage.publish(known[first : first + share]))
        _cut_unanswered(stage, wire)
        stage.inject("COMMIT without its answer")
    verdict = stage.verdict(*gateways)
    assert verdict.duplicates >= stage.injected.total(), (
        "a batch whose commit was not answered must come again"
    )
    return verdict


def _cut_unanswered(stage: Stage, wire: Proxy) -> None:
    """Answers are held from within a commit on, until the database shows it."""
    while True:
        stage.wait(lambda: stage.ask(IN_COMMIT), "a worker in the middle of a commit")
        before = stage.batches()
        wire.set(down=Mode.HOLD)
        if stage.ask(IN_COMMIT):
            break
        wire.set()  # it had ended before the wire held
    stage.wait(lambda: stage.batches() > before, "the commit whose answer is held")
    wire.cut()
    wire.set()


def half_open_broker(stage: Stage) -> Verdict:
    """The wire to the broker goes silent and tells nobody; a second worker goes on meanwhile."""
    wire = stage.proxy(stage.broker.port)
    patience = {} if stage.size.long else {"mqtt_keepalive_s": "2"}
    stage.two_workers(broker=wire, **patience)
    gateway = stage.publish(stage.all_messages(), "receipt")
    for _ in stage.at_random_points(1):
        before = wire.connections
        wire.set(Mode.SWALLOW, Mode.SWALLOW, new=False)
        stage.inject("wire to the broker silent")
        # Before the verdict, for which workers end: the other one may soon have everything that is left.
        stage.wait(
            lambda before=before: wire.connections > before, "the worker to notice that the broker is silent"
        )
    return stage.verdict(gateway)


def half_open_database(stage: Stage) -> Verdict:
    """The wire to the database goes silent and tells nobody; a second worker goes on meanwhile."""
    wire = stage.proxy(stage.database_port)
    patience = {} if stage.size.long else {"database_silence_s": "1"}
    stage.two_workers(database=wire, **patience)
    gateway = stage.publish(stage.all_messages())
    for _ in stage.at_random_points(1):
        before = wire.connections
        wire.set(Mode.SWALLOW, Mode.SWALLOW, new=False)
        stage.inject("wire to the database silent")
        stage.wait(lambda before=before: wire.connections > before, "the worker to give up its connection")
        # The server's own kernel notices in its time, and ends what was begun there.
        wire.cut_silent()
    return stage.verdict(gateway)


SCENARIOS = [
    scenario(each) for each in (network_cut, commit_unanswered, half_open_broker, half_open_database)
]
