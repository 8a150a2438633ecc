"""`suyuan log`, as somebody types it, against a real database with a sequencer that works between the commands."""

import json
from subprocess import CompletedProcess
from typing import Any

import pytest

from ledger.key_rotation import verify_rotation
from ledger.log_files import LogFiles
from ledger.root_log import ROOT
from ledger.sequencer import Sequencer
from ledger.signing import Signing
from ledger.translog.checkpoint import open_checkpoint
from ledger.translog.cosignature import parse_cosigner_vkey
from ledger.translog.note import open_note, parse_vkey, split_note
from ledger.translog.sm2 import parse_sm2_vkey
from tests.integration.running import suyuan
from tests.integration.test_key_rotation import DAY, ORIGIN, key_entry, signers
from tests.integration.test_sequencer import NOW, Instance, check_everything, instance

__all__ = ["instance"]


def log(instance: Instance, *arguments: str, role: str = "sequencer") -> CompletedProcess[str]:
    url = instance.database.owner if role == "owner" else instance.database.service(role)
    environment = {"SUYUAN_DATABASE_URL": url, "SUYUAN_DATA_DIR": str(instance.folder)}
    return suyuan(environment, "log", *arguments)


def told(instance: Instance, *arguments: str) -> dict[str, Any]:
    done = log(instance, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_logs_are_listed_and_shown(instance: Instance) -> None:
    assert "No log has begun yet" in log(instance, "list").stdout
    instance.fill()
    instance.run()
    instance.add_event(9)
    found = {each["log"]: each for each in told(instance, "list")["logs"]}
    assert {name: (each["published"], each["waiting"], each["anchored"]) for name, each in found.items()} == {
        "hz-market": (1, 0, 1), "xj-coop": (5, 1, 5), "root": (2, 0, None),
    }  # fmt: skip
    shown = told(instance, "show", "root")
    assert shown["checkpoint"] == instance.log(ROOT).checkpoint
    assert shown["vkeys"] == [f"{instance.log(ROOT).vkey} - -"]
    assert "/clock+" in shown["clock"][0]
    assert ORIGIN in log(instance, "show", "xj-coop").stdout
    assert log(instance, "show", "nobody").returncode == 1


def test_a_key_is_rotated(instance: Instance) -> None:
    instance.fill()
    instance.run()
    old = instance.log().vkey
    done = log(instance, "rotate", "xj-coop", "--yes")
    assert done.returncode == 0, done.stderr
    again = log(instance, "rotate", "xj-coop", "--yes")
    assert again.returncode == 1 and "waits for the sequencer" in again.stderr
    instance.run(NOW + DAY)
    new = instance.log().vkey
    assert new != old and new in done.stdout
    assert str(key_entry(instance, 5).new) == new
    assert len(told(instance, "show", "xj-coop")["vkeys"]) == 2
    assert log(instance, "rotate", "xj-coop", "--yes", role="owner").returncode == 0
    instance.run(NOW + 2 * DAY)
    assert len(signers(instance)) == 3
    check_everything(instance)


def test_a_log_is_ended(instance: Instance) -> None:
    instance.fill()
    instance.run()
    unsaid = log(instance, "freeze", "xj-coop", "--yes")
    assert unsaid.returncode == 2, "a reason is asked for"
    assert log(instance, "freeze", "xj-coop", "--reason", "x" * 201, "--yes").returncode == 1
    assert log(instance, "freeze", "xj-coop", "--reason", "dissolved").returncode == 1, "nobody said yes"
    assert instance.rows("SELECT count(*) FROM pending") == [(0,)]
    assert log(instance, "freeze", "xj-coop", "--reason", "dissolved", "--yes").returncode == 0
    instance.run()
    assert told(instance, "show", "xj-coop")["frozen"] == "dissolved"
    assert "frozen: dissolved" in " ".join(log(instance, "list").stdout.split())
    for what in (("rotate", "xj-coop"), ("freeze", "xj-coop", "--reason", "again")):
        done = log(instance, *what, "--yes")
        assert done.returncode == 1 and "is frozen: dissolved" in done.stderr


@pytest.mark.parametrize("role", ["ingest", "jobs", "api"])
def test_other_roles_are_told_whose_it_is(instance: Instance, role: str) -> None:
    instance.fill()
    instance.run()
    done = log(instance, "freeze", "xj-coop", "--reason", "x", "--yes", role=role)
    assert done.returncode == 1 and "give the sequencer's or the owner's URL" in done.stderr


# --- further algorithms -------------------------------------------------------------------------------------------


def run_signing(instance: Instance, signing: Signing) -> None:
    with instance.connect() as conn:
        sequencer = Sequencer(conn, instance.keys, instance.folder, "log.example", lambda: NOW, signing)
        sequencer.take_over()
        while sequencer.step():
            continue
        assert sequencer.refused == {}


def test_further_lines_stand_beside_the_logs_own(instance: Instance) -> None:
    instance.fill()
    instance.run()
    before = instance.log().checkpoint
    signing = Signing(further=("mldsa44", "sm2"))
    run_signing(instance, signing)
    files = LogFiles(instance.folder / "log/xj-coop")
    own, ml_dsa, sm2 = [line.split(" ")[0] for line in (files.read("vkeys") or b"").decode().splitlines()]
    note = instance.log().checkpoint
    assert note.startswith(before)
    keys = [parse_vkey(own), parse_cosigner_vkey(ml_dsa), parse_sm2_vkey(sm2)]
    assert len(open_note(note, keys).verified) == 3
    assert len(open_note(note, keys[:1]).verified) == 1
    for key in keys:
        open_checkpoint(note, [key], origin=ORIGIN)
    run_signing(instance, signing)
    assert instance.log().checkpoint == note, "signed once"
    instance.add_event(10)
    run_signing(instance, Signing())
    assert len(split_note(instance.log().checkpoint)[1]) == 1
    check_everything(instance)


def test_an_anchor_has_the_ed25519_line_alone(instance: Instance) -> None:
    instance.fill()
    run_signing(instance, Signing(further=("mldsa44", "sm2")))
    root = instance.log(ROOT)
    assert root.tree_size == 2
    for index in range(2):
        assert b"PRIVATE" not in root.entry(index)
        note = json.loads(root.entry(index))["body"]["checkpoint"]
        assert len(split_note(note)[1]) == 1


def test_a_rotation_of_a_log_is_of_its_own_name(instance: Instance) -> None:
    instance.fill()
    instance.run()
    assert log(instance, "rotate", "root", "--yes").returncode == 0
    instance.run(NOW + DAY)
    found = [json.loads(instance.log(ROOT).entry(at)) for at in range(instance.log(ROOT).tree_size)]
    (body,) = [each["body"] for each in found if each["type"] == "key"]
    assert verify_rotation(body, "log.example/root").new == parse_vkey(instance.log(ROOT).vkey)
