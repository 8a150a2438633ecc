"""One answer at the gate: a truck of 40 pallets with 2,000 boxes of eight lots, and one of its pallets. Against reading
what the record holds of it once, which is the least that an answer could cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from ledger.epcis.identifiers import check_digit, lot_uri, sscc_uri
from tests.acceptance.instance import Instance
from tests.benchmarks.measuring import compare
from tests.integration.gate import DOCK, MARKET_REGISTRY
from tests.integration.lines import NOW, message
from tests.integration.said import (
    FRUIT,
    GTIN,
    STORE,
    TRUCK,
    at,
    by_carrier,
    by_terminal,
    on_truck,
    placed,
    room,
    said,
    truck,
)
from tests.servers.databases import Template
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.check.answering import Answered, answer
from trace_api.check.facts import Asked
from trace_api.check.finding import find
from trace_api.check.rules import load_rules

LOTS, PALLETS, BOXES = 8, 40, 50
_RECORD = (
    b"SELECT convert_from(bytes, 'UTF8')::jsonb FROM event_bytes",
    b"SELECT series_id, time, value FROM reading_store",
)


def run(template: Template, folder: Path) -> None:
    with template.clone() as database:
        instance = Instance(database, folder / "gate")
        instance.register(MARKET_REGISTRY)
        pallets = [_sscc(n) for n in range(PALLETS)]
        unloaded = _said(
            "AggregationEvent",
            0.08,
            "unloading",
            action="DELETE",
            parentID=TRUCK,
            childEPCs=pallets,
            **at(DOCK),
        )
        messages = [
            *by_carrier(on_truck(9)),
            *by_terminal(*_made(pallets)),
            room([3.0] * 301, 5, 1),
            truck([3.0] * 236, 4, 1),
        ]
        instance.take(messages, NOW)
        instance.settle(NOW)
        _time(instance, "a truck with all of it inside", TRUCK)
        instance.take([message(json.dumps(unloaded).encode(), "gate-1", "market", "events")], NOW)
        instance.settle(NOW)
        _time(instance, "the same truck, unloaded", TRUCK)
        _time(instance, "one pallet", pallets[7])
        _time(instance, "one lot on five pallets", lot_uri(GTIN, "DK3"))


def _sscc(number: int) -> str:
    digits = f"0952123400000{number:04d}"
    return sscc_uri(digits + check_digit(digits))


def _said(kind: str, hours_ago: float, step: str, **fields: Any) -> dict[str, Any]:
    event = said(kind, hours_ago, bizStep=step, **fields)
    return event | {"eventID": f"{event['eventID']}-{step}"}


def _made(pallets: list[str]) -> list[dict[str, Any]]:
    lots = [lot_uri(GTIN, f"DK{n}") for n in range(LOTS)]
    events = [placed(5.5)]
    for n, lot in enumerate(lots):
        fruit = [{"epcClass": f"{FRUIT}-{n}", "quantity": 600, "uom": "KGM"}]
        boxes = [{"epcClass": lot, "quantity": PALLETS * BOXES // LOTS}]
        events.append(
            _said("TransformationEvent", 5 - n / 100, "commissioning", disposition="active", inputQuantityList=fruit,
                  outputQuantityList=boxes, **at(STORE))
        )  # fmt: skip
    for n, pallet in enumerate(pallets):
        boxes = [{"epcClass": lots[n % LOTS], "quantity": BOXES}]
        events.append(
            _said("AggregationEvent", 4.5 - n / 1000, "packing", action="ADD", parentID=pallet, childQuantityList=boxes, **at(STORE))
        )  # fmt: skip
    events.append(
        _said(
            "AggregationEvent",
            4,
            "loading",
            action="ADD",
            parentID=TRUCK,
            childEPCs=pallets,
            readPoint={"id": STORE},
        )
    )
    return events


def _time(instance: Instance, what: str, code: str) -> None:
    person = Person(None, "gate", "gate", "market", frozenset({"market"}))
    with (
        ConnectionPool(instance.database.service("api"), min_size=1, max_size=1) as pool,
        psycopg.connect(instance.database.owner) as reference,
    ):

        def answered() -> Answered:
            with access.looking(Databases(pool, pool), person) as conn:
                return answer(conn, find(conn, code, NOW), Asked(person, load_rules(), NOW))

        def read() -> None:
            for query in _RECORD:
                reference.execute(query).fetchall()

        first = answered()
        compare(
            f"check {what} ({len(first.cases)} portions, {first.answer})",
            1,
            "answers",
            answered,
            "the record's events and readings read once",
            read,
        )
