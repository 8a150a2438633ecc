"""`suyuan backup`: what is in it, what is refused, and an instance that goes on from it as if nothing had happened.

One instance an edition with a simulated day in it, backed up by the command and restored by the command into an empty
database and an empty folder on the same server. Then: the doctor is content down to every invariant and tile, the page
answers the same, evidence from before verifies, and the log goes on from what it had signed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from deploy.backup import BackupError, manifest
from deploy.backup.command import backup
from deploy.backup.restoring import restore, set_edition_of_roles
from deploy.backup.taking import leaves_up_to, take
from ledger.evidence import verify_evidence
from ledger.head_store import Head, HeadStore
from ledger.publication import LogBehindHead
from ledger.root_log import ROOT
from ledger.sequencer import Sequencer, take_lock
from ledger.translog.checkpoint import open_checkpoint
from ledger.translog.note import SignerKey, parse_vkey
from ledger.translog.verify import verify_consistency
from simulators.world import World
from tests.acceptance.instance import Instance, handed_over
from tests.acceptance.serving import served
from tests.documents import REPOSITORY
from tests.integration.running import for_real_people, played, suyuan
from tests.servers.databases import Database
from tests.servers.session import EDITIONS, Servers
from tests.servers.timescale import client_programs
from tests.servers.waiting import wait_until

HOURS = 10
OWN = "xj-coop"


@dataclass
class Original:
    """An instance, the world that it saw, and what a shopper saw of it when it was backed up to `folder`."""

    instance: Instance
    world: World
    folder: Path
    said: dict[str, Any]
    evidence: bytes
    server: str

    @property
    def keys(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}-keys.tar")


def environment(instance: Instance) -> dict[str, str]:
    return {"SUYUAN_DATABASE_URL": instance.database.owner, "SUYUAN_DATA_DIR": str(instance.folder)}


def box(world: World) -> str:
    gtin, lot, serial = world.sample_box()
    return f"/01/{gtin}/10/{lot}/21/{serial}"


def told(instance: Instance, world: World, now: datetime) -> tuple[dict[str, Any], bytes]:
    """What is said of the sample box, and its evidence. The page is asked too: it must answer."""
    with served(instance, now) as client:
        page = client.get(box(world), headers={"Accept": "text/html"})
        assert page.status_code == 200
        answers = [
            client.get(f"/api/v1/lots{box(world)}/{what}") for what in ("trace", "exposure", "verdict")
        ]
        assert [answer.status_code for answer in answers] == [200] * 3
        proof = client.get(f"/api/v1/lots{box(world)}/proof")
        assert proof.status_code == 200
        return {answer.url.path: answer.json() for answer in answers}, proof.content


# pg_dump asks while others write.
@pytest.fixture(
    scope="module", params=[pytest.param(each, marks=pytest.mark.whole_server) for each in EDITIONS]
)
def original(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Original]:
    with servers.template(request.param).clone() as database, pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("original")
        if request.param == "timescale":
            patch.setenv("PATH", f"{client_programs(folder)}{os.pathsep}{os.environ['PATH']}")
        instance = Instance(database, folder / "data")
        world = played(instance, HOURS)
        for_real_people(instance)
        instance.alter(WAITING)
        said, evidence = told(instance, world, NOON)
        target = folder / "backups" / "monday"
        done = suyuan(environment(instance), "backup", str(target))
        assert done.returncode == 0, done.stderr
        assert "whoever has it can sign for every log" in done.stdout
        yield Original(instance, world, target, said, evidence, database.owner)


NOON = datetime.now(UTC)
WAITING = f"""
WITH job AS (INSERT INTO capture_job (id, organisation, created_at, error_behaviour, events)
             VALUES (gen_random_uuid(), '{OWN}', now(), 'rollback', 1) RETURNING id, organisation)
