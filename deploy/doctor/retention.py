"""How far back raw readings go, and why they are still there if they are too old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, ok, warn
from ingest.retention import MARGIN

LATE = timedelta(days=3)

_STATE = """
SELECT whole_since, (SELECT min(since) FROM legal_hold WHERE released_at IS NULL),
       (SELECT received_at FROM batch ORDER BY id LIMIT 1)
FROM reading_horizon
"""


@dataclass(frozen=True, slots=True)
class State:
    """`whole_since`: the horizon. `held`: since when a legal hold keeps everything. `first`: when the first batch came."""

    whole_since: datetime
    held: datetime | None
    first: datetime | None


def retention(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        row = conn.execute(_STATE).fetchone()
    assert row is not None
    yield judged(State(*row), patient.now(), patient.settings.retention)


def judged(state: State, now: datetime, keep: timedelta) -> Finding:
    about, due = "retention", now - keep - MARGIN
    if state.first is None or now - state.first < LATE:
        return ok(about, f"raw readings will be kept for {keep.days} days")
    if state.held is not None and state.held < due:
        return ok(about, f"a legal hold keeps raw readings since {state.held:%Y-%m-%d}")
    if due - state.whole_since > LATE:
        return warn(
            about,
            f"raw readings are to be kept for {keep.days} days, and none since before {due - LATE:%Y-%m-%d} was dropped",
            "is `suyuan jobs` running, and what does its log say that retention waits for?",
        )
    return ok(about, f"raw readings are kept for {keep.days} days: since {state.whole_since:%Y-%m-%d}")
