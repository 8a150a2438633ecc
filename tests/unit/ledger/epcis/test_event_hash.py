"""The CBV 2.0 event hash: the reference's own files, its runs over GS1's examples, what must not matter.

XML is in `test_xml_document`. Of the reference's files `.hashes` is trusted and `.prehashes` is not (some are
damaged).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis import EpcisError
from ledger.epcis.event_hash import MOST_WRITTEN, Hasher, event_hash, ignored_in, pre_hash
from ledger.epcis.events import EventError, parse_document, parse_event
from tests.unit.ledger.epcis.documents import events_of, read
from tests.vectors import count_vectors, vector_path

CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"ex": "https://ns.example.com/epcis/"},
]

# Where the derived hashes show a defect of the program that made them, not a rule of the standard.
DERIVED_BY_A_DEFECT = {
    "SensorDataExample7": "true becomes True, not so in XML",
    "SensorDataExample9": "true becomes True",
    "SensorDataExample12": "fields under a namespace without a last slash are lost, cbvmda: is not resolved",
    "object_event_all_possible_fields": "true becomes True, cbvmda: is not resolved",
    "aggregation_event_all_possible_fields": "true becomes True, cbv: is not resolved",
    "association_event_all_possible_fields": "true becomes True",
    "transaction_event_all_possible_fields": "true becomes True, parentID stands before epcList",
}


def hashes_of(document: dict[str, Any]) -> list[str]:
    read_in = parse_document(document)
    return [event_hash(event, read_in.context, ignored=ignored_in(document)) for event in read_in.events]


def reference_files() -> list[Path]:
    found = sorted(vector_path("epcis/event-hash/examples").glob("*.jsonld"))
    return [path for path in found if path.with_suffix(".hashes").exists()]


def test_the_reference_files_hash_as_published() -> None:
    files = reference_files()
    assert len(files) == 16
    for path in files:
        published = path.with_suffix(".hashes").read_text().split()
        assert hashes_of(read(path)) == published, path.name
        count_vectors(len(published))


def test_events_that_are_one_hash_as_one() -> None:
    """The one group in JSON: the same event twice, equal to the reference file of the same name."""
    group = hashes_of(read(vector_path("epcis/event-hash/expected_equal/ReferenceEventHashAlgorithm.json")))
    alone = hashes_of(read(vector_path("epcis/event-hash/examples/ReferenceEventHashAlgorithm.jsonld")))
    assert group == alone * 2
    count_vectors(2)


def test_the_official_examples_hash_as_the_reference_found() -> None:
    derived = read(vector_path("epcis/oracles/derived_event_hashes_gs1_examples.json"))["hashes"]
    root = vector_path("epcis/gs1/JSON")
    differing = set()
    for name, hashes in derived.items():
        if isinstance(hashes, list):
            path = root / name.removeprefix("gs1-EPCIS/JSON/")
            if hashes_of(read(path)) != hashes:
                differing.add(path.stem)
            count_vectors(len(hashes))
    assert differing == set(DERIVED_BY_A_DEFECT)


def event(**fields: Any) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventTime": "2019-10-21T14:58:56+02:00",
        "eventTimeZoneOffset": "+02:00",
        "action": "OBSERVE",
        "epcList": ["urn:epc:id:sscc:5200001.0111111146"],
        **fields,
    }


def hash_of(said: dict[str, Any], context: Any = None) -> str:
    return event_hash(parse_event(said), CONTEXT if context is None else context)


REPORT = {"type": "Temperature", "value": 26, "uom": "CEL", "sDev": 0.1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (event(), event(eventTime="2019-10-21T14:58:56.000000+02:00")),
        (event(), event(eventTime="2019-10-21T12:58:56Z")),
        (event(), event(eventTime="2019-10-21T14:58:56.0004999+02:00")),
        (event(eventTime="2019-10-21T14:58:57+02:00"), event(eventTime="2019-10-21T14:58:56.9995+02:00")),
        (event(), event(epcList=["https://id.gs1.org/00/052000011111111461"])),
        (event(), event(epcList=["https://example.com/sscc/052000011111111461?x=1"])),
        (event(epcList=["urn:a:1", "urn:a:2"]), event(epcList=["urn:a:2", "urn:a:1"])),
        (
            event(epcList=["https://id.gs1.org/01/04012345999990/10/L/21/7"]),
            event(epcList=["urn:epc:id:sgtin:4012345.099999.7"]),
        ),
        (event(bizStep="loading"), event(bizStep="urn:epcglobal:cbv:bizstep:loading")),
        (event(bizStep="loading"), event(bizStep="https://ref.gs1.org/cbv/BizStep-loading")),
        (event(), event(recordTime="2020-01-01T00:00:00Z", eventID="urn:uuid:1")),
        (event(), event(errorDeclaration={"declarationTime": "2020-01-01T00:00:00Z"})),
        (event(), event(bizTransactionList=[])),
        (event(action="ADD"), event(action="ADD", ilmd={})),
        (event(), event(**{"rdfs:comment": "seen at dawn"})),
        (event(**{"ex:a": 1}), event(**{"https://ns.example.com/epcis/a": "1.0"})),
        (event(**{"ex:a": [1, 2]}), event(**{"ex:a": [2, 1]})),
        (event(**{"ex:a": True}), event(**{"ex:a": "true"})),
        (
            event(**{"ex:a": "urn:epc:id:giai:4012345.ABC"}),
            event(**{"ex:a": "https://id.gs1.org/8004/4012345ABC"}),
        ),
        (
            event(sensorElementList=[{"sensorReport": [REPORT]}]),
            event(
                sensorElementList=[{"sensorReport": [REPORT | {"type": "gs1:Temperature", "value": 26.0}]}]
            ),
        ),
    ],
)
def test_what_must_not_matter(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert hash_of(one) == hash_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (event(), event(eventTime="2019-10-21T14:58:56.001+02:00")),
        (event(), event(eventTime="2019-10-21T14:58:56.0005+02:00")),
        (event(), event(eventTimeZoneOffset="+01:00")),
        (event(), event(certificationInfo="urn:c:1")),
        (event(), event(readPoint={"id": "urn:x:1"})),
        (event(**{"ex:a": 1}), event(**{"ex:a": 2})),
        (event(**{"ex:a": 1}), event(**{"ex:b": 1})),
        (event(**{"ex:a": {"ex:b": 1}}), event(**{"ex:a": {"ex:c": 1}})),
        (
            event(sensorElementList=[{"sensorReport": [REPORT]}]),
            event(sensorElementList=[{"sensorReport": [REPORT | {"value": 26.1}]}]),
        ),
    ],
)
def test_what_must_matter(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert hash_of(one) != hash_of(other)


def test_numbers_that_no_double_tells_apart_are_two_but_in_published_hashes() -> None:
    waybills = [event(**{"ex:waybill": f"05200001111111146{digit}"}) for digit in (1, 2)]
    own, published = Hasher.of(CONTEXT), Hasher.of(CONTEXT, published=True)
    assert own.pre_hash(waybills[0]).endswith("waybill=52000011111111461")
    assert len({own.hash(each) for each in waybills}) == 2
    assert len({published.hash(each) for each in waybills}) == 1
    for written, said in (
        ("0.000000000000000010", 1e-17),
        ("100000000000000000.0", 1e17),
        ("0.12345678901234568", 0.12345678901234568),
    ):
        assert own.hash(event(**{"ex:a": written})) == own.hash(event(**{"ex:a": said}))


def test_the_prefix_is_only_a_way_to_write_a_namespace() -> None:
    assert hash_of(event(**{"a:x": 1}), [{"a": "urn:n:"}]) == hash_of(
        event(**{"b:x": 1}), [{"b": {"@id": "urn:n:"}}]
    )
    own = event(**{"a:x": 1, "@context": [{"a": "urn:n:"}]})
    assert hash_of(own) == hash_of(event(**{"a:x": 1}), {"a": "urn:n:"})


def test_the_string_that_is_hashed() -> None:
    said = event(bizStep="loading", **{"ex:b": -0.0, "ex:a": {"ex:c": ["2.50", 1e-7]}, "ex:e": ""})
    assert pre_hash(parse_event(said), CONTEXT) == (
        "eventType=ObjectEvent"
        "eventTime=2019-10-21T12:58:56.000Z"
        "eventTimeZoneOffset=+02:00"
        "epcListepc=https://id.gs1.org/00/052000011111111461"
        "action=OBSERVE"
        "bizStep=https://ref.gs1.org/cbv/BizStep-loading"
        "{https://ns.example.com/epcis/}a"
        "{https://ns.example.com/epcis/}c=1e-07"
        "{https://ns.example.com/epcis/}c=2.5"
        "{https://ns.example.com/epcis/}b=0"
        "{https://ns.example.com/epcis/}e"
    )


@pytest.mark.parametrize(
    "context",
    [
        None,
        "https://example.com/c",
        5,
        [None, 5],
        {"ex": None},
        [{"ex": {"@id": 5}}],
        [[[{}]]],
        {"ex": "", "y": "urn:"},
    ],
)
def test_any_context_is_borne(context: Any) -> None:
    assert event_hash(parse_event(event(**{"ex:a": 1})), context).endswith("?ver=CBV2.0")


def nested_in_lists(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = [value]
    return value


def lot_events() -> list[dict[str, Any]]:
    return events_of(read(vector_path("own/yangmei-lot.jsonld")))


def shuffled(value: Any, order: st.DataObject) -> Any:
    """The same JSON value with the members of every object in another order."""
    if isinstance(value, dict):
        return {name: shuffled(value[name], order) for name in order.draw(st.permutations(list(value)))}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(st.integers(0, 34), st.data())
def test_the_order_of_fields_does_not_matter(place: int, order: st.DataObject) -> None:
    said = lot_events()[place]
    other = shuffled(said, order)
    assert hash_of(said) == hash_of(other)


names = st.text("abcdefgh", min_size=1, max_size=3).map("ex:".__add__)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(max_size=10)
    | st.floats(-(2**53) + 1, 2**53 - 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(names, values, max_size=4), st.data())
def test_every_event_that_is_taken_has_a_hash(fields: dict[str, Any], order: st.DataObject) -> None:
    said = event(**json.loads(json.dumps(fields).replace("\\u0000", "")))
    assert hash_of(said) == hash_of(shuffled(said, order))


meanings = (
    st.text("ab:/#", max_size=5)
    | st.text(max_size=5)
    | st.sampled_from(["a:", "b:x", "http://a/", "urn:" + "n" * 2000 + ":", "a:" + "n" * 2000])
)
contexts = st.recursive(
    st.none()
    | st.text(max_size=5)
    | st.dictionaries(
        st.text("ab", max_size=2) | st.text(max_size=2), meanings | meanings.map(lambda m: {"@id": m})
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(contexts, contexts, st.lists(st.text("ab:/#x", max_size=5), max_size=3))
def test_every_context_that_is_taken_gives_a_hash(outer: Any, inner: Any, values: list[str]) -> None:
    said = event(**{"@context": inner, "a:x": values, "b:y": {"a:z": values}})
    document = {
        "@context": outer,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-06-22T16:00:00Z",
        "epcisBody": {"eventList": [said]},
    }
    try:
        taken = parse_document(document)
    except EventError:
        return
    assert event_hash(taken.events[0], taken.context).endswith("?ver=CBV2.0")


@pytest.mark.parametrize(
    "context",
    [
        {"x": "http://a/\ud800/"},
        {"a": "http://" + "a" * 400_000 + "/"} | {f"b{n}": f"a:{n}" for n in range(20_000)},
        {"a": "urn:x:"} | {f"b{n}": f"b{n - 1}:" + "x" * 2000 for n in range(200)} | {"b0": "a:x"},
        nested_in_lists(50_000),
    ],
)
def test_a_context_without_bounds_is_refused(context: Any) -> None:
    with pytest.raises(EventError):
        event_hash(parse_event(event()), context)
    with pytest.raises(EventError):
        parse_event(event(**{"@context": context}))


@pytest.mark.parametrize(
    "fields",
    [
        {"ex:" + "a" * 500_000: [1] * 90_000},
        {"ex:a": ["n:1"] * 90_000},
        {"n:a": [1] * 90_000},
        {"epcList": [f"n:{place}" for place in range(90_000)]},
    ],
)
def test_a_small_event_does_not_write_out_to_gigabytes(fields: dict[str, Any]) -> None:
    taken = parse_event(event(**fields))
    with pytest.raises(EpcisError, match=f"at most {MOST_WRITTEN} characters; give it an eventID"):
        event_hash(taken, {"n": "urn:" + "n" * 2000 + ":", "ex": "urn:ex:"})


@pytest.mark.parametrize(
    "fields",
    [
        {"ex:a": "1" * 1_000_000 + "x"},
        {"ex:a": "https://a.b" + "/8004/x" * 100_000},
        {"urn:" + ":/#" * 300_000: 1},
        {"ex:" + "a" * 900_000: [[]] * 90_000},
    ],
)
def test_no_value_takes_long(fields: dict[str, Any]) -> None:
    """Each would run for minutes if reading it took the square of its length."""
    hash_of(event(**fields))
