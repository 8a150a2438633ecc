"""Signing in, staying in, and being kept out, over the real server and a real database."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from argon2 import extract_parameters
from psycopg import errors

from tests.acceptance.instance import Instance, token
from tests.acceptance.people import PASSWORD, add_person, as_browser, open_session, session_of, signed_in
from tests.acceptance.serving import CHEAP, NO_TLS, served
from tests.integration.lines import NOW
from tests.integration.said import REGISTRY
from tests.servers.databases import ROLES, Database
from tests.servers.waiting import wait_until
from trace_api.accounts.guard import COOKIE
from trace_api.accounts.passwords import AT_ONCE, IN_LINE, Passwords
from trace_api.accounts.sessions import FAILURES, IDLE, LASTS, PERIOD

TABLES = ("user_account", "user_session", "sign_in_attempt", "account_change")


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    add_person(instance, "lin", "packer", "warehouse", organisation="coop")
    add_person(instance, "root", "administrator")
    return instance


@pytest.fixture
def browser(instance: Instance) -> Iterator[httpx.Client]:
    with browser_at(instance, NOW) as client:
        yield client


class browser_at:  # noqa: N801 - reads as what it does
    """A browser of somebody who has not signed in, before a server whose clock says so."""

    def __init__(self, instance: Instance, now: datetime, passwords: Passwords | None = None) -> None:
        self._served = served(instance, now, passwords)

    def __enter__(self) -> httpx.Client:
        client = self._served.__enter__()
        client.headers.update(as_browser(client))
        return client

    def __exit__(self, *error: object) -> None:
        self._served.__exit__(None, None, None)


def sign_in(
    client: httpx.Client, login: str = "lin", password: str = PASSWORD, **query: str
) -> httpx.Response:
    return client.post("/sign-in", params=query, data={"login": login, "password": password})


# Signing in ------------------------------------------------------------------------------------------------------------


def test_who_signs_in_lands_where_they_work(instance: Instance, browser: httpx.Client) -> None:
    answer = sign_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/scan")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
    assert "Secure" not in cookie, "served without TLS"
    page = browser.get("/account")
    assert page.status_code == 200 and "lin 演示" in page.text and "合作社" in page.text
    assert browser.get("/start").headers["location"] == "/scan"
    assert (
        instance.one(
            "SELECT count(*) FROM user_session WHERE sha256 = sha256(%s::bytea)", browser.cookies[COOKIE]
        )
        == 1
    )


def test_a_session_is_no_other_persons(browser: httpx.Client) -> None:
    sign_in(browser, "root")
    assert browser.get("/accounts").status_code == 200
    refused = browser.get("/scan-nowhere")
    assert refused.status_code == 404
    sign_in(browser, "lin")
    refused = browser.get("/accounts")
    assert refused.status_code == 403 and "管理员" in refused.text and "lin 演示" in refused.text


def test_signing_in_leads_back_to_the_page_and_nowhere_else(browser: httpx.Client) -> None:
    first = browser.get("/account?x=1")
    assert (first.status_code, first.headers["location"]) == (303, "/sign-in?next=/account%3Fx%3D1")
    form = browser.get(first.headers["location"])
    action = re.search(r'<form class="fields" method="post" action="([^"]+)"', form.text)
    assert action is not None
    answer = browser.post(action[1], data={"login": "lin", "password": PASSWORD})
    assert answer.headers["location"] == "/account?x=1"
    for strange in ("//evil.example", "https://evil.example/", "/\\evil.example"):
        assert sign_in(browser, next=strange).headers["location"] == "/scan"


@pytest.mark.parametrize("login", ["lin", "nobody"])
def test_a_wrong_password_says_no_more_than_an_unknown_login(browser: httpx.Client, login: str) -> None:
    answer = sign_in(browser, login, "not the password")
    assert answer.status_code == 422 and COOKIE not in browser.cookies
    assert "登录名或密码不对" in answer.text and f'value="{login}"' in answer.text
    assert "not the password" not in answer.text
    english = browser.post("/sign-in?lang=en", data={"login": login, "password": "x"})
    assert "The login or the password is not right." in english.text


def test_both_say_the_same(browser: httpx.Client) -> None:
    known, unknown = (sign_in(browser, login, "not the password").text for login in ("lin", "nob"))
    assert known.replace('value="lin"', "") == unknown.replace('value="nob"', "")


def test_capitals_and_spaces_around_a_login_do_not_matter(browser: httpx.Client) -> None:
    assert sign_in(browser, " Lin ").status_code == 303


def test_a_hash_under_weaker_parameters_is_renewed_at_sign_in(instance: Instance) -> None:
    stored = "SELECT password_hash FROM user_account WHERE login = 'lin'"
    before = extract_parameters(instance.one(stored))
    with served(instance, NOW, Passwords()) as client:
        client.headers.update(as_browser(client))
        assert sign_in(client).status_code == 303
        after = extract_parameters(instance.one(stored))
        assert before.memory_cost < after.memory_cost == 64 * 1024
        assert sign_in(client).status_code == 303, "it is still the same password"


# Too many attempts -------------------------------------------------------------------------------------------------------


def test_after_five_failures_even_the_right_password_waits(instance: Instance) -> None:
    with browser_at(instance, NOW) as client:
        for _ in range(FAILURES):
            assert sign_in(client, password="wrong").status_code == 422
        answer = sign_in(client)
        assert answer.status_code == 429
        assert "20:15" in answer.text and "15" in answer.text, "when to try again, in the country's time"
        assert 800 < int(answer.headers["retry-after"]) <= PERIOD.seconds
        assert COOKIE not in client.cookies
        assert sign_in(client, "root").status_code == 303, "another's login is no reason to wait"
        sign_in(client, "root")
        pass_time = "UPDATE sign_in_attempt SET at = at - %s::interval"
        instance.alter(pass_time, PERIOD - timedelta(minutes=1))
        assert sign_in(client).status_code == 429
        instance.alter(pass_time, timedelta(minutes=1))
        assert sign_in(client).status_code == 303


def test_a_login_that_nobody_has_waits_as_well(browser: httpx.Client) -> None:
    codes = [sign_in(browser, "nobody", "wrong").status_code for _ in range(FAILURES + 1)]
    assert codes == [422] * FAILURES + [429]


def test_a_success_forgives_the_failures_before_it(browser: httpx.Client) -> None:
    for _ in range(3):
        for _ in range(FAILURES - 1):
            assert sign_in(browser, password="wrong").status_code == 422
        assert sign_in(browser).status_code == 303


def test_many_at_once_are_no_way_around_it(instance: Instance, browser: httpx.Client) -> None:
    codes: list[int] = []
    start = threading.Barrier(12)

    def guess() -> None:
        with httpx.Client(
            base_url=browser.base_url, headers=browser.headers, timeout=60, verify=NO_TLS
        ) as client:
            start.wait(20)
            codes.append(sign_in(client, password="wrong").status_code)

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(codes) == [422] * FAILURES + [429] * (12 - FAILURES)
    assert instance.one("SELECT count(*) FROM sign_in_attempt") == FAILURES


@pytest.mark.editions("plain")
def test_a_crowd_at_the_door_holds_up_nobody_else(instance: Instance) -> None:
    passwords, answers = Passwords(CHEAP), []
    with browser_at(instance, NOW, passwords) as client:

        def come(login: str) -> None:
            with httpx.Client(
                base_url=client.base_url, headers=client.headers, timeout=60, verify=NO_TLS
            ) as each:
                answers.append(sign_in(each, login))

        crowd = [threading.Thread(target=come, args=(f"nobody-{number}",)) for number in range(40)]
        with signed_in(client, "root") as root, ExitStack() as every_turn:
            for _ in range(AT_ONCE):
                every_turn.enter_context(passwords.turn())
            for each in crowd:
                each.start()
            assert wait_until(lambda: len(answers) == 40 - IN_LINE, 20), "the others wait for their turn"
            for path in ("/healthz", "/readyz", "/sign-in"):
                assert client.get(path, timeout=3).status_code == 200
            assert {answer.status_code for answer in answers} == {503}
            assert all(int(answer.headers["retry-after"]) <= 10 for answer in answers)
            assert "登录的人太多" in answers[0].text and 'value="nobody-' in answers[0].text
            assert instance.one("SELECT count(*) FROM sign_in_attempt WHERE NOT succeeded") == 0, (
                "none counts"
            )
            form = {"password": "four-quiet-lorries", "idempotency_key": str(uuid4())}
            unset = root.post(f"{account_path(instance, 'lin')}/password", data=form)
            assert (unset.status_code, unset.headers["retry-after"]) == (503, "10")
        for each in crowd:
            each.join(20)
        assert sorted(answer.status_code for answer in answers) == [422] * IN_LINE + [503] * (40 - IN_LINE)


# A session ends --------------------------------------------------------------------------------------------------------


def session_at(instance: Instance, cookie: str, when: datetime, path: str = "/account") -> int:
    with browser_at(instance, when) as client:
        client.cookies.set(COOKIE, cookie)
        return client.get(path).status_code


def test_a_session_ends_when_it_is_not_used_and_in_any_case_after_a_week(instance: Instance) -> None:
    with browser_at(instance, NOW) as client:
        sign_in(client)
        cookie = client.cookies[COOKIE]
    moment = NOW
    while moment + IDLE < NOW + LASTS:
        moment += IDLE - timedelta(minutes=1)
        assert session_at(instance, cookie, moment) == 200, moment
    assert session_at(instance, cookie, NOW + LASTS) == 303
    with browser_at(instance, NOW) as client:
        sign_in(client)
        cookie = client.cookies[COOKIE]
    assert session_at(instance, cookie, NOW + IDLE - timedelta(seconds=1)) == 200
    assert session_at(instance, cookie, NOW + 2 * IDLE) == 303


def test_signing_out_ends_it_for_good(browser: httpx.Client) -> None:
    sign_in(browser)
    cookie = browser.cookies[COOKIE]
    answer = browser.post("/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?out=1")
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, cookie)
    assert browser.get("/account").status_code == 303


def test_a_form_of_a_lost_session_is_not_lost_silently(instance: Instance) -> None:
    with browser_at(instance, NOW) as client:
        sign_in(client)
        cookie = client.cookies[COOKIE]
    with browser_at(instance, NOW + IDLE) as client:
        client.cookies.set(COOKIE, cookie)
        form = own_password(current=PASSWORD)
        page = f"{str(client.base_url).rstrip('/')}/account?lang=en"
        answer = client.post("/account/password", data=form, headers={"Referer": page})
        assert answer.headers["location"].startswith("/sign-in?next=/account%3Flang%3Den&lost=1"), (
            "back to the form's page"
        )
        said = client.post(answer.headers["location"], data=form).text
        assert "没有保存" in said and "重新填写" in said and "another-long" not in said, (
            "passwords go no further"
        )
        without = client.post("/account/password", data=form)
        assert "next=/start&lost=1" in without.headers["location"], "its own address is no page"
        assert sign_in(client).status_code == 303, "the old password: nothing was done"


def test_what_was_typed_goes_along_through_signing_in(instance: Instance, browser: httpx.Client) -> None:
    path = account_path(instance, "lin")
    form = {"name": '林 "师傅" & 女儿', "roles": ["packer", "grower"], "organisation": "coop", "department": "",
            "regions": "", "idempotency_key": str(uuid4())}  # fmt: skip
    asked = {"Referer": f"{str(browser.base_url).rstrip('/')}{path}"}
    lost = browser.post(f"{path}/roles", data=form, headers=asked, follow_redirects=True)
    assert lost.status_code == 200 and "内容还在" in lost.text
    wrong = send_again(browser, lost.text, login="root", password="wrong")
    assert wrong.status_code == 422
    back = send_again(browser, wrong.text, login="root", password=PASSWORD)
    assert back.status_code == 200 and "root 演示" in back.text and f'href="{path}"' in back.text
    assert instance.one("SELECT roles FROM user_account WHERE login = 'lin'") == ["packer", "warehouse"]
    done = send_again(browser, back.text)
    assert done.headers["location"] == f"{path}?done=saved"
    assert instance.rows("SELECT name, roles FROM user_account WHERE login = 'lin'") == [
        (form["name"], ["grower", "packer"])
    ]
    browser.cookies.clear()
    strange = browser.post(
        f"{path}/roles", data=form, headers={"Origin": "https://evil.example"}, follow_redirects=True
    )
    assert strange.status_code == 403, "another site's form goes nowhere"
    foreign = browser.post("/sign-in?next=/start&form=//evil.example/", data=form)
    assert 'name="kept"' not in foreign.text and "form=//" not in foreign.text


def send_again(browser: httpx.Client, page: str, **typed: str) -> httpx.Response:
    """The form of that page, with what lies in it and what is typed."""
    whole = re.search(r'<form class="fields" method="post" action="([^"]+)">(.+?)</form>', page, re.DOTALL)
    assert whole is not None
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', whole[2])
    fields: dict[str, list[str]] = {}
    for name, value in hidden:
        fields.setdefault(name, []).append(unescape(value))
    return browser.post(unescape(whole[1]), data={**fields, **typed})


def test_a_disabled_account_is_out_at_once(instance: Instance, browser: httpx.Client) -> None:
    with signed_in(browser, "lin") as lin, signed_in(browser, "root") as root:
        assert lin.get("/account").status_code == 200
        path = account_path(instance, "lin")
        answer = root.post(f"{path}/disable", data={"idempotency_key": str(uuid4())})
        assert answer.headers["location"] == f"{path}?done=disabled"
        assert lin.get("/account").status_code == 303
    refused = sign_in(browser)
    assert refused.status_code == 422 and "账号已停用" in refused.text
    assert "账号已停用" not in sign_in(browser, password="wrong").text, "only who knows the password is told"
    with signed_in(browser, "root") as root:
        root.post(f"{path}/enable", data={"idempotency_key": str(uuid4())})
    assert sign_in(browser).status_code == 303


def account_path(instance: Instance, login: str) -> str:
    return f"/accounts/{instance.one('SELECT id FROM user_account WHERE login = %s', login)}"


# Other sites -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({}, False),
    ],
)
def test_only_our_own_pages_may_change_anything(
    instance: Instance, browser: httpx.Client, headers: dict[str, str], taken: bool
) -> None:
    with signed_in(browser, "root") as root:
        del root.headers["Origin"]
        path = account_path(instance, "lin")
        answer = root.post(f"{path}/disable", data={"idempotency_key": str(uuid4())}, headers=headers)
        assert answer.status_code == (303 if taken else 403)
        if not taken:
            assert "不是从本系统的页面发出的" in answer.text
        assert instance.one("SELECT disabled_at IS NOT NULL FROM user_account WHERE login = 'lin'") is taken
        assert root.get("/accounts", headers=headers).status_code == 200, "looking changes nothing"


def test_another_site_signs_nobody_in_or_out(browser: httpx.Client) -> None:
    foreign = {"Origin": "https://evil.example"}
    assert (
        browser.post("/sign-in", data={"login": "lin", "password": PASSWORD}, headers=foreign).status_code
        == 403
    )
    sign_in(browser)
    assert browser.post("/sign-out", headers=foreign).status_code == 403
    assert browser.get("/account").status_code == 200


# Passwords -------------------------------------------------------------------------------------------------------------


def own_password(**current: str) -> dict[str, str]:
    return {
        "idempotency_key": str(uuid4()),
        "new": "another-long-one",
        "again": "another-long-one",
        **current,
    }


def test_one_changes_ones_own_password(instance: Instance, browser: httpx.Client) -> None:
    with signed_in(browser, "lin") as here, signed_in(browser, "lin") as elsewhere:
        form = own_password(current=PASSWORD)
        for field, value, said in (
            ("current", "not-mine-at-all", "现在的密码不对"),
            ("new", "short", "密码太短"),
            ("again", "something-else", "不一样"),
        ):
            answer = here.post("/account/password", data=form | {field: value})
            assert answer.status_code == 422 and said in answer.text, field
            assert "another-long-one" not in answer.text
        for _ in range(2):  # a second tap, after which the first one's password is the current one no more
            assert here.post("/account/password", data=form).headers["location"] == "/account?done=1"
        other = here.post(
            "/account/password", data=form | {"new": "a-third-long-one", "again": "a-third-long-one"}
        )
        assert other.status_code == 422 and "another-long-one" not in str(
            instance.rows("SELECT * FROM idempotency")
        )
        assert here.get("/account?done=1").status_code == 200
        assert elsewhere.get("/account").status_code == 303, "sessions elsewhere end"
    assert sign_in(browser).status_code == 422
    assert sign_in(browser, password="another-long-one").status_code == 303


def test_the_current_password_cannot_be_guessed_through_an_open_session(browser: httpx.Client) -> None:
    with signed_in(browser, "lin") as lin:
        form = own_password()
        for number in range(FAILURES):
            lin.post("/account/password", data=form | {"current": f"guess-number-{number}"})
        answer = lin.post("/account/password", data=form | {"current": PASSWORD})
        assert answer.status_code == 429 and "次密码不对" in answer.text
    assert sign_in(browser).status_code == 429, "the same count as at the door"


# Administering ---------------------------------------------------------------------------------------------------------


def new_account(**changes: str | list[str]) -> dict[str, str | list[str]]:
    form: dict[str, str | list[str]] = {
        "login": "wang", "name": "王师傅", "roles": ["carrier"], "organisation": "carrier", "department": "", "regions": "",
        "password": "four-quiet-lorries",
    }  # fmt: skip
    return {"idempotency_key": str(uuid4()), **form, **changes}


def test_an_administrator_adds_an_account_and_hands_the_password_over(
    instance: Instance, browser: httpx.Client
) -> None:
    with signed_in(browser, "root") as root:
        offered = re.search(r'name="password" type="text" value="([^"]+)"', root.get("/accounts/new").text)
        assert offered is not None and len(offered[1]) == 19
        form = new_account(password=offered[1])
        answer = root.post("/accounts", data=form)
        assert answer.status_code == 200 and offered[1] in answer.text and "只显示这一次" in answer.text
        again = root.post("/accounts", data=form)
        assert again.status_code == 200 and offered[1] in again.text, "a reload of that page"
        other = root.post("/accounts", data=form | {"password": "never-set-by-anybody"})
        assert other.status_code == 422 and "never-set-by-anybody" not in other.text, "the first one stands"
        assert instance.one("SELECT count(*) FROM user_account WHERE login = 'wang'") == 1
        assert "王师傅" in root.get("/accounts").text
        assert root.post("/accounts", data=form | {"name": "他人"}).status_code == 422, (
            "the same key, another account"
        )
    kept = instance.one("SELECT string_agg(each::text, ' ') FROM idempotency AS each")
    assert offered[1] not in kept and "argon2" not in kept
    assert sign_in(browser, "wang", offered[1]).headers["location"] == "/scan"
    changes = instance.rows("SELECT what, changed_by = (SELECT id FROM user_account WHERE login = 'root') FROM account_change"
                            " WHERE account = (SELECT id FROM user_account WHERE login = 'wang')")  # fmt: skip
    assert changes == [("added", True)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"login": "lin"}, "已经有人用了"),
        ({"login": "王"}, "登录名只能用"),
        ({"name": " "}, "请填写姓名"),
        ({"roles": []}, "至少选择一个角色"),
        ({"roles": ["carrier", "official"]}, "不能与其他角色同时选"),
        ({"organisation": ""}, "必须属于一个单位"),
        ({"organisation": "nowhere"}, "没有这个单位"),
        ({"roles": ["official"], "organisation": "", "regions": "33"}, "监管人员必须有部门"),
        ({"roles": ["official"], "organisation": "", "department": "agriculture"}, "必须有管辖地区"),
        ({"roles": ["auditor"], "organisation": "", "regions": "3310241"}, "不是行政区划代码"),
        ({"roles": ["auditor"], "organisation": "coop", "regions": "33"}, "不属于任何经手货物的单位"),
        ({"department": "agriculture"}, "只有监管人员才有部门"),
        ({"regions": "33"}, "才有管辖地区"),
        ({"password": "short"}, "密码太短"),
        ({"password": "my-wang-password"}, "不能包含登录名"),
    ],
)
@pytest.mark.editions("plain")
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_made(
    instance: Instance, browser: httpx.Client, changes: dict[str, str | list[str]], said: str
) -> None:
    with signed_in(browser, "root") as root:
        form = new_account(**changes)
        answer = root.post("/accounts", data=form)
        assert answer.status_code == 422 and said in answer.text
        assert answer.text.count('class="field-error"') == 1
        assert str(form["idempotency_key"]) in answer.text, "the corrected form may be sent under its key"
        assert instance.one("SELECT count(*) FROM user_account") == 2
        if "name" not in changes:
            assert 'value="王师傅"' in answer.text, "what was typed stays"
        assert (
            root.post(
                "/accounts", data=new_account() | {"idempotency_key": form["idempotency_key"]}
            ).status_code
            == 200
        )


def test_roles_and_scope_change_from_the_next_step_on(instance: Instance, browser: httpx.Client) -> None:
    path = account_path(instance, "lin")
    form = {
        "name": "林科长",
        "roles": ["official"],
        "organisation": "",
        "department": "market_regulation",
        "regions": "3301，33",
    }
    with signed_in(browser, "lin") as lin, signed_in(browser, "root") as root:
        assert lin.get("/start").headers["location"] == "/scan"
        answer = root.post(f"{path}/roles", data=form | {"idempotency_key": str(uuid4())})
        assert answer.headers["location"] == f"{path}?done=saved"
        assert "已保存" in root.get(answer.headers["location"]).text
        assert lin.get("/start").headers["location"] == "/audit", "the session goes on with the new roles"
        bad = root.post(f"{path}/roles", data=form | {"regions": "", "idempotency_key": str(uuid4())})
        assert bad.status_code == 422 and "必须有管辖地区" in bad.text
    assert instance.rows(
        "SELECT roles, department, regions, organisation FROM user_account WHERE login = 'lin'"
    ) == [(["official"], "market_regulation", ["3301", "33"], None)]


def test_a_new_password_ends_the_old_one_its_sessions_and_the_wait(
    instance: Instance, browser: httpx.Client
) -> None:
    path = account_path(instance, "lin")
    with signed_in(browser, "lin") as lin, signed_in(browser, "root") as root:
        for _ in range(FAILURES):
            sign_in(browser, password="wrong")
        form = {"password": "four-quiet-lorries", "idempotency_key": str(uuid4())}
        answer = root.post(f"{path}/password", data=form)
        assert answer.status_code == 200 and "four-quiet-lorries" in answer.text
        again = root.post(f"{path}/password", data=form | {"password": "never-set-by-anybody"})
        assert again.status_code == 422 and "never-set-by-anybody" not in again.text
        assert lin.get("/account").status_code == 303
        refused = root.post(f"{path}/password", data={"password": "short", "idempotency_key": str(uuid4())})
        assert refused.status_code == 422 and "密码太短" in refused.text
    assert sign_in(browser).status_code == 422
    assert sign_in(browser, password="four-quiet-lorries").status_code == 303


def test_no_administrator_locks_themselves_out(instance: Instance, browser: httpx.Client) -> None:
    path = account_path(instance, "root")
    with signed_in(browser, "root") as root:
        assert "这是您自己的账号" in root.get(path).text
        for action, form in (
            ("disable", {}),
            (
                "roles",
                {"name": "x", "roles": "carrier", "organisation": "carrier", "department": "", "regions": ""},
            ),
        ):
            answer = root.post(f"{path}/{action}", data={**form, "idempotency_key": str(uuid4())})
            assert answer.status_code == 403 and "另一位管理员" in answer.text, action
        assert root.get("/accounts").status_code == 200


def test_what_is_not_there_is_said(browser: httpx.Client) -> None:
    with signed_in(browser, "root") as root:
        for path in (f"/accounts/{uuid4()}", "/accounts/nothing"):
            answer = root.get(path)
            assert answer.status_code in (404, 422) and "<h1" in answer.text


def test_without_a_key_nothing_is_done(instance: Instance, browser: httpx.Client) -> None:
    path = account_path(instance, "lin")
    with signed_in(browser, "root") as root:
        for key in ("", "short"):
            answer = root.post(f"{path}/disable", data={"idempotency_key": key})
            assert answer.status_code == 400 and "Idempotency-Key" in answer.text
    assert instance.one("SELECT disabled_at FROM user_account WHERE login = 'lin'") is None


# Languages, errors as pages ------------------------------------------------------------------------------------------------


def test_a_language_once_chosen_stays(browser: httpx.Client) -> None:
    assert "登录名" in browser.get("/sign-in").text
    page = browser.get("/sign-in?next=/account&lang=en").text
    assert "Login" in page and 'href="/sign-in?next=%2Faccount&amp;lang=zh"' in page, (
        "the switch keeps the query"
    )
    assert "Login" in browser.get("/sign-in").text
    assert "Too many" in [sign_in(browser, password="wrong").text for _ in range(FAILURES + 1)][-1]


def test_an_error_is_a_page_for_people_and_problem_details_for_programs(browser: httpx.Client) -> None:
    here = str(browser.base_url).rstrip("/")
    for address, referer in (("//evil.example/x", here), ("/nowhere", f"{here}//evil.example/x")):
        foreign = browser.get(f"{here}{address}", headers={"Referer": referer})
        assert "evil.example" in foreign.text and 'href="//' not in foreign.text, "a link to another site"
    page = browser.get("/nowhere")
    assert page.headers["content-type"].startswith("text/html") and "没有这个页面" in page.text
    program = browser.get("/nowhere", headers={"Accept": "*/*"})
    assert program.headers["content-type"] == "application/problem+json" and program.json()["status"] == 404
    invalid = browser.get("/api/v1/excursions?limit=0")
    assert invalid.status_code == 422 and "无法识别" in invalid.text
    with signed_in(browser, "lin", Accept="application/json") as lin:
        answer = lin.get("/accounts")
        assert answer.status_code == 403 and answer.json()["code"] == "work_not_yours"
        assert "Administrator" in answer.json()["detail"]


def test_a_body_without_end_is_refused_before_anybody_is_asked_for(browser: httpx.Client) -> None:
    """A form, and a document of a program; sent in pieces, so that no header says how long it will be."""
    for address, kind in (
        ("/sign-in", "application/x-www-form-urlencoded"),
        ("/api/v1/acts/hold", "application/json"),
    ):
        pieces = (b"x=" + b"x" * 65_536 + b"&" for _ in range(64))
        answer = browser.post(address, content=pieces, headers={"Content-Type": kind})
        assert answer.status_code == 413, address


def test_working_pages_are_kept_by_nobody_and_framed_by_nobody(browser: httpx.Client) -> None:
    sign_in(browser)
    for path in ("/sign-in", "/account"):
        headers = browser.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert "form-action 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"


def test_a_token_is_for_programs_and_opens_no_page(browser: httpx.Client) -> None:
    program = {"Authorization": f"Bearer {token('coop')}"}
    assert browser.get("/account", headers=program).headers["location"] == "/sign-in?next=/account"


# The database -----------------------------------------------------------------------------------------------------------


def test_no_service_reads_or_writes_accounts_but_through_their_functions(instance: Instance) -> None:
    for role in ROLES:
        with instance.as_role(role) as conn:
            for table in TABLES:
                for statement in (
                    f"SELECT FROM {table}",
                    f"DELETE FROM {table}",
                    f"INSERT INTO {table} DEFAULT VALUES",
                ):
                    with pytest.raises(errors.InsufficientPrivilege), conn.transaction():
                        conn.execute(statement.encode())


def test_only_the_api_may_call_them(instance: Instance) -> None:
    calls = (
        "begin_sign_in('lin', '')",
        "sign_in_salt('lin')",
        "session_account(''::bytea, now(), '12 h')",
        "account_list()",
        "account_password(gen_random_uuid(), '$argon2id$x', now())",
        "require_administrator()",
        "take_attempt(gen_random_uuid())",
    )
    for role in ROLES:
        with instance.as_role(role) as conn:
            for call in calls:
                allowed = role == "api" and call.startswith(("begin", "sign", "session"))
                try:
                    with conn.transaction():
                        conn.execute(f"SELECT * FROM {call}".encode())
                except errors.InsufficientPrivilege:
                    assert not allowed, (role, call)
                else:
                    assert allowed, (role, call)


def test_the_database_gives_away_no_hash(instance: Instance) -> None:
    stored = instance.one("SELECT password_hash FROM user_account WHERE login = 'lin'")
    with instance.as_role("api") as conn:
        ((salt,),) = conn.execute("SELECT sign_in_salt('lin')").fetchall()
        assert salt.rpartition("$")[0] == stored.rpartition("$")[0]
        assert set(salt.rpartition("$")[2]) == {"A"}
        definers = conn.execute(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef AND prosrc ~ 'password_hash'"
            " AND has_function_privilege(oid, 'EXECUTE')"
        ).fetchall()
        assert {name.partition("(")[0] for (name,) in definers} == {
            "sign_in_salt", "begin_sign_in", "finish_sign_in", "change_own_password", "account_add", "account_password",
        }  # fmt: skip


def test_who_rolls_back_learns_nothing_and_guesses_no_more_than_five(instance: Instance) -> None:
    """Raw SQL under the API's role: what is right is told in a later transaction than the one that counted it."""
    right = instance.one("SELECT password_hash FROM user_account WHERE login = 'lin'")
    begin, finish = "SELECT begin_sign_in('lin', %s)", "SELECT finish_sign_in(%s, %s, NULL, now(), '1 day')"
    with instance.as_role("api") as conn:
        ((handle,),) = conn.execute(begin, [right]).fetchall()
        assert conn.execute(finish, [handle, bytes(32)]).fetchone() == ("wrong",), "not in one transaction"
        conn.rollback()
        for _ in range(FAILURES):
            ((handle,),) = conn.execute(begin, [right[:-1]]).fetchall()
            conn.commit()
            for hopeful in (handle, uuid4()):
                assert conn.execute(finish, [hopeful, bytes(32)]).fetchone() == ("wrong",)
                conn.rollback()
        assert conn.execute(begin, [right]).fetchone() == (None,)


