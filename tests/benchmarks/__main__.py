"""`make bench`: everything, or what is named: `make bench BENCH_ARGS="line --messages 50000"`.

Parts: `line` (the insert line beside its bounds and its peers), `packs`, `whole`, `latency`, `excursion`, and what the other
rooms measure: `following` (detection alone), `sealing`, `store`, `backfill`, `ledger`, `monitor`, `audit`, `gate`,
`capture`, `recall`, `trace`, `hash`. Every figure stands beside a reference measured in the same run.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click

from tests.benchmarks import (
    audit,
    backfill,
    capture,
    excursion,
    following,
    gate,
    hashing,
    latency,
    ledger,
    line,
    million,
    monitoring,
    recall,
    sealing,
    store,
    trace,
)
from tests.benchmarks.ground import Ground
from tests.benchmarks.peers import mqbridge, nodered
from tests.benchmarks.peers.cache import NotInstalled
from tests.benchmarks.racing import Runner
from tests.benchmarks.telling import busy
from tests.servers import ServerUnavailable
from tests.servers.databases import Template
from tests.servers.mosquitto import MAX_INFLIGHT_MESSAGES, mosquitto_broker
from tests.servers.plain import plain_server
from tests.servers.postgres import PostgresServer
from tests.servers.timescale import timescale_server

LINE_PARTS = ("line", "packs", "whole", "latency", "excursion")
ROOM_PARTS = (
    "following",
    "sealing",
    "store",
    "backfill",
    "ledger",
    "monitor",
    "audit",
    "gate",
    "capture",
    "recall",
    "trace",
    "hash",
)
NOISY = 0.5  # load average for each processor
SERVER_SETTINGS = {"track_commit_timestamp": "on", "shared_buffers": "256MB"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("parts", nargs=-1, type=click.Choice((*LINE_PARTS, *ROOM_PARTS)))
@click.option("--messages", type=click.IntRange(1_000), default=200_000, show_default=True)
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, help="Medians are of so many."
)
@click.option("--devices", type=click.IntRange(1), default=100, show_default=True)
@click.option("--rate", type=click.IntRange(1), default=4_000, show_default=True, help="For the latency.")
@click.option(
    "--edition", type=click.Choice(("timescale", "plain")), help="Default: timescale where it can be had."
)
@click.option(
    "--peers/--no-peers", default=True, show_default=True, help="Install and run what others wrote."
)
def main(
    parts: tuple[str, ...],
    messages: int,
    rounds: int,
    devices: int,
    rate: int,
    edition: str | None,
    peers: bool,
) -> None:
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        server = _server(stack, folder, edition)
        broker = stack.enter_context(mosquitto_broker(folder))
        ground = Ground(Template(server), broker, folder, devices)
        _tell(server)
        found: dict[str, float | None] = {"whole": None}

        def whole() -> None:
            found["whole"] = line.whole_line(ground, messages, rounds)

        def the_ledger() -> None:
            ledger.run(ground.template, folder)
            million.run(ground.template, folder)

        all_parts: dict[str, Callable[[], object]] = {
            "line": lambda: line.insert_line(ground, messages, rounds, _peers(peers)),
            "packs": lambda: line.packs(ground, messages, rounds),
            "whole": whole,
            "latency": lambda: latency.run(ground, rate),
            "excursion": lambda: excursion.run(ground, messages, found["whole"]),
            "following": lambda: following.run(ground.template, folder),
            "sealing": lambda: sealing.run(ground.template, folder),
            "store": lambda: store.run(ground.template),
            "backfill": lambda: backfill.run(ground.template, folder),
            "ledger": the_ledger,
            "monitor": lambda: monitoring.run(folder),
            "audit": lambda: audit.run(ground.template),
            "gate": lambda: gate.run(ground.template, folder),
            "capture": lambda: capture.run(folder),
            "recall": lambda: recall.run(ground.template),
            "trace": lambda: trace.run(ground.template, folder),
            "hash": hashing.run,
        }
        for name in parts or all_parts:
            all_parts[name]()


def _server(stack: ExitStack, folder: Path, edition: str | None) -> PostgresServer:
    if edition != "plain":
        try:
            return stack.enter_context(timescale_server(folder, **SERVER_SETTINGS))
        except ServerUnavailable as missing:
            if edition is not None:
                raise
            print(f"On plain PostgreSQL, since there is no {missing}")
    return stack.enter_context(plain_server(folder, **SERVER_SETTINGS))


def _peers(wanted: bool) -> list[Runner]:
    found: list[Runner] = []
    for installed in (mqbridge.installed, mqbridge.helped, nodered.installed) if wanted else ():
        try:
            found.append(installed())
        except NotInstalled as why:
            print(f"{why}", flush=True)
    return found


def _tell(server: PostgresServer) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(
        f"{cores} processors, Python {platform.python_version()}, PostgreSQL {server.version} ({server.edition}), data in memory, fsync off"
    )
    print(
        f"Mosquitto: max_inflight_messages {MAX_INFLIGHT_MESSAGES}, max_queued_messages 0, persistence true, autosave_interval 5,"
        " set_tcp_nodelay true; QoS 1, everybody's messages wait in a kept session",
        flush=True,
    )
    if os.getloadavg()[0] > NOISY * cores:
        print(
            f"The machine is not quiet ({busy()}). What is measured here then says who gets how much of the processors: programs"
            " of many processes and threads get more. Run it again when it is."
        )


if __name__ == "__main__":
    main()
