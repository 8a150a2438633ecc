"""Trace: everything that made a thing what it is, and everything it became part of.

In the line: the walk's result and the links -> here -> `GET .../trace` and `suyuan trace`. The rule is GDST's: every event
that names the identifier in any role, whenever it happened; then the same for what it was made of (back) or what was made of
it (forward), and for what it holds; of what held it only the events while it was inside. It knows time both ways: a run is
followed only where it can have met these goods. Of a lot that is followed because a unit holds it, only the goods of that
unit are followed, so that the history of a pallet leaves out its sister pallet of the same lot.
Contract: no event that names what was asked for is lost for want of a quantity, a time or a well made name; cycles end; the
same events in any order give the same trace; a deeper one holds all of a shallower one; what the limits cut off is said.
(docs/decisions/0046-trace-and-as-of.md)
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ledger.genealogy.facts import Fact, RecordedEvent
from ledger.genealogy.links import EVER, Links
from ledger.genealogy.mentions import elsewhere
from ledger.genealogy.names import identify, is_class, lot_of
from ledger.genealogy.parcels import Parcel, Step, base_vehicle
from ledger.genealogy.stock import Stock

Direction = Literal["back", "forward", "both"]
EdgeKind = Literal["transformed", "packed", "unpacked", "loaded", "unloaded", "installed", "removed"]
Cut = Literal["depth", "events"]
MAX_DEPTH = 64
MAX_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Edge:
    """`source` went into `target` (out of it, if `kind` says so) by the event of that name."""

    source: str
    target: str
    kind: EdgeKind
    event: str


@dataclass(frozen=True, slots=True)
class Held:
    """`child` was in `parent` from `start_ms` to `end_ms` (UTC milliseconds, half open; None while it is)."""

    child: str
    parent: str
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True, slots=True)
class Trace:
    """`events` in time order, `edges` in the order of their events, `identifiers` in the order they were reached, `held` by
    time. `cut`: there is more, and which limit cut it off; `ends`: from where to ask on, by name. Of too many events those are kept
    that are nearest to the thing itself: that name it, then by the fewest transformations between, then what happened first; and
    the names that they name."""

    identifier: str
    direction: Direction
    events: tuple[RecordedEvent, ...]
    edges: tuple[Edge, ...]
    identifiers: tuple[str, ...]
    held: tuple[Held, ...] = ()
    cut: frozenset[Cut] = frozenset()
    ends: tuple[str, ...] = ()

    @property
    def truncated(self) -> bool:
        return bool(self.cut)


class Tracks:
    """What every trace over the same events shares."""

    def __init__(self, facts: Sequence[Fact], stock: Stock) -> None:
        self.facts = facts
        self.links = Links(facts)
        self.in_unit: defaultdict[str, list[tuple[Parcel, int, int]]] = defaultdict(list)
        self.pieces: defaultdict[Parcel, list[Parcel]] = defaultdict(list)
        for parcels in stock.parcels.values():
            for parcel in parcels:
                self._index(parcel)

    @cached_property
    def elsewhere(self) -> Mapping[str, list[int]]:
        """Place, party, document, device or run -> the events that name it there and not as what they are about."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for fact in self.facts:
            for name in elsewhere(fact.event):
                found[name].append(fact.ordinal)
        return found

    def runs_behind(self, parcel: Parcel) -> list[str]:
        """What was named before it was made, by clocks that differ, was made by what made it later."""
        if parcel.run is not None:
            return [parcel.run]
        later = (self.facts[ordinal] for ordinal in parcel.made_later)
        runs = [fact.run for fact in later if fact.kind == "TransformationEvent"]
        return runs or list(self.links.made_in.get(parcel.lot, ()) if parcel.found else ())

    def same_box(self, name: str) -> list[str]:
        """The other names of one box: its label says the lot, its EPC does not; the serial is one over all lots of a GTIN."""
        serial = _serial(name)
        return [] if serial is None else [each for each in self._boxes.get(serial, ()) if each != name]

    @cached_property
    def _boxes(self) -> Mapping[tuple[str, str], list[str]]:
        found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for name in self.links.named:
            serial = _serial(name)
            if serial is not None:
                found[serial].append(name)
        return found

    def _index(self, parcel: Parcel) -> None:
        """Per unit the first and the last step in it. Steps before a split are told by the parcel split
        from."""
        spans: dict[str, tuple[int, int]] = {}
        for number, step in enumerate(parcel.steps):
            for unit in step.chain:
                spans[unit] = (spans.get(unit, (number, 0))[0], number)
        for unit, (first, last) in spans.items():
            self.in_unit[unit].append((parcel, first, last))
        if parcel.origin is not None:
            self.pieces[parcel.origin].append(parcel)


