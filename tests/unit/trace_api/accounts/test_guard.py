"""Where signing in may lead: to a page of ours and nowhere else."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_api.access import Databases
from trace_api.accounts.guard import Guard, safe_next
from trace_api.accounts.sessions import plain_login
from trace_api.roles import AREAS, ROLES, areas_of, landing

HERE = "https://suyuan.example/sign-in"


@pytest.mark.parametrize("wanted", ["/scan", "/check?code=a%2Fb&lang=en", "/audit/7#readings", "/start"])
def test_an_address_of_ours_is_kept(wanted: str) -> None:
    assert safe_next(wanted) == wanted


@pytest.mark.parametrize(
    "wanted",
    [None, "", "scan", "//evil.example/x", "/\\evil.example", "https://evil.example", "javascript:alert(1)",
     "/\t/evil.example", "/ /evil", "\\\\evil.example", "/sign-out", "/sign-in?next=/sign-in", "/scan\nLocation: x"],
)  # fmt: skip
def test_any_other_is_not(wanted: str | None) -> None:
    assert safe_next(wanted) is None


@given(st.text(max_size=40) | st.from_regex(r"[/\\]{1,3}[a-z.:@]{0,8}[/\\]?[a-z]{0,5}", fullmatch=True))
def test_whatever_is_asked_for_it_stays_on_this_host(wanted: str) -> None:
    kept = safe_next(wanted)
    if kept is not None:
        assert urlsplit(urljoin(HERE, kept))[:2] == urlsplit(HERE)[:2]
        assert kept[1:2] not in ("/", "\\") and "\n" not in kept


def test_every_role_has_somewhere_to_work() -> None:
    for role in ROLES:
        assert landing([role]) == f"/{areas_of([role])[0]}"
    beside = {"alerts", "holds", "channels"}  # where nobody begins
    assert {landing([role]) for role in ROLES} == {f"/{area}" for area in AREAS if area not in beside}
    assert areas_of(["market", "warehouse"]) == ("check", "scan", "alerts", "holds")


def test_a_guard_of_a_role_that_is_none_is_a_mistake_of_ours() -> None:
    guard = Guard(Databases(None, None), "https://suyuan.example", lambda: None)  # type: ignore[arg-type]
    assert guard.secure
    with pytest.raises(ValueError, match="driver"):
        guard.allowed("market", "driver")


@pytest.mark.parametrize(("typed", "login"), [(" Lin ", "lin"), ("LIN\x00", "lin"), ("a" * 300, "a" * 100)])
def test_a_login_is_taken_as_phones_type_it(typed: str, login: str) -> None:
    assert plain_login(typed) == login
