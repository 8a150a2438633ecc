"""What is done at the dock, on the road and at the gate, as events.

In the line: desk.py -> here -> forms.py. Contract: possession passes at loading, and both sides are named; the pulp at
loading is the entry temperature that a later dispute goes back to; goods in a vehicle are where the vehicle is.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.genealogy.names import site
from trace_api.acts.codes import label
from trace_api.acts.desk import Desk, Reach
from trace_api.acts.models import Arrive, Depart, HandOver, Load, Unload
from trace_api.acts.parts import Event, Parties, Pulp, extras, handed
from trace_api.acts.refusals import refuse
from trace_api.acts.registered import Place
from trace_api.acts.shapes import Carried
from trace_api.acts.stock import Row


def load(desk: Desk, act: Load) -> list[Event]:
    vehicle = desk.vehicle(act.vehicle)
    _refuse_loaded(desk, act.units)
    _refuse_elsewhere(desk, act)
    units, rows = desk.units_of_ours(act.units, _loadable(desk, act))
    desk.refuse_marked(rows, "units", refused_too=False)
    dock = desk.place_or_now(act.place, rows)
    desk.after(rows)
    desk.tell_of(rows, units)
    more = extras(
        agreedTemperature=f"{act.agreed_low_c:g}..{act.agreed_high_c:g} CEL",
        compartmentTemperatureAtLoading=_celsius(act.compartment_c),
        setPoint=_celsius(act.set_point_c),
        seal=list(act.seals),
        remark=act.remark,
        packaging=act.packaging,
    )
    pulp = Pulp(act.pulp, desk.plain(act.probe))
    waybill = desk.paper("waybill", act.waybill)
    return [
        desk.forms.loading(vehicle.id, units, dock, waybill, _hands(desk, act, vehicle, rows), pulp, more)
    ]


def _celsius(value: float | None) -> str | None:
    return None if value is None else f"{value:g} CEL"


def _loadable(desk: Desk, act: Load) -> Reach:
    """Our own, also what was handed to us; a carrier takes besides what stands, by the record, at the dock that it says it
    loads at: to see a pallet is not to have it."""
    dock = None if act.place is None else site(desk.place(act.place).id)

    def loadable(row: Row) -> bool:
        at_dock = row.place is not None and site(row.place) == dock
        return row.ours or ("carrier" in desk.person.roles and at_dock and not row.custody.moving)

    return loadable


def _refuse_elsewhere(desk: Desk, act: Load) -> None:
    """A driver is told what is missing: where the truck stands, or that the pallet stands somewhere else."""
    if "carrier" not in desk.person.roles:
        return
    for place, text in enumerate(act.units):
        unit = desk.unit(text, f"units.{place}")
        rows = desk.stock.of_unit(unit)
        if not rows or any(row.ours or row.custody.moving for row in rows):
            continue
        if act.place is None:
            raise refuse("dock_needed", "place", status=422, code=label(unit))
        dock = desk.place(act.place)
        if all(row.place is None or site(row.place) != site(dock.id) for row in rows):
            raise refuse("not_at_dock", f"units.{place}", status=403, code=label(unit), place=dock.name)


def _refuse_loaded(desk: Desk, texts: Sequence[str]) -> None:
    for place, text in enumerate(texts):
        unit = desk.unit(text, f"units.{place}")
        vehicle = desk.stock.vehicle_of(unit)
        if vehicle is not None:
            raise refuse("already_loaded", f"units.{place}", code=label(unit), vehicle=desk.called(vehicle))


def _hands(desk: Desk, act: Load, vehicle: Place, rows: Sequence[Row]) -> Event:
    """From whoever has the goods to the carrier; in a vehicle of our own they stay with us. Sold before loading, they change
    their owner as well."""
    organisations = desk.registered.organisations
    holders = [
        organisations[row.holder] for row in rows if row.holder is not None and row.holder in organisations
    ]
    giver = holders[0].party if holders else desk.us.party
    carrier = _carrier(desk, act, vehicle)
    buyer = None if act.buyer is None else desk.party(act.buyer, "buyer")
    if carrier == giver and buyer is None:
        return {}
    return handed(Parties(None if buyer is None else desk.us.party, giver), Parties(buyer, carrier))


def _carrier(desk: Desk, act: Load, vehicle: Place) -> str:
    if act.carrier is not None:
        return desk.party(act.carrier, "carrier")
    if "carrier" in desk.person.roles:
        return desk.us.party
    owner = desk.registered.organisations.get(vehicle.organisation)
    if owner is None:
        raise refuse("carrier_needed", "carrier", status=422)
    return owner.party


def depart(desk: Desk, act: Depart) -> list[Event]:
    def leaving(row: Row) -> bool:
        return row.ours or row.custody.handled

    epcs, rows = _carried(desk, act, leaving)
    for row in rows:
        if row.vehicle is None:
            raise refuse("not_loaded", "units", code=label(row.unit or row.lot))
    gate = None if act.place is None else desk.place(act.place).id
    to_place = None if act.destination is None else desk.place(act.destination, "destination").id
    desk.after(rows)
    return [desk.forms.departing(epcs, gate, handed(to_place=to_place), act.seals)]


def hand_over(desk: Desk, act: HandOver) -> list[Event]:
    """We take the vehicle over from another driver or carrier; the goods stay in it."""
    epcs, rows = _carried(desk, act, desk.arriving, whole=True)
    giver = desk.party(act.giver, "giver")
    place = None if act.place is None else desk.place(act.place).id
    desk.after(rows)
    hands = handed(Parties(None, giver), Parties(None, desk.us.party))
    return [desk.forms.handing_over(epcs, place, hands, act.seals)]


def arrive(desk: Desk, act: Arrive) -> list[Event]:
    def coming(row: Row) -> bool:
        return desk.arriving(row) or row.custody.handled

    epcs, rows = _carried(desk, act, coming)
    gate, yard = desk.place(act.gate, "gate").id, desk.place(act.yard, "yard").id
    desk.after(rows)
    return [desk.forms.arriving(epcs, gate, yard)]


def unload(desk: Desk, act: Unload) -> list[Event]:
    vehicle = desk.uri(act.vehicle, "vehicle")
    dock = desk.place(act.place).id
    if act.units:
        units, rows = desk.units_taken_in(act.units, _unloadable(desk))
        for place, unit in enumerate(units):
            on = desk.stock.vehicle_of(unit)
            if on != vehicle and desk.stock.ever_held(unit):
                raise refuse(
                    "not_on_vehicle", f"units.{place}", code=label(unit), vehicle=desk.called(vehicle)
                )
    else:
        units = list(desk.stock.units_on(vehicle))
        if not units:
            raise refuse("empty_vehicle", "vehicle", vehicle=desk.called(vehicle))
        rows = [row for unit in units for row in desk.in_unit(unit, _unloadable(desk), "vehicle")]
    desk.after(rows)
    desk.tell_of(rows, units)
    return [desk.forms.unloading(vehicle, units, dock, act.seals_found, act.seal_intact)]


def _unloadable(desk: Desk) -> Reach:
    return lambda row: desk.arriving(row) or row.custody.handled


def _carried(desk: Desk, act: Carried, reach: Reach, *, whole: bool = False) -> tuple[list[str], list[Row]]:
    """The units of an act about a vehicle, as far as they are known: who asks for a pallet later finds them by name.
    `whole`: the vehicle itself, with all that is in it."""
    if act.vehicle is None:
        units, rows = desk.units_taken_in(act.units, reach)
        desk.tell_of(rows, units)
        return units, rows
    vehicle = desk.uri(act.vehicle, "vehicle")
    if not desk.stock.of_unit(vehicle):
        raise refuse("empty_vehicle", "vehicle", vehicle=desk.called(vehicle))
    rows = desk.in_unit(vehicle, reach, "vehicle")
    units = list(desk.stock.units_on(vehicle))
    desk.tell_of(rows, units)
    return ([vehicle] if whole or not units else units), rows
