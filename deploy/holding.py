"""Legal holds: what may neither be erased nor, where readings hang on it, be dropped by age.

Contract: a hold says on what, why, by whom and since when; it is lifted once, with a reason, and never deleted (a trigger
keeps that).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

import psycopg

from ledger.epcis.identifiers import canonical
from ledger.personal import is_person

Kind = Literal["organisation", "lot", "device", "person", "all"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)


class NoHold(ValueError):
    """The hold cannot be placed or lifted as asked; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """`since`: readings measured from then on stay. `released_at`: None while it stands."""

    id: int
    kind: str
    subject: str
    reason: str
    placed_by: str
    since: datetime
    placed_at: datetime
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None


def add(
    conn: psycopg.Connection, kind: str, subject: str, reason: str, by: str, since: datetime, now: datetime
) -> int:
    """Its number. Raises NoHold."""
    row = conn.execute(
        "INSERT INTO legal_hold (kind, subject, reason, placed_by, since, placed_at) VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
        [kind, _known(conn, kind, subject), _said(reason, "reason"), _said(by, "name"), since, now],
    ).fetchone()
    assert row is not None
    return int(row[0])


def lift(conn: psycopg.Connection, number: int, reason: str, by: str, now: datetime) -> None:
    """Raises NoHold."""
    done = conn.execute(
        "UPDATE legal_hold SET released_at = %s, released_by = %s, release_reason = %s WHERE id = %s AND released_at IS NULL",
        [now, _said(by, "name"), _said(reason, "reason"), number],
    )
    if done.rowcount != 1:
        raise NoHold(f"no hold {number} stands; `suyuan hold list --lifted` shows those that were lifted too")


def holds(conn: psycopg.Connection, lifted: bool) -> list[Hold]:
    """Those that stand, or all; oldest first."""
    return [
        Hold(*row)
        for row in conn.execute(
            "SELECT id, kind, subject, reason, placed_by, since, placed_at, released_at, released_by, release_reason"
            " FROM legal_hold WHERE %s OR released_at IS NULL ORDER BY id",
            [lifted],
        )
    ]


def _known(conn: psycopg.Connection, kind: str, subject: str) -> str:
    """What is held by the name that the record has for it: a slip of the pen would hold nothing."""
    if kind == "all":
        if subject:
            raise NoHold(f"got {subject!r}, want no subject: `all` is everything")
        return ""
    if kind == "organisation":
        query, names = "SELECT id FROM organisation WHERE id = %s", [subject]
    elif kind == "device":
        query, names = (
            "SELECT giai FROM device WHERE giai = %s OR external_id = %s ORDER BY giai",
            [canonical(subject), subject],
        )
    elif kind == "person":
        if not is_person(subject):
            raise NoHold(f"got {subject!r}, want urn:suyuan:person:... as an event has it")
        query, names = "SELECT urn FROM vault WHERE urn = %s", [subject]
    else:
        query, names = (
            "SELECT identifier FROM event_mention WHERE identifier = %s AND role <> 'run' LIMIT 1",
            [canonical(subject)],
        )
    found = conn.execute(query.encode(), names).fetchall()
    if len(found) != 1:
        few = (
            f"no {kind} {subject} is known here"
            if not found
            else f"{len(found)} devices are called {subject}: name its GIAI"
        )
        raise NoHold(few)
    return str(found[0][0])


def _said(text: str, what: str) -> str:
    if not text.strip():
        raise NoHold(f"got an empty {what}, want one that will be understood in years")
    return text.strip()
