"""What a trace follows, as plain rows: for the index in the database, which walks them instead of replaying events.

In the line: trace.py's tracks -> here -> `ingest.projection.tracks`. Contract: pure; a row says nothing that `Walk` does not ask
for, and walking the rows gives the events that trace.py gives. Events are named by the numbers passed in, moments by
`keys.sort_keys`.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ledger.genealogy import keys
from ledger.genealogy.facts import Fact
from ledger.genealogy.lineage import Genealogy
from ledger.genealogy.links import EVER, Change
from ledger.genealogy.parcels import Parcel
from ledger.genealogy.portions import inputs_of
from ledger.genealogy.told import ToldEdge, moment, told
from ledger.genealogy.trace import Tracks, spells
from ledger.genealogy.weights import moved


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
    """`run`: the number of its first event. `within`: it was used inside another input. `made`: when anything first made the
    name."""

    run: int
    name: str
    output: bool
    within: bool
    first: int
    last: int
    event: int
    made: int | None
    quantity: float | None
    uom: str | None
    share: float | None


class RunEvent(NamedTuple):
    run: int
    at: int
    event: int


class EdgeRow(NamedTuple):
    """A link as the first event of a run, or what moved or installed something, tells it. `beside`: the source is a device, which
    is of no trace itself. `told`: JSON (`told.py`)."""

    event: int
    source: str
    target: str
    beside: bool
    told: str


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


class PortionRow(NamedTuple):
    """`place`: in the order of their birth. `body`: JSON, times in UTC milliseconds."""

    lot: str
    place: int
    parcel: int
    body: str


@dataclass(slots=True)
class Tracked:
    same: set[Same] = field(default_factory=set)
    named: set[Named] = field(default_factory=set)
    inside: set[Inside] = field(default_factory=set)
    run_names: set[RunName] = field(default_factory=set)
    run_events: set[RunEvent] = field(default_factory=set)
    edges: set[EdgeRow] = field(default_factory=set)
    parcels: set[ParcelRow] = field(default_factory=set)
    steps: set[StepRow] = field(default_factory=set)
    spells: set[Spell] = field(default_factory=set)
    in_unit: set[InUnit] = field(default_factory=set)
    portions: set[PortionRow] = field(default_factory=set)


def parcel_number(parcel: Parcel) -> int:
    """Signed 64 bits. Lots hang together with one component alone, so a name need be unique in its lot only."""
    return _number(parcel.lot, parcel.name)


def _number(lot: str, name: str) -> int:
    digest = hashlib.sha256(f"{lot}\0{name}".encode()).digest()
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


def tracked(genealogy: Genealogy, known: Known) -> Tracked:
    tracks = genealogy.tracks
    at, events = known.at, known.events
    own = [fact for fact in tracks.facts if fact.ordinal in known.mine]
    runs = _runs(own, events)
    run_names = set(_run_names(genealogy, runs, known))
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
        run_names=run_names,
        run_events={
            RunEvent(runs[fact.run], at[fact.ordinal], events[fact.ordinal])
            for fact in own
            if fact.kind == "TransformationEvent"
        },
        edges={*_run_edges(own, run_names, events), *_moves(tracks, own, known)},
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
        portions={row for lot in known.lots for row in _portions(genealogy, lot)},
    )


def _portions(genealogy: Genealogy, lot: str) -> Iterator[PortionRow]:
    for place, each in enumerate(genealogy.portions(lot)):
        body = {
            "lot": each.lot,
            "unit": each.unit,
            "quantity": each.quantity,
            "uom": each.uom,
            "stage": each.stage,
            "place": each.place,
            "start": each.start_ms,
            "end": each.end_ms,
            "ending": each.ending,
            "containers": [(span.value, span.start_ms, span.end_ms) for span in each.containers],
            "inputs": [(used.lot, used.quantity, used.uom, used.share) for used in each.inputs],
        }
        yield PortionRow(lot, place, _number(lot, each.name), json.dumps(body, ensure_ascii=False))


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


_UNKNOWN: Final = (None, None, None)


def _runs(own: Sequence[Fact], events: Sequence[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for fact in own:
        if fact.kind == "TransformationEvent":
            found.setdefault(fact.run, events[fact.ordinal])
    return found


def _run_names(genealogy: Genealogy, runs: Mapping[str, int], known: Known) -> Iterator[RunName]:
    tracks = genealogy.tracks
    at, made = known.at, tracks.links.first_made
    for run, number in runs.items():
        went_in = {
            each.lot: (each.quantity, each.uom, each.share)
            for each in inputs_of(genealogy.stock, genealogy.stock.runs[run])
        }
        links = tracks.links.runs[run]
        inside = {name: times for name, times in links.within.items() if name not in links.inputs}
        sides = ((links.inputs, False, False), (inside, False, True), (links.outputs, True, False))
        for names, output, within in sides:
            for name, (first, last) in names.items():
                since = at[made[name]] if name in made and not within else None
                much = _UNKNOWN if output or within else went_in.get(name, _UNKNOWN)
                yield RunName(
                    number, name, output, within, at[first], at[last], known.events[first], since, *much
                )


def _run_edges(own: Sequence[Fact], names: Iterable[RunName], events: Sequence[int]) -> Iterator[EdgeRow]:
    """From each input to each output that a run's first event tells; of a run that stays open, what comes later is told by
    which of its events are seen."""
    first = {events[fact.ordinal]: fact for fact in own}
    sides: defaultdict[int, tuple[list[RunName], list[RunName]]] = defaultdict(lambda: ([], []))
    for each in names:
        if each.event == each.run and not each.within:
            sides[each.run][each.output].append(each)
    for run, (inputs, outputs) in sides.items():
        for used in inputs:
            much = (used.quantity, used.uom, used.share)
            yield from (
                _edge(first[run], run, used.name, made.name, "transformed", *much) for made in outputs
            )


def _moves(tracks: Tracks, own: Iterable[Fact], known: Known) -> Iterator[EdgeRow]:
    """Of a truck that was emptied, what came out is told as far as it is known here; of its other loads, by their own walks."""
    for fact in own:
        event, parent = known.events[fact.ordinal], fact.parent
        if parent is not None and fact.kind == "AggregationEvent":
            changes = tracks.links.changes.get(fact.ordinal, {})
            for child, change in changes.items() if parent in known.names else ():
                if child not in known.names:
                    continue
                ends = (child, parent) if change == "in" else (parent, child)
                yield _edge(fact, event, *ends, _kind(change, fact.step), *moved(fact, child), None)
        elif parent is not None and fact.kind == "AssociationEvent":
            kind = "removed" if fact.action == "DELETE" else "installed"
            yield from (_edge(fact, event, device, parent, kind, None, None, None) for device in fact.nodes)


def _kind(change: Change, step: str) -> str:
    if change == "in":
        return "loaded" if step == "loading" else "packed"
    return "unloaded" if step == "unloading" else "unpacked"


def _edge(
    fact: Fact,
    event: int,
    source: str,
    target: str,
    kind: str,
    quantity: float | None,
    uom: str | None,
    share: float | None,
) -> EdgeRow:
    edge = ToldEdge(source, target, kind, fact.name, moment(fact.ms), quantity, uom, share)
    return EdgeRow(event, source, target, kind in ("installed", "removed"), told(edge).decode())


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
