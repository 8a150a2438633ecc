"""What does not add up, in real Chromium: found in the list, followed to the events that show it, and explained under a name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.browser.working import LOOKS, Scheme, assert_well_made, session_of, window
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
from tests.integration.said import FRUIT, STORE, loaded, packed
from tests.servers.session import Servers
from trace_api.words import Language, Words

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AT = NOW + timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Office:
    server: httpx.Client
    wu: str
    cases: tuple[str, ...]


@pytest.fixture(scope="module")
def office(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with servers.template("plain").clone() as database:
        instance = Instance(database, tmp_path_factory.mktemp("findings"))
        instance.register(COUNTY)
        more = [picked(29 - n / 10, 700, f"{FRUIT}-{n}") for n in range(2)]
        events = [
            picked(),
            *more,
            packed(20),
            run(boxes=60),
            loaded(7),
            seen(3, "storing", STORE),
            seen(2.9, "receiving", GATE),
        ]
        settled(instance, [*events, sold(1, 50), sold(0.5, 30)])
        certified(instance, "A1", 100)
        certified(instance, "A2", 100)
        scanned(instance, BOX, visitors=400, networks=30)
        while instance.consume("radar", NOW + timedelta(minutes=10)):
            continue
        add_person(instance, "wu", "official", department="agriculture", regions=("331024",))
        cases = [identity for (identity,) in instance.rows("SELECT id FROM finding ORDER BY kind")]
        with served(instance, AT) as server, signed_in(server, "wu") as client:
            yield Office(server, session_of(client), tuple(cases))


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
def test_every_page_is_well_made(
    browser: Browser, office: Office, language: Language, scheme: Scheme, width: int
) -> None:
    paths = [
        "/audit/findings",
        "/audit/findings?kind=no_cull&standing=closed",
        *(f"/audit/findings/{each}" for each in office.cases),
    ]
    assert len(office.cases) == 7
    with window(
        browser, office.server, session=office.wu, language=language, width=width, scheme=scheme
    ) as page:
        for path in paths:
            page.goto(path)
            assert page.locator("h1").count() == 1
            assert_well_made(page, width)


def test_from_the_list_to_an_explanation(browser: Browser, office: Office) -> None:
    words = Words("zh")
    with window(browser, office.server, session=office.wu, width=390) as page:
        page.goto("/audit")
        page.click(f"text={words('finding_title')}")
        page.locator("tr", has_text=words("finding_kind_outputs_over_inputs")).locator("a.open").click()
        assert page.locator("td.code", has_text=run()["eventID"]).count() == 1
        page.check("input[name=says][value=explained]")
        page.fill("textarea[name=comment]", "问过包装间：一筐投入没有记")
        page.click("form[action$='/words'] button")
        page.wait_for_selector(".answers >> text=问过包装间：一筐投入没有记")
        assert page.locator(".case-line .chip").inner_text() == words("finding_is_explained")
        page.goto("/audit/findings")
        assert page.locator("tr", has_text=words("finding_kind_outputs_over_inputs")).count() == 0
