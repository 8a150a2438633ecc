"""Table `attestation`: who outside was asked to vouch for which log, when it last did, and since when it does not.

Written by the threads beside the sequencer, read by `suyuan doctor`, the metrics and the pages. Contract: one row a kind,
party and log; `failing_since` is the first failure of a row of them, however often it is asked again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import psycopg

Kind = Literal["witness", "timestamp"]
_MAX_FAILURE = 500


@dataclass(frozen=True, slots=True)
class Attested:
    """`party`: a witness's name, or the address of a time-stamp authority. `tree_size`, `attested_at`: of the newest it
    vouched for, None where it never did; `failing_since`, `failure`: None while all is well.
    """

    kind: Kind
    party: str
    organisation: str
    tree_size: int | None
    attested_at: datetime | None
    failing_since: datetime | None = None
    failure: str | None = None


def read_attested(conn: psycopg.Connection, kind: Kind, party: str | None = None) -> list[Attested]:
    """Of one party, or of all of a kind, by party and log."""
    return [Attested(*row) for row in conn.execute(_READ, {"kind": kind, "party": party})]


_READ = """
SELECT kind, party, organisation, tree_size, attested_at, failing_since, failure FROM attestation
WHERE kind = %(kind)s AND (%(party)s::text IS NULL OR party = %(party)s)
ORDER BY party, organisation
"""


def note_attested(conn: psycopg.Connection, attested: Attested, now: datetime) -> bool:
    """True if it had been failing until now."""
    row = conn.execute(
        _ATTESTED,
        {
            "kind": attested.kind, "party": attested.party, "organisation": attested.organisation,
            "size": attested.tree_size, "at": attested.attested_at, "now": now,
        },
    ).fetchone()  # fmt: skip
    return row is not None and bool(row[0])


# The sub-select sees the row as it was before this statement.
_ATTESTED = """
INSERT INTO attestation (kind, party, organisation, tree_size, attested_at, asked_at)
VALUES (%(kind)s, %(party)s, %(organisation)s, %(size)s, %(at)s, %(now)s)
ON CONFLICT (kind, party, organisation) DO UPDATE
SET tree_size = EXCLUDED.tree_size, attested_at = EXCLUDED.attested_at, asked_at = EXCLUDED.asked_at, failing_since = NULL, failure = NULL
RETURNING (SELECT old.failing_since IS NOT NULL FROM attestation AS old
           WHERE old.kind = %(kind)s AND old.party = %(party)s AND old.organisation = %(organisation)s)
"""


def note_failing(
    conn: psycopg.Connection, kind: Kind, party: str, organisation: str, reason: str, now: datetime
) -> bool:
    """True if this is the first failure since it last did well."""
    row = conn.execute(_FAILING, [kind, party, organisation, now, now, reason[:_MAX_FAILURE]]).fetchone()
    return row is not None and row[0] == now


_FAILING = """
INSERT INTO attestation (kind, party, organisation, asked_at, failing_since, failure) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (kind, party, organisation) DO UPDATE
SET asked_at = EXCLUDED.asked_at, failing_since = coalesce(attestation.failing_since, EXCLUDED.failing_since), failure = EXCLUDED.failure
RETURNING failing_since
"""


def forget_others(conn: psycopg.Connection, kind: Kind, parties: Sequence[str]) -> None:
    """Those that are no longer asked."""
    conn.execute("DELETE FROM attestation WHERE kind = %s AND NOT party = ANY (%s)", [kind, list(parties)])
