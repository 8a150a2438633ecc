"""Takes a backup of a running instance.

The order, and what would break in another:
1. While no head can move (the head store's lock, held for milliseconds): the database's snapshot is fixed, and heads and
   checkpoints are read. Leaves are committed before a head moves over them, so the snapshot holds all that the heads have
   signed for. Heads read later could be ahead of the snapshot, and the restored log would be closed; heads read before
   an older snapshot cannot be.
2. The dump of that snapshot, for as long as it takes; everybody works on.
3. The tiles, of which a head's are never rewritten; those that came later belong to leaves that the dump does not have,
   and are left out: beside them the restored log would seem forked.
4. The keys, which are made before anything that needs them: read last, none is missing.
5. The manifest, and then the name.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import psycopg

from deploy.backup import BackupError, programs
from deploy.backup.keys import is_key, keys_beside
from deploy.backup.manifest import DUMP, LOGS, LogState, Manifest, describe, write
from deploy.database_url import connect
from deploy.migrate import SchemaMismatch, check_schema, edition, schema_in_code
from ledger.errors import LedgerError
from ledger.head_store import Head, HeadStore
from ledger.log_files import CHECKPOINT, CLOCK_VKEY, TIMESTAMPS, VKEY, VKEYS, LogFiles
from ledger.strict_json import to_base64
from ledger.translog.tiles import TILE_HEIGHT, TILE_WIDTH, Edge

Say = Callable[[str], None]

LEFT_OUT = ("--exclude-table-data=public.capture_document",)
"""Documents that wait for seconds may hold what persons are called, and would bring back who was erased meanwhile; their jobs say
after a restore that they are lost."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What was read while no head could move. `public`: checkpoint and verifier keys of each log, by path."""

    snapshot: str
    heads: dict[str, Head]
    head_files: dict[str, bytes]
    public: dict[str, bytes]
    tree_sizes: dict[str, int]
    server: str
    edition: str
    timescaledb: str | None


