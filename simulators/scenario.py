"""The plan of one world: who does what with which fruit, when, and what goes wrong, all drawn from the seed.

In the line: plan -> thermal model, truth, devices, events. Contract: `draw(seed, start)` decides everything
that is decided at all; nothing later draws a time. Times are seconds from the world's start, so that the same
seed tells the same story at another hour of the day, under another sun. `*_at` times of events are also the
times of the bodies' moves, up to the minutes that loading and carrying take.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import numpy as np

from simulators import keys, places
from simulators.climate import LOCAL

LIFETIME_S: Final = 126 * 3600  # 36 hours before now, and 90 after
MINUTE: Final = 60.0
HOUR: Final = 3600.0
BOX_KG: Final = 2.0
GTIN: Final = keys.gtin(20)
PICKED_CLASS: Final = f"{keys.OWN}/class/yangmei-dongkui"

Seat = Literal["outer", "core", "on_top"]
Second = Literal["none", "stall_door", "engine_off_in_queue"]
Severity = Literal["dies", "recovers"]


@dataclass(frozen=True, slots=True)
class Pick:
    """One grower's fruit, from the tree to the run. `again_*`: a later pick into the same lot, or None."""

    plot: places.Plot
    lot: str
    kg: float
    again_kg: float | None
    begun_at: float
    picked_at: float
    again_at: float | None
    received_at: float
    cooling_from: float
    cooled_at: float
    pulp_c: float

    @property
    def total_kg(self) -> float:
        return self.kg + (self.again_kg or 0.0)


