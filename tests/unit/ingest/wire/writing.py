"""SenML in CBOR as a device writes it, by RFC 8428's own table: our decoder's table is not used to check itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import cbor2

# RFC 8428, table 4
NUMBERS = {
    "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6, "bver": -1,
    "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "s": 5, "t": 6, "ut": 7, "vd": 8,
}  # fmt: skip


def in_cbor(records: Iterable[Mapping[str, Any]], **how: Any) -> bytes:
    """`how`: as cbor2 takes it, such as canonical=True for the shortest floats."""
    return cbor2.dumps(
        [{NUMBERS.get(label, label): value for label, value in record.items()} for record in records], **how
    )
