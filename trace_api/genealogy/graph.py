"""What a picture of a trace shows, as values.

In the line: a trace with its weights -> here -> layout.py. Contract: pure; every lot, run, unit and vehicle of the trace's
edges is a node, and so are the places where goods were made, taken out, sold or destroyed; bounded by `bounded`, which says how
many it put together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from ledger.genealogy import Trace, Weighed
from ledger.genealogy.facts import Amount, Fact, read
from ledger.genealogy.names import identify

Kind = Literal["lot", "run", "unit", "vehicle", "place"]
MOST_A_COLUMN: Final = 10
_UNITS: Final = frozenset({"sscc", "grai"})


@dataclass(frozen=True, slots=True)
class Node:
    """`name`: its identifier, "" where it stands for several; `count`: for how many. `ms`: when it is first spoken of."""

    key: str
    kind: Kind
    name: str
    ms: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Link:
    """From one node's key to another's. `quantity` in `uom`; `share` of what went into a run; `step`: what was done, where
    that says more than the link itself."""

    source: str
    target: str
    quantity: float | None = None
    uom: str | None = None
    share: float | None = None
    step: str = ""


@dataclass(frozen=True)
class Graph:
    seed: str
    nodes: Mapping[str, Node]
    links: tuple[Link, ...]


def graph_of(found: Trace, edges: Iterable[Weighed]) -> Graph:
    """`edges`: those of the trace, weighed."""
    return _Drawing(found).graph(edges)


@dataclass
class _Drawing:
    found: Trace
    nodes: dict[str, Node] = field(default_factory=dict)
    links: dict[tuple[str, str], Link] = field(default_factory=dict)
    carried: set[str] = field(default_factory=set)
    vehicles: set[str] = field(default_factory=set)

    def graph(self, edges: Iterable[Weighed]) -> Graph:
        edges = list(edges)
        facts = read(self.found.events)
        named = {fact.name: fact for fact in facts}
        self.carried = {each.edge.target for each in edges if each.edge.kind in ("loaded", "packed")}
        self.vehicles = {each.edge.target for each in edges if each.edge.kind == "loaded"}
        for each in edges:
            if each.edge.event in named:
                self._edge(each, named[each.edge.event])
        reached = set(self.found.identifiers)
        for fact in facts:
            self._run_out(fact, reached)
            self._began_or_ended(fact, reached)
        if not self.nodes:
            self._alone({each for fact in facts for each in (fact.biz_location, fact.read_point)})
        return Graph(self._key(self.found.identifier), self.nodes, tuple(self.links.values()))

    def _alone(self, places: Set[str | None]) -> None:
        """A thing of which nothing is drawn but itself; places have no portions."""
        name = self.found.identifier
        kind = "place" if name in places else self._kind(name)
        self.nodes[self._key(name)] = Node(self._key(name), kind, name, 0)

    def _edge(self, each: Weighed, fact: Fact) -> None:
        edge = each.edge
        if edge.kind == "transformed":
            source, run = self._thing(edge.source, each.ms), self._run(fact)
            self._thing(edge.target, each.ms)
            self._link(Link(source, run, each.quantity, each.uom, each.share))
            self._link(Link(run, self._key(edge.target)))
        elif edge.kind in ("packed", "loaded"):
            child, parent = self._thing(edge.source, each.ms), self._thing(edge.target, each.ms)
            self._link(Link(child, parent, each.quantity, each.uom))
        elif edge.kind in ("unpacked", "unloaded"):
            place = fact.biz_location or fact.read_point
            if place is not None:
                self._link(
                    Link(
                        self._thing(edge.source, each.ms),
                        self._place(place, each.ms, "to"),
                        each.quantity,
                        each.uom,
                    )
                )

    def _run_out(self, fact: Fact, reached: set[str]) -> None:
        """How much of each lot a run made, over all its events."""
        if fact.kind != "TransformationEvent":
            return
        for amount in fact.out_goods:
            key = self._run_key(fact), self._key(amount.lot)
            if amount.lot in reached and key in self.links:
                self.links[key] = _more(self.links[key], amount)

    def _began_or_ended(self, fact: Fact, reached: set[str]) -> None:
        place = fact.biz_location or fact.read_point
        if fact.kind != "ObjectEvent" or place is None or fact.action == "OBSERVE":
            return
        for amount in fact.goods:
            if amount.lot not in reached:
                continue
            lot = self._thing(amount.lot, fact.ms)
            if fact.action == "ADD":
                link = Link(self._place(place, fact.ms, "from"), lot)
            else:
                link = Link(lot, self._place(place, fact.ms, "to"), step=fact.step)
            kept = self.links.get((link.source, link.target), replace(link, quantity=0.0, uom=amount.uom))
            self._link(_more(kept, amount), instead=True)

    def _run(self, fact: Fact) -> str:
        key = self._run_key(fact)
        self.nodes.setdefault(key, Node(key, "run", fact.step or "transformation", fact.ms))
        return key

    @staticmethod
    def _run_key(fact: Fact) -> str:
        return f"run {fact.run}"

    def _place(self, place: str, ms: int, way: str) -> str:
        """Once as where goods come from, and once as where they went: a market that packs is both."""
        key = f"{way} {place}"
        self.nodes.setdefault(key, Node(key, "place", place, ms))
        return key

    def _thing(self, name: str, ms: int) -> str:
        key = self._key(name)
        known = self.nodes.get(key)
        if known is None or ms < known.ms:
            self.nodes[key] = Node(key, self._kind(name), name, ms)
        return key

    @staticmethod
    def _key(name: str) -> str:
        return f"is {name}"

    def _kind(self, name: str) -> Kind:
        scheme = identify(name).scheme
        if scheme == "giai" or name in self.vehicles:
            return "vehicle"
        return "unit" if scheme in _UNITS or name in self.carried else "lot"

    def _link(self, link: Link, *, instead: bool = False) -> None:
        key = link.source, link.target
        if instead or key not in self.links or self.links[key].quantity is None:
            self.links[key] = link


def _more(link: Link, amount: Amount) -> Link:
    known = amount.quantity is not None and (link.quantity is None or link.uom == amount.uom)
    if not known:
        return replace(link, quantity=None, uom=None)
    return replace(link, quantity=(link.quantity or 0.0) + (amount.quantity or 0.0), uom=amount.uom)


# --- bounds -------------------------------------------------------------------------------------------------


def bounded(
    graph: Graph, layers: Mapping[str, int], most: int = MOST_A_COLUMN
) -> tuple[Graph, dict[str, int]]:
    """Of a column the `most` weightiest of each kind; the rest is one node that says how many it is. Returns the layers of what
    is left too. The seed always stands for itself."""
    weight: defaultdict[str, float] = defaultdict(float)
    for link in graph.links:
        for end in (link.source, link.target):
            weight[end] = max(weight[end], link.share or 0.0, (link.quantity or 0.0) * 1e-9)
    columns: defaultdict[tuple[int, Kind], list[Node]] = defaultdict(list)
    for node in graph.nodes.values():
        columns[layers[node.key], node.kind].append(node)
    into: dict[str, Node] = {}
    for (layer, kind), nodes in columns.items():
        into |= _gathered(nodes, f"more {kind} {layer}", graph.seed, weight, most)
    kept = {into.get(key, node).key: into.get(key, node) for key, node in graph.nodes.items()}
    where = {into[key].key if key in into else key: layer for key, layer in layers.items()}
    return Graph(graph.seed, kept, tuple(_joined(graph.links, into))), where


def _gathered(
    nodes: Sequence[Node], key: str, seed: str, weight: Mapping[str, float], most: int
) -> dict[str, Node]:
    if len(nodes) <= most:
        return {}
    ranked = sorted(nodes, key=lambda node: (node.key != seed, -weight[node.key], node.ms, node.key))
    rest = ranked[most - 1 :]
    group = Node(key, rest[0].kind, "", min(node.ms for node in rest), len(rest))
    return {node.key: group for node in rest}


def _joined(links: Iterable[Link], into: Mapping[str, Node]) -> Iterator[Link]:
    """A group is linked once with each: its quantities are added where they are of one unit."""
    found: dict[tuple[str, str], list[Link]] = {}
    for link in links:
        source = into[link.source].key if link.source in into else link.source
        target = into[link.target].key if link.target in into else link.target
        if source != target:
            found.setdefault((source, target), []).append(replace(link, source=source, target=target))
    for several in found.values():
        first = several[0]
        same = len({each.uom for each in several}) == 1 and all(each.quantity is not None for each in several)
        shares = [each.share for each in several]
        yield replace(
            first,
            quantity=sum(each.quantity or 0.0 for each in several) if same else None,
            uom=first.uom if same else None,
            share=sum(share or 0.0 for share in shares) if None not in shares else None,
        )
