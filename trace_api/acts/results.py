"""Results of residue tests, written down beside the event that says the same, and which of them stand against goods.

In the line: market.py puts a `NewTest` on the desk -> acting.py records the event, then the row, in one transaction. Contract:
whoever records a result through an act, on a page or by a program, has both; a row is never edited. A rapid method only
screens: its row is never final, and a positive one carries the clock of the retest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeVar
from uuid import UUID, uuid4

import psycopg
from psycopg import errors

from ledger.epcis import vocabulary
from ledger.epcis.events import Event, SensorReport
from trace_api.access import Person
from trace_api.acts.parts import RETEST
from trace_api.problems import Problem

Outcome = Literal["negative", "positive", "pending"]
_SCREEN: Final = "CholinesteraseInhibition"


@dataclass(frozen=True, slots=True)
class NewTest:
    """What is written down. `told`: when the seller was told of the result, None: not yet. `event_id`: of the EPCIS event that
    says it, None: the first of its act."""

    lot: str
    unit: str | None
    place: str | None
    sample: str
    kind: Literal["rapid", "laboratory"]
    method: str
    sampled_at: datetime
    result_at: datetime | None
    outcome: Outcome
    value: float | None = None
    uom: str | None = None
    threshold: float | None = None
    covers: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()
    told: datetime | None = None
    retest_of: UUID | None = None
    event_id: str | None = None


def outcome_of(value: float, threshold: float) -> Outcome:
    """A screen at its threshold is positive."""
    return "positive" if value >= threshold else "negative"


_INSERT = """
INSERT INTO test_record (id, organisation, lot, unit, place, sample, kind, method, sampled_at, result_at, value, uom, threshold,
  outcome, operator, covers, not_covered, notified_at, retest_deadline, retest_of, final, event, recorded_at)
SELECT %(id)s, %(organisation)s, %(lot)s, %(unit)s, %(place)s, %(sample)s, %(kind)s, %(method)s, %(sampled_at)s, %(result_at)s,
  %(value)s, %(uom)s, %(threshold)s, %(outcome)s, %(operator)s, %(covers)s, %(not_covered)s, %(told)s, %(deadline)s,
  %(retest_of)s, %(final)s, (SELECT max(id) FROM event WHERE organisation = %(organisation)s AND event_id = %(event_id)s),
  %(now)s
"""


def remember(conn: psycopg.Connection, person: Person, test: NewTest, now: datetime) -> UUID:
    """In the caller's transaction. Raises Problem 422 for what contradicts itself."""
    identity = uuid4()
    screened = test.kind == "rapid" and test.outcome == "positive"
    values: dict[str, Any] = {
        "id": identity,
        "organisation": person.organisation,
        "operator": None if person.account is None else f"urn:suyuan:person:{person.account}",
        "deadline": (test.told or test.result_at or now) + RETEST if screened else None,
        "final": test.kind == "laboratory" and test.outcome != "pending",
        "now": now,
    }
    for name in NewTest.__dataclass_fields__:
        value = getattr(test, name)
        values[name] = list(value) if isinstance(value, tuple) else value
    try:
        with conn.transaction():
            conn.execute(_INSERT, values)
    except (errors.CheckViolation, errors.ForeignKeyViolation) as error:
        raise Problem.said(422, "check_test_contradicts") from error
    return identity


# --- what stands ------------------------------------------------------------------------------------------------------------

_WAITING = """
SELECT DISTINCT test.lot, test.unit FROM tests_seen(%(lots)s) AS test JOIN test_record AS own ON own.id = test.id
WHERE own.sample = %(sample)s AND test.outcome = 'pending' AND test.kind = %(kind)s AND NOT EXISTS (
  SELECT FROM tests_seen(%(lots)s) AS result JOIN test_record AS its ON its.id = result.id
  WHERE its.sample = own.sample AND result.lot = test.lot AND result.kind = test.kind AND its.number > own.number)
"""


def waiting(
    conn: psycopg.Connection, sample: str, kind: str, lots: Sequence[str]
) -> list[tuple[str, str | None]]:
    """Of which of these lots, and of what unit, the asker's sample of that number was taken that waits for its result."""
    rows = conn.execute(_WAITING, {"sample": sample, "kind": kind, "lots": list(lots)}).fetchall()
    return [(str(lot), unit) for lot, unit in rows]


def tested(conn: psycopg.Connection, lot: str) -> bool:
    """Whether a sample of the lot was the asker's, by row-level security."""
    row = conn.execute("SELECT EXISTS (SELECT FROM test_record WHERE lot = %s)", [lot]).fetchone()
    return row is not None and bool(row[0])


_SCREENED = """
SELECT id FROM test_record WHERE lot = %s AND kind = 'rapid' AND outcome = 'positive' ORDER BY number DESC LIMIT 1
"""


def screened(conn: psycopg.Connection, lot: str) -> UUID | None:
    """The asker's newest positive screen of the lot: what a retest is of."""
    row = conn.execute(_SCREENED, [lot]).fetchone()
    return None if row is None else row[0]


class Result(Protocol):
    """What a test found, by whatever name it is kept."""

    @property
    def kind(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def at(self) -> datetime: ...


R = TypeVar("R", bound=Result)


def last_word(found: Iterable[R]) -> R | None:
    """A laboratory's newest final result."""
    finals = (each for each in found if each.kind == "laboratory" and each.outcome != "pending")
    return max(finals, key=lambda each: each.at, default=None)


def settled(result: Result, found: Iterable[Result]) -> bool:
    """Whether a laboratory had its word on the same goods since. No screen takes another back."""
    final = last_word(found)
    return final is not None and final.at >= result.at


def against(found: Iterable[R]) -> R | None:
    """Of results of the same goods the one that stands against them: a laboratory's last word, if that is positive; else the
    newest positive screen that is not settled."""
    found = list(found)
    final = last_word(found)
    if final is not None and final.outcome == "positive":
        return final
    screens = [each for each in found if each.kind == "rapid" and each.outcome == "positive"]
    newest = max(screens, key=lambda each: each.at, default=None)
    return None if newest is None or settled(newest, found) else newest


def screens(event: Event) -> list[SensorReport]:
    """The results of rapid tests that it carries, whosever vocabulary names them."""
    reports = (report for element in event.sensor_element_list for report in element.sensor_report)
    return [report for report in reports if _SCREEN in str(report.type or "")]


def says_a_test(event: Event) -> bool:
    """Whether it carries a rapid result, or is a laboratory's word."""
    return bool(screens(event)) or any(
        trade.type is not None and vocabulary.biz_transaction_type(trade.type) == "testres"
        for trade in event.biz_transaction_list
    )
