"""What a log says to a witness: the size the witness saw last, the proof that the log grew from there, the new
checkpoint.

Read by `ledger.witness`, written by `ledger.witnessing`. Contract: parse and `encode` are inverses; any other bytes
are a `VerifyError`. Source: c2sp.org/tlog-witness, `add-checkpoint`.
"""

import base64
from dataclasses import dataclass

from ledger.translog.checkpoint import parse_size
from ledger.translog.merkle import HASH_SIZE
from ledger.translog.verify import VerifyError, decode_base64, want_same

MAX_PROOF = 63
SIZE_TYPE = "text/x.tlog.size"
"""The content type of a witness's answer that names the size it saw last."""


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """`proof`: consistency from `old_size`, hashes of 32 bytes; `note`: the signed checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes

    def encode(self) -> bytes:
        lines = [f"old {self.old_size}", *(base64.b64encode(node).decode() for node in self.proof), "", ""]
        return "\n".join(lines).encode() + self.note


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """The note in it is not looked at."""
    head, separator, note = body.partition(b"\n\n")
    lines = head.split(b"\n", MAX_PROOF + 1)
    if not separator or not lines[0].startswith(b"old "):
        raise VerifyError(
            "request", got=head[:80], want="old <size>, proof lines, an empty line, a checkpoint"
        )
    if len(lines) > 1 + MAX_PROOF:
        raise VerifyError("proof lines", got="more", want=f"at most {MAX_PROOF}")
    old_size = parse_size(_ascii(lines[0].removeprefix(b"old "), "old size"), "old size")
    return AddCheckpoint(old_size, tuple(_node(line) for line in lines[1:]), note)


def parse_size_answer(body: bytes) -> int:
    """The tree size that a witness answers with, or VerifyError."""
    if not body.endswith(b"\n"):
        raise VerifyError("size that the witness answers with", got=body[:80], want="a number and a newline")
    return parse_size(_ascii(body[:-1], "size"), "size that the witness answers with")


def _node(line: bytes) -> bytes:
    node = decode_base64(_ascii(line, "proof line"), "proof line")
    want_same("length of a proof line", got=len(node), want=HASH_SIZE)
    return node


def _ascii(data: bytes, what: str) -> str:
    if not data.isascii():
        raise VerifyError(what, got=data[:80], want="ASCII")
    return data.decode()
