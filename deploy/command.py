"""`suyuan`: the command line. Each command reads its settings here and hands them on."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from deploy.account_command import account
from deploy.audit_command import audit
from deploy.backfill_command import file
from deploy.backup.command import backup
from deploy.devices_command import devices
from deploy.epcis_command import epcis
from deploy.erase_command import erase
from deploy.evidence_command import evidence
from deploy.hold_command import hold
from deploy.import_command import import_command
from deploy.judge_command import judge
from deploy.log_command import log
from deploy.monitor_command import monitor
from deploy.profile_command import profile
from deploy.quarantine_command import quarantine
from deploy.recover_command import recover
from deploy.register_command import register
from deploy.settings import Settings, in_words
from deploy.simulate_command import follow_parent, simulate
from deploy.trace_command import trace
from deploy.witness_command import witness

EPILOG = """
\b
First steps
  suyuan demo                    the whole line on this machine, nothing to set up
  suyuan migrate                 bring your own database to this release's schema
  suyuan register FILE           organisations, places, products, devices
  suyuan import FILE             the same and where devices sit, from CSV or Excel
  suyuan account add LOGIN       a person who may sign in: their roles, organisation, regions
  suyuan ingest | jobs | sequencer | api     the four services, each a process
  suyuan capture                 works captured EPCIS documents off, beside the API, for more throughput
  suyuan ingest file FILE        readings from CSV, Parquet, SenML or a logger's export
  suyuan quarantine list         what could not be taken, why, and how to bring it in
  suyuan erase PERSON_URN        forget what was said of a person; suyuan hold keeps what a court wants kept
  suyuan doctor                  is everything well, and what to do if not
  suyuan devices health          what is wrong with devices in the field
  suyuan audit readings          what was sealed, against the table and the log: what was altered is named
  suyuan backup DIR              copy a running instance; suyuan backup restore DIR brings it back
  suyuan recover                 after a restore: bring the database forward to what its logs have signed
  suyuan log list                the logs: what is published, their keys, and how one is ended
  suyuan witness                 watch somebody's logs, on a machine of your own
  suyuan trace ID FILE...        a lot's genealogy out of EPCIS files, without a server
  suyuan judge FILE              a temperature logger's export: compliant, breach, or cannot tell, without a server
  suyuan evidence EVENT -o FILE  a file that proves an event or a window to anybody
  suyuan verify FILE --key KEY   check an evidence file, offline
  suyuan epcis hash FILE         the CBV 2.0 hash of each event in a file, JSON or XML
  suyuan epcis validate FILE     what is wrong in EPCIS files, where, and how to mend it
  suyuan monitor URL             follow a log, ours or anybody's: every entry, every chain, no fork

Settings are environment variables SUYUAN_*; deploy/env.example lists and explains them.
"""


class InOrder(click.Group):
    """Commands as a newcomer meets them, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ValidationError as error:
            if error.title != Settings.__name__:
                raise
            raise click.ClickException(in_words(error)) from None


@click.group(
    cls=InOrder,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="suyuan")
def main() -> None:
    """Suyuan (溯源): agricultural traceability and cold-chain evidence.

    Devices send readings and events over MQTT; a transparency log makes every event evident; cooperatives, markets,
    shoppers and officials see one record.
    """


@main.command()
@click.option(
    "--exit-after",
    type=float,
    metavar="SECONDS",
    help="Stop by itself this long after the world reached now.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line, for scripts.")
@click.option(
    "--seed",
    type=int,
    default=3,
    show_default=True,
    help="Which world; the same seed gives the same journey.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Everything the demo keeps; a second start goes on from it.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Port of the pages and the API.",
)
@click.option(
    "--mqtt-port", type=click.IntRange(1, 65535), default=18830, show_default=True, help="Port of the broker."
)
@click.option(
    "--lan",
    is_flag=True,
    help="Listen on all addresses, so that a phone in the same network can scan the QR code.",
)
@click.option(
    "--mosquitto", is_flag=True, help="Use the mosquitto on the PATH instead of the embedded broker."
)
def demo(
    exit_after: float | None,
    as_json: bool,
    seed: int,
    data_dir: Path,
    port: int,
    mqtt_port: int,
    lan: bool,
    mosquitto: bool,
) -> None:
    """The whole line on this machine: database, broker, services, and a world that speaks MQTT.

    A lot of bayberries from three growers is mixed, cooled, and leaves on two trucks, one of which fails. The world
    starts 36 hours ago, plays fast until it reaches now, and goes on. Ctrl-C stops everything.
    """
    from deploy.demo import Demo, DemoError, Options

    options = Options(data_dir.absolute(), seed, port, mqtt_port, lan, mosquitto, exit_after, as_json)
    try:
        Demo(options).run()
    except DemoError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("--database-url", help="The owner's URL; default SUYUAN_DATABASE_URL.")
