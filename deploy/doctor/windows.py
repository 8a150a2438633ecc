"""Sealed hours that no longer are what was sealed, as sealing and retention found them."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, ok

# Named by whom and when: the numbers of devices say nothing to people.
_FAULTY = """
SELECT device.organisation, device.external_id, start_time, fault, count(*) OVER ()
FROM window_check JOIN device ON device.id = device_id WHERE fault IS NOT NULL ORDER BY start_time, device_id LIMIT 5
"""
_LOOKED = "SELECT count(*) FROM window_check"


def windows(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        faulty = conn.execute(_FAULTY).fetchall()
        looked = conn.execute(_LOOKED).fetchone()
    for organisation, device, start, fault, _ in faulty:
        yield fail(
            "sealed hours",
            f"{organisation} {device} {start:%Y-%m-%d %H}:00: {fault} ({faulty[0][4]} in all)",
            "its readings stay and it is not amended: `suyuan audit readings` names all that differs; compare with a backup, and"
            " put back what was there. It is looked at again every hour",
        )
    if not faulty:
        yield ok(
            "sealed hours", f"of {looked[0] if looked else 0:,} that were looked at again, all were as sealed"
        )
