"""People's accounts: somebody may administer them, and nobody's password is one that anybody tries first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from deploy.demo_people import PEOPLE
from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, grave, listed, ok

DEMO = {(wish.login, wish.name) for wish in PEOPLE}
COMMON = ("suyuan", "password", "1234567890", "demo", "admin")
TRYING_S = 15.0
"""Each try costs what a sign-in does, on purpose."""

_ACCOUNTS = "SELECT login, name, roles, password_hash FROM user_account WHERE disabled_at IS NULL ORDER BY password_changed_at DESC"


def accounts(patient: Patient) -> Iterator[Finding]:
    with patient.database() as conn:
        standing = conn.execute(_ACCOUNTS).fetchall()
    administrators = [login for login, _, roles, _ in standing if "administrator" in roles]
    if administrators:
        yield ok("accounts", f"{len(standing)} accounts; {listed(administrators, 3)} may administer them")
    else:
        yield grave(
            patient.production,
            "accounts",
            f"none of {len(standing)} accounts is an administrator's",
            "make one with `suyuan account add`",
        )
    demo = [login for login, name, _, _ in standing if (login, name) in DEMO]
    if demo and patient.production:
        yield fail(
            "accounts", f"of the demonstration: {listed(demo)}", "disable them: `suyuan account disable`"
        )
    yield _guessed(patient, [(login, stored) for login, _, _, stored in standing])


def _guessed(patient: Patient, standing: list[tuple[str, str]]) -> Finding:
    found, tried = guess_passwords(standing, time.monotonic, TRYING_S)
    if found:
        return grave(
            patient.production,
            "accounts",
            f"the password of {listed(found)} is its login or one that anybody tries",
            "give a new one: `suyuan account password`",
        )
    left = len(standing) - tried
    return ok(
        "accounts",
        f"{tried} passwords tried, none is the login or a common one"
        + (f"; {left} older ones were not, for the time it takes" if left else ""),
    )


def guess_passwords(
    standing: list[tuple[str, str]], monotonic: Callable[[], float], within_s: float
) -> tuple[list[str], int]:
    """Whose password was guessed, and how many accounts were tried before the time was up."""
    found: list[str] = []
    deadline = monotonic() + within_s
    for number, (login, stored) in enumerate(standing):
        if monotonic() > deadline:
            return found, number
        if any(_fits(stored, guess) for guess in (login, *COMMON)):
            found.append(login)
    return found, len(standing)


def _fits(stored: str, guess: str) -> bool:
    try:
        return PasswordHasher().verify(stored, guess)
    except (VerificationError, InvalidHashError):
        return False
