"""What is inside what, and where it stands.

In the line: stock.py tells it what the events say; parcels take their chain and place from it. Contract: a
thing is in at most one other and never in itself; a place given to a thing is given to all inside it, at any
depth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from ledger.genealogy.facts import Fact
from ledger.genealogy.names import identify
from ledger.genealogy.parcels import Node, Parcel, PlaceKind, base_vehicle

Where = tuple[str | None, PlaceKind | None]


class Containment:
    def __init__(self, vehicles: frozenset[str]) -> None:
        self.nodes: dict[str, Node] = {}
        self._vehicles = vehicles
        self._compartments: defaultdict[str, list[str]] = defaultdict(list)

    def node(self, name: str) -> Node:
        """The thing of this name, made when first heard of."""
        node = self.nodes.get(name)
        if node is None:
            vehicle = name in self._vehicles or identify(name).scheme == "giai"
            node = self.nodes[name] = Node(name, vehicle)
            base = base_vehicle(name)
            if base is not None:
                self._compartments[base].append(name)
        return node

    def chain(self, name: str | None) -> Iterator[str]:
        """The containers from this one out."""
        while name is not None:
            yield name
            name = self.nodes[name].inside

    def within(self, name: str) -> Iterator[Node]:
        """The thing itself and every thing in it; of a trailer, its compartments too."""
        waiting = [name]
        while waiting:
            each = waiting.pop()
            waiting.extend(self._compartments.get(each, ()))
            if each in self.nodes:
                waiting.extend(self.nodes[each].nodes)
                yield self.nodes[each]

    def contents(self, name: str) -> list[Parcel]:
        return [parcel for node in self.within(name) for parcel in node.parcels.values()]

    def attach(self, node: Node, parent: Node) -> bool:
        """Into the parent, out of whatever it was in; False, and nothing done, if the parent is inside it."""
        if node.name in self.chain(parent.name):
            return False
        self.detach(node)
        node.inside = parent.name
        parent.nodes[node.name] = None
        return True

    def detach(self, node: Node) -> None:
        if node.inside is not None:
            self.nodes[node.inside].nodes.pop(node.name, None)
            node.inside = None

    def put(self, parcel: Parcel, node: Node | None) -> None:
        """Into the node, or loose."""
        self.forget(parcel)
        parcel.container = node.name if node else None
        if node is not None:
            node.parcels[parcel.name] = parcel

    def forget(self, parcel: Parcel) -> None:
        """The parcel is there no more, and remembers where it was."""
        if parcel.container is not None:
            self.nodes[parcel.container].parcels.pop(parcel.name, None)

    def set_place(self, node: Node, where: Where) -> list[Parcel]:
        """Returns the parcels that were somewhere else before."""
        moved = []
        for each in self.within(node.name):
            each.place, each.place_kind = where
            for parcel in each.parcels.values():
                if (parcel.place, parcel.place_kind) != where:
                    parcel.place, parcel.place_kind = where
                    moved.append(parcel)
        return moved


def vehicles(facts: Iterable[Fact]) -> frozenset[str]:
    """Whatever was ever loaded or unloaded, besides what a GIAI says by itself."""
    return frozenset(fact.parent for fact in facts if fact.parent and fact.step in ("loading", "unloading"))
