"""The evidence page in real Chromium: opened from a file with the network off, it accepts what is true, names what is not,
and cannot be made to run, ask or hang by what it carries.

The cases are the vectors of version 2, so that this page and `suyuan verify` say the same of each.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from ledger.evidence import verify_evidence
from ledger.translog.cosignature import Cosigner
from tests.browser.test_page import NO_ED25519, patched
from tests.browser.working import LOOKS, Scheme, axe_problems
from trace_api import evidence_page, pages
from trace_api.words import CATALOGUES, Language

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "entry-v1" / "evidence-v2.json").read_text(encoding="utf-8")
)
GOOD = json.dumps(VECTORS["evidence"], ensure_ascii=False)
STATEMENT: dict[str, Any] = {
    "format": "suyuan-statement/v1",
    "made_at": 1_782_010_900_000,
    "about": {"zh": "这批杨梅在冷藏车上的温度。", "en": "The temperature of this lot in the reefer."},
    "lines": [
        {"id": "custody", "state": "held", "zh": "自入日志未改。", "en": "Unchanged.", "law": [], "proof": "check:checkpoint"},
        {"id": "erasure", "state": "held", "zh": "没有删除。", "en": "None.", "law": [], "proof": "check:nothing_such"},
        {"id": "source", "state": "held", "zh": "设备自动上报。", "en": "Reported by the device.",
         "law": ["人民法院在线诉讼规则 Art. 16"], "proof": "item:1"},
        {"id": "witnesses", "state": "held", "zh": "一家见证方。", "en": "One witness.", "law": [], "proof": "check:cosignature"},
        {"id": "calibration", "state": "not_recorded", "zh": "没有校准记录。", "en": "No calibration.", "law": [], "proof": None},
        {"id": "dependence", "state": "not_held", "zh": "没有说明。", "en": "Not said.", "law": [], "proof": None},
    ],
}  # fmt: skip

# The named faults that the page has to refuse, each under its own name.
ASKED_FOR = {
    "reading", "salt", "inner path", "window entry", "outer path", "index", "size", "root", "origin", "signature", "key id",
    "cosignature", "its time", "rule", "verdict", "event field", "missing range", "stream link", "truncated file",
    "foreign checkpoint",
}  # fmt: skip

METHODS = pytest.mark.parametrize("before", [None, NO_ED25519], ids=["webcrypto", "library"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@contextmanager
def window(
    browser: Browser, *, width: int = 390, scheme: Scheme = "light", before: str | None = None, script: bool = True
) -> Iterator[BrowserContext]:  # fmt: skip
    """A window without a network. Afterwards nothing but files was asked for, and nothing was complained of."""
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme=scheme,
        offline=True,
        java_script_enabled=script,
    )
    context.set_default_timeout(10_000)
    if before is not None:
        context.add_init_script(before)
    asked: list[str] = []
    complaints: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("console", lambda message: complaints.append(message.text))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    try:
        yield context
    finally:
        context.close()
    assert [url for url in asked if not url.startswith(("file:", "blob:"))] == []
    assert complaints == []


def opened(
    context: BrowserContext, folder: Path, evidence: bytes | str = GOOD, *, language: Language = "zh",
    statement: dict[str, Any] | None = STATEMENT, cut: int | None = None,
) -> Page:  # fmt: skip
    """The page that carries the evidence, from a file. `cut`: only so many bytes of it arrived."""
    data = evidence.encode() if isinstance(evidence, str) else evidence
    file = folder / "evidence.html"
    file.write_bytes(evidence_page.render(data, statement, language)[:cut])
    page = context.new_page()
    page.goto(file.as_uri())
    return page


def outcome(page: Page) -> str:
    page.wait_for_selector("body[data-outcome]:not([data-outcome='working'])", state="attached")
    return cast("str", page.evaluate("document.body.dataset.outcome"))


def give(page: Page, evidence: bytes | str, name: str = "given.json") -> str:
    """Puts another file into the page. Returns what it makes of it."""
    data = evidence.encode() if isinstance(evidence, str) else evidence
    page.evaluate("document.body.dataset.outcome = 'working'")
    page.locator("#file").set_input_files(
        files={"name": name, "mimeType": "application/json", "buffer": data}
    )
    return outcome(page)


def sentence(page: Page) -> str:
    return page.locator("#answer strong").first.inner_text()


def said(key: str, language: Language = "zh", **facts: object) -> str:
    return CATALOGUES[language][key].format(**facts)


# What is seen ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
def test_it_can_be_read_in_every_light_and_width(
    browser: Browser, folder: Path, language: Language, scheme: Scheme, width: int
) -> None:
    with window(browser, width=width, scheme=scheme) as context:
        words = "https://id.gs1.org/8004/95212340COLLECTION1COLLECTION2"
        long = STATEMENT["lines"][0] | {"zh": f"设备 {words}，型号", "en": f"Device {words}, model"}
        statement = {**STATEMENT, "lines": [*STATEMENT["lines"], long]}
        page = opened(context, folder, language=language, statement=statement)
        assert outcome(page) == "holds"
        assert sentence(page) == said("ev_holds_open", language, count=1)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert axe_problems(page) == []
        text = page.locator("body").inner_text()
        assert "undefined" not in text and "ev_" not in text and "check_" not in text
        assert page.locator(".item-held").count() == len(VECTORS["evidence"]["items"])


def test_it_says_what_is_shown_withheld_and_by_whom_it_was_seen(browser: Browser, folder: Path) -> None:
    with window(browser) as context:
        page = opened(context, folder, language="en")
        assert outcome(page) == "holds"
        event = page.locator("#item-0").inner_text()
        assert said("ev_step_commissioning", "en") in event
        assert said("ev_withheld", "en", count=9) in event
        assert page.locator("#item-1 tbody tr").count() == 9
        assert page.locator("#item-1 svg.sketch path").count() == 2
        records = page.locator("#records").inner_text()
        for words in (
            "log.suyuan.example/root",
            "Zhejiang market regulation",
            said("ev_relation_operator", "en"),
            "tsa.example",
        ):
            assert words in records
        assert said("ev_limit_truth", "en") in page.locator("#limits").inner_text()
        assert said("ev_own_key", "en") in page.locator("#answer").inner_text()


def test_it_says_what_it_has_not(browser: Browser, folder: Path) -> None:
    (alone,) = [case for case in VECTORS["true_files"] if case["name"] == "no witness and no clock"]
    with window(browser) as context:
        page = opened(context, folder, json.dumps(alone["evidence"]), language="en")
        assert outcome(page) == "holds"
        records = page.locator("#records").inner_text()
        for words in ("ev_no_clock", "ev_no_witness", "ev_no_stamp"):
            assert said(words, "en") in records


def test_a_witness_lends_nothing_to_another_of_its_name(browser: Browser, folder: Path) -> None:
    value = json.loads(GOOD)
    (witness,) = [each for each in value["witnesses"] if each["relation"] == "authority"]
    name = witness["vkey"].partition("+")[0]
    value["witnesses"].append({**witness, "vkey": str(Cosigner.from_seed(name, bytes(32)).verifier)})
    with window(browser) as context:
        page = opened(context, folder, json.dumps(value), language="en")
        assert outcome(page) == "broken"
        cards = [
            card.inner_text()
            for card in page.locator("#check-cosignature .cards li").all()
            if name in card.inner_text()
        ]
        assert [said("ev_witness_failed", "en") in card for card in cards] == [False, True]


def test_the_statement_is_the_issuers_and_leads_to_what_was_checked(browser: Browser, folder: Path) -> None:
    with window(browser) as context:
        page = opened(context, folder, language="en")
        outcome(page)
        part = page.locator("#statement-part")
        assert said("ev_statement_whose", "en") in part.inner_text()
        assert part.locator(".said").all_inner_texts() == [
            "Held",
            "Held",
            "Held",
            "Held",
            "Not recorded",
            "Not held",
        ]
        assert part.locator("svg").count() == 0, "a claim wears no sign of what was checked"
        assert "人民法院在线诉讼规则 Art. 16" in part.inner_text()
        for link in part.locator("a").all():
            assert page.locator(link.get_attribute("href") or "").count() == 1
        assert part.locator("a").count() == 3, "no link leads nowhere"
        part.locator("a").first.click()
        assert page.locator("#check-checkpoint").is_visible()
        unsaid = opened(context, folder, statement=None)
        assert outcome(unsaid) == "holds"
        assert said("ev_no_statement") in unsaid.locator("#statement-part").inner_text()


def test_the_other_language_is_one_tap_away_and_nothing_is_lost(browser: Browser, folder: Path) -> None:
    with window(browser) as context:
        page = opened(context, folder)
        outcome(page)
        page.get_by_role("button", name="English").press("Enter")
        assert sentence(page) == said("ev_holds_open", "en", count=1)
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.locator("#other-title").inner_text() == said("ev_other", "en")
        page.locator("#language").click()
        assert sentence(page) == said("ev_holds_open", count=1)


def test_it_prints_whole(browser: Browser, folder: Path) -> None:
    with window(browser, width=1280) as context:
        page = opened(context, folder)
        outcome(page)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        assert page.locator("details[open] .checks li").count() > 40
        assert not page.locator("#other").is_visible()
        assert not page.locator("#language").is_visible()
        assert len(page.pdf(format="A4")) > 20_000


def test_without_script_it_says_that_nothing_was_checked(browser: Browser, folder: Path) -> None:
    with window(browser, script=False) as context:
        page = opened(context, folder)
        text = page.locator("body").inner_text()
        assert said("ev_no_script") in text and said("ev_no_script", "en") in text
        assert said("ev_holds") not in text


# What is proven ------------------------------------------------------------------------------------------------------------


@METHODS
def test_it_says_who_checked_the_signatures(browser: Browser, folder: Path, before: str | None) -> None:
    with window(browser, before=before) as context:
        page = opened(context, folder, language="en")
        assert outcome(page) == "holds"
        method = "ev_method_webcrypto" if before is None else "ev_method_library"
        assert said(method, "en") in page.locator("#answer").inner_text()
        quantum = next(file for file in VECTORS["true_files"] if "ML-DSA" in file["name"])
        assert give(page, json.dumps(quantum["evidence"], ensure_ascii=False)) == "holds"
        assert said("ev_method_ml-dsa", "en") in page.locator("#answer").inner_text()


def test_everything_that_was_asked_for_is_among_the_faults() -> None:
    cases = [*VECTORS["cases"], *VECTORS["false_files"]]
    assert {case["issue"] for case in cases} - {None} == ASKED_FOR


@METHODS
def test_each_fault_is_refused_and_named(browser: Browser, folder: Path, before: str | None) -> None:
    """Given the keys that the vectors trust, each spoiled file is refused, and the sentence at the top is of what failed
    first."""
    with window(browser, before=before) as context:
        page = opened(context, folder)
        outcome(page)
        refused = 0
        for name, text, trust, case in spoiled_files():
            if before is not None and case["issue"] is None:
                continue
            page.locator("#keys").fill(trust)
            found = give(page, text)
            assert found == ("broken" if case["readable"] else "unreadable"), name
            top = page.locator("#answer").inner_text()
            if case["readable"]:
                first = case["failed"][0].rpartition(" ")[2]
                assert said(f"check_{first}") in sentence(page), name
            else:
                assert said("ev_unreadable") in top and said("proof_got") in top, name
            assert "undefined" not in top, name
            refused += 1
        assert refused >= (100 if before is None else 40)


def spoiled_files() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Name, file, what the reader trusts, and what is to be said."""
    for case in VECTORS["cases"]:
        text = json.dumps(patched(VECTORS["evidence"], case), ensure_ascii=False)
        yield case["name"], text, "\n".join(VECTORS["trusted"].values()), case
    for case in VECTORS["false_files"]:
        keys = "\n".join((case["trusted"] or {}).values())
        yield case["name"], case["text"], case["policy"] or keys, case


