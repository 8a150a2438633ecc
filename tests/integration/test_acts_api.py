"""The acts over HTTP: the same rules as on the pages, each request done once, and refusals that say what to do in two languages."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.doing import COLD_STORE, COOP, GTIN, PACKHOUSE, PLOT, STALL, Doing
from tests.acceptance.instance import Instance, token
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.servers.databases import Database

PICKED = {"product": GTIN, "plot": PLOT, "kg": 100}


@pytest.fixture
def doing(database: Database, tmp_path: Path) -> Iterator[Doing]:
    begun = Doing(Instance(database, tmp_path))
    yield begun
    begun.close()


@pytest.fixture
def api(doing: Doing) -> Iterator[httpx.Client]:
    """The co-op's program, with its token."""
    with served(doing.instance, doing.now) as client:
        client.headers["Authorization"] = f"Bearer {token(COOP)}"
        yield client


def post(api: httpx.Client, path: str, said: Any, key: str | None = None, **headers: str) -> httpx.Response:
    return api.post(f"/api/v1{path}", json=said, headers={"Idempotency-Key": key or str(uuid4())} | headers)


def done(api: httpx.Client, path: str, said: Any, status: int = 201) -> Any:
    answer = post(api, path, said)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_batch_is_registered_run_packed_and_certified(doing: Doing, api: httpx.Client) -> None:
    (lot,) = done(api, "/acts/register_batch", PICKED)["lots"]
    run = {
        "inputs": [{"lot": lot}],
        "outputs": [{"product": GTIN, "boxes": 45, "grade": "A"}],
        "cull_kg": 8,
        "place": PACKHOUSE,
    }
    (made,) = done(api, "/acts/mix", run)["lots"]
    packed = done(api, "/acts/pack", {"lot": made, "boxes": 30})
    assert packed["serials"] == [{"lot": made, "first": "00000001", "last": "00000030"}]
    done(api, "/acts/store", {"units": packed["units"], "place": COLD_STORE})
    certificate = done(api, "/certificates", {"lot": made, "kg": 80, "contact": "0576-5550100"})
    assert (certificate["kind"], certificate["lot_kg"], certificate["status"]) == ("producer", 90, "valid")
    stock = [row for row in api.get("/api/v1/stock").json()["stock"] if row["uom"] is None]
    assert [(row["lot"], row["quantity"], row["unit"], row["place"]) for row in stock] == [
        (made, 15, None, PACKHOUSE),
        (made, 30, packed["units"][0], COLD_STORE),
    ]
    found = api.get("/api/v1/stock", params={"code": packed["units"]}).json()["stock"]
    assert [row["kg"] for row in found if row["unit"] in packed["units"]] == [60]
    kinds = [act["kind"] for act in api.get("/api/v1/acts").json()["acts"]]
    assert kinds == ["certificate_issue", "store", "pack", "mix", "register_batch"]
    older = api.get("/api/v1/acts", params={"limit": 2}).json()["acts"]
    assert [act["kind"] for act in older] == kinds[:2]
    assert {row[0] for row in doing.instance.rows("SELECT organisation FROM event")} == {COOP}


def test_a_double_tap_is_one_event(doing: Doing, api: httpx.Client) -> None:
    key = str(uuid4())
    first = post(api, "/acts/register_batch", PICKED, key)
    again = post(api, "/acts/register_batch", PICKED, key)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert doing.events() == 1
    other = post(api, "/acts/register_batch", PICKED | {"kg": 101}, key)
    assert other.status_code == 422
    assert api.post("/api/v1/acts/register_batch", json=PICKED).status_code == 400
    assert doing.events() == 1


def test_taps_at_the_same_moment_are_one_event(doing: Doing, api: httpx.Client) -> None:
    key = str(uuid4())
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(post, api, "/acts/register_batch", PICKED, key) for _ in range(4)]
        found = [answer.result() for answer in answers]
    assert {answer.status_code for answer in found} == {201}
    assert len({answer.json()["act"] for answer in found}) == 1
    assert doing.events() == 1 == doing.instance.one("SELECT count(*) FROM act")


def test_a_refusal_says_what_to_do_and_its_key_may_be_used_again(doing: Doing, api: httpx.Client) -> None:
    key = str(uuid4())
    answer = post(api, "/acts/pack", {"lot": "DK260618A", "boxes": 1}, key)
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
    (fault,) = answer.json()["faults"]
    assert (fault["code"], fault["field"]) == ("no_such_number", "lot")
    assert fault["zh"] and fault["en"] and fault["next"]["zh"] and fault["next"]["en"]
    (lot,) = done(api, "/acts/register_batch", PICKED)["lots"]
    run = {
        "inputs": [{"lot": lot}],
        "outputs": [{"product": GTIN, "boxes": 45}],
        "cull_kg": 8,
        "place": PACKHOUSE,
    }
    assert done(api, "/acts/mix", run)["lots"][0].endswith("/DK260618A")
    assert post(api, "/acts/pack", {"lot": "DK260618A", "boxes": 1}, key).status_code == 201


