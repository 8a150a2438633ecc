"""Passwords: what is kept, what is refused, and what a login that nobody has costs."""

from __future__ import annotations

import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from tests.servers.waiting import wait_until
from trace_api.accounts import passwords
from trace_api.accounts.passwords import (
    AT_ONCE,
    IN_LINE,
    Busy,
    PasswordRefused,
    Passwords,
    check_new,
    generate,
)

SMALL = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def small() -> Passwords:
    return Passwords(SMALL)


def test_what_is_kept_is_argon2id_with_the_parameters_recommended() -> None:
    parameters = extract_parameters(Passwords().hash("bayberry-in-the-rain"))
    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.salt_len) == (64 * 1024, 3, 16)


def test_only_the_password_gives_the_same_again(small: Passwords) -> None:
    stored = small.hash("bayberry-in-the-rain")
    assert stored != small.hash("bayberry-in-the-rain"), "each with a salt of its own"
    assert small.hash_like("bayberry-in-the-rain", stored) == stored
    blank = stored[: -len(stored.rpartition("$")[2])] + "A" * len(stored.rpartition("$")[2])
    assert small.hash_like("bayberry-in-the-rain", blank) == stored, "from what the database tells of it"
    for other in ("", "bayberry-in-the-rai", "Bayberry-in-the-rain", "bayberry-in-the-rain ", stored):
        assert small.hash_like(other, stored) != stored, other


def test_an_unknown_login_is_hashed_like_a_known_one(small: Passwords) -> None:
    """The same work with the same parameters: a stranger's clock cannot tell which logins there are."""
    stored = small.hash("bayberry-in-the-rain")
    known, unknown = small.hash_like("guess", stored), small.hash_like("guess", None)
    assert known.split("$")[:4] == unknown.split("$")[:4] and len(known) == len(unknown)


def test_what_was_hashed_under_weaker_parameters_has_outgrown_them(small: Passwords) -> None:
    stored = small.hash("bayberry-in-the-rain")
    grown = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    assert not small.outgrown(stored)
    assert grown.outgrown(stored) and grown.hash_like("bayberry-in-the-rain", stored) == stored


def test_no_more_than_a_few_are_computed_at_once_and_few_wait(small: Passwords) -> None:
    """Each takes 64 MiB: a hundred at the door must not take the machine's memory, nor every thread that answers."""
    turns = [small.turn() for _ in range(AT_ONCE)]
    for each in turns:
        each.__enter__()
    done: list[str] = []
    line = [threading.Thread(target=lambda: done.append(small.hash("x"))) for _ in range(IN_LINE)]
    for thread in line:
        thread.start()
    assert wait_until(lambda: small._line._value == 0, 20)
    with pytest.raises(Busy):
        small.hash("x")
    assert not done
    for each in turns:
        each.__exit__(None, None, None)
    for thread in line:
        thread.join(20)
    assert len(done) == IN_LINE and small.hash("x"), "a turn that is over is the next one's"


@pytest.mark.parametrize(
    ("password", "key"),
    [
        ("short-one", "work_password_short"),
        ("x" * 201, "work_password_long"),
        ("my-name-is-Lin", "work_password_login"),
        ("abababababab", "work_password_plain"),
    ],
)
def test_a_poor_password_is_refused_with_its_reason(password: str, key: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        check_new(password, "lin")
    assert refused.value.key == key


@pytest.mark.parametrize("password", ["杨梅下雨天慢慢走上坡", "bayberry-in-the-rain", " spaces count here "])
def test_any_signs_may_be_used(password: str, small: Passwords) -> None:
    check_new(password, "lin")
    stored = small.hash(password)
    assert small.hash_like(password, stored) == stored


def test_a_made_password_is_long_unlike_the_last_and_free_of_doubtful_letters() -> None:
    made = {generate() for _ in range(200)}
    assert len(made) == 200
    for each in made:
        check_new(each, "administrator")
        assert not set(each) & set("ilo01")
    assert len(passwords._LETTERS) ** 16 > 2**78
