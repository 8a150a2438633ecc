"""Who was in whom, and what became of what: the links that a trace follows.

In the line: facts -> here -> trace.py. Contract: built from names alone, with no judgement of quantities
beyond "is any of it left inside", so that a trace does not lose its way where a quantity is missing or wrong.
Time is the ordinal of an event in the order of happening: what follows at the same instant still follows.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ledger.genealogy.containment import vehicles
from ledger.genealogy.facts import Amount, Fact
from ledger.genealogy.mentions import touches
from ledger.genealogy.parcels import NOTHING
from ledger.genealogy.taking import OUT_OF_VEHICLE

EVER = 1 << 60
Change = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Inside:
    """`child` was in `parent` from event `first` to event `last` (EVER while it is)."""

    child: str
    parent: str
    first: int
    last: int


@dataclass(slots=True)
class Run:
    """A transformation over all its events: per identifier the first and the last event that names it."""

    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)
    outputs: dict[str, tuple[int, int]] = field(default_factory=dict)
    within: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What was inside an input: used with it, and found behind it."""


class Links:
    """`named`: identifier -> events that name it as what; `inside` and `holding`: by child, by parent;
    `changes`: event -> who went in or out of its parent; `first_made`: the first event that made it."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self.named: defaultdict[str, list[int]] = defaultdict(list)
        self.inside: defaultdict[str, list[Inside]] = defaultdict(list)
        self.holding: defaultdict[str, list[Inside]] = defaultdict(list)
        self.changes: defaultdict[int, dict[str, Change]] = defaultdict(dict)
        self.runs: dict[str, Run] = {}
        self.made_in: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.used_in: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._used_within: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._open: defaultdict[str, dict[str, _Content]] = defaultdict(dict)
        self._parents: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._vehicles = vehicles(facts)
        self.first_made: dict[str, int] = {}
        self._emptied: dict[str, int] = {}
        self._ms = [fact.ms for fact in facts]
        for fact in facts:
            self._name(fact)
            self._change(fact)
            self._transform(fact)
        self._close_rest()

    def start_of_instant(self, ordinal: int) -> int:
        """The first event at the same time: the order within one instant is a convention and not what happened."""
        return bisect_left(self._ms, self._ms[ordinal])

    def end_of_instant(self, ordinal: int) -> int:
        return bisect_right(self._ms, self._ms[ordinal]) - 1

    def makers(self, name: str, until: int) -> list[str]:
        """The runs that can have made what was used at `until`: those before."""
        return [
            run
            for run in self.made_in.get(name, ())
            if self.start_of_instant(self.runs[run].outputs[name][0]) <= until
        ]

    def users(self, name: str, since: int) -> list[str]:
        """The mirror image: the runs that can have used what was made at `since`."""
        used = (
            (run, self.end_of_instant(self.runs[run].inputs[name][1])) for run in self.used_in.get(name, ())
        )
        within = [
            run
            for run in self._used_within.get(name, ())
            if self.end_of_instant(self.runs[run].within[name][1]) >= since
        ]
        found = [run for run, last in used if last >= since or self.used_unmade(name, last)]
        return found + [run for run in within if run not in found]

    def used_unmade(self, name: str, until: int) -> bool:
        """Before anything made it: a clock is wrong, and all that made it may have. It did not come from nowhere."""
        return until < self.start_of_instant(self.first_made.get(name, 0)) if self._ms else False

    def _name(self, fact: Fact) -> None:
        what = {
            each.identifier for each in touches(fact.event) if each.role not in ("read_point", "biz_location")
        }
        for identifier in what:
            self.named[identifier].append(fact.ordinal)
        for identifier in _made(fact):
            self.first_made.setdefault(identifier, fact.ordinal)

    def _transform(self, fact: Fact) -> None:
        if fact.kind != "TransformationEvent":
            return
        run = self.runs.setdefault(fact.run, Run())
        for name in _names(fact.nodes, fact.goods):
            self.used_in[name][fact.run] = None
            run.inputs[name] = (run.inputs.get(name, (fact.ordinal, 0))[0], fact.ordinal)
        self._use_up(fact, run)
        for name in _names(fact.out_nodes, fact.out_goods):
            self.made_in[name][fact.run] = None
            run.outputs[name] = (run.outputs.get(name, (fact.ordinal, 0))[0], fact.ordinal)

    def _use_up(self, fact: Fact, run: Run) -> None:
        """What a run used is in nothing any more, nor is what was in it; what comes out by the same name is as it was."""
        kept = set(fact.out_nodes)
        for unit in fact.nodes:
            for holder, name in self._all_in(unit):
                run.within[name] = (run.within.get(name, (fact.ordinal, 0))[0], fact.ordinal)
                self._used_within[name][fact.run] = None
                if unit not in kept:
                    self._close(name, holder, fact.ordinal)
        for name in fact.nodes:
            if name not in kept:
                self._leave(name, fact.ordinal)
        self._leave_boxes(fact)

    def _all_in(self, unit: str) -> list[tuple[str, str]]:
        """All that is in it at any depth, with what holds it."""
        found: dict[tuple[str, str], None] = {}
        waiting, seen = [unit], {unit}
        while waiting:
            holder = waiting.pop()
            for name in self._open.get(holder, ()):
                found[holder, name] = None
                if name not in seen:
                    seen.add(name)
                    waiting.append(name)
        return list(found)

    def _leave(self, name: str, ordinal: int) -> None:
        for parent in list(self._parents[name]):
            self._close(name, parent, ordinal)

    def _leave_boxes(self, fact: Fact) -> None:
        """Boxes that are no more, and out of what held them; with the last of them their lot."""
        for amount in fact.goods:
            for name in sorted(amount.boxes):
                for parent in list(self._parents[name]):
                    self._close(name, parent, fact.ordinal)
                    content = self._open[parent].get(amount.lot)
                    if content is not None and amount.lot != name:
                        content.change(Amount(amount.lot, 1.0, None), -1)
                        if content.left <= NOTHING:
                            self._close(amount.lot, parent, fact.ordinal)

    def _change(self, fact: Fact) -> None:
        if fact.kind == "ObjectEvent":
            self._unloaded_untold(fact)
            if fact.action == "DELETE":
                self._leave_boxes(fact)
        if fact.kind != "AggregationEvent" or fact.parent is None:
            return
        if fact.action == "DELETE":
            self._out(fact, fact.parent)
        else:
            self._in(fact, fact.parent)

    def _in(self, fact: Fact, parent: str) -> None:
        for name in _things(fact):
            for other in [held for held in self._parents[name] if held != parent]:
                self._close(
                    name, other, fact.ordinal
                )  # a thing is in one place; only quantities are in several
            if name not in self._open[parent]:
                self._begin(fact, parent, name, _Content(fact.ordinal))
        for amount in fact.goods:
            content = self._open[parent].get(amount.lot)
            if content is None:
                self._begin(
                    fact,
                    parent,
                    amount.lot,
                    _Content(
                        fact.ordinal, math.inf if amount.quantity is None else amount.quantity, amount.uom
                    ),
                )
            elif fact.action == "ADD":
                content.change(amount, 1)

    def _begin(self, fact: Fact, parent: str, name: str, content: _Content) -> None:
        self._open[parent][name] = content
        self._parents[name][parent] = None
        self.changes[fact.ordinal][name] = "in"

    def _out(self, fact: Fact, parent: str) -> None:
        empty = self._emptied.get(parent, -1) + 1  # what this event itself takes out does not count
        if not fact.nodes and not fact.goods:
            for name in list(self._open[parent]):
                self._end(fact, parent, name)
            self._emptied[parent] = fact.ordinal
        for name in _things(fact):
            if name in self._open[parent]:
                self._end(fact, parent, name)
            elif not self._parents[name]:
                self._out_untold(fact, parent, name, empty)
        for amount in fact.goods:
            content = self._open[parent].get(amount.lot)
            if content is None and not self._parents[amount.lot]:
                self._out_untold(fact, parent, amount.lot, empty)
            elif content is not None:
                self.changes[fact.ordinal][amount.lot] = "out"
                content.change(amount, -1)
                if content.left <= NOTHING:
                    self._close(amount.lot, parent, fact.ordinal)

    def _out_untold(self, fact: Fact, parent: str, name: str, empty: int) -> None:
        """What comes out went in, whoever kept that to themselves: after it was last seen, and after the parent was empty."""
        before = self.named[name][-2] if len(self.named[name]) > 1 else 0
        self.changes[fact.ordinal][name] = "out"
        self._note(Inside(name, parent, max(before, empty), fact.ordinal))

    def _end(self, fact: Fact, parent: str, name: str) -> None:
        self.changes[fact.ordinal][name] = "out"
        self._close(name, parent, fact.ordinal)

    def _unloaded_untold(self, fact: Fact) -> None:
        """Stored, received or accepted somewhere: it is in no vehicle any more, whoever forgot to say so."""
        if fact.step in OUT_OF_VEHICLE and fact.biz_location and fact.disposition != "in_transit":
            for name in _things(fact):
                for parent in [held for held in self._parents[name] if held in self._vehicles]:
                    self._close(name, parent, fact.ordinal)

    def _close(self, name: str, parent: str, last: int) -> None:
        content = self._open[parent].pop(name)
        del self._parents[name][parent]
        if not self._open[parent]:
            self._emptied[parent] = last
        self._note(Inside(name, parent, content.first, last))

    def _close_rest(self) -> None:
        for parent, contents in self._open.items():
            for name, content in contents.items():
                self._note(Inside(name, parent, content.first, EVER))

    def _note(self, inside: Inside) -> None:
        self.inside[inside.child].append(inside)
        self.holding[inside.parent].append(inside)


@dataclass(slots=True)
class _Content:
    """How much of a lot is left inside since event `first`; infinite where nobody said how much went in."""

    first: int
    left: float = math.inf
    uom: str | None = None

    def change(self, amount: Amount, sign: int) -> None:
        if amount.quantity is None or amount.uom != self.uom:
            # Nobody can subtract kilograms from boxes here: rather too long inside than a history cut short.
            self.left = math.inf
        else:
            self.left += sign * amount.quantity


def _made(fact: Fact) -> Iterator[str]:
    if fact.kind == "TransformationEvent":
        yield from _names(fact.out_nodes, fact.out_goods)
    elif fact.kind == "ObjectEvent" and fact.action == "ADD":
        yield from _names(fact.nodes, fact.goods)


def _things(fact: Fact) -> Iterator[str]:
    """Children that have a name of their own: units and named boxes."""
    yield from fact.nodes
    for amount in fact.goods:
        yield from sorted(amount.boxes)


def _names(nodes: Iterable[str], goods: Iterable[Amount]) -> Iterator[str]:
    yield from nodes
    for amount in goods:
        yield amount.lot
        yield from sorted(amount.boxes)
