"""The sequencer against a real database: one order, unbroken chains, published proofs; and killed between any
two steps.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import psycopg
import pytest

from ledger import log_files
from ledger.entry import commit_event, parse_entry, stream_pseudonym
from ledger.evidence import build_event, build_window, verify_evidence
from ledger.evidence_file import Evidence
from ledger.head_store import Head, HeadMoved, HeadStore
from ledger.keys import KeyMissing, KeyStore
from ledger.log_files import LogForked
from ledger.publication import LeafDamaged, LogBehindHead
from ledger.reader import LogReader, open_log
from ledger.sequencer import HeadMissing, Sequencer, serve, take_lock
from ledger.sequencing import Deposed, sequence
from ledger.strict_json import strict
from ledger.translog.checkpoint import open_checkpoint
from ledger.translog.note import parse_vkey
from ledger.translog.verify import verify_consistency, verify_inclusion
from ledger.window import WindowTree, readings, window_secret
from ledger.window_body import WindowBody
from tests.servers.databases import Database

NOW = datetime(2026, 6, 18, 4, 0, tzinfo=UTC)
START_MS = 1_782_000_000_000
HOUR_MS = 3_600_000
SERIES = bytes(range(16))
ORGANISATIONS = ("xj-coop", "hz-market")
TABLES = "pending, leaf, checkpoint, stream_head, log, sealed_window, event"


@dataclass
class Instance:
    """A database and a data folder, and what a test does to them."""

    database: Database
    owner: psycopg.Connection
    folder: Path

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.database.service("sequencer"), autocommit=True)

    def sequencer(self, conn: psycopg.Connection, now: datetime = NOW) -> Sequencer:
        return Sequencer(conn, self.keys, self.folder, "log.example", lambda: now)

    @property
    def keys(self) -> KeyStore:
        return KeyStore(self.folder / "keys", lambda count: bytes(range(count)))

    def run(self, now: datetime = NOW) -> Sequencer:
        """A whole reign: take over, and work until nothing is left."""
        with self.connect() as conn:
            assert take_lock(conn, Event(), 0)
            sequencer = self.sequencer(conn, now)
            sequencer.take_over()
            while sequencer.step():
                continue
            return sequencer

    def log(self, organisation: str = "xj-coop") -> LogReader:
        log = open_log(self.folder / "log", organisation)
        assert log is not None
        return log

    def add_event(self, number: int, organisation: str = "xj-coop") -> None:
        body = commit_event(fields(number), salts(number)).body()
        row = self.owner.execute(
            "INSERT INTO event (organisation, event_id, is_error, type, event_time, received_at)"
            " VALUES (%s, %s, false, 'ObjectEvent', %s, %s) RETURNING id",
            [organisation, f"urn:uuid:{number}", NOW, NOW],
        ).fetchone()
        assert row is not None
        self.owner.execute(
            "INSERT INTO pending (organisation, type, stream_kind, stream_id, body, event, created_at)"
            " VALUES (%s, 'event', 'party', %s, %s, %s, %s)",
            [organisation, organisation, strict(body), row[0], NOW],
        )

    def add_window(self, version: int) -> None:
        """Version 1 seals 40 readings, each later one adds one more and amends the one before."""
        tree, added = window(version), [38 + version] if version > 1 else None
        body = WindowBody.of(tree, START_MS, START_MS + HOUR_MS, "hour", added=added)
        (window_id,) = self.owner.execute(
            "INSERT INTO sealed_window (organisation, device_id, start_time, version, closed, through,"
            " readings, root, leaf_keys, sealed_at)"
            " SELECT 'xj-coop', id, %s, %s, 'hour', %s, %s, %s, '', %s FROM device RETURNING id",
            [NOW, version, NOW, tree.size, tree.root_hash, NOW],
        ).fetchone() or (0,)
        (before,) = self.owner.execute(
            "SELECT id FROM sealed_window WHERE version = %s", [version - 1]
        ).fetchone() or (None,)
        self.owner.execute(
            "INSERT INTO pending (organisation, type, stream_kind, stream_id, body, sealed_window, amends,"
            " created_at)"
            " SELECT 'xj-coop', 'window', 'device', id::text, %s, %s, %s, %s FROM device",
            [strict(body.value()), window_id, before, NOW],
        )

    def fill(self) -> None:
        """What the crash tests work on: two logs, two streams in one, an amended window."""
        for number in range(3):
            self.add_event(number)
        self.add_event(3, "hz-market")
        self.add_window(1)
        self.add_window(2)

    def reset(self) -> None:
        self.owner.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")
        shutil.rmtree(self.folder, ignore_errors=True)

    def rows(self, query: str, *values: Any) -> list[Any]:
        return self.owner.execute(query, values).fetchall()


def fields(number: int) -> dict[str, Any]:
    return {"type": "ObjectEvent", "eventID": f"urn:uuid:{number}", "bizStep": "loading"}


def salts(number: int) -> list[bytes]:
    return [bytes([number % 256, at]) * 8 for at in range(3)]


def window(version: int) -> WindowTree:
    count = 39 + version
    rows = readings(
        SERIES, START_MS + np.arange(count) * 60_000, np.linspace(2, 6, 50)[:count], np.zeros(count)
    )
    key = bytes(range(32))
    return WindowTree.of(window_secret(key, stream_pseudonym(key, "device", "1"), START_MS), rows)


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Iterator[Instance]:
    with psycopg.connect(database.owner, autocommit=True) as owner:
        for organisation in ORGANISATIONS:
            owner.execute(
                "INSERT INTO organisation (id, name_zh, name_en, party, kind)"
                " VALUES (%s, '', '', %s, 'packer')",
                [organisation, organisation],
            )
        owner.execute(
            "INSERT INTO device (organisation, external_id, giai, model, interval_s)"
            " VALUES ('xj-coop', 't', 'g', 'm', 60)"
        )
        yield Instance(database, owner, tmp_path / "data")


def check_everything(instance: Instance) -> None:
    """All that must be true of an instance with nothing left to do."""
    assert instance.rows("SELECT id FROM pending") == []
    positions = instance.rows(
        "SELECT position, record_time FROM leaf WHERE position IS NOT NULL ORDER BY position"
    )
    assert [position for position, _ in positions] == list(range(1, len(positions) + 1))
    assert [time for _, time in positions] == sorted(time for _, time in positions)
    for organisation in ORGANISATIONS:
        check_log(instance, organisation)


def check_log(instance: Instance, organisation: str) -> None:
    log = instance.log(organisation)
    stored = instance.rows(
        "SELECT leaf_index, entry FROM leaf WHERE organisation = %s ORDER BY 1", organisation
    )
    assert [index for index, _ in stored] == list(range(log.tree_size))
    heads: dict[bytes, tuple[int, bytes | None]] = {}
    for index, data in stored:
        assert log.entry(index) == data
        verify_inclusion(
            log.leaf_hash(index), index, log.tree_size, log.inclusion_proof(index), log.root_hash
        )
        entry = parse_entry(data)
        n, prev = heads.get(entry.stream, (-1, None))
        assert (entry.n, entry.prev) == (n + 1, prev)
        heads[entry.stream] = (entry.n, log.leaf_hash(index))
    history = instance.rows(
        "SELECT tree_size, root_hash, note FROM checkpoint WHERE organisation = %s", organisation
    )
    signed = {(size, root): note for size, root, note in history}
    # What is kept is what the log signed; cosignatures stand below it.
    assert log.checkpoint.startswith(signed[log.tree_size, log.root_hash])
    vkeys = (log.files.read("vkeys") or b"").decode().splitlines()
    keys = [parse_vkey(line.split(" ")[0]) for line in vkeys]
    assert log.vkey in map(str, keys)
    for size, root, note in history:
        assert open_checkpoint(note, keys, origin=log.origin).checkpoint.root_hash == root
        if size:
            verify_consistency(size, log.tree_size, root, log.root_hash, log.consistency_proof(size))
    head = HeadStore(instance.folder / "heads").read(organisation)
    assert head is not None
    assert (head.size, head.root_hash, head.origin) == (log.tree_size, log.root_hash, log.origin)


def test_pending_rows_become_a_published_log(instance: Instance) -> None:
    instance.fill()
    instance.run()
    check_everything(instance)
    log = instance.log()
    assert log.tree_size == 5
    assert log.origin == "log.example/xj-coop"
    assert [entry.type for entry in map(parse_entry, map(log.entry, range(5)))] == ["event"] * 3 + [
        "window"
    ] * 2
    assert instance.log("hz-market").tree_size == 1


def test_evidence_from_the_published_files_verifies_offline(instance: Instance) -> None:
    instance.fill()
    instance.run()
    log = instance.log()
    evidence = Evidence(
        (log.log_evidence(),),
        (
            build_event(log.leaf_evidence(1), fields(1), salts(1), {"bizStep"}),
            build_window(log.leaf_evidence(3), window(1), [0, 39]),
            build_window(log.leaf_evidence(4), window(2), [40]),
        ),
    )
    report = verify_evidence(evidence.to_json(), {log.origin: log.vkey})
    assert report.failures == ()
    assert "amends" in {check.name for check in report.checks}


def test_a_second_run_adds_nothing(instance: Instance) -> None:
    instance.fill()
    instance.run()
    before = snapshot(instance)
    instance.run(NOW + timedelta(seconds=29))
    assert snapshot(instance) == before


def test_a_log_grows_over_many_checkpoints(instance: Instance) -> None:
    number = 0
    for size in (1, 254, 1, 1, 40):
        for _ in range(size):
            instance.add_event(number)
            number += 1
        instance.add_event(number, "hz-market")
        number += 1
        instance.run()
    check_everything(instance)
    assert instance.log().tree_size == 297


def test_record_time_never_runs_backwards(instance: Instance) -> None:
    instance.add_event(1)
    instance.run(NOW)
    instance.add_event(2, "hz-market")
    instance.add_window(1)
    instance.run(NOW - timedelta(days=1))
    times = {time for (time,) in instance.rows("SELECT record_time FROM leaf")}
    assert times == {NOW}


def test_an_amendment_waits_for_the_window_it_amends(instance: Instance) -> None:
    instance.add_window(1)
    instance.add_window(2)
    held = instance.rows("DELETE FROM pending WHERE amends IS NULL RETURNING *")[0]
    instance.run()
    assert instance.rows("SELECT count(*) FROM pending") == [(1,)]
    again = f"INSERT INTO pending OVERRIDING SYSTEM VALUE VALUES ({', '.join(['%s'] * len(held))})"
    instance.owner.execute(again.encode(), held)
    instance.run()
    instance.add_event(1, "hz-market")
    instance.run()
    check_everything(instance)


def test_a_row_that_is_no_entry_stays_and_stops_nothing(
    instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    instance.add_event(1)
    instance.owner.execute("UPDATE pending SET body = %s", [b'{"fields":1.5}'])
    instance.add_event(2)
    instance.run()
    assert instance.rows("SELECT count(*) FROM pending") == [(1,)]
    assert instance.log().tree_size == 1
    assert "pending row is no entry" in caplog.text


def test_rows_behind_one_that_stays_are_sequenced_once(instance: Instance) -> None:
    """The row is found out when the others are taken away already: all of it is done again, in the other way."""
    instance.add_window(1)
    for number in range(3):
        instance.add_event(number)
    instance.owner.execute("UPDATE pending SET body = 'x' WHERE sealed_window IS NOT NULL")
    instance.run()
    instance.run()
    assert instance.rows("SELECT type, body FROM pending") == [("window", b"x")]
    kept = "SELECT position FROM leaf WHERE organisation = 'xj-coop' ORDER BY leaf_index"
    assert instance.rows(kept) == [(1,), (2,), (3,)]


@pytest.mark.parametrize("column", ["organisation", "event", "sealed_window", "sealed_verdict"])
def test_a_leaf_refers_to_what_is_there(instance: Instance, column: str) -> None:
    instance.fill()
    instance.run()
    leaf: dict[str, Any] = {
        "organisation": "xj-coop",
        "leaf_index": 5,
        "entry": b"",
        "leaf_hash": bytes(32),
        "record_time": NOW,
    }
    leaf[column] = "nobody" if column == "organisation" else 99
    query = f"INSERT INTO leaf ({', '.join(leaf)}) VALUES ({', '.join(['%s'] * len(leaf))})"
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        instance.owner.execute(query.encode(), list(leaf.values()))


@pytest.mark.parametrize("table", ["event", "sealed_window"])
def test_nothing_is_deleted_from_under_a_leaf(instance: Instance, table: str) -> None:
    instance.fill()
    instance.run()
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match=f"a leaf refers to this row of {table}"):
        instance.owner.execute(f"DELETE FROM {table}".encode())
    instance.owner.execute("DELETE FROM leaf")
    instance.owner.execute(f"DELETE FROM {table}".encode())


def test_a_deposed_sequencer_commits_and_signs_nothing(instance: Instance) -> None:
    instance.fill()
    with instance.connect() as conn:
        old = instance.sequencer(conn)
        old.take_over()
        assert old.step()
        instance.run()
        instance.add_event(9)
        with pytest.raises(Deposed):
            old.step()
    assert instance.rows("SELECT count(*) FROM pending") == [(1,)]
    instance.run()
    check_everything(instance)


def test_a_head_moved_by_another_is_not_signed_over(instance: Instance) -> None:
    instance.fill()
    with instance.connect() as conn:
        sequencer = instance.sequencer(conn)
        sequencer.take_over()
        assert sequencer.step()
        heads = HeadStore(instance.folder / "heads")
        head = heads.read("xj-coop")
        assert head is not None
        heads.swap("xj-coop", head, replace(head, epoch=head.epoch + 1))
        before = instance.log().checkpoint
        instance.add_event(9)
        with pytest.raises(HeadMoved):
            sequencer.step()
    assert instance.log().checkpoint == before
    instance.run()
    check_everything(instance)


@pytest.mark.whole_server
def test_only_one_holds_the_lock(instance: Instance) -> None:
    stop = Event()
    with instance.connect() as first, instance.connect() as second:
        assert take_lock(first, stop, 0)
        waiting = Thread(target=take_lock, args=(second, stop, 0.01))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        first.close()
        waiting.join(10)
        assert not waiting.is_alive()


def test_serve_works_until_told_to_stop(instance: Instance) -> None:
    instance.fill()
    stop = Event()

    def connect() -> psycopg.Connection:
        return psycopg.connect(instance.database.service("sequencer"))

    def now() -> datetime:
        if not instance.rows("SELECT FROM pending"):
            stop.set()
        return NOW

    serving = Thread(
        target=serve,
        args=(connect, instance.keys, instance.folder, "log.example", now, stop),
        kwargs={"poll_s": 0.01},
    )
    serving.start()
    serving.join(20)
    assert not serving.is_alive()
    instance.run()
    check_everything(instance)


def refusal(instance: Instance) -> Any:
    """What the sequencer says of xj-coop's log; the other log must go on."""
    instance.add_event(99, "hz-market")
    size = instance.log("hz-market").tree_size
    refused = instance.run().refused
    assert set(refused) == {"xj-coop"}
    assert instance.log("hz-market").tree_size == size + 1
    return refused["xj-coop"]


