"""What `make bench` says: who lost a message is not counted, and a target is met or not, and never silently passed over."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from simulators.load.plan import Plan
from tests.benchmarks.ground import Ground, NotCounted, Stored
from tests.benchmarks.line import race
from tests.benchmarks.peers import cache
from tests.benchmarks.racing import Ran
from tests.benchmarks.telling import Lane, Target, ratio, table, target

PLAN = Plan(devices=1, messages=10, boot=1, start_ms=0)


class Runs:
    settings = "as it is"

    def __init__(self, name: str, *rates: float | None) -> None:
        self.name = name
        self._rates = iter(rates)

    def run(self, _ground: Ground, _plan: Plan) -> Ran:
        rate = next(self._rates)
        if rate is None:
            raise NotCounted("9 of 10 readings are in the table")
        return Ran(rate)


def raced(*runners: Runs) -> list[Lane]:
    ground: Ground = None  # type: ignore[assignment]
    return race(ground, PLAN, 3, runners)


def test_medians_stand_beside_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    ours, bare = raced(Runs("ours", 900.0, 1000.0, 5000.0), Runs("bare", 2000.0, 2000.0, 2000.0))
    table("A race", [ours, bare], bare, "messages/s")
    assert "1,000 messages/s (900-5,000); 0.50 of the bare" in capsys.readouterr().out
    assert ratio(ours, bare) == 0.5


def test_who_lost_a_message_once_is_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    ours, loser = raced(Runs("ours", 1.0, 1.0, 1.0), Runs("loser", 900.0, None))
    assert (loser.rate, ratio(ours, loser)) == (None, None)
    table("A race", [ours, loser], ours, "messages/s")
    target(ratio(ours, loser), Target(1.7, "times the loser"))
    told = capsys.readouterr().out
    assert "not counted: 9 of 10 readings are in the table" in told and "cannot be told" in told


@pytest.mark.parametrize(("found", "said"), [(0.85, "met"), (0.84, "NOT MET")])
def test_a_target_is_met_or_not(found: float, said: str) -> None:
    assert Target(0.85, "of the bare").line(found).endswith(f" {said}")


@pytest.mark.parametrize(("found", "said"), [(5.0, "met"), (5.1, "NOT MET")])
def test_a_bound_from_above(found: float, said: str) -> None:
    assert Target(5, "ms", least=False).line(found).endswith(f" {said}")


def test_the_rate_leaves_out_what_was_on_its_way_before_the_first_commit() -> None:
    assert Stored(rows=1100, commits=11, first_at=10.0, last_at=12.0, in_first=100).rate == 500


def test_a_peer_that_cannot_be_had_says_why_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('first\\nno such package')"]
    with pytest.raises(cache.NotInstalled, match=r"^Peer is not measured: .*no such package\)$"):
        cache.run("Peer", command, tmp_path)