def _serial(name: str) -> tuple[str, str] | None:
    parts = identify(name).parts
    return (parts["01"], parts["21"]) if "01" in parts and "21" in parts else None


class Walk:
    """Depth by depth, so that what is reached by few transformations never hangs on what is reached by many. `events`: with the
    depth at which each was reached first; `until`, `since`: what is followed, and the widest time it was reached for, as ordinals."""

    def __init__(self, tracks: Tracks, seed: str, max_depth: int) -> None:
        self._tracks = tracks
        self._links = tracks.links
        self._seed = seed
        self._max_depth = max_depth
        self._depth = 0
        self._todo: deque[Callable[[], None]] = deque()
        self.until: dict[str, int] = {}
        self._unmade: set[str] = set()
        self.since: dict[str, int] = {}
        self._back_next: dict[str, int] = {}
        self._forward_next: dict[str, int] = {}
        self._back_deeper: list[tuple[str, int]] = []
        self._forward_deeper: list[tuple[str, int]] = []
        self._held: set[tuple[str, int, int]] = set()
        self.events: dict[int, int] = {}
        self.names: dict[str, None] = {}
        self.ends: dict[str, None] = {}

    def run(self) -> None:
        self._exhaust()
        while self._back_deeper or self._forward_deeper:
            back, self._back_deeper = self._back_deeper, []
            forward, self._forward_deeper = self._forward_deeper, []
            if self._depth == self._max_depth:
                self._end(back, forward)
                return
            for name, until in back:
                self.back(name, until)
            for name, since in forward:
                self.forward(name, since)
            self._depth += 1
            self._exhaust()

    def _exhaust(self) -> None:
        """Level by level, each name once a level, by the widest time that it was reached for: the order of names decides nothing."""
        while self._todo or self._back_next or self._forward_next:
            back, self._back_next = self._back_next, {}
            forward, self._forward_next = self._forward_next, {}
            for name, until in back.items():
                self._back(name, until)
            for name, since in forward.items():
                self._forward(name, since)
            while self._todo:
                self._todo.popleft()()

    def _end(self, back: Iterable[tuple[str, int]], forward: Iterable[tuple[str, int]]) -> None:
        """Where there is more: what was not followed yet, or only for another time."""
        links = self._links
        for name, until in back:
            followed = self.until.get(name, -1) >= links.start_of_instant(until)
            if self._may_follow(name) and (not followed or self._used_unmade(name, until)):
                self.ends[name] = None
        for name, since in forward:
            if self._may_follow(name) and self.since.get(name, EVER) > links.end_of_instant(since):
                self.ends[name] = None

    # --- back

    def back(self, name: str, until: int = EVER) -> None:
        if not self._may_follow(name):
            return
        unmade = self._used_unmade(name, until)
        if not unmade and self.until.get(name, -1) >= until:
            return
        if unmade:
            self._unmade.add(name)
        self.until[name] = max(until, self.until.get(name, until))
        self._back_next[name] = self.until[name]

    def _used_unmade(self, name: str, until: int) -> bool:
        """And that is news."""
        made = name in self._links.made_in and name not in self._unmade
        return made and self._links.used_unmade(name, until)

    def _back(self, name: str, until: int) -> None:
        self._reach(name)
        for other in self._tracks.same_box(name):
            self.back(other, until)
        for inside in self._links.inside.get(name, ()):
            if inside.first <= until:
                self._held_in(inside.parent, inside.first, min(inside.last, until))
        made_in = self._links.made_in.get(name, ())
        for run in made_in if name in self._unmade else self._links.makers(name, until):
            self._back_through(run)
        followed = self._contents_back(name, until)
        for inside in self._links.holding.get(name, ()):
            if inside.first <= until and inside.child not in followed:
                self.back(inside.child, min(inside.last, until))

    def _back_through(self, run: str) -> None:
        for name, (_, last) in self._links.runs[run].inputs.items():
            self._back_deeper.append((name, self._links.end_of_instant(last)))

    def _contents_back(self, unit: str, until: int) -> set[str]:
        """The goods that were in the unit; returns their lots."""
        lots = set()
        for parcel, first, last in self._tracks.in_unit.get(unit, ()):
            if parcel.steps[first].ordinal <= until:
                left = parcel.steps[last + 1].ordinal if last + 1 < len(parcel.steps) else EVER
                self.parcel_back(parcel, min(until, left))
                for piece in self._split_later(parcel, first):
                    self._add(step.ordinal for step in piece.steps)
                lots.add(parcel.lot)
        return lots

    def parcel_back(self, parcel: Parcel, until: int) -> None:
        self._goods(parcel, 0, until)
        for run in self._tracks.runs_behind(parcel):
            self._back_through(run)

    # --- forward

    def forward(self, name: str, since: int = 0) -> None:
        if self._may_follow(name) and self.since.get(name, EVER) > since:
            self.since[name] = since
            self._forward_next[name] = since

    def _forward(self, name: str, since: int) -> None:
        self._reach(name)
        for other in self._tracks.same_box(name):
            self.forward(other, since)
        for inside in self._links.inside.get(name, ()):
            if inside.last >= since:
                self._held_in(inside.parent, max(inside.first, since), inside.last)
        for run in self._links.users(name, since):
            self._forward_through(run)
        followed = self._contents_forward(name, since)
        for inside in self._links.holding.get(name, ()):
            if inside.last >= since and inside.child not in followed:
                self.forward(inside.child, max(inside.first, since))

    def _forward_through(self, run: str) -> None:
        for name, (first, _) in self._links.runs[run].outputs.items():
            self._forward_deeper.append((name, self._links.start_of_instant(first)))

    def _contents_forward(self, unit: str, since: int) -> set[str]:
        lots = set()
        for parcel, first, last in self._tracks.in_unit.get(unit, ()):
            if parcel.steps[last].ordinal >= since:
                entered = bisect_left(parcel.steps, since, key=lambda step: step.ordinal)
                self.parcel_forward(parcel, max(first, entered))
                lots.add(parcel.lot)
        return lots

    def parcel_forward(self, parcel: Parcel, first: int = 0) -> None:
        """From its own step `first` on, with all that was split from it later."""
        self.remainder_forward(parcel, first)
        for piece in self._split_later(parcel, first):
            self.remainder_forward(piece)

    def remainder_forward(self, parcel: Parcel, first: int = 0) -> None:
        """The same without what was split from it."""
        steps = parcel.steps[first:]
        self._goods(parcel, steps[0].ordinal if steps else EVER, EVER)
        if parcel.ending == "transformed" and steps:
            self._forward_through(self._tracks.facts[steps[-1].ordinal].run)

    # --- goods, containers, limits

    def _split_later(self, parcel: Parcel, first: int) -> Iterator[Parcel]:
        """What was split from it after its own step `first`, and from that in turn."""
        waiting = [(parcel, first)]
        while waiting:
            each, start = waiting.pop()
            pieces = [piece for piece in self._tracks.pieces.get(each, ()) if piece.origin_steps > start]
            yield from pieces
            waiting.extend((piece, -1) for piece in pieces)

    def _held_in(self, unit: str, first: int, last: int) -> None:
        """The unit's own events in that time, and those of what held it then; never what else it held."""
        if first > last or (unit, first, last) in self._held:
            return
        self._held.add((unit, first, last))
        self._todo.append(lambda: self._follow(unit, first, last))

    def _follow(self, unit: str, first: int, last: int) -> None:
        self._reach(unit, first, last)
        for inside in self._links.inside.get(unit, ()):
            self._held_in(inside.parent, max(inside.first, first), min(inside.last, last))
        vehicle = base_vehicle(unit)
        if vehicle is not None:
            self._held_in(vehicle, first, last)

    def _goods(self, parcel: Parcel, first: int, last: int) -> None:
        """All that concerned these goods; of what held them, the events between `first` and `last`."""
        self.names[parcel.lot] = None
        steps = parcel.history()
        self._add(step.ordinal for step in steps)
        end = EVER if parcel.ending is None or not steps else steps[-1].ordinal
        for unit, entered, left in spells(steps, end):
            self._held_in(unit, max(entered, first), min(left, last))

    def _reach(self, name: str, first: int = 0, last: int = EVER) -> None:
        named = self._links.named.get(name, ())
        self.names[name] = None
        self._add(named[bisect_left(named, first) : bisect_right(named, last)])

    def _add(self, ordinals: Iterable[int]) -> None:
        for ordinal in ordinals:
            self.events.setdefault(ordinal, self._depth)

    def also(self, ordinals: Iterable[int]) -> None:
        """Events that name the seed where it is followed no further: a place, a party, a document."""
        self._add(ordinals)

    def _may_follow(self, name: str) -> bool:
        """A trade item without a lot is a kind of goods: following it would join all goods of that kind."""
        if name != self._seed and is_class(name):
            self.names[name] = None
            return False
        return True


