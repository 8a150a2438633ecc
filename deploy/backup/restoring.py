"""Restores a backup into an empty database and a DATA_DIR, and never lets a log forget what it has signed for.

Contract: nothing is written before everything that can be checked is checked; heads, log files and keys that are there
are kept and never replaced by others: a head that is ahead of the backup closes its log (the sequencer refuses it), which
is the truth, while an older one in its place would let it sign a second history.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.backup import BackupError, programs
from deploy.backup.keys import is_key, of_other_logs
from deploy.backup.manifest import DUMP, LOGS, Manifest, faults, read
from deploy.database_url import connect
from deploy.erasing import Instance, replay
from deploy.migrate import edition, migrate, schema_in_code
from ledger.head_store import HeadStore
from ledger.log_files import CHECKPOINT, VKEY, VKEYS
from ledger.root_log import ROOT

Say = Callable[[str], None]


def restore(folder: Path, keys: Path | None, url: str, data_dir: Path, say: Say) -> None:
    """`url`: the owner's, of an empty database. `keys`: the file apart; None where DATA_DIR has them. Raises BackupError."""
    manifest = read(folder)
    found = list(faults(folder, manifest, keys))
    if found:
        raise BackupError(f"{folder} is damaged: {'; '.join(found)}. Restore another backup")
    newer = sorted(set(manifest.migrations) - set(schema_in_code()))
    if newer:
        raise BackupError(
            f"the backup is of a newer release ({manifest.suyuan}, with {newer[-1]}): restore it with that one"
        )
    archives = [folder / LOGS, *([keys] if keys else [])]
    _want_no_other_history(archives, data_dir)
    _want_keys(manifest, archives, data_dir)
    try:
        _restore_database(manifest, folder / DUMP, url, say)
        _write_files(archives, data_dir)
        applied = migrate(url)
        again = _erase_again(url, data_dir)
    except (psycopg.Error, OSError) as error:
        raise BackupError(
            f"not restored: {error}. Drop the database and begin again with an empty one"
        ) from error
    say(f"database, logs and keys are restored{f', and migrated ({len(applied)} steps)' if applied else ''}")
    if again:
        say(f"what was erased after this backup is erased again: {again} persons and places")
    for line in _closed(manifest, data_dir):
        say(line)


def _erase_again(url: str, data_dir: Path) -> int:
    """What the backup still had and the logs and the list say is erased."""
    with connect(url, "restore") as conn:
        return replay(conn, Instance.at(data_dir), datetime.now(UTC))


# --- files -------------------------------------------------------------------------------------------------------


def _files_of(archives: Sequence[Path]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Each file's name, and its bytes if they are asked for: a log can be larger than memory."""
    for archive in archives:
        with _opened(archive) as tar:
            for member in tar:
                path = Path(member.name)
                inside = path.parts[:1] in (("heads",), ("log",), ("keys",)) and ".." not in path.parts
                if not member.isfile() or not inside or (data := tar.extractfile(member)) is None:
                    raise BackupError(f"{archive} holds {member.name}, which no backup has")
                if path.parts[0] != "keys" or is_key(path.name):
                    yield member.name, data.read


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive) as tar:
            yield tar
    except tarfile.TarError as error:
        raise BackupError(f"{archive} cannot be read as an archive: {error}") from error


def _want_no_other_history(archives: Sequence[Path], data_dir: Path) -> None:
    """Tiles and keys never change: where others lie, this DATA_DIR is another instance's, or a log has forked."""
    others = [
        name
        for name, data in _files_of(archives)
        if not _order(name) and (data_dir / name).is_file() and (data_dir / name).read_bytes() != data()
    ]
    if others:
        raise BackupError(
            f"{data_dir} holds other bytes in {', '.join(others[:3])}: it is of another instance, or of another history."
            " Keep it as it is, and restore into an empty folder"
        )


def _keys_of(log: str) -> list[str]:
    """Those without which it does not go on."""
    kinds = ("key", "org_key", "clock.key") if log == ROOT else ("key", "org_key")
    return [f"keys/{log}.{kind}" for kind in kinds]


def _want_keys(manifest: Manifest, archives: Sequence[Path], data_dir: Path) -> None:
    given = {name for name, _ in _files_of(archives)}
    missing = [
        name
        for log in manifest.logs
        for name in _keys_of(log)
        if name not in given and not (data_dir / name).is_file()
    ]
    if missing:
        raise BackupError(
            f"{', '.join(missing[:4])}: neither in {data_dir} nor given. Name the file with the keys with --keys; without"
            " them no log goes on and no window can be proven"
        )
    keys, published = dict[str, bytes](), dict[str, bytes]()
    for name, data in _files_of(archives):
        folder, *inner = name.split("/")
        if folder == "log" and inner[1:] == [VKEY]:
            published[inner[0]] = data()
        elif folder == "keys" and inner[0].endswith(".key"):
            keys[inner[0].removesuffix(".key")] = data()
    for path in (data_dir / "keys").glob("*.key"):
        keys.setdefault(path.name.removesuffix(".key"), path.read_bytes())
    if wrong := sorted(of_other_logs(keys, published)):
        raise BackupError(
            f"the keys are of other logs: that of {', '.join(wrong[:4])} does not fit the log's published verifier key, so what"
            " it signed nobody could check. Name the file with the keys of this instance with --keys"
        )


