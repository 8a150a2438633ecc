"""What `suyuan quarantine` does: a look at what could not be taken, its replay, and the end of its keys.

Contract: what goes wrong is a sentence on standard error and changes nothing; a replay that is stopped has done what it says
it has, and goes on when it is started again.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

import click
import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from deploy.database_url import connect
from deploy.quarantine_words import ADVICE, OTHERWISE, in_words, printable
from deploy.services.ingest import line_of
from deploy.services.process import now, require_schema
from deploy.settings import Settings
from ingest import quarantine
from ingest.quarantine import KeyGone, MonthlyKeys
from ingest.replay import CHOSEN, Choice, Replayed, chosen, parameters, replay

_STATES = {
    "open": "AND NOT EXISTS (SELECT FROM quarantine_replay WHERE quarantine_id = quarantine.id)",
    "replayed": "AND EXISTS (SELECT FROM quarantine_replay WHERE quarantine_id = quarantine.id)",
    "all": "",
}

_ROW = """
SELECT quarantine.id, quarantine.received_at, coalesce(device.organisation, quarantine.organisation) AS organisation,
       device.external_id AS device, encode(quarantine.topic, 'escape') AS topic, quarantine.boot, quarantine.seq,
       quarantine.records, quarantine.reason, quarantine.detail, replayed.outcome, replayed.replayed_at
