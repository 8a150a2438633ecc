"""The pages in real Chromium: readable at every width, language and light, and a proof that is checked or refused.

Nothing is served: each request of the page is answered here, so that one to anywhere else is seen, and so that the same
page can be had over `https` (WebCrypto is there) and over plain `http` (it is not), as a phone in a market has it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from ledger.evidence import verify_evidence
from ledger.translog.verify import VerifyError
from tests.browser.example_evidence import ORIGIN, SIGNER, anchored_evidence, example_evidence
from tests.unit.trace_api.example_story import (
    BARE_STORY,
    BOX_STORY,
    COMPLIANT,
    INDETERMINATE,
    LOT_STORY,
)
from trace_api import pages
from trace_api.story import Name, Story
from trace_api.words import CATALOGUES, LANGUAGES, Language

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Route

    from ledger.evidence_file import Relation

ENTRY_VECTORS = Path(__file__).parents[1] / "entry-v1" / "evidence.json"
HOST = "suyuan.test"
WIDTHS = (390, 1280)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

NO_ED25519 = """
if (typeof SubtleCrypto !== "undefined") {
  const real = SubtleCrypto.prototype.importKey;
  SubtleCrypto.prototype.importKey = function (format, key, algorithm, ...rest) {
    if ((algorithm.name ?? algorithm) === "Ed25519") {
      return Promise.reject(new DOMException("Unrecognized name.", "NotSupportedError"));
    }
    return real.call(this, format, key, algorithm, ...rest);
  };
}
"""

STORIES = {
    "box": BOX_STORY,
    "lot": LOT_STORY,
    "bare": BARE_STORY,
    "compliant": replace(BOX_STORY, judgement=COMPLIANT),
    "on-hold": replace(BOX_STORY, judgement=INDETERMINATE, on_hold=True),
}


@dataclass
class Shop:
    """Answers for the host: pages by path, built files, evidence. Keeps what was asked for in vain, and what was said."""

    pages: dict[str, str]
    evidence: str | None
    strange: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def answer(self, route: Route, request: Request) -> None:
        scheme, _, rest = request.url.partition("://")
        host, _, path = rest.partition("/")
        path = "/" + path.partition("?")[0]
        if host != HOST or scheme not in ("http", "https"):
            self.strange.append(request.url)
            route.abort()
        elif path in self.pages:
            route.fulfill(
                body=self.pages[path], content_type="text/html; charset=utf-8", headers=dict(pages.HEADERS)
            )
        elif path.startswith("/web/"):
            self._file(route, path.removeprefix("/web/"))
        elif path.endswith("/proof") and self.evidence is not None:
            route.fulfill(body=self.evidence, content_type="application/json")
        else:
            route.fulfill(status=404, body="{}", content_type="application/problem+json")

    def _file(self, route: Route, name: str) -> None:
        kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
        content = pages.built_files().joinpath(name).read_bytes()
        route.fulfill(body=content, content_type=kinds[name.rpartition(".")[2]])

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@contextmanager
def opened(
    browser: Browser, shop: Shop, path: str, *, width: int = 390, scheme: Scheme = "light", script: bool = True,
    secure: bool = True, before: str | None = None,
) -> Iterator[Page]:  # fmt: skip
    """`path` of the shop in a window of its own; afterwards nothing has gone elsewhere and nothing was complained of."""
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, java_script_enabled=script
    )
    context.route("**/*", shop.answer)
    if before:
        context.add_init_script(before)
    try:
        page = context.new_page()
        page.on("console", shop.heard)
        page.on("pageerror", lambda error: shop.complaints.append(str(error)))
        page.goto(f"{'https' if secure else 'http'}://{HOST}{path}")
        yield page
    finally:
        context.close()
    assert shop.strange == []
    assert shop.complaints == []


@pytest.fixture(scope="module")
def assets() -> pages.Assets:
    return pages.load_assets(f"https://{HOST}")


@pytest.fixture(scope="module")
def evidence() -> str:
    return example_evidence(BOX_STORY)


@pytest.fixture
def shop(assets: pages.Assets, evidence: str) -> Shop:
    served = {
        f"/{name}-{language}": pages.render_story(story, language, assets)
        for name, story in STORIES.items()
        for language in LANGUAGES
    }
    for language in LANGUAGES:
        samples = [
            pages.Sample(BOX_STORY.product, Name("箱 0017", "Box 0017"), "/01/09521234000204/10/DK260618A")
        ]
        missing = pages.Missing(
            "bad_identifier", "09521234000205", Name("校验位应为 4", "check digit: want 4")
        )
        served[f"/home-{language}"] = pages.render_home(samples, language, assets)
        served[f"/missing-{language}"] = pages.render_missing(missing, language, assets)
    return Shop(served, evidence)


def settled(page: Page) -> str:
    """The proof section's state, once it has one."""
    panel = page.locator("#proof-state:not([data-state=off]):not([data-state=working])")
    panel.wait_for(timeout=10_000)
    return panel.get_attribute("data-state") or ""


