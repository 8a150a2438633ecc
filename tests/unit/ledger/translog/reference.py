"""RFC 6962 section 2.1 word for word: slow, recursive, over the whole list. The fast code is held against
this.
"""

from collections.abc import Sequence
from hashlib import sha256


def tree_hash(data: Sequence[bytes]) -> bytes:
    """MTH(D[n])."""
    if not data:
        return sha256(b"").digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    k = _split(len(data))
    return sha256(b"\x01" + tree_hash(data[:k]) + tree_hash(data[k:])).digest()


def path(m: int, data: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(data) == 1:
        return []
    k = _split(len(data))
    if m < k:
        return [*path(m, data[:k]), tree_hash(data[k:])]
    return [*path(m - k, data[k:]), tree_hash(data[:k])]


def proof(m: int, data: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n]), 0 < m <= n."""
    return _subproof(m, data, whole=True)


def _subproof(m: int, data: Sequence[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b)."""
    if m == len(data):
        return [] if whole else [tree_hash(data)]
    k = _split(len(data))
    if m <= k:
        return [*_subproof(m, data[:k], whole=whole), tree_hash(data[k:])]
    return [*_subproof(m - k, data[k:], whole=False), tree_hash(data[:k])]


def _split(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k
