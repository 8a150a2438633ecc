"""Signing in and administering accounts in real Chromium, as people do it: on a phone and at a desk, in both languages, with
and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.acceptance.instance import Instance
from tests.acceptance.people import PASSWORD, add_person, signed_in
from tests.acceptance.serving import served
from tests.browser.working import LOOKS, WIDTHS, Scheme, assert_well_made, session_of, window
from tests.integration.lines import NOW
from tests.integration.said import REGISTRY
from tests.servers.databases import Database
from trace_api.words import LANGUAGES, Language, Words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.editions("plain")  # the pages are the same over any database

LONG = "仙居县步路乡西炉村杨梅专业合作社联合社驻杭州勾庄农副产品物流中心发货与质量负责人"


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    add_person(instance, "lin", "packer", "warehouse", organisation="coop")
    add_person(instance, "root", "administrator")
    add_person(instance, "wu", "official", department="agriculture", regions=("331024", "3301"))
    gone = add_person(instance, "gone", "carrier", organisation="carrier")
    instance.alter("UPDATE user_account SET disabled_at = %s WHERE id = %s", NOW, gone)
    instance.alter("UPDATE user_account SET name = %s WHERE login = 'wu'", LONG)
    return instance


@pytest.fixture
def server(instance: Instance) -> Iterator[httpx.Client]:
    with served(instance, NOW) as client:
        yield client


def fill_in(page: Page, login: str, password: str = PASSWORD) -> None:
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", password)
    page.click("form.fields button[type=submit]")


PAGES = ("/sign-in", "/sign-in?lost=1&next=/account", "/account", "/accounts", "/accounts/new", "/accounts/{lin}", "/accounts/{gone}",
         "/nowhere")  # fmt: skip


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
def test_every_page_is_well_made(
    browser: Browser, instance: Instance, server: httpx.Client, language: Language, scheme: Scheme, width: int
) -> None:
    accounts = dict(instance.rows("SELECT login, id FROM user_account"))
    with signed_in(server, "root") as root:
        session = session_of(root)
        with window(
            browser, server, session=session, language=language, width=width, scheme=scheme, refusals=(404,)
        ) as page:
            for path in PAGES:
                page.goto(path.format(**accounts))
                assert page.locator("h1").count() == 1
                assert_well_made(page, width)
    with signed_in(server, "wu") as wu:  # with a name that does not fit
        settings = {"language": language, "width": width, "scheme": scheme}
        with window(browser, server, session=session_of(wu), refusals=(403,), **settings) as page:
            for path in ("/account", "/accounts"):
                page.goto(path)
                assert_well_made(page, width)


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_signing_in_and_out(browser: Browser, server: httpx.Client, language: Language, script: bool) -> None:
    words = Words(language)
    with window(browser, server, language=language, script=script, refusals=(422,)) as page:
        page.goto("/account")
        assert page.inner_text("h1") == words("work_sign_in_title")
        fill_in(page, "lin", "not the password")
        assert words("work_wrong") in page.inner_text(".notice-bad")
        assert page.input_value("input[name=login]") == "lin", "typed once"
        assert page.input_value("input[name=password]") == ""
        assert_well_made_if(script, page)
        page.fill("input[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/account")
        assert "lin 演示" in page.inner_text(".who")
        page.click(".who button")
        page.wait_for_url("**/sign-in?out=1")
        assert words("work_signed_out_title") in page.inner_text("main")
        page.goto("/account")
        assert page.inner_text("h1") == words("work_sign_in_title")


def assert_well_made_if(script: bool, page: Page) -> None:
    if script:
        assert_well_made(page, 390)


def test_what_went_wrong_is_in_focus(browser: Browser, server: httpx.Client) -> None:
    with window(browser, server, refusals=(422,)) as page:
        page.goto("/sign-in")
        assert page.evaluate("document.activeElement.name") == "login"
        fill_in(page, "lin", "not the password")
        assert "notice-bad" in page.evaluate("document.activeElement.className")


def test_waiting_is_said_with_the_time(browser: Browser, server: httpx.Client) -> None:
    with window(browser, server, language="en", refusals=(422, 429)) as page:
        page.goto("/sign-in")
        for _ in range(6):
            fill_in(page, "lin", "not the password")
        said = page.inner_text(".notice-doubt")
        assert "Too many attempts" in said and "20:15" in said and "15\u00a0min" in said
        assert_well_made(page, 390)


def test_a_second_tap_sends_nothing(browser: Browser, server: httpx.Client) -> None:
    sent: list[str] = []
    with window(browser, server) as page:
        page.goto("/sign-in")
        page.route(
            "**/sign-in",
            lambda route: (
                (sent.append(route.request.method), route.continue_())
                if route.request.method == "POST"
                else route.continue_()
            ),
        )
        page.fill("input[name=login]", "lin")
        page.fill("input[name=password]", PASSWORD)
        page.evaluate(
            "() => { const b = document.querySelector('form.fields button'); b.click(); b.click(); b.click(); }"
        )
        page.wait_for_url(re.compile("/scan"))
        assert sent == ["POST"]


def test_a_lost_session_says_what_became_of_the_form_and_leads_back(
    browser: Browser, instance: Instance, server: httpx.Client
) -> None:
    with (
        signed_in(server, "lin") as lin,
        window(browser, server, session=session_of(lin), language="en") as page,
    ):
        page.goto("/account")
        page.fill("input[name=current]", PASSWORD)
        page.fill("input[name=new]", "another-long-one")
        page.fill("input[name=again]", "another-long-one")
        instance.alter("DELETE FROM user_session")
        page.click("form.fields button[type=submit]")
        page.wait_for_url("**/sign-in?next=/account&lost=1**")
        assert "what you typed was not saved" in page.inner_text(".notice-doubt")
        fill_in(page, "lin")
        page.wait_for_url("**/account")
        assert page.input_value("input[name=new]") == ""


@pytest.mark.parametrize("width", WIDTHS)
def test_an_administrator_adds_somebody_who_then_works(
    browser: Browser, server: httpx.Client, width: int
) -> None:
    with (
        signed_in(server, "root") as root,
        window(browser, server, session=session_of(root), width=width, refusals=(422,)) as page,
    ):
        page.goto("/accounts")
        page.click("text=新增账号")
        page.fill("input[name=login]", "Wang")
        page.fill("input[name=name]", "王师傅")
        page.check("input[value=carrier]")
        page.click("text=新增这个账号")
        assert "必须属于一个单位" in page.inner_text(".field-error")
        assert page.is_checked("input[value=carrier]"), "what was chosen stays"
        assert_well_made(page, width)
        page.select_option("select[name=organisation]", "carrier")
        password = page.input_value("input[name=password]")
        page.click("text=新增这个账号")
        assert page.locator(".secret").all_inner_texts() == ["wang", password]
        assert_well_made(page, width)
        page.reload()
        assert page.locator(".secret").all_inner_texts() == ["wang", password], "sent again, done once"
        page.click("text=回到账号列表")
        assert page.locator(".card", has_text="王师傅").count() == 1
    with window(browser, server, width=width) as page:
        page.goto("/sign-in")
        fill_in(page, "wang", password)
        page.wait_for_url(re.compile("/scan"))


def test_disabling_and_enabling(browser: Browser, server: httpx.Client) -> None:
    with (
        signed_in(server, "root") as root,
        window(browser, server, session=session_of(root), language="en") as page,
    ):
        page.goto("/accounts")
        page.click("a:text-is('lin')")
        page.click("text=Disable this account")
        assert "The account is disabled" in page.inner_text(".notice-good")
        page.click("text=Enable this account")
        assert "The account is enabled" in page.inner_text(".notice-good")
        assert page.get_by_role("button", name="Disable this account").is_visible()


def test_the_language_switch_stays_on_the_page_with_its_query(browser: Browser, server: httpx.Client) -> None:
    with window(browser, server) as page:
        page.goto("/sign-in?next=/account")
        page.click("a.language")
        assert page.inner_text("h1") == "Sign in"
        fill_in(page, "lin")
        page.wait_for_url("**/account")
        assert page.inner_text("h1") == "Your account", "and the choice is kept"


def test_who_may_not_enter_is_told_who_may(browser: Browser, server: httpx.Client) -> None:
    with (
        signed_in(server, "lin") as lin,
        window(browser, server, session=session_of(lin), refusals=(403,)) as page,
    ):
        page.goto("/accounts")
        assert "您的账号不能使用这一页" in page.inner_text("h1") and "管理员" in page.inner_text("main")
        assert page.get_by_role("link", name="登记").get_attribute("href") == "/scan", (
            "their own work stays in reach"
        )
