"""`suyuan demo`, twice in the same directory: once unattended to its last line, once with a browser in front of it.

The tests of this file follow one another, as the two starts do.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from deploy.stack.ports import free_port
from deploy.stack.postgres import EmbeddedPostgres
from ledger.evidence import verify_evidence
from tests.acceptance.demo import REPOSITORY, DemoRun, remove_database

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="needs /proc to see what the demo leaves behind"
)

FIELDS = {
    "readings": int,
    "events": int,
    "leaves": int,
    "quarantined": int,
    "excursions_detected": int,
    "excursions_simulated": int,
    "sample_page_url": str,
    "sample_page_status": int,
    "proof_verified": bool,
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("demo") / "data"
    yield folder
    remove_database(folder)


@pytest.fixture(scope="module")
def first(data_dir: Path) -> Iterator[DemoRun]:
    """Unattended, to its end."""
    run = DemoRun(data_dir, "--exit-after", "5", "--json")
    try:
        run.wait_until_ended(300)
        yield run
    finally:
        run.end()


@pytest.fixture(scope="module")
def second(first: DemoRun, data_dir: Path) -> Iterator[DemoRun]:
    """In the same directory, until somebody stops it."""
    run = DemoRun(data_dir)
    try:
        run.wait_until_presented()
        yield run
    finally:
        run.end()


def test_the_last_line_is_the_summary(first: DemoRun) -> None:
    assert first.wait_until_ended() == 0, first.said
    assert len(first.printed) == 1, "one line for scripts, everything else for the person"
    found = first.summary()
    assert {name: type(found.get(name)) for name in FIELDS} == FIELDS
    assert found["readings"] > 20_000 and found["events"] >= 80
    assert found["leaves"] >= found["events"]
    assert found["excursions_detected"] == found["excursions_simulated"] > 0
    assert found["received"] == found["accounted"]
    assert found["quarantined"] == 2, "a stranger's pack and one with NaN in it, and nothing else"
    assert found["sample_page_status"] == 200
    assert found["proof_verified"] is True
    assert found["flipped_byte_verified"] is False


def test_it_shows_progress_then_the_address_and_a_code_to_scan(first: DemoRun) -> None:
    said = first.said
    assert "the world is at" in said or "the world has reached now" in said
    assert first.summary()["sample_page_url"] in said.replace("\n", "")
    assert "█" in said
    assert "Traceback" not in said


def test_it_left_no_process_and_both_ports_free(first: DemoRun) -> None:
    assert len(first.family) > 6, "database, broker, four services and the world were seen"
    assert first.left() == []
    for port in (first.port, first.mqtt_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_a_second_start_goes_on_with_what_there_was(first: DemoRun, second: DemoRun) -> None:
    assert "the data of the last start is kept" in second.said
    before, path = first.summary(), urlsplit(first.summary()["sample_page_url"]).path
    assert path in second.said.replace("\n", ""), "the same box of the same lot"
    with httpx.Client(base_url=second.url, timeout=30) as client:
        assert client.get(path).status_code == 200
        found = client.get("/api/v1/excursions").json()["excursions"]
        assert len(found) >= before["excursions_detected"]


def test_the_doctor_finds_nothing_to_mend_in_the_demo(second: DemoRun, data_dir: Path) -> None:
    """As somebody in a second terminal asks, with the settings that the demo keeps for that."""
    kept = data_dir / "keys/environment"
    assert kept.stat().st_mode & 0o077 == 0
    asked = (
        f"set -a; . {kept}; exec {sys.executable} -m deploy doctor --deep --json --database-url $OWNER_URL"
    )
    done = subprocess.run(["sh", "-c", asked], cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    findings = json.loads(done.stdout)["findings"]
    assert [each for each in findings if each["mark"] == "fail"] == []
    assert len(findings) > 60


SIGN_IN = re.compile(r"^ +[a-z ]+? +([a-z-]+) +((?:[a-z0-9]{4}-){3}[a-z0-9]{4}) +(/[a-z]+)$", re.MULTILINE)


def test_it_says_one_sign_in_for_each_role_and_says_the_same_again(first: DemoRun, second: DemoRun) -> None:
    people = SIGN_IN.findall(second.said)
    assert people == SIGN_IN.findall(first.said)
    assert {page for *_, page in people} == {"/scan", "/check", "/audit", "/accounts"} and len(people) >= 10
    for login, password, page in people:
        with httpx.Client(
            base_url=second.url, headers={"Origin": second.url, "Accept": "text/html"}, timeout=60
        ) as client:
            answer = client.post("/sign-in", data={"login": login, "password": password})
            assert (answer.status_code, answer.headers["location"]) == (303, page), login
            assert client.get(page).status_code == 200, login


WAITING = re.compile(r"^ +(a [a-z ]+?) +http://[^/]+(/\S+)  \(sign in as ([a-z-]+)\)$", re.MULTILINE)
SEEN = {"a proposal to hold": "/holds/decide", "a finding": "finding-open", "a recall drill": "演练"}


def test_a_newcomer_is_told_what_waits_to_be_seen(first: DemoRun, second: DemoRun) -> None:
    """Once in a folder's life: the second start shows the same ones."""
    waiting = WAITING.findall(second.said)
    assert waiting == WAITING.findall(first.said) and {what for what, *_ in waiting} == SEEN.keys()
    passwords = {login: password for login, password, _ in SIGN_IN.findall(second.said)}
    browser = {"Origin": second.url, "Accept": "text/html", "Accept-Language": "zh"}
    for what, path, login in waiting:
        with httpx.Client(base_url=second.url, headers=browser, timeout=60) as client:
            assert (
                client.post("/sign-in", data={"login": login, "password": passwords[login]}).status_code
                == 303
            )
            page = client.get(path)
            assert page.status_code == 200 and page.text.count(SEEN[what]) >= 1, what
            if what == "a proposal to hold":
                assert (
                    len(
                        client.get("/api/v1/holds/proposals", headers={"Accept": "application/json"}).json()[
                            "tests"
                        ]
                    )
                    == 1
                )


