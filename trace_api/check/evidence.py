"""What the asker may see of goods that stand at the gate, as the facts the checks look at.

In the line: finding.py's goods -> one snapshot read with the asker's eye -> a `Case` for each portion -> checks.py. Contract:
nothing is guessed: what is not recorded, or not shared with the asker, is absent, and the checks say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import psycopg

from ingest.coldchain.limits import Limit
from ledger.epcis import vocabulary
from ledger.epcis.events import Event, extensions
from ledger.genealogy import Portion, RecordedEvent
from ledger.genealogy.facts import milliseconds
from ledger.genealogy.names import site
from trace_api.access import Person
from trace_api.acts.results import says_a_test
from trace_api.chain import Chain
from trace_api.check import residues
from trace_api.check.checks import Decision, decide
from trace_api.check.facts import Cold, Facts, Mark, Pulp, TestResult
from trace_api.check.papers import Papers, number
from trace_api.check.rules import Rules
from trace_api.compliance import Judge, Judged
from trace_api.story import Name, Site

INHIBITION: Final = "CholinesteraseInhibition"
_CAME: Final = frozenset({"arriving", "unloading", "receiving"})
_LOOKED: Final = frozenset({"inspecting", "receiving", "accepting", "unloading"})


@dataclass(frozen=True, slots=True)
class Case:
    """One portion and its answer. `maker_id`: the organisation that recorded its making. `kilograms`: None where nobody said.
    `elsewhere`: by the record it lies at somebody else's place and is not on its way: whatever stands before the asker under
    this code may carry a copied label. `taken`: the asker accepted it
    and has not sent it on. `ended`: the step that ended it, None while it exists."""

    portion: Portion
    product: Name | None
    kilograms: float | None
    site: Site | None
    holder: Name | None
    maker_id: str | None
    elsewhere: bool
    taken: bool
    facts: Facts
    decision: Decision

    @property
    def ended(self) -> str | None:
        return self.portion.ending


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, when, and by which numbers."""

    person: Person
    rules: Rules
    now: datetime


def cases(conn: psycopg.Connection, chain: Chain, portions: Sequence[Portion], asked: Asked) -> list[Case]:
    """One for each portion, in the given order."""
    judge = Judge(conn, chain, milliseconds(asked.now))
    papers = Papers(conn, portions)
    parties = _parties(conn, {portion.holder for portion in portions if portion.holder})
    own = frozenset(
        str(row[0]) for row in conn.execute("SELECT id FROM place")
    )  # by row-level security, the asker's
    markets = _markets(conn, portions)
    seen = residues.tests_of(conn, sorted({portion.lot for portion in portions}), dict(chain.organisations))
    shared = _of_several_lots(chain, portions)
    return [
        _case(chain, judge.judge(portion), papers, parties, own, markets, seen, shared, asked)
        for portion in portions
    ]


def _parties(conn: psycopg.Connection, parties: Iterable[str]) -> dict[str, Name]:
    rows = conn.execute(
        "SELECT party, name_zh, name_en FROM asker_organisation WHERE party = ANY (%s)", [sorted(parties)]
    )
    return {row[0]: Name(row[1], row[2]) for row in rows}


def _case(
    chain: Chain,
    judged: Judged,
    papers: Papers,
    parties: Mapping[str, Name],
    own_places: frozenset[str],
    markets: Mapping[str, str],
    seen: Sequence[residues.Seen],
    shared: frozenset[str],
    asked: Asked,
) -> Case:
    portion = judged.portion
    product = chain.product_of(portion.lot)
    kilograms = None
    if portion.quantity is not None:
        kilograms = chain.genealogy.stock.books.kilograms(portion.lot, portion.quantity, portion.uom)
    facts = Facts(
        now=asked.now,
        marks=tuple(_marks(portion, chain.organisations)),
        papers=papers.of(portion, chain.organisations),
        tests=tuple(_tests(portion, seen, shared, chain, asked)),
        cold=_cold(chain, judged, markets, asked),
        kilograms=kilograms,
        others=papers.of_others(portion),
    )
    place = None if judged.hidden else portion.place
    first = portion.journey[0] if portion.journey else None
    return Case(
        portion=portion,
        product=product.name if product else None,
        kilograms=kilograms,
        site=_site(chain, portion, place),
        holder=_holder(portion, parties, chain),
        maker_id=first.organisation if first else None,
        elsewhere=_elsewhere(portion, own_places),
        taken=_taken(portion, asked.person.organisation),
        facts=facts,
        decision=decide(facts, asked.rules),
    )


def _site(chain: Chain, portion: Portion, place: str | None) -> Site | None:
    """The vehicle or room it is in, else the place."""
    if place is None and not portion.stays:
        return None
    inside = (
        stay.place for stay in reversed(portion.stays) if stay.end_ms is None and stay.place in chain.sites
    )
    here = next(inside, place)
    return chain.sites.get(here) if here else None


def _elsewhere(portion: Portion, own_places: frozenset[str]) -> bool:
    if portion.end_ms is not None or portion.place is None or portion.stage in ("loaded", "arrived"):
        return False
    return not {portion.place, site(portion.place)} & own_places


