"""`suyuan witness`: its words on the command line. The service is `deploy/services/witness.py`, loaded only then."""

from __future__ import annotations

import secrets
import sqlite3
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.simulate_command import follow_parent

if TYPE_CHECKING:
    from ledger.http_exchange import Transport
    from ledger.translog.cosignature import CosignerVerifier
    from ledger.translog.note import VerifierKey
    from ledger.witness_folder import TrustedLogs


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("witness"),
    show_default=True,
    help="Where its key and its memory are kept. Back up the key; never put an older copy of the memory back.",
)
@click.option(
    "--name", default="", help="Its name, for ever, like market.example/w1; needed at the first start."
)
@click.option(
    "--listen", default="127.0.0.1:8765", show_default=True, metavar="HOST:PORT", help="Where it answers."
)
@click.option(
    "--logs",
    type=click.Path(path_type=Path),
    help="The keys of the logs it trusts, one vkey a line, or a folder as DATA_DIR/log is; default DIR/logs.",
)
@click.option(
    "--trust",
    "urls",
    multiple=True,
    metavar="URL",
    help="Fetch a log's key from URL/vkey, or the keys of a policy (.../log/policy), ask, add it to the list, and end.",
)
@click.option("--yes", is_flag=True, help="With --trust: add without asking. Compare the key yourself.")
@click.option(
    "--ml-dsa", is_flag=True, help="Also cosign by ML-DSA-44, which holds against quantum computers."
)
@follow_parent
def witness(
    folder: Path,
    name: str,
    listen: str,
    logs: Path | None,
    urls: tuple[str, ...],
    yes: bool,
    ml_dsa: bool,
    follow_parent: bool,
) -> None:
    """Watch logs for others: cosign each checkpoint that follows from the last one, refuse a fork or a step back.

    For a market or an authority: it runs on a machine of theirs, needs no database, and its word counts because it is not
    ours. At its first start it makes a key and prints it; the logs' operator lists that key. docs/witnesses.md.
    """
    from ledger.errors import LedgerError
    from ledger.witness_folder import LOGS, TrustedLogs

    trusted = TrustedLogs(logs or folder / LOGS)
    try:
        if urls:
            _trust(trusted, logs or folder / LOGS, urls, yes)
        else:
            _serve(folder, name, listen, trusted, ml_dsa, follow_parent)
    except (LedgerError, ValueError, OSError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error


def _serve(
    folder: Path, name: str, listen: str, trusted: TrustedLogs, ml_dsa: bool, follow_parent: bool
) -> None:
    from deploy.services import process
    from deploy.services import witness as service
    from ledger.translog.cosignature import ED25519_COSIGNATURE, ML_DSA_44
    from ledger.witness import Witness
    from ledger.witness_folder import open_witness, read_keys

    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.UsageError(f"--listen: got {listen!r}, want HOST:PORT")
    if not name and not read_keys(folder):
        raise click.UsageError(
            "a new witness needs a name: --name market.example/w1. It stays its name for ever"
        )
    process.log_to_stderr()
    stop = process.stop_event(follow_parent)
    known = trusted.read()
    algorithms = [ED25519_COSIGNATURE, ML_DSA_44] if ml_dsa else [ED25519_COSIGNATURE]
    cosigners, store = open_witness(folder, name, algorithms, secrets.token_bytes)
    keys = tuple(cosigner.verifier for cosigner in cosigners)
    for key in keys:
        click.echo(f"witness key: {key}")
    click.echo(f"answers at http://{host}:{port}, trusts {len(known)} logs now")
    try:
        rules = Witness(store, cosigners, trusted.current, service.unix_time)
        service.run(rules, store, keys, trusted, service.Listen(host.strip("[]"), int(port)), stop)
    finally:
        store.close()


def _trust(trusted: TrustedLogs, path: Path, urls: tuple[str, ...], yes: bool) -> None:
    """Shows each key in full: whoever adds it compares it with what the log's operator told them another way."""
    from ledger.http_exchange import HttpTransport

    if path.is_dir():
        raise click.UsageError(f"{path} is a folder; --trust adds to a file")
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    for url in urls:
        for key in _fetched(HttpTransport(20.0), url.rstrip("/")):
            click.echo(
                f"log          {key.name}\nkey          {key}\nfingerprint  {sha256(key.public_key).hexdigest()}"
            )
            if not yes and not click.confirm("Is this the key that the log's operator gave you another way?"):
                raise click.Abort
            click.echo("added" if trusted.add(key) else "it is on the list already")


def _fetched(transport: Transport, url: str) -> list[VerifierKey | CosignerVerifier]:
    from ledger.http_exchange import PeerAway
    from ledger.translog.policy import parse_log_vkey, parse_policy

    address = url if url.endswith(("/policy", "/vkey")) else f"{url}/vkey"
    try:
        answer = transport(address, None, {})
    except PeerAway as error:
        raise click.ClickException(f"{address}: {error}") from error
    if answer.status != 200:
        raise click.ClickException(
            f"{address}: status {answer.status}; want the address of a log, like https://host/log/root"
        )
    if address.endswith("/policy"):
        return [log.key for log in parse_policy(answer.body).logs]
    return [parse_log_vkey(line) for line in answer.body.decode(errors="replace").split()]
