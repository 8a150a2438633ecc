"""The same SenML pack in CBOR (RFC 8428, section 6), for the devices that send it so.

In the line: devices -> messages. Contract: the numbers are the doubles that the JSON text stands for, so that a world
measures the same whichever way a device speaks.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final

import cbor2

SPEAKERS: Final = frozenset({"logger-01"})  # a modem that is paid by the byte

_LABELS: Final = {"bt": -3, "n": 0, "u": 1, "v": 2, "vb": 4, "t": 6}
_SENT: Final = b"\x64sent\x02\xfb"  # what stands before its eight bytes


def in_cbor(text: bytes) -> tuple[bytes, tuple[int, int]]:
    """The pack, and where in it the device's clock at sending stands."""
    records = json.loads(text)
    payload = cbor2.dumps([{_LABELS[label]: value for label, value in record.items()} for record in records])
    begin = payload.index(_SENT) + len(_SENT)
    return payload, (begin, begin + 8)


def records_of(payload: bytes) -> list[dict[str, Any]]:
    """The records of a pack of this world, whichever way it was said, under their names in JSON."""
    if payload.startswith(b"["):
        return list(json.loads(payload))
    names = {number: label for label, number in _LABELS.items()}
    return [{names[number]: value for number, value in record.items()} for record in cbor2.loads(payload)]


def written(seconds: float) -> bytes:
    """A time as it stands there."""
    return struct.pack(">d", seconds)
