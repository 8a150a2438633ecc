"""What is done at the market's dock and at the stalls with goods that came in, as events.

In the line: desk.py -> here -> forms.py. Contract: a refused part is split off first and judged after, since a class quantity
cannot carry two states; ownership passes with accepting; a positive screen is a hold and never a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trace_api.acts import results
from trace_api.acts.codes import label
from trace_api.acts.desk import Desk, Reach, amount, event_time
from trace_api.acts.farm import new_unit
from trace_api.acts.holds import HELD, cleared, refuse_release
from trace_api.acts.models import (
    Accept,
    Hold,
    Inspect,
    Laboratory,
    RapidTest,
    Receive,
    RefusePart,
    Release,
    Sample,
)
from trace_api.acts.numbers import SerialRange
from trace_api.acts.parts import Event, Parties, Quantity, What, extras, handed
from trace_api.acts.refusals import refuse
from trace_api.acts.results import NewTest
from trace_api.acts.shapes import Part
from trace_api.acts.stock import Row

KILOGRAM = "KGM"


def inspect(desk: Desk, act: Inspect) -> list[Event]:
    what, rows = desk.moved(act, desk.looked_at)
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    certificates = [desk.uri(each, f"certificates.{n}") for n, each in enumerate(act.certificates)]
    rules = desk.plain(act.rules)
    pulp = desk.pulp(act.pulp, act.probe, rules)
    more = extras(decidedBy=desk.us.kind, reason=act.reason)
    return [desk.forms.inspecting(what, place, act.conformant, certificates, rules, pulp, more)]


def part_of(desk: Desk, act: Part, reach: Reach) -> tuple[str, Quantity, list[Row], SerialRange | None]:
    """So many boxes out of a unit: the unit, the quantity, the rows it comes from, the labels on it."""
    unit = desk.unit(act.unit, "unit")
    lot, rows = only_lot(desk, unit, act.lot, desk.in_unit(unit, reach, "unit"))
    taken = desk.enough(lot, act.boxes, rows, "boxes")
    serials = None if act.serials is None else SerialRange(lot, *act.serials)
    desk.tell_of(rows)
    return unit, taken, rows, serials


def only_lot(desk: Desk, unit: str, said: str | None, rows: list[Row]) -> tuple[str, list[Row]]:
    """The lot that is meant of those in a unit, and its rows there."""
    lots = list(dict.fromkeys(row.lot for row in rows))
    if said is None and len(lots) > 1:
        raise refuse("several_lots", "lot", status=422, code=label(unit), count=len(lots))
    lot = lots[0] if said is None else desk.lot(said, "lot")
    if lot not in lots:
        raise refuse("not_in_unit", "lot", status=422, lot=label(lot), unit=label(unit))
    return lot, [row for row in rows if row.lot == lot]


def refuse_part(desk: Desk, act: RefusePart) -> list[Event]:
    unit, taken, rows, serials = part_of(desk, act, desk.looked_at)
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    refused = new_unit(desk, None)
    desk.units.append(refused)
    forms, slip = desk.forms, desk.paper("reject")
    return [
        forms.unpacking(unit, [taken], place, serials),
        forms.packing(refused, [taken], place, serials),
        forms.refused(refused, place, slip, act.reason),
    ]


def accept(desk: Desk, act: Accept) -> list[Event]:
    """From the seller, out of the hands of whoever brought it, to us."""
    coming = desk.coming_in(buying=True)
    units, rows = desk.units_taken_in(act.units, coming)
    goods, loose = desk.goods(act.goods, coming)
    rows += loose
    desk.refuse_marked(rows, "units")
    room = desk.own_place(act.place).id
    places = {row.place for row in rows}
    seen = next(iter(places)) if len(places) == 1 else None
    seller = desk.party(act.seller, "seller")
    giver = seller if act.giver is None else desk.party(act.giver, "giver")
    owners = {owner for row in rows if (owner := desk.seller_of(row)) is not None}
    known = desk.registered.by_party(seller)
    if known is not None and len(owners) > 1 and seller in owners:
        raise refuse("several_sellers", "seller", seller=known.name, count=len(owners))
    desk.after(rows)
    desk.tell_of(rows, units)
    hands = handed(Parties(seller, giver), desk.ourselves)
    return [
        desk.forms.accepting(
            What(tuple(units), tuple(goods)), seen, room, desk.paper("receipt", act.receipt), hands
        )
    ]


def receive(desk: Desk, act: Receive) -> list[Event]:
    coming = desk.coming_in(act.bought)
    units, rows = desk.units_taken_in(act.units, coming)
    loose: list[Row] = []
    if act.kg is not None:
        goods = [_without_label(desk, act, act.kg)]
    elif act.outside:
        goods = [_from_outside(desk, act, n) for n in range(len(act.goods))]
    else:
        goods, loose = desk.goods(act.goods, coming)
    place = desk.own_place(act.place).id
    desk.after([*rows, *loose])
    desk.tell_of([*rows, *loose], units)
    hands = _received(desk, act, [*rows, *loose])
    receipt = None if act.receipt is None else desk.paper("receipt", act.receipt)
    what = What(tuple(units), tuple(goods))
    slip = None if act.rma is None else desk.paper("rma", act.rma)
    pulp = desk.pulp(act.pulp, act.probe)
    return [desk.forms.receiving(what, place, act.for_sale, receipt, hands, pulp, slip)]


def _received(desk: Desk, act: Receive, rows: Sequence[Row]) -> Event:
    """From whom to us. Goods from outside the record may come from somebody whom nobody registered."""
    outside = act.outside or act.unlabelled
    if act.bought and (rows or act.giver is not None or not outside):
        return handed(desk.bought_from(act.giver, rows, "giver"), desk.ourselves)
    giver = None if act.giver is None else desk.party(act.giver, "giver")
    taker = desk.ourselves if act.bought else Parties(None, desk.us.party)
    return handed(None if giver is None else Parties(giver, giver), taker)


def _from_outside(desk: Desk, act: Receive, n: int) -> Quantity:
    """Goods that nobody recorded here: what we say of them is all that is known. A second delivery needs a lot of its own: said
    of the same one it would be taken for the first, seen again."""
    said = act.goods[n]
    lot = desk.lot(said.lot, f"goods.{n}.lot")
    if desk.stock.knows(lot) or desk.standing(lot) != "unknown":
        raise refuse("outside_known", f"goods.{n}.lot", code=label(lot))
    if said.quantity is None:
        raise refuse("missing", f"goods.{n}.quantity", status=422)
    desk.lots.append(lot)
    product = desk.registered.product_of_lot(lot)
    boxes = product is not None and lot.startswith(f"{product.packed_class}/")
    return Quantity(lot, said.quantity, None if boxes else KILOGRAM)


def _without_label(desk: Desk, act: Receive, kg: float) -> Quantity:
    """A lot of our own; of nobody else's product, who knows nothing of these goods."""
    product = None if act.product is None else desk.product(act.product, "product")
    if product is not None and product.organisation != desk.us.id:
        raise refuse("unknown_product", "product", status=422, code=act.product)
    product_class = f"{desk.numbers.root}/class/outside" if product is None else product.picked_class
    lot = desk.numbers.picked_lot(product_class, desk.day, "W")
    desk.lots.append(lot)
    return Quantity(lot, kg, KILOGRAM)


