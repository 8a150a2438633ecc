"""Capture: the documents that were taken in and whose events are not yet in the record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, ok, warn
from deploy.doctor.logs import minutes

ABOUT = "capture"
LATE = timedelta(minutes=5)
TOO_LATE = timedelta(hours=1)
MANY = 500

_WAITING = """
SELECT count(*), min(capture_job.created_at), coalesce(sum(capture_job.events), 0)::bigint,
       count(*) FILTER (WHERE capture_document.attempts = 0), coalesce(max(capture_document.attempts), 0)
FROM capture_document JOIN capture_job ON capture_job.id = capture_document.job
"""


def capture(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        row = conn.execute(_WAITING).fetchone()
    assert row is not None
    yield _judged(patient.settings.capture_workers, patient.now(), *row)


def _judged(
    threads: int, now: datetime, waiting: int, since: datetime | None, events: int, untouched: int, tried: int
) -> Finding:
    """`threads`: of each API process. `untouched`: documents that nobody has begun; `tried`: the most times one was begun."""
    if since is None:
        return ok(ABOUT, "no document waits")
    age = now - since
    text = f"{waiting} documents of {events} events wait, the oldest for {minutes(age)}; {untouched} of them nobody has begun"
    if age <= LATE and waiting <= MANY:
        return ok(ABOUT, text)
    judge = fail if age > TOO_LATE else warn
    return judge(ABOUT, text, _next(threads, waiting == untouched, tried))


def _next(threads: int, none_begun: bool, tried: int) -> str:
    if tried > 1:
        return f"one was begun {tried} times: the log of `suyuan api` or `suyuan capture` says what fails"
    if none_begun:
        working = (
            f"`suyuan api`, which has {threads} threads for it, or `suyuan capture`"
            if threads
            else "`suyuan capture`"
        )
        return f"nobody works them off: start {working}, as its log may say why not"
    return "they come in faster than they are worked off: run more `suyuan capture`, or raise SUYUAN_CAPTURE_WORKERS"
