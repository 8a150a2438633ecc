"""`suyuan recover`: after a restore, brings the database forward to what its logs have signed for."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import psycopg

from deploy.database_url import connect
from deploy.erasing import Instance, replay
from deploy.migrate import SchemaMismatch, check_schema
from deploy.settings import Settings
from ingest.resealing import refill
from ledger.errors import LedgerError
from ledger.head_store import Head, HeadStore
from ledger.keys import KeyStore
from ledger.log_files import LogFiles
from ledger.published_log import newer_than
from ledger.rebuilding import mend
from ledger.recovery import Lost, Recovered, beyond, bring_up, lost_heads, read_lost, roll_forward
from ledger.sequencer import ADVISORY_LOCK

SAID_EVERY = 50_000
ASIDE = "set-aside"
WHAT_IS_LOST = (
    "what was committed to stays proven, but what it said is not in the database: a copy that somebody kept (an evidence file,"
    " the capturing system, a logger) can still be checked against the log"
)


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would come back, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--database-url", help="The owner's URL; default SUYUAN_DATABASE_URL.")
def recover(dry_run: bool, as_json: bool, database_url: str | None) -> None:
    """Bring a restored database forward to what its logs have signed for.

    For when the database is older than DATA_DIR: the sequencer refuses logs whose database is behind their head. The leaves
    come back from the logs' own published bundles, checked against the head; then the logs go on. Stop all services first.
    What the lost entries had committed to (an event's fields, an hour's readings) comes back only if it was recorded before
    the backup, and this says what did not. Published files that are missing or damaged are made anew.

    Exit status 0: every log is whole; 1: a log cannot be brought forward, and nothing was changed.
    """
    settings = Settings()
    try:
        with connect(database_url or settings.database_url, "recover", autocommit=True) as conn:
            check_schema(conn)
            _want_alone(conn)
            sys.exit(_recover(conn, settings, dry_run, as_json))
    except SchemaMismatch as error:
        raise click.ClickException(str(error)) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise click.ClickException(
            f"this role may not recover ({error.diag.message_primary}): give the owner's URL with --database-url"
        ) from error
    except psycopg.Error as error:
        raise click.ClickException(f"the database refused: {error}") from error


def _want_alone(conn: psycopg.Connection) -> None:
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK]).fetchone()
    if row is None or not row[0]:
        raise click.ClickException(
            "a sequencer is running on this database: stop all services, then run this again"
        )


def _recover(conn: psycopg.Connection, settings: Settings, dry_run: bool, as_json: bool) -> int:
    heads = HeadStore(settings.data_dir / "heads")
    faults = [
        f"{organisation}: the database has its log, and {settings.data_dir}/heads has no head of it: restore heads/ from its"
        " backup, never an older one than was in use"
        for organisation in lost_heads(conn, heads)
    ]
    lost, behind, keys = list[Lost](), dict[str, Head](), KeyStore(settings.keys_dir)
    for organisation in heads.organisations():
        head, files = heads.read(organisation), LogFiles(settings.log_dir / organisation)
        assert head is not None
        try:
            own = [key.verifier for key in keys.log_keys(organisation, head.origin)]
            if (published := newer_than(head, files, own)) is not None:
                head = behind[organisation] = published
            found = read_lost(conn, organisation, head, files, _progress(as_json))
        except LedgerError as error:
            faults.append(f"{organisation}: {error}")
            continue
        if found is not None:
            lost.append(found)
    if faults or dry_run:
        return _say(as_json, faults, [_expected(each) for each in lost], changed=False)
    done = roll_forward(conn, lost, keys, settings.log_dir, datetime.now(UTC))
    for organisation, published in behind.items():
        bring_up(conn, heads, organisation, published)
    aside = sum(_set_aside(settings.data_dir, organisation, heads) for organisation in heads.organisations())
    if aside and not as_json:
        click.echo(f"{aside:,} files of leaves that nobody signed for are set aside")
    mended, faults = _mend(conn, settings)
    filled = refill(conn, keys.organisation_key)
    with conn.transaction():
        replay(conn, Instance.at(settings.data_dir), datetime.now(UTC))
    return _say(as_json, faults, done, changed=True, filled=filled, mended=mended)


def _mend(conn: psycopg.Connection, settings: Settings) -> tuple[list[str], list[str]]:
    """Published files that are missing or damaged, made anew; and the logs where that cannot be."""
    heads, mended, faults = HeadStore(settings.data_dir / "heads"), list[str](), list[str]()
    for organisation in heads.organisations():
        head = heads.read(organisation)
        assert head is not None
        try:
            files = LogFiles(settings.log_dir / organisation)
            wrong = mend(conn, organisation, head, files, settings.data_dir / ASIDE / organisation)
            mended += [f"{organisation}/{path}" for path in wrong]
        except LedgerError as error:
            faults.append(f"{organisation}: {error}")
    return mended, faults


def _progress(as_json: bool) -> Any:
    said = {"at": 0}

    def say(organisation: str, done: int, of: int) -> None:
        if not as_json and (done - said["at"] >= SAID_EVERY or done == of):
            said["at"] = done % of
            click.echo(f"{organisation}: {done:,} of {of:,} leaves read from its bundles", err=True)

    return say


def _expected(lost: Lost) -> Recovered:
    return Recovered(lost.organisation, lost.head.origin, lost.first, lost.head.size, 0, {})


def _set_aside(data_dir: Path, organisation: str, heads: HeadStore) -> int:
    """Files that no head covers leave the log's folder, so that the next leaves can take their paths. Nothing is thrown away:
    where the database has their leaves the sequencer writes the same again. How many."""
    files, head = LogFiles(data_dir / "log" / organisation), heads.read(organisation)
    assert head is not None
    found = beyond(files, head.size)
    for path in found:
        to = data_dir / ASIDE / organisation / path
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(files.folder / path, to)
    return len(found)


def _say(
    as_json: bool,
    faults: Sequence[str],
    done: Sequence[Recovered],
    *,
    changed: bool,
    filled: int = 0,
    mended: Sequence[str] = (),
) -> int:
    if as_json:
        logs = [
            {
                "log": each.origin, "organisation": each.organisation, "leaves_before": each.before, "leaves": each.after,
                "joined": each.joined, "payloads_lost": dict(each.lost),
            }
            for each in done
        ]  # fmt: skip
        click.echo(
            json.dumps(
                {
                    "recovered": changed,
                    "faults": list(faults),
                    "windows_refilled": filled,
                    "files_mended": list(mended),
                    "logs": logs,
                },
                ensure_ascii=False,
            )
        )
        return 1 if faults else 0
    for fault in faults:
        click.echo(f"NOT recovered: {fault}")
    for each in done:
        click.echo(_in_words(each, changed))
    for path in mended[:20]:
        click.echo(f"{path} was missing or damaged, and is made anew from the database")
    if len(mended) > 20:
        click.echo(f"and {len(mended) - 20:,} more")
    if filled:
        click.echo(f"{filled:,} of the windows had their readings in the database, and are whole again")
    if faults and not changed:
        click.echo("nothing was changed")
    elif not done and not mended and not faults:
        click.echo(
            "every log is whole: the database has all that was signed for, and the files are those of its leaves"
        )
    elif changed and not faults:
        click.echo("done. Start the services, and run `suyuan doctor --deep`")
    return 1 if faults else 0


def _in_words(each: Recovered, changed: bool) -> str:
    count = each.after - each.before
    if not changed:
        return f"{each.origin}: {count:,} leaves, {each.before:,} to {each.after - 1:,}, can come back from its bundles"
    gone = ", ".join(f"{number:,} of type {kind}" for kind, number in sorted(each.lost.items()))
    lost = f"; without a payload: {gone} ({WHAT_IS_LOST})" if gone else "; no payload is lost"
    return f"{each.origin}: {count:,} leaves are back, {each.joined:,} with what they had recorded{lost}"
