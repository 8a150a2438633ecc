"""The end of a log: nothing is added to a frozen one, and nothing further is signed for it.

Two ways lead here. An operator freezes a log by an entry, which the sequencer makes its last leaf: the final
checkpoint is signed and may be cosigned. And a log freezes itself, without an entry, when somebody proves that
it is behind or forked: then not even a checkpoint is signed any more. Contract: the head store says so before
anything else does, and no restart, restore or take-over makes it forget.
"""

from dataclasses import replace
from datetime import datetime

import psycopg

from ledger.entry import parse_entry
from ledger.entry_bodies import FreezeBody
from ledger.errors import LedgerError
from ledger.head_store import HeadMoved, HeadStore
from ledger.strict_json import strict


class LogFrozen(LedgerError):
    """This log is frozen. Nothing is added to it or signed for it any more, and what is recorded waits."""


def freeze_log(heads: HeadStore, organisation: str, reason: str) -> None:
    """Freezes a log without an entry, as it stands; for who holds the proof that it must not go on.

    `reason`: 1 to 200 characters (EntryError). The first reason stays. LogFrozen if there is no such log.
    """
    FreezeBody.read({"reason": reason})
    while (head := heads.read(organisation)) is None or head.frozen is None:
        if head is None:
            raise LogFrozen(f"{organisation}: no head to freeze, so nothing is signed for it either")
        try:
            heads.swap(organisation, head, replace(head, frozen=reason))
        except HeadMoved:  # the sequencer was faster: what it moved to is frozen
            continue


def ask_freeze(
    conn: psycopg.Connection, organisation: str, origin: str, body: FreezeBody, at: datetime
) -> None:
    """A pending `freeze` entry: the last one that the sequencer will take of this log."""
    conn.execute(_ASK, [organisation, origin, strict(body.value()), at])


_ASK = """
INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at)
VALUES (%s, 'freeze', 'log', %s, %s, %s)
"""


def note_frozen(conn: psycopg.Connection, organisation: str, reason: str | None, now: datetime) -> None:
    """Writes into the log's row what its head says, so that everybody who records can see it."""
    conn.execute(_NOTE, [now, reason, organisation])


_NOTE = """
UPDATE log SET frozen_at = %s, frozen_reason = %s WHERE organisation = %s AND frozen_at IS NULL
"""


def frozen_by(entry: bytes) -> str | None:
    """Why a log whose last entry this is has ended; None if it goes on. A function of the leaves, so that no crash
    between leaf and head loses it.
    """
    if b'"type":"freeze"' not in entry:
        return None
    read = parse_entry(entry)
    return FreezeBody.read(read.body).reason if read.type == "freeze" else None
