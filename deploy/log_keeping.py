"""What `suyuan log` does. It changes nothing by itself: it leaves a pending entry, and the sequencer does the rest.

Contract: a refusal is a sentence on standard error and leaves nothing behind but, at worst, a key that nothing uses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import click
import psycopg
from rich.console import Console
from rich.table import Table

from deploy.database_url import connect
from deploy.migrate import SchemaMismatch, check_schema
from deploy.settings import Settings
from ledger.entry_bodies import FreezeBody
from ledger.errors import LedgerError
from ledger.freezing import ask_freeze
from ledger.head_store import Head, HeadStore
from ledger.key_rotation import ask_rotation, make_rotation
from ledger.keys import KeyStore
from ledger.log_files import CLOCK_VKEY, VKEYS, LogFiles
from ledger.reader import open_log
from ledger.signing import Signers


@dataclass(frozen=True, slots=True)
class Standing:
    """One log. `published`: None while it has no checkpoint; `anchored`: how much of it the root log holds."""

    log: str
    origin: str
    published: int | None
    waiting: int
    anchored: int | None
    frozen: str | None


def list_all(settings: Settings, url: str | None, as_json: bool) -> None:
    with _database(settings, url) as conn:
        found = list(_standings(conn, settings))
    if as_json:
        click.echo(json.dumps({"logs": [asdict(each) for each in found]}, ensure_ascii=False))
        return
    table = Table("log", "origin", "published", "waiting", "in the root", "", box=None, header_style="bold")
    for column in table.columns[:2]:
        column.overflow = "fold"  # whole, to be copied
    for each in found:
        ended = f"frozen: {each.frozen}" if each.frozen else ""
        table.add_row(
            each.log, each.origin, _number(each.published), str(each.waiting), _number(each.anchored), ended
        )
    console = Console()
    if not console.is_terminal:
        console.width = 400  # a pipe has no width: a line a log, for whatever reads it
    console.print(table if found else "No log has begun yet: the first entry begins one.")


def show(settings: Settings, url: str | None, log: str, as_json: bool) -> int:
    with _database(settings, url) as conn:
        found = next((each for each in _standings(conn, settings) if each.log == log), None)
    if found is None:
        click.echo(f"there is no log of {log}; `suyuan log list` names them", err=True)
        return 1
    files = LogFiles(settings.log_dir / log)
    reader = open_log(settings.log_dir, log)
    keys = {name: (files.read(name) or b"").decode().splitlines() for name in (VKEYS, CLOCK_VKEY)}
    checkpoint = reader.checkpoint if reader is not None else None
    if as_json:
        more = {"checkpoint": checkpoint, "vkeys": keys[VKEYS], "clock": keys[CLOCK_VKEY]}
        click.echo(json.dumps(asdict(found) | more, ensure_ascii=False))
        return 0
    click.echo(
        f"origin       {found.origin}\npublished    {_number(found.published)} entries, {found.waiting} wait"
    )
    click.echo(f"in the root  {_number(found.anchored)} entries")
    click.echo(f"frozen       {found.frozen or 'no'}")
    for key in keys[VKEYS]:
        vkey, since, until = key.split(" ")
        click.echo(f"key          {vkey}\n             from {_moment(since)} until {_moment(until)}")
    for key in keys[CLOCK_VKEY]:
        click.echo(f"clock        {key}")
    click.echo(f"\n{checkpoint or 'no checkpoint is published yet'}")
    return 0


def rotate(settings: Settings, url: str | None, log: str, yes: bool) -> None:
    keys = KeyStore(settings.keys_dir)
    with _database(settings, url) as conn:
        head = _going_on(conn, settings, log)
        if _waits(conn, log, "key"):
            raise click.ClickException(f"a new key of {log} waits for the sequencer already: is it running?")
        signers = Signers.read(conn, keys, log, head.origin)
        old = signers.private[str(signers.keyring.current)]
        _ask(yes, f"{log} gives up its key {old.verifier.key_id.hex()} for a new one. Go on?")
        new = keys.add_log_key(log, head.origin)
        ask_rotation(conn, log, make_rotation(old, new), datetime.now(UTC))
    click.echo(
        f"new key {new.verifier}\nThe sequencer adds the entry that says so, and signs with both keys for"
        f" {settings.log_key_overlap_days} days.\nBack up {settings.keys_dir} now; tell whoever watches this log."
    )


def freeze(settings: Settings, url: str | None, log: str, reason: str, yes: bool) -> None:
    with _database(settings, url) as conn:
        head = _going_on(conn, settings, log)
        if _waits(conn, log, "freeze"):
            raise click.ClickException(f"the end of {log} waits for the sequencer already: is it running?")
        body = FreezeBody.read({"reason": reason})
        _ask(yes, f"{head.origin} ends for ever, and says: {reason}\nThis cannot be undone. Go on?")
        ask_freeze(conn, log, head.origin, body, datetime.now(UTC))
    click.echo(
        f"The sequencer ends the log with what was recorded until now; `suyuan log show {log}` says when it has."
    )


def _going_on(conn: psycopg.Connection, settings: Settings, log: str) -> Head:
    head = HeadStore(settings.data_dir / "heads").read(log)
    row = conn.execute("SELECT FROM log WHERE organisation = %s", [log]).fetchone()
    if head is None or row is None:
        raise click.ClickException(f"there is no log of {log} here; `suyuan log list` names them")
    if head.frozen is not None:
        raise click.ClickException(f"the log of {log} is frozen: {head.frozen}")
    return head


def _waits(conn: psycopg.Connection, log: str, kind: str) -> bool:
    return conn.execute(_WAITS, [log, kind]).fetchone() is not None


_WAITS = "SELECT FROM pending WHERE organisation = %s AND type = %s LIMIT 1"


def _ask(yes: bool, question: str) -> None:
    if not yes:
        click.confirm(question, abort=True)


_STANDINGS = """
SELECT log.organisation, log.origin, log.frozen_reason,
       (SELECT count(*) FROM pending WHERE pending.organisation = log.organisation),
       (SELECT max(tree_size) FROM anchor WHERE anchor.organisation = log.organisation)
FROM log ORDER BY log.organisation = 'root', log.organisation
"""


def _standings(conn: psycopg.Connection, settings: Settings) -> Iterator[Standing]:
    heads = HeadStore(settings.data_dir / "heads")
    for log, origin, frozen, waiting, anchored in conn.execute(_STANDINGS).fetchall():
        reader, head = open_log(settings.log_dir, log), heads.read(log)
        reason = frozen if head is None or head.frozen is None else head.frozen
        yield Standing(log, origin, reader.tree_size if reader else None, waiting, anchored, reason)


@contextmanager
def _database(settings: Settings, url: str | None) -> Iterator[psycopg.Connection]:
    try:
        with connect(url or settings.database_url, "log") as conn:
            check_schema(conn)
            yield conn
    except (LedgerError, SchemaMismatch) as error:
        raise click.ClickException(str(error)) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise click.ClickException(
            f"this role may not do that ({error.diag.message_primary}): give the sequencer's or the owner's URL with --database-url"
        ) from error
    except psycopg.Error as error:
        raise click.ClickException(f"the database refused: {error}") from error


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _moment(text: str) -> str:
    if text == "-":
        return "-"
    return datetime.fromtimestamp(int(text) / 1000, UTC).isoformat(timespec="seconds")
