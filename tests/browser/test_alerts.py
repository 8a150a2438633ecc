"""Alerts in real Chromium: the list, one that is acknowledged on a phone, and an administrator's channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.browser.working import LOOKS, Scheme, assert_well_made, session_of, window
from tests.integration.alert_world import NOW, Truck, flat
from tests.servers.session import Servers
from trace_api.words import Language, Words

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONG = "https://hooks.example/" + "a" * 120


@dataclass(frozen=True, slots=True)
class Night:
    """One alert that is over, one that is open; a webhook that failed, and an address."""

    server: httpx.Client
    driver: str
    administrator: str


@pytest.fixture(scope="module")
def night(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    with servers.template("plain").clone() as database:
        truck = Truck(Instance(database, tmp_path_factory.mktemp("night")))
        add_person(truck.instance, "lin", "carrier", organisation="coop")
        add_person(truck.instance, "root", "administrator")
        truck.channel("webhook", LONG)
        truck.channel("email", "night@coop.example", 1)
        truck.send(flat((0, 15, 11.0), (15, 16, 4.0), (16, 40, 6.0)))
        truck.instance.alter(
            "UPDATE outbox SET attempts = 9, last_error = %s, given_up_at = %s WHERE channel IS NOT NULL",
            "answered 500",
            NOW,
        )
        with (
            served(truck.instance, NOW) as server,
            signed_in(server, "lin") as driver,
            signed_in(server, "root") as administrator,
        ):
            yield Night(server, session_of(driver), session_of(administrator))


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
def test_every_page_is_well_made(
    browser: Browser, night: Night, language: Language, scheme: Scheme, width: int
) -> None:
    own = {
        night.driver: ["/alerts", "/alerts?show=all", "/alerts?show=acknowledged", "/alerts?excursion=1"],
        night.administrator: ["/channels"],
    }
    for session, paths in own.items():
        with window(
            browser, night.server, session=session, language=language, width=width, scheme=scheme
        ) as page:
            for path in paths:
                page.goto(path)
                assert page.locator("h1").count() == 1, path
                assert_well_made(page, width)


def test_a_driver_acknowledges_on_the_page_that_the_message_leads_to(browser: Browser, night: Night) -> None:
    words = Words("zh")
    with window(browser, night.server, session=night.driver) as page:
        page.goto("/alerts?excursion=2")
        page.get_by_label(words("alert_comment")).fill("车门没关好，已关上")
        page.get_by_role("button", name=words("alert_acknowledge")).click()
        page.wait_for_url("**done=true")
        assert words("alert_done") in page.locator(".notice-good").inner_text()
        assert (
            "lin 演示" in page.locator(".card").inner_text()
            and "车门没关好，已关上" in page.locator(".card").inner_text()
        )
        assert_well_made(page, 390)
        page.goto("/alerts?show=acknowledged")
        assert page.locator(".card").count() == 1


def test_an_administrator_sends_a_test(browser: Browser, night: Night) -> None:
    words = Words("en")
    with window(browser, night.server, session=night.administrator, language="en") as page:
        page.goto("/channels")
        assert "answered 500" in page.locator("#content").inner_text()
        page.get_by_role("button", name=words("channel_test")).first.click()
        page.wait_for_url("**done=tested")
        assert words("channel_done_tested") in page.locator(".notice-good").inner_text()
