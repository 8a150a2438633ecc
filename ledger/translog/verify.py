"""The sceptic's side of the log: proofs in, nothing or `VerifyError` out.

A verifier never trusts the length, the order or the size of what it was handed. It knows only the two roots
(or a root and a leaf) and the sizes; everything else in a proof has to follow from them, to the last byte.
Source: RFC 6962 section 2.1, in the iterative form of RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

import base64
import binascii
from collections.abc import Sequence

from ledger.errors import LedgerError
from ledger.translog.merkle import EMPTY_ROOT, HASH_SIZE, node_hash

_SHOWN = 80


class VerifyError(LedgerError):
    """What was shown does not prove what was claimed: compare `got` with `want`, and trust none of it."""

    def __init__(self, what: str, *, got: object, want: object) -> None:
        self.what = what
        self.got = show(got)
        self.want = show(want)
        super().__init__(f"{what}: got {self.got}, want {self.want}")


def show(value: object) -> str:
    """Says a value in a line: bytes as hex, long texts cut, so that a hostile file cannot flood a log."""
    if isinstance(value, bytes | bytearray):
        text = f"{len(value)} bytes" if len(value) > HASH_SIZE else bytes(value).hex() or "no bytes"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes
) -> None:
    """Leaf `index` of the tree of `size` leaves under `root_hash` is `leaf_hash`, or VerifyError.

    `proof`: sibling hashes of 32 bytes, from the leaf upwards.
    """
    if not 0 <= index < size:
        raise VerifyError(
            "leaf index", got=index, want=f"0 to {size - 1}" if size > 0 else "no leaf in an empty tree"
        )
    _want_hashes([leaf_hash, root_hash, *proof])
    want_same(
        "root hash from inclusion proof",
        got=root_from_inclusion(leaf_hash, index, size, proof),
        want=root_hash,
    )


def root_from_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that `proof` leads to; only its being the known root proves anything. VerifyError on a wrong
    length.
    """
    node, last, at = leaf_hash, size - 1, index
    used = 0
    while last > 0:
        # At the ragged right edge a node without a sibling rises unchanged: it costs a level but no hash.
        if at & 1 or at < last:
            if used == len(proof):
                raise VerifyError("inclusion proof length", got=len(proof), want="more")
            node = node_hash(proof[used], node) if at & 1 else node_hash(node, proof[used])
            used += 1
        at >>= 1
        last >>= 1
    want_same("inclusion proof length", got=len(proof), want=used)
    return node


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """The tree of `new_size` leaves begins with all leaves of the tree of `old_size`, or VerifyError."""
    if not 0 <= old_size <= new_size:
        raise VerifyError("old tree size", got=old_size, want=f"0 to {new_size}")
    _want_hashes([old_root, new_root, *proof])
    if old_size == 0:
        want_same("root hash of the empty tree", got=old_root, want=EMPTY_ROOT)
    if old_size in (0, new_size):
        want_same("consistency proof length", got=len(proof), want=0)
        if old_size == new_size:
            want_same("root hash of equal trees", got=new_root, want=old_root)
        return
    first, second = _roots_from_consistency(old_size, new_size, old_root, proof)
    want_same("old root hash from consistency proof", got=first, want=old_root)
    want_same("new root hash from consistency proof", got=second, want=new_root)


def _roots_from_consistency(
    old_size: int, new_size: int, old_root: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Both roots that the proof leads to. 0 < old_size < new_size."""
    # A complete old tree is itself a node of the new one, and the proof leaves it out.
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at >>= 1
        last >>= 1
    if not path:
        raise VerifyError("consistency proof length", got=0, want="more")
    first = second = path[0]
    for number, sibling in enumerate(path[1:], start=1):
        if last == 0:
            raise VerifyError(
                "consistency proof length", got=len(proof), want=len(proof) - len(path) + number
            )
        if at & 1 or at == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while at and not at & 1:
                at >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        at >>= 1
        last >>= 1
    if last:
        raise VerifyError("consistency proof length", got=len(proof), want="more")
    return first, second


def want_same(what: str, *, got: object, want: object) -> None:
    if got != want:
        raise VerifyError(what, got=got, want=want)


def decode_base64(text: str, what: str, *, secret: bool = False) -> bytes:
    """Standard base64 with padding, in its one canonical spelling; else VerifyError.

    Two spellings of the same bytes would let a file be changed without any hash noticing.
    """
    got = "another text" if secret else text
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise VerifyError(f"base64 of the {what}", got=got, want="base64") from cause
    if base64.b64encode(data).decode() != text:
        raise VerifyError(f"base64 of the {what}", got=got, want="the canonical spelling, with padding")
    return data


def _want_hashes(hashes: Sequence[bytes]) -> None:
    for value in hashes:
        want_same("length of a hash", got=len(value), want=HASH_SIZE)
