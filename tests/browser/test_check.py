"""The gate in real Chromium, as an inspector has it at four in the morning: a real simulated night of two trucks, one of which
was warm on the road, up to the minute in which the warm one stands unloaded at the dock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from simulators.world import World
from tests.acceptance.instance import Instance, handed_over
from tests.acceptance.people import PASSWORD, add_person, signed_in
from tests.acceptance.serving import served
from tests.browser.working import SCHEMES, WIDTHS, Scheme, assert_well_made, session_of, window
from tests.servers.session import Servers
from trace_api.words import LANGUAGES, Language, Words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SEED = 5
START = datetime(2026, 6, 18, 22, tzinfo=UTC)
PLATE = "浙J1231挂"
STALL = "hz-stall-b12"


@dataclass(frozen=True, slots=True)
class Night:
    """`warm`: units of the truck whose unit failed; `cool`: of the other, accepted by now by the `stall`. `truck`: the warm one."""

    server: httpx.Client
    session: str
    stall: str
    warm: tuple[str, ...]
    cool: tuple[str, ...]
    truck: str
    lot: str

    def path(self, code: str) -> str:
        return f"/check/answer?code={quote(code, safe='')}"


@pytest.fixture(scope="module")
def night(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    world = World(SEED, START)
    plan = world.plan
    now = START + timedelta(seconds=plan.trips[1].unloaded_at + 60)
    assert plan.trips[0].accepted_at < plan.trips[1].unloaded_at, "the cool truck was taken in before"
    with servers.template("plain").clone() as database:
        instance = Instance(database, tmp_path_factory.mktemp("night"))
        instance.register(world.registry())
        messages = handed_over(world.messages(now))
        worker = instance.worker()
        for first in range(0, len(messages), 1000):
            instance.take(messages[first : first + 1000], now, worker)
        instance.settle(now)
        add_person(instance, "gate", "market", organisation="hz-market")
        add_person(instance, "stall", "stall", organisation=STALL)
        with (
            served(instance, now) as server,
            signed_in(server, "gate") as gate,
            signed_in(server, "stall") as stall,
        ):
            trucks = [tuple(unit.sscc for unit in plan.units if unit.truck == truck) for truck in (0, 1)]
            vehicles = instance.rows("SELECT id FROM place WHERE kind = 'trailer' ORDER BY id")
            yield Night(
                server,
                session_of(gate),
                session_of(stall),
                trucks[1],
                trucks[0],
                vehicles[1][0],
                f"https://id.gs1.org/01/09521234000204/10/{plan.lot}",
            )


def scan(page: Page, code: str) -> None:
    """As a hand scanner does: it types into what has the focus, and presses Enter."""
    page.wait_for_selector("input:focus")
    page.keyboard.type(code)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def word_of(page: Page) -> str:
    return page.inner_text("h1")


def open_act(page: Page, kind: str) -> None:
    page.evaluate("kind => { document.querySelector('.act-' + kind).open = true; }", kind)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_well_made(
    browser: Browser, night: Night, language: Language, scheme: Scheme, width: int
) -> None:
    settings: dict[str, Any] = {"language": language, "width": width, "scheme": scheme}
    paths = ["/check", night.path(night.warm[0]), night.path(night.cool[0]), night.path(night.truck), night.path(night.lot),
             night.path("095212340000000106"), night.path("浙农码-1"), night.path("")]  # fmt: skip
    with window(browser, night.server, session=night.session, refusals=(404,), **settings) as page:
        for path in paths:
            page.goto(path)
            assert page.locator("h1").count() == 1
            assert_well_made(page, width)


@pytest.mark.parametrize("language", LANGUAGES)
def test_hold_cannot_be_taken_for_accept(browser: Browser, night: Night, language: Language) -> None:
    """Another word, another shape, another ground, and all of it before anybody scrolls."""
    seen = []
    for scheme in SCHEMES:
        for code, answer, who in (
            (night.warm[0], "hold", night.session),
            (night.cool[0], "accept", night.stall),
        ):
            with window(browser, night.server, session=who, language=language, scheme=scheme) as page:
                page.goto(night.path(code))
                assert word_of(page) == Words(language)(f"check_answer_{answer}")
                word = page.locator("h1").bounding_box()
                why = page.locator(".gate-answer-why").bounding_box()
                assert word is not None and why is not None and why["y"] + why["height"] < 600, (
                    "in the first glance"
                )
                assert (
                    page.evaluate("parseFloat(getComputedStyle(document.querySelector('h1')).fontSize)") >= 32
                )
                assert page.locator(".gate-answer").count() == 1
                shape = page.locator(".gate-answer .shape").evaluate("e => e.outerHTML.slice(0, 60)")
                ground = page.locator(".gate-answer").evaluate("e => getComputedStyle(e).backgroundColor")
                stripes = page.locator(".gate-answer").evaluate(
                    "e => getComputedStyle(e).backgroundImage !== 'none'"
                )
                seen.append((scheme, answer, shape, ground, stripes))
    holds, accepts = ([each[2:] for each in seen if each[1] == answer] for answer in ("hold", "accept"))
    for hold in holds:
        for accept in accepts:
            assert all(one != other for one, other in zip(hold, accept, strict=True)), (hold, accept)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_warm_pallet_is_measured_and_the_answer_follows(
    browser: Browser, night: Night, language: Language
) -> None:
    words, unit = Words(language), night.warm[1 if language == "zh" else 2]
    with window(browser, night.server, session=night.session, language=language, refusals=(422,)) as page:
        page.goto("/check")
        scan(page, unit.rpartition("/")[2])
        assert word_of(page) == words("check_answer_hold")
        assert words("check_way_measure_boxes", boxes=3) in page.inner_text(".gate-answer")
        assert page.locator(".act-accept").count() == 0, "what is to be held is not taken in by a tap"
        form = page.locator("#form-inspect")
        assert form.is_visible(), "the way out stands open"
        form.locator("[name=pulp]").fill("4,2 5.1")
        form.locator("button[type=submit]").click()
        assert words("check_act_wrong") in page.inner_text(".notice-bad")
        assert page.input_value("#form-inspect [name=pulp]") == "4,2 5.1", "typed once"
        page.fill("#form-inspect [name=pulp]", "4.2 5.1 4.8")
        page.click("#form-inspect button[type=submit]")
        page.locator(".notice-good", has_text=words("check_done_title")).wait_for()
        assert word_of(page) == words("check_answer_accept")
        assert words("check_note_remark") in page.inner_text(".gate-checks")
        page.click(f".notice-good button:has-text('{words('check_act_undo')}')")
        page.locator(".notice-good", has_text=words("check_undone_title")).wait_for()
        assert word_of(page) == words("check_answer_hold")


def test_without_a_script_all_of_it_works(browser: Browser, night: Night) -> None:
    with window(browser, night.server, session=night.session, script=False) as page:
        page.goto("/check")
        page.fill("[name=code]", night.warm[0])
        page.keyboard.press("Enter")
        page.wait_for_url("**/check/answer**")
        page.click(".act-hold summary")
        page.fill("#form-hold [name=reason]", "等货主")
        page.click("#form-hold button[type=submit]")
        assert "已记下" in page.inner_text(".notice-good")
        page.click(".act-release summary")
        page.fill("#form-release [name=reason]", "货主到了")
        page.click("#form-release button[type=submit]")
        assert word_of(page) == Words("zh")("check_answer_hold"), "warm it still is"


def test_two_quick_taps_are_one_act(browser: Browser, night: Night) -> None:
    unit = night.cool[0]
    with window(browser, night.server, session=night.session, language="en") as page:
        page.goto(night.path(unit))
        open_act(page, "rapid_test")
        page.fill("#form-rapid_test [name=sample]", "HZ-2")
        page.fill("#form-rapid_test [name=value]", "72")
        page.check("#form-rapid_test [name=told]")
        page.locator("#form-rapid_test button[type=submit]").dblclick()
        page.wait_for_url("**done=**")
        assert word_of(page) == Words("en")("check_answer_hold")
        assert re.search(r"4\sh left to ask for a retest", page.inner_text(".gate-answer")), page.inner_text(
            ".gate-answer"
        )
        page.goto("/check")
        clocks = page.locator(".clock")
        assert (
            clocks.count() == 1
            and "HZ-2" in clocks.inner_text()
            and re.search(r"4\sh left", clocks.inner_text())
        )
        assert_well_made(page, 390)
        clocks.locator("a").click()
        assert word_of(page) == Words("en")("check_answer_hold")
        assert_well_made(page, 390)


def test_a_plate_is_bound_once_and_answers_with_what_the_truck_brought(
    browser: Browser, night: Night
) -> None:
    with window(browser, night.server, session=night.session, width=1280, refusals=(404,)) as page:
        page.goto("/check")
        scan(page, PLATE)
        assert word_of(page) == "查不到"
        assert page.input_value("[name=scheme]") == "plate"
        page.fill("[name=target]", night.truck)
        page.click("form[action='/check/alias'] button[type=submit]")
        assert "已登记" in page.inner_text(".notice-good")
        assert "最近一次运来" in page.inner_text(".gate-answer-caution")
        assert page.locator(".gate-unit").count() == len(night.warm)
        assert_well_made(page, 1280)
        page.goto("/check")
        scan(page, "浙j·1231挂")
        assert page.locator(".gate-unit").count() == len(night.warm)


def test_a_lost_session_comes_back_to_the_goods(browser: Browser, night: Night) -> None:
    with window(browser, night.server, session=night.session, refusals=(404,)) as page:
        page.goto(night.path(night.cool[1]))
        open_act(page, "hold")
        page.fill("#form-hold [name=reason]", "凭证")
        page.context.clear_cookies()
        page.click("#form-hold button[type=submit]")
        page.wait_for_url("**/sign-in**")
        assert "lost=1" in page.url
        page.fill("input[name=login]", "gate")
        page.fill("input[name=password]", PASSWORD)
        page.click("form.fields button[type=submit]")
        page.click("a.button.plain")
        page.wait_for_url("**/check/answer**")
        assert night.cool[1].rpartition("/")[2] in page.inner_text("main")
        assert page.locator(".act-release").count() == 0, "nothing was put on hold"


def test_a_held_pallet_stands_on_the_board(browser: Browser, night: Night) -> None:
    unit = night.cool[2]
    with signed_in(night.server, "gate") as gate:
        held = gate.post(
            "/check/act",
            data={
                "idempotency_key": str(uuid4()),
                "kind": "hold",
                "code": unit,
                "units": unit,
                "reason": "凭证",
            },
        )
        assert held.status_code == 303
    with window(browser, night.server, session=night.session) as page:
        page.goto("/check")
        card = page.locator("section[aria-labelledby=holds] .card", has_text=unit.rpartition("/")[2])
        card.locator("a").click()
        assert word_of(page) == Words("zh")("check_answer_hold")
        assert Words("zh")("check_check_recall") in page.inner_text(".gate-check-hold")
