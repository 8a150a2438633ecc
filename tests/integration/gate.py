"""A market's gate, and what its terminal says of goods that arrive there. The chain up to it is that of `said`."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.lines import message
from tests.integration.said import PALLET, REGISTRY, TRUCK, at, said

DOCK = "https://id.gs1.org/414/9521234003021"
ROOM = "https://id.gs1.org/414/9521234003106"


def organisation(name: str, kind: str, party: int) -> dict[str, Any]:
    return {
        "id": name,
        "name": {"zh": name, "en": name},
        "party": f"https://id.gs1.org/417/{party}",
        "kind": kind,
    }


def place(identifier: str, owner: str, kind: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "organisation": owner,
        "kind": kind,
        "name": {"zh": kind, "en": kind},
        "region": "330110",
    }


def terminal(name: str, owner: str) -> dict[str, Any]:
    giai = f"https://id.gs1.org/8004/95212340{name.upper().replace('-', '')}"
    return {
        "id": name,
        "organisation": owner,
        "giai": giai,
        "model": "terminal",
        "interval_s": 3600,
        "channels": [],
    }


MARKET_REGISTRY: dict[str, Any] = REGISTRY | {
    "organisations": [
        *REGISTRY["organisations"],
        organisation("market", "market", 9521234003007),
        organisation("other-market", "market", 9521234007005),
        organisation("stall", "stall", 9521234003106),
    ],
    "places": [*REGISTRY["places"], place(DOCK, "market", "dock"), place(ROOM, "stall", "stall")],
    "devices": [
        *REGISTRY["devices"],
        terminal("gate-1", "market"),
        terminal("gate-2", "other-market"),
        terminal("stall-1", "stall"),
    ],
}


def by_market(*events: dict[str, Any]) -> list[Any]:
    return [message(json.dumps(event).encode(), "gate-1", "market", "events") for event in events]


def certified(event: dict[str, Any]) -> dict[str, Any]:
    paper = "https://suyuan.example/coop/bt/HGZ-1"
    return event | {
        "certificationInfo": [paper],
        "bizTransactionList": [{"type": "cert", "bizTransaction": paper}],
    }


def unloaded(hours_ago: float) -> dict[str, Any]:
    return said("AggregationEvent", hours_ago, action="DELETE", bizStep="unloading", disposition="container_open",
                parentID=TRUCK, childEPCs=[PALLET], **at(DOCK))  # fmt: skip
