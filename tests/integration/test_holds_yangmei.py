"""Proposals on the bayberry lot of the vectors, with their shares written out by hand.

700 kg of seven growers' lots became DK260618A (240 boxes), DK260618B (96 boxes) and 24.5 kg of cull. Up to the hold at the stall
(event 23) the pallet of A stands there with 36 boxes after 12 were refused; the rest of A is loose at the packhouse.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.integration.recalls import AT, CLASS, CULL, MIXED, PALLET, SECOND, registry, tell
from tests.servers.databases import Database

# By hand: 127.5 + 90 + 64 + 210 + 55 + 33 + 120.5 = 700 kg.
INPUTS = {
    "P01": 127.5 / 700,
    "P04": 90 / 700,
    "P07": 64 / 700,
    "P09": 0.3,
    "P12": 55 / 700,
    "P15": 33 / 700,
    "P20": 120.5 / 700,
}


@pytest.mark.editions("plain")
def test_the_bayberry_lot(database: Database, tmp_path: Path) -> None:
    instance = Instance(database, tmp_path)
    instance.register(registry())
    tell(instance, 22)
    for name, role in (("coop", "packer"), ("market", "market"), ("stall", "stall"), ("shop", "retailer")):
        add_person(instance, name, role, organisation=name)
    with (
        served(instance, AT + timedelta(hours=1)) as client,
        signed_in(client, "market") as market,
        signed_in(client, "coop") as coop,
        signed_in(client, "stall") as stall,
        signed_in(client, "shop") as shop,
    ):
        result = {"kind": "rapid", "lot": MIXED, "unit": PALLET, "sample": "S-1", "method": "GB/T 5009.199", "outcome": "positive", "value": 62.0,
                  "uom": "P1", "sampled_at": AT.isoformat(), "result_at": AT.isoformat()}  # fmt: skip
        answer = market.post("/api/v1/tests", json=result, headers={"Idempotency-Key": str(uuid4())})
        assert answer.status_code == 201, answer.text
        instance.settle(AT + timedelta(hours=1), consumers=("projection",))

        def asked(who: Any) -> Any:
            return who.get("/api/v1/holds/proposals").json()["tests"]

        (seen,) = asked(coop)
        assert {each["lot"].rpartition("-")[2]: each["share"] for each in seen["behind"]} == {
            name: pytest.approx(share) for name, share in INPUTS.items()
        }
        assert {each["lot"].startswith(CLASS) for each in seen["behind"]} == {True}
        by_lot = {each["lot"]: each for each in seen["proposals"] if each["holder"] == "coop"}
        # Of A: 240 made, 48 packed on the pallet, so 192 loose. B and the cull are of the same seven inputs, whole.
        assert set(by_lot) == {MIXED, SECOND, CULL}
        assert {
            lot: [(each["code"], each["of_goods"]) for each in row["reasons"]] for lot, row in by_lot.items()
        } == {
            MIXED: [("same_lot", 1.0)],
            SECOND: [("mix", pytest.approx(1.0))],
            CULL: [("mix", pytest.approx(1.0))],
        }
        assert by_lot[CULL]["kilograms"] == pytest.approx(24.5)
        # 12 boxes were refused into a unit of their own, which stands at the market's dock and was not tested.
        # By the record the carrier still has it; it is at the market's place, so the market sees it and holds it itself.
        unit = "https://id.gs1.org/00/095212340000000273"
        (refused,) = [each for each in asked(market)[0]["proposals"] if unit in each["units"]]
        assert (refused["lot"], refused["holder"], refused["relation"]) == (MIXED, "second", "tester")
        assert [reason["code"] for reason in refused["reasons"]] == ["same_lot"]
        decided = market.post(
            f"/api/v1/holds/proposals/{refused['id']}/decide",
            json={"decision": "hold", "reason": "同批"},
            headers={"Idempotency-Key": str(uuid4())},
        )
        assert (decided.status_code, decided.json().get("outcome")) == (201, "held"), decided.text
        assert asked(stall) == [] and asked(shop) == [], (
            "the tested pallet is held by its own test; the shop has none yet"
        )
