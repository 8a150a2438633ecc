"""What is done at the plot, the collection station, the packhouse and the cold store, as events.

In the line: desk.py -> here -> forms.py. Contract: a lot has one place of birth; what goes in comes out, cull and all; a box
has its serial from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trace_api.acts import certificates
from trace_api.acts.codes import label
from trace_api.acts.desk import TOLERANCE, Desk, Untaken, amount, event_time
from trace_api.acts.models import Mix, Output, Pack, PrecoolEnd, PrecoolStart, RegisterBatch, Store, WeighIn
from trace_api.acts.numbers import lot_of, product_code, short_name
from trace_api.acts.parts import Event, Parties, Quantity, extras, handed, ilmd
from trace_api.acts.refusals import refuse
from trace_api.acts.registered import Product
from trace_api.acts.stock import NOTHING, Row
from trace_api.words import decimal

KILOGRAM = "KGM"


def register_batch(desk: Desk, act: RegisterBatch) -> list[Event]:
    product, plot = desk.product(act.product, "product"), desk.place(act.plot, "plot")
    begun, ended = _picking(desk, act)
    if act.into is not None:
        return [_further_pick(desk, act, act.into)]
    lot = _new_picked_lot(desk, act, product, plot.id)
    desk.lots.append(lot)
    record = ilmd(
        harvestStart=desk.forms.time(begun),
        harvestEnd=desk.forms.time(ended),
        plot=short_name(plot.id),
        variety=act.variety,
        growerRef=act.grower,
        preHarvestIntervalChecked="true" if act.interval_checked else "false",
        timeBasis="measured" if act.measured else "stated",
    )
    return [desk.forms.harvest(Quantity(lot, act.kg, KILOGRAM), plot.id, record)]


def _picking(desk: Desk, act: RegisterBatch) -> tuple[datetime, datetime]:
    """From when to when it was picked: on the calendar, and over when the harvest is said to have happened."""
    ended = event_time(act.harvested_to or desk.at, desk.now, "harvested_to")
    begun = event_time(act.harvested_from or ended, desk.now, "harvested_from")
    if ended > desk.at:
        raise refuse("harvest_not_over", "harvested_to", status=422)
    if begun > ended:
        raise refuse("harvest_backwards", "harvested_from", status=422)
    return begun, ended


def _new_picked_lot(desk: Desk, act: RegisterBatch, product: Product, plot: str) -> str:
    if act.lot is not None:
        return _own_number(desk, lot_of(product.picked_class, act.lot), act.lot, "lot")
    foreign = product.organisation != desk.us.id
    return desk.numbers.picked_lot(product.picked_class, desk.day, short_name(plot), foreign=foreign)


def _own_number(desk: Desk, lot: str, number: str, where: str) -> str:
    if lot in desk.lots:
        raise refuse("repeated", where, status=422, code=number)
    if not desk.is_new(lot):
        raise refuse("lot_exists", where, code=number)
    return lot


def _further_pick(desk: Desk, act: RegisterBatch, into: str) -> Event:
    lot = desk.lot(into, "into")
    rows = desk.rows(lot, desk.ours, "into")
    plot = desk.place(act.plot, "plot").id
    if any(row.stage != "field" or row.place != plot for row in rows):
        raise refuse("lot_has_moved", "into", code=label(lot))
    desk.after(rows)
    desk.lots.append(lot)
    return desk.forms.harvest_again(Quantity(lot, act.kg, KILOGRAM), plot)


def weigh_in(desk: Desk, act: WeighIn) -> list[Event]:
    """The grower's, until it is bought; our own harvest names no other party, and a purchase always does."""
    lot, place = desk.lot(act.lot, "lot"), desk.own_place(act.place)
    grower = None if act.grower is None else desk.party(act.grower, "grower")

    def brought(row: Row) -> bool:
        holder = desk.registered.organisations.get(row.holder or "")
        at_the_field = row.stage == "field" and holder is not None and holder.party == grower
        return desk.arriving(row) or at_the_field

    rows = desk.rows(lot, Untaken(brought, desk.us.id, act.bought), "lot")
    weighed = desk.enough(lot, act.kg, rows, "kg")
    desk.after(rows)
    desk.lots.append(lot)
    hands: Event = {}
    if act.bought:
        hands = handed(desk.bought_from(act.grower, rows, "grower"), desk.ourselves)
    elif grower is not None:
        hands = handed(Parties(grower, grower), Parties(None, desk.us.party))
    tare = None if act.tare_kg is None else {"value": act.tare_kg, "uom": KILOGRAM}
    return [
        desk.forms.weighing(
            weighed,
            place.id,
            desk.paper("weigh", act.slip),
            hands,
            desk.plain(act.card),
            desk.pulp(act.pulp, act.probe),
            extras(tare=tare, grade=act.grade),
        )
    ]