JUDGE = """async ([script, cases]) => {
  const { verifyEvidence, readTrust, VerifyError } = await import(script);
  const outcomes = [];
  for (const [text, trusted, policy] of cases) {
    try {
      const report = await verifyEvidence(text, policy === null ? trusted : readTrust(policy));
      const name = (check) => (check.item === null ? check.name : `${check.item} ${check.name}`);
      outcomes.push({
        readable: true,
        verified: report.verified,
        failed: report.checks.filter((check) => check.state === "failed").map(name),
        checks: report.checks.map((check) => `${name(check)} ${check.state}`),
      });
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      outcomes.push({ readable: false, verified: false, failed: [], checks: [] });
    }
  }
  return outcomes;
}"""


@contextmanager
def module_page(browser: Browser, *, secure: bool) -> Iterator[tuple[Page, str]]:
    """An empty page and the address of the verifier's module. Over plain http a browser has no WebCrypto."""
    script = pages.built_file("script")
    context = browser.new_context()
    context.route(
        "**/*",
        lambda route: route.fulfill(
            body=script.read_bytes() if route.request.url.endswith(".js") else b"<!doctype html>",
            content_type="text/javascript" if route.request.url.endswith(".js") else "text/html",
        ),
    )
    try:
        page = context.new_page()
        page.goto(f"{'https' if secure else 'http'}://suyuan.test/")
        yield page, f"/{script.name}"
    finally:
        context.close()


