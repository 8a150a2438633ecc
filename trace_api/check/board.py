"""What the gate has before it: which retest clocks run, what is on hold, what arrived.

Contract: read as the asker; the newest first, never more than a page, and how many more there are is said. An arrival stands
here for its business day, which begins when the market's does (`rules.json`) and not at midnight, when half of the trucks have
come; and longer, for some days, as long as nobody took the goods in or sent them on: what came at nine in the morning is not
gone at noon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import psycopg

from trace_api.acts.results import settled
from trace_api.check import residues
from trace_api.check.checks import deadline
from trace_api.check.facts import TestResult
from trace_api.check.rules import Rules
from trace_api.story import Name

LOOKS_BACK: Final = timedelta(days=30)
WAITS: Final = timedelta(days=3)  # so long an arrival that nobody dealt with stays on the board
MOST_READ: Final = 1000  # of the newest events at one place

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
    """`codes`: load units, goods or the vehicle that came. `by`: who recorded it. `earlier`: on another business day."""

    at: datetime
    by: Name | None
    place: Name | None
    codes: tuple[str, ...]
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """All of it; a page shows the first of each. `cut`: so much happened at a place that earlier arrivals were not looked for."""

    day: datetime
    clocks: tuple[Clock, ...]
    holds: tuple[Held, ...]
    arrivals: tuple[Arrival, ...]
    cut: bool = False


def read_board(conn: psycopg.Connection, rules: Rules, now: datetime, zone: str) -> Board:
    day = business_day(now, rules, zone)
    asked = {"day": day, "since": day - WAITS, "now": now, "read": MOST_READ}
    (cut,) = conn.execute(_CUT, asked).fetchone() or (False,)
    return Board(
        day,
        tuple(_clocks(conn, rules, now)),
        tuple(_holds(conn, now)),
        tuple(_arrival(row, day) for row in conn.execute(_ARRIVALS, asked)),
        bool(cut),
    )


def business_day(now: datetime, rules: Rules, zone: str) -> datetime:
    """When the business day began in which `now` lies."""
    local = now.astimezone(ZoneInfo(zone))
    begun = local.replace(hour=rules.business_day_start_hour, minute=0, second=0, microsecond=0)
    return begun if begun <= local else begun - timedelta(days=1)


# Lots with something positive, or with a sample whose newest row waits: a quick look; what stands is decided in one place.
_LOTS = """
SELECT DISTINCT lot FROM (
  SELECT lot FROM test_record WHERE recorded_at > %(since)s GROUP BY lot, sample, kind
  HAVING bool_or(outcome = 'positive') OR (array_agg(outcome ORDER BY number DESC))[1] = 'pending') AS open
"""


def _clocks(conn: psycopg.Connection, rules: Rules, now: datetime) -> list[Clock]:
    """By row-level security of the asker's own samples: of each what is not settled, at the laboratory, else positive, else
    waiting."""
    lots = [str(row[0]) for row in conn.execute(_LOTS, {"since": now - LOOKS_BACK})]
    ours = [each for each in residues.tests_of(conn, lots, {}) if each.sample is not None] if lots else []
    found: dict[tuple[str, str], Clock] = {}
    for each in sorted(ours, key=lambda seen: (seen.result.kind, seen.result.outcome != "positive")):
        assert each.sample is not None
        if _is_open(each, ours) and (each.sample, each.lot) not in found:
            found[each.sample, each.lot] = _clock(each, each.sample, rules, now)
    order: Mapping[ClockState, int] = {"running": 0, "untold": 1, "over": 2, "laboratory": 3, "waiting": 4}
    return sorted(found.values(), key=lambda clock: (order[clock.state], clock.ends or clock.at))


def _is_open(seen: residues.Seen, ours: Sequence[residues.Seen]) -> bool:
    """What waits, and a positive screen, that no laboratory had its word on since."""
    test = seen.result
    if test.outcome == "negative" or (test.kind == "laboratory" and test.outcome != "pending"):
        return False
    same = (each.result for each in ours if each.lot == seen.lot and each.unit in (None, seen.unit))
    return not settled(test, same)


def _clock(seen: residues.Seen, sample: str, rules: Rules, now: datetime) -> Clock:
    test = seen.result
    ends = deadline(test, rules) if test.outcome == "positive" else None
    return Clock(
        seen.unit or seen.lot, seen.lot, sample, _state(test, ends, now), test.at, ends, str(test.id)
    )


def _state(test: TestResult, ends: datetime | None, now: datetime) -> ClockState:
    if test.outcome == "pending":
        return "laboratory" if test.kind == "laboratory" else "waiting"
    if ends is None:
        return "untold"
    return "running" if now < ends else "over"


# What we put on hold and nobody of us released since. Only events that set or take away a mark are opened.
_HOLDS = """
WITH said AS MATERIALIZED (
  SELECT event.id, event.event_time, event_bytes.bytes FROM event JOIN event_bytes ON event_bytes.event = event.id
  WHERE NOT event.is_error AND event.event_time > %(since)s AND event.biz_step ~ '(^|[:/-])(holding|inspecting)$'
    AND 'persistentDisposition' = ANY (event_bytes.field_names)
    AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = event.organisation
                    AND declared.event_id = event.event_id AND declared.is_error)),
