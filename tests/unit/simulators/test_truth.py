"""Truth, told before noise, sampling and transport, against a plain detector that sees only what was sent.

The two must agree on every excursion except those that truth itself calls undecidable, and these must be
rare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np
import pytest

from simulators import truth
from simulators.truth import TrueExcursion, Watch
from simulators.world import Message, World
from tests.unit.simulators.field_detector import Detected, detect, events_of, follow, readings_of
from tests.unit.simulators.worlds import A_WORLD_TO_NOW, MORNING, any_start, messages, seeds, world

NEAR_S = 300.0


def detected(a_world: World, sent: Iterable[Message]) -> list[Detected]:
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    events = []
    for message in sent:
        if message.kind == "readings":
            device = message.topic.split("/")[3]
            for channel, at, value in readings_of(message.payload):
                series.setdefault((device, channel), []).append((at, value))
        elif message.kind == "events":
            events += events_of(message.payload)
    devices = a_world.registry()["devices"]
    giai_of = {device["id"]: device["giai"] for device in devices}
    interval_of = {device["id"]: device["interval_s"] for device in devices}
    return detect(series, follow(events), giai_of, interval_of)


def overlaps(found: Detected, true: TrueExcursion) -> bool:
    ends = true.end.timestamp() if true.end else 1e18
    same = (found.device, found.channel) == (true.device, true.channel)
    return same and found.last >= true.start.timestamp() - NEAR_S and found.start <= ends + NEAR_S


def differences(found: list[Detected], true: list[TrueExcursion]) -> list[str]:
    """What one side has and the other has not, leaving out what is undecidable."""
    told = []
    for item in true:
        hits = [hit for hit in found if overlaps(hit, item)]
        if item.undecidable is None and len(hits) != 1:
            told.append(
                f"{item.device}: {len(hits)} detected for one of peak {item.peak_c} °C at {item.start}"
            )
    strangers = [hit for hit in found if not any(overlaps(hit, item) for item in true)]
    return told + [f"{hit.device}: detected, peak {hit.peak_c} °C, but not true" for hit in strangers]


@pytest.mark.parametrize("seed", seeds())
def test_truth_and_detector_agree(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    a_world = World(seed, any_start(seed))
    now = a_world.start + A_WORLD_TO_NOW
    true = a_world.truth_until(now)
    told = differences(detected(a_world, a_world.messages(now)), true)
    with capsys.disabled():
        for item in true:
            if item.undecidable is not None:
                print(f"\nseed {seed}: {item.device} undecidable, peak {item.peak_c} °C: {item.undecidable}")
    assert not told, told


def test_worlds_are_decisive_and_differ() -> None:
    counts = Counter[int]()
    undecidable = 0
    for seed in range(8):
        a_world = World(seed, any_start(seed))
        true = a_world.truth_until(a_world.start + A_WORLD_TO_NOW)
        counts[sum(item.undecidable is None for item in true)] += 1
        undecidable += sum(item.undecidable is not None for item in true)
        assert any(item.device == "truck-2" for item in true)
    assert len(counts) >= 3
    assert undecidable <= 1


@pytest.mark.parametrize("hours", [17.2, 18.0, 19.6, 21.3, 24.0])
def test_they_agree_at_any_cut(hours: float) -> None:
    cut = MORNING + timedelta(hours=hours)
    assert differences(detected(world(3), messages(3, cut)), world(3).truth_until(cut)) == []


def test_truth_only_grows_with_time() -> None:
    seen: set[tuple[str, datetime]] = set()
    for hours in range(14, 37):
        true = world(3).truth_until(MORNING + timedelta(hours=hours))
        certain = {(item.device, item.start) for item in true if item.undecidable is None}
        assert seen <= certain
        assert all(item.trigger <= MORNING + timedelta(hours=hours) for item in true if not item.undecidable)
        seen = certain
    assert seen


def test_the_sound_truck_has_no_excursion_in_a_world_without_a_second_fault() -> None:
    quiet = next(w for w in (World(seed, MORNING) for seed in range(40)) if w.plan.second == "none")
    true = quiet.truth_until(MORNING + A_WORLD_TO_NOW)
    mine = {unit.logger for unit in quiet.plan.units if unit.truck == 1} | {"truck-2"}
    assert {item.device for item in true} <= mine


# ---- the rule itself, on curves one can see

TIME_S = np.arange(0.0, 6 * 3600.0, 20.0)


def watch(in_force: tuple[float, float] = (0.0, 1e9)) -> Watch:
    return Watch("d", "return_air", "return_air", "somewhere", 60.0, 300.0, 0.3, in_force)


def bump(minutes: float, peak_c: float, at_s: float = 3600.0) -> np.ndarray:
    return np.where((at_s <= TIME_S) & (at_s + minutes * 60 > TIME_S), peak_c, 2.0)


def judged(
    curve: np.ndarray, *, actual: np.ndarray | None = None, until_s: float = 6 * 3600.0
) -> list[str | None]:
    found = truth.find(watch(), MORNING, TIME_S, curve, curve if actual is None else actual, until_s)
    return [item.undecidable for item in found]


def test_a_long_warm_stretch_counts_and_a_short_one_does_not() -> None:
    assert judged(bump(45, 8.0)) == [None]
    assert judged(bump(20, 8.0)) == []


def test_what_a_sensor_cannot_tell_is_undecidable() -> None:
    assert len(judged(bump(30, 8.0))) == 1
    assert judged(bump(30, 8.0)) != [None]
    assert judged(bump(60, 5.1)) not in ([], [None])
    assert judged(bump(60, 4.9)) not in ([], [None])
    assert judged(bump(60, 4.6)) == []


def test_a_misplaced_probe_makes_both_its_errors_undecidable() -> None:
    warm, cold = bump(60, 9.0), bump(60, 3.0)
    assert judged(warm, actual=cold) not in ([], [None])
    assert judged(cold, actual=warm) not in ([], [None])
    assert judged(warm, actual=bump(70, 11.0)) == [None]


def test_an_excursion_exists_from_its_thirtieth_minute_and_is_sure_once_its_readings_were_sent() -> None:
    curve = bump(120, 9.0)
    assert judged(curve, until_s=3600.0 + 25 * 60) == []
    assert judged(curve, until_s=3600.0 + 32 * 60) not in ([], [None])
    assert judged(curve, until_s=3600.0 + 45 * 60) == [None]


def test_out_of_force_is_out_of_mind() -> None:
    found = truth.find(watch((0.0, 3600.0 + 600)), MORNING, TIME_S, bump(120, 9.0), bump(120, 9.0), 1e9)
    assert found == []


def test_trigger_end_and_peak_are_what_the_curve_says() -> None:
    curve = bump(60, 9.25)
    (found,) = truth.find(watch(), MORNING, TIME_S, curve, curve, 6 * 3600.0)
    assert found.start == MORNING + timedelta(seconds=3600)
    assert found.trigger == found.start + timedelta(minutes=30)
    assert found.end == found.start + timedelta(minutes=60)
    assert found.peak_c == 9.25
