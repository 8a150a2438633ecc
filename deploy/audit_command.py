"""`suyuan audit`: its words on the command line. What it does is in `deploy/readings_audit.py`, loaded only then."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from deploy.settings import Settings

if TYPE_CHECKING:
    import psycopg

    from deploy.readings_audit import Found, Report

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
SHOWN = 50


@click.group()
def audit() -> None:
    """Hold what is stored against what was sealed of it."""


@audit.command()
@click.option("--organisation", help="Only its devices.")
@click.option("--device", help="Only this one, by its id.")
@click.option(
    "--from", "since", type=MOMENT, help="Hours that begin then or later; UTC where no zone is given."
)
@click.option("--to", "until", type=MOMENT, help="Hours that begin before.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--database-url", help="As the jobs' role, or the owner; default SUYUAN_DATABASE_URL.")
def readings(
    organisation: str | None, device: str | None, since: datetime | None, until: datetime | None, as_json: bool, database_url: str | None
) -> None:  # fmt: skip
    """Check every sealed window against the readings in the table and its entry in the log.

    A reading that was altered, removed or inserted is named. What counts is the root in the published log, so whoever altered
    the database alone is found out. Readings that came late and wait to be sealed are no alteration; those that retention dropped were
    checked before, and are said to be gone. It changes nothing and is safe while the services run. It needs SUYUAN_DATA_DIR with
    log and keys.

    Exit status 0: all holds; 1: something does not; 2: not all could be checked, and it says what to do.
    """
    from deploy.database_url import told
    from deploy.readings_audit import Wanted
    from deploy.readings_audit import audit as hold
    from deploy.services.process import opened

    settings = Settings()
    wanted = Wanted(organisation, device, _aware(since), _aware(until))
    with told("the jobs'"), opened(database_url or settings.database_url, "audit") as conn:
        conn.autocommit = True
        _want_sight(conn)
        _want_known(conn, organisation, device)
        report = hold(
            conn, settings.log_dir, settings.keys_dir, wanted, lambda text: click.echo(text, err=True)
        )
        names = _names(conn, report)
    if as_json:
        click.echo(json.dumps(_json(report, names), ensure_ascii=False, indent=2))
    else:
        _print(report, names)
    sys.exit(report.status)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _want_sight(conn: psycopg.Connection) -> None:
    """To who sees no device every reading would seem to hold."""
    row = conn.execute("SELECT current_user, has_table_privilege('reading_store', 'SELECT')").fetchone()
    if row is None or not row[1]:
        who = "this role" if row is None else row[0]
        raise click.ClickException(
            f"{who} may not read what was sealed: give the jobs' or the owner's URL with --database-url"
        )


def _want_known(conn: psycopg.Connection, organisation: str | None, device: str | None) -> None:
    """A name that nobody has would be checked in no time."""
    for table, column, name in (("organisation", "id", organisation), ("device", "external_id", device)):
        if (
            name is not None
            and conn.execute(f"SELECT FROM {table} WHERE {column} = %s".encode(), [name]).fetchone() is None
        ):
            raise click.ClickException(f"no {table} {name!r} is registered")


Names = Mapping[int | bytes, str]


def _names(conn: psycopg.Connection, report: Report) -> Names:
    """Devices by number, channels by the series' uuid."""
    devices = [each.device for each in report.found]
    found: dict[int | bytes, str] = dict(
        conn.execute("SELECT id, external_id FROM device WHERE id = ANY (%s)", [devices]).fetchall()
    )
    for uuid, channel in conn.execute(
        "SELECT uuid, channel FROM series WHERE device_id = ANY (%s)", [devices]
    ):
        found[uuid.bytes if isinstance(uuid, UUID) else UUID(str(uuid)).bytes] = channel
    return found


def _json(report: Report, names: Names) -> dict[str, Any]:
    return {
        "holds": not report.kinds,
        "complete": not report.unchecked,
        "counts": dict(sorted(report.counts.items())),
        "faults": dict(sorted(report.kinds.items())),
        "named": [_named(each, names) for each in report.found],
        "unchecked": [{"what": what, "todo": todo} for what, todo in report.unchecked],
    }


def _named(found: Found, names: Names) -> dict[str, Any]:
    fault = found.fault
    named = {
        "organisation": found.organisation,
        "device": names.get(found.device, str(found.device)),
        "hour": f"{found.start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "version": fault.version,
        "leaf_index": found.leaf_index,
        "kind": fault.kind,
        "detail": fault.detail,
    }
    if fault.series is not None and fault.time_ms is not None:
        at = (
            datetime.fromtimestamp(fault.time_ms / 1000, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        series = str(UUID(bytes=fault.series))
        named |= {"series": series, "channel": names.get(fault.series), "time": at, "there": fault.there}
    return named


def _print(report: Report, names: Names) -> None:
    for found in report.found[:SHOWN]:
        each = _named(found, names)
        where = f"{each['organisation']} {each['device']}"
        leaf = "" if each["leaf_index"] is None else f" (leaf {each['leaf_index']})"
        if "series" in each:
            there = "" if each["there"] is None else f"; there now: {json.dumps(each['there'])}"
            click.echo(
                f"{each['kind']:<9} {where} {each['channel'] or each['series']} {each['time']}: {each['detail']}{leaf}{there}"
            )
        else:
            click.echo(
                f"{each['kind']:<9} {where} hour {each['hour']} version {each['version']}: {each['detail']}{leaf}"
            )
    total = sum(report.kinds.values())
    if total > SHOWN:
        click.echo(f"… and {total - SHOWN:,} more; --json names the first {len(report.found):,}")
    for what, todo in report.unchecked:
        click.echo(f"not checked: {what}\n    -> {todo}")
    counts = report.counts
    click.echo(
        f"{counts['windows']:,} device-hours ({counts['versions']:,} versions), {counts['readings']:,} readings:"
        f" {'all hold' if not report.kinds else ', '.join(f'{count:,} {kind}' for kind, count in sorted(report.kinds.items()))}"
    )
    for name, text in _ASIDE.items():
        if counts[name]:
            click.echo(f"    {counts[name]:,} {text}")


_ASIDE = {
    "unsealed": "readings that came late and are not sealed: no alteration",
    "not_in_log_yet": "versions that wait for their place in the log: held against their row alone",
    "gone": "device-hours whose readings retention dropped",
    "gone_unchecked": "of these dropped before windows were checked first",
    "lost": "versions of which a restore lost what they hold",
}
