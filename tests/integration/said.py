"""Events of one small chain, said in a line each: a lot is made in a cold store, part of it is loaded on a truck.

Times are hours before `lines.NOW`. `REGISTRY` is that of `lines`, with the truck as a place of the carrier's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from ingest.pipeline import Message
from ledger.epcis.identifiers import check_digit, lot_uri, sscc_uri
from tests.integration import lines
from tests.integration.lines import NOW, NOW_S, message

GTIN = "09521234000204"
LOT = lot_uri(GTIN, "DK1")
FRUIT = "https://suyuan.example/xj-coop/class/yangmei-dongkui.260618-P01"
STORE = "https://id.gs1.org/414/9521234002048"
TRUCK = "https://id.gs1.org/8004/95212340TRAILER07"
PALLET = sscc_uri("09521234000000001" + check_digit("09521234000000001"))
ROOM_SENSOR = "https://id.gs1.org/8004/95212340ROOM1"
TRUCK_SENSOR = "https://id.gs1.org/8004/95212340TRUCK1"

REGISTRY: dict[str, Any] = lines.REGISTRY | {
    "vehicles": [
        {
            "id": TRUCK,
            "organisation": "carrier",
            "kind": "trailer",
            "name": {"zh": "冷藏车", "en": "Reefer truck"},
        }
    ]
}


def said(kind: str, hours_ago: float, **fields: Any) -> dict[str, Any]:
    """One event. Its eventID is made of what it says, so that saying it again is the same event."""
    when = NOW - timedelta(hours=hours_ago)
    event = {"type": kind, "eventTime": when.isoformat(), "eventTimeZoneOffset": "+08:00", **fields}
    name = f"{kind}-{hours_ago}-{fields.get('bizStep')}-{fields.get('parentID', '').rpartition('/')[2]}"
    return {"eventID": f"https://suyuan.example/xj-coop/event/{name}", **event}


def at(place: str) -> dict[str, Any]:
    return {"readPoint": {"id": place}, "bizLocation": {"id": place}}


def made(hours_ago: float = 10, boxes: int = 40) -> dict[str, Any]:
    """The packhouse run: from here on the lot is in the stage `cold`, in the store."""
    return said(
        "TransformationEvent",
        hours_ago,
        bizStep="commissioning",
        disposition="active",
        inputQuantityList=[{"epcClass": FRUIT, "quantity": 86.5, "uom": "KGM"}],
        outputQuantityList=[{"epcClass": LOT, "quantity": boxes}],
        **at(STORE),
    )


def placed(
    hours_ago: float,
    sensor: str = ROOM_SENSOR,
    parent: str = STORE,
    position: str = "ambient",
    channel: str = "ambient",
) -> dict[str, Any]:
    return said(
        "AssociationEvent",
        hours_ago,
        action="ADD",
        bizStep="installing",
        parentID=parent,
        childEPCs=[sensor],
        **{"suyuan:channel": channel, "suyuan:probePosition": position},
    )


def removed(
    hours_ago: float, sensor: str = ROOM_SENSOR, parent: str = STORE, channel: str = "ambient"
) -> dict[str, Any]:
    return said(
        "AssociationEvent",
        hours_ago,
        action="DELETE",
        bizStep="removing",
        parentID=parent,
        childEPCs=[sensor],
        **{"suyuan:channel": channel},
    )


def packed(hours_ago: float, boxes: int = 20, first: str = "0001") -> dict[str, Any]:
    last = f"{int(first) + boxes - 1:0{len(first)}d}"
    return said(
        "AggregationEvent",
        hours_ago,
        action="ADD",
        bizStep="packing",
        parentID=PALLET,
        childQuantityList=[{"epcClass": LOT, "quantity": boxes}],
        **at(STORE),
        **{"suyuan:labelRange": {"epcClass": LOT, "from": first, "to": last}},
    )


def loaded(hours_ago: float) -> dict[str, Any]:
    return said(
        "AggregationEvent",
        hours_ago,
        action="ADD",
        bizStep="loading",
        parentID=TRUCK,
        childEPCs=[PALLET],
        readPoint={"id": STORE},
    )


def on_truck(hours_ago: float) -> dict[str, Any]:
    """The truck's own sensor, as its carrier says."""
    return placed(hours_ago, TRUCK_SENSOR, TRUCK, "return_air", "return_air")


def declared_wrong(event: dict[str, Any], hours_ago: float = 0) -> dict[str, Any]:
    """The same event, taken back."""
    when = NOW - timedelta(hours=hours_ago)
    return event | {"errorDeclaration": {"declarationTime": when.isoformat(), "reason": "incorrect_data"}}


def by_terminal(*events: dict[str, Any]) -> list[Message]:
    """As the cooperative's device hands them over."""
    return [message(json.dumps(event).encode(), kind="events") for event in events]


def by_carrier(*events: dict[str, Any]) -> list[Message]:
    return [message(json.dumps(event).encode(), "truck-1", "carrier", "events") for event in events]


def room(values: Sequence[float], hours_ago: float, seq: int, step_s: float = 60) -> Message:
    """The store's air, one reading every minute from that hour on."""
    return message(lines.pack(values, seq=seq, start_s=NOW_S - hours_ago * 3600, step_s=step_s))


def truck(values: Sequence[float], hours_ago: float, seq: int) -> Message:
    payload = lines.pack(values, seq=seq, start_s=NOW_S - hours_ago * 3600, channel="return_air")
    return message(payload, "truck-1", "carrier")
