"""The API over HTTP, as somebody who holds a code, or nothing: answers, files of the logs, and refusals with a sentence.

A real server in front of a real database, connected as `suyuan_api` and `suyuan_public`.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest

from ledger.epcis.identifiers import box_uri
from ledger.evidence import verify_evidence
from ledger.translog.checkpoint import open_checkpoint
from ledger.translog.note import parse_vkey
from tests.acceptance.instance import Instance, token
from tests.acceptance.serving import served
from tests.integration.lines import NOW, harvest
from tests.integration.said import (
    FRUIT,
    GTIN,
    LOT,
    PALLET,
    REGISTRY,
    TRUCK,
    by_carrier,
    by_terminal,
    loaded,
    made,
    on_truck,
    packed,
    placed,
    room,
    truck,
)
from tests.integration.test_access import TABLE
from tests.servers.databases import Database
from trace_api import pages

BOX = box_uri(GTIN, "DK1", "0007")
LATER = NOW + timedelta(minutes=5)
UNKNOWN = "01/09521234000204/10/NEVER"
WRONG = "01/09521234000203/10/DK1"  # the check digit is 4


def begin(instance: Instance) -> None:
    """40 boxes in the store; 20 of them on a pallet, on a truck whose cooling failed for two hours."""
    instance.register(REGISTRY)
    instance.take(
        [
            *by_carrier(on_truck(9)),
            *by_terminal(
                harvest("urn:uuid:picked", NOW - timedelta(hours=12)),
                placed(11),
                made(10),
                packed(8),
                loaded(6),
            ),
            room([2.0 + minute % 7 / 10 for minute in range(60 * 10)], 10, 1),
            truck([3.0] * 60 + [8.5] * 120 + [3.0] * 60, 6, 1),
            truck([3.0] * 5 + [7.5] * 45 + [3.0] * 10, 2, 2),
        ],
        NOW,
    )
    instance.settle(LATER)


@pytest.fixture
def instance(begun: Instance) -> Instance:
    return begun


@pytest.fixture
def young(database: Database, tmp_path: Path) -> Instance:
    """Registered, and nothing has happened yet."""
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    return instance


@pytest.fixture
def door(young: Instance) -> Iterator[httpx.Client]:
    with served(young, LATER) as client:
        yield client


@pytest.fixture
def api(instance: Instance) -> Iterator[httpx.Client]:
    with served(instance, LATER) as client:
        yield client


def code(uri: str) -> str:
    return (
        uri.removeprefix("https://id.gs1.org/")
        if uri.startswith("https://id.gs1.org/")
        else quote(uri, safe="")
    )


def get(api: httpx.Client, path: str, **params: Any) -> Any:
    answer = api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_journey_and_its_judgement(api: httpx.Client) -> None:
    trace = get(api, f"/api/v1/lots/{code(BOX)}/trace")
    steps = [(item["event"]["type"], item["event"].get("bizStep")) for item in trace["events"]]
    assert steps == [
        ("ObjectEvent", "commissioning"),  # picked
        ("TransformationEvent", "commissioning"),  # mixed and sorted
        ("AggregationEvent", "packing"),
        ("AggregationEvent", "loading"),
    ]
    assert {(edge["from"], edge["to"], edge["kind"]) for edge in trace["edges"]} >= {
        (FRUIT, LOT, "transformed"),
        (LOT, PALLET, "packed"),
        (PALLET, TRUCK, "loaded"),
    }
    (portion,) = trace["portions"]
    assert (portion["lot"], portion["unit"], portion["quantity"], portion["stage"]) == (
        LOT,
        PALLET,
        20,
        "loaded",
    )
    assert [held["id"] for held in portion["containers"]] == [PALLET, TRUCK]

    exposure = get(api, f"/api/v1/lots/{code(BOX)}/exposure")
    (exposed,) = exposure["portions"]
    assert exposed["max_c"] == 8.5
    assert exposed["minutes"] == exposed["minutes_measured"] + exposed["minutes_unobserved"]
    assert exposed["legs"][0]["holder"] == "coop"

    verdict = get(api, f"/api/v1/lots/{code(LOT)}/verdict")
    assert verdict["worst"]["verdict"] == "breach"
    states = {portion["unit"]: portion["verdict"] for portion in verdict["portions"]}
    assert states == {None: "compliant", PALLET: "breach"}, "what stayed in the store bears no blame"
    assert get(api, f"/api/v1/lots/{code(PALLET)}/verdict")["worst"]["verdict"] == "breach"
    for sentence in (verdict["worst"]["headline"], verdict["worst"]["detail"]):
        assert sentence["zh"] and sentence["en"]


def test_excursions_are_told_newest_first_and_page_by_page(api: httpx.Client) -> None:
    whole = get(api, "/api/v1/excursions")["excursions"]
    assert [(each["state"], each["channel"], each["extreme_c"]) for each in whole] == [
        ("closed", "return_air", 7.5),
        ("closed", "return_air", 8.5),
    ]
    assert [each["minutes_at_least"] for each in whole] == [44, 119]
    pages, after = [], None
    while True:
        page = get(api, "/api/v1/excursions", limit=1, **({} if after is None else {"after": after}))
        pages += page["excursions"]
        after = page["next"]
        if after is None:
            break
    assert pages == whole
    by_then = (NOW - timedelta(hours=3)).isoformat()
    assert get(api, "/api/v1/excursions", until=by_then)["excursions"] == whole[1:]
    assert get(api, "/api/v1/excursions", state="open")["excursions"] == []


def test_the_proof_verifies_with_the_key_that_the_log_publishes_and_not_with_a_byte_changed(
    api: httpx.Client,
) -> None:
    trusted = {}
    for organisation in ("coop", "carrier", "root"):
        vkey = api.get(f"/log/{organisation}/vkey").text.strip()
        trusted[parse_vkey(vkey).name] = vkey
    for uri in (BOX, LOT, PALLET):
        file = api.get(f"/api/v1/lots/{code(uri)}/proof").content
        report = verify_evidence(file, trusted)
        assert report.verified, report.failures
        items = json.loads(file)["items"]
        kinds = [item["kind"] for item in items]
        assert kinds.count("event") >= 4 and kinds.count("window") >= 2
        shown = {field["name"] for item in items for field in item.get("fields", ()) if "name" in field}
        assert "bizStep" in shown and not shown & {"sourceList", "destinationList", "bizTransactionList"}
        assert report.facts.root is not None
        before = verify_evidence(
            api.get(f"/api/v1/lots/{code(uri)}/proof", params={"format": "v1"}).content, trusted
        )
        assert before.verified and before.facts.root is None
        for mark in (b'"entry":"', b'"salt":"', b'"proof":"', b'"path":"'):
            at = file.index(mark) + len(mark) + 5
            flipped = file[:at] + (b"A" if file[at : at + 1] != b"A" else b"B") + file[at + 1 :]
            assert not verify_evidence(flipped, trusted).verified, mark


def test_every_endpoint_is_in_openapi_and_answers(api: httpx.Client, instance: Instance) -> None:
    (instance.folder / "log/policy").write_text("quorum none\n")  # as who asks the witnesses does
    document = get(api, "/openapi.json")
    examples = {
        "code": code(BOX),
        "gtin": GTIN,
        "lot": "DK1",
        "serial": "0007",
        "log": "coop",
        "path": "checkpoint",
        "name": json.loads(pages.built_files().joinpath("manifest.json").read_text())["style"],
    }
    wanted = {
        "/api/v1/excursions",
        "/epcis/capture",
        "/epcis/capture/{job}",
        "/01/{gtin}/10/{lot}",
        "/log/{log}/{path}",
    }
    wanted |= {f"/api/v1/lots/{{code}}/{what}" for what in ("trace", "exposure", "verdict", "proof")}
    assert wanted <= set(document["paths"])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            # What asks for a sign-in, and what is about one thing among many, has tests of its own.
            known = set(re.findall(r"\{(\w+)\}", path)) <= set(examples)
            if method == "get" and known and TABLE["GET", path]["public"] == "yes":
                filled = path.format(**examples)
                assert api.get(filled).status_code == 200, filled


def test_what_is_long_travels_compressed(api: httpx.Client) -> None:
    manifest = json.loads(pages.built_files().joinpath("manifest.json").read_text())
    for path in (f"/web/{manifest['script']}", f"/web/{manifest['wasm']}", f"/api/v1/lots/{code(BOX)}/trace"):
        plain, packed = (api.get(path, headers={"Accept-Encoding": how}) for how in ("identity", "gzip"))
        assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content and "Accept-Encoding" in packed.headers["vary"]
        assert packed.num_bytes_downloaded < 0.5 * len(plain.content)


# --- files of the logs ----------------------------------------------------------------------------------------


def test_the_policy_is_served_where_there_is_one(api: httpx.Client, instance: Instance) -> None:
    policy = instance.folder / "log/policy"
    policy.unlink(missing_ok=True)
    assert api.get("/log/policy").status_code == 404
    policy.write_text("quorum none\n")
    answer = api.get("/log/policy")
    assert (answer.status_code, answer.text) == (200, "quorum none\n")
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_logs_checkpoint_changes_and_its_tiles_never_do(api: httpx.Client, instance: Instance) -> None:
    checkpoint = api.get("/log/coop/checkpoint")
    assert checkpoint.headers["Content-Type"].startswith("text/plain")
    assert checkpoint.headers["Cache-Control"] == "no-cache"
    key = parse_vkey(api.get("/log/coop/vkey").text.strip())
    head = open_checkpoint(checkpoint.text, [key], origin=key.name).checkpoint
    assert head.size == instance.one("SELECT count(*) FROM leaf WHERE organisation = 'coop'") < 256
    for path, size in (
        (f"tile/0/000.p/{head.size}", 32 * head.size),
        (f"tile/entries/000.p/{head.size}", None),
    ):
        tile = api.get(f"/log/coop/{path}")
        assert tile.status_code == 200
        assert "immutable" in tile.headers["Cache-Control"]
        assert size is None or len(tile.content) == size
    assert api.get("/log/coop/tile/0/001").status_code == 404


TRAVERSALS = (
    "/log/coop/../../keys/coop.key",
    "/log/coop/..%2f..%2fkeys/coop.key",
    "/log/coop/%2e%2e/%2e%2e/keys/coop.key",
    "/log/../keys/coop.key",
    "/log/..%2fkeys/coop.key",
    "/log/%2e%2e/keys/coop.key",
    "/log/coop//../../keys/coop.key",
    "/log/coop/..",
    "/log/./coop/checkpoint",
    "/log/coop/tile/../../../keys/coop.key",
    "/log//etc/passwd",
    "/log/coop//etc/passwd",
    "/log/coop/%00",
    "/log/coop/checkpoint%00.txt",
    "/log/coop/.checkpoint.0123",
    "/log/coop/tile/0/000/../../../checkpoint",
    "/web/%00",
    "/web/..%2f..%2fapp.py",
    "/web/../../app.py",
)


@pytest.mark.editions("plain")
def test_no_path_leads_out_of_a_log(api: httpx.Client, instance: Instance, tmp_path: Path) -> None:
    secret = (instance.folder / "keys" / "coop.key").read_bytes()
    (instance.folder / "log" / "link").symlink_to(instance.folder / "keys")
    for path in (*TRAVERSALS, "/log/link/coop.key"):
        status, kind, body = raw(api, path)
        assert status == 404, f"{path}: {status}"
        assert kind == "application/problem+json", path
        assert secret not in body and b"root:" not in body


def raw(api: httpx.Client, path: str) -> tuple[int, str | None, bytes]:
    """The path as it stands: a client would tidy it first."""
    conn = http.client.HTTPConnection(api.base_url.host, api.base_url.port, timeout=20)
    try:
        conn.putrequest("GET", path, skip_host=False)
        conn.endheaders()
        answer = conn.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        conn.close()


# --- Digital Link -----------------------------------------------------------------------------------------------


@pytest.mark.editions("plain")
def test_a_code_leads_to_a_page_to_json_and_to_a_linkset_whose_links_answer(api: httpx.Client) -> None:
    path = f"/{code(BOX)}"
    page = api.get(path, headers={"Accept": "text/html,application/xhtml+xml"})
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    moved = api.get(path, headers={"Accept": "application/json"})
    assert moved.status_code == 303
    assert api.get(moved.headers["Location"]).json()["worst"]["verdict"] == "breach"
    asked = api.get(path, headers={"Accept": "application/linkset+json"})
    assert asked.json() == api.get(path, params={"linkType": "linkset"}).json()
    assert asked.headers["Content-Type"] == "application/linkset+json"
    (links,) = asked.json()["linkset"]
    assert links.pop("anchor") == f"{api.base_url}{path}".replace("//01", "/01")
    for kind, targets in links.items():
        for link in targets:
            answer = api.get(link["href"])
            assert answer.status_code == 200, kind
            assert answer.headers["Content-Type"].startswith(link["type"]), kind


@pytest.mark.editions("plain")
@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (UNKNOWN, 404, {"zh": "NEVER", "en": "NEVER"}),
        (f"{code(LOT)}/21/9999", 404, {"zh": "9999", "en": "9999"}),
        (WRONG, 400, {"zh": "不成立", "en": "check digit"}),
    ],
)
def test_a_page_says_what_is_wrong_with_a_code(
    api: httpx.Client, path: str, status: int, words: dict[str, str]
) -> None:
    for language, word in words.items():
        page = api.get(f"/{path}", params={"lang": language}, headers={"Accept": "text/html"})
        assert page.status_code == status
        assert page.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert word in page.text, language


# --- refusals ---------------------------------------------------------------------------------------------------


def is_a_problem(answer: httpx.Response, status: int) -> str:
    """Returns the sentence. RFC 9457, and it says what to do."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body.keys() >= {"type", "title", "status", "detail", "instance"}
    assert body["status"] == status
    assert " " in body["detail"] and len(body["detail"]) > 25, body["detail"]
    assert "Traceback" not in answer.text and "psycopg" not in answer.text
    return str(body["detail"])


