"""A small county in which each fraud of the radar can be planted, and which without them adds up.

Times are hours before `lines.NOW`. The cooperative picks on a plot of two mu, packs, and sends a truck to Hangzhou.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tests.acceptance.instance import Instance
from tests.integration.lines import NOW
from tests.integration.said import FRUIT, GTIN, LOT, PALLET, REGISTRY, STORE, at, by_terminal, said

PLOT = "https://id.gs1.org/414/9521234001010/254/P01"
GATE = "https://id.gs1.org/414/9521234003021"
FIGURE = {"source": "县农业农村局 2026 年度测产", "verified": True}

COUNTY: dict[str, Any] = REGISTRY | {
    "organisations": [
        REGISTRY["organisations"][0] | {"region": "331024"},
        REGISTRY["organisations"][1] | {"region": "331082"},
        {"id": "market", "name": {"zh": "批发市场", "en": "Market"}, "party": "https://id.gs1.org/417/9521234003000", "kind": "market",
         "region": "330110"},
    ],
    "places": [
        *REGISTRY["places"],
        {"id": PLOT, "organisation": "coop", "kind": "plot", "name": {"zh": "1 号地块", "en": "Plot 1"}, "region": "331024",
         "lat": 28.86, "lon": 120.72, "area_mu": {"value": 2, "source": "土地承包合同", "verified": True}},
        {"id": GATE, "organisation": "market", "kind": "gate", "name": {"zh": "市场入口", "en": "Market gate"}, "region": "330110",
         "lat": 30.35, "lon": 120.15},
    ],
    "products": [
        REGISTRY["products"][0] | {"figures": {"cull_least": {"value": 0.01}, "yield_kg_per_mu": {"value": 600} | FIGURE}},
    ],
}  # fmt: skip


def picked(hours_ago: float = 30, kg: float = 86.5, lot: str = FRUIT) -> dict[str, Any]:
    amount = [{"epcClass": lot, "quantity": kg, "uom": "KGM"}]
    event = said(
        "ObjectEvent", hours_ago, action="ADD", bizStep="commissioning", quantityList=amount, **at(PLOT)
    )
    return event | {"eventID": f"{event['eventID']}-{lot.rpartition('.')[2]}"}


def run(hours_ago: float = 10, boxes: float = 40, kg: float = 86.5, cull: float = 2.0) -> dict[str, Any]:
    outputs = [{"epcClass": LOT, "quantity": boxes}]
    if cull:
        outputs.append(
            {
                "epcClass": "https://suyuan.example/xj-coop/class/yangmei-cull.1",
                "quantity": cull,
                "uom": "KGM",
            }
        )
    return said(
        "TransformationEvent", hours_ago, bizStep="commissioning", disposition="active",
        inputQuantityList=[{"epcClass": FRUIT, "quantity": kg, "uom": "KGM"}], outputQuantityList=outputs, **at(STORE),
    )  # fmt: skip


def sold(hours_ago: float, boxes: float) -> dict[str, Any]:
    amount = [{"epcClass": LOT, "quantity": boxes}]
    return said(
        "ObjectEvent", hours_ago, action="DELETE", bizStep="retail_selling", quantityList=amount, **at(GATE)
    )


def seen(hours_ago: float, step: str, place: str, unit: str = PALLET) -> dict[str, Any]:
    event = said("ObjectEvent", hours_ago, action="OBSERVE", bizStep=step, epcList=[unit], **at(place))
    return event | {"eventID": f"{event['eventID']}-{place.rpartition('/')[2]}"}


def settled(instance: Instance, events: Sequence[dict[str, Any]], now: datetime = NOW) -> None:
    if events:
        instance.take(by_terminal(*events), now)
    instance.settle(now)


def found(instance: Instance, state: str = "open") -> list[str]:
    return [
        kind
        for (kind,) in instance.rows(
            "SELECT kind FROM finding WHERE state = %s ORDER BY kind, subject", state
        )
    ]


def certified(
    instance: Instance,
    number: str,
    kg: float,
    lot: str = LOT,
    kind: str = "producer",
    organisation: str = "coop",
) -> None:
    instance.alter(
        "INSERT INTO certificate (id, number, organisation, kind, lot, lot_kg, product_zh, product_en, quantity_kg, origin, declared_by,"
        " contact, basis, evidence, issued_at, event_id) VALUES (%s, %s, %s, %s, %s, 1e6, '杨梅', 'Bayberry', %s, '仙居', 'urn:x', '-',"
        " '{self_declaration}', '{}', %s, %s)",
        f"https://suyuan.example/doc/{number}", number, organisation, kind, lot, kg, NOW, f"urn:uuid:{number}",
    )  # fmt: skip


def scanned(instance: Instance, code: str, visitors: int, networks: int, day: str = "2026-06-20") -> None:
    instance.alter(
        "INSERT INTO scan_visit (code, day, visitor, network, region, scans)"
        " SELECT %s, %s, substr(sha256(n::text::bytea), 1, 8), substr(sha256((n %% %s)::text::bytea), 1, 4), '', 1 FROM generate_series(1, %s) AS n",
        code, day, networks, visitors,
    )  # fmt: skip


BOX = f"https://id.gs1.org/01/{GTIN}/10/DK1/21/0007"