@pytest.mark.parametrize("secure", [True, False], ids=["webcrypto", "no-secure-context"])
def test_it_agrees_with_the_vectors_of_version_2(browser: Browser, secure: bool) -> None:
    cases: list[tuple[str, Any, Any]] = [(GOOD, VECTORS["trusted"], None)]
    wants = [VECTORS["want"]]
    for file in VECTORS["true_files"]:
        cases.append((json.dumps(file["evidence"], ensure_ascii=False), file["trusted"], file["policy"]))
        wants.append(file)
    for case in VECTORS["cases"]:
        cases.append(
            (json.dumps(patched(VECTORS["evidence"], case), ensure_ascii=False), VECTORS["trusted"], None)
        )
        wants.append(case)
    for case in VECTORS["false_files"]:
        cases.append((case["text"], case["trusted"], case["policy"]))
        wants.append(case)
    with module_page(browser, secure=secure) as (page, script):
        outcomes = page.evaluate(JUDGE, [script, cases])
    assert outcomes[0]["verified"] and outcomes[0]["checks"] == VECTORS["want"]["checks"]
    for want, found in zip(wants, outcomes, strict=True):
        assert (found["readable"], found["failed"]) == (want["readable"], want["failed"]), want.get(
            "name", "good"
        )
    assert len(outcomes) >= 110


