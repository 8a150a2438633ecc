"""Exposure and verdict of a portion: its stays joined with the sensors that were there, judged by `ingest.coldchain`.

A mixed lot inherits what its inputs went through before mixing: each input's journey is judged in front of the
portion's own, and the worst decides.

From the first step on that somebody did not publish, the portion is nowhere we know of: that time is unobserved, its
verdict at best `indeterminate`. What was measured before stays: a breach is a breach.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import psycopg

from ingest.coldchain.exposure import Exposure, expose
from ingest.coldchain.limits import Limit, Position, Text
from ingest.coldchain.timeline import Leg, ObservedSeries
from ingest.coldchain.told import Told
from ingest.coldchain.verdict import Verdict, decide
from ledger.epcis import vocabulary
from ledger.genealogy import Portion, Span, Stay
from trace_api.chain import Chain, Hidden, Sensor, read_curve, read_hidden, read_told

# Who records these has the goods; an inspector or a laboratory that records something about them has not.
HAVING = frozenset(
    {
        "commissioning",
        "creating_class_instance",
        "receiving",
        "storing",
        "packing",
        "loading",
        "departing",
        "accepting",
        "shipping",
        "retail_selling",
    }
)
_UNKNOWN = Text(
    "部分经过没有公开，不能判断是否保持了要求的温度",
    "Part of the chain is not published, so nobody can tell whether the temperature was kept",
)
_PUBLISHED_ONLY = Text(
    "公开的部分里没有适用的温度要求。", "No temperature requirement applies to what is published."
)
WORST_FIRST = ("breach", "indeterminate", "compliant", "not_applicable")


@dataclass(frozen=True, slots=True)
class Judged:
    """`exposure` covers the journey that decided: the worst input's before mixing, then the portion's own.
    `inherited_from`: that input's lot, None where nothing was mixed. `hidden`: what is not published of the portion or of
    anything that went into it, None where all is."""

    portion: Portion
    exposure: Exposure
    verdict: Verdict
    inherited_from: str | None
    hidden: Hidden | None


class Judge:
    """Judges portions of one chain in one snapshot; a series is read once however many legs need it."""

    def __init__(self, conn: psycopg.Connection, chain: Chain, now_ms: int) -> None:
        self._conn, self._chain, self._now_ms = conn, chain, now_ms
        self._curves: dict[tuple[int, int, int | None], ObservedSeries] = {}
        self._legs: dict[tuple[object, ...], Leg] = {}
        self._hidden: dict[tuple[Span, ...], Hidden | None] = {}
        self._tellings: dict[tuple[object, ...], Told | None] = {}

    def judge(self, portion: Portion) -> Judged:
        went_in = [Span(item.lot, 0, portion.start_ms) for item in portion.inputs]
        used = [span for each in self._used(portion) for span in _named(each)]
        known = self._known(portion)
        hidden = self._unpublished((*known.rest(_named(portion)), *known.rest_behind([*went_in, *used])))
        own = self._journey(portion, known.rest(_named(portion)))
        judged = [
            self._decide(portion, [*before, *own], lot, hidden)
            for lot, before in self._inherited(portion, known)
        ]
        if not judged:
            judged = [self._decide(portion, own, None, hidden)]
        return min(
            judged, key=lambda item: (WORST_FIRST.index(item.verdict.state), -item.verdict.minutes_at_most)
        )

    def _decide(
        self, portion: Portion, legs: Sequence[Leg], inherited_from: str | None, hidden: Hidden | None
    ) -> Judged:
        exposure = expose(legs)
        verdict = decide(exposure, self._chain.limits)
        if hidden is not None and self._rules(portion):
            verdict = _not_kept(verdict)
        return Judged(portion, exposure, verdict, inherited_from, hidden)

    def _rules(self, portion: Portion) -> bool:
        """Whether any limit speaks of such goods, at whatever stage the hidden steps may have brought them to."""
        product = self._chain.product_of(portion.lot)
        return product is not None and any(
            limit.product == product.rule_product for limit in self._chain.limits
        )

    def _used(self, portion: Portion) -> list[Portion]:
        """What went into it, one portion of each lot."""
        found = []
        for item in portion.inputs:
            used = (each for each in self._chain.genealogy.portions(item.lot) if each.name in item.portions)
            found += list(used)[:1]
        return found

    def _unpublished(self, named: tuple[Span, ...]) -> Hidden | None:
        if named not in self._hidden:
            self._hidden[named] = read_hidden(self._conn, named, self._chain.eye) if named else None
        return self._hidden[named]

    def _known(self, portion: Portion) -> _Known:
        """What lies behind the last taking in of the portion by who asks is theirs to see, and whole."""
        taken = [item for item in portion.journey if item.position in self._chain.taken]
        if not taken:
            return _Known(None, False)
        last = max(taken, key=lambda item: item.event.event_time)
        whole = any(self._chain.taken[item.position] is None for item in taken)
        return _Known(round(last.event.event_time.timestamp() * 1000), whole)

    def _inherited(self, portion: Portion, known: _Known) -> Iterator[tuple[str, list[Leg]]]:
        """The journeys of what went in, up to the mixing."""
        for each in self._used(portion):
            journey = self._journey(each, known.rest_behind(_named(each)))
            yield each.lot, [leg for leg in journey if leg.end_ms <= portion.start_ms]

    def _journey(self, portion: Portion, named: tuple[Span, ...]) -> list[Leg]:
        """Cut where the surroundings, the stage or the holder change, and where the record of what is `named` stops being
        whole."""
        hidden = self._unpublished(named)
        end = min(portion.end_ms if portion.end_ms is not None else self._now_ms, self._now_ms)
        holders = _capturing(portion)
        edges = {portion.start_ms, end}
        spans: tuple[Span | Stay, ...] = (*portion.stays, *portion.stages, *holders)
        for span in spans:
            edges |= {span.start_ms, span.end_ms if span.end_ms is not None else end}
        if hidden is not None:
            edges.add(hidden.since_ms)
        inside = sorted(edge for edge in edges if portion.start_ms <= edge <= end)
        return [
            self._leg(portion, holders, start, stop)
            if hidden is None or start < hidden.since_ms
            else self._unobserved(portion, start, stop)
            for start, stop in pairwise(inside)
            if stop > start
        ]

    def _unobserved(self, portion: Portion, start: int, end: int) -> Leg:
        """Nobody may know where, with whom or how far; goods do not stop to need cold for that."""
        limits = self._limits(portion, _at(portion.stages, start) or "unknown")
        key = (start, end, limits)
        if key not in self._legs:
            self._legs[key] = Leg(None, "unknown", "unknown", "unknown", start, end, (), limits)
        return self._legs[key]

    def _limits(self, portion: Portion, stage: str) -> tuple[Limit, ...]:
        product = self._chain.product_of(portion.lot)
        return tuple(
            limit for limit in self._chain.limits if product and limit.applies(product.rule_product, stage)
        )

    def _leg(self, portion: Portion, holders: Sequence[Span], start: int, end: int) -> Leg:
        stays = [
            stay
            for stay in portion.stays
            if stay.start_ms <= start and (stay.end_ms is None or start < stay.end_ms)
        ]
        stage = _at(portion.stages, start) or "unknown"
        limits = self._limits(portion, stage)
        outer = _outermost(stays, self._chain)
        sensors = list(self._sensors(stays, start, end))
        series = tuple(self._observed(sensor, portion) for sensor in sensors if sensor.readable)
        told = None if all(sensor.readable for sensor in sensors) else self._told(sensors, start, end, limits)
        # Portions that were together share their legs, and what was computed for one holds for the other.
        key = (outer, stage, _at(holders, start), start, end, series, limits, tuple(sensors))
        if key not in self._legs:
            self._legs[key] = Leg(
                place=outer.place if outer else None,
                place_kind=outer.kind if outer else "unknown",
                holder=_at(holders, start) or "unknown",
                stage=stage,
                start_ms=start,
                end_ms=end,
                series=series,
                limits=limits,
                told=told,
            )
        return self._legs[key]

    def _told(
        self, sensors: Sequence[Sensor], start: int, end: int, limits: tuple[Limit, ...]
    ) -> Told | None:
        """The whole leg as told, since the sensors that may be read and the others are judged together."""
        key = (tuple(sensor.series for sensor in sensors), start, end, limits)
        if key not in self._tellings:
            self._tellings[key] = read_told(self._conn, key[0], start, end, limits)
        return self._tellings[key]

    def _sensors(self, stays: Sequence[Stay], start: int, end: int) -> Iterator[Sensor]:
        for stay in stays:
            for sensor in self._chain.sensors.get(stay.place, ()):
                if sensor.since_ms < end and (sensor.until_ms is None or start < sensor.until_ms):
                    yield sensor

    def _observed(self, sensor: Sensor, portion: Portion) -> ObservedSeries:
        """The series over as long as it was placed there, within the chain's own time."""
        key = (sensor.series, sensor.since_ms, sensor.until_ms)
        if key not in self._curves:
            first = min(self._earliest(), portion.start_ms)
            until = min(sensor.until_ms or self._now_ms, self._now_ms)
            times, values = read_curve(
                self._conn, sensor, max(sensor.since_ms, first), until, self._chain.eye, self._chain.as_of
            )
            self._curves[key] = ObservedSeries(
                str(sensor.series),
                cast(Position, sensor.position),
                times,
                values,
                sensor.interval_ms,
                sensor.accuracy_c,
                sensor.since_ms,
                sensor.until_ms,
            )
        return self._curves[key]

    def _earliest(self) -> int:
        return min((fact.ms for fact in self._chain.genealogy.facts), default=0)