@pytest.mark.editions("plain")
@pytest.mark.parametrize("waits", [False, True], ids=["before", "at-the-same-time"])
def test_a_new_password_wins_over_a_sign_in_beside_it(instance: Instance, waits: bool) -> None:
    """The old password was right, and before there is a session an administrator sets another."""
    right, lin = instance.rows("SELECT password_hash, id FROM user_account WHERE login = 'lin'")[0]
    outcome: list[object] = []

    def finish() -> None:
        with instance.as_role("api") as late:
            query = "SELECT finish_sign_in(%s, %s, NULL, now(), '1 day')"
            outcome.extend(late.execute(query, [handle, bytes(32)]).fetchone() or ())

    with instance.as_role("api") as conn:
        ((handle,),) = conn.execute("SELECT begin_sign_in('lin', %s)", [right]).fetchall()
    late = threading.Thread(target=finish)
    with psycopg.connect(instance.database.owner) as conn:
        conn.execute("SELECT account_password(%s, %s, now())", [lin, CHEAP.hash("four-quiet-lorries")])
        if waits:
            late.start()
            locked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            assert wait_until(lambda: instance.one(locked) == 1, 20)
    if not waits:
        late.start()
    late.join(20)
    assert outcome == ["wrong"]
    assert instance.one("SELECT count(*) FROM user_session") == 0


