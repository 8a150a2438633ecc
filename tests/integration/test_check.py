"""The gate over a real database and server: one small chain up to a market's dock, asked and acted on as its people do."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import errors

from ledger.epcis.identifiers import check_digit, lot_uri, sscc_uri
from tests.acceptance.instance import Instance, token
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.integration import lines
from tests.integration.gate import DOCK, MARKET_REGISTRY, ROOM, by_market, certified, unloaded
from tests.integration.lines import NOW, message
from tests.integration.said import (
    GTIN,
    LOT,
    PALLET,
    STORE,
    TRUCK,
    at,
    by_carrier,
    by_terminal,
    loaded,
    made,
    on_truck,
    packed,
    placed,
    room,
    said,
    truck,
)
from tests.servers.databases import Database
from trace_api.check import answering
from trace_api.check.rules import load_rules

PLATE = "浙J1207挂"
BOX = f"{LOT}/21/0005"
OTHER = f"{LOT}B"
RULES = load_rules()
EXPECTED = {"accept", "hold", "reject", "cannot_tell"}


def begin(instance: Instance) -> None:
    happen(instance, truck_c=3.0)


@pytest.fixture
def instance(begun: Instance) -> Instance:
    """Forty boxes, twenty of them on a pallet that a truck brought; cold all the way."""
    return begun


def play(database: Database, folder: Path, **otherwise: Any) -> Instance:
    instance = Instance(database, folder)
    happen(instance, **otherwise)
    return instance


def happen(
    instance: Instance,
    *,
    truck_c: float,
    silent: tuple[str, ...] = (),
    before: tuple[dict[str, Any], ...] = (),
    packing: Callable[[float], dict[str, Any]] = packed,
) -> None:
    organisations = [
        entry | {"publishes": entry["id"] not in silent} for entry in MARKET_REGISTRY["organisations"]
    ]
    instance.register(MARKET_REGISTRY | {"organisations": organisations})
    instance.take(
        [
            *by_carrier(on_truck(9)),
            *by_terminal(certified(made(5)), *before, placed(5), packing(4.5), loaded(4)),
            room([3.0] * 301, 5, 1),
            truck([truck_c] * 236, 4, 1),
            *by_market(unloaded(0.08)),
        ],
        NOW,
    )
    instance.settle(NOW)
    for login, role, owner in (
        ("gate", "market", "market"),
        ("elsewhere", "market", "other-market"),
        ("stall", "stall", "stall"),
    ):
        add_person(instance, login, role, organisation=owner)


@pytest.fixture
def server(instance: Instance) -> Iterator[httpx.Client]:
    with served(instance, NOW) as client:
        yield client


def ask(client: httpx.Client, code: str) -> dict[str, Any]:
    answer = client.get("/api/v1/check", params={"code": code})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def act(
    client: httpx.Client, kind: str, key: str | None = None, code: str = PALLET, **fields: str
) -> httpx.Response:
    return client.post(
        "/check/act", data={"idempotency_key": key or str(uuid4()), "kind": kind, "code": code, **fields}
    )


def recorded(instance: Instance) -> int:
    return int(instance.one("SELECT count(*) FROM event"))


def why(found: dict[str, Any], check: str) -> str:
    return next(
        str(each["why"]["code"]) for each in found["portions"][0]["findings"] if each["check"] == check
    )


# --- one answer ------------------------------------------------------------------------------------------------------


def test_anything_with_a_code_is_answered(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "gate") as gate:
        digits = PALLET.rpartition("/")[2]
        paper = "https://suyuan.example/coop/bt/HGZ-1"
        for code in (PALLET, digits, f"(00){digits}", LOT, BOX, TRUCK, paper):
            found = ask(gate, code)
            assert found["answer"] == "accept", (code, found)
            assert [each["check"] for each in found["portions"][0]["findings"]] == [
                "recall",
                "certificate",
                "test",
                "temperature",
            ]
        assert [each["unit"] for each in ask(gate, TRUCK)["portions"]] == [PALLET], "what it brought"
        assert {each["unit"] for each in ask(gate, LOT)["portions"]} == {PALLET, None}
        page = gate.get("/check/answer", params={"code": PALLET, "lang": "zh"})
        assert page.status_code == 200 and "可以收" in page.text


def test_a_code_whose_goods_lie_elsewhere_says_so(instance: Instance, server: httpx.Client) -> None:
    """A copied label answers as well as a true one: the page says where the record has the goods, and takes nothing in."""
    with signed_in(server, "gate") as gate, signed_in(server, "stall") as stall:
        loose = next(each for each in ask(gate, LOT)["portions"] if each["unit"] is None)
        assert loose["elsewhere"] and loose["answer"] == "accept", "in the cooperative's store"
        assert not ask(gate, PALLET)["portions"][0]["elsewhere"], "on its way"
        assert act(stall, "accept", units=PALLET, seller="coop", place=ROOM).status_code == 303
        assert not ask(stall, PALLET)["portions"][0]["elsewhere"]
        instance.settle(NOW)
        assert ask(gate, PALLET)["portions"][0]["elsewhere"], "taken in once, it does not come again"
        assert ask(gate, PALLET)["answer"] == "cannot_tell", "and not a green field"
        assert ask(stall, PALLET)["answer"] == "accept"
        page = gate.get("/check/answer", params={"code": PALLET, "lang": "en"}).text
        assert "its label may be a copy" in page.partition("gate-answer-why")[2][:200]
        assert 'value="accept"' not in page


def test_the_worst_is_never_cut_off(
    instance: Instance, server: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lot's loose rest comes first, its pallet on hold after it."""
    with signed_in(server, "gate") as gate:
        assert act(gate, "hold", units=PALLET, reason="papers").status_code == 303
        monkeypatch.setattr(answering, "MOST_SHOWN", 1)
        found = ask(gate, LOT)
        assert (found["answer"], len(found["portions"]), found["more"], found["unjudged"]) == (
            "hold",
            1,
            1,
            0,
        )
        monkeypatch.setattr(answering, "MOST_JUDGED", 1)
        assert (found := ask(gate, LOT))["answer"] == "hold" and found["unjudged"] == 1, "marks come first"
        assert act(gate, "release", units=PALLET, reason="they came").status_code == 303
        found = ask(gate, LOT)
        assert (found["answer"], found["unjudged"]) == ("cannot_tell", 1), "not all of it was looked at"
        page = gate.get("/check/answer", params={"code": LOT, "lang": "en"}).text
        assert "1 portions were not looked at" in page and 'value="accept"' not in page


