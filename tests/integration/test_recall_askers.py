"""Recalls from what a sensor saw, by whom they may be ordered, and what shoppers and checks see in the same second.

A lot lies in the cooperative's store under a sensor; half of it is on a pallet that leaves before the store becomes warm.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.entry import SALT_SIZE, field_leaf, parse_entry
from ledger.strict_json import from_base64, to_base64
from ledger.translog.merkle import Tree
from tests.acceptance.instance import Instance, token
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import NO_TLS, served
from tests.integration.lines import NOW
from tests.integration.recalls import post
from tests.integration.said import (
    FRUIT,
    GTIN,
    LOT,
    PALLET,
    REGISTRY,
    ROOM_SENSOR,
    STORE,
    TRUCK,
    by_carrier,
    by_terminal,
    loaded,
    made,
    packed,
    placed,
    room,
)
from tests.servers.databases import Database

pytestmark = pytest.mark.editions("plain")
LATER = NOW + timedelta(minutes=5)
WARM = [2.0] * 60 + [9.0] * 90 + [2.0] * 90


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    chain = [*by_terminal(placed(11), made(10), packed(8)), *by_carrier(loaded(6)), room(WARM, 5, 1)]
    instance.take(chain, NOW)
    instance.settle(LATER)
    return instance


@contextmanager
def coop(server: httpx.Client) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {token('coop')}"}
    with httpx.Client(base_url=server.base_url, timeout=60, headers=headers, verify=NO_TLS) as client:
        yield client


def boxes(document: dict[str, Any]) -> dict[str, float]:
    return {each["lot"]: each["total"]["boxes"] for each in document["lots"]}


def ask(mode: str = "preview", **source: Any) -> dict[str, Any]:
    return {"mode": mode, "from": source, "level": 1, "reason": {"zh": "冷链中断"}}


def test_from_an_excursion_and_a_device_what_had_left_before_is_not_of_it(instance: Instance) -> None:
    (number,) = [
        row[0] for row in instance.rows("SELECT id FROM excursion WHERE state IN ('open', 'closed')")
    ]
    span = {"since": (NOW - timedelta(hours=7)).isoformat(), "until": (NOW - timedelta(hours=5)).isoformat()}
    with served(instance, LATER) as server, coop(server) as client:
        assert boxes(post(client, ask(kind="lot", id=LOT)).json()) == {LOT: 40}
        # The pallet of 20 left six hours ago, the store was warm from four hours ago on.
        assert boxes(post(client, ask(kind="excursion", number=number)).json()) == {LOT: 20}
        # With what is left of a lot of its own that went into it there, whose making nobody recorded.
        assert boxes(post(client, ask(kind="device", id=ROOM_SENSOR)).json()) == {LOT: 40, FRUIT: 0}
        last = {"since": (NOW - timedelta(hours=5)).isoformat()}
        assert boxes(post(client, ask(kind="device", id=ROOM_SENSOR, **last)).json()) == {LOT: 20}
        assert boxes(post(client, ask(kind="place", id=STORE, **span)).json()) == {LOT: 40}
        assert boxes(post(client, ask(kind="unit", id=TRUCK)).json()) == {LOT: 20}
        assert boxes(post(client, ask(kind="unit", id=PALLET)).json()) == {LOT: 20}
        # One box of the pallet: nobody said which boxes are where but by their labels.
        assert boxes(post(client, ask(kind="lot", id=f"01/{GTIN}/10/DK1/21/0007")).json()) == {LOT: 20}
        assert post(client, ask(kind="excursion", number=number + 1)).status_code == 404
        for wrong in ({"kind": "place", "id": STORE}, {"kind": "lot"}, {"kind": "excursion"}, {"kind": "shelf", "id": "x"},
                      {"kind": "place", "id": STORE, "since": span["until"], "until": span["since"]}):  # fmt: skip
            refused = post(client, ask(**wrong))
            assert refused.status_code == 422 and refused.json()["faults"][0]["zh"], refused.text


def test_officials_recall_in_their_area_and_department(instance: Instance) -> None:
    county = {"agriculture": "331024", "market_regulation": "331024"}
    for department, region in county.items():
        add_person(
            instance, department.replace("_", "-"), "official", department=department, regions=(region,)
        )
    add_person(instance, "elsewhere", "official", department="agriculture", regions=("320102",))
    add_person(instance, "auditor", "auditor", regions=("331024",))
    with served(instance, LATER) as server:
        outcomes = {}
        for login in ("agriculture", "market-regulation", "elsewhere", "auditor"):
            with signed_in(server, login) as client:
                outcomes[login] = post(client, ask("real", kind="lot", id=LOT)).status_code
        # The goods are in store and on the road: not in the market yet.
        assert outcomes == {"agriculture": 201, "market-regulation": 403, "elsewhere": 403, "auditor": 403}
        with signed_in(server, "agriculture") as client:
            form = client.get("/holds/order").text
            assert f'<option value="{STORE}"' in form and f'<option value="{ROOM_SENSOR}"' in form
            (mine,) = client.get("/api/v1/recalls").json()["recalls"]
        assert mine["ordered_by"]["department"] == "agriculture" and mine["why"] == "ordered"
        with signed_in(server, "auditor") as client:
            assert [each["why"] for each in client.get("/api/v1/recalls").json()["recalls"]] == ["overseen"]
        with signed_in(server, "elsewhere") as client:
            assert '<option value="http' not in client.get("/holds/order").text
            assert client.get("/api/v1/recalls").json()["recalls"] == []
        with coop(server) as client:
            own = client.get(f"/api/v1/recalls/{mine['id']}").json()
            assert own["why"] == "told" and own["progress"]
    assert instance.rows("SELECT organisation FROM published_recall") == [(None,)]
    assert instance.rows("SELECT * FROM recall_event") == [], "an official has no log"
    with served(instance, LATER) as server, signed_in(server, "agriculture") as client:
        shut = post(client, {"outcome": "withdrawn", "note": "错报"}, f"/{mine['id']}/close")
        assert shut.status_code == 200, shut.text
    instance.settle(LATER, consumers=())
    with served(instance, LATER) as server, coop(server) as client:
        ordered, ended = client.get(f"/api/v1/recalls/{mine['id']}").json()["sealed"]
    for sealed in (ordered, ended):
        leaves = [
            field_leaf(from_base64(each["salt"], "salt", SALT_SIZE), each["name"], each["value"])
            for each in sealed["fields"]
        ]
        (entry,) = instance.rows(
            "SELECT entry FROM leaf WHERE organisation = 'root' AND leaf_index = %s", sealed["index"]
        )
        said = parse_entry(bytes(entry[0]))
        assert said.type == "registry" and said.body["root"] == to_base64(Tree.of(leaves).root_hash)
    told = {each["name"]: each["value"] for each in ordered["fields"]}
    assert told["department"] == "agriculture" and told["goods"].startswith("ni:///sha-256;")
    assert {each["name"]: each["value"] for each in ended["fields"]}["outcome"] == "withdrawn"


def test_a_shopper_sees_it_in_the_same_second_and_of_a_drill_nothing(instance: Instance) -> None:
    with served(instance, LATER) as server, coop(server) as client:
        before = server.get(f"/01/{GTIN}/10/DK1", params={"lang": "zh"}).text
        assert post(client, ask("drill", kind="lot", id=LOT)).status_code == 201
        assert server.get(f"/01/{GTIN}/10/DK1", params={"lang": "zh"}).text == before and "召回" not in before
        done = post(client, ask("real", kind="lot", id=LOT))
        assert done.status_code == 201
        assert "召回" in server.get(f"/01/{GTIN}/10/DK1", params={"lang": "zh"}).text
        rows = client.get("/api/v1/stock", params={"code": LOT}).json()["stock"]
        assert rows and all(row["marks"] == ["recalled"] for row in rows)
        shut = post(client, {"outcome": "withdrawn", "note": "错报"}, f"/{done.json()['id']}/close")
        assert shut.status_code == 200
        rows = client.get("/api/v1/stock", params={"code": LOT}).json()["stock"]
        assert rows and all(row["marks"] == [] for row in rows)
    instance.settle(LATER + timedelta(minutes=1), consumers=("projection",))
    with served(instance, LATER + timedelta(minutes=2)) as server, coop(server) as client:
        rows = client.get("/api/v1/stock", params={"code": LOT}).json()["stock"]
        assert rows and all(row["marks"] == [] for row in rows), "the events say the same"


def test_the_same_request_twice_is_one_recall(instance: Instance) -> None:
    with served(instance, LATER) as server, coop(server) as client:
        said = ask("real", kind="lot", id=LOT)
        answers = [
            client.post("/api/v1/recalls", json=said, headers={"Idempotency-Key": "once-and-again"})
            for _ in range(2)
        ]
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert instance.one("SELECT count(*) FROM recall") == 1
