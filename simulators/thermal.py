"""Heat: rooms, reefer bodies and the fruit in them as lumped masses, stepped forward in time.

In the line: scenario says what is where and what fails -> this model says how warm every mass truly is ->
truth and devices read it. Contract: explicit Euler steps of `STEP_S` seconds, vectors over all spaces and all
loads; the same inputs give the same temperatures, however far apart `run_to` is called.

A space has air, a lining (walls, floor, racks), a coil, and two places where a sensor sits that are not the
room's air: before the coil (return) and behind it (supply). A load has an outer layer of boxes, which sees
the air, and a core, which sees the outer layer. Constants are those of a farm's cold rooms and of 7.6 m
reefer bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.climate import Weather

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STEP_S: Final = 20
FRUIT_J_KG_K: Final = 3700.0  # bayberry, nine tenths water
LOBBY_C: Final = 12.0  # what a sheltered door opens to
FROST_FACTOR: Final = 2.5  # ice on a coil makes it slow to warm
COIL_FLOOR_C: Final = -12.0
STILL_AIR: Final = 0.06  # of a coil's heat exchange, with its fan off


@dataclass(frozen=True, slots=True)
class Unit:
    """A refrigeration unit. `band_c`: hysteresis of an on/off compressor around the set point; a `modulating`
    unit instead works in proportion to the distance, with `band_c` the distance of full power."""

    set_point_c: float
    capacity_w: float
    band_c: float
    coil_j_k: float
    coil_w_k: float
    defrost_w: float
    modulating: bool = False
    defrost_end_c: float = 10.0
    defrost_max_s: int = 1080


@dataclass(frozen=True, slots=True)
class Space:
    """`shell_w_k`: lining to outdoors; `leak_w_k`: air to outdoors; `door_w_k`: an open door, of which
    `door_outdoor` sees the weather and the rest a lobby; `sun_k_m2_w`: what sunshine adds to the outdoor
    temperature; `airflow`: how fast air moves past a load, 1 being a cold store. `unit` None: open to the
    weather."""

    name: str
    unit: Unit | None = None
    air_j_k: float = 1e5
    lining_j_k: float = 1e6
    lining_w_k: float = 200.0
    shell_w_k: float = 40.0
    leak_w_k: float = 5.0
    door_w_k: float = 400.0
    door_outdoor: float = 1.0
    sun_k_m2_w: float = 0.0
    gain_w: float = 0.0
    airflow: float = 1.0
    initial_c: float = 25.0
    offset_c: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """`air_w_k`: outer layer to air at airflow 1; `core_w_k`: core to outer layer; `outer_share` of the
    mass."""

    name: str
    mass_kg: float
    air_w_k: float
    core_w_k: float
    outer_share: float = 0.35


@dataclass(frozen=True, slots=True)
class Move:
    """From `at_s` on the load is in `space`. A first move gives `temperature_c`, or the loads it is made
    `of`."""

    load: str
    at_s: float
    space: str
    temperature_c: float | None = None
    of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spell:
    """From `from_s` until `to_s`, to the degree `amount` (a door half open is 0.5)."""

    from_s: float
    to_s: float
    amount: float = 1.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """By space name: doors open, units powered (absent: always), defrosts begin (s)."""

    doors: dict[str, tuple[Spell, ...]] = field(default_factory=dict)
    power: dict[str, tuple[Spell, ...]] = field(default_factory=dict)
    defrosts: dict[str, tuple[float, ...]] = field(default_factory=dict)


def respiration_w_kg(temperature_c: FloatArray) -> FloatArray:
    """Heat of living fruit: about 0.03 W/kg at 0 °C, tripling every 10 °C."""
    heat: FloatArray = 0.03 * np.exp(0.11 * temperature_c)
    return heat


def on_grid(spells: Sequence[Spell], steps: int) -> FloatArray:
    """The amount in each step, the largest where spells overlap."""
    amount = np.zeros(steps)
    for spell in spells:
        first, last = (
            int(spell.from_s // STEP_S),
            max(int(spell.from_s // STEP_S) + 1, round(spell.to_s / STEP_S)),
        )
        amount[first:last] = np.maximum(amount[first:last], spell.amount)
    return amount


class Model:
    """The world's heat from its start on. Temperatures are kept for every step done, one column a mass."""

    def __init__(
        self,
        spaces: Sequence[Space],
        loads: Sequence[Load],
        moves: Sequence[Move],
        schedule: Schedule,
        weather: Weather,
    ) -> None:
        self.spaces, self.loads = tuple(spaces), tuple(loads)
        self._space = {space.name: k for k, space in enumerate(spaces)}
        self._load = {load.name: k for k, load in enumerate(loads)}
        self._weather = weather
        self.steps = weather.outdoor_c.size
        self.done = 0
        self._stepping = Lock()  # the player asks ahead in one thread, truth in another
        self._air = np.empty((self.steps, len(spaces)))
        self._returned = np.empty_like(self._air)
        self._supplied = np.empty_like(self._air)
        self._outer = np.full((self.steps, len(loads)), np.nan)
        self._core = np.full((self.steps, len(loads)), np.nan)
        self._moves = sorted(moves, key=lambda move: move.at_s)
        self._read_constants()
        self._read_schedule(schedule)
        self._reset()

    def run_to(self, time_s: float) -> None:
        """Be ready to answer for every time up to `time_s`; the model's end bounds it."""
        last = min(self.steps, int(time_s // STEP_S) + 2)
        with self._stepping:
            for step in range(self.done, last):
                self._apply_moves(step)
                self._step(step)
            self.done = max(self.done, last)

    @property
    def time_s(self) -> FloatArray:
        """Of every step done, seconds from the world's start."""
        return STEP_S * np.arange(self.done, dtype=np.float64)

    def air(self, space: str) -> FloatArray:
        return self._air[: self.done, self._space[space]]

    def return_air(self, space: str) -> FloatArray:
        return self._returned[: self.done, self._space[space]]

    def supply_air(self, space: str) -> FloatArray:
        return self._supplied[: self.done, self._space[space]]

    def outer(self, load: str) -> FloatArray:
        """NaN before the load exists."""
        return self._outer[: self.done, self._load[load]]

    def core(self, load: str) -> FloatArray:
        return self._core[: self.done, self._load[load]]

    def door(self, space: str) -> FloatArray:
        """How far open, 0 to 1."""
        return self._door[: self.done, self._space[space]]

    def around(self, load: str) -> FloatArray:
        """The air where the load is; NaN before it exists."""
        column = self._load[load]
        path = np.full(self.done, -1, dtype=np.int64)
        for move in self._moves:
            if move.load == load:
                path[_step_of(move.at_s) :] = self._space[move.space]
        found: FloatArray = np.where(path >= 0, self._air[np.arange(self.done), path], np.nan)
        return np.where(np.isnan(self._outer[: self.done, column]), np.nan, found)

    def _read_constants(self) -> None:
        spaces, loads = self.spaces, self.loads

        def of(name: str) -> FloatArray:
            return np.array([float(getattr(space, name)) for space in spaces])

        def of_unit(name: str, without: float) -> FloatArray:
            return np.array(
                [without if space.unit is None else float(getattr(space.unit, name)) for space in spaces]
            )

        self._air_j, self._lining_j = of("air_j_k"), of("lining_j_k")
        self._lining_w, self._shell_w, self._leak_w = of("lining_w_k"), of("shell_w_k"), of("leak_w_k")
        self._door_w, self._door_outdoor = of("door_w_k"), of("door_outdoor")
        self._sun, self._gain, self._airflow = of("sun_k_m2_w"), of("gain_w"), of("airflow")
        self._open = np.array([space.unit is None for space in spaces])
        self._offset = of("offset_c")
        self._set, self._band = of_unit("set_point_c", 0.0), of_unit("band_c", 1.0)
        self._capacity, self._modulating = of_unit("capacity_w", 0.0), of_unit("modulating", 0.0) > 0
        self._coil_j, self._coil_w = of_unit("coil_j_k", 1e5), of_unit("coil_w_k", 0.0)
        self._defrost_w = of_unit("defrost_w", 0.0)
        self._defrost_end, self._defrost_max = of_unit("defrost_end_c", 0.0), of_unit("defrost_max_s", 0.0)
        mass = np.array([load.mass_kg for load in loads])
        share = np.array([load.outer_share for load in loads])
        self._outer_kg, self._core_kg = mass * share, mass * (1.0 - share)
        self._load_air_w = np.array([load.air_w_k for load in loads])
        self._load_core_w = np.array([load.core_w_k for load in loads])

    def _read_schedule(self, schedule: Schedule) -> None:
        names = [space.name for space in self.spaces]
        self._door = np.stack([on_grid(schedule.doors.get(name, ()), self.steps) for name in names], axis=1)
        always = (Spell(0.0, self.steps * STEP_S),)
        power = np.stack([on_grid(schedule.power.get(name, always), self.steps) for name in names], axis=1)
        self._power = (power > 0) & ~self._open
        self._defrost_at: dict[int, list[int]] = {}
        for name, times in schedule.defrosts.items():
            for time_s in times:
                self._defrost_at.setdefault(_step_of(time_s), []).append(self._space[name])

    def _reset(self) -> None:
        initial = np.array([space.initial_c for space in self.spaces])
        self._t_air = initial.copy()
        self._t_lining, self._t_coil = initial.copy(), initial.copy()
        self._t_return, self._t_supply = initial.copy(), initial.copy()
        self._running = np.zeros(len(self.spaces), dtype=bool)
        self._defrosting_s = np.zeros(len(self.spaces))  # 0: not defrosting
        self._t_outer = np.full(len(self.loads), 20.0)
        self._t_core = np.full(len(self.loads), 20.0)
        self._where: IntArray = np.zeros(len(self.loads), dtype=np.int64)
        self._there = np.zeros(len(self.loads), dtype=bool)
        self._next_move = 0
        self._couple_loads()

    def _apply_moves(self, step: int) -> None:
        moved = False
        while self._next_move < len(self._moves) and _step_of(self._moves[self._next_move].at_s) <= step:
            move = self._moves[self._next_move]
            self._next_move += 1
            load = self._load[move.load]
            self._where[load] = self._space[move.space]
            if not self._there[load]:
                self._t_outer[load] = self._t_core[load] = self._birth_temperature(move)
                self._there[load] = True
            for source in move.of:
                self._there[self._load[source]] = False
            moved = True
        if moved:
            self._couple_loads()

    def _couple_loads(self) -> None:
        """What follows from where the loads are; zero for a load that does not exist."""
        self._to_air_w_k = self._there * self._load_air_w * self._airflow[self._where]
        alive = STEP_S / FRUIT_J_KG_K * self._there
        self._outer_k_w, self._core_k_w = alive / self._outer_kg, alive / self._core_kg

    def _birth_temperature(self, move: Move) -> float:
        if move.temperature_c is not None:
            return move.temperature_c
        sources = [self._load[source] for source in move.of]
        heat = (
            self._outer_kg[sources] * self._t_outer[sources] + self._core_kg[sources] * self._t_core[sources]
        )
        return float(heat.sum() / (self._outer_kg[sources] + self._core_kg[sources]).sum())

    def _step(self, step: int) -> None:
        outdoor = self._weather.outdoor_c[step]
        outside = outdoor + self._sun * self._weather.sun_w_m2[step]
        powered = self._power[step]
        defrosting = self._begin_and_end_defrosts(step, powered)
        fan = powered & ~defrosting
        to_coil = np.where(fan, self._coil_w, STILL_AIR * self._coil_w) * (self._t_air - self._t_coil)
        to_lining = self._lining_w * (self._t_air - self._t_lining)
        door_c = LOBBY_C + self._door_outdoor * (outdoor - LOBBY_C)
        through_door = self._door_w * self._door[step] * (door_c - self._t_air)
        leaking = self._leak_w * (outdoor - self._t_air)
        to_air = self._step_loads() + through_door + leaking + self._gain - to_coil - to_lining
        to_coil = to_coil - self._cooling_w(fan)
        coil_j = self._coil_j
        if defrosting.any():
            to_coil = to_coil + defrosting * self._defrost_w
            coil_j = np.where(defrosting, FROST_FACTOR * coil_j, coil_j)
        to_lining += self._shell_w * (outside - self._t_lining)
        self._t_air = np.where(
            self._open, outside + self._offset, self._t_air + STEP_S * to_air / self._air_j
        )
        self._t_lining += STEP_S * to_lining / self._lining_j
        self._t_coil += STEP_S * to_coil / coil_j
        self._step_sensors(fan, defrosting)
        self._record(step)

    def _record(self, step: int) -> None:
        self._air[step] = self._t_air
        self._returned[step] = self._t_return
        self._supplied[step] = self._t_supply
        self._outer[step] = np.where(self._there, self._t_outer, np.nan)
        self._core[step] = np.where(self._there, self._t_core, np.nan)

    def _begin_and_end_defrosts(self, step: int, powered: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        for space in self._defrost_at.get(step, ()):
            self._defrosting_s[space] = float(powered[space]) * STEP_S
        on = self._defrosting_s > 0
        if on.any():
            over = (self._t_coil >= self._defrost_end) | (self._defrosting_s > self._defrost_max) | ~powered
            self._defrosting_s = np.where(on & ~over, self._defrosting_s + STEP_S, 0.0)
            on = self._defrosting_s > 0
        return on

    def _step_loads(self) -> FloatArray:
        """Steps the loads; returns the heat that each space's air takes from them, W."""
        to_air = self._to_air_w_k * (self._t_outer - self._t_air[self._where])
        to_outer = self._load_core_w * (self._t_core - self._t_outer)
        outer_w = self._outer_kg * respiration_w_kg(self._t_outer) + to_outer - to_air
        core_w = self._core_kg * respiration_w_kg(self._t_core) - to_outer
        self._t_outer += self._outer_k_w * outer_w
        self._t_core += self._core_k_w * core_w
        by_space: FloatArray = np.bincount(self._where, to_air, len(self.spaces)).astype(np.float64)
        return by_space

    def _cooling_w(self, may_run: npt.NDArray[np.bool_]) -> FloatArray:
        above = self._t_return - self._set
        self._running = (above > self._band) | (self._running & (above >= -self._band))
        duty = np.where(self._modulating, _between_0_and_1(0.25 + above / self._band), self._running)
        # A coil near its floor takes up little.
        fed = _between_0_and_1((self._t_coil - COIL_FLOOR_C) / 6.0)
        cooling: FloatArray = may_run * duty * fed * self._capacity
        return cooling

    def _step_sensors(self, fan: npt.NDArray[np.bool_], defrosting: npt.NDArray[np.bool_]) -> None:
        """The return probe hangs before the coil and is warmed by it while the fan stands still in a
        defrost."""
        seen = self._t_air + np.where(defrosting, 0.42, 0.0) * (self._t_coil - self._t_air)
        self._t_return += STEP_S / 80.0 * (seen - self._t_return)
        blown = self._t_air + np.where(fan, 0.8, 0.5) * (self._t_coil - self._t_air)
        self._t_supply += STEP_S / 60.0 * (blown - self._t_supply)


def _between_0_and_1(value: FloatArray) -> FloatArray:
    limited: FloatArray = np.minimum(np.maximum(value, 0.0), 1.0)  # a third of what np.clip costs here
    return limited


def _step_of(time_s: float) -> int:
    return int(time_s // STEP_S)
