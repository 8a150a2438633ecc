"""The line beside its bounds and its peers: single readings, packs, and the whole of the product."""

from __future__ import annotations

import time
from collections.abc import Sequence

from simulators.load.plan import Plan
from tests.benchmarks.ground import Ground, NotCounted
from tests.benchmarks.racing import Bare, Copy, InsertLine, Runner, WholeLine
from tests.benchmarks.telling import Lane, Target, ratio, table, target

BOOT = 1_000_000
PACK = 50
COPY_OF_PACKS = 50_000


def start_ms() -> int:
    """Four days ago at midnight, UTC: all measuring times are of the past, and a run's lie in one chunk or two."""
    return (round(time.time()) // 86_400 - 4) * 86_400_000


def plan(ground: Ground, messages: int, pack: int = 1, interval_s: int = 1) -> Plan:
    return Plan(ground.devices, messages, BOOT, start_ms(), pack, interval_s=interval_s)


def insert_line(ground: Ground, messages: int, rounds: int, peers: Sequence[Runner]) -> None:
    ours, bare, copy = InsertLine(), Bare(), Copy()
    lanes = race(ground, plan(ground, messages), rounds, [ours, bare, copy, *peers])
    table(
        f"Insert line: {messages:,} messages of one reading waiting at the broker, from {ground.devices} devices",
        lanes,
        lanes[1],
        "messages/s",
    )
    target(ratio(lanes[0], lanes[1]), Target(0.85, "of the bare paho loop"))
    for name, how in (("mq-bridge", "as its pages say"), ("mq-bridge, with casts", "helped by two casts")):
        safe = next((lane for lane in lanes if lane.name == name), None)
        target(ratio(lanes[0], safe) if safe else None, Target(1.7, f"times mq-bridge's safe mode, {how}"))


def packs(ground: Ground, messages: int, rounds: int) -> None:
    """A tenth of the messages: they carry five times as many readings."""
    lanes = race(
        ground, plan(ground, messages // 10, PACK), rounds, [InsertLine(), Bare(), Copy(COPY_OF_PACKS)]
    )
    table(f"Packs: {messages // 10:,} messages of {PACK} readings", lanes, lanes[2], "readings/s")
    target(lanes[0].rate, Target(300_000, "readings/s"))


def whole_line(ground: Ground, messages: int, rounds: int) -> float | None:
    """Returns its rate, which others are measured at a part of."""
    lanes = race(ground, plan(ground, messages), rounds, [WholeLine(), Bare()])
    table(f"Whole line: {messages:,} messages of one reading", lanes, lanes[1], "messages/s")
    target(ratio(lanes[0], lanes[1]), Target(0.6, "of the bare paho loop"))
    target(lanes[0].peak_mb, Target(120, f"MB with {messages:,} messages waiting at the broker", least=False))
    return lanes[0].rate


def race(ground: Ground, run: Plan, rounds: int, runners: Sequence[Runner]) -> list[Lane]:
    """In turn, round by round, so that what else the machine does falls on all of them."""
    lanes = [Lane(runner.name, runner.settings) for runner in runners]
    for _ in range(rounds):
        for lane, runner in zip(lanes, runners, strict=True):
            if lane.fault is None:
                try:
                    lane.ran.append(runner.run(ground, run))
                except NotCounted as fault:
                    lane.fault = str(fault)
    return lanes
