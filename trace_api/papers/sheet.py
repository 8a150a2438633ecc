"""A sheet of paper: pages of one size, text that fits its box, QR codes on the printer's grid.

Between the papers and fpdf2, which only this module and `fonts.py` know. Lengths are millimetres from the top left
corner, sizes of type are points. Contract: text never leaves its box.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import segno
from fpdf import FPDF
from fpdf.enums import TextMode

from trace_api.papers import NoRoomError, fonts

DOT_MM = 0.125
"""A dot of a "203 dpi" label printer: eight to the millimetre."""
SMALLEST_MODULE = 3
"""In dots. Below it thermal print runs together; GS1 asks for 0.396 mm at a till, and 0.375 is the next below."""
QUIET_ZONE = 4
_POINT_MM = 25.4 / 72
_LEADING = 1.22
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Box:
    """A place on the page."""

    x: float
    y: float
    width: float
    height: float


class Sheet:
    """A PDF that grows by pages. `made_at`: the time that it says it was made at."""

    def __init__(self, width_mm: float, height_mm: float, title: str, made_at: datetime) -> None:
        self._height = height_mm
        self._pdf = FPDF(unit="mm", format=(width_mm, height_mm))
        self._pdf.set_auto_page_break(False)
        self._pdf.set_margin(0)
        self._pdf.set_title(title)
        self._pdf.set_lang("zh-CN")
        self._pdf.set_creation_date(made_at)
        fonts.install(self._pdf)

    def page(self) -> None:
        self._pdf.add_page()

    def bytes(self) -> bytes:
        return bytes(self._pdf.output())

    def text(
        self,
        box: Box,
        text: str,
        sizes: Sequence[float],
        *,
        bold: bool = False,
        centred: bool = False,
        shorten: bool = False,
    ) -> None:
        """Writes in the first of `sizes` (largest first) in which all of the text fits the box. With `shorten` the
        smallest is cut with an ellipsis; else NoRoomError."""
        size, (lines,) = self._fitted(box, [(fonts.printable(text), shorten)], sizes)
        self._write(lines, box, box.y, size, bold, centred)

    def rows(self, box: Box, rows: Sequence[tuple[str, bool]], sizes: Sequence[float]) -> None:
        """Texts below one another, all in one size, with what room is left between them. The flag says which may be
        shortened: to two lines, while the others take as many as they need."""
        told = [(fonts.printable(text), shorten) for text, shorten in rows]
        size, blocks = self._fitted(box, told, sizes, most=2)
        height = size * _POINT_MM * _LEADING
        spare = box.height - sum(map(len, blocks)) * height
        y = box.y
        for lines in blocks:
            self._write(lines, box, y, size)
            y += len(lines) * height + min(spare / max(len(blocks), 3), height)

    def _write(
        self, lines: Sequence[str], box: Box, y: float, size: float, bold: bool = False, centred: bool = False
    ) -> None:
        self._pdf.set_font(fonts.FAMILY, size=size)
        height = size * _POINT_MM
        with self._pdf.local_context():
            if bold:  # the font has one weight: a thin outline gives the other
                self._pdf.text_mode = TextMode.FILL_STROKE
                self._pdf.set_line_width(height * 0.035)
            for row, line in enumerate(lines):
                left = (box.width - self._pdf.get_string_width(line)) / 2 if centred else 0
                self._pdf.text(box.x + left, y + height + row * height * _LEADING, line)

    def _fitted(
        self, box: Box, rows: Sequence[tuple[str, bool]], sizes: Sequence[float], most: int | None = None
    ) -> tuple[float, list[list[str]]]:
        """The largest size in which all rows fit the box, and their lines. `most`: lines of a row that may be cut; with
        None it is cut only when even the smallest size is too large."""
        for size in sizes:
            blocks = [self._lines(text, size, box.width, most if shorten else None) for text, shorten in rows]
            if sum(map(len, blocks)) <= _room(box, size):
                return size, blocks
        if most is None and rows[0][1] and _room(box, sizes[-1]):
            return self._fitted(box, rows, sizes[-1:], _room(box, sizes[-1]))
        raise NoRoomError(max(rows)[0])

    def _lines(self, text: str, size: float, width: float, most: int | None) -> list[str]:
        lines = list(self._broken(text, size, width))
        if most is None or len(lines) <= most:
            return lines
        last = lines[most - 1]
        while last and self._width(last + _ELLIPSIS, size) > width:
            last = last[:-1]
        return [*lines[: most - 1], last + _ELLIPSIS]

    def _broken(self, text: str, size: float, width: float) -> Iterator[str]:
        """Chinese breaks anywhere, a Latin word at its blank if it has one, a number where it must."""
        line = ""
        for each in text:
            if self._width(line + each, size) <= width or not line:
                line += each
                continue
            head, blank, tail = line.rpartition(" ")
            if blank and tail.isascii() and each != " ":
                yield head
                line = tail + each
            else:
                yield line.rstrip()
                line = each.lstrip()
        if line:
            yield line

    def _width(self, text: str, size: float) -> float:
        self._pdf.set_font(fonts.FAMILY, size=size)
        return float(self._pdf.get_string_width(text))

    def qr(self, box: Box, payload: str) -> None:
        """The code, level M, with its quiet zone in the middle of the box. Its modules are as large as whole dots of
        the printer allow, and lie on the printer's grid. NoRoomError if they would be too small to print."""
        code = segno.make(payload, error="m", boost_error=False, micro=False)
        modules = code.symbol_size(border=QUIET_ZONE)[0]
        dots = int(min(box.width, box.height) / DOT_MM + 1e-6) // modules
        if dots < SMALLEST_MODULE:
            raise NoRoomError(payload)
        side, module = modules * dots * DOT_MM, dots * DOT_MM
        left = _on_grid(box.x + (box.width - side) / 2)
        top = _on_grid(box.y + (box.height - side) / 2)
        # One path for all: rectangles filled one by one leave hairlines between them on a screen. And as PDF operators:
        # fpdf2's own paths take four times as long, which counts on a roll of 240 labels.
        scale = 1 / _POINT_MM
        runs = "".join(
            f"{(left + (x + QUIET_ZONE) * module) * scale:.3f} {(self._height - top - (y + QUIET_ZONE) * module) * scale:.3f} "
            f"{length * module * scale:.3f} {-module * scale:.3f} re "
            for x, y, length in _runs(code.matrix)
        )
        self._pdf._out(f"q 0 g {runs}f Q")

    def tick_box(self, x: float, y: float, side: float, ticked: bool) -> None:
        """A square, drawn, since the font has none with a tick in it."""
        self._pdf.set_line_width(side * 0.08)
        self._pdf.rect(x, y, side, side)
        if ticked:
            self._pdf.set_line_width(side * 0.14)
            self._pdf.polyline(
                [
                    (x + side * 0.2, y + side * 0.5),
                    (x + side * 0.42, y + side * 0.75),
                    (x + side * 0.82, y + side * 0.22),
                ]
            )

    def line(self, x: float, y: float, to_x: float, to_y: float, width: float = DOT_MM) -> None:
        self._pdf.set_line_width(width)
        self._pdf.line(x, y, to_x, to_y)

    def frame(self, box: Box, width: float = DOT_MM) -> None:
        self._pdf.set_line_width(width)
        self._pdf.rect(box.x, box.y, box.width, box.height)

    def across(self, text: str, x: float, y: float, size: float, angle: float) -> None:
        """Outlined letters turned about their middle: black, since a thermal printer has no grey."""
        clean = fonts.printable(text)
        width = self._width(clean, size)
        with self._pdf.local_context(), self._pdf.rotation(angle, x, y):
            self._pdf.text_mode = TextMode.STROKE
            self._pdf.set_line_width(size * _POINT_MM * 0.03)
            self._pdf.text(x - width / 2, y + size * _POINT_MM * 0.36, clean)


def _room(box: Box, size: float) -> int:
    """How many lines the box holds; nothing stands below the last one."""
    line = size * _POINT_MM
    return int((box.height + line * (_LEADING - 1)) / (line * _LEADING) + 1e-6)


def _on_grid(length: float) -> float:
    return round(length / DOT_MM) * DOT_MM


def _runs(matrix: Sequence[Sequence[int]]) -> Iterator[tuple[int, int, int]]:
    """Column, row and length of each dark run."""
    for y, row in enumerate(matrix):
        start = None
        for x, dark in enumerate([*row, 0]):
            if dark and start is None:
                start = x
            elif not dark and start is not None:
                yield start, y, x - start
                start = None