@pytest.mark.editions("plain")
def test_what_is_not_there_and_what_is_no_code(door: httpx.Client) -> None:
    for what in ("trace", "exposure", "verdict", "proof"):
        is_a_problem(door.get(f"/api/v1/lots/{UNKNOWN}/{what}"), 404)
        assert "check digit" in is_a_problem(door.get(f"/api/v1/lots/{WRONG}/{what}"), 400)
        is_a_problem(door.get(f"/api/v1/lots/{quote('urn:epc:id:sgtin:9521234.0', safe='')}/{what}"), 400)
        is_a_problem(door.get(f"/api/v1/lots/{quote('01/' + chr(0), safe='/')}/{what}"), 400)
    is_a_problem(door.get("/api/v1/nothing"), 404)
    is_a_problem(door.get("/log/nobody/checkpoint"), 404)
    is_a_problem(door.get("/web/nothing.js"), 404)
    is_a_problem(door.delete("/api/v1/excursions"), 405)
    for query in (
        "limit=0",
        "limit=many",
        "state=happy",
        "until=yesterday",
        "until=2026-06-20T12:00:00",
        "after=x",
        "after=99999999999999999999",
    ):
        is_a_problem(door.get(f"/api/v1/excursions?{query}"), 422)
    is_a_problem(door.get(f"/api/v1/lots/{code(LOT)}/trace?depth=0"), 422)


