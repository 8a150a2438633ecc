"""A log changes its key, and a log ends: against a real database, over restarts, take-overs and crashes."""

import json
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors

from ledger.entry import parse_entry
from ledger.entry_bodies import FreezeBody, KeyBody
from ledger.freezing import LogFrozen, ask_freeze, freeze_log
from ledger.head_store import HeadStore
from ledger.key_rotation import OVERLAP, ask_rotation, make_rotation, verify_rotation
from ledger.keys import KeyMissing
from ledger.log_files import LogFiles
from ledger.root_log import ROOT
from ledger.sequencing import sequence
from ledger.strict_json import strict
from ledger.translog.checkpoint import open_checkpoint
from ledger.translog.note import SignerKey, VerifierKey, open_note, parse_vkey, split_note
from ledger.translog.verify import VerifyError
from tests.integration.test_sequencer import (
    NOW,
    Instance,
    check_everything,
    check_log,
    instance,
    run_until_killed,
    snapshot,
)

__all__ = ["instance"]
ORIGIN = "log.example/xj-coop"
DAY = timedelta(days=1)


def rotate(instance: Instance, seed: int) -> tuple[SignerKey, SignerKey]:
    """As `suyuan log rotate` does: the key, then the row. Old and new."""
    key = SignerKey.from_seed(ORIGIN, bytes([seed]) * 32)
    path = instance.folder / f"keys/xj-coop.{key.verifier.key_id.hex()}.key"
    path.write_text(key.export() + "\n")
    path.chmod(0o600)
    current = parse_vkey(instance.log().vkey)
    (old,) = [each for each in instance.keys.log_keys("xj-coop", ORIGIN) if each.verifier == current]
    with instance.connect() as conn:
        ask_rotation(conn, "xj-coop", make_rotation(old, key), NOW)
    return old, key


def signers(instance: Instance) -> list[bytes]:
    _, lines = split_note(instance.log().checkpoint)
    return [line.key_id for line in lines]


def key_entry(instance: Instance, index: int) -> KeyBody:
    entry = parse_entry(instance.log().entry(index))
    assert entry.type == "key"
    return verify_rotation(entry.body, ORIGIN)


def test_both_keys_sign_for_the_overlap_and_then_the_new_one(instance: Instance) -> None:
    instance.fill()
    instance.run()
    before = instance.log()
    old, new = rotate(instance, 1)
    instance.run(NOW + DAY)
    both = [new.verifier.key_id, old.verifier.key_id]
    assert signers(instance) == both
    assert instance.log().vkey == str(new.verifier)
    body = key_entry(instance, 5)
    assert (body.old, body.new) == (old.verifier, new.verifier)
    for key in (old, new):
        open_checkpoint(instance.log().checkpoint, [key.verifier], origin=ORIGIN)
    for days, want in ((1, both), (29, both), (32, both[:1]), (33, both[:1])):
        instance.add_event(1000 + days)
        instance.run(NOW + days * DAY)
        assert signers(instance) == want, days
    check_everything(instance)
    assert before.tree_size == 5


def test_the_published_keys_say_from_when_until_when(instance: Instance) -> None:
    instance.fill()
    instance.run()
    first, second = rotate(instance, 1)
    instance.run(NOW + DAY)
    _, third = rotate(instance, 2)
    instance.run(NOW + 2 * DAY)
    said = (LogFiles(instance.folder / "log/xj-coop").read("vkeys") or b"").decode().splitlines()
    day, start, overlap = 86_400_000, int(NOW.timestamp()) * 1000, OVERLAP // timedelta(milliseconds=1)
    assert said == [
        f"{third.verifier} {start + 2 * day} -",
        f"{second.verifier} {start + day} {start + 2 * day + overlap}",
        f"{first.verifier} - {start + day + overlap}",
    ]
    assert signers(instance) == [key.verifier.key_id for key in (third, second, first)]
    anchor = parse_entry(instance.log(ROOT).entry(instance.log(ROOT).tree_size - 1)).body["checkpoint"]
    assert [line.key_id for line in split_note(anchor)[1]] == signers(instance)


