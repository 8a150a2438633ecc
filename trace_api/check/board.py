"""What the gate has before it: which retest clocks run, what is on hold, what arrived today.

Contract: read as the asker; the newest first, and never more than a page. A business day begins when the market's does
(`rules.json`), not at midnight, when half of the trucks have come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import psycopg

from trace_api.check.checks import deadline
from trace_api.check.facts import TestResult
from trace_api.check.rules import Rules
from trace_api.story import Name

LOOKS_BACK: Final = timedelta(days=30)
MOST: Final = 40

ClockState = Literal["running", "over", "untold", "waiting", "laboratory"]


@dataclass(frozen=True, slots=True)
class Clock:
    """A sample that is not settled. `ends`: until when a retest may be asked for, where that is running or over."""

    code: str
    lot: str
    sample: str
    state: ClockState
    at: datetime
    ends: datetime | None
    test: str


@dataclass(frozen=True, slots=True)
class Held:
    code: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """`codes`: load units, goods or the vehicle that came. `by`: who recorded it."""

    at: datetime
    by: Name | None
    place: Name | None
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Board:
    day: datetime
    clocks: tuple[Clock, ...]
    holds: tuple[Held, ...]
    arrivals: tuple[Arrival, ...]


def read_board(conn: psycopg.Connection, rules: Rules, now: datetime, zone: str) -> Board:
    day = business_day(now, rules, zone)
    return Board(
        day, tuple(_clocks(conn, rules, now)), tuple(_holds(conn, now)), tuple(_arrivals(conn, day, now))
    )


def business_day(now: datetime, rules: Rules, zone: str) -> datetime:
    """When the business day began in which `now` lies."""
    local = now.astimezone(ZoneInfo(zone))
    begun = local.replace(hour=rules.business_day_start_hour, minute=0, second=0, microsecond=0)
    return begun if begun <= local else begun - timedelta(days=1)


# Of each sample what is not settled: at the laboratory, else positive, else waiting. A result replaces its sample and no other
# result; a laboratory's final one settles what came before it.
_OPEN = """
WITH said AS (
  SELECT test.* FROM test_record AS test LEFT JOIN event ON event.id = test.event
  WHERE test.recorded_at > %(since)s
    AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = test.organisation
                    AND declared.event_id = event.event_id AND declared.is_error))
SELECT DISTINCT ON (test.sample, test.lot) test.id, test.lot, test.unit, test.sample, test.kind, test.outcome, test.method,
       test.sampled_at, test.result_at, test.notified_at, test.retest_deadline
FROM said AS test
WHERE test.outcome <> 'negative'
  AND (test.outcome <> 'pending' OR NOT EXISTS (SELECT FROM said AS newer WHERE newer.sample = test.sample AND newer.lot = test.lot
                                                AND newer.kind = test.kind AND newer.number > test.number))
  AND NOT EXISTS (SELECT FROM test_record AS settled WHERE settled.lot = test.lot AND settled.final
                  AND settled.result_at >= coalesce(test.result_at, test.sampled_at)
                  AND (settled.unit IS NULL OR settled.unit = test.unit))
ORDER BY test.sample, test.lot, test.kind, test.outcome = 'positive' DESC, test.number DESC
"""


def _clocks(conn: psycopg.Connection, rules: Rules, now: datetime) -> list[Clock]:
    found = []
    for row in conn.execute(_OPEN, {"since": now - LOOKS_BACK}):
        identity, lot, unit, sample, kind, outcome, method, sampled_at, result_at, notified_at, until = row
        test = TestResult(
            kind,
            outcome,
            method,
            result_at or sampled_at,
            True,
            None,
            notified_at=notified_at,
            deadline=until,
        )
        ends = deadline(test, rules) if outcome == "positive" else None
        found.append(Clock(unit or lot, lot, sample, _state(test, ends, now), test.at, ends, str(identity)))
    order: Mapping[ClockState, int] = {"running": 0, "untold": 1, "over": 2, "laboratory": 3, "waiting": 4}
    return sorted(found, key=lambda clock: (order[clock.state], clock.ends or clock.at))[:MOST]


def _state(test: TestResult, ends: datetime | None, now: datetime) -> ClockState:
    if test.outcome == "pending":
        return "laboratory" if test.kind == "laboratory" else "waiting"
    if ends is None:
        return "untold"
    return "running" if now < ends else "over"


# What we put on hold and nobody of us released since.
_HOLDS = """
WITH said AS (
  SELECT event.id, event.event_time, convert_from(event_bytes.bytes, 'UTF8')::jsonb -> 'persistentDisposition' AS marks
  FROM event JOIN event_bytes ON event_bytes.event = event.id
  WHERE NOT event.is_error AND event.event_time > %(since)s AND event.biz_step ~ '(^|[:/-])(holding|inspecting)$'
    AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = event.organisation
                    AND declared.event_id = event.event_id AND declared.is_error)),
marked AS (
  SELECT mention.identifier, max(said.event_time) FILTER (WHERE said.marks -> 'set' ? 'unavailable') AS held,
         max(said.event_time) FILTER (WHERE said.marks -> 'unset' ? 'unavailable') AS released
  FROM said JOIN event_mention AS mention ON mention.event = said.id AND mention.role IN ('epc', 'class')
  WHERE said.marks IS NOT NULL
  GROUP BY mention.identifier)
SELECT identifier, held FROM marked WHERE held IS NOT NULL AND (released IS NULL OR released < held)
ORDER BY held DESC LIMIT %(most)s
"""


def _holds(conn: psycopg.Connection, now: datetime) -> list[Held]:
    return [Held(*row) for row in conn.execute(_HOLDS, {"since": now - LOOKS_BACK, "most": MOST})]


# At our own places: the newest events that name each of them, and of these the arrivals.
_ARRIVALS = """
SELECT said.id, said.event_time, party.name_zh, party.name_en, own.name_zh, own.name_en, array_agg(DISTINCT mention.identifier)
FROM place AS own
CROSS JOIN LATERAL (SELECT event FROM asker_mention WHERE identifier = own.id AND role = 'read_point' ORDER BY event DESC LIMIT 100) AS here
JOIN asker_event AS said ON said.id = here.event
LEFT JOIN asker_organisation AS party ON party.id = said.organisation
JOIN asker_mention AS mention ON mention.event = said.id AND mention.role IN ('epc', 'class')
WHERE said.event_time BETWEEN %(day)s AND %(now)s AND NOT said.is_error AND said.biz_step ~ '(^|[:/-])(arriving|receiving)$'
GROUP BY said.id, said.event_time, party.name_zh, party.name_en, own.name_zh, own.name_en
ORDER BY said.event_time DESC, said.id LIMIT %(most)s
"""


def _arrivals(conn: psycopg.Connection, day: datetime, now: datetime) -> list[Arrival]:
    return [_arrival(row) for row in conn.execute(_ARRIVALS, {"day": day, "now": now, "most": MOST})]


def _arrival(row: tuple[Any, ...]) -> Arrival:
    _, at, zh, en, place_zh, place_en, codes = row
    return Arrival(at, Name(zh, en) if zh else None, Name(place_zh, place_en), tuple(sorted(codes)))