@dataclass(frozen=True, slots=True)
class LoadUnit:
    """Boxes that travel as one, with or without a pallet. `first`..`last`: box numbers within the lot,
    inclusive. `seat`: where its logger really lies; it is registered as in a box. `truck` None: stays in the
    cold store."""

    name: str
    sscc: str
    lot: str
    first: int
    last: int
    truck: int | None
    floor: bool
    logger: str
    seat: Seat
    packed_at: float

    @property
    def boxes(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Trip:
    """One truck's night. `failed_from`..`failed_to`: its unit does not cool, for whatever reason."""

    truck: int
    cooled_from: float
    doors_open_at: float
    pallets_at: float
    floor_at: float
    doors_shut_at: float
    departed_at: float
    rest_from: float
    rest_to: float
    arrived_at: float
    dock_at: float
    unloaded_at: float
    inspected_at: float
    accepted_at: float
    failed_from: float | None
    failed_to: float | None
    seal: str


@dataclass(frozen=True, slots=True)
class Refusal:
    unit: str
    sscc: str
    boxes: int
    reason: str
    unpacked_at: float
    packed_at: float
    judged_at: float
    destroyed_at: float


@dataclass(frozen=True, slots=True)
class ShopDrop:
    """A part of one unit, sent to the shop under its own SSCC."""

    unit: str
    sscc: str
    boxes: int
    unpacked_at: float
    packed_at: float


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    start: datetime
    day: str
    lot: str
    lot_b: str
    picks: tuple[Pick, ...]
    run_begun_at: float
    run_at: float
    boxes_a: int
    boxes_b: int
    cull_kg: float
    units: tuple[LoadUnit, ...]
    stored_at: tuple[float, ...]
    trips: tuple[Trip, ...]
    severity: Severity
    second: Second
    stall_door: tuple[float, float] | None
    refusal: Refusal
    sampled_at: float
    tested_at: float
    inhibition_percent: float
    drops: tuple[ShopDrop, ...]
    shipped_at: float
    shelved_at: float
    shop_sales: tuple[tuple[float, int], ...]
    stall_sales: tuple[tuple[float, str, int], ...]
    misplaced_until: float
    lost: tuple[str, float, float]

    def unit(self, name: str) -> LoadUnit:
        return next(unit for unit in self.units if unit.name == name)

    def trip_of(self, unit: LoadUnit) -> Trip | None:
        return None if unit.truck is None else self.trips[unit.truck]

    def stored(self, unit: LoadUnit) -> float:
        return self.stored_at[2 if unit.truck is None else unit.truck]

    def serial(self, number: int) -> str:
        """A box's serial: unique over all lots of the GTIN, hence with the day in front."""
        return f"{self.day}{number:04d}"


class Dice:
    """Draws in words; one generator, so the order of the draws is the world's."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def between(self, low: float, high: float) -> float:
        return float(self._rng.uniform(low, high))

    def minutes(self, low: float, high: float) -> float:
        return self.between(low, high) * MINUTE

    def whole(self, low: int, high: int) -> int:
        """Both ends included."""
        return int(self._rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        return float(self._rng.uniform()) < share


def draw(seed: int, start: datetime) -> Plan:
    """`start`: aware. Raises ValueError for a naive start."""
    if start.tzinfo is None:
        raise ValueError("a world starts at an aware time, got a naive one")
    dice = Dice(np.random.default_rng([seed, 1]))
    local = start.astimezone(LOCAL)
    day = local.strftime("%y%m%d")
    severity: Severity = "dies" if dice.chance(0.7) else "recovers"
    second = _second_fault(dice, severity)
    picks = _draw_picks(dice, day)
    run_begun_at = max(pick.cooled_at for pick in picks) + dice.minutes(12, 20)
    run_at = run_begun_at + dice.minutes(45, 65)
    boxes_a, boxes_b, cull_kg = _sort(dice, sum(pick.total_kg for pick in picks))
    numbers = _Numbers(seed, start)
    units = _draw_units(dice, day, run_at, boxes_a, boxes_b, severity, second, numbers)
    stored = max(unit.packed_at for unit in units) + dice.minutes(10, 16)
    trips = _draw_trips(dice, severity, second)
    accepted = trips[1].accepted_at
    drop_at = accepted + dice.between(2.6, 3.4) * HOUR
    misplaced = next(unit for unit in units if unit.seat == "on_top")
    misplaced_trip = trips[misplaced.truck or 0]
    shelved_at = drop_at + dice.minutes(75, 105)
    drops = _draw_drops(drop_at, dice, units, numbers)
    return Plan(
        seed=seed,
        start=start,
        day=day,
        lot=f"DK{day}A",
        lot_b=f"DK{day}B",
        picks=picks,
        run_begun_at=run_begun_at,
        run_at=run_at,
        boxes_a=boxes_a,
        boxes_b=boxes_b,
        cull_kg=cull_kg,
        units=units,
        stored_at=(stored, stored + dice.minutes(8, 12), stored + dice.minutes(16, 20)),
        trips=trips,
        severity=severity,
        second=second,
        stall_door=_stall_door(dice, second, max(trip.accepted_at for trip in trips)),
        refusal=_draw_refusal(dice, severity, trips[1], units, numbers),
        sampled_at=accepted + dice.minutes(2, 5),
        tested_at=accepted + dice.minutes(26, 38),
        inhibition_percent=round(dice.between(4.0, 21.0), 1),
        drops=drops,
        shipped_at=drops[-1].packed_at + dice.minutes(6, 10),
        shelved_at=shelved_at,
        shop_sales=(
            (shelved_at + dice.between(3.2, 3.9) * HOUR, dice.whole(3, 6)),
            (shelved_at + 16 * HOUR, dice.whole(3, 5)),
        ),
        stall_sales=_draw_stall_sales(dice, drop_at, units),
        misplaced_until=misplaced_trip.accepted_at + dice.minutes(1, 2),
        lost=_draw_loss(dice, units, trips),
    )


class _Numbers:
    """Nine-digit references for SSCCs that no other world of the same database uses."""

    def __init__(self, seed: int, start: datetime) -> None:
        days = (start.astimezone(LOCAL).date() - datetime(2020, 1, 1).date()).days
        self._base = (days % 10_000) * 100_000 + (seed % 1000) * 100
        self._given = 0

    def sscc(self) -> str:
        self._given += 1
        return keys.sscc_uri(self._base + self._given)


def _second_fault(dice: Dice, severity: Severity) -> Second:
    """Half of the worlds have an ordinary second fault. Where the first reefer recovers soon, the misplaced
    probe rides on the other truck, whose engine is then left running: an open box would tell of two faults as
    one."""
    roll = dice.between(0.0, 1.0)
    if roll < 0.5:
        return "none"
    return "engine_off_in_queue" if roll < 0.75 and severity == "dies" else "stall_door"


def _draw_picks(dice: Dice, day: str) -> tuple[Pick, ...]:
    begun = [0.12 * HOUR + dice.minutes(0, 22) for _ in places.PLOTS]
    picked = [at + dice.minutes(42, 62) for at in begun]
    again = picked[0] + dice.minutes(18, 28)
    received = [max(at, again if k == 0 else 0.0) + dice.minutes(16, 30) for k, at in enumerate(picked)]
    cooling = [at + dice.minutes(22, 32) for at in received]
    cooled = max(cooling) + dice.between(2.5, 2.9) * HOUR
    return tuple(
        Pick(
            plot=plot,
            lot=f"{PICKED_CLASS}.{day}-{plot.name}",
            kg=round(dice.between(470.0, 690.0) * 2) / 2,
            again_kg=round(dice.between(90.0, 160.0) * 2) / 2 if k == 0 else None,
            begun_at=begun[k],
            picked_at=picked[k],
            again_at=again if k == 0 else None,
            received_at=received[k],
            cooling_from=cooling[k],
            cooled_at=cooled + k * dice.minutes(2, 4),
            pulp_c=dice.between(24.0, 26.5),
        )
        for k, plot in enumerate(places.PLOTS)
    )


def _sort(dice: Dice, total_kg: float) -> tuple[int, int, float]:
    """Boxes of grade A in six equal units, boxes of grade B, and the cull; about 1 % is lost as moisture."""
    sound = total_kg * (1.0 - dice.between(0.008, 0.014))
    boxes_a = int(sound * dice.between(0.78, 0.82) / BOX_KG) // 6 * 6
    boxes_b = int(sound * dice.between(0.09, 0.12) / BOX_KG)
    return boxes_a, boxes_b, round(sound - (boxes_a + boxes_b) * BOX_KG, 1)


def _draw_units(
    dice: Dice,
    day: str,
    run_at: float,
    boxes_a: int,
    boxes_b: int,
    severity: Severity,
    second: Second,
    numbers: _Numbers,
) -> tuple[LoadUnit, ...]:
    """Three units a truck, the third of them stacked on the floor; then grade B.

    Loggers lie in an outer box, in the core, or (one of them, whatever its label says) on top of the boxes. A
    truck that fails for the night carries two in outer boxes and one in the core, which it hardly reaches;
    one that recovers within the hour carries all three in cores, since an outer box would end within a
    whisker of 5 °C.
    """
    on_top = 4 if second == "engine_off_in_queue" else 0
    seats: list[Seat] = ["core", "outer", "core", "outer", "outer", "core"]
    seats[on_top] = "on_top"
    if second != "none":
        seats[1] = "core"  # else a second fault would leave that outer box within a whisker of 5 °C
    if severity == "recovers":
        seats[3], seats[4] = "core", "core"
    each = boxes_a // 6
    packed = run_at + dice.minutes(4, 7)
    units = []
    for k, seat in enumerate(seats):
        truck = k // 3
        units.append(
            LoadUnit(
                f"A{k + 1}",
                numbers.sscc(),
                f"DK{day}A",
                k * each + 1,
                (k + 1) * each,
                truck,
                k % 3 == 2,
                f"logger-{k + 1:02d}",
                seat,
                packed,
            )
        )
        packed += dice.minutes(5, 8)
    first_b = boxes_a + 1
    units.append(
        LoadUnit(
            "B1",
            numbers.sscc(),
            f"DK{day}B",
            first_b,
            boxes_a + boxes_b,
            None,
            False,
            "logger-07",
            "core",
            packed,
        )
    )
    return tuple(units)


def _draw_trips(dice: Dice, severity: Severity, second: Second) -> tuple[Trip, ...]:
    first = dice.between(14.3, 14.8) * HOUR
    begins = (first, first + dice.minutes(38, 52))
    return tuple(_draw_trip(dice, truck, floor_at, severity, second) for truck, floor_at in enumerate(begins))


def _draw_trip(dice: Dice, truck: int, floor_at: float, severity: Severity, second: Second) -> Trip:
    doors_shut = floor_at + dice.minutes(3, 4.5)
    departed = doors_shut + dice.minutes(10, 18)
    rest_minutes = dice.between(16, 24)
    driving = places.ROAD_KM / dice.between(68.0, 75.0) * HOUR
    rest_from = departed + driving * places.MILESTONES_KM[places.REST_AREA] / places.ROAD_KM
    failed_from: float | None = None
    failed_to: float | None = None
    if truck == 1:
        failed_from = departed + dice.between(0.5, 1.25) * HOUR
        if severity == "dies":
            rest_minutes += dice.between(15, 30)  # the driver calls the workshop, in vain
        else:
            failed_to = failed_from + dice.minutes(50, 64)
    arrived = departed + driving + rest_minutes * MINUTE
    queue = dice.minutes(42, 70)
    dock = arrived + queue
    if truck == 0 and second == "engine_off_in_queue":
        dock = arrived + dice.minutes(78, 100)
        failed_from, failed_to = arrived + dice.minutes(3, 6), dock - dice.minutes(2, 4)
    unloaded = dock + dice.minutes(6.5, 9)
    inspected = unloaded + dice.minutes(3, 4.5)
    accepted = inspected + (dice.minutes(2, 3) if truck == 0 else dice.minutes(9, 12))
    if failed_from is not None and failed_to is None:
        failed_to = LIFETIME_S  # a dead unit stays dead
    return Trip(
        truck=truck,
        cooled_from=floor_at - dice.between(1.3, 1.7) * HOUR,
        doors_open_at=floor_at - dice.minutes(11, 14),
        pallets_at=floor_at - dice.minutes(4, 6),
        floor_at=floor_at,
        doors_shut_at=doors_shut,
        departed_at=departed,
        rest_from=rest_from,
        rest_to=rest_from + rest_minutes * MINUTE,
        arrived_at=arrived,
        dock_at=dock,
        unloaded_at=unloaded,
        inspected_at=inspected,
        accepted_at=accepted,
        failed_from=failed_from,
        failed_to=failed_to,
        seal=f"JJ{dice.whole(10_000, 99_999):07d}",
    )


def _stall_door(dice: Dice, second: Second, accepted_at: float) -> tuple[float, float] | None:
    """The stall's door left open while a customer is served, longer than anyone meant."""
    if second != "stall_door":
        return None
    begun = accepted_at + dice.between(7.0, 8.5) * HOUR
    return begun, begun + dice.minutes(44, 60)


def _draw_refusal(
    dice: Dice, severity: Severity, trip: Trip, units: tuple[LoadUnit, ...], numbers: _Numbers
) -> Refusal:
    unpacked = trip.inspected_at + dice.minutes(2.5, 4)
    return Refusal(
        unit=units[4].name,
        sscc=numbers.sscc(),
        boxes=dice.whole(14, 26) if severity == "dies" else dice.whole(4, 9),
        reason="pulp_temperature" if severity == "dies" else "appearance",
        unpacked_at=unpacked,
        packed_at=unpacked + dice.minutes(0.5, 1),
        judged_at=unpacked + dice.minutes(1.5, 2.5),
        destroyed_at=trip.accepted_at + dice.between(4.0, 6.0) * HOUR,
    )


def _draw_drops(
    at: float, dice: Dice, units: tuple[LoadUnit, ...], numbers: _Numbers
) -> tuple[ShopDrop, ...]:
    """The shop takes some of each truck, so that both stories stand on one shelf."""
    drops = []
    for unit in (units[3], units[1]):
        packed = at + dice.minutes(1.5, 3)
        drops.append(ShopDrop(unit.name, numbers.sscc(), dice.whole(10, 14), at, packed))
        at = packed + dice.minutes(1, 2)
    return tuple(drops)


def _draw_stall_sales(
    dice: Dice, after: float, units: tuple[LoadUnit, ...]
) -> tuple[tuple[float, str, int], ...]:
    """What the stall sells to buyers it does not know, until the world ends; no unit is ever sold out."""
    left = {unit.name: unit.boxes - 60 for unit in units if unit.truck is not None}
    at = after + dice.between(1.4, 1.9) * HOUR
    sales = []
    while at < LIFETIME_S - HOUR:
        unit = max(left, key=lambda name: left[name])
        boxes = min(dice.whole(6, 20), left[unit] - 4)
        if boxes <= 0:
            break
        sales.append((at, unit, boxes))
        left[unit] -= boxes
        at += dice.between(1.5, 5.0) * HOUR
    return tuple(sales)


def _draw_loss(dice: Dice, units: tuple[LoadUnit, ...], trips: tuple[Trip, ...]) -> tuple[str, float, float]:
    """A logger whose memory ran over: device, from, to. It rides in the core of the sound truck."""
    begun = trips[0].departed_at + dice.between(0.8, 1.6) * HOUR
    return units[2].logger, begun, begun + dice.minutes(55, 80)
