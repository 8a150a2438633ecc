"""What `suyuan devices health` does: the findings that stand, in words, and which devices were never heard."""

from __future__ import annotations

import json
from typing import Any, cast

import click

from deploy.database_url import told
from deploy.quarantine_words import printable
from deploy.services.process import opened
from trace_api.devices import Finding, read_findings
from trace_api.devices import told as told_of
from trace_api.words import Language, Words

MOST = 5_000
NAMED = 30
"""Of the devices that were never heard; --json has all."""

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
    """A line of columns for each, and beneath it what was found and what to do: on any terminal, and in a pipe."""
    cells = [_cells(finding) for finding in found]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for finding, each in zip(found, cells, strict=True):
        click.echo("  ".join(map(str.ljust, each, widths)).rstrip())
        said, todo = told_of(finding, words)
        click.echo(f"    {said}\n    -> {todo}")
    if not found:
        click.echo(words("health_well"))
    if never:
        some = ", ".join(never[:NAMED])
        more = f" (+{len(never) - NAMED:,})" if len(never) > NAMED else ""
        click.echo(words("health_never_heard", devices=f"{some}{more}"))


def _cells(finding: Finding) -> list[str]:
    until = "" if finding.until is None else f"- {finding.until:%Y-%m-%d %H:%M}"
    return [finding.organisation, printable(finding.device), printable(finding.channel or "-"), finding.kind,
            f"{finding.since:%Y-%m-%d %H:%M}", until]  # fmt: skip
