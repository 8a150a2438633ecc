"""Brokers that die with what they acknowledged, and crowds that come back at once."""

from __future__ import annotations

import signal
import time

from tests.chaos.checker import Verdict
from tests.chaos.scenarios import scenario
from tests.chaos.stage import Stage


def broker_kill(stage: Stage) -> Verdict:
    """kill -9 of the broker, which saves every half hour as its defaults have it; devices keep until the receipt."""
    workers = stage.two_workers()
    gateway = stage.publish(stage.all_messages(), "receipt")
    for _ in stage.at_random_points(max(2, stage.size.faults // 4), until=0.7):
        # While the workers sleep the broker acknowledges what it alone has, and will never have again.
        for worker in workers:
            worker.signal(signal.SIGSTOP)
        before = stage.held() + stage.size.messages // 20
        stage.wait(lambda before=before: gateway.acknowledged > before or not gateway.left, "PUBACKs")
        stage.broker.kill()
        for worker in workers:
            worker.signal(signal.SIGCONT)
        time.sleep(stage.random.random() * 0.5)
        stage.broker.restart()
        stage.inject("kill -9 of the broker")
    verdict = stage.verdict(gateway)
    assert gateway.sent_again, "no message was lost by the broker, so nothing was shown"
    stage.inject("acknowledged by the broker, and sent again", gateway.sent_again)
    return verdict


STORM = 500


def reconnect_storm(stage: Stage) -> Verdict:
    """500 devices lose the broker at once and come back at once, each with what it keeps."""
    stage.two_workers()
    known = stage.all_messages()
    crowd = stage.crowd([known[first::STORM] for first in range(STORM)], known)
    stage.wait(lambda: crowd.connects >= STORM, "all of them to be connected")
    crowd.cut()
    stage.inject("all cut at once")
    for _ in stage.at_random_points(max(1, stage.size.faults // 4), until=0.5):
        crowd.cut()
        stage.inject("all cut at once")
    verdict = stage.verdict(crowd)
    assert crowd.connects > STORM, "nobody had to come back"
    stage.inject("connects", crowd.connects)
    return verdict


SCENARIOS = [scenario(broker_kill), scenario(reconnect_storm)]
