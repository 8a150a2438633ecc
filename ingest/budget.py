"""How much of one device and day quarantine keeps: what lies beyond is counted and let go, the only loss there is.

In the line: `quarantine.within` -> here, in the batch's transaction and only where something was refused. Contract: the rows of
`quarantine_day` are locked in one order, after those of `device_sequence`, so workers with one device add up and do not
deadlock; a number that was let go is remembered as such (docs/invariants.md).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import psycopg

from ingest import sequences

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Budget:
    """Of one device and day (UTC); the unknown devices of one organisation share one, and so do those of none."""

    rows: int = 1_000
    size_bytes: int = 50 * 2**20


class Owner(NamedTuple):
    """Whose budget it is. `device`: 0 where it is not known; `organisation`: empty where it is."""

    device: int
    organisation: str


class Wish(NamedTuple):
    """A row that would be kept."""

    owner: Owner
    message: int
    boot: int | None
    seq: int | None
    size_bytes: int
    records: int
    reason: str


@dataclass(slots=True)
class _Spent:
    """What was kept of an owner and day before, and what is added now."""

    rows: int
    size_bytes: int
    was_beyond: bool
    more_rows: int = 0
    more_bytes: int = 0
    let_go: list[Wish] = field(default_factory=list)


def spend(
    conn: psycopg.Connection, most: Budget, received_at: datetime, wishes: Sequence[Wish]
) -> list[bool]:
    """For each wish whether its row is to be kept; what is not is counted in the caller's transaction."""
    if not wishes:
        return []
    day = received_at.astimezone(UTC).date()
    spent = _lock(conn, day, {wish.owner for wish in wishes})
    kept = [_fits(most, spent[wish.owner], wish) for wish in wishes]
    _add(conn, day, received_at, spent)
    let_go = [wish for each in spent.values() for wish in each.let_go]
    if let_go:
        _remember_numbers(conn, let_go)
    for owner, each in spent.items():
        if each.let_go and not each.was_beyond:  # once a day: it may go on with every batch
            logger.warning("beyond the budget of quarantine", extra=owner._asdict())
    return kept


# It writes nothing new, and returns the row as it stands under its lock.
_LOCK = """
INSERT INTO quarantine_day AS spent (day, device_id, organisation)
SELECT %s::date, * FROM unnest(%s::integer[], %s::text[]) AS owner (device_id, organisation) ORDER BY 2, 3
ON CONFLICT (day, device_id, organisation) DO UPDATE SET kept_rows = spent.kept_rows
RETURNING device_id, organisation, kept_rows, kept_bytes, let_go_messages > 0
"""


def _lock(conn: psycopg.Connection, day: object, owners: Iterable[Owner]) -> dict[Owner, _Spent]:
    ordered = sorted(owners)
    rows = conn.execute(
        _LOCK, [day, [owner.device for owner in ordered], [owner.organisation for owner in ordered]]
    )
    return {Owner(row[0], row[1]): _Spent(*row[2:]) for row in rows}


def _fits(most: Budget, spent: _Spent, wish: Wish) -> bool:
    rows, size = spent.rows + spent.more_rows + 1, spent.size_bytes + spent.more_bytes + wish.size_bytes
    if rows > most.rows or size > most.size_bytes:
        spent.let_go.append(wish)
        return False
    spent.more_rows += 1
    spent.more_bytes += wish.size_bytes
    return True


_ADD = """
UPDATE quarantine_day AS spent SET
  kept_rows = kept_rows + more.rows, kept_bytes = kept_bytes + more.bytes,
  let_go_messages = let_go_messages + more.messages, let_go_records = let_go_records + more.records,
  first_let_go_at = CASE WHEN more.messages > 0 THEN coalesce(first_let_go_at, %(at)s) ELSE first_let_go_at END,
  last_let_go_at = CASE WHEN more.messages > 0 THEN %(at)s ELSE last_let_go_at END,
  last_reason = coalesce(more.reason, last_reason)
FROM unnest(%(device)s::integer[], %(organisation)s::text[], %(rows)s::integer[], %(bytes)s::bigint[], %(messages)s::bigint[],
            %(records)s::bigint[], %(reason)s::text[]) AS more (device_id, organisation, rows, bytes, messages, records, reason)
WHERE spent.day = %(day)s AND spent.device_id = more.device_id AND spent.organisation = more.organisation
"""


def _add(conn: psycopg.Connection, day: object, at: datetime, spent: dict[Owner, _Spent]) -> None:
    each = spent.values()
    conn.execute(
        _ADD,
        {
            "day": day, "at": at,
            "device": [owner.device for owner in spent], "organisation": [owner.organisation for owner in spent],
            "rows": [found.more_rows for found in each], "bytes": [found.more_bytes for found in each],
            "messages": [len({wish.message for wish in found.let_go}) for found in each],
            "records": [sum(wish.records for wish in found.let_go) for found in each],
            "reason": [found.let_go[-1].reason if found.let_go else None for found in each],
        },
    )  # fmt: skip


_REMEMBER = """
UPDATE device_sequence AS held
SET let_go = held.let_go + sent.numbers::int8multirange * int8multirange(int8range(known_from, NULL))
FROM unnest(%s::integer[], %s::bigint[], %s::text[]) AS sent (device_id, boot, numbers)
WHERE held.device_id = sent.device_id AND held.boot = sent.boot
"""


def _remember_numbers(conn: psycopg.Connection, let_go: Iterable[Wish]) -> None:
    numbered = [
        (wish.owner.device, wish.boot, wish.seq)
        for wish in let_go
        if wish.owner.device and wish.seq is not None
    ]
    if not numbered:
        return
    device, boot, seq = np.array(numbered, np.int64).T
    found = sequences.ranges(device, boot, seq)
    conn.execute(_REMEMBER, [[key[0] for key in found], [key[1] for key in found], list(found.values())])