def test_a_paper_says_first_whether_it_counts(instance: Instance, server: httpx.Client) -> None:
    instance.alter(
        "INSERT INTO certificate (id, number, organisation, kind, lot, lot_kg, product_zh, product_en, quantity_kg, origin,"
        " declared_by, contact, basis, evidence, issued_at, event_id, status, voided_at, void_reason)"
        " VALUES ('https://suyuan.example/coop/bt/HGZ-7', 'HGZ-7', 'coop', 'producer', %s, 100, '杨梅', 'Bayberry', 80, 'x',"
        " 'x', 'x', '{self_declaration}', '{}', now(), 'x', 'void', now(), 'mistake')",
        LOT,
    )
    instance.alter(  # by a stall, before there was such a paper
        "INSERT INTO identifier_alias (scheme, value, entity, organisation, valid)"
        " VALUES ('label', 'HGZ-7', %s, 'stall', tstzrange(now(), NULL))", PALLET,
    )  # fmt: skip
    with signed_in(server, "gate") as gate:
        found = ask(gate, "HGZ-7")
        assert found["paper"]["status"] == "void" and found["paper"]["kilograms"] == 80
        page = gate.get("/check/answer", params={"code": "HGZ-7", "lang": "en"}).text
        assert page.index("The paper in your hand, HGZ-7, is void") < page.index("gate-answer-why")
        assert "Bayberry, 80" in page.replace("\u00a0", " ")


@pytest.mark.parametrize("inside", [True, False])
def test_a_vehicle_answers_with_what_is_in_it(instance: Instance, inside: bool) -> None:
    if inside:  # the unloading was a mistake
        wrong = unloaded(0.08) | {
            "errorDeclaration": {"declarationTime": NOW.isoformat(), "reason": "did_not_occur"}
        }
        instance.take(by_market(wrong), NOW)
        instance.settle(NOW)
    with served(instance, NOW) as client, signed_in(client, "gate") as gate:
        page = gate.get("/check/answer", params={"code": TRUCK, "lang": "en"}).text
        assert ("1 on the vehicle now" in page) == inside
        assert ("Nothing is on the vehicle now" in page) == (not inside)


def test_a_warm_truck_is_held_and_what_is_measured_decides(database: Database, tmp_path: Path) -> None:
    instance = play(database, tmp_path, truck_c=8.0)
    with served(instance, NOW) as client, signed_in(client, "gate") as gate:
        found = ask(gate, PALLET)
        assert (found["answer"], why(found, "temperature")) == ("hold", "over_agreed")
        way = found["portions"][0]["findings"][3]["way_out"]
        assert way["code"] == "measure_boxes" and "3" in way["zh"]
        # The answer joins what was measured a moment ago, before anybody gave it a place in the order.
        assert act(gate, "inspect", units=PALLET, pulp="4.2 5.1 4.8", conformant="true").status_code == 303
        assert (
            instance.one(
                "SELECT count(*) FROM event LEFT JOIN leaf ON leaf.event = event.id WHERE leaf IS NULL"
            )
            == 1
        )
        found = ask(gate, PALLET)
        assert (found["answer"], why(found, "temperature")) == ("accept", "pulp_fine_breach")
        assert act(gate, "inspect", units=PALLET, pulp="9.1 8.8 7.9", conformant="true").status_code == 303
        found = ask(gate, PALLET)
        assert (found["answer"], why(found, "temperature")) == ("reject", "pulp_over")
        text = str(found)
        for word in ("unlawful", "illegal", "违法", "违规", "不合法"):
            assert word not in text, "the limit was agreed, no law"


def test_refusing_the_warm_part_leaves_the_rest(database: Database, tmp_path: Path) -> None:
    instance = play(database, tmp_path, truck_c=8.0)
    with served(instance, NOW) as client, signed_in(client, "gate") as gate:
        assert act(gate, "inspect", units=PALLET, pulp="9.1 8.8 7.9", conformant="false").status_code == 303
        refused = act(gate, "refuse_part", unit=PALLET, boxes="5", reason="pulp_temperature")
        assert refused.status_code == 303, refused.text
        units = {each["unit"]: each for each in ask(gate, LOT)["portions"]}
        (other,) = set(units) - {PALLET, None}
        assert units[other]["answer"] == "reject" and units[other]["quantity"] == 5
        assert units[PALLET]["quantity"] == 15
        assert units[PALLET]["answer"] == "hold", "what was measured before says nothing of what is left"
        too_many = act(gate, "refuse_part", unit=PALLET, boxes="16", reason="appearance")
        assert too_many.status_code == 409
        assert 'value="16"' in too_many.text and "15" in too_many.text, "as typed, with what there is"


# --- codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("", 400),
        ("095212340000000106", 400),  # wrong check digit
        ("09521234000000010", 400),  # torn
        (GTIN, 400),  # the product only
        ("(10)DK1", 400),
        ("浙A123", 400),
        ("浙A99999", 404),
        ("浙农码-330100-7", 404),
        ("https://znm.example.cn/c?id=7", 404),
        ("https://id.gs1.org/00/095212340000000112", 404),
        (f"https://id.gs1.org/01/{GTIN}/10/NOBODYS", 404),
        ("\ufffd\u0301x" * 30, 404),
    ],
)  # fmt: skip
@pytest.mark.editions("plain")
def test_a_code_that_leads_nowhere_is_answered_with_what_to_do(
    server: httpx.Client, code: str, status: int
) -> None:
    with signed_in(server, "gate") as gate:
        answer = gate.get("/api/v1/check", params={"code": code}, headers={"Accept": "application/json"})
        assert answer.status_code == status, answer.text
        assert len(answer.json()["detail"]) > 40
        for language, sentence in (("zh", "请"), ("en", "")):
            page = gate.get("/check/answer", params={"code": code, "lang": language})
            assert page.status_code == 404 and sentence in page.text
            assert ("/check/alias" in page.text) == bool(code), "somebody else's code can be bound at once"


