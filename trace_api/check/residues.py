"""Residue tests: a sample and its results, written once and never edited.

Contract: rows of one `sample` number and lot belong together: a result takes the place of its sample, and none takes that of
another result. A rapid method only screens: its row is never
final, and a positive one carries the clock of the retest. Others learn outcome, method and dates of a test of goods they had
a part in; value and operator stay with who tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

from trace_api.access import Person
from trace_api.check.facts import TestResult
from trace_api.check.rules import Rules
from trace_api.problems import Problem
from trace_api.story import Name

Outcome = Literal["negative", "positive", "pending"]


@dataclass(frozen=True, slots=True)
class NewTest:
    """What is written down. `told`: when the seller was told of the result, None: not yet. `event_id`: of the EPCIS event that
    says it, if there is one."""

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


def record_test(conn: psycopg.Connection, person: Person, test: NewTest, rules: Rules, now: datetime) -> UUID:
    """In the caller's transaction, beside the event that says the same. Raises Problem 422 for what contradicts itself."""
    identity = uuid4()
    screened = test.kind == "rapid" and test.outcome == "positive"
    values: dict[str, Any] = {
        "id": identity,
        "organisation": person.organisation,
        "operator": None if person.account is None else f"urn:suyuan:person:{person.account}",
        "deadline": (test.told or test.result_at or now) + rules.retest if screened else None,
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


def tell_seller(conn: psycopg.Connection, test: UUID, now: datetime) -> bool:
    """From now the seller knows, and the hours for a retest run. False: no test of the asker's, or told before."""
    told = conn.execute(
        "UPDATE test_record SET notified_at = greatest(%s, result_at)"
        " WHERE id = %s AND notified_at IS NULL AND result_at IS NOT NULL RETURNING id",
        [now, test],
    ).fetchall()
    return bool(told)


def sampled(conn: psycopg.Connection, sample: str, lots: Sequence[str]) -> tuple[str, str | None] | None:
    """Lot and unit that a sample of the asker's was taken from, if it is of these lots and still waits for its result."""
    row = conn.execute(_SAMPLED, {"sample": sample, "lots": list(lots)}).fetchone()
    return None if row is None else (str(row[0]), row[1])


_SAMPLED = """
SELECT lot, unit FROM test_record AS test
WHERE sample = %(sample)s AND lot = ANY (%(lots)s) AND outcome = 'pending' AND NOT EXISTS (
  SELECT FROM test_record AS result WHERE result.sample = test.sample AND result.lot = test.lot AND result.outcome <> 'pending')
ORDER BY number DESC LIMIT 1
"""


def told_until(conn: psycopg.Connection, test: UUID, rules: Rules) -> datetime | None:
    """Until when a retest of this test of the asker's may be asked for; None: the seller was not told, or no such test."""
    row = conn.execute(
        "SELECT greatest(notified_at + %s, retest_deadline) FROM test_record WHERE id = %s AND notified_at IS NOT NULL",
        [rules.retest, test],
    ).fetchone()
    return None if row is None else row[0]


@dataclass(frozen=True, slots=True)
class Seen:
    """A row of a test as the asker may see it."""

    result: TestResult
    lot: str
    unit: str | None
    place: str | None
    organisation: str
    sample: str | None
    event_id: str | None


_SEEN = """
SELECT seen.id, seen.organisation, seen.lot, seen.unit, seen.place, seen.kind, seen.method, seen.sampled_at, seen.result_at,
       seen.outcome, seen.notified_at, seen.retest_deadline, seen.not_covered, seen.event_id,
       own.sample, own.value, own.uom, own.threshold
FROM tests_seen(%s) AS seen LEFT JOIN test_record AS own ON own.id = seen.id
"""


def tests_of(conn: psycopg.Connection, lots: Sequence[str], names: dict[str, Name]) -> list[Seen]:
    """Tests of these lots that the asker may know of, without samples of their own that have their result."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_SEEN, [list(lots)]).fetchall()
    return [_seen(row, names) for row in standing(rows)]


def standing(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of rows in the order in which they were written those that still say something: a newer row of the same sample, lot and
    kind replaces one that waits. What was found stays, whatever is written under its number later."""
    newest: dict[tuple[str, ...], int] = {}
    for n, row in enumerate(rows):
        newest[_sample_of(row)] = n
    return [row for n, row in enumerate(rows) if row["outcome"] != "pending" or newest[_sample_of(row)] == n]


def _sample_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row["organisation"], row["lot"], row["kind"], row["sample"] or str(row["id"])


def _seen(row: Mapping[str, Any], names: dict[str, Name]) -> Seen:
    result = TestResult(
        kind=row["kind"],
        outcome=row["outcome"],
        method=row["method"],
        at=row["result_at"] or row["sampled_at"],
        here=False,
        by=names.get(row["organisation"]),
        value=row["value"],
        uom=row["uom"],
        threshold=row["threshold"],
        notified_at=row["notified_at"],
        deadline=row["retest_deadline"],
        not_covered=tuple(row["not_covered"]),
        id=str(row["id"]),
        organisation=row["organisation"],
        unit=row["unit"],
    )
    return Seen(
        result, row["lot"], row["unit"], row["place"], row["organisation"], row["sample"], row["event_id"]
    )
