"""`/api/v1`: trace, exposure, verdict and proof of anything with a code, and the excursions that were found.

`{id}` is a GS1 Digital Link with or without its resolver (`01/{gtin}/10/{lot}`, `01/../10/../21/{serial}`, `00/{sscc}`), any
identifier, percent-encoded (a URN, a URI), element strings, bare digits, or a code of others that was bound to one. Whoever
is signed in, or asks with a token, is answered with what is theirs to see; everybody else with what is published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response

from ingest.coldchain.exposure import LegExposure, LimitExposure
from ingest.coldchain.verdict import Reason
from ledger.anchored_evidence import Anchors, Issuing, anchored
from ledger.epcis.events import event_to_json
from ledger.evidence_file import AnchoredEvidence, Evidence
from ledger.genealogy import Portion, RecordedEvent, Trace
from ledger.persons import Vault
from ledger.reader import LogReader
from ledger.recorded import Why
from ledger.witness_list import ListedWitness
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.chain import ASKER, PUBLIC, Chain, Eye, Hidden, named_chain, to_datetime
from trace_api.compliance import WORST_FIRST, Judge, Judged
from trace_api.proofs import OrganisationKey, Prover
from trace_api.telling import in_order, journey_positions

Direction = Literal["back", "forward", "both"]


def router(
    databases: Databases,
    guard: Guard,
    logs: Callable[[str], LogReader | None],
    key: OrganisationKey,
    vault: Vault,
    now: Callable[[], datetime],
    witnesses: Sequence[ListedWitness] = (),
) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["Lots"])

    def who_asks(request: Request, response: Response) -> Person | None:
        person = guard.person(request)
        if person is not None:
            response.headers["Cache-Control"] = "private, no-store"
        return person

    asking = Depends(who_asks)

    lots = _Lots(databases, now)

    @routes.get(
        "/lots/{code:path}/trace", summary="Every event behind or ahead of a lot, unit or box, in time order"
    )
    def lot_trace(
        code: str,
        direction: Annotated[
            Direction, Query(description="back: what it came from; forward: where it went")
        ] = "both",
        depth: Annotated[int, Query(ge=1, le=50, description="How many transformations to follow")] = 20,
        limit: Annotated[int, Query(ge=1, le=5000, description="At most so many events")] = 1000,
        person: Person | None = asking,
    ) -> dict[str, Any]:
        with lots.reading(person, code) as (conn, chain):
            found = chain.genealogy.trace(chain.identifier.uri, direction, max_depth=depth, max_events=limit)
            document = _trace_document(chain, found, direction)
            if person is not None and person.organisation is not None:
                # One's own words again; what others said of persons stays theirs, by row-level security.
                document["events"] = vault.reading(conn, document["events"])
        return document

    @routes.get("/lots/{code:path}/exposure", summary="Temperature through every leg, by portion")
    def lot_exposure(code: str, person: Person | None = asking) -> dict[str, Any]:
        with lots.judging(person, code) as (_, chain, judged):
            return {"id": chain.identifier.uri, "portions": [_exposure_document(item) for item in judged]}

    @routes.get(
        "/lots/{code:path}/verdict", summary="Compliant, breach, indeterminate or not applicable, and why"
    )
    def lot_verdict(code: str, person: Person | None = asking) -> dict[str, Any]:
        with lots.judging(person, code) as (_, chain, judged):
            return _verdicts_document(chain, judged)

    @routes.get(
        "/lots/{code:path}/proof", summary="Evidence file (suyuan-evidence/v2, or v1): verifies offline"
    )
    def lot_proof(
        code: str,
        version: Annotated[
            Literal["v1", "v2"],
            Query(alias="format", description="v2: up to the root log; v1: of the organisations' logs alone"),
        ] = "v2",
        person: Person | None = asking,
    ) -> Response:
        with lots.judging(person, code) as (conn, chain, judged):
            positions = [item.position for item in journey_positions(chain) if item.position is not None]
            evidence = Prover(conn, logs, key).prove(chain, positions, in_order(judged, chain)[0])
            if version == "v1":
                return _evidence_file(evidence)
            anchors: Anchors = "published_anchor" if chain.eye is PUBLIC else "anchor"
            return _evidence_file(anchored(conn, evidence, Issuing(logs, witnesses, anchors)))

    return routes


@dataclass(frozen=True, slots=True)
class _Lots:
    """What stands behind a code, read with the eye of who asks, in one snapshot."""

    databases: Databases
    now: Callable[[], datetime]

    @contextmanager
    def reading(self, person: Person | None, code: str) -> Iterator[tuple[psycopg.Connection, Chain]]:
        with seeing(self.databases, person) as (conn, eye):
            yield conn, named_chain(conn, code, eye)

    @contextmanager
    def judging(
        self, person: Person | None, code: str
    ) -> Iterator[tuple[psycopg.Connection, Chain, list[Judged]]]:
        with self.reading(person, code) as (conn, chain):
            judge = Judge(conn, chain, round(self.now().timestamp() * 1000))
            yield conn, chain, [judge.judge(portion) for portion in chain.portions]


def _evidence_file(evidence: Evidence | AnchoredEvidence) -> Response:
    return Response(
        evidence.to_json(),
        media_type="application/json",
        headers={
            "Content-Disposition": 'inline; filename="suyuan-evidence.json"',
            "Cache-Control": "no-store",
        },
    )


@contextmanager
def seeing(databases: Databases, person: Person | None) -> Iterator[tuple[psycopg.Connection, Eye]]:
    """A snapshot with the eye of who asks. Who only administers accounts sees of goods what everybody sees."""
    if person is None or person.roles == {"administrator"}:
        with access.everybody(databases) as conn:
            yield conn, PUBLIC
    else:
        with access.looking(databases, person) as conn:
            yield conn, ASKER


_WITHHELD = ("bizTransactionList", "sourceList", "destinationList")
_MORE_WITHHELD = "suyuan:withheld"


def _shown(item: RecordedEvent, why: Why = "published") -> dict[str, Any]:
    """The event as far as it is shown. Of a published one, parties and documents are there for the replay alone, without
    their names, and so is what is left of a field with somebody's own words in it: no field of the event."""
    said = event_to_json(item.event)
    if why != "published":
        return said
    for name in (*_WITHHELD, *said.pop(_MORE_WITHHELD, ())):
        said.pop(name, None)
    return said