def test_a_restored_database_behind_its_head_is_not_signed(instance: Instance) -> None:
    instance.fill()
    instance.run()
    before = instance.log().checkpoint
    instance.owner.execute("DELETE FROM leaf WHERE organisation = 'xj-coop' AND leaf_index = 4")
    instance.owner.execute("UPDATE log SET tree_size = 4, epoch = 0 WHERE organisation = 'xj-coop'")
    error = refusal(instance)
    assert isinstance(error, LogBehindHead)
    assert "has 4 leaves, the log has signed for 5" in str(error)
    assert instance.log().checkpoint == before


def test_a_database_from_before_the_log_is_not_signed(instance: Instance) -> None:
    instance.fill()
    instance.run()
    instance.owner.execute("DELETE FROM leaf WHERE organisation = 'xj-coop'")
    for table in ("anchor", "stream_head", "checkpoint", "log"):
        instance.owner.execute(f"DELETE FROM {table} WHERE organisation = 'xj-coop'")
    assert isinstance(refusal(instance), LogBehindHead)


def test_a_changed_leaf_is_a_fork(instance: Instance) -> None:
    instance.fill()
    instance.run()
    instance.owner.execute(
        "UPDATE leaf SET leaf_hash = %s WHERE organisation = 'xj-coop' AND leaf_index = 1", [bytes(32)]
    )
    assert isinstance(refusal(instance), LogForked)


