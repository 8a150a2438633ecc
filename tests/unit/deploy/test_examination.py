"""A doctor that cannot crash and always ends: whatever a check does comes out as a finding, and the next one runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.doctor import accounts, background, broker, keys
from deploy.doctor.environment import _reachable_by_phone
from deploy.doctor.examination import Away, Patient, examine
from deploy.doctor.findings import (
    FAILED,
    UNASKED,
    WARNED,
    WELL,
    Finding,
    Mark,
    exit_status,
    fail,
    ok,
    unasked,
    unknown,
    warn,
)
from deploy.doctor.report import in_words, summary
from deploy.settings import Settings
from ledger.head_store import Head, HeadStore
from ledger.keys import KeyStore
from tests.documents import DOCS, fences

NOW = datetime(2026, 6, 18, 8, tzinfo=UTC)
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
    gate, ended = threading.Event(), threading.Event()

    def hangs(_patient: Patient) -> Iterator[Finding]:
        gate.wait(60)
        ended.set()
        yield ok("hangs", "too late")

    found = list(
        examine(PATIENT, {"hangs": hangs, "next": lambda _patient: iter([ok("next", "")])}, limit_s=0.1)
    )
    assert not ended.is_set(), "nobody waited for it"
    gate.set()
    assert [each.mark for each in found] == [Mark.FAIL, Mark.OK] and "no answer within" in found[0].text


def test_the_exit_status_is_the_worst_of_what_was_found() -> None:
    well, to_look_at, to_mend = ok("a", ""), warn("a", "", "n"), fail("a", "", "n")
    assert exit_status([well, unknown("a", "")]) == exit_status([]) == WELL
    assert exit_status([well, to_look_at]) == WARNED
    assert exit_status([to_look_at, to_mend, well]) == FAILED


def test_a_deep_look_that_could_not_look_is_not_well() -> None:
    owed = frozenset({"invariants"})
    missed, other = unknown("invariants", "nobody may"), unknown("clock", "no time server")
    assert exit_status([missed, ok("a", "")]) == exit_status([other], owed) == WELL
    assert exit_status([missed, warn("a", "", "n")], owed) == UNASKED
    assert exit_status([missed, fail("a", "", "n")], owed) == FAILED
    assert unasked([missed, other, ok("invariants", "")], owed) == [missed]


def test_keys_that_are_closed_to_this_user_are_said_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Root may read everything, so the system's refusal is played."""
    (tmp_path / "keys").mkdir()
    patient = replace(PATIENT, settings=Settings(data_dir=tmp_path))
    monkeypatch.setattr("os.access", lambda *_: False)
    assert [each.text for each in keys.closed(patient)] == [f"{tmp_path}/keys cannot be read by this user"]

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    assert [each.mark for each in keys.closed(patient)] == [Mark.FAIL]
    monkeypatch.setattr(HeadStore, "organisations", lambda _self: ["coop"])
    monkeypatch.setattr(HeadStore, "read", lambda *_: Head("log.example/coop", 1, bytes(32), 1))
    monkeypatch.setattr(KeyStore, "log_key", refuse)
    assert [each.text for each in keys.fit(patient)] == [f"{tmp_path}/keys cannot be read by this user"]


def test_a_broker_that_says_nothing_has_refused_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mqtt://127.0.0.1:{silent.getsockname()[1]}"
        patient = replace(PATIENT, settings=Settings(mqtt_url=url, production=True))
        found = broker._strangers(patient, "doctor")
    assert found.mark is Mark.UNKNOWN and "said nothing" in found.text


@pytest.mark.parametrize(
    ("change", "mark", "words"),
    [
        ({}, Mark.OK, "is scheduled and does not fail"),
        ({"failed": True, "failures": 7}, Mark.FAIL, "failed the last time (7 times in all)"),
        ({"scheduled": False}, Mark.FAIL, "is switched off"),
        ({"next_start": NOW - timedelta(hours=2)}, Mark.FAIL, "has been due for 120 min"),
        ({"next_start": None, "failed": None}, Mark.OK, ""),
        ({"procedure": "another"}, Mark.FAIL, "the hourly roll-up's refresh is missing"),
    ],
)
def test_a_policy_that_does_not_run_is_said(change: dict[str, Any], mark: Mark, words: str) -> None:
    (refresh,) = (background.Job(name, True, False, 0, NOW) for name in background.POLICIES)
    (found,) = background.judged([replace(refresh, **change)], NOW)
    assert found.mark is mark and words in found.text and (mark is Mark.OK or found.next)


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