@pytest.mark.parametrize(
    ("path", "said", "status", "codes"),
    [
        ("/acts/fly", {}, 404, ["unknown_kind"]),
        ("/acts/pack", {"boxes": "x"}, 422, ["missing", "not_whole"]),
        ("/acts/register_batch", PICKED | {"kg": "1,000"}, 422, ["comma_in_number"]),
        ("/acts/register_batch", PICKED | {"variety": "a\x00b"}, 422, ["unprintable"]),
        ("/acts/hand_over", {"vehicle": "https://id.gs1.org/8004/95212340REEFER07", "giver": "carrier-1"}, 403, ["not_your_act"]),
        ("/acts/00000000-0000-4000-8000-000000000000/undo", {}, 404, ["no_act"]),
        ("/certificates", {"lot": f"https://id.gs1.org/01/{GTIN}/10/X1", "kg": 1, "contact": "x"}, 404, ["not_recorded"]),
        ("/certificates/HGZ1/void", {"reason": "x"}, 404, ["no_certificate"]),
        ("/certificates/HGZ1/void", {}, 422, ["missing"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    doing: Doing, api: httpx.Client, path: str, said: Any, status: int, codes: list[str]
) -> None:
    answer = post(api, path, said)
    assert answer.status_code == status, answer.text
    assert [fault["code"] for fault in answer.json()["faults"]] == codes
    assert doing.events() == 0


def test_bodies_that_are_no_act_are_refused(doing: Doing, api: httpx.Client) -> None:
    for body in (b"", b"[]", b"{", b'{"kg": NaN}', b'"x"', b"\xff"):
        headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
        answer = api.post("/api/v1/acts/register_batch", content=body, headers=headers)
        assert answer.status_code in (400, 422), (body, answer.status_code)
    assert doing.events() == 0


def test_an_act_is_undone_and_corrected(doing: Doing, api: httpx.Client) -> None:
    wrong = done(api, "/acts/register_batch", PICKED | {"kg": 1000})
    path = f"/acts/{wrong['act']}/undo"
    answer = done(api, path, {"kind": "register_batch", **PICKED}, 200)
    assert answer["events"] == wrong["events"] and answer["corrective"]["kind"] == "register_batch"
    refused = post(api, path, {})
    assert (refused.status_code, refused.json()["faults"][0]["code"]) == (409, "undone_already")
    stock = api.get("/api/v1/stock").json()["stock"]
    assert [row["quantity"] for row in stock] == [100]
    newest, first = api.get("/api/v1/acts").json()["acts"]
    assert first["undone_at"] and newest["asked"]["corrects"] == wrong["act"]


def test_certificates_are_voided_and_replaced_by_number_or_identifier(api: httpx.Client) -> None:
    (lot,) = done(api, "/acts/register_batch", PICKED)["lots"]
    promise = {"lot": lot, "kg": 60, "contact": "x"}
    first = done(api, "/certificates", promise)
    over = post(api, "/certificates", promise)
    assert (over.status_code, over.json()["faults"][0]["code"]) == (409, "over_certified")
    second = done(api, f"/certificates/{quote(first['id'], safe='')}/replace", promise | {"kg": 90})
    done(api, f"/certificates/{second['number']}/void", {"reason": "写错"}, 200)
    kept = api.get("/api/v1/certificates", params={"lot": lot}).json()["certificates"]
    assert {(each["number"], each["status"]) for each in kept} == {
        (first["number"], "replaced"),
        (second["number"], "void"),
    }


def test_a_card_that_a_program_issued_is_replaced_on_the_page_by_a_card(
    doing: Doing, api: httpx.Client
) -> None:
    """The form asks neither for the kind nor for the evidence; and a correction that cannot be sent has no form."""
    add_person(doing.instance, "wang", "grower", organisation="g-0137")
    report = "https://lab.example/report/7"
    with signed_in(api, "wang") as wang:
        wang.headers["Accept"] = "application/json"
        made = done(wang, "/acts/register_batch", PICKED)
        promise = {
            "lot": made["lots"][0],
            "kg": 60,
            "contact": "x",
            "kind": "producer_card",
            "evidence": [report],
        }
        first = done(wang, "/certificates", promise)
        form = {
            "replaces": first["number"],
            "lot": promise["lot"],
            "kg": "50",
            "contact": "x",
            "basis": "self_declaration",
        }
        sent = wang.post("/scan/certificates", data=form | {"idempotency_key": str(uuid4())})
        assert sent.status_code == 303, sent.text
        kept = wang.get("/api/v1/certificates").json()["certificates"]
        assert {(each["status"], each["kind"], *each["evidence"]) for each in kept} == {
            ("replaced", "producer_card", report),
            ("valid", "producer_card", report),
        }
        opened = wang.get("/scan/do/register_batch", params={"corrects": made["act"]})
        assert opened.status_code == 409, "the certificate has to be voided first"


def test_others_see_nothing_of_it(doing: Doing, api: httpx.Client) -> None:
    wrong = done(api, "/acts/register_batch", PICKED)
    done(api, "/certificates", {"lot": wrong["lots"][0], "kg": 10, "contact": "x"})
    stranger = {"Authorization": f"Bearer {token(STALL)}"}
    for path, name in (("/acts", "acts"), ("/certificates", "certificates"), ("/stock", "stock")):
        assert api.get(f"/api/v1{path}", headers=stranger).json()[name] == []
    assert post(api, f"/acts/{wrong['act']}/undo", {}, None, **stranger).status_code == 404
    assert post(api, "/certificates/HGZ260618A/void", {"reason": "x"}, None, **stranger).status_code == 404


def test_a_person_acts_as_themselves(doing: Doing, api: httpx.Client) -> None:
    account = add_person(doing.instance, "li", "packer", organisation=COOP)
    with signed_in(api, "li") as li:
        li.headers["Accept"] = "application/json"
        done(li, "/acts/register_batch", PICKED)
    ((urn,),) = doing.instance.rows(
        "SELECT convert_from(bytes, 'UTF8')::jsonb ->> 'suyuan:recordedBy' FROM event_bytes"
    )
    assert urn == f"urn:suyuan:person:{account}"
    assert doing.instance.one("SELECT account FROM act") == account
