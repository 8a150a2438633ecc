"""From the loading dock to the market's gate, as events: loading, departing, the carrier's own alarm,
arriving.

In the line: plan -> these steps -> journey. Contract: the loading is captured by the co-op, which names whom it
hands over to, all that follows by the carrier; pallets and the floor-loaded drop are loaded apart, each under its SSCC;
the pulp at loading is what a hand probe finds in three boxes, so that a later dispute has an entry temperature.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators import keys, places, rooms
from simulators.devices import Device
from simulators.scenario import MINUTE, LoadUnit, Trip
from simulators.statements import (
    CARRIER_TERMINALS,
    HAND_PROBE,
    Event,
    Forms,
    Maker,
    Step,
    at_time,
    destination,
    source,
    trade,
    where,
)
from simulators.thermal import STEP_S, Model

ALARM_AFTER_S = 40 * MINUTE  # of the failure's consequence; the telematics' own rule, not ours


def steps(forms: Forms, devices: tuple[Device, ...]) -> Iterator[Step]:
    for trip in forms.plan.trips:
        yield from _loading(forms, trip)
        yield _arriving(forms, trip)
        if trip.truck == 1:
            giai = next(device.giai for device in devices if device.id == rooms.TRUCKS[trip.truck])
            yield from _alarm(forms, trip, giai)


def units_on(forms: Forms, trip: Trip) -> list[LoadUnit]:
    return [unit for unit in forms.plan.units if unit.truck == trip.truck]


def pulps(model: Model, units: list[LoadUnit], at_s: float) -> tuple[float, ...]:
    """Three boxes: the outermost of the first unit, the innermost of the last, one between."""
    outer, core = at_time(model.outer(units[0].name), at_s), at_time(model.core(units[-1].name), at_s)
    return outer, 0.5 * (outer + core), core


def _loading(forms: Forms, trip: Trip) -> Iterator[Step]:
    terminal = CARRIER_TERMINALS[trip.truck]
    for what, at_s, floor in (("pallets", trip.pallets_at, False), ("floor", trip.floor_at, True)):
        units = [unit for unit in units_on(forms, trip) if unit.floor is floor]
        name = f"loading {trip.truck} {what}"
        yield forms.step(name, at_s, "coop-terminal", _load(forms, name, at_s, trip, units))
    name = f"departing {trip.truck}"
    event = forms.observe(
        name,
        trip.departed_at,
        "departing",
        "in_transit",
        {"epcList": [unit.sscc for unit in units_on(forms, trip)]},
        where(f"{places.COLD_STORE.id}/254/GATE"),
        {"suyuan:seal": [trip.seal]},
    )
    yield forms.step(name, trip.departed_at, terminal, event)


def _load(forms: Forms, name: str, at_s: float, trip: Trip, units: list[LoadUnit]) -> Maker:
    def make(model: Model) -> Event:
        measured_at = at_s - 3 * MINUTE
        body_c = at_time(model.air(rooms.TRUCKS[trip.truck]), trip.doors_open_at - MINUTE)
        return forms.put_in(
            name,
            at_s,
            "loading",
            "in_progress",
            {"parentID": places.VEHICLES[trip.truck].id, "childEPCs": [unit.sscc for unit in units]},
            where(f"{places.COLD_STORE.id}/254/DOCK{trip.truck + 1}"),
            {"bizTransactionList": [trade("bol", _waybill(forms, trip))]},
            forms.pulp(measured_at, HAND_PROBE, pulps(model, units, measured_at)),
            source(None, places.COOP.party),
            destination(None, places.CARRIERS[trip.truck].party),
            {
                "suyuan:agreedTemperature": "0..5 CEL",
                "suyuan:compartmentTemperatureAtLoading": f"{body_c:.1f} CEL",
                "suyuan:setPoint": "2 CEL",
                "suyuan:seal": [trip.seal],
                "suyuan:packaging": "foam boxes",
            },
        )

    return make


def _waybill(forms: Forms, trip: Trip) -> str:
    return f"{keys.OWN}/bt/waybill/YD{forms.plan.day}-{trip.truck + 1}"


def _arriving(forms: Forms, trip: Trip) -> Step:
    name = f"arriving {trip.truck}"
    epcs = {"epcList": [unit.sscc for unit in units_on(forms, trip)]}
    gate = where(places.GATE.id, places.YARD.id)
    event = forms.observe(name, trip.arrived_at, "arriving", "in_progress", epcs, gate)
    return forms.step(name, trip.arrived_at, CARRIER_TERMINALS[trip.truck], event)


def _alarm(forms: Forms, trip: Trip, giai: str) -> Iterator[Step]:
    """What the carrier's own telematics say of the failure. Lots are never named: that join is the
    reader's."""
    if trip.failed_from is None:
        return
    begin_s = trip.failed_from + 10 * MINUTE
    end_s = begin_s + ALARM_AFTER_S
    name = f"alarm {trip.truck}"

    def make(model: Model) -> Event:
        air = model.return_air(rooms.TRUCKS[trip.truck])[int(begin_s // STEP_S) : int(end_s // STEP_S)]
        lat, lon = places.position(rooms.road_km(trip, np.array([end_s])))
        metadata = {
            "startTime": forms.time(begin_s),
            "endTime": forms.time(end_s),
            "deviceID": giai,
            "bizRules": _waybill(forms, trip),
        }
        report = {
            "type": "Temperature",
            "exception": "ALARM_CONDITION",
            "minValue": round(float(air.min()), 1),
            "maxValue": round(float(air.max()), 1),
            "meanValue": round(float(air.mean()), 2),
            "uom": "CEL",
            "suyuan:probePosition": "return_air",
        }
        return forms.event(
            "ObjectEvent",
            name,
            end_s,
            {"action": "OBSERVE", "bizStep": "sensor_reporting", "epcList": [places.VEHICLES[trip.truck].id]},
            where(f"geo:{lat[0]:.4f},{lon[0]:.4f}"),
            {"sensorElementList": [{"sensorMetadata": metadata, "sensorReport": [report]}]},
        )

    yield forms.step(name, end_s, CARRIER_TERMINALS[trip.truck], make)
