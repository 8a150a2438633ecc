"""What TimescaleDB's community edition does by itself: the hourly roll-up.

Its scheduler says nothing to anybody: a policy that fails, or that nobody runs, is seen here or when the disk is full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, ok
from deploy.doctor.logs import minutes
from deploy.migrate import edition

# By the name that the extension gives the procedure: what it is for us, and how it is made again.
POLICIES: Mapping[str, tuple[str, str]] = {
    "policy_refresh_continuous_aggregate": (
        "the hourly roll-up's refresh",
        "SELECT add_continuous_aggregate_policy('reading_1h', start_offset => INTERVAL '1097 days', end_offset => INTERVAL"
        " '1 hour', schedule_interval => INTERVAL '5 minutes'), then `suyuan migrate`",
    ),
}
LATE = timedelta(hours=1)
SEE_LOG = "SELECT * FROM timescaledb_information.job_errors as the owner, and the server's log, say why"
NOBODY = "its background workers do not run: timescaledb.max_background_workers, max_worker_processes, and the server's log"

_JOBS = """
SELECT job.proc_name, job.scheduled, told.last_run_status = 'Failed', told.total_failures,
       CASE WHEN isfinite(job.next_start) THEN job.next_start END
FROM timescaledb_information.jobs AS job LEFT JOIN timescaledb_information.job_stats AS told USING (job_id)
WHERE job.proc_name = 'policy_refresh_continuous_aggregate' AND job.hypertable_name IN (
  SELECT unnest(ARRAY[view_name, materialization_hypertable_name])  -- which of them: by version
  FROM timescaledb_information.continuous_aggregates WHERE view_name = 'reading_1h')
"""


@dataclass(frozen=True, slots=True)
class Job:
    """`failed` and `failures`: None where it never ran. `next_start`: when it is due; None while it runs."""

    procedure: str
    scheduled: bool
    failed: bool | None
    failures: int | None
    next_start: datetime | None


def policies(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        if edition(conn) != "timescale-community":
            return
        jobs = [Job(*row) for row in conn.execute(_JOBS)]
    yield from judged(jobs, patient.now())


def judged(jobs: Sequence[Job], now: datetime) -> Iterator[Finding]:
    """A sentence for each policy that is missing, off, failed or late; one if none is."""
    about, faults = "background jobs", 0
    for procedure, (what, remedy) in POLICIES.items():
        mine = [job for job in jobs if job.procedure == procedure]
        finding = (
            _fault(about, what, mine[0], now)
            if mine
            else fail(about, f"{what} is missing: nobody does it", remedy)
        )
        if finding is not None:
            faults += 1
            yield finding
    if not faults:
        yield ok(
            about, f"{' and '.join(what for what, _ in POLICIES.values())} is scheduled and does not fail"
        )


def _fault(about: str, what: str, job: Job, now: datetime) -> Finding | None:
    if not job.scheduled:
        return fail(about, f"{what} is switched off", "SELECT alter_job(…, scheduled => true)")
    if job.failed:
        return fail(about, f"{what} failed the last time ({job.failures} times in all)", SEE_LOG)
    if job.next_start is not None and now - job.next_start > LATE:
        return fail(
            about, f"{what} has been due for {minutes(now - job.next_start)}, and nobody ran it", NOBODY
        )
    return None