def test_flipped_bytes_are_never_believed(browser: Browser) -> None:
    """A bit of the true file changed anywhere: refused, unless it lies where nothing is claimed to be proven."""
    chance = random.Random(5)
    data = GOOD.encode()
    texts = []
    for _ in range(250):
        at, spoiled = chance.randrange(len(data)), bytearray(data)
        spoiled[at] ^= 1 << chance.randrange(7)
        texts.append(spoiled.decode(errors="replace"))
    with module_page(browser, secure=True) as (page, script):
        outcomes = page.evaluate(JUDGE, [script, [(text, VECTORS["trusted"], None) for text in texts]])
    for text, found in zip(texts, outcomes, strict=True):
        if found["verified"]:
            assert what_is_proven(text) == what_is_proven(GOOD)
    assert sum(found["verified"] for found in outcomes) < 15


def what_is_proven(text: str) -> Any:
    """The file without what nothing vouches for: names of operators, and signature lines of keys that it does not name."""
    value = json.loads(text)
    named = {each["vkey"].partition("+")[0] for each in (value["root"], *value["witnesses"])}
    named.add(value["root"]["clock"].partition("+")[0])
    for witness in value["witnesses"]:
        del witness["operator"]
    note, _, lines = value["root"]["checkpoint"].partition("\n\n")
    known = [line for line in lines.splitlines() if line.split(" ")[1] in named]
    value["root"]["checkpoint"] = [note, known]
    return value


# What comes in another form -----------------------------------------------------------------------------------------------


