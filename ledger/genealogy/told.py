"""A link of a trace as the trace's document has it, as JSON.

In the line: a link and how much went along it -> here -> the trace index, which keeps it, and the document. Contract: what is
written when the events are followed is passed on as it is, so there is one writer of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ToldEdge(msgspec.Struct, gc=False, rename={"source": "from", "target": "to"}):
    """`event`: its eventID. `quantity` in `uom` (KGM, None for pieces); `share` of all that went into the run, 0 to 1."""

    source: str
    target: str
    kind: str
    event: str
    time: datetime
    quantity: float | None
    uom: str | None
    share: float | None


def told(edge: ToldEdge) -> bytes:
    """UTF-8."""
    return msgspec.json.encode(edge)


def moment(ms: int) -> datetime:
    """Of UTC milliseconds."""
    return EPOCH + timedelta(milliseconds=ms)