# --- tests and holds ------------------------------------------------------------------------------------------------------


def sample(desk: Desk, act: Sample) -> list[Event]:
    """What is taken for a test is gone: the mass balance knows it."""
    lot, rows = _sampled(desk, act)
    weights = [row.kg for row in rows]
    left = sum(weight or 0.0 for weight in weights)
    if None not in weights and act.kg > left:
        raise refuse(
            "not_enough", "kg", code=label(lot), left=amount(left, KILOGRAM), wanted=amount(act.kg, KILOGRAM)
        )
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    desk.lots.append(lot)
    slip = desk.paper("sample", act.number)
    unit = None if act.unit is None else desk.unit(act.unit, "unit")
    number = act.number or label(slip)
    desk.tests.append(NewTest(lot, unit, place, number, "rapid", "", desk.at, None, "pending"))
    return [desk.forms.sampling(Quantity(lot, act.kg, KILOGRAM), place, slip, act.authority)]


def _sampled(desk: Desk, act: Sample) -> tuple[str, list[Row]]:
    """The lot, and the part of it that is at hand."""
    if act.unit is None:
        lot = desk.lot(act.lot or "", "lot")
        return lot, desk.rows(lot, desk.looked_at, "lot")
    unit = desk.unit(act.unit, "unit")
    rows = desk.in_unit(unit, desk.looked_at, "unit")
    return only_lot(desk, unit, act.lot, rows)