def test_other_files_can_be_put_in(browser: Browser, folder: Path) -> None:
    whole = evidence_page.render(GOOD.encode(), STATEMENT, "en")
    packed = base64.b64decode(VECTORS["gzip"])
    with window(browser) as context:
        page = opened(context, folder)
        outcome(page)
        assert give(page, packed, "a.json.gz") == "holds"
        assert "a.json.gz" in page.locator("#answer").inner_text()
        assert said("ev_no_statement") in page.locator("#statement-part").inner_text()
        assert give(page, whole, "b.html") == "holds"
        assert "这批杨梅" in page.locator("#statement-part").inner_text()
        assert give(page, gzip.compress(whole), "b.html.gz") == "holds"
        for name, strange in {
            "two members": packed + packed,
            "half of it": packed[: len(packed) // 2],
            "something after it": packed + b"x",
            "a bomb": gzip.compress(bytes(64 * 2**20 + 1)),
            "a page without evidence": b"<!doctype html><p>",
            "a page with two": whole + whole,
            "a page cut off": whole[: whole.index(b'id="evidence"') + 500],
            "no text": bytes(range(256)),
            "nothing": b"",
            "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
        }.items():
            assert give(page, strange) == "unreadable", name
        page.locator("#back").click()
        assert outcome(page) == "holds"
        assert said("ev_whose_own") in page.locator("#answer").inner_text()


def test_a_file_can_be_dropped(browser: Browser, folder: Path) -> None:
    with window(browser) as context:
        page = opened(context, folder)
        outcome(page)
        page.evaluate("document.body.dataset.outcome = 'working'")
        page.evaluate(
            """(text) => {
                 const data = new DataTransfer();
                 data.items.add(new File([text], "dropped.json"));
                 document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
               }""",
            GOOD,
        )
        assert outcome(page) == "holds"
        assert "dropped.json" in page.locator("#answer").inner_text()


def test_keys_from_elsewhere_are_held_against_it(browser: Browser, folder: Path) -> None:
    with window(browser) as context:
        page = opened(context, folder)
        outcome(page)
        stranger = next(file for file in VECTORS["false_files"] if file["name"] == "another root log trusted")
        for keys, found in (
            ("\n".join(VECTORS["trusted"].values()), "holds"),
            (VECTORS["policy"], "holds"),
            ("\n".join(stranger["trusted"].values()), "broken"),
            ("no key", "keys"),
        ):
            page.locator("#keys").fill(keys)
            page.evaluate("document.body.dataset.outcome = 'working'")
            page.locator("#again").click()
            assert outcome(page) == found
        assert sentence(page) == said("ev_stopped_keys")


def test_a_page_that_was_cut_off_never_holds(browser: Browser, folder: Path) -> None:
    whole = evidence_page.render(GOOD.encode(), STATEMENT, "zh")
    start, end = whole.index(b'id="evidence"'), whole.index(b'id="statement"')
    cuts = [
        len(whole) // 3,
        start,
        start + 20,
        (start + end) // 2,
        end - 80,
        end - 5,
        end + 20,
        len(whole) - 60,
    ]
    with window(browser) as context:
        for cut in cuts:
            page = opened(context, folder, cut=cut)
            page.wait_for_load_state()
            started = page.evaluate("document.body.dataset.outcome !== undefined")
            assert not started or outcome(page) == "unreadable", cut
            assert page.locator(".item-held").count() == 0
            page.close()


def test_a_foreign_checkpoint_in_the_page_is_found(browser: Browser, folder: Path) -> None:
    case = next(case for case in VECTORS["cases"] if case["name"] == "a checkpoint by a stranger's key")
    with window(browser) as context:
        page = opened(context, folder, json.dumps(patched(VECTORS["evidence"], case), ensure_ascii=False))
        assert outcome(page) == "broken"
        assert said("check_root_checkpoint") in sentence(page)
        assert page.locator("#records .tag-held").count() == 0


# What it must not do -------------------------------------------------------------------------------------------------------


def test_what_it_carries_stays_text(browser: Browser, folder: Path) -> None:
    """Markup in every text that somebody else could have written."""
    evil = "</script><script>document.title='caught'</script><img src=x onerror=\"document.title='caught'\"><!--<script>"
    file = json.loads(GOOD)
    file["witnesses"][0]["operator"] = {"zh": evil, "en": evil}
    file["items"][0]["fields"][1]["value"] = evil
    line = {"id": evil, "state": "held", "zh": evil, "en": evil, "law": [evil], "proof": 'item:"><script>'}
    statement = {**STATEMENT, "about": {"zh": evil, "en": evil}, "lines": [line]}
    with window(browser) as context:
        page = opened(context, folder, json.dumps(file), statement=statement)
        assert outcome(page) == "broken"
        assert page.title() == said("ev_title")
        assert page.locator("img").count() == 0 and page.locator("script").count() == 4
        assert page.locator("body").inner_text().count("onerror") >= 5
        assert verify_evidence((folder / "evidence.html").read_bytes()).failures


def test_its_policy_lets_nothing_out(browser: Browser, folder: Path) -> None:
    context = browser.new_context()
    asked: list[str] = []
    context.route("https://**/*", lambda route: (asked.append(route.request.url), route.abort()))
    try:
        page = opened(context, folder)
        outcome(page)
        page.evaluate(
            """async () => {
                 await fetch("https://suyuan.test/a").catch(() => undefined);
                 const image = document.body.appendChild(document.createElement("img"));
                 await new Promise((done) => { image.onerror = done; image.src = "https://suyuan.test/b"; });
                 const script = document.createElement("script");
                 await new Promise((done) => { script.onerror = done; script.src = "https://suyuan.test/c"; document.body.append(script); });
               }"""
        )
        assert asked == []
        assert page.evaluate("typeof window.injected") == "undefined"
    finally:
        context.close()
