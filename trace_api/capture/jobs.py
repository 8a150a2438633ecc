"""The rows of capture jobs, and of the documents that wait for them.

Contract: every function takes `conn` first and works in the caller's transaction, which speaks for the job's organisation
(`access`); only `take_next`, `lost` and `forget` ask over all, by functions of the database that tell no more than whose turn it
is. A job is ended in the transaction that records its events and lets its document go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from ledger.epcis.files import ReadFile
from ledger.epcis.problems import pointer_to
from trace_api.capture.taking import Outcome, Taken

Behaviour = Literal["rollback", "proceed"]
_LETTERS: Mapping[Outcome, str] = {
    "recorded": "r",
    "duplicate": "d",
    "conflict": "c",
    "invalid": "i",
    "not_recorded": "n",
}
_WORDS: Mapping[str, Outcome] = {letter: word for word, letter in _LETTERS.items()}


@dataclass(frozen=True, slots=True)
class Job:
    """`event_pointer`: to an event in the document, with {} for its place. `outcomes`: a letter for each event worked off so far,
    in document order. `named`: event_id by place."""

    id: UUID
    organisation: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    success: bool | None
    error_behaviour: Behaviour
    events: int
    event_pointer: str
    outcomes: str
    named: dict[str, str]
    errors: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """The standard's CaptureJob, and how far it is."""
        counts = {word: self.outcomes.count(letter) for word, letter in _LETTERS.items()}
        told: dict[str, Any] = {
            "captureID": str(self.id),
            "createdAt": self.created_at.isoformat(),
            "running": self.finished_at is None,
            "success": not self.errors if self.success is None else self.success,
            "captureErrorBehaviour": self.error_behaviour,
            "errors": self.errors,
            "events": self.events,
            "processed": len(self.outcomes),
            "counts": counts,
        }
        for name, moment in (("startedAt", self.started_at), ("finishedAt", self.finished_at)):
            if moment is not None:
                told[name] = moment.isoformat()
        return told

    def results(self) -> list[dict[str, str]]:
        """What became of each event that is worked off."""
        told = []
        for place, letter in enumerate(self.outcomes):
            each = {"pointer": self.event_pointer.format(place), "outcome": str(_WORDS[letter])}
            if name := self.named.get(str(place)):
                each["eventID"] = name
            told.append(each)
        return told


_COLUMNS = "id, organisation, created_at, started_at, finished_at, success, error_behaviour, events, event_pointer, outcomes, named, errors"


# --- asked for --------------------------------------------------------------------------------------------------------


def find(conn: psycopg.Connection, job: UUID) -> Job | None:
    with conn.cursor(row_factory=class_row(Job)) as cursor:
        return cursor.execute(f"SELECT {_COLUMNS} FROM capture_job WHERE id = %s".encode(), [job]).fetchone()  # noqa: S608


_LISTED = (
    f"SELECT {_COLUMNS} FROM capture_job WHERE %(at)s::timestamptz IS NULL OR (created_at, id) < (%(at)s, %(id)s)"  # noqa: S608
    " ORDER BY created_at DESC, id DESC LIMIT %(most)s"
)


def listed(conn: psycopg.Connection, after: tuple[datetime, UUID] | None, most: int) -> list[Job]:
    """The latest first. `after`: the last one of the page before."""
    at, id_ = after or (None, None)
    with conn.cursor(row_factory=class_row(Job)) as cursor:
        return cursor.execute(_LISTED.encode(), {"at": at, "id": id_, "most": most}).fetchall()


# --- put in the queue -------------------------------------------------------------------------------------------------


def waiting(conn: psycopg.Connection, organisation: str) -> int:
    row = conn.execute(
        "SELECT count(*) FROM capture_document WHERE organisation = %s", [organisation]
    ).fetchone()
    return 0 if row is None else int(row[0])