@pytest.mark.editions("plain")
def test_a_lots_number_alone_leads_to_the_lots_of_that_number(
    instance: Instance, server: httpx.Client
) -> None:
    """Whoever makes goods numbers them: the page shows which are known, and judges none of them."""
    link = f'href="/check/answer?code={quote(LOT, safe="/")}"'
    with signed_in(server, "gate") as gate, signed_in(server, "elsewhere") as stranger:
        for code in ("DK1", "(10)DK1"):
            page = gate.get("/check/answer", params={"code": code, "lang": "en"})
            assert page.status_code == 404 and "could be anybody" in page.text and page.text.count(link) == 1
            assert "Dongkui bayberry DK1" in page.text
        instance.alter("UPDATE organisation SET publishes = false")
        assert link not in stranger.get("/check/answer", params={"code": "DK1"}).text


def test_a_foreign_code_is_bound_once_and_means_it_for_ever(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "gate") as gate, signed_in(server, "stall") as stall:
        bound = gate.post(
            "/check/alias",
            data={"idempotency_key": str(uuid4()), "scheme": "plate", "value": PLATE, "target": TRUCK},
        )
        assert bound.status_code == 303, bound.text
        scanned = {
            "idempotency_key": str(uuid4()),
            "scheme": "label",
            "value": "]Q3AX-77\u200b",
            "target": PALLET,
        }
        assert gate.post("/check/alias", data=scanned).status_code == 303
        assert {each["unit"] for each in ask(gate, "]Q3AX-77\u200b")["portions"]} == {PALLET}, (
            "as it was scanned"
        )
        for typed in (PLATE, "浙j·1207挂", "浙Ｊ １２０７ 挂"):
            assert ask(gate, typed)["answer"] == "accept"
            assert ask(stall, typed)["answer"] == "accept", "whoever asks"
        shown = gate.get(bound.headers["location"] + "&lang=en").text
        assert "was bound by market" in shown
        body = {"scheme": "plate", "value": "浙J-1207挂", "entity": LOT}
        other = stall.post(
            "/api/v1/aliases",
            json=body,
            headers={"Idempotency-Key": str(uuid4()), "Accept": "application/json"},
        )
        assert (other.status_code, other.json()["code"]) == (409, "check_alias_taken")
        same = stall.post(
            "/api/v1/aliases", json=body | {"entity": TRUCK}, headers={"Idempotency-Key": str(uuid4())}
        )
        assert same.status_code == 201, "it means that already"
        unseen = stall.post("/api/v1/aliases", json={"scheme": "label", "value": "X-1", "entity": "https://id.gs1.org/00/095212340000000112"},
                            headers={"Idempotency-Key": str(uuid4()), "Accept": "application/json"})  # fmt: skip
        assert (unseen.status_code, unseen.json()["code"]) == (422, "check_alias_target")
        number = {"scheme": "label", "value": LOT.rpartition("/")[2]}
        for entity, status in ((TRUCK, 409), (LOT, 201)):
            answer = stall.post("/api/v1/aliases", json=number | {"entity": entity},
                                headers={"Idempotency-Key": str(uuid4()), "Accept": "application/json"})  # fmt: skip
            assert answer.status_code == status, "a lot's number means that lot"
        # Only who bound it ends it, and what it meant until then stays.
        ending = {"scheme": "plate", "value": PLATE}
        assert (
            stall.post("/check/alias/end", data=ending | {"idempotency_key": str(uuid4())})
            .headers["location"]
            .endswith("not_unbound")
        )
        assert (
            gate.post("/check/alias/end", data=ending | {"idempotency_key": str(uuid4())})
            .headers["location"]
            .endswith("=unbound")
        )
        assert (
            gate.get(
                "/api/v1/check", params={"code": PLATE}, headers={"Accept": "application/json"}
            ).status_code
            == 404
        )
    with instance.as_role("api") as conn:
        earlier = conn.execute("SELECT entity FROM resolve_alias(%s, %s)", [PLATE, NOW]).fetchall()
    assert earlier == [(TRUCK,)]


