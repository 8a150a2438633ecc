"""Working capture jobs off: each document exactly once, by whichever process is alive.

In the line: `routes` puts a document -> here, in threads of the API or processes of their own -> the record. Contract: a step
takes one document; its row's lock, held by the transaction that records, is what keeps others from it. Whoever dies in it leaves
nothing: the lock goes with the connection, and after the lease another takes the document. With `proceed` a document goes into the
record in parts, each with what the job says of it, and is gone on with after the last one; with `rollback` as a whole or not at
all. What fails again and again by a fault of ours ends with that said.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

import psycopg
from cryptography.exceptions import InvalidTag

from ledger.epcis.files import ReadFile
from trace_api import access
from trace_api.capture import jobs
from trace_api.capture.desk import Desk
from trace_api.capture.jobs import Job, Turn
from trace_api.capture.reading import Unread, read
from trace_api.capture.taking import Taken, take

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=3)
"""How long a document is left alone after it was taken, for each time that it was tried; longer only by its lock."""
MOST_ATTEMPTS = 8
PART = 500
"""Events of one transaction, where the others need not wait for them."""
POLL_S = 1.0
TIDY_S = 600.0


def serve(desk: Desk, woken: threading.Event, stop: threading.Event, poll_s: float = POLL_S) -> None:
    """Until `stop`. `woken`: set when a document was put; others' are looked for every `poll_s`."""
    tidied = -TIDY_S
    waited = 0.0
    while not stop.is_set():
        try:
            if waited - tidied >= TIDY_S:
                tidied = waited
                tidy(desk)
            while not stop.is_set() and step(desk):
                continue
        except psycopg.OperationalError as error:
            logger.warning("the database is away, capture waits", extra={"error": str(error)})
        except Exception:
            # The document is there still, and its turn comes again.
            logger.exception("a capture job failed and is tried again")
        woken.wait(poll_s)
        woken.clear()
        waited += poll_s


def step(desk: Desk) -> bool:
    """One document; False where none waits."""
    with access.nobody(desk.databases) as conn:
        # Only a count and a lease: lost with the server, the document is taken once more.
        conn.execute("SET LOCAL synchronous_commit = off")
        turn = jobs.take_next(conn, desk.now(), LEASE)
    if turn is None:
        return False
    said: ReadFile | None = None
    while True:
        with access.for_organisation(desk.databases, turn.organisation) as conn:
            document = jobs.locked_document(conn, turn.job)
            job = jobs.find(conn, turn.job)
            if document is None or job is None:
                return True
            if turn.attempts > MOST_ATTEMPTS:
                jobs.give_up(conn, job, 500, "A fault of ours", _TRIED, desk.now())
                return True
            try:
                said = said or _opened(desk, turn, document)
            except (Unread, InvalidTag) as error:
                logger.exception("a document that was taken cannot be read", extra={"job": str(turn.job)})
                jobs.give_up(conn, job, 500, "A fault of ours", f"{_UNREAD} ({error!r:.200})", desk.now())
                return True
            if jobs.go_on(conn, job, _taken(conn, desk, job, said), desk.now()):
                return True


_TRIED = "Working it off failed each time it was tried, and the server's log says how. Tell the operator; send it again later."
_UNREAD = "The document cannot be read any more: was another key put in DATA_DIR/keys? Send it again."
_LOST = "The database was restored from a backup, which holds no documents that wait. Send it again."


def _opened(desk: Desk, turn: Turn, sealed: bytes) -> ReadFile:
    with desk.reading:
        return read(desk.seal.open(turn.organisation, turn.job, sealed), desk.limits)


def _taken(conn: psycopg.Connection, desk: Desk, job: Job, said: ReadFile) -> Taken:
    """What becomes of the next part of the events, or of all of them together."""
    done = len(job.outcomes)
    events = said.events[done : done + PART] if job.error_behaviour == "proceed" else said.events

    def pointer(place: int) -> str:
        return said.pointer(done + place)

    with conn.transaction() as together:
        taken = take(
            conn, job.organisation, events, pointer, said.context, job.created_at, desk.vault, xml=said.xml
        )
        if job.error_behaviour == "rollback" and taken.faults:
            taken = jobs.faults_only(taken)
            raise psycopg.Rollback(together)
    return taken


def tidy(desk: Desk) -> None:
    """Ends jobs whose document a restored backup does not hold, and forgets those that nobody asks after any more."""
    with access.nobody(desk.databases) as conn:
        lost = jobs.lost(conn)
        jobs.forget(conn, desk.now() - desk.limits.kept)
    for id_, organisation in lost:
        with access.for_organisation(desk.databases, organisation) as conn:
            job = jobs.find(conn, id_)
            if job is not None and job.finished_at is None:
                jobs.give_up(conn, job, 503, "Lost in a restore", _LOST, desk.now())
