"""The logs: what was signed for, what is published, and what the database holds are of one history and up to date.

Read in this order: published checkpoint, head, database. The sequencer writes them the other way round, so each may be
ahead of the one read before and never behind it, however much is written while we look.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, listed, ok, warn
from ledger.freezing import frozen_by
from ledger.head_store import Head, HeadStore
from ledger.log_files import CLOCK_VKEY
from ledger.reader import LogReader, open_log
from ledger.root_log import ROOT
from ledger.translog.cosignature import parse_cosigner_vkey, verify_cosignatures
from ledger.translog.note import split_note
from ledger.translog.verify import VerifyError

MOMENT_S = 3.0
FRESH = timedelta(minutes=1)
LATE, TOO_LATE = timedelta(minutes=1), timedelta(minutes=10)
HEADS = "DATA_DIR/heads is what protects a log from signing two histories: never restore an older copy of it (docs/backup.md)"
SEQUENCER = "is the sequencer running, and what does its log say?"


Pair = tuple[LogReader | None, Head | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """One log, as the database knows it. `tree_size` None: it does not."""

    tree_size: int | None
    origin: str | None
    waiting: int
    waiting_since: datetime | None


def logs(patient: Patient) -> Iterator[Finding]:
    heads = HeadStore(patient.settings.data_dir / "heads")
    pairs: dict[str, Pair] = {}
    faults = 0
    for organisation in heads.organisations():
        try:
            pairs[organisation] = _read(patient, heads, organisation)
        except (VerifyError, ValueError) as error:
            faults += 1
            yield fail(
                "logs",
                f"{organisation}: its published checkpoint or its head cannot be read: {error}",
                "restore DATA_DIR/log from a copy; the sequencer signs the head again",
            )
    with patient.database() as conn:
        standing = _standing(conn)
    for organisation in sorted({*standing} | {*pairs}):
        if organisation not in pairs and organisation in heads.organisations():
            continue  # it could not be read, which is said
        log, head = pairs.get(organisation, (None, None))
        found = list(_compare(organisation, log, head, standing.get(organisation, NOTHING), patient))
        faults += len(found)
        yield from found
    if not faults:
        size = sum(log.tree_size for log, _ in pairs.values() if log is not None)
        yield ok(
            "logs",
            f"{len(pairs)} logs, {size:,} leaves published: files, heads and database are one history",
        )


def _read(patient: Patient, heads: HeadStore, organisation: str) -> Pair:
    """The published log, and the head read after it. A head moves a moment before its checkpoint is published: that moment
    is waited for, and both are read again."""
    deadline = time.monotonic() + MOMENT_S
    while True:
        log = open_log(patient.settings.log_dir, organisation)
        head = heads.read(organisation)
        behind = head is not None and head.size > (log.tree_size if log is not None else 0)
        if not behind or time.monotonic() > deadline:
            return log, head
        time.sleep(0.1)


NOTHING = Standing(None, None, 0, None)
_STANDING = """
SELECT coalesce(log.organisation, waiting.organisation), log.tree_size, log.origin, coalesce(waiting.n, 0), waiting.since
FROM log FULL JOIN (SELECT organisation, count(*) AS n, min(created_at) AS since FROM pending GROUP BY organisation) AS waiting
  ON waiting.organisation = log.organisation
