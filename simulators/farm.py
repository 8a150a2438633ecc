"""From the tree to the cold store, as events: harvest, weighing, pre-cooling, the run with its cull, load
units.

In the line: plan -> these steps -> journey. Contract: captured by the co-op; the 承诺达标合格证 appears twice
in the run (`certificationInfo` for its meaning, the transaction `cert` so that it can be queried), with the
record itself in the `ilmd`; what is picked on the slope is told when the phone is back on the road.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from simulators import keys, places
from simulators.climate import LOCAL
from simulators.scenario import BOX_KG, MINUTE, LoadUnit, Pick
from simulators.statements import (
    HAND_PROBE,
    Event,
    Forms,
    Step,
    at_time,
    destination,
    ilmd,
    kilograms,
    local_text,
    source,
    trade,
    where,
)
from simulators.thermal import Model

_LINE = f"{places.PACKHOUSE.id}/254/L2"


def steps(forms: Forms) -> Iterator[Step]:
    for pick in forms.plan.picks:
        yield _harvest(forms, pick)
        yield _weighing(forms, pick)
        yield from _precooling(forms, pick)
    yield from _run(forms)
    for unit in forms.plan.units:
        yield _packing(forms, unit)
    yield from _storing(forms)


def _harvest(forms: Forms, pick: Pick) -> Step:
    name, plot = pick.plot.name, where(pick.plot.place.id, pick.plot.place.id)
    record = ilmd(
        {
            "harvestStart": forms.time(pick.begun_at),
            "harvestEnd": forms.time(pick.picked_at),
            "plot": name,
            "variety": "东魁",
            "growerRef": pick.plot.grower,
            "preHarvestIntervalChecked": "true",
            "timeBasis": "stated",
        }
    )
    first = {"action": "ADD", "bizStep": "commissioning", "disposition": "active"}
    amount = {"quantityList": [kilograms(pick.lot, pick.kg)]}
    kept = [
        forms.event("ObjectEvent", f"harvest {name}", pick.picked_at, first, amount, plot, {"ilmd": record})
    ]
    if pick.again_at is not None and pick.again_kg is not None:
        again = {**first, "bizStep": "creating_class_instance"}
        amount = {"quantityList": [kilograms(pick.lot, pick.again_kg)]}
        kept.append(forms.event("ObjectEvent", f"harvest again {name}", pick.again_at, again, amount, plot))
    events = tuple(kept)
    return Step(pick.received_at - 6 * MINUTE, "coop-phone", lambda _model: events)


def _weighing(forms: Forms, pick: Pick) -> Step:
    name = f"weighing {pick.plot.name}"
    grower = f"{keys.OWN}/party/{pick.plot.grower}"

    def make(model: Model) -> Event:
        return forms.observe(
            name,
            pick.received_at,
            "receiving",
            "in_progress",
            {"quantityList": [kilograms(pick.lot, pick.total_kg)]},
            where(places.COLLECTION.id, places.COLLECTION.id),
            {
                "bizTransactionList": [
                    trade("recadv", f"{keys.OWN}/bt/weigh/{forms.plan.day}-{pick.plot.name}")
                ]
            },
            {"certificationInfo": [f"{keys.OWN}/doc/producer-card/{pick.plot.grower}"]},
            _crates(forms, model, pick, pick.received_at - MINUTE),
            source(grower, grower),
            destination(places.COOP.party, places.COOP.party),
            {
                "suyuan:tare": {"value": round(pick.total_kg / 12.5) * 1.4, "uom": "KGM"},
                "suyuan:grade": "unsorted",
            },
        )

    return forms.step(name, pick.received_at, "coop-terminal", make)


def _precooling(forms: Forms, pick: Pick) -> Iterator[Step]:
    room = where(places.PRECOOLING.id, places.PRECOOLING.id)
    amount = {"quantityList": [kilograms(pick.lot, pick.total_kg)]}
    begun, ended = f"precooling start {pick.plot.name}", f"precooling end {pick.plot.name}"
    begin = forms.observe(
        begun,
        pick.cooling_from,
        "storing",
        "in_progress",
        amount,
        room,
        {"suyuan:activity": "precooling_start"},
    )

    def end(model: Model) -> Event:
        sensors = _crates(forms, model, pick, pick.cooled_at)
        activity = {"suyuan:activity": "precooling_end", "suyuan:sampleCount": 3}
        return forms.observe(ended, pick.cooled_at, "storing", "in_progress", amount, room, sensors, activity)

    yield forms.step(begun, pick.cooling_from, "coop-terminal", begin)
    yield forms.step(ended, pick.cooled_at, "coop-terminal", end)


def _crates(forms: Forms, model: Model, pick: Pick, at_s: float) -> Event:
    outer = at_time(model.outer(pick.plot.name), at_s)
    core = at_time(model.core(pick.plot.name), at_s)
    return forms.pulp(at_s, HAND_PROBE, (outer, (outer + core) / 2, core))


def _run(forms: Forms) -> Iterator[Step]:
    """The packhouse run, and what became of its cull: a run without cull would not add up."""
    plan = forms.plan
    run = f"{keys.OWN}/bt/run/{plan.day}-L2-1"
    cull = f"{keys.OWN}/class/yangmei-cull.{plan.day}-L2-1"
    packed = (plan.start + timedelta(seconds=plan.run_at)).astimezone(LOCAL)
    event = forms.event(
        "TransformationEvent",
        "run",
        plan.run_at,
        {"transformationID": run, "bizStep": "commissioning", "disposition": "active"},
        {"inputQuantityList": [kilograms(pick.lot, pick.total_kg) for pick in plan.picks]},
        {
            "outputQuantityList": [
                forms.boxes(plan.boxes_a, plan.lot),
                forms.boxes(plan.boxes_b, plan.lot_b),
                kilograms(cull, plan.cull_kg),
            ]
        },
        where(_LINE, places.PACKHOUSE.id),
        {"bizTransactionList": [trade("cert", forms.certificate), trade("prodorder", run)]},
        {"certificationInfo": [forms.certificate], "ilmd": _run_record(forms, packed)},
    )
    yield forms.step("run", plan.run_at, "coop-terminal", event)
    at_s = plan.run_at + 95 * MINUTE
    amount, reason = {"quantityList": [kilograms(cull, plan.cull_kg)]}, {"suyuan:reason": "cull_to_compost"}
    gone = forms.end("cull", at_s, "destroying", "disposed", amount, where(_LINE), reason)
    yield forms.step("cull", at_s, "coop-terminal", gone)


def _run_record(forms: Forms, packed: datetime) -> Event:
    return ilmd(
        {
            "packDate": packed.date().isoformat(),
            "bestBefore": (packed + timedelta(days=5)).date().isoformat(),
            "netWeightPerUnitKg": f"{BOX_KG:.1f}",
            "grade": "A/B",
            "inputShares": f"{keys.OWN}/doc/run/{forms.plan.day}-L2-1",
            "certificate": _certificate(forms, packed),
        }
    )


def _certificate(forms: Forms, issued: datetime) -> Event:
    """The 承诺达标合格证 as our record has it: a producer's own declaration, not an award."""
    return ilmd(
        {
            "certificateId": forms.certificate,
            "certificateKind": "producer",
            "product": "杨梅(东魁)",
            "quantityKg": f"{(forms.plan.boxes_a + forms.plan.boxes_b) * BOX_KG:.1f}",
            "origin": "浙江省台州市仙居县",
            "declaredBy": places.COOP.party,
            "contact": "0576-5550100",
            "issuedAt": local_text(issued),
            "basis": ["self_inspection", "internal_control", "self_declaration"],
            "evidence": [f"{keys.OWN}/doc/run/{forms.plan.day}-L2-1"],
            "status": "valid",
        }
    )


def _packing(forms: Forms, unit: LoadUnit) -> Step:
    name = f"packing {unit.name}"
    event = forms.put_in(
        name,
        unit.packed_at,
        "packing",
        "in_progress",
        {"parentID": unit.sscc, "childQuantityList": [forms.boxes(unit.boxes, unit.lot)]},
        where(_LINE, places.PACKHOUSE.id),
        forms.labels(unit.lot, unit.first, unit.last),
        {"suyuan:packaging": "foam boxes, floor-loaded" if unit.floor else "foam boxes on a pallet"},
    )
    return forms.step(name, unit.packed_at, "coop-terminal", event)


def _storing(forms: Forms) -> Iterator[Step]:
    """In three goes through the door: what each truck will take, and what stays."""
    door = where(f"{places.COLD_STORE.id}/254/DOOR1", places.COLD_STORE.id)
    for k, (at_s, truck) in enumerate(zip(forms.plan.stored_at, (0, 1, None), strict=True)):
        epcs = {"epcList": [unit.sscc for unit in forms.plan.units if unit.truck == truck]}
        event = forms.observe(f"storing {k}", at_s, "storing", "in_progress", epcs, door)
        yield forms.step(f"storing {k}", at_s, "coop-terminal", event)