marked AS (
  SELECT mention.identifier, max(said.event_time) FILTER (WHERE said.marks -> 'set' ? 'unavailable') AS held,
         max(said.event_time) FILTER (WHERE said.marks -> 'unset' ? 'unavailable') AS released
  FROM (SELECT id, event_time, convert_from(bytes, 'UTF8')::jsonb -> 'persistentDisposition' AS marks FROM said) AS said
  JOIN event_mention AS mention ON mention.event = said.id AND mention.role IN ('epc', 'class')
  GROUP BY mention.identifier)
SELECT identifier, held FROM marked WHERE held IS NOT NULL AND (released IS NULL OR released < held)
ORDER BY held DESC
"""


def _holds(conn: psycopg.Connection, now: datetime) -> list[Held]:
    return [Held(*row) for row in conn.execute(_HOLDS, {"since": now - LOOKS_BACK})]


# At our own places: arrivals of the business day, and earlier ones of which something was not dealt with.
_ARRIVALS = """
SELECT said.id, said.event_time, party.name_zh, party.name_en, own.name_zh, own.name_en, array_agg(DISTINCT mention.identifier)
FROM place AS own
CROSS JOIN LATERAL (SELECT event FROM asker_mention WHERE identifier = own.id AND role = 'read_point'
                    ORDER BY event DESC LIMIT %(read)s) AS here
JOIN asker_event AS said ON said.id = here.event
LEFT JOIN asker_organisation AS party ON party.id = said.organisation
JOIN asker_mention AS mention ON mention.event = said.id AND mention.role IN ('epc', 'class')
LEFT JOIN LATERAL (
  SELECT min(later.event_time) AS since FROM asker_mention AS again JOIN asker_event AS later ON later.id = again.event
  WHERE again.identifier = mention.identifier AND again.role IN ('epc', 'class', 'parent', 'child')
    AND NOT later.is_error AND later.event_time > said.event_time
    AND later.biz_step ~ '(^|[:/-])(accepting|receiving|shipping|loading|departing|retail_selling|destroying)$') AS dealt ON true
WHERE said.event_time BETWEEN %(since)s AND %(now)s AND NOT said.is_error AND said.biz_step ~ '(^|[:/-])(arriving|receiving)$'
GROUP BY said.id, said.event_time, party.name_zh, party.name_en, own.name_zh, own.name_en
HAVING said.event_time >= %(day)s OR bool_or(dealt.since IS NULL)
ORDER BY said.event_time DESC, said.id
"""
_CUT = """
SELECT EXISTS (
  SELECT FROM place AS own
  CROSS JOIN LATERAL (SELECT event FROM asker_mention WHERE identifier = own.id AND role = 'read_point'
                      ORDER BY event DESC OFFSET %(read)s LIMIT 1) AS far
  JOIN asker_event AS said ON said.id = far.event WHERE said.event_time > %(since)s)
"""


def _arrival(row: tuple[Any, ...], day: datetime) -> Arrival:
    _, at, zh, en, place_zh, place_en, codes = row
    return Arrival(at, Name(zh, en) if zh else None, Name(place_zh, place_en), tuple(sorted(codes)), at < day)