@pytest.fixture(scope="module")
def sample(first: DemoRun) -> str:
    """The path of a box's page."""
    return urlsplit(first.summary()["sample_page_url"]).path


def test_the_proof_of_the_sample_holds_for_who_kept_the_keys_of_the_first_start(
    first: DemoRun, second: DemoRun, sample: str, data_dir: Path
) -> None:
    trusted = {}
    for file in (data_dir / "log").glob("*/vkey"):
        vkey = file.read_text().strip()
        trusted[vkey.partition("+")[0]] = vkey
    answer = httpx.get(f"{second.url}/api/v1/lots{sample}/proof", timeout=30)
    report = verify_evidence(answer.content, trusted)
    assert report.verified, report.failures


# --- in a browser --------------------------------------------------------------------------------------------------

WIDTHS = (390, 1280)
STATE = "#proof-state"


def opened(browser: Browser, url: str, width: int, complaints: list[str], **context: Any) -> Page:
    """The page in a context of its own; what the browser complains of is added to the list."""
    page = browser.new_context(viewport={"width": width, "height": 844}, **context).new_page()
    page.on(
        "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"{request.url}: {request.failure}"))
    answer = page.goto(url)
    assert answer is not None and answer.status == 200
    return page


def settled(page: Page) -> str:
    """The proof section's state once the browser is through with it."""
    page.wait_for_selector(
        ", ".join(f"{STATE}[data-state={state}]" for state in ("holds", "broken", "failed"))
    )
    return str(page.get_attribute(STATE, "data-state"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("which", ["box", "lot"])
def test_the_browser_checks_the_proof_itself(
    browser: Browser, second: DemoRun, sample: str, which: str, width: int
) -> None:
    complaints: list[str] = []
    path = sample if which == "box" else sample.partition("/21/")[0]
    page = opened(browser, second.url + path, width, complaints, locale="zh-CN")
    assert settled(page) == "holds", page.inner_text(STATE)
    facts = {
        each: int(page.inner_text(f"{STATE} [data-slot={each}]")) for each in ("events", "steps", "readings")
    }
    assert facts["events"] >= 20 and facts["steps"] >= 10 and facts["readings"] >= 1, facts
    assert page.locator(".step-sealed").count() == facts["steps"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "scrolls sideways"
    assert complaints == []
    page.context.close()


def test_the_page_is_whole_without_javascript(browser: Browser, second: DemoRun, sample: str) -> None:
    complaints: list[str] = []
    page = opened(browser, second.url + sample, 390, complaints, java_script_enabled=False, locale="zh-CN")
    assert page.get_attribute(STATE, "data-state") == "off"
    assert "杨梅" in page.inner_text("h1")
    assert page.locator(".step").count() >= 10 and page.locator("svg").count() >= 2
    assert complaints == []
    page.context.close()


def _another_letter(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def _flip(evidence: Any, what: str) -> None:
    """One character of one value, somewhere in the file."""
    events = [item for item in evidence["items"] if item["kind"] == "event"]
    windows = [item for item in evidence["items"] if item["kind"] == "window"]
    shown = [field for field in events[0]["fields"] if field.get("name") == "bizStep"]
    if what == "entry":
        events[0]["entry"] = _another_letter(events[0]["entry"], 40)
    elif what == "field":
        shown[0]["value"] = _another_letter(shown[0]["value"], 0)
    elif what == "reading":
        windows[0]["readings"][0]["value"] -= 0.1
    elif what == "proof":
        proof = events[-1]["proof"]  # hashes joined in version 2, a list of them in version 1
        events[-1]["proof"] = (
            _another_letter(proof, 7)
            if isinstance(proof, str)
            else [_another_letter(proof[0], 7), *proof[1:]]
        )
    elif what == "checkpoint":
        head = evidence.get("root") or evidence["logs"][0]
        head["checkpoint"] = _another_letter(head["checkpoint"], head["checkpoint"].index("\n\n") - 8)


@pytest.mark.parametrize("what", ["entry", "field", "reading", "proof", "checkpoint"])
def test_the_browser_shows_that_a_tampered_proof_does_not_hold(
    browser: Browser, second: DemoRun, sample: str, what: str
) -> None:
    def tamper(route: Route) -> None:
        answer = route.fetch()
        evidence = answer.json()
        _flip(evidence, what)
        route.fulfill(response=answer, body=json.dumps(evidence))

    complaints: list[str] = []
    page = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-GB").new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route("**/proof", tamper)
    page.goto(second.url + sample)
    assert settled(page) == "broken"
    assert page.locator(".step-sealed").count() == 0, "and no step is marked as proven"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []
    page.context.close()


def test_a_proof_that_does_not_come_is_no_proof(browser: Browser, second: DemoRun, sample: str) -> None:
    page = browser.new_context(locale="en-GB").new_page()
    page.route("**/proof", lambda route: route.abort())
    page.goto(second.url + sample)
    assert settled(page) == "failed"
    page.unroute("**/proof")
    page.click(f"{STATE} button")
    page.wait_for_selector(f"{STATE}[data-state=holds]")
    page.context.close()


# --- how it ends, and how it does not begin ----------------------------------------------------------------------


def test_ctrl_c_stops_everything(second: DemoRun) -> None:
    assert second.interrupt() == 0, second.said
    assert len(second.family) > 6
    assert second.left() == []
    assert "Traceback" not in second.said
    assert second.printed == []


@pytest.mark.parametrize("taken", ["port", "mqtt_port"])
def test_a_port_in_use_is_said_in_one_line(tmp_path: Path, taken: str) -> None:
    with socket.socket() as other:
        number = free_port()
        other.bind(("127.0.0.1", number))
        other.listen()
        run = DemoRun(tmp_path / "data", "--exit-after", "1", "--json", **{taken: number})
        try:
            assert run.wait_until_ended(30) != 0
        finally:
            run.end()
    (line,) = run.said.strip().splitlines()
    assert str(number) in line and "in use" in line and f"--{taken.replace('_', '-')}" in line
    assert run.printed == []
    assert not (tmp_path / "data").exists(), "and nothing was begun"


def test_a_directory_that_was_removed_begins_anew(tmp_path: Path) -> None:
    """As root the database lies elsewhere; it must not outlive the only key to it."""
    data_dir = tmp_path / "data"
    try:
        for _ in range(2):
            server = EmbeddedPostgres(data_dir)
            with psycopg.connect(server.start(), autocommit=True) as conn:
                conn.execute("CREATE TABLE kept ()")
            server.stop()
            shutil.rmtree(data_dir)
    finally:
        remove_database(data_dir)
