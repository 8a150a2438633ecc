"""Holds and recalls in real Chromium: what hangs together with a positive test, an order and its preview, a holder's notice, and the
shopper's page of goods that are recalled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.people import signed_in
from tests.acceptance.serving import served
from tests.browser.working import LOOKS, Scheme, assert_well_made, session_of, window
from tests.integration.lines import NOW
from tests.integration.said import GTIN
from tests.integration.small_harvest import A, B, play, screened, sprayed
from tests.servers.session import Servers
from trace_api.words import Language, Words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOT_PAGE = f"/01/{GTIN}/10/DK1"
SECOND_PAGE = f"/01/{GTIN}/10/DK2"


@dataclass(frozen=True, slots=True)
class Day:
    """Lot B is recalled for real, lot A only rehearsed; A was tested. Sessions by login."""

    server: httpx.Client
    sessions: dict[str, str]
    recall: str
    drill: str


@pytest.fixture(scope="module")
def day(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    with servers.template("plain").clone() as database:
        instance = play(database, tmp_path_factory.mktemp("day"))
        with (
            served(instance, NOW) as server,
            signed_in(server, "gate") as gate,
            signed_in(server, "packer") as packer,
            signed_in(server, "town") as town,
            signed_in(server, "county") as county,
        ):
            for number in (1, 6):
                assert sprayed(packer, number, 5).status_code == 201
            screened(gate, str(uuid4()))
            instance.settle(NOW)
            orders = [(B, "real", town), (A, "drill", packer)]
            made = [ordered(client, lot, mode) for lot, mode, client in orders]
            sessions = {"gate": gate, "packer": packer, "town": town, "county": county}
            yield Day(server, {name: session_of(client) for name, client in sessions.items()}, *made)


def ordered(client: httpx.Client, lot: str, mode: str) -> str:
    said = {
        "mode": mode,
        "from": {"kind": "lot", "id": lot},
        "level": 1,
        "reason": {"zh": "农药残留超标", "en": "pesticide residue"},
    }
    answer = client.post(
        "/api/v1/recalls", json=said, headers={"Idempotency-Key": str(uuid4()), "Accept": "application/json"}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def paths(day: Day) -> dict[str, list[str]]:
    recall = f"/holds/recalls/{day.recall}"
    return {
        "packer": ["/holds", "/holds/recalls", recall, f"/holds/recalls/{day.drill}", "/holds/order"],
        "gate": ["/holds", "/holds/recalls", "/check"],
        "town": ["/holds", recall, f"{recall}/letters/0"],
    }


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
def test_every_page_is_well_made(
    browser: Browser, day: Day, language: Language, scheme: Scheme, width: int
) -> None:
    for login, own in paths(day).items():
        with window(
            browser, day.server, session=day.sessions[login], language=language, width=width, scheme=scheme
        ) as page:
            for path in own:
                page.goto(path)
                assert page.locator("h1").count() == 1, path
                assert_well_made(page, width)


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
def test_the_shopper_sees_the_recall_first(
    browser: Browser, day: Day, language: Language, scheme: Scheme, width: int
) -> None:
    words = Words(language)
    with window(browser, day.server, language=language, width=width, scheme=scheme) as page:
        page.goto(f"{SECOND_PAGE}?lang={language}")
        banner = page.get_by_role("alert")
        assert words("recalled_title") in banner.inner_text() and words("recalled_do") in banner.inner_text()
        box = banner.bounding_box()
        assert box is not None and box["y"] < 200, "before anybody scrolls"
        assert page.locator(".verdict .verdict-state").count() == 0
        fits(page, width)
        page.goto(f"{LOT_PAGE}?lang={language}")
        assert page.get_by_role("alert").count() == 0, "a drill is nobody's"


def fits(page: Page, width: int) -> None:
    from tests.browser.working import axe_problems

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert axe_problems(page) == []


def test_a_person_decides_on_the_page(browser: Browser, day: Day) -> None:
    words = Words("zh")
    with window(browser, day.server, session=day.sessions["packer"]) as page:
        page.goto("/holds")
        card = page.locator(".hold-proposal", has_text="P06").first
        assert words("holds_reason_same_spray") in card.inner_text() and "毒死蜱" in card.inner_text()
        assert words("holds_state_open") in card.inner_text()
        card.locator("summary").click()
        card.locator("textarea").fill("同一天用药")
        with page.expect_navigation():
            card.get_by_role("button", name=words("holds_do_hold")).click()
        assert page.url.endswith("/holds?done=held")
        after = page.locator(".hold-proposal", has_text="P06").first
        assert words("holds_state_hold") in after.inner_text() and "同一天用药" in after.inner_text()


def test_an_order_is_seen_before_it_is_confirmed(browser: Browser, day: Day) -> None:
    words = Words("en")
    with window(browser, day.server, session=day.sessions["packer"], language="en") as page:
        page.goto("/holds/order")
        page.fill("#f-id", A)
        page.fill("#f-reason_en", "rehearsal of the autumn")
        with page.expect_navigation():
            page.get_by_role("button", name=words("recalls_preview")).click()
        text = page.locator("main").inner_text()
        assert words("recalls_preview_none") in text and "40 boxes".replace(" ", "\u00a0") in text
        assert_well_made(page, 390)
        with page.expect_navigation():
            page.get_by_role("button", name=words("recalls_do_drill")).click()
        assert (
            "/holds/recalls/" in page.url
            and words("recalls_done_ordered") in page.locator("main").inner_text()
        )
        assert words("recalls_drill_note") in page.locator("main").inner_text()


def test_a_holder_confirms_and_whoever_ordered_sees_it(browser: Browser, day: Day) -> None:
    words = Words("zh")
    with window(browser, day.server, session=day.sessions["packer"]) as page:
        page.goto("/holds")
        assert words("recalls_to_you") in page.locator("main").inner_text()
        page.goto(f"/holds/recalls/{day.recall}")
        with page.expect_navigation():
            page.get_by_role("button", name=words("recalls_acknowledge")).click()
        assert (
            page.url.endswith("done=read")
            and page.get_by_role("button", name=words("recalls_acknowledge")).count() == 0
        )
    with window(browser, day.server, session=day.sessions["town"]) as page:
        page.goto(f"/holds/recalls/{day.recall}")
        assert "packer 演示" in page.locator(".recall-holder").first.inner_text()
