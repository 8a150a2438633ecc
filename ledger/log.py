"""One log as its sequencer holds it: what publication, cosigning and the root log are handed."""

from collections.abc import Callable
from dataclasses import dataclass

from ledger.head_store import Head, HeadMoved, HeadStore
from ledger.log_files import LogFiles
from ledger.translog.checkpoint import Checkpoint
from ledger.translog.cosignature import Cosigner
from ledger.translog.note import Signature, SignerKey


@dataclass(frozen=True, slots=True)
class FurtherKey:
    """A key of the log in an algorithm other than Ed25519. `line`: what it puts under a checkpoint."""

    vkey: str
    key_id: bytes
    line: Callable[[Checkpoint], Signature]


@dataclass(frozen=True, slots=True)
class Log:
    """One log as its sequencer holds it: where it is published, its last head, who signs for it.

    `keys`: its own that sign now, the newest first; `further`: which sign beside them; `vkeys`: the file that names
    them all; `clock`: only the root log has one.
    """

    organisation: str
    origin: str
    files: LogFiles
    heads: HeadStore
    keys: tuple[SignerKey, ...]
    further: tuple[FurtherKey, ...] = ()
    vkeys: str = ""
    clock: Cosigner | None = None


def current_head(log: Log, epoch: int) -> Head:
    """HeadMoved if another sequencer holds the log."""
    head = log.heads.read(log.organisation)
    if head is None or head.epoch != epoch:
        raise HeadMoved(f"head of {log.origin}: got {head}, want one of epoch {epoch}")
    return head