def take(url: str, data_dir: Path, target: Path, keys_file: Path | None, now: datetime, say: Say) -> Manifest:
    """`url`: the owner's. `keys_file`: None leaves the keys out. Raises BackupError; then nothing of it stays."""
    for path in (target, keys_file):
        if path is not None and path.exists():
            raise BackupError(f"{path} is there already: choose another name, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _drafts(target, keys_file) as (draft, keys_draft), _moment(url, data_dir) as moment:
        program = programs.find("pg_dump", int(moment.server.split(".")[0]))
        say(f"database: {moment.server}, edition {moment.edition}, with {program.path} {program.version}")
        programs.run(
            program, url,
            ["--format=custom", f"--snapshot={moment.snapshot}", "--lock-wait-timeout=60s", *LEFT_OUT, f"--file={draft / DUMP}"],
        )  # fmt: skip
        say(f"logs: {len(moment.heads)}, {sum(head.size for head in moment.heads.values()):,} leaves")
        _write_logs(draft / LOGS, data_dir, moment)
        if keys_file is not None:
            _write_keys(keys_draft, data_dir / "keys")
        manifest = _manifest(moment, draft, keys_draft if keys_file else None, program, now)
        write(draft, manifest)
        _keep(draft, target, keys_draft, keys_file)
    return manifest


@contextmanager
def _drafts(target: Path, keys_file: Path | None) -> Iterator[tuple[Path, Path]]:
    """Names under which nobody takes them for a backup; gone if it does not become one."""
    token = secrets.token_hex(4)
    draft = target.with_name(f".{target.name}.{token}.unfinished")
    beside = keys_file or keys_beside(target)
    keys_draft = beside.with_name(f".{beside.name}.{token}.unfinished")
    try:
        draft.mkdir(mode=0o700)
        yield draft, keys_draft
    except (OSError, psycopg.Error, LedgerError, SchemaMismatch) as error:
        raise BackupError(f"no backup was made: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        keys_draft.unlink(missing_ok=True)


@contextmanager
def _moment(url: str, data_dir: Path) -> Iterator[Moment]:
    """The snapshot lasts as long as its transaction, so until the dump is done."""
    with connect(url, "backup") as conn:
        conn.execute("SET idle_in_transaction_session_timeout = 0")
        conn.commit()
        check_schema(conn)
        conn.commit()
        heads = HeadStore(data_dir / "heads")
        with heads.still():
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            (snapshot,) = conn.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
            read = {name: head for name in heads.organisations() if (head := heads.read(name)) is not None}
            head_files = {
                f"heads/{name}.json": (data_dir / f"heads/{name}.json").read_bytes() for name in read
            }
            public = {
                f"log/{name}/{file}": data
                for name in read
                for file in (VKEY, VKEYS, CLOCK_VKEY, CHECKPOINT)
                if (data := LogFiles(data_dir / "log" / name).read(file)) is not None
            }
        sizes: dict[str, int] = dict(conn.execute("SELECT organisation, tree_size FROM log").fetchall())
        _want_of_one_piece(read, sizes, data_dir)
        extension = conn.execute(
            "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
        ).fetchone()
        (server,) = conn.execute(
            "SELECT split_part(current_setting('server_version'), ' ', 1)"
        ).fetchone() or ("",)
        yield Moment(
            snapshot,
            read,
            head_files,
            public,
            sizes,
            server,
            edition(conn),
            extension[0] if extension else None,
        )
        conn.rollback()


def _want_of_one_piece(heads: dict[str, Head], sizes: dict[str, int], data_dir: Path) -> None:
    """What could not be gone on with is no backup."""
    for name in sorted(heads.keys() | sizes.keys()):
        head = heads.get(name)
        if head is None:
            raise BackupError(
                f"the database has a log of {name} and {data_dir / 'heads'} no head of it: is SUYUAN_DATA_DIR the"
                " sequencer's? (If that log began just now, try again.)"
            )
        if sizes.get(name, 0) < head.size:
            raise BackupError(
                f"the database has {sizes.get(name, 0)} leaves of {name}, and its log has signed for {head.size}: it is"
                " behind. Name the primary server; if an old state was restored, see docs/backup.md"
            )


_TILE = re.compile(r"tile/(?P<level>entries|\d+)/(?P<number>(?:x\d{3}/)*\d{3})(?:\.p/(?P<width>\d+))?")


def leaves_up_to(path: str) -> int | None:
    """How many leaves a log has at least, that has this tile or bundle; None for another file."""
    match = _TILE.fullmatch(path)
    if match is None:
        return None
    level = 0 if match["level"] == "entries" else int(match["level"])
    index = int(match["number"].replace("x", "").replace("/", ""))
    return (index * TILE_WIDTH + int(match["width"] or TILE_WIDTH)) << (TILE_HEIGHT * level)


def _write_logs(path: Path, data_dir: Path, moment: Moment) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in sorted((moment.head_files | moment.public).items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
        for organisation, head in sorted(moment.heads.items()):
            files = LogFiles(data_dir / "log" / organisation)
            if Edge.load(head.size, files.read_tile).root_hash != head.root_hash:
                raise BackupError(
                    f"the tiles of {organisation}'s log do not give the root that it has signed for: `suyuan doctor --deep`"
                )
            for file in sorted((files.folder / "tile").rglob("*")):
                needs = leaves_up_to(file.relative_to(files.folder).as_posix())
                if needs is not None and needs <= head.size and file.is_file():
                    tar.add(
                        file,
                        f"log/{organisation}/{file.relative_to(files.folder).as_posix()}",
                        recursive=False,
                    )
            for file in sorted((files.folder / TIMESTAMPS).glob("*.tsr")):
                tar.add(file, f"log/{organisation}/{TIMESTAMPS}/{file.name}", recursive=False)


def _write_keys(path: Path, folder: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for key in sorted(folder.iterdir()) if folder.is_dir() else []:
            if is_key(key.name) and key.is_file():
                tar.add(key, f"keys/{key.name}", recursive=False)


def _manifest(
    moment: Moment, draft: Path, keys: Path | None, program: programs.Program, now: datetime
) -> Manifest:
    return Manifest(
        format=1,
        suyuan=version("suyuan"),
        made_at=now.isoformat(timespec="seconds"),
        server=moment.server,
        edition=moment.edition,
        timescaledb=moment.timescaledb,
        pg_dump=program.version,
        migrations=schema_in_code(),
        logs={
            name: LogState(
                origin=head.origin, size=head.size, root=to_base64(head.root_hash), epoch=head.epoch,
                tree_size=moment.tree_sizes.get(name, 0),  # a head is there a moment before its log
            )
            for name, head in moment.heads.items()
        },
        files={name: describe(draft / name) for name in (DUMP, LOGS)},
        keys=describe(keys) if keys is not None else None,
    )  # fmt: skip


def _keep(draft: Path, target: Path, keys_draft: Path, keys_file: Path | None) -> None:
    """On disk first, then the names: the keys' before the folder's, so that a whole folder has its keys."""
    for path in (*draft.iterdir(), draft, *([keys_draft] if keys_file else [])):
        _sync(path)
    if keys_file is not None:
        _name(keys_draft, keys_file)
        _sync(keys_file.parent)
    draft.rename(target)
    _sync(target.parent)


def _name(draft: Path, name: Path) -> None:
    """Unlike a rename, it does not replace what somebody put there meanwhile. Raises FileExistsError."""
    try:
        os.link(draft, name)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as exFAT
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        draft.replace(name)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno != errno.EINVAL:  # not every file system syncs a folder
            raise
    finally:
        os.close(descriptor)
