"""Rolling a restored database forward to what its logs have signed for: what comes back, what is said to be lost, and
what is refused.

The database is put back to an earlier state of itself, table by table, while DATA_DIR stays as it was; that of a real
backup, by the commands alone, is in `test_backup.py`.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from deploy.command import main
from ledger.entry import parse_entry
from ledger.head_store import HeadMoved, HeadStore
from ledger.log import Log
from ledger.log_files import LogFiles, LogForked
from ledger.publication import HeadBehind, check_published
from ledger.rebuilding import mend
from ledger.recovery import BundleMissing, Lost, Recovered, beyond, lost_heads, read_lost, roll_forward
from ledger.translog.checkpoint import open_checkpoint
from ledger.translog.note import parse_vkey
from ledger.translog.tiles import tile_path
from ledger.translog.verify import verify_consistency
from tests.integration.test_key_rotation import rotate
from tests.integration.test_sequencer import NOW, TABLES, Instance, check_everything, instance

__all__ = ["instance"]

LATER = NOW + timedelta(hours=3)


def keep(instance: Instance) -> None:
    """What a backup of the database would hold now."""
    instance.owner.execute("DROP SCHEMA IF EXISTS kept CASCADE")
    instance.owner.execute("CREATE SCHEMA kept")
    for table in TABLES.split(", "):
        instance.owner.execute(f"CREATE TABLE kept.{table} AS TABLE {table}")


def put_back(instance: Instance) -> None:
    instance.owner.execute(f"TRUNCATE {TABLES} CASCADE")
    # A row that another refers to before it.
    for table in ("event", "sealed_window", "pending", "log", "stream_head", "leaf", "checkpoint"):
        instance.owner.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE kept.{table}")


def lost_of(instance: Instance, organisation: str = "xj-coop") -> Lost | None:
    head = HeadStore(instance.folder / "heads").read(organisation)
    assert head is not None
    files = LogFiles(instance.folder / "log" / organisation)
    return read_lost(instance.owner, organisation, head, files, lambda *_: None)


def recover(instance: Instance) -> list[Recovered]:
    heads = HeadStore(instance.folder / "heads")
    lost = [found for name in heads.organisations() if (found := lost_of(instance, name)) is not None]
    return roll_forward(instance.owner, lost, instance.keys, instance.folder / "log", LATER)


def test_the_log_goes_on_where_the_world_saw_it_last(instance: Instance) -> None:
    instance.fill()
    instance.run()
    keep(instance)
    for number in range(10, 13):
        instance.add_event(number)
    instance.add_event(13, "hz-market")
    instance.add_window(3)
    instance.run(NOW + timedelta(minutes=1))
    old, old_market = instance.log(), instance.log("hz-market")
    put_back(instance)
    done = {each.organisation: each for each in recover(instance)}
    assert (done["xj-coop"].before, done["xj-coop"].after) == (5, 9)
    assert done["xj-coop"].lost == {"event": 3, "window": 1} and done["xj-coop"].joined == 0
    assert done["hz-market"].lost == {"event": 1}
    instance.add_event(20)
    instance.add_event(21, "hz-market")
    instance.run(LATER)
    check_everything(instance)
    for before in (old, old_market):
        log = instance.log(before.origin.rpartition("/")[2])
        assert log.tree_size == before.tree_size + 1
        proof = log.consistency_proof(before.tree_size)
        verify_consistency(before.tree_size, log.tree_size, before.root_hash, log.root_hash, proof)
    assert instance.rows("SELECT count(*) FROM payload_lost") == [(5,)]


def test_what_waited_when_the_backup_was_taken_finds_its_leaf_again(instance: Instance) -> None:
    instance.add_event(1)
    instance.add_window(1)
    instance.run()
    instance.add_event(2)
    instance.add_event(3, "hz-market")
    instance.add_window(2)
    keep(instance)
    instance.run(NOW + timedelta(minutes=1))
    want = instance.rows("SELECT * FROM leaf ORDER BY organisation, leaf_index")
    put_back(instance)
    done = recover(instance)
    assert [(each.organisation, each.joined, each.lost) for each in done] == [
        ("hz-market", 1, {}),
        ("root", 0, {}),
        ("xj-coop", 2, {}),
    ]
    assert instance.rows("SELECT * FROM leaf ORDER BY organisation, leaf_index") == want
    assert instance.rows("SELECT count(*) FROM payload_lost") == [(0,)]
    instance.run(LATER)
    check_everything(instance)


def test_a_position_that_was_given_out_is_never_given_again(instance: Instance) -> None:
    instance.add_event(1)
    instance.run()
    keep(instance)
    for number, organisation in ((2, "hz-market"), (3, "xj-coop"), (4, "hz-market")):
        instance.add_event(number, organisation)
        instance.run(NOW + timedelta(seconds=number))
    put_back(instance)
    recover(instance)
    times = instance.rows(
        "SELECT position, record_time FROM leaf WHERE position IS NOT NULL ORDER BY position"
    )
    assert [position for position, _ in times] == [1, 2, 3, 4]
    assert [time for _, time in times] == sorted(time for _, time in times)
    instance.add_event(5)
    instance.run(LATER)
    assert instance.rows("SELECT max(position) FROM leaf") == [(5,)]


def test_a_log_that_the_backup_does_not_know_comes_back_whole(instance: Instance) -> None:
    keep(instance)
    instance.fill()
    instance.run()
    put_back(instance)
    recover(instance)
    instance.add_event(9)
    instance.run(LATER)
    check_everything(instance)


def test_a_window_whose_readings_are_gone_is_amended_and_not_begun_anew(instance: Instance) -> None:
    instance.add_event(1)
    instance.run()
    keep(instance)
    instance.add_window(1)
    instance.run(NOW + timedelta(minutes=1))
    root = parse_entry(instance.log().entry(1)).body["root"]
    put_back(instance)
    recover(instance)
    (version, held, keys) = instance.rows(
        "SELECT version, encode(root, 'base64'), leaf_keys FROM sealed_window"
    )[0]
    assert (version, held, bytes(keys)) == (1, root, b"")
    instance.add_window(2)
    instance.run(LATER)
    assert parse_entry(instance.log().entry(2)).body["amends"]["index"] == 1


def test_a_second_run_finds_nothing_to_do(instance: Instance) -> None:
    instance.fill()
    keep(instance)
    instance.run()
    put_back(instance)
    recover(instance)
    before = instance.rows("SELECT * FROM leaf ORDER BY organisation, leaf_index")
    assert recover(instance) == []
    assert instance.rows("SELECT * FROM leaf ORDER BY organisation, leaf_index") == before


def test_leaves_of_another_history_stay_out(instance: Instance) -> None:
    """The restored database is one that went on by itself after the backup: two histories, and both are kept."""
    instance.add_event(1)
    instance.run()
    keep(instance)
    instance.add_event(2)
    instance.add_event(3)
    instance.run()
    put_back(instance)
    instance.owner.execute("UPDATE leaf SET leaf_hash = sha256('other') WHERE organisation = 'xj-coop'")
    with pytest.raises(LogForked, match="two histories"):
        recover(instance)
    assert instance.rows("SELECT tree_size FROM log WHERE organisation = 'xj-coop'") == [(1,)]


@pytest.mark.parametrize("harm", ["a byte", "its end", "all of it"])
def test_a_damaged_bundle_brings_nothing_back(instance: Instance, harm: str) -> None:
    instance.add_event(1)
    instance.run()
    keep(instance)
    instance.add_event(2)
    instance.run()
    put_back(instance)
    path = instance.folder / "log/xj-coop/tile/entries/000.p/2"
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    match harm:
        case "a byte":
            path.write_bytes(data)
        case "its end":
            path.write_bytes(data[:-9])
        case _:
            path.unlink()
    with pytest.raises((LogForked, BundleMissing)):
        recover(instance)
    assert instance.rows("SELECT count(*) FROM leaf WHERE organisation = 'xj-coop'") == [(1,)]


def test_files_that_no_head_covers_are_named(instance: Instance, tmp_path: Path) -> None:
    for number in range(255):
        instance.add_event(number)
    instance.run()
    files = LogFiles(instance.folder / "log" / "xj-coop")
    assert beyond(files, 255) == []
    for path in ("tile/0/000", "tile/entries/000", "tile/0/001.p/3", "tile/1/000.p/1"):
        files.write_once([(path, b"of leaves that were never signed for")])
    assert sorted(beyond(files, 255)) == [
        "tile/0/000",
        "tile/0/001.p/3",
        "tile/1/000.p/1",
        "tile/entries/000",
    ]
    assert "tile/0/000" not in beyond(files, 256) and tile_path(1, 0, 1) not in beyond(files, 256)


@pytest.mark.parametrize("harm", ["a byte", "all of it"])
def test_a_damaged_file_is_made_anew_from_the_leaves(instance: Instance, harm: str, tmp_path: Path) -> None:
    instance.fill()
    instance.run()
    files, head = (
        LogFiles(instance.folder / "log/xj-coop"),
        HeadStore(instance.folder / "heads").read("xj-coop"),
    )
    assert head is not None and mend(instance.owner, "xj-coop", head, files, tmp_path / "aside") == []
    path = files.folder / "tile/0/000.p/5"
    whole = path.read_bytes()
    path.unlink() if harm == "all of it" else path.write_bytes(bytes(len(whole)))
    assert mend(instance.owner, "xj-coop", head, files, tmp_path / "aside") == ["tile/0/000.p/5"]
    assert path.read_bytes() == whole
    assert (tmp_path / "aside/tile/0/000.p/5").exists() == (harm == "a byte")


def test_files_are_not_made_of_leaves_that_were_changed(instance: Instance, tmp_path: Path) -> None:
    instance.fill()
    instance.run()
    files, head = (
        LogFiles(instance.folder / "log/xj-coop"),
        HeadStore(instance.folder / "heads").read("xj-coop"),
    )
    assert head is not None
    instance.owner.execute("UPDATE leaf SET entry = 'x' WHERE organisation = 'xj-coop' AND leaf_index = 1")
    published = {path: path.read_bytes() for path in files.folder.rglob("*") if path.is_file()}
    with pytest.raises(LogForked, match="find out which is true"):
        mend(instance.owner, "xj-coop", head, files, tmp_path / "aside")
    assert {path: path.read_bytes() for path in files.folder.rglob("*") if path.is_file()} == published


def test_a_lost_head_is_named(instance: Instance) -> None:
    instance.fill()
    instance.run()
    shutil.rmtree(instance.folder / "heads")
    assert set(lost_heads(instance.owner, HeadStore(instance.folder / "heads"))) >= {"xj-coop", "hz-market"}


def test_the_published_checkpoint_still_holds_over_what_came_back(instance: Instance) -> None:
    instance.fill()
    keep(instance)
    instance.run()
    note = instance.log().checkpoint
    put_back(instance)
    recover(instance)
    instance.run(datetime.now(UTC))
    log = instance.log()
    assert log.checkpoint == note
    assert open_checkpoint(note, [parse_vkey(log.vkey)]).checkpoint.root_hash == log.root_hash


def test_a_service_may_not_say_that_a_payload_is_lost(instance: Instance) -> None:
    for role in ("ingest", "jobs", "sequencer", "api"):
        with (
            psycopg.connect(instance.database.service(role)) as conn,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            conn.execute("INSERT INTO payload_lost VALUES ('xj-coop', 0, now())")


def test_a_log_whose_first_key_signs_no_more_comes_back(instance: Instance) -> None:
    instance.fill()
    instance.run()
    keep(instance)
    rotate(instance, 1)
    instance.run(NOW + timedelta(days=1))
    instance.add_event(9)
    instance.run(NOW + timedelta(days=40))
    put_back(instance)
    assert [each.after for each in recover(instance) if each.organisation == "xj-coop"] == [7]
    instance.add_event(10)
    instance.run(NOW + timedelta(days=41))
    check_everything(instance)


def test_a_head_that_another_moved_is_not_called_an_older_one(instance: Instance) -> None:
    """What is published may be ahead of a head that was read a moment ago."""
    instance.fill()
    instance.run()
    heads, log = HeadStore(instance.folder / "heads"), instance.log()
    read = heads.read("xj-coop")
    assert read is not None
    instance.add_event(9)
    instance.run(NOW + timedelta(minutes=1))
    held = Log("xj-coop", log.origin, LogFiles(instance.folder / "log/xj-coop"), heads, ())
    with pytest.raises(HeadMoved):
        check_published(held, read, [parse_vkey(log.vkey)])


def test_an_older_head_beside_newer_files_signs_nothing_until_it_is_brought_up(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads and database are of one backup, and the published files survived: they know of more."""
    instance.fill()
    instance.run()
    keep(instance)
    path = instance.folder / "heads/xj-coop.json"
    old = path.read_bytes()
    instance.add_event(9)
    instance.add_event(10)
    instance.run(NOW + timedelta(minutes=1))
    signed = instance.log()
    put_back(instance)
    path.write_bytes(old)
    instance.add_event(11)
    assert isinstance(instance.run(LATER).refused["xj-coop"], HeadBehind)
    assert instance.log().checkpoint == signed.checkpoint
    monkeypatch.setenv("SUYUAN_DATA_DIR", str(instance.folder))
    done = CliRunner().invoke(main, ["recover", "--database-url", instance.database.owner])
    assert done.exit_code == 0, done.output
    instance.run(LATER)
    check_everything(instance)
    log = instance.log()
    assert log.tree_size == signed.tree_size + 1
    proof = log.consistency_proof(signed.tree_size)
    verify_consistency(signed.tree_size, log.tree_size, signed.root_hash, log.root_hash, proof)


def test_files_of_leaves_that_a_restore_took_back_are_out_of_the_way(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash came between files and head, and then a backup that has just what the head says."""
    instance.fill()
    instance.run()
    path = instance.folder / "log/xj-coop/tile/entries/000.p/7"
    path.write_bytes(b"of leaves that were never signed for")
    instance.add_event(9)
    instance.add_event(10)
    assert isinstance(instance.run().refused["xj-coop"], LogForked)
    monkeypatch.setenv("SUYUAN_DATA_DIR", str(instance.folder))
    done = CliRunner().invoke(main, ["recover", "--database-url", instance.database.owner])
    assert done.exit_code == 0 and "set aside" in done.output, done.output
    instance.run(LATER)
    check_everything(instance)
    assert (instance.folder / "set-aside/xj-coop/tile/entries/000.p/7").is_file()
