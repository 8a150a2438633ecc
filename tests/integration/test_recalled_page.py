"""The shopper's page of goods that are recalled: at once, in both languages, until it is withdrawn, and told of afterwards."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import httpx
import pytest

from tests.acceptance.instance import Instance
from tests.acceptance.serving import served
from tests.integration.recalls import AT, MIXED, P01, asked_by, from_lot, post, registry, tell
from tests.servers.databases import Database
from trace_api.words import Words

PAGE = MIXED.removeprefix("https://id.gs1.org")
BOX = f"{PAGE}/21/0017"
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
