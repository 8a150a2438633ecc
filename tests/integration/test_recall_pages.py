"""Pages of recalls over a real database and server: who may order, who is told, what a file holds, and what the gate says meanwhile."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from openpyxl import load_workbook

from tests.acceptance.instance import Instance
from tests.acceptance.people import signed_in
from tests.acceptance.serving import served
from tests.integration.lines import NOW
from tests.integration.said import PALLET, STORE
from tests.integration.small_harvest import A, B, fruit, happen
from trace_api.words import Words

EN = Words("en")


def begin(instance: Instance) -> None:
    happen(instance)


@pytest.fixture
def instance(begun: Instance) -> Instance:
    return begun


def sent(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return client.post(path, data={"idempotency_key": str(uuid4()), **fields}, params={"lang": "en"})


def order(client: httpx.Client, mode: str = "real", code: str = A, **more: str) -> httpx.Response:
    return sent(
        client, "/holds/order", mode=mode, kind="lot", id=code, level="1", reason_en="residue", **more
    )


def test_what_it_reaches_is_shown_and_nothing_is_recorded(instance: Instance) -> None:
    with served(instance, NOW) as client, signed_in(client, "packer") as packer:
        wanted = {"mode": "real", "kind": "lot", "id": fruit(1), "level": "2", "reason_zh": "农残"}
        seen = sent(packer, "/holds/order/preview", **wanted)
        assert seen.status_code == 200, seen.text
        # P1 is all in A: 20 boxes in the store and 20 at the market's dock, and P1 itself is used up.
        assert EN("recalls_class_held") in seen.text and "80\u00a0kg, 40\u00a0boxes" in seen.text
        assert instance.one("SELECT count(*) FROM recall") == 0
        for code, kind in ((A, "lot"), (PALLET, "unit")):
            traced = packer.get(f"/trace/{quote(code, safe='')}", params={"lang": "en"}).text
            assert f"/holds/order?kind={kind}&amp;code=" in traced, "from the trace to the order"
        assert f'<option value="{STORE}"' in packer.get("/holds/order").text, "own places by their names"
        begun = packer.get("/holds/order", params={"kind": "excursion", "code": "17"}).text
        assert 'id="f-number" name="number" type="text" value="17"' in begun
        for wrong in (
            {"reason_zh": ""},
            {"id": ""},
            {"kind": "place"},
            {"id": "https://id.gs1.org/01/09521234000204/10/NOBODYS"},
        ):
            page = sent(packer, "/holds/order/preview", **(wanted | wrong))
            assert page.status_code in (404, 422), wrong
            assert EN("holds_wrong") in page.text, "the same form, with what is wrong"
            assert "from." not in page.text and "reason." not in page.text, "no program's names of fields"
        back = packer.get("/holds/order", params=wanted).text
        assert "农残</textarea>" in back and 'value="real" checked' in back, (
            "from the preview, with what was typed"
        )
        assert seen.text.count('formmethod="get"') == 1 and EN("recalls_holders") not in seen.text


def test_an_order_is_seen_by_who_is_told_and_by_nobody_else(instance: Instance) -> None:
    with (
        served(instance, NOW) as client,
        signed_in(client, "packer") as packer,
        signed_in(client, "gate") as gate,
        signed_in(client, "elsewhere") as stranger,
        signed_in(client, "shop") as shop,
    ):
        assert order(stranger).status_code == 403, "nobody recalls what others made"
        drilled = order(packer, "drill", B)
        assert drilled.status_code == 303
        made = order(packer)
        assert made.status_code == 303, made.text
        path = made.headers["location"].partition("?")[0]
        assert "Confirm receipt" not in packer.get(drilled.headers["location"], params={"lang": "en"}).text
        for start in ("/holds", "/check", "/scan"):
            told = gate.get(start, params={"lang": "en"})
            assert EN("recalls_to_you") in told.text and path in told.text and "residue" in told.text, start
        rehearsed = packer.get(drilled.headers["location"], params={"lang": "en"}).text
        assert "Recall drill no." in rehearsed and EN("recalls_read_not") not in rehearsed, "nobody was told"
        notice = gate.get(path, params={"lang": "en"}).text
        assert EN("recalls_acknowledge") in notice
        units = gate.get(f"/api/v1{path.removeprefix('/holds')}/units").json()["units"]
        assert units and {each["keeper"] for each in units} == {"market"}, "its own, and nobody else's"
        for code in (A, *(each["unit"] for each in units)):
            assert f"/check/answer?code={quote(code)}" in notice, "what to set apart, and where to record it"
        assert sent(gate, f"{path}/acknowledge").status_code == 303
        assert "gate 演示" in packer.get(path, params={"lang": "en"}).text
        assert sent(gate, f"{path}/close", outcome="withdrawn", note="x").status_code == 403, (
            "who was told ends nothing"
        )
        for nobody in (stranger, shop):
            for asked in (
                path,
                f"{path}/letters/0",
                f"/api/v1{path.removeprefix('/holds')}/sheet.csv",
                drilled.headers["location"],
            ):
                assert nobody.get(asked).status_code == 404, asked
            assert sent(nobody, f"{path}/acknowledge").status_code == 404
        letter = packer.get(f"{path}/letters/0")
        assert "食品召回管理办法" in letter.text and Words("en")("recalls_letter_sign") in letter.text
        assert packer.get(f"{path}/letters/{'9' * 50}").status_code == 404
        unsaid = sent(packer, f"{path}/close", outcome="", note="half a sentence")
        assert unsaid.status_code == 422 and "half a sentence</textarea>" in unsaid.text
        assert sent(packer, f"{path}/close", outcome="withdrawn", note="wrong lot").status_code == 303
        assert EN("recalls_to_you") not in gate.get("/holds", params={"lang": "en"}).text


def test_a_file_holds_what_the_page_shows(instance: Instance) -> None:
    with served(instance, NOW) as client, signed_in(client, "packer") as packer:
        number = order(packer).headers["location"].partition("?")[0].rpartition("/")[2]
        text = packer.get(f"/api/v1/recalls/{number}/sheet.csv", params={"lang": "en"}).content.decode(
            "utf-8-sig"
        )
        rows = list(csv.reader(io.StringIO(text)))
        head = rows.index(
            [
                EN(f"recalls_column_{name}")
                for name in ("lot", "class", "holder", "place", "kilograms", "boxes", "proof")
            ]
        )
        assert [A, EN("recalls_class_held"), "", "", "80.0", "40.0", ""] in rows[head:]
        assert {row[2]: row[5] for row in rows[head:] if row[2]} | {} == {
            "Holder": "Boxes",
            "Cooperative": "20.0",
            "market": "20.0",
        }
        book = load_workbook(io.BytesIO(packer.get(f"/api/v1/recalls/{number}/sheet.xlsx").content))
        sheet: Any = book.worksheets[0]
        assert sheet.max_row == len(rows) - head


def test_the_gate_rejects_what_was_mixed_from_recalled_goods(instance: Instance) -> None:
    with (
        served(instance, NOW) as client,
        signed_in(client, "packer") as packer,
        signed_in(client, "gate") as gate,
    ):
        before = gate.get("/api/v1/check", params={"code": PALLET}).json()
        assert before["portions"][0]["findings"][0]["answer"] == "accept"
        assert order(packer, code=fruit(1)).status_code == 303
        answer = gate.get("/api/v1/check", params={"code": PALLET}).json()
        assert answer["answer"] == "reject"
        assert (answer["portions"][0]["check"], answer["portions"][0]["findings"][0]["why"]["code"]) == (
            "recall",
            "recalled",
        )


def did(client: httpx.Client, kind: str, **fields: Any) -> httpx.Response:
    return client.post(f"/api/v1/acts/{kind}", json=fields, headers={"Idempotency-Key": str(uuid4())})


def test_destroyed_without_proof_stands_apart_until_the_record_is_corrected(instance: Instance) -> None:
    with (
        served(instance, NOW) as client,
        signed_in(client, "packer") as packer,
        signed_in(client, "gate") as gate,
    ):
        path = order(packer).headers["location"].partition("?")[0]
        instance.settle(NOW)
        sheet = f"/api/v1{path.removeprefix('/holds')}/sheet.csv"
        bare = did(gate, "shrink", units=[PALLET], reason="recalled")
        assert bare.status_code == 201, "nobody is kept from the bin"
        instance.settle(NOW)
        for words in (Words("en"), Words("zh")):
            page = packer.get(path, params={"lang": words.language}).text
            assert words("recalls_destroyed_unproven") in page and words("recalls_unproven_next") in page
            assert words("recalls_destroyed_proven") not in page
        assert EN("recalls_unproven") in packer.get(sheet, params={"lang": "en"}).text
        mended = gate.post(
            f"/api/v1/acts/{bare.json()['act']}/undo",
            json={"kind": "shrink", "units": [PALLET], "reason": "recalled", "proof": "D-9"},
            headers={"Idempotency-Key": str(uuid4())},
        )
        assert mended.status_code == 200, mended.text
        instance.settle(NOW)
        page = packer.get(path, params={"lang": "en"}).text
        assert EN("recalls_destroyed_proven") in page and "D-9" in page
        assert EN("recalls_unproven_next") not in page


def test_a_holder_answers_by_the_acts_that_pages_offer(instance: Instance) -> None:
    """Set apart, sent back, come back, destroyed: each is followed by the recall."""
    with (
        served(instance, NOW) as client,
        signed_in(client, "packer") as packer,
        signed_in(client, "gate") as gate,
    ):
        path = order(packer).headers["location"].partition("?")[0]
        instance.settle(NOW)

        def now() -> dict[str, float]:
            instance.settle(NOW)
            document = packer.get(f"/api/v1{path.removeprefix('/holds')}").json()
            (row,) = [each for each in document["progress"] if each["keeper"] == "market"]
            return {state: part["boxes"] for state, part in row["now"].items()}

        assert now() == {"out": 20}
        offered = gate.get("/check/answer", params={"code": PALLET, "lang": "en"}).text
        assert EN("check_act_hold") in offered, "recalled goods can be set apart on the page"
        held = did(gate, "hold", units=[PALLET], reason="recall")
        assert held.status_code == 201, held.text
        assert now() == {"held": 20}
        again = gate.get("/check/answer", params={"code": PALLET, "lang": "en"}).text
        assert 'value="hold"' not in again, "once"
        sold = did(gate, "ship", units=[PALLET], buyer="coop")
        assert sold.status_code == 409, "recalled goods are not sold on"
        back = did(gate, "ship", units=[PALLET], buyer="coop", rma="R-1")
        assert back.status_code == 201, back.text
        assert now() == {"returned": 20}
        came = did(packer, "receive", units=[PALLET], place=STORE, bought=False, giver="market", rma="R-1")
        assert came.status_code == 201, came.text
        assert now() == {"returned": 20}
        gone = did(packer, "shrink", units=[PALLET], reason="recalled", proof="D-9")
        assert gone.status_code == 201, gone.text
        assert now() == {"destroyed": 20}
        assert "D-9" in packer.get(path, params={"lang": "en"}).text, "with its proof"
