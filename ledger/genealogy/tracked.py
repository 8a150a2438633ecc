"""What a trace follows, as plain rows: for the index in the database, which walks them instead of replaying events.

In the line: trace.py's tracks -> here -> `ingest.projection.tracks`. Contract: pure; a row says nothing that `_Walk` does not ask
for, and walking the rows gives the events that trace.py gives. Events are named by the numbers passed in, moments by
`keys.sort_keys`.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ledger.genealogy import keys
from ledger.genealogy.facts import Fact
from ledger.genealogy.links import EVER
from ledger.genealogy.parcels import Parcel
from ledger.genealogy.trace import Tracks, spells


class Named(NamedTuple):
    name: str
    at: int
    event: int


class Inside(NamedTuple):
    child: str
    parent: str
    first: int
    last: int
    event: int


class Same(NamedTuple):
    name: str
    other: str


class RunName(NamedTuple):
    """`run`: the number of its first event. `made`: when anything first made the name."""

    run: int
    name: str
    output: bool
    first: int
    last: int
    event: int
    made: int | None


class RunEvent(NamedTuple):
    run: int
    at: int
    event: int


class Move(NamedTuple):
    event: int
    child: str
    parent: str
    kind: str


class ParcelRow(NamedTuple):
    id: int
    lot: str
    origin: int | None
    origin_steps: int
    steps: int
    runs: tuple[int, ...]
    became: int | None


class StepRow(NamedTuple):
    parcel: int
    number: int
    at: int
    event: int


class Spell(NamedTuple):
    """`event`: that put the goods into the unit."""

    parcel: int
    unit: str
    entered: int
    gone: int
    event: int


class InUnit(NamedTuple):
    """`gone`: the key of the step after the last one in the unit."""

    unit: str
    parcel: int
    first: int
    entered: int
    latest: int
    gone: int


@dataclass(slots=True)
class Tracked:
    same: set[Same] = field(default_factory=set)
    named: set[Named] = field(default_factory=set)
    inside: set[Inside] = field(default_factory=set)
    run_names: set[RunName] = field(default_factory=set)
    run_events: set[RunEvent] = field(default_factory=set)
    moves: set[Move] = field(default_factory=set)
    parcels: set[ParcelRow] = field(default_factory=set)
    steps: set[StepRow] = field(default_factory=set)
    spells: set[Spell] = field(default_factory=set)
    in_unit: set[InUnit] = field(default_factory=set)


def parcel_number(parcel: Parcel) -> int:
    """Signed 64 bits. Lots hang together with one component alone, so a name need be unique in its lot only."""
    digest = hashlib.sha256(f"{parcel.lot}\0{parcel.name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


@dataclass(frozen=True, slots=True)
class Known:
    """`at`, `events`: key and number of an event by ordinal. `mine`: events whose rows are written, by ordinal; of the others
    something may be missing. `names`: all events that name them were read; `followed`: and those of what they were with;
    `lots`: known in full."""

    at: Sequence[int]
    events: Sequence[int]
    mine: Collection[int]
    names: Collection[str]
    followed: Collection[str]
    lots: Collection[str]


def tracked(tracks: Tracks, known: Known) -> Tracked:
    at, events = known.at, known.events
    own = [fact for fact in tracks.facts if fact.ordinal in known.mine]
    runs = _runs(own, events)
    parcels = _in_units(tracks, known.lots)
    return Tracked(
        same={
            Same(name, other)
            for name in tracks.links.named
            if name in known.followed
            for other in tracks.same_box(name)
            if other in known.followed
        },
        named={
            Named(name, at[each], events[each])
            for name, ordinals in tracks.links.named.items()
            for each in ordinals
            if each in known.mine
        },
        inside=set(_inside(tracks, known)),
        run_names=set(_run_names(tracks, runs, known)),
        run_events={
            RunEvent(runs[fact.run], at[fact.ordinal], events[fact.ordinal])
            for fact in own
            if fact.kind == "TransformationEvent"
        },
        moves={move for fact in own for move in _moves(tracks, fact, events[fact.ordinal])},
        parcels={_parcel(tracks, parcel, runs) for parcel in parcels},
        steps={
            StepRow(parcel_number(parcel), number, at[step.ordinal], events[step.ordinal])
            for parcel in parcels
            for number, step in enumerate(parcel.steps)
        },
        spells={spell for parcel in parcels for spell in _spells(parcel, known)},
        in_unit={
            _span(unit, *span, at)
            for unit, spans in tracks.in_unit.items()
            for span in spans
            if span[0].lot in known.lots
        },
    )


def _inside(tracks: Tracks, known: Known) -> Iterator[Inside]:
    at = known.at
    for child, held in tracks.links.inside.items():
        for each in held if child in known.followed else ():
            told = tracks.links.changes.get(each.first, {}).get(child) == "in"
            said = each.first if told else each.last
            if each.parent in known.names and said in known.mine:
                # What nobody told going in: after it was last seen, or after the parent was empty.
                first = at[each.first] if told or each.first in known.mine else at[each.first - 1] + 1
                yield Inside(child, each.parent, first, _last(each.last, at), known.events[said])


def _runs(own: Sequence[Fact], events: Sequence[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for fact in own:
        if fact.kind == "TransformationEvent":
            found.setdefault(fact.run, events[fact.ordinal])
    return found


def _run_names(tracks: Tracks, runs: Mapping[str, int], known: Known) -> Iterator[RunName]:
    at, made = known.at, tracks.links.first_made
    for run, number in runs.items():
        sides = ((tracks.links.runs[run].inputs, False), (tracks.links.runs[run].outputs, True))
        for names, output in sides:
            for name, (first, last) in names.items():
                since = at[made[name]] if name in made else None
                yield RunName(number, name, output, at[first], at[last], known.events[first], since)


def _moves(tracks: Tracks, fact: Fact, event: int) -> Iterator[Move]:
    if fact.parent is None:
        return
    if fact.kind == "AggregationEvent":
        for child, change in tracks.links.changes.get(fact.ordinal, {}).items():
            if change == "in":
                yield Move(event, child, fact.parent, "loaded" if fact.step == "loading" else "packed")
            else:
                yield Move(event, child, fact.parent, "unloaded" if fact.step == "unloading" else "unpacked")
    elif fact.kind == "AssociationEvent":
        kind = "removed" if fact.action == "DELETE" else "installed"
        yield from (Move(event, device, fact.parent, kind) for device in fact.nodes)


def _in_units(tracks: Tracks, lots: Collection[str]) -> list[Parcel]:
    """Those that were ever in a unit, those they were split from, and what was split from them."""
    waiting = deque(span[0] for spans in tracks.in_unit.values() for span in spans if span[0].lot in lots)
    below: dict[Parcel, None] = {}
    while waiting:
        parcel = waiting.popleft()
        if parcel not in below:
            below[parcel] = None
            waiting.extend(tracks.pieces.get(parcel, ()))
    return list(below | dict.fromkeys(origin for parcel in below for origin in parcel.line()))


def _parcel(tracks: Tracks, parcel: Parcel, runs: Mapping[str, int]) -> ParcelRow:
    used_up = parcel.ending == "transformed" and parcel.steps
    return ParcelRow(
        id=parcel_number(parcel),
        lot=parcel.lot,
        origin=None if parcel.origin is None else parcel_number(parcel.origin),
        origin_steps=parcel.origin_steps,
        steps=len(parcel.steps),
        runs=tuple(sorted({runs[run] for run in tracks.runs_behind(parcel) if run in runs})),
        became=runs.get(tracks.facts[parcel.steps[-1].ordinal].run) if used_up else None,
    )


def _spells(parcel: Parcel, known: Known) -> Iterator[Spell]:
    number, steps = parcel_number(parcel), parcel.history()
    end = EVER if parcel.ending is None or not steps else steps[-1].ordinal
    for unit, entered, left in spells(steps, end):
        yield Spell(number, unit, known.at[entered], _last(left, known.at), known.events[entered])


def _span(unit: str, parcel: Parcel, first: int, last: int, at: Sequence[int]) -> InUnit:
    steps = parcel.steps
    return InUnit(
        unit=unit,
        parcel=parcel_number(parcel),
        first=first,
        entered=at[steps[first].ordinal],
        latest=at[steps[last].ordinal],
        gone=at[steps[last + 1].ordinal] if last + 1 < len(steps) else keys.EVER,
    )


def _last(ordinal: int, at: Sequence[int]) -> int:
    return keys.EVER if ordinal == EVER else at[ordinal]
