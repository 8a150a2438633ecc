"""Which boxes went into which unit: the serial ranges that the packing line printed.

In the line: packing events -> here -> the page of one box. Contract: 240 boxes need no 240 EPCs; a box whose
range is known answers for the unit it was packed into, until its unit is split.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.genealogy.facts import Fact, RecordedEvent, extension, read
from ledger.genealogy.names import identify, uri


@dataclass(frozen=True, slots=True)
class LabelRange:
    """Serials `first` to `last` of `lot`, inclusive and of one width, in `container` from `start_ms` on."""

    lot: str
    first: str
    last: str
    container: str
    start_ms: int

    def holds(self, serial: str) -> bool:
        # Only equal widths compare: "12" is no member of "0001".."0048", it is another label.
        return len(serial) == len(self.first) and self.first <= serial <= self.last


def label_ranges(events: Iterable[RecordedEvent]) -> list[LabelRange]:
    """All ranges, in the order in which they were packed."""
    return [each for fact in read(events) for each in ranges_of(fact)]


def ranges_of(fact: Fact) -> Iterator[LabelRange]:
    """The label ranges of one packing event; a range that is incomplete or of two widths is passed over."""
    if fact.parent is None or fact.kind != "AggregationEvent" or fact.action == "DELETE":
        return
    said = extension(fact.event, "labelRange")
    for each in said if isinstance(said, list | tuple) else [said]:
        found = _range(each, fact.parent, fact.ms) if isinstance(each, Mapping) else None
        if found:
            yield found


def unit_of(box: str, ranges: Sequence[LabelRange]) -> LabelRange | None:
    """The range that a box (`/01/../10/../21/..`) was last packed under; None if no range has its serial."""
    identifier = identify(box)
    lot, serial = identifier.lot, identifier.parts.get("21")
    if lot is None or serial is None:
        return None
    return next((each for each in reversed(ranges) if each.lot == lot and each.holds(serial)), None)


def _range(said: Mapping[str, Any], container: str, ms: int) -> LabelRange | None:
    lot, first, last = (str(said.get(name) or "") for name in ("epcClass", "from", "to"))
    if not lot or not first or len(first) != len(last) or first > last:
        return None
    return LabelRange(uri(lot), first, last, container, ms)
