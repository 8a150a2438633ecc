"""Hold proposals over a real database and server: what hangs together with a positive test, by how much, and who decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner

from deploy.command import main
from deploy.erasing_tables import MARK
from ledger.entry import field_leaf, parse_entry
from ledger.epcis.identifiers import check_digit, sscc_uri
from ledger.strict_json import to_base64
from ledger.translog.merkle import Tree, leaf_hash
from tests.acceptance.instance import Instance
from tests.acceptance.people import signed_in
from tests.acceptance.serving import served
from tests.integration.gate import DOCK, by_market
from tests.integration.lines import NOW
from tests.integration.said import GTIN, PALLET, STORE, at, by_terminal, said
from tests.integration.small_harvest import A, B, fruit, play, screened, sprayed
from tests.integration.small_harvest import happen as begin
from tests.servers.databases import Database

__all__ = ["begin"]


@pytest.fixture
def instance(begun: Instance) -> Instance:
    return begun


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4()), "Accept": "application/json"}


def asked(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/api/v1/holds/proposals", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def shares(test: dict[str, Any]) -> dict[tuple[str, str], tuple[float, float, float]]:
    """By lot and reason: share of the tested lot, share of the goods, kilograms there."""
    return {
        (each["lot"], reason["code"]): (
            pytest.approx(reason["of_tested"]),
            pytest.approx(reason["of_goods"]),
            pytest.approx(each["kilograms"]),
        )
        for each in test["proposals"]
        for reason in each["reasons"]
    }


def test_siblings_are_proposed_with_their_shares(instance: Instance) -> None:
    with (
        served(instance, NOW) as client,
        signed_in(client, "gate") as gate,
        signed_in(client, "packer") as packer,
    ):
        for number in (1, 6):
            assert sprayed(packer, number, 5).status_code == 201
        assert asked(packer) == {"tests": [], "requests": []}
        screened(gate, str(uuid4()))
        instance.settle(NOW)
        (test,) = asked(packer)["tests"]
        assert not test["final"]
        assert {each["lot"]: pytest.approx(each["share"]) for each in test["behind"]} == {
            fruit(1): 0.6,
            fruit(2): 0.4,
        }
        assert shares(test) == {
            # In boxes of 2 kg: 20 of A are in the store, 20 on the pallet that was tested and is held by that.
            (A, "same_lot"): (1.0, 1.0, 40.0),
            (fruit(2), "input"): (0.4, 1.0, 10.0),
            # 10 of its 40 kg are of P2, of which 40 % of the tested lot is.
            (B, "mix"): (0.4, 0.25, 30.0),
            # P3 of the other grower is not on the list; that it went into B is no reason.
            (fruit(4), "same_plot"): (0.6, 1.0, 25.0),
            (fruit(4), "same_grower"): (1.0, 1.0, 25.0),
            (fruit(4), "same_spray"): (0.6, 1.0, 25.0),
            (fruit(5), "same_grower"): (1.0, 1.0, 15.0),
            (fruit(6), "same_spray"): (0.6, 1.0, 12.0),
        }
        assert {each["holder"] for each in test["proposals"]} == {"coop"}
        assert instance.one("SELECT count(*) FROM hold_decision") == 0, "nothing is held by itself"


def test_many_positives_of_one_tester_hide_no_other(instance: Instance) -> None:
    with (
        served(instance, NOW) as client,
        signed_in(client, "gate") as gate,
        signed_in(client, "packer") as packer,
    ):
        screened(gate, str(uuid4()))
        instance.settle(NOW)
        instance.alter(
            "INSERT INTO test_record (id, organisation, lot, sample, kind, method, sampled_at, result_at, outcome,"
            " retest_deadline, event, recorded_at)"
            " SELECT gen_random_uuid(), 'carrier', 'https://example.org/class/x.' || n, 's', 'rapid', 'm', sampled_at,"
            " result_at + n * INTERVAL '1 ms', 'positive', retest_deadline, event, recorded_at"
            " FROM test_record CROSS JOIN generate_series(1, 120) AS n"
        )
        (test,) = asked(packer)["tests"]
        assert any(each["lot"] == fruit(4) for each in test["proposals"])


def decided(
    client: httpx.Client, proposal: str, decision: str = "hold", reason: str = "同一地块"
) -> httpx.Response:
    body = {"decision": decision, "reason": reason}
    return client.post(f"/api/v1/holds/proposals/{proposal}/decide", json=body, headers=key())


def proposal_of(client: httpx.Client, lot: str) -> dict[str, Any]:
    found = [each for test in asked(client)["tests"] for each in test["proposals"] if each["lot"] == lot]
    assert len(found) == 1, found
    only: dict[str, Any] = found[0]
    return only


def test_the_holder_holds_by_an_act_and_the_market_asks(instance: Instance) -> None:
    with (
        served(instance, NOW) as client,
        signed_in(client, "gate") as gate,
        signed_in(client, "packer") as packer,
        signed_in(client, "county") as county,
        signed_in(client, "auditor") as auditor,
        signed_in(client, "grower") as grower,
        signed_in(client, "elsewhere") as stranger,
    ):
        screened(gate, str(uuid4()))
        instance.settle(NOW)
        b = proposal_of(packer, B)
        assert (b["relation"], b["state"]) == ("holder", "open")
        assert decided(stranger, b["id"]).status_code == 404, "nobody holds what is somebody else's"
        assert decided(auditor, b["id"]).status_code == 403 and asked(auditor)["tests"], (
            "who looks decides nothing"
        )
        assert decided(grower, b["id"]).json()["code"] == "holds_not_your_role"
        assert decided(packer, b["id"], reason=" ").status_code == 422, "without a reason nothing is decided"
        events = instance.one("SELECT count(*) FROM event")

        requested = decided(gate, b["id"], reason="同样的原料")
        assert (requested.status_code, requested.json()["outcome"]) == (201, "requested"), requested.text
        assert instance.one("SELECT count(*) FROM event") == events, "a request holds nothing"
        (notice,) = instance.rows("SELECT topic, body::text FROM outbox WHERE topic LIKE '%hold_request'")
        assert notice[0] == "suyuan/v1/coop/hold_request"
        assert "positive" not in notice[1] and A not in notice[1] and "market" not in notice[1]
        (told,) = asked(packer)["requests"]
        assert (told["lot"], told["reason"], told["by"], told["answered"]) == (
            B,
            "同样的原料",
            "gate 演示",
            False,
        )

        held = decided(packer, b["id"])
        assert (held.status_code, held.json()["outcome"]) == (201, "held"), held.text
        assert instance.one("SELECT kind FROM act WHERE id = %s", held.json()["act"]) == "hold"
        instance.settle(NOW)
        assert (
            instance.one(
                "SELECT count(*) FROM lot_mark WHERE lot = %s AND 'unavailable' = ANY (set_marks)", B
            )
            == 1
        )
        assert decided(packer, b["id"]).status_code == 409, "held already"
        after = proposal_of(packer, B)
        assert after["state"] == "hold"
        assert [(each["decision"], each["reason"], each["by"]) for each in after["decisions"]] == [
            ("hold", "同一地块", "packer 演示"),
            ("request", "同样的原料", "gate 演示"),
        ]
        assert asked(packer)["requests"][0]["answered"]

        left = decided(county, proposal_of(county, A)["id"], "leave", "已派人查看")
        assert (left.status_code, left.json()["outcome"]) == (201, "left"), left.text
        assert proposal_of(county, A)["decisions"][0]["organisation"] is None, "an official's"


def test_a_market_holds_what_stands_at_its_dock(instance: Instance) -> None:
    """Another pallet of the tested lot."""
    second = sscc_uri("09521234000000011" + check_digit("09521234000000011"))
    pack = said("AggregationEvent", 0.4, action="ADD", bizStep="packing", parentID=second,
                childQuantityList=[{"epcClass": A, "quantity": 5}], **at(STORE))  # fmt: skip
    came = said("ObjectEvent", 0.3, action="OBSERVE", bizStep="arriving", epcList=[second], **at(DOCK))
    instance.take(
        [*by_terminal(pack), *by_market(came | {"eventID": "https://suyuan.example/market/second"})], NOW
    )
    instance.settle(NOW)
    with served(instance, NOW) as client, signed_in(client, "gate") as gate:
        screened(gate, str(uuid4()))
        instance.settle(NOW)
        (found,) = [
            each for test in asked(gate)["tests"] for each in test["proposals"] if second in each["units"]
        ]
        assert (found["lot"], found["holder"], found["kilograms"]) == (A, "market", 10.0)
        answer = decided(gate, found["id"])
        assert (answer.status_code, answer.json().get("outcome")) == (201, "held"), answer.text
        act = instance.one(
            "SELECT facts -> 'asked' -> 'units' ->> 0 FROM act WHERE id = %s", answer.json()["act"]
        )
        assert act == second


def test_a_tester_does_not_hear_who_has_what_elsewhere(database: Database, tmp_path: Path) -> None:
    instance = play(database, tmp_path, silent=("coop", "carrier", "market", "stall", "shop", "other-market"))
    with (
        served(instance, NOW) as client,
        signed_in(client, "gate") as gate,
        signed_in(client, "town") as town,
        signed_in(client, "elsewhere") as stranger,
        signed_in(client, "shop") as shop,
    ):
        screened(gate, str(uuid4()))
        instance.settle(NOW)
        (test,) = asked(gate)["tests"]
        assert test["lot"] == A and len(test["proposals"]) >= 4
        for each in test["proposals"]:
            assert (each["lot"], each["holder"], each["kilograms"], each["units"], each["places"]) == (
                None,
                None,
                None,
                [],
                [],
            )
            assert all(reason["via"] == [] and reason["fact"] == {} for reason in each["reasons"])
        answer = decided(gate, test["proposals"][0]["id"])
        assert answer.json()["outcome"] == "requested", "the holder is told, and the tester not who that is"
        assert instance.one("SELECT holder FROM hold_decision") == "coop"
        assert proposal_of(town, B)["holder"] == "coop", "the authority of the origin sees both"
        for nobody in (stranger, shop):
            assert asked(nobody) == {"tests": [], "requests": []}
            assert decided(nobody, test["proposals"][0]["id"]).status_code == 404


def test_a_clean_result_withdraws_what_was_proposed(instance: Instance) -> None:
    with (
        served(instance, NOW) as client,
        signed_in(client, "gate") as gate,
        signed_in(client, "packer") as packer,
    ):
        screened(gate, str(uuid4()))
        instance.settle(NOW)
        b = proposal_of(packer, B)["id"]
        decided(gate, b)
        # A screen takes no screen back; only the laboratory, or the retest of that very sample, does.
        screened(gate, str(uuid4()), outcome="negative", sample="S-2")
        assert asked(packer)["tests"]
        retest = {
            "units": [PALLET],
            "lot": A,
            "sample": "S-1",
            "method": "GB/T 5009.199",
            "value": 2,
            "retest": True,
        }
        answer = gate.post("/api/v1/acts/rapid_test", json=retest, headers=key())
        assert answer.status_code == 201, answer.text
        assert asked(packer)["tests"] == []
        assert not asked(packer)["requests"][0]["standing"]
        assert decided(packer, b).status_code == 404
        assert instance.one("SELECT count(*) FROM hold_decision") == 1, "what was decided is kept"


@pytest.mark.parametrize(("outcome", "proposed"), [("negative", 0), ("positive", 1)])
def test_the_laboratory_has_the_last_word(instance: Instance, outcome: str, proposed: int) -> None:
    with (
        served(instance, NOW) as client,
        signed_in(client, "gate") as gate,
        signed_in(client, "packer") as packer,
    ):
        screened(gate, str(uuid4()))
        instance.settle(NOW)
        before = proposal_of(packer, B)["id"]
        result = {"kind": "laboratory", "value": None, "uom": None, "threshold": None, "outcome": outcome}
        screened(gate, str(uuid4()), **result)
        tests = asked(packer)["tests"]
        assert len(tests) == proposed
        if proposed:
            assert tests[0]["final"] and proposal_of(packer, B)["id"] == before, (
                "the same proposals, now confirmed"
            )


def test_no_public_answer_names_a_positive(instance: Instance) -> None:
    """Neither of the tested lot nor of its siblings, whatever was decided."""

    public = (
        f"/01/{GTIN}/10/DK1",
        f"/01/{GTIN}/10/DK2",
        f"/api/v1/lots/01/{GTIN}/10/DK2/proof",
        f"/api/v1/lots/01/{GTIN}/10/DK1/proof",
    )
    with (
        served(instance, NOW) as client,
        signed_in(client, "gate") as gate,
        signed_in(client, "packer") as packer,
    ):
        screened(gate, str(uuid4()))
        instance.settle(NOW)
        decided(packer, proposal_of(packer, B)["id"], reason="WHY-PRIVATE")
        instance.settle(NOW)
        for path in public:
            told = client.get(path, headers={"Accept-Language": "en"})
            assert told.status_code == 200, (path, told.text)
            for word in ("positive", "阳性", "71.5", "WHY-PRIVATE", "hold_request", "non-conformant"):
                assert word not in told.text, (path, word)
        assert "On hold" in client.get(f"/01/{GTIN}/10/DK1/21/0005", params={"lang": "en"}).text
        for path in ("/holds", "/api/v1/holds/proposals", "/api/v1/input-uses"):
            assert client.get(path).status_code in (303, 307, 401)
    with instance.as_role("public") as conn:
        held = conn.execute(
            "SELECT count(*) FROM pg_proc WHERE prosecdef AND proname LIKE 'hold\\_%' AND has_function_privilege('suyuan_public', oid, 'EXECUTE')"
        ).fetchone()
    assert held == (0,)


def test_input_uses_are_sealed_corrected_and_of_ones_own_plots(instance: Instance) -> None:
    with (
        served(instance, NOW) as client,
        signed_in(client, "packer") as packer,
        signed_in(client, "gate") as gate,
    ):
        first = sprayed(packer, 1, 5)
        assert first.status_code == 201, first.text
        assert sprayed(gate, 1, 5).status_code == 403
        for wrong in (
            {"plot": "https://id.gs1.org/414/9521234003021"},
            {"used_on": (NOW + timedelta(days=2)).date().isoformat()},
        ):
            assert sprayed(packer, 1, 5, **wrong).status_code == 422
        fixed = sprayed(packer, 1, 6, corrects=first.json()["id"])
        assert fixed.status_code == 201, fixed.text
        assert sprayed(packer, 1, 7, corrects=first.json()["id"]).json()["code"] == "holds_use_corrects"
        found = packer.get("/api/v1/input-uses").json()["input_uses"]
        assert {each["id"]: each["corrected"] for each in found} == {
            first.json()["id"]: True,
            fixed.json()["id"]: False,
        }
        instance.settle(NOW)
        entries = [
            bytes(row[0]).decode()
            for row in instance.rows("SELECT entry FROM leaf WHERE entry LIKE '%\"registry\"%'::bytea")
        ]
        assert len(entries) == 2
        assert not any(word in entry for entry in entries for word in ("PD2009", "P01", "毒")), (
            "a commitment, and no word of it"
        )


def test_an_erased_use_keeps_its_hash_and_no_salt(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUYUAN_DATABASE_URL", instance.database.owner)
    monkeypatch.setenv("SUYUAN_DATA_DIR", str(instance.folder))
    words = {
        "name": '\u4e50\u679c "A"\\\u4e50',
        "dose": "\u6309\u674e\u56db\u8bf4\u7684\t1\u20442 \x7f\x01 kg",
    }
    with served(instance, NOW) as client, signed_in(client, "packer") as packer:
        assert sprayed(packer, 1, 5, **words).status_code == 201
    instance.settle(NOW)
    (organisation, salts), *_ = instance.rows("SELECT organisation, salts FROM input_use")
    for number, value in enumerate(words.values(), 1):
        done = CliRunner().invoke(main, ["erase", "--organisation", organisation, "--value", value, "--yes"])
        assert done.exit_code == 0, (done.output, done.exception)
        assert root_of_use(instance) == registered(instance), number
    ((dose, name, left),) = instance.rows("SELECT dose, name, salts FROM input_use")
    assert dose == name == MARK
    for place in (1, 4):
        was = slice(16 * place, 16 * place + 16)
        assert bytes(left)[was] == bytes(16) != bytes(salts)[was]
    assert bytes(left).count(bytes(16)) == 2


def registered(instance: Instance) -> str:
    """The root that the only entry of the registry commits to."""
    ((entry,),) = instance.rows("SELECT entry FROM leaf WHERE entry LIKE '%\"registry\"%'::bytea")
    return str(parse_entry(bytes(entry)).body["root"])


def root_of_use(instance: Instance) -> str:
    """Of the only use that there is, made from its fields under their salts, and from the hashes of the erased ones."""
    ((corrects, dose, use, interval, name, plot, registration, used_on, salts, dose_hash, name_hash),) = (
        instance.rows(
            "SELECT corrects, dose, id, interval_days, name, plot, registration, used_on, salts, dose_hash, name_hash FROM input_use"
        )
    )
    fields = {"corrects": corrects, "dose": dose, "id": str(use), "interval_days": interval, "name": name, "plot": plot,
              "registration": registration, "type": "input_use", "used_on": used_on.isoformat()}  # fmt: skip
    kept = {"dose": dose_hash, "name": name_hash}
    leaves = [
        bytes(kept[field])
        if kept.get(field) is not None
        else leaf_hash(field_leaf(bytes(salts)[16 * place : 16 * place + 16], field, value))
        for place, (field, value) in enumerate(fields.items())
    ]
    return to_base64(Tree(tuple(leaves)).root_hash)


@pytest.mark.editions("plain")
def test_who_sprays_before_eight_in_the_morning_does_so_today(instance: Instance) -> None:
    """In China it is the next day already, eight hours before it is in UTC."""
    morning = datetime(2026, 6, 20, 22, 30, tzinfo=UTC)
    with served(instance, morning) as client, signed_in(client, "packer") as packer:
        assert sprayed(packer, 1, 0, used_on="2026-06-21").status_code == 201
        assert sprayed(packer, 1, 0, used_on="2026-06-22").json()["code"] == "holds_use_ahead"
