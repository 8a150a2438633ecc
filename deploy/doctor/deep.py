"""`--deep`: every invariant of docs/invariants.md on the whole database, and every published file against it.

Asked as the owner: row-level security hides rows from the services' roles, and an invariant over hidden rows would hold
for the wrong reason. All see one snapshot, so nothing needs to be stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg

from deploy.doctor.examination import Check, Patient, blinded
from deploy.doctor.findings import Finding, fail, listed, ok, unknown
from deploy.doctor.invariants import Invariant, invariants
from deploy.doctor.logs import tiles

INVARIANT_S = 600
"""An invariant that reads the whole store of a large instance takes minutes."""
LIMIT_S = INVARIANT_S + 60.0


def checks(say: Callable[[str], None]) -> dict[str, Check]:
    """`say`: what is being asked just now, for somebody who waits."""

    def hold(patient: Patient) -> Iterator[Finding]:
        asked = invariants()
        with patient.database(statement_s=INVARIANT_S) as conn, conn.transaction():
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if (user := blinded(conn)) is not None:
                yield unknown(
                    "invariants", f"{user} does not see every row", "give the owner's URL with --database-url"
                )
                return
            for number, invariant in enumerate(asked, start=1):
                say(f"invariant {number} of {len(asked)}: {invariant.name}")
                yield _held(conn, invariant)

    def files(patient: Patient) -> Iterator[Finding]:
        say("the logs' files against their leaves")
        yield from tiles(patient)

    return {"invariants": hold, "tiles": files}


def _held(conn: psycopg.Connection, invariant: Invariant) -> Finding:
    about = "invariants"
    try:
        with conn.transaction():
            rows = conn.execute(invariant.sql.encode()).fetchmany(6)
    except psycopg.errors.QueryCanceled:
        return unknown(
            about,
            f"{invariant.name}: not answered within {INVARIANT_S} s",
            "run it by hand (docs/invariants.md)",
        )
    if rows:
        shown = listed((" ".join(map(str, row))[:120] for row in rows), 3)
        return fail(
            about,
            f"{invariant.name}: “{invariant.claim}” does not hold: {shown}",
            "keep a copy of the database as it is; docs/invariants.md says what rests on it",
        )
    return ok(about, f"{invariant.name}: {invariant.claim}")