def rapid_test(desk: Desk, act: RapidTest) -> list[Event]:
    what, rows = desk.moved(act, desk.looked_at)
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    positive = results.outcome_of(act.value, act.threshold) == "positive"
    lot, unit = _judged(desk, act, what, rows)
    desk.lots[:] = [lot]
    sampled_at, result_at = _tested(desk, act)
    told = None if act.told is None else event_time(act.told, desk.now, "told")
    measured = desk.forms.inhibition(act.value, sampled_at, desk.plain(act.instrument), positive)
    more = extras(
        authority="market" if "market" in desk.person.roles else "self",
        method=act.method,
        notCovered=list(act.not_covered),
        retest=act.retest or None,
    )
    desk.tests.append(
        NewTest(
            lot, unit, place, act.sample, "rapid", act.method, sampled_at, result_at, "positive" if positive else "negative",
            act.value, "P1", act.threshold, act.covers, act.not_covered,
            told=max(told, result_at) if told and positive else None,
            retest_of=results.screened(desk.conn, lot) if act.retest else None,
        )
    )  # fmt: skip
    return [desk.forms.rapid_test(what, place, desk.paper("result", act.sample), measured, positive, more)]


def laboratory(desk: Desk, act: Laboratory) -> list[Event]:
    """The last word on a sample. Clean, it lifts the hold that a test of ours set; else the goods stay or go on hold."""
    sold = _sold_before(desk, act)
    what, rows = (What((), (Quantity(sold, None, None),)), []) if sold else desk.moved(act, desk.looked_at)
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    lot, unit = _judged(desk, act, what, rows)
    desk.lots[:] = [lot]
    clean, (sampled_at, result_at) = act.outcome == "negative", _tested(desk, act)
    desk.tests.append(
        NewTest(
            lot, unit, place, act.sample, "laboratory", act.method or "", sampled_at, result_at, act.outcome,
            covers=act.covers, retest_of=act.retest_of,
        )
    )  # fmt: skip
    held = [row for row in rows if HELD in row.marks]
    marks = {}
    if clean and held and cleared(desk, held, lot, result_at):
        marks = {"unset": [HELD]}
    elif not clean and len(held) < len(rows):
        marks = {"set": [HELD]}
    report = desk.paper("result", act.sample)
    more = extras(method=act.method)
    return [desk.forms.laboratory(what, place, report, act.substances, clean, marks, more)]


def _tested(desk: Desk, act: RapidTest | Laboratory) -> tuple[datetime, datetime]:
    """When the sample was taken and its result found: on the calendar, or no later result would ever settle it."""
    result_at = event_time(act.result_at or desk.at, desk.now, "result_at")
    sampled_at = event_time(act.sampled_at or result_at, desk.now, "sampled_at")
    if sampled_at > result_at:
        raise refuse("result_before_sample", "result_at", status=422)
    return sampled_at, result_at


def _sold_before(desk: Desk, act: Laboratory) -> str | None:
    """The lot whose goods were gone before the result of our sample came: it is said of the lot by its name."""
    said = act.lot or next((each.lot for each in act.goods), None)
    lot = None if said is None else desk.lot(said, "lot")
    if lot is None or any(desk.looked_at(row) for row in desk.stock.of_lot(lot)):
        return None
    return lot if results.tested(desk.conn, lot) else None


def _judged(desk: Desk, act: RapidTest | Laboratory, what: What, rows: list[Row]) -> tuple[str, str | None]:
    """The lot and the unit that a result judges: those that its sample was taken of; else the only ones it can be of."""
    lots = list(dict.fromkeys(row.lot for row in rows)) or [each.lot for each in what.goods]
    waits = results.waiting(desk.conn, act.sample, act.kind.removesuffix("_test"), lots)
    if act.lot is not None and rows:
        lots = [only_lot(desk, (*what.units, lots[0])[0], act.lot, rows)[0]]
        waits = [each for each in waits if each[0] == lots[0]]
    sampled = list(dict.fromkeys(lot for lot, _ in waits)) or lots
    if len(sampled) > 1:
        raise refuse(
            "several_lots", "lot", status=422, code=label((*what.units, lots[0])[0]), count=len(sampled)
        )
    units = {unit for lot, unit in waits if lot == sampled[0] and unit is not None}
    if len(units) == 1 and what.units and not units & set(what.units):
        raise refuse("sample_elsewhere", "sample", sample=act.sample, unit=label(next(iter(units))))
    if len(units) != 1:
        units = set(what.units)
    return sampled[0], next(iter(units)) if len(units) == 1 else None


def hold(desk: Desk, act: Hold) -> list[Event]:
    what, rows = desk.moved(act, desk.looked_at)
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    recalled = bool(rows) and all("recalled" in row.marks for row in rows)
    return [desk.forms.holding(what, place, act.reason, recalled=recalled)]


def release(desk: Desk, act: Release) -> list[Event]:
    """Only who put goods on hold lets them go; and what a test found only a laboratory clears."""
    what, rows = desk.moved(act, desk.looked_at)
    refuse_release(desk, rows, act.report)
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    report = None if act.report is None else desk.paper("result", act.report)
    return [desk.forms.releasing(what, place, [HELD], report, act.reason)]