def test_a_key_that_the_old_one_did_not_sign_for_is_not_taken(
    instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    instance.fill()
    instance.run()
    stranger = SignerKey.from_seed(ORIGIN, bytes([9]) * 32)
    body = make_rotation(stranger, SignerKey.from_seed(ORIGIN, bytes([8]) * 32))
    forged = replace(body, old=parse_vkey(instance.log().vkey))
    with instance.connect() as conn:
        ask_rotation(conn, "xj-coop", forged, NOW)
        other = make_rotation(
            SignerKey.from_seed("other", bytes(32)), SignerKey.from_seed("other", bytes([1]) * 32)
        )
        ask_rotation(conn, "xj-coop", other, NOW)
    instance.run()
    assert instance.log().tree_size == 5
    assert instance.rows("SELECT count(*) FROM pending") == [(2,)]
    assert caplog.text.count("pending row is no entry") >= 2


def test_who_gave_up_another_key_changes_nothing(instance: Instance) -> None:
    """A key that came from nowhere signs for itself: its entry stands in the log, and nobody's trust follows it."""
    instance.fill()
    instance.run()
    stranger = SignerKey.from_seed(ORIGIN, bytes([9]) * 32)
    with instance.connect() as conn:
        ask_rotation(
            conn, "xj-coop", make_rotation(stranger, SignerKey.from_seed(ORIGIN, bytes([8]) * 32)), NOW
        )
    vkey = instance.log().vkey
    for number in (60, 61):
        instance.add_event(number)
        assert instance.run().refused == {}
    assert (instance.log().tree_size, instance.log().vkey) == (8, vkey)
    assert len(signers(instance)) == 1


def test_a_new_key_that_is_lost_is_not_made_anew(instance: Instance) -> None:
    instance.fill()
    instance.run()
    _, new = rotate(instance, 1)
    instance.run(NOW + DAY)
    path = instance.folder / f"keys/xj-coop.{new.verifier.key_id.hex()}.key"
    held = path.read_bytes()
    path.unlink()
    assert isinstance(instance.run(NOW + DAY).refused["xj-coop"], KeyMissing)
    path.write_bytes(held)
    instance.add_event(50)
    assert instance.run(NOW + DAY).refused == {}
    check_everything(instance)


@pytest.mark.parametrize("spoil", ["old", "new", "sig_old", "sig_new"])
def test_a_rotation_of_which_one_thing_is_another_does_not_verify(spoil: str) -> None:
    keys = [SignerKey.from_seed(ORIGIN, bytes([seed]) * 32) for seed in range(4)]
    body = make_rotation(keys[0], keys[1])
    assert verify_rotation(json.loads(strict(body.value())), ORIGIN) == body
    other = make_rotation(keys[2], keys[3])
    with pytest.raises(VerifyError):
        verify_rotation(replace(body, **{spoil: getattr(other, spoil)}), ORIGIN)
    with pytest.raises(VerifyError):
        verify_rotation(body, ORIGIN + "x")
    with pytest.raises(VerifyError):
        verify_rotation(body.value() | {"more": 1}, ORIGIN)


# --- the end of a log ---------------------------------------------------------------------------------------------


def freeze(instance: Instance, reason: str = "dissolved", organisation: str = "xj-coop") -> None:
    with instance.connect() as conn:
        ask_freeze(conn, organisation, f"log.example/{organisation}", FreezeBody(reason), NOW)


def test_a_frozen_log_ends_with_its_reason(instance: Instance) -> None:
    instance.fill()
    freeze(instance)
    instance.add_event(10)
    instance.run()
    log = instance.log()
    assert log.tree_size == 6
    last = parse_entry(log.entry(5))
    assert (last.type, last.body) == ("freeze", {"reason": "dissolved"})
    head = HeadStore(instance.folder / "heads").read("xj-coop")
    assert head is not None and head.frozen == "dissolved"
    assert instance.rows("SELECT frozen_reason FROM log WHERE organisation = 'xj-coop'") == [("dissolved",)]
    check_log(instance, "xj-coop")
    before = log.checkpoint
    for day in (1, 2):
        instance.add_event(10 + day)
        instance.add_event(20 + day, "hz-market")
        assert instance.run(NOW + day * DAY).refused == {}
    assert instance.log().checkpoint == before
    assert instance.rows("SELECT organisation, count(*) FROM pending GROUP BY 1") == [("xj-coop", 3)]
    assert instance.log("hz-market").tree_size == 3
    anchored = instance.rows("SELECT max(tree_size) FROM anchor WHERE organisation = 'xj-coop'")
    assert anchored == [(6,)], "the final checkpoint is anchored too"


def test_who_may_record_may_not_end_a_log(instance: Instance) -> None:
    for role in ("ingest", "jobs", "api"):
        with psycopg.connect(instance.database.service(role), autocommit=True) as conn:
            conn.execute("SELECT set_config('suyuan.org', 'xj-coop', false)")
            with pytest.raises(errors.InsufficientPrivilege):
                ask_freeze(conn, "xj-coop", ORIGIN, FreezeBody("x"), NOW)


def test_a_row_does_not_thaw(instance: Instance) -> None:
    instance.fill()
    freeze(instance)
    instance.run()
    with instance.connect() as conn:
        for change in (
            "frozen_at = NULL, frozen_reason = NULL",
            "tree_size = tree_size + 1",
            "frozen_reason = 'x'",
        ):
            with pytest.raises(errors.ObjectNotInPrerequisiteState):
                conn.execute(f"UPDATE log SET {change} WHERE organisation = 'xj-coop'".encode())


def test_a_log_that_must_not_go_on_freezes_as_it_stands(instance: Instance) -> None:
    instance.fill()
    instance.run()
    before = instance.log()
    heads = HeadStore(instance.folder / "heads")
    with instance.connect() as conn:
        sequencer = instance.sequencer(conn)
        sequencer.take_over()
        freeze_log(heads, "xj-coop", "the witness w1 saw another history")
        freeze_log(heads, "xj-coop", "a later reason")
        instance.add_event(9)
        instance.add_event(10, "hz-market")
        assert sequencer.step()
        assert isinstance(sequencer.refused["xj-coop"], LogFrozen)
    assert instance.rows("SELECT frozen_reason FROM log WHERE organisation = 'xj-coop'") == [
        ("the witness w1 saw another history",)
    ]
    assert isinstance(instance.run().refused["xj-coop"], LogFrozen), "after a restart too"
    assert (instance.log().tree_size, instance.log().checkpoint) == (5, before.checkpoint)
    assert instance.log("hz-market").tree_size == 2
    with pytest.raises(LogFrozen):
        freeze_log(heads, "nobody", "x")


def test_frozen_between_commit_and_signature_it_signs_no_more(instance: Instance) -> None:
    instance.fill()
    instance.run()
    instance.add_event(9)
    with instance.connect() as conn:
        (epoch,) = instance.rows("SELECT epoch FROM log WHERE organisation = 'xj-coop'")[0]
        assert len(sequence(conn, "xj-coop", bytes(range(32)), epoch, NOW)) == 1
    freeze_log(HeadStore(instance.folder / "heads"), "xj-coop", "forked")
    assert isinstance(instance.run().refused["xj-coop"], LogFrozen)
    assert instance.log().tree_size == 5


@pytest.mark.parametrize("restored", ["database", "heads"])
def test_a_restored_half_does_not_thaw_a_log(instance: Instance, restored: str) -> None:
    instance.fill()
    instance.run()
    instance.add_event(9)
    with instance.connect() as conn:
        (epoch,) = instance.rows("SELECT epoch FROM log WHERE organisation = 'xj-coop'")[0]
        sequence(conn, "xj-coop", bytes(range(32)), epoch, NOW)
    freeze_log(HeadStore(instance.folder / "heads"), "xj-coop", "forked")
    assert isinstance(instance.run().refused["xj-coop"], LogFrozen)
    if restored == "database":
        instance.owner.execute("ALTER TABLE log DISABLE TRIGGER ALL")
        instance.owner.execute("UPDATE log SET frozen_at = NULL, frozen_reason = NULL")
        instance.owner.execute("ALTER TABLE log ENABLE TRIGGER ALL")
    else:
        path = instance.folder / "heads/xj-coop.json"
        held = json.loads(path.read_text())
        assert held.pop("frozen") == "forked"
        path.write_text(json.dumps(held))
    instance.add_event(10)
    for _ in range(2):
        assert isinstance(instance.run().refused["xj-coop"], LogFrozen)
    assert instance.log().tree_size == 5
    assert instance.rows("SELECT frozen_reason FROM log WHERE organisation = 'xj-coop'") == [("forked",)]


def test_a_frozen_root_goes_no_further_and_the_others_go_on(instance: Instance) -> None:
    instance.fill()
    instance.run()
    freeze(instance, "moved", ROOT)
    instance.run()
    size = instance.log(ROOT).tree_size
    instance.add_event(9)
    instance.run(NOW + DAY)
    assert (instance.log(ROOT).tree_size, instance.log().tree_size) == (size, 6)
    assert instance.rows("SELECT count(*) FROM pending") == [(0,)]


def test_the_checks_know_a_verifier_key(instance: Instance) -> None:
    """The example of docs/entry-v1.md for who follows a key: from the first key to the one that signs."""
    instance.fill()
    instance.run()
    trusted: VerifierKey = parse_vkey(instance.log().vkey)
    rotate(instance, 1)
    instance.run(NOW + DAY)
    instance.add_event(77)
    instance.run(NOW + 40 * DAY)
    log = instance.log()
    with pytest.raises(VerifyError):
        open_note(log.checkpoint, [trusted])
    for index in range(log.tree_size):
        entry = parse_entry(log.entry(index))
        if entry.type == "key" and (body := verify_rotation(entry.body, ORIGIN)).old == trusted:
            trusted = body.new
    assert open_checkpoint(log.checkpoint, [trusted], origin=ORIGIN).checkpoint == log.head


@pytest.mark.editions("plain")  # files and transactions, the same on both
def test_killed_while_a_key_changes_and_the_log_ends_it_ends_with_the_same_bytes(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin() -> None:
        instance.reset()
        instance.add_event(100)
        assert not run_until_killed(instance, -1, monkeypatch)
        rotate(instance, 1)
        freeze(instance)
        instance.add_event(0)

    begin()
    assert not run_until_killed(instance, -1, monkeypatch)
    want = snapshot(instance)
    assert (instance.log().tree_size, len(signers(instance))) == (3, 2)
    operations, killed = 0, True
    while killed:
        begin()
        killed = run_until_killed(instance, operations, monkeypatch)
        assert not run_until_killed(instance, -1, monkeypatch)
        assert snapshot(instance) == want, operations
        head = HeadStore(instance.folder / "heads").read("xj-coop")
        assert head is not None and head.frozen == "dissolved", operations
        operations += 1
    assert operations > 40
