"""A doctor that cannot crash and always ends: whatever a check does comes out as a finding, and the next one runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from deploy.doctor import accounts
from deploy.doctor.environment import _reachable_by_phone
from deploy.doctor.examination import Away, Patient, examine
from deploy.doctor.findings import FAILED, WARNED, WELL, Finding, Mark, exit_status, fail, ok, unknown, warn
from deploy.doctor.report import in_words, summary
from deploy.settings import Settings
from tests.documents import DOCS, fences

PATIENT = Patient(Settings(), "postgresql://127.0.0.1:9/none", False, {}, lambda: datetime.now(UTC))


def raising(error: BaseException) -> list[Finding]:
    def check(_patient: Patient) -> Iterator[Finding]:
        yield ok("first", "said before it went wrong")
        raise error

    return list(examine(PATIENT, {"broken": check, "next": lambda _patient: iter([ok("next", "went on")])}))


@pytest.mark.parametrize(
    ("error", "mark", "words"),
    [
        (
            ValueError("no such thing\nand a second line"),
            Mark.FAIL,
            "the check itself failed: ValueError: no such thing",
        ),
        (RuntimeError(), Mark.FAIL, "RuntimeError: no message"),
        (SystemExit(3), Mark.FAIL, "SystemExit: 3"),
        (Away("refused"), Mark.UNKNOWN, "not looked at: the database does not answer"),
        (
            psycopg.errors.InsufficientPrivilege("permission denied"),
            Mark.UNKNOWN,
            "cannot be asked with these rights",
        ),
        (psycopg.errors.UndefinedTable("no leaf"), Mark.UNKNOWN, "cannot be asked of this schema"),
        (psycopg.errors.QueryCanceled("timeout"), Mark.FAIL, "QueryCanceled: timeout"),
    ],
)
def test_what_a_check_raises_is_its_finding(error: BaseException, mark: Mark, words: str) -> None:
    first, broken, last = raising(error)
    assert (first.mark, last.text) == (Mark.OK, "went on")
    assert (broken.about, broken.mark) == ("broken", mark) and words in broken.text
    assert "\n" not in broken.text


def test_a_check_that_hangs_is_left_behind() -> None:
    gate = threading.Event()

    def hangs(_patient: Patient) -> Iterator[Finding]:
        gate.wait(60)
        yield ok("hangs", "too late")

    began = time.monotonic()
    found = list(
        examine(PATIENT, {"hangs": hangs, "next": lambda _patient: iter([ok("next", "")])}, limit_s=0.1)
    )
    gate.set()
    assert time.monotonic() - began < 10
    assert [each.mark for each in found] == [Mark.FAIL, Mark.OK] and "no answer within" in found[0].text


def test_the_exit_status_is_the_worst_of_what_was_found() -> None:
    well, to_look_at, to_mend = ok("a", ""), warn("a", "", "n"), fail("a", "", "n")
    assert exit_status([well, unknown("a", "")]) == exit_status([]) == WELL
    assert exit_status([well, to_look_at]) == WARNED
    assert exit_status([to_look_at, to_mend, well]) == FAILED


def test_a_finding_in_words() -> None:
    assert in_words(ok("disk", "there is room")) == "ok   disk: there is room"
    assert in_words(fail("disk", "full", "make room")) == "FAIL disk: full\n     -> make room"
    assert summary([ok("a", ""), ok("b", ""), warn("c", "", "n")]) == "2 well, 1 to look at"


@pytest.mark.parametrize(
    ("host", "reachable"),
    [
        ("trace.example", True), ("8.8.8.8", True), ("2606:4700::1", True),
        ("localhost", False), ("box", False), ("a.local", False), ("127.0.0.1", False), ("10.1.2.3", False),
        ("192.168.0.9", False), ("::1", False), ("fe80::1", False), ("100.64.0.1", False),
    ],
)  # fmt: skip
def test_which_addresses_a_phone_reaches(host: str, reachable: bool) -> None:
    assert _reachable_by_phone(host) is reachable


def test_guessing_passwords_ends_when_its_time_is_up() -> None:
    clock = iter(range(100))
    standing = [(f"somebody-{number}", "no hash at all") for number in range(50)]
    found, tried = accounts.guess_passwords(standing, lambda: float(next(clock)), within_s=10)
    assert found == [] and tried == 10


def test_the_doctor_reads_every_invariant_of_the_document() -> None:
    """The tests read the document's fences one way, the doctor another: neither may lose one."""
    from deploy.doctor.invariants import RIGHTS, invariants

    written = [
        (fence.after("invariant:"), fence.text.strip())
        for fence in fences(DOCS / "invariants.md")
        if fence.language == "sql"
    ]
    assert [(each.name, each.sql) for each in invariants()] == written
    assert all(each.section and each.claim and "**" not in each.claim for each in invariants())
    assert {each.name for each in invariants(RIGHTS)} >= {
        "service_roles_are_nobodys_owner",
        "the_public_sees_no_table",
    }
