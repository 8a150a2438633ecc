"""Alerts as their organisation may see them, and channels as an administrator does. Contract: the caller's transaction; whose it
is, the database's policies and functions decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import psycopg

from trace_api.problems import Problem

State = Literal["open", "acknowledged", "closed"]
Kind = Literal["webhook", "email"]
LONGEST_COMMENT: Final = 2000
LEVELS: Final = range(10)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    name: str
    comment: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Telling:
    """One message. `arrived`, `lost`: the kinds of channels where it did, or was given up."""

    what: str
    at: datetime
    arrived: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """`facts`: as in a message. `acknowledgement`: the first, which stands."""

    excursion: int
    state: State
    grade: int
    level: int
    told_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    facts: Mapping[str, Any]
    acknowledgement: Acknowledgement | None
    told: tuple[Telling, ...]

    @property
    def body(self) -> Mapping[str, Any]:
        """As `telling.py` reads it."""
        return {**self.facts, "what": "opened", "grade": self.grade, "level": self.level, "closed_by": self.closed_by,
                "acknowledged": self.acknowledgement is not None}  # fmt: skip


# What is not over first, of that the worst first; and then the newest.
_ALERTS = """
SELECT alert.excursion, stands.state, alert.grade, alert.level, alert.told_at, alert.closed_at, alert.closed_by, facts.facts,
       given.name, given.comment, given.at, coalesce(told.told, '[]')
FROM alert JOIN alert_facts AS facts USING (excursion) LEFT JOIN alert_acknowledgement AS given USING (excursion)
CROSS JOIN LATERAL (
  SELECT CASE WHEN alert.closed_at IS NOT NULL THEN 'closed' WHEN given.name IS NOT NULL THEN 'acknowledged' ELSE 'open' END AS state) AS stands
LEFT JOIN LATERAL (
  SELECT jsonb_agg(jsonb_build_array(message.what, message.at,
           ARRAY(SELECT DISTINCT done.kind FROM alert_delivery AS done WHERE done.message = message.id AND done.arrived),
           ARRAY(SELECT DISTINCT done.kind FROM alert_delivery AS done WHERE done.message = message.id AND NOT done.arrived))
         ORDER BY message.at, message.id) AS told
  FROM alert_message AS message WHERE message.excursion = alert.excursion) AS told ON true
WHERE stands.state = ANY (%(states)s) AND (%(excursion)s::bigint IS NULL OR alert.excursion = %(excursion)s::bigint)
  AND (%(after)s::bigint IS NULL OR alert.excursion < %(after)s::bigint)
ORDER BY {order} LIMIT %(limit)s
"""
_NEWEST = "alert.excursion DESC"
_WORST = "alert.closed_at IS NOT NULL, CASE WHEN alert.closed_at IS NULL THEN alert.grade END DESC, alert.excursion DESC"
STATES: Final[tuple[State, ...]] = ("open", "acknowledged", "closed")


def alerts(
    conn: psycopg.Connection,
    states: tuple[State, ...] = STATES,
    *,
    excursion: int | None = None,
    after: int | None = None,
    limit: int = 100,
    worst_first: bool = False,
) -> list[Alert]:
    """`after`: only those with a smaller id, for paging by newest first."""
    query = _ALERTS.format(order=_WORST if worst_first else _NEWEST)
    facts = {"states": list(states), "excursion": excursion, "after": after, "limit": limit}
    return [_alert(row) for row in conn.execute(query.encode(), facts)]


def _alert(row: tuple[Any, ...]) -> Alert:
    excursion, state, grade, level, told_at, closed_at, closed_by, facts, name, comment, at, told = row
    given = None if name is None else Acknowledgement(name, comment, at)
    return Alert(
        excursion,
        state,
        grade,
        level,
        told_at,
        closed_at,
        closed_by,
        facts,
        given,
        tuple(map(_telling, told)),
    )


def _telling(row: list[Any]) -> Telling:
    what, at, arrived, lost = row
    return Telling(what, datetime.fromisoformat(at), tuple(arrived), tuple(lost))


def acknowledge(conn: psycopg.Connection, excursion: int, comment: str, now: datetime) -> Acknowledgement:
    """Raises Problem: 422 without a comment, 404 where it is not theirs, 409 with who did it before."""
    if not comment.strip() or len(comment) > LONGEST_COMMENT or "\x00" in comment:
        raise Problem.said(422, "alert_no_comment")
    row = conn.execute(
        "SELECT * FROM alert_acknowledge(%s, %s, %s)", [excursion, comment.strip(), now]
    ).fetchone()
    if row is None:
        raise Problem.said(404, "alert_no_such")
    mine, *stands = row
    found = Acknowledgement(*stands)
    if not mine:
        when = found.at.isoformat(timespec="minutes")
        raise Problem.said(409, "alert_taken", name=found.name, when=when, comment=found.comment)
    return found


@dataclass(frozen=True, slots=True)
class Channel:
    """`given_up`: messages that did not arrive within a day."""

    id: UUID
    organisation: str
    kind: Kind
    address: str
    level: int
    added_at: datetime
    arrived_at: datetime | None
    waiting: int
    given_up: int
    last_error: str | None


def channels(conn: psycopg.Connection) -> list[Channel]:
    return [Channel(*row) for row in conn.execute("SELECT * FROM alert_channels()").fetchall()]


def add_channel(
    conn: psycopg.Connection, organisation: str, kind: str, address: str, level: int, now: datetime
) -> UUID:
    """Raises Problem: 422 for what can be none, 409 where it is there."""
    try:
        with conn.transaction():
            row = conn.execute(
                "SELECT alert_channel_add(%s, %s, %s, %s::smallint, %s)",
                [organisation, kind, address, level, now],
            ).fetchone()
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError) as error:
        raise Problem.said(422, "channel_wrong") from error
    assert row is not None
    if row[0] is None:
        raise Problem.said(409, "channel_there")
    made: UUID = row[0]
    return made


def remove_channel(conn: psycopg.Connection, channel: UUID) -> None:
    _found(conn.execute("SELECT alert_channel_remove(%s)", [channel]).fetchone())


def try_channel(conn: psycopg.Connection, channel: UUID, now: datetime) -> None:
    _found(conn.execute("SELECT alert_channel_test(%s, %s)", [channel, now]).fetchone())


def _found(row: tuple[Any, ...] | None) -> None:
    if row is None or not row[0]:
        raise Problem.said(404, "channel_no_such")
