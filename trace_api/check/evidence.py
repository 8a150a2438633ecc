"""What the asker may see of goods that stand at the gate, as the facts the checks look at.

In the line: finding.py's goods -> one snapshot read with the asker's eye -> a `Case` for each portion -> checks.py. Contract:
nothing is guessed: what is not recorded, or not shared with the asker, is absent, and the checks say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import psycopg

from ledger.epcis import vocabulary
from ledger.epcis.events import extensions
from ledger.genealogy import Portion, RecordedEvent
from ledger.genealogy.facts import milliseconds
from ledger.genealogy.names import site
from trace_api.acts.results import says_a_test, screens
from trace_api.chain import Chain
from trace_api.check import residues
from trace_api.check.checks import Decision, decide
from trace_api.check.facts import Asked, Facts, Mark, TestResult
from trace_api.check.papers import Papers, number
from trace_api.check.said import step
from trace_api.check.warmth import cold_of, gates_of
from trace_api.compliance import HAVING, Judge
from trace_api.story import Name, Site


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
class _Around:
    """What is read once for all portions. `gates`: the market that keeps a place, by the place. `shared`: events of a test that
    speak of several lots. `on_market`: by lot, the kilograms of it that left who made it."""

    judge: Judge
    papers: Papers
    parties: Mapping[str, Name]
    own_places: frozenset[str]
    gates: Mapping[str, str]
    seen: Sequence[residues.Seen]
    shared: frozenset[str]
    on_market: Mapping[str, float]
    asked: Asked


def cases(conn: psycopg.Connection, chain: Chain, portions: Sequence[Portion], asked: Asked) -> list[Case]:
    """One for each portion, in the given order."""
    lots = sorted({portion.lot for portion in portions})
    own = conn.execute("SELECT id FROM place")  # by row-level security, the asker's
    around = _Around(
        Judge(conn, chain, milliseconds(asked.now)),
        Papers(conn, portions),
        _parties(conn, {portion.holder for portion in portions if portion.holder}),
        frozenset(str(row[0]) for row in own),
        gates_of(conn, portions),
        residues.tests_of(conn, lots, dict(chain.organisations)),
        _of_several_lots(chain, portions),
        {lot: _on_market(chain, lot) for lot in lots},
        asked,
    )
    return [_case(chain, portion, around) for portion in portions]


def _parties(conn: psycopg.Connection, parties: Iterable[str]) -> dict[str, Name]:
    rows = conn.execute(
        "SELECT party, name_zh, name_en FROM asker_organisation WHERE party = ANY (%s)", [sorted(parties)]
    )
    return {row[0]: Name(row[1], row[2]) for row in rows}


def _case(chain: Chain, portion: Portion, around: _Around) -> Case:
    asked, judged = around.asked, around.judge.judge(portion)
    product = chain.product_of(portion.lot)
    kilograms = _kilograms(chain, portion)
    facts = Facts(
        now=asked.now,
        marks=tuple(_marks(portion, chain.organisations, asked.person.organisation)),
        papers=around.papers.of(portion, chain.organisations),
        tests=tuple(_tests(portion, around.seen, around.shared, chain, asked)),
        cold=cold_of(chain, judged, around.gates, asked),
        kilograms=kilograms,
        lot_kilograms=None if kilograms is None else max(kilograms, around.on_market[portion.lot]),
        others=around.papers.of_others(portion),
    )
    place = None if judged.hidden else portion.place
    first = portion.journey[0] if portion.journey else None
    return Case(
        portion=portion,
        product=product.name if product else None,
        kilograms=kilograms,
        site=_site(chain, portion, place),
        holder=_holder(portion, around.parties, chain),
        maker_id=first.organisation if first else None,
        elsewhere=_elsewhere(portion, around.own_places),
        taken=_taken(portion, asked.person.organisation),
        facts=facts,
        decision=decide(facts, asked.rules),
    )


def _kilograms(chain: Chain, portion: Portion) -> float | None:
    if portion.quantity is None:
        return None
    return chain.genealogy.stock.books.kilograms(portion.lot, portion.quantity, portion.uom)


def _on_market(chain: Chain, lot: str) -> float:
    """Of what is left of a lot, the kilograms that are not with who made it any more: at least, where some were not weighed."""
    weights = (
        _kilograms(chain, portion)
        for portion in chain.genealogy.portions(lot)
        if portion.end_ms is None and _left_its_maker(portion)
    )
    return sum(weight for weight in weights if weight is not None)


def _left_its_maker(portion: Portion) -> bool:
    having = [item.organisation for item in portion.journey if step(item) in HAVING]
    return portion.stage in ("loaded", "arrived") or len(set(having)) > 1


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
    said = [(step(item), vocabulary.disposition(item.event.disposition or "")) for item in ours]
    owned = [
        step == "accepting"
        for step, state in said
        if step == "shipping" or (step == "accepting" and state != "in_transit")
    ]
    return bool(owned) and owned[-1]


def _holder(portion: Portion, parties: Mapping[str, Name], chain: Chain) -> Name | None:
    """Who took it over last; where nobody says so, or it is not shared with the asker, who last did something with it."""
    if portion.holder is not None and portion.holder in parties:
        return parties[portion.holder]
    last = next((item for item in reversed(portion.journey) if step(item) in HAVING), None)
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


def _marks(portion: Portion, names: Mapping[str, Name], us: str | None) -> Iterator[Mark]:
    stopped = portion.stopped_by
    if not portion.set_by and stopped is not None and stopped.event.disposition:
        yield _mark(_BY_DISPOSITION[vocabulary.disposition(stopped.event.disposition)], stopped, names, us)
    for mark, setters in portion.set_by.items():
        kind = _KINDS.get(mark)
        if kind is not None:
            yield from (_mark(kind, setter, names, us) for setter in setters)


def _mark(
    kind: Literal["recalled", "refused", "held"],
    item: RecordedEvent,
    names: Mapping[str, Name],
    us: str | None,
) -> Mark:
    return Mark(
        kind,
        names.get(item.organisation),
        item.event.event_time,
        says_a_test(item.event),
        item.organisation,
        item.organisation == us,
    )


# --- tests -----------------------------------------------------------------------------------------------------------------


def _of_several_lots(chain: Chain, portions: Iterable[Portion]) -> frozenset[str]:
    """Events of a test of these portions that speak of more than one lot, and do not say from which the sample came."""
    wanted = {item.event.event_id for portion in portions for item in portion.journey if screens(item.event)}
    lots: dict[str, set[str]] = {}
    if wanted:
        for portion in (each for lot in chain.genealogy.lots() for each in chain.genealogy.portions(lot)):
            for item in portion.journey:
                name = item.event.event_id
                if name is not None and name in wanted:
                    lots.setdefault(name, set()).add(portion.lot)
    return frozenset(name for name, found in lots.items() if len(found) > 1)


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
    bad = vocabulary.disposition(event.disposition or "") in ("non_conformant", "non_sellable_other")
    more = {name.rpartition(":")[2]: value for name, value in extensions(event).items()}
    for report in screens(event):
        alarmed = str(report.exception or "").endswith("ALARM_CONDITION")
        positive = alarmed or bad or step(item) == "holding"
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
