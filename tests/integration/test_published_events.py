"""Events that others published, through the doors: each document in an organisation of its own, in and out; all of them
in one; and the standard's test case for associations, step by step.

Contract of the test data: `shared/vectors/SOURCES.md`. Three eventIDs of the official examples name two events each.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.epcis.events import parse_document
from ledger.persons import Vault
from ledger.recording import EventConflict, Recorded, record
from tests.acceptance.instance import Instance, token
from tests.acceptance.serving import served
from tests.integration.lines import NOW
from tests.servers.databases import Database
from tests.servers.waiting import wait_until
from tests.unit.ledger.epcis.documents import GS1, OPENEPCIS, events_of, read, schema_verdicts
from tests.unit.ledger.epcis.test_validation import XML_TAKEN
from tests.vectors import count_vectors, vector_path

pytestmark = pytest.mark.editions("plain")

Documents = dict[str, dict[str, Any]]


def official() -> Documents:
    root = vector_path(GS1)
    return {path.stem: read(path) for path in sorted(root.rglob("*.jsonld"))}


def owner(place: int) -> str:
    return f"org{place}"


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    """More organisations than there are documents of any kind."""
    instance = Instance(database, tmp_path)
    name = {"zh": "机构", "en": "Organisation"}
    organisations = [
        {
            "id": f"{kind}{place}",
            "name": name,
            "kind": "packer",
            "party": f"https://example.org/{kind}/{place}",
        }
        for kind in ("org", "json", "xml")
        for place in range(60)
    ]
    instance.register({"organisations": organisations, "places": [], "products": [], "devices": []})
    return instance


@pytest.fixture
def door(instance: Instance) -> Iterator[httpx.Client]:
    with served(instance, NOW + timedelta(days=60)) as client:  # after the newest of the documents
        yield client


def recorded(
    instance: Instance, organisation: str, document: dict[str, Any]
) -> list[Recorded | EventConflict]:
    parsed = parse_document(copy.deepcopy(document))
    vault, outcomes = Vault(instance.keys.organisation_key), list[Recorded | EventConflict]()
    with instance.as_role("ingest") as conn:
        conn.execute("SELECT set_config('suyuan.org', %s, true)", [organisation])
        for event in parsed.events:
            try:
                outcomes.append(record(conn, organisation, event, NOW, vault, context=parsed.context))
            except EventConflict as error:
                outcomes.append(error)
    return outcomes


def kept(instance: Instance, organisation: str) -> list[dict[str, Any]]:
    """The events of an organisation as it reads them itself."""
    with instance.as_role("api") as conn:
        conn.execute("SELECT set_config('suyuan.org', %s, true)", [organisation])
        rows = conn.execute(
            "SELECT convert_from(bytes, 'UTF8') FROM event_bytes JOIN event ON event.id = event_bytes.event"
            " WHERE event.organisation = %s ORDER BY event.id",
            [organisation],
        )
        said = [json.loads(text) for (text,) in rows]
        read_back: list[dict[str, Any]] = Vault(instance.keys.organisation_key).reading(conn, said)
    return read_back


def test_each_official_example_goes_in_and_out_unchanged_in_meaning(instance: Instance) -> None:
    """Numbers compare as numbers: RFC 8785 writes 26.0 as 26."""
    for place, (name, document) in enumerate(official().items()):
        outcomes = recorded(instance, owner(place), document)
        assert all(isinstance(each, Recorded) and not each.duplicate for each in outcomes), name
        assert kept(instance, owner(place)) == events_of(document), name
        assert all(each.duplicate for each in recorded(instance, owner(place), document)), name  # type: ignore[union-attr]
        count_vectors()
    assert place + 1 >= 46


# An eventID of theirs that names two events, and the examples that have it.
PAIRS = [
    {"AssociationEvent-f", "Example-Type-sourceOrDestination,measurement,bizTransaction"},
    {"ErrorDeclarationAndCorrectiveEvent", "object_event_all_possible_fields"},
    {"SensorDataExample13", "SensorDataExample17"},
]


def test_together_the_second_of_each_pair_with_one_name_is_a_conflict(instance: Instance) -> None:
    first: dict[tuple[str, bool], str] = {}
    refused: list[set[str]] = []
    for name, document in official().items():
        for event, outcome in zip(events_of(document), recorded(instance, owner(0), document), strict=True):
            key = event.get("eventID", ""), "errorDeclaration" in event
            if isinstance(outcome, EventConflict):
                refused.append({first[key], name})
            first.setdefault(key, name)
    assert sorted(map(sorted, refused)) == sorted(map(sorted, PAIRS))
    instance.settle(NOW)  # what follows a commit takes them too


def test_every_valid_capture_document_is_accepted_and_every_invalid_one_refused(door: httpx.Client) -> None:
    """As bytes, by HTTP: the official examples, and what openepcis has in JSON and in XML, each in an organisation of
    its own."""
    root, verdicts = vector_path(OPENEPCIS), schema_verdicts()
    in_json = {
        path: verdicts[
            f"openepcis-test-resources/core/src/main/resources/2.0/{path.relative_to(root).as_posix()}"
        ]
        for path in sorted((root / "EPCIS/JSON/Capture").rglob("*.json"))
    }
    by_name = {path.stem: valid for path, valid in in_json.items()}
    in_xml = {
        path: path.stem in XML_TAKEN or by_name.get(path.stem, path.parent.name != "Invalid")
        for path in sorted((root / "EPCIS/XML/Capture").rglob("*.xml"))
    }
    examples = dict.fromkeys(sorted(vector_path(GS1).rglob("*.jsonld")), True)
    for documents, kind in ((examples, "ld+json"), (in_json, "json"), (in_xml, "xml")):
        owners = "org" if kind == "ld+json" else kind
        for place, (path, valid) in enumerate(documents.items()):
            status = captured(door, path.read_bytes(), f"{owners}{place}", kind)
            assert (status == 202) == valid, (path.name, status)
            count_vectors()
    assert [sum(each.values()) for each in (examples, in_json, in_xml)] == [47, 40, 41]
    assert [len(each) for each in (examples, in_json, in_xml)] == [47, 51, 50]


# --- TCR-54 -------------------------------------------------------------------------------------------------

ASSOCIATION = {
    "type": "AssociationEvent",
    "eventTime": "2026-06-18T03:20:00+08:00",
    "eventTimeZoneOffset": "+08:00",
    "action": "ADD",
    "parentID": "urn:epc:id:sgln:9521234.00204.DOOR1",
    "childEPCs": ["urn:epc:id:giai:95212340.LOG0042"],
}
QUANTITY = [{"epcClass": "urn:epc:idpat:grai:9521234.00020.*", "quantity": 3}]


def document_of(*events: dict[str, Any]) -> dict[str, Any]:
    return {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-06-18T04:00:00+08:00",
        "epcisBody": {"eventList": list(events)},
    }


def captured(door: httpx.Client, document: Any, organisation: str = owner(0), kind: str = "json") -> int:
    """202 where the whole of it was taken, else the status of the refusal: of the request, or of the first event."""
    signed = {"Authorization": f"Bearer {token(organisation)}", "Content-Type": f"application/{kind}"}
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    answer = door.post("/epcis/capture", content=content, headers=signed)
    if answer.status_code != 202:
        return answer.status_code
    job: dict[str, Any] = {}

    def is_over() -> bool:
        job.update(door.get(answer.headers["location"], headers=signed).json())
        return not job["running"]

    assert wait_until(is_over, 20)
    return 202 if job["success"] else int(job["errors"][0]["status"])


def test_tcr_54_association_events(door: httpx.Client, instance: Instance) -> None:
    without_parent = {name: value for name, value in ASSOCIATION.items() if name != "parentID"}
    childless = {name: value for name, value in ASSOCIATION.items() if name != "childEPCs"}
    # Steps 1 and 2: a location as the parent, written as URN and as Digital Link; the system has the event.
    link = "https://id.gs1.org/414/9521234002048/254/DOOR1"
    for parent in (ASSOCIATION["parentID"], link):
        assert captured(door, document_of(ASSOCIATION | {"parentID": parent, "action": "OBSERVE"})) in (
            202,
            409,
        )
    assert captured(door, document_of(ASSOCIATION)) == 202
    assert ASSOCIATION in kept(instance, owner(0))
    before = instance.one("SELECT count(*) FROM event")
    # Step 3: no parent, with ADD and with DELETE; here with OBSERVE as well, since the parent is mandatory.
    for action in ("ADD", "DELETE", "OBSERVE"):
        assert captured(door, document_of(without_parent | {"action": action})) == 400
    # Step 4: no children, with ADD and with OBSERVE; left out and empty.
    for action in ("ADD", "OBSERVE"):
        for nothing in (
            {},
            {"childEPCs": []},
            {"childQuantityList": []},
            {"childEPCs": [], "childQuantityList": []},
        ):
            assert captured(door, document_of(childless | nothing | {"action": action})) == 400
    assert instance.one("SELECT count(*) FROM event") == before, "one bad event takes none of its document in"
    # And what the rule leaves: all children may go at once, and a class of things is associated by its quantity.
    assert captured(door, document_of(childless | {"action": "DELETE"})) == 202
    assert captured(door, document_of(childless | {"childQuantityList": QUANTITY})) == 202
    count_vectors(4)
