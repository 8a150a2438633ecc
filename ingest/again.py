"""Rows of quarantine that go down the line once more, and how a batch's account takes them back.

In the line: `replay` -> `pipeline` -> here, in the batch's transaction. Contract: the account of a replay is what its messages
come to now, less what the rows stood for: received = stored + duplicate + conflict + quarantined holds for it as for any
batch, and in all of them together every record counts once for each time it was sent. A message that is refused as it was
changes nothing: its rows stay open. Else its rows are closed, and what is still refused of it has new ones.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import psycopg

from ingest.accounting import Tallies
from ingest.quarantine import Refused

Result = Literal["taken", "partly", "refused", "unchanged"]


@dataclass(frozen=True, slots=True)
class Row:
    """An open row. `device`: None where it was not known."""

    id: int
    device: int | None
    boot: int | None
    seq: int | None
    records: int
    reason: str


@dataclass(slots=True)
class Former:
    """The rows of one message, or of equal ones of one batch; `messages`: its places in the batch that is replayed."""

    rows: list[Row]
    messages: range
    result: Result = "unchanged"
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Again:
    """`at`: now, by our clock; the batch's own is the one at which the messages came."""

    formers: Sequence[Former]
    at: datetime

    def take_back(self, tallies: Tallies) -> None:
        for row in (row for former in self.formers for row in former.rows):
            device = row.device or 0
            tallies.received[device] -= row.records
            (tallies.conflict if row.reason == "conflict" else tallies.quarantined)[device] -= row.records

    def refused_anew(self, refused: Sequence[Refused], records: Sequence[int]) -> list[Refused]:
        """What needs a row now. `records`: of each message, as decoded."""
        anew: list[Refused] = []
        by_message: dict[int, list[Refused]] = defaultdict(list)
        for row in refused:
            by_message[row.message].append(row)
        for former in self.formers:
            now = [row for message in former.messages for row in by_message[message]]
            former.reasons = _counted(now)
            if former.reasons != _counted(former.rows):
                anew += now
                still, all_of_it = sum(former.reasons.values()), sum(records[at] for at in former.messages)
                former.result = "taken" if not still else "partly" if still < all_of_it else "refused"
        return anew

    def close(self, conn: psycopg.Connection, batch_id: int) -> None:
        """After the new rows were written and the numbers of what was taken were merged."""
        closed = [
            (row, former.result)
            for former in self.formers
            if former.result != "unchanged"
            for row in former.rows
        ]
        conn.execute(
            _CLOSE,
            [batch_id, self.at, [row.id for row, _ in closed], [result for _, result in closed]],
        )
        numbered = [row for row, _ in closed if row.device is not None and row.seq is not None]
        numbers = (
            [row.device for row in numbered],
            [row.boot for row in numbered],
            [row.seq for row in numbered],
        )
        conn.execute(_LOCK, numbers[:2])
        conn.execute(_RELEASE, (*numbers, self.at))


def _counted(rows: Sequence[Row] | Sequence[Refused]) -> dict[str, int]:
    """Records by reason."""
    found: Counter[str] = Counter()
    for row in rows:
        found[row.reason] += row.records
    return dict(found)


# The primary key is what makes a row count once, whatever runs beside us.
_CLOSE = """
INSERT INTO quarantine_replay (quarantine_id, batch_id, replayed_at, outcome)
SELECT closed.id, %s, %s, closed.outcome FROM unnest(%s::bigint[], %s::text[]) AS closed (id, outcome)
"""

# A worker that refuses the same number again holds this lock until its row of quarantine is there to be seen.
_LOCK = """
SELECT FROM device_sequence
WHERE (device_id, boot) IN (SELECT * FROM unnest(%s::integer[], %s::bigint[])) ORDER BY device_id, boot FOR UPDATE
"""

# A number is refused as long as any row of it is open, or was let go. One that is not stored then either was another message's,
# and is a gap.
_RELEASE = """
WITH freed AS (
  SELECT device_id, boot, range_agg(int8range(seq, seq, '[]')) AS numbers
  FROM unnest(%s::integer[], %s::bigint[], %s::bigint[]) AS closed (device_id, boot, seq)
  WHERE NOT EXISTS (SELECT FROM quarantine_open AS kept
                    WHERE kept.device_id = closed.device_id AND kept.boot = closed.boot AND kept.seq = closed.seq)
  GROUP BY device_id, boot
), released AS (
  UPDATE device_sequence AS held SET refused = held.refused - (freed.numbers - held.let_go)
  FROM freed WHERE held.device_id = freed.device_id AND held.boot = freed.boot
  RETURNING held.device_id, NOT held.stored @> (freed.numbers - held.let_go) AS missing
)
INSERT INTO sequence_mark (created_at, device_ids)
SELECT %s, array_agg(DISTINCT device_id) FROM released WHERE missing HAVING count(*) > 0
"""
