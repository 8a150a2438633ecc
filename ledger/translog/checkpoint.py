"""The signed head of a log: its name, how many leaves it has, and their root.

A checkpoint commits its log for ever: two of them that no consistency proof joins are the proof of a fork.
Source: c2sp.org/tlog-checkpoint.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.translog.merkle import HASH_SIZE
from ledger.translog.note import Note, SignerKey, Verifier, open_note, sign_note
from ledger.translog.verify import VerifyError, decode_base64, want_same

MAX_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`root_hash`: 32 bytes; `extensions`: further lines, none empty."""

    origin: str
    size: int
    root_hash: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The bytes that are signed."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root_hash).decode(), *self.extensions]
        return "".join(line + "\n" for line in lines)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the note that proved it."""

    checkpoint: Checkpoint
    note: Note


def parse_checkpoint(text: str) -> Checkpoint:
    """The text of a note as a checkpoint, or VerifyError. Signatures are `open_checkpoint`'s business."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] != "":
        raise VerifyError(
            "lines of the checkpoint", got=len(lines) - 1, want="3 or more, each ended by a newline"
        )
    origin, size, root, *extensions = lines[:-1]
    if not origin:
        raise VerifyError("origin of the checkpoint", got="nothing", want="the log's name")
    if "" in extensions:
        raise VerifyError("extension line of the checkpoint", got="nothing", want="text")
    root_hash = decode_base64(root, "root hash of the checkpoint")
    want_same("length of the checkpoint's root hash", got=len(root_hash), want=HASH_SIZE)
    return Checkpoint(origin, parse_size(size, "tree size of the checkpoint"), root_hash, tuple(extensions))


def parse_size(text: str, what: str) -> int:
    """Decimal digits without a leading zero: one number, one spelling. Or VerifyError."""
    digits = len(text) <= len(str(MAX_SIZE)) and text.isascii() and text.isdigit()
    if not digits or str(int(text)) != text or int(text) > MAX_SIZE:
        raise VerifyError(what, got=text, want=f"0 to {MAX_SIZE} in decimal")
    return int(text)


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[SignerKey]) -> str:
    """The signed note. The caller has made sure that it extends everything signed before."""
    return sign_note(checkpoint.text, signers)


def open_checkpoint(
    note: str | bytes, known: Sequence[Verifier], *, origin: str | None = None
) -> SignedCheckpoint:
    """A checkpoint signed by at least one of `known`; with `origin`, of that log only. Or VerifyError."""
    opened = open_note(note, known)
    checkpoint = parse_checkpoint(opened.text)
    if origin is not None:
        want_same("origin of the checkpoint", got=checkpoint.origin, want=origin)
    return SignedCheckpoint(checkpoint, opened)
