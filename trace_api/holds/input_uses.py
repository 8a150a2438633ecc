"""Pesticides and fertilisers used on plots, recorded in the ledger by who grows or gathers there.

In the line: a request -> here -> `input_use` and a pending entry of type `registry`, in one transaction -> hold proposals, which
link it to lots by plot and time. Contract: a row is never edited; one that was wrong is corrected by another. The log holds a
commitment and no name, number or date (docs/entry-v1.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
from psycopg import errors

from ledger.entry import SALT_SIZE, commit_event
from ledger.strict_json import strict
from trace_api.access import Person
from trace_api.acts.fields import ZONE
from trace_api.check.reading import Code, read
from trace_api.problems import Problem


@dataclass(frozen=True, slots=True)
class InputUse:
    """`plot`: a place's identifier. `registration`: the product's number, such as PD20050123. `interval_days`: before harvest, by its
    label. `corrects`: the record that this one takes the place of."""

    plot: str
    registration: str
    name: str
    dose: str
    used_on: date
    interval_days: int
    corrects: UUID | None = None


_INSERT = """
INSERT INTO input_use (id, organisation, plot, registration, name, dose, used_on, interval_days, corrects, account, salts, recorded_at)
VALUES (%(id)s, %(organisation)s, %(plot)s, %(registration)s, %(name)s, %(dose)s, %(used_on)s, %(interval_days)s, %(corrects)s,
        %(account)s, %(salts)s, %(now)s)
"""
_PENDING = """
INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at) VALUES (%s, 'registry', 'party', %s, %s, %s)
"""


def record_input_use(
    conn: psycopg.Connection,
    person: Person,
    use: InputUse,
    now: datetime,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> UUID:
    """In the caller's transaction. Raises Problem 422 for a plot that is not the asker's, a day to come, or a second correction."""
    plot = _own_plot(conn, use.plot)
    if use.used_on > now.astimezone(ZoneInfo(ZONE)).date():
        raise Problem.said(422, "holds_use_ahead")
    identity = uuid4()
    fields = {
        "type": "input_use", "id": str(identity), "plot": plot, "registration": use.registration, "name": use.name, "dose": use.dose,
        "used_on": use.used_on.isoformat(), "interval_days": use.interval_days,
        "corrects": None if use.corrects is None else str(use.corrects),
    }  # fmt: skip
    salts = [random_bytes(SALT_SIZE) for _ in fields]
    values: dict[str, Any] = fields | {
        "id": identity, "organisation": person.organisation, "corrects": use.corrects, "used_on": use.used_on,
        "account": person.account, "salts": b"".join(salts), "now": now,
    }  # fmt: skip
    try:
        with conn.transaction():
            if use.corrects is not None and not _is_own(conn, use.corrects):
                raise Problem.said(422, "holds_use_corrects")
            conn.execute(_INSERT, values)
    except errors.UniqueViolation as error:
        raise Problem.said(422, "holds_use_corrects") from error
    body = strict(commit_event(fields, salts).body())
    conn.execute(_PENDING, [person.organisation, person.organisation, body, now])
    return identity


def _own_plot(conn: psycopg.Connection, text: str) -> str:
    code = read(text)
    plot = code.uri if isinstance(code, Code) and code.uri is not None else text
    row = conn.execute("SELECT is_own_plot(%s)", [plot]).fetchone()
    if row is None or not row[0]:
        raise Problem.said(422, "holds_use_plot")
    return plot


def _is_own(conn: psycopg.Connection, use: UUID) -> bool:
    """By row-level security."""
    return conn.execute("SELECT FROM input_use WHERE id = %s", [use]).fetchone() is not None


_OWN = """
SELECT id, plot, registration, name, dose, used_on, interval_days, corrects, recorded_at,
       EXISTS (SELECT FROM input_use AS later WHERE later.corrects = input_use.id)
FROM input_use ORDER BY used_on DESC, recorded_at DESC LIMIT 500
"""


def own_input_uses(conn: psycopg.Connection) -> list[dict[str, Any]]:
    """The asker's, the newest first, as JSON."""
    return [
        {
            "id": str(row[0]), "plot": row[1], "registration": row[2], "name": row[3], "dose": row[4], "used_on": row[5].isoformat(),
            "interval_days": row[6], "corrects": None if row[7] is None else str(row[7]), "recorded_at": row[8].isoformat(), "corrected": row[9],
        }
        for row in conn.execute(_OWN)
    ]  # fmt: skip