def test_of_two_who_bind_one_code_at_once_one_is_told(instance: Instance, server: httpx.Client) -> None:
    """Each to another thing, at the same moment, over and over: the database decides."""
    with signed_in(server, "gate") as gate, signed_in(server, "stall") as stall:
        for number in range(8):
            begin = threading.Barrier(2)
            statuses: dict[str, int] = {}

            def bind(
                client: httpx.Client,
                entity: str,
                number: int = number,
                begin: Any = begin,
                statuses: Any = statuses,
            ) -> None:
                body = {"scheme": "label", "value": f"OLD-{number}", "entity": entity}
                begin.wait()
                statuses[entity] = client.post(
                    "/api/v1/aliases", json=body, headers={"Idempotency-Key": str(uuid4())}
                ).status_code

            threads = [threading.Thread(target=bind, args=pair) for pair in ((gate, PALLET), (stall, LOT))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(statuses.values()) == [201, 409]
            (entity,) = instance.rows("SELECT entity FROM resolve_alias(%s)", f"OLD-{number}")
            assert statuses[entity[0]] == 201


def test_overlapping_validity_of_a_code_is_refused_by_the_table(instance: Instance) -> None:
    insert = "INSERT INTO identifier_alias (scheme, value, entity, organisation, valid) VALUES ('label', %s, %s, 'market', tstzrange(%s, %s))"
    with psycopg.connect(instance.database.service("api")) as conn:
        conn.execute("SELECT set_config('suyuan.org', 'market', false)")
        conn.execute(insert, ["A 1", TRUCK, NOW, NOW + timedelta(days=1)])
        for value in ("A 1", "Ａ　１", " A  1 "):
            for begin, end in ((NOW, None), (NOW + timedelta(hours=1), NOW + timedelta(hours=2))):
                with pytest.raises(errors.ExclusionViolation), conn.transaction():
                    conn.execute(insert, [value, LOT, begin, end])
        conn.execute(insert, ["A 1", LOT, NOW + timedelta(days=1), None])
        with pytest.raises(errors.InsufficientPrivilege), conn.transaction():
            conn.execute("UPDATE identifier_alias SET entity = %s", [LOT])
        with pytest.raises(errors.CheckViolation), conn.transaction():
            conn.execute(
                "UPDATE identifier_alias SET valid = tstzrange(%s, %s)", [NOW - timedelta(days=1), NOW]
            )
        with pytest.raises(errors.InsufficientPrivilege), conn.transaction():
            conn.execute("DELETE FROM identifier_alias")
        with pytest.raises(errors.InsufficientPrivilege), conn.transaction():
            conn.execute(insert.replace("'market'", "'stall'"), ["B 2", LOT, NOW, None])
        conn.commit()
    with psycopg.connect(instance.database.service("api")) as conn:
        conn.execute("SELECT set_config('suyuan.org', 'stall', false)")
        assert conn.execute("SELECT count(*) FROM identifier_alias").fetchone() == (0,), (
            "rows are the binder's"
        )
        assert conn.execute("SELECT entity FROM resolve_alias('A 1', %s)", [NOW]).fetchall() == [(TRUCK,)], (
            "meanings everybody's"
        )


def test_somebody_elses_goods_are_not_there(database: Database, tmp_path: Path) -> None:
    """Goods that a market had no part in, of those who do not publish: the same words as for goods that do not exist."""
    instance = play(database, tmp_path, truck_c=3.0, silent=("coop", "carrier", "market", "stall"))
    hands = {"sourceList": [{"type": "possessing_party", "source": "https://id.gs1.org/417/9521234005001"}],
             "destinationList": [{"type": "possessing_party", "destination": "https://id.gs1.org/417/9521234003106"}]}  # fmt: skip
    taken = said("ObjectEvent", 0.02, action="OBSERVE", bizStep="accepting", disposition="sellable_not_accessible", epcList=[PALLET],
                 **at(ROOM), **hands)  # fmt: skip
    instance.take([message(json.dumps(taken).encode(), "stall-1", "stall", "events")], NOW)
    instance.settle(NOW)
    with (
        served(instance, NOW) as client,
        signed_in(client, "stall") as stall,
        signed_in(client, "elsewhere") as stranger,
    ):
        assert ask(stall, PALLET)["answer"] in EXPECTED, "who took it in sees it"
        as_program = {"Accept": "application/json"}
        for real, invented in (
            (PALLET, "https://id.gs1.org/00/095212340000000112"),
            (LOT, f"{LOT}X"),
            (BOX, f"{LOT}X/21/0005"),
        ):
            answers = [
                stranger.get("/api/v1/check", params={"code": code}, headers=as_program)
                for code in (real, invented)
            ]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert answers[0].json() == answers[1].json()
        before = recorded(instance)
        refused = act(stranger, "hold", units=PALLET, reason="look")
        assert refused.status_code in (403, 404, 409) and recorded(instance) == before
        test = stranger.post(
            "/api/v1/tests", json=result(), headers={"Idempotency-Key": str(uuid4()), **as_program}
        )
        assert (test.status_code, test.json()["code"]) == (422, "check_test_unseen")


def test_who_is_judged_does_not_measure_for_the_gate(database: Database, tmp_path: Path) -> None:
    instance = play(database, tmp_path, truck_c=9.0)
    report = {"type": "Temperature", "minValue": 3, "maxValue": 3, "uom": "CEL"}
    report |= {"suyuan:probePosition": "pulp", "suyuan:sampleCount": 3}
    looked = said("ObjectEvent", 0.03, action="OBSERVE", bizStep="unloading", epcList=[PALLET], **at(DOCK))
    looked |= {"sensorElementList": [{"sensorReport": [report]}]}
    found = []
    for told in (by_carrier(looked), by_market(looked | {"eventID": f"urn:uuid:{uuid4()}"})):
        instance.take(told, NOW)
        instance.settle(NOW)
        with served(instance, NOW) as client, signed_in(client, "gate") as gate:
            found.append(why(ask(gate, PALLET), "temperature"))
    assert not found[0].startswith("pulp") and found[1].startswith("pulp"), found


# --- tests -------------------------------------------------------------------------------------------------------------


def result(**more: Any) -> dict[str, Any]:
    return {
        "lot": LOT,
        "unit": PALLET,
        "sample": "S-1",
        "kind": "rapid",
        "method": "GB/T 5009.199",
        "sampled_at": (NOW - timedelta(minutes=40)).isoformat(),
        "result_at": (NOW - timedelta(minutes=10)).isoformat(),
        "outcome": "positive",
        "value": 71.5,
        "uom": "P1",
        "threshold": 50,
        **more,
    }


def write_test(client: httpx.Client, **more: Any) -> UUID:
    answer = client.post("/api/v1/tests", json=result(**more), headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


def test_a_positive_screen_holds_and_its_clock_runs_from_being_told(
    instance: Instance, server: httpx.Client
) -> None:
    with signed_in(server, "gate") as gate:
        sampled = act(gate, "sample", unit=PALLET, kg="0.5", authority="market", number="S-7")
        assert sampled.status_code == 303, sampled.text
        found = ask(gate, PALLET)
        assert (found["answer"], why(found, "test")) == ("cannot_tell", "sample_pending")
        page = gate.get("/check/answer", params={"code": PALLET})
        assert 'value="S-7"' in page.text, "the result's form knows the sample"

        tested = act(gate, "rapid_test", units=PALLET, sample="S-7", method="GB/T 5009.199", value="50")
        assert tested.status_code == 303, tested.text
        found = ask(gate, PALLET)
        assert (found["answer"], why(found, "test")) == ("hold", "rapid_untold"), (
            "at the threshold it is positive"
        )
        assert "clock-untold" in gate.get("/check").text
        test = instance.one("SELECT id FROM test_record WHERE outcome = 'positive'")
        for expected in (f"said=told&test={test}", "said=not_told"):
            told = gate.post(
                "/check/told", data={"idempotency_key": str(uuid4()), "test": str(test), "code": PALLET}
            )
            assert told.headers["location"].endswith(expected)
        found = ask(gate, PALLET)
        assert (found["answer"], why(found, "test")) == ("hold", "rapid_positive")
        notice = {"code": PALLET, "said": "told", "test": str(test), "lang": "en"}
        promised = re.search(
            "A retest may be asked for until [^<]*", gate.get("/check/answer", params=notice).text
        )
        assert promised
        assert (
            "4&nbsp;h" in gate.get("/check?lang=en").text
            or "4\u00a0h left" in gate.get("/check?lang=en").text
        )
        stand_in = act(gate, "accept", units=PALLET, seller="coop", place=DOCK)
        assert stand_in.status_code == 409, "goods on hold go nowhere"
    later = NOW + timedelta(hours=4, minutes=1)
    with served(instance, later) as client, signed_in(client, "gate") as gate:
        assert promised[0] in gate.get("/check/answer", params=notice).text, (
            "the same whenever it is looked at"
        )
        found = ask(gate, PALLET)
        assert (found["answer"], why(found, "test")) == ("hold", "rapid_positive_over")
        assert 'value="release"' not in gate.get("/check/answer", params=notice).text
        assert act(gate, "release", units=PALLET, reason="clean").status_code == 409, "nobody cleared it"
        again = act(gate, "rapid_test", units=PALLET, sample="S-7", method="GB/T 5009.199", value="3")
        assert again.status_code == 303
        assert why(ask(gate, PALLET), "test") == "rapid_positive_over", "a screen takes no screen back"
        sending = {
            "idempotency_key": str(uuid4()),
            "code": PALLET,
            "lot": LOT,
            "units": PALLET,
            "sample": "L-1",
        }
        assert gate.post("/check/laboratory", data=sending).status_code == 303
        assert why(ask(gate, PALLET), "test") == "retest_pending"
        assert 'value="L-1"' in gate.get("/check/answer", params={"code": PALLET}).text, (
            "its form knows the number"
        )
        clean = act(gate, "laboratory", units=PALLET, sample="L-1", outcome="negative")
        assert clean.status_code == 303, clean.text
        found = ask(gate, PALLET)
        assert (why(found, "recall"), why(found, "test")) == ("no_hold", "laboratory_negative")
        assert instance.one("SELECT count(*) FROM test_record WHERE event IS NULL") == 1, (
            "only the sending is a row alone"
        )
        assert "No retest" not in gate.get("/check?lang=en").text and "S-7" not in gate.get("/check").text


def test_a_result_sent_by_a_program_is_an_event_as_well(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "gate") as gate, signed_in(server, "stall") as stall:
        before = recorded(instance)
        write_test(gate)
        assert recorded(instance) == before + 1
        instance.settle(NOW)
        assert act(stall, "accept", units=PALLET, seller="coop", place=ROOM).status_code == 409, "on hold"
        assert 'value="release"' not in stall.get("/check/answer", params={"code": PALLET}).text
        write_test(
            gate, kind="laboratory", sample="L-1", outcome="positive", value=None, uom=None, threshold=None
        )
        found = ask(gate, PALLET)
        assert (found["answer"], why(found, "test")) == ("reject", "laboratory_positive")
        assert act(gate, "release", units=PALLET, reason="r").status_code == 409
        liar = gate.post(
            "/api/v1/tests", json=result(outcome="negative"), headers={"Idempotency-Key": str(uuid4())}
        )
        assert liar.status_code == 422, "71.5 of 50 is not negative"


def test_a_result_comes_after_the_goods_are_sold(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "gate") as gate, signed_in(server, "stall") as stall:
        assert act(gate, "sample", unit=PALLET, kg="0.5", number="S-7").status_code == 303
        sending = {
            "idempotency_key": str(uuid4()),
            "code": PALLET,
            "lot": LOT,
            "units": PALLET,
            "sample": "L-1",
        }
        assert gate.post("/check/laboratory", data=sending).status_code == 303
        instance.settle(NOW)
        assert act(stall, "accept", units=PALLET, seller="coop", place=ROOM).status_code == 303
        sold = stall.post(
            "/api/v1/acts/sell", json={"units": [PALLET]}, headers={"Idempotency-Key": str(uuid4())}
        )
        assert sold.status_code < 300, sold.text
        instance.settle(NOW)
        gone = gate.get("/check/answer", params={"code": PALLET, "lang": "en"}).text
        assert 'id="form-laboratory"' in gone and 'value="L-1"' in gone and 'value="accept"' not in gone
        before = recorded(instance)
        found = act(gate, "laboratory", lot=LOT, sample="L-1", outcome="positive")
        assert found.status_code == 303, found.text
        assert recorded(instance) == before + 1
        rows = instance.rows(
            "SELECT outcome, unit, event IS NULL FROM test_record WHERE sample = 'L-1' ORDER BY number"
        )
        assert rows == [("pending", PALLET, True), ("positive", PALLET, False)]


OTHER_LOT = lot_uri(GTIN, "DK2")


def mixed(hours_ago: float) -> dict[str, Any]:
    event = packed(hours_ago)
    event["childQuantityList"] = [*event["childQuantityList"], {"epcClass": OTHER_LOT, "quantity": 5}]
    return event


def test_each_lot_of_a_mixed_pallet_has_its_own_result(database: Database, tmp_path: Path) -> None:
    other = made(4.9) | {"outputQuantityList": [{"epcClass": OTHER_LOT, "quantity": 10}]}
    instance = play(database, tmp_path, truck_c=3.0, before=(other,), packing=mixed)
    with served(instance, NOW) as client, signed_in(client, "gate") as gate:

        def test_of(lot: str) -> str:
            portion = next(each for each in ask(gate, PALLET)["portions"] if each["lot"] == lot)
            return next(str(each["why"]["code"]) for each in portion["findings"] if each["check"] == "test")

        method = {"units": PALLET, "method": "GB/T 5009.199"}
        assert act(gate, "rapid_test", sample="S-0", value="3", **method).status_code == 422, "of which lot?"
        assert act(gate, "sample", unit=PALLET, lot=LOT, kg="0.5", number="S-7").status_code == 303
        assert act(gate, "rapid_test", sample="S-7", value="3", **method).status_code == 303
        assert (test_of(LOT), test_of(OTHER_LOT)) == ("rapid_negative", "not_tested")
        for lot, sample in ((LOT, "S-8"), (OTHER_LOT, "S-8")):
            tested = act(gate, "rapid_test", sample=sample, value="80", lot_of_unit=lot, **method)
            assert tested.status_code == 303, tested.text
        assert gate.get("/check").text.count("clock-untold") == 2
        for lot, after in (
            (LOT, ("laboratory_negative", "rapid_untold")),
            (OTHER_LOT, ("laboratory_negative",) * 2),
        ):
            assert "form-laboratory" in gate.get("/check/answer", params={"code": PALLET}).text
            clean = act(gate, "laboratory", units=PALLET, lot_of_unit=lot, sample="L-1", outcome="negative")
            assert clean.status_code == 303, clean.text
            assert (test_of(LOT), test_of(OTHER_LOT)) == after
            held = {each["findings"][0]["why"]["code"] for each in ask(gate, PALLET)["portions"]}
            assert held == ({"no_hold"} if lot == OTHER_LOT else {"held_for_test"}), (
                "both clear, and it is released"
            )


def test_a_result_judges_the_lot_of_its_sample(instance: Instance, server: httpx.Client) -> None:
    """Two lots on one pallet, without a word of which was sampled: nothing is written down; with it, the other lot is untested."""
    beside = [
        said("ObjectEvent", 3, action="ADD", bizStep="commissioning", disposition="active",
             quantityList=[{"epcClass": OTHER, "quantity": 5}], **at(DOCK)),
        said("AggregationEvent", 0.05, action="ADD", bizStep="packing", parentID=PALLET,
             childQuantityList=[{"epcClass": OTHER, "quantity": 5}], **at(DOCK)),
    ]  # fmt: skip
    instance.take(by_market(*beside), NOW)
    instance.settle(NOW)
    fields = {"units": PALLET, "sample": "S-7", "method": "GB/T 5009.199", "value": "12"}
    with signed_in(server, "gate") as gate:
        assert act(gate, "rapid_test", **fields).status_code == 422
        assert instance.one("SELECT count(*) FROM test_record") == 0
        sampled = act(gate, "sample", unit=PALLET, lot=LOT, kg="0.5", authority="market", number="S-7")
        assert sampled.status_code == 303, sampled.text
        assert act(gate, "rapid_test", **fields).status_code == 303
        found = {each["lot"]: each["findings"][2]["why"]["code"] for each in ask(gate, PALLET)["portions"]}
        assert found == {LOT: "rapid_negative", OTHER: "not_tested"}


def test_a_test_taken_back_was_none(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "gate") as gate:
        tested = act(
            gate, "rapid_test", units=PALLET, sample="S-8", method="GB/T 5009.199", value="80", told="yes"
        )
        assert ask(gate, PALLET)["answer"] == "hold"
        done = tested.headers["location"].rpartition("done=")[2]
        undone = gate.post("/check/undo", data={"idempotency_key": str(uuid4()), "act": done, "code": PALLET})
        assert undone.status_code == 303, undone.text
        found = ask(gate, PALLET)
        assert (found["answer"], why(found, "test")) == ("accept", "not_tested")
        assert "S-8" not in gate.get("/check").text
    assert instance.one("SELECT count(*) FROM test_record") == 1, "the row stays; its event is declared wrong"


def test_a_test_is_never_edited(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "gate") as gate:
        write_test(gate)
        contradiction = gate.post("/api/v1/tests", json=result(outcome="pending"),
                                  headers={"Idempotency-Key": str(uuid4()), "Accept": "application/json"})  # fmt: skip
        assert (contradiction.status_code, contradiction.json()["code"]) == (422, "check_test_contradicts")
    update = "UPDATE test_record SET {} WHERE sample = 'S-1'"
    for role in ("api", "public", "ingest", "jobs", "sequencer"):
        with psycopg.connect(instance.database.service(role)) as conn:
            conn.execute("SELECT set_config('suyuan.org', 'market', false)")
            for statement in (update.format("outcome = 'negative'"), update.format("value = 1"), update.format("retest_deadline = now()"),
                              "DELETE FROM test_record", "TRUNCATE test_record"):  # fmt: skip
                with pytest.raises(errors.InsufficientPrivilege), conn.transaction():
                    conn.execute(statement.encode())
    with psycopg.connect(instance.database.service("api")) as conn:
        conn.execute("SELECT set_config('suyuan.org', 'market', false)")
        with pytest.raises(errors.CheckViolation), conn.transaction():
            conn.execute(update.format("notified_at = %s").encode(), [NOW - timedelta(days=1)])
        conn.execute(update.format("notified_at = %s").encode(), [NOW])
        with pytest.raises(errors.CheckViolation), conn.transaction():
            conn.execute(update.format("notified_at = %s").encode(), [NOW + timedelta(hours=1)])
        with pytest.raises(errors.CheckViolation), conn.transaction():
            conn.execute(update.format("notified_at = NULL").encode())


def test_others_hear_the_outcome_and_no_more(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "gate") as gate:
        write_test(gate, outcome="negative", value=12.25)

    def seen_by(name: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(instance.database.service("api")) as conn:
            conn.execute("SELECT set_config('suyuan.org', %s, false)", [name])
            assert conn.execute("SELECT count(*) FROM test_record").fetchone() == (
                1 if name == "market" else 0,
            )
            return conn.execute("SELECT * FROM tests_seen(%s)", [[LOT]]).fetchall()

    assert len(seen_by("market")) == 1
    (row,) = seen_by("coop")
    assert "negative" in row and "12.25" not in str(row) and "urn:suyuan:person" not in str(row)
    assert seen_by("other-market") == [], "a published lot alone is no reason"
    claim = said("ObjectEvent", 1, action="OBSERVE", bizStep="storing", quantityList=[{"epcClass": LOT}])
    instance.take([message(json.dumps(claim).encode(), "gate-2", "other-market", "events")], NOW)
    assert instance.one("SELECT count(*) FROM event WHERE organisation = 'other-market'") == 1
    assert seen_by("other-market") == [], "nor is one's own word for it"
    # Somebody who said the lot's number before its maker did; the tester's own chain tells who made what it took in.
    first = "(SELECT min(event) FROM event_mention WHERE identifier = %s)"
    instance.alter(
        f"INSERT INTO lot_grant (organisation, lot, since, event) SELECT 'market', %s, now(), {first}",
        LOT,
        LOT,
    )
    instance.alter(
        "INSERT INTO lot_grant_event (organisation, lot, event, said_by)"
        " SELECT 'market', identifier, max(event.id), 'coop' FROM event_mention AS mention JOIN event ON event.id = mention.event"
        " WHERE identifier = %s AND event.organisation = 'coop' GROUP BY identifier",
        LOT,
    )
    instance.alter(f"UPDATE event SET organisation = 'other-market' WHERE id = {first}", LOT)
    assert len(seen_by("coop")) == 1
    assert seen_by("other-market") == [], "nor is to have said its number first"
    with instance.as_role("public") as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute("SELECT * FROM tests_seen(%s)", [[LOT]])


# --- acts -----------------------------------------------------------------------------------------------------------------


def marking(hours_ago: float, which: str, mark: str) -> dict[str, Any]:
    event = said("ObjectEvent", hours_ago, action="OBSERVE", bizStep="holding", epcList=[PALLET])
    return event | {"persistentDisposition": {which: [mark]}, "eventID": f"{event['eventID']}-{which}-{mark}"}


def test_a_recall_is_of_who_may_recall(instance: Instance, server: httpx.Client) -> None:
    def by_stall(*events: dict[str, Any]) -> list[Any]:
        return [message(json.dumps(event).encode(), "stall-1", "stall", "events") for event in events]

    def told(*messages: Any) -> str:
        instance.take(messages, NOW)
        instance.settle(NOW, consumers=("projection",))
        found = ask(gate, PALLET)
        return f"{found['answer']} {why(found, 'recall')}"

    with signed_in(server, "gate") as gate:
        strangers = by_stall(marking(0.07, "set", "recalled"), marking(0.069, "set", "unavailable"))
        assert told(*strangers) == "accept no_hold"
        assert told(*by_terminal(marking(0.06, "set", "recalled"))) == "reject recalled"
        assert told(*by_stall(marking(0.05, "unset", "recalled"))) == "reject recalled"
        assert told(*by_terminal(marking(0.04, "unset", "recalled"))) == "accept no_hold"
        assert len(instance.rows("SELECT FROM lot_mark")) == 5, "what counts for nothing is judged too"


def test_two_taps_are_one_act(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "gate") as gate:
        before, key = recorded(instance), str(uuid4())
        answers: list[httpx.Response] = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(act(gate, "hold", key, units=PALLET, reason="papers"))
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in answers] == [303] * 4
        assert len({answer.headers["location"] for answer in answers}) == 1
        assert recorded(instance) == before + 1
        found = ask(gate, PALLET)
        assert (found["answer"], why(found, "recall")) == ("hold", "held_by_us")
        page = gate.get("/check?lang=en").text
        assert PALLET.rpartition("/")[2] in page
        with signed_in(server, "stall") as stall:
            stranger = act(stall, "release", units=PALLET, reason="I want it")
            assert stranger.status_code in (403, 409), "only who put it on hold"
        assert act(gate, "release", units=PALLET, reason="papers came").status_code == 303
        assert ask(gate, PALLET)["answer"] == "accept"
        assert "Nothing is on hold" in gate.get("/check?lang=en").text


def test_the_stall_takes_in_what_the_gate_let_pass(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "stall") as stall:
        page = stall.get("/check/answer", params={"code": PALLET, "lang": "en"}).text
        assert 'value="accept"' in page and ROOM in page
        assert 'value="rapid_test"' not in page, "a stall does not test for the market"
        taken = act(stall, "accept", units=PALLET, seller="coop", place=ROOM)
        assert taken.status_code == 303, taken.text
        page = stall.get("/check/answer", params={"code": PALLET, "lang": "en"}).text
        assert 'value="accept"' not in page, "it is taken in"
        with signed_in(server, "gate") as gate:
            second = act(gate, "accept", units=PALLET, seller="coop", place=DOCK)
            assert second.status_code == 409, (
                "though nobody sees the first one's event before it has its position"
            )
        found = ask(stall, PALLET)
        assert found["portions"][0]["place"] == ROOM
        not_its_own = act(stall, "rapid_test", units=PALLET, sample="S-9", method="x", value="80")
        assert not_its_own.status_code == 403


SECOND = sscc_uri("09521234000000002" + check_digit("09521234000000002"))


def test_each_maker_of_a_truck_has_a_receipt_and_each_pallet_one_buyer(instance: Instance) -> None:
    second = [
        said("ObjectEvent", 4.8, action="ADD", bizStep="commissioning", disposition="active",
             quantityList=[{"epcClass": OTHER_LOT, "quantity": 9}], **at(STORE)),
        said("AggregationEvent", 4.4, action="ADD", bizStep="packing", parentID=SECOND,
             childQuantityList=[{"epcClass": OTHER_LOT, "quantity": 9}], **at(STORE)),
        said("AggregationEvent", 3.9, action="ADD", bizStep="loading", parentID=TRUCK, childEPCs=[SECOND], readPoint={"id": STORE}),
    ]  # fmt: skip
    instance.take([*by_carrier(*second), *by_market(unloaded(0.06) | {"childEPCs": [SECOND]})], NOW)
    instance.settle(NOW)
    with (
        served(instance, NOW) as client,
        signed_in(client, "gate") as gate,
        signed_in(client, "stall") as stall,
    ):
        for unit in (PALLET, SECOND):
            tested = act(gate, "rapid_test", units=unit, sample="S-1", method="GB/T 5009.199", value="3")
            assert tested.status_code == 303, tested.text
            measured = act(gate, "inspect", units=unit, pulp="3.1 3.2 3.3", conformant="true")
            assert measured.status_code == 303, measured.text
        page = gate.get("/check/answer", params={"code": TRUCK, "lang": "en"}).text
        accepting = page.partition('class="act act-accept"')[2]
        assert [accepting.count(f'name="units" value="{unit}"') for unit in (PALLET, SECOND)] == [1, 1]
        assert len(set(re.findall("<summary>(Accept 1 from [^<]+)</summary>", page))) == 2
        mixed = act(gate, "accept", code=TRUCK, units=f"{PALLET} {SECOND}", seller="coop", place=DOCK)
        assert mixed.status_code == 409 and "seller by seller" in mixed.text
        answers: list[int] = []

        def take(who: httpx.Client, place: str) -> None:
            answers.append(act(who, "accept", units=SECOND, seller="carrier", place=place).status_code)

        threads = [threading.Thread(target=take, args=each) for each in ((gate, DOCK), (stall, ROOM))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [303, 409], "before the sequencer has seen either"


def test_what_is_not_taken_leaves_nothing(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "gate") as gate:
        before = recorded(instance), instance.one("SELECT count(*) FROM test_record")
        for kind, fields in (
            ("inspect", {"units": PALLET, "pulp": "4,2", "conformant": "true"}),
            ("inspect", {"units": PALLET, "pulp": "warm", "conformant": "true"}),
            ("rapid_test", {"units": PALLET, "sample": "S-1", "method": "x", "value": "abc"}),
            ("rapid_test", {"units": "095212340000000106", "sample": "S-1", "method": "x", "value": "80"}),
            ("refuse_part", {"unit": PALLET, "boxes": "0", "reason": "other"}),
            ("refuse_part", {"unit": PALLET, "boxes": "21", "reason": "other"}),
            ("accept", {"units": PALLET, "seller": "nobody", "place": DOCK}),
            ("release", {"units": PALLET, "reason": "not held"}),
            ("load", {"units": PALLET}),
            ("nothing", {}),
        ):
            answer = act(gate, kind, **fields)
            assert 400 <= answer.status_code < 500, (kind, fields, answer.status_code)
            assert "没有记下" in answer.text, (kind, fields)
        assert (recorded(instance), instance.one("SELECT count(*) FROM test_record")) == before


def test_a_lost_session_says_that_nothing_was_taken(instance: Instance, server: httpx.Client) -> None:
    with signed_in(server, "gate") as gate:
        before = recorded(instance)
        gate.cookies.clear()
        gate.headers["Referer"] = f"{server.base_url}/check/answer?code={PALLET}"
        answer = act(gate, "hold", units=PALLET, reason="papers")
        assert answer.status_code == 307
        assert (
            answer.headers["location"].startswith("/sign-in?next=/check/answer")
            and "lost=1" in answer.headers["location"]
        )
        assert recorded(instance) == before


def test_a_program_of_the_market_asks_with_its_token(instance: Instance, server: httpx.Client) -> None:
    headers = {"Authorization": f"Bearer {token('market')}"}
    answer = server.get("/api/v1/check", params={"code": PALLET}, headers=headers)
    assert answer.json()["answer"] == "accept"
    assert set(answer.json()["portions"][0]["findings"][0]["why"]) == {"code", "zh", "en"}
    assert (
        server.get(
            "/api/v1/check", params={"code": PALLET}, headers={"Authorization": f"Bearer {token('coop')}"}
        ).status_code
        == 403
    )


def test_the_board_shows_what_came_since_the_day_began(instance: Instance) -> None:
    arriving = said(
        "ObjectEvent",
        1,
        action="OBSERVE",
        bizStep="arriving",
        disposition="in_progress",
        epcList=[PALLET],
        **at(DOCK),
    )
    instance.take(by_carrier(arriving), NOW)
    instance.settle(NOW)

    def board(now: datetime) -> str:
        with served(instance, now) as client, signed_in(client, "gate") as gate:
            return gate.get("/check?lang=en").text.partition("Arrived today")[2]

    assert PALLET.rpartition("/")[2] in board(NOW)
    assert PALLET.rpartition("/")[2] in board(NOW + timedelta(days=1)), "another day, and nobody took it in"
    with served(instance, NOW) as client, signed_in(client, "gate") as gate:
        assert act(gate, "accept", units=PALLET, seller="coop", place=DOCK).status_code == 303
    instance.settle(NOW)
    assert PALLET.rpartition("/")[2] in board(NOW), "today's stays"
    assert PALLET.rpartition("/")[2] not in board(NOW + timedelta(days=1))
    assert lines.NOW == NOW