@dataclass(frozen=True, slots=True)
class _Known:
    """Up to when a portion's record is whole for who took it in, and whether that of what went into it is."""

    until_ms: int | None
    behind: bool

    def rest(self, spans: Iterable[Span]) -> tuple[Span, ...]:
        """Where something may still be hidden. Of the lot's other portions it may: they are not what was taken in."""
        known = self.until_ms
        if known is None:
            return tuple(spans)
        return tuple(
            replace(span, start_ms=max(span.start_ms, known))
            for span in spans
            if span.end_ms is None or span.end_ms > known
        )

    def rest_behind(self, spans: Iterable[Span]) -> tuple[Span, ...]:
        return self.rest(spans) if self.behind else tuple(spans)


def _named(portion: Portion) -> tuple[Span, ...]:
    """What a step that concerns the portion would name: its lot for as long as it lasts, a container, which carries others
    as well, only while the portion is inside."""
    return Span(portion.lot, 0, portion.end_ms), *portion.containers


def _not_kept(verdict: Verdict) -> Verdict:
    """Of a chain that is not whole nothing can be said to have been kept; what was surely broken was."""
    if verdict.state == "breach":
        return verdict
    return replace(
        verdict,
        state="indeterminate",
        headline=_UNKNOWN,
        # That no rule applies holds only for what was published.
        detail=_PUBLISHED_ONLY if verdict.state == "not_applicable" else verdict.detail,
        reasons=() if verdict.state == "not_applicable" else verdict.reasons,
        by_limit=tuple(
            replace(one, state="indeterminate", headline=_UNKNOWN) if one.state == "compliant" else one
            for one in verdict.by_limit
        ),
    )


def _capturing(portion: Portion) -> tuple[Span, ...]:
    """Who had it, as far as everybody may know: the organisation that recorded the last step."""
    events = [
        (round(item.event.event_time.timestamp() * 1000), item.organisation)
        for item in portion.journey
        if item.event.biz_step and vocabulary.biz_step(item.event.biz_step) in HAVING
    ]
    ends = [start for start, _ in events[1:]] + [None]
    return tuple(
        Span(organisation, start, end) for (start, organisation), end in zip(events, ends, strict=True)
    )


def _at(spans: Sequence[Span], time_ms: int) -> str | None:
    return next(
        (
            span.value
            for span in reversed(spans)
            if span.start_ms <= time_ms and (span.end_ms is None or time_ms < span.end_ms)
        ),
        None,
    )


def _outermost(stays: Sequence[Stay], chain: Chain) -> Stay | None:
    """What a person would call the place: a registered place or vehicle before a pallet."""
    known = [stay for stay in stays if stay.place in chain.sites]
    return known[-1] if known else next(iter(stays), None)
