"""Residue tests as the asker may see them; `acts/results.py` writes them down.

Contract: rows of one `sample` number and lot belong together: a result takes the place of its sample, and none takes that of
another result. Others learn outcome, method and dates of a test of goods they had
a part in; value and operator stay with who tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from trace_api.check.facts import TestResult
from trace_api.check.rules import Rules
from trace_api.story import Name


def test_of(conn: psycopg.Connection, event_id: str) -> UUID:
    """The asker's own test that an event of theirs says."""
    row = conn.execute(
        "SELECT test.id FROM test_record AS test JOIN event ON event.id = test.event WHERE event.event_id = %s"
        " ORDER BY test.number DESC LIMIT 1",
        [event_id],
    ).fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


def tell_seller(conn: psycopg.Connection, test: UUID, now: datetime) -> bool:
    """From now the seller knows, and the hours for a retest run. False: no test of the asker's, or told before."""
    told = conn.execute(
        "UPDATE test_record SET notified_at = greatest(%s, result_at)"
        " WHERE id = %s AND notified_at IS NULL AND result_at IS NOT NULL RETURNING id",
        [now, test],
    ).fetchall()
    return bool(told)


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
