"""Findings over HTTP: who sees which, what a page and a file say, and that what an official said of one stays."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook

from tests.acceptance.instance import Instance, token
from tests.acceptance.people import add_person, as_browser, signed_in
from tests.acceptance.serving import served
from tests.integration.lines import NOW
from tests.integration.radar_world import (
    BOX,
    COUNTY,
    GATE,
    certified,
    picked,
    run,
    scanned,
    seen,
    settled,
    sold,
)
from tests.integration.said import FRUIT, LOT, STORE, by_carrier, loaded, packed, said
from trace_api.findings.asking import KINDS
from trace_api.words import Language

AT = NOW + timedelta(hours=3)
JSON = {"Accept": "application/json"}


def begin(instance: Instance) -> None:
    """More boxes than fruit, more picked than the plot bears, a pallet in two towns, and a code that went round."""
    instance.register(COUNTY)
    more = [picked(29 - n / 10, 700, f"{FRUIT}-{n}") for n in range(2)]
    settled(
        instance,
        [
            picked(),
            *more,
            run(boxes=60),
            packed(8),
            loaded(7),
            seen(3, "storing", STORE),
            seen(2.9, "receiving", GATE),
        ],
    )
    scanned(instance, BOX, visitors=400, networks=30)
    while instance.consume("radar", NOW + timedelta(minutes=10)):
        continue
    add_person(instance, "wu", "official", department="agriculture", regions=("331024",))
    add_person(instance, "hz", "official", department="market_regulation", regions=("3301",))
    add_person(instance, "sh", "official", department="market_regulation", regions=("31",))
    add_person(instance, "au", "auditor", regions=("33",))


@pytest.fixture
def instance(begun: Instance) -> Instance:
    return begun


@contextmanager
def at_work(instance: Instance, login: str = "wu", at: Any = AT) -> Iterator[httpx.Client]:
    with served(instance, at) as client, signed_in(client, login) as person:
        yield person


def kinds(client: httpx.Client, query: str = "", **headers: str) -> list[str]:
    answer = client.get(f"/api/v1/findings{query}", headers=JSON | headers)
    assert answer.status_code == 200, answer.text
    return sorted(each["kind"] for each in answer.json()["findings"])


ALL = ["harvest_over_ceiling", "outputs_over_inputs", "scanned_too_often", "two_places"]


def test_officials_see_their_area_and_department(instance: Instance) -> None:
    with at_work(instance) as wu:
        assert kinds(wu) == ALL
        listed = wu.get("/api/v1/findings", headers=JSON).json()
        run_of = next(each for each in listed["findings"] if each["kind"] == "outputs_over_inputs")
        assert [each["event_id"] for each in run_of["events"]] == [run()["eventID"]] and run_of["hidden"] == 0
        assert (run_of["body"]["said"], run_of["body"]["known"], run_of["standing"]) == (122, 86.5, "open")
        assert "122" in run_of["told"]["zh"] and "86.5" in run_of["told"]["en"]
        assert {each["kind"]: (each["judged"], each["unjudged"]) for each in listed["coverage"]}[
            "harvest_over_ceiling"
        ] == (1, 0)
    with at_work(instance, "hz") as hangzhou:
        assert "harvest_over_ceiling" not in kinds(hangzhou) and "two_places" in kinds(hangzhou)
    with at_work(instance, "sh") as shanghai:
        assert kinds(shanghai) == []
        assert shanghai.get(f"/audit/findings/{run_of['id']}").status_code == 404
        assert said_of(shanghai, run_of["id"]).status_code == 404
    with at_work(instance, "au") as auditor:
        assert kinds(auditor) == ALL


def test_organisations_see_their_own_and_nobody_else_any(instance: Instance) -> None:
    with served(instance, AT) as client:
        assert client.get("/api/v1/findings", headers=JSON).status_code == 401
        mine = {"Authorization": f"Bearer {token('coop')}"}
        assert kinds(client, **mine) == ALL
        assert kinds(client, Authorization=f"Bearer {token('carrier')}") == []
        first = client.get("/api/v1/findings", headers=JSON | mine).json()["findings"][0]
        assert first["words"] == [] and {each["id"] for each in first["organisations"]} == {"coop"}


def test_one_organisation_hears_nothing_of_anothers_events(instance: Instance) -> None:
    """The stall's sale shows with the cooperative's making that more was sold than made: each sees the finding, and its own event."""
    silent = COUNTY["organisations"][1] | {"publishes": False}
    instance.register(COUNTY | {"organisations": [silent]})
    instance.take(by_carrier(sold(1, 90)), NOW)
    instance.settle(NOW)
    with served(instance, AT) as client:
        for organisation, others in (("coop", 1), ("carrier", 1)):
            answer = client.get(
                "/api/v1/findings?kind=more_than_made",
                headers=JSON | {"Authorization": f"Bearer {token(organisation)}"},
            )
            (one,) = answer.json()["findings"]
            assert {each["organisation"] for each in one["events"]} <= {organisation, "coop"} and one[
                "hidden"
            ] <= others
            if organisation == "coop":
                assert one["hidden"] == 1 and "carrier" not in str(one["events"])


def test_what_is_told_in_pieces_has_time_to_be_told(instance: Instance) -> None:
    with at_work(instance, at=NOW + timedelta(hours=1)) as wu:
        assert kinds(wu) == ["harvest_over_ceiling", "scanned_too_often"], (
            "two hours for what hangs on events"
        )


def test_pages_in_both_languages_accuse_nobody(instance: Instance) -> None:
    with at_work(instance) as wu:
        ids = [each["id"] for each in wu.get("/api/v1/findings", headers=JSON).json()["findings"]]
        languages: tuple[Language, ...] = ("zh", "en")
        for lang in languages:
            listed = wu.get("/audit/findings", params={"lang": lang})
            assert listed.status_code == 200 and all(f"/audit/findings/{each}" in listed.text for each in ids)
            assert "/audit/findings" in wu.get("/audit", params={"lang": lang}).text
            for each in ids:
                case = wu.get(f"/audit/findings/{each}", params={"lang": lang})
                assert case.status_code == 200
                assert not re.search(
                    "造假者|作弊|欺诈|违法|违规|fraudulent|guilty|illegal|offence|violation|cheat", case.text
                )
        assert run()["eventID"] in wu.get(f"/audit/findings/{identity(wu, 'outputs_over_inputs')}").text
        scanned_page = wu.get(f"/audit/findings/{identity(wu, 'scanned_too_often')}").text
        assert BOX in scanned_page and "· 2026-06-20 ·" in scanned_page, (
            "a day, and no hour of it that is still to come"
        )
        assert "土地承包合同" in wu.get(f"/audit/findings/{identity(wu, 'harvest_over_ceiling')}").text
        assert wu.get("/audit/findings/nothing").status_code == 404


def identity(client: httpx.Client, kind: str) -> str:
    (found,) = client.get(f"/api/v1/findings?kind={kind}&standing=all", headers=JSON).json()["findings"]
    return str(found["id"])


def said_of(
    client: httpx.Client,
    finding: str,
    says: str = "explained",
    comment: str = "问过合作社：漏记了一批投入",
    key: str = "a-key-of-ours",
    **more: str,
) -> httpx.Response:
    form = {"says": says, "comment": comment, "idempotency_key": key, **more}
    return client.post(f"/audit/findings/{finding}/words", data=form, headers=as_browser(client))


def test_what_an_official_said_stays_under_their_name(instance: Instance) -> None:
    with at_work(instance) as wu:
        one = identity(wu, "outputs_over_inputs")
        assert said_of(wu, one, "look_into", "去看看", "key-number-1").status_code == 303
        assert kinds(wu, "?standing=look_into") == ["outputs_over_inputs"]
        for _ in range(2):  # the same form sent twice is said once
            assert said_of(wu, one).status_code == 303
        assert "outputs_over_inputs" not in kinds(wu) and kinds(wu, "?standing=explained") == [
            "outputs_over_inputs"
        ]
        page = wu.get(f"/audit/findings/{one}").text
        assert "问过合作社：漏记了一批投入" in page and "去看看" in page
        for says, comment in (("guilty", "x"), ("explained", " "), ("explained", "x" * 2001)):
            refused = said_of(wu, one, says, comment, "key-number-2")
            assert refused.status_code == 422 and "notice-bad" in refused.text
    rows = instance.rows("SELECT says, version, account IS NOT NULL FROM finding_word ORDER BY id")
    assert rows == [("look_into", 1, True), ("explained", 1, True)]
    with at_work(instance, "au") as auditor:
        assert said_of(auditor, one).status_code == 403
        assert "<textarea" not in auditor.get(f"/audit/findings/{one}").text


def test_what_was_explained_stays_so_until_it_is_worse(instance: Instance) -> None:
    """287 kg too many were explained: so are 307, however often the projections are made anew; 407 are not."""
    kind, at = "harvest_over_ceiling", NOW + timedelta(minutes=10)

    def look(*events: dict[str, Any]) -> None:
        nonlocal at
        at += timedelta(minutes=10)
        settled(instance, events, at)
        while instance.consume("radar", at):
            continue

    with at_work(instance) as wu:
        one = identity(wu, kind)
        assert 'name="version" value="1"' in wu.get(f"/audit/findings/{one}").text
        assert said_of(wu, one).status_code == 303
        with instance.as_role("jobs") as conn:
            conn.execute("DELETE FROM lot_making")
            conn.execute("DELETE FROM lot_unjudged")
            conn.execute("UPDATE projection SET position = 0")
        look()
        look(picked(28, 20, f"{FRUIT}-8"))
        assert instance.one("SELECT version FROM finding WHERE id = %s", one) == 2
        assert kind not in kinds(wu) and kinds(wu, "?standing=explained") == [kind]
        look(picked(27, 100, f"{FRUIT}-9"))
        assert kind in kinds(wu) and kinds(wu, "?standing=explained") == []
        (found,) = wu.get(f"/api/v1/findings?kind={kind}", headers=JSON).json()["findings"]
        assert (found["standing"], found["id"], found["version"]) == ("grown", one, 3)
        assert "finding-grown" in wu.get("/audit/findings").text
        assert said_of(wu, one, key="an-older-page", version="2").status_code == 303
        assert kind in kinds(wu), "what they had before them was the lesser one"
        assert said_of(wu, one, key="this-very-page", version="3").status_code == 303
        assert kind not in kinds(wu) and kinds(wu, "?standing=explained") == [kind]
    assert instance.rows("SELECT version FROM finding_word ORDER BY id") == [(1,), (2,), (3,)]


def test_filters_and_files(instance: Instance) -> None:
    with at_work(instance) as wu:
        for kind in KINDS:
            assert kinds(wu, f"?kind={kind}") == [each for each in ALL if each == kind]
        assert kinds(wu, "?lot=DK1") == ["outputs_over_inputs", "scanned_too_often", "two_places"]
        assert kinds(wu, f"?lot={LOT}&region=3310") == [
            "outputs_over_inputs",
            "scanned_too_often",
            "two_places",
        ]
        assert (
            kinds(wu, "?region=31") == []
            and kinds(wu, "?standing=closed") == []
            and kinds(wu, "?to=2026-06-01") == []
        )
        assert kinds(wu, "?text=合作社") == ALL and kinds(wu, "?text=nobody") == []
        for wrong in ("kind=theft", "standing=x", "from=yesterday", "regoin=33", "page=0", "lot=a&lot=b"):
            assert wu.get(f"/api/v1/findings?{wrong}", headers=JSON).status_code == 422, wrong
            assert "notice-bad" in wu.get(f"/audit/findings?{wrong}").text
        assert wu.get("/audit/findings?page=9").status_code == 200
        text = wu.get("/api/v1/findings.csv?kind=outputs_over_inputs&lang=en").content.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text)))
        assert (
            rows[-1][1] == "More out than in" and "122.0" in rows[-1] and "What does not add up" in rows[0][0]
        )
        book = load_workbook(io.BytesIO(wu.get("/api/v1/findings.xlsx").content))
        assert book.worksheets[0].max_row == 1 + len(ALL)


def test_a_note_of_others_is_text(instance: Instance) -> None:
    """A certificate's number is anybody's own word."""
    certified(instance, "=1+1", 9000)
    settled(
        instance,
        [
            said(
                "ObjectEvent",
                1,
                action="OBSERVE",
                bizStep="storing",
                quantityList=[{"epcClass": LOT, "quantity": 1}],
                readPoint={"id": STORE},
            )
        ],
    )
    while instance.consume("radar", NOW + timedelta(minutes=20)):
        continue
    with at_work(instance) as wu:
        page = wu.get(f"/audit/findings/{identity(wu, 'certificates_over_lot')}")
        assert page.status_code == 200 and "=1+1" in page.text