def spells(steps: Sequence[Step], end: int) -> Iterator[tuple[str, int, int]]:
    """Container, first and last event in it."""
    since: dict[str, int] = {}
    for step in steps:
        for unit in [each for each in since if each not in step.chain]:
            yield unit, since.pop(unit), step.ordinal
        for unit in step.chain:
            since.setdefault(unit, step.ordinal)
    for unit, first in since.items():
        yield unit, first, end


def trace_of(
    tracks: Tracks,
    identifier: str,
    direction: Direction,
    parcels: Sequence[Parcel],
    max_depth: int = MAX_DEPTH,
    max_events: int = MAX_EVENTS,
) -> Trace:
    """`identifier` canonical; `parcels`: those that answer for it, if it is one box."""
    walk = Walk(tracks, identifier, max_depth)
    walk.also(tracks.elsewhere.get(identifier, ()))
    if direction in ("back", "both"):
        _seed_back(walk, identifier, parcels)
    if direction in ("forward", "both"):
        _seed_forward(walk, identifier, parcels)
    walk.run()
    kept, names, ends = set(walk.events), list(walk.names), set(walk.ends)
    cut: frozenset[Cut] = frozenset(("depth",) if ends else ())
    if len(kept) > max_events:
        kept = _nearest(tracks, walk, identifier, max_events)
        names, ends = _told_of(tracks, walk, identifier, kept)
        cut = frozenset(("events",))
    ordinals = sorted(kept)
    return Trace(
        identifier=identifier,
        direction=direction,
        events=tuple(tracks.facts[ordinal].recorded for ordinal in ordinals),
        edges=tuple(_edges(tracks, ordinals, set(names))),
        identifiers=tuple(names),
        held=tuple(_held(tracks, set(names))),
        cut=cut,
        ends=tuple(sorted(ends)),
    )


