"""Every scenario in its short form: a thousand messages, a couple of faults. `make chaos` runs them in full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.runner import Ground, plain_ground, play, timescale_ground
from tests.chaos.scenarios import scenarios
from tests.chaos.stage import SHORT
from tests.servers import ServerUnavailable
from tests.servers.session import Servers

SCENARIOS = scenarios()
SEED = int(os.environ.get("SUYUAN_TEST_SEED", "1"))


@pytest.fixture(scope="module")
def ground(servers: Servers) -> Iterator[Ground]:
    """A server of one's own, since it is stopped and frozen."""
    with ExitStack() as stack:
        yield servers.enter(stack, "plain for chaos", plain_ground)


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_and_nothing_doubled(name: str, ground: Ground, tmp_path: Path) -> None:
    _play(name, ground, tmp_path)


def test_nor_on_timescale(servers: Servers, tmp_path: Path) -> None:
    with ExitStack() as stack:
        _play("commit_and_puback", servers.enter(stack, "timescale for chaos", timescale_ground), tmp_path)


def _play(name: str, ground: Ground, folder: Path) -> None:
    try:
        played = play(SCENARIOS[name], ground, SHORT, SEED, folder)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    print(played.line())
    assert played.broken == []
