"""The events by which an organisation says a recall in its own log.

In the line: an order -> here -> `record`. Contract: pure; EVENTS.md's step 20; lots are named whole and no place with them, which is of
all that stands of them anywhere; goods that have nothing to do with each other are not named in one event, for whoever follows goods
would take them for connected. `suyuan:recallGoods` seals all that was reached, portion by portion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from trace_api.acts.fields import ZONE
from trace_api.acts.parts import CONTEXT, VOC, Event
from trace_api.recalls.shares import Went

LOTS_AT_ONCE: Final = 100


def ordered(
    recall: UUID,
    notice: str,
    level: int,
    lots: Sequence[str],
    went: Sequence[Went],
    digest: str,
    at: datetime,
) -> list[Event]:
    """`notice`: the URI of the order, as bizTransaction. `digest`: hexadecimal SHA-256 of what was reached."""
    sealed = {
        "suyuan:recall": f"urn:uuid:{recall}",
        "suyuan:recallLevel": level,
        "suyuan:recallGoods": f"ni:///sha-256;{digest}",
    }
    said = {"disposition": "recalled", "persistentDisposition": {"set": ["recalled"]}}
    return [_event(uuid5(recall, f"order {number}"), notice, part, at, said | sealed)
            for number, part in enumerate(_parts(lots, went))]  # fmt: skip


def withdrawn(
    recall: UUID, notice: str, lots: Sequence[str], went: Sequence[Went], at: datetime
) -> list[Event]:
    said = {
        "disposition": "in_progress",
        "persistentDisposition": {"unset": ["recalled"]},
        "suyuan:recall": f"urn:uuid:{recall}",
    }
    return [_event(uuid5(recall, f"withdrawal {number}"), notice, part, at, said)
            for number, part in enumerate(_parts(lots, went))]  # fmt: skip


def _event(name: UUID, notice: str, lots: Sequence[str], at: datetime, said: dict[str, Any]) -> Event:
    told = at.astimezone(ZoneInfo(ZONE)).isoformat(timespec="milliseconds")
    return {
        "@context": CONTEXT,
        "type": "ObjectEvent",
        "eventID": f"urn:uuid:{name}",
        "eventTime": told,
        "eventTimeZoneOffset": told[-6:],
        "action": "OBSERVE",
        "bizStep": "holding",
        "quantityList": [{"epcClass": lot} for lot in lots],
        "bizTransactionList": [{"type": f"{VOC}btt/recall_notice", "bizTransaction": notice}],
        **said,
    }


def _parts(lots: Sequence[str], went: Iterable[Went]) -> Iterator[Sequence[str]]:
    """Lots that runs connect, at most so many at once."""
    above = {lot: lot for lot in lots}

    def top(lot: str) -> str:
        while above.setdefault(lot, lot) != lot:
            above[lot] = lot = above[above[lot]]
        return lot

    for each in went:
        for output in each.outputs:
            above[top(output)] = top(each.lot)
    groups: dict[str, list[str]] = {}
    for lot in lots:
        groups.setdefault(top(lot), []).append(lot)
    for group in groups.values():
        for start in range(0, len(group), LOTS_AT_ONCE):
            yield group[start : start + LOTS_AT_ONCE]
