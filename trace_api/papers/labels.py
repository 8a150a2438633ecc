"""Labels for boxes, lots and load units: a GS1 Digital Link as QR code, and beside it what a person compares by eye.

Contract: one label a page, any number of pages; an identifier is never shortened, a name may be. The code holds an
address of ours, so that any phone opens the page; PUBLIC_URL must be right before a label is printed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, get_args

from trace_api.papers.sheet import Box, Sheet
from trace_api.words import Words, decimal

Size = Literal["60x40", "100x150"]
SIZES: tuple[Size, ...] = get_args(Size)


@dataclass(frozen=True, slots=True)
class Label:
    """`url`: what the code holds. `title`: shortened where it is too long. `key`: caption and value of what is compared
    by eye; the value is written large. `facts`: captions and values, at most five. `foot`: who answers for it."""

    url: str
    title: str
    key: tuple[str, str]
    facts: tuple[tuple[str, str], ...]
    foot: str


@dataclass(frozen=True, slots=True)
class _Form:
    """Where things stand on a label of one size."""

    width: float
    height: float
    title: Box
    title_sizes: tuple[float, ...]
    code: Box
    facts: Box
    fact_sizes: tuple[float, ...]
    key: Box
    key_sizes: tuple[float, ...]
    foot: Box
    foot_sizes: tuple[float, ...]


_FORMS: dict[Size, _Form] = {
    "60x40": _Form(
        60, 40,
        title=Box(2, 1.5, 28, 9.5), title_sizes=(11, 10, 9, 8, 7),
        code=Box(30, 0.5, 29.5, 29.5),
        facts=Box(2, 11.5, 28, 19.5), fact_sizes=(8, 7.5, 7, 6.5, 6, 5.5, 5),
        key=Box(2, 31, 56, 5), key_sizes=(13, 12, 11, 10, 9, 8),
        foot=Box(2, 36.3, 56, 2.6), foot_sizes=(6.5, 6, 5.5),
    ),
    "100x150": _Form(
        100, 150,
        title=Box(5, 4, 90, 19), title_sizes=(26, 23, 20, 18, 16, 14),
        code=Box(15, 22, 70, 70),
        facts=Box(5, 94, 90, 34), fact_sizes=(15, 14, 13, 12, 11, 10, 9, 8),
        key=Box(5, 129, 90, 11), key_sizes=(28, 26, 24, 22, 20, 18, 16, 14),
        foot=Box(5, 142.5, 90, 4.5), foot_sizes=(11, 10, 9),
    ),
}  # fmt: skip


def box_label(
    words: Words,
    *,
    url: str,
    product: str,
    lot: str,
    serial: str,
    net_kg: float | None,
    packed_on: date | None,
    packer: str,
) -> Label:
    facts = [(words("paper_lot"), lot), *_net(words, net_kg), *_packed(words, packed_on)]
    return Label(url, product, (words("paper_box"), serial), tuple(facts), packer)


def lot_label(
    words: Words,
    *,
    url: str,
    product: str,
    lot: str,
    display_name: str,
    quantity: str,
    day: date | None,
    place: str,
    holder: str,
) -> Label:
    """For crates that carry no serial: the same label on each."""
    facts = [
        (words(caption), value)
        for caption, value in (
            ("paper_called", display_name),
            ("paper_quantity", quantity),
            ("paper_place", place),
            ("paper_day", day.isoformat() if day else ""),
        )
        if value
    ]
    return Label(url, product, (words("paper_lot"), lot), tuple(facts), holder)


def unit_label(
    words: Words,
    *,
    url: str,
    product: str,
    unit: str,
    lot: str,
    boxes: int,
    net_kg: float | None,
    packed_on: date | None,
    packer: str,
) -> Label:
    """`unit`: the SSCC's 18 digits, or the last part of an instance URI."""
    count = (words("paper_count"), words("paper_boxes", count=boxes))
    facts = [(words("paper_lot"), lot), count, *_net(words, net_kg), *_packed(words, packed_on)]
    caption = words("paper_sscc") if is_sscc(unit) else words("paper_unit")
    return Label(url, product, (caption, spaced(unit)), tuple(facts), packer)


def _net(words: Words, net_kg: float | None) -> list[tuple[str, str]]:
    return [(words("paper_net"), f"{decimal(net_kg)} kg")] if net_kg is not None else []


def _packed(words: Words, day: date | None) -> list[tuple[str, str]]:
    return [(words("paper_packed"), day.isoformat())] if day else []


def is_sscc(unit: str) -> bool:
    return len(unit) == 18 and unit.isascii() and unit.isdigit()


def spaced(unit: str) -> str:
    """An SSCC as people read it out: `(00) 3 9521234 5678 9012 3`; anything else as it is."""
    return f"(00) {unit[:1]} {unit[1:8]} {unit[8:13]} {unit[13:]}" if is_sscc(unit) else unit


def labels_pdf(labels: Iterable[Label], size: Size, title: str, made_at: datetime) -> bytes:
    """One label a page. MissingGlyphsError, NoRoomError."""
    form = _FORMS[size]
    sheet = Sheet(form.width, form.height, title, made_at)
    for label in labels:
        sheet.page()
        _draw(sheet, label, form)
    return sheet.bytes()


def _draw(sheet: Sheet, label: Label, form: _Form) -> None:
    sheet.text(form.title, label.title, form.title_sizes, bold=True, shorten=True)
    sheet.qr(form.code, label.url)
    caption, value = label.key
    sheet.text(form.key, f"{caption} {value}", form.key_sizes, bold=True)
    if label.foot:
        sheet.text(form.foot, label.foot, form.foot_sizes, shorten=True)
    if label.facts:
        rows = [(f"{caption} {value}", _may_be_cut(value)) for caption, value in label.facts]
        sheet.rows(form.facts, rows, form.fact_sizes)


def _may_be_cut(value: str) -> bool:
    """Names may; numbers and lot numbers, which are written in ASCII, may not."""
    return not value.isascii()
