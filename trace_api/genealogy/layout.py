"""Where the nodes of a picture stand: columns from what came first to what came last, few crossings within them.

In the line: graph.py -> here -> picture.py. Contract: pure and deterministic; links run from left to right, but those that
close a circle; a link that passes columns has a place of its own in each, so that it runs behind nothing. Layers by the longest
way, order by barycentres, as Sugiyama, Tagawa and Toda (1981) have it. (docs/decisions/0046-trace-and-as-of.md)
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from trace_api.genealogy.graph import Graph, Link

WIDTH, HEIGHT = 168.0, 48.0
_GAP_X, _GAP_Y, _THROUGH = 92.0, 16.0, 14.0
_SWEEPS: Final = 6


@dataclass(frozen=True)
class Layout:
    """`at`: the upper left corner of each node; `ways`: for each link the heights at which it passes the columns between.
    `width` and `height` hold all of it."""

    at: Mapping[str, tuple[float, float]]
    ways: Mapping[tuple[str, str], tuple[tuple[float, float], ...]]
    width: float
    height: float


def layers_of(graph: Graph) -> dict[str, int]:
    """The column of each node: behind everything that leads to it."""
    after = _without_circles(graph)
    waiting: defaultdict[str, int] = defaultdict(int)
    for targets in after.values():
        for target in targets:
            waiting[target] += 1
    layers = dict.fromkeys(graph.nodes, 0)
    ready = deque(key for key in graph.nodes if not waiting[key])
    while ready:
        key = ready.popleft()
        for target in after.get(key, ()):
            layers[target] = max(layers[target], layers[key] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return _pulled(graph, layers)


def _pulled(graph: Graph, layers: dict[str, int]) -> dict[str, int]:
    """What has nothing before it stands right before what it leads to, and not at the far left."""
    entered = {link.target for link in graph.links}
    first: dict[str, int] = {}
    for link in graph.links:
        if link.source not in entered:
            first[link.source] = min(first.get(link.source, layers[link.target]), layers[link.target])
    return layers | {key: max(layer - 1, 0) for key, layer in first.items()}


def _without_circles(graph: Graph) -> dict[str, list[str]]:
    """Targets by source, in the order of time; a link back to what is still being followed is left out."""
    after: defaultdict[str, list[str]] = defaultdict(list)
    for link in graph.links:
        after[link.source].append(link.target)
    state: dict[str, int] = {}
    kept: defaultdict[str, list[str]] = defaultdict(list)
    for root in sorted(graph.nodes, key=lambda key: (graph.nodes[key].ms, key)):
        stack = [(root, iter(after.get(root, ())))] if root not in state else []
        if stack:
            state[root] = 1
        while stack:
            key, targets = stack[-1]
            target = next(targets, None)
            if target is None:
                state[key] = 2
                stack.pop()
            elif state.get(target) != 1:
                kept[key].append(target)
                if target not in state:
                    state[target] = 1
                    stack.append((target, iter(after.get(target, ()))))
    return kept


def laid_out(graph: Graph, layers: Mapping[str, int]) -> Layout:
    columns, chains = _columns(graph, layers)
    _untangle(columns, chains)
    at, width, height = _placed(columns)
    ways = {key: tuple(at[step] for step in chain[1:-1]) for key, chain in chains.items()}
    return Layout({key: at[key] for key in graph.nodes}, ways, width, height)


Columns = list[list[str]]
Chains = dict[tuple[str, str], list[str]]


def _columns(graph: Graph, layers: Mapping[str, int]) -> tuple[Columns, Chains]:
    columns: Columns = [[] for _ in range(max(layers.values(), default=0) + 1)]
    for key in sorted(graph.nodes, key=lambda key: (graph.nodes[key].ms, key)):
        columns[layers[key]].append(key)
    chains: Chains = {}
    for number, link in enumerate(graph.links):
        low, high = layers[link.source], layers[link.target]
        between = [f"{_VIRTUAL}{number} {layer}" for layer in range(low + 1, high)]
        for layer, step in zip(range(low + 1, high), between, strict=True):
            columns[layer].append(step)
        chains[link.source, link.target] = [link.source, *between, link.target]
    return columns, chains


_VIRTUAL: Final = "\x00"


def _untangle(columns: Columns, chains: Chains) -> None:
    before: defaultdict[str, list[str]] = defaultdict(list)
    behind: defaultdict[str, list[str]] = defaultdict(list)
    for chain in chains.values():
        for source, target in pairwise(chain):
            before[target].append(source)
            behind[source].append(target)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for layer in range(1, len(columns)) if forward else range(len(columns) - 2, -1, -1):
            beside = columns[layer - 1 if forward else layer + 1]
            _order(columns[layer], before if forward else behind, _heights(beside))


def _heights(column: Sequence[str]) -> dict[str, float]:
    count = max(len(column), 1)
    return {key: (place + 0.5) / count for place, key in enumerate(column)}


def _order(column: list[str], neighbours: Mapping[str, Iterable[str]], heights: Mapping[str, float]) -> None:
    own = _heights(column)

    def middle(key: str) -> float:
        found = [heights[each] for each in neighbours.get(key, ()) if each in heights]
        return sum(found) / len(found) if found else own[key]

    column.sort(key=lambda key: (middle(key), own[key]))


def _placed(columns: Columns) -> tuple[dict[str, tuple[float, float]], float, float]:
    """Each column stands in the middle of the highest."""
    sizes = [[_THROUGH if key.startswith(_VIRTUAL) else HEIGHT for key in column] for column in columns]
    totals = [sum(size) + _GAP_Y * max(len(size) - 1, 0) for size in sizes]
    height = max(totals, default=0.0)
    at: dict[str, tuple[float, float]] = {}
    for layer, column in enumerate(columns):
        y = (height - totals[layer]) / 2
        for key, size in zip(column, sizes[layer], strict=True):
            at[key] = layer * (WIDTH + _GAP_X), y
            y += size + _GAP_Y
    return at, len(columns) * (WIDTH + _GAP_X) - _GAP_X, height


def middle_of_pass(at: tuple[float, float]) -> tuple[float, float]:
    return at[0] + WIDTH / 2, at[1] + _THROUGH / 2


def ends(layout: Layout, link: Link) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where a link leaves and where it arrives; one that closes a circle does so at the other sides."""
    (x1, y1), (x2, y2) = layout.at[link.source], layout.at[link.target]
    if x2 > x1:
        return (x1 + WIDTH, y1 + HEIGHT / 2), (x2, y2 + HEIGHT / 2)
    return (x1, y1 + HEIGHT / 2), (x2 + WIDTH, y2 + HEIGHT / 2)
