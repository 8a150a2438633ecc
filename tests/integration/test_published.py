"""What a shopper is told where somebody does not publish, or says more in an event than the standard asks for.

The cooperative always publishes; its lot lies cold in its store, and then somebody loads it on a truck.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from ledger.epcis.identifiers import box_uri
from ledger.evidence import verify_evidence
from tests.acceptance.instance import Instance
from tests.acceptance.serving import served
from tests.integration.lines import NOW
from tests.integration.said import (
    FRUIT,
    GTIN,
    LOT,
    PALLET,
    REGISTRY,
    STORE,
    TRUCK,
    by_carrier,
    by_terminal,
    declared_wrong,
    loaded,
    made,
    on_truck,
    packed,
    placed,
    room,
    said,
    truck,
)
from tests.servers.databases import Database
from trace_api.chain import READINGS_AT_ONCE, Sensor, read_curve

LATER = NOW + timedelta(minutes=5)
BOX = box_uri(GTIN, "DK1", "0007").removeprefix("https://id.gs1.org/")
COLD = [2.0] * 60 * 10
NOTE = "ring Zhou on 13800000000"


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    """The store is cold all the time and the carrier, who has the warm truck, does not publish."""
    instance = Instance(database, tmp_path)
    silent = [entry | {"publishes": entry["id"] != "carrier"} for entry in REGISTRY["organisations"]]
    instance.register(REGISTRY | {"organisations": silent})
    return instance


def keep(instance: Instance, *more: Any, store: list[float] = COLD) -> None:
    chain = [*by_terminal(placed(11), made(10), packed(8)), room(store, 10, 1)]
    instance.take([*chain, *more], NOW)
    instance.settle(LATER)


def ask(instance: Instance, kind: str) -> Any:
    with served(instance, LATER) as api:
        answer = api.get(f"/api/v1/lots/{BOX}/{kind}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def page(api: httpx.Client, language: str) -> str:
    answer = api.get(f"/{BOX}", params={"lang": language})
    assert answer.status_code == 200
    return answer.text


def codes(verdict: Any) -> list[str]:
    return [reason["code"] for reason in verdict["reasons"]]


# --- steps that are not published ---------------------------------------------------------------------------------


def test_a_whole_chain_is_compliant(instance: Instance) -> None:
    keep(instance)
    worst = ask(instance, "verdict")["worst"]
    assert worst["verdict"] == "compliant" and "chain_hidden" not in codes(worst), (
        "else the others show nothing"
    )


def test_a_loading_that_is_not_published_leaves_no_verdict_of_the_store(instance: Instance) -> None:
    keep(instance, *by_carrier(on_truck(9), loaded(6)), truck([9.0] * 300, 6, 1))
    with served(instance, LATER) as api:
        worst = api.get(f"/api/v1/lots/{BOX}/verdict").json()["worst"]
        (exposure,) = api.get(f"/api/v1/lots/{BOX}/exposure").json()["portions"]
        trace, traced = api.get(f"/api/v1/lots/{BOX}/trace").json(), api.get(f"/trace/{BOX}?lang=en").text
        zh, en = page(api, "zh"), page(api, "en")
    assert worst["verdict"] == "indeterminate"
    (hidden,) = [reason for reason in worst["reasons"] if reason["code"] == "chain_hidden"]
    assert hidden["text"] == {"zh": "这批货的部分经过没有公开", "en": "Part of this chain is not published"}
    assert hidden["numbers"] == {"events": 1}
    since = (NOW - timedelta(hours=6)).isoformat().replace("+00:00", "Z")
    assert exposure["hidden"] == {"events": 1, "since": since}
    assert (trace["hidden"], trace["hidden_since"]) == (1, since)
    assert "Records that are not shown to you: 1." in traced
    assert TRUCK not in traced + str(trace)
    before = [leg for leg in exposure["legs"] if leg["end"] <= since]
    after = [leg for leg in exposure["legs"] if leg["start"] >= since]
    assert len(before) + len(after) == len(exposure["legs"]) and before and after
    assert all(leg["place"] == STORE and leg["minutes_measured"] > 0 for leg in before)
    assert all(
        (leg["place"], leg["minutes_measured"], leg["series"]) == (None, 0, []) and leg["limits"]
        for leg in after
    )
    assert "这批货的部分经过没有公开：" in zh and "Part of this chain is not published." in en
    assert TRUCK not in zh + en


def test_a_breach_measured_before_stays_one(instance: Instance) -> None:
    keep(instance, *by_carrier(loaded(4)), store=[2.0] * 120 + [9.0] * 90 + [2.0] * 390)
    worst = ask(instance, "verdict")["worst"]
    assert worst["verdict"] == "breach" and "chain_hidden" in codes(worst)


def test_what_the_store_measured_after_a_hidden_step_is_no_breach_of_these_goods(instance: Instance) -> None:
    keep(instance, *by_carrier(loaded(6)), store=[2.0] * 360 + [9.0] * 240)
    assert ask(instance, "verdict")["worst"]["verdict"] == "indeterminate"


def test_a_hidden_step_of_what_went_in_counts_for_what_came_out(instance: Instance) -> None:
    picked = said(
        "ObjectEvent",
        12,
        action="OBSERVE",
        bizStep="storing",
        quantityList=[{"epcClass": FRUIT, "quantity": 86.5, "uom": "KGM"}],
    )
    keep(instance, *by_carrier(picked))
    worst = ask(instance, "verdict")["worst"]
    assert worst["verdict"] == "indeterminate" and "chain_hidden" in codes(worst)


def test_what_does_not_concern_the_goods_is_not_counted(instance: Instance) -> None:
    elsewhere = said(
        "ObjectEvent", 5, action="OBSERVE", bizStep="arriving", epcList=[TRUCK], readPoint={"id": STORE}
    )
    taken_back = [loaded(6), declared_wrong(loaded(6), 5)]
    keep(instance, *by_carrier(on_truck(9), elsewhere, *taken_back))
    assert ask(instance, "verdict")["worst"]["verdict"] == "compliant"


def test_a_truck_that_is_not_published_counts_while_the_goods_are_on_it(instance: Instance) -> None:
    arriving = said("ObjectEvent", 5, action="OBSERVE", bizStep="arriving", epcList=[TRUCK])
    keep(instance, *by_terminal(loaded(6)), *by_carrier(arriving))
    assert ask(instance, "exposure")["portions"][0]["hidden"]["events"] == 1


def test_only_a_number_and_a_time_are_told(instance: Instance) -> None:
    keep(instance, *by_carrier(loaded(6)))
    asked = "SELECT * FROM published_hidden(%s, %s::timestamptz[], %s::timestamptz[])"
    for role in ("public", "api"):
        with instance.as_role(role) as conn:
            assert conn.execute(asked, [[PALLET], [None], [None]]).fetchall() == [
                (1, NOW - timedelta(hours=6))
            ]
            assert conn.execute(asked, [[PALLET], [None], [NOW - timedelta(hours=6)]]).fetchall() == []
            assert conn.execute(asked, [[LOT], [None], [None]]).fetchall() == [], "it names the pallet only"
    for role in ("ingest", "jobs", "sequencer"):
        with instance.as_role(role) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(asked, [[PALLET], [None], [None]])


# --- somebody's own words inside a field --------------------------------------------------------------------------


def nested() -> dict[str, Any]:
    """The packing, with something of the cooperative's own wherever a field has room for it."""
    event = packed(8)
    report = {"type": "Temperature", "value": 2.2, "uom": "CEL", "suyuan:operator": NOTE}
    return event | {
        "readPoint": {"id": STORE, "suyuan:note": NOTE},
        "bizLocation": {"id": STORE, "suyuan:keeper": {"name": NOTE}},
        "suyuan:labelRange": event["suyuan:labelRange"] | {"suyuan:by": NOTE},
        "sensorElementList": [{"sensorReport": [report]}],
        "suyuan:activity": NOTE,
    }