def bearer(organisation: str = "coop") -> dict[str, str]:
    return {"Authorization": f"Bearer {token(organisation)}"}


WAIT = {"Prefer": "wait=20"}


@pytest.mark.editions("plain")
def test_a_capture_without_a_right_to_it(door: httpx.Client, young: Instance) -> None:
    body = json.dumps(harvest("urn:uuid:uninvited")).encode()
    headers: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic x"},
        {"Authorization": "Bearer"},
    ]
    for each in headers:
        is_a_problem(door.post("/epcis/capture", content=body, headers=each), 401)
    answer = door.post("/epcis/capture", content=body, headers=bearer() | WAIT)
    assert answer.status_code == 202
    job = answer.headers["Location"]
    is_a_problem(door.get(job), 401)
    is_a_problem(door.get(job, headers=bearer("carrier")), 404)
    assert door.get(job, headers=bearer()).json()["success"] is True
    is_a_problem(door.get("/epcis/capture/00000000-0000-4000-8000-000000000000", headers=bearer()), 404)
    assert young.rows("SELECT organisation FROM event WHERE event_id = 'urn:uuid:uninvited'") == [("coop",)]


def document(*events: Any) -> dict[str, Any]:
    return {
        "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": NOW.isoformat(),
        "epcisBody": {"eventList": list(events)},
    }


