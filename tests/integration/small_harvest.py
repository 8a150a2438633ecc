"""A small harvest around one positive test: who picked what where, what was mixed from what, and where it lies.

Lot A is mixed from 60 kg of P1 and 40 kg of P2, lot B from 10 kg of P2 and 30 kg of P3. Grower G1 picked P1, P2, P4 and P5, grower
G2 P3 and P6. P4 is from P1's plot, a day later; P6 from another plot that was sprayed on the same day as P1's.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from ledger.epcis.identifiers import lot_uri
from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person
from tests.integration.gate import DOCK, MARKET_REGISTRY, by_market, organisation, terminal, unloaded
from tests.integration.lines import NOW, message
from tests.integration.said import (
    GTIN,
    LOT,
    PALLET,
    STORE,
    at,
    by_carrier,
    by_terminal,
    loaded,
    on_truck,
    packed,
    said,
)
from tests.servers.databases import Database

A = LOT
B = lot_uri(GTIN, "DK2")
_STATION = "https://id.gs1.org/414/9521234001010/254/"


def fruit(number: int) -> str:
    return f"https://suyuan.example/xj-coop/class/yangmei-dongkui.260618-P{number:02d}"


def plot(number: int) -> str:
    return f"{_STATION}P{number:02d}"


def picked(
    number: int, hours_ago: float, kg: float, grower: str, at_plot: int | None = None
) -> dict[str, Any]:
    event = said("ObjectEvent", hours_ago, action="ADD", bizStep="commissioning", disposition="active",
                 quantityList=[{"epcClass": fruit(number), "quantity": kg, "uom": "KGM"}], **at(plot(at_plot or number)))  # fmt: skip
    return event | {
        "ilmd": {"suyuan:growerRef": grower},
        "eventID": f"https://suyuan.example/xj-coop/event/pick-{number}",
    }


def mixed(run: str, hours_ago: float, boxes: int, lot: str, **kilograms: float) -> dict[str, Any]:
    inputs = [
        {"epcClass": fruit(int(name[1:])), "quantity": kg, "uom": "KGM"} for name, kg in kilograms.items()
    ]
    made = said("TransformationEvent", hours_ago, bizStep="commissioning", disposition="active", inputQuantityList=inputs,
                outputQuantityList=[{"epcClass": lot, "quantity": boxes}], **at(STORE))  # fmt: skip
    return made | {
        "transformationID": f"https://suyuan.example/xj-coop/bt/{run}",
        "eventID": f"https://suyuan.example/xj-coop/event/{run}",
    }


def weighed_in(number: int, hours_ago: float, kg: float) -> dict[str, Any]:
    event = said("ObjectEvent", hours_ago, action="OBSERVE", bizStep="storing", disposition="in_progress",
                 quantityList=[{"epcClass": fruit(number), "quantity": kg, "uom": "KGM"}], **at(STORE))  # fmt: skip
    return event | {"eventID": f"https://suyuan.example/xj-coop/event/store-{number}"}


HARVEST = (
    picked(1, 30, 60, "G1"),
    picked(2, 29, 60, "G1"),
    picked(3, 28, 30, "G2"),
    picked(4, 20, 25, "G1", at_plot=1),
    picked(5, 19, 15, "G1"),
    picked(6, 18, 12, "G2"),
    *(weighed_in(number, 16, kg) for number, kg in ((1, 60), (2, 60), (3, 30), (4, 25), (5, 15), (6, 12))),
    mixed("run-a", 10, 40, A, p1=60, p2=40),
    mixed("run-b", 9, 15, B, p2=10, p3=30),
)  # fmt: skip
_ARRIVED = said(
    "ObjectEvent",
    0.6,
    action="OBSERVE",
    bizStep="arriving",
    disposition="in_progress",
    epcList=[PALLET],
    **at(DOCK),
)
REGISTRY: dict[str, Any] = MARKET_REGISTRY | {
    "organisations": [*MARKET_REGISTRY["organisations"], organisation("shop", "retailer", 9521234004011)],
    "devices": [*MARKET_REGISTRY["devices"], terminal("shop-1", "shop")],
}


def play(database: Database, folder: Path, *, silent: tuple[str, ...] = ()) -> Instance:
    instance = Instance(database, folder)
    happen(instance, silent)
    return instance


def happen(instance: Instance, silent: tuple[str, ...] = ()) -> None:
    """Twenty boxes of A stand unloaded at the market's dock, the other twenty in the cooperative's store."""
    organisations = [each | {"publishes": each["id"] not in silent} for each in REGISTRY["organisations"]]
    instance.register(REGISTRY | {"organisations": organisations})
    instance.take(
        [
            *by_carrier(on_truck(9)),
            *by_terminal(*HARVEST, packed(4.5), loaded(4)),
            *by_market(_ARRIVED, unloaded(0.5)),
        ],
        NOW,
    )
    instance.settle(NOW)
    for login, role, owner in (
        ("gate", "market", "market"), ("elsewhere", "market", "other-market"), ("packer", "packer", "coop"),
        ("grower", "grower", "coop"), ("stall", "stall", "stall"), ("shop", "retailer", "shop"),
    ):  # fmt: skip
        add_person(instance, login, role, organisation=owner)
    add_person(instance, "county", "official", department="market_regulation", regions=("3301",))
    add_person(instance, "town", "official", department="agriculture", regions=("331024",))
    add_person(instance, "auditor", "auditor", regions=("33",))


def screened(client: httpx.Client, key: str, *, outcome: str = "positive", **more: Any) -> str:
    """A rapid test of the pallet, by the market. Returns its identifier."""
    said = {
        "lot": A, "unit": PALLET, "sample": "S-1", "kind": "rapid", "method": "GB/T 5009.199", "sampled_at": NOW.isoformat(),
        "result_at": NOW.isoformat(), "outcome": outcome, "value": 71.5 if outcome == "positive" else 3.0, "uom": "P1", "threshold": 50,
    } | more  # fmt: skip
    said = {name: value for name, value in said.items() if value is not None}
    answer = client.post("/api/v1/tests", json=said, headers={"Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def by_shop(*events: dict[str, Any]) -> list[Any]:
    return [message(json.dumps(event).encode(), "shop-1", "shop", "events") for event in events]


def sprayed(client: httpx.Client, number: int, days_before: int, **more: Any) -> httpx.Response:
    use = {"plot": plot(number), "registration": "PD20096789", "name": "毒死蜱", "dose": "1000 倍液 30 kg/亩",
            "used_on": (NOW - timedelta(days=days_before)).date().isoformat(), "interval_days": 14}  # fmt: skip
    return client.post(
        "/api/v1/input-uses",
        json=use | more,
        headers={"Idempotency-Key": str(uuid4()), "Accept": "application/json"},
    )
