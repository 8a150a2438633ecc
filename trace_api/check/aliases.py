"""Foreign codes: bound once to what they name, and found again for ever.

Contract: the database decides whether a code is free (one meaning at a time, over all organisations), so that two who bind
at once are told apart; what may be bound is what the binder may see.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg import errors

from trace_api.access import Person
from trace_api.problems import Problem

SCHEMES: Final = ("plate", "zhenongma", "national", "label", "gtin", "other")
LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Bound:
    """`organisation`: who said what the code means."""

    entity: str
    scheme: str
    organisation: str
    since: datetime


def meanings(conn: psycopg.Connection, value: str) -> list[Bound]:
    """What the code means now, the first binding first; none where nobody bound it."""
    if not value.strip() or len(value) > LONGEST:
        return []
    return [
        Bound(*row)
        for row in conn.execute("SELECT entity, scheme, organisation, since FROM resolve_alias(%s)", [value])
    ]


# Two who wait for each other at the exclusion constraint are a deadlock, and neither learns what the code means.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('alias ' || %s || ' ' || alias_key(%s, %s), 0))"
_BIND = """
INSERT INTO identifier_alias (scheme, value, entity, organisation, account, valid)
VALUES (%s, %s, %s, %s, %s, tstzrange(%s, NULL))
"""


def bind(
    conn: psycopg.Connection, person: Person, scheme: str, value: str, entity: str, now: datetime
) -> None:
    """Raises Problem 409 where the code means something already, also by itself, 422 where it is none."""
    if scheme not in SCHEMES:
        raise Problem.said(422, "check_alias_scheme")
    if not value.strip() or len(value) > LONGEST or "\x00" in value:
        raise Problem.said(422, "check_alias_value", most=LONGEST)
    if conn.execute("SELECT is_number_of_another(%s, %s)", [value, entity]).fetchone() == (True,):
        raise Problem.said(409, "check_alias_number", value=value)
    try:
        with conn.transaction():
            conn.execute(_ALONE, [scheme, scheme, value])
            conn.execute(_BIND, [scheme, value, entity, person.organisation, person.account, now])
    except errors.ExclusionViolation as error:
        standing = next((each for each in meanings(conn, value) if each.scheme == scheme), None)
        if standing is not None and standing.entity == entity:
            return  # said twice: it means that already
        raise Problem.said(409, "check_alias_taken", value=value) from error


def unbind(conn: psycopg.Connection, value: str, scheme: str, now: datetime) -> bool:
    """End one's own binding, as when a plate goes to another trailer; what it meant until now it keeps meaning for then.
    False: the asker's organisation has no such binding."""
    ended = conn.execute(
        "UPDATE identifier_alias SET valid = tstzrange(lower(valid), greatest(%s, lower(valid) + interval '1 millisecond'))"
        " WHERE scheme = %s AND key = alias_key(%s, %s) AND upper_inf(valid) RETURNING id",
        [now, scheme, scheme, value],
    ).fetchall()
    return bool(ended)