def _taken(portion: Portion, us: str | None) -> bool:
    ours = [item for item in portion.journey if item.organisation == us]
    said = [(_step(item), vocabulary.disposition(item.event.disposition or "")) for item in ours]
    owned = [
        step == "accepting"
        for step, state in said
        if step == "shipping" or (step == "accepting" and state != "in_transit")
    ]
    return bool(owned) and owned[-1]


# Who records these has the goods; who inspects or tests them has not.
_HAVING: Final = frozenset(
    {
        "commissioning",
        "creating_class_instance",
        "receiving",
        "storing",
        "packing",
        "loading",
        "departing",
        "accepting",
    }
)


def _holder(portion: Portion, parties: Mapping[str, Name], chain: Chain) -> Name | None:
    """Who took it over last; where nobody says so, or it is not shared with the asker, who last did something with it."""
    if portion.holder is not None and portion.holder in parties:
        return parties[portion.holder]
    last = next((item for item in reversed(portion.journey) if _step(item) in _HAVING), None)
    return chain.organisations.get(last.organisation) if last else None


# --- holds ------------------------------------------------------------------------------------------------------------

_KINDS: Final[Mapping[str, Literal["recalled", "refused", "held"]]] = {
    "recalled": "recalled",
    "non_sellable_other": "refused",
    "unavailable": "held",
}
# Without a persistent mark, what the last event says of the goods.
_BY_DISPOSITION: Final[Mapping[str, Literal["recalled", "refused", "held"]]] = {
    "recalled": "recalled",
    "non_sellable_other": "held",
    "unavailable": "held",
}


def _marks(portion: Portion, names: Mapping[str, Name]) -> Iterator[Mark]:
    set_by: dict[str, RecordedEvent] = {}
    last: RecordedEvent | None = None
    for item in portion.journey:
        marks = getattr(item.event, "persistent_disposition", None)
        for mark in marks.set if marks else ():
            set_by.setdefault(vocabulary.disposition(mark), item)
        for mark in marks.unset if marks else ():
            set_by.pop(vocabulary.disposition(mark), None)
        if item.event.disposition:
            last = item
    found = {mark: set_by.get(mark) for mark in portion.marks}
    said = vocabulary.disposition(last.event.disposition) if last and last.event.disposition else ""
    if not found and said in _BY_DISPOSITION:
        yield _mark(_BY_DISPOSITION[said], last, names)
    for mark, setter in found.items():
        kind = _KINDS.get(vocabulary.disposition(mark))
        if kind is not None:
            yield _mark(kind, setter, names)


def _mark(
    kind: Literal["recalled", "refused", "held"], item: RecordedEvent | None, names: Mapping[str, Name]
) -> Mark:
    if item is None:
        return Mark(kind, None, None)
    return Mark(
        kind,
        names.get(item.organisation),
        item.event.event_time,
        says_a_test(item.event),
        item.organisation,
    )


# --- tests -----------------------------------------------------------------------------------------------------------------


def _of_several_lots(chain: Chain, portions: Iterable[Portion]) -> frozenset[str]:
    """Events of a test of these portions that speak of more than one lot, and do not say from which the sample came."""
    wanted = {
        item.event.event_id for portion in portions for item in portion.journey if _has_test(item.event)
    }
    lots: dict[str, set[str]] = {}
    if wanted:
        for portion in (each for lot in chain.genealogy.lots() for each in chain.genealogy.portions(lot)):
            for item in portion.journey:
                name = item.event.event_id
                if name is not None and name in wanted:
                    lots.setdefault(name, set()).add(portion.lot)
    return frozenset(name for name, found in lots.items() if len(found) > 1)


def _has_test(event: Event) -> bool:
    return any(_is_test(report) for report in _reports(event))


def _tests(
    portion: Portion, seen: Sequence[residues.Seen], shared: frozenset[str], chain: Chain, asked: Asked
) -> Iterator[TestResult]:
    """Recorded tests of the lot, and results that events of this portion carry; said twice they count once. What an event says
    of several lots (`shared`) clears none of them: its sample was of one."""
    recorded = [each for each in seen if each.lot == portion.lot]
    said = {each.event_id for each in recorded}
    units = {span.value for span in portion.containers}
    for each in recorded:
        mine = each.unit in units if each.unit else each.organisation == asked.person.organisation
        yield replace(each.result, here=mine)
    for item in portion.journey:
        if item.event.event_id not in said:
            found = _told_by(item, chain)
            yield from (
                each for each in found if each.outcome == "positive" or item.event.event_id not in shared
            )


