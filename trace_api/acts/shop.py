"""What stalls and shops do with goods that are theirs, as events: split, sell on, sell, write off.

In the line: desk.py -> here -> forms.py. Contract: a part that leaves travels under a name of its own; a buyer nobody knows is
said to be unknown rather than invented; what is gone is taken off the mass.
"""

from __future__ import annotations

from trace_api.acts.desk import Desk
from trace_api.acts.farm import new_unit
from trace_api.acts.market import part_of
from trace_api.acts.models import Sell, Ship, Shrink, Split
from trace_api.acts.parts import Event, Parties, What, handed
from trace_api.acts.stock import Row


def split(desk: Desk, act: Split) -> list[Event]:
    unit, taken, rows, serials = part_of(desk, act, desk.ours)
    desk.refuse_marked(rows, "unit")
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    part = new_unit(desk, None)
    desk.units.append(part)
    forms = desk.forms
    events = [forms.unpacking(unit, [taken], place, serials), forms.packing(part, [taken], place, serials)]
    if act.buyer is not None:
        hands = handed(desk.ourselves, desk.buyer(act.buyer))
        events.append(forms.shipping(What((part,)), place, desk.paper("sale", act.sale), hands))
    return events


def ship(desk: Desk, act: Ship) -> list[Event]:
    # Out of a unit goods go by `split`, under a name of their own.
    what, rows = desk.moved(act, desk.ours, desk.there(desk.loose, act.place))
    desk.refuse_marked(rows if act.rma is None else [row for row in rows if not _may_go_back(row)], "units")
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    buyer = desk.buyer(act.buyer)
    hands = handed(desk.ourselves, buyer)
    if any(row.custody.owner not in (None, desk.us.id) for row in rows):
        # A market or a warehouse hands over what it keeps for others; whose it is does not change by that.
        hands = handed(Parties(None, desk.us.party), Parties(None, buyer.possessing))
    if act.rma is not None:
        return [desk.forms.returning(what, place, desk.paper("rma", act.rma), hands)]
    return [desk.forms.shipping(what, place, desk.paper("sale", act.sale), hands)]


def _may_go_back(row: Row) -> bool:
    """What was recalled or refused goes back, set apart or not; what is on hold for anything else stays."""
    return not row.marks.isdisjoint(("recalled", "non_sellable_other"))


def sell(desk: Desk, act: Sell) -> list[Event]:
    what, rows = desk.moved(act, desk.ours, desk.there(desk.ours, act.place))
    desk.refuse_marked(rows, "goods")
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    return [desk.forms.selling(what, place, act.basis)]


def shrink(desk: Desk, act: Shrink) -> list[Event]:
    what, rows = desk.moved(act, desk.ours, desk.there(desk.ours, act.place))
    place = desk.place_or_now(act.place, rows)
    desk.after(rows)
    proof = None if act.proof is None else desk.paper("destruction", act.proof)
    return [desk.forms.destroying(what, place, act.reason, act.note, proof)]
