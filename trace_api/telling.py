"""Makes the shopper's `Story` of a box or a lot out of its chain, its judgement and its readings.

Contract: everything on the page comes from published events and readings of one snapshot; what is not recorded is
absent, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import psycopg

from ingest.coldchain.exposure import LegExposure
from ingest.coldchain.limits import Text
from ledger.epcis import vocabulary
from ledger.epcis.events import Event, ObjectEvent, TransformationEvent, extensions
from ledger.genealogy import Portion, RecordedEvent
from trace_api.chain import Chain, Sensor, to_datetime
from trace_api.compliance import WORST_FIRST, Judge, Judged
from trace_api.recalled import recalls_of
from trace_api.story import (
    Certificate,
    Curve,
    Judgement,
    Leg,
    Name,
    Origin,
    Site,
    Step,
    Story,
    Test,
)
from trace_api.story import Portion as PortionStory

CURVE_POINTS = 240
_STEP_CODES = {
    "packing": "packed",
    "loading": "loaded",
    "departing": "departed",
    "arriving": "arrived",
    "unloading": "unloaded",
    "inspecting": "inspected",
    "accepting": "accepted",
    "sampling": "sampled",
    "shipping": "sold_on",
    "retail_selling": "sold",
}


def tell(conn: psycopg.Connection, chain: Chain, now: datetime) -> Story:
    now_ms = round(now.timestamp() * 1000)
    judge = Judge(conn, chain, now_ms)
    judged = in_order([judge.judge(portion) for portion in chain.portions], chain)
    main = judged[0]
    identifier = chain.identifier
    lot = main.portion.lot
    product = chain.product_of(lot)
    journey = _journey(chain, main.portion)
    origins = tuple(_origins(chain, main.portion))
    picked = min((origin.picked_at for origin in origins if origin.picked_at), default=None)
    return Story(
        gtin=identifier.parts.get("01", ""),
        lot=identifier.parts.get("10", lot.rpartition("/")[2]),
        serial=identifier.parts.get("21"),
        product=product.name if product else Name(lot, lot),
        brand=_brand(chain, journey),
        origins=origins,
        picked_from=picked,
        hours_to_cold=_hours_to_cold(chain, main.portion),
        now=now,
        steps=tuple(_steps(chain, journey)),
        legs=tuple(_leg(chain, leg) for leg in main.exposure.legs),
        judgement=_judgement(main),
        certificates=tuple(_certificates(chain, journey, lot)),
        tests=tuple(_tests(chain, journey)),
        # Where it is now: what was sold, used up or destroyed is nowhere any more.
        portions=tuple(
            _portion(chain, item)
            for item in [each for each in judged if each.portion.end_ms is None] or judged
        ),
        on_hold=bool(main.portion.marks & {"unavailable", "recalled", "non_sellable_other"}),
        events_recorded=len(journey),
        events_sealed=sum(item.position is not None for item in journey),
        proof_url=proof_url(chain),
        independent_witnesses=0,
        events_hidden=main.hidden.events if main.hidden else 0,
        recalls=recalls_of(conn, chain, lot, main.portion),
    )


def proof_url(chain: Chain) -> str:
    return f"/api/v1/lots/{api_id(chain.identifier.uri)}/proof"


def api_id(uri: str) -> str:
    """The identifier as it stands in our own paths: the Digital Link without its resolver."""
    return uri.removeprefix("https://id.gs1.org/").lstrip("/")


def in_order(judged: Sequence[Judged], chain: Chain) -> list[Judged]:
    """The portion that answers comes first: what still exists before what ended, the worst state first; then of a lot
    the longest time beyond, of a box the portion it is most likely in, the largest."""
    whole_lot = "21" not in chain.identifier.parts

    def importance(item: Judged) -> tuple[bool, int, float]:
        size = item.verdict.minutes_at_least if whole_lot else float(item.portion.quantity or 0)
        return item.portion.end_ms is not None, WORST_FIRST.index(item.verdict.state), -size

    return sorted(judged, key=importance)


def _journey(chain: Chain, portion: Portion) -> list[RecordedEvent]:
    """The portion's own events and those of what went into it, in time order, each once."""
    found: dict[int | None, RecordedEvent] = {}
    for item in portion.inputs:
        for used in chain.genealogy.portions(item.lot):
            if used.name in item.portions:
                found |= {event.position: event for event in used.journey}
    found |= {event.position: event for event in portion.journey}
    return sorted(found.values(), key=lambda item: (item.event.event_time, item.position or 0))


def journey_positions(chain: Chain) -> list[RecordedEvent]:
    """All events behind the answer, for its proof."""
    found = {event.position: event for portion in chain.portions for event in _journey(chain, portion)}
    return [found[position] for position in sorted(found, key=lambda position: position or 0)]


