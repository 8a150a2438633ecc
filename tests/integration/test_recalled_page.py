"""The shopper's page of goods that are recalled: at once, in both languages, until it is withdrawn, and told of afterwards."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.instance import Instance
from tests.acceptance.serving import served
from tests.integration.recalls import (
    AT,
    CLASS,
    MIXED,
    P01,
    SECOND,
    G,
    asked_by,
    at,
    follow,
    from_lot,
    later,
    post,
    registry,
    say,
    tell,
)
from tests.servers.databases import Database
from trace_api.words import Words

PAGE = MIXED.removeprefix("https://id.gs1.org")
BOX = f"{PAGE}/21/0017"
PACKHOUSE = f"{G}/414/9521234002017"
ZH, EN = Words("zh"), Words("en")


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(registry())
    instance.alter("UPDATE organisation SET publishes = true")
    tell(instance, 22)
    return instance


def shown(server: httpx.Client, path: str = PAGE, language: str = "en") -> str:
    page = server.get(path, params={"lang": language}, headers={"Accept": "text/html"})
    assert page.status_code == 200, page.text
    return unescape(page.text)


def test_a_recall_stands_on_top_at_once_and_is_told_of_when_withdrawn(instance: Instance) -> None:
    with served(instance, AT) as server, asked_by(server, "coop") as coop:
        assert EN("recalled_title") not in shown(server)
        assert post(coop, from_lot(P01, "drill")).status_code == 201
        assert EN("recalled_title") not in shown(server), "a drill shows to nobody"
        ordered = post(coop, from_lot(P01, "real"))
        assert ordered.status_code == 201, ordered.text
        # 127.5 of the 700 kg that went in.
        for words, language, reason in ((ZH, "zh", "农残超标"), (EN, "en", "residues")):
            for path in (PAGE, BOX):
                text = shown(server, path, language)
                top = text.partition('<h1 id="product">')[0]
                for sentence in (
                    words("recalled_title"), words("recalled_do"), words("recalled_ask"), words("recalled_level_2"), reason,
                    words("recalled_part_inputs_share", share=words.percent(127.5 / 700)),
                ):  # fmt: skip
                    assert sentence in top, (path, sentence)
                assert "coop" in top
                assert words("recalled_verdict") in text and words("on_hold") not in text
                assert 'class="verdict-state"' not in text, "no verdict speaks beside it"
        closed = post(coop, {"outcome": "withdrawn", "note": "wrong lot"}, f"/{ordered.json()['id']}/close")
        assert closed.status_code == 200, closed.text
        for words, language in ((ZH, "zh"), (EN, "en")):
            text = shown(server, PAGE, language)
            assert words("recalled_title") not in text and words("recalled_verdict") not in text
            assert words("recalled_withdrawn_title") in text


def test_part_of_a_lot_is_told_from_the_rest(instance: Instance) -> None:
    """One pallet of it: the lot's page says how much, the page of a box says which."""
    unit = {
        "mode": "real",
        "from": {"kind": "unit", "id": "https://id.gs1.org/00/095212340000000273"},
        "level": 1,
        "reason": {"zh": "变质"},
    }
    with served(instance, AT) as server, asked_by(server, "coop") as coop:
        ordered = post(coop, unit)
        assert ordered.status_code == 201, ordered.text
        text = shown(server, PAGE, "zh")
        assert ZH("recalled_part_amount", amount=ZH.quantity(12, None)) in text
        done = post(coop, {"outcome": "completed", "note": "back"}, f"/{ordered.json()['id']}/close")
        assert done.status_code == 200
        after = shown(server, PAGE, "zh")
        assert ZH("recalled_title") in after and "结束" in after.partition('<h1 id="product">')[0]


def test_the_share_is_the_one_that_the_recall_tells(database: Database, tmp_path: Path) -> None:
    """Half of A's weight is in the crate that is recalled; M has it, and N has M."""
    instance = Instance(database, tmp_path)
    instance.register(registry())
    instance.alter("UPDATE organisation SET publishes = true")
    a, b, c = (f"{CLASS}.{name}" for name in "ABC")
    m, n, crate = MIXED, SECOND, f"{G}/00/095212340000000990"
    say(
        instance, "coop", *(made(lot, 20) for lot in (a, b, c)),
        later(-8, "AggregationEvent", "crated", action="ADD", bizStep="packing", parentID=crate,
              childQuantityList=weight(a, 10), readPoint={"id": PACKHOUSE}),
        mixed(-7, [*weight(a, 20), *weight(b, 20)], m),
        mixed(-6, [*weight(m, 40), *weight(c, 40)], n),
    )  # fmt: skip
    follow(instance)
    with served(instance, AT) as server, asked_by(server, "coop") as coop:
        ordered = post(coop, from_lot(a, "real") | {"from": {"kind": "unit", "id": crate}})
        assert ordered.status_code == 201, ordered.text
        told = {each["lot"]: each["share"] for each in ordered.json()["lots"]}
        assert (told[m], told[n]) == (0.25, 0.125)
        for publishes in (True, False):
            instance.alter(f"UPDATE organisation SET publishes = {publishes}")
            for lot in (m, n):
                answer = server.get(
                    lot.removeprefix(G), params={"lang": "en"}, headers={"Accept": "text/html"}
                )
                assert EN("recalled_part_inputs_share", share=EN.percent(told[lot])) in unescape(answer.text)
        asked = "SELECT run, lot, part, reached FROM published_recall_runs(%s, %s) ORDER BY part, lot"
        with instance.as_role("public") as conn:
            rows = conn.execute(asked, [ordered.json()["id"], m]).fetchall()
        assert rows == [(1, "", 0.5, None), (1, a, 0.5, 0.25)], (
            "no name and no weight of what is not recalled"
        )


def made(lot: str, kilograms: float) -> dict[str, Any]:
    return later(-9, "ObjectEvent", lot[-1], action="ADD", bizStep="commissioning", quantityList=weight(lot, kilograms),
                 **at(PACKHOUSE))  # fmt: skip


def mixed(hours: float, inputs: list[dict[str, Any]], lot: str) -> dict[str, Any]:
    kilograms = sum(each["quantity"] for each in inputs)
    return later(hours, "TransformationEvent", f"mix-{lot[-1]}", bizStep="commissioning", inputQuantityList=inputs,
                 outputQuantityList=weight(lot, kilograms), **at(PACKHOUSE))  # fmt: skip


def weight(lot: str, kilograms: float) -> list[dict[str, Any]]:
    return [{"epcClass": lot, "quantity": kilograms, "uom": "KGM"}]


def test_who_has_unpublished_goods_at_home_is_told_all_the_same(database: Database, tmp_path: Path) -> None:
    instance = Instance(database, tmp_path)
    instance.register(registry())
    instance.alter("UPDATE organisation SET publishes = false")
    tell(instance, 8)
    with served(instance, AT) as server, asked_by(server, "coop") as coop:
        for path in (PAGE, BOX):
            page = server.get(path, params={"lang": "zh"}, headers={"Accept": "text/html"})
            assert page.status_code == 404 and ZH("recalled_title") not in page.text
        assert post(coop, from_lot(MIXED, "real")).status_code == 201
        for path in (PAGE, BOX):
            page = server.get(path, params={"lang": "zh"}, headers={"Accept": "text/html"})
            assert page.status_code == 404 and ZH("recalled_title") in page.text
