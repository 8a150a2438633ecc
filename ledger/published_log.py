"""A log as its files show it at one moment, for whoever sends its checkpoint elsewhere.

Read past the head store and the database, as anybody could. Contract: the note carries the log's own signature lines
and no others, and one of them verified.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ledger.head_store import Head
from ledger.log_files import CHECKPOINT, VKEY, VKEYS, LogFiles
from ledger.reader import further_keys
from ledger.translog.checkpoint import Checkpoint, open_checkpoint
from ledger.translog.note import VerifierKey, parse_vkey, split_note
from ledger.translog.tiles import TiledTree
from ledger.translog.verify import VerifyError


@dataclass(frozen=True, slots=True)
class PublishedLog:
    """`organisation`: its folder's name; `keys`: those that the log itself publishes, with older ones."""

    organisation: str
    files: LogFiles
    keys: tuple[VerifierKey, ...]
    checkpoint: Checkpoint
    note: bytes

    @property
    def origin(self) -> str:
        return self.checkpoint.origin

    @property
    def size(self) -> int:
        return self.checkpoint.size

    def consistency_proof(self, old_size: int) -> tuple[bytes, ...]:
        return TiledTree(self.size, self.files.read_tile).consistency_proof(old_size)

    def root_hash_at(self, size: int) -> bytes:
        """Of an earlier size, out of the tiles as they are now."""
        return TiledTree(self.size, self.files.read_tile).root_hash_at(size)


def read_published(log_dir: Path, organisation: str) -> PublishedLog | None:
    """None while there is no checkpoint. VerifyError if it is not the log's own."""
    files = LogFiles(log_dir / organisation)
    note, vkeys = files.read(CHECKPOINT), read_keys(log_dir, organisation)
    if note is None or not vkeys:
        return None
    opened = open_checkpoint(note, vkeys, origin=vkeys[0].name)
    text, lines = split_note(note)
    own = [str(line) for line in lines if line.name == opened.checkpoint.origin]
    return PublishedLog(organisation, files, vkeys, opened.checkpoint, (text + "\n" + "".join(own)).encode())


def read_keys(log_dir: Path, organisation: str) -> tuple[VerifierKey, ...]:
    """The keys that the log publishes, the one in force first; none where it has not begun. VerifyError on a file that
    holds none.
    """
    files = LogFiles(log_dir / organisation)
    others, current = files.read(VKEYS), files.read(VKEY)
    if current is None:
        return ()
    key = parse_vkey(current.decode(errors="replace").strip())
    return (key, *(other for other in further_keys(others or b"") if other.name == key.name and other != key))


def newer_than(head: Head, files: LogFiles, own: Sequence[VerifierKey]) -> Head | None:
    """`head` where the log's published checkpoint stands, if that is ahead of it: then an older head was put back. `own`: the
    keys that the log ever signed with; what none of them signed says nothing.
    """
    note = files.read(CHECKPOINT)
    try:
        there = None if note is None else open_checkpoint(note, own, origin=head.origin).checkpoint
    except VerifyError:
        return None
    if there is None or there.size <= head.size:
        return None
    return replace(head, size=there.size, root_hash=there.root_hash)


def published_logs(log_dir: Path) -> list[str]:
    """The names of the logs that have a folder, in order."""
    return sorted(path.parent.name for path in log_dir.glob(f"*/{VKEY}"))
