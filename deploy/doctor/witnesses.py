"""Who outside vouches for the logs: which witness does not, since when and what to do; the same of time stamps; and logs
that are frozen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, listed, ok, warn
from deploy.doctor.logs import minutes
from deploy.services.outside import authority, listed_witnesses
from deploy.services.process import CannotStart
from ledger.attestation import Attested, read_attested
from ledger.root_log import ROOT
from ledger.witness_list import ListedWitness

ROOT_LATE = timedelta(minutes=2)
"""A witness is asked about the root log every half minute."""
LONG = timedelta(hours=1)


def witnesses(patient: Patient) -> Iterator[Finding]:
    try:
        known = listed_witnesses(patient.settings).witnesses
    except CannotStart as error:
        yield fail("witnesses", error.message, "mend the file (docs/witnesses.md)")
        return
    if not any(each.independent for each in known):
        yield warn(
            "witnesses",
            "nobody but ourselves would notice if a log were rewritten: no witness of somebody else is listed",
            "ask a market or an authority to run `suyuan witness` and list it in SUYUAN_WITNESSES_FILE (docs/witnesses.md)",
        )
    with patient.database() as conn:
        standing = read_attested(conn, "witness")
    for witness in known:
        yield _of_witness(witness, [each for each in standing if each.party == witness.name], patient)


def _of_witness(witness: ListedWitness, standing: Sequence[Attested], patient: Patient) -> Finding:
    name = f"{witness.name} ({witness.operator.en})"
    failing = [each for each in standing if each.failing_since is not None]
    root = next((each for each in standing if each.organisation == ROOT), None)
    if failing:
        return _failing(name, witness, failing, patient)
    if root is None or root.attested_at is None:
        return warn("witnesses", f"{name} was not asked yet", "is the sequencer running, with this list?")
    age = patient.now() - root.attested_at
    if age > ROOT_LATE:
        return warn(
            "witnesses",
            f"{name} cosigned the root log last {minutes(age)} ago",
            "is the sequencer running, and is the time right here and there?",
        )
    return ok("witnesses", f"{name} cosigns {len(standing)} logs")


def _failing(name: str, witness: ListedWitness, failing: Sequence[Attested], patient: Patient) -> Finding:
    """The reason is that of the log that fails longest; most often it is the same for all."""
    first = min(failing, key=lambda each: (each.organisation != ROOT, each.failing_since or patient.now()))
    since = first.failing_since or patient.now()
    text = (
        f"{name} has not cosigned {listed(each.organisation for each in failing)} for"
        f" {minutes(patient.now() - since)} (since {since:%Y-%m-%d %H:%M} UTC): {first.failure}"
    )
    say = fail if patient.now() - since > LONG else warn
    return say(
        "witnesses",
        text,
        f"ask its operator, and try {witness.url}/healthz from here; the logs go on without it, and evidence made meanwhile lacks its word",
    )


def timestamps(patient: Patient) -> Iterator[Finding]:
    try:
        named = authority(patient.settings)
    except CannotStart as error:
        yield fail("time stamps", error.message, "deploy/env.example explains both settings")
        return
    if named is None:
        yield ok("time stamps", "no authority is named (SUYUAN_TSA_URL)")
        return
    with patient.database() as conn:
        found = [each for each in read_attested(conn, "timestamp") if each.party == named.url]
    if not found:
        yield warn(
            "time stamps", f"{named.url} was not asked yet", "is the sequencer running, with this setting?"
        )
    for each in found:
        if each.failing_since is None:
            yield ok("time stamps", f"{named.url} stamped {each.tree_size} entries of the root log last")
        else:
            yield warn(
                "time stamps",
                f"{named.url} has given none for {minutes(patient.now() - each.failing_since)}: {each.failure}",
                "ask the authority; look at SUYUAN_TSA_URL and SUYUAN_TSA_CERTIFICATES. The logs go on without",
            )


_FROZEN = (
    "SELECT organisation, frozen_at, frozen_reason FROM log WHERE frozen_at IS NOT NULL ORDER BY organisation"
)
_CONTRADICTIONS = "SELECT organisation, witness, reason FROM contradiction ORDER BY id"


def frozen(patient: Patient) -> Iterator[Finding]:
    """A log that ended by an entry is no fault; one that a witness contradicts is the worst there is."""
    with patient.database() as conn:
        contradicted = {row[0]: row for row in conn.execute(_CONTRADICTIONS)}
        ended = conn.execute(_FROZEN).fetchall()
    for organisation, witness, reason in contradicted.values():
        yield fail(
            "frozen logs",
            f"{organisation}: frozen, since {witness} holds what contradicts it: {reason}",
            "an older state was restored, or somebody else signs with this key. Both notes are in table `contradiction`: keep them"
            " and all copies, and find out which is true (docs/witnesses.md)",
        )
    for organisation, at, reason in ended:
        if organisation not in contradicted:
            yield ok("frozen logs", f"{organisation}: ended {at:%Y-%m-%d}: {reason}")
