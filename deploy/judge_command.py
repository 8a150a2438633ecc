"""`suyuan judge`: its words on the command line. What it does is in `deploy/judging.py`, loaded only then."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import click

NOT_UNDERSTOOD = 3


class _Misused(click.UsageError):
    exit_code = NOT_UNDERSTOOD


class _Judge(click.Command):
    """2 means that one cannot tell; a command line that is not understood is input that is not understood."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise _Misused(error.message, error.ctx) from error


@click.command(cls=_Judge)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--product",
    help="By the shipped limits of a product, as strawberry, frozen, medicine_2_8; --product list names them all.",
)
@click.option(
    "--limits", type=click.Path(path_type=Path), help="By the limits of a JSON file (docs/judge.md)."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON: one object, or with several columns one under each name.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also draw the readings and limits: PNG, SVG or PDF.",
)
@click.option(
    "--pdf", type=click.Path(dir_okay=False, path_type=Path), help="Also write a report of one page or more."
)
@click.option("--column", "columns", multiple=True, help="Judge this column alone. Repeat for more.")
@click.option("--unit", type=click.Choice(["C", "F"]), help="Of readings whose unit the file does not say.")
@click.option(
    "--time-zone",
    help="Where the logger's clock stood, as Europe/Berlin; times are then printed with their offset.",
)
@click.option(
    "--date-order", type=click.Choice(["dmy", "mdy", "ymd"]), help="Of dates such as 03/04/2026 or 26-04-03."
)
@click.option("--encoding", help="Of a text that is not read as it should be.")
@click.option(
    "--lang",
    type=click.Choice(["en", "zh"]),
    default="en",
    show_default=True,
    help="Of the table, the plot and the report.",
)
def judge(
    file: Path,
    product: str | None,
    limits: Path | None,
    as_json: bool,
    plot: Path | None,
    pdf: Path | None,
    columns: tuple[str, ...],
    unit: str | None,
    time_zone: str | None,
    date_order: Literal["dmy", "mdy", "ymd"] | None,
    encoding: str | None,
    lang: Literal["en", "zh"],
) -> None:
    """Judge a temperature logger's export, without a server.

    FILE is CSV, XLSX, or the text of a Berlinger Q-tag or Fridge-tag, from any maker (- is standard input). Each column of
    temperatures is judged alone. Without --product and --limits a logger is judged by the alarms that it was set to itself, if
    its export says them.

    Exit status 0: compliant, or no limit applies; 1: breach; 2: the record cannot tell; 3: the input is not understood. With
    several columns the worst: breach, then cannot tell, then compliant.
    """
    from deploy import judging

    asked = judging.Asked(file, product, limits, columns, unit, time_zone, date_order, encoding, lang)
    try:
        if product == "list":
            click.echo("\n".join(judging.products(lang)))
            return
        answer = judging.judge(asked)
        made = [
            (path, make(answer, path.suffix.lstrip(".").lower(), lang))
            for path, make in ((plot, judging.plot), (pdf, judging.pdf))
            if path is not None
        ]
    except judging.NotUnderstood as error:
        for problem in error.problems:
            _note(problem)
        sys.exit(NOT_UNDERSTOOD)
    for path, data in made:
        _write(path, data)
    for note in answer.notes:
        _note(note)
    click.echo(judging.as_json(answer) if as_json else judging.as_text(answer, lang))
    sys.exit(answer.exit_status)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        _note(f"cannot write {path}: {error.strerror}; name a file in a folder that is there")
        sys.exit(NOT_UNDERSTOOD)


def _note(text: str) -> None:
    click.echo(f"suyuan judge: {text}", err=True)