UNREADABLE = {
    "nothing": b"",
    "no JSON": b"{not json",
    "a list": b"[]",
    "a number": b"7",
    "cut off": json.dumps(document()).encode()[:-9],
    "not UTF-8": b'{"type":"\xff"}',
    "a key twice": b'{"type":"ObjectEvent","type":"ObjectEvent"}',
    "NaN": b'{"type":NaN}',
    "too deep": b'{"a":' * 50_000,
    "no events": json.dumps(document()).encode(),
    "no event list": json.dumps(document() | {"epcisBody": {}}).encode(),
    "a body that is none": json.dumps(document() | {"epcisBody": 5}).encode(),
    "an event list that is none": json.dumps(document() | {"epcisBody": {"eventList": 5}}).encode(),
}


@pytest.mark.editions("plain")
def test_a_capture_that_cannot_be_read_and_one_too_large(door: httpx.Client, young: Instance) -> None:
    for what, body in UNREADABLE.items():
        assert is_a_problem(door.post("/epcis/capture", content=body, headers=bearer()), 400), what
    large = b'{"type":"' + b" " * 5_000_000
    is_a_problem(door.post("/epcis/capture", content=large, headers=bearer()), 413)
    chunks = (b" " * 65_536 for _ in range(70))  # no length is told beforehand
    is_a_problem(door.post("/epcis/capture", content=chunks, headers=bearer()), 413)
    many = document(*(harvest(f"urn:uuid:{number}") for number in range(1_001)))
    is_a_problem(door.post("/epcis/capture", json=many, headers=bearer()), 413)
    is_a_problem(
        door.post(
            "/epcis/capture",
            json=document(harvest("urn:uuid:1")),
            headers=bearer() | {"GS1-Capture-Error-Behaviour": "x"},
        ),
        400,
    )
    assert young.one("SELECT count(*) FROM capture_job") == 0