@pytest.mark.parametrize("who", ["lin", None])
def test_the_database_itself_asks_who_administers(instance: Instance, who: str | None) -> None:
    """A route that forgot its guard would still not make an administrator, nor would a query that says it is one."""
    account = "" if who is None else str(instance.one("SELECT id FROM user_account WHERE login = %s", who))
    if account:
        open_session(instance, account)
    root = str(instance.one("SELECT id FROM user_account WHERE login = 'root'"))
    with instance.as_role("api") as conn:
        conn.execute(
            "SELECT set_config('suyuan.session', %s, false), set_config('suyuan.account', %s, false)",
            [session_of(account), root],
        )
        for call in (
            "account_list()",
            "account_add('x1', 'x', NULL, '{administrator}', NULL, '{}', '$argon2id$x', now())",
            "account_disable(gen_random_uuid(), true, now())",
            "account_password(gen_random_uuid(), '$argon2id$x', now())",
            "account_roles(gen_random_uuid(), 'x', NULL, '{administrator}', NULL, '{}', now())",
        ):
            with pytest.raises(errors.InsufficientPrivilege), conn.transaction():
                conn.execute(f"SELECT * FROM {call}".encode())


@pytest.mark.parametrize(
    "values",
    [
        "'x1', 'x', NULL, '{official}', NULL, '{33}'",
        "'x1', 'x', NULL, '{official}', 'agriculture', '{}'",
        "'x1', 'x', NULL, '{auditor}', NULL, '{}'",
        "'x1', 'x', NULL, '{auditor}', NULL, '{332}'",
        "'x1', 'x', NULL, '{auditor}', NULL, ARRAY[NULL]",
        "'x1', 'x', NULL, '{market}', NULL, '{}'",
        "'x1', 'x', 'coop', '{administrator}', NULL, '{}'",
        "'x1', 'x', 'coop', '{market,administrator}', NULL, '{}'",
        "'x1', 'x', 'coop', '{}', NULL, '{}'",
        "'x1', 'x', 'coop', '{driver}', NULL, '{}'",
        "'X1', 'x', 'coop', '{market}', NULL, '{}'",
        "'x1', ' ', 'coop', '{market}', NULL, '{}'",
    ],
)
@pytest.mark.editions("plain")
def test_no_account_is_of_a_kind_that_there_is_not(instance: Instance, values: str) -> None:
    with psycopg.connect(instance.database.owner) as conn, pytest.raises(errors.CheckViolation):
        conn.execute(f"SELECT account_add({values}, '$argon2id$x', now())".encode())


def test_a_password_is_nowhere_in_the_database(instance: Instance, browser: httpx.Client) -> None:
    sign_in(browser)
    sign_in(browser, password="a-wrong-but-telling-one")
    cookie = browser.cookies[COOKIE]
    for table in TABLES:
        text = str(instance.rows(f"SELECT each::text FROM {table} AS each"))
        assert PASSWORD not in text and "telling" not in text and cookie not in text