def test_changed_tiles_are_a_fork(instance: Instance) -> None:
    instance.fill()
    instance.run()
    tile = instance.folder / "log/xj-coop/tile/0/000.p/5"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    instance.add_event(9)
    assert isinstance(refusal(instance), LogForked)


def test_a_tile_is_never_rewritten_with_other_bytes(instance: Instance) -> None:
    instance.fill()
    instance.run()
    (instance.folder / "log/xj-coop/tile/0/000.p/6").write_bytes(bytes(6 * 32))
    instance.add_event(9)
    error = refusal(instance)
    assert isinstance(error, LogForked)
    assert "holds other bytes" in str(error)


def test_a_damaged_entry_is_not_published(instance: Instance) -> None:
    instance.fill()
    instance.run()
    instance.add_event(9)
    with instance.connect() as conn:
        (epoch,) = instance.rows("SELECT epoch FROM log WHERE organisation = 'xj-coop'")[0]
        assert len(sequence(conn, "xj-coop", bytes(range(32)), epoch, NOW)) == 1
    instance.owner.execute("UPDATE leaf SET entry = 'x' WHERE organisation = 'xj-coop' AND leaf_index = 5")
    assert isinstance(refusal(instance), LeafDamaged)


def test_a_damaged_entry_is_not_published_again(instance: Instance) -> None:
    """It stands in the bundle that the next entry goes into."""
    instance.fill()
    instance.run()
    instance.owner.execute("UPDATE leaf SET entry = 'x' WHERE organisation = 'xj-coop' AND leaf_index = 2")
    instance.add_event(9)
    assert isinstance(refusal(instance), LeafDamaged)


