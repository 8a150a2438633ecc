"""`/api/v1/devices/health`: what is wrong with one's own devices, with its evidence and what to do, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import psycopg
from fastapi import APIRouter, Depends, Query

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.roles import GOODS
from trace_api.words import LANGUAGES, Words

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Finding(NamedTuple):
    """A row of `device_finding`. `until`: None while it is so."""

    organisation: str
    device: str
    channel: str | None
    kind: str
    since: datetime
    until: datetime | None
    evidence: Mapping[str, Any]


_FINDINGS = """
SELECT finding.organisation, device.external_id, series.channel, finding.kind, finding.since, finding.until, finding.evidence
FROM device_finding AS finding JOIN device ON device.id = finding.device_id LEFT JOIN series ON series.id = finding.series_id
WHERE (%(past)s OR finding.until IS NULL) AND (%(organisation)s::text IS NULL OR finding.organisation = %(organisation)s)
ORDER BY finding.until DESC NULLS FIRST, finding.organisation, device.external_id, finding.kind, series.channel, finding.id
LIMIT %(limit)s
"""


def read_findings(
    conn: psycopg.Connection, *, past: bool = False, organisation: str | None = None, limit: int = 500
) -> list[Finding]:
    """Those that stand first, by device; with `past` those that are over after them, the last first."""
    asked = {"past": past, "organisation": organisation, "limit": limit}
    return [Finding(*row) for row in conn.execute(_FINDINGS, asked)]


def told(finding: Finding, words: Words) -> tuple[str, str]:
    """What it is, with the evidence for it, and what to do."""
    facts = _FACTS[finding.kind](finding.evidence, words)
    return words(f"health_{finding.kind}", **facts), words(f"health_{finding.kind}_do")


def _silent(said: Mapping[str, Any], words: Words) -> dict[str, object]:
    heard = EPOCH + timedelta(milliseconds=said["heard_ms"])
    return {
        "heard": f"{heard:%Y-%m-%d %H:%M:%S} UTC",
        "interval": said["interval_s"],
        "allowed": words.minutes(said["allowed_s"] / 60),
    }


def _stuck(said: Mapping[str, Any], _words: Words) -> dict[str, object]:
    return {"value": said["value"], "hours": said["hours"], "allowed": said["allowed_hours"]}


def _jumping(said: Mapping[str, Any], _words: Words) -> dict[str, object]:
    values = ", ".join(str(value) for _, value in said["readings"])
    return {key: said[key] for key in ("times", "of", "by", "allowed")} | {"values": values}


def _drifting(said: Mapping[str, Any], _words: Words) -> dict[str, object]:
    return {key: said[key] for key in ("moved", "hours", "allowed")} | {
        "start": said["from"],
        "end": said["to"],
    }


def _low_battery(said: Mapping[str, Any], _words: Words) -> dict[str, object]:
    return {"level": said["level"], "below": said["below"]}


def _clock_skew(said: Mapping[str, Any], _words: Words) -> dict[str, object]:
    return {"off": said["off_s"], "samples": said["samples"], "allowed": said["allowed_s"]}


_FACTS = {
    "silent": _silent,
    "stuck": _stuck,
    "jumping": _jumping,
    "drifting": _drifting,
    "low_battery": _low_battery,
    "clock_skew": _clock_skew,
}


def router(databases: Databases, guard: Guard) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["Devices"])
    goods = Depends(guard.allowed(*GOODS))

    @routes.get("/devices/health", summary="What is wrong with one's own devices, and what to do")
    def health(
        person: Person = goods,
        past: Annotated[bool, Query(description="Also what is over")] = False,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        with access.looking(databases, person) as conn:
            found = read_findings(conn, past=past, limit=limit)
        return {"findings": [_json(finding) for finding in found]}

    return routes


def _json(finding: Finding) -> dict[str, Any]:
    both = {language: told(finding, Words(language)) for language in LANGUAGES}
    return {
        "device": finding.device,
        "channel": finding.channel,
        "kind": finding.kind,
        "since": finding.since,
        "until": finding.until,
        "evidence": finding.evidence,
        "words": {language: said for language, (said, _) in both.items()},
        "todo": {language: todo for language, (_, todo) in both.items()},
    }
