"""Sensors' profiles: the files that cannot be used, and the devices that wait for one.

The files are read here as a worker reads them, so this speaks for workers on this machine, with these settings.
"""

from __future__ import annotations

from collections.abc import Iterator

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, listed, ok, warn
from ingest.wire.profiles import load

ABOUT = "profiles"
THEN = (
    "what its devices sent lies in quarantine as unknown_profile, and comes in by `suyuan quarantine replay`"
)

_NAMED = "SELECT profile, count(*) FROM device WHERE profile IS NOT NULL GROUP BY profile ORDER BY profile"


def profiles(patient: Patient) -> Iterator[Finding]:
    folder = patient.settings.profiles_folder
    try:
        found = load(folder)
    except OSError as error:
        yield fail(
            ABOUT,
            f"SUYUAN_PROFILES_DIR: {error.filename}: {error.strerror}",
            "name a folder that ingest's user can read: no worker starts with this one",
        )
        return
    for name, why in sorted(found.refused.items()):
        yield fail(
            ABOUT, f"{folder}/{name}.json cannot be used: {why}", f"mend it (`suyuan profile check`); {THEN}"
        )
    with patient.database() as conn:
        named = conn.execute(_NAMED).fetchall()
    missing = [
        f"{name} ({count} devices)" for name, count in named if name not in {*found.known, *found.refused}
    ]
    if missing:
        yield warn(
            ABOUT,
            f"devices are registered with profiles of which there is no file: {listed(missing)}",
            f"put {{name}}.json into SUYUAN_PROFILES_DIR, or register them with another (docs/profiles.md); {THEN}",
        )
    if not found.refused and not missing:
        yield ok(ABOUT, f"{len(found.known)} profiles can be used, {len(named)} of them by devices")
