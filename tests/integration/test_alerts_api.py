"""Alerts over HTTP: the list, the acknowledgement and its refusals, the pages for people and for administrators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from ingest import webhook
from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.integration.alert_world import NOW, Truck, flat
from tests.servers.databases import Database

WARM = flat((0, 5, 4.0), (5, 20, 6.0))
EVIL = '<script>alert("1")</script>'


@dataclass
class Desk:
    truck: Truck
    lin: httpx.Client
    ma: httpx.Client
    rival: httpx.Client
    administrator: httpx.Client


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    truck = Truck(Instance(database, tmp_path))
    for login, organisation in (("lin", "coop"), ("ma", "coop"), ("rival", "rival")):
        add_person(truck.instance, login, "carrier", organisation=organisation)
    add_person(truck.instance, "root", "administrator")
    with served(truck.instance, NOW) as client, ExitStack() as stack:
        people = [stack.enter_context(signed_in(client, login)) for login in ("lin", "ma", "rival", "root")]
        yield Desk(truck, *people)


def acknowledge(client: httpx.Client, comment: object, number: int = 1, key: str = "") -> httpx.Response:
    headers = {"Idempotency-Key": key or str(uuid4()), "Accept": "application/json"}
    return client.post(f"/api/v1/excursions/{number}/acknowledge", json={"comment": comment}, headers=headers)


def test_the_first_to_acknowledge_stands_and_the_second_hears_who(desk: Desk) -> None:
    desk.truck.send(WARM)
    key = str(uuid4())
    first = acknowledge(desk.lin, "door was open", key=key)
    assert first.status_code == 200, first.text
    assert first.json() == {
        "excursion": 1,
        "name": "lin 演示",
        "comment": "door was open",
        "at": NOW.isoformat(),
    }
    again = acknowledge(desk.lin, "door was open", key=key)
    assert (again.status_code, again.json()) == (200, first.json()), "the same request is answered again"
    second = acknowledge(desk.ma, "on my way")
    assert second.status_code == 409 and second.json()["code"] == "alert_taken"
    for said in ("lin 演示", NOW.isoformat(timespec="minutes"), "door was open"):
        assert said in second.json()["detail"]
    assert acknowledge(desk.rival, "not mine").status_code == 404
    assert desk.truck.instance.rows("SELECT name, comment FROM alert_acknowledgement") == [
        ("lin 演示", "door was open")
    ]


@pytest.mark.parametrize("comment", ["", "  \n", "x" * 2001, None, 7])
def test_without_a_comment_nothing_is_acknowledged(desk: Desk, comment: object) -> None:
    desk.truck.send(WARM)
    assert acknowledge(desk.lin, comment).status_code == 422
    assert desk.truck.instance.rows("SELECT FROM alert_acknowledgement") == []


def test_the_list_is_of_the_askers_own_by_state(desk: Desk) -> None:
    desk.truck.send(WARM | flat((20, 22, 4.0), (22, 40, 6.0)))
    listed = desk.lin.get("/api/v1/alerts").json()
    assert [(each["alert"], each["state"], each["closed_by"]) for each in listed["alerts"]] == [
        (2, "open", None),
        (1, "closed", "recovery"),
    ]
    assert (
        listed["alerts"][0]["limit"]["limit_c"] == 5.0 and listed["alerts"][0]["told"][0]["what"] == "opened"
    )
    assert acknowledge(desk.lin, "looked at it", 2).status_code == 200
    by_state = {
        state: [
            each["alert"] for each in desk.ma.get("/api/v1/alerts", params={"state": state}).json()["alerts"]
        ]
        for state in ("open", "acknowledged", "closed")
    }
    assert by_state == {"open": [], "acknowledged": [2], "closed": [1]}
    page = desk.lin.get("/api/v1/alerts", params={"limit": 1}).json()
    assert (
        page["next"] == 2
        and desk.lin.get("/api/v1/alerts", params={"limit": 1, "after": 2}).json()["alerts"][0]["alert"] == 1
    )
    assert desk.rival.get("/api/v1/alerts").json() == {"alerts": [], "next": None}


def test_the_page_shows_the_worst_first_and_takes_the_comment(desk: Desk) -> None:
    desk.truck.send(flat((0, 15, 11.0), (15, 16, 4.0), (16, 40, 6.0)))  # over and bad; open
    text = desk.lin.get("/alerts?lang=en").text
    assert "Above the limit: Truck nine, 6.0" in text and "11.0" not in text
    assert "not compared with its source" in text and "Recommended" in text
    key = re.search(
        r'action="/alerts/2/acknowledge">\s*<input type="hidden" name="idempotency_key" value="([^"]+)"', text
    )
    assert key
    form = {"idempotency_key": key[1], "comment": EVIL}
    for _ in range(2):
        answer = desk.lin.post("/alerts/2/acknowledge", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/alerts?excursion=2&done=true")
    one = desk.ma.get("/alerts?excursion=2&done=true&lang=zh").text
    assert (
        "lin 演示" in one
        and EVIL not in one
        and "&lt;script&gt;" in one
        and "/alerts/2/acknowledge" not in one
    )
    refused = desk.ma.post(
        "/alerts/2/acknowledge", data={"idempotency_key": str(uuid4()), "comment": "me too"}
    )
    assert refused.status_code == 409 and "lin 演示" in refused.text
    assert "/alerts?excursion=" not in desk.rival.get("/alerts?show=all").text
    closed = desk.lin.get("/alerts?show=closed&lang=en").text
    assert (
        "For information, it is over: Truck nine, up to 11.0" in closed and "back within the limit" in closed
    )


def test_an_administrator_sets_channels_and_tests_them(desk: Desk) -> None:
    def post(path: str, **fields: str) -> httpx.Response:
        return desk.administrator.post(path, data={"idempotency_key": str(uuid4()), **fields})

    good = {"organisation": "coop", "kind": "webhook", "address": "https://hooks.example/x?a=1", "level": "1"}
    assert post("/channels", **good).headers["location"] == "/channels?done=added"
    assert post("/channels", **good).status_code == 409
    for wrong in ({"address": "javascript:1"}, {"level": "x"}, {"level": "10"}, {"kind": "fax"}, {"organisation": "nobody"},
                  {"address": "a@b\r\nBcc: c@d", "kind": "email"}):  # fmt: skip
        assert post("/channels", **(good | wrong)).status_code == 422, wrong
    (channel,) = (str(each) for (each,) in desk.truck.instance.rows("SELECT id FROM alert_channel"))
    text = desk.administrator.get("/channels?lang=en").text
    shown = webhook.shown(webhook.secret(desk.truck.instance.keys.organisation_key("coop"), channel))
    assert shown.replace("+", "&#43;") in text or shown in text
    assert "https://hooks.example/x?a=1" in text and "Nothing arrived yet" in text
    assert post(f"/channels/{channel}/test").headers["location"] == "/channels?done=tested"
    assert "1 waiting, 0 given up" in desk.administrator.get("/channels?lang=en").text
    assert post(f"/channels/{channel}/remove").headers["location"] == "/channels?done=removed"
    assert post(f"/channels/{channel}/test").status_code == 404
    assert (
        desk.lin.get("/channels").status_code == 403 and desk.administrator.get("/alerts").status_code == 403
    )
    assert desk.truck.instance.rows("SELECT FROM outbox WHERE channel IS NOT NULL") == []
