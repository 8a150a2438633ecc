"""`suyuan trace`: its words on the command line, and its table. What it does is in `deploy/tracing.py`, loaded only then."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from ledger.genealogy import Trace
    from ledger.genealogy.facts import Amount, Fact

UNREADABLE = 3


@click.command()
@click.argument("identifier")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--direction",
    type=click.Choice(["back", "forward", "both"]),
    default="both",
    show_default=True,
    help="back: what it came from; forward: what became of it.",
)
@click.option("--json", "as_json", is_flag=True, help='Print {"events": [eventID, ...], "edges": [...]}.')
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write a picture to this file.",
)
@click.option(
    "--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of the picture."
)
def trace(
    identifier: str,
    files: tuple[Path, ...],
    direction: Literal["back", "forward", "both"],
    as_json: bool,
    svg: Path | None,
    lang: Literal["en", "zh"],
) -> None:
    """Trace a lot, a unit, a box or any other thing through EPCIS files, without a server.

    IDENTIFIER is any URI, URN, Digital Link or code of a label; FILES are EPCIS documents or query documents, JSON-LD or XML,
    which need not be valid (- is standard input). The events are in the order in which they happened; one without an eventID
    goes by its CBV hash. What was declared wrong is left out.

    Exit status 0: traced, and nothing found is an answer too; 1: the picture cannot be written; 3: a file cannot be read.
    """
    from deploy import tracing
    from ledger.epcis.files import Unreadable

    try:
        read = tracing.read_files(files, _note)
    except Unreadable as error:
        _note(str(error))
        sys.exit(UNREADABLE)
    found, edges = tracing.trace_files(read, identifier, direction, _note)
    if svg is not None:
        try:
            svg.write_text(tracing.picture(found, edges, lang), encoding="utf-8")
        except OSError as error:
            raise click.FileError(
                str(svg), f"{error.strerror}; name a file in a folder that is there"
            ) from error
    if as_json:
        click.echo(json.dumps(tracing.as_json(found), ensure_ascii=False, indent=2))
    else:
        for line in table(found, shutil.get_terminal_size().columns):
            click.echo(line)


def _note(text: str) -> None:
    click.echo(f"suyuan trace: {text}", err=True)


# --- the table ----------------------------------------------------------------------------------------------

_NARROWEST = 60
_TIME, _STEP, _PLACE = 16, 17, 14
_INDENT = " " * (_TIME + _STEP + _PLACE + 6)
_MARKS = {"ADD": "+", "DELETE": "-", "OBSERVE": " "}


def table(found: Trace, width: int) -> Iterator[str]:
    """Time, action and step, place, and what it is about, on more lines where that is much; no line is wider than `width` cells."""
    from ledger.genealogy.facts import read

    width = max(width, _NARROWEST)
    yield cut(f"{found.identifier}  {found.direction}, {len(found.events)} events", width)
    for fact in read(found.events):
        yield from (cut(line, width) for line in _lines(fact, width - len(_INDENT) - 2))


def _lines(fact: Fact, room: int) -> Iterator[str]:
    what = list(_what(fact, room)) or [""]
    step = padded(fact.step or fact.kind.removesuffix("Event").lower(), _STEP)
    place = padded(short(fact.biz_location or fact.read_point or "", _PLACE), _PLACE)
    time = f"{fact.event.event_time:%Y-%m-%d %H:%M}"
    yield f"{time}  {_MARKS.get(fact.action, ' ')} {step} {place} {what[0]}".rstrip()
    yield from (_INDENT + each for each in what[1:])


def _what(fact: Fact, room: int) -> Iterator[str]:
    if fact.kind == "TransformationEvent":
        yield from (f"< {each}" for each in _things(fact.nodes, fact.goods, room))
        yield from (f"> {each}" for each in _things(fact.out_nodes, fact.out_goods, room))
        return
    if fact.parent:
        yield short(fact.parent, room)
    mark = "  " if fact.parent else ""
    yield from (mark + each for each in _things(fact.nodes, fact.goods, room))


def _things(nodes: Sequence[str], goods: Sequence[Amount], room: int) -> Iterator[str]:
    """The amount before the name, which is the longer one."""
    for each in goods:
        unit = {None: "", "KGM": " kg"}.get(each.uom, f" {each.uom}")
        amount = "" if each.quantity is None else f"{each.quantity:g}{unit} "
        yield amount + short(each.lot, max(room - cells(amount), 8))
    yield from (short(each, room) for each in nodes)


def short(name: str, most: int) -> str:
    """The end of it, which tells it from others; whole names are in --json."""
    tail = name.rpartition("/")[2] if name.startswith("http") else name.rpartition(":")[2]
    tail = tail or name
    return tail if len(tail) <= most else "…" + tail[1 - most :]


def cells(text: str) -> int:
    """How wide a terminal shows it: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def padded(text: str, width: int) -> str:
    return cut(text, width) + " " * (width - cells(cut(text, width)))


def cut(line: str, width: int) -> str:
    """At most so many cells."""
    if cells(line) <= width:
        return line
    kept = line[:width]
    while cells(kept) > width - 1:
        kept = kept[:-1]
    return kept.rstrip() + "…"
