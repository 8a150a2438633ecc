"""One log as its sequencer holds it: what publication, cosigning and the root log are handed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ledger.head_store import Head, HeadMoved, HeadStore
from ledger.log_files import LogFiles
from ledger.translog.checkpoint import Checkpoint
from ledger.translog.cosignature import Cosigner
from ledger.translog.note import Signature, SignerKey
from ledger.translog.tiles import TILE_WIDTH, Edge


@dataclass(frozen=True, slots=True)
class FurtherKey:
    """A key of the log in an algorithm other than Ed25519. `line`: what it puts under a checkpoint."""

    vkey: str
    key_id: bytes
    line: Callable[[Checkpoint], Signature]


@dataclass(slots=True)
class Tip:
    """Where the last publication ended: the tree's edge, and the entries of its partial bundle. What a sequencer need not
    read again; a new one begins with an empty one and reads.
    """

    edge: Edge = field(default_factory=Edge.empty)
    entries: tuple[bytes, ...] = ()

    def move(self, edge: Edge, last: Sequence[bytes]) -> None:
        """`last`: entries of which the last are the log's last, at least those of the partial bundle."""
        count = edge.size % TILE_WIDTH
        self.edge, self.entries = edge, tuple(last[len(last) - count :])


@dataclass(frozen=True, slots=True)
class Log:
    """One log as its sequencer holds it: where it is published, its last head, who signs for it.

    `keys`: its own that sign now, the newest first; `further`: which sign beside them; `vkeys`: the file that names
    them all; `clock`: only the root log has one; `tip`: its own, and moves with it.
    """

    organisation: str
    origin: str
    files: LogFiles
    heads: HeadStore
    keys: tuple[SignerKey, ...]
    further: tuple[FurtherKey, ...] = ()
    vkeys: str = ""
    clock: Cosigner | None = None
    tip: Tip = field(default_factory=Tip, compare=False)


def current_head(log: Log, epoch: int) -> Head:
    """HeadMoved if another sequencer holds the log."""
    head = log.heads.read(log.organisation)
    if head is None or head.epoch != epoch:
        raise HeadMoved(f"head of {log.origin}: got {head}, want one of epoch {epoch}")
    return head
