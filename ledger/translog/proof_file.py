"""One inclusion proof and the checkpoint it leads to, as a text file anybody's tool reads.

It says nothing of the leaf itself: whoever checks it brings the leaf along. Source: c2sp.org/tlog-proof.
"""

import base64
from dataclasses import dataclass

from ledger.translog.checkpoint import MAX_SIZE
from ledger.translog.merkle import HASH_SIZE
from ledger.translog.verify import VerifyError, decode_base64, want_same

HEADER = "c2sp.org/tlog-proof@v1"
_MAX_HASHES = 63  # a path in a tree of 2**63 leaves


@dataclass(frozen=True, slots=True)
class ProofFile:
    """`proof`: hashes of 32 bytes from the leaf upwards; `checkpoint`: the signed note; `extra`: the
    application's.
    """

    index: int
    proof: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def __str__(self) -> str:
        extra = [] if self.extra is None else [f"extra {base64.b64encode(self.extra).decode()}"]
        hashes = [base64.b64encode(value).decode() for value in self.proof]
        return "\n".join([HEADER, *extra, f"index {self.index}", *hashes, "", self.checkpoint])


def parse_proof_file(text: str) -> ProofFile:
    """The inverse of `str`, or VerifyError. Whether the proof holds is for `verify_inclusion`."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    want_same("first line of the proof", got=lines[0], want=HEADER)
    if not blank or not checkpoint:
        raise VerifyError("proof", got="no checkpoint", want="an empty line and a checkpoint")
    rest, extra = lines[1:], None
    if rest and rest[0].startswith("extra "):
        extra = decode_base64(rest[0].removeprefix("extra "), "extra line")
        rest = rest[1:]
    if not rest:
        raise VerifyError("index line of the proof", got="nothing", want="index and a number")
    hashes = tuple(decode_base64(line, "hash in the proof") for line in rest[1:])
    for value in hashes:
        want_same("length of a hash in the proof", got=len(value), want=HASH_SIZE)
    if len(hashes) > _MAX_HASHES:
        raise VerifyError("hashes in the proof", got=len(hashes), want=f"at most {_MAX_HASHES}")
    return ProofFile(_parse_index(rest[0]), hashes, checkpoint, extra)


def _parse_index(line: str) -> int:
    digits = line.removeprefix("index ")
    sound = line.startswith("index ") and digits.isascii() and digits.isdigit() and len(digits) <= 19
    if not sound or str(int(digits)) != digits or int(digits) > MAX_SIZE:
        raise VerifyError("index line of the proof", got=line, want="index and a number")
    return int(digits)
