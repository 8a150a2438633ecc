"""Passwords: what is kept, what is refused, and what a login that nobody has costs."""

from __future__ import annotations

import threading
from unittest.mock import patch

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from trace_api.accounts import passwords
from trace_api.accounts.passwords import AT_ONCE, PasswordRefused, Passwords, check_new, generate

SMALL = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def small() -> Passwords:
    return Passwords(SMALL)


def test_what_is_kept_is_argon2id_with_the_parameters_recommended() -> None:
    parameters = extract_parameters(Passwords().hash("bayberry-in-the-rain"))
    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.salt_len) == (64 * 1024, 3, 16)


def test_only_the_password_opens(small: Passwords) -> None:
    stored = small.hash("bayberry-in-the-rain")
    assert stored != small.hash("bayberry-in-the-rain"), "each with a salt of its own"
    assert small.verify("bayberry-in-the-rain", stored)
    for other in ("", "bayberry-in-the-rai", "Bayberry-in-the-rain", "bayberry-in-the-rain ", stored):
        assert not small.verify(other, stored), other


def test_nothing_opens_what_is_not_there(small: Passwords) -> None:
    assert not small.verify("", None)
    assert not small.verify("bayberry-in-the-rain", None)
    assert not small.verify("bayberry-in-the-rain", "$argon2id$broken")


def test_an_unknown_login_is_verified_like_a_known_one(small: Passwords) -> None:
    """The same work with the same parameters: a stranger's clock cannot tell which logins there are."""
    stored, asked = small.hash("bayberry-in-the-rain"), []
    hasher = small._hasher
    with patch.object(
        PasswordHasher, "verify", autospec=True, side_effect=lambda own, *given: asked.append((own, given))
    ):
        small.verify("guess", stored)
        small.verify("guess", None)
    (known, (known_hash, _)), (unknown, (unknown_hash, _)) = asked
    assert known is unknown is hasher
    assert extract_parameters(known_hash) == extract_parameters(unknown_hash)


def test_what_was_hashed_under_weaker_parameters_has_outgrown_them(small: Passwords) -> None:
    stored = small.hash("bayberry-in-the-rain")
    grown = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    assert not small.outgrown(stored)
    assert grown.outgrown(stored) and grown.verify("bayberry-in-the-rain", stored)


def test_no_more_than_a_few_are_computed_at_once() -> None:
    """Each takes 64 MiB: a hundred at the door must not take the machine's memory."""
    inside, most, lock, go = 0, 0, threading.Lock(), threading.Event()

    def slow(_own: PasswordHasher, *_given: str) -> bool:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            if inside == AT_ONCE:
                go.set()
        assert go.wait(10)
        with lock:
            inside -= 1
        return True

    few = Passwords(SMALL)
    stored = few.hash("bayberry-in-the-rain")
    with patch.object(PasswordHasher, "verify", autospec=True, side_effect=slow):
        threads = [threading.Thread(target=few.verify, args=("x", stored)) for _ in range(3 * AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert most == AT_ONCE


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
    assert small.verify(password, small.hash(password))


def test_a_made_password_is_long_unlike_the_last_and_free_of_doubtful_letters() -> None:
    made = {generate() for _ in range(200)}
    assert len(made) == 200
    for each in made:
        check_new(each, "administrator")
        assert not set(each) & set("ilo01")
    assert len(passwords._LETTERS) ** 16 > 2**78
