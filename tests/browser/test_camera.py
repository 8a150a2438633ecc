"""Codes by camera: Chromium's own camera shows a film of a printed label, and the page's decoder reads it.

The film is what a phone sees when somebody walks up to a box: nothing yet, then the label. Where no live picture can be had
(refused, or a page without https), a photograph does; without JavaScript there is no button, and typing works.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pypdfium2
import pytest
from PIL import Image

from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.browser.working import assert_well_made, session_of, window
from tests.integration.lines import NOW
from tests.integration.said import REGISTRY
from tests.servers.databases import Database
from tests.servers.session import Servers
from tests.servers.waiting import wait_until
from trace_api.papers.labels import Label, labels_pdf
from trace_api.words import Words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.editions("plain")

CODE = "https://id.gs1.org/01/09521234000204/10/NEVER"
BUTTON = "button[data-camera]"
WIDTH, HEIGHT = 640, 480


def printed() -> Image.Image:
    """A box's label as a thermal printer at 203 dpi leaves it."""
    label = Label(CODE, "东魁杨梅 2 kg", ("批次", "NEVER"), (("重量", "2 kg"),), "仙居")
    pdf = labels_pdf([label], "60x40", "label", datetime(2026, 6, 18, tzinfo=UTC))
    return pypdfium2.PdfDocument(pdf)[0].render(scale=203 / 72).to_pil().convert("L")


def seen(picture: Image.Image) -> Image.Image:
    """On a grey table, a little askew."""
    table = Image.new("L", (WIDTH, HEIGHT), 120)
    turned = picture.resize((420, 280)).rotate(7, expand=True, fillcolor=120)
    table.paste(turned, ((WIDTH - turned.width) // 2, (HEIGHT - turned.height) // 2))
    return table


def film(path: Path, pictures: list[Image.Image]) -> Path:
    """YUV4MPEG2, grey, ten pictures a second."""
    chroma = np.full((WIDTH // 2) * (HEIGHT // 2) * 2, 128, np.uint8).tobytes()
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\n" % (WIDTH, HEIGHT))
        for picture in pictures:
            file.write(b"FRAME\n" + picture.tobytes() + chroma)
    return path


@pytest.fixture(scope="module")
def browser(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium with a camera that sees the film; a page has to be allowed to use it."""
    from tests.servers.chromium import chromium_browser

    table = Image.new("L", (WIDTH, HEIGHT), 120)
    shown = film(tmp_path_factory.mktemp("film") / "label.y4m", [table] * 5 + [seen(printed())] * 10)
    with ExitStack() as stack:
        yield servers.enter(
            stack,
            "chromium with a camera",
            lambda logs: chromium_browser(
                logs, "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={shown}"
            ),
        )


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Iterator[httpx.Client]:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    add_person(instance, "lin", "packer", organisation="coop")
    with served(instance, NOW) as client:
        yield client


@pytest.fixture
def session(server: httpx.Client) -> Iterator[str]:
    with signed_in(server, "lin") as lin:
        yield session_of(lin)


def allow(page: Page) -> None:
    page.context.grant_permissions(["camera"])


def photograph(picture: Image.Image) -> dict[str, object]:
    held = io.BytesIO()
    picture.save(held, "PNG")
    return {"name": "label.png", "mimeType": "image/png", "buffer": held.getvalue()}


def said(page: Page, sentence: str, language: str = "zh") -> bool:
    words = Words("en" if language == "en" else "zh")
    return wait_until(lambda: page.inner_text("#camera-said") == words(sentence), 20)


def test_a_printed_label_in_the_live_picture_is_read_and_sent(
    browser: Browser, server: httpx.Client, session: str
) -> None:
    with window(browser, server, session=session, refusals=(404,)) as page:
        allow(page)
        page.goto("/scan")
        assert page.locator(BUTTON).is_visible()
        assert_well_made(page, 390)
        page.click(BUTTON)
        page.wait_for_url("**/scan/find?*", timeout=30_000)
        assert "NEVER" in page.url


def test_closing_lets_the_camera_go_also_before_the_decoder_has_come(
    browser: Browser, server: httpx.Client, session: str
) -> None:
    held: list[Route] = []
    with window(browser, server, session=session) as page:
        allow(page)
        page.route("**/web/reader-*.js", lambda route: held.append(route))
        page.goto("/scan")
        page.click(BUTTON)
        assert wait_until(lambda: page.evaluate("document.querySelector('#camera-view').videoWidth > 0"), 20)
        page.evaluate("window.stream = document.querySelector('#camera-view').srcObject")
        assert page.locator("#camera").is_visible() and said(page, "work_camera_wait")
        assert_well_made(page, 390)
        page.click("[data-camera-close]")
        ended = "window.stream.getTracks().every((track) => track.readyState === 'ended')"
        assert wait_until(lambda: page.evaluate(ended), 10)
        assert not page.locator("#camera").is_visible()
        for route in held:
            route.continue_()
        page.wait_for_load_state("networkidle")
        assert page.input_value("input[name=code]") == "" and page.url.endswith("/scan")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_where_the_camera_is_refused_a_photograph_does(
    browser: Browser, server: httpx.Client, session: str, language: str
) -> None:
    with window(
        browser, server, session=session, language="en" if language == "en" else "zh", refusals=(404,)
    ) as page:
        page.goto("/scan")
        page.click(BUTTON)
        assert said(page, "work_camera_refused", language)
        assert_well_made(page, 390)
        page.set_input_files("#camera-photo", photograph(Image.new("L", (1200, 900), 90)))
        assert said(page, "work_camera_unread", language)
        page.set_input_files("#camera-photo", photograph(seen(printed()).rotate(90, expand=True)))
        page.wait_for_url("**/scan/find?*", timeout=30_000)
        assert "NEVER" in page.url


def test_a_decoder_that_cannot_be_fetched_is_said(
    browser: Browser, server: httpx.Client, session: str
) -> None:
    with window(browser, server, session=session, refusals=(503,)) as page:
        allow(page)
        page.route("**/web/reader-*.js", lambda route: route.fulfill(status=503))
        page.goto("/scan")
        page.click(BUTTON)
        assert said(page, "work_camera_away")


def test_without_javascript_there_is_no_button_and_a_hand_scanner_types(
    browser: Browser, server: httpx.Client, session: str
) -> None:
    with window(browser, server, session=session, script=False, refusals=(404,)) as page:
        page.goto("/scan")
        assert not page.locator(BUTTON).is_visible()
        page.focus("input[name=code]")
        page.keyboard.type(CODE)
        page.keyboard.press("Enter")
        page.wait_for_url("**/scan/find?*")
        assert "NEVER" in page.url
