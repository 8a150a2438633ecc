"""Capture jobs over the served API: stored before they are answered, worked off exactly once, told event by event."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger.epcis.events import parse_event
from ledger.persons import Vault
from ledger.recording import EventConflict, Recorded, Said, record, record_all
from tests.acceptance.instance import Instance, token
from tests.acceptance.serving import served
from tests.conftest import build_service_environment
from tests.documents import REPOSITORY
from tests.integration.lines import NOW
from tests.integration.said import PALLET, REGISTRY, STORE, at, declared_wrong, made, said
from tests.servers.databases import Database
from tests.servers.waiting import wait_until
from tests.vectors import vector_path
from trace_api import access
from trace_api.access import Databases
from trace_api.app import Configuration, capture_desk
from trace_api.capture import jobs, working
from trace_api.capture.desk import Desk, Limits
from trace_api.capture.routes import put as store
from trace_api.problems import Problem

CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"suyuan": "https://suyuan.example/voc/"},
]
PLAIN = pytest.mark.editions("plain")


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    return instance


@pytest.fixture
def door(instance: Instance) -> Iterator[httpx.Client]:
    with served(instance, NOW) as client:
        client.headers["Authorization"] = f"Bearer {token('coop')}"
        yield client


def seen(number: int, **fields: Any) -> dict[str, Any]:
    event = said(
        "ObjectEvent", 5 - number / 1000, action="OBSERVE", bizStep="storing", epcList=[PALLET], **at(STORE)
    )
    return event | fields


def nameless(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "eventID"}


def document(*events: Any, context: Any = CONTEXT) -> dict[str, Any]:
    return {
        "@context": context,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": NOW.isoformat(),
        "epcisBody": {"eventList": list(events)},
    }


def capture(door: httpx.Client, body: Any, behaviour: str = "rollback", **headers: str) -> dict[str, Any]:
    """The job, when it is over."""
    sent = {"Prefer": "wait=20", "GS1-Capture-Error-Behaviour": behaviour, **headers}
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = door.post("/epcis/capture", content=content, headers=sent)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert not job["running"]
    return job


def outcomes(job: dict[str, Any]) -> list[str]:
    return [each["outcome"] for each in job["results"]]


def recorded(instance: Instance) -> int:
    """Events, each with its bytes and its pending leaf."""
    count: int = instance.one("SELECT count(*) FROM event")
    assert count == instance.one("SELECT count(*) FROM event_bytes")
    assert count == instance.one("SELECT count(*) FROM pending WHERE event IS NOT NULL")
    return count


# --- what becomes of each event ---------------------------------------------------------------------------------------


@PLAIN
def test_one_bad_of_a_hundred(door: httpx.Client, instance: Instance) -> None:
    events = [seen(number) for number in range(100)]
    events[41] = seen(41, action="PERHAPS", bizStep="dancing about")
    job = capture(door, document(*events))
    assert (job["success"], recorded(instance)) == (False, 0)
    (error,) = job["errors"]
    assert (error["instance"], error["status"]) == ("/epcisBody/eventList/41", 400)
    assert {each["pointer"] for each in error["problems"]} == {
        "/epcisBody/eventList/41/action",
        "/epcisBody/eventList/41/bizStep",
    }
    assert outcomes(job) == ["not_recorded"] * 41 + ["invalid"] + ["not_recorded"] * 58

    job = capture(door, document(*events), "proceed")
    assert (job["success"], recorded(instance)) == (False, 99)
    assert [each["instance"] for each in job["errors"]] == ["/epcisBody/eventList/41"]
    assert outcomes(job) == ["recorded"] * 41 + ["invalid"] + ["recorded"] * 58
    assert job["counts"] == {"recorded": 99, "duplicate": 0, "conflict": 0, "invalid": 1, "not_recorded": 0}
    assert instance.one("SELECT count(*) FROM capture_document") == 0, "what was worked off is let go"

    events[41] = seen(41)
    again = capture(door, document(*events))
    assert again["success"] and outcomes(again) == ["duplicate"] * 41 + ["recorded"] + ["duplicate"] * 58
    assert recorded(instance) == 100


@PLAIN
def test_a_conflict_takes_all_back_or_stands_alone(door: httpx.Client, instance: Instance) -> None:
    capture(door, document(seen(1)))
    other = [seen(0), seen(1, bizStep="shipping"), seen(2)]
    job = capture(door, document(*other))
    assert [(each["instance"], each["status"]) for each in job["errors"]] == [("/epcisBody/eventList/1", 409)]
    assert (outcomes(job), recorded(instance)) == (["not_recorded", "conflict", "not_recorded"], 1)
    job = capture(door, document(*other), "proceed")
    assert (outcomes(job), recorded(instance)) == (["recorded", "conflict", "recorded"], 3)


@PLAIN
def test_the_same_event_in_other_words_is_one(door: httpx.Client, instance: Instance) -> None:
    event = made()
    spelled = {
        **event,
        "bizStep": "https://ref.gs1.org/cbv/BizStep-commissioning",
        "eventTime": "2026-06-20T02:00:00Z",
    }
    assert event["eventTime"] == "2026-06-20T02:00:00+00:00"
    assert outcomes(capture(door, document(event, event, spelled, nameless(event)))) == [
        "recorded",
        *["duplicate"] * 3,
    ]
    assert outcomes(capture(door, document(nameless(spelled)))) == ["duplicate"]
    alone = nameless(seen(7))
    job = capture(door, document(alone))
    assert job["results"][0]["eventID"].startswith("ni:///sha-256;")
    named = capture(door, document(seen(7)))
    assert named["results"] == [job["results"][0] | {"outcome": "duplicate"}], "under the name it has"
    assert recorded(instance) == 2

    wrong = declared_wrong(event)
    later = declared_wrong(event, 1)
    assert outcomes(capture(door, document(wrong, wrong, later), "proceed")) == [
        "recorded",
        "duplicate",
        "conflict",
    ]
    assert instance.rows("SELECT is_error, count(*) FROM event GROUP BY 1 ORDER BY 1") == [
        (False, 2),
        (True, 1),
    ]
    long = "https://ref.gs1.org/cbv/ER-incorrect_data"
    said = wrong["errorDeclaration"]
    again = wrong | {"errorDeclaration": said | {"reason": long}}
    more = wrong | {"errorDeclaration": said | {"suyuan:remark": "老王"}}
    assert outcomes(capture(door, document(again, more), "proceed")) == ["duplicate", "conflict"]


@PLAIN
def test_what_is_recorded_under_two_names_is_repeated_by_the_first(door: httpx.Client) -> None:
    first, second = seen(1), seen(1, eventID="https://suyuan.example/xj-coop/event/another")
    assert outcomes(capture(door, document(first, second))) == ["recorded"] * 2
    (result,) = capture(door, document(nameless(first)))["results"]
    assert (result["outcome"], result["eventID"]) == ("duplicate", first["eventID"])


@PLAIN
def test_what_was_recorded_before_hashes_were_kept_is_known_all_the_same(
    door: httpx.Client, instance: Instance
) -> None:
    event = seen(1)
    capture(door, document(event))
    instance.alter("UPDATE event SET event_hash = NULL")
    spelled = event | {"bizStep": "https://ref.gs1.org/cbv/BizStep-storing"}
    other = event | {"bizStep": "shipping"}
    assert outcomes(capture(door, document(spelled, other), "proceed")) == ["duplicate", "conflict"]


@PLAIN
def test_what_a_prefix_stands_for_is_kept_and_given_back(door: httpx.Client) -> None:
    event = seen(1, **{"suyuan:activity": "precooling_start"})
    capture(door, document(event))
    path = f"/epcis/events/{quote(event['eventID'], safe='')}"
    told = door.get(path).json()
    assert told["@context"] == CONTEXT and told["type"] == "EPCISQueryDocument"
    assert told["epcisBody"]["queryResults"]["resultsBody"]["eventList"] == [event]
    assert door.get(path, headers={"Authorization": f"Bearer {token('carrier')}"}).status_code == 404
    # The prefix stands for something else: another field, another event.
    moved = document(nameless(event), context=[CONTEXT[0], {"suyuan": "https://elsewhere.example/"}])
    assert outcomes(capture(door, moved)) == ["recorded"]
    assert outcomes(capture(door, document(nameless(event)))) == ["duplicate"]


# --- one event ----------------------------------------------------------------------------------------------------------


@PLAIN
def test_one_event_at_once(door: httpx.Client, instance: Instance) -> None:
    first = door.post("/epcis/events", json=nameless(seen(1)))
    assert first.status_code == 201 and first.headers["GS1-EPCIS-Version"] == "2.0.0"
    name = first.json()["eventID"]
    assert door.get(first.headers["Location"]).json()["epcisBody"]["queryResults"]["resultsBody"][
        "eventList"
    ] == [nameless(seen(1))]
    again = door.post("/epcis/events", json=seen(1))
    assert (again.status_code, again.json()["eventID"]) == (200, name)
    assert door.post("/epcis/events", json=seen(2)).status_code == 201
    other = door.post("/epcis/events", json=seen(2, bizStep="shipping"))
    assert (other.status_code, other.json()["type"]) == (409, "epcisException:ResourceAlreadyExistsException")
    bad = door.post("/epcis/events", json=document(seen(3, action="PERHAPS", eventTime="yesterday")))
    assert (bad.status_code, bad.json()["type"]) == (400, "epcisException:ValidationException")
    assert {each["pointer"] for each in bad.json()["problems"]} == {
        "/epcisBody/eventList/0/action",
        "/epcisBody/eventList/0/eventTime",
    }
    assert door.post("/epcis/events", json=document(seen(3), seen(4))).status_code == 400
    assert recorded(instance) == 2


# --- headers, paging --------------------------------------------------------------------------------------------------


@PLAIN
def test_what_capture_takes_is_said(door: httpx.Client) -> None:
    said_of = door.options("/epcis/capture")
    assert said_of.status_code == 204 and said_of.headers["GS1-Capture-Error-Behaviour"] == "all"
    assert said_of.headers["GS1-EPCIS-Capture-Limit"] == str(Limits().events)
    answer = door.post("/epcis/capture", json=document(seen(1)), headers={"GS1-EPCIS-Version": "1.2"})
    assert (answer.status_code, answer.json()["type"]) == (406, "epcisException:NotAcceptableException")
    for header in ({"Content-Type": "text/csv"}, {"Content-Encoding": "br"}):
        answer = door.post("/epcis/capture", content=json.dumps(document(seen(1))), headers=header)
        assert (answer.status_code, answer.json()["type"]) == (
            415,
            "epcisException:UnsupportedMediaTypeException",
        )
    answer = door.post("/epcis/capture", content=b" " * (Limits().bytes + 1))
    assert answer.status_code == 413 and answer.headers["GS1-EPCIS-Capture-File-Size-Limit"] == str(
        Limits().bytes
    )
    assert str(Limits().bytes) in answer.json()["detail"]


@PLAIN
@pytest.mark.parametrize(
    "asked",
    [
        {"Accept": "application/xml"},
        {"GS1-EPCIS-Min": "2.1"},
        {"GS1-EPCIS-Max": "1.2"},
        {"GS1-CBV-Min": "3"},
        {"GS1-CBV-Max": "two"},
        {"GS1-EPC-Format": "Always_EPC_URN"},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_what_is_not_answered_here_is_not_acceptable(door: httpx.Client, asked: dict[str, str]) -> None:
    name = door.post("/epcis/events", json=seen(1)).json()["eventID"]
    path = f"/epcis/events/{quote(name, safe='')}"
    refused = door.get(path, headers=asked)
    assert (refused.status_code, refused.json()["type"]) == (406, "epcisException:NotAcceptableException")
    fitting = {
        "Accept": "text/html, application/json;q=0.9",
        "GS1-EPCIS-Min": "1.2",
        "GS1-EPCIS-Max": "2.0",
        "GS1-CBV-Max": "2.1",
        "GS1-EPC-Format": "No_Preference",
    }
    assert door.get(path, headers=fitting).status_code == 200


@PLAIN
def test_each_operation_that_is_here_is_the_standard_s(door: httpx.Client) -> None:
    operations = json.loads(vector_path("epcis/oracles/epcis2_rest_operations.json").read_text())[
        "operations"
    ]
    said_event = door.post("/epcis/events", json=seen(1)).json()
    standing = {
        "/capture": "/epcis/capture",
        "/capture/{captureID}": f"/epcis/capture/{capture(door, document(seen(2)))['captureID']}",
        "/events": "/epcis/events",
        "/events/{eventID}": f"/epcis/events/{quote(said_event['eventID'], safe='')}",
    }
    ours = [each for each in operations if each["path"] in standing]
    queries = ("GET", "/events")  # not here yet
    answered = set()
    for each in ours:
        method, path = each["method"], standing[each["path"]]
        answer = door.request(method, path, json=seen(len(path)) if method == "POST" else None)
        if (method, each["path"]) == queries:
            assert answer.status_code == 405
            continue
        assert str(answer.status_code) in each["responses"], each
        assert answer.headers["GS1-EPCIS-Version"] == answer.headers["GS1-CBV-Version"] == "2.0.0"
        answered.add((method, each["path"]))
        if method == "OPTIONS":
            allowed = {other["method"] for other in ours if other["path"] == each["path"]}
            if each["path"] == queries[1]:
                allowed.remove(queries[0])
            assert set(answer.headers["Allow"].split(", ")) == allowed
    assert len(answered) == 9


@PLAIN
def test_jobs_are_listed_by_pages(door: httpx.Client) -> None:
    sent = [capture(door, document(seen(number)))["captureID"] for number in range(5)]
    pages, address = [], "/epcis/capture?perPage=2"
    while address:
        answer = door.get(address)
        pages.append([job["captureID"] for job in answer.json()])
        address = answer.links.get("next", {}).get("url", "")
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(each for page in pages for each in page) == sorted(sent)
    assert door.get("/epcis/capture", headers={"Authorization": f"Bearer {token('carrier')}"}).json() == []
    for wrong in ("x", "W10=", "e30="):
        assert door.get("/epcis/capture", params={"nextPageToken": wrong}).status_code == 400


# --- XML ---------------------------------------------------------------------------------------------------------------

XML = """<?xml version="1.0" encoding="UTF-8"?>
<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" xmlns:suyuan="https://suyuan.example/voc/" schemaVersion="2.0"
 creationDate="{now}">
 <EPCISBody><EventList>
  <ObjectEvent>
   <eventTime>{time}</eventTime><eventTimeZoneOffset>+08:00</eventTimeZoneOffset>{name}
   <epcList><epc>urn:epc:id:sscc:9521234.0000000001</epc></epcList>
   <action>{action}</action><bizStep>urn:epcglobal:cbv:bizstep:storing</bizStep>
   <readPoint><id>{place}</id></readPoint><bizLocation><id>{place}</id></bizLocation>
   <suyuan:activity>precooling_start</suyuan:activity>
  </ObjectEvent>
 </EventList></EPCISBody>
