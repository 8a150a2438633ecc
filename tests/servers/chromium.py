"""Chromium, headless, driven by Playwright.

Place in the line: the `browser` fixture in `tests/conftest.py`.
Contract: the machine's own Chromium, never one that Playwright would download; it speaks to nobody but the
pages that a test opens. On Debian as root it and a font with Chinese in it are installed if they are missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.servers import ServerUnavailable, apt
from tests.servers.folders import session_folder

_NAMES = ("chromium", "chromium-browser", "google-chrome")

# No sandbox of its own: Chromium's refuses root, and the pages are ours. The rest keeps it from calling home.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_path(logs: Path) -> str:
    """Where Chromium is: `CHROMIUM`, the PATH, or freshly installed. Raises ServerUnavailable where there is
    none."""
    missing = [] if chinese_font() else ["fonts-noto-cjk"]
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        missing.append("chromium")
    if missing and apt.on_debian_as_root():
        apt.install(missing, logs / "chromium.log")
        found = found or shutil.which("chromium")
    if not found:
        raise ServerUnavailable(
            "Chromium: not on the PATH, CHROMIUM names none, and we are not root on Debian"
        )
    return found


def chinese_font() -> bool:
    """Without one a page still passes every test of its text, but its picture shows boxes."""
    if not shutil.which("fc-list"):
        return False
    return bool(subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True).stdout.strip())


@contextmanager
def chromium_browser(logs: Path, *further: str) -> Iterator[Browser]:
    """A browser for the session; a test opens its own context in it, which starts without cookies or
    cache. `further`: arguments beside ours."""
    path = chromium_path(logs)
    # Playwright makes the profile's folder under TMPDIR; kept apart, so that it goes even if Chromium is
    # killed.
    with (
        session_folder() as temporary,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=path, args=[*ARGUMENTS, *further], env={**os.environ, "TMPDIR": str(temporary)}
        )
        try:
            yield browser
        finally:
            browser.close()
