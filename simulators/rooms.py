"""The plan as bodies: which rooms, reefer bodies and loads the thermal model steps, and what moves and opens
when.

In the line: plan -> spaces, loads, moves, schedule -> `thermal.Model`. Contract: every body's path follows
the plan's event times up to the minutes that carrying takes; ordinary disturbances (doors, defrosts, people)
are drawn from the plan's seed and are never what the plan calls a failure.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulators import places
from simulators.climate import make_weather
from simulators.scenario import HOUR, LIFETIME_S, MINUTE, Dice, LoadUnit, Plan, Trip
from simulators.thermal import STEP_S, Load, Model, Move, Schedule, Space, Spell, Unit

STEPS: Final = LIFETIME_S // STEP_S
TRUCKS: Final = ("truck-1", "truck-2")

_SPACES: Final = (
    Space("field", offset_c=-0.5),
    Space("collection", offset_c=1.0),
    Space("dock", offset_c=-3.0),
    Space(
        "precooling",
        Unit(0.8, 40_000, 3.0, 4e5, 6000, 9000, modulating=True),
        air_j_k=7e5,
        lining_j_k=1.2e7,
        lining_w_k=900,
        shell_w_k=90,
        leak_w_k=30,
        door_w_k=900,
        door_outdoor=0.7,
        gain_w=1500,
        airflow=6.0,
        initial_c=1.5,
    ),
    Space(
        "packhouse",
        Unit(2.2, 22_000, 0.5, 3e5, 3500, 6000),
        air_j_k=9e5,
        lining_j_k=2.5e7,
        lining_w_k=1500,
        shell_w_k=160,
        leak_w_k=50,
        door_w_k=800,
        door_outdoor=0.3,
        gain_w=2200,
        initial_c=2.4,
    ),
    Space(
        "coldstore",
        Unit(0.8, 16_000, 0.6, 3e5, 3000, 6000),
        air_j_k=9e5,
        lining_j_k=3e7,
        lining_w_k=1600,
        shell_w_k=140,
        leak_w_k=30,
        door_w_k=800,
        door_outdoor=0.3,
        gain_w=500,
        initial_c=1.0,
    ),
    Space(
        "stall",
        Unit(1.8, 6500, 0.6, 1.2e5, 1300, 3000),
        air_j_k=2.5e5,
        lining_j_k=6e6,
        lining_w_k=500,
        shell_w_k=60,
        leak_w_k=15,
        door_w_k=420,
        door_outdoor=0.8,
        gain_w=250,
        airflow=1.2,
        initial_c=2.0,
    ),
    Space(
        "shop",
        Unit(3.5, 1800, 0.7, 4e4, 350, 900),
        air_j_k=5e4,
        lining_j_k=5e5,
        lining_w_k=120,
        shell_w_k=14,
        leak_w_k=10,
        door_w_k=60,
        door_outdoor=0.75,
        gain_w=60,
        initial_c=4.0,
    ),
)
BLOCKED_DOOR: Final = (
    1.7  # both leaves held open by trolleys going in and out, against one leaf for one person
)
# The second body's seals are worn: it leaks three times as much, which a running unit hides.
_LEAK_W_K: Final = {"truck-1": 9.0, "truck-2": 30.0}


def build(plan: Plan) -> Model:
    """The world's thermal model, not yet stepped."""
    weather = make_weather(np.random.default_rng([plan.seed, 2]), plan.start, STEPS, STEP_S)
    dice = Dice(np.random.default_rng([plan.seed, 3]))
    spaces = (*_SPACES, *(_reefer(name) for name in TRUCKS))
    loads = (*_picked(plan), *(_unit_load(unit) for unit in plan.units), *_other_goods())
    moves = (*_moves_of_picks(plan), *_moves_of_units(plan), *_moves_of_other_goods(plan))
    return Model(spaces, loads, moves, _schedule(plan, dice), weather)


def _reefer(name: str) -> Space:
    unit = Unit(1.8, 7500, 2.0, 6e4, 900, 2600, modulating=True)
    return Space(
        name,
        unit,
        air_j_k=1.3e5,
        lining_j_k=7e5,
        lining_w_k=260,
        shell_w_k=48,
        leak_w_k=_LEAK_W_K[name],
        door_w_k=520,
        door_outdoor=0.55,
        sun_k_m2_w=0.012,
        gain_w=120,
    )


