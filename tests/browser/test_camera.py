"""Codes by camera, where the browser can: read into the field and sent. Elsewhere there is no button, and typing works.

Headless Chromium has no BarcodeDetector and no camera, so both are put in its place at the browser's own interface: the page's
script is the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.browser.working import assert_well_made, session_of, window
from tests.integration.lines import NOW
from tests.integration.said import REGISTRY
from tests.servers.databases import Database
from tests.servers.waiting import wait_until
from trace_api.words import Words

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.editions("plain")

CODE = "https://id.gs1.org/01/09521234000204/10/NEVER"
DETECTOR = """
window.BarcodeDetector = class {
  static async getSupportedFormats() { return ["qr_code", "code_128"]; }
  constructor({ formats }) { if (!formats.includes("qr_code")) throw new Error("no formats"); }
  async detect() { window.looked = (window.looked ?? 0) + 1; return window.looked < 3 ? [] : [{ rawValue: "CODE" }]; }
};
""".replace("CODE", CODE)
CAMERA = """
navigator.mediaDevices.getUserMedia = async () => {
  const picture = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  picture.getContext("2d").fillRect(0, 0, 64, 48);
  window.stream = picture.captureStream(10);
  return window.stream;
};
"""
REFUSED = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotAllowedError"); };
"""
BLIND = DETECTOR.replace("window.looked < 3 ? []", "window.looked > 0 ? []")


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


BUTTON = "button[data-camera]"


def test_a_code_in_the_picture_is_read_and_sent(browser: Browser, server: httpx.Client, session: str) -> None:
    with window(browser, server, session=session, before=DETECTOR + CAMERA, refusals=(404,)) as page:
        page.goto("/scan")
        assert page.locator(BUTTON).is_visible()
        assert_well_made(page, 390)
        page.click(BUTTON)
        page.wait_for_url("**/scan/find?*")
        assert page.input_value("input[name=code]") in (CODE, "") and "NEVER" in page.url


def test_closing_the_camera_stops_it(browser: Browser, server: httpx.Client, session: str) -> None:
    with window(browser, server, session=session, before=BLIND + CAMERA) as page:
        page.goto("/scan")
        page.click(BUTTON)
        assert wait_until(lambda: page.evaluate("window.looked > 1"), 10)
        assert page.locator("#camera").is_visible()
        assert_well_made(page, 390)
        page.click("[data-camera-close]")
        ended = "window.stream.getTracks().every((track) => track.readyState === 'ended')"
        assert wait_until(lambda: page.evaluate(ended), 10)
        assert not page.locator("#camera").is_visible()
        assert page.input_value("input[name=code]") == ""


def test_a_camera_that_is_refused_is_said(browser: Browser, server: httpx.Client, session: str) -> None:
    with window(browser, server, session=session, language="en", before=DETECTOR + REFUSED) as page:
        page.goto("/scan")
        page.click(BUTTON)
        said = Words("en")("work_camera_refused")
        assert wait_until(lambda: page.inner_text("#camera-said") == said, 10)
        page.click("[data-camera-close]")
        assert not page.locator("#camera").is_visible()


@pytest.mark.parametrize("script", [True, False], ids=["no-detector", "no-script"])
def test_without_one_there_is_no_button_and_a_hand_scanner_types(
    browser: Browser, server: httpx.Client, session: str, script: bool
) -> None:
    with window(browser, server, session=session, script=script, refusals=(404,)) as page:
        page.goto("/scan")
        assert not page.locator(BUTTON).is_visible()
        page.focus("input[name=code]")
        page.keyboard.type(CODE)
        page.keyboard.press("Enter")
        page.wait_for_url("**/scan/find?*")
        assert "NEVER" in page.url
