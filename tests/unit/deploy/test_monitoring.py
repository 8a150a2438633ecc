"""`suyuan monitor`: what it says, in words and as JSON, its exit status, and the evidence it leaves."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner

from deploy.command import main
from deploy.monitoring import FOUND, HOLDS, INTERRUPTED, UNREACHABLE, UNREADABLE, Options, default_state, run
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.note import SignerKey
from tests.unit.ledger.monitor.written import KEY, ORIGIN, Speaker, Written


@pytest.fixture
def log(tmp_path: Path) -> Written:
    return Written(tmp_path / "log").grow(Speaker().mixed(300))


def monitor(log: Written, *arguments: str) -> tuple[int, str]:
    state = log.folder.parent / "state" / "memory.sqlite"
    outcome = CliRunner().invoke(
        main, ["monitor", str(log.folder), "--once", "--state", str(state), *arguments]
    )
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit)
    return outcome.exit_code, outcome.output


def test_a_log_that_holds(log: Written) -> None:
    status, said = monitor(log)
    assert status == HOLDS
    assert f"ok {ORIGIN}: 300 entries, 300 of them read now" in said
    assert f"no --key was given: the log's own is trusted since the first pass: {KEY.verifier}" in said
    status, said = monitor(log, "--key", str(KEY.verifier), "--json")
    assert status == HOLDS
    facts = json.loads(said)
    assert (facts["holds"], facts["size"], facts["read"], facts["own_key"]) == (True, 300, 0, False)
    for arguments in (["--again", "--opaque"], []):
        status, said = monitor(log, *arguments)
        assert status == HOLDS
        assert "leaves are opaque" in said


def test_a_fork_leaves_both_notes_as_files(log: Written) -> None:
    monitor(log)
    old = log.note
    log.write("checkpoint", sign_checkpoint(Checkpoint(ORIGIN, 300, bytes(32)), [KEY]).encode())
    status, said = monitor(log)
    assert status == FOUND
    assert said.startswith("FORK: root of 300 entries: got 0000")
    assert f"   in {ORIGIN}. Keep what follows" in said
    assert old in said and log.note in said
    kept, shown = sorted((log.folder.parent / "state").glob("*.checkpoint"))
    assert (kept.read_text(), shown.read_text()) == (old, log.note)
    status, said = monitor(log, "--json")
    facts = json.loads(said)
    assert (facts["holds"], facts["found"], facts["notes"]) == (False, "fork", [old, log.note])
    assert facts["files"] == [str(kept), str(shown)]


def damage(log: Written) -> None:
    log.alter("tile/0/000", lambda data: bytes(32) + data[32:])


def rollback(log: Written) -> None:
    monitor(log)
    log.write("checkpoint", Written(log.folder.parent / "old").grow(log.leaves[:3]).note.encode())


def no_log(log: Written) -> None:
    log.write("checkpoint", b"<html>")


def gone(log: Written) -> None:
    (log.folder / "checkpoint").unlink()


def other_key(log: Written) -> None:
    monitor(log)
    log.sign(signers=[SignerKey.from_seed(ORIGIN, bytes(32))])


def broken_state(log: Written) -> None:
    (log.folder.parent / "state").mkdir()
    (log.folder.parent / "state" / "memory.sqlite").write_bytes(b"something else" * 1000)


@pytest.mark.parametrize(
    ("spoil", "status", "word"),
    [
        (damage, FOUND, "DAMAGE"),
        (rollback, FOUND, "ROLLBACK"),
        (no_log, UNREADABLE, "UNREADABLE"),
        (gone, UNREACHABLE, "UNREACHABLE"),
        (other_key, UNREACHABLE, "KEY"),
        (broken_state, UNREADABLE, "UNREADABLE"),
    ],
)
def test_each_outcome_has_its_word_and_status(
    log: Written, spoil: Callable[[Written], None], status: int, word: str
) -> None:
    spoil(log)
    found, said = monitor(log)
    assert (found, said.partition(":")[0]) == (status, word)


@pytest.mark.parametrize("key", ["no key", "a+b+c", ""])
def test_a_key_that_is_none_is_said(log: Written, key: str) -> None:
    status, said = monitor(log, "--key", key)
    assert (status, said.partition(":")[0]) == (UNREACHABLE, "KEY")


@pytest.mark.parametrize("url", ["ftp://host/log", "http://"])
def test_an_address_that_is_none_is_said(tmp_path: Path, url: str) -> None:
    state = ["--state", str(tmp_path / "state.sqlite")]
    outcome = CliRunner().invoke(main, ["monitor", url, "--once", *state])
    assert outcome.exit_code == UNREADABLE


class Stopping(Event):
    """Instead of waiting does the next thing, and after the last one is set."""

    def __init__(self, *then: Callable[[], object]) -> None:
        super().__init__()
        self._then = list(then)

    def wait(self, timeout: float | None = None) -> bool:
        if not self._then:
            return True
        self._then.pop(0)()
        return False


def following(log: Written, *then: Callable[[], object]) -> tuple[int, list[dict[str, Any]]]:
    options = Options(str(log.folder), state=log.folder.parent / "memory.sqlite", as_json=True)
    said = list[str]()
    status = run(options, Stopping(*then), said.append, said.append)
    return status, [json.loads(text) for text in said]


def test_following_goes_on_while_a_log_is_away_and_ends_at_a_fork(log: Written) -> None:
    note = log.note.encode()
    speaker = Speaker()
    entries = speaker.mixed(310)
    status, said = following(
        log,
        lambda: log.grow(entries[300:]),
        (log.folder / "checkpoint").unlink,
        lambda: log.sign(),
        lambda: log.write("checkpoint", note),
        lambda: pytest.fail("it went on"),
    )
    assert status == FOUND
    assert [facts.get("read", facts.get("found")) for facts in said] == [
        300,
        10,
        "unreachable",
        0,
        "rollback",
    ]


def test_following_ends_when_it_is_told_to(log: Written) -> None:
    assert following(log)[0] == HOLDS

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert following(log, interrupt)[0] == HOLDS


def test_an_interrupted_pass_is_no_finding(log: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.monitoring.look", interrupted)
    assert monitor(log)[0] == INTERRUPTED


def test_each_address_has_its_own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state("https://a/log/x/") == default_state("https://a/log/x")
    assert default_state("https://a/log/x") != default_state("https://a/log/y")
    assert default_state("https://a/log/x").parent == tmp_path / "suyuan" / "monitor"


# --- a root log and the logs in it -------------------------------------------------------------------------------


def instance(folder: Path) -> tuple[Written, Written, Speaker]:
    """A root log with three checkpoints of a log beside it."""
    log = Written(folder / "xj-coop")
    root = Written(folder / "root", SignerKey.from_seed("log.example/root", bytes(32)), "log.example/root")
    speaker, entries = Speaker("log.example/root"), Speaker().mixed(400)
    for first, end in ((0, 100), (100, 300), (300, 400)):
        log.grow(entries[first:end])
        root.grow([speaker.say("anchor", 1, {"checkpoint": log.note})])
    return root, log, speaker


def test_a_root_log_is_compared_with_its_logs(tmp_path: Path) -> None:
    root, log, speaker = instance(tmp_path)
    status, said = monitor(root, "--logs")
    assert status == HOLDS
    assert "3 of its checkpoints in the root log are beginnings of it" in said
    root.grow([speaker.say("anchor", 1, {"checkpoint": log.note})])
    status, said = monitor(root, "--logs", "--json")
    assert status == HOLDS
    assert json.loads(said.splitlines()[-1])["anchored"] == 1


def test_a_folder_may_be_named_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instance(tmp_path)
    monkeypatch.chdir(tmp_path)
    arguments = ["monitor", "root", "--logs", "--once", "--state", str(tmp_path / "state.sqlite")]
    outcome = CliRunner().invoke(main, arguments)
    assert (outcome.exit_code, "3 of its checkpoints" in outcome.output) == (HOLDS, True)


def test_a_log_that_shows_the_root_log_something_else_is_found(tmp_path: Path) -> None:
    root, log, speaker = instance(tmp_path)
    other = sign_checkpoint(Checkpoint(ORIGIN, log.edge.size, bytes(32)), [KEY])
    root.grow([speaker.say("anchor", 1, {"checkpoint": other})])
    status, said = monitor(root)
    assert (status, said.partition(":")[0]) == (FOUND, "DAMAGE")  # the root log itself holds two


def test_a_fork_between_root_log_and_log_is_found(tmp_path: Path) -> None:
    root, log, speaker = instance(tmp_path)
    monitor(root, "--logs")
    fork = sign_checkpoint(Checkpoint(ORIGIN, log.edge.size + 1, bytes(32)), [KEY])
    root.grow([speaker.say("anchor", 1, {"checkpoint": fork})])
    status, said = monitor(root, "--logs")
    assert (status, "DAMAGE: size of log.example/xj-coop" in said) == (FOUND, True)
    log.grow(later(log))
    status, said = monitor(root, "--logs")
    assert (status, "FORK: root of the first 401 of 402 entries" in said) == (FOUND, True)
    assert fork in said and log.note in said


def test_a_fork_of_a_log_of_which_nothing_new_was_anchored_is_found(tmp_path: Path) -> None:
    root, log, _speaker = instance(tmp_path)
    assert monitor(root, "--logs")[0] == HOLDS
    status, said = monitor(root, "--logs")
    assert (status, said.count("ok ")) == (HOLDS, 1)
    log.write("checkpoint", sign_checkpoint(Checkpoint(ORIGIN, log.edge.size, bytes(32)), [KEY]).encode())
    status, said = monitor(root, "--logs")
    assert (status, "FORK: root of 400 entries" in said) == (FOUND, True)


def test_a_log_that_is_away_does_not_hide_the_fork_of_another(tmp_path: Path) -> None:
    root, log, speaker = instance(tmp_path)
    away = sign_checkpoint(
        Checkpoint("a.example/away", 1, bytes(32)), [SignerKey.from_seed("a.example/away", bytes(32))]
    )
    fork = sign_checkpoint(Checkpoint(ORIGIN, log.edge.size + 1, bytes(32)), [KEY])
    root.grow(
        [speaker.say("anchor", 1, {"checkpoint": away}), speaker.say("anchor", 1, {"checkpoint": fork})]
    )
    log.grow(later(log))
    status, said = monitor(root, "--logs")
    assert status == FOUND
    assert "UNREACHABLE: address of the log" in said
    assert "FORK: root of the first 401 of 402 entries" in said


def test_a_state_without_its_tables_is_unreadable(log: Written) -> None:
    monitor(log)
    with closing(sqlite3.connect(log.folder.parent / "state" / "memory.sqlite")) as state:
        state.execute("DROP TABLE kept")
    status, said = monitor(log)
    assert (status, said.partition(":")[0]) == (UNREADABLE, "UNREADABLE")


def later(log: Written) -> list[bytes]:
    """Two more entries of a stream that begins."""
    speaker = Speaker(rec=1_790_000_000_000)
    return [speaker.event(77), speaker.event(77)]


def test_an_anchor_that_its_log_did_not_sign_is_found(tmp_path: Path) -> None:
    root, _log, speaker = instance(tmp_path)
    forged = sign_checkpoint(Checkpoint(ORIGIN, 401, bytes(32)), [SignerKey.from_seed(ORIGIN, bytes(32))])
    root.grow([speaker.say("anchor", 1, {"checkpoint": forged})])
    status, said = monitor(root, "--logs")
    assert (status, "DAMAGE: anchored checkpoint of log.example/xj-coop" in said) == (FOUND, True)


@pytest.mark.parametrize(
    "origin", ["log.example/..", "log.example/", "log.example/.", "log.example/a;b", "x"]
)
def test_an_anchored_origin_leads_nowhere_else(tmp_path: Path, origin: str) -> None:
    root, _log, speaker = instance(tmp_path)
    note = sign_checkpoint(Checkpoint(origin, 1, bytes(32)), [SignerKey.from_seed(origin, bytes(32))])
    root.grow([speaker.say("anchor", 1, {"checkpoint": note})])
    assert monitor(root, "--logs")[0] == (UNREACHABLE if origin == "x" else UNREADABLE)
