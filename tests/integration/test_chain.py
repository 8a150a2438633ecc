"""The 35 events of one bayberry lot, through both doors: MQTT and `POST /epcis/capture`.

Both databases, sequenced and projected, must tell of the lot what the genealogy tells of the file itself: its trace, its
portions, where they were, and where the logger sat. And every event comes back as it was sent, field for field.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psycopg
import pytest

from ledger.epcis.events import parse_document, parse_event
from ledger.genealogy import Genealogy, Portion, RecordedEvent, Span, placements, replay
from ledger.persons import Vault
from tests.acceptance.instance import Instance, token
from tests.acceptance.serving import served
from tests.integration.lines import REGISTRY, account, adds_up, message
from tests.servers.databases import Database
from tests.vectors import count_vectors, vector_path

NOW = datetime(2026, 6, 23, 12, 0, tzinfo=UTC)  # the day after the last of them
LOT = "https://id.gs1.org/01/09521234000204/10/DK260618A"
FIELD = "https://suyuan.example/xj-coop/class/yangmei-dongkui.260618-P01"
PALLET = "https://id.gs1.org/00/095212340000000105"
REFUSED = "https://id.gs1.org/00/095212340000000273"
LOGGER = {
    "id": "logger-42",
    "organisation": "coop",
    "giai": "https://id.gs1.org/8004/95212340LOG0042",
    "model": "T3",
    "interval_s": 120,
    "channels": [{"channel": "in_box", "quantity": "temperature", "unit": "Cel"}],
}


@cache
def _text() -> str:
    return (vector_path("own") / "yangmei-lot.jsonld").read_text(encoding="utf-8")


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_text())
    return found


def said() -> list[dict[str, Any]]:
    """The events of the file, in its order: the two corrections come last."""
    events: list[dict[str, Any]] = document()["epcisBody"]["eventList"]
    assert len(events) == 35
    return events


@cache
def expected() -> Genealogy:
    """The file itself, without a database; boxes weigh what the registry says."""
    events = [
        RecordedEvent(number, "coop", event)
        for number, event in enumerate(parse_document(document()).events, 1)
    ]
    classes = ["https://id.gs1.org/01/09521234000204", "https://suyuan.example/xj-coop/class/yangmei-dongkui"]
    return replay(events, dict.fromkeys(classes, 2.0))


# --- the two doors ------------------------------------------------------------------------------------------


def by_mqtt_one_by_one(instance: Instance) -> None:
    messages = [message(json.dumps(event).encode(), kind="events") for event in said()]
    Random(35).shuffle(messages)  # arrival is in no order; eventTime is
    for part in range(0, len(messages), 8):
        instance.take(messages[part : part + 8], NOW)


def by_mqtt_as_a_document(instance: Instance) -> None:
    instance.take([message(_text().encode(), kind="events")], NOW)


def by_capture(instance: Instance) -> None:
    with served(instance, NOW) as api:
        job = captured(api, document())
        assert (job["success"], job["running"], job["events"], job["errors"]) == (True, False, 35, [])


def captured(api: httpx.Client, body: Any, behaviour: str | None = None) -> dict[str, Any]:
    """What the job says, from its own address."""
    headers = {
        "Authorization": f"Bearer {token('coop')}",
        "Content-Type": "application/ld+json",
        "Prefer": "wait=20",
    }
    if behaviour:
        headers["GS1-Capture-Error-Behaviour"] = behaviour
    answer = api.post("/epcis/capture", content=json.dumps(body), headers=headers)
    assert answer.status_code == 202, answer.text
    job = api.get(answer.headers["Location"], headers=headers)
    assert job.status_code == 200
    found: dict[str, Any] = job.json()
    return found


DOORS = [by_mqtt_one_by_one, by_mqtt_as_a_document, by_capture]


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY | {"devices": [*REGISTRY["devices"], LOGGER]})
    return instance


# --- what they must give ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_both_doors_give_the_chain_of_the_file(instance: Instance, door: Callable[[Instance], None]) -> None:
    door(instance)
    instance.settle(NOW)
    came_back_field_for_field(instance)
    is_projected_as_the_file_says(instance)
    with served(instance, NOW) as api:
        for identifier in (LOT, FIELD, PALLET, REFUSED):
            for direction in ("back", "forward", "both"):
                answers_as_the_file_says(api, identifier, direction)
    count_vectors(35)


def came_back_field_for_field(instance: Instance) -> None:
    rows = instance.rows(
        "SELECT event_id, is_error, convert_from(bytes, 'UTF8') FROM event JOIN event_bytes ON event_bytes.event = event.id"
    )
    with psycopg.connect(instance.database.owner) as conn:
        rows = Vault(instance.keys.organisation_key).reading(
            conn, [[*row[:2], json.loads(row[2])] for row in rows]
        )
    recorded = {(row[0], row[1]): row[2] for row in rows}
    sent = {(event["eventID"], "errorDeclaration" in event): event for event in said()}
    assert recorded.keys() == sent.keys()
    for key, event in recorded.items():
        event.pop("@context", None)  # a document's context travels with each of its events
        assert event == sent[key]
        parse_event(event)
    leaves = instance.rows("SELECT position FROM leaf WHERE event IS NOT NULL ORDER BY position")
    assert [position for (position,) in leaves] == list(range(1, 36))


def is_projected_as_the_file_says(instance: Instance) -> None:
    found = instance.rows("SELECT holder, lot, stage, lower(valid), upper(valid) FROM presence")
    assert sorted(found, key=str) == sorted(
        (
            (each.holder, each.lot, each.stage, _moment(each.start_ms), _moment(each.end_ms))
            for each in expected().presence()
            if each.stage is not None
        ),
        key=str,
    )
    ((parent, position, since, until, conflict),) = instance.rows(
        "SELECT parent, probe_position, lower(valid), upper(valid), conflict FROM placement"
    )
    (placement,) = placements([fact.recorded for fact in expected().facts])
    assert (parent, position, conflict) == (placement.parent, placement.probe_position, False)
    assert (since, until) == (_moment(placement.start_ms), _moment(placement.end_ms))


def answers_as_the_file_says(api: httpx.Client, identifier: str, direction: str) -> None:
    code = identifier.removeprefix("https://id.gs1.org/")
    if code == identifier:
        code = httpx.URL(f"http://x/{identifier}").raw_path.decode().lstrip("/")
    answer = api.get(f"/api/v1/lots/{code}/trace", params={"direction": direction})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    trace = expected().trace(identifier, direction)  # type: ignore[arg-type]
    assert [item["event"]["eventID"] for item in told["events"]] == [
        item.event.event_id for item in trace.events
    ]
    assert [item["event"]["eventTime"] for item in told["events"]] == [
        _said_time(item) for item in trace.events
    ]
    assert [(edge["from"], edge["to"], edge["kind"]) for edge in told["edges"]] == [
        (edge.source, edge.target, edge.kind) for edge in trace.edges
    ]
    assert told["truncated"] is trace.truncated is False
    portions = expected().portions_answering(identifier)
    assert told["portions"] == [_portion(portion) for portion in portions]


def _said_time(item: RecordedEvent) -> str:
    return next(event["eventTime"] for event in said() if event["eventID"] == item.event.event_id)


def _portion(portion: Portion) -> dict[str, Any]:
    def span(each: Span) -> dict[str, Any]:
        return {"id": each.value, "start": _text_of(each.start_ms), "end": _text_of(each.end_ms)}

    return {
        "lot": portion.lot,
        "unit": portion.unit,
        "quantity": portion.quantity,
        "uom": portion.uom,
        "stage": portion.stage,
        "place": portion.place,
        "start": _text_of(portion.start_ms),
        "end": _text_of(portion.end_ms),
        "ending": portion.ending,
        "containers": [span(each) for each in portion.containers],
        "inputs": [
            {"lot": item.lot, "quantity": item.quantity, "uom": item.uom, "share": item.share}
            for item in portion.inputs
        ],
    }


def _moment(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)


def _text_of(time_ms: int | None) -> str | None:
    moment = _moment(time_ms)
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


# --- twice, and with a bad one ----------------------------------------------------------------------------------


def test_the_same_document_twice_doubles_nothing_whichever_door_it_comes_through(instance: Instance) -> None:
    by_mqtt_one_by_one(instance)
    by_mqtt_one_by_one(instance)
    counted = account(instance.database.owner)
    assert adds_up(counted)
    assert (counted["received"], counted["stored"], counted["duplicate"]) == (70, 35, 35)
    by_mqtt_as_a_document(instance)
    by_capture(instance)
    by_capture(instance)
    assert instance.one("SELECT count(*) FROM event") == 35
    instance.settle(NOW)
    assert instance.one("SELECT count(event) FROM leaf") == 35
    counted = account(instance.database.owner)
    assert adds_up(counted) and (counted["conflict"], counted["quarantined"]) == (0, 0)


def _spoilt(number: int) -> dict[str, Any]:
    """The document with a wrong check digit in one event's pallet."""
    spoilt = deepcopy(document())
    event = spoilt["epcisBody"]["eventList"][number]
    assert event["parentID"].endswith("0105")
    event["parentID"] = event["parentID"][:-1] + "6"
    return spoilt


