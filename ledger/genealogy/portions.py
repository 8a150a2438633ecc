"""Where a lot is and was: its portions, with all they went through, also before they were split off.

In the line: stock.py's parcels -> here -> exposure, verdict, the pages. Contract: a portion is a value; its
name does not change when later events are added; intervals are half open, in UTC milliseconds, in time order,
and an end of None means "still". Portions of one lot share no quantity: their sum is what was made, less what
nobody accounted for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ledger.genealogy.facts import Fact, RecordedEvent
from ledger.genealogy.marks import Belief, Orders, line_of, marks_of, no_orders, ordered
from ledger.genealogy.parcels import NOTHING, Parcel, Step
from ledger.genealogy.stock import Run, Stock

StayKind = Literal["biz_location", "read_point", "container"]


@dataclass(frozen=True, slots=True)
class Span:
    """`value` (a container, a place, a stage, a party) held from `start_ms` to `end_ms`."""

    value: str
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True, slots=True)
class Stay:
    """A surrounding that a sensor may measure: a container, or a place while in no vehicle."""

    place: str
    kind: StayKind
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True, slots=True)
class Input:
    """What of `lot` went into a mixed lot. `share` of all inputs by weight, None where a weight is not known.
    `portions`: the portions of that lot which were used up, whose history is the goods' history before
    mixing."""

    lot: str
    quantity: float | None
    uom: str | None
    share: float | None
    portions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Portion:
    """A quantity of a lot that stays together.

    `unit`: the innermost container, None when loose; `place`: where it is (None on the way); after its end,
    where it was last. `ending` is None while it exists, else the step that ended it (`transformed`,
    `retail_selling`, `destroying`, `sampling`, ...). `came_from`: the portion it was split from at
    `split_ms`; its history before that is included here. `alternatives`: portions of which this might just as
    well have been a part. `set_by`: of each of the
    `marks` that stand, the events that set it; `stopped_by`: whose plain disposition stops the goods until the next
    one. `found`: nobody recorded its making. `journey`: the events that concerned it, in time order.
    """

    name: str
    lot: str
    quantity: float | None
    uom: str | None
    unit: str | None
    containers: tuple[Span, ...]
    places: tuple[Span, ...]
    stays: tuple[Stay, ...]
    stages: tuple[Span, ...]
    holders: tuple[Span, ...]
    place: str | None
    stage: str | None
    holder: str | None
    marks: frozenset[str]
    set_by: Mapping[str, tuple[RecordedEvent, ...]]
    stopped_by: RecordedEvent | None
    start_ms: int
    end_ms: int | None
    ending: str | None
    ended_by: str | None
    came_from: str | None
    split_ms: int | None
    alternatives: tuple[str, ...]
    inputs: tuple[Input, ...]
    found: bool
    boxes: frozenset[str]
    journey: tuple[RecordedEvent, ...]


def portions_of_lot(
    stock: Stock, facts: Sequence[Fact], lot: str, belief: Belief, orders: Orders = no_orders
) -> list[Portion]:
    """All portions the lot ever had, in the order of their birth; those used up to nothing by splits are
    not."""
    kept = [
        parcel
        for parcel in stock.parcels.get(lot, ())
        if parcel.quantity is None or parcel.quantity > NOTHING
    ]
    return [portion(stock, facts, parcel, belief, orders) for parcel in kept]


def portion(
    stock: Stock, facts: Sequence[Fact], parcel: Parcel, belief: Belief, orders: Orders = no_orders
) -> Portion:
    steps = parcel.history()
    inside = frozenset(steps[-1].chain) if steps else frozenset()
    marks = ordered(marks_of(parcel, facts, belief), orders(parcel.lot, line_of(parcel), inside))
    end = parcel.ended_ms
    containers = _containers(steps, end)
    holders = _holders(steps, end)
    return Portion(
        name=parcel.name,
        lot=parcel.lot,
        quantity=None if parcel.quantity is None else round(parcel.quantity, 6),
        uom=parcel.uom,
        unit=parcel.container,
        containers=containers,
        places=_spans([(step.ms, step.place) for step in steps], end),
        stays=_stays(steps, containers, end),
        stages=_spans([(step.ms, step.stage) for step in steps], end),
        holders=holders,
        place=parcel.place,
        stage=parcel.stage,
        holder=holders[-1].value if holders else None,
        marks=frozenset(marks.set_by),
        set_by=marks.set_by,
        stopped_by=marks.said,
        start_ms=steps[0].ms if steps else parcel.born_ms,
        end_ms=end,
        ending=parcel.ending,
        ended_by=parcel.ended_by,
        came_from=parcel.origin.name if parcel.origin else None,
        split_ms=parcel.born_ms if parcel.origin else None,
        alternatives=parcel.alternatives,
        inputs=inputs_of(stock, stock.runs[parcel.run]) if parcel.run else (),
        found=parcel.found,
        boxes=frozenset(parcel.boxes),
        journey=tuple(facts[step.ordinal].recorded for step in steps),
    )


def inputs_of(stock: Stock, run: Run) -> tuple[Input, ...]:
    """What went into a run, over all its events, the largest share first."""
    weights = _weights(stock, run.inputs)
    total = sum(weights.values()) if len(weights) == len(run.inputs) else 0.0
    found = [
        Input(lot, quantity, uom, weights[lot] / total if total > 0 else None, tuple(run.used.get(lot, ())))
        for lot, (quantity, uom) in run.inputs.items()
    ]
    return tuple(sorted(found, key=lambda each: (-(each.share or 0.0), each.lot)))


def _weights(stock: Stock, inputs: Mapping[str, tuple[float | None, str | None]]) -> dict[str, float]:
    weighed = {
        lot: None if quantity is None else stock.books.kilograms(lot, quantity, uom)
        for lot, (quantity, uom) in inputs.items()
    }
    return {lot: weight for lot, weight in weighed.items() if weight is not None}


def _spans(values: Iterable[tuple[int, str | None]], end: int | None) -> tuple[Span, ...]:
    """Runs of one value; a value of None is a hole, and what lasted no time is left out."""
    spans: list[Span] = []
    start, current = 0, None
    for ms, value in values:
        if value == current:
            continue
        if current is not None:
            _append(spans, Span(current, start, ms))
        start, current = ms, value
    if current is not None:
        _append(spans, Span(current, start, end))
    return tuple(spans)


def _append(spans: list[Span], span: Span) -> None:
    if span.end_ms is not None and span.end_ms <= span.start_ms:
        return
    if spans and spans[-1].value == span.value and spans[-1].end_ms == span.start_ms:
        span = Span(span.value, spans.pop().start_ms, span.end_ms)
    spans.append(span)


def _containers(steps: Sequence[Step], end: int | None) -> tuple[Span, ...]:
    spans: dict[str, list[Span]] = {}  # by container, in the order in which it first held them
    inside: dict[str, int] = {}
    for step in steps:
        for name in [each for each in inside if each not in step.chain]:
            _append(spans[name], Span(name, inside.pop(name), step.ms))
        for name in step.chain:
            spans.setdefault(name, [])
            inside.setdefault(name, step.ms)
    for name, start in inside.items():
        _append(spans[name], Span(name, start, end))
    found = [span for each in spans.values() for span in each]
    return tuple(sorted(found, key=lambda span: span.start_ms))


def _stays(steps: Sequence[Step], containers: Iterable[Span], end: int | None) -> tuple[Stay, ...]:
    stays = [Stay(span.value, "container", span.start_ms, span.end_ms) for span in containers]
    for kind in ("biz_location", "read_point"):
        here = [(s.ms, s.place if s.place_kind == kind and not s.in_vehicle else None) for s in steps]
        stays += [Stay(span.value, kind, span.start_ms, span.end_ms) for span in _spans(here, end)]
    return tuple(sorted(stays, key=lambda stay: (stay.start_ms, stay.kind, stay.place)))


def _holders(steps: Sequence[Step], end: int | None) -> tuple[Span, ...]:
    """Who had it. Before the first hand-over that names a giver, the giver had it."""
    held = [(step.ms, step.holder) for step in steps]
    first = next((number for number, step in enumerate(steps) if step.holder is not None), None)
    if first is not None and steps[first].giver is not None:
        held[:first] = [(ms, steps[first].giver) for ms, _ in held[:first]]
    return _spans(held, end)