NESTED = {"readPoint", "bizLocation", "suyuan:labelRange", "sensorElementList", "suyuan:activity"}


def test_a_field_with_own_words_in_it_stays_behind_whole(instance: Instance) -> None:
    chain = [*by_terminal(placed(11), made(10), nested()), room(COLD, 10, 1)]
    instance.take(chain, NOW)
    instance.settle(LATER)
    number = instance.one("SELECT id FROM event WHERE biz_step = 'packing'")
    with instance.as_role("public") as conn:
        (body,) = conn.execute("SELECT body FROM published_event WHERE id = %s", [number]).fetchone() or ({},)
        fields = conn.execute("SELECT name, value FROM published_fields(%s)", [number]).fetchall()
    assert NOTE not in str((body, fields)) and "Temperature" not in str(body)
    assert set(body["suyuan:withheld"]) == NESTED
    assert {"type", "parentID", "bizStep", "eventTime"} <= {name for name, _ in fields}
    assert not NESTED & {name for name, _ in fields}
    (event,) = [
        item["event"]
        for item in ask(instance, "trace")["events"]
        if item["event"].get("bizStep") == "packing"
    ]
    assert not (NESTED | {"suyuan:withheld"}) & set(event) and event["parentID"] == PALLET
    assert ask(instance, "verdict")["worst"]["verdict"] == "compliant", "the goods are where they were"
    assert ask(instance, "exposure")["portions"][0]["unit"] == PALLET


