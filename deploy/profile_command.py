"""`suyuan profile`: try a sensor's profile before a device depends on it (docs/profiles.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.settings import Settings

if TYPE_CHECKING:
    from ingest.wire.profile import Profile
    from ingest.wire.samples import Sample


@click.group()
def profile() -> None:
    """Sensors by profiles: a file that says what a sensor's bytes mean."""


@profile.command("list")
def list_profiles() -> None:
    """Those that a worker would know now, and those it could not use."""
    from ingest.wire.profiles import load

    try:
        found = load(Settings().profiles_folder)
    except OSError as error:
        raise click.ClickException(f"SUYUAN_PROFILES_DIR: {error.filename}: {error.strerror}") from error
    for name, known in sorted(found.known.items()):
        click.echo(f"{name:<24} {known.vendor} {known.model}".rstrip())
    for why in found.refused.values():
        click.echo(f"cannot be used: {why}", err=True)


@profile.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--payload", metavar="HEX", help="A payload to read by it.")
@click.option("--port", type=click.IntRange(1, 255), help="The LoRaWAN port it came on.")
def check(file: Path, payload: str | None, port: int | None) -> None:
    """Is FILE a profile, and what does it make of a payload?"""
    from ingest.wire.errors import WireError
    from ingest.wire.profile import ProfileError
    from ingest.wire.profiles import parse

    try:
        known = parse(file.read_bytes(), file.name)
        for line in _read(known, _bytes(payload), port) if payload is not None else ():
            click.echo(line)
    except (ProfileError, WireError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if payload is None:
        click.echo(f"{known.profile} is good; name the file {known.profile}.json")


def _bytes(payload: str) -> bytes:
    try:
        return bytes.fromhex(payload)
    except ValueError as error:
        raise click.BadParameter(
            "want hexadecimal, two digits a byte, such as 00fa", param_hint="'--payload'"
        ) from error


def _read(known: Profile, payload: bytes, port: int | None) -> list[str]:
    from ingest.wire.chirpstack import by_profile
    from ingest.wire.errors import WireError

    if not known.reads_bytes:
        raise WireError("unknown_profile", "it reads no bytes, so there is no payload to try")
    return [_said(sample) for sample in by_profile(known, payload, port)]


def _said(sample: Sample) -> str:
    value = next(each for each in (sample.position, sample.text, sample.value) if each is not None)
    parts = [f"{sample.name:<24} {value} {sample.unit or ''}".rstrip()]
    if sample.time_ms is not None:
        parts.append(f"at {sample.time_ms / 1000:.3f}")
    return "  ".join([*parts, "optional"] if sample.optional else parts)
