"""Which papers belong to an act, and what stands on them.

In the line: an act as it is remembered -> labels -> PDF. Contract: a label says what was recorded; the address in its code
is under PUBLIC_URL, so that any phone opens it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, get_args
from urllib.parse import quote
from zoneinfo import ZoneInfo

from ledger.epcis.identifiers import RESOLVER
from trace_api.acts.codes import label
from trace_api.acts.fields import ZONE
from trace_api.acts.numbers import SerialRange
from trace_api.acts.registered import Registered
from trace_api.papers.fonts import shown
from trace_api.papers.labels import Label, box_label, lot_label, unit_label
from trace_api.words import Words, decimal

Of = Literal["boxes", "lots", "units"]
OF: tuple[Of, ...] = get_args(Of)


@dataclass(frozen=True, slots=True)
class Made:
    """What an act made that can be labelled. `weights`: kg of each lot that is counted in kilograms, where it is known.
    `boxes`: how many went into its load unit."""

    kind: str
    at: datetime
    lots: tuple[str, ...]
    units: tuple[str, ...]
    serials: tuple[SerialRange, ...]
    called: Mapping[str, str]
    weights: Mapping[str, float]
    boxes: int = 0

    def counts(self) -> dict[Of, int]:
        """How many labels of each kind; only those there are."""
        boxes = sum(each.count for each in self.serials)
        lots = len(self.lots) if self.makes_lots else 0
        units = len(self.units) if self.kind in _MAKES_UNITS else 0
        found: dict[Of, int] = {"boxes": boxes, "units": units, "lots": lots}
        return {of: count for of, count in found.items() if count}

    @property
    def makes_lots(self) -> bool:
        """Also of goods that came without a label."""
        return self.kind in _MAKES_LOTS or (self.kind == "receive" and bool(self.weights))

    @property
    def day(self) -> date:
        return self.at.astimezone(ZoneInfo(ZONE)).date()


_MAKES_LOTS = frozenset({"register_batch", "weigh_in", "mix"})
_MAKES_UNITS = frozenset({"pack", "split", "refuse_part"})


def address(uri: str, public_url: str) -> str:
    """Where the code of a label leads: our own page of a GS1 key; an address of ours as it is."""
    return f"{public_url}{uri.removeprefix(RESOLVER)}" if uri.startswith(f"{RESOLVER}/") else uri


def box_address(lot: str, serial: str, public_url: str) -> str:
    base = address(lot, public_url)
    if lot.startswith(f"{RESOLVER}/01/"):
        return f"{base}/21/{quote(serial, safe='')}"
    return f"{base}?21={quote(serial, safe='')}"  # no GTIN, so no Digital Link: the lot's own address, and which box


def labels_of(
    made: Made, of: Of, words: Words, registered: Registered, holder: str, public_url: str
) -> Iterator[Label]:
    if of == "boxes":
        for run in made.serials:
            yield from _boxes(run, made, words, registered, holder, public_url)
    elif of == "units":
        for unit in made.units:
            yield _unit(unit, made, words, registered, holder, public_url)
    else:
        for lot in made.lots:
            yield _lot(lot, made, words, registered, holder, public_url)


def _boxes(
    run: SerialRange, made: Made, words: Words, registered: Registered, holder: str, public_url: str
) -> Iterator[Label]:
    net = registered.product_of_lot(run.lot)
    for number in range(int(run.first), int(run.last) + 1):
        serial = f"{number:0{len(run.first)}d}"
        yield box_label(
            words,
            url=box_address(run.lot, serial, public_url),
            product=_product(run.lot, words, registered),
            lot=label(run.lot),
            serial=serial,
            net_kg=net.net_content_kg if net else None,
            packed_on=made.day,
            packer=holder,
        )


def _unit(unit: str, made: Made, words: Words, registered: Registered, holder: str, public_url: str) -> Label:
    lot = made.lots[0]
    product = registered.product_of_lot(lot)
    boxes = made.boxes
    net = product.net_content_kg if product else None
    return unit_label(
        words,
        url=address(unit, public_url),
        product=_product(lot, words, registered),
        unit=label(unit),
        lot=_all(made.lots, words),
        boxes=boxes,
        net_kg=round(boxes * net, 3) if net and boxes else None,
        # A part keeps the day on which its boxes were packed, and that of parting is another.
        packed_on=made.day if made.kind == "pack" else None,
        packer=holder,
    )


def _lot(lot: str, made: Made, words: Words, registered: Registered, holder: str, public_url: str) -> Label:
    weight = made.weights.get(lot)
    return lot_label(
        words,
        url=address(lot, public_url),
        product=_product(lot, words, registered),
        lot=label(lot),
        display_name=shown(made.called.get(lot, "")),
        quantity="" if weight is None else f"{decimal(weight)} kg",
        day=made.day,
        place="",
        holder=holder,
    )


def _product(lot: str, words: Words, registered: Registered) -> str:
    product = registered.product_of_lot(lot)
    return words.name(product.name) if product else words("scan_product_unknown")


def _all(lots: Sequence[str], words: Words) -> str:
    return words("work_comma").join(label(lot) for lot in lots)
