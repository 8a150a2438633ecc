"""`suyuan monitor`: its words on the command line. What it does is in `deploy/monitoring.py`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command()
@click.argument("url")
@click.option(
    "--key",
    "keys",
    multiple=True,
    help="The log's verifier key (origin+hash+base64), or a file with one a line. Repeat for more.",
)
@click.option("--opaque", is_flag=True, help="Leaves are somebody else's bytes: check the tree alone.")
@click.option("--logs", is_flag=True, help="Of a root log: follow the logs whose checkpoints it holds, too.")
@click.option("--once", is_flag=True, help="One pass, and its outcome.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="Seconds between passes.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What is remembered of the log; default: a file for this URL in ~/.local/state/suyuan/monitor.",
)
@click.option("--again", is_flag=True, help="Read every entry again, also those that were read before.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=min(2, os.cpu_count() or 1),
    show_default=True,
    help="For long logs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a pass.")
def monitor(
    url: str,
    keys: tuple[str, ...],
    opaque: bool,
    logs: bool,
    once: bool,
    interval: float,
    state: Path | None,
    again: bool,
    processes: int,
    as_json: bool,
) -> None:
    """Follow a transparency log: check every entry, and that nothing it once showed was changed.

    URL is where the log's files are, http(s)://.../log/NAME or a folder; any C2SP tlog-tiles log will do. Of a Suyuan log
    the entries' own chains are checked too. Without --key the key that the log publishes is taken the first time, and no
    other after that. A checkpoint is remembered only after all of its entries were read.

    Exit status 0: everything holds; 1: a fork, or damage: the two checkpoints are printed and written beside the state;
    2: the log cannot be reached, or is not signed by the key; 3: what is there, or the state, cannot be read. Without
    --once it goes on until it is stopped or finds something; a log that does not answer is asked again.
    """
    import signal
    from threading import Event

    from deploy.monitoring import Options, run

    # A pass is stopped where it is, since it leaves nothing behind; so there is no event to wait for.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = Options(url, keys, opaque, logs, once, interval, state, again, processes, as_json)
    sys.exit(run(options, Event(), click.echo, lambda text: click.echo(text, err=True)))
