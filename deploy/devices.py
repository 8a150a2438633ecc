"""What `suyuan devices health` does: the findings that stand, in words, and which devices were never heard."""

from __future__ import annotations

import json
from typing import Any, cast

import click
from rich.console import Console
from rich.table import Table

from deploy.database_url import told
from deploy.services.process import opened
from trace_api.devices import Finding, read_findings
from trace_api.devices import told as told_of
from trace_api.words import Language, Words

MOST = 5_000

_NEVER_HEARD = """
SELECT device.external_id FROM device JOIN device_look AS look ON look.device_id = device.id
WHERE look.heard_at IS NULL AND (%(organisation)s::text IS NULL OR device.organisation = %(organisation)s) ORDER BY 1
"""


def show_health(url: str, organisation: str | None, *, past: bool, language: str, as_json: bool) -> None:
    words = Words(cast(Language, language))
    with told("the jobs'"), opened(url, "devices") as conn:
        if (
            organisation is not None
            and conn.execute("SELECT FROM organisation WHERE id = %s", [organisation]).fetchone() is None
        ):
            raise click.ClickException(f"no organisation {organisation!r} is registered")
        found = read_findings(conn, past=past, organisation=organisation, limit=MOST)
        never = [name for (name,) in conn.execute(_NEVER_HEARD, {"organisation": organisation})]
    if as_json:
        body = {"findings": [_json(finding, words) for finding in found], "never_heard": never}
        click.echo(json.dumps(body, ensure_ascii=False, indent=2, default=str))
        return
    _print(found, never, words)


def _json(finding: Finding, words: Words) -> dict[str, Any]:
    said, todo = told_of(finding, words)
    return finding._asdict() | {"words": said, "todo": todo}


def _print(found: list[Finding], never: list[str], words: Words) -> None:
    if found:
        table = Table(box=None, pad_edge=False)
        for heading in ("organisation", "device", "channel", "kind", "since", "until", ""):
            table.add_column(heading, no_wrap=heading != "", overflow="fold")
        for finding in found:
            until = "" if finding.until is None else f"{finding.until:%Y-%m-%d %H:%M}"
            since = f"{finding.since:%Y-%m-%d %H:%M}"
            cells = [finding.organisation, finding.device, finding.channel or "-", finding.kind, since, until]
            # A device's id and what it measured are no markup of ours.
            table.add_row(
                *(cell.replace("[", r"\[") for cell in cells), "\n-> ".join(told_of(finding, words))
            )
        Console().print(table)
    else:
        click.echo(words("health_well"))
    if never:
        click.echo(words("health_never_heard", devices=", ".join(never)))
