"""The keys: there, closed to others, and those that the logs were begun with."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, listed, ok, warn
from ingest.quarantine import MonthlyKeys, due
from ledger.errors import LedgerError
from ledger.head_store import HeadStore
from ledger.keys import KeyStore
from ledger.log_files import VKEY, LogFiles
from ledger.root_log import ROOT

FROM_BACKUP = "restore DATA_DIR/keys from its backup; a key made anew would begin another log"


def closed(patient: Patient) -> Iterator[Finding]:
    folder = patient.settings.keys_dir
    if not _is_there(folder):
        if HeadStore(patient.settings.data_dir / "heads").organisations():
            yield fail("keys", f"{folder} is missing, and logs were begun", FROM_BACKUP)
        else:
            yield ok("keys", f"{folder} will be made with the first key")
        return
    if not os.access(folder, os.R_OK | os.X_OK):
        yield _closed_to_us(folder)
        return
    inside = sorted(folder.iterdir())
    open_ones = [path for path in (folder, *inside) if path.stat().st_mode & 0o077]
    foreign = [path for path in inside if path.stat().st_uid != folder.stat().st_uid]
    if open_ones:
        yield fail(
            "keys",
            f"others may read {_named(open_ones)}",
            f"chmod 700 {folder} and chmod 600 {folder}/*; whoever could read a log's key could have signed with it",
        )
    if foreign:
        yield fail(
            "keys",
            f"{_named(foreign)} belong to another user than the folder",
            "give them to the user that the services run as",
        )
    if not (open_ones or foreign):
        yield ok("keys", f"{folder} and its {len(inside)} files are their owner's alone")


def _is_there(folder: Path) -> bool:
    """Raises nothing: where we may not look, something is there."""
    try:
        return folder.is_dir()
    except PermissionError:
        return True


def _closed_to_us(path: Path) -> Finding:
    return fail(
        "keys", f"{path} cannot be read by this user", "run the doctor as the user that the services run as"
    )


def _named(paths: Iterable[Path]) -> str:
    return listed(path.name for path in paths)


def fit(patient: Patient) -> Iterator[Finding]:
    """Each log's key is there and makes the signatures that its published verifier key checks."""
    heads = HeadStore(patient.settings.data_dir / "heads")
    keys, faults, seen = KeyStore(patient.settings.keys_dir), 0, 0
    for organisation in heads.organisations():
        head = heads.read(organisation)
        if head is None:
            continue
        seen += 1
        try:
            own = {str(key.verifier) for key in keys.log_keys(organisation, head.origin)}
            keys.organisation_key(organisation)
            if organisation == ROOT:
                keys.clock_key(organisation, head.origin)
        except PermissionError:
            yield _closed_to_us(patient.settings.keys_dir)
            return
        except (LedgerError, ValueError) as error:
            faults += 1
            yield fail("keys", str(error), FROM_BACKUP)
            continue
        published = LogFiles(patient.settings.log_dir / organisation).read(VKEY)
        if published is not None and published.decode().strip() not in own:
            faults += 1
            yield fail(
                "keys", f"the key of {organisation}'s log is not the one of its published vkey", FROM_BACKUP
            )
    if seen and not faults:
        yield ok("keys", f"{seen} logs have their keys, and they fit the published ones")
    if not seen:
        yield ok("keys", "no log has begun yet")


def of_quarantine(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        months = [month for (month,) in conn.execute("SELECT DISTINCT key_month FROM quarantine ORDER BY 1")]
    folder = patient.settings.keys_dir
    try:
        missing = [month for month in months if not (folder / f"quarantine-{month}.key").is_file()]
    except PermissionError:
        yield _closed_to_us(folder)
        return
    if missing:
        yield fail(
            "keys",
            f"what was quarantined in {listed(missing)} cannot be opened: its key is missing",
            "restore it from the keys' backup; `suyuan quarantine forget` leaves an empty file where a key was thrown away",
        )
    elif months:
        yield ok("keys", f"quarantine's keys of {len(months)} months are there, or thrown away")
    old = due(MonthlyKeys(folder).months(), patient.settings.quarantine_months, patient.now())
    if old:
        yield warn(
            "keys",
            f"payloads that were quarantined in {listed(old)} are older than SUYUAN_QUARANTINE_MONTHS",
            "`suyuan quarantine forget` ends them: what a person typed is not kept for ever",
        )
