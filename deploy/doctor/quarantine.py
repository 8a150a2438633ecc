"""Quarantine: what was let go beyond its budget, which is the only loss there is, and what lies there and waits for somebody."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, listed, ok, warn

ABOUT = "quarantine"
RECENT_DAYS = 7

_LET_GO = """
SELECT spent.day, coalesce(device.external_id, 'unknown devices' || CASE spent.organisation WHEN '' THEN '' ELSE ' of ' || spent.organisation END),
       spent.let_go_messages, spent.last_reason
FROM quarantine_day AS spent LEFT JOIN device ON device.id = spent.device_id
WHERE spent.let_go_messages > 0 AND spent.day > %s::date - %s ORDER BY spent.day DESC, spent.let_go_messages DESC
"""
_WAITING = "SELECT reason, sum(rows)::bigint FROM quarantine_count GROUP BY reason ORDER BY 2 DESC"
_MENDED = "decoder_fault"


def quarantine(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        let_go = conn.execute(_LET_GO, [patient.now(), RECENT_DAYS]).fetchall()
        waiting = dict(conn.execute(_WAITING).fetchall())
    if let_go:
        shown = listed(
            (f"{messages} messages of {who} on {day} ({reason})" for day, who, messages, reason in let_go), 3
        )
        yield fail(
            ABOUT,
            f"beyond the budget of quarantine, and lost: {shown}",
            "`suyuan quarantine list --device ...` shows what it sends; mend it, or raise SUYUAN_QUARANTINE_ROWS and _MEGABYTES",
        )
    if waiting.get(_MENDED):
        yield warn(
            ABOUT,
            f"our own code failed on {waiting[_MENDED]} messages",
            "once this release reads them: `suyuan quarantine replay --reason decoder_fault`",
        )
    if not let_go:
        said = listed(f"{rows} {reason}" for reason, rows in waiting.items()) or "nothing"
        yield ok(ABOUT, f"nothing was let go; there lies: {said}")