# What is seen ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_the_box_page_can_be_read(
    browser: Browser, shop: Shop, language: Language, scheme: Scheme, width: int, script: bool
) -> None:
    with opened(browser, shop, f"/box-{language}", width=width, scheme=scheme, script=script) as page:
        if script:
            assert settled(page) == "holds"
        else:
            assert page.locator("#proof-state").get_attribute("data-state") == "off"
        assert_fits(page, width)
        assert page.locator("svg.chart:visible").count() == 1
        assert page.locator(".step").count() == len(BOX_STORY.steps)


@pytest.mark.parametrize("name", ["lot", "bare", "compliant", "on-hold", "home", "missing"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_fits_a_phone(browser: Browser, shop: Shop, name: str, language: Language) -> None:
    with opened(browser, shop, f"/{name}-{language}", width=390) as page:
        if name not in ("bare", "home", "missing"):
            settled(page)
        assert_fits(page, 390)


def assert_fits(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDER_THAN_THE_PAGE) == []


WIDER_THAN_THE_PAGE = """() => [...document.querySelectorAll("main *, header *, footer *")]
  .filter((e) => !e.closest(".scroll, caption, template") && e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => e.outerHTML.slice(0, 120))"""


def test_chart_labels_keep_their_size_and_stay_apart_on_a_phone(browser: Browser, shop: Shop) -> None:
    with opened(browser, shop, "/box-en", width=390) as page:
        boxes = page.evaluate(
            """() => [...document.querySelectorAll("svg.chart-narrow text")].map((e) => {
                 const b = e.getBoundingClientRect();
                 return [b.left, b.top, b.right, b.bottom, e.textContent];
               })"""
        )
    assert len(boxes) > 15
    assert min(bottom - top for _, top, _, bottom, _ in boxes) >= 11
    for at, one in enumerate(boxes):
        for other in boxes[at + 1 :]:
            apart = (
                one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] + 2 or other[3] <= one[1] + 2
            )
            assert apart, f"{one[4]} and {other[4]} overlap"


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("box-zh", "light"),
        ("box-en", "dark"),
        ("lot-en", "light"),
        ("on-hold-zh", "dark"),
        ("home-zh", "dark"),
        ("missing-en", "light"),
    ],
)
def test_axe_finds_nothing(browser: Browser, shop: Shop, name: str, scheme: Scheme) -> None:
    axe = pytest.importorskip("axe_playwright_python.base")
    with opened(browser, shop, f"/{name}", width=390, scheme=scheme) as page:
        if page.locator("#proof-state").count():
            settled(page)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        page.evaluate(axe.AXE_SCRIPT)
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    problems = [
        (each["id"], node["html"][:160], node["failureSummary"][:300])
        for each in found["violations"]
        for node in each["nodes"]
    ]
    assert problems == []


def test_the_page_prints_whole(browser: Browser, shop: Shop) -> None:
    with opened(browser, shop, "/box-zh", width=1280) as page:
        settled(page)
        page.emulate_media(media="print")
        assert page.locator("svg.chart-wide").is_visible()
        assert not page.locator("nav").is_visible()
        assert page.locator("svg.qr").is_visible()
        assert len(page.pdf(format="A4")) > 10_000


# What is proven ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secure", "before", "method"),
    [(True, None, "WebCrypto"), (True, NO_ED25519, "@noble/curves"), (False, None, "@noble/curves")],
    ids=["webcrypto", "webcrypto-without-ed25519", "no-secure-context"],
)
def test_a_true_proof_holds(
    browser: Browser, shop: Shop, secure: bool, before: str | None, method: str
) -> None:
    with opened(browser, shop, "/box-en", secure=secure, before=before) as page:
        assert page.evaluate("isSecureContext") is secure
        assert settled(page) == "holds"
        panel = page.locator("#proof-state")
        assert method in panel.locator("[data-slot=method]").inner_text()
        assert panel.locator("[data-slot=events]").inner_text() == str(BOX_STORY.events_sealed)
        assert panel.locator("[data-slot=steps]").inner_text() == str(BOX_STORY.events_sealed)
        assert int(panel.locator("[data-slot=readings]").inner_text()) > 0
        assert panel.locator("[data-slot=logs]").inner_text() == ORIGIN
        assert page.locator(".step-sealed").count() == BOX_STORY.events_sealed
        assert panel.locator("[data-slot=own-key]").is_visible()