"""


def _standing(conn: psycopg.Connection) -> dict[str, Standing]:
    return {row[0]: Standing(*row[1:]) for row in conn.execute(_STANDING)}


def _compare(
    organisation: str, log: LogReader | None, head: Head | None, known: Standing, patient: Patient
) -> Iterator[Finding]:
    if head is None:
        if known.tree_size is not None:
            yield fail(
                "logs",
                f"{organisation}: the database has its log, and there is no head of it",
                "restore DATA_DIR/heads from its backup; nothing is signed without it",
            )
    elif known.tree_size is None or known.tree_size < head.size:
        yield fail(
            "logs",
            f"{organisation}: the database has {known.tree_size or 0} leaves, and its log has signed for {head.size}",
            "an older state of the database was restored: run `suyuan recover` (docs/backup.md); until then this log is closed",
        )
    elif known.origin != head.origin:
        yield fail(
            "logs",
            f"{organisation}: its log is {known.origin} in the database and {head.origin} in the head store",
            HEADS,
        )
    yield from _published(organisation, log, head)
    if head is not None and head.frozen is not None:
        yield _frozen(organisation, log, head.frozen, known)
        return
    yield from _late(organisation, known, patient)
    if organisation == ROOT and log is not None:
        yield from _clock(log, patient)


def _published(organisation: str, log: LogReader | None, head: Head | None) -> Iterator[Finding]:
    if log is None:
        if head is not None and head.size:
            yield fail(
                "logs",
                f"{organisation}: its head is at {head.size} leaves, and no checkpoint is published",
                f"restore DATA_DIR/log; {SEQUENCER}",
            )
        return
    if head is None or log.tree_size > head.size:
        size = head.size if head else 0
        yield fail(
            "logs",
            f"{organisation}: {log.tree_size} leaves are published, and the head is at {size}",
            f"an older head was restored. Stop the sequencer now. {HEADS}",
        )
    elif log.tree_size == head.size and log.root_hash != head.root_hash:
        yield fail(
            "logs",
            f"{organisation}: the published root of {head.size} leaves is not the head's",
            f"stop the sequencer, and keep both. {HEADS}",
        )
    elif log.tree_size < head.size:
        yield warn(
            "logs",
            f"{organisation}: the head is at {head.size}, the published checkpoint at {log.tree_size}",
            f"a crash between the two leaves this, and the sequencer mends it: {SEQUENCER}",
        )


def _frozen(organisation: str, log: LogReader | None, reason: str, known: Standing) -> Finding:
    """An operator ended it, or it ended itself because somebody proved something of it."""
    waiting = f"; {known.waiting} entries wait, and will never be in it" if known.waiting else ""
    text = f"{organisation}: its log is frozen ({reason}){waiting}"
    if log is not None and log.tree_size and frozen_by(log.entry(log.tree_size - 1)) is not None:
        return warn(
            "logs", text, "that is for ever: what its organisation records is in the database and unproven"
        )
    return fail(
        "logs",
        text,
        "it froze itself: keep its files, heads and database as they are, and compare them with the witness's checkpoint",
    )


def _clock(log: LogReader, patient: Patient) -> Iterator[Finding]:
    """How long ago the root log said that its checkpoint is the current one."""
    vkey = log.files.read(CLOCK_VKEY)
    if vkey is None:
        yield fail(
            "logs", "root: it has no clock.vkey beside its checkpoint", f"restore DATA_DIR/log; {SEQUENCER}"
        )
        return
    text, lines = split_note(log.checkpoint)
    said = verify_cosignatures(text, lines, [parse_cosigner_vkey(vkey.decode().strip())])
    age = patient.now() - datetime.fromtimestamp(max((each.time for each in said), default=0), UTC)
    if age > FRESH:
        yield warn(
            "logs",
            f"root: its clock is {minutes(age)} old, and evidence seems to be of an old state",
            SEQUENCER,
        )
    elif age < -FRESH:
        yield warn(
            "logs",
            f"root: its clock is {minutes(-age)} ahead",
            "set this machine's clock: suyuan doctor says how",
        )


def _late(organisation: str, known: Standing, patient: Patient) -> Iterator[Finding]:
    if not known.waiting or known.waiting_since is None:
        return
    age = patient.now() - known.waiting_since
    text = f"{organisation}: {known.waiting} entries wait for their place in the log, the oldest for {minutes(age)}"
    if age > TOO_LATE:
        yield fail("logs", text, SEQUENCER)
    elif age > LATE:
        yield warn("logs", text, SEQUENCER)


def minutes(age: timedelta) -> str:
    return (
        f"{age.total_seconds() / 60:.0f} min"
        if age < timedelta(hours=3)
        else f"{age.total_seconds() / 3600:.0f} h"
    )


def tiles(patient: Patient) -> Iterator[Finding]:
    """For --deep: every bundle and tile of each published log against the leaves, up to its checkpoint."""
    from deploy.doctor.tiles import compare_log

    for organisation in HeadStore(patient.settings.data_dir / "heads").organisations():
        log = open_log(patient.settings.log_dir, organisation)
        if log is None:
            continue
        with patient.database(statement_s=600) as conn:
            faults = list(compare_log(conn, organisation, log))
        if faults:
            yield fail(
                "tiles",
                f"{organisation}: {listed(faults)}",
                "files or database were changed from outside: keep both, stop the sequencer, compare with a copy",
            )
        else:
            yield ok(
                "tiles",
                f"{organisation}: the files of {log.tree_size:,} leaves are those of the database, up to the signed root",
            )
