"""`suyuan backup DIR`, `suyuan backup verify DIR`, `suyuan backup restore DIR`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from deploy.backup import BackupError
from deploy.settings import Settings

FOLDER = click.Path(path_type=Path, file_okay=False, resolve_path=True)  # "." has a name too
FILE = click.Path(path_type=Path, dir_okay=False)
WITHOUT_KEYS = (
    "It was made without the keys, and a restore needs them: keep a copy of SUYUAN_DATA_DIR/keys elsewhere."
)
url_option = click.option("--database-url", help="The owner's URL; default SUYUAN_DATABASE_URL.")


class _OrTake(click.Group):
    """`suyuan backup DIR` is `suyuan backup take DIR`: what is no command is a folder."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = next((word for word in args if not word.startswith("-")), None)
        if named is not None and named not in self.commands:
            args = ["take", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_OrTake)
def backup() -> None:
    """Copy a running instance to DIR: `suyuan backup DIR`; check it, and bring it back.

    The database as its owner, the logs' files and the head store, of one moment. The keys go to DIR-keys.tar, apart:
    who has that file can sign for every log, so keep it elsewhere and under lock. docs/backup.md has the rest.
    """


@backup.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--keys", type=FILE, help="Where the keys go; default DIR-keys.tar, beside DIR.")
@click.option("--without-keys", is_flag=True, help="Leave the keys out: they are kept elsewhere already.")
@url_option
def take(folder: Path, keys: Path | None, without_keys: bool, database_url: str | None) -> None:
    """Copy the instance to DIR, while it runs. This is what `suyuan backup DIR` does."""
    from deploy.backup import taking
    from deploy.backup.keys import keys_beside

    settings = Settings()
    url = database_url or settings.database_url
    with _errors_said():
        keys_file = None if without_keys else keys or keys_beside(folder)
        manifest = taking.take(url, settings.data_dir, folder, keys_file, datetime.now(UTC), click.echo)
    size = sum(file.bytes for file in manifest.files.values())
    click.echo(f"{folder} is whole: {size / 1e6:,.1f} MB, of {manifest.made_at}")
    if keys_file is not None:
        click.echo(
            f"{keys_file} holds the keys: whoever has it can sign for every log. Keep it apart from {folder}."
        )
    else:
        click.echo(WITHOUT_KEYS)


@backup.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option(
    "--keys", type=FILE, help="Check the file with the keys too; default DIR-keys.tar if it is there."
)
def verify(folder: Path, keys: Path | None) -> None:
    """Check that every byte of DIR is as its manifest says. Exit status 1 if not."""
    from deploy.backup import manifest as manifests
    from deploy.backup.keys import keys_beside

    with _errors_said():
        manifest = manifests.read(folder)
        beside = keys_beside(folder)
        given = keys or (beside if beside.exists() else None)
        found = list(manifests.faults(folder, manifest, given))
    for fault in found:
        click.echo(f"FAIL {fault}")
    if found:
        sys.exit(1)
    leaves = sum(log.size for log in manifest.logs.values())
    click.echo(
        f"ok   {len(manifest.files)} files are as the manifest says, of {manifest.made_at}: {len(manifest.logs)} logs, {leaves:,} leaves"
    )
    if manifest.keys is not None:
        click.echo(
            "ok   and so is the file with the keys"
            if given
            else "?    the file with the keys is not here: --keys"
        )
    else:
        click.echo(f"?    {WITHOUT_KEYS}")


@backup.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--keys", type=FILE, help="The file with the keys; default DIR-keys.tar if it is there.")
@url_option
def restore(folder: Path, keys: Path | None, database_url: str | None) -> None:
    """Bring DIR back into an empty database and SUYUAN_DATA_DIR. No service may run.

    A head that lies in SUYUAN_DATA_DIR is kept: if it is ahead of the backup, its log stays closed.
    """
    from deploy.backup.keys import keys_beside
    from deploy.backup.restoring import restore as bring_back

    settings = Settings()
    with _errors_said():
        beside = keys_beside(folder)
        bring_back(
            folder,
            keys or (beside if beside.exists() else None),
            database_url or settings.database_url,
            settings.data_dir,
            click.echo,
        )
    click.echo(
        "Next: passwords for the five roles (README), `suyuan doctor --deep` as the owner, then the services."
    )


@contextmanager
def _errors_said() -> Iterator[None]:
    try:
        yield
    except (BackupError, OSError) as error:
        raise click.ClickException(str(error)) from error
