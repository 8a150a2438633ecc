"""Up to when everything measured was handed over: what both counts of the demo stop at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from deploy.simulation import complete_until
from simulators.binary import SPEAKERS
from simulators.world import BEFORE_NOW, World

NOW = datetime(2026, 6, 18, 12, tzinfo=UTC)


def test_whichever_way_the_next_device_speaks_its_oldest_reading_counts() -> None:
    world = World(3, NOW - BEFORE_NOW)
    sent = list(world.messages(NOW))
    binary = [number for number, message in enumerate(sent) if message.topic.split("/")[3] in SPEAKERS]
    assert any(not sent[number].payload.startswith(b"[") for number in binary[-20:])
    for number in (binary[-1], binary[-1] + 1):
        until = complete_until(world, number)
        assert sent[number].at - timedelta(hours=6) <= until <= sent[number].at + timedelta(minutes=1)
