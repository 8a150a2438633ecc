"""How warm goods are and were: the verdict on their record, and what was measured in boxes at the gate.

In the line: compliance.py's verdict and the events of a portion -> `Cold` -> checks.py. Contract: nothing is guessed; of
measurements only those count that the asker took, or the market at whose place the goods stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import psycopg

from ingest.coldchain.limits import Limit
from ledger.epcis.events import Event
from ledger.genealogy import Portion
from ledger.genealogy.names import site
from trace_api.chain import Chain
from trace_api.check.facts import Asked, Cold, Pulp
from trace_api.check.papers import number
from trace_api.check.said import reports, step
from trace_api.compliance import Judged

_CAME: Final = frozenset({"arriving", "unloading", "receiving"})
_LOOKED: Final = frozenset({"inspecting", "receiving", "accepting", "unloading"})


def cold_of(chain: Chain, judged: Judged, markets: Mapping[str, str], asked: Asked) -> Cold:
    verdict = judged.verdict
    upper, lower = _limits_now(chain, judged.portion)
    limit = verdict.limit if verdict.limit and verdict.limit.side == "above" else upper or verdict.limit
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
        lower_c=lower.limit_c if lower else None,
        lower_force=lower.force if lower else None,
    )


def _limits_now(chain: Chain, portion: Portion) -> tuple[Limit | None, Limit | None]:
    """The strictest upper and the strictest lower limit in force on the goods now."""
    product = chain.product_of(portion.lot)
    stage = portion.stage or "unknown"
    known = [limit for limit in chain.limits if product and limit.applies(product.rule_product, stage)]
    return (
        min((limit for limit in known if limit.side == "above"), key=lambda each: each.limit_c, default=None),
        max((limit for limit in known if limit.side == "below"), key=lambda each: each.limit_c, default=None),
    )


def gates_of(conn: psycopg.Connection, portions: Sequence[Portion]) -> dict[str, str]:
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
    came = max((item.event.event_time for item in portion.journey if step(item) in _CAME), default=None)
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
        if item.organisation in trusted and step(item) in _LOOKED and item.event.event_time >= since
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
    for report in reports(event):
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