def test_a_lost_head_or_key_is_not_made_anew(instance: Instance) -> None:
    instance.fill()
    instance.run()
    for path, error in (
        ("heads/xj-coop.json", HeadMissing),
        ("keys/xj-coop.key", KeyMissing),
        ("keys/xj-coop.org_key", KeyMissing),
    ):
        held = (instance.folder / path).read_bytes()
        (instance.folder / path).unlink()
        refused = instance.run().refused
        assert isinstance(refused["xj-coop"], error)
        (instance.folder / path).write_bytes(held)
    assert instance.run().refused == {}


def test_secrets_are_readable_by_us_alone(instance: Instance) -> None:
    instance.fill()
    instance.run()
    keys = instance.folder / "keys"
    assert keys.stat().st_mode & 0o077 == 0
    assert {path.name for path in keys.iterdir()} == {
        *(f"{name}.{kind}" for name in (*ORGANISATIONS, "root") for kind in ("key", "org_key")),
        "root.clock.key",
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys.iterdir())


def test_an_origin_outlives_its_setting(instance: Instance) -> None:
    instance.fill()
    instance.run()
    instance.add_event(9)
    with instance.connect() as conn:
        sequencer = Sequencer(conn, instance.keys, instance.folder, "another.example", lambda: NOW)
        sequencer.take_over()
        assert sequencer.step()
    check_everything(instance)
    assert instance.log().origin == "log.example/xj-coop"