def _picked(plan: Plan) -> tuple[Load, ...]:
    """Fruit in open crates: air reaches nearly all of it."""
    return tuple(
        Load(pick.plot.name, pick.total_kg, 0.34 * pick.total_kg, 0.75 * pick.total_kg, 0.6)
        for pick in plan.picks
    )


def _unit_load(unit: LoadUnit) -> Load:
    """Two-kilogram foam boxes: about 0.45 W/K each, of whose walls half face a neighbour. A floor load is
    looser."""
    per_box = 0.23 if unit.floor else 0.2
    return Load(unit.name, unit.boxes * 2.0, per_box * unit.boxes, 0.065 * unit.boxes)


def _other_goods() -> tuple[Load, ...]:
    """What else lies there: another co-op's fruit on the trucks, older stock in the rooms."""
    trucks = tuple(Load(f"goods-{name}", 900.0, 42.0, 20.0) for name in TRUCKS)
    return (*trucks, Load("stock-coldstore", 5000.0, 420.0, 160.0), Load("stock-stall", 600.0, 60.0, 25.0))


def _moves_of_picks(plan: Plan) -> tuple[Move, ...]:
    moves = []
    for pick in plan.picks:
        name = pick.plot.name
        moves += [
            Move(name, pick.picked_at, "field", temperature_c=pick.pulp_c),
            Move(name, pick.received_at - 4 * MINUTE, "collection"),
            Move(name, pick.cooling_from, "precooling"),
            Move(name, plan.run_begun_at, "packhouse"),
        ]
    return tuple(moves)


def _moves_of_units(plan: Plan) -> tuple[Move, ...]:
    sources = tuple(pick.plot.name for pick in plan.picks)
    moves = []
    for unit in plan.units:
        moves += [
            Move(unit.name, plan.run_at, "packhouse", of=sources),
            Move(unit.name, plan.stored(unit), "coldstore"),
        ]
        trip = plan.trip_of(unit)
        if trip is not None:
            loaded = trip.floor_at if unit.floor else trip.pallets_at
            moves += [
                Move(unit.name, loaded - MINUTE, TRUCKS[trip.truck]),
                Move(unit.name, trip.unloaded_at - 1.5 * MINUTE, "dock"),
                Move(unit.name, trip.accepted_at + MINUTE, "stall"),
            ]
    return tuple(moves)


def _moves_of_other_goods(plan: Plan) -> tuple[Move, ...]:
    stock = (
        Move("stock-coldstore", 0.0, "coldstore", temperature_c=1.2),
        Move("stock-stall", 0.0, "stall", temperature_c=2.4),
    )
    trucks: list[Move] = []
    for trip in plan.trips:
        name = f"goods-{TRUCKS[trip.truck]}"
        trucks += [
            Move(name, trip.pallets_at - 3 * MINUTE, TRUCKS[trip.truck], temperature_c=2.0),
            Move(name, trip.unloaded_at, "dock"),
        ]
    return (*stock, *trucks)


def _schedule(plan: Plan, dice: Dice) -> Schedule:
    doors = {
        "precooling": _precooling_doors(plan),
        "packhouse": _openings(
            dice, plan.run_begun_at, max(plan.stored_at), every_min=(7, 16), for_min=(0.5, 2.0)
        ),
        "coldstore": _cold_store_doors(plan, dice),
        "stall": _stall_doors(plan, dice),
        "shop": _openings(dice, 0.0, LIFETIME_S, every_min=(9, 40), for_min=(0.4, 1.2)),
    }
    power: dict[str, tuple[Spell, ...]] = {}
    defrosts = {
        name: _defrosts(dice, 0.0, every_h)
        for name, every_h in (("coldstore", 8.0), ("stall", 8.0), ("shop", 6.0))
    }
    defrosts["precooling"] = (plan.picks[0].cooling_from - 30 * MINUTE,)
    for trip in plan.trips:
        name = TRUCKS[trip.truck]
        doors[name] = _truck_doors(trip)
        power[name] = _truck_power(trip)
        defrosts[name] = (trip.departed_at + dice.minutes(12, 24), trip.departed_at + dice.minutes(165, 190))
    return Schedule(doors, power, defrosts)