def _in_conflict(number: int) -> dict[str, Any]:
    """The document with another content under an eventID that it has used before."""
    twice = deepcopy(document())
    events = twice["epcisBody"]["eventList"]
    events[number] = events[number] | {"eventID": events[0]["eventID"]}
    return twice


BAD = {
    "wrong check digit": (_spoilt(6), 400, "check digit"),
    "conflict": (_in_conflict(6), 409, "other content"),
}


@pytest.mark.parametrize(("bad", "status", "word"), BAD.values(), ids=list(BAD))
def test_one_bad_event_rolls_all_back(
    instance: Instance, bad: dict[str, Any], status: int, word: str
) -> None:
    with served(instance, NOW) as api:
        for behaviour in (None, "rollback"):
            job = captured(api, bad, behaviour)
            assert (job["success"], job["captureErrorBehaviour"]) == (False, "rollback")
            _names_the_bad_one(job, status, word)
    assert instance.rows("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM pending)") == [(0, 0)]


@pytest.mark.parametrize(("bad", "status", "word"), BAD.values(), ids=list(BAD))
def test_or_with_proceed_the_others_stay(
    instance: Instance, bad: dict[str, Any], status: int, word: str
) -> None:
    with served(instance, NOW) as api:
        job = captured(api, bad, "proceed")
        assert job["success"] is False
        _names_the_bad_one(job, status, word)
    instance.settle(NOW)
    expected_ids = {(event["eventID"], "errorDeclaration" in event) for event in said()}
    stored = set(instance.rows("SELECT event_id, is_error FROM event"))
    assert expected_ids - stored == {(said()[6]["eventID"], False)} and stored < expected_ids


def _names_the_bad_one(job: dict[str, Any], status: int, word: str) -> None:
    (error,) = job["errors"]
    assert (error["instance"], error["status"]) == ("/epcisBody/eventList/6", status)
    assert word in error["detail"]
