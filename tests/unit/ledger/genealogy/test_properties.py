"""What holds for any events: order of arrival, mass, agreement of both directions, and that walks end."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.genealogy import Direction, Genealogy, Portion, RecordedEvent, placements, replay, touches
from tests.unit.ledger.genealogy.said import (
    MARKET,
    PACKHOUSE,
    STALL,
    STORE,
    TRUCK,
    declared_wrong,
    gone,
    installed,
    lot,
    made,
    mixed,
    put_in,
    seen,
    some,
    take_out,
    unit,
)

LOTS = [lot(name) for name in "ABC"]
UNITS = [unit(1), unit(2), unit(3), TRUCK]
DIRECTIONS: tuple[Direction, ...] = ("back", "forward", "both")
minutes = st.integers(0, 12)
lots = st.sampled_from(LOTS)
units = st.sampled_from(UNITS)
places = st.sampled_from([PACKHOUSE, STORE, MARKET, STALL])
quantities = st.integers(1, 30)
amounts = st.builds(some, lots, quantities)
things = st.one_of(amounts, units, st.builds(some, lots))

makings = st.builds(made, minutes, lots, quantities, where=places)
pairs = st.tuples(units, things).filter(lambda pair: pair[0] != pair[1])
packings = st.builds(lambda m, pair, p: put_in(m, *pair, where=p), minutes, pairs, places)
loadings = st.builds(
    lambda m, u, p: put_in(m, TRUCK, u, step="loading", readPoint=p),
    minutes,
    st.sampled_from(UNITS[:3]),
    places,
)
unpackings = st.builds(lambda m, pair, p: take_out(m, *pair, where=p), minutes, pairs, places)
emptyings = st.builds(take_out, minutes, units, where=places)
sightings = st.builds(
    seen, minutes, st.sampled_from(["storing", "receiving", "holding", "departing"]), things, where=places
)
removals = st.builds(
    gone, minutes, st.sampled_from(["destroying", "retail_selling"]), things, readPoint=places
)
mixings = st.builds(lambda m, a, b: mixed(m, [a], [b]), minutes, amounts, amounts)
fittings = st.builds(installed, minutes, units, removed=st.booleans())


kinds = st.one_of(makings, packings, loadings, unpackings, emptyings, sightings, removals, mixings, fittings)


@st.composite
def worlds(draw: st.DrawFn) -> list[RecordedEvent]:
    """Up to 14 events, many at the same instant, and up to two of them declared wrong."""
    said = draw(st.lists(kinds, max_size=14))
    wrong = draw(st.lists(st.sampled_from(said), max_size=2)) if said else []
    return said + [declared_wrong(each, 99) for each in wrong]


def quiet(portion: Portion) -> Portion:
    return replace(portion, journey=tuple(replace(each, position=None) for each in portion.journey))


def all_portions(found: Genealogy) -> list[Portion]:
    return [quiet(each) for name in found.lots() for each in found.portions(name)]


@settings(max_examples=80, deadline=None)
@given(st.data(), worlds())
def test_any_order_of_arrival_gives_the_same(data: st.DataObject, events: list[RecordedEvent]) -> None:
    shuffled = data.draw(st.permutations(events))
    arrived = [replace(each, position=number) for number, each in enumerate(shuffled)]
    one, other = replay(events), replay(arrived)
    assert all_portions(one) == all_portions(other)
    assert one.presence() == other.presence()
    assert one.discrepancies == other.discrepancies
    assert placements(events) == placements(arrived)
    for name in [*LOTS, *UNITS]:
        assert _told(one, name) == _told(other, name)


def _told(found: Genealogy, name: str) -> tuple[object, ...]:
    """All that a trace says, without the positions, which follow arrival."""
    trace = found.trace(name)
    names = [item.event.event_id for item in trace.events]
    return names, trace.edges, set(trace.identifiers), trace.held, trace.cut


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_mass_never_appears(events: list[RecordedEvent]) -> None:
    found = replay(events)
    for name in LOTS:
        there = sum(each.quantity or 0.0 for each in found.portions(name))
        if found.stock.books.is_made(name):
            assert there <= _made_of(found, name) + 1e-6


def _made_of(found: Genealogy, name: str) -> float:
    """Added up from the events, without the books."""
    total = 0.0
    for fact in found.facts:
        if fact.kind == "TransformationEvent":
            total += sum(each.quantity or 0.0 for each in fact.out_goods if each.lot == name)
        elif fact.kind == "ObjectEvent" and fact.action == "ADD":
            total += sum(each.quantity or 0.0 for each in fact.goods if each.lot == name)
    return total


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_a_portion_is_in_one_place_at_a_time(events: list[RecordedEvent]) -> None:
    for portion in all_portions(replay(events)):
        for spans in (portion.places, portion.stages, portion.holders):
            assert all(
                one.end_ms is not None and one.end_ms <= other.start_ms for one, other in pairwise(spans)
            )
        if portion.ending is None and portion.places:
            assert (portion.places[-1].value == portion.place) or portion.place is None
        assert portion.quantity is None or portion.quantity > 0


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_rows_of_presence_never_overlap(events: list[RecordedEvent]) -> None:
    spells = defaultdict(list)
    for row in replay(events).presence():
        spells[row.holder, row.lot, row.stage].append((row.start_ms, row.end_ms))
    for found in spells.values():
        assert all(end is not None and end < start for (_, end), (start, _) in pairwise(found))


@settings(max_examples=80, deadline=None)
@given(st.lists(mixings, max_size=12))
def test_forward_and_backward_agree(events: list[RecordedEvent]) -> None:
    """b is reached back from a if and only if a is reached forward from b. The rule of time is one for both: from one run to the
    next goods can have gone if the first made them no later than the second used them, to the millisecond; or if the second used
    them before anything made them, which is a wrong clock."""
    found = replay(events)
    back = {name: set(found.trace(name, "back").identifiers) for name in LOTS}
    forward = {name: set(found.trace(name, "forward").identifiers) for name in LOTS}
    for one in LOTS:
        for other in LOTS:
            assert (other in back[one]) == (one in forward[other])


@settings(max_examples=80, deadline=None)
@given(st.lists(mixings, max_size=8))
def test_a_lot_reaches_what_the_rule_says_and_nothing_else(events: list[RecordedEvent]) -> None:
    """Against the rule itself, run by run and slowly."""
    found = replay(events)
    runs = [
        (fact.ms, {each.lot for each in fact.goods}, {each.lot for each in fact.out_goods})
        for fact in found.facts
    ]
    made = {name: min((ms for ms, _, outputs in runs if name in outputs), default=None) for name in LOTS}
    for name in LOTS:
        reached, seen = {name}, set[tuple[str, float]]()
        waiting: list[tuple[str, float]] = [(name, math.inf)]
        while waiting:
            each = waiting.pop()
            lot_name, used = each
            if each in seen:
                continue
            seen.add(each)
            for ms, inputs, outputs in runs:
                first = made[lot_name]
                if lot_name in outputs and (ms <= used or (first is not None and used < first)):
                    reached |= inputs
                    waiting.extend((input_name, ms) for input_name in inputs)
        assert set(found.trace(name, "back").identifiers) == reached


@settings(max_examples=80, deadline=None)
@given(worlds(), st.sampled_from([*LOTS, *UNITS]))
def test_every_event_that_names_it_is_in_its_trace(events: list[RecordedEvent], name: str) -> None:
    found = replay(events)
    naming = {
        fact.ordinal
        for fact in found.facts
        if name
        in {
            each.identifier for each in touches(fact.event) if each.role not in ("read_point", "biz_location")
        }
    }
    for direction in DIRECTIONS:
        inside = {id(item) for item in found.trace(name, direction).events}
        assert naming <= {fact.ordinal for fact in found.facts if id(fact.recorded) in inside}


@settings(max_examples=80, deadline=None)
@given(worlds(), st.sampled_from([*LOTS, *UNITS]))
def test_a_trace_ends_and_keeps_the_order_of_time(events: list[RecordedEvent], name: str) -> None:
    found = replay(events)
    for direction in DIRECTIONS:
        times = [each.event.event_time for each in found.trace(name, direction).events]
        assert times == sorted(times)
