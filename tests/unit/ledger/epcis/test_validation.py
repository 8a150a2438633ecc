"""What is said of a document beyond its fields: rules over several fields, advice over several events, names."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.epcis import advice
from ledger.epcis.event_hash import event_hash
from ledger.epcis.events import parse_document, parse_event
from ledger.epcis.files import NoEvents, Unreadable, as_read, read_file
from ledger.epcis.validation import Finding, validate
from ledger.epcis.xml_order import misplaced, refused
from tests.unit.ledger.epcis.documents import published, read
from tests.unit.ledger.epcis.test_events import (
    ASSOCIATION,
    OBJECT,
    REPORT,
    SSCC,
    bases,
    document_of,
    field_names,
    json_values,
    with_report,
    without,
)
from tests.vectors import count_vectors, vector_path

LATER = "2026-06-18T03:20:01+08:00"
EARLIER = "2026-06-17T19:00:00Z"
LOT = "https://id.gs1.org/01/09521234000204/10/DK260618A"


def with_metadata(meta: dict[str, Any], **report: Any) -> dict[str, Any]:
    return OBJECT | {"sensorElementList": [{"sensorMetadata": meta, "sensorReport": [REPORT | report]}]}


def found(*events: Any) -> list[Finding]:
    return list(validate(as_read(document_of(*events))))


def said(findings: list[Finding], severity: str) -> list[tuple[int | None, str]]:
    head = "/epcisBody/eventList/"
    return [
        (each.event, each.pointer.removeprefix(head).partition("/")[2])
        for each in findings
        if each.severity == severity
    ]


# --- one event ----------------------------------------------------------------------------------------------

SENSOR = "sensorElementList/0/"


@pytest.mark.parametrize(
    ("event", "places"),
    [
        (OBJECT, []),
        (with_metadata({"time": EARLIER, "deviceID": "urn:x:1"}), []),
        (with_metadata({"time": "2026-06-17T19:20:00Z"}), []),  # the very moment of the event
        (with_metadata({"time": LATER}), [SENSOR + "sensorMetadata/time"]),
        (with_metadata({"startTime": EARLIER, "endTime": LATER}), [SENSOR + "sensorMetadata/endTime"]),
        (with_report(time=LATER), [SENSOR + "sensorReport/0/time"]),
        (with_metadata({"deviceID": "urn:x:1"}, deviceID="urn:x:1"), [SENSOR + "sensorReport/0/deviceID"]),
        (with_metadata({"time": EARLIER}, time=EARLIER), [SENSOR + "sensorReport/0/time"]),
        (with_metadata({"bizRules": "urn:x:1"}, bizRules="urn:x:2"), [SENSOR + "sensorReport/0/bizRules"]),
        (with_metadata({"rawData": "urn:x:1"}, rawData="urn:x:2"), [SENSOR + "sensorReport/0/rawData"]),
        (with_metadata({"deviceID": "urn:x:1"}, time=EARLIER), []),
        (OBJECT | {"errorDeclaration": {"declarationTime": LATER}}, ["eventID"]),
        (OBJECT | {"eventID": "urn:x:1", "errorDeclaration": {"declarationTime": LATER}}, []),
        (
            OBJECT | {"eventID": "urn:x:1", "errorDeclaration": {"declarationTime": LATER, "correctiveEventIDs": ["urn:x:1"]}},
            ["errorDeclaration/correctiveEventIDs/0"],
        ),
        (ASSOCIATION | {"parentID": "https://id.gs1.org/414/9521234002048/254/DOOR1"}, []),
        (without(ASSOCIATION, "parentID"), ["parentID"]),
        (without(ASSOCIATION, "childEPCs"), ["childEPCs"]),
        (without(ASSOCIATION, "childEPCs") | {"action": "DELETE"}, []),
    ],
)  # fmt: skip
def test_rules_over_several_fields_are_errors(event: dict[str, Any], places: list[str]) -> None:
    findings = found(event)
    assert said(findings, "error") == [(1, place) for place in places]
    assert said(findings, "warning") == []


@pytest.mark.parametrize(
    ("event", "places"),
    [
        (OBJECT | {"eventTimeZoneOffset": "+09:00"}, ["eventTimeZoneOffset"]),
        (OBJECT | {"eventTime": "2026-06-17T19:20:00Z"}, []),
        (OBJECT | {"bizStep": "sampling"}, ["bizStep"]),
        (OBJECT | {"bizStep": "https://ref.gs1.org/cbv/BizStep-sampling", "action": "DELETE"}, []),
        (OBJECT | {"bizStep": "sensor_reporting"}, ["bizStep"]),
        (with_report() | {"bizStep": "sensor_reporting"}, []),
        (with_report(uom="KGM"), [SENSOR + "sensorReport/0/uom"]),
        (with_report(type="gs1:EffectiveDoseRate"), [SENSOR + "sensorReport/0/type"]),
        (with_report(type="https://example.org/Bitterness"), []),
        (with_metadata({"startTime": EARLIER, "time": EARLIER}), [SENSOR + "sensorMetadata/time"]),
        (
            with_metadata({"startTime": EARLIER, "endTime": "2026-06-17T19:10:00Z"}, time="2026-06-17T18:00:00Z"),
            [SENSOR + "sensorReport/0/time"],
        ),
    ],
)  # fmt: skip
def test_advice_refuses_nothing(event: dict[str, Any], places: list[str]) -> None:
    findings = found(event)
    assert said(findings, "warning") == [(1, place) for place in places]
    assert said(findings, "error") == []


# --- events together ----------------------------------------------------------------------------------------


def step(name: str, minutes: int = 0, **fields: Any) -> dict[str, Any]:
    return (
        OBJECT
        | {"bizStep": name, "eventTime": f"2026-06-18T{3 + minutes // 60:02}:{minutes % 60:02}:00+08:00"}
        | fields
    )


OF_A_LOT = {"epcList": [], "quantityList": [{"epcClass": LOT, "quantity": 5}]}
INTO_A_TRUCK = {
    "type": "AggregationEvent",
    "action": "ADD",
    "parentID": "https://id.gs1.org/8004/95212340TRUCK7",
    "childEPCs": [SSCC],
}


@pytest.mark.parametrize(
    ("events", "warned"),
    [
        ((step("shipping"), step("loading")), [2]),
        ((step("loading"), step("departing", 10), step("shipping", 20)), [3, 3]),
        ((step("departing"), step("urn:epcglobal:cbv:bizstep:shipping", 300)), [2]),
        ((step("receiving"), step("arriving")), [2]),
        ((step("accepting"), step("receiving", 30)), [2]),
        ((step("shipping"), step("receiving", 30)), []),
        ((step("loading"), step("departing"), step("arriving", 300), step("accepting", 310)), []),
        ((step("shipping"), step("loading", epcList=["urn:x:other"])), []),
        ((step("shipping"), step("loading", eventTime="2026-06-20T03:00:00+08:00")), []),
        ((step("shipping", epcList=["urn:epc:id:sscc:9521234.0000000010"]), without(step("loading"), "epcList") | INTO_A_TRUCK), [2]),
        ((step("shipping", **OF_A_LOT), step("loading", **OF_A_LOT)), [2]),
        ((step("shipping", **OF_A_LOT), step("loading", 10, **OF_A_LOT)), []),  # other boxes of the lot
        ((step("storing"), with_report() | step("sensor_reporting")), [2]),
        ((with_report() | step("sensor_reporting"), step("storing")), [2]),
        ((step("storing"), with_report() | step("sensor_reporting", 1)), []),
        ((step("sampling", action="DELETE"), step("shipping", 5)), [2]),
        ((step("sampling", action="DELETE", **OF_A_LOT), step("shipping", 5, **OF_A_LOT)), []),
        ((step("loading"), step("shipping", errorDeclaration={"declarationTime": LATER}, eventID="urn:x:1")), []),
    ],
)  # fmt: skip
def test_business_steps_that_exclude_each_other_are_warnings(
    events: tuple[Any, ...], warned: list[int]
) -> None:
    findings = found(*events)
    assert said(findings, "warning") == [(number, "bizStep") for number in warned]
    assert said(findings, "error") == []


def test_a_message_names_both_events() -> None:
    (finding,) = found(step("loading"), step("shipping"))
    assert "event 1 says loading" in finding.message
    assert "shipping stands for the whole of which loading is a part" in finding.message


def test_only_so_many_goods_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "MOST_REMEMBERED", 3)
    together = advice.Together()
    for number in range(50):
        goods = {"epcList": [f"urn:x:{number}"], "bizStep": f"urn:own:step:{number}"}
        assert list(together.add(parse_event(OBJECT | goods), number)) == []
    same = [parse_event(OBJECT | {"bizStep": f"urn:own:step:{number}"}) for number in range(50)]
    assert [list(together.add(event, number)) for number, event in enumerate(same)] == [[]] * 50
    assert len(together._seen) == 3
    assert max(map(len, together._seen.values())) == 1


# --- names --------------------------------------------------------------------------------------------------


def test_one_name_is_one_event() -> None:
    one = OBJECT | {"eventID": "urn:x:1"}
    declared = one | {"errorDeclaration": {"declarationTime": LATER}}
    assert found(one, declared, OBJECT | {"eventID": "urn:x:2"}) == []
    assert said(found(one, copy.deepcopy(one)), "warning") == [(2, "eventID")]
    (clash,) = found(one, OBJECT, one | {"disposition": "in_transit"})
    assert (clash.severity, clash.event, clash.pointer) == ("error", 3, "/epcisBody/eventList/2/eventID")
    assert "that of event 1" in clash.message


def test_a_stale_event_hash_is_a_note_at_most() -> None:
    right = OBJECT | {"eventID": event_hash(parse_event(OBJECT), document_of()["@context"])}
    assert found(right) == []
    (note,) = found(right | {"disposition": "in_transit"})
    assert (note.severity, note.pointer) == ("note", "/epcisBody/eventList/0/eventID")


# --- around the events --------------------------------------------------------------------------------------


def test_what_is_around_the_events_is_looked_at_too() -> None:
    bare = without(document_of(OBJECT | {"action": "x"}), "schemaVersion", "type") | {"creationDate": "today"}
    findings = list(validate(as_read(bare)))
    assert [(each.event, each.pointer) for each in findings] == [
        (None, "/type"),
        (None, "/schemaVersion"),
        (None, "/creationDate"),
        (1, "/epcisBody/eventList/0/action"),
    ]
    assert [(each.severity, each.pointer) for each in found()] == [("warning", "/epcisBody/eventList")]


def test_a_key_twice_in_one_object_is_an_error() -> None:
    twice = json.dumps(OBJECT)[:-1] + ', "action": "ADD"}'
    (finding,) = validate(read_file(twice.encode()))
    assert (finding.severity, finding.pointer) == ("error", "")
    assert "'action' twice" in finding.message


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (OBJECT | {"action": "x"}, "/action"),
        ([OBJECT, OBJECT | {"action": "x"}], "/1/action"),
        ([OBJECT, 5], "/1"),
    ],
)
def test_pointers_are_into_what_was_sent(document: Any, pointer: str) -> None:
    assert [each.pointer for each in validate(as_read(document))] == [pointer]


# --- published documents ------------------------------------------------------------------------------------

# Valid by the official schema, and against the standard's text. "combined" have an event with a sensor time after it.
BREACHES = {
    **dict.fromkeys(
        ("object_event_all_possible_fields", "transformation_event_all_possible_fields", "transaction_event_all_possible_fields",
         "aggregation_event_all_possible_fields", "ObjectEvent_all_possible_fields", "AggregationEvent_all_possible_fields",
         "TransformationEvent_all_possible_fields", "TransactionEvent_all_possible_fields", "ObjectEventWithAllPossibleFields"),
        "two places, after the event",
    ),
    **dict.fromkeys(("association_event_all_possible_fields", "AssociationEvent_all_possible_fields"), "two places"),
    "JumbledFieldsOrder": "two places, after the event",
    **dict.fromkeys(("CurieString_document", "Namespaces_at_different_level"), "after the event"),
    "Combination_of_different_event": "after the event, no eventID",
    **dict.fromkeys(
        ("SensorDataExample12", "TransformationEvent_with_sensorData", "TransformationEvent_with_userExtensions"), "no eventID"
    ),
}  # fmt: skip
_KINDS = {
    "stands in sensorMetadata": "two places",
    "after the eventTime": "after the event",
    "repeats the": "no eventID",
}


def test_published_documents_are_valid_but_for_named_breaches_of_the_text() -> None:
    breached, seen = {}, 0
    for name, path, valid in published():
        errors = [each.message for each in validate(as_read(read(path))) if each.severity == "error"]
        assert valid or errors, name
        kinds = [kind for words, kind in _KINDS.items() if any(words in message for message in errors)]
        if valid and errors:
            breached[path.stem] = ", ".join(kinds)
        seen += 1
    assert breached == BREACHES
    assert seen >= 108


# Its measurement type is a URI, which the official schema takes, and in its JSON twin a word, which it does not.
XML_TAKEN = {"TransactionEvent_with_userExtensions"}


def test_xml_documents_have_the_verdict_of_their_twins() -> None:
    """What JSON says of a document is said of its XML; of those without a twin, what their folder says."""
    root = vector_path("epcis/openepcis/2.0/EPCIS")
    twins = {
        path.stem: valid
        for _, path, valid in published()
        if "openepcis" in path.parts and "Capture" in path.parts
    }
    taken, left_out = set(), set()
    paths = sorted(root.glob("XML/Capture/*/*.xml"))
    for path in paths:
        file = read_file(path.read_bytes())
        errors = [each for each in validate(file) if each.severity == "error"]
        told = (*_KINDS, "the XML Schema wants") if path.stem == "JumbledFieldsOrder" else _KINDS
        is_taken = not [each for each in errors if not any(words in each.message for words in told)]
        wanted = twins.get(path.stem, path.parent.name != "Invalid")
        if is_taken != wanted:
            (taken if is_taken else left_out).add(path.stem)
        count_vectors()
    assert (taken, left_out) == (XML_TAKEN, set())
    assert len(paths) >= 45


def test_the_order_of_xml_elements_is_that_of_the_schema() -> None:
    """By the folder of published documents: none of those that are valid but the jumbled one."""
    root = vector_path("epcis/openepcis/2.0/EPCIS/XML")
    found = {}
    for path in sorted(root.rglob("*.xml")):
        try:
            events = read_file(path.read_bytes()).events
        except Unreadable:  # a question, and no events
            continue
        places = [problem.pointer for event in events for problem in (*misplaced(event), *refused(event))]
        found |= {path.relative_to(root).as_posix(): places} if places else {}
        count_vectors()
    assert found == {
        "Capture/Documents/JumbledFieldsOrder.xml": ["/eventTimeZoneOffset"],
        "Capture/Invalid/ObjectEvent_with_wrong_element_order.xml": ["/eventTime", "/action"],
        "Query/JumbledFieldsOrder.xml": ["/eventTimeZoneOffset"],
    }


@pytest.mark.parametrize(
    ("names", "place", "is_refused"),
    [
        ("eventTime recordTime eventTimeZoneOffset epcList action bizStep ilmd x:a x:b", None, False),
        (
            "eventTime eventTimeZoneOffset epcList action ilmd sensorElementList",
            None,
            False,
        ),  # as version 1.2
        ("eventTime eventTimeZoneOffset epcList action x:a bizStep", "/bizStep", False),
        ("eventTime eventTimeZoneOffset action epcList", "/epcList", False),
        ("eventTime action eventTimeZoneOffset", "/eventTimeZoneOffset", False),
        ("epcList action eventTime", "/eventTime", True),
        ("action", None, False),
    ],
)
def test_what_of_the_order_is_refused(names: str, place: str | None, is_refused: bool) -> None:
    event = {"type": "ObjectEvent"} | dict.fromkeys(names.split(), "")
    assert [each.pointer for each in misplaced(event)] == ([] if place is None else [place])
    assert bool(list(refused(event))) == is_refused
    assert all("the order eventTime" in each.message for each in misplaced(event))


def test_the_order_is_asked_of_xml_alone() -> None:
    back = {name: OBJECT[name] for name in reversed(OBJECT)}
    assert list(validate(read_file(json.dumps(back).encode()))) == []
    xml = b"""<ObjectEvent><action>ADD</action><eventTime>2026-06-18T03:20:00+08:00</eventTime>
      <eventTimeZoneOffset>+08:00</eventTimeZoneOffset>
      <epcList><epc>urn:x:1</epc><epc>urn:x:1</epc></epcList></ObjectEvent>"""
    (finding,) = validate(read_file(xml))
    assert (finding.severity, finding.pointer, finding.event) == ("error", "/eventTime", 1)
    assert "eventTime, eventTimeZoneOffset, epcList, action" in finding.message


def test_nothing_is_wrong_with_the_bayberry_lot() -> None:
    assert list(validate(as_read(read(vector_path("own/yangmei-lot.jsonld"))))) == []


# --- for any input ------------------------------------------------------------------------------------------


changes = st.dictionaries(field_names, json_values, max_size=3)
events = json_values | st.builds(lambda base, changed: base | changed, bases, changes)
envelopes = st.sampled_from(["@context", "type", "schemaVersion", "creationDate", "id"])


@settings(max_examples=100)
@given(st.lists(events, max_size=4), st.dictionaries(envelopes, json_values, max_size=3))
def test_any_document_is_judged(events: list[Any], around: dict[str, Any]) -> None:
    """Every finding has a place and a sentence, and a document without an error passes the door."""
    document = document_of(*events) | around
    with suppress(NoEvents):
        file = as_read(document)
        findings = list(validate(file))
        assert all((each.message and each.pointer == "") or each.pointer.startswith("/") for each in findings)
        assert all(json.dumps(each.to_json(), allow_nan=False).encode() for each in findings)
        if not [each for each in findings if each.severity == "error"]:
            assert len(parse_document(document).events) == len(events)
