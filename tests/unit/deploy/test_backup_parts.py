"""What a backup is made with: the right program, the environment, names that hold, and keys that fit."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.backup import BackupError, manifest, programs, restoring, taking
from deploy.backup.command import backup
from deploy.backup.keys import of_other_logs
from ledger.translog.cosignature import Cosigner
from ledger.translog.note import SignerKey


def program(folder: Path, version: str, does: str = "") -> Path:
    path = folder / f"pg_dump-{version}"
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) {version}" && exit\n{does}\n'
    )
    path.chmod(0o755)
    return path


def test_the_program_is_of_the_servers_own_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pg_dump 18 makes of a server 16, a server 16 does not take back."""
    there = [program(tmp_path, version) for version in ("15.7", "18.1")]
    monkeypatch.setattr(programs, "_candidates", lambda _name: iter(there))
    assert programs.find("pg_dump", 18).path == there[1]
    with pytest.raises(BackupError, match=r"pg_dump 16 is needed.+15\.7.+18\.1.+postgresql-client-16"):
        programs.find("pg_dump", 16)


def test_what_libpq_reads_of_the_environment_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path, "18.1", f'env > {tmp_path}/seen; echo "$@" > {tmp_path}/given')
    for name, value in (("PGSSLMODE", "verify-full"), ("PGPASSFILE", "pgpass"), ("PGPASSWORD", "another")):
        monkeypatch.setenv(name, value)
    programs.run(programs.Program(path, 18, "18.1"), "postgresql://owner:secret@db.example/suyuan", ["--x"])
    seen = (tmp_path / "seen").read_text().splitlines()
    assert {"PGSSLMODE=verify-full", "PGPASSFILE=pgpass", "PGPASSWORD=secret"} <= set(seen)
    assert "secret" not in (tmp_path / "given").read_text()


@pytest.mark.parametrize("name", [".", "/"])
@pytest.mark.parametrize("command", ["verify", "restore", "take"])
def test_a_folder_without_a_name_of_its_own_is_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(backup, [command, name])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit) and "Error: " in done.output


def test_a_name_is_given_where_the_file_system_has_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    draft, name = tmp_path / "draft", tmp_path / "keys.tar"
    draft.write_text("keys")
    taking._name(draft, name)
    assert name.read_text() == "keys" and not draft.exists()
    draft.write_text("others")
    with pytest.raises(FileExistsError):
        taking._name(draft, name)
    assert name.read_text() == "keys"


def test_a_signing_key_of_another_log_is_found() -> None:
    ours, theirs = (SignerKey.from_seed("log.example/coop", bytes([seed]) * 32) for seed in (1, 2))
    vkey = {"coop": f"{ours.verifier}\n".encode()}
    assert list(of_other_logs({"coop": ours.export().encode() + b"\n"}, vkey)) == []
    for wrong in (theirs.export().encode(), b"no key", b"\xff", None):
        assert list(of_other_logs({} if wrong is None else {"coop": wrong}, vkey)) == ["coop"]


def test_a_key_that_came_later_fits_as_well_and_one_of_another_kind_does_not() -> None:
    first, later = (SignerKey.from_seed("log.example/coop", bytes([seed]) * 32) for seed in (1, 2))
    clock = Cosigner.from_seed("log.example/coop", bytes([2]) * 32)
    vkey = {"coop": str(later.verifier).encode() + b"\n"}
    keys = {"coop": first.export().encode(), f"coop.{later.verifier.key_id.hex()}": later.export().encode()}
    assert list(of_other_logs(keys, vkey)) == []
    for other in ({"coop": first}, {"coop": first, "coop.clock": clock}, {"coop": first, "coop-2": later}):
        exported = {name: key.export().encode() for name, key in other.items()}
        assert list(of_other_logs(exported, vkey)) == ["coop"]


def test_of_the_keys_folder_only_keys_are_kept(tmp_path: Path) -> None:
    """The demo keeps its settings and its database's password there, new ones at every start."""
    folder = tmp_path / "keys"
    folder.mkdir()
    names = (
        "a.key",
        "a.org_key",
        "quarantine-2026-06.key",
        "environment",
        "postgres-owner.password",
        ".a.key.1",
    )
    for name in names:
        (folder / name).touch()
    taking._write_keys(tmp_path / "keys.tar", folder)
    kept = ["keys/a.key", "keys/a.org_key", "keys/quarantine-2026-06.key"]
    with tarfile.open(tmp_path / "keys.tar") as tar:
        assert tar.getnames() == kept
    with tarfile.open(tmp_path / "older.tar", "w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(f"keys/{name}"), io.BytesIO())
    assert [name for name, _ in restoring._files_of([tmp_path / "older.tar"])] == kept


def test_a_file_that_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "keys.tar").write_text("no archive")
    with pytest.raises(BackupError, match="cannot be read as an archive"):
        list(restoring._files_of([tmp_path / "keys.tar"]))


def test_a_backup_without_keys_says_that_a_restore_needs_them(tmp_path: Path) -> None:
    said = manifest.Manifest(
        format=1, suyuan="0.1.0", made_at="2026-06-18T00:00:00+00:00", server="18.1", edition="plain", timescaledb=None,
        pg_dump="18.1", migrations=[], logs={}, files={}, keys=None,
    )  # fmt: skip
    manifest.write(tmp_path, said)
    done = CliRunner().invoke(backup, ["verify", str(tmp_path)])
    assert done.exit_code == 0 and "made without the keys, and a restore needs them" in done.output
