"""The report of `suyuan judge --pdf`: what was judged, by what, what came of it, and the picture.

Contract: the file is named by its SHA-256, so that whoever has both can hold one against the other; a rule that nobody compared with its
source is shown as such; every excursion is listed.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from fpdf import FPDF
from fpdf.fonts import FontFace

from deploy.judge_picture import picture
from deploy.judge_words import chosen, described, facts, heading, judged_by, of_state, say, table
from trace_api.papers import fonts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.judging import Answer, Judged, Language

_MARGIN, _SMALL, _PLAIN, _LARGE = 15, 8, 9.5, 15
_INK, _GREY = (0x1B, 0x1F, 0x24), (0x5A, 0x60, 0x68)
_COLOURS = {
    "breach": (0xB3, 0x26, 0x1E),
    "indeterminate": (0x8A, 0x5A, 0x00),
    "compliant": (0x1B, 0x6E, 0x3C),
    "not_applicable": _GREY,
}
_WIDTHS = (25, 33, 33, 33, 15, 16, 25)


class _Report(FPDF):
    def __init__(self, answer: Answer, language: Language) -> None:
        super().__init__(unit="mm", format="A4")
        self.answer, self.language = answer, language
        self.set_margin(_MARGIN)
        self.set_auto_page_break(True, _MARGIN + 5)
        self.set_title(f"{say('title', language)}: {answer.name}")
        self.set_lang("zh-CN" if language == "zh" else "en")
        fonts.install(self)
        self.add_page()

    def footer(self) -> None:
        self.set_y(-_MARGIN)
        self.write_line(say("page", self.language, page=self.page_no(), pages="{nb}"), _SMALL, _GREY)

    def write_line(
        self, text: str, size: float = _PLAIN, colour: tuple[int, int, int] = _INK, space: float = 0.8
    ) -> None:
        self.set_font(fonts.FAMILY, size=size)
        self.set_text_color(*colour)
        self.multi_cell(0, size * 0.48, fonts.shown(text), align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(space)


def report(answer: Answer, language: Language) -> bytes:
    paper = _Report(answer, language)
    paper.write_line(say("title", language), _LARGE, space=2)
    paper.write_line(f"{say('file', language)}: {answer.name}")
    paper.write_line(f"{say('sha256', language)}: {answer.sha256}", _SMALL, _GREY)
    if answer.export.serial:
        paper.write_line(f"{say('serial', language)}: {answer.export.serial}")
    paper.write_line(judged_by(answer, language))
    for limit in answer.rules.limits:
        paper.write_line(f"    {limit.id}: {described(limit, language)}")
        if not limit.verified:
            paper.write_line(
                "    " + say("unverified", language, id=limit.id, source=limit.source), _SMALL, _GREY
            )
    paper.ln(2)
    paper.image(io.BytesIO(picture(answer, "png", language)), w=paper.epw)
    paper.ln(3)
    for judged in answer.columns:
        _column(paper, judged)
    if answer.notes:
        paper.write_line(say("notes", language), 11, space=1)
        for note in answer.notes:
            paper.write_line(note)
    paper.ln(3)
    paper.write_line(say("statement", language), _SMALL, _GREY)
    return bytes(paper.output())


def _column(paper: _Report, judged: Judged) -> None:
    language, verdict = paper.language, judged.found.verdict
    paper.write_line(
        f"{judged.column.name}: {of_state(verdict.state, language)}", 12, _COLOURS[verdict.state], 1
    )
    paper.write_line(chosen(verdict.headline, language))
    paper.write_line(chosen(verdict.detail, language))
    for each in facts(paper.answer, judged, language):
        paper.write_line(each)
    for reason in verdict.reasons:
        paper.write_line(f"    {chosen(reason.text, language)}", _SMALL, _GREY)
    rows = table(paper.answer, judged, language)
    paper.ln(1)
    if not rows:
        paper.write_line(say("none", language))
        return
    paper.write_line(say("excursions", language), 10, space=1)
    _table(paper, [heading(language), *rows])
    paper.ln(4)


def _table(paper: _Report, rows: Sequence[Sequence[str]]) -> None:
    paper.set_font(fonts.FAMILY, size=_SMALL)
    paper.set_text_color(*_INK)
    with paper.table(
        col_widths=_WIDTHS,
        line_height=4.4,
        text_align="LEFT",
        headings_style=FontFace(emphasis=None, fill_color=(0xEE, 0xF0, 0xF3)),
    ) as made:
        for row in rows:
            cells = made.row()
            for cell in row:
                cells.cell(fonts.shown(cell))
