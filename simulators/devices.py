"""What measures in the world: where each probe lies, what it reads, and how its packs are sent.

In the line: model -> devices -> messages. Contract: a device samples on its own phase of its own clock, adds
its own bias and noise, rounds to its own step, and numbers its packs from 1 within one boot; a pack waits
while there is no signal and is lost with its number when memory runs over. The same world gives the same
bytes, whatever is asked of it first: noise is drawn by device and hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from zlib import crc32

import numpy as np

from simulators import keys, places, rooms
from simulators.scenario import LIFETIME_S, MINUTE, LoadUnit, Plan, Trip
from simulators.thermal import STEP_S, FloatArray, Model

Source = Callable[[Model], FloatArray]
Window = tuple[float, float]

COVERED_POSITIONS: Final = ("ambient", "return_air", "in_box")
NOISE_C: Final = 0.04
BIAS_C: Final = 0.12
_BLOCK_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the record says a probe is. `position` None: no temperature. `removed_at` None: stays."""

    parent: str
    position: str | None
    from_s: float
    removed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """One channel. `reads`: what it truly feels; `registered`: what it would feel where its label says."""

    channel: str
    quantity: str
    unit: str
    reads: Source
    placement: Placement
    registered: Source
    digits: int = 1
    active: Window = (0.0, float(LIFETIME_S))
    noise: float = NOISE_C
    bias: float = 0.0


@dataclass(frozen=True, slots=True)
class Device:
    """`pack_s` divides an hour. `silent`: no signal. `lost`: packs begun in it never leave the device.
    `offset_s`, `drift_ppm`: its clock against the world's."""

    id: str
    organisation: str
    giai: str
    model: str
    interval_s: int
    pack_s: int
    probes: tuple[Probe, ...]
    active: Window
    phase_s: float
    offset_s: float
    drift_ppm: float
    accuracy_c: float = 0.3
    silent: tuple[Window, ...] = ()
    lost: Window | None = None

    def clock_s(self, world_s: float) -> float:
        """How far the device's own clock is from the world's, at a time in seconds from the world's start."""
        return self.offset_s + self.drift_ppm * 1e-6 * world_s

    @property
    def longest_wait_s(self) -> float:
        return self.pack_s + MINUTE + max((end - begin for begin, end in self.silent), default=0.0)


@dataclass(frozen=True, slots=True)
class SentPack:
    """`sent_s`: world time of sending, seconds from the start. `seq` counts every pack made, also those lost.
    `lines`: SenML records after boot, seq and sent. `readings`: how many records that is."""

    sent_s: float
    seq: int
    lines: tuple[str, ...]

    @property
    def readings(self) -> int:
        return len(self.lines)


@dataclass(frozen=True, slots=True)
class _Sample:
    time_s: float
    name: str
    text: str


