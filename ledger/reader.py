"""A published log, read from its files alone: checkpoint, leaves, proofs, and their form in an evidence file.

Whoever serves the pages reads through this, and so could anybody who copied the files: nothing here needs the
database, a key or the sequencer. Contract: everything is of one checkpoint, the one that stood when the log
was opened.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ledger.evidence_file import LeafEvidence, LogEvidence
from ledger.log_files import CHECKPOINT, VKEY, VKEYS, LogFiles
from ledger.translog.checkpoint import Checkpoint, open_checkpoint
from ledger.translog.note import Note, VerifierKey, parse_vkey
from ledger.translog.tiles import TiledTree
from ledger.translog.verify import VerifyError


@dataclass(frozen=True, slots=True)
class LogReader:
    """One log at one checkpoint. `checkpoint`: the signed note; `vkey`: the key that signed it, the newest of them;
    `keys`: those that the log itself publishes.
    """

    files: LogFiles
    head: Checkpoint
    checkpoint: str
    vkey: str
    keys: tuple[VerifierKey, ...] = ()

    @property
    def origin(self) -> str:
        return self.head.origin

    @property
    def tree_size(self) -> int:
        return self.head.size

    @property
    def root_hash(self) -> bytes:
        return self.head.root_hash

    def inclusion_proof(self, index: int) -> tuple[bytes, ...]:
        """Hashes of 32 bytes from the leaf upwards. IndexError if the checkpoint does not reach the leaf."""
        return self._tree.inclusion_proof(index)

    def consistency_proof(self, old_size: int) -> tuple[bytes, ...]:
        return self._tree.consistency_proof(old_size)

    def leaf_hash(self, index: int) -> bytes:
        return self._tree.leaf_hash(index)

    def entry(self, index: int) -> bytes:
        """The leaf's bytes. IndexError as above."""
        if not 0 <= index < self.tree_size:
            raise IndexError(f"leaf {index} of a log of {self.tree_size}")
        return self.files.read_leaf(index, self.tree_size)

    def leaf_evidence(self, index: int) -> LeafEvidence:
        """The entry and its proof, for `evidence_file.build_event` or `build_window`."""
        return LeafEvidence(self.origin, index, self.entry(index), self.inclusion_proof(index))

    def at(self, note: str) -> "LogReader":
        """This log at an earlier checkpoint of its own, out of the tiles as they are now. VerifyError if the note is not
        signed by a key that the log publishes, or is of more leaves than there are.
        """
        opened = open_checkpoint(note, self.keys, origin=self.origin)
        if opened.checkpoint.size > self.tree_size:
            raise VerifyError(
                "size of an earlier checkpoint", got=opened.checkpoint.size, want=self.tree_size
            )
        return replace(self, head=opened.checkpoint, checkpoint=note, vkey=_signer(opened.note, self.keys))

    def log_evidence(self) -> LogEvidence:
        return LogEvidence(self.origin, self.vkey, self.checkpoint)

    @property
    def _tree(self) -> TiledTree:
        return TiledTree(self.tree_size, self.files.read_tile)


def open_log(log_dir: Path, organisation: str) -> LogReader | None:
    """The organisation's log as now published; None while it has none. VerifyError if its checkpoint is not
    its own.
    """
    files = LogFiles(log_dir / organisation)
    # In this order: while a key changes, the note read first is signed by one of the keys read after it.
    note, vkeys, vkey = files.read(CHECKPOINT), files.read(VKEYS), files.read(VKEY)
    if note is None or vkey is None:
        return None
    current = parse_vkey(vkey.decode().strip())
    keys = [
        current,
        *(key for key in further_keys(vkeys or b"") if key.name == current.name and key != current),
    ]
    opened = open_checkpoint(note, keys, origin=current.name)
    return LogReader(files, opened.checkpoint, note.decode(), _signer(opened.note, keys), tuple(keys))


def _signer(note: Note, keys: Sequence[VerifierKey]) -> str:
    """The first of the keys that signed the note, which at least one of them did."""
    signers = {line.key_id for line in note.verified}
    return str(next(key for key in keys if key.key_id in signers))


def further_keys(vkeys: bytes) -> Iterator[VerifierKey]:
    """The Ed25519 keys that the log names; those of further algorithms are left out."""
    for line in vkeys.decode().splitlines():
        with suppress(VerifyError):
            yield parse_vkey(line.split(" ")[0])