def precool_start(desk: Desk, act: PrecoolStart) -> list[Event]:
    goods, rows = desk.goods(act.goods, desk.ours)
    room = desk.own_place(act.place).id
    desk.after(rows)
    desk.tell_of(rows)
    return [desk.forms.precooling(goods, room, "precooling_start")]


def precool_end(desk: Desk, act: PrecoolEnd) -> list[Event]:
    goods, rows = desk.goods(act.goods, desk.ours)
    room = desk.place_or_now(act.place, rows)
    if room is None:
        raise refuse("place_needed", "place", status=422)
    desk.after(rows)
    desk.tell_of(rows)
    return [desk.forms.precooling(goods, room, "precooling_end", desk.pulp(act.pulp, act.probe))]


# --- the run -----------------------------------------------------------------------------------------------------------


def mix(desk: Desk, act: Mix) -> list[Event]:
    inputs, rows = desk.goods(act.inputs, desk.ours, "inputs")
    desk.refuse_marked(rows, "inputs")
    line = desk.own_place(act.place).id
    desk.after(rows)
    products = [
        desk.product(each.product, f"outputs.{place}.product") for place, each in enumerate(act.outputs)
    ]
    _refuse_surplus(desk, act, inputs, products)
    run = desk.paper("run")
    outputs = []
    for place, (each, product) in enumerate(zip(act.outputs, products, strict=True)):
        outputs.append(_made(desk, each, product, place))
        desk.lots.append(outputs[-1].lot)
    issued = []
    if act.certify is not None:
        issued = certificates.of_run(desk, act.certify, inputs, list(zip(outputs, products, strict=True)))
    culled = _cull(desk, products[0], run, act.cull_kg)
    record = _run_record(desk, act, products, run) | certificates.in_ilmd(issued)
    return [desk.forms.run(inputs, [*outputs, *culled], line, run, record, [each.id for each in issued])]


def _made(desk: Desk, output: Output, product: Product, place: int) -> Quantity:
    if output.boxes is None:
        lot = _packed_lot(desk, output, product.picked_class, place)
        return Quantity(lot, output.kg, KILOGRAM)
    return Quantity(_packed_lot(desk, output, product.packed_class, place), output.boxes, None)


def _packed_lot(desk: Desk, output: Output, product_class: str, place: int) -> str:
    if output.lot is not None:
        return _own_number(desk, lot_of(product_class, output.lot), output.lot, f"outputs.{place}.lot")
    product = desk.registered.product(output.product)
    assert product is not None
    code, foreign = product_code(product.picked_class.rpartition("/")[2]), product.organisation != desk.us.id
    return desk.numbers.packed_lot(product_class, code, desk.day, foreign=foreign)


def weight_of(output: Output, product: Product, place: int) -> float:
    if output.kg is not None:
        return output.kg
    if product.net_content_kg is None:
        raise refuse("no_net_content", f"outputs.{place}.boxes", product=product.name)
    return (output.boxes or 0) * product.net_content_kg