def _nearest(tracks: Tracks, walk: Walk, identifier: str, most: int) -> set[int]:
    """First what names the thing itself, then by the fewest transformations between, then what happened first."""
    itself = {*tracks.links.named.get(identifier, ()), *tracks.elsewhere.get(identifier, ())}
    ranked = sorted(walk.events.items(), key=lambda each: (each[0] not in itself, each[1], each[0]))
    return {ordinal for ordinal, _ in ranked[:most]}


def _told_of(tracks: Tracks, walk: Walk, identifier: str, kept: set[int]) -> tuple[list[str], set[str]]:
    """The names that the kept events name; and where to ask on: those of them that more of the trace names, and its ends."""
    told = {
        name: tracks.links.named.get(name, ())
        for name in (*walk.names, *walk.ends)
        if name == identifier or not kept.isdisjoint(tracks.links.named.get(name, ()))
    }
    further = {
        name
        for name, ordinals in told.items()
        if any(each in walk.events and each not in kept for each in ordinals)
    }
    return [name for name in walk.names if name in told], further | {
        name for name in walk.ends if name in told
    }


def _held(tracks: Tracks, names: set[str]) -> list[Held]:
    """Only between what the trace reached, and while that was of concern to it."""
    found = []
    for child in names:
        for inside in tracks.links.inside.get(child, ()):
            if inside.parent in names:
                end = None if inside.last == EVER else tracks.facts[inside.last].ms
                found.append(Held(child, inside.parent, tracks.facts[inside.first].ms, end))
    return sorted(found, key=lambda each: (each.start_ms, each.child, each.parent))


