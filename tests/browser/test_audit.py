"""The official's pages in real Chromium: found, filtered, followed down to the readings, carried away as a file and a proof."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from deploy.verification import HOLDS, verify_file
from simulators.world import World
from tests.acceptance.instance import Instance, handed_over
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.browser.working import LOOKS, WIDTHS, Scheme, assert_well_made, session_of, window
from tests.servers.session import Servers
from trace_api.words import Language, Words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SEED = 20260618
START = datetime(2026, 6, 18, tzinfo=UTC)
AT = START + timedelta(hours=30)


@dataclass(frozen=True, slots=True)
class Office:
    """`xianju`, `hangzhou`, `shanghai`: sessions of officials. `warm`: the number of the failing truck's breach."""

    instance: Instance
    server: httpx.Client
    xianju: str
    hangzhou: str
    shanghai: str
    warm: int


@pytest.fixture(scope="module")
def office(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    world = World(SEED, START)
    with servers.template("plain").clone() as database:
        instance = Instance(database, tmp_path_factory.mktemp("office"))
        instance.register(world.registry())
        worker, messages = instance.worker(), handed_over(world.messages(AT - timedelta(minutes=5)))
        for first in range(0, len(messages), 1500):
            instance.take(messages[first : first + 1500], AT, worker)
        instance.settle(AT)
        people = {
            "xianju": ("agriculture", "331024"),
            "hangzhou": ("market_regulation", "3301"),
            "shanghai": ("market_regulation", "31"),
        }
        for login, (department, region) in people.items():
            add_person(instance, login, "official", department=department, regions=(region,))
        warm = instance.one("SELECT excursion.id FROM excursion JOIN series ON series.id = series_id JOIN device ON device.id = device_id"
                            " WHERE external_id = 'truck-2' AND state IN ('open', 'closed')")  # fmt: skip
        with served(instance, AT) as server:
            sessions = {}
            for login in people:
                with signed_in(server, login) as client:
                    sessions[login] = session_of(client)
            yield Office(instance, server, **sessions, warm=int(warm))


def numbers(page: Page) -> list[int]:
    """Of the breaches on the page, in its order."""
    return [
        int(link.rpartition("/")[2])
        for link in page.eval_on_selector_all("a.open", "all => all.map(each => each.getAttribute('href'))")
    ]


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
def test_every_page_is_well_made(
    browser: Browser, office: Office, language: Language, scheme: Scheme, width: int
) -> None:
    paths = ["/audit", "/audit?order=worst&text=31", "/audit?from=nonsense", "/audit?state=void", "/audit/duties", f"/audit/excursions/{office.warm}",
             "/audit/excursions/999999"]  # fmt: skip
    settings = {"language": language, "width": width, "scheme": scheme}
    with window(browser, office.server, session=office.hangzhou, refusals=(404,), **settings) as page:
        for path in paths:
            page.goto(path)
            assert page.locator("h1").count() == 1
            assert_well_made(page, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_worst_first_then_down_to_the_readings(browser: Browser, office: Office, width: int) -> None:
    words = Words("zh")
    with window(browser, office.server, session=office.hangzhou, width=width) as page:
        page.goto("/audit")
        newest = numbers(page)
        page.click(f"text={words('audit_order_worst')}")
        assert sorted(numbers(page)) == sorted(newest) and numbers(page)[0] == office.warm
        assert page.locator("tbody tr").first.locator("td", has_text="0%").count() == 1, (
            "the unobserved share stands beside it"
        )
        page.click(f"text={words('audit_see', id=office.warm)}")
        assert page.locator(".chart:visible").count() == 1, "the size that fits"
        assert (
            page.locator(".chart:visible path.above").count() >= 1
            and page.locator(".chart:visible line.limit").count() >= 1
        )
        hour = page.locator("details.data").nth(1)
        hour.locator("summary").click()
        assert hour.locator("tbody tr").count() == 60, "each minute"
        assert page.locator(".answer").count() >= 14
        page.click(f"text={words('audit_case_back')}")
        assert page.url.endswith("/audit")


def test_a_filter_is_an_address_that_can_be_sent_on(browser: Browser, office: Office) -> None:
    with window(browser, office.server, session=office.hangzhou, width=1280) as page:
        page.goto("/audit")
        every = numbers(page)
        page.click("details.filter > summary")
        page.select_option("#f-holder", "carrier-1")
        page.click("form.filters button[type=submit]")
        narrowed, address = numbers(page), page.url
        assert "holder=carrier-1" in address and 0 < len(narrowed) < len(every)
    with window(browser, office.server, session=office.hangzhou, width=1280, script=False) as page:
        page.goto(address)
        assert numbers(page) == narrowed, "without JavaScript too"
        page.click("details.filter a.button")
        assert numbers(page) == every


def test_what_is_exported_is_what_was_listed(browser: Browser, office: Office) -> None:
    with window(browser, office.server, session=office.xianju, width=1280) as page:
        page.goto("/audit?order=worst")
        with page.expect_download() as started:
            page.click("a.button[href*='.csv']")
        content = Path(started.value.path()).read_bytes()
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        head = rows.index([]) + 1
        assert [int(row[0]) for row in rows[head + 1 :]] == numbers(page)
        page.goto("/audit/duties")
        listed = page.locator("tbody[role=rowgroup] tr").count()
        with page.expect_download() as started:
            page.click("a.button[href*='.xlsx']")
        assert started.value.suggested_filename.endswith(".xlsx") and listed > 0


def test_the_evidence_that_an_official_downloads_holds(
    browser: Browser, office: Office, tmp_path: Path
) -> None:
    with window(browser, office.server, session=office.xianju) as page:
        page.goto(f"/audit/excursions/{office.warm}")
        with page.expect_download() as started:
            page.click("a.button[href$='/proof']")
        file = tmp_path / started.value.suggested_filename
        started.value.save_as(file)
    keys = [office.instance.log(name).vkey for name in ("carrier-2", "root")]
    assert verify_file(file, keys, as_json=True, say=lambda _text: None) == HOLDS


def test_another_provinces_official_sees_an_empty_list_and_no_number(
    browser: Browser, office: Office
) -> None:
    with window(browser, office.server, session=office.shanghai, refusals=(404,)) as page:
        page.goto("/audit")
        assert numbers(page) == [] and Words("zh")("audit_none") in page.inner_text("main")
        page.goto(f"/audit/excursions/{office.warm}")
        assert Words("zh")("audit_missing_title") in page.inner_text("h1")


def test_a_duty_shows_what_it_rests_on(browser: Browser, office: Office) -> None:
    words = Words("zh")
    with window(browser, office.server, session=office.hangzhou, width=1280) as page:
        page.goto("/audit/duties?kind=calibration")
        rows = page.locator("tbody[role=rowgroup] tr")
        assert rows.count() > 0
        lapsed = rows.filter(has_text="stall-1").first
        assert words("audit_basis_of_policy") in lapsed.inner_text()
        lapsed.locator("summary").click()
        assert "stall-1" in lapsed.locator("details li").first.inner_text()