def _trace_document(chain: Chain, found: Trace, direction: str) -> dict[str, Any]:
    return {
        "id": chain.identifier.uri,
        "direction": direction,
        "truncated": found.truncated,
        "events": [
            {"position": item.position, "organisation": item.organisation, "event": _shown(item)} for item in found.events
        ] if not chain.why else [
            {"position": item.position, "organisation": item.organisation, "event": _shown(item, chain.why[item.position]),
             "why": chain.why[item.position]} for item in found.events
        ],
        "edges": [{"from": edge.source, "to": edge.target, "kind": edge.kind} for edge in found.edges],
        "portions": [_portion_document(portion) for portion in chain.portions],
        "places": {
            site.id: {"name": {"zh": site.name.zh, "en": site.name.en}, "kind": site.kind, "region": site.region,
                      "latitude": site.latitude, "longitude": site.longitude}
            for site in chain.sites.values()
        },
        "organisations": {name: {"zh": text.zh, "en": text.en} for name, text in chain.organisations.items()},
    }  # fmt: skip


def _portion_document(portion: Portion) -> dict[str, Any]:
    return {
        "lot": portion.lot,
        "unit": portion.unit,
        "quantity": portion.quantity,
        "uom": portion.uom,
        "stage": portion.stage,
        "place": portion.place,
        "start": to_datetime(portion.start_ms),
        "end": None if portion.end_ms is None else to_datetime(portion.end_ms),
        "ending": portion.ending,
        "containers": [
            {
                "id": span.value,
                "start": to_datetime(span.start_ms),
                "end": None if span.end_ms is None else to_datetime(span.end_ms),
            }
            for span in portion.containers
        ],
        "inputs": [
            {"lot": item.lot, "quantity": item.quantity, "uom": item.uom, "share": item.share}
            for item in portion.inputs
        ],
    }


def _exposure_document(item: Judged) -> dict[str, Any]:
    exposure = item.exposure
    return _portion_document(item.portion) | {
        "inherited_from": item.inherited_from,
        "hidden": None
        if item.hidden is None
        else {"events": item.hidden.events, "since": to_datetime(item.hidden.since_ms)},
        "minutes": exposure.minutes,
        "minutes_measured": exposure.minutes_measured,
        "minutes_unobserved": exposure.minutes_unobserved,
        "min_c": exposure.min_c,
        "max_c": exposure.max_c,
        "mean_kinetic_c": exposure.mean_kinetic_c,
        "limits": [_limit_document(limit) for limit in exposure.limits],
        "legs": [_leg_document(leg) for leg in exposure.legs],
    }


def _leg_document(exposed: LegExposure) -> dict[str, Any]:
    leg = exposed.leg
    return {
        "place": leg.place,
        "holder": leg.holder,
        "stage": leg.stage,
        "start": to_datetime(leg.start_ms),
        "end": to_datetime(leg.end_ms),
        "minutes_measured": exposed.minutes_measured,
        "minutes_unobserved": exposed.minutes_unobserved,
        "min_c": exposed.min_c,
        "max_c": exposed.max_c,
        "limits": [_limit_document(limit) for limit in exposed.limits],
        "series": [
            {
                "position": series.position,
                "readings": series.readings,
                "min_c": series.min_c,
                "max_c": series.max_c,
                "mean_c": series.mean_c,
            }
            for series in exposed.series
        ],
    }


def _limit_document(found: LimitExposure) -> dict[str, Any]:
    return {
        "limit_id": found.limit.id,
        "limit_version": found.limit.version,
        "minutes": found.minutes,
        "minutes_unobserved": found.minutes_unobserved,
        "minutes_out_at_least": found.minutes_out_at_least,
        "minutes_out_at_most": found.minutes_out_at_most,
        "degree_minutes": found.area_c_min,
    }


def _verdicts_document(chain: Chain, judged: Sequence[Judged]) -> dict[str, Any]:
    worst = min(judged, key=lambda item: WORST_FIRST.index(item.verdict.state))
    return {
        "id": chain.identifier.uri,
        "worst": _verdict_document(worst),
        "portions": [_portion_document(item.portion) | _verdict_document(item) for item in judged],
    }


def _verdict_document(item: Judged) -> dict[str, Any]:
    verdict = item.verdict
    reasons: list[Reason | Hidden] = [*verdict.reasons, *([item.hidden] if item.hidden else [])]
    return {
        "verdict": verdict.state,
        "headline": {"zh": verdict.headline.zh, "en": verdict.headline.en},
        "detail": {"zh": verdict.detail.zh, "en": verdict.detail.en},
        "minutes_at_least": verdict.minutes_at_least,
        "minutes_at_most": verdict.minutes_at_most,
        "reasons": [_reason_document(reason) for reason in reasons],
        "way_out": None if verdict.way_out is None else _reason_document(verdict.way_out),
        "rule": None if verdict.limit is None else verdict.limit.snapshot(),
    }


def _reason_document(reason: Reason | Hidden) -> dict[str, Any]:
    return {
        "code": reason.code,
        "text": {"zh": reason.text.zh, "en": reason.text.en},
        "numbers": dict(reason.numbers),
    }
