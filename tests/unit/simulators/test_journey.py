"""The events: valid against the standard's own schema, each said once, and adding up to one lot's story."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import jsonschema
import pytest

from simulators.scenario import BOX_KG, GTIN
from simulators.world import Message, World
from tests.unit.simulators.field_detector import Event, events_of
from tests.unit.simulators.worlds import MORNING, messages, world
from tests.vectors import count_vectors, vector_path

LATER = MORNING + timedelta(hours=60)


def events_in(sent: list[Message]) -> list[tuple[Message, Event]]:
    return [
        (message, event)
        for message in sent
        if message.kind == "events"
        for event in events_of(message.payload)
    ]


def said() -> list[tuple[Message, Event]]:
    return events_in(messages(7, LATER))


def one(events: list[Event], step: str, **more: Any) -> Event:
    found = [e for e in events if e["bizStep"] == step and all(e.get(k) == v for k, v in more.items())]
    assert len(found) == 1, (step, len(found))
    return found[0]


@pytest.mark.parametrize("seed", [3, 7])
def test_every_message_is_valid_epcis(seed: int) -> None:
    schema = json.loads((vector_path("epcis/gs1") / "EPCIS-JSON-Schema.json").read_text())
    formats = jsonschema.FormatChecker()
    # Without these two the schema takes a time for a word; jsonschema[format] brings them.
    assert {"date-time", "uri"} <= set(formats.checkers)
    validator = jsonschema.Draft7Validator(schema, format_checker=formats)
    ran = 0
    for message in messages(seed, LATER):
        if message.kind == "events":
            errors = [error.message for error in validator.iter_errors(json.loads(message.payload))]
            assert not errors, (message.topic, errors[:2])
            ran += 1
    count_vectors(ran)
    assert ran > 80


def test_no_event_is_said_twice_or_before_it_happened() -> None:
    pairs = said()
    identities = Counter(event["eventID"] for _, event in pairs)
    assert set(identities.values()) == {1}
    for message, event in pairs:
        happened = datetime.fromisoformat(event["eventTime"])
        assert MORNING <= happened <= message.at
        assert event["eventTimeZoneOffset"] == "+08:00"
        assert event["eventTime"].endswith("+08:00")


def test_each_party_says_what_it_does() -> None:
    by_organisation: dict[str, set[str]] = {}
    for message, event in said():
        by_organisation.setdefault(message.topic.split("/")[2], set()).add(event["bizStep"])
    assert {"commissioning", "receiving", "storing", "packing", "installing", "loading"} <= by_organisation[
        "xj-coop"
    ]
    assert {"departing", "arriving"} <= by_organisation["carrier-1"] & by_organisation["carrier-2"]
    assert "sensor_reporting" in by_organisation["carrier-2"] - by_organisation["carrier-1"]
    assert {"unloading", "inspecting", "sampling", "packing"} <= by_organisation["hz-market"]
    assert {"accepting", "unpacking", "packing", "shipping"} <= by_organisation["hz-stall-b12"]
    assert {"receiving", "retail_selling"} <= by_organisation["hz-shop-1"]


def test_the_fruit_adds_up_from_tree_to_box() -> None:
    events = [event for _, event in said()]
    picked = sum(
        item["quantity"] for e in events if e.get("action") == "ADD" for item in e.get("quantityList", [])
    )
    weighed = sum(
        e["quantityList"][0]["quantity"]
        for e in events
        if e["bizStep"] == "receiving" and "quantityList" in e
    )
    run = one(events, "commissioning", type="TransformationEvent")
    put_in = sum(item["quantity"] for item in run["inputQuantityList"])
    boxes = [item for item in run["outputQuantityList"] if "uom" not in item]
    cull = [item for item in run["outputQuantityList"] if item.get("uom") == "KGM"]
    came_out = sum(item["quantity"] for item in boxes) * BOX_KG + cull[0]["quantity"]
    assert picked == weighed == put_in
    assert 0.005 < 1 - came_out / put_in < 0.02  # moisture
    packed = [e for e in events if e["bizStep"] == "packing" and e["bizLocation"] == run["bizLocation"]]
    by_lot = Counter[str]()
    for event in packed:
        for item in event["childQuantityList"]:
            by_lot[item["epcClass"]] += item["quantity"]
    assert by_lot == {item["epcClass"]: item["quantity"] for item in boxes}


def test_label_ranges_are_as_long_as_the_boxes_and_do_not_overlap() -> None:
    packed = [e for _, e in said() if e["bizStep"] == "packing"]
    spans = []
    for event in packed:
        labels = event["suyuan:labelRange"]
        assert len(labels["from"]) == len(labels["to"])
        assert labels["epcClass"] == event["childQuantityList"][0]["epcClass"]
        first, last = int(labels["from"]), int(labels["to"])
        assert last - first + 1 == event["childQuantityList"][0]["quantity"]
        spans.append((first, last))
    whole = sorted(spans[:7])
    assert all(a[1] < b[0] for a, b in pairwise(whole))
    for first, last in spans[7:]:  # what was split off came out of one unit
        assert any(a <= first and last <= b for a, b in whole)


def test_the_certificate_stands_in_both_places_and_its_record_with_the_lot() -> None:
    events = [event for _, event in said()]
    run = one(events, "commissioning", type="TransformationEvent")
    certificate = run["certificationInfo"][0]
    assert {"type": "cert", "bizTransaction": certificate} in run["bizTransactionList"]
    record = run["ilmd"]["https://suyuan.example/voc/certificate"]
    assert record["https://suyuan.example/voc/certificateId"] == certificate
    gate = [e for e in events if e["bizStep"] == "inspecting" and e["disposition"] == "conformant"]
    assert sum(certificate in e.get("certificationInfo", []) for e in gate) == 2


def test_a_unit_goes_through_the_stages_in_order() -> None:
    events = sorted((event for _, event in said()), key=lambda event: event["eventTime"])
    unit = world().plan.units[3].sscc
    mine = [
        e["bizStep"]
        for e in events
        if unit in (e.get("parentID"), *e.get("epcList", []), *e.get("childEPCs", []))
    ]
    order = [
        "packing",
        "installing",
        "storing",
        "loading",
        "departing",
        "arriving",
        "unloading",
        "inspecting",
        "accepting",
    ]
    assert [step for step in mine if step in order][: len(order)] == order


def test_part_is_refused_one_test_is_negative_and_the_rest_is_on_sale() -> None:
    events = [event for _, event in said()]
    refused = one(events, "inspecting", disposition="non_conformant")
    assert refused["persistentDisposition"] == {"set": ["non_sellable_other"]}
    tested = next(e for e in events if any(t["type"] == "testres" for t in e.get("bizTransactionList", [])))
    report = tested["sensorElementList"][0]["sensorReport"][0]
    assert report["uom"] == "P1"
    assert report["value"] < 50.0
    shelved = one(events, "receiving", disposition="sellable_accessible")
    assert len(shelved["epcList"]) == 2


def test_placements_are_events_one_for_each_channel() -> None:
    a_world = world()
    installed = [e for _, e in said() if e["bizStep"] == "installing"]
    assert len(installed) == sum(len(device.probes) for device in a_world.devices)
    covered = [e for e in installed if "suyuan:probePosition" in e]
    assert {e["suyuan:probePosition"] for e in covered} == {
        "ambient",
        "pulp",
        "return_air",
        "supply_air",
        "in_box",
    }
    assert all("suyuan:channel" in e and len(e["childEPCs"]) == 1 for e in installed)
    assert sum(e["bizStep"] == "removing" for _, e in said()) >= 1


def test_a_following_world_clears_the_former_away_first() -> None:
    former = World(7, MORNING)
    start = MORNING + timedelta(days=6)
    following = World(7, start, after=former)
    early = [e for _, e in events_in(list(following.messages(start + timedelta(minutes=2))))]
    removed = {(e["childEPCs"][0], e["suyuan:channel"]) for e in early if e["bizStep"] == "removing"}
    left = {(d.giai, p.channel) for d in former.devices for p in d.probes if p.placement.removed_at is None}
    assert removed == left
    assert following.boot > former.boot
    gone = {epc for e in early if e["bizStep"] == "destroying" for epc in e["epcList"]}
    assert {unit.sscc for unit in former.plan.units} <= gone
    assert not gone & {unit.sscc for unit in following.plan.units}
    assert GTIN in following.sample_box()
