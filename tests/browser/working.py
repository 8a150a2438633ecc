"""What the browser tests of the working pages share: a window as its user has it, and what every page is held to.

A page is opened from the real server. Whatever the browser complains of, and every request to another host, fails the test
when the window closes; the answers that a test expects to be refusals are told beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import pytest

from trace_api.accounts.guard import COOKIE
from trace_api.words import Language
from trace_api.work import LANGUAGE_COOKIE

if TYPE_CHECKING:
    import httpx
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

WIDTHS = (390, 1280)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
# Each pair of language, light and width once; all eight would show no more.
LOOKS: tuple[tuple[Language, Scheme, int], ...] = (
    ("zh", "light", 390),
    ("zh", "dark", 1280),
    ("en", "dark", 390),
    ("en", "light", 1280),
)


@contextmanager
def window(
    browser: Browser,
    server: httpx.Client,
    *,
    session: str | None = None,
    language: Language = "zh",
    width: int = 390,
    scheme: Scheme = "light",
    script: bool = True,
    refusals: tuple[int, ...] = (),
    before: str | None = None,
) -> Iterator[Page]:
    """A window with a session (the cookie of a client that has signed in) or without one. `refusals`: the statuses that pages
    will be answered with, which the browser writes to its console. `before`: a script that each page begins with."""
    url = str(server.base_url).rstrip("/")
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": 844},
        color_scheme=scheme,
        java_script_enabled=script,
        locale="zh-CN" if language == "zh" else "en-GB",
    )
    context.set_default_timeout(30_000)
    if before is not None:
        context.add_init_script(before)
    _remember(context, url, session, language)
    strange: list[str] = []
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        expected = any(f"status of {status} " in message.text for status in refusals)
        if message.type in ("error", "warning") and not expected:
            complaints.append(message.text)

    def asked(request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(url).netloc:
            strange.append(request.url)

    try:
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", asked)
        yield page
    finally:
        context.close()
    assert strange == [], strange
    assert complaints == [], complaints


def _remember(context: BrowserContext, url: str, session: str | None, language: Language) -> None:
    cookies = {LANGUAGE_COOKIE: language} | ({} if session is None else {COOKIE: session})
    context.add_cookies([{"name": name, "value": value, "url": url} for name, value in cookies.items()])


def session_of(client: httpx.Client) -> str:
    """The session of a client of `signed_in`, for a window."""
    return str(client.cookies[COOKIE])


def assert_well_made(page: Page, width: int) -> None:
    """What every working page is held to: it fits, can be tapped, and axe finds nothing."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{page.url} scrolls sideways"
    for what, found in (
        ("reaches beyond the window", page.evaluate(_WIDER)),
        ("is too small to tap", page.evaluate(_TOO_SMALL)),
        ("axe", axe_problems(page)),
    ):
        assert not found, f"{page.url}, {what}: {found}"


# What reaches beyond the window, outside of what is made to be scrolled.
_WIDER = """() => [...document.querySelectorAll("body *")]
  .filter((e) => !e.closest(".scroll, caption, .skip, .unseen, dialog") && e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => e.outerHTML.slice(0, 120))"""

# What is to be tapped is at least 44 px high, links within a sentence aside.
_TOO_SMALL = """() => [...document.querySelectorAll("button, input:not([type=hidden]), select, textarea, summary, .button, nav a, label.option")]
  .filter((e) => e.checkVisibility() && !e.closest("label.option input, .option > input") && e.type !== "checkbox" && e.type !== "radio")
  .filter((e) => e.getBoundingClientRect().height < 43.5)
  .map((e) => e.outerHTML.slice(0, 120))"""


# The first four rows of each make are looked at, in a table of hundreds that differ in nothing but their text; what the
# style sheets say is not fetched again for axe's experimental rules, which are off.
_AXE = """async () => {
  for (const table of document.querySelectorAll("table")) {
    const seen = new Map();
    for (const row of table.rows) {
      const make = row.outerHTML.replace(/>[^<]*</g, "><");
      seen.set(make, (seen.get(make) ?? 0) + 1);
      row.toggleAttribute("data-alike", seen.get(make) > 4);
    }
  }
  const wanted = { resultTypes: ["violations"], preload: { assets: ["media"] } };
  return (await axe.run({ exclude: ["[data-alike]"] }, wanted)).violations;
}"""


def axe_problems(page: Page) -> list[tuple[str, str, str]]:
    """Rule, element and what is wrong with it."""
    axe = pytest.importorskip("axe_playwright_python.base")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.evaluate(axe.AXE_SCRIPT)
    return [
        (each["id"], node["html"][:160], node["failureSummary"][:300])
        for each in page.evaluate(_AXE)
        for node in each["nodes"]
    ]