def _openings(
    dice: Dice, begin: float, end: float, every_min: tuple[float, float], for_min: tuple[float, float]
) -> tuple[Spell, ...]:
    spells = []
    at = begin + dice.minutes(*every_min)
    while at < end:
        shut = at + dice.minutes(*for_min)
        spells.append(Spell(at, shut, dice.between(0.5, 1.0)))
        at = shut + dice.minutes(*every_min)
    return tuple(spells)


def _precooling_doors(plan: Plan) -> tuple[Spell, ...]:
    filling = tuple(
        Spell(pick.cooling_from - 4 * MINUTE, pick.cooling_from + 3 * MINUTE) for pick in plan.picks
    )
    return (*filling, Spell(plan.run_begun_at - 3 * MINUTE, plan.run_begun_at + 3 * MINUTE))


def _cold_store_doors(plan: Plan, dice: Dice) -> tuple[Spell, ...]:
    storing = tuple(Spell(at - 2 * MINUTE, at + 2 * MINUTE) for at in plan.stored_at)
    loading = tuple(Spell(trip.pallets_at - 4 * MINUTE, trip.floor_at, 0.6) for trip in plan.trips)
    return (*_openings(dice, 0.0, LIFETIME_S, (35, 110), (1.0, 3.0)), *storing, *loading)


def _stall_doors(plan: Plan, dice: Dice) -> tuple[Spell, ...]:
    bringing_in = tuple(Spell(trip.accepted_at, trip.accepted_at + 3 * MINUTE) for trip in plan.trips)
    ordinary = (*_openings(dice, 0.0, LIFETIME_S, (8, 32), (0.5, 1.8)), *bringing_in)
    return ordinary if plan.stall_door is None else (*ordinary, Spell(*plan.stall_door, amount=BLOCKED_DOOR))


def _truck_doors(trip: Trip) -> tuple[Spell, ...]:
    """Open at the loading dock and at the market's; once on the way, for the driver's look at the load."""
    look = Spell(trip.rest_from + 2 * MINUTE, trip.rest_from + 4.5 * MINUTE, 0.5)
    return (
        Spell(trip.doors_open_at, trip.doors_shut_at, 0.45),
        look,
        Spell(trip.dock_at, trip.unloaded_at + 6 * MINUTE, 0.6),
    )


def _truck_power(trip: Trip) -> tuple[Spell, ...]:
    """Cooled before loading, off while the doors stand open at a dock, off for good after the night's
    work."""
    off = [(trip.doors_open_at, trip.doors_shut_at)]
    if trip.failed_from is not None and trip.failed_to is not None:
        off.append((trip.failed_from, trip.failed_to))
    spells = []
    at = trip.cooled_from
    for begin, end in off:
        spells.append(Spell(at, begin))
        at = end
    return (*spells, Spell(at, trip.dock_at)) if at < trip.dock_at else tuple(spells)


def _defrosts(dice: Dice, begin: float, every_h: float) -> tuple[float, ...]:
    first = begin + dice.between(0.5, every_h) * HOUR
    return tuple(float(at) for at in np.arange(first, LIFETIME_S, every_h * HOUR))


def road_km(trip: Trip, time_s: places.FloatArray) -> places.FloatArray:
    """How far along the road a truck is; 0 before it leaves, the road's length once it is at the gate."""
    rest_km = places.MILESTONES_KM[places.REST_AREA]
    at = np.array([trip.departed_at, trip.rest_from, trip.rest_to, trip.arrived_at])
    km = np.array([0.0, rest_km, rest_km, places.ROAD_KM])
    travelled: places.FloatArray = np.interp(time_s, at, km)
    return travelled


def on_road_between(trip: Trip, from_name: str, to_name: str) -> tuple[float, float]:
    """When the truck is between two waypoints, seconds from the world's start."""
    grid = np.arange(trip.departed_at, trip.arrived_at, 5.0)
    km = road_km(trip, grid)
    inside = grid[(km >= places.MILESTONES_KM[from_name]) & (km <= places.MILESTONES_KM[to_name])]
    return float(inside[0]), float(inside[-1])
