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
from fastapi import APIRouter, Depends, Header, Query, Request, Response

from ingest.coldchain.exposure import LegExposure, LimitExposure
from ingest.coldchain.verdict import Reason
from ledger.anchored_evidence import Anchors, Issuing, anchored
from ledger.evidence_file import AnchoredEvidence, Evidence
from ledger.persons import Vault
from ledger.reader import LogReader
from ledger.witness_list import ListedWitness
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.as_of import read_as_of
from trace_api.chain import ASKER, PUBLIC, Chain, Hidden, identify, named_chain, to_datetime
from trace_api.compliance import WORST_FIRST, Judge, Judged
from trace_api.genealogy.pages import SVG, svg
from trace_api.indexed import read_indexed
from trace_api.pages import choose_language
from trace_api.problems import Problem
from trace_api.proofs import OrganisationKey, Prover
from trace_api.seeing import seeing
from trace_api.telling import in_order, journey_positions
from trace_api.tracing import (
    DEEPEST,
    DEPTH,
    EVENTS,
    MOST_EVENTS,
    Asked,
    portion_document,
    read_traced,
)
from trace_api.tracing import document as trace_document

Direction = Literal["back", "forward", "both"]
MomentAsked = Annotated[
    str | None,
    Query(
        max_length=64,
        description="As it was known then: a time with its zone (RFC 3339), or the position of an event",
        examples=["2026-06-19T04:00:00Z"],
    ),
]


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
    _add_trace(routes, asking, lots, vault)
    _add_judgements(routes, asking, lots)
    _add_proof(routes, asking, lots, logs, key, witnesses)
    return routes


def _add_trace(routes: APIRouter, asking: Any, lots: _Lots, vault: Vault) -> None:
    @routes.get(
        "/lots/{code:path}/trace",
        summary="Every event behind or ahead of a lot, unit or box, in time order; as JSON or as a picture",
        responses={200: {"content": {"image/svg+xml": {}}}},
    )
    def lot_trace(
        code: str,
        direction: Annotated[
            Direction, Query(description="back: what it came from; forward: where it went")
        ] = "both",
        depth: Annotated[
            int, Query(ge=1, le=DEEPEST, description="How many transformations to follow")
        ] = DEPTH,
        limit: Annotated[int, Query(ge=1, le=MOST_EVENTS, description="At most so many events")] = EVENTS,
        as_of: MomentAsked = None,
        lang: Annotated[str | None, Query(description="zh or en, of the picture's words")] = None,
        accept: Annotated[str, Header(description="image/svg+xml: as a picture")] = "",
        accept_language: Annotated[str | None, Header()] = None,
        person: Person | None = asking,
    ) -> Any:
        asked = Asked(code, direction, depth, limit, as_of)
        indexed = None if SVG in accept else lots.indexed(person, asked, vault)
        if indexed is not None:
            headers = {"Cache-Control": "private, no-store"}
            return Response(indexed, media_type="application/json", headers=headers)
        with lots.reading(person, code, as_of, named_only=True) as (conn, chain):
            traced = read_traced(conn, chain, asked)
            if SVG in accept:
                return svg(traced, choose_language(lang, accept_language), private=person is not None)
            document = trace_document(traced)
            if person is not None and person.organisation is not None:
                # One's own words again; what others said of persons stays theirs, by row-level security.
                document["events"] = vault.reading(conn, document["events"])
        return document


def _add_judgements(routes: APIRouter, asking: Any, lots: _Lots) -> None:
    @routes.get("/lots/{code:path}/exposure", summary="Temperature through every leg, by portion")
    def lot_exposure(code: str, as_of: MomentAsked = None, person: Person | None = asking) -> dict[str, Any]:
        with lots.judging(person, code, as_of) as (_, chain, judged):
            return {
                "id": chain.identifier.uri,
                "as_of": _as_of_document(chain),
                "portions": [_exposure_document(item) for item in judged],
            }

    @routes.get(
        "/lots/{code:path}/verdict", summary="Compliant, breach, indeterminate or not applicable, and why"
    )
    def lot_verdict(code: str, as_of: MomentAsked = None, person: Person | None = asking) -> dict[str, Any]:
        with lots.judging(person, code, as_of) as (_, chain, judged):
            return _verdicts_document(chain, judged)


def _add_proof(
    routes: APIRouter,
    asking: Any,
    lots: _Lots,
    logs: Callable[[str], LogReader | None],
    key: OrganisationKey,
    witnesses: Sequence[ListedWitness],
) -> None:
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


@dataclass(frozen=True, slots=True)
class _Lots:
    """What stands behind a code, read with the eye of who asks, in one snapshot."""

    databases: Databases
    now: Callable[[], datetime]

    def indexed(self, person: Person | None, asked: Asked, vault: Vault) -> bytes | None:
        """The document of a trace as now known, from the index; None where that does not stand for it."""
        if asked.as_of is not None and asked.as_of.strip():
            return None
        with seeing(self.databases, person) as (conn, eye):
            try:
                return read_indexed(conn, identify(asked.code), asked, vault) if eye is ASKER else None
            except Problem:
                return None  # no code of the standard's: perhaps somebody bound it to one

    @contextmanager
    def reading(
        self, person: Person | None, code: str, as_of: str | None = None, *, named_only: bool = False
    ) -> Iterator[tuple[psycopg.Connection, Chain]]:
        with seeing(self.databases, person) as (conn, eye):
            yield conn, named_chain(conn, code, eye, as_of=read_as_of(conn, as_of), named_only=named_only)

    @contextmanager
    def judging(
        self, person: Person | None, code: str, as_of: str | None = None
    ) -> Iterator[tuple[psycopg.Connection, Chain, list[Judged]]]:
        with self.reading(person, code, as_of) as (conn, chain):
            now = self.now() if chain.as_of is None else min(self.now(), chain.as_of.time)
            judge = Judge(conn, chain, round(now.timestamp() * 1000))
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


def _as_of_document(chain: Chain) -> dict[str, Any] | None:
    return None if chain.as_of is None else chain.as_of.document()


def _exposure_document(item: Judged) -> dict[str, Any]:
    exposure = item.exposure
    return portion_document(item.portion) | {
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
        "as_of": _as_of_document(chain),
        "worst": _verdict_document(worst),
        "portions": [portion_document(item.portion) | _verdict_document(item) for item in judged],
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
