"""What the integration tests of the line share: a small registry, packs and events, and one call down the line."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pytest

from ingest import readings
from ingest.intake import Readings
from ingest.pipeline import Line, Message, Outcome, run
from ingest.quarantine import MonthlyKeys
from ingest.registry import Registry, load, load_limit_versions, parse_registry
from ledger.persons import Vault

NOW = datetime(2026, 6, 20, 12, 0, tzinfo=UTC)
NOW_S = NOW.timestamp()

REGISTRY = {
    "organisations": [
        {"id": "coop", "name": {"zh": "合作社", "en": "Cooperative"}, "party": "https://id.gs1.org/417/9521234002000", "kind": "packer"},
        {"id": "carrier", "name": {"zh": "承运人", "en": "Carrier"}, "party": "https://id.gs1.org/417/9521234005001", "kind": "carrier"},
    ],
    "places": [
        {"id": "https://id.gs1.org/414/9521234002048", "organisation": "coop", "kind": "cold_store", "name": {"zh": "冷库", "en": "Cold store"},
         "region": "331024", "lat": 28.85, "lon": 120.73},
    ],
    "products": [
        {"id": "09521234000204", "organisation": "coop", "name": {"zh": "东魁杨梅", "en": "Dongkui bayberry"}, "rule_product": "yangmei",
         "net_content_kg": 2.0, "classes": ["https://suyuan.example/xj-coop/class/yangmei-dongkui"]},
    ],
    "devices": [
        {"id": "room-1", "organisation": "coop", "giai": "https://id.gs1.org/8004/95212340ROOM1", "model": "T1", "accuracy_c": 0.3, "interval_s": 60,
         "channels": [{"channel": "ambient", "quantity": "temperature", "unit": "Cel"}, {"channel": "door", "quantity": "boolean", "unit": "/"},
                      {"channel": "lat", "quantity": "latitude", "unit": "lat"}, {"channel": "lon", "quantity": "longitude", "unit": "lon"}]},
        {"id": "truck-1", "organisation": "carrier", "giai": "https://id.gs1.org/8004/95212340TRUCK1", "model": "T2", "interval_s": 60,
         "channels": [{"channel": "return_air", "quantity": "temperature", "unit": "Cel"}]},
    ],
}  # fmt: skip


def registered(conninfo: str) -> None:
    """The small registry and the shipped limits, loaded as ingest's own role."""
    with psycopg.connect(conninfo) as conn:
        load(conn, parse_registry(json.dumps(REGISTRY)))
        load_limit_versions(conn)


def line(folder: Path) -> Line:
    return Line(
        "ingest-test",
        Registry(time.monotonic),
        MonthlyKeys(folder),
        timedelta(days=1096),
        Vault.with_keys_in(folder),
    )


def pack(
    values: Sequence[float],
    *,
    seq: int | None = 1,
    boot: int = 1,
    start_s: float = NOW_S - 3600,
    step_s: float = 60,
    channel: str = "ambient",
    sent_s: float | None = NOW_S,
) -> bytes:
    records: list[dict[str, Any]] = []
    if seq is not None:
        records += [{"n": "boot", "v": boot}, {"n": "seq", "v": seq}]
    if sent_s is not None:
        records.append({"n": "sent", "v": sent_s})
    for index, value in enumerate(values):
        records.append({"n": channel, "u": "Cel", "t": start_s + index * step_s, "v": value})
    return json.dumps(records).encode()


def message(
    payload: bytes, device: str = "room-1", organisation: str = "coop", kind: str = "readings"
) -> Message:
    return Message(f"suyuan/v1/{organisation}/{device}/{kind}".encode(), payload, redelivered=False)


def take(conninfo: str, folder: Path, messages: Sequence[Message], now: datetime = NOW) -> Outcome:
    """On a connection as a worker has it."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        return run(conn, line(folder), messages, now)


def account(conninfo: str) -> dict[str, int]:
    """The account in all; the equation is checked by who asks."""
    with psycopg.connect(conninfo) as conn:
        row = conn.execute(
            "SELECT coalesce(sum(received), 0), coalesce(sum(stored), 0), coalesce(sum(duplicate), 0),"
            " coalesce(sum(conflict), 0), coalesce(sum(quarantined), 0) FROM account"
        ).fetchone()
    assert row is not None
    return dict(
        zip(("received", "stored", "duplicate", "conflict", "quarantined"), map(int, row), strict=True)
    )


def adds_up(found: dict[str, int]) -> bool:
    return (
        found["received"] == found["stored"] + found["duplicate"] + found["conflict"] + found["quarantined"]
    )


def harvest(
    event_id: str, when: datetime = NOW - timedelta(hours=5), quantity: float = 86.5
) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventID": event_id,
        "eventTime": when.isoformat(),
        "eventTimeZoneOffset": "+08:00",
        "action": "ADD",
        "bizStep": "commissioning",
        "disposition": "active",
        "quantityList": [
            {
                "epcClass": "https://suyuan.example/xj-coop/class/yangmei-dongkui.260618-P01",
                "quantity": quantity,
                "uom": "KGM",
            }
        ],
        "readPoint": {"id": "https://id.gs1.org/414/9521234001010/254/P01"},
    }


def fail_on(patch: pytest.MonkeyPatch, value: float | None = None) -> None:
    """Our own code fails as a message is written that holds this reading, or any."""
    whole = readings._sorted

    def fails(came: Readings) -> npt.NDArray[np.void]:
        if len(came.value) and value in (None, *came.value.tolist()):
            raise ValueError("a fault of ours")
        return whole(came)

    patch.setattr(readings, "_sorted", fails)