def _told_by(item: RecordedEvent, chain: Chain) -> Iterator[TestResult]:
    event = item.event
    step = vocabulary.biz_step(event.biz_step) if event.biz_step else ""
    bad = vocabulary.disposition(event.disposition or "") in ("non_conformant", "non_sellable_other")
    more = {name.rpartition(":")[2]: value for name, value in extensions(event).items()}
    for report in _reports(event):
        if not _is_test(report):
            continue
        alarmed = str(report.exception or "").endswith("ALARM_CONDITION")
        positive = alarmed or bad or step == "holding"
        yield TestResult(
            kind="rapid",
            outcome="positive" if positive else "negative",
            method=str(more.get("method", "")),
            at=event.event_time,
            here=True,
            by=chain.organisations.get(item.organisation),
            organisation=item.organisation,
            value=None if report.value is None else float(report.value),
            uom=report.uom,
            threshold=number(more.get("threshold")),
            # An event says a deadline where the seller was told: without a word of it the four hours run from the result.
            notified_at=event.event_time if positive else None,
            not_covered=tuple(map(str, _list(more.get("notCovered")))),
        )


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _reports(event: Event) -> Iterator[Any]:
    for element in event.sensor_element_list:
        yield from element.sensor_report


def _is_test(report: Any) -> bool:
    return INHIBITION in str(report.type or "")


# --- temperature -------------------------------------------------------------------------------------------------------------


def _cold(chain: Chain, judged: Judged, markets: Mapping[str, str], asked: Asked) -> Cold:
    verdict = judged.verdict
    limit = verdict.limit or _limit_now(chain, judged.portion)
    way = verdict.way_out.code if verdict.way_out else None
    return Cold(
        state=verdict.state,
        headline=verdict.headline,
        reasons=tuple(reason.text for reason in verdict.reasons if reason.code != "no_limit"),
        way_out=way if way in ("upload_now", "measure_boxes") else None,
        limit_c=limit.limit_c if limit and limit.side == "above" else None,
        wording=limit.wording if limit else None,
        force=limit.force if limit else None,
        verified=bool(limit and limit.verified),
        pulp=_pulp(chain, judged.portion, markets, asked),
        hidden=judged.hidden.events if judged.hidden else 0,
    )


def _limit_now(chain: Chain, portion: Portion) -> Limit | None:
    product = chain.product_of(portion.lot)
    stage = portion.stage or "unknown"
    upper = [
        limit
        for limit in chain.limits
        if product and limit.side == "above" and limit.applies(product.rule_product, stage)
    ]
    return min(upper, key=lambda limit: limit.limit_c, default=None)


def _markets(conn: psycopg.Connection, portions: Sequence[Portion]) -> dict[str, str]:
    """The market that keeps a place, by the place."""
    stands = {portion.place for portion in portions if portion.place}
    places = stands | {found for name in stands if (found := site(name))}
    rows = conn.execute(
        "SELECT place.id, place.organisation FROM asker_place AS place"
        " JOIN asker_organisation AS keeper ON keeper.id = place.organisation AND keeper.kind = 'market'"
        " WHERE place.id = ANY (%s)",
        [sorted(places)],
    )
    return {row[0]: row[1] for row in rows}


def _pulp(chain: Chain, portion: Portion, markets: Mapping[str, str], asked: Asked) -> Pulp | None:
    """What was measured in boxes of this portion since it came and since the warm ones were taken out, lately enough to say
    how warm it is: all of it together. By the asker, or the market at whose place it stands: nobody settles a question of
    their own goods from the road."""
    came = max((item.event.event_time for item in portion.journey if _step(item) in _CAME), default=None)
    since = asked.now - timedelta(minutes=asked.rules.pulp_counts_minutes)
    if came is not None:
        since = max(since, came - timedelta(minutes=5))  # measured on the open truck, said with the unloading
    taken_out = [
        fact.event.event_time
        for fact in chain.genealogy.facts
        if fact.step == "unpacking" and fact.parent is not None and fact.parent == portion.unit
    ]
    since = max([since, *taken_out])
    place = portion.place or ""
    trusted = {asked.person.organisation, markets.get(place) or markets.get(site(place) or "")}
    found = [
        (item.event.event_time, measured)
        for item in portion.journey
        if item.organisation in trusted and _step(item) in _LOOKED and item.event.event_time >= since
        for measured in _measured(item.event)
    ]
    if not found:
        return None
    return Pulp(
        boxes=sum(boxes for _, (boxes, _, _) in found),
        coldest_c=min(low for _, (_, low, _) in found),
        warmest_c=max(high for _, (_, _, high) in found),
        at=max(at for at, _ in found),
    )


def _measured(event: Event) -> Iterator[tuple[int, float, float]]:
    """Boxes, coldest, warmest of each report of pulp temperature in °C."""
    for report in _reports(event):
        more = {name.rpartition(":")[2]: value for name, value in (report.model_extra or {}).items()}
        if (
            more.get("probePosition") != "pulp"
            or not str(report.type or "").endswith("Temperature")
            or report.uom != "CEL"
        ):
            continue
        values = [
            float(each)
            for each in (report.min_value, report.value, report.mean_value, report.max_value)
            if each is not None
        ]
        if values:
            boxes = number(more.get("sampleCount")) or 1
            yield max(int(boxes), 1), min(values), max(values)


def _step(item: RecordedEvent) -> str:
    return vocabulary.biz_step(item.event.biz_step) if item.event.biz_step else ""
