"""A world of recalls: the bayberry lot of the vectors told by those who had it, and who asks over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from ledger.epcis.events import parse_event
from ledger.persons import Vault
from ledger.recording import record
from tests.acceptance.instance import Instance, token
from tests.acceptance.serving import NO_TLS, served
from tests.vectors import vector_path

G = "https://id.gs1.org"
CLASS = "https://suyuan.example/xj-coop/class/yangmei-dongkui"
P01 = f"{CLASS}.260618-P01"
MIXED = f"{G}/01/09521234000204/10/DK260618A"
SECOND = f"{G}/01/09521234000204/10/DK260618B"
CULL = "https://suyuan.example/xj-coop/class/yangmei-cull.260618-L2-1"
PALLET = f"{G}/00/095212340000000105"
PLOT = f"{G}/414/9521234001010/254/P01"
STALL_ROOM = f"{G}/414/9521234003106/254/B12"
TRAILER = f"{G}/8004/95212340TRAILER31"
LOGGER = f"{G}/8004/95212340LOG0042"
AT = datetime(2026, 7, 1, tzinfo=UTC)

_PARTIES = {
    "coop": ("9521234002000", "packer"),
    "first": ("9521234005001", "carrier"),
    "second": ("9521234005100", "carrier"),
    "market": ("9521234003009", "market"),
    "stall": ("9521234003106", "stall"),
    "shop": ("9521234004011", "retailer"),
    "rival": ("9521234007004", "packer"),
}
_PLACES = {
    "coop": ("9521234001010", "9521234002017", "9521234002031", "9521234002024", "9521234002048"),
    "first": ("9521234006015",),
    "market": ("9521234003007", "9521234003014", "9521234003021"),
    "stall": ("9521234003106",),
    "shop": ("9521234004011",),
}
_REGIONS = {"coop": "331024", "first": "331024", "market": "330110", "stall": "330110", "shop": "330110"}
# Events of the vector by their place in it, and who said them; the rest is the co-op's.
_SAID_BY = {
    **dict.fromkeys((10, 11, 12, 13), "first"), **dict.fromkeys((14, 15), "second"),
    **dict.fromkeys((16, 17, 18, 19, 20), "market"), **dict.fromkeys((21, 23, 24, 25, 26, 27, 30), "stall"),
    22: "market", **dict.fromkeys((28, 29, 31), "shop"), 32: "stall",
}  # fmt: skip


def registry() -> dict[str, Any]:
    return {
        "organisations": [
            {"id": name, "name": {"zh": name, "en": name}, "party": f"{G}/417/{party}", "kind": kind, "publishes": name == "market"}
            for name, (party, kind) in _PARTIES.items()
        ],
        "places": [
            {"id": f"{G}/414/{place}", "organisation": name, "kind": "site", "name": {"zh": place, "en": place}, "region": _REGIONS[name]}
            for name, places in _PLACES.items()
            for place in places
        ],
        "products": [
            {"id": "yangmei", "organisation": "coop", "name": {"zh": "杨梅", "en": "bayberry"}, "rule_product": "yangmei",
             "classes": [f"{G}/01/09521234000204"]}
        ],
        "devices": [
            {"id": "logger-42", "organisation": "coop", "giai": LOGGER, "model": "test", "interval_s": 60,
             "accuracy_c": 0.5}
        ],
    }  # fmt: skip


def vector() -> list[dict[str, Any]]:
    document = json.loads(vector_path("own/yangmei-lot.jsonld").read_text(encoding="utf-8"))
    events: list[dict[str, Any]] = document["epcisBody"]["eventList"]
    return events


def say(instance: Instance, organisation: str, *events: Mapping[str, Any]) -> None:
    with instance.as_role("ingest") as conn:
        for event in events:
            record(conn, organisation, parse_event(dict(event)), AT, Vault(instance.keys.organisation_key))


def tell(instance: Instance, until: int, since: int = 0) -> None:
    """Events `since`..`until` (exclusive) of the vector, with its correction, and what follows from them."""
    events = vector()
    for number in [*range(since, until), *((33, 34) if since == 0 else ())]:
        say(instance, _SAID_BY.get(number, "coop"), events[number])
    follow(instance)


def follow(instance: Instance) -> None:
    instance.settle(AT, consumers=("projection",))
    assert instance.rows("SELECT * FROM set_aside") == []


@contextmanager
def asked_by(server: httpx.Client, organisation: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {token(organisation)}"}
    with httpx.Client(base_url=server.base_url, timeout=60, headers=headers, verify=NO_TLS) as client:
        yield client


@contextmanager
def asking(instance: Instance, organisation: str, now: datetime = AT) -> Iterator[httpx.Client]:
    with served(instance, now) as server, asked_by(server, organisation) as client:
        yield client


def post(client: httpx.Client, said: Mapping[str, Any], path: str = "") -> httpx.Response:
    return client.post(f"/api/v1/recalls{path}", json=dict(said), headers={"Idempotency-Key": str(uuid4())})


def from_lot(lot: str, mode: str = "preview") -> dict[str, Any]:
    return {
        "mode": mode,
        "from": {"kind": "lot", "id": lot},
        "level": 2,
        "reason": {"zh": "农残超标", "en": "residues"},
    }


def classes(document: Mapping[str, Any], lot: str) -> dict[str, float]:
    """Kilograms, or boxes where it is counted in those, by class; what there is nothing in is left out."""
    (found,) = [each for each in document["lots"] if each["lot"] == lot]
    return {name: part["boxes"] or part["kilograms"] for name, part in found["classes"].items()}


def later(hours: float, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    """An event so many hours after the order."""
    when = (AT + timedelta(hours=hours)).isoformat(timespec="milliseconds")
    said = {
        "type": kind,
        "eventID": f"urn:suyuan:test:{name}",
        "eventTime": when,
        "eventTimeZoneOffset": "+00:00",
    }
    if kind != "TransformationEvent":
        said["action"] = "OBSERVE"
    return said | fields


def boxes(quantity: float, lot: str = MIXED) -> list[dict[str, Any]]:
    return [{"epcClass": lot, "quantity": quantity}]


def at(place: str) -> dict[str, Any]:
    return {"readPoint": {"id": place}, "bizLocation": {"id": place}}