</epcis:EPCISDocument>"""


def in_xml(event: dict[str, Any], action: str = "OBSERVE") -> bytes:
    name = f"<eventID>{event['eventID']}</eventID>" if "eventID" in event else ""
    told = XML.format(now=NOW.isoformat(), time=event["eventTime"], name=name, action=action, place=STORE)
    return told.encode()


@PLAIN
def test_an_event_is_one_in_xml_and_in_json(door: httpx.Client, instance: Instance) -> None:
    activity = {"suyuan:activity": "precooling_start"}
    xml = {"Content-Type": "application/xml"}
    first, second = (seen(number, **activity) for number in (1, 2))
    assert outcomes(capture(door, in_xml(first), **xml)) == ["recorded"]
    assert outcomes(capture(door, document(first, nameless(first)))) == ["duplicate"] * 2
    assert outcomes(capture(door, document(second))) == ["recorded"]
    assert outcomes(capture(door, in_xml(nameless(second)), **xml)) == ["duplicate"]
    assert recorded(instance) == 2
    job = capture(door, in_xml(seen(3), "PERHAPS"), **xml)
    assert [each["pointer"] for each in job["errors"][0]["problems"]] == ["/epcisBody/eventList/0/action"]


@PLAIN
def test_entities_of_xml_are_refused(door: httpx.Client) -> None:
    levels = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(12))
    bomb = in_xml(seen(1)).decode().replace("?>", f'?><!DOCTYPE x [<!ENTITY e0 "x">{levels}]>', 1)
    reading = '<!DOCTYPE x [<!ENTITY e12 SYSTEM "file:///etc/passwd">]>'
    files = in_xml(seen(1)).decode().replace("?>", f"?>{reading}", 1)
    with memory_of(os.getpid()) as grown:
        for hostile in (bomb, files):
            body = hostile.replace("precooling_start", "&e12;")
            answer = door.post("/epcis/capture", content=body, headers={"Content-Type": "application/xml"})
            assert answer.status_code == 400, answer.text
    assert grown() < 64 * 2**20


# --- bad input --------------------------------------------------------------------------------------------------------


@PLAIN
def test_what_comes_compressed_is_bounded_by_what_it_unpacks_to(
    door: httpx.Client, instance: Instance
) -> None:
    packed = {"Content-Encoding": "gzip"}
    body = json.dumps(document(seen(1))).encode()
    assert outcomes(capture(door, gzip.compress(body[:40]) + gzip.compress(body[40:]), **packed)) == [
        "recorded"
    ]
    bomb = gzip.compress(b" " * 400_000_000)
    assert len(bomb) < Limits().bytes
    with memory_of(os.getpid()) as grown:
        assert door.post("/epcis/capture", content=bomb, headers=packed).status_code == 413
    assert grown() < 64 * 2**20
    for broken in (body, gzip.compress(body)[:-9]):
        assert door.post("/epcis/capture", content=broken, headers=packed).status_code == 400
    assert recorded(instance) == 1


@PLAIN
def test_what_is_deep_or_double_is_refused_at_once(door: httpx.Client, instance: Instance) -> None:
    depth = 400_000
    hostile = {
        "deep lists": b'{"type":"EPCISDocument","a":' + b"[" * depth + b"]" * depth + b"}",
        "deep objects": b'{"a":' * depth + b"1" + b"}" * depth,
        "a key twice": json.dumps(document(seen(1))).replace('"action"', '"action":"ADD","action"').encode(),
        "digits": b'{"type":"EPCISDocument","a":' + b"9" * 1_000_000 + b"}",
    }
    with memory_of(os.getpid()) as grown:
        for what, body in hostile.items():
            answer = door.post("/epcis/capture", content=body)
            assert (answer.status_code, answer.json()["type"]) == (
                400,
                "epcisException:ValidationException",
            ), what
    assert grown() < 128 * 2**20
    assert instance.one("SELECT count(*) FROM capture_job") == 0


@contextmanager
def memory_of(process: int) -> Iterator[Any]:
    """Gives, inside and afterwards, by how many bytes the process has grown at most."""

    def peak() -> int:
        status = Path(f"/proc/{process}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    Path(f"/proc/{process}/clear_refs").write_text("5")
    before = peak()
    yield lambda: peak() - before


# --- who works them off -----------------------------------------------------------------------------------------------


@contextmanager
def desk_of(instance: Instance, now: Any, limits: Limits | None = None) -> Iterator[Desk]:
    with (
        ConnectionPool(instance.database.service("api"), min_size=1, max_size=2) as api,
        ConnectionPool(instance.database.service("public"), min_size=0, max_size=1) as public,
    ):
        key = instance.keys.organisation_key
        configuration = Configuration(
            "http://127.0.0.1", instance.folder / "log", key, capture=limits or Limits()
        )
        yield capture_desk(Databases(api, public), configuration, now)


@PLAIN
def test_a_process_that_is_killed_leaves_its_documents_to_the_next(instance: Instance) -> None:
    documents = [document(*(seen(100 * part + number) for number in range(100))) for part in range(2)]
    clock = [datetime.now(UTC)]
    with desk_of(instance, lambda: clock[0]) as desk, psycopg.connect(instance.database.owner) as held:
        # It gets as far as its events, and no further.
        held.execute("LOCK TABLE pending IN ACCESS EXCLUSIVE MODE")
        (first, _) = put(desk, *documents, behaviour="rollback")
        with worker_process(instance) as process:
            waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO pending%'"
            assert wait_until(lambda: process.poll() is not None or instance.one(waits) == 1, 30)
            running = found(desk, first).to_json()
            assert running["running"] and running["processed"] == 0 and "finishedAt" not in running
        held.rollback()
        assert wait_until(lambda: instance.one(waits) == 0, 20)
        assert (recorded(instance), instance.one("SELECT count(*) FROM capture_document")) == (0, 2)
        clock[0] += timedelta(minutes=1)
        while working.step(desk):
            continue
    assert recorded(instance) == 200
    assert instance.one("SELECT count(*) FROM capture_document") == 0
    assert instance.rows("SELECT success, outcomes FROM capture_job") == [(True, "r" * 100)] * 2


@contextmanager
def worker_process(instance: Instance) -> Iterator[subprocess.Popen[bytes]]:
    """`suyuan capture`, killed at the end."""
    environment = build_service_environment(instance.database, None, instance.folder, "api")
    command = [sys.executable, "-m", "deploy", "capture"]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def put(desk: Desk, *documents: Any, behaviour: Any = "proceed") -> list[Any]:
    """Jobs that nobody works off yet."""
    return [store(desk, "coop", json.dumps(each).encode(), behaviour) for each in documents]


@PLAIN
def test_what_waits_is_seen_by_nobody(instance: Instance) -> None:
    words = "老王 13800138000 说门封条坏了"
    with desk_of(instance, lambda: NOW) as desk:
        put(desk, document(seen(1, **{"suyuan:remark": words})))
        ((body,),) = instance.rows("SELECT body FROM capture_document")
        assert b"13800138000" not in body and "老王".encode() not in body and b"eventTime" not in body
        with instance.as_role("api") as conn:
            conn.execute("SELECT set_config('suyuan.org', 'carrier', true)")
            assert conn.execute("SELECT count(*) FROM capture_document").fetchone() == (0,)
        assert working.step(desk)
    assert "13800138000" not in str(instance.rows("SELECT * FROM capture_job")) + str(
        instance.rows("SELECT bytes FROM event_bytes")
    )
    assert instance.one("SELECT count(*) FROM vault") == 1


@PLAIN
def test_with_proceed_a_long_document_goes_in_by_parts(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "PART", 3)
    with desk_of(instance, lambda: NOW) as desk:
        (job,) = put(
            desk,
            document(*(seen(number) for number in range(5)), seen(5, action="X"), seen(6), nameless(seen(6))),
        )
        with monkeypatch.context() as dying:
            parts = iter((working.take,))

            def take_one(*given: Any, **named: Any) -> Any:
                return next(parts)(*given, **named)

            dying.setattr(working, "take", take_one)
            with pytest.raises(StopIteration):
                working.step(desk)
        assert recorded(instance) == 3
        told = found(desk, job).to_json()
        assert (told["running"], told["processed"], told["success"]) == (True, 3, True)
        assert not working.step(desk), "it is left alone for a while"
        later = Desk(desk.databases, desk.vault, desk.seal, desk.limits, lambda: NOW + timedelta(minutes=1))
        assert working.step(later)
        ended = found(desk, job)
    assert (ended.outcomes, ended.success, recorded(instance)) == ("rrrrrird", False, 6)
    assert [each["instance"] for each in ended.errors] == ["/epcisBody/eventList/5"]


def found(desk: Desk, job: Any) -> Any:
    with access.for_organisation(desk.databases, "coop") as conn:
        return jobs.find(conn, job.id)


@PLAIN
def test_a_document_on_which_we_fail_ends_with_that_said(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [NOW]
    with desk_of(instance, lambda: clock[0]) as desk:
        broken, good = put(desk, document(seen(1)), document(seen(2)))
        whole = working.take

        def failing(conn: Any, organisation: str, events: Any, *rest: Any, **named: Any) -> Any:
            if events[0] == seen(1):
                raise ZeroDivisionError
            return whole(conn, organisation, events, *rest, **named)

        monkeypatch.setattr(working, "take", failing)
        for _ in range(working.MOST_ATTEMPTS):
            with pytest.raises(ZeroDivisionError):
                working.step(desk)
            while working.step(desk):
                continue
            assert found(desk, good).success, "it holds up nobody else"
            clock[0] += timedelta(minutes=5)
        assert working.step(desk)
        ended = found(desk, broken)
    assert (ended.success, ended.outcomes, ended.errors[0]["status"]) == (False, "n", 500)


@PLAIN
def test_jobs_end_without_their_document_and_are_forgotten(instance: Instance) -> None:
    clock = [NOW]
    with desk_of(instance, lambda: clock[0], Limits(waiting=2)) as desk:
        (job, _) = put(desk, document(seen(1)), document(seen(2)))
        with pytest.raises(Problem, match="wait to be worked off"):
            put(desk, document(seen(3)))
        instance.alter("DELETE FROM capture_document WHERE job = %s", job.id)  # as a restored backup has it
        working.tidy(desk)
        ended = found(desk, job)
        assert (ended.success, ended.outcomes) == (False, "n") and "backup" in ended.errors[0]["detail"]
        clock[0] += desk.limits.kept + timedelta(hours=1)
        working.tidy(desk)
        assert found(desk, job) is None
        assert instance.one("SELECT count(*) FROM capture_job") == 1, "what waits is not forgotten"


@PLAIN
def test_nobody_waits_for_all_that_another_has_sent(instance: Instance) -> None:
    ticks = itertools.count()
    with desk_of(instance, lambda: NOW + timedelta(milliseconds=next(ticks))) as desk:
        put(desk, *(document(seen(number)) for number in range(30)))
        store(desk, "carrier", json.dumps(document(seen(1))).encode(), "rollback")
        for _ in range(12):
            assert working.step(desk)
    assert instance.rows("SELECT count(*) FROM capture_document GROUP BY organisation") == [(19,)]
    assert instance.one("SELECT max(number) - min(number) FROM capture_document") == 18, (
        "the oldest of each first"
    )


# --- many at once -----------------------------------------------------------------------------------------------------


@PLAIN
def test_two_who_record_the_same_at_once_neither_wait_for_ever_nor_double(instance: Instance) -> None:
    events = [seen(number, **{"suyuan:remark": f"老王 {number % 7}"}) for number in range(120)]
    orders = [events, events[::-1], [nameless(event) for event in events], events[60:] + events[:60]]
    start = threading.Barrier(len(orders))
    became: list[list[Any]] = []

    def write(order: list[dict[str, Any]]) -> None:
        vault = Vault(instance.keys.organisation_key)
        with psycopg.connect(instance.database.service("api")) as conn:
            conn.execute("SELECT set_config('suyuan.org', 'coop', false)")
            conn.commit()
            start.wait(20)
            became.append(
                record_all(conn, "coop", [Said(parse_event(each), CONTEXT) for each in order], NOW, vault)
            )

    threads = [threading.Thread(target=write, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [len(each) for each in became] == [120] * 4
    assert recorded(instance) == 120
    assert sum(not each.duplicate for found in became for each in found) == 120
    assert instance.one("SELECT count(*) FROM vault") == 7


@PLAIN
def test_who_names_many_persons_beside_many_who_name_one_comes_to_an_end(instance: Instance) -> None:
    def write(conn: psycopg.Connection, vault: Vault, events: list[dict[str, Any]]) -> list[Any]:
        conn.execute("SELECT set_config('suyuan.org', 'coop', true)")
        return record_all(conn, "coop", [Said(parse_event(each), CONTEXT) for each in events], NOW, vault)

    others = itertools.count(100)
    key, service = instance.keys.organisation_key, instance.database.service("api")

    class Overtaken(Vault):
        """Whenever it has looked for names, somebody who says less names one more person, if they can."""

        def drafted(self, organisation: str, values: Any) -> Any:
            other = next(others)
            with suppress(psycopg.errors.LockNotAvailable), psycopg.connect(service) as conn:
                conn.execute("SET lock_timeout = '500ms'")
                write(conn, Vault(key), [seen(other, **{"suyuan:remark": f"老王 {other - 100}"})])
            return super().drafted(organisation, values)

    events = [seen(number, **{"suyuan:remark": f"老王 {number}"}) for number in range(20)]
    with psycopg.connect(service) as conn:
        became = write(conn, Overtaken(key), events)
    assert [each.duplicate for each in became] == [False] * 20
    assert instance.one("SELECT count(*) FROM vault") == 20
    assert recorded(instance) == 22, "two came first, the third waited"


@PLAIN
def test_who_names_an_event_by_its_hash_waits_for_who_is_about_to_give_it_a_name(instance: Instance) -> None:
    def write(conn: psycopg.Connection, event: dict[str, Any]) -> Recorded:
        conn.execute("SELECT set_config('suyuan.org', 'coop', true)")
        return record(
            conn, "coop", parse_event(event), NOW, Vault(instance.keys.organisation_key), context=CONTEXT
        )

    def waits(conn: psycopg.Connection, other: threading.Thread) -> bool:
        held = conn.execute(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
        return held is not None or not other.is_alive()

    service = instance.database.service("api")
    became: list[Recorded] = []

    def name_by_hash() -> None:
        with psycopg.connect(service) as conn:
            became.append(write(conn, nameless(seen(1))))

    other = threading.Thread(target=name_by_hash)
    with psycopg.connect(service) as conn, psycopg.connect(instance.database.owner, autocommit=True) as eye:
        named = write(conn, seen(1))
        other.start()
        wait_until(lambda: waits(eye, other), 20)
        conn.commit()
    other.join(20)
    assert [(each.event, each.duplicate) for each in became] == [(named.event, True)]


@PLAIN
def test_many_at_once_become_what_they_become_one_by_one(instance: Instance) -> None:
    events = [
        *(
            made(),
            seen(1),
            seen(1),
            seen(1, bizStep="shipping"),
            nameless(seen(2)),
            seen(2),
            nameless(seen(2)),
        ),
        *(declared_wrong(made()), seen(3, **{"suyuan:remark": "老王"}), seen(3, **{"suyuan:remark": "老李"})),
        nameless(seen(4, **{"suyuan:remark": "老王"})),
    ]
    vault = Vault(instance.keys.organisation_key)
    ways: list[list[Any]] = []
    with instance.as_role("ingest") as conn:
        with conn.transaction(force_rollback=True):
            ways.append(record_all(conn, "coop", [Said(parse_event(each)) for each in events], NOW, vault))
            tables = [conn.execute(query.encode()).fetchall() for query in TABLES]
        alone = []
        for each in events:
            try:
                alone.append(record(conn, "coop", parse_event(each), NOW, vault))
            except EventConflict as error:
                alone.append(error)
        ways.append(alone)
        assert [conn.execute(query.encode()).fetchall() for query in TABLES] == tables
    one, other = (
        [each.duplicate if isinstance(each, Recorded) else type(each) for each in way] for way in ways
    )
    assert (
        one
        == other
        == [False, False, True, EventConflict, False, True, True, False, False, EventConflict, False]
    )


TABLES = (
    "SELECT organisation, event_id, is_error, type, event_time, biz_step, length(event_hash) FROM event WHERE event_id !~ '^ni:' ORDER BY 2, 3",
    "SELECT event_id, is_error, identifier, role FROM event_mention JOIN event ON id = event WHERE event_id !~ '^ni:' ORDER BY 1, 2, 3, 4",
    "SELECT event_id, is_error, event_party.organisation, part FROM event_party JOIN event ON id = event WHERE event_id !~ '^ni:'"
    " ORDER BY 1, 2, 3, 4",
    "SELECT event_id, is_error, field_names, length(salts), length(field_hashes) FROM event_bytes JOIN event ON id = event"
    " WHERE event_id !~ '^ni:' ORDER BY 1, 2",
)