def _write_files(archives: Sequence[Path], data_dir: Path) -> None:
    """Tiles, then heads, then checkpoints: as the sequencer writes them. What moves is kept where it is."""
    data_dir.mkdir(parents=True, exist_ok=True)
    owner = data_dir.stat()
    for turn in range(3):
        for name, data in _files_of(archives):
            if _order(name) == turn and not (data_dir / name).exists():
                _write(data_dir, name, data(), owner)
    os.sync()


def _order(name: str) -> int:
    """0: what never changes; 1: heads; 2: checkpoints, and which keys sign them."""
    return 2 if name.endswith(_REPLACED) else int(name.startswith("heads/"))


_REPLACED = tuple(f"/{file}" for file in (CHECKPOINT, VKEY, VKEYS))


def _write(data_dir: Path, name: str, data: bytes, owner: os.stat_result) -> None:
    path, secret = data_dir / name, name.startswith("keys/")
    for folder in reversed([part for part in path.parents if part.is_relative_to(data_dir)]):
        if not folder.exists():
            folder.mkdir(mode=0o700 if secret else 0o755)
            _give(folder, owner)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with open(descriptor, "wb") as file:
        file.write(data)
    _give(path, owner)


def _give(path: Path, owner: os.stat_result) -> None:
    """Root restores for the user that the services run as."""
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)


def _closed(manifest: Manifest, data_dir: Path) -> Iterator[str]:
    heads = HeadStore(data_dir / "heads")
    for organisation, state in manifest.logs.items():
        head = heads.read(organisation)
        if head is not None and head.size > state.tree_size:
            yield (
                f"{organisation}: its head, which was here, is at {head.size} leaves and the database at {state.tree_size}."
                " Run `suyuan recover` before the services start; until then the sequencer refuses this log, nothing is signed behind a head"
            )


# --- the database --------------------------------------------------------------------------------------------------


def _restore_database(manifest: Manifest, dump: Path, url: str, say: Say) -> None:
    with connect(url, "restore", autocommit=True) as conn:
        _want_empty(conn)
        row = conn.execute("SELECT current_setting('server_version_num')::integer / 10000").fetchone()
        assert row is not None
        server, dumped = int(row[0]), int(manifest.pg_dump.split(".")[0])
        if server < dumped:
            raise BackupError(
                f"the backup is of PostgreSQL {dumped}, this server is {server}: restore on the same version or a newer one"
            )
        program = programs.find("pg_restore", server)
        say(f"database: with {program.path} {program.version}")
        for roles in _ROLES:
            conn.execute(roles.encode())
        with _timescaledb(conn, manifest.timescaledb):
            together = [] if manifest.timescaledb else ["--single-transaction"]
            programs.run(program, url, ["--no-owner", "--exit-on-error", *together, str(dump)])
        set_edition_of_roles(conn)
        conn.execute("ANALYZE")


def _want_empty(conn: psycopg.Connection) -> None:
    row = conn.execute(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')"
        " AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')"
    ).fetchone()
    if row is not None and row[0]:
        raise BackupError(
            f"the database {conn.info.dbname} is not empty ({row[0]} tables and views): create a new one, and restore into that"
        )


# The roles are the server's, not the database's: no dump holds them. Two migrations begin by making them, and alone that part.
_SCHEMA = files("deploy") / "schema"
_ROLES = tuple(
    (_SCHEMA / name).read_text(encoding="utf-8").partition(f"\n${block}$;")[0] + f"\n${block}$"
    for name, block in (("0001_roles.sql", "roles"), ("0026_persons.sql", "eraser"))
)
_OF_COMMUNITY = re.findall(
    r"^\s*(ALTER ROLE suyuan_\w+ SET .+);",
    (_SCHEMA / "0013_community.sql").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def set_edition_of_roles(conn: psycopg.Connection) -> None:
    """What a later migration sets on the roles; it counts as applied, so that `migrate` does not set it again."""
    if edition(conn) == "timescale-community":
        for statement in _OF_COMMUNITY:
            conn.execute(statement.encode())


@contextmanager
def _timescaledb(conn: psycopg.Connection, version: str | None) -> Iterator[None]:
    """The extension in the version of the backup, and told that its tables are being restored."""
    if version is None:
        yield
        return
    available = conn.execute(
        "SELECT count(*) FROM pg_available_extension_versions WHERE name = 'timescaledb' AND version = %s",
        [version],
    ).fetchone()
    if not available or not available[0]:
        raise BackupError(
            f"the backup is of TimescaleDB {version}, which this server does not have: restore on one that has this version,"
            " and update the extension there"
        )
    conn.execute(
        sql.SQL("CREATE EXTENSION IF NOT EXISTS timescaledb VERSION {}").format(sql.Literal(version))
    )
    conn.execute("SELECT timescaledb_pre_restore()")
    try:
        yield
    finally:
        conn.execute("SELECT timescaledb_post_restore()")
