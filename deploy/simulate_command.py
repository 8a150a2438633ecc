"""`suyuan simulate`: the world that speaks MQTT, and `suyuan simulate load`, many devices at a rate. Their words on the command
line; what they do is in `simulators/`."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.settings import Settings

if TYPE_CHECKING:
    from simulators.load.log import Came

follow_parent = click.option(
    "--follow-parent", is_flag=True, hidden=True, help="End when standard input closes."
)


@click.group(invoke_without_command=True)
@click.option("--seed", type=int, default=3, show_default=True, help="Which world.")
@click.option("--progress", is_flag=True, help="Print progress as JSON lines on standard output.")
@follow_parent
@click.pass_context
def simulate(context: click.Context, seed: int, progress: bool, follow_parent: bool) -> None:
    """Play the simulated world over MQTT: 36 hours fast, then in real time.

    With `load`, send the messages of many devices instead.
    """
    if context.invoked_subcommand is not None:
        return
    from deploy.services import process
    from deploy.simulation import run_simulation

    process.log_to_stderr()
    run_simulation(Settings(), seed, process.stop_event(follow_parent), progress)


class _Breach(click.ParamType[tuple[int, int]]):
    name = "DEVICE:SEQ"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        device, _, seq = value.partition(":")
        if not (device.isdecimal() and seq.isdecimal() and int(device) and int(seq)):
            self.fail(f"got {value!r}, want two numbers from 1, as in 7:100", param, ctx)
        return int(device) - 1, int(seq)


class _Name(click.ParamType[str]):
    """What stands in a topic, with room for a number."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,49}", value) is None:
            self.fail(f"got {value!r}, want 1 to 50 of a-z, 0-9, '.', '_' and '-'", param, ctx)
        return value


@simulate.command()
@click.option("--devices", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Messages a second; default as fast as it goes."
)
@click.option(
    "--pack", type=click.IntRange(1, 20_000), default=1, show_default=True, help="Readings in a message."
)
@click.option("--messages", type=click.IntRange(1), help="How many in all; default 100000.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="Instead of --messages, with --rate: for how long.",
)
@click.option(
    "--channels",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of each device; all are temperatures.",
)
@click.option(
    "--interval",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Seconds from one measurement to the next.",
)
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"]),
    help="Of the first measurement; default so that the last is measured now.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the values.")
@click.option("--boot", type=click.IntRange(1), help="Of all devices; default the time now in milliseconds.")
@click.option("--name", type=_Name(), default="load", show_default=True, help="What device ids begin with.")
@click.option(
    "--in-flight",
    type=click.IntRange(1, 60_000),
    default=4_000,
    show_default=True,
    help="Messages the broker has not acknowledged yet.",
)
@click.option(
    "--keep", is_flag=True, help="Keep messages until receipts cover them, and send again what none covers."
)
@click.option(
    "--resend-after",
    type=click.FloatRange(0, min_open=True),
    default=10,
    show_default=True,
    help="With --keep: seconds without news.",
)
@click.option(
    "--give-up-after",
    type=click.FloatRange(0, min_open=True),
    default=600,
    show_default=True,
    help="With --keep: seconds after the last message was sent first.",
)
@click.option(
    "--placed",
    type=click.IntRange(0),
    default=0,
    help="Put the first so many devices into a cold store with goods, so that a limit is in force on them.",
)
@click.option(
    "--breach",
    type=_Breach(),
    multiple=True,
    help="This device is too warm from this message on. Implies --placed for it. Repeat for more.",
)
@click.option(
    "--registry",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the registry document of these devices and end; load it with suyuan register.",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write down what was published, for a checker.",
)
@click.option(
    "--times",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write when each message was sent first (numpy, seconds since 1970).",
)
@click.option("--json", "as_json", is_flag=True, help="Progress and result as JSON lines on standard output.")
@follow_parent
def load(
    devices: int, rate: float | None, pack: int, messages: int | None, seconds: float | None, channels: int,
    interval: int, start: datetime | None, seed: int, boot: int | None, name: str, in_flight: int, keep: bool,
    resend_after: float, give_up_after: float, placed: int, breach: tuple[tuple[int, int], ...],
    registry: Path | None, log: Path | None, times: Path | None, as_json: bool, follow_parent: bool,
) -> None:  # fmt: skip
    """Send the messages of many devices, each with its number, as fast as the broker takes them or at a rate.

    First `--registry FILE` and `suyuan register FILE`, then the same options without it. Message 0 is the first device's
    number 1, message 1 the second's, and so on; the last line says how many are at the broker. Exit status 1: not all that
    was to be sent was published or, with --keep, stored.
    """
    from deploy.services import process
    from simulators.load.connection import address_of
    from simulators.load.plan import Breach, Plan, started
    from simulators.load.plan import registry as document
    from simulators.load.run import LoadError, Way, run

    now = datetime.now(UTC)
    if seconds is not None and (rate is None or messages is not None):
        raise click.UsageError("--seconds goes with --rate, and without --messages")
    placed = max([placed, *(device + 1 for device, _ in breach)])
    if placed > devices:
        raise click.UsageError(
            f"--placed and --breach name device {placed}, and there are --devices {devices}"
        )
    for path in (registry, log, times):
        if path is not None and not path.absolute().parent.is_dir():
            raise click.UsageError(f"{path}: there is no folder {path.parent}")
    total = messages or (round(rate * seconds) if rate and seconds else 100_000)
    plan = Plan(
        devices,
        total,
        boot or round(now.timestamp() * 1000),
        round(start.replace(tzinfo=UTC).timestamp() * 1000) if start else 0,
        pack,
        channels,
        interval,
        seed,
        name,
        tuple(Breach(*each) for each in breach),
    )
    if start is None:
        plan = replace(plan, start_ms=started(total, devices, plan.span_s, now))
    if registry is not None:
        registry.write_text(json.dumps(document(plan), ensure_ascii=False), encoding="utf-8")
        return
    tell = _as_json if as_json else partial(_in_words, keep)
    process.log_to_stderr()
    try:
        way = Way(rate, in_flight, keep, resend_after, give_up_after, placed, log, times)
        came = run(plan, address_of(Settings().mqtt_url), way, process.stop_event(follow_parent), tell)
    except (LoadError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps({"plan": plan.describe(), "came": asdict(came)}))
    if not came.complete:
        click.echo(_lacking(plan.messages, came), err=True)
    sys.exit(not came.complete)


def _lacking(messages: int, came: Came) -> str:
    if came.published < messages:
        return f"stopped: {messages - came.published:,} of {messages:,} messages are not at the broker"
    return (
        f"{messages - came.stored:,} of {messages:,} messages are covered by no receipt: does `suyuan ingest` run, and are these"
        " devices registered (--registry)? `suyuan quarantine list` shows what was refused"
    )


def _as_json(came: Came) -> None:
    click.echo(json.dumps({"came": asdict(came)}))


def _in_words(keep: bool, came: Came) -> None:
    rate = came.published / came.seconds if came.seconds else 0
    held = f"; covered by receipts: {came.stored:,}" if keep else ""
    click.echo(
        f"{came.published:,} at the broker after {came.seconds:.1f} s ({rate:,.0f} messages/s){held}",
        err=True,
    )
