"""Worlds that the tests share: building one costs a second, so a few are kept for the whole run."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from simulators.world import Message, World

MORNING = datetime(2026, 6, 17, 19, 0, tzinfo=UTC)  # three in the morning where the fruit grows
A_WORLD_TO_NOW = timedelta(hours=36)


@lru_cache(maxsize=4)
def world(seed: int = 7) -> World:
    return World(seed, MORNING)


@lru_cache(maxsize=4)
def _sixty_hours(seed: int) -> tuple[Message, ...]:
    return tuple(world(seed).messages(MORNING + timedelta(hours=60)))


def messages(seed: int = 7, until: datetime = MORNING + A_WORLD_TO_NOW) -> list[Message]:
    """What the shared world sends before `until`, which is within its first 60 hours."""
    return [message for message in _sixty_hours(seed) if message.at < until]


def any_start(seed: int) -> datetime:
    """Any hour of any day in June: a world must hold whenever someone starts the demo."""
    dice = random.Random(seed)
    return datetime(2026, 6, dice.randint(1, 28), dice.randint(0, 23), dice.randint(0, 59), tzinfo=UTC)


def seeds() -> range:
    """Six by default; SUYUAN_WORLD_SEEDS=200 for a thorough run of some minutes."""
    return range(int(os.environ.get("SUYUAN_WORLD_SEEDS", "6")))