def _refuse_surplus(desk: Desk, act: Mix, inputs: Sequence[Quantity], products: Sequence[Product]) -> None:
    """Fruit loses weight on the way through and never gains any."""
    weights = [
        each.quantity if each.uom == KILOGRAM else desk.stock.kilograms(each.lot, each.quantity or 0.0)
        for each in inputs
    ]
    came_out = act.cull_kg + sum(
        weight_of(each, product, place)
        for place, (each, product) in enumerate(zip(act.outputs, products, strict=True))
    )
    if any(weight is None for weight in weights):
        return
    went_in = sum(weight or 0.0 for weight in weights)
    if came_out > went_in * (1 + TOLERANCE) + NOTHING:
        raise refuse(
            "more_out_than_in", "outputs", out=amount(came_out, KILOGRAM), put_in=amount(went_in, KILOGRAM)
        )


def _cull(desk: Desk, product: Product, run: str, kg: float) -> list[Quantity]:
    if kg <= 0:
        return []
    name = product.picked_class.rpartition("/")[2].partition("-")[0] or "goods"
    return [Quantity(f"{desk.numbers.root}/class/{name}-cull.{run.rpartition('/')[2]}", kg, KILOGRAM)]


def _run_record(desk: Desk, act: Mix, products: Sequence[Product], run: str) -> Event:
    net = {
        each.net_content_kg
        for each, said in zip(products, act.outputs, strict=True)
        if said.boxes is not None
    }
    only = next(iter(net)) if len(net) == 1 else None
    grades = "/".join(dict.fromkeys(each.grade for each in act.outputs if each.grade))
    return ilmd(
        packDate=desk.local_day.isoformat(),
        bestBefore=None if act.best_before is None else act.best_before.isoformat(),
        # One net content speaks for all boxes of the run; where they differ, the products say it.
        netWeightPerUnitKg=None if only is None else decimal(only),
        grade=grades or None,
        inputShares=f"{desk.numbers.root}/doc/run/{run.rpartition('/')[2]}",
    )


# --- units and rooms ------------------------------------------------------------------------------------------------------


def pack(desk: Desk, act: Pack) -> list[Event]:
    lot = desk.lot(act.lot, "lot")
    rows = desk.rows(lot, desk.loose, "lot")
    if rows[0].uom is not None:
        raise refuse("kg_lot", "lot", code=label(lot))
    desk.refuse_marked(rows, "lot")
    packed = desk.enough(lot, act.boxes, rows, "boxes")
    unit = new_unit(desk, act.unit)
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    product = desk.registered.product_of_lot(lot)
    foreign = product is not None and product.organisation != desk.us.id
    serials = desk.numbers.serials(lot, act.boxes, foreign=foreign)
    desk.serials.append(serials)
    desk.lots.append(lot)
    desk.units.append(unit)
    return [desk.forms.packing(unit, [packed], place, serials, act.packaging)]


def new_unit(desk: Desk, said: str | None) -> str:
    """A unit nobody has used: the label in hand, if it is ours, or a new number."""
    if said is None:
        return desk.numbers.unit()
    unit = desk.unit(said, "unit")
    prefix = desk.us.gs1_prefix
    ours = unit.startswith(f"{desk.numbers.root}/obj/")
    if prefix is not None and unit.startswith("https://id.gs1.org/00/"):
        ours = unit.rpartition("/")[2][1:].startswith(prefix)
    if not ours:
        raise refuse("foreign_unit", "unit", code=label(unit))
    if desk.stock.ever_held(unit) or not desk.is_new(unit):
        raise refuse("unit_in_use", "unit", code=label(unit))
    return unit


def store(desk: Desk, act: Store) -> list[Event]:
    what, rows = desk.moved(act, desk.ours)
    room = desk.own_place(act.place).id
    door = room if act.door is None else desk.place(act.door, "door").id
    desk.after(rows)
    return [desk.forms.storing(what, door, room)]