def test_the_proof_withholds_the_same_and_still_holds(instance: Instance) -> None:
    instance.take([*by_terminal(placed(11), made(10), nested()), room(COLD, 10, 1)], NOW)
    instance.settle(LATER)
    evidence = ask(instance, "proof")
    assert NOTE not in json.dumps(evidence, ensure_ascii=False)
    logs = [*evidence["logs"], evidence["root"]]
    keys = {log["vkey"].partition("+")[0]: log["vkey"] for log in logs if log is not None}
    assert verify_evidence(json.dumps(evidence), keys).verified


def test_an_event_about_a_place_that_loses_its_measurement_stays_one(instance: Instance) -> None:
    report = {"type": "Temperature", "value": 2.2, "uom": "CEL", "stringValue": NOTE}
    checked = said(
        "ObjectEvent",
        7,
        action="OBSERVE",
        readPoint={"id": STORE},
        sensorElementList=[{"sensorReport": [report]}],
    )
    instance.take(by_terminal(checked), NOW)
    instance.settle(LATER)
    with served(instance, LATER) as api:
        answer = api.get(f"/api/v1/lots/{STORE.removeprefix('https://id.gs1.org/')}/trace")
    found = answer.json()
    assert [each["event"]["readPoint"] for each in found["events"]] == [{"id": STORE}] and found[
        "portions"
    ] == []
    assert NOTE not in answer.text and "stringValue" not in answer.text


OURS = {"type": "Temperature", "meanValue": 2.4, "uom": "CEL", "suyuan:probePosition": "pulp", "suyuan:sampleCount": 3}  # fmt: skip
PUBLISHABLE = {
    "readPoint": {"id": STORE},
    "quantityList": [{"epcClass": LOT, "quantity": 2.5, "uom": "KGM"}],
    "sensorElementList": [{"sensorMetadata": {"time": "2026-06-18T05:20:00Z"}, "sensorReport": [OURS]}],
    "errorDeclaration": {"declarationTime": "2026-06-18T05:20:00Z", "reason": "incorrect_data"},
    "persistentDisposition": {"set": ["recalled"]},
    "certificationInfo": ["https://id.gs1.org/253/9521234000013DK0618"],
    "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"suyuan": "https://a/"}],
    "suyuan:activity": "precooling_end",
    "suyuan:labelRange": {"epcClass": LOT, "from": "0001", "to": "0020"},
    "epcList": [],
}
WITHHELD = {
    "readPoint": {"id": STORE, "from": NOTE},
    "bizLocation": {"id": STORE, "suyuan:probePosition": NOTE},
    "quantityList": [{"epcClass": LOT}, {"epcClass": LOT, "stringValue": NOTE}],
    "sensorElementList": [{"sensorReport": [OURS | {"suyuan:sampleCount": NOTE}]}],
    "errorDeclaration": {"declarationTime": "2026-06-18T05:20:00Z", "reason": "https://a/er/" + NOTE},
    "certificationInfo": [{"name": NOTE}],
    "@context": [{"suyuan": NOTE}],
    "suyuan:activity": NOTE,
    "ilmd": {},
}


@pytest.mark.parametrize(("fields", "wanted"), [(PUBLISHABLE, True), (WITHHELD, False)])
def test_which_fields_are_publishable(database: Database, fields: dict[str, Any], wanted: bool) -> None:
    with psycopg.connect(database.service("public")) as conn:
        found = {
            name: conn.execute("SELECT is_publishable(%s, %s::jsonb)", [name, json.dumps(value)]).fetchone()
            for name, value in fields.items()
        }
    assert found == dict.fromkeys(fields, (wanted,))


# --- long curves --------------------------------------------------------------------------------------------------


def test_a_curve_longer_than_one_answer_is_read_to_its_end(instance: Instance) -> None:
    keep(instance)
    number, uuid = instance.rows(
        "SELECT id, uuid::text FROM series WHERE organisation = 'coop' AND channel = 'ambient'"
    )[0]
    points = READINGS_AT_ONCE + 7
    start_ms = round(NOW.timestamp() * 1000) - 86_400_000
    instance.alter("DELETE FROM reading_store WHERE series_id = %s", number)
    instance.alter(
        "INSERT INTO reading_store SELECT %s, to_timestamp((%s + number * 100) / 1000.0), number, 0, 1"
        " FROM generate_series(0, %s) AS number",
        number,
        start_ms,
        points - 1,
    )
    sensor = Sensor(number, uuid, "coop", 1, "T3", 0.3, 60_000, STORE, "ambient", start_ms, None)
    with instance.as_role("public") as conn:
        times, values = read_curve(conn, sensor, start_ms, start_ms + 86_400_000)
    assert values.tolist() == list(range(points))
    assert times.tolist() == [start_ms + number * 100 for number in range(points)]
