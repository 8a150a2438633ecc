"""The page of a trace in real Chromium: the picture, the table, the direction, and what was known then."""

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
from tests.integration.lines import REGISTRY
from tests.integration.test_chain import LOGGER, NOW, by_mqtt_as_a_document
from tests.servers.session import Servers
from trace_api.words import Language, Words

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LOT = "01/09521234000204/10/DK260618A"
PALLET = "00/095212340000000105"
LATER = NOW + timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Place:
    server: httpx.Client
    packer: str


@pytest.fixture(scope="module")
def place(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with servers.template("plain").clone() as database:
        instance = Instance(database, tmp_path_factory.mktemp("traces"))
        instance.register(REGISTRY | {"devices": [*REGISTRY["devices"], LOGGER]})
        by_mqtt_as_a_document(instance)
        instance.settle(NOW)
        add_person(instance, "packer", "packer", organisation="coop")
        with served(instance, LATER) as server, signed_in(server, "packer") as client:
            yield Place(server, session_of(client))


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
def test_the_page_is_well_made(
    browser: Browser, place: Place, language: Language, scheme: Scheme, width: int
) -> None:
    paths = [
        f"/trace/{LOT}",
        f"/trace/{PALLET}?direction=back",
        f"/trace/{LOT}?as_of=2026-06-24T08:00&limit=3",
        "/trace/01/09521234000204/10/NONE",
    ]
    for session in (None, place.packer):
        settings = {"language": language, "width": width, "scheme": scheme}
        with window(browser, place.server, session=session, refusals=(404,), **settings) as page:  # type: ignore[arg-type]
            for path in paths:
                page.goto(path)
                assert page.locator("h1").count() == 1
                assert_well_made(page, width)


def test_the_picture_leads_from_thing_to_thing_and_the_switch_turns_it(
    browser: Browser, place: Place
) -> None:
    words = Words("en")
    with window(browser, place.server, language="en", width=1280, script=False) as page:
        page.goto(f"/trace/{LOT}")
        picture = page.locator("main svg[role=group]")
        assert picture.locator("text", has_text="DK260618A").count() >= 1
        assert picture.locator("title").first.text_content() == words("trace_picture_title", name="DK260618A")
        rows = page.locator("tbody tr")
        both = rows.count()
        page.select_option("select[name=direction]", "back")
        page.get_by_role("button", name=words("trace_show")).click()
        assert "direction=back" in page.url
        assert 0 < rows.count() <= both
        page.locator("main svg a", has_text="000105").first.click()
        assert page.url.endswith(f"/trace/{PALLET}")


def test_what_was_known_then_is_said_and_leads_back_to_now(browser: Browser, place: Place) -> None:
    words = Words("zh")
    with window(browser, place.server, language="zh", refusals=(400, 404)) as page:
        page.goto(f"/trace/{LOT}?as_of=2026-06-24T08:00")
        assert page.get_by_text(words("trace_then_note")).is_visible()
        page.get_by_role("link", name=words("trace_today")).click()
        assert "as_of" not in page.url
        page.goto(f"/trace/{LOT}?as_of=2026-06-18T08:00")  # nothing had been recorded
        assert page.locator("h1").count() == 1
        page.goto(f"/trace/{LOT}?as_of=soon")
        assert page.get_by_text(words("trace_bad_moment")).first.is_visible()


def test_the_picture_is_a_file_and_an_answer_of_the_api(place: Place) -> None:
    alone = place.server.get(f"/trace/{LOT}?format=svg&lang=zh")
    told = place.server.get(
        f"/api/v1/lots/{LOT}/trace", headers={"Accept": "image/svg+xml", "Accept-Language": "zh"}
    )
    for answer in (alone, told):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/svg+xml"
        assert "'unsafe-inline'" in answer.headers["content-security-policy"]
        assert "批次" in answer.text
    assert place.server.get(f"/api/v1/lots/{LOT}/trace").headers["content-type"] == "application/json"
