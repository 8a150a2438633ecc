"""Runs the simulated world and answers what it should have come to. Composes; the world itself imports nothing of ours."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.settings import Settings
from simulators.binary import records_of
from simulators.player import Progress, Story, play, resume
from simulators.world import World


def run_simulation(settings: Settings, seed: int, stop: threading.Event, progress: bool) -> None:
    world = resume(settings.data_dir, seed, datetime.now(UTC))
    play(world, settings.mqtt_url, settings.data_dir, _print if progress else _ignore, stop)


def _print(progress: Progress) -> None:
    line = {
        "sent": progress.sent,
        "world_time": progress.world_time.isoformat(),
        "caught_up": progress.caught_up,
        "readings": progress.readings,
        "events": progress.events,
    }
    print(json.dumps(line), flush=True)


def _ignore(_progress: Progress) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Played:
    """The world as far as the broker took it. `complete_until`: every reading measured before it was handed over."""

    world: World
    sent: int
    complete_until: datetime


def read_played(data_dir: Path) -> Played:
    """What the player wrote down. Raises LookupError where no world was played."""
    story = Story.load(data_dir)
    if story is None:
        raise LookupError(f"no world was played in {data_dir}")
    world = story.world()
    return Played(world, story.sent, complete_until(world, story.sent))


def complete_until(world: World, sent: int) -> datetime:
    """The earliest measuring time of what was not yet handed over: devices buffer, so it lies before the last sending."""
    earliest = world.end
    for index, message in enumerate(world.messages(world.end)):
        if index < sent or message.kind != "readings":
            continue
        earliest = min(earliest, _measured_from(message.payload))
        if message.at - timedelta(hours=6) > earliest:  # no device buffers longer than that
            break
    return earliest


def _measured_from(payload: bytes) -> datetime:
    base, first = 0.0, float("inf")
    for record in records_of(payload):
        base = record.get("bt", base)
        if record.get("n") not in ("boot", "seq", "sent"):
            first = min(first, base + record.get("t", 0))
    return datetime.fromtimestamp(first, UTC)