SEEN_AT = round(BOX_STORY.now.timestamp())


def clock_at(seconds: int) -> str:
    """A script that sets the device's clock."""
    return f"Date.now = () => {seconds * 1000};"


@pytest.mark.parametrize(
    ("relations", "sentence"),
    [(["authority", "operator"], "witness_seen"), (["operator"], "witness_alone"), ([], "witness_alone")],
    ids=["authority", "own-only", "none"],
)
def test_it_says_who_saw_the_root_log_and_when(
    browser: Browser, shop: Shop, relations: list[Relation], sentence: str
) -> None:
    shop.evidence = anchored_evidence(BOX_STORY, SEEN_AT, relations)
    with opened(browser, shop, "/box-en", before=clock_at(SEEN_AT + 59)) as page:
        assert settled(page) == "holds"
        assert page.locator("[data-slot=root]").inner_text() == "log.suyuan.example/root"
        assert page.locator("[data-slot=fresh]").is_visible()
        assert page.locator("[data-slot=stale]").count() == 0
        assert page.locator(".step-sealed").count() == BOX_STORY.events_sealed
        told = page.locator("#witnesses").inner_text()
        assert CATALOGUES["en"][sentence] in told
        assert page.locator("#witnesses li").count() == len(relations)
        for relation in relations:
            assert f"{relation} witness" in told
            assert CATALOGUES["en"][f"witness_relation_{relation}"] in told
        assert_fits(page, 390)


def test_a_root_log_that_is_not_fresh_is_said_not_to_be(browser: Browser, shop: Shop) -> None:
    shop.evidence = anchored_evidence(BOX_STORY, SEEN_AT, [])
    with opened(browser, shop, "/box-zh", before=clock_at(SEEN_AT + 61)) as page:
        assert settled(page) == "holds"
        assert page.locator("[data-slot=stale]").inner_text() == CATALOGUES["zh"]["proof_stale"]


def test_a_spoiled_cosignature_is_named_and_no_witness_is_believed(browser: Browser, shop: Shop) -> None:
    file = json.loads(anchored_evidence(BOX_STORY, SEEN_AT, ["authority"]))
    note = file["root"]["checkpoint"]
    file["root"]["checkpoint"] = note[:-8] + flipped(note[-8:])
    shop.evidence = json.dumps(file, ensure_ascii=False)
    with opened(browser, shop, "/box-en") as page:
        assert settled(page) == "broken"
        assert CATALOGUES["en"]["check_cosignature"] in page.locator("[data-slot=failures]").inner_text()
        assert page.locator("#witnesses li").count() == 0


def test_a_box_without_sealed_events_is_not_checked(
    browser: Browser, shop: Shop, assets: pages.Assets
) -> None:
    shop.pages["/unsealed"] = pages.render_story(replace(BOX_STORY, events_sealed=0), "en", assets)
    with opened(browser, shop, "/unsealed") as page:
        page.wait_for_load_state("networkidle")
        assert page.locator("#proof-state").get_attribute("data-state") == "off"
        assert page.locator("a[download]").count() == 0


Change = Callable[[dict[str, Any]], None]


def flipped(text: str) -> str:
    """The base64 text with one bit of its first byte changed."""
    return ("B" if text[0] == "A" else "A") + text[1:]


def set_to(*path: str | int, to: Callable[[Any], Any]) -> Change:
    def change(file: dict[str, Any]) -> None:
        holder: Any = file
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = to(holder[path[-1]])

    return change


MUTATIONS: dict[str, Change] = {
    "signature": set_to("logs", 0, "checkpoint", to=lambda note: note[:-8] + flipped(note[-8:])),
    "tree size": set_to("logs", 0, "checkpoint", to=lambda note: note.replace("\n19\n", "\n20\n")),
    "key": set_to("logs", 0, "vkey", to=lambda key: str(type(SIGNER).from_seed(ORIGIN, bytes(32)).verifier)),
    "entry": set_to("items", 0, "entry", to=lambda text: text[:40] + flipped(text[40:])),
    "inclusion proof": set_to("items", 3, "proof", 1, to=flipped),
    "index": set_to("items", 3, "index", to=lambda index: index + 1),
    "value of a field": set_to("items", 5, "fields", 1, "value", to=lambda value: "shipping"),
    "salt of a field": set_to("items", 5, "fields", 1, "salt", to=flipped),
    "withheld field": set_to("items", 5, "fields", 0, "hash", to=flipped),
    "a field left out": set_to("items", 5, "fields", to=lambda fields: fields[1:]),
    "reading": set_to("items", -1, "readings", 4, "value", to=lambda value: value - 0.01),
    "time of a reading": set_to("items", -1, "readings", 4, "time", to=lambda time: time + 1),
    "order of the stream": set_to("items", 1, to=lambda item: {**item, "index": 0}),
    "unknown member": lambda file: file.update(comment="all is well"),
    "items": lambda file: file.update(items=[]),
}