def packs(device: Device, model: Model, seed: int, start: datetime) -> Iterator[SentPack]:
    """Every pack the device ever sends, in the order of sending; the model runs ahead only as far as
    asked."""
    seq = 0
    for block in range(int(device.active[0] // _BLOCK_S), int(np.ceil(device.active[1] / _BLOCK_S))):
        begin = float(block * _BLOCK_S)
        model.run_to(begin + _BLOCK_S)
        samples = _samples(device, model, seed, begin)
        for window in np.arange(begin, begin + _BLOCK_S, device.pack_s):
            taken = [sample for sample in samples if window <= sample.time_s < window + device.pack_s]
            if not taken:
                continue
            seq += 1
            if device.lost is not None and device.lost[0] <= window < device.lost[1]:
                continue
            ready = float(window) + device.pack_s + 0.5 + device.phase_s / device.interval_s
            yield SentPack(_sent(device, ready), seq, _records(device, taken, start))


def _sent(device: Device, ready_s: float) -> float:
    """After a stretch without signal the waiting packs leave one by one, oldest first."""
    for begin, end in device.silent:
        if begin <= ready_s < end:
            return end + 1.0 + 2.0 * (ready_s - begin) / device.pack_s
    return ready_s


def _samples(device: Device, model: Model, seed: int, begin: float) -> list[_Sample]:
    """One hour of samples, in time order, channels of one moment together."""
    rng = np.random.default_rng([seed, crc32(device.id.encode()), int(begin) // _BLOCK_S])
    count = int(np.ceil((begin - device.phase_s) / device.interval_s))
    time_s = np.arange(count * device.interval_s + device.phase_s, begin + _BLOCK_S, device.interval_s)
    samples: list[_Sample] = []
    for probe in device.probes:
        noise = rng.standard_normal(time_s.size)
        active = (time_s >= max(probe.active[0], device.active[0])) & (
            time_s < min(probe.active[1], device.active[1])
        )
        if not active.any():
            continue
        values = _read(probe, model, time_s) + probe.noise * noise + probe.bias
        samples += [
            _Sample(float(at), probe.channel, _text(probe, float(value)))
            for at, value in zip(time_s[active], values[active], strict=True)
            if np.isfinite(value)
        ]
    order = {probe.channel: k for k, probe in enumerate(device.probes)}
    return sorted(samples, key=lambda sample: (sample.time_s, order[sample.name]))


def _read(probe: Probe, model: Model, time_s: FloatArray) -> FloatArray:
    values = probe.reads(model)
    if probe.quantity == "boolean":
        return values[np.minimum((time_s // STEP_S).astype(np.int64), values.size - 1)]
    read: FloatArray = np.interp(time_s, np.arange(values.size) * float(STEP_S), values)
    return read


def _text(probe: Probe, value: float) -> str:
    if probe.quantity == "boolean":
        return f'"vb":{"true" if value > 0.5 else "false"}'
    rounded = round(value, probe.digits) + 0.0  # no -0.0 on the wire
    return f'"u":"{probe.unit}","v":{rounded:.{probe.digits}f}'


def _records(device: Device, samples: list[_Sample], start: datetime) -> tuple[str, ...]:
    epoch_ms = round(start.timestamp() * 1000)

    def own_ms(sample: _Sample) -> int:
        return epoch_ms + round((sample.time_s + device.clock_s(sample.time_s)) * 1000)

    base_ms = own_ms(samples[0])
    lines = []
    for k, sample in enumerate(samples):
        later_ms = own_ms(sample) - base_ms
        base = f'"bt":{base_ms / 1000:.3f},' if k == 0 else ""
        later = f',"t":{later_ms / 1000:.12g}' if later_ms else ""
        lines.append(f'{{{base}"n":"{sample.name}",{sample.text}{later}}}')
    return tuple(lines)


# ---- the devices of this world


def devices_of(plan: Plan) -> tuple[Device, ...]:
    make = _Maker(plan)
    fixed = [
        make.room("collection-1", places.COLLECTION, "collection", door=False),
        make.precooling(),
        make.room("packhouse-1", places.PACKHOUSE, "packhouse"),
        make.room("coldstore-1", places.COLD_STORE, "coldstore"),
        make.room("stall-1", places.STALL_ROOM, "stall"),
        make.room("shop-1", places.SHOP_SHELF, "shop", door=False),
    ]
    return (*fixed, *(make.truck(trip) for trip in plan.trips), *(make.logger(unit) for unit in plan.units))


def temperature(
    channel: str,
    position: str,
    reads: Source,
    placement: Placement,
    registered: Source | None = None,
    active: Window = (0.0, float(LIFETIME_S)),
) -> Probe:
    """A temperature probe. Without `registered` it lies where its label says."""
    return Probe(channel, "temperature", "Cel", reads, placement, registered or reads, active=active)


class _Maker:
    """Makes devices with their own small faults; every device draws from a generator of its own."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def _device(
        self,
        name: str,
        organisation: str,
        model: str,
        interval_s: int,
        pack_s: int,
        probes: tuple[Probe, ...],
        active: Window = (0.0, float(LIFETIME_S)),
        silent: tuple[Window, ...] = (),
        lost: Window | None = None,
    ) -> Device:
        rng = np.random.default_rng([self._plan.seed, 4, crc32(name.encode())])
        own = tuple(
            replace(probe, bias=float(rng.uniform(-BIAS_C, BIAS_C)))
            if probe.quantity == "temperature"
            else probe
            for probe in probes
        )
        return Device(
            id=name,
            organisation=organisation,
            giai=keys.asset_uri("0" + name.upper().replace("-", "")),
            model=model,
            interval_s=interval_s,
            pack_s=pack_s,
            probes=own,
            active=active,
            phase_s=round(float(rng.uniform(0.0, interval_s)), 3),
            offset_s=round(float(rng.uniform(-0.9, 0.9)), 3),
            drift_ppm=float(rng.uniform(-4.0, 4.0)),
            silent=silent,
            lost=lost,
        )

    def room(self, name: str, place: places.Place, space: str, door: bool = True) -> Device:
        probes = [
            temperature(
                "ambient", "ambient", lambda model: model.air(space), Placement(place.id, "ambient", 0.0)
            )
        ]
        if door:
            probes.append(_switch(place.id, space))
        return self._device(name, place.organisation, "ZJ-RT2", 60, 240, tuple(probes))

    def precooling(self) -> Device:
        place = places.PRECOOLING
        window = [(pick.cooling_from, self._plan.run_begun_at) for pick in self._plan.picks]
        pulps = [
            temperature(
                f"pulp_{k + 1}",
                "pulp",
                _core_of(pick.plot.name),
                Placement(place.id, "pulp", *window[k]),
                active=window[k],
            )
            for k, pick in enumerate(self._plan.picks)
        ]
        air = temperature(
            "ambient", "ambient", lambda model: model.air("precooling"), Placement(place.id, "ambient", 0.0)
        )
        return self._device("precooling-1", place.organisation, "ZJ-PC4", 60, 240, (air, *pulps))

    def truck(self, trip: Trip) -> Device:
        name, vehicle = rooms.TRUCKS[trip.truck], places.VEHICLES[trip.truck]
        begin, end = trip.cooled_from - 5 * MINUTE, trip.accepted_at + 40 * MINUTE
        probes = (
            temperature(
                "return_air",
                "return_air",
                lambda model: model.return_air(name),
                Placement(vehicle.id, "return_air", 0.0),
            ),
            temperature(
                "supply_air",
                "supply_air",
                lambda model: model.supply_air(name),
                Placement(vehicle.id, "supply_air", 0.0),
            ),
            _switch(vehicle.id, name),
            *_gps(trip, vehicle.id),
        )
        return self._device(
            name,
            vehicle.organisation,
            "LC-T5",
            60,
            240,
            probes,
            active=(begin, end),
            silent=(self._no_signal(trip),),
        )

    def logger(self, unit: LoadUnit) -> Device:
        plan, trip = self._plan, self._plan.trip_of(unit)
        in_box = _core_of(unit.name) if unit.seat == "core" else _outer_of(unit.name)
        on_top = unit.seat == "on_top"
        removed = plan.misplaced_until if on_top else None
        placement = Placement(unit.sscc, "in_box", unit.packed_at + 2 * MINUTE, removed)
        probe = temperature(
            "in_box", "in_box", _around(unit.name) if on_top else in_box, placement, registered=in_box
        )
        active = (unit.packed_at + MINUTE, removed or float(LIFETIME_S))
        lost = plan.lost[1:] if plan.lost[0] == unit.logger else None
        silent = () if trip is None else (self._no_signal(trip),)
        return self._device(
            unit.logger, "xj-coop", "JL-20", 120, 1200, (probe,), active=active, silent=silent, lost=lost
        )

    def _no_signal(self, trip: Trip) -> Window:
        return rooms.on_road_between(trip, *places.NO_SIGNAL)


def _core_of(load: str) -> Source:
    return lambda model: model.core(load)


def _outer_of(load: str) -> Source:
    return lambda model: model.outer(load)


def _around(load: str) -> Source:
    """Air, as something lying on the boxes feels it."""
    return lambda model: model.around(load)


def _switch(parent: str, space: str) -> Probe:
    def reads(model: Model) -> FloatArray:
        return model.door(space)

    return Probe("door", "boolean", "bool", reads, Placement(parent, None, 0.0), reads, noise=0.0)


def _gps(trip: Trip, parent: str) -> tuple[Probe, Probe]:
    """No fix inside the long tunnel: nothing is read, rather than the last place repeated."""
    dark = rooms.on_road_between(trip, *places.TUNNEL)

    def axis(which: int) -> Source:
        def reads(model: Model) -> FloatArray:
            time_s = model.time_s
            degrees = places.position(rooms.road_km(trip, time_s))[which]
            at_dock = (places.DOCK.lat, places.DOCK.lon)[which]
            degrees = np.where(time_s >= trip.dock_at, float(at_dock or 0.0), degrees)
            return np.where((time_s > dark[0]) & (time_s < dark[1]), np.nan, degrees)

        return reads

    lat, lon, placement = axis(0), axis(1), Placement(parent, None, 0.0)
    return (
        Probe("lat", "latitude", "lat", lat, placement, lat, digits=5, noise=3e-5),
        Probe("lon", "longitude", "lon", lon, placement, lon, digits=5, noise=3e-5),
    )