def migrate(database_url: str | None) -> None:
    """Bring the database to this release's schema. Run it as the database's owner."""
    import psycopg

    from deploy.migrate import edition, follow_retention
    from deploy.migrate import migrate as apply

    settings = Settings()
    url = database_url or settings.database_url
    try:
        applied = apply(url)
        with psycopg.connect(url) as conn:
            follow_retention(conn, settings.retention)
            found = edition(conn)
    except psycopg.errors.InsufficientPrivilege as error:
        raise click.ClickException(
            f"this role may not migrate ({error.diag.message_primary}): give the owner's URL with --database-url"
        ) from error
    except psycopg.Error as error:
        raise click.ClickException(f"the database refused: {error}") from error
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{'migrated' if applied else 'already up to date'} ({found})")


main.add_command(register)


@main.group(invoke_without_command=True)
@follow_parent
@click.pass_context
def ingest(context: click.Context, follow_parent: bool) -> None:
    """Take what devices send over MQTT into the database. Start more for more throughput.

    With `file`, take readings from files instead.
    """
    if context.invoked_subcommand is None:
        _serve("ingest", follow_parent)


ingest.add_command(file)


@main.command()
@follow_parent
def jobs(follow_parent: bool) -> None:
    """Project events, detect excursions, seal windows, keep roll-ups. A second one is a spare."""
    _serve("jobs", follow_parent)


@main.command()
@follow_parent
def sequencer(follow_parent: bool) -> None:
    """Give recorded events their place in the logs and publish signed checkpoints. A second one is a spare."""
    _serve("sequencer", follow_parent)


@main.command()
@follow_parent
def api(follow_parent: bool) -> None:
    """Serve the pages, the API and the logs' files over HTTP."""
    _serve("api", follow_parent)


@main.command()
@follow_parent
def capture(follow_parent: bool) -> None:
    """Work captured EPCIS documents off, beside the API's own threads. Start more for more throughput."""
    _serve("capture", follow_parent)


def _serve(name: str, follow_parent: bool) -> None:
    import psycopg

    from deploy.migrate import SchemaMismatch
    from deploy.services import process
    from ingest.broker_address import AddressError

    process.log_to_stderr()
    # Each service's room is loaded only where it runs: a worker needs no web framework.
    service = importlib.import_module(f"deploy.services.{name}")
    try:
        service.run(Settings(), process.stop_event(follow_parent))
    except (SchemaMismatch, psycopg.OperationalError) as error:
        raise click.ClickException(str(error)) from error
    except AddressError as error:
        raise click.ClickException(f"SUYUAN_MQTT_URL is {error}") from error


main.add_command(simulate)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--key",
    "keys",
    multiple=True,
    help="A log's verifier key (origin+hash+base64), a file with one a line, or a tlog-policy file, whose quorum must be"
    " met. The root log's key too. Repeat for more.",
)
@click.option(
    "--tsa-cert",
    "certificates",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="PEM file with a time-stamp authority's certificates, its root among them: else its signature is not checked.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def verify(file: Path, keys: tuple[str, ...], certificates: tuple[Path, ...], as_json: bool) -> None:
    """Check an evidence file offline: signatures, inclusion, fields, readings. No network, no database.

    FILE is JSON, JSON packed with gzip, or the page that carries it, of version 1 or 2.

    Exit status 0: everything holds; 1: something does not; 2: a key is none; 3: the file cannot be read as evidence.
    Without --key the file's own keys are used: that shows that it is of one piece, not who made it.
    """
    from deploy.verification import verify_file

    sys.exit(verify_file(file, keys, as_json, click.echo, certificates))


@main.command()
@click.option(
    "--deep", is_flag=True, help="Also every invariant of docs/invariants.md, and every file of the logs."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--database-url", help="As whom the database is asked, best its owner; default SUYUAN_DATABASE_URL."
)
def doctor(deep: bool, as_json: bool, database_url: str | None) -> None:
    """Look at everything the instance stands on, and say what to do.

    Run it with the services' settings, as their user. It changes nothing. What only the database's owner may see it
    cannot tell with a service's rights; --deep needs the owner, since row-level security hides rows from everybody
    else, and takes minutes on a large instance. It is safe while the services run.

    Exit status 0: all well; 1: something failed; 2: warnings only; 3: --deep could not ask all that it is for. With
    SUYUAN_PRODUCTION=true it is strict.
    """
    from deploy.doctor.report import run

    sys.exit(run(database_url, deep, as_json, click.echo, lambda text: click.echo(text, err=True)))


main.add_command(erase)
main.add_command(hold)
main.add_command(quarantine)
main.add_command(evidence)
main.add_command(backup)
main.add_command(recover)
main.add_command(account)
main.add_command(import_command)
main.add_command(profile)
main.add_command(devices)
main.add_command(log)
main.add_command(witness)
main.add_command(monitor)
main.add_command(audit)
main.add_command(epcis)
main.add_command(trace)
main.add_command(judge)


@main.command(hidden=True)
def settings() -> None:
    """Show the settings in force."""
    click.echo(json.dumps(Settings().model_dump(mode="json"), indent=2))


if __name__ == "__main__":
    main()
