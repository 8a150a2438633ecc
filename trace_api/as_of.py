"""`as_of`: a question about what was known at a past moment, as it is asked and as it is answered.

Contract: an answer as of then is made from the events whose position had been given by then, and from the readings that had
been received; an event that was declared wrong since counts as it did. What is only known as it stands today is named in the
answer: rights, names, placements of sensors, limits, and what others do not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from trace_api.problems import Problem

EXAMPLE: Final = "2026-06-19T04:00:00Z, or a position such as 1234"
_WANTED: Final = f"want a time with its zone (RFC 3339) or the position of an event, e.g. {EXAMPLE}"
TODAY: Final = ("rights", "names", "placements", "limits", "hidden")
"""What an answer as of then says as it stands today."""


@dataclass(frozen=True, slots=True)
class AsOf:
    """`position`: the last event that counts, 0 where none had been recorded; `time`: the moment asked for, or when the event
    of that position was recorded."""

    position: int
    time: datetime

    def document(self) -> dict[str, Any]:
        return {"position": self.position, "time": self.time, "as_today": list(TODAY)}


def read_as_of(conn: psycopg.Connection, text: str | None) -> AsOf | None:
    """None where nothing was asked. Raises Problem 400."""
    if text is None or not text.strip():
        return None
    said = text.strip()
    if said.isascii() and said.isdigit() and len(said) < 19:
        return _at_position(conn, int(said))
    return _at_time(conn, _moment(said))


def _moment(said: str) -> datetime:
    # A plus sign in a query string is a blank; whoever writes a zone with one means it.
    try:
        moment = datetime.fromisoformat(said.replace(" ", "+") if "T" in said else said)
        if moment.tzinfo is None:
            raise ValueError("no zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Problem(400, "Not a moment", f"as_of: got {said[:60]!r}, {_WANTED}.") from error


def _at_position(conn: psycopg.Connection, position: int) -> AsOf:
    row = conn.execute("SELECT recorded_at(%s)", [position]).fetchone()
    recorded = None if row is None else row[0]
    if recorded is None:
        raise Problem(
            400, "Not a moment", f"as_of: no event has position {position} or one before; {_WANTED}."
        )
    return AsOf(position, recorded)


def _at_time(conn: psycopg.Connection, moment: datetime) -> AsOf:
    row = conn.execute("SELECT position FROM known_at(%s)", [moment]).fetchone()
    return AsOf(0 if row is None else row[0], moment)