INSERT INTO capture_document (job, organisation, body, due) SELECT id, organisation, 'x', now() FROM job
"""


@contextmanager
def empty_database(original: Original) -> Iterator[Database]:
    """On the same server, whose roles and their passwords are the same."""
    name = f"suyuan_restored_{datetime.now(UTC):%H%M%S%f}"
    with psycopg.connect(original.server, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    before = original.instance.database
    old = str(psycopg.conninfo.conninfo_to_dict(before.owner)["dbname"])
    try:
        yield replace(before, owner=before.owner.replace(f"/{old}", f"/{name}"))
    finally:
        with psycopg.connect(original.server, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def restored(original: Original, folder: Path) -> Iterator[Instance]:
    with empty_database(original) as database:
        instance = Instance(database, folder)
        done = suyuan(environment(instance), "backup", "restore", str(original.folder))
        assert done.returncode == 0, done.stderr
        assert "suyuan doctor --deep" in done.stdout
        yield instance


# --- what is in it ------------------------------------------------------------------------------------------------


def test_it_is_whole_and_its_keys_lie_apart(original: Original) -> None:
    assert sorted(path.name for path in original.folder.iterdir()) == [
        "database.dump",
        "logs.tar",
        "manifest.json",
    ]
    assert original.keys.stat().st_mode & 0o077 == 0 and original.folder.stat().st_mode & 0o077 == 0
    with tarfile.open(original.keys) as tar:
        assert {f"keys/{OWN}.key", f"keys/{OWN}.org_key"} <= set(tar.getnames())
    secret = (original.instance.folder / f"keys/{OWN}.key").read_bytes().strip()
    assert all(secret not in path.read_bytes() for path in original.folder.iterdir())
    assert [path.name for path in original.folder.parent.iterdir() if "unfinished" in path.name] == []
    done = suyuan({}, "backup", "verify", str(original.folder))
    assert done.returncode == 0 and "so is the file with the keys" in done.stdout


def test_the_manifest_says_what_the_logs_stand_at(original: Original) -> None:
    said = manifest.read(original.folder)
    for organisation, state in said.logs.items():
        log = original.instance.log(organisation)
        assert (state.origin, state.size, state.tree_size) == (log.origin, log.tree_size, log.tree_size)
    assert said.edition.startswith(original.instance.database.edition)
    assert (said.timescaledb is not None) == (said.edition != "plain")


# --- damage -----------------------------------------------------------------------------------------------------------


def damage_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["database.dump", "logs.tar", "keys"])
@pytest.mark.parametrize("harm", ["a byte", "its end", "all of it"])
def test_damage_is_found_and_not_restored(original: Original, tmp_path: Path, name: str, harm: str) -> None:
    folder, keys = copied(original, tmp_path)
    path = keys if name == "keys" else folder / name
    match harm:
        case "a byte":
            damage_byte(path)
        case "its end":
            path.write_bytes(path.read_bytes()[:-1])
        case _:
            path.unlink()
    done = CliRunner().invoke(backup, ["verify", str(folder), "--keys", str(keys)])
    assert done.exit_code == 1 and f"FAIL {path.name} " in done.output
    nowhere = "postgresql://127.0.0.1:9/none"  # it does not come to that
    with pytest.raises(BackupError, match="is damaged"):
        restore(folder, keys, nowhere, tmp_path / "data", lambda _text: None)
    assert not (tmp_path / "data").exists()


def test_what_is_not_in_the_manifest_or_has_none_is_no_backup(original: Original, tmp_path: Path) -> None:
    folder, _ = copied(original, tmp_path)
    (folder / "database.dump.old").touch()
    assert "is not in the manifest" in suyuan({}, "backup", "verify", str(folder)).stdout
    (folder / "manifest.json").unlink()
    done = suyuan({}, "backup", "verify", str(folder))
    assert done.returncode == 1 and "is no whole backup" in done.stderr


def copied(original: Original, tmp_path: Path) -> tuple[Path, Path]:
    folder, keys = tmp_path / "monday", tmp_path / "monday-keys.tar"
    shutil.copytree(original.folder, folder)
    shutil.copy2(original.keys, keys)
    return folder, keys


# --- half a backup --------------------------------------------------------------------------------------------------------


def test_a_backup_that_fails_leaves_nothing(original: Original, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    tile = next((original.instance.folder / f"log/{OWN}/tile/0").rglob("*.p/*"))
    broken = tmp_path / "data"
    shutil.copytree(original.instance.folder, broken)
    for each in (broken / f"log/{OWN}/tile/0").rglob("*"):
        if each.is_file():
            each.write_bytes(bytes(len(each.read_bytes())))
    assert tile.is_file()
    done = suyuan(environment(Instance(original.instance.database, broken)), "backup", str(target))
    assert done.returncode == 1 and "do not give the root that it has signed for" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_killed_backup_has_no_name(original: Original, tmp_path: Path) -> None:
    """Killed while pg_dump waits for a lock that the test holds."""
    target = tmp_path / "backup"
    command = [sys.executable, "-m", "deploy", "backup", str(target)]
    with psycopg.connect(original.instance.database.owner) as conn:
        conn.execute("LOCK TABLE quarantine IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env={**environment(original.instance), "PATH": os.environ["PATH"]}
        )
        assert wait_until(lambda: pending_dump(original), 30)
        process.send_signal(signal.SIGKILL)
        process.wait()
        conn.rollback()
    assert not target.exists()
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 1 and left[0].startswith(".backup.") and left[0].endswith(".unfinished")
    assert suyuan({}, "backup", "verify", str(tmp_path / left[0])).returncode == 1
    again = suyuan(environment(original.instance), "backup", str(target))
    assert again.returncode == 0 and target.is_dir(), "what a killed one left is in nobody's way"


def pending_dump(original: Original) -> bool:
    with psycopg.connect(original.server) as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
        ).fetchone()
    return bool(row and row[0])


def test_what_stands_is_never_written_over(original: Original) -> None:
    again = suyuan(environment(original.instance), "backup", str(original.folder))
    assert again.returncode == 1 and "is there already" in again.stderr


def test_a_log_that_has_only_just_a_head_is_no_fault(original: Original, tmp_path: Path) -> None:
    """Its head is there a moment before the database knows the log."""
    data = tmp_path / "data"
    shutil.copytree(original.instance.folder, data)
    HeadStore(data / "heads").swap("new-coop", None, Head.inception("log.example/new-coop"))
    taken = take(original.server, data, tmp_path / "backup", None, NOON, lambda _text: None)
    assert (taken.logs["new-coop"].size, taken.logs["new-coop"].tree_size) == (0, 0)


def test_another_data_dir_is_noticed(original: Original, tmp_path: Path) -> None:
    nowhere = Instance(original.instance.database, tmp_path / "elsewhere")
    done = suyuan(environment(nowhere), "backup", str(tmp_path / "backup"))
    assert done.returncode == 1 and "is SUYUAN_DATA_DIR the sequencer's?" in done.stderr


# --- back again ----------------------------------------------------------------------------------------------------------


def test_a_restored_instance_goes_on(original: Original, tmp_path: Path) -> None:
    with restored(original, tmp_path / "data") as instance:
        assert_well(instance)
        said, evidence = told(instance, original.world, NOON)
        assert said == original.said
        assert original.instance.one("SELECT count(*) FROM capture_document") == 1
        assert instance.one("SELECT count(*) FROM capture_document") == 0, (
            "it may say what a person is called"
        )
        assert instance.rows(LOST) == [(OWN,)]
        keys = {log.origin: log.vkey for log in map(instance.log, manifest.read(original.folder).logs)}
        for file in (evidence, original.evidence):
            assert verify_evidence(file, keys).verified
        old = {name: instance.log(name).checkpoint for name in manifest.read(original.folder).logs}
        more(instance, original.world)
        grown = [name for name, note in old.items() if follows(instance, name, note)]
        assert {OWN, ROOT} <= set(grown) and len(grown) > 2
        assert (instance.folder / "log/root/clock.vkey").is_file(), "who checks its clock finds the key"
        assert_well(instance)


LOST = "SELECT organisation FROM capture_jobs_without_document()"


def more(instance: Instance, world: World) -> None:
    """The next hours of the world: devices that waited for their receipts send what they have."""
    until = datetime.now(UTC) + timedelta(hours=2)
    messages = [each for each in world.messages(until) if each.at > datetime.now(UTC)]
    instance.take(handed_over(messages), until)
    instance.settle(until + timedelta(hours=1))


def follows(instance: Instance, organisation: str, old_note: str) -> bool:
    """True if the log grew from the old checkpoint; that it did not leave it is asserted."""
    log = instance.log(organisation)
    old = open_checkpoint(old_note, [parse_vkey(log.vkey)], origin=log.origin).checkpoint
    assert log.tree_size >= old.size
    verify_consistency(old.size, log.tree_size, old.root_hash, log.root_hash, log.consistency_proof(old.size))
    return log.tree_size > old.size


def assert_well(instance: Instance) -> None:
    """What the doctor says of a database, its files and its record; services and a broker do not run here."""
    done = suyuan(environment(instance), "doctor", "--deep", "--json")
    elsewhere = ("broker", "services", "connections")
    wrong = [
        each
        for each in json.loads(done.stdout)["findings"]
        if each["mark"] == "fail"
        and each["about"] not in elsewhere
        and "ahead of this machine" not in each["text"]
    ]
    assert wrong == []


def test_a_backup_while_everybody_writes_is_of_one_moment(original: Original, tmp_path: Path) -> None:
    """Ingest, jobs and sequencer work on while it is taken; what comes back goes on, and was never ahead of itself."""
    writer = Instance(original.instance.database, original.instance.folder)
    stop, written = threading.Event(), list[datetime]()

    begun = datetime.now(UTC)
    ahead = [each for each in original.world.messages(begun + timedelta(days=2)) if each.at > begun]

    def write() -> None:
        until = begun
        while not stop.is_set():
            since, until = until, until + timedelta(minutes=30)
            writer.take(handed_over([each for each in ahead if since < each.at <= until]), until)
            writer.settle(until)
            written.append(until)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert wait_until(lambda: len(written) > 2, 60)
        for number in range(3):
            before = len(written)
            target, keys = tmp_path / f"backup-{number}", tmp_path / f"keys-{number}"
            take(writer.database.owner, writer.folder, target, keys, NOON, lambda _text: None)
            assert thread.is_alive() and wait_until(lambda before=before: len(written) > before, 60)
    finally:
        stop.set()
        thread.join()
    second = replace(original, folder=tmp_path / "backup-1")
    shutil.copy2(tmp_path / "keys-1", second.keys)
    said = manifest.read(second.folder)
    assert any(said.logs[name].size < original.instance.log(name).tree_size for name in said.logs), (
        "it went on"
    )
    with restored(second, tmp_path / "data") as instance:
        assert_well(instance)
        more(instance, original.world)
        assert_well(instance)


# --- behind a head ---------------------------------------------------------------------------------------------------------


def test_a_database_behind_its_head_is_closed_and_all_say_what_to_do(
    original: Original, tmp_path: Path
) -> None:
    """The database was lost and the folder was not: its heads have signed for more than the backup has."""
    ahead = tmp_path / "data"
    with restored(original, ahead) as lost:
        more(lost, original.world)
        signed = lost.log(OWN).checkpoint
    with empty_database(original) as database:
        instance = Instance(database, ahead)
        done = suyuan(environment(instance), "backup", "restore", str(original.folder))
        assert done.returncode == 0, done.stderr
        assert f"{OWN}: its head, which was here, is at" in done.stdout
        error = refusal(instance)
        assert isinstance(error, LogBehindHead)
        assert "suyuan recover" in str(error) and "docs/backup.md" in str(error)
        assert instance.log(OWN).checkpoint == signed
        findings = json.loads(suyuan(environment(instance), "doctor", "--json").stdout)["findings"]
        (said,) = [each for each in findings if each["text"].startswith(f"{OWN}: the database has")]
        assert said["mark"] == "fail" and "suyuan recover" in said["next"]
        assert_rolled_forward(instance, original, signed)


def assert_rolled_forward(instance: Instance, original: Original, signed: str) -> None:
    """`suyuan recover` brings the leaves back and says what did not come with them; then everything goes on."""
    expected = json.loads(suyuan(environment(instance), "recover", "--dry-run", "--json").stdout)
    assert expected["recovered"] is False and refusal(instance) is not None
    done = suyuan(environment(instance), "recover", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    (own,) = [each for each in said["logs"] if each["organisation"] == OWN]
    assert own["leaves"] == open_checkpoint(signed, [parse_vkey(instance.log(OWN).vkey)]).checkpoint.size
    assert own["joined"] + sum(own["payloads_lost"].values()) == own["leaves"] - own["leaves_before"]
    assert own["payloads_lost"]["window"] > 0
    assert refusal(instance) is None
    more(instance, original.world)
    assert follows(instance, OWN, signed)
    assert_well(instance)
    again = suyuan(environment(instance), "recover")
    assert again.returncode == 0 and "every log is whole" in again.stdout


def refusal(instance: Instance) -> Exception | None:
    with psycopg.connect(instance.database.service("sequencer"), autocommit=True) as conn:
        assert take_lock(conn, threading.Event(), 0.1)
        sequencer = Sequencer(conn, instance.keys, instance.folder, "log.example", lambda: NOON)
        sequencer.take_over()
        return sequencer.refused.get(OWN)


def test_a_restore_replaces_nothing(original: Original, tmp_path: Path) -> None:
    with restored(original, tmp_path / "data") as instance:
        again = suyuan(environment(instance), "backup", "restore", str(original.folder))
        assert again.returncode == 1 and "is not empty" in again.stderr


def test_a_folder_of_another_instance_is_refused(original: Original, tmp_path: Path) -> None:
    other = tmp_path / "data" / f"keys/{OWN}.key"
    other.parent.mkdir(parents=True)
    other.write_text("another")
    with empty_database(original) as database:
        done = suyuan(
            environment(Instance(database, tmp_path / "data")), "backup", "restore", str(original.folder)
        )
    assert done.returncode == 1 and "of another instance, or of another history" in done.stderr
    assert other.read_text() == "another" and not (tmp_path / "data/heads").exists()


def test_without_keys_nothing_is_restored(original: Original, tmp_path: Path) -> None:
    folder, keys = copied(original, tmp_path)
    keys.unlink()
    with empty_database(original) as database:
        done = suyuan(environment(Instance(database, tmp_path / "data")), "backup", "restore", str(folder))
    assert done.returncode == 1 and "Name the file with the keys with --keys" in done.stderr


def test_the_keys_must_be_those_of_the_logs(original: Original, tmp_path: Path) -> None:
    """The manifest of a backup without keys cannot tell; the logs' published verifier keys can."""
    folder, keys = copied(original, tmp_path)
    manifest.write(folder, manifest.read(folder).model_copy(update={"keys": None}))
    with tarfile.open(keys) as tar:
        tar.extractall(tmp_path, filter="data")
    another = SignerKey.from_seed(original.instance.log(OWN).origin, bytes(32))
    (tmp_path / f"keys/{OWN}.key").write_text(another.export())
    with tarfile.open(keys, "w") as tar:
        for key in sorted((tmp_path / "keys").iterdir()):
            tar.add(key, f"keys/{key.name}")
    with empty_database(original) as database:
        there = Instance(database, tmp_path / "data")
        refused = suyuan(environment(there), "backup", "restore", str(folder), "--keys", str(keys))
        assert refused.returncode == 1 and f"are of other logs: that of {OWN}" in refused.stderr
        assert there.one("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
    assert not (tmp_path / "data").exists()


@pytest.mark.editions("community")
def test_what_the_community_edition_sets_on_a_role_comes_back(database: Database) -> None:
    """No dump holds a role, and the migration that sets it counts as applied."""
    asked = "SELECT setconfig::text FROM pg_db_role_setting WHERE setrole = 'suyuan_ingest'::regrole AND setdatabase = 0"
    with psycopg.connect(database.owner, autocommit=True) as conn:
        before = conn.execute(asked).fetchone()
        conn.execute("ALTER ROLE suyuan_ingest RESET timescaledb.max_tuples_decompressed_per_dml_transaction")
        assert conn.execute(asked).fetchone() != before
        set_edition_of_roles(conn)
        assert conn.execute(asked).fetchone() == before


# --- its parts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "leaves"),
    [
        ("tile/0/000.p/5", 5),
        ("tile/0/000", 256),
        ("tile/0/001.p/7", 263),
        ("tile/entries/001", 512),
        ("tile/1/000.p/1", 256),
        ("tile/1/000.p/3", 768),
        ("tile/2/000.p/1", 65_536),
        ("tile/0/x001/234.p/1", 1234 * 256 + 1),
        ("checkpoint", None),
        ("tile/0/.000.p.1a2b", None),
    ],
)
def test_what_a_tile_needs(path: str, leaves: int | None) -> None:
    assert leaves_up_to(path) == leaves


def test_while_heads_are_still_none_moves_and_no_file_is_made(tmp_path: Path) -> None:
    with HeadStore(tmp_path / "heads").still():
        assert not (tmp_path / "heads").exists()
