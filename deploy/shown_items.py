"""What an evidence file shows, item by item, for a terminal: the fields of an event or verdict, the readings of an hour.

Beside `suyuan verify`'s checks. Contract: of an item one of whose checks failed nothing is told but that; what is told is
what the file says, and whether it holds is the checks' to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ledger.evidence import Report
from ledger.evidence_file import AnchoredEvidence, Disclosed, EventEvidence, Evidence, Item, ReadingEvidence

MOST_READINGS = 10
MOST_ITEMS = 50
_LONGEST = 100


def shown(evidence: Evidence | AnchoredEvidence, report: Report) -> Iterator[str]:
    failed = {check.item for check in report.failures}
    for at, item in enumerate(evidence.items[:MOST_ITEMS]):
        place = f"item {at}: entry {item.leaf.index} of {item.leaf.log}"
        if at in failed:
            yield f"{place} does not hold"
        else:
            yield from _item(place, item)
    if len(evidence.items) > MOST_ITEMS:
        yield f"and {len(evidence.items) - MOST_ITEMS:,} items more"


def _item(place: str, item: Item) -> Iterator[str]:
    if isinstance(item, EventEvidence):
        fields = [each for each in item.fields if isinstance(each, Disclosed)]
        withheld = len(item.fields) - len(fields)
        yield f"{place}, {'an event' if item.kind == 'event' else 'a verdict'}: {withheld} of {len(item.fields)} fields withheld"
        yield from (f"      {each.name}: {_value(each.field)}" for each in fields)
        return
    yield f"{place}, readings: {len(item.readings)} shown"
    yield from (f"      {_reading(each)}" for each in item.readings[:MOST_READINGS])
    if len(item.readings) > MOST_READINGS:
        yield f"      and {len(item.readings) - MOST_READINGS:,} more"


def _reading(shown: ReadingEvidence) -> str:
    reading = shown.reading
    said = f"{reading.value!r}" if reading.value is not None else "an observation, by its hash"
    return f"{_time(reading.time_ms)}  series {reading.series.hex()[:8]}  {said}"


def _time(time_ms: int) -> str:
    try:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms after 1970"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