def _steps(chain: Chain, journey: Sequence[RecordedEvent]) -> Iterator[Step]:
    for item in journey:
        event = item.event
        code = _code(event)
        if code is None:
            continue
        yield Step(
            code,
            event.event_time,
            _site_of(chain, event),
            chain.organisations.get(item.organisation),
            item.position or 0,
            _pulp(event),
        )


def _code(event: Event) -> str | None:
    """None: no step of the goods (a logger attached, a sensor report)."""
    step = vocabulary.biz_step(event.biz_step) if event.biz_step else ""
    action = getattr(event, "action", None)
    if isinstance(event, TransformationEvent):
        return "mixed"
    if step in ("commissioning", "creating_class_instance"):
        return "harvest"
    if step == "receiving":
        return (
            "on_shelf"
            if event.disposition and event.disposition.endswith("sellable_accessible")
            else "collected"
        )
    if step == "storing":
        activity = extensions(event).get("suyuan:activity")
        return activity if activity in ("precooling_start", "precooling_end") else "stored"
    if step == "holding":
        return "recalled" if event.disposition and event.disposition.endswith("recalled") else "held"
    if step == "unpacking":
        return None
    if step == "inspecting":
        failed = event.disposition is not None and event.disposition.endswith("non_conformant")
        tested = any(_is_test(report) for report in _reports(event))
        return "refused_part" if failed else "tested" if tested else "inspected"
    if step == "packing" and action == "DELETE":
        return None
    return _STEP_CODES.get(step)


def _site_of(chain: Chain, event: Event) -> Site | None:
    for place in (event.biz_location, event.read_point):
        if place is not None:
            site = chain.sites.get(place.id) or chain.sites.get(place.id.partition("/254/")[0])
            if site is not None:
                return site
    return None


def _reports(event: Event) -> Iterator[Any]:
    for element in event.sensor_element_list:
        yield from element.sensor_report


def _withheld(event: Event) -> list[str]:
    """Names of fields that are not published of it."""
    named = extensions(event).get("suyuan:withheld")
    return named if isinstance(named, list) else []


def _is_test(report: Any) -> bool:
    return "CholinesteraseInhibition" in str(report.type or "")


def _pulp(event: Event) -> float | None:
    for report in _reports(event):
        position = next(
            (value for name, value in (report.model_extra or {}).items() if name.endswith("probePosition")),
            None,
        )
        if position == "pulp" and str(report.type or "").endswith("Temperature"):
            value = report.mean_value if report.mean_value is not None else report.value
            return None if value is None else float(value)
    return None


def _origins(chain: Chain, portion: Portion) -> Iterator[Origin]:
    inputs = [(item.lot, item.share) for item in portion.inputs] or [(portion.lot, None)]
    for lot, share in inputs:
        picked = _picked(chain, lot)
        site = _site_of(chain, picked.event) if picked else None
        yield Origin(lot, site, picked.event.event_time if picked else None, share)


def _picked(chain: Chain, lot: str) -> RecordedEvent | None:
    """The lot's first harvest event; a lot made by mixing has none."""
    events = [item for portion in chain.genealogy.portions(lot) for item in portion.journey]
    harvests = [
        item for item in events if isinstance(item.event, ObjectEvent) and _code(item.event) == "harvest"
    ]
    return min(harvests, key=lambda item: item.event.event_time, default=None)


def _hours_to_cold(chain: Chain, portion: Portion) -> float | None:
    """From the first picking of an input to the end of its pre-cooling; the longest, None if any is not recorded."""
    hours = []
    for lot in [item.lot for item in portion.inputs] or [portion.lot]:
        picked = _picked(chain, lot)
        cooled = [
            item.event.event_time
            for each in chain.genealogy.portions(lot)
            for item in each.journey
            if _code(item.event) == "precooling_end"
        ]
        if picked is None or not cooled:
            return None
        hours.append((min(cooled) - picked.event.event_time).total_seconds() / 3600)
    return max(hours, default=None)


def _brand(chain: Chain, journey: Sequence[RecordedEvent]) -> Name | None:
    maker = next((item.organisation for item in journey if isinstance(item.event, TransformationEvent)), None)
    return chain.organisations.get(maker) if maker else None


def _leg(chain: Chain, exposed: LegExposure) -> Leg:
    leg = exposed.leg
    limit = leg.limits[0] if leg.limits else None
    beyond = max(
        ((found.minutes_out_at_least, found.minutes_out_at_most) for found in exposed.limits),
        default=(0.0, 0.0),
    )
    sensors = {str(sensor.series): sensor for each in chain.sensors.values() for sensor in each}
    return Leg(
        site=chain.sites.get(leg.place) if leg.place else None,
        holder=chain.organisations.get(leg.holder),
        stage=leg.stage,
        start=to_datetime(leg.start_ms),
        end=to_datetime(leg.end_ms),
        limit_c=limit.limit_c if limit else None,
        curves=tuple(
            _curve(sensors[series.series], series.time_ms, series.value_c, leg.start_ms, leg.end_ms)
            for series in leg.series
        ),
        measured_min=exposed.minutes_measured,
        unmeasured_min=exposed.minutes_unobserved,
        beyond_min=beyond,
        lowest_c=exposed.min_c,
        highest_c=exposed.max_c,
    )