class Killed(BaseException):
    """Nothing of ours catches it, as nothing catches a kill."""


class Countdown:
    """Lets a number of operations pass and kills at the next."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


def dying_files(countdown: Countdown) -> Any:
    """`os` as `ledger.log_files` knows it, with every operation that reaches the disk counted. Nothing is
    synced: a killed process loses no page of the kernel's, and syncs are most of the time.
    """

    def counted(operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            countdown()
            return operation(*arguments, **options)

        return call

    def skip(_descriptor: int) -> None:
        return None

    operations: dict[str, Callable[..., Any]] = {
        "open": os.open,
        "replace": os.replace,
        "link": os.link,
        "fsync": skip,
    }
    return SimpleNamespace(**{**vars(os), **{name: counted(call) for name, call in operations.items()}})


def dying_connection(instance: Instance, countdown: Countdown) -> psycopg.Connection:
    class Dying(psycopg.Connection[Any]):
        def execute(self, *arguments: Any, **options: Any) -> Any:
            countdown()
            return super().execute(*arguments, **options)

    return Dying.connect(instance.database.service("sequencer"), autocommit=True)


def run_until_killed(instance: Instance, operations: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """One reign that dies before operation number `operations`; never if negative. Whether it did."""
    countdown = Countdown(operations)
    with monkeypatch.context() as patch, dying_connection(instance, countdown) as conn:
        patch.setattr(log_files, "os", dying_files(countdown))
        sequencer = instance.sequencer(conn)
        try:
            sequencer.take_over()
            while sequencer.step():
                continue
        except Killed:
            conn.close()
            return True
    return False


def snapshot(instance: Instance) -> dict[str, Any]:
    """The log as anybody sees it, and the leaves behind it."""
    folder = instance.folder / "log"
    published = {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/[!.]*") if path.is_file()
    }
    return {"leaf": instance.rows("SELECT * FROM leaf ORDER BY organisation, leaf_index"), **published}


@pytest.mark.editions("plain")  # files and transactions, the same on both
@pytest.mark.parametrize("start", ["inception", "growth"])
def test_killed_between_any_two_steps_it_ends_with_the_same_bytes(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    def begin() -> None:
        instance.reset()
        if start == "growth":
            instance.add_event(100)
            assert not run_until_killed(instance, -1, monkeypatch)
        instance.add_event(0)
        instance.add_window(1)
        instance.add_window(2)

    begin()
    assert not run_until_killed(instance, -1, monkeypatch)
    want = snapshot(instance)
    operations, killed = 0, True
    while killed:
        begin()
        killed = run_until_killed(instance, operations, monkeypatch)
        # Killed once more on the way back, somewhere else, and then left to finish.
        run_until_killed(instance, operations * 7 % 23, monkeypatch)
        assert not run_until_killed(instance, -1, monkeypatch)
        assert snapshot(instance) == want, operations
        operations += 1
    for organisation in ("xj-coop", "root"):
        check_log(instance, organisation)
    assert operations > (90 if start == "inception" else 50)


def test_heads_are_swapped_only_against_what_is_there(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path / "heads")
    first = Head.inception("log.example/a")
    assert heads.read("a") is None
    heads.swap("a", None, first)
    with pytest.raises(HeadMoved):
        heads.swap("a", None, first)
    second = Head(first.origin, 5, bytes(32), 2)
    heads.swap("a", first, second)
    with pytest.raises(HeadMoved):
        heads.swap("a", first, second)
    assert HeadStore(tmp_path / "heads").read("a") == second
    assert json.loads((tmp_path / "heads/a.json").read_text())["size"] == 5
