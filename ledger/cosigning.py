"""Lines under a published checkpoint that are not the log's own signature: a witness's, and the root log's clock.

They come after the checkpoint is published and change nothing in it. Contract: who adds them holds the head, as the
sequencer does when it publishes the next one, so that neither writes over the other; the clock never says an
earlier time than before.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg

from ledger.head_store import HeadMoved
from ledger.log import Log, current_head
from ledger.log_files import CHECKPOINT
from ledger.translog.checkpoint import Checkpoint
from ledger.translog.cosignature import Cosigner, cosigned_at
from ledger.translog.note import Signature, add_signatures, split_note
from ledger.translog.verify import VerifyError

CLOCK_EVERY = timedelta(seconds=30)
"""How often a log with a clock says again that its checkpoint is the current one."""


def keep_cosignature(conn: psycopg.Connection, organisation: str, size: int, line: Signature) -> None:
    """Into the history, once. `line`: verified, over the log's checkpoint of `size`."""
    time = datetime.fromtimestamp(cosigned_at(line.signature), UTC)
    conn.execute(
        _KEEP_COSIGNATURE, [organisation, size, line.name, line.key_id, time, str(line).rstrip("\n")]
    )


_KEEP_COSIGNATURE = """
INSERT INTO cosignature (organisation, tree_size, name, key_id, time, line) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""


def add_cosignatures(log: Log, size: int, lines: Sequence[Signature]) -> bool:
    """Puts cosignatures under the published checkpoint, each in place of what its key said before.

    `lines`: verified, over the log's checkpoint of `size`. False if another one is published by now: nothing is
    changed then. Whoever calls this need not be the sequencer; both hold the head while they write.
    """
    head = log.heads.read(log.organisation)
    if head is None or head.size != size:
        return False
    try:
        with log.heads.holding(log.organisation, head):
            note = log.files.read(CHECKPOINT)
            text, _ = read_published(note)
            if note is None or text != Checkpoint(head.origin, head.size, head.root_hash).text:
                return False
            log.files.publish(CHECKPOINT, add_signatures(note, lines).encode())
            return True
    except HeadMoved:
        return False


def renew_clock(log: Log, epoch: int, now: datetime) -> None:
    """Says again, if it was not said for CLOCK_EVERY, that the published checkpoint is the current one."""
    if log.clock is None:
        return
    head = current_head(log, epoch)
    note = log.files.read(CHECKPOINT)
    if note is None or clock_time(note, log.clock, now - CLOCK_EVERY) > (now - CLOCK_EVERY).timestamp():
        return
    checkpoint = Checkpoint(head.origin, head.size, head.root_hash)
    add_cosignatures(log, head.size, [log.clock.cosign(checkpoint, int(now.timestamp()))])


def clock_time(note: bytes | None, clock: Cosigner, now: datetime) -> int:
    """Seconds since 1970, and never before what the clock said last: it must not seem to run backwards."""
    _, lines = read_published(note)
    own = [line for line in lines if (line.name, line.key_id) == (clock.name, clock.verifier.key_id)]
    return max([int(now.timestamp()), *(cosigned_at(line.signature) for line in own)])


def read_published(note: bytes | None) -> tuple[str, Sequence[Signature]]:
    """Text and lines of what stands there; none where nothing does, or nothing that can be read: it is written
    again.
    """
    try:
        return split_note(note) if note is not None else ("", ())
    except VerifyError:
        return "", ()