def _curve(sensor: Sensor, time_ms: Any, value_c: Any, start_ms: int, end_ms: int) -> Curve:
    inside = (time_ms >= start_ms) & (time_ms < end_ms)
    points = thin(time_ms[inside], value_c[inside])
    return Curve(sensor.position, sensor.model, sensor.accuracy_c, sensor.interval_ms // 1000, points)


def thin(time_ms: Any, value_c: Any, most: int = CURVE_POINTS) -> tuple[tuple[int, float], ...]:
    """At most about `most` points for a picture; the lowest and the highest of each bucket survive."""
    if len(time_ms) > most:
        keep = []
        for bucket in np.array_split(np.arange(len(time_ms)), most // 2):
            keep += sorted({int(bucket[np.argmin(value_c[bucket])]), int(bucket[np.argmax(value_c[bucket])])})
        time_ms, value_c = time_ms[keep], value_c[keep]
    return tuple(zip(time_ms.tolist(), np.round(value_c, 2).tolist(), strict=True))


def _judgement(item: Judged) -> Judgement:
    verdict = item.verdict
    limit = verdict.limit
    return Judgement(
        state=verdict.state,
        headline=_name(verdict.headline),
        detail=_name(verdict.detail),
        reasons=tuple(
            _name(reason.text) for reason in (*verdict.reasons, *((item.hidden,) if item.hidden else ()))
        ),
        rule=_name(limit.wording) if limit else None,
        rule_verified=bool(limit and limit.verified),
        beyond_min=(verdict.minutes_at_least, verdict.minutes_at_most),
    )


def _name(text: Text) -> Name:
    return Name(text.zh, text.en)


def _certificates(chain: Chain, journey: Sequence[RecordedEvent], lot: str) -> Iterator[Certificate]:
    """Those that stand: said in the run that made the lot, or later over the lot, and not taken back by who issued them."""
    made = [item for item in journey if isinstance(item.event, TransformationEvent)]
    over = [fact.recorded for fact in chain.genealogy.facts if lot in {amount.lot for amount in fact.goods}]
    told = [(item, "certificate_issued") for item in made] + [(item, _activity(item.event)) for item in over]
    found: dict[tuple[str, str], Certificate] = {}
    for item, activity in told:
        for uri in item.event.certifications:
            if activity in ("certificate_issued", "certificate_replaced"):
                issuer = chain.organisations.get(item.organisation)
                found.setdefault((item.organisation, uri), Certificate(uri, issuer, item.event.event_time))
            elif activity == "certificate_voided":
                found.pop((item.organisation, uri), None)
    yield from found.values()


def _activity(event: Event) -> str:
    return str(extensions(event).get("suyuan:activity"))


def _tests(chain: Chain, journey: Sequence[RecordedEvent]) -> Iterator[Test]:
    """A rapid test is a screen: positive means on hold, never failed. What it measured then is not published."""
    for item in journey:
        if str(item.event.biz_step).endswith("holding") and "sensorElementList" in _withheld(item.event):
            yield Test(item.event.event_time, _site_of(chain, item.event), "on_hold")
        for report in _reports(item.event):
            if _is_test(report):
                alarmed = str(report.exception or "").endswith("ALARM_CONDITION")
                yield Test(
                    item.event.event_time, _site_of(chain, item.event), "on_hold" if alarmed else "passed"
                )


def _portion(chain: Chain, item: Judged) -> PortionStory:
    portion = item.portion
    here = (
        stay.place for stay in reversed(portion.stays) if stay.end_ms is None and stay.place in chain.sites
    )
    place = next(here, portion.place)
    if item.hidden:
        place = None
    return PortionStory(
        unit=portion.unit,
        quantity=float(portion.quantity or 0),
        uom=portion.uom,
        now_at=chain.sites.get(place) if place else None,
        stage=portion.stage or "unknown",
        verdict=item.verdict.state,
        sample_serial=_sample_serial(chain, portion),
    )


def _sample_serial(chain: Chain, portion: Portion) -> str | None:
    """The first serial of the labels that went into its unit. Which boxes were taken out of a unit is not recorded, so
    what was split off has none to show."""
    return next(
        (
            label.first
            for label in chain.genealogy.label_ranges
            if label.lot == portion.lot and label.container == portion.unit
        ),
        None,
    )