@pytest.mark.editions("plain")
@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"eventTime": "1970-01-01T00:00:00Z"}, "2000"),
        ({"eventTime": (datetime.now(NOW.tzinfo) + timedelta(days=40_000)).isoformat()}, "ahead"),
        ({"eventTime": "yesterday"}, "eventTime"),
        ({"epcList": ["https://id.gs1.org/00/095212340000000106"], "quantityList": []}, "check digit"),
        ({"action": "PERHAPS"}, "action"),
        ({"suyuan:note": "\ud800"}, "surrogate"),
        ({"suyuan:note": "a\0b"}, "NUL"),
    ],
)
def test_one_event_that_cannot_be_taken_is_named_in_the_job(
    door: httpx.Client, fault: dict[str, Any], word: str
) -> None:
    body = json.dumps(document(harvest("urn:uuid:good"), harvest("urn:uuid:bad") | fault))
    answer = door.post(
        "/epcis/capture", content=body, headers=bearer() | WAIT | {"GS1-Capture-Error-Behaviour": "proceed"}
    )
    assert answer.status_code == 202, answer.text
    (error,) = answer.json()["errors"]
    assert error["instance"] == "/epcisBody/eventList/1"
    assert word in error["detail"] and len(error["detail"]) > 15


@pytest.mark.editions("plain")
def test_health_and_readiness(door: httpx.Client, young: Instance) -> None:
    assert get(door, "/healthz") == {"status": "ok"}
    assert get(door, "/readyz") == {"status": "ready"}
    young.alter("REVOKE SELECT ON published_organisation, published_excursion FROM suyuan_public")
    assert door.get("/readyz").status_code == 503
    assert get(door, "/healthz") == {"status": "ok"}
    is_a_problem(door.get("/api/v1/excursions"), 500)  # whatever we did not foresee