@pytest.mark.parametrize("secure", [True, False], ids=["webcrypto", "library"])
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_changed_proof_does_not_hold(
    browser: Browser, shop: Shop, evidence: str, name: str, secure: bool
) -> None:
    file = json.loads(evidence)
    MUTATIONS[name](file)
    shop.evidence = json.dumps(file, ensure_ascii=False)
    assert json.loads(shop.evidence) != json.loads(evidence)
    assert not holds_in_python(shop.evidence)
    with opened(browser, shop, "/box-zh", secure=secure) as page:
        assert settled(page) == "broken"
        assert page.locator("[data-slot=failures] li").count() >= 1
        assert page.locator(".step-sealed").count() == 0
        assert "undefined" not in page.locator("#proof-state").inner_text()


def holds_in_python(file: str) -> bool:
    """What `suyuan verify` says of the same file."""
    try:
        return verify_evidence(file).verified
    except VerifyError:
        return False


def test_the_example_holds_in_python_too(evidence: str) -> None:
    assert holds_in_python(evidence)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format":1,"format":1}', "\ufeff{}", "[" * 10_000])
def test_what_is_no_evidence_does_not_hold(browser: Browser, shop: Shop, text: str) -> None:
    shop.evidence = text
    with opened(browser, shop, "/box-en") as page:
        assert settled(page) == "broken"


def test_evidence_that_cannot_be_fetched_says_nothing_either_way(
    browser: Browser, shop: Shop, evidence: str
) -> None:
    shop.evidence = None
    with opened(browser, shop, "/box-en") as page:
        assert settled(page) == "failed"
        assert "could not be fetched" in page.locator("#proof-state").inner_text()
        shop.evidence = evidence
        page.get_by_role("button", name="Check again").click()
        page.locator("#proof-state[data-state=holds]").wait_for()
        shop.complaints = [text for text in shop.complaints if "404" not in text]


def test_true_evidence_of_another_lot_is_not_held_against_this_page(
    browser: Browser, shop: Shop, assets: pages.Assets
) -> None:
    other: Story = replace(BOX_STORY, lot="DK260619A")
    shop.pages["/other"] = pages.render_story(other, "en", assets)
    with opened(browser, shop, "/other") as page:
        assert settled(page) == "failed"
        assert "does not name this lot" in page.locator("#proof-state").inner_text()


# What another verifier says ------------------------------------------------------------------------------------------------

CHECK_IN_PAGE = """async ([script, cases, trusted]) => {
  const { verifyEvidence, VerifyError } = await import(script);
  const outcomes = [];
  for (const text of cases) {
    try {
      const report = await verifyEvidence(text, trusted);
      const failed = report.checks.filter((check) => check.state === "failed");
      const names = failed.map((check) => (check.item === null ? check.name : `${check.item} ${check.name}`));
      outcomes.push({ readable: true, failed: names, verified: report.verified });
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      outcomes.push({ readable: false, failed: [], verified: false });
    }
  }
  return outcomes;
}"""


@pytest.mark.parametrize("secure", [True, False], ids=["webcrypto", "library"])
def test_it_agrees_with_the_vectors_of_entry_version_1(
    browser: Browser, shop: Shop, assets: pages.Assets, secure: bool
) -> None:
    vectors = json.loads(ENTRY_VECTORS.read_text())
    good = vectors["evidence"]
    cases = [good, *(patched(good, case) for case in vectors["cases"])]
    wants = [vectors["want"], *vectors["cases"]]
    texts = [json.dumps(case, ensure_ascii=False) for case in cases]
    with opened(browser, shop, "/home-en", secure=secure) as page:
        outcomes = page.evaluate(CHECK_IN_PAGE, [assets.script, texts, vectors["trusted"]])
    assert outcomes[0]["verified"]
    for want, outcome in zip(wants, outcomes, strict=True):
        name = want.get("name", "good")
        assert (outcome["readable"], outcome["failed"]) == (want["readable"], want["failed"]), name
    assert len(outcomes) >= 35


def patched(value: Any, case: dict[str, Any]) -> Any:
    """A copy of `value` with one operation of RFC 6902 done."""
    root = json.loads(json.dumps(value))
    *parents, last = case["path"].split("/")[1:]
    holder = root
    for step in parents:
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    at: Any = int(last) if isinstance(holder, list) else last
    if case["op"] == "remove":
        del holder[at]
    elif case["op"] == "add" and isinstance(holder, list):
        holder.insert(at, case["value"])
    else:
        holder[at] = case["value"]
    return root
