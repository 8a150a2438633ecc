"""The services: who runs, by the leases they hold in the database, and whether what waits for them gets old."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta

import psycopg

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, grave, listed, ok, warn
from deploy.doctor.logs import LATE, TOO_LATE, minutes
from ingest.jobs import CONSUMERS, LEASE_LOCK
from ingest.sessions import SLOT_LOCK
from ledger.sequencer import ADVISORY_LOCK

HTTP_S = 10

# A lock with two keys has them in classid and objid, and objsubid 2; one with a single key has its halves there, and 1.
_LEASES = """
SELECT objsubid, classid::bigint, objid::bigint, pid FROM pg_locks
WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def alive(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        leases = conn.execute(_LEASES).fetchall()
    held = {(kind, first, second) for kind, first, second, _ in leases}
    # A worker may hold a second slot: a dead one's, which it drains.
    workers = len({pid for kind, first, _, pid in leases if (kind, first) == (2, SLOT_LOCK)})
    consumers = [name for number, name in enumerate(CONSUMERS) if (2, LEASE_LOCK, number) in held]
    sequencer = (1, 0, ADVISORY_LOCK) in held
    yield _runs(patient, "ingest", workers, f"{workers} workers hold a slot")
    if workers > 1 and not patient.settings.mqtt_share_group:
        yield fail(
            "services",
            f"{workers} ingest workers, and SUYUAN_MQTT_SHARE_GROUP is empty",
            "each takes every message: name a group, or run one worker",
        )
    missing = [name for name in CONSUMERS if name not in consumers]
    if consumers and missing:
        yield fail(
            "services",
            f"jobs runs without {listed(missing)}",
            "see the log of `suyuan jobs`: one of its threads does not get its lease",
        )
    else:
        yield _runs(patient, "jobs", len(consumers), f"holds the leases of {listed(consumers)}")
    yield _runs(patient, "sequencer", int(sequencer), "holds its lock")


def _runs(patient: Patient, name: str, holders: int, text: str) -> Finding:
    if holders:
        return ok("services", f"{name} runs: {text}")
    return grave(
        patient.production,
        "services",
        f"{name} does not run: nobody holds its lease",
        f"start `suyuan {name}`",
    )


_WAITING = """
SELECT 'marks for ' || consumer, count(*), min(created_at) FROM mark GROUP BY consumer
"""
_BEHIND = """
SELECT count(*), min(leaf.record_time) FROM leaf
WHERE leaf.position > coalesce((SELECT min(position) FROM projection), 0)
"""


def waiting(patient: Patient) -> Iterator[Finding]:
    """What the jobs have not done yet. What waits for the sequencer is with the logs."""
    with patient.database() as conn:
        late = [_late(patient, what, number, since) for what, number, since in conn.execute(_WAITING)]
        behind = conn.execute(_BEHIND).fetchone()
        if behind is not None and behind[0]:
            late.append(_late(patient, "events to be projected", *behind))
        found = [finding for finding in late if finding is not None]
        yield from found
        if not found:
            yield ok("services", "nothing has waited for jobs longer than a minute")
        yield from _set_aside(conn)


def _late(patient: Patient, what: str, number: int, since: object) -> Finding | None:
    age = patient.now() - since if since is not None else timedelta()  # type: ignore[operator]
    text = f"{number} {what}, the oldest for {minutes(age)}"
    if age > TOO_LATE:
        return fail("services", text, "is `suyuan jobs` running, and what does its log say?")
    if age > LATE:
        return warn(
            "services", text, "jobs is behind: its log says whether a step fails, or there is too much"
        )
    return None


def _set_aside(conn: psycopg.Connection) -> Iterator[Finding]:
    rows = conn.execute("SELECT position, part, reason FROM set_aside ORDER BY at DESC LIMIT 20").fetchall()
    if rows:
        shown = listed((f"position {position} ({part}: {reason[:80]})" for position, part, reason in rows), 2)
        yield warn(
            "services",
            f"events that could not be projected were set aside: {shown}",
            "look at the table set_aside: the lots they name are shown without them",
        )


def web(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.listen_host, settings.listen_host)  # noqa: S104 - asked, not opened
    local = _get(f"http://{host}:{settings.listen_port}/readyz")
    if local is None:
        yield ok("services", f"api is ready at {host}:{settings.listen_port}")
    else:
        yield grave(
            patient.production,
            "services",
            f"api is not ready at {host}:{settings.listen_port}: {local}",
            "start `suyuan api` (on another machine: ask its /readyz)",
        )
    if patient.production and "@" not in settings.public_url:
        public = _get(f"{settings.public_url.rstrip('/')}/healthz")
        if public is None:
            yield ok("services", f"{settings.public_url} answers")
        else:
            yield warn(
                "services",
                f"{settings.public_url} does not answer from here: {public}",
                "open it with a phone: name, certificate, proxy; some networks do not let a machine reach its own public name",
            )


def _get(url: str) -> str | None:
    """None if it answers well, else what was wrong."""
    try:
        with urllib.request.urlopen(url, timeout=HTTP_S):  # noqa: S310 - a configured address
            return None
    except urllib.error.HTTPError as error:
        return f"status {error.code}"
    except (urllib.error.URLError, OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