def test_a_lot_is_asked_for_by_whatever_names_it(api: httpx.Client, instance: Instance) -> None:
    """Element strings, a link of any host, and codes of others, for ever: also when they are taken out of use."""
    insert = "INSERT INTO identifier_alias (scheme, value, entity, organisation, valid) VALUES (%s, %s, %s, 'carrier', tstzrange(%s, %s))"
    before, ended = NOW - timedelta(days=9), NOW - timedelta(days=8)
    with psycopg.connect(instance.database.owner) as conn:
        conn.execute(insert, ["label", "OLD 17", LOT, before, None])
        conn.execute(insert, ["zhenongma", "浙农码330100123", LOT, before, ended])
        conn.execute(insert, ["gtin", "01/09520000000004/10/DK1", LOT, before, None])
        conn.execute(insert, ["plate", "浙A12345", TRUCK, before, None])
        conn.execute(insert, ["label", "NOTHING", f"{LOT}X", before, None])
    lot = LOT.partition("/10/")[2]
    ways = (f"(01){GTIN}(10){lot}", f"01{GTIN}10{lot}", f"https://a.example/01/{GTIN}/10/{lot}?17=261231")
    for way in (*ways, "OLD 17", " ＯＬＤ　17", "浙农码330100123", "01/09520000000004/10/DK1"):
        for about in ("trace", "exposure", "verdict"):
            assert get(api, f"/api/v1/lots/{quote(way, safe='')}/{about}")["id"] == LOT, (way, about)
    for unknown, status in (("浙A12345", 400), ("NOTHING", 400), ("OLD 18", 400), (UNKNOWN, 404)):
        assert api.get(f"/api/v1/lots/{quote(unknown, safe='')}/trace").status_code == status, unknown
    for way in (
        f"{LOT.replace(GTIN, '09520000000004')}?17=261231",
        "https://a.example/01/09520000000004/10/DK1",
    ):
        assert get(api, f"/api/v1/lots/{quote(way, safe='')}/trace")["id"] == LOT, (
            "by the name that a label carries"
        )
    page = api.get("/01/09520000000004/10/DK1", headers={"Accept": "text/html"})
    assert (page.status_code, "09520000000004" in page.text) == (200, False), (
        "a shopper's old label leads to the lot"
    )
    signed = {"Authorization": f"Bearer {token('carrier')}"}
    plate = api.get(f"/api/v1/lots/{quote('浙A-12345', safe='')}/trace", headers=signed)
    assert (plate.status_code, plate.json()["id"]) == (200, TRUCK)


def test_events_can_be_validated_before_they_are_captured(door: httpx.Client) -> None:
    signed = {"Authorization": f"Bearer {token('carrier')}"}

    def validated(body: Any) -> tuple[int, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = door.post("/epcis/events/validate", content=content, headers=signed)
        return answer.status_code, answer.json()

    event = {
        "type": "ObjectEvent",
        "eventTime": "2026-06-18T03:20:00.000+08:00",
        "eventTimeZoneOffset": "+08:00",
        "action": "OBSERVE",
        "bizStep": "loading",
        "epcList": [PALLET],
    }
    assert validated(event) == (200, {"valid": True, "events": 1, "problems": [], "more": False})
    status, said = validated([event, event | {"bizStep": "shipping"}])
    assert (status, said["valid"]) == (200, True)
    assert [(each["severity"], each["pointer"]) for each in said["problems"]] == [("warning", "/1/bizStep")]
    status, said = validated(event | {"action": "x", "eventTime": "today"})
    assert (status, said["valid"]) == (200, False)
    assert {each["pointer"]: each["detail"] for each in said["problems"]}[
        "/action"
    ] == "got 'x', want ADD, OBSERVE or DELETE"
    status, said = validated([{}] * 5_000)
    assert (status, said["valid"], len(said["problems"]), said["more"]) == (200, False, 1_000, True)
    for other in (5, {"type": "Other"}, {"type": "EPCISDocument", "epcisBody": {}}):
        status, said = validated(other)
        assert (status, said["valid"], len(said["problems"])) == (200, False, 1), other
    for torn in (b"{", b"\xff\xfe", b"\x1f\x8b\x08", b"[" * 100_000, b"<a"):
        status, said = validated(torn)
        assert (status, said["title"]) == (400, "No EPCIS events"), torn[:10]
    assert validated(b" " * 1_048_577)[0] == 413
    packed = {**signed, "Content-Encoding": "gzip"}
    for content, expected in ((json.dumps(event).encode(), 200), (b" " * 1_048_577, 413)):
        answer = door.post("/epcis/events/validate", content=gzip.compress(content), headers=packed)
        assert answer.status_code == expected
    assert door.options("/epcis/events/validate").headers["Allow"] == "OPTIONS, POST"
    assert door.post("/epcis/events/validate", json=event).status_code == 401