"""
_REPLAYED = "LEFT JOIN quarantine_replay AS replayed ON replayed.quarantine_id = quarantine.id"


def show_list(url: str, choice: Choice, state: str, limit: int, as_json: bool) -> None:
    which = CHOSEN + _STATES[state]
    counts_query = f"SELECT quarantine.reason, count(*) AS rows, sum(quarantine.records)::bigint AS records {which} GROUP BY 1 ORDER BY 2 DESC"
    rows_query = (
        f"{_ROW}{which.replace('WHERE', f'{_REPLAYED} WHERE', 1)} ORDER BY quarantine.id DESC LIMIT %(limit)s"
    )
    with _opened(url) as conn, conn.cursor(row_factory=dict_row) as cursor:
        _is_known(conn, choice)
        counts = cursor.execute(counts_query.encode(), parameters(choice)).fetchall()
        rows = cursor.execute(rows_query.encode(), parameters(choice) | {"limit": limit}).fetchall()
        let_go = cursor.execute(
            "SELECT coalesce(sum(let_go_messages), 0)::bigint AS n FROM quarantine_day"
        ).fetchone()
    lost = 0 if let_go is None else let_go["n"]
    if as_json:
        _print_json({"reasons": counts, "rows": rows, "let_go_messages": lost})
        return
    _print_list(counts, rows, state, choice)
    if lost:
        click.echo(f"{lost} messages were beyond the budget and let go: `suyuan doctor` names the devices.")


def _print_list(counts: list[dict[str, Any]], rows: list[dict[str, Any]], state: str, choice: Choice) -> None:
    if not counts:
        of_such = "" if choice == Choice() else " of what was asked for"
        click.echo(f"Nothing lies there{of_such}." if state == "open" else f"There is none{of_such}.")
        return
    console = Console()
    by_reason = Table(box=None, pad_edge=False)
    for heading in ("reason", "rows", "records"):
        by_reason.add_column(heading, justify="left" if heading == "reason" else "right")
    for count in counts:
        by_reason.add_row(count["reason"], f"{count['rows']:,}", f"{count['records']:,}")
    console.print(by_reason)
    console.print()
    cells = [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row, found in zip(rows, cells, strict=True):
        click.echo("  ".join(map(str.ljust, found, widths)).rstrip())
        click.echo(f"    {printable(row['detail'])[:300]}")
    if sum(count["rows"] for count in counts) > len(rows):
        click.echo(f"The newest {len(rows)}; --limit shows more.")


def _cells(row: dict[str, Any]) -> list[str]:
    records = f"{row['records']:,} record{'' if row['records'] == 1 else 's'}"
    return [
        str(row["id"]), f"{row['received_at']:%Y-%m-%d %H:%M:%S}", printable(row["organisation"] or "-"),
        printable(row["device"] or "-"), row["reason"], records, row["outcome"] or "",
    ]  # fmt: skip


def show_row(settings: Settings, url: str, row: int, as_json: bool) -> None:
    query = f"{_ROW}, quarantine.key_month, quarantine.payload FROM quarantine LEFT JOIN device ON device.id = quarantine.device_id {_REPLAYED} WHERE quarantine.id = %s"  # noqa: E501
    with _opened(url) as conn, conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(query.encode(), [row]).fetchone()
    if found is None:
        raise click.ClickException(
            f"there is no row {row} in quarantine; `suyuan quarantine list` shows them"
        )
    month, stored = found.pop("key_month"), found.pop("payload")
    try:
        payload = MonthlyKeys(settings.keys_dir).decrypt(month, stored)
        form, text = in_words(payload)
        found |= {"bytes": len(payload), "form": form, "payload": text}
    except (KeyGone, OSError) as error:
        found |= {"bytes": len(stored), "form": "encrypted", "payload": None, "key": str(error)}
    found["next"] = ADVICE.get(found["reason"], OTHERWISE)
    if as_json:
        _print_json(found)
        return
    for name, value in found.items():
        if name not in ("payload", "next") and value is not None:
            click.echo(f"{name.replace('_', ' '):13} {printable(str(value))}")
    if found["payload"] is not None:
        click.echo(f"\n{found['payload']}")
    click.echo(f"\n-> {found['next']}")


def replay_rows(settings: Settings, url: str, choice: Choice, as_json: bool) -> None:
    line = line_of(settings, "replay")
    result = Replayed()
    with _opened(url, "; what was replayed before stays so, and the same command goes on") as conn:
        _is_known(conn, choice)
        batches = chosen(conn, choice)
        total = sum(map(len, batches))
        with _progress(sys.stderr.isatty() and not as_json) as progress:
            task = progress.add_task("replay", total=total)
            for done, ids in zip(replay(conn, line, batches, now()), batches, strict=True):
                result.add(done)
                progress.advance(task, len(ids))
    if as_json:
        _print_json(
            {
                "rows": len(result.rows), "taken": result.taken, "partly": result.partly, "refused": result.refused,
                "unchanged": result.unchanged, "reasons": result.reasons, "said": result.said,
            }
        )  # fmt: skip
    else:
        _print_result(result)
    sys.exit(1 if result.reasons or result.said else 0)


_UNKNOWN_ROWS = """
SELECT array_agg(named ORDER BY named) FROM unnest(%s::bigint[]) AS named WHERE NOT EXISTS (SELECT FROM quarantine WHERE id = named)
"""
_ANY_OF_REASON = "SELECT EXISTS (SELECT FROM quarantine WHERE reason = %s)"


def _is_known(conn: psycopg.Connection, choice: Choice) -> None:
    """A number or a reason that was mistyped is no empty quarantine."""
    for (missing,) in conn.execute(_UNKNOWN_ROWS, [list(choice.ids or ())]):
        if missing:
            _fail(
                f"there is no row {', '.join(map(str, missing))} in quarantine; `suyuan quarantine list` shows them"
            )
    if choice.reason is not None and choice.reason not in ADVICE:
        for (there,) in conn.execute(_ANY_OF_REASON, [choice.reason]):
            if not there:
                _fail(
                    f"nothing was ever refused as {choice.reason!r}; docs/wire.md lists the reasons, `suyuan quarantine list` those of here"
                )


def _print_result(result: Replayed) -> None:
    if not result.rows:
        click.echo("No open row is meant: what was replayed is not replayed again.")
        return
    said = {
        "taken": result.taken,
        "taken in part, the rest refused again": result.partly,
        "refused for another reason": result.refused,
        "still refused": result.unchanged,
    }
    click.echo(
        f"{len(result.rows):,} rows: "
        + ", ".join(f"{number:,} {words}" for words, number in said.items() if number)
    )
    for reason, records in sorted(result.reasons.items()):
        click.echo(f"  {records:,} records {reason}: {ADVICE.get(reason, OTHERWISE)}")
    for sentence, times in Counter(result.said).items():
        click.echo(f"  {sentence}" + (f" ({times:,} times)" if times > 1 else ""))


def _progress(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not shown,
    )  # fmt: skip


def forget(settings: Settings, before: str | None, yes: bool, at: datetime) -> None:
    keys = MonthlyKeys(settings.keys_dir)
    if before is None:
        months = quarantine.due(keys.months(), settings.quarantine_months, at)
    else:
        try:
            datetime.strptime(before, "%Y-%m")
        except ValueError as error:
            raise click.BadParameter(f"got {before!r}, want a month as 2026-06") from error
        months = [month for month in keys.months() if month < min(before, f"{at:%Y-%m}")]
    if not months:
        click.echo("No month is old enough.")
        return
    if held := _held(settings):
        raise click.ClickException(
            f"a legal hold stands ({held}): no key is thrown away; `suyuan hold list` shows it"
        )
    if not yes:
        click.confirm(
            f"Throw away the keys of {', '.join(months)}? Their payloads can never be read again", abort=True
        )
    for month in months:
        keys.throw_away(month)
        click.echo(f"threw away the key of {month}")


def _held(settings: Settings) -> str | None:
    """A hold that keeps payloads: one of goods, a device, an organisation or everything. Which payloads that are, nobody can
    tell but by opening them all."""
    with _opened(settings.database_url) as conn:
        row = conn.execute(
            "SELECT reason FROM legal_hold WHERE released_at IS NULL AND kind <> 'person' LIMIT 1"
        ).fetchone()
    return None if row is None else str(row[0])


@contextmanager
def _opened(url: str, stands: str = "") -> Iterator[psycopg.Connection]:
    """`stands`: said behind what went wrong, of what was done before it."""
    from deploy.migrate import SchemaMismatch

    try:
        require_schema(url, "quarantine")
    except (psycopg.Error, SchemaMismatch) as error:
        _fail(" ".join(str(error).split()))
    try:
        with connect(url, "quarantine", autocommit=True) as conn:
            yield conn
    except psycopg.errors.InsufficientPrivilege as error:
        _fail(
            f"this role may not look into quarantine ({error.diag.message_primary}): use ingest's, or the owner's"
        )
    except (psycopg.Error, PermissionError) as error:
        _fail(" ".join(str(error).split()) + stands)


def _fail(sentence: str) -> NoReturn:
    raise click.ClickException(sentence)


def _print_json(value: Mapping[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=lambda item: item.isoformat()))
