"""At the wholesale market, as events: unloading, the gate check, the part refused, acceptance, one rapid
test.

In the line: plan -> these steps -> journey. Contract: the market captures what it does, the stall what it
takes in; a refused part is split off first and judged after, since a class quantity cannot carry two states;
ownership passes with `accepting`, to the stall and not to the market.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulators import keys, places
from simulators.road import pulps, units_on
from simulators.scenario import GTIN, MINUTE, LoadUnit, Trip
from simulators.statements import (
    MARKET_PROBE,
    Event,
    Forms,
    Step,
    destination,
    kilograms,
    source,
    trade,
    where,
)
from simulators.thermal import Model

_AT_DOCK = where(f"{places.DOCK.id}/254/7", places.DOCK.id)
_GATE_RULES = f"{keys.OWN}/rules/gate/v5"
_RECEIPT_RULES = f"{keys.OWN}/rules/yangmei/receipt/v2"


def steps(forms: Forms) -> Iterator[Step]:
    for trip in forms.plan.trips:
        yield _unloading(forms, trip)
        yield _inspecting(forms, trip)
        for unit in units_on(forms, trip):
            yield _accepting(forms, unit, trip)
    yield from _refusing(forms)
    yield from _testing(forms)


def _unloading(forms: Forms, trip: Trip) -> Step:
    name = f"unloading {trip.truck}"
    epcs = [unit.sscc for unit in units_on(forms, trip)]
    event = forms.take_out(
        name,
        trip.unloaded_at,
        "unloading",
        "container_open",
        {"parentID": places.VEHICLES[trip.truck].id, "childEPCs": epcs},
        _AT_DOCK,
        {"suyuan:sealFound": [trip.seal], "suyuan:sealIntact": True},
    )
    return forms.step(name, trip.unloaded_at, "market-terminal", event)


def _inspecting(forms: Forms, trip: Trip) -> Step:
    name, units = f"inspecting {trip.truck}", units_on(forms, trip)

    def make(model: Model) -> Event:
        measured_at = trip.inspected_at - MINUTE
        return forms.observe(
            name,
            trip.inspected_at,
            "inspecting",
            "conformant",
            {"epcList": [unit.sscc for unit in units]},
            _AT_DOCK,
            {"bizTransactionList": [trade("cert", forms.certificate), trade("testprd", _GATE_RULES)]},
            {"certificationInfo": [forms.certificate]},
            forms.pulp(measured_at, MARKET_PROBE, pulps(model, units, measured_at), _RECEIPT_RULES),
            {"suyuan:decidedBy": "market"},
        )

    return forms.step(name, trip.inspected_at, "market-terminal", make)


def _accepting(forms: Forms, unit: LoadUnit, trip: Trip) -> Step:
    name = f"accepting {unit.name}"
    event = forms.observe(
        name,
        trip.accepted_at,
        "accepting",
        "sellable_not_accessible",
        {"epcList": [unit.sscc]},
        where(f"{places.DOCK.id}/254/7", places.STALL_ROOM.id),
        {"bizTransactionList": [trade("recadv", f"{keys.OWN}/bt/receipt/{forms.plan.day}-{unit.name}")]},
        source(places.COOP.party, places.CARRIERS[trip.truck].party),
        destination(places.STALL.party, places.STALL.party),
    )
    return forms.step(name, trip.accepted_at, "stall-terminal", event)


def _refusing(forms: Forms) -> Iterator[Step]:
    refusal = forms.plan.refusal
    unit = forms.plan.unit(refusal.unit)
    content = {"childQuantityList": [forms.boxes(refusal.boxes, unit.lot)]}
    labels = forms.labels(unit.lot, unit.last - refusal.boxes + 1, unit.last)
    reason = {"suyuan:reason": refusal.reason}
    out, into, judged, gone = "refusing: out", "refusing: in", "refusing", "refused: destroyed"
    taken = forms.take_out(
        out,
        refusal.unpacked_at,
        "unpacking",
        "in_progress",
        {"parentID": unit.sscc},
        content,
        _AT_DOCK,
        labels,
    )
    packed = forms.put_in(
        into,
        refusal.packed_at,
        "packing",
        "in_progress",
        {"parentID": refusal.sscc},
        content,
        _AT_DOCK,
        labels,
    )
    epcs = {"epcList": [refusal.sscc]}
    marks = {"persistentDisposition": {"set": ["non_sellable_other"]}}
    slip = {"bizTransactionList": [trade("rma", f"{keys.OWN}/bt/reject/{forms.plan.day}-1")]}
    refused = forms.observe(
        judged, refusal.judged_at, "inspecting", "non_conformant", epcs, _AT_DOCK, marks, slip, reason
    )
    waste = where(f"{places.DOCK.id}/254/WASTE")
    destroyed = forms.end(gone, refusal.destroyed_at, "destroying", "disposed", epcs, waste, reason)
    yield forms.step(out, refusal.unpacked_at, "market-terminal", taken)
    yield forms.step(into, refusal.packed_at, "market-terminal", packed)
    yield forms.step(judged, refusal.judged_at, "market-terminal", refused)
    yield forms.step(gone, refusal.destroyed_at, "market-terminal", destroyed)


def _testing(forms: Forms) -> Iterator[Step]:
    """One rapid test, negative. What the method cannot see stands in the event, not in a footnote."""
    plan, lab = forms.plan, f"{places.DOCK.id}/254/LAB"
    sampled = forms.end(
        "sampling",
        plan.sampled_at,
        "sampling",
        "destroyed",
        {"quantityList": [kilograms(keys.lot_uri(GTIN, plan.lot), 0.5)]},
        where(lab),
        {"bizTransactionList": [trade("testprd", f"{keys.OWN}/bt/sample/HZ-{plan.day}-0117")]},
        {"suyuan:authority": "market"},
    )
    result = {"type": f"{keys.VOC}CholinesteraseInhibition", "value": plan.inhibition_percent, "uom": "P1"}
    metadata = {"time": forms.time(plan.tested_at - 3 * MINUTE), "deviceID": keys.asset_uri("0READER1")}
    tested = forms.observe(
        "testing",
        plan.tested_at,
        "inspecting",
        "conformant",
        {"epcList": [unit.sscc for unit in plan.units if unit.truck is not None]},
        where(lab, places.STALL_ROOM.id),
        {"bizTransactionList": [trade("testres", f"{keys.OWN}/bt/result/HZ-{plan.day}-0117")]},
        {"sensorElementList": [{"sensorMetadata": metadata, "sensorReport": [result]}]},
        {
            "suyuan:authority": "market",
            "suyuan:method": "GB/T 5009.199",
            "suyuan:notCovered": ["fungicides", "plant growth regulators"],
        },
    )
    yield forms.step("sampling", plan.sampled_at, "market-terminal", sampled)
    yield forms.step("testing", plan.tested_at, "market-terminal", tested)