def put(
    conn: psycopg.Connection,
    job: UUID,
    organisation: str,
    said: ReadFile,
    sealed: bytes,
    behaviour: Behaviour,
    now: datetime,
) -> None:
    """`sealed`: the document, encrypted."""
    conn.execute(
        "INSERT INTO capture_job (id, organisation, created_at, error_behaviour, events, event_pointer) VALUES (%s, %s, %s, %s, %s, %s)",
        [job, organisation, now, behaviour, len(said.events), _event_pointer(said)],
    )
    conn.execute(
        "INSERT INTO capture_document (job, organisation, body, due) VALUES (%s, %s, %b, %s)",
        [job, organisation, sealed, now],
    )


def _event_pointer(said: ReadFile) -> str:
    return pointer_to(said.path) if said.alone else pointer_to([*said.path, "{}"])


# --- worked off -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """A document to be worked off now. `attempts`: how many times it was tried, with this one."""

    job: UUID
    organisation: str
    attempts: int


def take_next(conn: psycopg.Connection, now: datetime, lease: timedelta) -> Turn | None:
    with conn.cursor(row_factory=class_row(Turn)) as cursor:
        return cursor.execute("SELECT * FROM take_capture_document(%s, %s)", [now, lease]).fetchone()


def locked_document(conn: psycopg.Connection, job: UUID) -> bytes | None:
    """Its encrypted bytes; None where another is at it or it is done."""
    row = conn.execute(
        "SELECT body FROM capture_document WHERE job = %s FOR UPDATE SKIP LOCKED", [job]
    ).fetchone()
    return None if row is None else bytes(row[0])


_FURTHER = """
UPDATE capture_job SET started_at = coalesce(started_at, %(now)s), outcomes = outcomes || %(outcomes)s, named = named || %(named)s,
  errors = errors || %(errors)s, finished_at = %(finished_at)s, success = %(success)s
WHERE id = %(id)s
"""


def go_on(conn: psycopg.Connection, job: Job, taken: Taken, now: datetime) -> bool:
    """Write down what became of the next events; True where those were the last, and the job is ended."""
    outcomes = "".join(_LETTERS[outcome] for outcome in taken.outcomes)
    done = len(job.outcomes)
    errors = [each.to_json() for each in taken.faults]
    ended = done + len(outcomes) >= job.events
    conn.execute(
        _FURTHER,
        {
            "id": job.id,
            "now": now,
            "outcomes": outcomes,
            "named": json.dumps({str(done + place): name for place, name in taken.named.items()}),
            "errors": json.dumps(errors),
            "finished_at": now if ended else None,
            "success": not (job.errors or errors) if ended else None,
        },
    )
    if ended:
        conn.execute("DELETE FROM capture_document WHERE job = %s", [job.id])
    return ended


def give_up(conn: psycopg.Connection, job: Job, status: int, title: str, detail: str, now: datetime) -> None:
    """Of the events not worked off yet none is recorded, for a reason that is not theirs."""
    told = {"type": "about:blank", "status": status, "title": title, "detail": detail, "instance": ""}
    conn.execute(
        _FURTHER,
        {
            "id": job.id,
            "now": now,
            "outcomes": _LETTERS["not_recorded"] * (job.events - len(job.outcomes)),
            "named": "{}",
            "errors": json.dumps([told]),
            "finished_at": now,
            "success": False,
        },
    )
    conn.execute("DELETE FROM capture_document WHERE job = %s", [job.id])


def lost(conn: psycopg.Connection) -> list[tuple[UUID, str]]:
    """Jobs that were begun and whose document a restored backup does not hold, with their organisations."""
    return conn.execute("SELECT job, organisation FROM capture_jobs_without_document()").fetchall()


def forget(conn: psycopg.Connection, before: datetime) -> int:
    """Ended jobs of which nobody asked for so long; how many, at most a thousand at a time."""
    row = conn.execute("SELECT forget_capture_jobs(%s)", [before]).fetchone()
    return 0 if row is None else int(row[0])


def faults_only(taken: Taken) -> Taken:
    """The same where all was taken back because of the faulty ones."""
    faulty: tuple[Outcome, ...] = ("conflict", "invalid")
    return Taken([each if each in faulty else "not_recorded" for each in taken.outcomes], {}, taken.faults)