def _seed_back(walk: Walk, identifier: str, parcels: Sequence[Parcel]) -> None:
    walk.back(identifier)
    lot = _lot_of_box(identifier)
    for parcel in parcels if lot else ():
        walk.parcel_back(parcel, EVER)
    if lot and not parcels:
        walk.back(lot)


def _seed_forward(walk: Walk, identifier: str, parcels: Sequence[Parcel]) -> None:
    walk.forward(identifier)
    lot = _lot_of_box(identifier)
    for parcel in parcels if lot else ():
        walk.remainder_forward(parcel)  # pieces that may hold the box answer for it themselves
    if lot and not parcels:
        walk.forward(lot)


def _lot_of_box(identifier: str) -> str | None:
    lot = lot_of(identifier)
    return lot if lot != identifier else None


def _edges(tracks: Tracks, ordinals: Sequence[int], names: set[str]) -> Iterator[Edge]:
    """Only between what the trace reached: the other lots of a truck are no part of it."""
    drawn: set[tuple[str, str, str]] = set()
    for ordinal in ordinals:
        fact = tracks.facts[ordinal]
        if fact.kind == "TransformationEvent":
            yield from _transformed(tracks.links, fact, names, drawn)
        elif fact.parent in names and fact.kind == "AggregationEvent":
            yield from _moved(tracks.links, fact, fact.parent, names)
        elif fact.parent in names and fact.kind == "AssociationEvent":
            kind: EdgeKind = "removed" if fact.action == "DELETE" else "installed"
            yield from (Edge(device, fact.parent, kind, fact.name) for device in fact.nodes)


def _transformed(
    links: Links, fact: Fact, names: set[str], drawn: set[tuple[str, str, str]]
) -> Iterator[Edge]:
    """An open run names inputs and outputs in different events: each pair is drawn once, where both are
    known."""
    run = links.runs[fact.run]
    for target, (made, _) in run.outputs.items():
        for source, (used, _) in run.inputs.items():
            key = (fact.run, source, target)
            if source in names and target in names and key not in drawn and max(made, used) <= fact.ordinal:
                drawn.add(key)
                yield Edge(source, target, "transformed", fact.name)


def _moved(links: Links, fact: Fact, parent: str, names: set[str]) -> Iterator[Edge]:
    for child, change in links.changes.get(fact.ordinal, {}).items():
        if child not in names:
            continue
        if change == "in":
            yield Edge(child, parent, "loaded" if fact.step == "loading" else "packed", fact.name)
        else:
            yield Edge(parent, child, "unloaded" if fact.step == "unloading" else "unpacked", fact.name)
