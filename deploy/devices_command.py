"""`suyuan devices`: its words on the command line. What they do is in `deploy/devices.py`, loaded only then."""

from __future__ import annotations

import click

from deploy.settings import Settings


@click.group()
def devices() -> None:
    """Devices in the field: what is wrong with them. docs/health.md says how it is found."""


@devices.command()
@click.option("--organisation", help="Only whose devices these are.")
@click.option("--past", is_flag=True, help="Also what is over.")
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--database-url", help="As the jobs' role, or the owner; default SUYUAN_DATABASE_URL.")
def health(
    organisation: str | None, past: bool, language: str, as_json: bool, database_url: str | None
) -> None:
    """Silent, stuck, jumping, drifting, low on battery, off by their clock: each with its evidence and what to do."""
    from deploy import devices as work

    url = database_url or Settings().database_url
    work.show_health(url, organisation, past=past, language=language, as_json=as_json)
