"""The heat model against what physics says without it, and a world's rooms against what people see in
them."""

from __future__ import annotations

import numpy as np
import pytest

from simulators import rooms
from simulators.climate import Weather, make_weather
from simulators.scenario import HOUR, MINUTE
from simulators.thermal import (
    FRUIT_J_KG_K,
    STEP_S,
    Load,
    Model,
    Move,
    Schedule,
    Space,
    Spell,
    Unit,
    respiration_w_kg,
)
from simulators.truth import LIMIT_C
from tests.unit.simulators.worlds import MORNING, world

STEPS = 6 * 180


def still_weather(outdoor_c: float, steps: int = STEPS) -> Weather:
    return Weather(np.full(steps, outdoor_c), np.zeros(steps))


UNIT = Unit(2.0, 7500, 2.0, 6e4, 900, 2600, modulating=True)
NO_UNIT = Unit(2.0, 0.0, 2.0, 6e4, 0.0, 0.0)  # its coil hangs on no air: two capacities, one resistance


def reefer(unit: Unit = UNIT, **changes: float) -> Space:
    constants = {"air_j_k": 1.3e5, "lining_j_k": 7e5, "lining_w_k": 260.0, "initial_c": 2.0} | changes
    return Space("body", unit, **constants)


def run(space: Space, schedule: Schedule, outdoor_c: float = 28.0, loads: tuple[Load, ...] = ()) -> Model:
    moves = [Move(load.name, 0.0, "body", temperature_c=2.0) for load in loads]
    model = Model([space], loads or [Load("none", 1.0, 0.0, 0.0)], moves, schedule, still_weather(outdoor_c))
    model.run_to(STEPS * STEP_S)
    return model


def test_an_empty_body_without_cooling_warms_as_one_resistance_and_one_capacity() -> None:
    space = reefer(NO_UNIT, lining_w_k=5000.0, leak_w_k=0.0, shell_w_k=40.0, lining_j_k=2e6)
    air = run(space, Schedule()).air("body")
    expected = 28.0 - 26.0 * np.exp(-np.arange(STEPS) * STEP_S * 40.0 / (1.3e5 + 2e6))
    assert np.abs(air - expected).max() < 0.3


def test_heat_is_neither_made_nor_lost_but_by_breathing() -> None:
    space = reefer(NO_UNIT, shell_w_k=0.0, leak_w_k=0.0, lining_w_k=0.0, initial_c=20.0)
    model = run(space, Schedule(), loads=(Load("fruit", 500.0, 200.0, 50.0),))
    outer, core = model.outer("fruit"), model.core("fruit")
    heat = 500.0 * FRUIT_J_KG_K * (0.35 * outer + 0.65 * core) + 1.3e5 * model.air("body")
    breathing_w = 500.0 * (0.35 * respiration_w_kg(outer) + 0.65 * respiration_w_kg(core))
    assert heat[-1] - heat[0] == pytest.approx(breathing_w[1:].sum() * STEP_S, rel=0.02)


def test_a_running_unit_holds_its_set_point_and_a_dead_one_does_not() -> None:
    held = run(reefer(), Schedule()).return_air("body")[180:]
    assert np.abs(held - 2.0).max() < 1.5
    dead = run(reefer(), Schedule(power={"body": (Spell(0.0, HOUR),)})).return_air("body")
    assert dead[int(0.9 * 180)] < 3.0
    assert dead[2 * 180] > 7.0


def test_fruit_holds_a_failed_body_colder_than_an_empty_one() -> None:
    failed = Schedule(power={"body": (Spell(0.0, HOUR),)})
    empty = run(reefer(), failed).air("body")[-1]
    full = run(reefer(), failed, loads=(Load("fruit", 2000.0, 120.0, 60.0),)).air("body")[-1]
    assert full < empty - 3.0


def test_a_defrost_shows_in_the_return_air_for_minutes_and_hardly_in_the_room() -> None:
    model = run(reefer(), Schedule(defrosts={"body": (2 * HOUR,)}))
    around = slice(int(1.9 * 180), 3 * 180)
    spike = model.return_air("body")[around]
    assert spike.max() > 4.0
    assert (spike > LIMIT_C).sum() * STEP_S < 20 * MINUTE
    assert np.ptp(model.air("body")[around]) < np.ptp(spike)


def test_stepping_in_pieces_is_stepping_at_once() -> None:
    pieces = Model(*_small(), still_weather(28.0))
    for hour in range(1, 7):
        pieces.run_to(hour * HOUR - 1234)
    pieces.run_to(6 * HOUR)
    whole = Model(*_small(), still_weather(28.0))
    whole.run_to(6 * HOUR)
    assert np.array_equal(pieces.air("body"), whole.air("body"))


def _small() -> tuple[list[Space], list[Load], list[Move], Schedule]:
    return [reefer()], [Load("fruit", 500.0, 50.0, 20.0)], [Move("fruit", HOUR, "body", 20.0)], Schedule()


def test_the_weather_is_june_in_zhejiang_and_no_sine() -> None:
    weather = make_weather(np.random.default_rng(1), MORNING, 3 * 24 * 180, STEP_S)
    assert 17.0 < weather.outdoor_c.min() < 24.0
    assert 26.0 < weather.outdoor_c.max() < 36.0
    hour = (3 + np.arange(3 * 24 * 180) / 180) % 24
    assert weather.sun_w_m2[(hour > 20) | (hour < 4)].max() == 0.0
    assert weather.sun_w_m2.max() > 400.0
    days = weather.outdoor_c.reshape(3, -1)
    assert np.abs(days[0] - days[1]).max() > 0.3


def test_the_lot_is_cooled_in_hours_and_kept() -> None:
    a_world = world()
    plan, model = a_world.plan, rooms.build(a_world.plan)
    model.run_to(30 * HOUR)
    for pick in plan.picks:
        core = model.core(pick.plot.name)
        assert core[int(pick.cooling_from // STEP_S)] > 22.0
        assert core[int(pick.cooled_at // STEP_S)] < 4.5
    stored = slice(int((max(plan.stored_at) + HOUR) // STEP_S), int(plan.trips[0].doors_open_at // STEP_S))
    for unit in plan.units:
        assert 0.0 < model.outer(unit.name)[stored].min() <= model.core(unit.name)[stored].max() < 3.5
    assert np.isfinite(model.air("coldstore")).all()


def test_the_failing_truck_warms_and_the_other_does_not() -> None:
    a_world = world(3)
    plan, model = a_world.plan, rooms.build(a_world.plan)
    model.run_to(30 * HOUR)
    sound, failing = plan.trips
    driving = slice(int((sound.departed_at + 40 * MINUTE) // STEP_S), int(sound.arrived_at // STEP_S))
    assert np.median(model.return_air("truck-1")[driving]) < 3.0
    assert failing.failed_from is not None
    hour_later = int((failing.failed_from + 45 * MINUTE) // STEP_S)
    assert model.return_air("truck-2")[hour_later] > LIMIT_C + 2.0
