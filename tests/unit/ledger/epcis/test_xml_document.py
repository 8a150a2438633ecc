"""EPCIS XML: the published hashes and groups, the pairs of files in both formats, every field, and what must not hurt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.event_hash import Hasher, ignored_in
from ledger.epcis.events import parse_document
from ledger.epcis.files import ReadFile, Unreadable, read_file
from ledger.epcis.identifiers import canonical
from ledger.epcis.problems import EventError
from ledger.epcis.xml_document import read_xml
from tests.vectors import count_vectors, vector_path

# Pairs by file name of which one says what the other does not.
NOT_THE_SAME = {
    "Capture/Documents/SensorData_with_combined_events": "the JSON has bare words of no vocabulary (Molar_concentration)",
    "Capture/Documents/TransactionEvent_with_userExtensions": "the JSON has a bare word of no vocabulary (EffectiveDoseRate)",
    "Query/SensorData_with_combined_events": "the JSON has bare words of no vocabulary (Molar_concentration)",
    "Query/TransactionEvent_with_userExtensions": "the JSON has a bare word of no vocabulary (EffectiveDoseRate)",
    "Capture/Events/TransactionEvent": "the XML has an empty rail:vehicleMasterGIAI that the JSON has not",
    "Capture/Documents/epcisDocWithAllGS1Keys": "epcList: an SSCC twice as one URN in the XML, as URN and Digital Link in the JSON",
}


def hashes(file: ReadFile, published: bool = False) -> list[str]:
    hasher = Hasher.of(file.context, ignored_in(file.document), published=published)
    return [hasher.hash(event) for event in file.events]


def test_the_reference_files_hash_as_published() -> None:
    found = sorted(vector_path("epcis/event-hash/examples").glob("*.xml"))
    assert len(found) == 10
    for path in found:
        published = path.with_suffix(".hashes").read_text().split()
        assert hashes(read_file(path.read_bytes(), literal=True), published=True) == published, path.name
        count_vectors(len(published))


@pytest.mark.parametrize("literal", [True, False])
def test_events_that_are_one_hash_as_one(literal: bool) -> None:
    found = sorted(vector_path("epcis/event-hash/expected_equal").glob("*.xml"))
    assert len(found) == 10
    for path in found:
        group = hashes(read_file(path.read_bytes(), literal=literal))
        assert len(group) > 1 and len(set(group)) == 1, path.name
        count_vectors(len(group))


def pairs() -> Iterator[tuple[str, Path, Path]]:
    root = vector_path("epcis/openepcis/2.0/EPCIS")
    for json_path in sorted((root / "JSON").rglob("*.json")):
        name = json_path.relative_to(root / "JSON").with_suffix("")
        xml_path = root / "XML" / name.with_suffix(".xml")
        if xml_path.exists() and not {"Invalid", "Queries"} & set(name.parts):
            yield name.as_posix(), json_path, xml_path


def test_both_formats_of_a_document_hash_alike() -> None:
    found = list(pairs())
    assert len(found) == 49
    differing = set()
    for name, json_path, xml_path in found:
        in_json, in_xml = read_file(json_path.read_bytes()), read_file(xml_path.read_bytes())
        assert in_json.kind == in_xml.kind
        if hashes(in_json) != hashes(in_xml):
            differing.add(name)
        count_vectors()
    assert differing == set(NOT_THE_SAME)


def test_a_pallet_named_twice_hashes_as_published_where_the_xml_is_literal() -> None:
    """`epcisDocWithAllGS1Keys` differs in nothing but the second and third `epc` of its `epcList`: one pallet, in the XML twice by
    the same URN, in the JSON by its URN and by its Digital Link. JSON may not say the same text twice, so that what a door reads
    of the XML has it once, and another hash; read `literal`, as published hashes want it, both are the published one."""
    name, root = "epcisDocWithAllGS1Keys", vector_path("epcis/openepcis/2.0/EPCIS")
    published = (vector_path("epcis/event-hash/examples") / f"{name}.hashes").read_text().split()
    in_xml = (root / f"XML/Capture/Documents/{name}.xml").read_bytes()
    in_json = read_file((root / f"JSON/Capture/Documents/{name}.json").read_bytes())
    assert hashes(in_json) == hashes(read_file(in_xml, literal=True)) == published
    (of_json,), (of_door,) = in_json.events, read_file(in_xml).events
    pallet, again = of_json["epcList"].pop(1), of_json["epcList"].pop(1)
    assert canonical(pallet) == again
    of_json["epcList"].insert(1, pallet)
    assert of_door["epcList"] == of_json["epcList"]
    assert hashes(read_file(in_xml)) == hashes(in_json) != published


# Of the published capture documents, what the door refuses in JSON too.
REFUSED = {
    "AggregationEvent_with_persistentDisposition": "the official schema has no such field there",
    "SensorData_with_combined_events": "words of no vocabulary",
}


def test_what_is_read_passes_the_door() -> None:
    refused = set()
    found = sorted(vector_path("epcis/openepcis/2.0/EPCIS/XML/Capture/Documents").glob("*.xml"))
    assert len(found) == 37
    for path in found:
        try:
            parse_document(read_xml(path.read_bytes()))
        except EventError:
            refused.add(path.stem)
        count_vectors()
    assert refused == set(REFUSED)


def event_xml(inside: str, head: str = "", kind: str = "ObjectEvent") -> bytes:
    return (
        '<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" schemaVersion="2.0"'
        f' creationDate="2026-06-18T03:20:00Z"{head}><EPCISBody><EventList><{kind}>{inside}</{kind}></EventList>'
        "</EPCISBody></epcis:EPCISDocument>"
    ).encode()


def event_of(data: bytes) -> dict[str, Any]:
    document = read_xml(data)
    (event,) = document["epcisBody"]["eventList"]
    return dict(event)


def test_every_field() -> None:
    said = event_of(
        event_xml(
            """
            <eventTime>2026-06-18T03:20:00Z</eventTime><recordTime>2026-06-18T03:21:00Z</recordTime>
            <eventTimeZoneOffset>+08:00</eventTimeZoneOffset>
            <baseExtension><eventID>urn:uuid:1</eventID><errorDeclaration>
              <declarationTime>2026-06-19T00:00:00Z</declarationTime><reason>urn:epcglobal:cbv:er:did_not_occur</reason>
              <correctiveEventIDs><correctiveEventID>urn:uuid:2</correctiveEventID></correctiveEventIDs>
              <ex:why>typed twice</ex:why></errorDeclaration></baseExtension>
            <certificationInfo>https://example.com/a</certificationInfo><certificationInfo>https://example.com/b</certificationInfo>
            <epcList><epc> urn:epc:id:sscc:5200001.0111111146 </epc></epcList><action>ADD</action>
            <bizStep>urn:epcglobal:cbv:bizstep:commissioning</bizStep><disposition>cbv:Disp-active</disposition>
            <readPoint><id>urn:epc:id:sgln:4012345.00005.0</id><extension><ex:dock>4</ex:dock></extension></readPoint>
            <bizLocation><id>https://id.gs1.org/414/4012345000054</id></bizLocation>
            <bizTransactionList><bizTransaction type="urn:epcglobal:cbv:btt:po">urn:x:1</bizTransaction>
              <bizTransaction>urn:x:2</bizTransaction></bizTransactionList>
            <extension><quantityList><quantityElement><epcClass>urn:epc:class:lgtin:4012345.012345.A</epcClass>
              <quantity>200.0</quantity><uom>KGM</uom></quantityElement></quantityList>
              <sourceList><source type="urn:epcglobal:cbv:sdt:owning_party">urn:x:3</source></sourceList>
              <destinationList><destination type="https://example.com/mine">urn:x:4</destination></destinationList>
              <extension><persistentDisposition><set>urn:epcglobal:cbv:disp:recalled</set><set>urn:x:mine</set>
              <unset>urn:epcglobal:cbv:disp:active</unset></persistentDisposition></extension></extension>
            <sensorElementList><sensorElement>
              <sensorMetadata time="2026-06-18T03:00:00Z" deviceID="urn:x:d" ex:gateway="g1"/>
              <sensorReport type="gs1:Temperature" value="2.50" component="cbv:Comp-x" booleanValue="1" stringValue="007"
                exception="gs1:ALARM_CONDITION" uom="CEL" ex:raw="F0"/><sensorReport type="ex:Brix" minValue="-1" sDev="INF"/>
              <ex:probe depth="4">p</ex:probe></sensorElement></sensorElementList>
            <ilmd><ex:variety>东魁</ex:variety><cbvmda:lotNumber>L1</cbvmda:lotNumber></ilmd>
            <ex:tag/><ex:tag>2</ex:tag><ex:box ex:size="5"><ex:deep><in>1</in></ex:deep></ex:box>
            <parentID></parentID>
            """,
            ' xmlns:ex="https://ns.example.com/epcis/" xmlns:cbvmda="urn:epcglobal:cbv:mda"'
            ' xmlns:cbv="https://ref.gs1.org/cbv/" xmlns:gs1="https://gs1.org/voc/"',
        )
    )
    assert said == {
        "type": "ObjectEvent",
        "eventTime": "2026-06-18T03:20:00Z",
        "recordTime": "2026-06-18T03:21:00Z",
        "eventTimeZoneOffset": "+08:00",
        "eventID": "urn:uuid:1",
        "errorDeclaration": {
            "declarationTime": "2026-06-19T00:00:00Z",
            "reason": "did_not_occur",
            "correctiveEventIDs": ["urn:uuid:2"],
            "ex:why": "typed twice",
        },
        "certificationInfo": ["https://example.com/a", "https://example.com/b"],
        "epcList": ["urn:epc:id:sscc:5200001.0111111146"],
        "action": "ADD",
        "bizStep": "commissioning",
        "disposition": "active",
        "readPoint": {"id": "urn:epc:id:sgln:4012345.00005.0", "ex:dock": "4"},
        "bizLocation": {"id": "https://id.gs1.org/414/4012345000054"},
        "bizTransactionList": [
            {"type": "po", "bizTransaction": "urn:x:1"},
            {"bizTransaction": "urn:x:2"},
        ],
        "quantityList": [{"epcClass": "urn:epc:class:lgtin:4012345.012345.A", "quantity": 200, "uom": "KGM"}],
        "sourceList": [{"type": "owning_party", "source": "urn:x:3"}],
        "destinationList": [{"type": "https://example.com/mine", "destination": "urn:x:4"}],
        "persistentDisposition": {"set": ["recalled", "urn:x:mine"], "unset": ["active"]},
        "sensorElementList": [
            {
                "sensorMetadata": {"time": "2026-06-18T03:00:00Z", "deviceID": "urn:x:d", "ex:gateway": "g1"},
                "sensorReport": [
                    {
                        "type": "Temperature",
                        "value": 2.5,
                        "component": "x",
                        "booleanValue": True,
                        "stringValue": "007",
                        "exception": "ALARM_CONDITION",
                        "uom": "CEL",
                        "ex:raw": "F0",
                    },
                    {"type": "ex:Brix", "minValue": -1, "sDev": "INF"},
                ],
                "ex:probe": {"#text": "p", "depth": "4"},
            }
        ],
        "ilmd": {"ex:variety": "东魁", "cbvmda:lotNumber": "L1"},
        "ex:tag": ["", "2"],
        "ex:box": {"ex:size": "5", "ex:deep": {"in": "1"}},
    }


def test_the_context_declares_what_the_names_need() -> None:
    data = event_xml(
        '<a:x xmlns:a="urn:one:">1</a:x><a:x xmlns:a="urn:two">a:y</a:x><x xmlns="urn:three/">3</x>',
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:epcglobal:epcis:xsd:2 x.xsd"',
    )
    document = read_xml(data)
    assert document["@context"][1] == {
        "a": "urn:one:",
        "a2": {"@id": "urn:two", "@prefix": True},
        "ns": "urn:three/",
    }
    (event,) = document["epcisBody"]["eventList"]
    # What begins with the second meaning of a prefix would say the first one in JSON-LD: it is spelled out.
    assert event == {"type": "ObjectEvent", "a:x": "1", "a2:x": "urn:twoy", "ns:x": "3"}


def test_an_element_of_1_2_is_read_and_qualified_names_too() -> None:
    old = (
        event_xml("<action>ADD</action>")
        .replace(b"xsd:2", b"xsd:1")
        .replace(b"ObjectEvent", b"TransformationEvent")
    )
    old = old.replace(b"<EventList>", b"<EventList><extension>").replace(
        b"</EventList>", b"</extension></EventList>"
    )
    assert event_of(old) == {"type": "TransformationEvent", "action": "ADD"}
    bare = b'<e:ObjectEvent xmlns:e="urn:epcglobal:epcis:xsd:2" schemaVersion="2.0"><e:action>ADD</e:action></e:ObjectEvent>'
    found = read_file(bare)
    assert (found.kind, found.events[0]["action"], found.pointer(0)) == ("event", "ADD", "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_every_encoding_that_xml_names(encoding: str) -> None:
    head = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>'
    data = (head + event_xml("<action>东</action>").decode()).encode(encoding)
    assert read_file(data).events == [{"type": "ObjectEvent", "action": "东"}]


# --- what must not hurt -------------------------------------------------------------------------------------

LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(20))
    + b"]>"
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (LAUGHS + event_xml("<action>&u;</action>"), "holds a DOCTYPE"),
        (b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + event_xml(""), "holds a DOCTYPE"),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + event_xml("&e;"), "holds a DOCTYPE"),
        (b'<?xml version="1.0" encoding="cp037"?>' + event_xml(""), "is no XML|got the element"),
        (LAUGHS.decode().replace('<?xml version="1.0"?>', "").encode("utf-16") + b"", "holds a DOCTYPE"),
        (b"<a>" * 300_000 + b"</a>" * 300_000, "is no XML: Excessive depth|is no XML"),
        (event_xml("<ex:a>" * 60 + "</ex:a>" * 60, ' xmlns:ex="urn:x:"'), "nested too deep; want at most 32"),
        (event_xml("<extension>" * 60 + "</extension>" * 60), "nested too deep; want at most 32"),
        (event_xml("<action>" + "a" * 12_000_000 + "</action>"), "is no XML"),
        (b"<a>" + b"<b/>" * 2_500_000 + b"</a>", "holds too many elements"),
        (
            b"<EPCISDocument><EventList>" + b"<b/>" * 100_001 + b"</EventList></EPCISDocument>",
            "too many events",
        ),
        (
            event_xml("", "".join(f' xmlns:n{n}="urn:n:{n}"' for n in range(300))),
            "declares too many namespaces",
        ),
        (event_xml("", ' xmlns:n="urn:' + "n" * 3000 + '"'), "which stands for 3004 characters"),
        (event_xml("<action>&#1;</action>"), "is no XML"),
        (event_xml("<action>").replace(b"</action>", b""), "is no XML: .*; mend it there"),
        (b"<html><body/></html>", "got the element 'html', want an EPCISDocument"),
        (b"<EPCISDocument/>", "has no EventList"),
        (b"<", "is no XML"),
        (b"<!-- -->", "is no XML"),
    ],
    ids=range(19),
)
def test_what_cannot_be_read_says_what_to_do(data: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        read_file(data)
    with pytest.raises(EventError, match=message):
        read_xml(data)


pieces = st.sampled_from(
    [
        *(
            b"<EPCISDocument>",
            b"</EPCISDocument>",
            b"<EventList>",
            b"</EventList>",
            b"<ObjectEvent>",
            b"</ObjectEvent>",
        ),
        *(
            b'<a:b xmlns:a="urn:x:" a:c="d">',
            b"</a:b>",
            b"<extension>",
            b"</extension>",
            b"<sensorElementList>",
        ),
        *(
            b"<![CDATA[",
            b"]]>",
            b"&amp;",
            b"&#0;",
            b"<?pi?>",
            b"<!--",
            b"-->",
            b"text",
            b"<!DOCTYPE x>",
            b"\xff",
            b"\0",
        ),
    ]
)


@given(st.lists(pieces, max_size=30).map(lambda found: b"<" * bool(found) + b"".join(found)[1:]))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for literal in (False, True):
        try:
            found = read_file(data, literal=literal)
        except Unreadable:
            continue
        assert isinstance(found.events, list)


def test_more_attributes_than_an_element_has_are_refused_before_they_are_read() -> None:
    many = " ".join(f'a{number}="1"' for number in range(200_000))
    with pytest.raises(EventError, match="attributes in one element"):
        read_xml(event_xml(f'<e:a xmlns:e="urn:e:" {many}/>'))


def test_what_only_python_takes_for_a_number_stays_text() -> None:
    told = "<quantityList><quantityElement><quantity>{}</quantity></quantityElement></quantityList>"
    for said, read in (("1_0", "1_0"), ("\u0661", "\u0661"), ("1.10", 1.1), ("+1", 1), ("1e0", 1)):
        event = read_xml(f"<ObjectEvent>{told.format(said)}</ObjectEvent>".encode())
        found = event
        assert found["quantityList"] == [{"quantity": read}]
