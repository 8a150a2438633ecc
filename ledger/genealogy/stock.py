"""The walk: every effective event applied in order to a picture of where all goods are.

In the line: facts -> here -> portions, presence, trace. Contract: linear in what events move; one Step is
left on each parcel that an event concerned, directly or through what holds it; mass is only what books.py
grants. An event that names a unit or a vehicle concerns all inside; one that names a quantity concerns the
parcels that taking.py finds likeliest. Where the events leave a choice, the parcel carries the other
possibilities.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ledger.genealogy.books import Books
from ledger.genealogy.containment import Containment, Where, vehicles
from ledger.genealogy.facts import Amount, Fact
from ledger.genealogy.holdings import Holdings, born_at
from ledger.genealogy.labels import ranges_of
from ledger.genealogy.names import site
from ledger.genealogy.parcels import Node, Parcel, Step
from ledger.genealogy.stages import stage_after, stage_of_making, stage_of_output
from ledger.genealogy.taking import (
    ENTERING,
    LEAVING,
    OUT_OF_VEHICLE,
    STILL,
    Reason,
    entry_reason,
    here_reason,
    packing_reason,
    removal_reason,
)


@dataclass(slots=True)
class Run:
    """One transformation: what went in, by lot (quantity in `uom`; the parcels used up), at which stages,
    whose."""

    inputs: dict[str, tuple[float | None, str | None]] = field(default_factory=dict)
    used: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    stages: set[str | None] = field(default_factory=set)
    holders: set[str] = field(default_factory=set)

    def add(self, lot: str, quantity: float | None, uom: str | None) -> None:
        before, unit = self.inputs.get(lot, (0.0, uom))
        known = before is not None and quantity is not None and unit == uom
        self.inputs[lot] = ((before or 0.0) + (quantity or 0.0) if known else None, unit)


class Stock:
    """`parcels` by lot, `nodes` by name and `runs` by their name, as they stand after the last event."""

    def __init__(self, facts: Iterable[Fact], net_kg: Mapping[str, float]) -> None:
        facts = list(facts)
        self.books = Books(facts, net_kg)
        self.containment = Containment(vehicles(facts))
        self.holdings = Holdings(self.books, self.containment)
        self.runs: dict[str, Run] = {}
        self._told: dict[str, tuple[Parcel, str | None]] = {}
        for fact in facts:
            self._apply(fact)

    @property
    def nodes(self) -> Mapping[str, Node]:
        return self.containment.nodes

    @property
    def parcels(self) -> Mapping[str, list[Parcel]]:
        return self.holdings.parcels

    def _apply(self, fact: Fact) -> None:
        self._told = {}
        if fact.kind == "TransformationEvent":
            self._transform(fact)
        elif fact.kind == "AggregationEvent":
            self._aggregate(fact)
        elif fact.kind == "AssociationEvent":
            self._tell(fact, self.containment.contents(fact.parent or ""))
        elif fact.kind == "ObjectEvent" and fact.action == "DELETE":
            self._remove(fact)
        else:
            self._see(fact)
        for parcel, giver in self._told.values():
            parcel.steps.append(self._step(parcel, fact, giver))
            self.holdings.touch(parcel, fact.ordinal)

    def _tell(self, fact: Fact, parcels: Iterable[Parcel]) -> None:
        """The event is about these goods: stage, holder and papers follow from it."""
        for parcel in parcels:
            parcel.stage = stage_after(fact, parcel.stage)
            parcel.holder = fact.taker or parcel.holder or fact.giver
            parcel.documents |= fact.documents
            self._told[parcel.name] = (parcel, fact.giver)

    def _place(self, fact: Fact, node: Node, where: Where) -> None:
        """What is moved along has a step of its own, even if the event is about other goods."""
        for parcel in self.containment.set_place(node, where):
            self._told.setdefault(parcel.name, (parcel, None))

    def _is_told(self, parcel: Parcel) -> bool:
        """An event that names a unit and a quantity does not mean what is in the unit twice."""
        return parcel.name in self._told

    def _step(self, parcel: Parcel, fact: Fact, giver: str | None) -> Step:
        chain = tuple(self.containment.chain(parcel.container))
        return Step(
            ordinal=fact.ordinal,
            ms=fact.ms,
            chain=chain,
            in_vehicle=any(self.nodes[name].vehicle for name in chain),
            place=parcel.place,
            place_kind=parcel.place_kind,
            stage=parcel.stage,
            holder=parcel.holder,
            giver=giver,
        )

    # --- seen, made, removed

    def _see(self, fact: Fact) -> None:
        for name in fact.nodes:
            self._see_node(fact, self.containment.node(name))
        for amount in fact.goods:
            if fact.kind == "ObjectEvent" and fact.action == "ADD":
                made = self.holdings.make(fact, amount, None, stage_of_making(fact, amount))
                self._tell(fact, made)
            elif fact.kind != "ObjectEvent" or fact.step in STILL:
                self._tell(fact, self._seen_still(fact, amount))
            else:
                self._see_moved(fact, amount)

    def _seen_still(self, fact: Fact, amount: Amount) -> list[Parcel]:
        if fact.marks and amount.quantity is None and self.parcels.get(amount.lot):
            # A recall of a lot is of all that stands there, packed or loose, whoever brought it.
            there = [each for each in self.holdings.living(amount.lot) if here_reason(each, fact) is not None]
            return [each for each in there if not self._is_told(each)]
        unseen = not self.parcels.get(amount.lot)
        return self.holdings.take(fact, amount, here_reason, new=unseen, skip=self._is_told)

    def _see_node(self, fact: Fact, node: Node) -> None:
        unloaded = fact.step in OUT_OF_VEHICLE and fact.biz_location and fact.disposition != "in_transit"
        if unloaded and node.inside and not node.vehicle and self.nodes[node.inside].vehicle:
            self.containment.detach(node)
        self._place(fact, node, _where_after(fact, (node.place, node.place_kind)))
        self._tell(fact, self.containment.contents(node.name))

    def _see_moved(self, fact: Fact, amount: Amount) -> None:
        """Goods seen by quantity go where the event says; with them their unit, if they are all that is in
        it."""
        reason = entry_reason if fact.step in ENTERING else removal_reason
        pieces = self.holdings.take(fact, amount, reason, skip=self._is_told)
        for piece in pieces:
            where = _where_after(fact, (piece.place, piece.place_kind))
            unit = self.nodes[piece.container] if piece.container else None
            moved = where != (piece.place, piece.place_kind)
            if (
                unit
                and moved
                and not unit.vehicle
                and not unit.nodes
                and set(unit.parcels.values()) <= set(pieces)
            ):
                self._see_node(fact, unit)
            elif unit and moved and fact.biz_location is not None:
                self.containment.put(piece, None)
            piece.place, piece.place_kind = where
        self._tell(fact, pieces)

    def _remove(self, fact: Fact) -> None:
        for name in fact.nodes:
            contents = self.containment.contents(name)
            self._tell(fact, contents)
            if fact.step in ("", "decommissioning"):  # the label is retired, not the fruit
                for parcel in contents:
                    self.containment.put(parcel, None)
            else:
                self.holdings.end(fact, contents, fact.step)
            self.containment.detach(self.containment.node(name))
        for amount in fact.goods:
            pieces = self.holdings.take(fact, amount, removal_reason)
            self._tell(fact, pieces)
            self.holdings.end(fact, pieces, fact.step or "removed")

    # --- packed, loaded, and out again

    def _aggregate(self, fact: Fact) -> None:
        if fact.parent is None:
            for name in fact.nodes:
                self._see_node(fact, self.containment.node(name))
        elif fact.action == "DELETE":
            self._take_out(fact, self.containment.node(fact.parent))
        else:
            self._put_in(fact, self.containment.node(fact.parent))

    def _put_in(self, fact: Fact, parent: Node) -> None:
        inside = []
        for node in map(self.containment.node, fact.nodes):
            if self.containment.attach(node, parent):
                inside.append(node)
            else:
                self.holdings.flag(fact, "contains_itself", Amount(node.name, None, None), None)
        pieces = [piece for amount in fact.goods for piece in self._pack(fact, amount, parent)]
        self._settle(fact, parent, [*inside, *pieces])
        for node in inside:
            self._place(fact, node, (parent.place, parent.place_kind))
        for piece in pieces:
            piece.place, piece.place_kind = parent.place, parent.place_kind
        self._tell(fact, [*self._contents_of(inside), *pieces])

    def _pack(self, fact: Fact, amount: Amount, parent: Node) -> list[Parcel]:
        def inside(parcel: Parcel) -> bool:
            return parcel.container == parent.name

        if fact.action == "OBSERVE":
            amount = self._missing_from(parent, amount)
        pieces = self.holdings.take(fact, amount, packing_reason, skip=inside) if amount.quantity != 0 else []
        labels = tuple(each for each in ranges_of(fact) if each.lot == amount.lot)
        for piece in pieces:
            piece.labels += labels
            self.containment.put(piece, parent)
        return pieces

    def _missing_from(self, parent: Node, amount: Amount) -> Amount:
        """An observed aggregation says what is inside, not what is added."""
        said = None if amount.quantity is None else self.books.bridge(amount.lot, amount.quantity, amount.uom)
        if amount.boxes or said is None:
            return amount
        there = sum(each.quantity or 0.0 for each in parent.parcels.values() if each.lot == amount.lot)
        return Amount(amount.lot, max(0.0, said - there), self.books.unit(amount.lot, amount.uom))

    def _settle(self, fact: Fact, parent: Node, added: list[Node | Parcel]) -> None:
        """Where the parent stands while it is filled."""
        if fact.biz_location is not None:
            self._place(fact, parent, (fact.biz_location, "biz_location"))
        elif parent.vehicle and fact.read_point is not None and site(fact.read_point) != site(parent.place):
            self._place(fact, parent, (None, None))  # it has driven here from its last known place
        elif parent.place is None and added and fact.step not in LEAVING:
            # A new unit stands where what is put into it stood.
            self._place(fact, parent, (added[0].place, added[0].place_kind))

    def _take_out(self, fact: Fact, parent: Node) -> None:
        if fact.nodes or fact.goods:
            nodes = [node for node in map(self.containment.node, fact.nodes) if self._holds(parent, node)]
            pieces = [piece for amount in fact.goods for piece in self._unpack(fact, amount, parent)]
        else:  # EPCIS: no children means all of them
            nodes = [self.containment.node(name) for name in parent.nodes]
            pieces = list(parent.parcels.values())
        outer = self._outer(fact, parent)
        for node in nodes:
            self.containment.detach(node)
            if outer is not None:
                self.containment.attach(node, outer)
            self._place(fact, node, _where_after(fact, (node.place, node.place_kind)))
        for piece in pieces:
            self.containment.put(piece, outer)
            piece.place, piece.place_kind = _where_after(fact, (piece.place, piece.place_kind))
        self._tell(fact, [*self._contents_of(nodes), *pieces])

    def _unpack(self, fact: Fact, amount: Amount, parent: Node) -> list[Parcel]:
        def nearest(parcel: Parcel, fact: Fact) -> Reason:
            depth = 0 if parcel.container == parent.name else 1
            return packing_reason(parcel, fact)._replace(document=depth)

        unseen = not self.parcels.get(amount.lot)
        among = self.containment.contents(parent.name)
        return self.holdings.take(fact, amount, nearest, new=unseen, among=among)

    def _holds(self, parent: Node, node: Node) -> bool:
        return parent.name in self.containment.chain(node.inside)

    def _outer(self, fact: Fact, parent: Node) -> Node | None:
        """What held the parent holds what is taken out of it; but out of a vehicle, and out of a unit that is
        opened at a place of its own, things come into the open."""
        outer = self.nodes[parent.inside] if parent.inside else None
        if outer is not None and (parent.vehicle or (outer.vehicle and fact.biz_location is not None)):
            return None
        return outer

    def _contents_of(self, nodes: Iterable[Node]) -> Iterable[Parcel]:
        found = {parcel.name: parcel for node in nodes for parcel in self.containment.contents(node.name)}
        return found.values()

    # --- transformed

    def _transform(self, fact: Fact) -> None:
        run = self.runs.setdefault(fact.run, Run())
        for name in fact.nodes:
            contents = self.containment.contents(name)
            for parcel in contents:
                run.add(parcel.lot, parcel.quantity, parcel.uom)
            self._use_up(fact, run, contents)
        for amount in fact.goods:
            run.add(amount.lot, amount.quantity, amount.uom)
            self._use_up(fact, run, self.holdings.take(fact, amount, removal_reason))
        stage = stage_of_output(run.stages)
        for amount in fact.out_goods:
            made = self.holdings.make(fact, amount, fact.run, stage)
            for parcel in made if len(run.holders) == 1 else ():
                parcel.holder = next(iter(run.holders))
            self._tell(fact, made)
        for name in fact.out_nodes:
            self._place(fact, self.containment.node(name), born_at(fact))

    def _use_up(self, fact: Fact, run: Run, pieces: list[Parcel]) -> None:
        self._tell(fact, pieces)
        for piece in pieces:
            run.stages.add(piece.stage)
            if piece.holder is not None:
                run.holders.add(piece.holder)
            run.used[piece.lot].append(piece.name)
        self.holdings.end(fact, pieces, "transformed")


def _where_after(fact: Fact, now: Where) -> Where:
    """Without a bizLocation goods stay where they are, unless they leave; taken out, they are where this was
    seen."""
    if fact.biz_location is not None:
        return fact.biz_location, "biz_location"
    if fact.kind == "AggregationEvent" and fact.action == "DELETE":
        seen = fact.read_point is not None and not fact.read_point.startswith("geo:")
        return (fact.read_point, "read_point") if seen else now
    return (None, None) if fact.step in LEAVING or fact.disposition == "in_transit" else now
