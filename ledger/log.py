"""One log as its sequencer holds it: what publication, cosigning and the root log are handed."""

from dataclasses import dataclass

from ledger.head_store import Head, HeadMoved, HeadStore
from ledger.log_files import LogFiles
from ledger.translog.cosignature import Cosigner
from ledger.translog.note import SignerKey


@dataclass(frozen=True, slots=True)
class Log:
    """One log as its sequencer holds it: where it is published, its last head, who signs for it.

    `keys`: its own that sign now, the newest first; `vkeys`: the file that names them; `clock`: only the root log has
    one.
    """

    organisation: str
    origin: str
    files: LogFiles
    heads: HeadStore
    keys: tuple[SignerKey, ...]
    vkeys: str = ""
    clock: Cosigner | None = None


def current_head(log: Log, epoch: int) -> Head:
    """HeadMoved if another sequencer holds the log."""
    head = log.heads.read(log.organisation)
    if head is None or head.epoch != epoch:
        raise HeadMoved(f"head of {log.origin}: got {head}, want one of epoch {epoch}")
    return head
